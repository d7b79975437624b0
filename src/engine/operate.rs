//! What a person does with parked deliveries and cursors. The same code serves the running agent and the command line.

mod files;
mod resolve;

pub use files::{FileOperation, called, several_are};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use crate::clock::{self, Timestamp};
use crate::event::Value;
use crate::format::json;
use crate::rules::outcome::Reason;
use crate::store::image;
use crate::store::state::act::{self, Act};
use crate::store::state::connector::{self, Mode};
use crate::store::state::counter::{self, Counter};
use crate::store::state::parked::{self, Parked, ParkedState, Selection};
use crate::store::state::pull::item::{self, Aside};
use crate::store::state::pull::lately::{self, Lately};
use crate::store::state::pull::{self, First};
use crate::store::state::{ConnectorId, Db, Sql, State, StateError, attempt, cursor, drops, log};

/// What to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "lowercase")]
pub enum Operation {
    /// Sends dead letters and held deliveries again.
    Retry {
        /// Which.
        which: Selection,
        /// Send it although a later change of the record was delivered meanwhile.
        #[serde(default)]
        stale: bool,
    },
    /// Gives deliveries up; the next of the record moves up.
    Discard {
        /// Which.
        which: Selection,
    },
    /// Holds deliveries until they are released.
    Hold {
        /// Which.
        which: Selection,
    },
    /// Holds an event that is still queued at a connector.
    HoldQueued {
        /// At which.
        connector: String,
        /// Its log.
        log: String,
        /// The event as `store::image` encodes it, in base64.
        event: String,
    },
    /// Releases held deliveries.
    Release {
        /// Which.
        which: Selection,
    },
    /// Stops a connector.
    Pause {
        /// Which.
        connector: String,
    },
    /// Lets a connector go on, also one that halted.
    Resume {
        /// Which.
        connector: String,
    },
    /// Sets a connector's cursor back, so that what follows is sent again.
    Replay {
        /// Which.
        connector: String,
        /// In which log.
        log: String,
        /// Everything after this position.
        after: i64,
    },
    /// Prunes what retention no longer keeps; for the keepers of the running agent.
    Prune {
        /// Only counts it.
        #[serde(default, rename = "dryRun")]
        dry_run: bool,
    },
    /// Says what is done where both sides of a connector meet for the first time.
    Meet {
        /// Which.
        connector: String,
        /// Whose values count where both have a record and it differs.
        how: First,
    },
    /// Agrees that what is missing at the other side of a connector is deleted here, however much it is.
    DeleteMissing {
        /// Which.
        connector: String,
    },
    /// Does something with the files of a drop.
    Drop(FileOperation),
    /// Says what another operation would do, and does nothing.
    DryRun {
        /// Which.
        of: Box<Operation>,
    },
    /// Decides what both sides of a record have changed, and waits for a person.
    Resolve {
        /// The conflict's number.
        conflict: i64,
        /// `local`, `remote`, or the values as JSON.
        take: String,
        /// Its `at` as that person saw it: a side that has changed since is not decided about unseen. None = as it is now.
        #[serde(default)]
        seen: Option<String>,
    },
    /// Takes down that somebody does something that is not done here.
    Note {
        /// What.
        deed: Deed,
        /// To what: a table, a connector. Never to which record.
        subject: String,
    },
}

/// What a person does elsewhere: to the capture of a table, or by starting something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Deed {
    Watch,
    Unwatch,
    CapturePause,
    CaptureResume,
    CaptureRepair,
    Reconcile,
    Backfill,
    Sync,
}

impl Deed {
    /// The verb of the act.
    pub fn as_str(self) -> &'static str {
        match self {
            Deed::Watch => "watch",
            Deed::Unwatch => "unwatch",
            Deed::CapturePause => "capture-pause",
            Deed::CaptureResume => "capture-resume",
            Deed::CaptureRepair => "capture-repair",
            Deed::Reconcile => "reconcile",
            Deed::Backfill => "backfill",
            Deed::Sync => "sync",
        }
    }
}

