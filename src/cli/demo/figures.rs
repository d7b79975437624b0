//! The sums, and what stands aside: read where `status` reads it, from the agent's own files while it runs.

use std::collections::HashMap;

use crate::engine::report::{ConnectorStatus, connector_status};
use crate::event::{Record, Value};
use crate::store::capture::CapturedLog;
use crate::store::state::connector;
use crate::store::state::counter::{self, Counter};
use crate::store::state::parked::{self, ParkedState, Selection};
use crate::store::state::{StateError, StateReader};

use super::folder::CONNECTOR;

/// A delivery that is parked.
#[derive(Clone, Debug)]
pub struct Aside {
    /// How.
    pub state: ParkedState,
    /// Why, in a word.
    pub class: String,
}

/// The sums.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Changes that the clerk committed.
    pub committed: u64,
    /// Events in the outbox so far.
    pub captured: u64,
    /// Delivered.
    pub delivered: u64,
    /// Attempts that failed and were made again.
    pub retried: u64,
    /// Parked: due again.
    pub waiting: u64,
    /// Parked: behind an earlier change of the record.
    pub behind: u64,
    /// Parked: held.
    pub held: u64,
    /// Parked: dead letters.
    pub dead: u64,
    /// Dead letters that there ever were.
    pub died: u64,
    /// The endpoint is taken for down.
    pub down: bool,
    /// The connector does not run, and why.
    pub halted: Option<String>,
    /// What stands aside, by record; the first of each.
    pub aside: HashMap<i64, Aside>,
}

impl Figures {
    /// Everything that can be delivered now was delivered.
    pub fn is_settled(&self) -> bool {
        self.waiting == 0 && self.delivered + self.behind + self.held + self.dead >= self.committed
    }

    /// Everything was delivered.
    pub fn is_done(&self) -> bool {
        self.delivered >= self.committed
    }
}

/// Reads them.
pub fn figures(state: &mut StateReader, log: &CapturedLog, committed: usize) -> Result<Figures, StateError> {
    let mut figures = Figures { committed: committed as u64, ..Figures::default() };
    // A log that cannot be read now is read at the next frame.
    figures.captured = log.highest_seq().ok().and_then(|seq| u64::try_from(seq).ok()).unwrap_or_default();
    let found = state.read(|db| {
        let aside = parked::select(db, &Selection::default())?;
        let Some(known) = connector::find(db, CONNECTOR)? else { return Ok(None) };
        let died = counter::get(db, known.id, Counter::Dead)?;
        Ok(Some((known, aside, died)))
    })?;
    let Some((known, aside, died)) = found else { return Ok(figures) };
    figures.died = died;
    let ConnectorStatus { delivered, retried, waiting, behind, held, dead, down_since, mode, reason, .. } =
        connector_status(state, &known, &[], |_, _| None)?;
    figures.halted = (mode != "running").then(|| format!("{mode}: {}", reason.unwrap_or_default()));
    figures.down = down_since.is_some();
    (figures.delivered, figures.retried) = (delivered, retried);
    (figures.waiting, figures.behind, figures.held, figures.dead) = (waiting, behind, held, dead);
    for (_, delivery) in aside {
        let event = &delivery.event;
        for id in [Some(&event.key), event.old_key.as_ref()].into_iter().flatten().filter_map(number) {
            let aside = Aside { state: delivery.state, class: delivery.reason.class.clone().into_owned() };
            figures.aside.entry(id).or_insert(aside);
        }
    }
    Ok(figures)
}

fn number(key: &Record) -> Option<i64> {
    match key.get("id") {
        Some(Value::Integer(id)) => Some(*id),
        _ => None,
    }
}
