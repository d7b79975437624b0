//! What the log of conflicts keeps, through the functions that carry out verdicts.

use std::sync::Arc;

use super::super::{State as File, connector};
use super::*;
use crate::event::Value;
use crate::rules::conflict::same::fingerprint;
use crate::rules::conflict::{Next, Unit, Which, Why, Winner, Won};

const KEY: &str = "{\"id\":42}";

fn stand(value: &str) -> Stand {
    let fields: Vec<Arc<str>> = vec!["start".into()];
    let values: Record = [("start", Value::from(value))].into_iter().collect();
    let seen = fingerprint(Some(&values), &fields);
    Stand { values: Some(values), first: Some(Timestamp(1)), last: Some(Timestamp(2)), by_record: false, seen }
}

fn dispute(local: &str, remote: &str) -> Dispute {
    Dispute {
        unit: Unit::Field("start".into()),
        fields: vec!["start".into()],
        base: Some([("start", Value::from("09:00"))].into_iter().collect()),
        local: stand(local),
        remote: Stand { by_record: true, ..stand(remote) },
    }
}

fn held(local: &str, remote: &str) -> Verdict {
    let held = Held { dispute: dispute(local, remote), why: Why::NoRule };
    Verdict { held: vec![held], ..Verdict::default() }
}

fn decided(because: Because) -> Verdict {
    let decided = Decided { dispute: dispute("10:00", "11:00"), winner: Won::Side(Which::Local), because };
    Verdict { decided: vec![decided], next: Next::Same, ..Verdict::default() }
}

fn with(work: impl FnOnce(&Connection, &Subject<'_>) -> Sql<()>) {
    let folder = tempfile::tempdir().unwrap();
    let mut state = File::open(&folder.path().join("state.db")).unwrap();
    state
        .commit(|db| {
            let connector = connector::remember(db, "lotus")?.0.id;
            work(db, &Subject { connector, table: "appointments", kind: "appointment", key: KEY })
        })
        .unwrap();
}

fn only(db: &Connection) -> Entry {
    let mut all = select(db, &Choice::default()).unwrap();
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn by_ann<'a>(take: &'a Take) -> Decision<'a> {
    Decision { take, who: "ann", why: Some("the patient called"), seen: None }
}

#[test]
fn what_is_held_waits_with_both_values_until_it_is_carried_out() {
    with(|db, subject| {
        settle(db, subject, &held("10:00", "11:00"), &Knowing::default(), Timestamp(10))?;
        let open = only(db);
        assert_eq!((open.state, open.unit.as_str(), open.key.as_str()), (State::Open, "start", KEY));
        assert_eq!(open.local, stand("10:00"));
        assert!(open.remote.by_record && !open.local.by_record);
        assert_eq!(open.base.as_ref().and_then(|base| base.get("start")), Some(&"09:00".into()));
        assert_eq!(waiting(db, subject.connector)?.since, Some(Timestamp(10)));
        assert!(resolutions(db, subject.connector, subject.kind, KEY)?.is_empty());

        assert_eq!(resolve(db, open.id, &by_ann(&Take::Local), Timestamp(20))?, Taken::Stands);
        assert_eq!(resolved(db, subject.connector, 10)?, [("appointment".to_owned(), KEY.to_owned())]);
        let told = resolutions(db, subject.connector, subject.kind, KEY)?;
        assert_eq!(told[0].take, Take::Local);
        assert_eq!((told[0].local, told[0].remote), (open.local.seen, open.remote.seen));

        // It stays decided by that person until it is done.
        settle(db, subject, &decided(Because::Person), &Knowing::default(), Timestamp(29))?;
        assert_eq!(only(db).state, State::Resolved);
        assert!(carried_out(db, subject, "start", "local", Timestamp(30))?);
        assert!(!carried_out(db, subject, "start", "local", Timestamp(31))?, "once");
        let done = only(db);
        assert_eq!((done.id, done.state, done.winner.as_deref()), (open.id, State::Decided, Some("local")));
        assert_eq!((done.who.as_deref(), done.why.as_deref()), (Some("ann"), Some("the patient called")));
        assert!(resolved(db, subject.connector, 10)?.is_empty());
        let count = |winner: &str| (["appointments", "start", winner].map(str::to_owned), 1);
        assert_eq!(super::count(db)?, [count("held"), count("local")]);
        Ok(())
    });
}

