//! Reads `.open FILE` and SQL statements, one a line, from standard input and runs them; errors are ignored, rows
//! are printed.

use std::io::BufRead;

use rusqlite::Connection;

fn main() {
    let mut app = Connection::open_in_memory().expect("SQLite opens a database in memory");
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("standard input is UTF-8 text");
        if let Some(file) = line.strip_prefix(".open ") {
            app = Connection::open(file).expect("the file opens");
            // The bundled build turns foreign keys on; an application's library has them off.
            app.execute_batch("PRAGMA foreign_keys = OFF").expect("the pragma runs");
        } else {
            run(&app, &line);
        }
    }
}

/// Errors are part of the game: a history holds statements that must fail.
fn run(app: &Connection, line: &str) {
    let Ok(mut statement) = app.prepare(line) else { return };
    let Ok(mut rows) = statement.query(rusqlite::NO_PARAMS) else { return };
    while let Ok(Some(row)) = rows.next() {
        if let Ok(text) = row.get::<_, String>(0) {
            println!("{text}");
        }
    }
}
