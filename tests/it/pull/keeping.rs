//! The application's rules, and what cannot come in.

use hms_sync::event::Value;
use hms_sync::rules::conflict::Guard;
use hms_sync::store::state::pull::item::Aside;

use super::Desk;
use super::there::down;

#[test]
fn a_row_that_the_database_refuses_is_parked_with_the_reason_and_the_rest_is_written() {
    let desk = Desk::new(
        "CREATE TABLE rooms(id INTEGER PRIMARY KEY);
         INSERT INTO rooms VALUES (1);
         CREATE TABLE visits(id INTEGER PRIMARY KEY, name TEXT NOT NULL, start TEXT UNIQUE, minutes INTEGER CHECK (minutes > 0),
           room INTEGER REFERENCES rooms(id), shout TEXT GENERATED ALWAYS AS (upper(name)) VIRTUAL) STRICT;
         CREATE TRIGGER no_eve BEFORE INSERT ON visits WHEN NEW.name = 'Eve' BEGIN SELECT RAISE(ABORT, 'secret Eve'); END;
         CREATE TRIGGER no_mal BEFORE INSERT ON visits WHEN NEW.name = 'Mal' BEGIN SELECT RAISE(ROLLBACK, 'no'); END;
         CREATE TRIGGER no_zed BEFORE INSERT ON visits WHEN NEW.name = 'Zed' BEGIN SELECT RAISE(IGNORE); END;",
    );
    desk.there.page_size(100);
    let name = |name: &str| ("name", Value::from(name));
    desk.there.put_fields(1, &[name("Ann"), ("start", Value::from("09:00")), ("shout", Value::from("never written"))]);
    desk.there.put_fields(2, &[("name", Value::Null)]);
    desk.there.put_fields(3, &[name("Ben"), ("start", Value::from("09:00"))]);
    desk.there.put_fields(4, &[name("Cid"), ("minutes", Value::Integer(0))]);
    desk.there.put_fields(5, &[name("Dan"), ("room", Value::Integer(7))]);
    desk.there.put_fields(6, &[name("Eve")]);
    desk.there.put_fields(7, &[name("Mal")]);
    desk.there.put_fields(8, &[name("Zed")]);
    desk.there.put_fields(9, &[name("Fay"), ("minutes", Value::from("soon"))]);
    desk.there.put_fields(10, &[name("Gus"), ("minutes", Value::from("25")), ("room", Value::Integer(1))]);
    desk.pull();
    assert_eq!(desk.rows(), ["1|Ann|09:00|-|-|ANN", "10|Gus|-|25|1|GUS"]);
    let mut refused = desk.aside(Aside::Refused);
    refused.sort();
    assert_eq!(
        refused,
        [
            "check: CHECK constraint failed: minutes > 0",
            "foreign-key: FOREIGN KEY constraint failed",
            "ignored: a trigger of the application does not let it be",
            "not-null: NOT NULL constraint failed: visits.name",
            "trigger: a trigger of the application refuses it",
            "trigger: a trigger of the application refuses it",
            "unique: UNIQUE constraint failed: visits.start",
        ]
    );
    assert_eq!(desk.aside(Aside::Bad), ["type: column `minutes` takes no text that is no number"]);
    // What was missing comes, and a person asks again.
    desk.office.sql("INSERT INTO rooms VALUES (7)");
    desk.pull_now();
    assert_eq!(
        desk.rows(),
        ["1|Ann|09:00|-|-|ANN", "10|Gus|-|25|1|GUS", "5|Dan|-|-|7|DAN"].map(str::to_owned).to_vec().tap_sorted()
    );
    assert_eq!(desk.aside(Aside::Refused).len(), 6);
}

trait Sorted {
    fn tap_sorted(self) -> Vec<String>;
}

impl Sorted for Vec<String> {
    /// By the number that a line begins with.
    fn tap_sorted(mut self) -> Vec<String> {
        self.sort_by_key(|line| line.split('|').next().unwrap_or_default().parse::<i64>().unwrap());
        self
    }
}

