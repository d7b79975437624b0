//! What an outside system changed comes into the application's table: once, by its rules, and never back.

mod aside;
pub mod both_ways;
mod clocks;
mod deciding;
mod full_disk;
mod held;
mod keeping;
mod kills;
mod loops;
mod meeting;
mod missing;
mod refused;
mod telling;
mod there;
mod tracked;
mod went_back;
mod workload;

use std::sync::Arc;
use std::time::Duration;

use hms_sync::engine::ledger::Ledger;
use hms_sync::engine::pull::{Inlet, Parts, Tempo, Worker};
use hms_sync::engine::push::{Run, Summary};
use hms_sync::event::Event;
use hms_sync::rules::conflict::{Policy, Rule, Winner};
use hms_sync::rules::governance::Gate;
use hms_sync::rules::mapping::Mapping;
use hms_sync::rules::pull::clock::Trust;
use hms_sync::rules::retry::RetryPolicy;
use hms_sync::store::capture::{Access, CapturedLog, WatchSpec};
use hms_sync::store::state::pull::item::{self, Aside};
use hms_sync::store::state::pull::{self, Contact, First};
use hms_sync::store::state::{State, StateReader, connector};

use crate::support::office::Office;
use there::There;

/// An office with one table that one connector pulls into.
pub struct Desk {
    pub office: Office,
    pub there: Arc<There>,
    pub policy: Policy,
    pub both_ways: bool,
    pub strict_order: bool,
    pub table: &'static str,
}

impl Desk {
    pub fn new(schema: &str) -> Desk {
        let office = Office::new(schema);
        let mut log = CapturedLog::open("office", &office.database(), Access::Write).unwrap();
        log.install(&[WatchSpec::table("visits")]).unwrap();
        Desk {
            office,
            there: Arc::new(There::default()),
            policy: Policy::none("visits"),
            both_ways: false,
            strict_order: false,
            table: "visits",
        }
    }

    pub fn visits() -> Desk {
        Desk::new("CREATE TABLE visits(id INTEGER PRIMARY KEY, name TEXT, start TEXT, minutes INTEGER);")
    }

    pub fn with_rule(mut self, winner: Winner) -> Desk {
        self.policy.otherwise = Some(Rule::of(winner));
        self
    }

    pub fn inlet(&self) -> Inlet {
        Inlet {
            name: "lotus".into(),
            source: self.there.clone(),
            table: self.table.into(),
            back: Mapping::whole().reverse().unwrap(),
            gate: Gate::open(),
            policy: self.policy.clone(),
            names: vec!["lotus".to_owned()],
            office: "OF042".to_owned(),
            both_ways: self.both_ways,
            strict_order: self.strict_order,
            clock: Trust::Same,
            max_delete: 5.0,
            full: None,
            tempo: Tempo::Every(Duration::from_secs(60)),
            retry: RetryPolicy::default(),
        }
    }

    /// One run in a process of its own, as far as the files can tell.
    pub fn pull(&self) -> Summary {
        self.work(|worker| worker.run(Run::Once))
    }

    /// One run that a person asked for: what stands aside is looked at too.
    pub fn pull_now(&self) -> Summary {
        self.work(|worker| {
            worker.mailbox().tell(hms_sync::engine::push::Message::RunNow);
            worker.run(Run::Once)
        })
    }

    fn work<T>(&self, work: impl FnOnce(Worker) -> T) -> T {
        // A process that another test is starting may hold the lock of the last run for a moment.
        let state = std::cell::RefCell::new(None);
        crate::support::office::wait("the state file is free", || {
            *state.borrow_mut() = State::open(&self.office.state()).ok();
            state.borrow().is_some()
        });
        let (ledger, thread) = Ledger::start(state.into_inner().unwrap()).unwrap();
        let log = CapturedLog::open("office", &self.office.database(), Access::Write).unwrap();
        let reader = self.office.reader();
        let worker = Worker::new(Parts { inlet: self.inlet(), log, ledger: ledger.clone(), reader }).unwrap();
        let done = work(worker);
        ledger.stop();
        thread.join().unwrap();
        done
    }

