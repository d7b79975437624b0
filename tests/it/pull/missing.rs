//! Records that are missing where everything is read.

use hms_sync::engine::operate::{Actor, Operation, operate};
use hms_sync::event::Value;
use hms_sync::store::state::State;
use hms_sync::store::state::pull::item::Aside;

use super::Desk;

/// An office that knows so many records of a system that tells everything each time, or of one with a cursor.
fn known(records: i64, whole: bool) -> Desk {
    let desk = Desk::visits();
    if whole {
        desk.there.tell_all();
    }
    desk.there.page_size(1000);
    (1..=records).for_each(|id| desk.there.put(id, "Ann", "09:00"));
    assert_eq!(desk.pull().left_off, None);
    assert_eq!(desk.rows().len() as i64, records);
    desk
}

fn agree(desk: &Desk) -> bool {
    let mut state = State::open(&desk.office.state()).unwrap();
    let asked = Operation::DeleteMissing { connector: "lotus".to_owned() };
    let actor = Actor { name: "test".to_owned(), reason: None };
    operate(&mut state, &asked, &actor).unwrap().refused.is_empty()
}

fn waits(desk: &Desk) -> bool {
    desk.pull().left_off.is_some_and(|reason| reason.class == "many-missing")
}

#[test]
fn more_than_the_allowed_share_waits_for_a_person_in_a_table_of_any_size() {
    for whole in [true, false] {
        let desk = known(40, whole);
        let lose = |ids: std::ops::RangeInclusive<i64>| {
            ids.for_each(|id| desk.there.lose(id));
            if !whole {
                desk.there.expire();
            }
        };
        // Two of forty are 5 %.
        lose(1..=2);
        assert_eq!(desk.pull().left_off, None);
        assert_eq!(desk.rows().len(), 38);
        // And two of thirty-eight are more.
        lose(3..=4);
        assert!(waits(&desk), "{whole}");
        assert_eq!(desk.rows().len(), 38);
        assert!(agree(&desk));
        assert_eq!(desk.pull().left_off, None);
        assert_eq!(desk.rows().len(), 36);
        assert!(!agree(&desk), "nothing waits any more");
    }
}

#[test]
fn one_record_of_a_few_goes_unasked_and_an_empty_answer_deletes_nothing() {
    let desk = known(3, true);
    desk.there.lose(2);
    desk.pull();
    assert_eq!(desk.rows().len(), 2);
    desk.there.lose(1);
    desk.there.lose(3);
    assert!(waits(&desk));
    assert_eq!(desk.rows().len(), 2);
}

#[test]
fn what_a_person_agreed_to_is_done_although_the_source_says_that_nothing_is_new() {
    let desk = known(250, true);
    (1..=250).for_each(|id| desk.there.lose(id));
    assert!(waits(&desk));
    assert!(agree(&desk));
    assert_eq!(desk.pull().left_off, None);
    assert_eq!(desk.rows().len(), 0);
    assert!(!agree(&desk), "nothing waits any more");
}

#[test]
fn what_cannot_be_read_keeps_what_is_missing_also_where_a_person_agreed() {
    let desk = known(10, true);
    (1..=5).for_each(|id| desk.there.lose(id));
    desk.there.put_fields(6, &[("name", Value::from("Ann")), ("minutes", Value::from("soon"))]);
    desk.pull();
    desk.there.put(7, "Bob", "09:00");
    assert_eq!(desk.rows().len(), 10);
    desk.there.put(6, "Ann", "09:00");
    desk.there.lose(10);
    assert!(waits(&desk));
    desk.there.put_fields(6, &[("name", Value::from("Ann")), ("minutes", Value::from("soon"))]);
    assert!(agree(&desk));
    assert!(waits(&desk), "it says so");
    assert_eq!(desk.rows().len(), 10);
    assert_eq!(desk.aside(Aside::Bad).len(), 1);
    desk.there.put(6, "Ann", "09:00");
    assert_eq!(desk.pull().left_off, None);
    assert_eq!(desk.rows().len(), 4);
    assert!(desk.aside(Aside::Bad).is_empty(), "what was read again does not stand aside");
}
