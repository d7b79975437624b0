//! Files over SFTP, against the distribution's own server.

use std::fs;
use std::process::Command;

use hms_sync::adapter::place::{Class, Look, Name, Opening, Replace, Trouble};
use hms_sync::adapter::sftp::target::{Identity, Known, Prepare, Target, Via};
use hms_sync::adapter::sftp::{open, scan};
use hms_sync::engine::drop::publish::Plan;
use hms_sync::rules::publish::noted::Noted;
use hms_sync::rules::publish::{Overwrite, Strategy, Terms, Verify};

use crate::support::drops::{bytes, one, plan, run, three, word};
use crate::support::proxy::ConnectProxy;
use crate::support::sshd::{Sshd, keygen, secret};

fn failure(target: &Target) -> Trouble {
    match open(target) {
        Ok(_) => panic!("it opened"),
        Err(trouble) => trouble,
    }
}

fn publish(target: &Target, plan: &Plan) -> String {
    let mut place = open(target).unwrap();
    word(&run(&mut *place, &one("A.DAT", bytes(3_000_000)), plan, &mut Noted::default()))
}

fn terms(strategy: Strategy, overwrite: Overwrite) -> Plan {
    Plan { terms: Terms { strategy, overwrite, repeatable: true }, ..plan() }
}

#[test]
fn data_control_and_trigger_arrive_byte_for_byte_and_nothing_is_left_beside_them() {
    let server = Sshd::start("");
    for size in [0, 1, 32 * 1024, 261_120, 261_121, 9_000_000] {
        let mut place = open(&server.target()).unwrap();
        let files = three(bytes(size));
        let ended = run(&mut *place, &files, &plan(), &mut Noted::default());
        assert_eq!(word(&ended), "triggered", "{ended:?}");
        assert_eq!(server.names(), ["A.CTL", "A.DAT", "A.DONE"]);
        assert!(fs::read(server.files().join("A.DAT")).unwrap() == bytes(size), "{size} bytes arrived otherwise");
        for name in server.names() {
            fs::remove_file(server.files().join(name)).unwrap();
        }
    }
}

#[test]
fn every_way_to_publish_and_to_verify_works_at_openssh() {
    let server = Sshd::start("");
    for strategy in [Strategy::Rename, Strategy::Trigger, Strategy::Direct] {
        for verify in [Verify::Size, Verify::ReadBack, Verify::None] {
            let plan = Plan { verify, ..terms(strategy, Overwrite::Never) };
            assert_eq!(publish(&server.target(), &plan), "published", "{strategy:?} {verify:?}");
            assert!(fs::read(server.files().join("A.DAT")).unwrap() == bytes(3_000_000));
            fs::remove_file(server.files().join("A.DAT")).unwrap();
        }
    }
}

#[test]
fn a_plain_rename_leaves_a_file_that_is_there_and_an_atomic_one_replaces_it() {
    let server = Sshd::start("");
    fs::write(server.files().join("A.DAT"), "of somebody else").unwrap();
    assert_eq!(publish(&server.target(), &plan()), "held:foreign");
    assert_eq!(fs::read(server.files().join("A.DAT")).unwrap(), b"of somebody else");
    assert_eq!(publish(&server.target(), &terms(Strategy::Rename, Overwrite::Atomic)), "published");
    assert!(fs::read(server.files().join("A.DAT")).unwrap() == bytes(3_000_000));
}

#[test]
fn an_atomic_replacement_is_refused_where_the_server_does_not_offer_it() {
    let server = Sshd::start("-P posix-rename");
    let atomic = terms(Strategy::Rename, Overwrite::Atomic);
    assert_eq!(publish(&server.target(), &atomic), "later:unsupported:unsupported");
    assert_eq!(publish(&server.target(), &plan()), "published");
}

#[test]
fn where_nothing_may_be_renamed_the_message_says_what_to_do_and_the_other_ways_work() {
    let server = Sshd::start("-P rename,posix-rename");
    let mut place = open(&server.target()).unwrap();
    let ended = run(&mut *place, &one("A.DAT", bytes(1000)), &plan(), &mut Noted::default());
    assert_eq!(word(&ended), "later:permission:permission");
    assert!(format!("{ended:?}").contains("publish: trigger"), "{ended:?}");
    assert_eq!(publish(&server.target(), &terms(Strategy::Direct, Overwrite::Never)), "published");
}

