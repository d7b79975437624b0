//! The same over SSH: against a server that misbehaves, and with cuts at the distribution's own.

use std::fs;

use hms_sync::adapter::place::Class;
use hms_sync::adapter::sftp::open;
use hms_sync::adapter::sftp::target::{Prepare, Target};
use hms_sync::engine::drop::publish::{Ended, Plan};
use hms_sync::rules::publish::noted::Noted;
use hms_sync::rules::publish::{Overwrite, Strategy, Terms, Verify};

use super::{check, cut_everywhere};
use crate::support::dropbox::{Demand, DropBox, PASSWORD};
use crate::support::drops::{bytes, one, plan, run, three, word};
use crate::support::shelf::{Manner, Renames, Shelf, Sizes};
use crate::support::sshd::Sshd;

fn class(target: &Target) -> (Class, String) {
    match open(target) {
        Ok(_) => panic!("it opened"),
        Err(trouble) => (trouble.class, trouble.text),
    }
}

#[test]
fn a_key_a_password_both_or_a_prompt_are_each_shown_once() {
    for (demand, key, password, shown) in [
        (Demand::Key, true, None, vec!["key"]),
        (Demand::Password, false, Some(PASSWORD), vec!["password"]),
        (Demand::Interactive, false, Some(PASSWORD), vec!["interactive"]),
        (Demand::KeyAndPassword, true, Some(PASSWORD), vec!["key", "password"]),
    ] {
        let server = DropBox::start(Shelf::default(), demand);
        open(&server.target(key, password)).unwrap_or_else(|trouble| panic!("{demand:?}: {trouble}"));
        assert_eq!(*server.attempts.lock().unwrap(), shown, "{demand:?}");
    }
}

#[test]
fn what_is_not_accepted_is_shown_once_and_never_named() {
    for (demand, key, password, shown) in [
        (Demand::Password, false, Some("wrong horse"), vec!["password"]),
        (Demand::Interactive, false, Some("wrong horse"), vec!["interactive"]),
        (Demand::KeyAndPassword, true, Some("wrong horse"), vec!["key", "password"]),
        (Demand::KeyAndPassword, true, None, vec!["key"]),
        (Demand::Key, false, Some("wrong horse"), vec![]),
        (Demand::Key, false, None, vec![]),
    ] {
        let server = DropBox::start(Shelf::default(), demand);
        let (class, text) = class(&server.target(key, password));
        assert_eq!(class, Class::Authentication, "{demand:?}: {text}");
        assert!(!text.contains("horse"), "{text}");
        assert_eq!(*server.attempts.lock().unwrap(), shown, "{demand:?}: accounts lock");
    }
}

#[test]
fn over_ssh_as_in_memory_what_servers_do_wrong_is_told_apart() {
    let read_back = Plan { verify: Verify::ReadBack, ..plan() };
    let none = Plan { verify: Verify::None, ..plan() };
    let words = vec![b'x'; 200_000];
    for (manner, plan, expected) in [
        (Manner::default(), plan(), "published"),
        (Manner { short: 1, ..Manner::default() }, plan(), "later:failure:verify"),
        (Manner { short: 1, ..Manner::default() }, read_back, "later:failure:verify"),
        (Manner { close_fails: true, ..Manner::default() }, plan(), "later:failure:failure"),
        (Manner { room: Some(100_000), words, ..Manner::default() }, plan(), "later:failure:failure"),
        (Manner { sizes: Sizes::None, ..Manner::default() }, read_back, "published"),
        (Manner { sizes: Sizes::Blocks, ..Manner::default() }, plan(), "later:failure:verify"),
        (Manner { blind: true, ..Manner::default() }, none, "published"),
        (Manner { renames: Renames::ButFails, ..Manner::default() }, plan(), "published"),
        (Manner { takes: true, ..Manner::default() }, plan(), "published"),
    ] {
        let server = DropBox::start(Shelf::new(manner.clone()), Demand::Key);
        let mut place = open(&server.target(true, None)).unwrap();
        let ended = run(&mut *place, &one("A.DAT", bytes(700_000)), &plan, &mut Noted::default());
        assert_eq!(word(&ended), expected, "{ended:?} {:?}", Manner { words: Vec::new(), ..manner });
        if let Ended::Later(reason, _) = &ended {
            assert!(reason.text.len() < 500, "a stranger's words are kept short: {}", reason.text.len());
        }
    }
}

