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
            Ok(Preview { columns, warnings: table.warnings })
        })
    }
}
