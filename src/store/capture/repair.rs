//! Answering what polling found. The reconcile of the tables named in the answer is the caller's.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::catalogue::{self, Catalogue, Depth, Entry, Epoch, WatchSpec};
use super::fault::Result;
use super::hold::Hold;
use super::poll::Finding;
use super::table::Table;
use super::{Access, CapturedLog, OWN_TABLES, schema};

/// What a repair did, and what is left to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repair {
    /// Tables whose changes may have been missed: reconcile them now.
    pub reconcile: Vec<String>,
    /// A new epoch was begun: bases are dropped, cursors go to the highest position, `Seen` is taken anew.
    pub epoch: Option<Epoch>,
    /// A sentence for the audit trail.
    pub note: String,
}

impl CapturedLog {
    /// Does what a finding asks for. Afterwards take [`CapturedLog::seen`] anew.
    pub fn repair(&mut self, finding: &Finding) -> Result<Repair> {
        match finding {
            Finding::FileGone => Ok(note(format!("{} is gone; waiting for it to come back", self.path.display()))),
            Finding::FileReplaced => {
                self.reopen()?;
                Ok(note("the file was replaced by another; opened the new one".to_owned()))
            }
            Finding::OwnTablesGone { missing } => {
                let done = self.rebuild_own_tables(&missing.join(", "));
                self.schema_seen = None;
                done
            }
            Finding::EpochDiffers { .. } | Finding::WitnessGone { .. } | Finding::WitnessDiffers { .. } => self
                .writing("begin a new epoch", |log| {
                    log.need_own_tables()?;
                    let epoch = catalogue::new_epoch(&log.conn)?;
                    log.catalogue = Catalogue::load(&log.conn)?;
                    log.hold.iter().for_each(Hold::believe);
                    Ok(Repair {
                        reconcile: log.watched_tables(),
                        epoch: Some(epoch),
                        note: "the file is not the one that was read last (restored or replaced); a new epoch begins"
                            .to_owned(),
                    })
                }),
            Finding::TriggersMissing { table } => self.install_again(table, "triggers were missing and are back"),
            Finding::TableChanged { table } => self.install_again(table, "the table or its triggers were changed"),
            Finding::PauseOver { table } => self.install_again(table, "the pause is over"),
            Finding::TableRenamed { table, now } => self.writing("follow a renamed table", |log| {
                let (tid, mut entry) = log.entry(table)?;
                // The event type stays: connectors listen to it.
                entry.spec.kind.get_or_insert_with(|| table.clone());
                entry.spec.table.clone_from(now);
                log.save_entry(tid, &entry)?;
                log.install_one(&entry.spec, true)?;
                Ok(Repair {
                    reconcile: vec![now.clone()],
                    epoch: None,
                    note: format!("table {table} is now called {now}; its event type stays {table}"),
                })
            }),
            Finding::TableDropped { table } => Ok(note(format!(
                "table {table} was dropped; nothing is deleted at the targets; `hms-sync unwatch {table}` ends this"
            ))),
            Finding::TableRefused { table, reason } => Ok(note(format!("table {table} {reason}"))),
            Finding::Overflow { table, lost, .. } => Ok(Repair {
                reconcile: vec![table.clone()],
                epoch: None,
                note: format!("{lost} changes of {table} were not captured because the log was full"),
            }),
            Finding::SeqHigh { seq } => Ok(note(format!("the log has reached position {seq}; call for help"))),
        }
    }

    fn install_again(&mut self, table: &str, why: &str) -> Result<Repair> {
        let installed = self.resume(table)?;
        Ok(Repair {
            note: format!("table {}: {why}; version {}", installed.table, installed.version),
            reconcile: vec![installed.table],
            epoch: None,
        })
    }

    fn watched_tables(&self) -> Vec<String> {
        let watched = self.catalogue.entries.values().filter(|entry| entry.watched);
        watched.map(|entry| entry.spec.table.clone()).collect()
    }

    /// Makes the tables that are missing, with a new epoch. Without the catalogue, the triggers still say which
    /// tables were watched; rows of the log that nothing can decode any more are removed.
    fn rebuild_own_tables(&mut self, what: &str) -> Result<Repair> {
        if self.access == Access::Read {
            return Ok(note(format!("{what} missing")));
        }
        self.writing("repair our tables", |log| {
            let had = log.own_tables()?;
            let catalogue_stands = had.iter().any(|name| name == "hms_sync_meta");
            for name in OWN_TABLES.iter().filter(|name| !had.iter().any(|had| had == *name)) {
                if let Some(statement) = definition(name) {
                    log.conn.execute_batch(statement)?;
                }
            }
            log.conn.execute(
                "INSERT OR IGNORE INTO main.hms_sync_ctl VALUES (1, NULL, (SELECT ifnull(max(seq), 0) FROM main.hms_sync_outbox), 1000000, NULL)",
                [],
            )?;
            let mut undecodable = 0;
            let entries = if catalogue_stands {
                log.catalogue = Catalogue::load(&log.conn)?;
                log.catalogue.entries.clone()
            } else {
                catalogue::put(&log.conn, "format", &catalogue::FORMAT)?;
                log.catalogue = Catalogue::default();
                let found = entries_of_triggers(&log.conn)?;
                undecodable = log.conn.execute("DELETE FROM main.hms_sync_outbox", [])?;
                found
            };
            let epoch = catalogue::new_epoch(&log.conn)?;
            log.catalogue.entries.clone_from(&entries);
            for (tid, entry) in entries.iter().filter(|(_, entry)| entry.watched) {
                super::install::widen(&log.conn, log.catalogue.current(*tid).map_or(0, |version| version.columns.len()))?;
                log.conn.execute("INSERT OR IGNORE INTO main.hms_sync_lost (tid, n) VALUES (?1, 0)", [tid])?;
                if Table::inspect(&log.conn, &entry.spec.table, entry.spec.key.as_deref()).is_ok() {
                    log.install_one(&entry.spec, true)?;
                }
            }
            log.catalogue = Catalogue::load(&log.conn)?;
            Ok(Repair {
                reconcile: log.watched_tables(),
                epoch: Some(epoch),
                note: format!(
                    "our tables were damaged ({what}) and were made again; {undecodable} rows that nothing decodes any \
                     more were removed; a new epoch begins"
                ),
            })
        })
    }
}

/// The statement of `schema.sql` that makes one of our tables.
fn definition(table: &str) -> Option<&'static str> {
    let text = schema().get(schema().find(&format!("CREATE TABLE {table} "))?..)?;
    text.get(..text.find(';')?)
}

fn note(note: String) -> Repair {
    Repair { note, ..Repair::default() }
}

/// The watched tables as the triggers name them, when the catalogue is lost.
fn entries_of_triggers(conn: &Connection) -> Result<BTreeMap<i64, Entry>> {
    let mut list = conn.prepare(
        "SELECT CAST(substr(name, 13) AS INTEGER), tbl_name FROM main.sqlite_master
          WHERE type = 'trigger' AND name LIKE 'hms!_sync!_ai!_%' ESCAPE '!'",
    )?;
    let rows = list.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
    rows.map(|row| {
        let (tid, table) = row?;
        let ver: i64 =
            conn.query_row("SELECT ifnull(max(ver), 0) + 1 FROM main.hms_sync_outbox WHERE tid = ?1", [tid], |row| {
                row.get(0)
            })?;
        let spec = WatchSpec { table, capture: Depth::Full, ..WatchSpec::default() };
        Ok((tid, Entry { spec, ver, table_hash: String::new(), paused_until: None, watched: true }))
    })
    .collect()
}
