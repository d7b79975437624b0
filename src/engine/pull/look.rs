//! What is known of the records of a page: the row, what both sides agreed on, and what the application did since.

use super::{Mapped, PullError, Site};
use crate::event::{Record, Value};
use crate::rules::conflict::Resolution;
use crate::rules::crossing::Crossings;
use crate::rules::outcome::Reason;
use crate::store::capture::{CapturedLog, Found};
use crate::store::state::conflict::Open;
use crate::store::state::pull::base::{self, Base};
use crate::store::state::pull::change::{self, Changes};
use crate::store::state::pull::item::{self, Aside};
use crate::store::state::pull::{lately, sent};
use crate::store::state::{ConnectorId, StateReader, conflict, pull};

/// Rows that are looked up in one read transaction.
const ROWS: usize = 200;

/// What is known of one record.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// Its key as JSON; empty = it is new and its table will give it one.
    pub id: String,
    /// Its key as the table holds it, or will.
    pub key: Vec<Value>,
    /// The shared columns as they are; none = there is no row.
    pub row: Option<Record>,
    /// The last agreement.
    pub base: Option<Base>,
    /// What the application did since.
    pub changes: Changes,
    /// What was sent and not seen again: the change, and the shared columns.
    pub sent: Vec<(i64, Record)>,
    /// Why it stands aside, if it does.
    pub aside: Option<(Aside, Reason)>,
    /// What crossed of it lately.
    pub crossings: Crossings,
    /// What of it waits for a person.
    pub open: Vec<Open>,
    /// What a person has decided about it.
    pub resolved: Vec<Resolution>,
}

/// Looks items up, with the end of the log before anything was looked at. `of` = the connector in the state file, if it is there.
pub(super) fn look(
    site: &Site,
    log: &mut CapturedLog,
    mut state: Option<(&mut StateReader, ConnectorId)>,
    table: &str,
    items: &[&Mapped],
) -> Result<(i64, Vec<Known>), PullError> {
    let mut keys: Vec<Vec<Value>> = items.iter().map(|item| item.key.clone().unwrap_or_default()).collect();
    if let Some((reader, of)) = &mut state {
        // What has no key of ours goes by its name there.
        for (key, item) in keys.iter_mut().zip(items) {
            if let (true, Some(remote)) = (key.is_empty(), &item.remote) {
                let known = reader.read(|db| base::key_of(db, *of, &site.kind, remote))?;
                *key = known.and_then(|known| site.key_of(&known)).unwrap_or_default();
            }
        }
    }
    let (mut end, mut found): (Option<i64>, Vec<Option<Found>>) = (None, Vec::with_capacity(keys.len()));
    for some in keys.chunks(ROWS) {
        let (seq, rows) = log.rows_of(table, &site.columns, some)?;
        end.get_or_insert(seq);
        found.extend(rows);
    }
    let mut known: Vec<Known> = Vec::with_capacity(keys.len());
    for (key, found) in keys.into_iter().zip(found) {
        let (key, row) = found.map_or((key, None), |found| (found.key, Some(found.row)));
        let id = if key.is_empty() { String::new() } else { site.identity(&key) };
        known.push(Known { id, key, row, ..Known::default() });
    }
    if let Some((reader, of)) = state {
        reader.read(|db| {
            let any = pull::any(db, of)?;
            for known in known.iter_mut().filter(|known| !known.id.is_empty()) {
                known.base = base::get(db, of, &site.kind, &known.id)?;
                if any.changes {
                    known.changes = change::of(db, of, &site.kind, &known.id)?;
                }
                if any.sent {
                    known.sent = sent::of(db, of, &site.kind, &known.id)?;
                }
                if any.aside {
                    known.aside = item::get(db, of, &known.id)?.map(|item| (item.state, item.reason));
                }
                if any.crossings {
                    known.crossings = lately::crossings(db, of, &site.kind, &known.id)?;
                }
                if any.conflicts {
                    known.open = conflict::open(db, of, &site.kind, &known.id)?;
                }
                if !known.open.is_empty() {
                    known.resolved = conflict::resolutions(db, of, &site.kind, &known.id)?;
                }
            }
            Ok(())
        })?;
    }
    Ok((end.unwrap_or(0), known))
}
