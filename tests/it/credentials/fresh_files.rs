//! TLS files that change under a running agent, pinned roots and pinned keys.

use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hms_sync::adapter::Adapter as _;
use hms_sync::adapter::http::Options;
use hms_sync::adapter::sha256;
use hms_sync::adapter::tls::{Tls, TlsFiles, client_config};
use hms_sync::event::Op;
use hms_sync::rules::outcome::Outcome;
use rustls::ClientConnection;
use rustls::server::ParsedCertificate;

use super::assertions::secret;
use crate::support::ca::{Ca, Leaf};
use crate::support::doorman::{Doorman, answer};
use crate::support::office::{Office, RETRY, THREE, wait};
use crate::support::rest::{OneLane as _, adapter, cleared};

fn put(path: &Path, bytes: &[u8]) {
    let temp = path.with_extension("new");
    std::fs::write(&temp, bytes).unwrap();
    std::fs::rename(temp, path).unwrap();
}

#[test]
fn an_authority_and_a_client_certificate_that_are_replaced_count_without_a_restart() {
    let target = Doorman::start(|_| answer(201, "", "application/json", "{}"));
    target.show(target.ca.server(Leaf::WantsClient));
    let office = Office::visits();
    let at = |name: &str| office.config().join(name);
    let install = |ca: &Ca| {
        let files = ca.client_files();
        for (name, from) in [("ca.pem", ca.file()), ("client.key", files.key), ("client.pem", files.cert)] {
            put(&at(name), &std::fs::read(from).unwrap());
        }
    };
    install(&target.ca);
    office.connector(
        "legacy",
        &format!(
            "listen: visits.insert\ntarget: {{url: \"{}\", tls: {{roots: ../ca.pem, cert: ../client.pem, key: ../client.key}}}}\nstart: beginning\n{RETRY}\n",
            target.url("/visits")
        ),
    );
    assert_eq!(office.run(&["watch", "visits"]).code, Some(0));
    office.sql(THREE);
    let agent = office.agent();
    office.wait_settled("legacy");
    // The target moves to another authority; what is connected stays connected.
    let next = Arc::new(Ca::new());
    target.show(next.server(Leaf::WantsClient));
    let before = target.journal().iter().map(|entry| entry.connection).max().unwrap();
    install(&next);
    agent_says_after(&office, &agent, "the TLS files have changed: new connections use what they hold now");
    office.sql("INSERT INTO visits(name) VALUES ('y')");
    office.wait_settled("legacy");
    assert!(target.journal().last().unwrap().connection > before, "the old connection went on");
    // Half of a pair, or nothing, changes nothing.
    put(&at("client.key"), &std::fs::read(target.ca.client_files().key).unwrap());
    agent_says_after(&office, &agent, "cannot be used, what was there before is kept");
    office.sql("INSERT INTO visits(name) VALUES ('z')");
    office.wait_settled("legacy");
    agent.stop();
}

#[test]
fn a_connector_that_halted_over_its_token_or_an_authority_goes_on_when_the_right_one_has_come() {
    let stranger = Ca::new();
    let target = Doorman::start(|entry| {
        let known = entry.header("authorization") == Some("Bearer right-token");
        answer(if known { 201 } else { 401 }, "", "application/json", "{}")
    });
    let office = Office::visits();
    let [token, ca] = ["token", "ca.pem"].map(|name| office.config().join(name));
    secret(&office, "token", "wrong-token");
    put(&ca, &std::fs::read(stranger.file()).unwrap());
    office.add_settings("credentials: {clinic: {type: bearer, token: {file: token}}}\n");
    office.connector(
        "legacy",
        &format!(
            "listen: visits.insert\ntarget: {{url: \"{}\", credentialsId: clinic, tls: {{roots: ../ca.pem}}}}\nstart: beginning\n{RETRY}\n",
            target.url("/visits")
        ),
    );
    assert_eq!(office.run(&["watch", "visits"]).code, Some(0));
    office.sql(THREE);
    let agent = office.agent();
    agent.says("legacy: halted: ");
    put(&ca, &std::fs::read(target.ca.file()).unwrap());
    agent.says("legacy: halted: http-401");
    // The file is its owner's alone from its first moment on.
    secret(&office, "token.new", "right-token");
    std::fs::rename(office.config().join("token.new"), &token).unwrap();
    office.wait_settled("legacy");
    agent.stop();
}

/// Has deliveries made until it is said: files are looked at when something is to be sent.
fn agent_says_after(office: &Office, agent: &crate::support::office::Agent, text: &str) {
    wait(text, || {
        office.sql("INSERT INTO visits(name) VALUES ('x')");
        office.wait_settled("legacy");
        agent.said().contains(text)
    });
}

/// The pin of the key that a server shows.
fn pin(target: &Doorman) -> [u8; 32] {
    let config = client_config(&TlsFiles { ca: vec![target.ca.file()], ..TlsFiles::default() }).unwrap();
    let mut session = ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
    let mut socket = std::net::TcpStream::connect(target.address()).unwrap();
    while session.is_handshaking() {
        session.complete_io(&mut socket).unwrap();
    }
    let leaf = &session.peer_certificates().unwrap()[0];
    let key = ParsedCertificate::try_from(leaf).unwrap().subject_public_key_info();
    sha256(&key)
}

#[test]
fn a_target_with_another_key_than_the_pinned_ones_gets_nothing() {
    let target = Doorman::start(|_| answer(201, "", "application/json", "{}"));
    let good = pin(&target);
    let files = |pins| TlsFiles { ca: vec![target.ca.file()], pins, ..TlsFiles::default() };
    let http = |pins| Options::new(Tls::of(&files(pins)).unwrap());
    let url = target.url("/");
    let rest = adapter(&url, http(vec![[7; 32], good]));
    assert_eq!(rest.lane().deliver(&cleared(&rest, Op::Insert, 1)).outcome, Outcome::Success);
    let asked = target.journal().len();
    let rest = adapter(&url, http(vec![[7; 32], [8; 32]]));
    let Outcome::Halt(reason) = rest.lane().deliver(&cleared(&rest, Op::Insert, 1)).outcome else { panic!("no halt") };
    assert!(reason.text.contains("none of those in `pins`"), "{reason}");
    assert!(rest.probe().is_err());
    assert_eq!(target.journal().len(), asked);
    // A pin alone is not enough: the authority counts as ever.
    let strange = TlsFiles { pins: vec![good, [7; 32]], ..TlsFiles::default() };
    let rest = adapter(&url, Options::new(Tls::of(&strange).unwrap()));
    let Outcome::Halt(reason) = rest.lane().deliver(&cleared(&rest, Op::Insert, 1)).outcome else { panic!("no halt") };
    assert!(reason.text.contains("not known here"), "{reason}");
    assert!(STANDARD.encode(good).len() == 44);
}

#[test]
fn roots_stand_in_the_place_of_the_systems_authorities() {
    let target = Doorman::start(|_| answer(201, "", "application/json", "{}"));
    let with = |ca: &Ca| {
        let files = TlsFiles { roots: vec![ca.file()], ..TlsFiles::default() };
        let rest = adapter(&target.url("/"), Options::new(Tls::of(&files).unwrap()));
        rest.lane().deliver(&cleared(&rest, Op::Insert, 1)).outcome
    };
    assert_eq!(with(&target.ca), Outcome::Success);
    assert!(matches!(with(&Ca::new()), Outcome::Halt(_)));
}