/// Who does it, and why.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Actor {
    /// User name.
    pub name: String,
    /// Their reason, for the audit.
    pub reason: Option<String>,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Deliveries (or connectors) that were changed, as `connector event-id`.
    pub done: Vec<String>,
    /// Those that were not, and why.
    pub refused: Vec<Refused>,
}

/// One that was not changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// `connector event-id`.
    pub subject: String,
    /// Why, and what to do instead.
    pub why: String,
}

/// Does it, durably, in one commit.
pub fn operate(state: &mut State, operation: &Operation, actor: &Actor) -> Result<Report, StateError> {
    state.commit(|db| perform(db, operation, actor))
}

fn perform(db: &Db, operation: &Operation, actor: &Actor) -> Sql<Report> {
    let mut report = Report::default();
    match operation {
        Operation::DryRun { of } => {
            // Done and taken back, so that it says what would be done and what would be refused.
            let taken_back: Result<(), Report> = drops::or_nothing(db, || Ok(Err(perform(db, of, actor)?)))?;
            report = taken_back.err().unwrap_or_default();
        }
        // The keepers do this: it is no matter of the state file.
        Operation::Prune { .. } => {}
        Operation::Drop(operation) => files::operate(db, operation, actor, &mut report)?,
        Operation::Resolve { conflict, take, seen } => {
            resolve::resolve(db, *conflict, take, seen.as_deref(), actor, &mut report)?;
        }
        Operation::Note { deed, subject } => {
            let (subject, reason) = (Some(subject.as_str()), actor.reason.as_deref());
            let act = Act { actor: &actor.name, verb: deed.as_str(), connector: None, subject, reason };
            act::record(db, &act, clock::now())?;
        }
        Operation::Pause { connector } => set_mode(db, connector, Mode::Paused, "pause", actor, &mut report)?,
        Operation::Resume { connector } => set_mode(db, connector, Mode::Running, "resume", actor, &mut report)?,
        Operation::Meet { connector: name, how } => {
            let (known, _) = connector::remember(db, name)?;
            pull::meet(db, known.id, *how)?;
            note(db, actor, "first-contact", known.id, how.as_str())?;
            report.done.push(name.clone());
        }
        Operation::DeleteMissing { connector: name } => {
            let known = connector::find(db, name)?;
            let missing = match &known {
                Some(known) => pull::get(db, known.id)?.filter(|pull| pull.book.missing.is_some()),
                None => None,
            };
            let (Some(known), Some(pull)) = (known, missing) else {
                let why = "nothing that is missing there waits for a person".to_owned();
                report.refused.push(Refused { subject: name.clone(), why });
                return Ok(report);
            };
            pull::set_book(db, known.id, &pull::Book { agreed: true, ..pull.book })?;
            note(db, actor, "delete-missing", known.id, name)?;
            report.done.push(name.clone());
        }
        Operation::Replay { connector: name, log: log_name, after } => {
            let found = connector::find(db, name)?.zip(log::find(db, log_name)?);
            let Some((known, log)) = found else {
                let why = format!("no connector `{name}` has read a log `{log_name}`");
                report.refused.push(Refused { subject: name.clone(), why });
                return Ok(report);
            };
            cursor::set_back(db, known.id, log, *after)?;
            let subject = format!("{log_name} after {after}");
            note(db, actor, "replay", known.id, &subject)?;
            report.done.push(format!("{name} {subject}"));
        }
        Operation::Retry { which, stale } => each(db, which, &mut report, |at, parked| {
            if !retryable(which, parked) {
                return refuse(format!("is {}; only dead and held deliveries are retried", parked.state.as_str()));
            }
            if !parked::is_head(db, at, &parked.event)? {
                return refuse("waits behind an earlier change of its record: retry or discard that one first");
            }
            if parked.passed.is_some() && !stale {
                return refuse_aloud(
                    "a later change of the record was delivered meanwhile: --latest sends the record as it is now, --stale sends this one all the same",
                );
            }
            release(db, at, parked)?;
            note(db, actor, "retry", at, &parked.event.id.to_string())?;
            Ok(Ok(()))
        })?,
        Operation::Release { which } => each(db, which, &mut report, |at, parked| {
            if parked.state != ParkedState::Held {
                return refuse(format!("is {}, not held", parked.state.as_str()));
            }
            if parked::is_head(db, at, &parked.event)? {
                release(db, at, parked)?;
            } else {
                let reason = Reason::new("behind", "an earlier change of the same record is parked");
                parked::park(db, at, &Parked { state: ParkedState::Behind, reason, ..parked.clone() })?;
            }
            note(db, actor, "release", at, &parked.event.id.to_string())?;
            Ok(Ok(()))
        })?,
        Operation::Hold { which } => each(db, which, &mut report, |at, parked| {
            if parked.state == ParkedState::Dead {
                return refuse("is a dead letter; it stands still as it is");
            }
            hold(db, at, parked.clone())?;
            note(db, actor, "hold", at, &parked.event.id.to_string())?;
            Ok(Ok(()))
        })?,
        Operation::HoldQueued { connector, log, event } => {
            hold_queued(db, connector, log, event, actor, &mut report)?;
        }
        Operation::Discard { which } => {
            each(db, which, &mut report, |at, parked| {
                parked::end(db, at, &parked.event, clock::steady())?;
                counter::add(db, at, Counter::Discarded, 1)?;
                note(db, actor, "discard", at, &parked.event.id.to_string())?;
                Ok(Ok(()))
            })?;
            give_up_bad(db, which, actor, &mut report)?;
        }
    }
    Ok(report)
}

