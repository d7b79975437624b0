//! Taking up what an earlier run left: cursors, parked lanes, open intents, breaker, mode, schedule.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use foldhash::{HashMap, HashSet};

use super::{Log, Mailbox, Message, Parts, Summary, Worker};
use crate::clock::{self, Timestamp};
use crate::engine::chains::Chains;
use crate::engine::connector::Pace;
use crate::engine::lanes::Lanes;
use crate::engine::ledger::LedgerError;
use crate::engine::links::Kept as Links;
use crate::engine::source::SourceError;
use crate::engine::window::Window;
use crate::rules::brake::Brake;
use crate::rules::breaker::{Breaker, Opened};
use crate::rules::classify::LONGEST_WAIT;
use crate::rules::retry::Streak;
use crate::store::state::attempt::{self, Settled, Word};
use crate::store::state::connector::{self, Mode};
use crate::store::state::{StateError, StateReader, act, amended, cursor, note, parked, set_note};

/// Reasons of this kind are tried again by themselves when the configuration has changed.
const CONFIGURED: [&str; 8] =
    ["mapping", "encoding", "template", "gate", "where", "delete-rule", "push", parked::ONLY_READS];

/// Why a worker cannot start.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The state file.
    #[error(transparent)]
    State(#[from] StateError),
    /// Its writer.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A log.
    #[error(transparent)]
    Source(#[from] SourceError),
}

pub(super) fn worker(mut parts: Parts, mailbox: Mailbox, inbox: Receiver<Message>) -> Result<Worker, WorkerError> {
    let connector = parts.connector.clone();
    let now = clock::steady();
    let mut begins = Vec::new();
    for (log, source) in &mut parts.sources {
        let from = if connector.from_beginning {
            source.floor()?
        } else {
            let highest = source.highest()?;
            // Where a cursor begins must not be taken back: what comes in its place would lie below.
            source.make_durable(highest)?;
            highest
        };
        begins.push((*log, from));
    }
    let logs: Vec<_> = begins.iter().map(|(log, _)| *log).collect();
    let origin = connector.adapter.origin().to_owned();
    let (hash, text, name) = (connector.config_hash, connector.config.clone(), connector.name.clone());
    let latest = now.plus(connector.retry.max_backoff);
    let continue_on_dead = connector.continue_on_dead;
    let policy = connector.subscription.policy(connector.hook.as_deref());
    let kept = parts.ledger.call(move |state| {
        state.commit(|db| {
            let (known, new) = connector::remember(db, &name)?;
            let changed = !new && known.config_hash.is_some_and(|old| old != hash);
            connector::set_config(db, known.id, &hash, &text)?;
            connector::forget_breakers_but(db, known.id, &origin)?;
            connector::set_braked(db, known.id, 0)?;
            for (log, from) in &begins {
                cursor::begin(db, known.id, *log, *from)?;
            }
            parked::clamp_due(db, known.id, latest)?;
            parked::let_pass(db, known.id, continue_on_dead, now)?;
            let mut mode = known.mode;
            if changed {
                // Whoever changes the configuration wants to see it tried.
                connector::forget_hold(db, known.id)?;
                parked::release_classes(db, known.id, &CONFIGURED, now)?;
                if mode == Mode::Halted {
                    mode = Mode::Running;
                    connector::set_mode(db, known.id, mode, None, clock::now())?;
                }
                let subject = Some("configuration");
                let act =
                    act::Act { actor: "system", verb: "reload", connector: Some(known.id), subject, reason: None };
                act::record(db, &act, clock::now())?;
            }
            let policy_of = format!("policy/{}", known.id.0);
            let before = note(db, &policy_of)?;
            if before.as_ref() != Some(&policy) {
                // What the gate refused may leave now, or for another reason not.
                if before.is_some() && !changed {
                    parked::release_classes(db, known.id, &["gate"], now)?;
                    let subject = Some("governance");
                    let act =
                        act::Act { actor: "system", verb: "reload", connector: Some(known.id), subject, reason: None };
                    act::record(db, &act, clock::now())?;
                }
                set_note(db, &policy_of, &policy)?;
            }
            let mut cursors = Vec::new();
            let mut kept_amended = HashMap::default();
            let mut parked_ids = HashSet::default();
            let mut traces = HashMap::default();
            for log in &logs {
                let at = cursor::get(db, known.id, *log)?.unwrap_or_default();
                let left = attempt::traces(db, known.id, *log, known.settled)?;
                let unknown: Vec<Settled> =
                    left.iter().filter(|(_, trace)| trace.open).map(|(id, _)| unknown(*id)).collect();
                attempt::settle(db, known.id, *log, clock::now(), &unknown)?;
                for (id, frozen) in amended::all(db, known.id, *log)? {
                    kept_amended.insert(id, (*log, Some(frozen)));
                }
                cursors.push((*log, at));
                // What is parked carries what was sent for it in its own row.
                let mut above: HashSet<_> = parked::ids_above(db, known.id, *log, at.seq)?.into_iter().collect();
                above.extend(cursor::ahead(db, known.id, *log)?);
                traces.extend(left.into_iter().filter(|(id, _)| id.seq > at.seq && !above.contains(id)));
                parked_ids.extend(above);
            }
            let chains = Chains::of(parked::lanes(db, known.id, !continue_on_dead)?);
            let dead: HashSet<u64> = if continue_on_dead {
                parked::lanes(db, known.id, true)?
                    .into_iter()
                    .map(|(lane, ..)| lane)
                    .filter(|lane| !chains.holds(*lane))
                    .collect()
            } else {
                HashSet::default()
            };
            Ok(Kept {
                breaker: connector::breaker(db, known.id, &origin)?,
                hold: connector::hold(db, known.id, &origin)?,
                mac_key: crate::store::state::fact(db, "mac_key")?,
                last_attempt: attempt::last(db)?,
                mode,
                known,
                cursors,
                traces,
                amended: kept_amended,
                parked_ids,
                chains,
                dead,
            })
        })
    })?;
    if connector.adapter.identifies() {
        let reader = StateReader::open(parts.reader.path())?;
        connector.adapter.attach(Arc::new(Links::new(kept.known.id, reader)));
    }
    let first_probe = connector.retry.backoff;
    let breaker = match kept.breaker {
        Some(open) => Breaker::reopened(
            first_probe,
            Opened { at: open.opened, next_probe: open.next_probe, failures: open.failures, reason: open.reason },
            now,
        ),
        None => Breaker::new(first_probe),
    };
    let notify = {
        let mailbox = mailbox.clone();
        Arc::new(move || mailbox.tell(Message::Results))
    };
    let lanes = Lanes::new(&connector.name, connector.adapter.clone(), connector.concurrency, notify);
    let asking = super::ask::asking(&connector, &mailbox);
    let mut window = Window::default();
    let mut logs = Vec::new();
    for ((id, source), (_, at)) in parts.sources.into_iter().zip(kept.cursors) {
        window.begin(id, at.seq);
        logs.push(Log {
            id,
            source,
            exhausted: false,
            durable_to: i64::MIN,
            stored: at.seq,
            replay_to: at.replay_to,
            skipped: VecDeque::new(),
            upto: None,
        });
    }
    let (running, next_run) = first_run(&connector.pace, kept.known.last_run);
    let connector_batch = connector.batch.map_or(1, |batch| batch.max);
    let mode_reason = kept.known.reason.clone().filter(|_| kept.mode != Mode::Running);
    Ok(Worker {
        id: kept.known.id,
        config_hash: Arc::new(connector.config_hash),
        connector,
        ledger: parts.ledger,
        reader: parts.reader,
        rebuild: parts.rebuild,
        logs,
        window,
        lanes,
        asking,
        hook_down: None,
        hook_since: None,
        hook_failures: 0,
        amended: kept.amended,
        breaker,
        brake: Brake::default(),
        beat: parts.beat,
        synced: parts.synced,
        reading: parts.reading,
        versions: HashMap::default(),
        away: HashMap::default(),
        landing: Vec::new(),
        batch_landing: Vec::new(),
        to_read: HashSet::default(),
        next_beat: now,
        has_committed: false,
        failed_lane: None,
        streak: Streak::default(),
        mode: kept.mode,
        mode_reason,
        // A restart is a reason to look again.
        halt_probe: now,
        halt_keys: super::halt::Keys::default(),
        halt_tried: false,
        health: super::health::Health::default(),
        chains: kept.chains,
        dead_lanes: kept.dead,
        parked_ids: kept.parked_ids,
        traces: kept.traces,
        touched: HashSet::default(),
        next_due: None,
        pending: Vec::new(),
        settled: BTreeMap::new(),
        intents: BTreeMap::new(),
        counts: BTreeMap::new(),
        opening: Vec::new(),
        committing: Vec::new(),
        opening_requests: 0,
        committing_requests: 0,
        joined: HashMap::default(),
        answered: 0,
        size: super::joint::Size::of(connector_batch),
        called_back: HashSet::default(),
        batch: None,
        batch_touched: HashSet::default(),
        batch_refused: None,
        refusal_said: false,
        flow: 0,
        gather_until: None,
        last_attempt: kept.last_attempt,
        settled_mark: kept.known.settled,
        last_advance: Timestamp(0),
        // Noted under a clock that was wrong it is no longer than any target can ask for.
        hold_until: kept.hold.filter(|until| *until > now).map(|until| until.min(now.plus(LONGEST_WAIT))),
        next_send: now,
        source_pause: None,
        source_said: String::new(),
        next_run,
        running,
        mac_key: aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &kept.mac_key),
        dice: fastrand::Rng::new(),
        inbox,
        mailbox,
        stop_at: None,
        summary: Summary::default(),
    })
}

