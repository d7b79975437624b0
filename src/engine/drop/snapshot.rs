//! `extract: snapshot`: a file has every record that stands in the tables at the cut.
//!
//! What stands there is known from the log: of each record the last change that was gathered is kept, a deleted one is
//! forgotten. So the file is that of one moment, the cut, and no long read of the application's tables is needed.

use super::ask::{Verdicts, judged};
use super::cut::{MOST_HELD, Wrong};
use super::scale::Scale;
use super::{Drop, entry};
use crate::event::Op;
use crate::format::feed::Row;
use crate::rules::coalesce::Action;
use crate::store::state::drops::change::{self, Change};
use crate::store::state::drops::{DropFile, member};
use crate::store::state::{ConnectorId, Db, Sql, parked};

/// Records looked at at once.
const CHUNK: usize = 1000;

/// The lines of every record; and what cannot be encoded.
pub(super) fn all(
    db: &Db,
    drop: &Drop,
    connector: ConnectorId,
    file: &DropFile,
    (scale, verdicts): (&mut Scale<'_>, Option<&Verdicts>),
) -> Sql<(u64, Wrong)> {
    change::each_record(db, connector, file.id, |key, changes| match changes.last() {
        Some(last) if last.op == Op::Delete => member::mirror(db, connector, key, None),
        Some(last) => member::mirror(db, connector, key, Some((last.log, &last.event))),
        None => Sql::Ok(()),
    })?;
    let (mut count, mut ordinal, mut wrong) = (0_u64, 0_i64, Vec::new());
    let mut after: Option<String> = None;
    loop {
        let records = member::mirrored(db, connector, after.as_deref(), CHUNK)?;
        let Some((last, ..)) = records.last() else { return Ok((count, wrong)) };
        after = Some(last.clone());
        for (key, log, event) in records {
            ordinal += 1;
            let action = Action::Add.as_str();
            let id = event.id;
            let line = drop.subscription.clear(&event, &[]).and_then(|cleared| {
                let record = judged(drop, &event, cleared, verdicts)?;
                scale.weigh(ordinal, &Row { record: &record, action, ordinal: 1 })?;
                scale.keep();
                Ok(record)
            });
            let change = Change { id, half: 0, key: key.clone(), ordinal, log, op: event.op, event };
            match line {
                Ok(record) => {
                    member::add(db, file.id, ordinal, (&id.to_string(), &key, action), &record)?;
                    count += 1;
                    if let Some(before) = parked::find(db, connector, &id.to_string())? {
                        entry::along(db, connector, &before)?;
                        change::take_over(db, connector, file.id, std::slice::from_ref(&change))?;
                        parked::end(db, connector, &change.event, crate::clock::steady())?;
                    }
                }
                Err(reason) if wrong.len() as u64 <= MOST_HELD => wrong.push((reason, vec![change])),
                Err(_) => {}
            }
        }
    }
}
