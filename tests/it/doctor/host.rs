//! What capture stands on: permissions, certificates, secrets, clock, configuration, owner.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rusqlite::Connection;

use super::{delivered, doctor, said};
use crate::support::faketime::under;
use crate::support::office::Office;
use crate::support::receiver::Receiver;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_state_folder_that_others_can_look_into_is_found_and_closed() {
    let target = Receiver::start();
    let office = delivered(&target);
    let folder = office.folder().join("state");
    assert_eq!(mode(&folder), 0o700);
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    let said = doctor(&office, &[]);
    assert_eq!(said.code, 1, "{said:#?}");
    said.finds("bad", "permissions", "mode 755");
    doctor(&office, &["--fix"]).is_well();
    assert_eq!(mode(&folder), 0o700);
    // A folder that holds other things too is not ours to close: our files in it are.
    fs::write(folder.join("letters.txt"), "of somebody else").unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(office.state(), fs::Permissions::from_mode(0o644)).unwrap();
    doctor(&office, &[]).finds("bad", "permissions", "mode 644");
    doctor(&office, &["--fix"]).is_well();
    assert_eq!((mode(&folder), mode(&office.state())), (0o755, 0o600));
}

#[test]
fn a_socket_that_a_killed_agent_left_is_removed() {
    let target = Receiver::start();
    let office = delivered(&target);
    office.agent().kill();
    let said = doctor(&office, &[]);
    said.is_well();
    said.finds("warn", "agent", "a socket that a killed agent left");
    let fixed = doctor(&office, &["--fix"]);
    assert!(!fixed.has("warn", "agent", "a socket"), "{fixed:#?}");
    assert_eq!(office.once().0, Some(0));
}

/// A certificate of its own making, and its key, in PEM.
fn certificate(office: &Office, name: &str, until: (i32, u8, u8)) -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["client.test".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2019, 1, 1);
    params.not_after = rcgen::date_time_ymd(until.0, until.1, until.2);
    let (cert_file, key_file) =
        (office.folder().join(format!("{name}.pem")), office.folder().join(format!("{name}.key")));
    fs::write(&cert_file, params.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(&key_file, key.serialize_pem()).unwrap();
    fs::set_permissions(&key_file, fs::Permissions::from_mode(0o600)).unwrap();
    format!("cert: \"{}\", key: \"{}\"", cert_file.display(), key_file.display())
}

#[test]
fn an_expired_client_certificate_a_key_for_everybody_and_a_missing_secret_are_found() {
    let office = Office::visits();
    let connector =
        |tls: &str| office.connector("legacy", &format!("target: {{url: https://legacy.test/, tls: {{{tls}}}}}\n"));
    connector(&certificate(&office, "good", (2090, 1, 1)));
    let said = doctor(&office, &[]);
    said.is_well();
    said.finds("ok", "certificate", "valid until 2090-01-01");
    fs::set_permissions(office.folder().join("good.key"), fs::Permissions::from_mode(0o644)).unwrap();
    doctor(&office, &[]).finds("warn", "certificate", "others can use this key");
    connector(&certificate(&office, "old", (2020, 2, 3)));
    let said = doctor(&office, &[]);
    assert_eq!(said.code, 1, "{said:#?}");
    said.finds("bad", "certificate", "expired on 2020-02-03");
    connector(&format!("ca: \"{}\"", office.folder().join("gone.pem").display()));
    let said = doctor(&office, &[]);
    assert_eq!(said.code, 78, "{said:#?}");
    said.finds("bad", "certificate", "gone.pem");
    connector("");
    office.add_settings("credentials: {vista: {type: bearer, token: {file: gone.token}}}");
    let said = doctor(&office, &[]);
    assert_eq!(said.code, 78, "{said:#?}");
    said.finds("bad", "secrets", "cannot be had");
}

#[test]
fn a_clock_from_before_the_build_or_before_the_last_attempt_is_doubted() {
    let target = Receiver::start();
    let office = delivered(&target);
    let at = |time: &str| {
        let plain = office.command(&["--json", "doctor"]);
        let mut command = under(&plain);
        command.env("FAKETIME", time);
        said(&mut command)
    };
    let said = at("@2001-09-09 01:46:40");
    assert_eq!(said.code, 1, "{said:#?}");
    said.finds("bad", "clock", "the clock shows 2001-09-09");
    // Deliveries were recorded in the future of today's clock.
    let state = Connection::open(office.state()).unwrap();
    state.execute("INSERT INTO attempt(n, at, connector, log, phase, first_seq, last_seq, entries) SELECT n + 1000, at + 3600000, connector, log, phase, first_seq, last_seq, entries FROM attempt ORDER BY n DESC LIMIT 1", []).unwrap();
    drop(state);
    doctor(&office, &[]).finds("bad", "clock", "something was sent at");
    at("+2h").finds("ok", "clock", "");
}

#[test]
fn a_broken_configuration_is_a_finding_and_the_rest_is_looked_at() {
    let target = Receiver::start();
    let office = delivered(&target);
    office.connector("second", "target: {urll: https://second.test/}\n");
    let said = doctor(&office, &[]);
    assert_eq!(said.code, 78, "{said:#?}");
    said.finds("bad", "configuration", "error");
    said.finds("ok", "comparison", "visits");
}

#[test]
fn another_agents_database_is_refused_with_77() {
    let target = Receiver::start();
    let office = delivered(&target);
    fs::rename(office.folder().join("state"), office.folder().join("old")).unwrap();
    let other = Office::visits();
    other.rest("legacy", &target, "");
    assert_eq!(other.run(&["watch", "visits"]).code, Some(0));
    assert_eq!(other.once().0, Some(0));
    fs::create_dir_all(office.folder().join("state")).unwrap();
    fs::set_permissions(office.folder().join("state"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::copy(other.state(), office.state()).unwrap();
    let said = doctor(&office, &[]);
    assert!([1, 77].contains(&said.code), "{said:#?}");
    said.finds("bad", "owner", "captured by another agent");
}
