//! What is changed outside is read: every page of it, once, and nothing is lost on the way.

mod answers;
mod files;
mod hostile;
mod reader;

use crate::support::world::{Paging, World};
use reader::Reader;

const KINDS: [Paging; 6] = [Paging::Link, Paging::Url, Paging::Token, Paging::Offset, Paging::Page, Paging::Keyset];

/// The beginning of the day on which the records of a test are made.
const HOUR: i64 = 3_600_000;

#[test]
fn every_kind_of_paging_reads_everything_and_then_only_what_is_new() {
    for paging in KINDS {
        let world = World::start(paging, 3);
        let now = world.now();
        (1..=10).for_each(|id| world.put_at(id, &format!("t{id}"), now - HOUR + 1000 * i64::try_from(id).unwrap()));
        let mut reader = Reader::of(&world, paging, "");
        reader.run();
        assert_eq!(reader.copy, world.alive(), "{paging:?}");
        world.pass(HOUR);
        world.put(4, "moved");
        world.put(11, "new");
        world.delete(2);
        let fresh = reader.run();
        assert_eq!(reader.copy, world.alive(), "{paging:?}");
        assert!(fresh <= 3, "{paging:?}: {fresh} of 3 changes are new");
        assert_eq!(reader.run(), 0, "{paging:?}: what is known is not new again");
    }
}

#[test]
fn many_records_of_one_moment_across_the_borders_of_pages_are_all_read() {
    for paging in KINDS {
        let world = World::start(paging, 4);
        let moment = world.now() - 1000;
        (1..=30).for_each(|id| world.put_at(id, "same moment", moment));
        let mut reader = Reader::of(&world, paging, "");
        reader.run();
        assert_eq!(reader.copy.len(), 30, "{paging:?}");
        // One more of the same moment, after the cursor has come to it.
        world.put_at(31, "same moment", moment);
        reader.run();
        assert_eq!(reader.copy, world.alive(), "{paging:?}");
    }
}

#[test]
fn a_late_commit_of_five_minutes_ago_is_read_by_the_overlap() {
    for paging in KINDS {
        let world = World::start(paging, 5);
        (1..=7).for_each(|id| world.put(id, "early"));
        let mut reader = Reader::of(&world, paging, "");
        reader.run();
        let past = world.now() - 5 * 60_000;
        world.put_at(100, "late", past);
        world.pass(1000);
        reader.run();
        assert_eq!(reader.copy, world.alive(), "{paging:?}");
        let without = Reader::of(&world, paging, ", overlap: 0");
        let mut without = Reader { cursor: reader.cursor.clone(), ..without };
        world.put_at(101, "late", past);
        without.run();
        assert!(!without.copy.contains_key("101"), "{paging:?}: without an overlap it is not asked for");
    }
}

#[test]
fn edits_while_pages_are_read_lose_nothing() {
    for paging in KINDS {
        let world = World::start(paging, 3);
        let now = world.now();
        (1..=20).for_each(|id| world.put_at(id, "old", now - HOUR + i64::try_from(id).unwrap()));
        let mut reader = Reader::of(&world, paging, "");
        // After each of the first answers a record leaves its place for the end of the list.
        world.stir(|things, now, number| {
            if number <= 6 {
                let thing = things.get_mut(&u64::try_from(number).unwrap()).unwrap();
                (thing.title, thing.updated, thing.version) = ("moved".into(), now, thing.version + 1);
            }
        });
        reader.run();
        world.calm();
        world.pass(1000);
        reader.run();
        assert_eq!(reader.copy, world.alive(), "{paging:?}");
    }
}

#[test]
fn a_clock_that_is_an_hour_off_loses_nothing_and_is_told() {
    for off in [-HOUR, HOUR] {
        let world = World::start(Paging::Link, 3);
        world.pass(off);
        (1..=5).for_each(|id| world.put(id, "there"));
        let mut reader = Reader::of(&world, Paging::Link, "");
        for _ in 0..5 {
            reader.run();
        }
        let told = reader.offsets.told().expect("an hour is told of");
        assert!((told - off).abs() < 60_000, "{told} of {off}");
        world.pass(1000);
        world.put(6, "new");
        reader.run();
        assert_eq!(reader.copy, world.alive());
    }
}

#[test]
fn a_record_from_next_year_hides_nothing_that_comes_before_it() {
    let world = World::start(Paging::Keyset, 3);
    let now = world.now();
    world.put_at(1, "from next year", now + 365 * 24 * HOUR);
    let mut reader = Reader::of(&world, Paging::Keyset, "");
    reader.run();
    world.pass(20 * 60_000);
    world.put(2, "today");
    reader.run();
    assert_eq!(reader.copy, world.alive());
}

#[test]
fn a_poll_that_finds_nothing_costs_one_request_and_keeps_the_cursor() {
    for paging in KINDS {
        let world = World::start(paging, 50);
        let mut reader = Reader::of(&world, paging, ", overlap: 0");
        world.forget();
        reader.run();
        assert_eq!(world.journal().len(), 1, "{paging:?}");
        assert_eq!(reader.cursor, None);
    }
}
