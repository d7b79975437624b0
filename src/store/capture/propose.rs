//! What `init` proposes: every table of the application's file, and whether it can be captured.

use super::CapturedLog;
use super::catalogue::WatchSpec;
use super::fault::{CaptureError, Result};
use super::install::chosen;
use super::table::Table;

/// A table of the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub table: String,
    /// Columns of its primary key, in key order; none when it cannot be captured.
    pub key: Vec<String>,
    /// Why it cannot be captured by its primary key.
    pub refused: Option<String>,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

impl CapturedLog {
    /// All tables, virtual tables and views of the application, by name; shadow tables are their virtual table's business.
    pub fn candidates(&mut self) -> Result<Vec<Candidate>> {
        self.reading("look at the tables", |log| {
            let mut list = log.conn.prepare(
                "SELECT name FROM pragma_table_list
                  WHERE schema = 'main' AND type IN ('table', 'virtual', 'view')
                    AND name NOT LIKE 'sqlite!_%' ESCAPE '!' AND name NOT LIKE 'hms!_sync!_%' ESCAPE '!'
                  ORDER BY name COLLATE NOCASE",
            )?;
            let names: Vec<String> = list.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
            names
                .into_iter()
                .map(|name| {
                    let looked = Table::inspect(&log.conn, &name, None)
                        .and_then(|table| chosen(&table, &WatchSpec::table(&name)).map(|_| table));
                    match looked {
                        Ok(table) => {
                            let column = |at: usize| table.columns.get(at).map(|column| column.name.clone());
                            let key = table.key.iter().filter_map(|key| column(key.at)).collect();
                            Ok(Candidate { table: name, key, refused: None, warnings: table.warnings })
                        }
                        Err(CaptureError::Refused { reason, .. }) => {
                            Ok(Candidate { table: name, key: Vec::new(), refused: Some(reason), warnings: Vec::new() })
                        }
                        Err(error) => Err(error),
                    }
                })
                .collect()
        })
    }
}
