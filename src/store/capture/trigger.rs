//! The text of the capture triggers: the reference body of the specification, with old values, moves and
//! candidates that carry their image.
//!
//! It runs inside the application's own SQLite, which may be old: plain SELECT, INSERT, UPDATE, DELETE, `IS`,
//! `ifnull`, `max`, `changes`, `typeof`, CASE, and nothing newer. No name of the application ever stands in a
//! string literal, and no table of ours has a constraint that an outer `OR IGNORE` could turn into a lost event.
//!
//! What each row says was true when it was written: an image is selected from the table (not taken from NEW,
//! which is stale when a newer trigger already wrote the row), a delete is written only while the key is absent,
//! a move only while the old key is absent. So whatever order triggers fire in, the last row about a key tells
//! its final state.

use super::table::{KeyColumn, Table};

/// How many bits one `m` column holds: SQLite's integers are signed, and 60 leaves room.
pub const BITS: usize = 60;

/// More than this many candidates of earlier statements are not kept through a statement that collides.
const KEPT_CANDIDATES: usize = 16;

/// `CREATE TRIGGER` texts in the order of creation (SQLite fires the newest first), with their names.
pub type Triggers = Vec<(String, String)>;

/// A name as an SQL identifier.
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What is captured of a table.
pub struct Plan<'a> {
    /// The table as inspected.
    pub table: &'a Table,
    /// Its number in the catalogue; triggers carry this and never the name.
    pub tid: i64,
    /// The version of the catalogue that decodes the rows.
    pub ver: i64,
    /// Captured columns, as indexes into the table's columns, in table order.
    pub columns: &'a [usize],
    /// The text runs on our own connection, which does not know the application's own collations.
    pub ours: bool,
}

