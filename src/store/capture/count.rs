//! How many rows of a watched table there are, for progress.

use super::fault::Result;
use super::trigger::quote;
use super::{CapturedLog, filter};

impl CapturedLog {
    /// Counts the rows of a watched table (by name or event type) for which an operator's SQL expression is true.
    pub fn count(&mut self, table: &str, condition: Option<&str>) -> Result<u64> {
        self.reading("count rows", |log| {
            let (_, entry) = log.entry(table)?;
            let mut sql = format!("SELECT count(*) FROM main.{} AS r", quote(&entry.spec.table));
            if let Some(condition) = condition {
                filter::check(&log.conn, &entry.spec.table, condition)?;
                sql.push_str(&format!(" WHERE (\n{condition}\n)"));
            }
            let n: i64 = log.conn.query_row(&sql, [], |row| row.get(0))?;
            Ok(u64::try_from(n).unwrap_or(0))
        })
    }
}
