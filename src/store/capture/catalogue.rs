//! What `hms_sync_meta` holds: owner, epochs, watched tables, and the versions that decode captured rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::digest;
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::fault::{CaptureError, Result};
use super::table::fold;
use crate::rules::lane::Collation;

/// How much of a table is captured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Depth {
    /// The whole image (of the chosen columns), with old values.
    #[default]
    Full,
    /// The key only: the connector reads the rest itself.
    Key,
}

/// One line of `watch:`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchSpec {
    /// The table's name; SQLite finds it without case.
    pub table: String,
    /// `as`: the event type; default is the table's name.
    #[serde(default)]
    pub kind: Option<String>,
    /// Key columns in key order, unique and NOT NULL; default is the primary key.
    #[serde(default)]
    pub key: Option<Vec<String>>,
    /// The columns to capture, key columns always included; default is all.
    #[serde(default)]
    pub columns: Option<Vec<String>>,
    /// Columns not to capture; key columns cannot be excluded.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// How much to capture.
    #[serde(default)]
    pub capture: Depth,
}

impl WatchSpec {
    /// All columns of a table under its primary key.
    pub fn table(name: impl Into<String>) -> WatchSpec {
        WatchSpec { table: name.into(), ..WatchSpec::default() }
    }
}

/// A watched table's entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub spec: WatchSpec,
    /// The newest version.
    pub ver: i64,
    /// SHA-256 of the table's `sql` when the triggers were installed, hex.
    pub table_hash: String,
    /// Triggers are off on purpose until then (milliseconds since 1970), or until resumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_until: Option<i64>,
    /// False when unwatched: the entry stays, because rows of it may still be in the log.
    pub watched: bool,
}

/// What a captured row holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Version {
    pub table: String,
    pub kind: Arc<str>,
    /// Names of c0, c1...
    pub columns: Arc<[Arc<str>]>,
    /// Slots of the key, in key order.
    pub key: Vec<usize>,
    /// Collations of the key.
    pub collations: Vec<String>,
    /// Columns of the table that are not captured, for `watch --list`.
    #[serde(default)]
    pub excluded: Vec<String>,
    #[serde(skip)]
    pub folds: Vec<Collation>,
}

/// A log's epoch: random, made at install and whenever the file turns out to be another than we knew.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(#[serde(with = "hex")] pub [u8; 16]);

impl Epoch {
    /// The part that event ids show.
    pub fn short(self) -> u32 {
        let [a, b, c, d, ..] = self.0;
        u32::from_be_bytes([a, b, c, d])
    }
}

impl std::fmt::Display for Epoch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

impl std::fmt::Debug for Epoch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Epoch({self})")
    }
}

/// How our tables are laid out; another number means another version of the agent.
pub(super) const FORMAT: i64 = 1;

/// Bytes as lower-case hex.
pub(super) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 of a text, hex.
pub(super) fn hash(text: &str) -> String {
    to_hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
}

/// Fixed-size byte strings as hex in JSON.
pub(super) mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer, const N: usize>(bytes: &[u8; N], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&super::to_hex(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>, const N: usize>(from: D) -> Result<[u8; N], D::Error> {
        let text = String::deserialize(from)?;
        let digits = text.as_bytes();
        let mut bytes = [0; N];
        if digits.len() != 2 * N || !text.is_ascii() {
            return Err(D::Error::custom(format!("expected {} hex digits", 2 * N)));
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(D::Error::custom)?;
            *byte = u8::from_str_radix(pair, 16).map_err(D::Error::custom)?;
        }
        Ok(bytes)
    }
}

/// The catalogue as it was last read.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    pub entries: BTreeMap<i64, Entry>,
    pub versions: BTreeMap<(i64, i64), Arc<Version>>,
    /// (from seq, epoch), ascending.
    pub epochs: Vec<(i64, Epoch)>,
    pub owner: Option<String>,
    /// How many `c` (and `p`) and how many `m` columns the log has.
    pub width: usize,
    pub masks: usize,
    pub generation: i64,
}