/// Gives up what cannot be read of what comes in, where exactly that is chosen: nobody else says that it is over.
fn give_up_bad(db: &Db, which: &Selection, actor: &Actor, report: &mut Report) -> Sql<()> {
    let Selection { connector: Some(name), state: Some(state), kind: None, class, ids, .. } = which else {
        return Ok(());
    };
    let Some(known) = connector::find(db, name)?.filter(|_| state == Aside::Bad.as_str() && ids.is_empty()) else {
        return Ok(());
    };
    let mut given_up = 0_u64;
    for bad in item::list(db, known.id, Aside::Bad, "", usize::MAX)? {
        if class.as_ref().is_none_or(|class| *class == bad.reason.class) {
            given_up += u64::from(item::end(db, known.id, &bad.id)?);
        }
    }
    if given_up > 0 {
        let what = format!("{given_up} of what cannot be read");
        note(db, actor, "discard", known.id, &what)?;
        report.done.push(format!("{name}: {what}"));
    }
    Ok(())
}

/// Whether `retry` takes a delivery of this choice: a dead letter or a held one. What a person holds is meant only when
/// its id, its state or its class is named.
pub fn retryable(which: &Selection, parked: &Parked) -> bool {
    let named = !which.ids.is_empty() || which.state.is_some() || which.class.is_some();
    match parked.state {
        ParkedState::Dead => true,
        ParkedState::Held => named || &*parked.reason.class != OPERATOR,
        ParkedState::Waiting | ParkedState::Behind => false,
    }
}

/// The class of what a person holds.
const OPERATOR: &str = "operator";

type Checked = Sql<Result<(), No>>;

/// Why a delivery is left as it is.
struct No {
    why: String,
    /// A person is told although a filter chose it: they have to decide.
    aloud: bool,
}

fn refuse(why: impl Into<String>) -> Checked {
    Ok(Err(No { why: why.into(), aloud: false }))
}

fn refuse_aloud(why: impl Into<String>) -> Checked {
    Ok(Err(No { why: why.into(), aloud: true }))
}

