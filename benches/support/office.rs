//! The application: its file, its table of twelve columns, and what it writes.

use std::path::Path;

use rusqlite::{Connection, params};

/// Its table; an event of it is about 300 bytes of JSON.
pub const TABLE: &str = "CREATE TABLE appointments (id INTEGER PRIMARY KEY, n INTEGER NOT NULL, patient TEXT NOT NULL,
  clinic TEXT NOT NULL, provider TEXT NOT NULL, starts TEXT NOT NULL, minutes INTEGER NOT NULL, status TEXT NOT NULL,
  room TEXT NOT NULL, reason TEXT NOT NULL, note TEXT NOT NULL, priority INTEGER NOT NULL)";

/// Columns and the names that a target wants for them.
pub const NAMES: [(&str, &str); 12] = [
    ("id", "record"),
    ("n", "version"),
    ("patient", "patientId"),
    ("clinic", "clinicName"),
    ("provider", "providerId"),
    ("starts", "startsAt"),
    ("minutes", "slotMinutes"),
    ("status", "state"),
    ("room", "roomName"),
    ("reason", "reasonText"),
    ("note", "remarks"),
    ("priority", "rank"),
];

/// A plain JSON outbox, as an application would write it by hand: one trigger for each kind of statement.
pub fn plain_outbox(db: &Connection) {
    let object = |row: &str| {
        let fields: Vec<String> = NAMES.iter().map(|(column, name)| format!("'{name}',{row}.{column}")).collect();
        format!("json_object({})", fields.join(","))
    };
    let trigger = |letter: &str, when: &str, row: &str| {
        format!(
            "CREATE TRIGGER plain_{letter} AFTER {when} ON appointments BEGIN
               INSERT INTO plain(op, body) VALUES ('{letter}', {}); END;",
            object(row)
        )
    };
    db.execute_batch(&format!(
        "CREATE TABLE plain (seq INTEGER PRIMARY KEY AUTOINCREMENT, op TEXT NOT NULL, body TEXT NOT NULL);{}{}{}",
        trigger("i", "INSERT", "NEW"),
        trigger("u", "UPDATE", "NEW"),
        trigger("d", "DELETE", "OLD")
    ))
    .unwrap();
}

/// Opens or makes the application's file: WAL, as applications do.
pub fn open(path: &Path) -> Connection {
    let db = Connection::open(path).unwrap();
    db.pragma_update(None, "journal_mode", "WAL").unwrap();
    db.pragma_update(None, "synchronous", "NORMAL").unwrap();
    db.set_prepared_statement_cache_capacity(16);
    db
}

/// Writes new records with numbers `from..to`.
pub fn insert(db: &Connection, from: i64, to: i64) {
    let mut insert = db
        .prepare_cached("INSERT INTO appointments VALUES (?1, 1, ?2, ?3, ?4, ?5, 20, 'booked', ?6, ?7, ?8, ?9)")
        .unwrap();
    for id in from..to {
        insert
            .execute(params![
                id,
                format!("P{:08}", id * 7919 % 99_999_989),
                "Outpatient audiology",
                format!("DR{:04}", id % 40),
                format!("2026-11-{:02}T{:02}:30:00Z", id % 28 + 1, id % 9 + 8),
                format!("R{:03}", id % 120),
                "follow-up after fitting",
                "bring the earlier report",
                id % 5,
            ])
            .unwrap();
    }
}

/// Changes records with numbers `from..to`, each one version on.
pub fn update(db: &Connection, from: i64, to: i64) {
    let mut update = db
        .prepare_cached("UPDATE appointments SET n = n + 1, minutes = minutes % 60 + 5, status = ?2 WHERE id = ?1")
        .unwrap();
    for id in from..to {
        update.execute(params![id, if id % 2 == 0 { "confirmed" } else { "moved" }]).unwrap();
    }
}

/// Removes records with numbers `from..to`.
pub fn delete(db: &Connection, from: i64, to: i64) {
    let mut delete = db.prepare_cached("DELETE FROM appointments WHERE id = ?1").unwrap();
    for id in from..to {
        delete.execute([id]).unwrap();
    }
}

/// Runs `work` in transactions of so many records.
pub fn batches(db: &Connection, from: i64, to: i64, size: i64, work: fn(&Connection, i64, i64)) {
    let mut at = from;
    while at < to {
        let next = (at + size).min(to);
        db.execute_batch("BEGIN IMMEDIATE").unwrap();
        work(db, at, next);
        db.execute_batch("COMMIT").unwrap();
        at = next;
    }
}