#[test]
fn a_foreign_key_that_is_looked_at_in_the_end_refuses_its_row_alone() {
    let desk = Desk::new(
        "CREATE TABLE rooms(id INTEGER PRIMARY KEY);
         CREATE TABLE visits(id INTEGER PRIMARY KEY, name TEXT, room INTEGER REFERENCES rooms(id) DEFERRABLE INITIALLY DEFERRED);",
    );
    desk.there.page_size(100);
    for id in 1..=9 {
        let room = if id == 5 { Value::Integer(77) } else { Value::Null };
        desk.there.put_fields(id, &[("name", Value::from("Ann")), ("room", room)]);
    }
    desk.pull();
    assert_eq!(desk.rows().len(), 8);
    assert_eq!(desk.aside(Aside::Refused), ["foreign-key: FOREIGN KEY constraint failed"]);
}

#[test]
fn what_the_applications_triggers_make_of_a_row_goes_back_and_what_they_do_elsewhere_is_their_own() {
    let mut desk = Desk::new(
        "CREATE TABLE visits(id INTEGER PRIMARY KEY, name TEXT, start TEXT, minutes INTEGER);
         CREATE TABLE counts(day TEXT PRIMARY KEY, n INTEGER);
         INSERT INTO counts VALUES ('all', 0);
         CREATE TRIGGER shout AFTER INSERT ON visits WHEN NEW.name <> upper(NEW.name)
           BEGIN UPDATE visits SET name = upper(NEW.name) WHERE id = NEW.id; END;
         CREATE TRIGGER tally AFTER INSERT ON visits BEGIN UPDATE counts SET n = n + 1 WHERE day = 'all'; END;",
    );
    let mut log = hms_sync::store::capture::CapturedLog::open(
        "office",
        &desk.office.database(),
        hms_sync::store::capture::Access::Write,
    )
    .unwrap();
    log.install(&[
        hms_sync::store::capture::WatchSpec::table("visits"),
        hms_sync::store::capture::WatchSpec::table("counts"),
    ])
    .unwrap();
    drop(log);
    desk.both_ways = true;
    desk.there.put(1, "Ann", "09:00");
    desk.there.put(2, "BOB", "10:00");
    desk.pull();
    assert_eq!(desk.rows(), ["1|ANN|09:00|-", "2|BOB|10:00|-"]);
    let events = desk.events();
    let told: Vec<_> = events.iter().filter(|event| event.dest.as_deref() == Some("lotus")).collect();
    assert_eq!(told.len(), 1, "{events:?}");
    assert_eq!(told[0].after.as_ref().and_then(|row| row.get("name")), Some(&Value::from("ANN")));
    assert!(told[0].origin.is_none());
    for event in events.iter().filter(|event| event.dest.is_none()) {
        assert_eq!(event.origin.is_some(), &*event.kind == "visits", "{event:?}");
    }
    assert_eq!(events.iter().filter(|event| &*event.kind == "counts").count(), 2);
    // The same again is no change.
    desk.there.put(2, "BOB", "10:00");
    desk.pull();
    assert_eq!(desk.events().len(), events.len());
}

#[test]
fn a_source_that_fails_is_asked_again_and_nothing_is_lost() {
    let desk = Desk::visits();
    (1..=7).for_each(|id| desk.there.put(id, "Ann", "09:00"));
    desk.there.fail(down());
    assert_eq!(desk.pull().left_off.unwrap().class, "http-503");
    assert!(desk.rows().is_empty());
    assert_eq!(desk.pull().left_off, None);
    assert_eq!(desk.rows().len(), 7);
}

#[test]
fn an_expired_cursor_has_everything_read_again_and_what_is_missing_is_deleted_up_to_a_limit() {
    let desk = Desk::visits();
    desk.there.page_size(50);
    (1..=250).for_each(|id| desk.there.put(id, "Ann", "09:00"));
    desk.pull();
    assert_eq!(desk.rows().len(), 250);
    (1..=12).for_each(|id| desk.there.lose(id));
    desk.pull();
    assert_eq!(desk.rows().len(), 250, "nobody has said so");
    desk.there.expire();
    desk.pull();
    assert_eq!(desk.rows().len(), 238);
    (41..=160).for_each(|id| desk.there.lose(id));
    desk.there.expire();
    assert_eq!(desk.pull().left_off.unwrap().class, "many-missing");
    assert_eq!(desk.rows().len(), 238, "more than one in twenty wait for a person");
}

