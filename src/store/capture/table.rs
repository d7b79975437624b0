//! Inspection: what a table of the application is made of, and whether it can be captured.

use rusqlite::{Connection, OptionalExtension};

use super::fault::{CaptureError, Result};
use super::foreign::{Foreign, foreign_triggers};
use crate::rules::lane::Collation;
use crate::rules::nearest::nearest;

/// One column, in the table's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Name as declared.
    pub name: String,
    /// What its declared type does to values.
    pub affinity: Affinity,
    /// No affinity: 5 and 5.0 are kept apart here although SQLite finds them equal.
    pub untyped: bool,
    /// Takes digits as a number (INTEGER, REAL or NUMERIC affinity).
    pub numeric: bool,
    /// Declared NOT NULL.
    pub not_null: bool,
    /// Text of the DEFAULT.
    pub default: Option<String>,
    /// Computed by SQLite; never written.
    pub generated: bool,
}

/// One column of a key, and how the key's index compares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyColumn {
    /// Index into [`Table::columns`].
    pub at: usize,
    /// Name of the collation of the index.
    pub collation: String,
}

impl KeyColumn {
    /// The collation as lanes know it; one that the application brought itself counts as binary.
    pub fn fold(&self) -> Collation {
        fold(&self.collation)
    }

    /// False for a collation that only the application knows.
    pub fn known(&self) -> bool {
        self.fold() != Collation::Binary || self.collation.eq_ignore_ascii_case("BINARY")
    }
}

/// The lane's name for a collation.
pub(super) fn fold(collation: &str) -> Collation {
    match collation.to_ascii_uppercase().as_str() {
        "NOCASE" => Collation::NoCase,
        "RTRIM" => Collation::RTrim,
        _ => Collation::Binary,
    }
}

/// A table as it stands in the file now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Name as declared.
    pub name: String,
    /// All columns, generated ones too.
    pub columns: Vec<Column>,
    /// The key, in key order.
    pub key: Vec<KeyColumn>,
    /// The key is the rowid under its declared name (`INTEGER PRIMARY KEY`).
    pub rowid_key: bool,
    /// Unique keys beside the key: where REPLACE can remove another row.
    pub unique: Vec<Vec<KeyColumn>>,
    /// One of the unique keys is partial; its condition is dropped, which only makes more candidates.
    pub partial: bool,
    /// The statement that made it.
    pub sql: String,
    /// Rows of this table may be updated between a statement's BEFORE trigger and the end of its REPLACE, by
    /// foreign keys or triggers of the application: candidates must outlive such an inner update.
    pub nested: bool,
    /// A REPLACE can, by foreign keys, remove the very row that an UPDATE moves: then the row whose key it would
    /// have taken is gone too, and no AFTER trigger says so.
    pub cyclic: bool,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

