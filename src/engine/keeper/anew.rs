//! Another file in the place of the one that was read last: where the connectors begin again.

use super::{Keeper, KeeperError};
use crate::clock;
use crate::event::Value;
use crate::store::state::act::{self, Act};
use crate::store::state::{attempt, connector, cursor, parked};

impl Keeper {
    /// The file is not the one that was read last. Each connector goes back to the last row that is certainly one it
    /// has had: what lies above is sent (again), under the keys that its rows have.
    pub(super) fn set_cursors_anew(&mut self) -> Result<(), KeeperError> {
        let id = self.id;
        let (lowest, highest) = (self.log.lowest_seq()?, self.log.highest_seq()?);
        let known = self.reader.read(connector::all)?;
        for connector in known {
            let at = connector.id;
            let Some(cursor) = self.reader.read(|db| cursor::get(db, at, id))? else { continue };
            let mut seq = cursor.seq.min(highest);
            while seq >= lowest {
                let event = self.log.event_at(seq)?;
                let had = match event {
                    Some(event) => self.reader.read(|db| attempt::of_event(db, at, id, event.id))?,
                    None => Vec::new(),
                };
                if !had.is_empty() {
                    break;
                }
                seq -= 1;
            }
            let seq = seq.max(lowest - 1).max(0);
            // What is parked and not in this file was lost with the other one. Sent later it would undo what the
            // comparison sends now: its place in the order is that of a log which is no more.
            let mut lost = Vec::new();
            for event in self.reader.read(|db| parked::ids_above(db, at, id, -1))? {
                if self.log.event_at(event.seq)?.is_none_or(|there| there.id != event)
                    && let Some(parked) = self.reader.read(|db| parked::find(db, at, &event.to_string()))?
                {
                    lost.push(parked.event);
                }
            }
            // The comparison takes them for told: of their records the target is told how they are now, first of all.
            for event in &lost {
                for key in std::iter::once(&event.key).chain(&event.old_key) {
                    let key: Vec<Value> = key.iter().map(|(_, value)| value.clone()).collect();
                    if let Err(error) = self.log.refresh_key(&event.kind, &key, Some(&connector.name)) {
                        log::warn!(connector:% = connector.name, event:% = event.id; "{}: the record of {} is not sent again: {error}", connector.name, event.id);
                    }
                }
            }
            let name = connector.name.clone();
            self.ledger.call(move |state| {
                state.commit(|db| {
                    for event in &lost {
                        parked::end(db, at, event, clock::steady())?;
                        let subject = event.id.to_string();
                        let act = Act {
                            actor: "system",
                            verb: "discard",
                            connector: Some(at),
                            subject: Some(&subject),
                            reason: Some("the application's file no longer has this change"),
                        };
                        act::record(db, &act, clock::now())?;
                        log::warn!(
                            "{name}: {} is discarded: the application's file no longer has this change",
                            event.id
                        );
                    }
                    cursor::put(db, at, id, seq)
                })
            })?;
        }
        Ok(())
    }
}