#[test]
fn nothing_is_asked_for_that_was_not_configured() {
    let server = Sshd::start("-P setstat,fsetstat,remove,mkdir,rmdir,opendir,readdir,realpath,lstat,fstat,symlink");
    assert_eq!(publish(&server.target(), &plan()), "published");
    assert_eq!(server.names(), ["A.DAT"]);
}

#[test]
fn a_read_only_server_is_a_matter_of_configuration_and_leaves_no_trace() {
    let server = Sshd::start("-R");
    assert_eq!(publish(&server.target(), &plan()), "later:permission:permission");
    assert!(server.names().is_empty());
}

#[test]
fn a_folder_that_is_not_there_is_missing_and_not_made() {
    let server = Sshd::start("");
    let gone = server.files().join("gone");
    let target = Target { folder: gone.to_str().unwrap().to_owned(), ..server.target() };
    assert_eq!(publish(&target, &plan()), "later:missing:missing");
    assert!(!gone.exists());
}

#[test]
fn a_folder_of_its_own_for_temporary_files_and_a_prepared_session_work() {
    let server = Sshd::start("");
    let aside = server.files().join("aside");
    fs::create_dir(&aside).unwrap();
    let files = server.files().to_str().unwrap().to_owned();
    let prepare = vec![Prepare::List(files.clone()), Prepare::Stat(files)];
    let target = Target { temps: Some(aside.to_str().unwrap().to_owned()), prepare, ..server.target() };
    assert_eq!(publish(&target, &plan()), "published");
    assert!(fs::read_dir(&aside).unwrap().next().is_none());
    let target = Target { prepare: vec![Prepare::List("/+mode=binary".to_owned())], ..server.target() };
    assert_eq!(failure(&target).class, Class::Missing, "a preparation that is refused counts");
}

#[test]
fn an_upload_that_was_cut_goes_on_where_it_was_cut_and_begins_again_when_the_bytes_differ() {
    let server = Sshd::start("");
    let whole = bytes(500_000);
    let part = hms_sync::rules::publish::name::temporary(
        "A.DAT",
        &hms_sync::adapter::place::Content::of(&whole).sha256,
        false,
    );
    for (there, continued) in
        [(whole[..300_000].to_vec(), true), (vec![7; 300_000], false), (whole[..0].to_vec(), false)]
    {
        fs::write(server.files().join(&part), &there).unwrap();
        let (mut first, mut told) = (None, 0);
        let mut place = open(&server.target()).unwrap();
        let ended = hms_sync::engine::drop::publish::publish(
            &mut *place,
            &one("A.DAT", whole.clone()),
            &plan(),
            Noted::default(),
            &mut |_| Ok::<(), ()>(()),
            &mut |at| {
                first.get_or_insert(at);
                told = at;
            },
        )
        .unwrap();
        assert_eq!(word(&ended), "published");
        assert_eq!((first.unwrap() >= 300_000, told), (continued, 500_000));
        assert!(fs::read(server.files().join("A.DAT")).unwrap() == whole);
        fs::remove_file(server.files().join("A.DAT")).unwrap();
    }
}

#[test]
fn files_that_come_back_are_listed_read_moved_and_removed() {
    let server = Sshd::start("");
    fs::create_dir(server.files().join("done")).unwrap();
    for name in ["HOST.S1.ACK", "HOST.S2.ACK"] {
        fs::write(server.files().join(name), bytes(700_000)).unwrap();
    }
    let mut place =
        open(&Target { temps: Some(server.files().join("done").to_str().unwrap().to_owned()), ..server.target() })
            .unwrap();
    let mut listed = place.list(false).unwrap();
    listed.sort_by(|a, b| a.name.cmp(&b.name));
    let names: Vec<(&str, Option<u64>)> = listed.iter().map(|entry| (entry.name.as_str(), entry.size)).collect();
    assert_eq!(names, [("HOST.S1.ACK", Some(700_000)), ("HOST.S2.ACK", Some(700_000))]);
    assert!(listed.iter().all(|entry| entry.written.is_some()));
    let mut read = Vec::new();
    place
        .read(Name::Final("HOST.S1.ACK"), 0, &mut |bytes| {
            read.extend_from_slice(bytes);
            true
        })
        .unwrap();
    assert!(read == bytes(700_000));
    place.rename(Name::Final("HOST.S1.ACK"), Name::Temp("HOST.S1.ACK"), Replace::Never).unwrap();
    place.remove(Name::Final("HOST.S2.ACK")).unwrap();
    assert_eq!(server.names(), ["done"]);
    assert_eq!(place.remove(Name::Final("HOST.S2.ACK")).unwrap_err().class, Class::Missing);
    assert_eq!(place.look(Name::Temp("HOST.S1.ACK")).unwrap(), Look::File(Some(700_000)));
}

