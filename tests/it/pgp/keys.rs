//! Keys: expired and revoked ones are refused by whoever is asked, and told of before.

use std::fs;

use super::vault::{Vault, content};
use super::{MODERN, OLD};

/// Refused by `check` and `doctor`, and at the run: the file waits for a person, who is told why.
fn is_refused(vault: &Vault, why: &str) {
    let check = vault.run(&["check"]);
    assert_eq!(check.code, Some(78), "{check:#?}");
    assert!(format!("{}{}", check.stdout, check.stderr).contains(why), "{check:#?}");
    let doctor = vault.run(&["doctor"]);
    assert_eq!(doctor.code, Some(78), "{doctor:#?}");
    assert!(doctor.stdout.contains(why), "{doctor:#?}");
    let run = vault.run(&["drop", "run", "legacy"]);
    assert_ne!(run.code, Some(0), "{run:#?}");
    let shown = vault.shown("1");
    assert_eq!(shown["state"], "cut");
    let reason = shown["reason"].as_str().unwrap();
    assert!(reason.starts_with("pgp-key: ") && reason.contains(why), "{reason}");
    assert!(vault.needs().contains(why), "{}", vault.needs());
    assert!(fs::read_dir(vault.out()).unwrap().all(|entry| entry.unwrap().file_name() == "acks"));
}

#[test]
fn an_expired_key_is_refused_until_another_is_there_and_then_the_file_goes_by_itself() {
    let vault = Vault::new();
    vault.sql("INSERT INTO visits VALUES (1, 'Åda 1', 1)");
    let past = ["--faked-system-time", "20200101T000000"];
    let host = vault.host.key_made(&past, "host", MODERN, "", "1y");
    fs::copy(vault.host.public(&host, true), vault.key_file()).unwrap();
    vault.configure(&vault.recipient(&host), "");
    is_refused(&vault, "it expired at 2020-12-31");
    // Its owner makes it valid for longer.
    vault.host.run(&["--quick-set-expire", &host, "5y"]);
    let listed = vault.host.run(&["--with-colons", "--with-subkey-fingerprint", "--list-keys", &host]);
    let part = listed.lines().filter(|line| line.starts_with("fpr:")).nth(1).unwrap().split(':').nth(9).unwrap();
    vault.host.run(&["--quick-set-expire", &host, "5y", part]);
    fs::copy(vault.host.public(&host, true), vault.key_file()).unwrap();
    vault.ok(&["check"]);
    vault.ok(&["run", "--once"]);
    assert_eq!(vault.host.decrypt(&vault.out().join("VISITS.000001.csv.pgp"), "").0, content(1));
    assert!(!vault.needs().contains("expired"), "{}", vault.needs());
}

#[test]
fn a_part_that_encrypts_and_has_expired_is_not_used_and_the_next_one_is() {
    let vault = Vault::new();
    vault.sql("INSERT INTO visits VALUES (1, 'Åda 1', 1)");
    vault.host.run(&["--passphrase", "", "--quick-gen-key", "host", MODERN.0, "sign", "never"]);
    let host = vault.host.fingerprint("host");
    let add = |options: &[&str], ends: &str| {
        vault.host.run(&[options, &["--quick-add-key", &host, MODERN.1, "encr", ends]].concat());
    };
    add(&["--passphrase", ""], "seconds=1");
    crate::support::office::wait("the part to end", || {
        let listed = vault.host.run(&["--with-colons", "--list-keys", &host]);
        listed.lines().any(|line| line.starts_with("sub:e:"))
    });
    fs::copy(vault.host.public(&host, true), vault.key_file()).unwrap();
    vault.configure(&vault.recipient(&host), "");
    is_refused(&vault, "its part that can encrypt expired at");
    add(&["--passphrase", ""], "never");
    fs::copy(vault.host.public(&host, true), vault.key_file()).unwrap();
    vault.ok(&["run", "--once"]);
    assert_eq!(vault.host.decrypt(&vault.out().join("VISITS.000001.csv.pgp"), "").0, content(1));
}

#[test]
fn a_revoked_key_is_refused() {
    let vault = Vault::with_a_host();
    vault.sql("INSERT INTO visits VALUES (1, 'Åda 1', 1)");
    let host = vault.host.fingerprint("host");
    vault.host.revoke(&host);
    fs::copy(vault.host.public(&host, false), vault.key_file()).unwrap();
    is_refused(&vault, "it was revoked");
}

#[test]
fn an_expired_or_revoked_signing_key_is_refused() {
    for revoked in [false, true] {
        let vault = Vault::new();
        vault.sql("INSERT INTO visits VALUES (1, 'Åda 1', 1)");
        let host = vault.host.key("host", OLD, "", "never");
        let past = ["--faked-system-time", "20200101T000000"];
        let ends = if revoked { "never" } else { "1y" };
        let ours = vault.ours.key_made(&past, "office", MODERN, "open sesame", ends);
        if revoked {
            vault.ours.revoke(&ours);
        }
        let pgp = format!("{{recipients: {}, sign: {}}}", vault.file_of(&host, true), vault.own(&ours, "open sesame"));
        vault.configure(&pgp, "");
        is_refused(&vault, if revoked { "it was revoked" } else { "it expired at 2020-12-31" });
    }
}

#[test]
fn a_wrong_passphrase_or_a_wrong_key_is_refused_and_nothing_secret_is_told() {
    let vault = Vault::new();
    vault.sql("INSERT INTO visits VALUES (1, 'Åda 1', 1)");
    let host = vault.host.key("host", MODERN, "", "never");
    let ours = vault.ours.key("office", OLD, "open sesame", "never");
    let own = vault.own(&ours, "open sesame");
    fs::write(vault.ours.folder().join("passphrase"), "close sesame").unwrap();
    vault.configure(&format!("{{recipients: {}, sign: {own}}}", vault.file_of(&host, true)), "");
    is_refused(&vault, "the passphrase does not open it");
    // A file with the key of somebody else under the right name.
    let other = vault.host.key("other", MODERN, "", "never");
    fs::copy(vault.host.public(&other, true), vault.key_file()).unwrap();
    vault.configure(&vault.recipient(&host), "");
    assert!(vault.run(&["check"]).stdout.contains("holds another key"), "{:#?}", vault.run(&["check"]));
    assert!(vault.shown("1")["reason"].as_str().unwrap().contains("passphrase"));
    vault.run(&["run", "--once"]);
    assert!(vault.shown("1")["reason"].as_str().unwrap().contains("holds another key"));
}

#[test]
fn a_key_is_told_of_thirty_days_before_it_ends_and_used_until_then() {
    let vault = Vault::new();
    vault.sql("INSERT INTO visits VALUES (1, 'Åda 1', 1)");
    let host = vault.host.key("host", MODERN, "", "20d");
    fs::copy(vault.host.public(&host, true), vault.key_file()).unwrap();
    vault.configure(&vault.recipient(&host), "");
    let check = vault.ok(&["check"]);
    assert!(format!("{}{}", check.stdout, check.stderr).contains("ends at"), "{check:#?}");
    assert!(vault.ok(&["doctor"]).stdout.contains("ends at"));
    vault.cut();
    assert!(vault.needs().contains("the recipient's key") && vault.needs().contains("ends at"), "{}", vault.needs());
    assert_eq!(vault.host.decrypt(&vault.out().join("VISITS.000001.csv.pgp"), "").0, content(1));
}
