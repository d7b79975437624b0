//! Both sides have changed a record.

use hms_sync::clock;
use hms_sync::event::{Op, Value};
use hms_sync::rules::conflict::{DeleteRule, Group, Rule, Winner};
use hms_sync::store::state::pull::First;
use hms_sync::store::state::pull::item::Aside;

use super::Desk;

/// A record that both sides agree on.
fn agreed(mut desk: Desk) -> Desk {
    desk.both_ways = true;
    desk.there.put(1, "Ann", "09:00");
    assert_eq!(desk.pull().left_off, None);
    assert_eq!(desk.rows(), ["1|Ann|09:00|-"]);
    desk
}

/// What is sent to the other side because it was decided, not because it was changed.
fn told(desk: &Desk) -> Vec<Op> {
    desk.events().iter().filter(|event| event.dest.is_some()).map(|event| event.op).collect()
}

const HOUR: i64 = 3_600_000;

#[test]
fn changed_on_one_side_only_is_no_conflict_and_different_fields_are_both_kept() {
    let desk = agreed(Desk::visits());
    desk.office.sql("UPDATE visits SET start = '10:00'");
    desk.pull();
    assert_eq!(desk.rows(), ["1|Ann|10:00|-"]);
    desk.there.put(1, "Anne", "09:00");
    desk.pull();
    assert_eq!(desk.rows(), ["1|Anne|10:00|-"]);
    assert_eq!(told(&desk), [Op::Update], "the other side gets both");
    assert!(desk.aside(Aside::Held).is_empty());
}

#[test]
fn the_same_change_on_both_sides_is_agreed_on() {
    let desk = agreed(Desk::visits());
    desk.office.sql("UPDATE visits SET start = '10:00'");
    desk.there.put(1, "Ann", "10:00:00Z");
    let before = desk.events().len();
    desk.pull();
    assert_eq!(desk.rows(), ["1|Ann|10:00|-"]);
    assert_eq!(desk.events().len(), before, "no write");
    assert!(told(&desk).is_empty());
}

#[test]
fn by_time_the_earlier_or_the_later_change_wins_in_either_order_of_arrival() {
    for (winner, here_first, wanted) in [
        (Winner::EarliestChange, true, "10:00"),
        (Winner::EarliestChange, false, "11:00"),
        (Winner::LatestChange, true, "11:00"),
        (Winner::LatestChange, false, "10:00"),
    ] {
        for arrives_first in [true, false] {
            let desk = agreed(Desk::visits().with_rule(winner));
            desk.there.clock(clock::now().0 - HOUR);
            let there = || desk.there.put(1, "Ann", "11:00");
            if arrives_first {
                there();
            }
            desk.office.sql("UPDATE visits SET start = '10:00'");
            if here_first {
                // Two hours ago.
                let last = "seq = (SELECT max(seq) FROM hms_sync_outbox)";
                desk.office.sql(&format!("UPDATE hms_sync_outbox SET at = at - 2.0 / 24 WHERE {last}"));
            }
            if !arrives_first {
                there();
            }
            desk.pull();
            assert_eq!(desk.rows(), [format!("1|Ann|{wanted}|-")], "{winner:?} {here_first} {arrives_first}");
            let tells = usize::from(wanted == "10:00");
            assert_eq!(told(&desk).len(), tells, "{winner:?} {here_first}");
            // It stays decided.
            desk.pull();
            assert_eq!((told(&desk).len(), desk.aside(Aside::Held).len()), (tells, 0));
        }
    }
}

#[test]
fn without_a_rule_or_without_a_time_a_person_decides_and_other_fields_go_on() {
    for rule in [None, Some(Winner::LatestChange)] {
        let desk = agreed(match rule {
            Some(winner) => Desk::visits().with_rule(winner),
            None => Desk::visits(),
        });
        desk.office.sql("UPDATE visits SET start = '10:00'");
        desk.there.put(1, "Anne", "11:00");
        desk.pull();
        assert_eq!(desk.rows(), ["1|Anne|10:00|-"]);
        assert_eq!(desk.aside(Aside::Held).len(), 1, "{:?}", desk.aside(Aside::Held));
        assert!(told(&desk).is_empty());
    }
}

#[test]
fn a_group_is_decided_as_one_and_never_mixed() {
    let mut desk = Desk::new("CREATE TABLE visits(id INTEGER PRIMARY KEY, name TEXT, start TEXT, ends TEXT);");
    desk.policy.groups = vec![Group { name: "slot".into(), fields: vec!["start".into(), "ends".into()] }];
    desk.policy.rules = vec![("slot".into(), Rule::of(Winner::Remote))];
    desk.both_ways = true;
    let put = |start: &str, ends: &str| {
        desk.there
            .put_fields(1, &[("name", Value::from("Ann")), ("start", Value::from(start)), ("ends", Value::from(ends))]);
    };
    put("09:00", "10:00");
    desk.pull();
    desk.office.sql("UPDATE visits SET start = '09:30'");
    put("09:00", "11:30");
    desk.pull();
    assert_eq!(desk.rows().len(), 1);
    assert!(["1|Ann|09:00|11:30", "1|Ann|09:30|10:00"].contains(&&*desk.rows()[0]), "{:?}", desk.rows());
}