fn each(
    db: &Db,
    which: &Selection,
    report: &mut Report,
    mut work: impl FnMut(ConnectorId, &Parked) -> Checked,
) -> Sql<()> {
    let names: Vec<(ConnectorId, String)> =
        connector::all(db)?.into_iter().map(|known| (known.id, known.name)).collect();
    for (at, parked) in parked::select(db, which)? {
        let name = names.iter().find(|(id, _)| *id == at).map_or("?", |(_, name)| name);
        let subject = format!("{name} {}", parked.event.id);
        match work(at, &parked)? {
            Ok(()) => report.done.push(subject),
            // A filter chooses what fits; only what was named by its id is owed an answer.
            Err(No { aloud: false, .. }) if which.ids.is_empty() => {}
            Err(No { why, .. }) => report.refused.push(Refused { subject, why }),
        }
    }
    Ok(())
}

/// Parks an event that no attempt was begun for yet. The worker leaves it alone once it is told.
fn hold_queued(db: &Db, name: &str, log_name: &str, copy: &str, actor: &Actor, report: &mut Report) -> Sql<()> {
    let event = BASE64_STANDARD.decode(copy).ok().and_then(|bytes| image::decode_event(&bytes).ok());
    let subject = format!("{name} {}", event.as_ref().map_or(String::new(), |event| event.id.to_string()));
    let mut refuse = |why: &str| report.refused.push(Refused { subject: subject.clone(), why: why.to_owned() });
    let Some((known, log)) = connector::find(db, name)?.zip(log::find(db, log_name)?) else {
        refuse("no such connector has read this log");
        return Ok(());
    };
    let Some(event) = event else {
        refuse("the event cannot be read");
        return Ok(());
    };
    let passed = cursor::get(db, known.id, log)?.is_some_and(|at| at.seq >= event.seq());
    if passed || !attempt::of_event(db, known.id, log, event.id)?.is_empty() {
        refuse("is not queued any more");
        return Ok(());
    }
    let id = event.id.to_string();
    let reason = Reason::new(OPERATOR, "held by a person");
    hold(db, known.id, Parked::new(event, log, ParkedState::Held, reason, clock::now()))?;
    note(db, actor, "hold", known.id, &id)?;
    report.done.push(subject);
    Ok(())
}

fn release(db: &Db, at: ConnectorId, parked: &Parked) -> Sql<()> {
    let now = clock::steady();
    // What the other side has refused is read and tried as often again.
    let key = String::from_utf8_lossy(&json::value(&Value::Map(parked.event.key.clone()))).into_owned();
    lately::forget(db, at, Lately::Refused, &parked.event.kind, &key)?;
    parked::park(
        db,
        at,
        &Parked {
            state: ParkedState::Waiting,
            due: Some(now),
            attempts: 0,
            first_attempt: None,
            since: clock::now(),
            ..parked.clone()
        },
    )
}

fn hold(db: &Db, at: ConnectorId, parked: Parked) -> Sql<()> {
    let reason = Reason::new(OPERATOR, "held by a person");
    parked::park(db, at, &Parked { state: ParkedState::Held, due: None, since: clock::now(), reason, ..parked })
}

fn set_mode(db: &Db, name: &str, mode: Mode, verb: &str, actor: &Actor, report: &mut Report) -> Sql<()> {
    match connector::find(db, name)? {
        Some(known) => {
            connector::set_mode(db, known.id, mode, None, clock::now())?;
            note(db, actor, verb, known.id, name)?;
            report.done.push(name.to_owned());
        }
        None => report.refused.push(Refused { subject: name.to_owned(), why: "no such connector".to_owned() }),
    }
    Ok(())
}

fn note(db: &Db, actor: &Actor, verb: &str, at: ConnectorId, subject: &str) -> Sql<()> {
    let now: Timestamp = clock::now();
    let act =
        Act { actor: &actor.name, verb, connector: Some(at), subject: Some(subject), reason: actor.reason.as_deref() };
    act::record(db, &act, now)
}