#[test]
fn a_server_with_another_key_learns_nothing_and_both_fingerprints_are_named() {
    let server = Sshd::start("");
    let wrong = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned();
    let known = Known { fingerprints: vec![wrong.clone()], hosts: None };
    let trouble = failure(&server.target_known(known));
    assert_eq!(trouble.class, Class::HostKey);
    assert!(trouble.text.contains(&wrong) && trouble.text.contains(&server.fingerprint("ed25519")), "{trouble}");
    let trouble = failure(&server.target_known(Known::default()));
    assert_eq!(trouble.class, Class::HostKey, "no trust on first use");
    assert!(trouble.text.contains("ssh scan"), "{trouble}");
    // While keys are rotated, both may be known.
    let both = Known { fingerprints: vec![wrong, server.fingerprint("ed25519")], hosts: None };
    assert!(open(&server.target_known(both)).is_ok());
}

#[test]
fn whichever_of_its_keys_is_known_the_server_is_known_by_it() {
    let server = Sshd::with("", &["ed25519", "ecdsa", "rsa-2048"], "");
    for kind in ["ed25519", "ecdsa", "rsa-2048"] {
        let known = Known { fingerprints: vec![server.fingerprint(kind)], hosts: None };
        open(&server.target_known(known)).unwrap_or_else(|trouble| panic!("{kind}: {trouble}"));
    }
    let found = scan("127.0.0.1", server.port, std::time::Duration::from_secs(20)).unwrap();
    let found: Vec<(&str, &str)> = found.iter().map(|key| (&*key.algorithm, &*key.fingerprint)).collect();
    let shown = ["ed25519", "ecdsa", "rsa-2048"].map(|kind| server.fingerprint(kind));
    let names = ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"];
    assert_eq!(found.iter().map(|key| key.1).collect::<Vec<_>>(), shown);
    assert_eq!(found.iter().map(|key| key.0).collect::<Vec<_>>(), names);
}

#[test]
fn a_known_hosts_file_will_do_hashed_or_not() {
    let server = Sshd::start("");
    let key = fs::read_to_string(server.folder.path().join("host_ed25519.pub")).unwrap();
    let path = server.folder.path().join("known_hosts");
    let known = || Known { fingerprints: Vec::new(), hosts: Some(path.clone()) };
    assert_eq!(failure(&server.target_known(known())).class, Class::HostKey, "the file is not there");
    fs::write(&path, format!("# comment\n[127.0.0.1]:{} {key}", server.port)).unwrap();
    assert!(open(&server.target_known(known())).is_ok());
    assert!(Command::new("ssh-keygen").args(["-q", "-H", "-f"]).arg(&path).output().unwrap().status.success());
    assert!(fs::read_to_string(&path).unwrap().contains("|1|"));
    assert!(open(&server.target_known(known())).is_ok());
    fs::write(&path, format!("other.example {key}")).unwrap();
    assert_eq!(failure(&server.target_known(known())).class, Class::HostKey);
}