#[test]
fn a_delete_against_an_update_waits_for_a_person_unless_a_rule_says_otherwise() {
    for (rule, wanted) in [
        (DeleteRule::Manual, &[][..]),
        (DeleteRule::UpdateWins, &["1|Ann|11:00|-"][..]),
        (DeleteRule::DeleteWins, &[][..]),
    ] {
        let mut desk = agreed(Desk::visits());
        desk.policy.delete = rule;
        desk.office.sql("DELETE FROM visits");
        desk.there.put(1, "Ann", "11:00");
        desk.pull();
        assert_eq!(desk.rows(), wanted, "{rule:?}");
        assert_eq!(desk.aside(Aside::Held).len(), usize::from(rule == DeleteRule::Manual));
        assert_eq!(told(&desk).len(), usize::from(rule == DeleteRule::DeleteWins));
    }
    // The other way round.
    let desk = agreed(Desk::visits());
    desk.office.sql("UPDATE visits SET start = '10:00'");
    desk.there.delete(1);
    desk.pull();
    assert_eq!(desk.rows(), ["1|Ann|10:00|-"], "nothing is deleted");
    assert_eq!(desk.aside(Aside::Held).len(), 1);
}

#[test]
fn deleted_on_both_sides_is_agreed_and_created_again_is_new() {
    let desk = agreed(Desk::visits());
    desk.office.sql("DELETE FROM visits");
    desk.there.delete(1);
    desk.pull();
    assert!(desk.rows().is_empty() && told(&desk).is_empty() && desk.aside(Aside::Held).is_empty());
    desk.there.put(1, "Eve", "12:00");
    desk.pull();
    assert_eq!(desk.rows(), ["1|Eve|12:00|-"]);
}

#[test]
fn changed_and_changed_back_is_no_change() {
    let desk = agreed(Desk::visits());
    desk.office.sql("UPDATE visits SET start = '10:00'; UPDATE visits SET start = '09:00'");
    desk.there.put(1, "Ann", "11:00");
    desk.pull();
    assert_eq!(desk.rows(), ["1|Ann|11:00|-"]);
    assert!(desk.aside(Aside::Held).is_empty() && told(&desk).is_empty());
}

#[test]
fn two_sides_that_are_full_meet_only_when_a_person_has_said_how() {
    for first in [First::Local, First::Remote, First::Rules] {
        let mut desk = Desk::visits();
        desk.both_ways = true;
        desk.office
            .sql("INSERT INTO visits VALUES (1, 'Ann', '09:00', 5), (2, 'Bob', '10:00', 5), (3, 'Cid', '11:00', 5)");
        desk.there.put(2, "Bob", "10:00");
        desk.there.put(3, "Cid", "11:30");
        desk.there.put(4, "Dan", "12:00");
        assert_eq!(desk.pull().left_off.unwrap().class, "first-contact");
        assert_eq!(desk.rows().len(), 3);
        desk.meet(first);
        desk.pull();
        let third = if first == First::Remote { "3|Cid|11:30|5" } else { "3|Cid|11:00|5" };
        assert_eq!(desk.rows(), ["1|Ann|09:00|5", "2|Bob|10:00|5", third, "4|Dan|12:00|-"], "{first:?}");
        let mut told: Vec<i64> = Vec::new();
        for event in desk.events().iter().filter(|event| event.dest.is_some()) {
            if let Some(Value::Integer(id)) = event.key.get("id") {
                told.push(*id);
            }
        }
        told.sort_unstable();
        let wanted: &[i64] = if first == First::Local { &[1, 3] } else { &[1] };
        assert_eq!(told, wanted, "{first:?}");
        assert_eq!(desk.aside(Aside::Held).len(), usize::from(first == First::Rules));
        assert_eq!(desk.pull().left_off, None);
    }
}

#[test]
fn contents_that_come_in_again_and_again_wait_for_a_person_in_one_process_and_in_many() {
    for one_process in [true, false] {
        let desk = agreed(Desk::visits());
        let put = |turn: i32| desk.there.put(1, "Ann", if turn % 2 == 0 { "10:00" } else { "09:00" });
        if one_process {
            desk.work(|mut worker| {
                for turn in 0..12 {
                    put(turn);
                    worker.turn_now();
                }
            });
        } else {
            for turn in 0..12 {
                put(turn);
                desk.pull();
            }
        }
        let held = desk.aside(Aside::Held);
        assert!(held.iter().any(|reason| reason.contains("again and again")), "{held:?}");
        // It came in for the first time, and four times since.
        assert!(desk.events().len() <= 5, "{one_process}: {}", desk.events().len());
    }
}
