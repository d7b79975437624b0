//! Watching and unwatching tables: our tables, the triggers, and the catalogue, in one short transaction.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::Connection;

use super::catalogue::{self, Catalogue, Depth, Entry, Version, WatchSpec};
use super::fault::{CaptureError, Result};
use super::table::Table;
use super::trigger::{BITS, Plan, Triggers};
use super::{CapturedLog, schema};
use crate::clock::{self, Timestamp};

/// SQLite allows 2,000 columns; the log needs two for each captured one, and some of its own.
const MAX_COLUMNS: usize = 900;

/// What `install` did for one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// The table's name as declared.
    pub table: String,
    /// Its event type.
    pub kind: Arc<str>,
    /// The capture version that new rows carry.
    pub version: i64,
    /// False when everything was as asked already.
    pub changed: bool,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

/// What one table is to be watched by.
struct Wanted {
    tid: i64,
    entry: Entry,
    version: Version,
    triggers: Triggers,
    /// All of it is there already.
    current: bool,
    warnings: Vec<String>,
}

impl Wanted {
    fn installed(self) -> Installed {
        Installed {
            table: self.entry.spec.table,
            kind: self.version.kind,
            version: self.entry.ver,
            changed: false,
            warnings: self.warnings,
        }
    }
}

/// Whether a watched table's changes are captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// All triggers are there and current.
    Ok,
    /// Triggers are off on purpose until then.
    Paused(Option<Timestamp>),
    /// A trigger is missing.
    Missing,
    /// A trigger, or the table beneath it, was changed.
    Changed,
    /// The table is gone.
    Dropped,
    /// The table is called so now.
    Renamed(String),
    /// The table can no longer be captured.
    Refused(String),
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            State::Ok => f.write_str("ok"),
            State::Paused(Some(until)) => write!(f, "paused until {until}"),
            State::Paused(None) => f.write_str("paused"),
            State::Missing => f.write_str("triggers missing"),
            State::Changed => f.write_str("table or triggers changed"),
            State::Dropped => f.write_str("table dropped"),
            State::Renamed(now) => write!(f, "renamed to {now}"),
            State::Refused(why) => f.write_str(why),
        }
    }
}

/// One line of `watch --list`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// The table.
    pub table: String,
    /// Its event type.
    pub kind: Arc<str>,
    /// Key columns.
    pub key: Vec<Arc<str>>,
    /// Captured columns.
    pub columns: Vec<Arc<str>>,
    /// Columns that are not captured.
    pub excluded: Vec<String>,
    /// The capture version of new rows.
    pub version: i64,
    /// Whether capture works.
    pub state: State,
    /// How many changes were not captured because the log was full.
    pub lost: i64,
    /// What it was asked for.
    pub spec: WatchSpec,
}

impl CapturedLog {
    /// Watches tables: all of them or, on an error, none. A spec that is there already changes nothing; one that
    /// differs makes a new version, and rows captured before keep the names of theirs.
    ///
    /// # Errors
    /// [`CaptureError::Refused`] with the reason for a table that cannot be captured.
    pub fn install(&mut self, specs: &[WatchSpec]) -> Result<Vec<Installed>> {
        // Every start comes by here: it writes, and waits for the application's own writing, only when it must.
        let there = self.reading("look at the capture triggers", |log| log.there(specs))?;
        if let Some(there) = there {
            return Ok(there);
        }
        self.writing("install the capture triggers", |log| {
            log.create_tables()?;
            specs.iter().map(|spec| log.install_one(spec, false)).collect()
        })
    }

    /// Stops watching a table (by its name or event type) and drops its triggers. Rows already captured stay
    /// readable.
    pub fn uninstall(&mut self, table: &str) -> Result<()> {
        self.writing("remove the capture triggers", |log| {
            let (tid, mut entry) = log.entry(table)?;
            log.sweep_table(tid)?;
            log.drop_triggers(tid)?;
            entry.watched = false;
            entry.paused_until = None;
            log.save_entry(tid, &entry)
        })
    }

    /// Drops a table's triggers until `until` (or until [`CapturedLog::resume`]), so that the application can
    /// alter it. What happens meanwhile is found by reconcile.
    pub fn pause(&mut self, table: &str, until: Option<Timestamp>) -> Result<()> {
        self.writing("pause capture", |log| {
            let (tid, mut entry) = log.entry(table)?;
            log.sweep_table(tid)?;
            log.drop_triggers(tid)?;
            entry.paused_until = Some(until.map_or(i64::MAX, |until| until.0));
            log.save_entry(tid, &entry)
        })
    }