impl Plan<'_> {
    /// The triggers, oldest first.
    pub fn triggers(&self) -> Triggers {
        let on = quote(&self.table.name);
        let mut triggers = Vec::new();
        let mut add = |letters: &str, when: &str, body: String| {
            let name = format!("hms_sync_{letters}_{}", self.tid);
            triggers.push((name.clone(), format!("CREATE TRIGGER {name} {when} BEGIN\n{body}END")));
        };
        if self.has_candidates() {
            add("bi", &format!("BEFORE INSERT ON {on}"), self.before(""));
            let unique = self.changed_unique();
            let other = format!(" AND NOT ({})", self.key("r", |at| self.before_value(at)));
            add("bu", &format!("BEFORE UPDATE ON {on} WHEN {unique}"), self.before(&other));
        }
        add("ai", &format!("AFTER INSERT ON {on}"), self.after_insert());
        add("au", &format!("AFTER UPDATE ON {on}"), self.after_update());
        add("ad", &format!("AFTER DELETE ON {on}"), self.after_delete());
        if self.has_candidates() {
            // Created last, so they fire first and cost one look into an empty table when nothing collided.
            let some = format!("WHEN EXISTS (SELECT 1 FROM hms_sync_cand AS y WHERE y.tid = {})", self.tid);
            add("ci", &format!("AFTER INSERT ON {on} {some}"), self.settle(false));
            add("cu", &format!("AFTER UPDATE ON {on} {some}"), self.settle(true));
        }
        triggers
    }

    /// Writes the rows that REPLACE removed, and forgets the candidates: what the agent does for those whose
    /// AFTER trigger never fired.
    pub fn sweep(&self) -> [String; 3] {
        [self.count_gone(false), self.emit_gone(false), format!("DELETE FROM hms_sync_cand WHERE tid = {}", self.tid)]
    }

    /// A condition on candidates `y`: the row is gone and this is the newest candidate of it.
    pub fn gone(&self) -> String {
        format!(
            "y.tid = {} AND NOT EXISTS (SELECT 1 FROM {} AS r WHERE {}) \
             AND NOT EXISTS (SELECT 1 FROM hms_sync_cand AS z WHERE z.n > y.n AND z.tid = y.tid AND {})",
            self.tid,
            quote(&self.table.name),
            self.key("r", |at| format!("y.c{}", self.slot(at))),
            self.candidate("z", |slot, _| format!("y.c{slot}")),
        )
    }

    /// Synthetic rows in key order. `filter` is over the table's columns, `after` a condition on `r`.
    pub fn refresh(&self, filter: &str, after: &str, limit: usize) -> String {
        format!(
            "INSERT INTO hms_sync_outbox(tid,op,ver,dest,{}) SELECT {},'R',{},?1,{} FROM {} AS r WHERE ({filter}) AND ({after}) \
             ORDER BY {} LIMIT {limit}",
            self.slots("c"),
            self.tid,
            self.ver,
            self.row("r"),
            quote(&self.table.name),
            self.order("r"),
        )
    }

    /// The key's order, as its index has it where SQLite knows the collation.
    pub fn order(&self, alias: &str) -> String {
        let columns = self.table.key.iter().map(|key| {
            format!(
                "{alias}.{} COLLATE {}",
                self.name(key.at),
                if key.known() { quote(&key.collation) } else { "BINARY".into() }
            )
        });
        columns.collect::<Vec<_>>().join(", ")
    }

    /// A condition: row `alias` has exactly the key that `value` gives, found through the key's index.
    pub fn key(&self, alias: &str, value: impl Fn(usize) -> String) -> String {
        let one = |key: &KeyColumn| {
            let (column, value) = (format!("{alias}.{}", self.name(key.at)), value(key.at));
            if self.table.rowid_key {
                return format!("{column} = {value}");
            }
            let mut text = format!("{column} COLLATE BINARY IS {value}");
            if !key.collation.eq_ignore_ascii_case("BINARY") && (key.known() || !self.ours) {
                // The index is found by its own collation, the row by the exact one.
                text = format!("{column} COLLATE {} IS {value} AND {text}", quote(&key.collation));
            }
            if self.untyped(key.at) {
                text = format!("{text} AND typeof({column}) = typeof({value})");
            }
            text
        };
        self.table.key.iter().map(one).collect::<Vec<_>>().join(" AND ")
    }

    /// The slot of a column: its place among the captured ones.
    pub fn slot(&self, at: usize) -> usize {
        self.columns.iter().position(|column| *column == at).unwrap_or(usize::MAX)
    }

    /// REPLACE can remove a row that no event about the written key would tell of.
    fn has_candidates(&self) -> bool {
        self.collisions().next().is_some()
    }

    fn before(&self, other: &str) -> String {
        let (tid, on) = (self.tid, quote(&self.table.name));
        let mut body = String::new();
        if self.table.nested {
            body += &format!(
                "DELETE FROM hms_sync_cand WHERE n <= (SELECT max(n) FROM hms_sync_cand) - {KEPT_CANDIDATES} AND tid = {tid}\n  \
                 AND EXISTS (SELECT 1 FROM {on} AS r WHERE {});\n",
                self.key("r", |at| format!("hms_sync_cand.c{}", self.slot(at)))
            );
        }
        let collides: Vec<String> = self.collisions().map(|key| format!("({})", self.collides(key))).collect();
        body += &format!(
            "INSERT INTO hms_sync_cand(tid,op,{}) SELECT {tid},'D',{} FROM {on} AS r\n WHERE ({}){other};\n",
            self.slots("c"),
            self.row("r"),
            collides.join(" OR ")
        );
        body
    }

    /// The unique keys through which REPLACE may remove a row that keeps no event otherwise.
    fn collisions(&self) -> impl Iterator<Item = &[KeyColumn]> {
        let own = (!self.table.exact_key() || self.table.cyclic).then_some(self.table.key.as_slice());
        own.into_iter().chain(self.table.unique.iter().map(Vec::as_slice))
    }

    /// Row `r` has the unique key of NEW. NULLs never collide; a NULL that OR REPLACE turns into the default does.
    fn collides(&self, key: &[KeyColumn]) -> String {
        let one = |key: &KeyColumn| {
            let name = self.name(key.at);
            let new = match self.table.columns.get(key.at) {
                Some(column) if column.not_null => {
                    let default = column.default.as_deref().map(default_value);
                    default.map_or(format!("NEW.{name}"), |value| format!("ifnull(NEW.{name}, {value})"))
                }
                _ => format!("NEW.{name}"),
            };
            format!("r.{name} COLLATE {} = {new}", quote(&key.collation))
        };
        key.iter().map(one).collect::<Vec<_>>().join(" AND ")
    }

    /// An UPDATE that leaves all unique columns as they are cannot collide, unless the row enters the reach of a
    /// partial index.
    fn changed_unique(&self) -> String {
        if self.table.partial {
            return "1".to_owned();
        }
        let mut columns: Vec<usize> = self.collisions().flatten().map(|key| key.at).collect();
        columns.sort_unstable();
        columns.dedup();
        columns
            .iter()
            .map(|at| self.differs(*at, &self.before_value(*at), &self.after_value(*at)))
            .collect::<Vec<_>>()
            .join(" OR ")
    }

    fn settle(&self, update: bool) -> String {
        let tid = self.tid;
        let mut body = format!("{};\n{};\n", self.count_gone(update), self.emit_gone(update));
        if self.table.nested {
            // An inner update must not forget the candidates of the statement around it; their image is
            // stale now where they are the row just updated.
            let gone = format!(
                "NOT EXISTS (SELECT 1 FROM {} AS r WHERE {})",
                quote(&self.table.name),
                self.key("r", |at| format!("hms_sync_cand.c{}", self.slot(at)))
            );
            body += &format!("DELETE FROM hms_sync_cand WHERE tid = {tid} AND {gone};\n");
            if update {
                let same = self.candidate_is_old("hms_sync_cand");
                body += &format!("UPDATE hms_sync_cand SET op = 'K' WHERE tid = {tid} AND {same};\n");
            }
        } else {
            body += &format!("DELETE FROM hms_sync_cand WHERE tid = {tid};\n");
        }
        body
    }

    /// Candidate `alias` has exactly the key that `value` gives by slot and column. Its columns have no collation,
    /// so IS compares byte for byte, but still finds 5 and 5.0 equal.
    fn candidate(&self, alias: &str, value: impl Fn(usize, usize) -> String) -> String {
        let one = |key: &KeyColumn| {
            let slot = self.slot(key.at);
            let value = value(slot, key.at);
            let class = if self.untyped(key.at) {
                format!(" AND typeof({alias}.c{slot}) = typeof({value})")
            } else {
                String::new()
            };
            format!("{alias}.c{slot} IS {value}{class}")
        };
        self.table.key.iter().map(one).collect::<Vec<_>>().join(" AND ")
    }

    fn candidate_is_old(&self, alias: &str) -> String {
        self.candidate(alias, |_, at| self.before_value(at))
    }

    /// The row that an UPDATE moved is not gone: its own event says where it went.
    fn gone_but_not_moved(&self, update: bool) -> String {
        let moved = if update { format!(" AND NOT ({})", self.candidate_is_old("y")) } else { String::new() };
        self.gone() + &moved
    }

    fn count_gone(&self, update: bool) -> String {
        let gone = self.gone_but_not_moved(update);
        format!(
            "UPDATE hms_sync_lost SET n = n + (SELECT count(*) FROM hms_sync_cand AS y WHERE {gone}) WHERE tid = {} AND {CLOSED}",
            self.tid
        )
    }

    fn emit_gone(&self, update: bool) -> String {
        let image: Vec<String> = (0..self.columns.len())
            .map(|slot| {
                let key = self.table.key.iter().any(|key| self.slot(key.at) == slot);
                if key { format!("y.c{slot}") } else { format!("CASE y.op WHEN 'D' THEN y.c{slot} END") }
            })
            .collect();
        format!(
            "INSERT INTO hms_sync_outbox(tid,op,ver,origin,{}) SELECT {},y.op,{},x.origin,{}\n FROM hms_sync_cand AS y, hms_sync_ctl AS x WHERE x.closed IS NULL AND {}",
            self.slots("c"),
            self.tid,
            self.ver,
            image.join(","),
            self.gone_but_not_moved(update)
        )
    }

    fn after_insert(&self) -> String {
        let (tid, ver) = (self.tid, self.ver);
        format!(
            "{}INSERT INTO hms_sync_outbox(tid,op,ver,origin,{}) SELECT {tid},'I',{ver},x.origin,{}\n FROM hms_sync_ctl AS x, {} AS r WHERE {} AND x.closed IS NULL;\n{CLOSE}",
            self.count(),
            self.slots("c"),
            self.row("r"),
            quote(&self.table.name),
            self.key("r", |at| self.after_value(at)),
        )
    }

    fn after_update(&self) -> String {
        let (tid, ver, on) = (self.tid, self.ver, quote(&self.table.name));
        let differs: Vec<String> = self
            .columns
            .iter()
            .map(|at| self.differs(*at, &self.before_value(*at), &format!("r.{}", self.name(*at))))
            .collect();
        // A changed column shows by its old value; the masks tell an old NULL from no old value.
        let bits: Vec<String> = self
            .columns
            .chunks(BITS)
            .map(|chunk| {
                let nullable = chunk.iter().enumerate().filter(|(_, at)| self.nullable(**at));
                let bits = nullable.map(|(bit, at)| format!("({} IS NULL)*{}", self.before_value(*at), 1_i64 << bit));
                std::iter::once("0".to_owned()).chain(bits).collect::<Vec<_>>().join("+")
            })
            .collect();
        let old: Vec<String> = differs
            .iter()
            .zip(self.columns)
            .map(|(differs, at)| format!("CASE WHEN {differs} THEN {} END", self.before_value(*at)))
            .collect();
        let same = self.same_key();
        let old_stands =
            format!("EXISTS (SELECT 1 FROM {on} AS q WHERE {})", self.key("q", |at| self.before_value(at)));
        let new_stands = format!("EXISTS (SELECT 1 FROM {on} AS q WHERE {})", self.key("q", |at| self.after_value(at)));
        let masks: Vec<String> = (0..bits.len()).map(|at| format!("m{at}")).collect();
        format!(
            "{count}INSERT INTO hms_sync_outbox(tid,op,ver,origin,{masks},{},{}) SELECT {tid},CASE WHEN {same} OR {old_stands} THEN 'U' ELSE 'M' END,{ver},x.origin,\n {bits},\n {},\n {}\n \
             FROM hms_sync_ctl AS x, {on} AS r WHERE {} AND x.closed IS NULL;\n{CLOSE}\
             INSERT INTO hms_sync_outbox(tid,op,ver,origin,{}) SELECT {tid},'D',{ver},x.origin,{}\n FROM hms_sync_ctl AS x\n \
             WHERE x.closed IS NULL AND NOT ({same}) AND NOT {new_stands} AND NOT {old_stands};\n",
            self.slots("c"),
            self.slots("p"),
            self.row("r"),
            old.join(",\n "),
            self.key("r", |at| self.after_value(at)),
            self.slots("c"),
            self.columns.iter().map(|at| self.before_value(*at)).collect::<Vec<_>>().join(","),
            masks = masks.join(","),
            bits = bits.join(",\n "),
            count = self.count(),
        )
    }

    fn after_delete(&self) -> String {
        let (tid, ver, on) = (self.tid, self.ver, quote(&self.table.name));
        let mut body = String::new();
        if self.has_candidates() {
            // No second delete when recursive_triggers is on.
            body += &format!(
                "DELETE FROM hms_sync_cand WHERE tid = {tid} AND {};\n",
                self.candidate_is_old("hms_sync_cand")
            );
        }
        body += &format!(
            "{}INSERT INTO hms_sync_outbox(tid,op,ver,origin,{}) SELECT {tid},'D',{ver},x.origin,{}\n FROM hms_sync_ctl AS x WHERE x.closed IS NULL\n  AND NOT EXISTS (SELECT 1 FROM {on} AS r WHERE {});\n{CLOSE}",
            self.count(),
            self.slots("c"),
            self.columns.iter().map(|at| self.before_value(*at)).collect::<Vec<_>>().join(","),
            self.key("r", |at| self.before_value(at)),
        );
        body
    }

    /// When the valve is closed, counts the change instead of writing it.
    fn count(&self) -> String {
        format!("UPDATE hms_sync_lost SET n = n + 1 WHERE tid = {} AND {CLOSED};\n", self.tid)
    }

    fn same_key(&self) -> String {
        let one = |key: &KeyColumn| {
            format!("NOT ({})", self.differs(key.at, &self.before_value(key.at), &self.after_value(key.at)))
        };
        self.table.key.iter().map(one).collect::<Vec<_>>().join(" AND ")
    }

    /// Two values of a column are not the same to the byte.
    fn differs(&self, at: usize, left: &str, right: &str) -> String {
        let text = format!("{left} COLLATE BINARY IS NOT {right}");
        if self.untyped(at) { format!("{text} OR typeof({left}) <> typeof({right})") } else { text }
    }

    fn slots(&self, letter: &str) -> String {
        (0..self.columns.len()).map(|slot| format!("{letter}{slot}")).collect::<Vec<_>>().join(",")
    }

    fn row(&self, alias: &str) -> String {
        self.columns.iter().map(|at| format!("{alias}.{}", self.name(*at))).collect::<Vec<_>>().join(",")
    }

    fn before_value(&self, at: usize) -> String {
        format!("OLD.{}", self.name(at))
    }

    fn after_value(&self, at: usize) -> String {
        format!("NEW.{}", self.name(at))
    }

    fn name(&self, at: usize) -> String {
        quote(self.table.name_of(at))
    }

    fn nullable(&self, at: usize) -> bool {
        let rowid = self.table.rowid_key && self.table.key.iter().any(|key| key.at == at);
        !rowid && self.table.columns.get(at).is_some_and(|column| !column.not_null)
    }

    fn untyped(&self, at: usize) -> bool {
        self.table.columns.get(at).is_some_and(|column| column.untyped)
    }
}