struct Kept {
    known: connector::Remembered,
    mode: Mode,
    breaker: Option<connector::OpenBreaker>,
    hold: Option<Timestamp>,
    mac_key: [u8; 32],
    last_attempt: i64,
    cursors: Vec<(crate::store::state::LogId, cursor::Cursor)>,
    traces: HashMap<crate::event::EventId, attempt::Trace>,
    amended: HashMap<crate::event::EventId, (crate::store::state::LogId, Option<Vec<u8>>)>,
    parked_ids: HashSet<crate::event::EventId>,
    chains: Chains,
    dead: HashSet<u64>,
}

/// The outcome line of an attempt that was under way when the agent was stopped.
fn unknown(id: crate::event::EventId) -> Settled {
    Settled::unanswered(id, Word::Unknown, "stopped")
}

/// Whether to run at once, and else when: a run that was missed while the agent was down is made up for.
fn first_run(pace: &Pace, last_run: Option<Timestamp>) -> (bool, Option<Timestamp>) {
    let Pace::Schedule(schedule) = pace else { return (true, None) };
    let wall = clock::now();
    let next = schedule.next_after(last_run.map_or(wall, |last| last.min(wall)));
    (false, next.map(|next| clock::steady().plus(next.since(wall))))
}

impl Worker {
    /// A log's positions are not what they were: what has not been sent yet is given up and read again from the cursor.
    pub(super) fn rewind(&mut self) {
        let id = self.id;
        for at in 0..self.logs.len() {
            let Some(log) = self.logs.get(at).map(|log| log.id) else { continue };
            let Ok(Some(cursor)) = self.reader.read(|db| cursor::get(db, id, log)) else { continue };
            self.window.restart(log, cursor.seq);
            if let Some(log) = self.logs.get_mut(at) {
                log.exhausted = false;
                log.durable_to = i64::MIN;
                log.stored = cursor.seq;
                log.replay_to = cursor.replay_to;
                log.skipped.clear();
                log.source.forget();
            }
        }
        self.traces.clear();
        self.reload();
    }
}
