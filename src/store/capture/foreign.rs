//! The application's own triggers, as far as capture must know them.

use rusqlite::Connection;

use super::fault::Result;

/// A trigger that is not ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// Its name.
    pub name: String,
    /// The table it is on.
    pub table: String,
    /// It fires before the row is written.
    pub before: bool,
    /// It fires on DELETE.
    pub on_delete: bool,
    /// It holds RAISE(IGNORE) or RAISE(FAIL): our trigger may not run after it.
    pub silences: bool,
    sql: String,
}

impl Foreign {
    /// Whether it is on this table.
    pub fn on(&self, table: &str) -> bool {
        self.table.eq_ignore_ascii_case(table)
    }

    /// Whether its text names this table anywhere.
    pub fn mentions(&self, table: &str) -> bool {
        self.sql.to_lowercase().contains(&table.to_lowercase())
    }
}

/// All triggers of the file that are not ours.
pub fn foreign_triggers(conn: &Connection) -> Result<Vec<Foreign>> {
    let mut list = conn.prepare(
        "SELECT name, tbl_name, ifnull(sql, '') FROM main.sqlite_master
          WHERE type = 'trigger' AND name NOT LIKE 'hms!_sync!_%' ESCAPE '!'",
    )?;
    let triggers = list.query_map([], |row| {
        let (name, table, sql): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let words = words(&sql);
        let has = |pair: [&str; 3]| words.windows(3).any(|three| three == pair);
        // CREATE [TEMP] TRIGGER [IF NOT EXISTS] name [BEFORE | AFTER | INSTEAD OF] event ...: the name was
        // dropped when it is quoted, so look for the first word that can be the time or the event.
        let mut head = words.iter().skip_while(|word| *word != "TRIGGER").skip(1).filter(|word| {
            !name.eq_ignore_ascii_case(word)
                && matches!(word.as_str(), "BEFORE" | "AFTER" | "INSTEAD" | "DELETE" | "INSERT" | "UPDATE")
        });
        let first = head.next().map_or("", String::as_str);
        // Without BEFORE or AFTER a trigger fires before.
        let before = first != "AFTER";
        let event = if matches!(first, "BEFORE" | "AFTER" | "INSTEAD") {
            head.next().map_or("", String::as_str)
        } else {
            first
        };
        Ok(Foreign {
            before,
            on_delete: event == "DELETE",
            silences: has(["RAISE", "(", "IGNORE"]) || has(["RAISE", "(", "FAIL"]),
            name,
            table,
            sql,
        })
    })?;
    Ok(triggers.collect::<rusqlite::Result<_>>()?)
}

/// The bare words and brackets of an SQL text in upper case, without comments, literals and quoted names.
fn words(sql: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let closed_by = |end: &str, rest: &str, skip: usize| {
            rest.get(skip..).and_then(|tail| tail.find(end)).map_or(rest.len(), |at| skip + at + end.len())
        };
        let taken = match first {
            '\'' | '"' | '`' => closed_by(first.encode_utf8(&mut [0; 4]), rest, 1),
            '[' => closed_by("]", rest, 1),
            '-' if rest.starts_with("--") => closed_by("\n", rest, 2),
            '/' if rest.starts_with("/*") => closed_by("*/", rest, 2),
            '(' | ')' => {
                words.push(first.to_string());
                1
            }
            c if c.is_alphanumeric() || c == '_' => {
                let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
                words.push(rest.get(..end).unwrap_or_default().to_ascii_uppercase());
                end
            }
            c => c.len_utf8(),
        };
        rest = rest.get(taken..).unwrap_or_default();
    }
    words
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn time_event_and_raise_are_read_from_the_text_and_not_from_names_or_comments() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(
            "CREATE TABLE t(a, before);
             CREATE TRIGGER \"after delete\" /* AFTER */ BEFORE UPDATE OF \"before\" ON t BEGIN SELECT 'RAISE(IGNORE)'; END;
             CREATE TRIGGER x INSERT ON t BEGIN SELECT 1; END;
             CREATE TRIGGER IF NOT EXISTS y AFTER DELETE ON t BEGIN SELECT raise ( ignore ) WHERE 0; END;",
        )
        .unwrap();
        let found: Vec<(String, bool, bool, bool)> =
            foreign_triggers(&conn).unwrap().into_iter().map(|f| (f.name, f.before, f.on_delete, f.silences)).collect();
        assert_eq!(
            found,
            [
                ("after delete".to_owned(), true, false, false),
                ("x".to_owned(), true, false, false),
                ("y".to_owned(), false, true, true)
            ]
        );
    }
}