impl Catalogue {
    /// Reads all of it; unknown entries are another version's business and are left alone.
    pub fn load(conn: &Connection) -> Result<Catalogue> {
        let mut catalogue = Catalogue::default();
        let mut statement = conn.prepare_cached("SELECT k, v FROM main.hms_sync_meta")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let key: String = row.get(0)?;
            let bad = |cause: String| CaptureError::Catalogue { entry: key.clone(), cause };
            let text = || row.get::<_, String>(1).map_err(|error| bad(error.to_string()));
            let number = |part: &str| part.parse::<i64>().map_err(|error| bad(error.to_string()));
            match key.split('/').collect::<Vec<_>>()[..] {
                ["format"] => {
                    let format: i64 = row.get(1).map_err(|error| bad(error.to_string()))?;
                    if format != FORMAT {
                        return Err(CaptureError::Format { found: format });
                    }
                }
                ["owner"] => catalogue.owner = Some(text()?),
                ["epoch", from] => {
                    let epoch = row.get(1).map_err(|error| bad(error.to_string()))?;
                    catalogue.epochs.push((number(from)?, Epoch(epoch)));
                }
                ["table", tid] => {
                    let entry = serde_json::from_str(&text()?).map_err(|error| bad(error.to_string()))?;
                    catalogue.entries.insert(number(tid)?, entry);
                }
                ["version", tid, ver] => {
                    let mut version: Version =
                        serde_json::from_str(&text()?).map_err(|error| bad(error.to_string()))?;
                    if version.key.iter().any(|slot| *slot >= version.columns.len()) {
                        return Err(bad("its key is not among its columns".to_owned()));
                    }
                    version.folds = version.collations.iter().map(|collation| fold(collation)).collect();
                    catalogue.versions.insert((number(tid)?, number(ver)?), Arc::new(version));
                }
                _ => {}
            }
        }
        catalogue.epochs.sort_unstable();
        (catalogue.width, catalogue.masks) = width(conn)?;
        catalogue.generation = generation(conn)?;
        Ok(catalogue)
    }

    /// The epoch that rows written now belong to.
    pub fn epoch(&self) -> Option<Epoch> {
        self.epochs.last().map(|(_, epoch)| *epoch)
    }

    /// The epoch of a row.
    pub fn epoch_of(&self, seq: i64) -> Option<Epoch> {
        let after = self.epochs.partition_point(|(from, _)| *from <= seq);
        self.epochs.get(after.checked_sub(1)?).map(|(_, epoch)| *epoch)
    }

    /// The entry of a table by its name.
    pub fn by_table(&self, table: &str) -> Option<(i64, &Entry)> {
        self.entries
            .iter()
            .find(|(_, entry)| entry.spec.table.eq_ignore_ascii_case(table))
            .map(|(tid, entry)| (*tid, entry))
    }

    /// The newest version of a table.
    pub fn current(&self, tid: i64) -> Option<&Arc<Version>> {
        self.versions.get(&(tid, self.entries.get(&tid)?.ver))
    }
}

/// Writes an entry of `hms_sync_meta`.
pub(super) fn put(conn: &Connection, key: &str, value: &impl rusqlite::ToSql) -> Result<()> {
    conn.execute("INSERT OR REPLACE INTO main.hms_sync_meta (k, v) VALUES (?1, ?2)", params![key, value])?;
    Ok(())
}

/// Writes an entry as JSON.
pub(super) fn put_json(conn: &Connection, key: &str, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string(value)
        .map_err(|error| CaptureError::Catalogue { entry: key.to_owned(), cause: error.to_string() })?;
    put(conn, key, &text)
}

/// Begins a new epoch after the highest row that the log ever held.
pub(super) fn new_epoch(conn: &Connection) -> Result<Epoch> {
    let bytes: [u8; 16] = conn.query_row("SELECT randomblob(16)", [], |row| row.get(0))?;
    let highest: i64 = conn.query_row("SELECT ifnull(max(seq), 0) FROM main.hms_sync_outbox", [], |row| row.get(0))?;
    let written: Option<i64> = conn
        .query_row("SELECT seq FROM main.sqlite_sequence WHERE name = 'hms_sync_outbox'", [], |row| row.get(0))
        .optional()?;
    let from = highest.max(written.unwrap_or(0)).saturating_add(1);
    // A log that was lost starts over at 1: later epochs of the old one mean nothing any more.
    conn.execute(
        "DELETE FROM main.hms_sync_meta WHERE k LIKE 'epoch/%' AND CAST(substr(k, 7) AS INTEGER) >= ?1",
        [from],
    )?;
    put(conn, &format!("epoch/{from}"), &bytes)?;
    touch(conn)?;
    Ok(Epoch(bytes))
}

/// Tells every reader to load the catalogue again. Every write of the catalogue ends with this.
pub(super) fn touch(conn: &Connection) -> Result<()> {
    conn.execute("INSERT OR IGNORE INTO main.hms_sync_meta (k, v) VALUES ('generation', 0)", [])?;
    conn.execute("UPDATE main.hms_sync_meta SET v = v + 1 WHERE k = 'generation'", [])?;
    Ok(())
}

/// The catalogue's generation, as [`touch`] counts it.
pub(super) fn generation(conn: &Connection) -> Result<i64> {
    let found = conn
        .prepare_cached("SELECT v FROM main.hms_sync_meta WHERE k = 'generation'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(found.unwrap_or(0))
}

/// How many `c` and `m` columns the log has now.
pub(super) fn width(conn: &Connection) -> Result<(usize, usize)> {
    let mut list = conn.prepare_cached("SELECT name FROM pragma_table_info('hms_sync_outbox')")?;
    let names: Vec<String> = list.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let count = |letter: char| {
        let slot = |name: &&String| name.strip_prefix(letter).is_some_and(|rest| rest.parse::<usize>().is_ok());
        names.iter().filter(slot).count()
    };
    Ok((count('c'), count('m')))
}
