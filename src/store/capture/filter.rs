//! An operator's `--where`: one SQL expression over a table, and nothing else.

use rusqlite::Connection;

use super::fault::{CaptureError, Result};
use super::trigger::quote;

/// Checks the expression by preparing it alone, never by running it.
pub(super) fn check(conn: &Connection, table: &str, expression: &str) -> Result<()> {
    let fail = |cause: String| Err(CaptureError::Filter(cause));
    if let Err(cause) = single(expression) {
        return fail(cause.to_owned());
    }
    match conn.prepare(&format!("SELECT 1 FROM main.{} AS r WHERE (\n{expression}\n)", quote(table))) {
        Ok(statement) if !statement.readonly() => fail("the expression must not write".to_owned()),
        Ok(statement) if statement.parameter_count() > 0 => {
            fail("parameters (`?`, `:name`) have no value here".to_owned())
        }
        Ok(_) => Ok(()),
        Err(error) => fail(format!("{error}; give one SQL expression over the columns of {table}")),
    }
}

/// Whether brackets, quotes and comments are closed within the text, and no `;` ends a statement.
fn single(expression: &str) -> std::result::Result<(), &'static str> {
    if expression.trim().is_empty() {
        return Err("the expression is empty");
    }
    let mut depth = 0_i64;
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        let (end, skip) = match first {
            '\'' => ("'", 1),
            '"' => ("\"", 1),
            '`' => ("`", 1),
            '[' => ("]", 1),
            '/' if rest.starts_with("/*") => ("*/", 2),
            '-' if rest.starts_with("--") => ("\n", 2),
            _ => ("", first.len_utf8()),
        };
        match first {
            ';' => return Err("`;` is not allowed; give one SQL expression"),
            '\0' => return Err("the expression holds a NUL character"),
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            return Err("a `)` has no `(` before it");
        }
        rest = rest.get(skip..).unwrap_or_default();
        if !end.is_empty() {
            // A comment to the end of the line may end the text: the expression is followed by a new line.
            let Some(at) = rest.find(end).or((end == "\n").then_some(rest.len())) else {
                return Err("a quote or comment is not closed");
            };
            rest = rest.get(at + end.len()..).unwrap_or_default();
        }
    }
    if depth == 0 { Ok(()) } else { Err("a `(` is not closed") }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_one_expression_over_the_table_passes() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE t(id INTEGER PRIMARY KEY, name)").unwrap();
        for good in ["id > 5", "name = 'a;b' -- why", "name IN (SELECT name FROM t) /* x */", "\"name\" IS NULL"] {
            check(&conn, "t", good).unwrap();
        }
        for bad in [
            "",
            "id > 5; DROP TABLE t",
            "1) OR (1",
            "id = ?",
            "(id",
            "name = 'x",
            "/* x",
            "nope = 1",
            "id >",
            "count(*) > 1",
            "1 ORDER BY id",
            "id = :x",
        ] {
            let message = check(&conn, "t", bad).unwrap_err().to_string();
            assert!(message.starts_with("--where: "), "{bad}: {message}");
        }
    }
}
