//! The overflow valve of the intake log: what was posted and waits takes up to the cap, so that a target that is away for
//! months does not fill the disk. Beyond it nothing more is taken in. No posted event is ever given up for that: the application
//! has its rows still, but who posts an event may have nothing left of it.

use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::keeper::OVERFLOW_PART;
use crate::engine::need::Need;
use crate::store::state::{ConnectorId, Db, LogId, Sql, connector, cursor, intake, log as logs};

/// The valve; cheap to clone, and all clones know the same.
#[derive(Clone, Debug)]
pub struct Valve {
    log: LogId,
    connectors: Arc<[ConnectorId]>,
    cap: u64,
    stand: Arc<Mutex<Option<Fill>>>,
}

/// What waits has come near the cap, or reached it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fill {
    /// Bytes that wait.
    bytes: u64,
    cap: u64,
    /// Who is furthest behind; none = no connector is there at all.
    behind: Option<String>,
}

impl Fill {
    /// Nothing more is taken in.
    pub fn is_full(&self) -> bool {
        self.bytes >= self.cap
    }

    fn need(&self) -> Need {
        let so = if self.is_full() { "nothing more is taken in" } else { "soon nothing more is taken in" };
        let mend = match &self.behind {
            Some(name) => format!(
                "bring the target of `{name}` back, or take its file out of `connectors/`; or give `capture: {{cap:}}` more"
            ),
            None => "write a connector that listens to them, or give `capture: {cap:}` more".to_owned(),
        };
        Need { subject: logs::INTAKE.to_owned(), what: format!("{self}: {so}"), mend }
    }
}

impl std::fmt::Display for Fill {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let whom = match &self.behind {
            Some(name) => format!(" for `{name}`"),
            None => String::new(),
        };
        let Fill { bytes, cap, .. } = self;
        write!(f, "posted events of {bytes} bytes wait{whom}, and `capture: {{cap:}}` is {cap}")
    }
}

impl Valve {
    /// For a log that these connectors (and handlers) read, and so many bytes that may wait.
    pub fn new(log: LogId, connectors: Arc<[ConnectorId]>, cap: u64) -> Valve {
        Valve { log, connectors, cap, stand: Arc::default() }
    }

    /// Looks how much waits; some = nothing more is to be taken in. Two steps in the log's tree where the whole of it is small.
    ///
    /// # Errors
    /// The state file cannot be read.
    pub fn look(&self, db: &Db) -> Sql<Option<Fill>> {
        let soon = (self.cap as f64 * OVERFLOW_PART) as u64;
        let mut fill = None;
        if intake::bytes_after(db, 0)? >= soon {
            let mut behind: Option<(i64, ConnectorId)> = None;
            for id in self.connectors.iter() {
                let at = cursor::get(db, *id, self.log)?.map_or(0, |at| at.seq);
                behind = behind.filter(|(least, _)| *least <= at).or(Some((at, *id)));
            }
            let bytes = intake::bytes_after(db, behind.map_or(0, |(at, _)| at))?;
            if bytes >= soon {
                let known = connector::all(db)?;
                let behind = behind.and_then(|(_, id)| Some(known.into_iter().find(|known| known.id == id)?.name));
                fill = Some(Fill { bytes, cap: self.cap, behind: behind.map(|name| name.to_string()) });
            }
        }
        let mut stand = self.stand.lock().unwrap_or_else(PoisonError::into_inner);
        let was = stand.as_ref().is_some_and(Fill::is_full);
        stand.clone_from(&fill);
        let full = fill.filter(Fill::is_full);
        match (&full, was) {
            (Some(full), false) => log::error!("intake: {full}: nothing more is taken in"),
            (None, true) => log::warn!("intake: there is room again for what is posted"),
            _ => {}
        }
        Ok(full)
    }

    /// What a person should know of it, as it was when last looked.
    pub fn need(&self) -> Option<Need> {
        self.stand.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(Fill::need)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::event::{Record, Value};
    use crate::store::state::State;
    use crate::store::state::intake::{Message, put};

    fn post(db: &Db, text: usize) {
        let payload: Record = [("text", Value::Text("x".repeat(text).into()))].into_iter().collect();
        let message =
            Message { kind: "k", payload: &payload, lane_key: None, message: None, body_hash: [0; 32], to: None };
        put(db, &message, Timestamp(1)).unwrap();
    }

    #[test]
    fn what_waits_for_the_slowest_is_counted_whatever_was_pruned_and_however_large_each_is() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = State::open(&folder.path().join("state.db")).unwrap();
        state
            .commit(|db| {
                let log = logs::remember(db, logs::INTAKE)?;
                let (fast, slow) = (connector::remember(db, "fast")?.0.id, connector::remember(db, "slow")?.0.id);
                for id in [fast, slow] {
                    cursor::begin(db, id, log, 0)?;
                }
                let valve = Valve::new(log, [fast, slow].into(), 10_000);
                assert_eq!((valve.look(db)?, valve.need()), (None, None));
                post(db, 5000);
                (0..10).for_each(|_| post(db, 10));
                assert_eq!((valve.look(db)?, valve.need()), (None, None));
                post(db, 2000);
                assert_eq!(valve.look(db)?, None);
                let need = valve.need().unwrap();
                assert!(need.what.contains("soon nothing more"), "{need:?}");
                post(db, 3000);
                cursor::advance(db, fast, log, 13)?;
                let full = valve.look(db)?.unwrap();
                assert_eq!((full.behind.as_deref(), full.is_full()), (Some("slow"), true));
                assert!(valve.need().unwrap().mend.contains("`slow`"));
                // The large one is passed, and pruned.
                cursor::advance(db, slow, log, 1)?;
                assert_eq!((valve.look(db)?, valve.need()), (None, None));
                intake::prune(db, 2)?;
                let small = intake::bytes_after(db, 0)?;
                assert!((6000..8000).contains(&small), "{small}");
                assert_eq!((intake::bytes_after(db, 1)?, intake::bytes_after(db, 13)?), (small, 0));
                Ok(())
            })
            .unwrap();
    }

    #[test]
    fn where_nobody_reads_all_of_it_waits() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = State::open(&folder.path().join("state.db")).unwrap();
        state
            .commit(|db| {
                let valve = Valve::new(logs::remember(db, logs::INTAKE)?, [].into(), 5000);
                post(db, 6000);
                let full = valve.look(db)?.unwrap();
                assert!(full.to_string().contains("wait, and `capture: {cap:}` is 5000"), "{full}");
                Ok(())
            })
            .unwrap();
    }
}
