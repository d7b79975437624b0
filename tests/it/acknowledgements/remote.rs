//! An answer that lies on a server: it is pulled over SFTP, used once, and put away there.

use std::fs;

use super::desk::{Desk, ack};
use crate::support::sshd::{Sshd, me};

/// The usual drop, to a server; the answers come from its folder `acks`.
fn desk(server: &Sshd, how: &str) -> Desk {
    let desk = Desk::new(super::LISTED);
    let path = desk.office.config().join("connectors/legacy.yaml");
    let text = fs::read_to_string(&path).unwrap();
    let (files, port) = (server.files(), server.port);
    fs::create_dir_all(files.join("acks/done")).unwrap();
    let place = format!(
        "deliver:\n    - name: host\n      sftp: {{host: 127.0.0.1, port: {port}, user: {}, key: {{file: {}}}, host_key: \"{}\", dir: {}}}",
        me(),
        server.folder.path().join("user").display(),
        server.fingerprint("ed25519"),
        files.display()
    );
    let text = text
        .replace("adapter: directory", "adapter: sftp")
        .replace(&format!("deliver: {{directory: {}}}", desk.out().display()), &place)
        .replace("dir: acks", &format!("dir: {}", files.join("acks").display()))
        .replace("trigger: \"{file}.done\"", how);
    assert!(text.contains("sftp: {host") && text.contains(how), "{text}");
    fs::write(path, text).unwrap();
    desk
}

fn answer(server: &Sshd, name: &str, text: &str) {
    fs::write(server.files().join("acks").join(name), text).unwrap();
    fs::write(server.files().join("acks").join(format!("{name}.done")), "").unwrap();
}

fn there(server: &Sshd, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(server.files().join(folder)).unwrap().map(|entry| entry.unwrap());
    let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
    let mut names: Vec<String> = files.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

const TRIGGER: &str = "trigger: \"{file}.done\"";

#[test]
fn an_answer_on_a_server_is_pulled_used_once_and_moved() {
    let server = Sshd::start("");
    let desk = desk(&server, &format!("{TRIGGER}\n    after: move"));
    desk.three();
    assert_eq!(desk.cut(), "published");
    assert_eq!(there(&server, "."), ["VISITS.000001.csv"]);
    // Half of it is there, and no trigger.
    fs::write(server.files().join("acks/1.ack"), "ACK 1\n2,R").unwrap();
    desk.look();
    assert_eq!(desk.state(1), "published");
    answer(&server, "1.ack", &ack("ACK 1\n2,R,E17,unknown clinic\n"));
    desk.look();
    assert_eq!(desk.state(1), "partial");
    assert_eq!(desk.answers(1), ["accepted", "rejected (E17)", "accepted"]);
    assert_eq!(
        (there(&server, "acks"), there(&server, "acks/done")),
        (vec![], vec!["1.ack".into(), "1.ack.done".into()])
    );
    assert_eq!(desk.archived().len(), 1);
    // The host sends the same once more.
    answer(&server, "1.ack", &ack("ACK 1\n2,R,E17,unknown clinic\n"));
    desk.look();
    assert_eq!((desk.acks().len(), desk.parked().len()), (1, 1));
    assert_eq!(there(&server, "acks"), Vec::<String>::new());
    desk.balanced();
}

#[test]
fn a_server_that_only_lets_read_loses_no_answer_and_repeats_none() {
    let writable = Sshd::start("");
    let desk = desk(&writable, &format!("{TRIGGER}\n    after: delete"));
    desk.three();
    assert_eq!(desk.cut(), "published");
    // From now on nothing can be removed there.
    let server = Sshd::start("-R");
    fs::create_dir_all(server.files().join("acks")).unwrap();
    answer(&server, "1.ack", &ack("ACK 1\n3,R,E1,\n"));
    let path = desk.office.config().join("connectors/legacy.yaml");
    let text = fs::read_to_string(&path).unwrap();
    let of = |server: &Sshd| {
        (server.port.to_string(), server.fingerprint("ed25519"), server.folder.path().display().to_string())
    };
    let (from, to) = (of(&writable), of(&server));
    fs::write(path, text.replace(&from.0, &to.0).replace(&from.1, &to.1).replace(&from.2, &to.2)).unwrap();
    for _ in 0..2 {
        let said = desk.look();
        assert_eq!(desk.state(1), "partial", "{said}");
    }
    assert_eq!((desk.acks().len(), desk.parked().len()), (1, 1));
    assert!(desk.said().contains("was used and stays at host"), "{}", desk.said());
    assert_eq!(there(&server, "acks"), ["1.ack", "1.ack.done"]);
}
