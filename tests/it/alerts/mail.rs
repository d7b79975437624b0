//! Alerts by mail.

use super::{QUICK, refusing};
use crate::support::mailbox::{Mailbox, Manners};
use crate::support::office::{Office, THREE, wait};
use crate::support::receiver::Receiver;

fn office(target: &Receiver, channel: &str) -> Office {
    refusing(target, &["/visits/2"]);
    let office = Office::with(target, "", THREE);
    let password = office.folder().join("password");
    std::fs::write(&password, "canary-password").unwrap();
    std::fs::set_permissions(&password, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    office.add_settings(QUICK);
    office.add_settings("credentials: {post: {type: basic, username: hms, password: {file: ../password}}}");
    office.add_settings(&format!("alerts: [{channel}]"));
    office
}

#[test]
fn a_relay_that_offers_tls_is_told_over_tls_and_the_subject_says_the_most() {
    let target = Receiver::start();
    let mail = Mailbox::start(Manners { starttls: true, ..Manners::default() });
    let ca = mail.ca.file();
    let office = office(
        &target,
        &format!(
            "{{type: email, smtp: \"{}\", to: [ops@office.test, Night <night@office.test>], from: agent@office.test, tls: {{ca: {}}}}}",
            mail.url("smtp"),
            ca.display()
        ),
    );
    let agent = office.agent();
    let letter = mail.wait(1).remove(0);
    assert!(letter.sealed);
    assert_eq!((letter.from.as_str(), letter.to.len()), ("agent@office.test", 2));
    assert_eq!(letter.to, ["ops@office.test", "night@office.test"]);
    for part in
        ["Subject: [OF042] dead-letters: legacy\r\n", "1 delivery was refused or given up", "Condition: dead-letters"]
    {
        assert!(letter.text.contains(part), "{part}: {}", letter.text);
    }
    assert!(!letter.text.contains("Bea"));
    agent.stop();
    // Nothing is told twice by a start.
    office.agent().stop();
    assert_eq!(mail.letters().len(), 1);
}

#[test]
fn a_password_is_shown_over_tls_only() {
    let target = Receiver::start();
    let login = Some(("hms", "canary-password"));
    let wrapped = Mailbox::start(Manners { wrapped: true, login, ..Manners::default() });
    let upgraded = Mailbox::start(Manners { starttls: true, login, ..Manners::default() });
    let plain = Mailbox::start(Manners { login, ..Manners::default() });
    let channel = |mail: &Mailbox, scheme: &str, name: &str| {
        format!(
            "{{type: email, name: {name}, smtp: \"{}\", to: ops@office.test, from: a@office.test, credentialsId: post, tls: {{ca: {}}}}}",
            mail.url(scheme),
            mail.ca.file().display()
        )
    };
    let channels = [
        channel(&wrapped, "smtps", "wrapped"),
        channel(&upgraded, "smtp", "upgraded"),
        channel(&plain, "smtp", "plain"),
    ];
    let office = office(&target, &channels.join(", "));
    let agent = office.agent();
    assert!(wrapped.wait(1)[0].sealed && upgraded.wait(1)[0].sealed);
    agent.says("plain cannot be told: smtp:");
    wait("status says so too", || office.run(&["status"]).stdout.contains("channel plain: cannot be told since"));
    assert_eq!((plain.letters().len(), plain.bare_logins(), upgraded.bare_logins()), (0, 0, 0));
    assert!(plain.calls() > 0 && !agent.said().contains("canary"), "{}", agent.said());
    agent.stop();
}

#[test]
fn a_server_that_refuses_is_told_again_and_what_it_says_stands_in_the_journal_on_one_line() {
    let target = Receiver::start();
    let mail = Mailbox::start(Manners { refuses: Some("451 later, please"), ..Manners::default() });
    let office = office(
        &target,
        &format!("{{type: email, smtp: \"{}\", to: ops@office.test, from: a@office.test}}", mail.url("smtp")),
    );
    let agent = office.agent();
    agent.says("email ops@office.test cannot be told: smtp: 127.0.0.1");
    assert!(agent.said().contains("451"), "{}", agent.said());
    wait("it is tried again", || mail.calls() >= 2);
    assert_eq!(office.run(&["alerts", "test"]).code, Some(69));
    agent.stop();
}