/// What the reader had looked up when it decided.
fn knowing(db: &Connection, subject: &Subject<'_>) -> Knowing {
    let resolved = resolutions(db, subject.connector, subject.kind, subject.key).unwrap();
    Knowing { resolved, guard_is_asked: false }
}

#[test]
fn what_a_person_decides_while_the_record_is_looked_at_stands_and_is_found_with_the_next_look() {
    with(|db, subject| {
        settle(db, subject, &held("10:00", "11:00"), &Knowing::default(), Timestamp(10))?;
        let before = knowing(db, subject);
        resolve(db, only(db).id, &by_ann(&Take::Remote), Timestamp(20))?;
        settle(db, subject, &held("10:00", "11:00"), &before, Timestamp(21))?;
        assert_eq!((only(db).state, only(db).take.as_deref()), (State::Resolved, Some("remote")));
        assert_eq!(knowing(db, subject).resolved.len(), 1);
        // What the look before has carried out is not what that person says now.
        resolve(db, only(db).id, &by_ann(&Take::Local), Timestamp(30))?;
        assert!(!carried_out(db, subject, "start", "remote", Timestamp(31))?);
        assert_eq!(only(db).take.as_deref(), Some("local"));
        // A side has changed: it waits again, and says so for as long as it does.
        for at in [40, 41] {
            let now = knowing(db, subject);
            settle(db, subject, &held("10:00", "11:30"), &now, Timestamp(at))?;
            let open = only(db);
            assert_eq!((open.state, open.at), (State::Open, Timestamp(40)));
            assert!(open.reason.starts_with("a side has changed since it was decided: "), "{}", open.reason);
        }
        Ok(())
    });
}

#[test]
fn what_the_guard_holds_waits_under_its_number_until_the_guard_has_let_it_in() {
    with(|db, subject| {
        let barred = Held { dispute: dispute("10:00", "11:00"), why: Why::Guard };
        let barred = Verdict { held: vec![barred], ..Verdict::default() };
        settle(db, subject, &barred, &Knowing::default(), Timestamp(10))?;
        let id = only(db).id;
        // It would be written, if the guard found nothing.
        let asks = Knowing { guard_is_asked: true, ..Knowing::default() };
        settle(db, subject, &Verdict::default(), &asks, Timestamp(20))?;
        settle(db, subject, &barred, &Knowing::default(), Timestamp(21))?;
        assert_eq!((only(db).id, only(db).state), (id, State::Open));
        settle(db, subject, &Verdict::default(), &asks, Timestamp(30))?;
        let_in(db, subject, Timestamp(31))?;
        assert_eq!(only(db).state, State::Superseded);
        Ok(())
    });
}

#[test]
fn a_newer_change_opens_again_what_a_person_decided() {
    with(|db, subject| {
        settle(db, subject, &held("10:00", "11:00"), &Knowing::default(), Timestamp(10))?;
        let id = only(db).id;
        resolve(db, id, &by_ann(&Take::Remote), Timestamp(20))?;
        let verdict = held("10:00", "11:30");
        assert_eq!(hold(db, subject, &verdict.held[0], &[], Timestamp(30))?, (id, Holding::Reopened));
        let open = only(db);
        assert_eq!((open.state, open.take, open.since), (State::Open, None, Timestamp(10)));
        assert_eq!(open.remote.values, stand("11:30").values);
        assert_eq!(hold(db, subject, &verdict.held[0], &[], Timestamp(31))?, (id, Holding::Same));
        assert_eq!(hold(db, subject, &held("10:15", "11:30").held[0], &[], Timestamp(32))?, (id, Holding::Changed));
        Ok(())
    });
}

