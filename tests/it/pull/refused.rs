//! The other side says each time that it has another version: a person is told the truth, and has it tried again.

use super::both_ways::{once, rows, writes};
use super::held::{notes, office};
use crate::support::office::{Office, wait};
use crate::support::world::{Paging, Told, World};

/// Two sides that agree on a record; then the outside system refuses what it is sent.
fn refusing(every: &str) -> (World, Office) {
    let world = World::start(Paging::Token, 4);
    world.run_clock();
    let office = office(&world, true, every);
    world.put(1, "t");
    world.note(1, "n");
    once(&office);
    world.meet(|asked, _| (asked.method == "PUT").then(|| Told::status(412)));
    (world, office)
}

fn is_given_up(office: &Office) -> bool {
    office.parked_words("world").iter().any(|word| word.contains("restless"))
}

/// What is told of the delivery, and that no conflict is open.
#[track_caller]
fn told(office: &Office) {
    assert!(office.run(&["conflicts", "list"]).stdout.contains("no conflict waits"));
    for shown in [&["deliveries", "list"][..], &["status", "things", "1"]] {
        let shown = office.run(shown).stdout;
        assert!(shown.contains("another version each time") && shown.contains("deliveries retry"), "{shown}");
        assert!(!shown.contains("conflicts list"), "{shown}");
    }
}

#[test]
fn what_is_refused_each_time_waits_with_the_reason_and_a_person_has_it_read_decided_and_sent_again() {
    for way in [&["deliveries", "retry", "--connector", "world"][..], &["sync", "world"]] {
        let (world, office) = refusing("50ms");
        let agent = office.agent();
        office.sql("UPDATE things SET title = 'ours'");
        wait("it is given up", || is_given_up(&office));
        told(&office);
        // Nothing is tried by itself: not with the next reads, and not in a new process.
        let sent = writes(&world);
        agent.kill();
        let agent = office.agent();
        let asked = world.requests();
        wait("it is read a few times", || world.requests() > asked + 6);
        assert_eq!((writes(&world), is_given_up(&office)), (sent, true));
        // A person tries, in vain: the same is said again.
        let tried = office.run(way);
        assert_eq!(tried.code, Some(0), "{tried:#?}");
        wait("it was tried", || writes(&world) > sent);
        wait("it is given up again", || is_given_up(&office));
        told(&office);
        // It is well again, and somebody has been there meanwhile.
        agent.kill();
        world.forget();
        world.note(1, "theirs");
        world.calm_answers();
        let agent = office.agent();
        assert_eq!(office.run(way).code, Some(0));
        wait("it is sent", || office.parked("world").is_empty() && world.alive()["1"] == "ours");
        office.wait_settled("world");
        assert_eq!((world.notes()["1"].as_str(), notes(&office)["1"].as_str()), ("theirs", "theirs"));
        for asked in world.journal().iter().filter(|asked| asked.method == "PUT") {
            assert!(asked.body.contains("theirs"), "what was refused is never sent as it was: {}", asked.body);
        }
        assert_eq!(rows(&office), world.alive());
        agent.stop();
    }
}

#[test]
fn so_many_tries_are_all_however_many_processes_there_are() {
    let (world, office) = refusing("1h");
    office.sql("UPDATE things SET title = 'ours'");
    (0..6).for_each(|_| once(&office));
    assert!(is_given_up(&office), "{:?}", office.parked_words("world"));
    let sent = writes(&world);
    assert!((4..=5).contains(&sent), "{sent}");
    (0..3).for_each(|_| once(&office));
    assert_eq!(writes(&world), sent);
    told(&office);
}

#[test]
fn what_cannot_be_read_when_it_was_refused_is_not_lost() {
    let (world, office) = refusing("1h");
    // One record cannot be read now; and then nothing is refused any more.
    world.meet(|asked, _| match (asked.method.as_str(), asked.path.as_str()) {
        ("PUT", _) => Some(Told::status(412)),
        ("GET", "/items/1") => Some(Told::status(503)),
        _ => None,
    });
    office.sql("UPDATE things SET title = 'ours'");
    once(&office);
    once(&office);
    assert_eq!(office.parked("world").len(), 1);
    world.calm_answers();
    for _ in 0..3 {
        once(&office);
    }
    assert_eq!((world.alive()["1"].as_str(), office.parked("world").len()), ("ours", 0));
}
