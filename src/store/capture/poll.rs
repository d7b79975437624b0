//! Polling: is the file still the one we knew, and is capture still complete?

use std::collections::BTreeMap;

use rusqlite::OptionalExtension;
use serde::{Deserialize, Serialize};

use super::catalogue::{Catalogue, Epoch};
use super::fault::Result;
use super::install::{State, over};
use super::{CapturedLog, OWN_TABLES};
use crate::event::EventId;

/// A consumed row that must still be there: the proof that the file was not restored from a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    /// Its position.
    pub seq: i64,
    /// First 32 bits of its nonce.
    pub nonce: u32,
}

impl From<EventId> for Witness {
    fn from(id: EventId) -> Witness {
        Witness { seq: id.seq, nonce: id.nonce }
    }
}

/// What the agent knew of a log when it last looked; the state store keeps it. After a group of intents is
/// committed, set `witness` to the highest event in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The epoch then.
    pub epoch: Epoch,
    /// The highest row that any committed intent has used; never pruned.
    pub witness: Option<Witness>,
    /// Uncaptured changes by table id, as far as they were healed.
    #[serde(default)]
    pub lost: BTreeMap<i64, i64>,
    /// What was found and is not made good yet: it must outlive the process that found it, because the finding itself is
    /// gone once capture is repaired.
    #[serde(default, skip_serializing_if = "Heal::is_empty")]
    pub heal: Heal,
}

/// What the reconciler is to do, or has done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heal {
    /// Tables whose changes may have been missed.
    pub tables: Vec<String>,
    /// The file is another than before: the shadow stays as it is and the log counts from its end.
    pub anew: bool,
    /// With `anew`: the highest event of the old file that any target may have been told.
    #[serde(default)]
    pub told: i64,
    /// With `anew`: up to there every connector had settled the old log. What the shadow knows beyond that is owed.
    #[serde(default)]
    pub passed: i64,
}

impl Heal {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty() && !self.anew
    }

    /// Takes in what else is to be done.
    pub fn add(&mut self, table: &str) {
        if !self.tables.iter().any(|known| known == table) {
            self.tables.push(table.to_owned());
        }
    }

    /// The file is another; of the old log, what lies above `passed` may be owed, and up to `told` may have been told.
    pub fn begin_anew(&mut self, told: i64, passed: i64) {
        self.passed = if self.anew { self.passed.min(passed) } else { passed };
        (self.anew, self.told) = (true, self.told.max(told));
    }

    /// Takes out what was done.
    pub fn remove(&mut self, done: &Heal) {
        self.tables.retain(|table| !done.tables.contains(table));
        self.anew &= !done.anew;
        if !self.anew {
            (self.told, self.passed) = (0, 0);
        }
    }
}

/// Something that [`CapturedLog::poll`] found and [`CapturedLog::repair`] can answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The path names no file any more.
    FileGone,
    /// The path names another file than the one that is open.
    FileReplaced,
    /// Some of our tables are gone: the application's writes fail.
    OwnTablesGone {
        /// Which.
        missing: Vec<String>,
    },
    /// The file's epoch is not the one we knew: restored, replaced, or taken over.
    EpochDiffers {
        /// The epoch in the file.
        found: Epoch,
    },
    /// The witness is not in the log: the file was restored from an older copy, or the log was tampered with.
    WitnessGone {
        /// Its position.
        seq: i64,
    },
    /// Another row stands at the witness's position.
    WitnessDiffers {
        /// Its position.
        seq: i64,
    },
    /// Triggers of a table are missing (a rebuild of the table took them).
    TriggersMissing {
        /// The table.
        table: String,
    },
    /// A trigger, or the table beneath it, was changed.
    TableChanged {
        /// The table.
        table: String,
    },
    /// The table is gone. Its records are not deleted anywhere: that is the operator's decision.
    TableDropped {
        /// The table.
        table: String,
    },
    /// The table has another name now.
    TableRenamed {
        /// As it was.
        table: String,
        /// As it is.
        now: String,
    },
    /// The table can no longer be captured (its key is gone, a watched column is gone).
    TableRefused {
        /// The table.
        table: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A pause is over.
    PauseOver {
        /// The table.
        table: String,
    },
    /// The log was full: changes were counted, not kept.
    Overflow {
        /// The table's id.
        tid: i64,
        /// The table.
        table: String,
        /// How many since last healed.
        lost: i64,
    },
    /// `seq` nears the end of its range.
    SeqHigh {
        /// The highest position.
        seq: i64,
    },
}

impl Finding {
    /// Whether it may mean that another file, or a copy that is being made, stands in the place of the one that was open.
    pub fn is_another_file(&self) -> bool {
        match self {
            Finding::EpochDiffers { .. } | Finding::WitnessGone { .. } | Finding::WitnessDiffers { .. } => true,
            Finding::OwnTablesGone { missing } => missing.len() == OWN_TABLES.len(),
            _ => false,
        }
    }

    /// The table that is compared once this was answered, where answering it leaves no trace of it: what may have been
    /// missed must be known before capture is repaired.
    pub fn missed(&self) -> Option<&str> {
        match self {
            Finding::TriggersMissing { table } | Finding::TableChanged { table } | Finding::PauseOver { table } => {
                Some(table)
            }
            Finding::TableRenamed { now, .. } => Some(now),
            _ => None,
        }
    }
}