#[test]
fn a_strict_order_lets_nothing_pass_an_item_that_is_refused() {
    let mut desk = Desk::new("CREATE TABLE visits(id INTEGER PRIMARY KEY, name TEXT NOT NULL, start TEXT);");
    desk.strict_order = true;
    desk.there.put(1, "Ann", "09:00");
    desk.there.put_fields(2, &[("name", Value::Null)]);
    desk.there.put(3, "Cid", "09:00");
    assert_eq!(desk.pull().left_off.unwrap().class, "strict-order");
    assert_eq!(desk.rows(), ["1|Ann|09:00"]);
    desk.there.put(2, "Bob", "09:00");
    desk.pull();
    assert_eq!(desk.rows(), ["1|Ann|09:00", "2|Bob|09:00", "3|Cid|09:00"]);
}

#[test]
fn an_application_that_waits_for_no_lock_writes_beside_a_pull() {
    let desk = Desk::new(
        "CREATE TABLE visits(id INTEGER PRIMARY KEY, name TEXT, start TEXT);
         CREATE TABLE notes(n INTEGER PRIMARY KEY, at TEXT);",
    );
    desk.there.page_size(500);
    (1..=2000).for_each(|id| desk.there.put(id, "Ann", "09:00"));
    let over = std::sync::atomic::AtomicBool::new(false);
    let app = desk.office.app();
    let written = std::thread::scope(|scope| {
        let over = &over;
        let writer = scope.spawn(move || {
            let mut written = Vec::new();
            while !over.load(std::sync::atomic::Ordering::SeqCst) {
                // Refused at once while somebody else writes: it tries again, as it does without an agent.
                if app.execute("INSERT INTO notes(at) SELECT count(*) FROM visits", []).is_ok() {
                    written.push(());
                }
            }
            written.len()
        });
        desk.pull();
        over.store(true, std::sync::atomic::Ordering::SeqCst);
        writer.join().unwrap()
    });
    assert_eq!(desk.rows().len(), 2000);
    let app = desk.office.app();
    let notes: i64 = app.query_row("SELECT count(*) FROM notes", [], |row| row.get(0)).unwrap();
    assert_eq!(usize::try_from(notes).unwrap(), written);
    // It came to write between the parts of the pages, and not only before and after all of them.
    let between = "SELECT count(DISTINCT at) FROM notes WHERE CAST(at AS INTEGER) BETWEEN 1 AND 1999";
    let between: i64 = app.query_row(between, [], |row| row.get(0)).unwrap();
    assert!(between >= 10, "{between} times");
}

#[test]
fn what_the_guard_finds_is_held_and_other_fields_come_in() {
    let mut desk = Desk::new("CREATE TABLE visits(id INTEGER PRIMARY KEY, name TEXT, start TEXT);");
    desk.policy.guard = Some(Guard {
        sql: "SELECT 1 FROM visits AS v WHERE v.start = :start AND v.id <> :id".to_owned(),
        parameters: vec!["start".into(), "id".into()],
    });
    desk.there.put(1, "Ann", "09:00");
    desk.there.put(2, "Bob", "10:00");
    desk.pull();
    desk.there.put(2, "Rob", "09:00");
    desk.pull();
    assert_eq!(desk.rows(), ["1|Ann|09:00", "2|Rob|10:00"]);
    let held = desk.aside(Aside::Held);
    assert!(held.len() == 1 && held[0].contains("guard"), "{held:?}");
    // The other one goes away: a person asks again.
    desk.there.delete(1);
    desk.pull();
    desk.pull_now();
    assert_eq!(desk.rows(), ["2|Rob|09:00"]);
    assert!(desk.aside(Aside::Held).is_empty());
}
