//! Rows to bytes.

use crate::event::Value;
use crate::format::fixed::cell::Cell;
use crate::format::fixed::step::{Slot, Step, Table};
use crate::format::fixed::{Code, Misfit, Record};

/// The values of a row, by slot.
pub trait Values {
    /// The value of a slot; null where there is none.
    fn value(&self, slot: usize) -> &Value;
}

static NULL: Value = Value::Null;

impl Values for [Value] {
    fn value(&self, slot: usize) -> &Value {
        self.get(slot).unwrap_or(&NULL)
    }
}

impl Values for Vec<Value> {
    fn value(&self, slot: usize) -> &Value {
        self.as_slice().value(slot)
    }
}

impl Values for [&Value] {
    fn value(&self, slot: usize) -> &Value {
        self.get(slot).copied().unwrap_or(&NULL)
    }
}

impl<const N: usize> Values for [Value; N] {
    fn value(&self, slot: usize) -> &Value {
        self.as_slice().value(slot)
    }
}

/// One occurrence of a table.
struct Occurrence<'v> {
    value: &'v Value,
    /// None = the value itself.
    rows: Option<&'v [Slot]>,
}

impl Values for Occurrence<'_> {
    fn value(&self, slot: usize) -> &Value {
        let found = match (self.value, self.rows) {
            (value, None) => Some(value),
            (Value::Map(record), Some(slots)) => slots.get(slot).and_then(|slot| record.get(&slot.name)),
            (Value::List(values), Some(_)) => values.get(slot),
            _ => None,
        };
        found.unwrap_or(&NULL)
    }
}

pub(super) fn record<V: Values + ?Sized>(record: &Record, values: &V, out: &mut Vec<u8>) -> Result<(), Misfit> {
    let start = out.len();
    out.reserve(record.longest);
    let mut run = Run { marks: vec![0; record.marks] };
    run.steps(&record.steps, values, out).inspect_err(|_| out.truncate(start))
}

struct Run {
    /// Where the items began that choices look back at.
    marks: Vec<usize>,
}

impl Run {
    fn steps<V: Values + ?Sized>(&mut self, steps: &[Step], values: &V, out: &mut Vec<u8>) -> Result<(), Misfit> {
        for step in steps {
            match step {
                Step::Bytes(bytes) => out.extend_from_slice(bytes),
                Step::Cell { slot, cell } => {
                    cell.encode(values.value(*slot), out).map_err(|code| misfit(cell, code))?;
                }
                Step::Count { slots, cell, .. } => {
                    let mut numbers = slots.iter().map(|slot| match values.value(*slot) {
                        Value::List(items) => items.len(),
                        _ => 0,
                    });
                    let number = numbers.next().unwrap_or_default();
                    if numbers.any(|other| other != number) {
                        return Err(misfit(cell, Code::BadCount));
                    }
                    let number = i64::try_from(number).unwrap_or(i64::MAX);
                    cell.encode(&Value::Integer(number), out).map_err(|code| misfit(cell, code))?;
                }
                Step::Mark(mark) => {
                    if let Some(place) = self.marks.get_mut(*mark) {
                        *place = out.len();
                    }
                }
                Step::Table(table) => self.table(table, values.value(table.slot), out)?,
                Step::Choice(chosen) => {
                    let start = self.marks.get(chosen.mark).copied().unwrap_or_default();
                    let key = out.get(start..start + chosen.cell.length).unwrap_or_default();
                    let arm = chosen.arms.iter().find(|arm| arm.keys.iter().any(|own| **own == *key));
                    let arm = arm.ok_or_else(|| misfit(&chosen.cell, Code::UnknownChoice))?;
                    self.steps(&arm.steps, values, out)?;
                }
            }
        }
        Ok(())
    }

    fn table(&mut self, table: &Table, value: &Value, out: &mut Vec<u8>) -> Result<(), Misfit> {
        let wrong = |code| Misfit { field: table.name.clone(), occurrence: Vec::new(), code };
        let items = match value {
            Value::List(items) => items.as_slice(),
            Value::Null => &[],
            _ => return Err(wrong(Code::Kind)),
        };
        if items.len() > table.max {
            return Err(wrong(Code::TooMany));
        }
        if items.len() < table.min && table.count.is_some() {
            return Err(wrong(Code::TooFew));
        }
        for (at, value) in items.iter().enumerate() {
            let fits = table.rows.is_none() || matches!(value, Value::Map(_) | Value::List(_));
            let done = if fits {
                let occurrence = Occurrence { value, rows: table.rows.as_deref() };
                self.steps(&table.steps, &occurrence, out)
            } else {
                Err(wrong(Code::Kind))
            };
            done.map_err(|mut misfit| {
                misfit.occurrence.insert(0, at + 1);
                misfit
            })?;
        }
        if table.count.is_none() {
            for _ in items.len()..table.max {
                out.extend_from_slice(&table.blank);
            }
        }
        Ok(())
    }
}

fn misfit(cell: &Cell, code: Code) -> Misfit {
    Misfit { field: cell.name.clone(), occurrence: Vec::new(), code }
}