    /// Ends a pause. The caller reconciles the table.
    pub fn resume(&mut self, table: &str) -> Result<Installed> {
        self.writing("resume capture", |log| {
            let (_, entry) = log.entry(table)?;
            log.install_one(&entry.spec, true)
        })
    }

    /// All watched tables with the state of their capture.
    pub fn watched(&mut self) -> Result<Vec<Watched>> {
        self.reading("look at the capture triggers", |log| {
            if log.own_tables()?.is_empty() {
                return Ok(Vec::new());
            }
            log.refresh_catalogue()?;
            let lost = log.lost()?;
            let mut watched = Vec::new();
            for (tid, entry) in log.catalogue.entries.iter().filter(|(_, entry)| entry.watched) {
                let Some(version) = log.catalogue.current(*tid) else { continue };
                watched.push(Watched {
                    table: entry.spec.table.clone(),
                    kind: version.kind.clone(),
                    key: version.key.iter().filter_map(|slot| version.columns.get(*slot).cloned()).collect(),
                    columns: version.columns.to_vec(),
                    excluded: version.excluded.clone(),
                    version: entry.ver,
                    state: log.state(*tid, entry)?,
                    lost: lost.get(tid).copied().unwrap_or(0),
                    spec: entry.spec.clone(),
                });
            }
            Ok(watched)
        })
    }

    /// The watched table of this name or event type.
    pub(super) fn entry(&mut self, name: &str) -> Result<(i64, Entry)> {
        self.need_own_tables()?;
        self.refresh_catalogue()?;
        let of_kind = |(tid, entry): &(&i64, &Entry)| {
            entry.watched && self.catalogue.current(**tid).is_some_and(|version| &*version.kind == name)
        };
        let found = self
            .catalogue
            .entries
            .iter()
            .find(of_kind)
            .map(|(tid, entry)| (*tid, entry))
            .or_else(|| self.catalogue.by_table(name).filter(|(_, entry)| entry.watched));
        match found {
            Some((tid, entry)) => Ok((tid, entry.clone())),
            None => Err(CaptureError::Refused {
                table: name.to_owned(),
                reason: "is not watched; see `hms-sync watch --list`".to_owned(),
            }),
        }
    }

    /// Makes our tables in a file that has none. Some but not all of them is damage, and a repair's business.
    fn create_tables(&mut self) -> Result<()> {
        if self.own_tables()?.is_empty() {
            self.conn.execute_batch(schema())?;
            catalogue::put(&self.conn, "format", &catalogue::FORMAT)?;
            catalogue::new_epoch(&self.conn)?;
        }
        self.need_own_tables()?;
        self.catalogue = Catalogue::load(&self.conn)?;
        Ok(())
    }

    /// The tables as they are watched, when nothing is to be written for it. Call inside a transaction.
    fn there(&mut self, specs: &[WatchSpec]) -> Result<Option<Vec<Installed>>> {
        if self.own_tables()?.is_empty() {
            return Ok(None);
        }
        self.need_own_tables()?;
        self.catalogue = Catalogue::load(&self.conn)?;
        let mut there = Vec::new();
        for spec in specs {
            let wanted = self.wanted(spec)?;
            if !wanted.current {
                return Ok(None);
            }
            there.push(wanted.installed());
        }
        Ok(Some(there))
    }

    /// What one table is to be watched by. Call inside a transaction.
    fn wanted(&self, spec: &WatchSpec) -> Result<Wanted> {
        let table = Table::inspect(&self.conn, &spec.table, spec.key.as_deref())?;
        let columns = chosen(&table, spec)?;
        let known = self.catalogue.by_table(&table.name).map(|(tid, entry)| (tid, entry.clone()));
        let tid = known.as_ref().map_or_else(
            || self.catalogue.entries.keys().next_back().map_or(1, |highest| highest + 1),
            |(tid, _)| *tid,
        );
        let version = describe(&table, spec, &columns);
        let taken = |(other, entry): (&i64, &Entry)| {
            *other != tid
                && entry.watched
                && self.catalogue.current(*other).is_some_and(|current| current.kind == version.kind)
        };
        if self.catalogue.entries.iter().any(taken) {
            return Err(CaptureError::Refused {
                table: table.name,
                reason: format!("its event type {} is taken by another table; give it a name with `as:`", version.kind),
            });
        }
        let previous =
            known.as_ref().and_then(|(_, entry)| Some((entry.ver, self.catalogue.versions.get(&(tid, entry.ver))?)));
        let ver = match previous {
            Some((ver, previous)) if **previous == version => ver,
            Some((ver, _)) => ver + 1,
            None => known.as_ref().map_or(1, |(_, entry)| entry.ver + 1),
        };
        let triggers = Plan { table: &table, tid, ver, columns: &columns, ours: false }.triggers();
        let mut spec = spec.clone();
        spec.table.clone_from(&table.name);
        let entry = Entry { spec, ver, table_hash: catalogue::hash(&table.sql), paused_until: None, watched: true };
        let current = known.as_ref().is_some_and(|(_, known)| *known == entry)
            && present(&self.conn, tid)?.into_values().map(|(_, sql)| sql).eq(in_name_order(&triggers));
        Ok(Wanted { tid, entry, version, triggers, current, warnings: table.warnings })
    }