/// A column's DEFAULT as an expression. SQLite takes a bare or double-quoted word there as a string.
fn default_value(text: &str) -> String {
    let word = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).map(|text| text.replace("\"\"", "\""));
    let bare = text.chars().all(|c| c.is_alphanumeric() || c == '_')
        && text.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && !["NULL", "TRUE", "FALSE", "CURRENT_TIME", "CURRENT_DATE", "CURRENT_TIMESTAMP"]
            .contains(&text.to_ascii_uppercase().as_str());
    match word.or_else(|| bare.then(|| text.to_owned())) {
        Some(word) => format!("'{}'", word.replace('\'', "''")),
        None => format!("({text})"),
    }
}

/// The valve is closed: capture counts and writes nothing until the agent opens it.
const CLOSED: &str = "(SELECT x.closed FROM hms_sync_ctl AS x)";

/// Closes the valve with the row just written, when `cap` rows wait beyond the acknowledged ones. The log is not
/// read for that: an INSERT in a program that reads its own table makes SQLite collect rows in a temporary table
/// first, which doubles the cost of a change. (And `sqlite_sequence` is written only when the statement ends.)
const CLOSE: &str = "UPDATE hms_sync_ctl SET closed = 1 WHERE changes() > 0 AND acked + cap <= last_insert_rowid();\n";
