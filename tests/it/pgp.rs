//! Encrypted files: GnuPG reads what leaves, to the byte; what was encrypted once is sent as it is; keys that have ended are
//! refused; and answers are decrypted and their signature is looked at.

mod answers;
mod keys;
mod vault;

use std::collections::BTreeSet;
use std::fs;

use crate::support::office::ended;
use crate::support::strace::{Fault, Injection, Strace};
use vault::{Vault, content};

const MODERN: (&str, &str) = ("ed25519", "cv25519");
const OLD: (&str, &str) = ("rsa2048", "rsa2048");

#[test]
fn gpg_reads_what_leaves_to_the_byte_in_every_form() {
    let vault = Vault::new();
    let host = vault.host.key("host", OLD, "", "never");
    let second = vault.host.key("audit", MODERN, "", "never");
    let ours = vault.ours.key("office", MODERN, "open sesame", "never");
    vault.host.knows(&vault.ours, &ours);
    let recipients = format!("recipients: [{}, {}]", vault.file_of(&host, true), vault.file_of(&second, false));
    let sign = format!("sign: {}", vault.own(&ours, "open sesame"));
    let mut seq = 0;
    for armor in [false, true] {
        for compress in [false, true] {
            for signed in [false, true] {
                seq += 1;
                let signs = if signed { sign.as_str() } else { "sign: false" };
                vault.configure(&format!("{{{recipients}, {signs}, armor: {armor}, compress: {compress}}}"), "");
                vault.sql(&format!("INSERT INTO visits VALUES ({seq}, 'Åda {seq}', {seq})"));
                vault.cut();
                let name = format!("VISITS.{seq:06}.csv.{}", if armor { "asc" } else { "pgp" });
                let path = vault.out().join(&name);
                let sealed = fs::read(&path).unwrap();
                assert_eq!(sealed.starts_with(b"-----BEGIN PGP MESSAGE-----\n"), armor);
                let (text, said) = vault.host.decrypt(&path, "");
                assert_eq!(text, content(seq), "{name}");
                assert!(said.contains("GOODMDC"), "{said}");
                assert_eq!(said.contains(&format!("VALIDSIG {ours}")), signed, "{said}");
                // What programs of 2007 can read: version 1 packets with a modification detection code, AES-256, ZIP.
                let packets = vault.host.packets(&path);
                assert!(packets.contains("mdc_method: 2") && !packets.contains("aead"), "{packets}");
                assert!(said.contains("DECRYPTION_INFO 2 9"), "{said}");
                assert_eq!(packets.contains(":compressed packet: algo=1"), compress, "{packets}");
                assert_eq!(packets.matches(":pubkey enc packet: version 3").count(), 2, "{packets}");
                // Control file and trigger stand beside what was sent; the totals are those of the content.
                let control = fs::read_to_string(vault.out().join(format!("{name}.ctl"))).unwrap();
                let sha256 = vault::sha256(&content(seq));
                assert_eq!(control, format!("{}|1|{sha256}", content(seq).len()));
                assert!(vault.out().join(format!("{name}.done")).exists());
            }
        }
    }
}

#[test]
fn a_file_is_encrypted_once_and_sent_again_as_it_is() {
    let vault = Vault::with_a_host();
    vault.sql("INSERT INTO visits VALUES (1, 'Åda 1', 1)");
    vault.cut();
    let path = vault.out().join("VISITS.000001.csv.pgp");
    let first = fs::read(&path).unwrap();
    let shown = vault.shown("1");
    assert_eq!(shown["sha256"], vault::sha256(&content(1)), "what the ledger says is said of the content");
    assert_eq!(shown["encrypted"]["sha256"], vault::sha256(&first));
    fs::remove_file(&path).unwrap();
    fs::remove_file(vault.out().join("VISITS.000001.csv.pgp.done")).unwrap();
    vault.ok(&["drop", "resend", "legacy", "1", "--reason", "the host has lost it"]);
    assert_eq!(fs::read(&path).unwrap(), first);
    // Made again it is the content, which is what can be compared.
    let to = vault.office.folder().join("again");
    vault.ok(&["drop", "regenerate", "legacy", "1", "--to", to.to_str().unwrap()]);
    assert_eq!(fs::read(&to).unwrap(), content(1));
    // The archive has both, for nobody else.
    for (name, sealed) in [("1.data.gz", false), ("1.pgp", true)] {
        let kept = vault.office.folder().join("state/drops/legacy/archive").join(name);
        assert_eq!(vault::mode(&kept), 0o600, "{name}");
        assert_eq!(fs::read(&kept).unwrap() == first, sealed);
    }
}

#[test]
fn an_end_at_any_moment_sends_what_was_encrypted_and_nothing_else() {
    let mut seen = BTreeSet::new();
    for call in ["fsync", "renameat2"] {
        for n in 1.. {
            let vault = Vault::with_a_host();
            vault.sql("INSERT INTO visits VALUES (1, 'Åda 1', 1)");
            let injection = Injection { fault: Fault::Kill, call: call.to_owned(), n };
            // Of the syncs those of the folders that files come to lie in; the state file's are other tests' matter.
            let own = vault.office.folder().join("state/drops/legacy");
            fs::create_dir_all(own.join("archive")).unwrap();
            let folders = vec![own.join("archive"), own, vault.out()];
            let paths = if call == "fsync" { folders } else { Vec::new() };
            let strace = Strace { paths, injection: Some(injection), log: vault.office.folder().join("strace") };
            let killed = ended(&mut strace.around(&vault.office.command(&["drop", "run", "legacy"])));
            if killed.code == Some(0) {
                break;
            }
            let state = vault.state("1");
            let sealed = fs::read(vault.sealed(1)).ok();
            vault.ok(&["drop", "run", "legacy"]);
            let path = vault.out().join("VISITS.000001.csv.pgp");
            let sent = fs::read(&path).unwrap();
            assert_eq!(vault.host.decrypt(&path, "").0, content(1), "{call} {n}");
            if matches!(state.as_deref(), Some("rendered" | "published")) {
                assert_eq!(
                    sealed.as_ref(),
                    Some(&sent),
                    "{call} {n}: what was encrypted before the end is what is sent"
                );
            }
            seen.insert(state);
        }
    }
    for state in ["cut", "rendered"] {
        assert!(seen.contains(&Some(state.to_owned())), "no end was in this state: {seen:?}");
    }
}