    /// Installs one table inside the caller's transaction. `anew` also when nothing seems to have changed.
    pub(super) fn install_one(&mut self, spec: &WatchSpec, anew: bool) -> Result<Installed> {
        let wanted = self.wanted(spec)?;
        let (tid, ver) = (wanted.tid, wanted.entry.ver);
        let changed = anew || !wanted.current;
        if changed {
            self.sweep_table(tid)?;
            widen(&self.conn, wanted.version.columns.len())?;
            self.drop_triggers(tid)?;
            for (_, sql) in &wanted.triggers {
                self.conn.execute_batch(sql)?;
            }
            self.conn.execute("INSERT OR IGNORE INTO main.hms_sync_lost (tid, n) VALUES (?1, 0)", [tid])?;
            catalogue::put_json(&self.conn, &format!("version/{tid}/{ver}"), &wanted.version)?;
            self.save_entry(tid, &wanted.entry)?;
        }
        Ok(Installed { changed, ..wanted.installed() })
    }

    pub(super) fn save_entry(&mut self, tid: i64, entry: &Entry) -> Result<()> {
        catalogue::put_json(&self.conn, &format!("table/{tid}"), entry)?;
        catalogue::touch(&self.conn)?;
        self.catalogue = Catalogue::load(&self.conn)?;
        Ok(())
    }

    pub(super) fn drop_triggers(&self, tid: i64) -> Result<()> {
        for name in present(&self.conn, tid)?.into_keys() {
            self.conn.execute_batch(&format!("DROP TRIGGER main.{name}"))?;
        }
        Ok(())
    }

    /// Compares what stands in the file with what would be installed now.
    pub(super) fn state(&self, tid: i64, entry: &Entry) -> Result<State> {
        if let Some(until) = entry.paused_until {
            return Ok(State::Paused((until != i64::MAX).then_some(Timestamp(until))));
        }
        let present = present(&self.conn, tid)?;
        let table = match Table::inspect(&self.conn, &entry.spec.table, entry.spec.key.as_deref()) {
            Ok(table) => table,
            Err(CaptureError::Refused { reason, .. }) => {
                let exists: bool = self.conn.query_row(
                    "SELECT EXISTS (SELECT 1 FROM main.sqlite_master WHERE type = 'table' AND name = ?1 COLLATE NOCASE)",
                    [&entry.spec.table],
                    |row| row.get(0),
                )?;
                let moved = present.values().next().map(|(table, _)| table.clone());
                return Ok(match moved {
                    _ if exists => State::Refused(reason),
                    Some(table) => State::Renamed(table),
                    None => State::Dropped,
                });
            }
            Err(error) => return Err(error),
        };
        let columns = match chosen(&table, &entry.spec) {
            Ok(columns) => columns,
            Err(CaptureError::Refused { reason, .. }) => return Ok(State::Refused(reason)),
            Err(error) => return Err(error),
        };
        let plan = Plan { table: &table, tid, ver: entry.ver, columns: &columns, ours: false };
        let expected: BTreeMap<String, String> = plan.triggers().into_iter().collect();
        let here = |name: &String| present.get(name).is_some_and(|(on, _)| on.eq_ignore_ascii_case(&table.name));
        if !expected.keys().all(here) {
            return Ok(State::Missing);
        }
        let same = present.len() == expected.len()
            && present.iter().all(|(name, (_, sql))| expected.get(name).is_some_and(|expected| expected == sql));
        let version = describe(&table, &entry.spec, &columns);
        let decodes = self.catalogue.current(tid).is_some_and(|current| **current == version);
        Ok(if same && decodes && catalogue::hash(&table.sql) == entry.table_hash { State::Ok } else { State::Changed })
    }