impl Table {
    /// Looks at a table. `key` names columns that are unique and NOT NULL, for a table whose primary key is not
    /// to be used (or that has none).
    pub fn inspect(conn: &Connection, name: &str, key: Option<&[String]>) -> Result<Table> {
        let refuse = |reason: String| CaptureError::Refused { table: name.to_owned(), reason };
        if name.to_ascii_lowercase().starts_with("sqlite_") {
            return Err(refuse("is one of SQLite's own tables; watch a table of the application".to_owned()));
        }
        if name.to_ascii_lowercase().starts_with("hms_sync_") {
            return Err(refuse("belongs to the agent; watch a table of the application".to_owned()));
        }
        let found: Option<(String, String, String)> = conn
            .query_row(
                "SELECT m.name, m.type, ifnull(m.sql, '') FROM main.sqlite_master AS m
                  WHERE m.name = ?1 COLLATE NOCASE AND m.type IN ('table', 'view')",
                [name],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .optional()?;
        let Some((name, kind, sql)) = found else {
            return Err(refuse(absent(conn, name)?));
        };
        let shape: Option<String> = conn
            .query_row("SELECT type FROM pragma_table_list WHERE schema = 'main' AND name = ?1", [&name], |row| {
                row.get(0)
            })
            .optional()?;
        if kind == "view" {
            return Err(refuse("is a view, which cannot have AFTER triggers; watch the tables behind it".to_owned()));
        }
        match shape.as_deref() {
            Some("virtual") => {
                return Err(refuse("is a virtual table, which cannot have triggers; watch its source".to_owned()));
            }
            Some("shadow") => {
                return Err(refuse(
                    "is a shadow table of a virtual table; watch the virtual table's source".to_owned(),
                ));
            }
            _ => {}
        }
        let (columns, primary) = columns(conn, &name)?;
        let (indexes, refused) = unique_indexes(conn, &name)?;
        if let Some(index) = refused {
            return Err(refuse(format!(
                "has the unique index {index} on an expression; a row that REPLACE removes through it cannot be \
                 noticed; index a generated column instead"
            )));
        }
        // A single-column primary key without an index of its own is the rowid itself.
        let rowid = match primary[..] {
            [at] if !indexes.iter().any(|index| index.primary) => Some(at),
            _ => None,
        };
        let mut table = Table {
            columns,
            key: Vec::new(),
            rowid_key: false,
            unique: Vec::new(),
            partial: indexes.iter().any(|index| index.partial),
            sql,
            nested: false,
            cyclic: false,
            warnings: Vec::new(),
            name,
        };
        let mut keys: Vec<(Vec<KeyColumn>, bool)> =
            indexes.into_iter().map(|index| (index.columns, index.primary && !index.partial)).collect();
        if let Some(at) = rowid {
            keys.push((vec![KeyColumn { at, collation: "BINARY".to_owned() }], true));
        }
        let chosen = match key {
            Some(names) => table.configured_key(&keys, names, rowid).map_err(refuse)?,
            None => {
                let Some(at) = keys.iter().position(|(_, primary)| *primary) else {
                    return Err(refuse(format!(
                        "has no primary key; name columns that are unique and NOT NULL: \
                         `watch: {{{}: {{key: [COLUMN]}}}}`",
                        table.name
                    )));
                };
                // The order of PRIMARY KEY(b, a) is kept by `pk` and by the index alike.
                at
            }
        };
        let (mut key_columns, _) = keys.remove(chosen);
        if let Some(names) = key {
            key_columns.sort_by_key(|column| {
                names.iter().position(|name| name.eq_ignore_ascii_case(table.name_of(column.at)))
            });
        }
        table.rowid_key = matches!(key_columns[..], [KeyColumn { at, .. }] if rowid == Some(at));
        table.key = key_columns;
        table.unique = keys.into_iter().map(|(columns, _)| columns).collect();
        let foreign = foreign_triggers(conn)?;
        table.cyclic = cyclic(conn, &table, &foreign)?;
        table.nested = table.cyclic
            || foreign.iter().any(|trigger| trigger.on(&table.name) && (trigger.before || trigger.on_delete));
        table.warn(&foreign);
        Ok(table)
    }

    /// Whether two keys that SQLite finds equal are always the same key to the byte.
    pub fn exact_key(&self) -> bool {
        self.rowid_key
            || self.key.iter().all(|key| {
                key.collation.eq_ignore_ascii_case("BINARY") && self.columns.get(key.at).is_some_and(|c| !c.untyped)
            })
    }

    /// Name of a column; empty when there is none.
    pub fn name_of(&self, at: usize) -> &str {
        self.columns.get(at).map(|column| column.name.as_str()).unwrap_or_default()
    }

    /// Index of a column; SQLite compares names without case.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name))
    }

    fn configured_key(
        &self,
        keys: &[(Vec<KeyColumn>, bool)],
        names: &[String],
        rowid: Option<usize>,
    ) -> std::result::Result<usize, String> {
        let mut wanted = Vec::new();
        for name in names {
            let at = self
                .position(name)
                .ok_or_else(|| format!("has no column {name}, which `key:` names{}", self.nearest_column(name)))?;
            if self.columns.get(at).is_some_and(|column| !column.not_null) && rowid != Some(at) {
                return Err(format!("`key:` names {name}, which may be NULL; declare it NOT NULL"));
            }
            wanted.push(at);
        }
        wanted.sort_unstable();
        keys.iter()
            .position(|(columns, _)| {
                let mut has: Vec<usize> = columns.iter().map(|column| column.at).collect();
                has.sort_unstable();
                has == wanted
            })
            .ok_or_else(|| format!("`key:` names ({}), which no unique index covers exactly", names.join(", ")))
    }

    /// ` (did you mean x?)`, or nothing.
    pub(super) fn nearest_column(&self, name: &str) -> String {
        hint(name, self.columns.iter().map(|column| column.name.as_str()))
    }

    fn warn(&mut self, foreign: &[Foreign]) {
        for key in &self.key {
            let Some(column) = self.columns.get(key.at) else { continue };
            if !column.not_null && !self.rowid_key {
                self.warnings.push(format!(
                    "{}: key column {} may be NULL; rows without a key are held, not sent",
                    self.name, column.name
                ));
            }
            if !key.known() {
                self.warnings.push(format!(
                    "{}: key column {} compares by the application's own collation {}; two spellings of one key are \
                     not kept in order with each other",
                    self.name, column.name, key.collation
                ));
            }
        }
        let computed = self.unique.iter().flatten().any(|key| self.columns.get(key.at).is_some_and(|c| c.generated));
        if computed && self.columns.iter().any(|column| column.not_null && column.default.is_some()) {
            self.warnings.push(format!(
                "{}: a unique key holds a generated column; a row that OR REPLACE removes because a NULL became a \
                 DEFAULT is only found by reconcile",
                self.name
            ));
        }
        for trigger in foreign.iter().filter(|trigger| trigger.on(&self.name) && !trigger.before && trigger.silences) {
            self.warnings.push(format!(
                "{}: the application's trigger {} uses RAISE(IGNORE) or RAISE(FAIL) after the row was written; such \
                 a row can stay without an event, which only reconcile finds",
                self.name, trigger.name
            ));
        }
    }
}