    /// All rows, as `a|b|c` by key.
    pub fn rows(&self) -> Vec<String> {
        let app = self.office.app();
        let mut statement = app.prepare(&format!("SELECT * FROM {} ORDER BY 1", self.table)).unwrap();
        let width = statement.column_count();
        let rows = statement.query_map([], |row| {
            let texts = (0..width).map(|at| {
                row.get_ref(at).map(|value| match value {
                    rusqlite::types::ValueRef::Null => "-".to_owned(),
                    rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                    rusqlite::types::ValueRef::Real(number) => format!("{number:?}"),
                    rusqlite::types::ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                    rusqlite::types::ValueRef::Blob(bytes) => format!("{bytes:?}"),
                })
            });
            texts.collect::<rusqlite::Result<Vec<_>>>().map(|texts| texts.join("|"))
        });
        rows.unwrap().map(Result::unwrap).collect()
    }

    /// The events that were captured.
    pub fn events(&self) -> Vec<Event> {
        let mut log = CapturedLog::open("office", &self.office.database(), Access::Read).unwrap();
        log.read(0, usize::MAX, usize::MAX).unwrap()
    }

    /// What stands aside: state, class and words.
    pub fn aside(&self, state: Aside) -> Vec<String> {
        let mut reader = StateReader::open(&self.office.state()).unwrap();
        let found = reader.read(|db| {
            let known = connector::find(db, "lotus")?.unwrap();
            item::list(db, known.id, state, "", 1000)
        });
        found.unwrap().into_iter().map(|item| item.reason.to_string()).collect()
    }

    /// A person has chosen how both sides meet.
    pub fn meet(&self, first: First) {
        let mut state = State::open(&self.office.state()).unwrap();
        state
            .commit(|db| {
                let known = connector::find(db, "lotus")?.unwrap();
                pull::set_contact(db, known.id, Contact::Asked(first))
            })
            .unwrap();
    }
}

#[test]
fn a_correction_made_outside_arrives_in_the_table_under_its_origin() {
    let desk = Desk::visits();
    desk.there.put(1, "Ann", "09:00");
    desk.there.put(2, "Bob", "10:00");
    assert_eq!(desk.pull().left_off, None);
    assert_eq!(desk.rows(), ["1|Ann|09:00|-", "2|Bob|10:00|-"]);
    desk.there.put(1, "Anne", "09:00");
    desk.there.delete(2);
    desk.pull();
    assert_eq!(desk.rows(), ["1|Anne|09:00|-"]);
    let events = desk.events();
    assert_eq!(events.len(), 4);
    assert!(events.iter().all(|event| event.origin.as_deref() == Some("lotus")), "{events:?}");
    // Columns that the other side does not have stay.
    desk.office.sql("UPDATE visits SET minutes = 20");
    desk.there.put(1, "Anna", "09:00");
    desk.pull();
    assert_eq!(desk.rows(), ["1|Anna|09:00|20"]);
    assert_eq!(desk.events().last().unwrap().origin.as_deref(), Some("lotus"));
}

#[test]
fn a_poll_that_finds_nothing_costs_one_request_and_no_write() {
    let desk = Desk::visits();
    (1..=5).for_each(|id| desk.there.put(id, "Ann", "09:00"));
    desk.pull();
    let written = || {
        let app = desk.office.app();
        let version: i64 = app.query_row("PRAGMA data_version", [], |row| row.get(0)).unwrap();
        let wal = |path: std::path::PathBuf| {
            let mut wal = path.into_os_string();
            wal.push("-wal");
            std::fs::metadata(wal).map(|file| file.len()).unwrap_or(0)
        };
        (version, wal(desk.office.database()), desk.events().len())
    };
    desk.work(|mut worker| {
        // The first run of a process looks after what is too old.
        worker.turn_now();
        let before = (written(), std::fs::metadata(wal_of(&desk)).unwrap().len(), desk.there.asked());
        for _ in 0..3 {
            worker.turn_now();
        }
        let after = (written(), std::fs::metadata(wal_of(&desk)).unwrap().len(), desk.there.asked() - 3);
        assert_eq!(before, after);
    });
}

fn wal_of(desk: &Desk) -> std::path::PathBuf {
    let mut wal = desk.office.state().into_os_string();
    wal.push("-wal");
    wal.into()
}