#[test]
fn content_that_is_lost_while_the_file_waits_changes_nothing_of_what_is_sent() {
    let vault = Vault::with_a_host();
    vault.sql("INSERT INTO visits VALUES (1, 'Åda 1', 1)");
    // The place is not there: the file waits, encrypted.
    let away = vault.office.folder().join("away");
    fs::rename(vault.out(), &away).unwrap();
    assert_eq!(vault.run(&["drop", "run", "legacy"]).code, Some(75));
    let sealed = fs::read(vault.sealed(1)).unwrap();
    assert_eq!(vault.state("1").as_deref(), Some("rendered"));
    fs::remove_file(vault.office.folder().join("state/drops/legacy/1.data")).unwrap();
    fs::rename(&away, vault.out()).unwrap();
    vault.ok(&["run", "--once"]);
    assert_eq!(fs::read(vault.out().join("VISITS.000001.csv.pgp")).unwrap(), sealed);
}

#[test]
fn what_lies_there_is_recognised_by_the_encrypted_bytes() {
    let vault = Vault::with_a_host();
    vault.sql("INSERT INTO visits VALUES (1, 'Åda 1', 1)");
    vault.cut();
    let path = vault.out().join("VISITS.000001.csv.pgp");
    let (first, trigger) = (fs::read(&path).unwrap(), vault.out().join("VISITS.000001.csv.pgp.done"));
    // Ours is there still: it is taken for published, and only the trigger comes again.
    fs::remove_file(&trigger).unwrap();
    vault.ok(&["drop", "resend", "legacy", "1", "--reason", "no trigger"]);
    assert!(trigger.exists());
    // The content itself under that name is not what was sent.
    fs::write(&path, content(1)).unwrap();
    assert_ne!(vault.run(&["drop", "resend", "legacy", "1", "--reason", "again"]).code, Some(0));
    let outlet = &vault.shown("1")["outlets"][0];
    assert_eq!(outlet["state"], "held", "{outlet}");
    assert_eq!(fs::read(&path).unwrap(), content(1), "nothing of another is touched");
    assert_ne!(first, content(1));
}

#[test]
fn an_encrypted_file_that_is_gone_is_not_made_anew_in_silence() {
    let vault = Vault::with_a_host();
    vault.sql("INSERT INTO visits VALUES (1, 'Åda 1', 1)");
    vault.cut();
    fs::remove_file(vault.sealed(1)).unwrap();
    fs::remove_file(vault.out().join("VISITS.000001.csv.pgp")).unwrap();
    vault.run(&["drop", "resend", "legacy", "1", "--reason", "again"]);
    let outlet = vault.shown("1")["outlets"][0].clone();
    assert_eq!(outlet["state"], "held");
    assert!(outlet["reason"].as_str().unwrap().contains("--as-new"), "{outlet}");
    assert!(!vault.out().join("VISITS.000001.csv.pgp").exists());
}

#[test]
fn a_file_that_was_cut_to_be_encrypted_never_leaves_as_it_is() {
    let vault = Vault::with_a_host();
    vault.sql("INSERT INTO visits VALUES (1, 'Åda 1', 1)");
    fs::rename(vault.key_file(), vault.key_file().with_extension("away")).unwrap();
    assert_ne!(vault.run(&["drop", "run", "legacy"]).code, Some(0));
    assert_eq!(vault.shown("1")["state"], "cut");
    // Encryption is taken out of the configuration while it waits: it is encrypted for those of then.
    vault.configure("", "");
    assert_ne!(vault.run(&["run", "--once"]).code, Some(0));
    assert_eq!(vault.shown("1")["state"], "cut");
    fs::rename(vault.key_file().with_extension("away"), vault.key_file()).unwrap();
    vault.ok(&["run", "--once"]);
    assert_eq!(vault.host.decrypt(&vault.out().join("VISITS.000001.csv.pgp"), "").0, content(1));
    // Later ones leave as it says now.
    vault.sql("INSERT INTO visits VALUES (2, 'Åda 2', 2)");
    vault.cut();
    assert_eq!(fs::read(vault.out().join("VISITS.000002.csv")).unwrap(), content(2));
}

#[test]
fn a_preview_shows_the_content_and_needs_no_key() {
    let vault = Vault::with_a_host();
    vault.sql("INSERT INTO visits VALUES (1, 'Åda 1', 1)");
    fs::remove_file(vault.key_file()).unwrap();
    let to = vault.office.folder().join("seen");
    vault.ok(&["drop", "preview", "legacy", "--to", to.to_str().unwrap()]);
    assert_eq!(fs::read(&to).unwrap(), content(1));
}
