//! What a preview needs of the state file, in another one that is thrown away.

use rusqlite::Connection;
use rusqlite::types::Value;

use crate::store::state::{ConnectorId, Sql};

/// The tables of which a drop's rows are copied.
const TABLES: [(&str, &str); 6] = [
    ("connector", "id"),
    ("cursor", "connector"),
    ("parked", "connector"),
    ("drop_has", "connector"),
    ("drop_file", "connector"),
    ("log", ""),
];

/// Copies what the next file of a drop depends on: where its cursors stand, what is parked, what the host has, which
/// numbers were given.
pub fn copy(from: &Connection, to: &Connection, connector: ConnectorId) -> Sql<()> {
    for (table, column) in TABLES {
        let which = if column.is_empty() { String::new() } else { format!(" WHERE {column} = {}", connector.0) };
        let mut read = from.prepare(&format!("SELECT * FROM {table}{which}"))?;
        let marks = (1..=read.column_count()).map(|n| format!("?{n}")).collect::<Vec<_>>().join(", ");
        let mut write = to.prepare(&format!("INSERT OR REPLACE INTO {table} VALUES ({marks})"))?;
        let count = read.column_count();
        let mut rows = read.query([])?;
        while let Some(row) = rows.next()? {
            let values = (0..count).map(|at| row.get::<_, Value>(at)).collect::<Sql<Vec<_>>>()?;
            write.execute(rusqlite::params_from_iter(values))?;
        }
    }
    let mut read = from.prepare("SELECT k, v FROM meta WHERE k GLOB ?1")?;
    let mut rows = read.query([format!("drop/{}/*", connector.0)])?;
    while let Some(row) = rows.next()? {
        to.execute(
            "INSERT OR REPLACE INTO meta(k, v) VALUES (?1, ?2)",
            (row.get::<_, Value>(0)?, row.get::<_, Value>(1)?),
        )?;
    }
    Ok(())
}