    /// Uncaptured changes by table id.
    pub(super) fn lost(&self) -> Result<BTreeMap<i64, i64>> {
        let mut list = self.conn.prepare_cached("SELECT tid, n FROM main.hms_sync_lost")?;
        let rows = list.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

/// Whether a pause is over.
pub(super) fn over(until: Option<Timestamp>) -> bool {
    until.is_some_and(|until| until <= clock::now())
}

/// Our triggers of a table id: name to (table, text).
pub(super) fn present(conn: &Connection, tid: i64) -> Result<BTreeMap<String, (String, String)>> {
    let mut list = conn.prepare_cached(
        "SELECT name, tbl_name, sql FROM main.sqlite_master
          WHERE type = 'trigger' AND name LIKE 'hms!_sync!_%' ESCAPE '!' AND substr(name, 13) = CAST(?1 AS TEXT)",
    )?;
    let rows = list.query_map([tid], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn in_name_order(triggers: &[(String, String)]) -> impl Iterator<Item = String> {
    let ordered: BTreeMap<&String, &String> = triggers.iter().map(|(name, sql)| (name, sql)).collect();
    ordered.into_values().cloned().collect::<Vec<_>>().into_iter()
}

/// The captured columns: those asked for and the key.
pub(super) fn chosen(table: &Table, spec: &WatchSpec) -> Result<Vec<usize>> {
    let refuse = |reason: String| CaptureError::Refused { table: table.name.clone(), reason };
    let find = |name: &String, setting: &str| {
        table.position(name).ok_or_else(|| {
            refuse(format!("has no column {name}, which `{setting}:` names{}", table.nearest_column(name)))
        })
    };
    let is_key = |at: &usize| table.key.iter().any(|key| key.at == *at);
    let mut wanted: Vec<usize> = match &spec.columns {
        Some(names) => names.iter().map(|name| find(name, "columns")).collect::<Result<_>>()?,
        None => (0..table.columns.len()).collect(),
    };
    for name in &spec.exclude {
        let at = find(name, "exclude")?;
        if is_key(&at) {
            return Err(refuse(format!("`exclude:` names {name}, which is part of the key")));
        }
        wanted.retain(|column| *column != at);
    }
    let columns: Vec<usize> = (0..table.columns.len())
        .filter(|at| is_key(at) || (spec.capture == Depth::Full && wanted.contains(at)))
        .collect();
    if columns.len() > MAX_COLUMNS {
        return Err(refuse(format!("has {} columns to capture, more than {MAX_COLUMNS}; name fewer", columns.len())));
    }
    Ok(columns)
}

fn describe(table: &Table, spec: &WatchSpec, columns: &[usize]) -> Version {
    let name = |at: &usize| table.name_of(*at);
    let excluded = (0..table.columns.len()).filter(|at| !columns.contains(at));
    Version {
        table: table.name.clone(),
        kind: spec.kind.as_deref().unwrap_or(&table.name).into(),
        columns: columns.iter().map(|at| name(at).into()).collect(),
        key: table.key.iter().filter_map(|key| columns.iter().position(|at| *at == key.at)).collect(),
        collations: table.key.iter().map(|key| key.collation.clone()).collect(),
        excluded: excluded.map(|at| name(&at).to_owned()).collect(),
        folds: table.key.iter().map(super::table::KeyColumn::fold).collect(),
    }
}

/// Adds the columns that a table of this many captured columns needs.
pub(super) fn widen(conn: &Connection, columns: usize) -> Result<()> {
    let (width, masks) = catalogue::width(conn)?;
    for at in width..columns {
        conn.execute_batch(&format!(
            "ALTER TABLE main.hms_sync_outbox ADD COLUMN c{at}; ALTER TABLE main.hms_sync_outbox ADD COLUMN p{at}"
        ))?;
    }
    for at in masks..columns.div_ceil(BITS) {
        conn.execute_batch(&format!("ALTER TABLE main.hms_sync_outbox ADD COLUMN m{at}"))?;
    }
    let have: i64 = conn.query_row(
        "SELECT count(*) FROM pragma_table_info('hms_sync_cand') WHERE name GLOB 'c[0-9]*'",
        [],
        |row| row.get(0),
    )?;
    for at in usize::try_from(have).unwrap_or(0)..columns {
        conn.execute_batch(&format!("ALTER TABLE main.hms_sync_cand ADD COLUMN c{at}"))?;
    }
    Ok(())
}