#[test]
fn every_kind_of_user_key_is_taken_encrypted_or_not() {
    let server = Sshd::start("");
    let root = server.folder.path();
    let passphrase = root.join("passphrase");
    fs::write(&passphrase, "open sesame\n").unwrap();
    fs::set_permissions(&passphrase, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let mut authorized = String::new();
    let mut cases = Vec::new();
    for kind in ["ed25519", "ecdsa-256", "ecdsa-521", "rsa-2048"] {
        for encrypted in [false, true] {
            let path = root.join(format!("{kind}-{encrypted}"));
            keygen(&path, kind, if encrypted { "open sesame" } else { "" });
            authorized += &fs::read_to_string(path.with_file_name(format!("{kind}-{encrypted}.pub"))).unwrap();
            cases.push((path, encrypted));
        }
    }
    // The older form, as PEM.
    for (kind, encrypted) in [("rsa-2048", false), ("rsa-2048", true), ("ecdsa-256", false)] {
        let path = root.join(format!("pem-{kind}-{encrypted}"));
        keygen(&path, kind, "");
        let new = if encrypted { "open sesame" } else { "" };
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-p", "-m", "PEM", "-P", "", "-N", new, "-f"]).arg(&path);
        assert!(command.stdout(std::process::Stdio::null()).status().unwrap().success());
        authorized += &fs::read_to_string(path.with_file_name(format!("pem-{kind}-{encrypted}.pub"))).unwrap();
        cases.push((path, encrypted));
    }
    fs::write(root.join("authorized"), authorized).unwrap();
    for (path, encrypted) in cases {
        let passphrase = encrypted.then(|| secret(&passphrase));
        let identity = Identity { key: Some(secret(&path)), passphrase, password: None };
        let target = Target { identity, ..server.target() };
        open(&target).unwrap_or_else(|trouble| panic!("{}: {trouble}", path.display()));
    }
}

#[test]
fn a_key_that_cannot_be_used_says_why_and_shows_nothing_of_itself() {
    let server = Sshd::start("");
    let root = server.folder.path();
    keygen(&root.join("locked"), "ed25519", "open sesame");
    keygen(&root.join("stranger"), "ed25519", "");
    let wrong = root.join("wrong");
    for (path, text) in [(&wrong, "close sesame"), (&root.join("garbage"), "not a key")] {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }
    let with = |key: &str, passphrase: Option<&std::path::Path>| {
        let identity =
            Identity { key: Some(secret(&root.join(key))), passphrase: passphrase.map(secret), password: None };
        failure(&Target { identity, ..server.target() })
    };
    let locked = with("locked", None);
    assert!(locked.class == Class::Local && locked.text.contains("is encrypted"), "{locked}");
    let misread = with("locked", Some(&wrong));
    assert!(misread.class == Class::Local && misread.text.contains("passphrase"), "{misread}");
    assert!(!misread.text.contains("sesame"), "{misread}");
    let garbage = with("garbage", None);
    assert!(garbage.class == Class::Local && !garbage.text.contains("not a key"), "{garbage}");
    let refused = with("stranger", None);
    assert!(refused.class == Class::Authentication && refused.text.contains("publickey"), "{refused}");
    let absent = with("absent", None);
    assert_eq!(absent.class, Class::Local);
}

#[test]
fn old_algorithms_are_off_until_they_are_asked_for_and_then_warned_of() {
    let old = "KexAlgorithms diffie-hellman-group14-sha1\nCiphers aes128-cbc\nMACs hmac-sha1\n\
               HostKeyAlgorithms ssh-rsa\nPubkeyAcceptedAlgorithms +ssh-rsa";
    let server = Sshd::with("", &["rsa-2048"], old);
    let known = Known { fingerprints: vec![server.fingerprint("rsa-2048")], hosts: None };
    let target = server.target_known(known);
    let refused = failure(&target);
    assert!(refused.class == Class::Unsupported && refused.text.contains("legacy"), "{refused}");
    assert!(target.warnings().is_empty());
    let target = Target { legacy: true, ..target };
    assert_eq!(publish(&target, &plan()), "published");
    assert_eq!(target.warnings().len(), 1);
}

#[test]
fn a_port_where_nobody_listens_and_one_that_says_nothing_are_connection_troubles() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let known = Known { fingerprints: vec!["SHA256:x".to_owned()], hosts: None };
    let mut target = Target { port, ..Target::new("127.0.0.1", "user", Identity::default(), known) };
    target.times.connect = std::time::Duration::from_millis(200);
    let trouble = failure(&target);
    assert!(trouble.class == Class::Connection && trouble.text.contains("did not answer"), "{trouble}");
    drop(silent);
    assert_eq!(failure(&target).class, Class::Connection);
}