/// From here on positions run out: every INSERT of the application would fail at 2^63 - 1.
const SEQ_HIGH: i64 = 1 << 62;

impl CapturedLog {
    /// What there is to know of the log now, with the row at `witness` (the highest used position) as witness.
    pub fn seen(&mut self, witness: Option<i64>) -> Result<Seen> {
        self.reading("look at the log", |log| {
            log.need_own_tables()?;
            log.catalogue = Catalogue::load(&log.conn)?;
            let nonce = match witness {
                Some(seq) => log.nonce(seq)?.map(|nonce| Witness { seq, nonce }),
                None => None,
            };
            Ok(Seen {
                epoch: log.catalogue.epoch().unwrap_or(Epoch([0; 16])),
                witness: nonce,
                lost: log.lost()?,
                heal: Heal::default(),
            })
        })
    }

    /// Looks whether anything happened to the file that capture must answer: in one read transaction, a few
    /// microseconds when nothing did.
    pub fn poll(&mut self, last: &Seen) -> Result<Vec<Finding>> {
        match self.same_file()? {
            None => return Ok(vec![Finding::FileGone]),
            Some(false) => return Ok(vec![Finding::FileReplaced]),
            Some(true) => {}
        }
        self.reading("look at the log", |log| {
            let schema: i64 = log.conn.prepare_cached("PRAGMA main.schema_version")?.query_row([], |row| row.get(0))?;
            let moved = log.schema_seen != Some(schema);
            if moved {
                let own = log.own_tables()?;
                let missing: Vec<String> =
                    OWN_TABLES.iter().map(|name| (*name).to_owned()).filter(|name| !own.contains(name)).collect();
                if !missing.is_empty() {
                    return Ok(vec![Finding::OwnTablesGone { missing }]);
                }
            }
            let control: bool = log
                .conn
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM main.hms_sync_ctl WHERE id = 1)")?
                .query_row([], |row| row.get(0))?;
            if !control {
                return Ok(vec![Finding::OwnTablesGone { missing: vec!["the row of hms_sync_ctl".to_owned()] }]);
            }
            log.refresh_catalogue()?;
            let mut findings = log.identity(last)?;
            // Whoever goes first answers for what others have seen.
            if let Some(hold) = log.hold.as_ref().filter(|hold| log.first.is_some() && !hold.is_over())
                && let Some(seq) = hold.doubted()
                && findings.is_empty()
            {
                findings = vec![Finding::WitnessDiffers { seq }];
            }
            if findings.is_empty() {
                findings = log.overflow(last)?;
            }
            if moved || log.catalogue.entries.values().any(|entry| entry.paused_until.is_some()) {
                let tables = log.tables()?;
                if tables.is_empty() {
                    log.schema_seen = Some(schema);
                }
                findings.extend(tables);
            }
            Ok(findings)
        })
    }

    /// Epoch, witness, range.
    fn identity(&self, last: &Seen) -> Result<Vec<Finding>> {
        match self.catalogue.epoch() {
            Some(found) if found != last.epoch => return Ok(vec![Finding::EpochDiffers { found }]),
            None => return Ok(vec![Finding::EpochDiffers { found: Epoch([0; 16]) }]),
            Some(_) => {}
        }
        if let Some(Witness { seq, nonce }) = last.witness {
            match self.nonce(seq)? {
                None => return Ok(vec![Finding::WitnessGone { seq }]),
                Some(found) if found != nonce => return Ok(vec![Finding::WitnessDiffers { seq }]),
                Some(_) => {}
            }
        }
        let seq: i64 = self
            .conn
            .prepare_cached("SELECT ifnull(max(seq), 0) FROM main.hms_sync_outbox")?
            .query_row([], |row| row.get(0))?;
        Ok(if seq > SEQ_HIGH { vec![Finding::SeqHigh { seq }] } else { Vec::new() })
    }

    pub(super) fn nonce(&self, seq: i64) -> Result<Option<u32>> {
        let nonce: Option<Vec<u8>> = self
            .conn
            .prepare_cached("SELECT nonce FROM main.hms_sync_outbox WHERE seq = ?1")?
            .query_row([seq], |row| row.get(0))
            .optional()?;
        Ok(nonce.and_then(|nonce| Some(u32::from_be_bytes(nonce.get(..4)?.try_into().ok()?))))
    }

    fn overflow(&self, last: &Seen) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        for (tid, lost) in self.lost()? {
            let new = lost - last.lost.get(&tid).copied().unwrap_or(0);
            if let (true, Some(entry)) = (new > 0, self.catalogue.entries.get(&tid)) {
                findings.push(Finding::Overflow { tid, table: entry.spec.table.clone(), lost: new });
            }
        }
        Ok(findings)
    }

    fn tables(&self) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        for (tid, entry) in self.catalogue.entries.iter().filter(|(_, entry)| entry.watched) {
            let table = entry.spec.table.clone();
            findings.push(match self.state(*tid, entry)? {
                State::Paused(until) if over(until) => Finding::PauseOver { table },
                State::Ok | State::Paused(_) => continue,
                State::Missing => Finding::TriggersMissing { table },
                State::Changed => Finding::TableChanged { table },
                State::Dropped => Finding::TableDropped { table },
                State::Renamed(now) => Finding::TableRenamed { table, now },
                State::Refused(reason) => Finding::TableRefused { table, reason },
            });
        }
        Ok(findings)
    }
}
