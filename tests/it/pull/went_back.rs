//! Times that go back: what was changed is known by its version and contents, and never by its time.

use hms_sync::event::Value;
use hms_sync::rules::conflict::Winner;
use hms_sync::store::state::pull::item::Aside;

use super::Desk;

const HOUR: i64 = 3_600_000;

#[test]
fn a_change_comes_in_also_when_its_own_time_went_back() {
    let desk = Desk::visits();
    desk.there.clock(10 * HOUR);
    desk.there.put(1, "Ann", "09:00");
    desk.there.put(2, "Bob", "10:00");
    desk.pull();
    desk.there.clock(9 * HOUR);
    desk.there.put(1, "Anne", "09:00");
    desk.there.delete(2);
    desk.pull();
    assert_eq!(desk.rows(), ["1|Anne|09:00|-"]);
    // Where everything is read again too.
    desk.there.clock(8 * HOUR);
    desk.there.put(1, "Anna", "09:00");
    desk.there.expire();
    desk.pull();
    assert_eq!(desk.rows(), ["1|Anna|09:00|-"]);
    assert!(desk.aside(Aside::Again).is_empty());
}

#[test]
fn a_time_that_went_back_decides_no_conflict_then_or_later() {
    let now = hms_sync::clock::now().0;
    let mut desk = Desk::visits().with_rule(Winner::LatestChange);
    desk.both_ways = true;
    desk.there.clock(now - HOUR);
    desk.there.put(1, "Ann", "09:00");
    desk.pull();
    desk.office.sql("UPDATE visits SET name = 'Ben' WHERE id = 1");
    desk.there.clock(now - 2 * HOUR);
    desk.there.put(1, "Cid", "09:00");
    for _ in 0..2 {
        desk.pull_now();
        assert_eq!(desk.rows(), ["1|Ben|09:00|-"]);
        assert_eq!(desk.aside(Aside::Held).len(), 1);
    }
}

#[test]
fn an_old_deletion_of_a_record_that_is_there_again_deletes_nothing() {
    let desk = Desk::visits();
    desk.there.clock(10 * HOUR);
    desk.there.put(1, "Ann", "09:00");
    desk.pull();
    desk.there.bury(1, 9 * HOUR);
    for _ in 0..2 {
        desk.pull();
        assert_eq!(desk.rows(), ["1|Ann|09:00|-"]);
        assert!(desk.aside(Aside::Again).is_empty());
    }
    desk.there.put_fields(1, &[("name", Value::from("Anne")), ("start", Value::from("09:00"))]);
    desk.pull();
    assert_eq!(desk.rows(), ["1|Anne|09:00|-"]);
    // It is gone now, and its last deletion has an older time than its last change.
    desk.there.lose(1);
    desk.pull();
    assert!(desk.rows().is_empty());
}