struct Unique {
    primary: bool,
    partial: bool,
    columns: Vec<KeyColumn>,
}

fn columns(conn: &Connection, table: &str) -> Result<(Vec<Column>, Vec<usize>)> {
    let mut statement = conn
        .prepare("SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?1) ORDER BY cid")?;
    let mut rows = statement.query([table])?;
    let (mut columns, mut primary) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        let declared: String = row.get(1)?;
        let (pk, hidden): (i64, i64) = (row.get(4)?, row.get(5)?);
        if pk > 0 {
            primary.push((pk, columns.len()));
        }
        let affinity = affinity(&declared);
        columns.push(Column {
            name: row.get(0)?,
            affinity,
            untyped: affinity == Affinity::None,
            numeric: !matches!(affinity, Affinity::None | Affinity::Text),
            not_null: row.get(2)?,
            default: row.get(3)?,
            generated: hidden != 0,
        });
    }
    primary.sort_unstable();
    Ok((columns, primary.into_iter().map(|(_, at)| at).collect()))
}

/// What a declared type does to values (datatype3.html section 3.1; `ANY` does nothing in STRICT tables).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Affinity {
    /// Nothing.
    None,
    /// Numbers become text.
    Text,
    /// Text that is a number becomes one; whole numbers are integers.
    Integer,
    /// Text that is a number becomes one; integers become reals.
    Real,
    /// As `Integer`, of a declared type that names no number (`DATE`, `BOOLEAN`, `DECIMAL`).
    Numeric,
}

fn affinity(declared: &str) -> Affinity {
    let declared = declared.to_ascii_uppercase();
    let has = |part: &str| declared.contains(part);
    if has("INT") {
        Affinity::Integer
    } else if has("CHAR") || has("CLOB") || has("TEXT") {
        Affinity::Text
    } else if declared.is_empty() || has("BLOB") || declared == "ANY" {
        Affinity::None
    } else if has("REAL") || has("FLOA") || has("DOUB") {
        Affinity::Real
    } else {
        Affinity::Numeric
    }
}

/// The unique indexes, and the name of one on an expression, if there is one.
fn unique_indexes(conn: &Connection, table: &str) -> Result<(Vec<Unique>, Option<String>)> {
    let mut list =
        conn.prepare("SELECT name, origin, partial FROM pragma_index_list(?1) WHERE \"unique\" = 1 ORDER BY seq DESC")?;
    let mut info =
        conn.prepare("SELECT cid, ifnull(coll, 'BINARY') FROM pragma_index_xinfo(?1) WHERE key = 1 ORDER BY seqno")?;
    let found: Vec<(String, String, bool)> =
        list.query_map([table], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect::<rusqlite::Result<_>>()?;
    let mut indexes = Vec::new();
    for (name, origin, partial) in found {
        let mut columns = Vec::new();
        let mut rows = info.query([&name])?;
        while let Some(row) = rows.next()? {
            let cid: i64 = row.get(0)?;
            let Ok(at) = usize::try_from(cid) else { return Ok((indexes, Some(name))) };
            columns.push(KeyColumn { at, collation: row.get(1)? });
        }
        indexes.push(Unique { primary: origin == "pk", partial, columns });
    }
    Ok((indexes, None))
}

/// See [`Table::cyclic`]. A superset is harmless: it costs a few comparisons after statements that collide.
fn cyclic(conn: &Connection, table: &Table, foreign: &[Foreign]) -> Result<bool> {
    let acts = |action: &str| !matches!(action, "NO ACTION" | "RESTRICT");
    let mut list = conn.prepare(
        "SELECT m.name, f.\"table\", f.on_delete FROM main.sqlite_master AS m, pragma_foreign_key_list(m.name) AS f
          WHERE m.type = 'table'",
    )?;
    let mut rows = list.query([])?;
    let (mut parent, mut acted_on) = (false, false);
    while let Some(row) = rows.next()? {
        let (child, of, action): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        parent |= of.eq_ignore_ascii_case(&table.name) && acts(&action);
        acted_on |= child.eq_ignore_ascii_case(&table.name) && acts(&action);
    }
    Ok(parent && (acted_on || foreign.iter().any(|trigger| !trigger.on(&table.name) && trigger.mentions(&table.name))))
}

fn absent(conn: &Connection, name: &str) -> Result<String> {
    let mut list = conn.prepare(
        "SELECT name FROM main.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'
            AND name NOT LIKE 'hms!_sync!_%' ESCAPE '!' ORDER BY name",
    )?;
    let tables: Vec<String> = list.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    if tables.is_empty() {
        return Ok("does not exist; the database has no tables yet".to_owned());
    }
    Ok(format!("does not exist in this database{}", hint(name, tables.iter().map(String::as_str))))
}

/// ` (did you mean x?)` for the nearest of the names, if one is near.
fn hint<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> String {
    nearest(name, names).map_or_else(String::new, |candidate| format!(" (did you mean {candidate}?)"))
}