#[test]
fn paths_reach_the_server_byte_for_byte_and_no_request_is_made_that_nobody_needs() {
    for (folder, path) in
        [("//'OF042.{name}'", "//'OF042.A'"), ("/-/OF042.{name}", "/-/OF042.A"), ("a/../b//", "a/../b//A")]
    {
        let server = DropBox::start(Shelf::default(), Demand::Key);
        let prepare = vec![Prepare::Stat("/+mode=binary,recfm=fb,lrecl=80".to_owned())];
        server.shelf.state().files.insert("/+mode=binary,recfm=fb,lrecl=80".to_owned(), Vec::new());
        let target = Target { folder: folder.to_owned(), prepare, ..server.target(true, None) };
        let direct = Terms { strategy: Strategy::Direct, ..plan().terms };
        let plan = Plan { terms: direct, verify: Verify::None, ..plan() };
        let ended = run(&mut *open(&target).unwrap(), &one("A", bytes(10)), &plan, &mut Noted::default());
        assert_eq!(word(&ended), "published");
        let log = &server.shelf.state().log;
        let expected = [
            "STAT /+mode=binary,recfm=fb,lrecl=80".to_owned(),
            format!("STAT {path}"),
            format!("OPEN {path} 0x1a"),
            "CLOSE".to_owned(),
        ];
        assert_eq!(*log, expected);
    }
}

#[test]
fn an_atomic_rename_is_sent_as_the_extension_and_a_plain_one_as_itself() {
    for overwrite in [Overwrite::Never, Overwrite::Atomic] {
        let server = DropBox::start(Shelf::default(), Demand::Key);
        server.shelf.state().files.insert("A".to_owned(), b"yesterday's".to_vec());
        let plan = Plan { terms: Terms { overwrite, ..plan().terms }, ..plan() };
        let ended =
            run(&mut *open(&server.target(true, None)).unwrap(), &one("A", bytes(10)), &plan, &mut Noted::default());
        let expected = if overwrite == Overwrite::Atomic { "published" } else { "held:foreign" };
        assert_eq!(word(&ended), expected);
    }
}

#[test]
fn a_server_that_stops_answering_is_a_connection_that_broke_and_the_next_session_goes_on() {
    let server = DropBox::start(Shelf::default(), Demand::Key);
    let mut target = server.target(true, None);
    target.times.operation = std::time::Duration::from_secs(2);
    let (files, mut noted) = (three(bytes(50_000)), Noted::default());
    let mut place = open(&target).unwrap();
    server.silent.store(true, std::sync::atomic::Ordering::Relaxed);
    let ended = run(&mut *place, &files, &plan(), &mut noted);
    assert_eq!(word(&ended), "later:connection:connection", "{ended:?}");
    server.silent.store(false, std::sync::atomic::Ordering::Relaxed);
    target.times.operation = std::time::Duration::from_secs(60);
    assert_eq!(word(&run(&mut *open(&target).unwrap(), &files, &plan(), &mut noted)), "triggered");
}

#[test]
fn connections_that_break_at_any_request_lose_nothing_and_repeat_nothing() {
    let mut random = fastrand::Rng::with_seed(11);
    for case in 0..25 {
        let files = three(bytes(random.usize(..400_000)));
        let takes = random.bool();
        let server = DropBox::start(Shelf::new(Manner { takes, ..Manner::default() }), Demand::Key);
        let target = server.target(true, None);
        let mut noted = Noted::default();
        let mut last = None;
        for round in 0..12 {
            *server.cut.lock().unwrap() = (round < 8).then(|| (random.usize(..28), random.bool()));
            let ended = match open(&target) {
                Ok(mut place) => run(&mut *place, &files, &plan(), &mut noted),
                Err(trouble) => {
                    assert_eq!(trouble.class, Class::Connection, "{trouble}");
                    continue;
                }
            };
            check(&server.shelf, &files, Strategy::Rename, &format!("case {case} round {round}"));
            let over = !matches!(ended, Ended::Later(..));
            last = Some(word(&ended));
            if over {
                break;
            }
        }
        let last = last.unwrap();
        assert!(last == "triggered" || (takes && last == "unverified:taken"), "case {case}: {last}");
    }
}

#[test]
fn openssh_cut_at_any_operation_holds_whole_files_and_nothing_else() {
    let server = Sshd::start("");
    let target = server.target();
    let files = three(bytes(4000));
    let cuts = cut_everywhere(
        &files,
        &plan(),
        4,
        || open(&target).unwrap(),
        || {
            assert_eq!(server.names(), ["A.CTL", "A.DAT", "A.DONE"]);
            assert!(fs::read(server.files().join("A.DAT")).unwrap() == bytes(4000));
            for name in server.names() {
                fs::remove_file(server.files().join(name)).unwrap();
            }
        },
    );
    assert!(cuts > 20, "{cuts}");
}