#[test]
fn a_decision_about_what_has_changed_since_is_refused() {
    with(|db, subject| {
        settle(db, subject, &held("10:00", "11:00"), &Knowing::default(), Timestamp(10))?;
        let seen = only(db);
        let decision = Decision { seen: Some(seen.at), ..by_ann(&Take::Local) };
        settle(db, subject, &held("10:00", "11:45"), &Knowing::default(), Timestamp(15))?;
        assert_eq!(resolve(db, seen.id, &decision, Timestamp(20))?, Taken::Stale);
        assert_eq!(only(db).state, State::Open);
        assert_eq!(resolve(db, 99, &decision, Timestamp(20))?, Taken::Absent);
        settle(db, subject, &Verdict::default(), &Knowing::default(), Timestamp(30))?;
        assert_eq!(resolve(db, seen.id, &by_ann(&Take::Local), Timestamp(40))?, Taken::Over(State::Superseded));
        Ok(())
    });
}

#[test]
fn what_cannot_be_done_waits_again_with_the_reason() {
    with(|db, subject| {
        settle(db, subject, &held("10:00", "11:00"), &Knowing::default(), Timestamp(10))?;
        let id = only(db).id;
        assert!(!reopen(db, subject, "start", "refused", Timestamp(11))?);
        let values: Record = [("start", Value::from("12:00"))].into_iter().collect();
        resolve(db, id, &by_ann(&Take::Values(values.clone())), Timestamp(20))?;
        assert_eq!(resolutions(db, subject.connector, subject.kind, KEY)?[0].take, Take::Values(values));
        assert!(reopen(db, subject, "start", "the table does not take it", Timestamp(30))?);
        let open = only(db);
        assert_eq!((open.state, open.reason.as_str(), open.value), (State::Open, "the table does not take it", None));
        Ok(())
    });
}

#[test]
fn what_is_over_is_forgotten_in_time_and_what_waits_never() {
    with(|db, subject| {
        settle(db, subject, &decided(Because::Rule(Winner::EarliestChange)), &Knowing::default(), Timestamp(10))?;
        let first = only(db);
        assert_eq!((first.state, first.rule.as_str()), (State::Decided, "earliest_change"));
        settle(db, subject, &decided(Because::Rule(Winner::EarliestChange)), &Knowing::default(), Timestamp(15))?;
        assert_eq!((only(db).id, super::count(db)?[0].1), (first.id, 1), "the same once more is one");
        settle(db, subject, &held("10:00", "11:00"), &Knowing::default(), Timestamp(20))?;
        settle(db, subject, &decided(Because::TieByHash(Winner::LatestChange)), &Knowing::default(), Timestamp(30))?;
        settle(db, subject, &held("10:00", "11:00"), &Knowing::default(), Timestamp(40))?;
        let states = |db: &Connection| -> Vec<State> {
            select(db, &Choice::default()).unwrap().iter().map(|entry| entry.state).collect()
        };
        assert_eq!(states(db), [State::Open, State::Decided, State::Superseded, State::Decided]);
        assert!(has_older(db, Timestamp(11))?);
        assert_eq!(forget(db, Timestamp(31), 2)?, 2);
        assert_eq!(states(db), [State::Open, State::Decided]);
        assert_eq!(forget(db, Timestamp(i64::MAX), 9)?, 1);
        assert_eq!((states(db), has_older(db, Timestamp(i64::MAX))?), (vec![State::Open], false));
        Ok(())
    });
}

#[test]
fn a_choice_finds_by_connector_state_and_record() {
    with(|db, subject| {
        settle(db, subject, &held("10:00", "11:00"), &Knowing::default(), Timestamp(10))?;
        let other = Subject { key: "{\"id\":7}", ..*subject };
        settle(db, &other, &decided(Because::Rule(Winner::Local)), &Knowing::default(), Timestamp(11))?;
        let found = |which: Choice| select(db, &which).map(|found| found.len());
        let connector = |name: &str| Choice { connector: Some(name.to_owned()), ..Choice::default() };
        assert_eq!((found(connector("lotus"))?, found(connector("sap"))?), (2, 0));
        assert_eq!(found(Choice { states: vec![State::Open, State::Resolved], ..Choice::default() })?, 1);
        for kind in ["appointment", "appointments"] {
            assert_eq!(found(Choice { kind: Some(kind.to_owned()), ..Choice::default() })?, 2);
        }
        assert_eq!(of_record(db, "appointment", KEY)?.len(), 1);
        assert_eq!(found(Choice { limit: Some(1), ..Choice::default() })?, 1);
        Ok(())
    });
}