#[test]
fn a_capped_upload_arrives_whole() {
    let server = Sshd::start("");
    let target = Target { rate: Some(20_000_000), ..server.target() };
    assert_eq!(publish(&target, &plan()), "published");
    assert!(fs::read(server.files().join("A.DAT")).unwrap() == bytes(3_000_000));
}

#[test]
fn an_open_file_of_ours_that_begins_again_is_emptied() {
    let server = Sshd::start("");
    let mut place = open(&server.target()).unwrap();
    for text in [b"longer than the next".as_slice(), b"short"] {
        place.create(Name::Temp("A.part"), Opening::Empty).unwrap();
        place.write(0, &mut &*text, &mut |_| ()).unwrap();
        place.sync().unwrap();
        place.close().unwrap();
    }
    assert_eq!(fs::read(server.files().join("A.part")).unwrap(), b"short");
}

#[test]
fn the_scan_prints_what_an_operator_compares() {
    let server = Sshd::start("");
    let host = format!("127.0.0.1:{}", server.port);
    let run = |arguments: &[&str]| {
        let output = assert_cmd::Command::cargo_bin("hms-sync").unwrap().args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, table) = run(&["ssh", "scan", &host]);
    assert_eq!(code, Some(0));
    assert!(table.contains(&server.fingerprint("ed25519")) && table.contains("ssh-ed25519"), "{table}");
    let (code, json) = run(&["--json", "ssh", "scan", &host]);
    assert_eq!(code, Some(0));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["keys"][0]["fingerprint"], server.fingerprint("ed25519"));
    drop(server);
    assert_eq!(run(&["ssh", "scan", &host]).0, Some(69));
    assert_eq!(run(&["ssh", "scan", "host:port"]).0, Some(2));
}

#[test]
fn a_server_behind_a_proxy_or_another_server_is_reached() {
    let server = Sshd::start("");
    let proxy = ConnectProxy::start();
    let at = |url: String| {
        let (host, port) = url.trim_start_matches("http://").split_once(':').unwrap();
        (host.to_owned(), port.parse().unwrap())
    };
    let (host, port) = at(proxy.url());
    let target = Target { via: Via::Connect(host.clone(), port), ..server.target() };
    assert_eq!(publish(&target, &plan()), "published");
    assert!(proxy.heads()[0].starts_with(&format!("CONNECT 127.0.0.1:{} HTTP/1.1\r\n", server.port)));
    proxy.answer(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
    let trouble = failure(&target);
    assert!(trouble.class == Class::Connection && trouble.text.contains("407"), "{trouble}");

    let jump = Sshd::start("");
    let target = Target { via: Via::Jump(Box::new(jump.target())), ..server.target() };
    fs::remove_file(server.files().join("A.DAT")).unwrap();
    assert_eq!(publish(&target, &plan()), "published");

    let target = Target { via: Via::Socks("127.0.0.1".to_owned(), socks()), ..server.target() };
    fs::remove_file(server.files().join("A.DAT")).unwrap();
    assert_eq!(publish(&target, &plan()), "published");
}

/// A SOCKS5 proxy that leads to addresses of version 4; its port.
fn socks() -> u16 {
    use std::io::{Read, Write, copy};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut near in listener.incoming().flatten() {
            let (mut greeting, mut request) = ([0; 3], [0; 10]);
            near.read_exact(&mut greeting).unwrap();
            assert_eq!(greeting, [5, 1, 0]);
            near.write_all(&[5, 0]).unwrap();
            near.read_exact(&mut request).unwrap();
            assert_eq!(request[..4], [5, 1, 0, 1]);
            let address: [u8; 4] = request[4..8].try_into().unwrap();
            let far = std::net::TcpStream::connect(std::net::SocketAddr::from((
                address,
                u16::from_be_bytes([request[8], request[9]]),
            )))
            .unwrap();
            near.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
            for (mut from, mut to) in [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)] {
                std::thread::spawn(move || copy(&mut from, &mut to));
            }
        }
    });
    port
}
