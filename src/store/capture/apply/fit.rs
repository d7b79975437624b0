//! How a value is once it stands in a column: what two sides are compared by, and what a key is looked up by.

use std::sync::Arc;

use super::super::table::{Affinity, Table};
use crate::event::{Record, Value};
use crate::rules::outcome::Reason;

/// How values fit into the columns of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fitting {
    columns: Vec<(Arc<str>, Affinity)>,
    key: Vec<Arc<str>>,
    gives_key: bool,
}

impl Fitting {
    pub(super) fn of(table: &Table) -> Fitting {
        let written = table.columns.iter().filter(|column| !column.generated);
        Fitting {
            columns: written.map(|column| (column.name.as_str().into(), column.affinity)).collect(),
            key: table.key.iter().map(|key| table.name_of(key.at).into()).collect(),
            gives_key: table.rowid_key,
        }
    }

    /// The columns that can be written, in the table's order.
    pub fn columns(&self) -> impl Iterator<Item = &Arc<str>> {
        self.columns.iter().map(|(name, _)| name)
    }

    /// The key's columns.
    pub fn key(&self) -> &[Arc<str>] {
        &self.key
    }

    /// Whether the table gives a new row its key.
    pub fn gives_key(&self) -> bool {
        self.gives_key
    }

    /// The values as these columns hold them. Fields that are no column that can be written are left out.
    ///
    /// # Errors
    /// Class `type`: the column takes no such value. Names the column.
    pub fn record(&self, fields: &Record) -> Result<Record, Reason> {
        let mut fitted = Record::with_capacity(fields.len());
        for (name, affinity) in &self.columns {
            if let Some(value) = fields.get(name) {
                fitted.push(name.clone(), fit(value, *affinity).map_err(|what| wrong(name, what))?);
            }
        }
        Ok(fitted)
    }

    /// The key that stands in a record, as the table holds it; none = part of it is missing or null.
    pub fn key_of(&self, fields: &Record) -> Option<Vec<Value>> {
        self.key.iter().map(|name| fields.get(name).filter(|value| **value != Value::Null).cloned()).collect()
    }
}

fn wrong(name: &str, what: &str) -> Reason {
    Reason::new("type", format!("column `{name}` takes no {what}"))
}

/// A value as a column of this affinity holds it; what does not fit is an error in place of a row that the application
/// cannot read.
fn fit(value: &Value, affinity: Affinity) -> Result<Value, &'static str> {
    use Affinity::{Integer, None, Numeric, Real, Text};
    Ok(match (value, affinity) {
        (Value::List(_) | Value::Map(_), _) => return Err(value.kind()),
        (Value::Bool(flag), Text) => Value::from(if *flag { "true" } else { "false" }),
        (Value::Bool(flag), _) => Value::Integer(i64::from(*flag)),
        (Value::Integer(number), Text) => Value::Text(number.to_string().into()),
        (Value::Integer(number), Real) => Value::Real(*number as f64),
        (Value::Real(number), Text) => Value::Text(format!("{number:?}").into()),
        (Value::Real(number), Integer | Numeric) => whole(*number).map_or(Value::Real(*number), Value::Integer),
        (Value::Number(digits), Text | None) => Value::Text((**digits).into()),
        (Value::Number(digits), _) => digits.parse().map(Value::Real).unwrap_or(Value::Text((**digits).into())),
        (Value::Text(text), Integer | Real) => number(text, affinity).ok_or("text that is no number")?,
        (Value::Text(text), Numeric) => number(text, affinity).unwrap_or_else(|| value.clone()),
        (other, _) => other.clone(),
    })
}

/// Text that is a number, as a column that takes numbers holds it.
fn number(text: &str, affinity: Affinity) -> Option<Value> {
    let text = text.trim_matches([' ', '\t', '\n', '\r']);
    let first = text.trim_start_matches(['+', '-']).chars().next()?;
    if !first.is_ascii_digit() && first != '.' {
        // `inf` and `nan` are words here.
        return None;
    }
    if affinity != Affinity::Real
        && let Ok(number) = text.parse()
    {
        return Some(Value::Integer(number));
    }
    let real: f64 = text.parse().ok()?;
    match affinity {
        Affinity::Real => Some(Value::Real(real)),
        _ => Some(whole(real).map_or(Value::Real(real), Value::Integer)),
    }
}

/// A real that an integer holds as exactly.
fn whole(real: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (real.fract() == 0.0 && real.abs() < EXACT).then_some(real as i64)
}

/// Whether two values of one column are the same to whoever reads them.
pub(super) fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Integer(a), Value::Real(b)) | (Value::Real(b), Value::Integer(a)) => *a as f64 == *b,
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_becomes_what_the_column_makes_of_it_and_what_does_not_fit_is_refused() {
        let same = |value: Value, affinity, wanted: Value| assert_eq!(fit(&value, affinity), Ok(wanted));
        same("42".into(), Affinity::Integer, Value::Integer(42));
        same("1e3".into(), Affinity::Integer, Value::Integer(1000));
        same(" 7.5 ".into(), Affinity::Real, Value::Real(7.5));
        same("2026-03-05".into(), Affinity::Numeric, "2026-03-05".into());
        same("9".into(), Affinity::Numeric, Value::Integer(9));
        same(Value::Integer(9), Affinity::Text, "9".into());
        same(Value::Real(10.0), Affinity::Integer, Value::Integer(10));
        same(Value::Integer(10), Affinity::Real, Value::Real(10.0));
        same(Value::Bool(true), Affinity::Numeric, Value::Integer(1));
        same("5".into(), Affinity::None, "5".into());
        assert!(fit(&"soon".into(), Affinity::Integer).is_err());
        assert!(fit(&"inf".into(), Affinity::Real).is_err());
        assert!(fit(&Value::List(Vec::new()), Affinity::None).is_err());
    }
}
