//! What `check` says of a table before anything is installed.

use super::CapturedLog;
use super::catalogue::WatchSpec;
use super::fault::Result;
use super::install::chosen;
use super::table::Table;

/// A table as capture would take it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// Columns that would be captured, in table order.
    pub columns: Vec<String>,
    /// Its key, in key order.
    pub key: Vec<String>,
    /// It gives a new row its key itself.
    pub gives_key: bool,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

impl CapturedLog {
    /// Looks at a table as [`CapturedLog::install`] would, and installs nothing.
    ///
    /// # Errors
    /// As `install`: the reason for which it cannot be captured.
    pub fn preview(&mut self, spec: &WatchSpec) -> Result<Preview> {
        self.reading("look at a table", |log| {
            let table = Table::inspect(&log.conn, &spec.table, spec.key.as_deref())?;
            let columns = chosen(&table, spec)?
                .into_iter()
                .filter_map(|at| table.columns.get(at).map(|column| column.name.clone()))
                .collect();
            let name = |at: usize| table.columns.get(at).map(|column| column.name.clone());
            let key = table.key.iter().filter_map(|part| name(part.at)).collect();
            Ok(Preview { columns, key, gives_key: table.rowid_key, warnings: table.warnings })
        })
    }

    /// Whether a guard's query can be asked: SQLite knows every table and column of it, and it only reads. It is not run.
    ///
    /// # Errors
    /// `Ok(Err)` says in words why it cannot be asked; else the file cannot be read.
    pub fn try_guard(&mut self, sql: &str) -> Result<std::result::Result<(), String>> {
        self.reading("prepare a guard", |log| match log.conn.prepare(sql) {
            Ok(statement) if statement.readonly() => Ok(Ok(())),
            Ok(_) => Ok(Err("writes".to_owned())),
            Err(rusqlite::Error::SqliteFailure(_, Some(text)) | rusqlite::Error::SqlInputError { msg: text, .. }) => {
                Ok(Err(format!("cannot be asked: {text}")))
            }
            Err(error) => Err(error.into()),
        })
    }
}
