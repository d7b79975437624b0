//! Answers that come encrypted and signed.

use std::fs;

use super::vault::Vault;
use super::{MODERN, OLD};

struct Desk {
    vault: Vault,
    host: String,
    ours: String,
}

impl Desk {
    /// A file of three records is published, and answers are encrypted for the office and signed by the host.
    fn new() -> Desk {
        let vault = Vault::new();
        let host = vault.host.key("host", OLD, "", "never");
        let ours = vault.ours.key("office", MODERN, "open sesame", "never");
        vault.host.knows(&vault.ours, &ours);
        let desk = Desk { vault, host, ours };
        desk.configure();
        desk.vault.sql("INSERT INTO visits VALUES (1, 'Åda 1', 1), (2, 'Åda 2', 2), (3, 'Åda 3', 3)");
        desk.vault.cut();
        desk
    }

    fn configure(&self) {
        let Desk { vault, host, ours } = self;
        let own = vault.own(ours, "open sesame");
        let own = own.trim_matches(['{', '}']);
        let ack = format!(
            r#"  ack:
    dir: acks
    pattern: "*.ack"
    trigger: "{{file}}.done"
    pgp: {{{own}, signers: {signer}}}
    format:
      kind: csv
      names: off
      columns: [{{field: id}}, {{field: word}}]
      header: ["ACK {{seq}}"]
      trailer: ["END {{count()}}"]
    match: {{file: {{sequence: seq}}, record: id, status: {{item: word, rejected: [R]}}}}
"#,
            signer = vault.file_of(host, true),
        );
        vault.configure(&format!("{{recipients: {}}}", vault.file_of(host, true)), &ack);
    }

    fn message(&self, text: &str, options: &[&str]) -> Vec<u8> {
        self.vault.host.message(text, &[&["--recipient", &self.ours], options].concat())
    }

    fn answer(&self, name: &str, bytes: &[u8]) {
        fs::write(self.vault.out().join("acks").join(name), bytes).unwrap();
        fs::write(self.vault.out().join("acks").join(format!("{name}.done")), "").unwrap();
    }

    fn look(&self) -> String {
        self.vault.run(&["run", "--once"]).stderr
    }

    fn state(&self) -> String {
        self.vault.shown("1")["state"].as_str().unwrap().to_owned()
    }

    fn acks(&self) -> serde_json::Value {
        serde_json::from_str(&self.vault.ok(&["--json", "drop", "acks", "legacy"]).stdout).unwrap()
    }

    /// The reason why the newest answer was put aside.
    fn aside(&self) -> String {
        let acks = self.acks();
        assert_eq!(acks[0]["word"], "quarantined", "{acks:#}");
        acks[0]["reason"].as_str().unwrap().to_owned()
    }
}

const SOME: &str = "ACK 1\r\n2,R\r\nEND 1\r\n";

#[test]
fn an_answer_of_the_host_is_decrypted_verified_and_applied_once() {
    let desk = Desk::new();
    let host = desk.host.clone();
    let signed = |options: &[&str]| desk.message(SOME, &[&["--local-user", &host], options].concat());
    desk.answer("1.ack", &signed(&["--armor", "--sign", "--encrypt"]));
    desk.look();
    assert_eq!(desk.state(), "partial", "{:#}", desk.acks());
    // The operator gives the dead letter up; the same answer, encrypted anew, does not bring it back.
    let parked = desk.vault.office.parked("legacy");
    assert_eq!(parked.len(), 1);
    desk.vault.ok(&["drop", "discard", "legacy", "--event", &parked[0].event.id.to_string()]);
    desk.answer("1-again.ack", &signed(&["--compress-algo", "none", "--sign", "--encrypt"]));
    desk.look();
    assert_eq!(desk.vault.office.parked("legacy").len(), 0);
    assert_eq!(desk.acks().as_array().unwrap().len(), 1, "{:#}", desk.acks());
}

#[test]
fn an_answer_that_anybody_could_have_written_is_put_aside() {
    let desk = Desk::new();
    let stranger = desk.vault.host.key("stranger", MODERN, "", "never");
    let plain = SOME.replace("2,R", "3,R").into_bytes();
    let unsigned = desk.message(SOME, &["--encrypt"]);
    let wrong = desk.message(SOME, &["--local-user", &stranger, "--sign", "--encrypt"]);
    let weak = desk.message(SOME, &["--local-user", &desk.host, "--digest-algo", "SHA1", "--sign", "--encrypt"]);
    let other =
        desk.vault.host.message(SOME, &["--recipient", &desk.host, "--local-user", &desk.host, "--sign", "--encrypt"]);
    let open = desk.vault.host.message(SOME, &["--local-user", &desk.host, "--sign"]);
    let good = desk.message(SOME, &["--local-user", &desk.host, "--sign", "--encrypt"]);
    let mut changed = good.clone();
    let at = changed.len() - 40;
    changed[at] ^= 1;
    let cut = good[..good.len() - 30].to_vec();
    for (name, bytes, why) in [
        ("a", plain, "pgp-message: it is no OpenPGP message"),
        ("b", unsigned, "pgp-signature: it is not signed"),
        ("c", wrong, "pgp-signature: it is not signed by any"),
        ("d", weak, "pgp-signature: its signature is of a kind that can be forged"),
        ("e", other, "pgp-message: it is not encrypted for our key"),
        ("f", open, "pgp-message: it is not encrypted"),
        ("g", changed, "pgp-message: "),
        ("h", cut, "pgp-message: "),
    ] {
        desk.answer(&format!("{name}.ack"), &bytes);
        let said = desk.look();
        assert!(desk.aside().starts_with(why), "{name}: {} {said}", desk.aside());
        assert_eq!(desk.state(), "published", "{name}");
        // A later second, so that the newest is the newest.
        desk.vault.ok(&["drop", "dismiss", "legacy", &format!("{name}.ack")]);
        fs::remove_file(desk.vault.out().join(format!("acks/{name}.ack"))).unwrap();
    }
    desk.answer("z.ack", &good);
    desk.look();
    assert_eq!(desk.state(), "partial");
}

#[test]
fn an_answer_that_waits_for_the_right_key_is_used_when_it_is_there() {
    let desk = Desk::new();
    let right = fs::read(desk.vault.host.public(&desk.host, true)).unwrap();
    let file = desk.vault.host.folder().join(format!("{}.pub", desk.host));
    let good = desk.message(SOME, &["--local-user", &desk.host, "--sign", "--encrypt"]);
    fs::remove_file(&file).unwrap();
    desk.answer("1.ack", &good);
    desk.look();
    assert!(desk.aside().starts_with("pgp-key: the key of the answers' signer"), "{}", desk.aside());
    assert!(desk.vault.needs().contains("was put aside"));
    fs::write(&file, right).unwrap();
    desk.look();
    assert_eq!(desk.state(), "partial");
    let acks = desk.acks();
    assert_eq!((acks.as_array().unwrap().len(), &acks[0]["word"]), (1, &"partial".into()), "{acks:#}");
    assert!(!desk.vault.needs().contains("was put aside"), "{}", desk.vault.needs());
}

#[test]
fn an_answer_of_a_signer_whose_key_was_revoked_is_put_aside() {
    let desk = Desk::new();
    let good = desk.message(SOME, &["--local-user", &desk.host, "--sign", "--encrypt"]);
    desk.vault.host.revoke(&desk.host);
    desk.vault.host.public(&desk.host, true);
    desk.answer("1.ack", &good);
    desk.look();
    assert!(desk.aside().contains("it was revoked"), "{}", desk.aside());
}
