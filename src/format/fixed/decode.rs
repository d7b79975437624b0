//! Bytes to rows.

use crate::event::{Record as Row, Value};
use crate::format::fixed::cell::Cell;
use crate::format::fixed::number::Scaled;
use crate::format::fixed::step::{Slot, Step, Table};
use crate::format::fixed::{Code, Damage, Record, cell::Content};

pub(super) fn record(record: &Record, bytes: &[u8]) -> Result<Vec<Value>, Damage> {
    let whole = |code, at| Damage { field: record.name.clone(), occurrence: Vec::new(), at, code };
    let mut values = vec![Value::Null; record.slots.len()];
    let mut run = Run { bytes, at: 0, marks: vec![0; record.marks] };
    // A record that ends early is short, whatever item it ends in.
    if bytes.len() < record.shortest || bytes.len() > record.longest {
        return Err(whole(Code::Length, bytes.len().min(record.longest)));
    }
    run.steps(&record.steps, &mut values)?;
    if run.at == bytes.len() { Ok(values) } else { Err(whole(Code::Length, run.at)) }
}

struct Run<'b> {
    bytes: &'b [u8],
    at: usize,
    marks: Vec<usize>,
}

impl<'b> Run<'b> {
    /// The next bytes of the record.
    fn next(&mut self, cell: &Cell) -> Result<&'b [u8], Damage> {
        let end = self.at.checked_add(cell.length);
        let bytes = end.and_then(|end| self.bytes.get(self.at..end)).ok_or_else(|| self.damage(cell, Code::Length))?;
        self.at += cell.length;
        Ok(bytes)
    }

    fn damage(&self, cell: &Cell, code: Code) -> Damage {
        Damage { field: cell.name.clone(), occurrence: Vec::new(), at: self.at, code }
    }

    fn steps(&mut self, steps: &[Step], values: &mut [Value]) -> Result<(), Damage> {
        for step in steps {
            match step {
                Step::Bytes(bytes) => self.at += bytes.len(),
                Step::Cell { slot, cell } => {
                    let at = self.at;
                    let value =
                        cell.decode(self.next(cell)?).map_err(|code| Damage { at, ..self.damage(cell, code) })?;
                    if let Some(place) = values.get_mut(*slot) {
                        *place = value;
                    }
                }
                Step::Count { cell, .. } => drop(self.next(cell)?),
                Step::Mark(mark) => {
                    if let Some(place) = self.marks.get_mut(*mark) {
                        *place = self.at;
                    }
                }
                Step::Table(table) => {
                    let value = self.table(table)?;
                    if let Some(place) = values.get_mut(table.slot) {
                        *place = value;
                    }
                }
                Step::Choice(chosen) => {
                    let start = self.marks.get(chosen.mark).copied().unwrap_or_default();
                    let bytes = self.bytes.get(start..start + chosen.cell.length).unwrap_or_default();
                    // Other spellings of a number choose the same.
                    let key = chosen.cell.decode(bytes).and_then(|value| chosen.cell.key(&value));
                    let unknown = || Damage { at: start, ..self.damage(&chosen.cell, Code::UnknownChoice) };
                    let key = key.map_err(|_| unknown())?;
                    let arm = chosen.arms.iter().find(|arm| arm.keys.contains(&key)).ok_or_else(unknown)?;
                    self.steps(&arm.steps, values)?;
                }
            }
        }
        Ok(())
    }

    fn table(&mut self, table: &Table) -> Result<Value, Damage> {
        let times = match &table.count {
            None => table.max,
            Some((mark, cell)) => {
                let start = self.marks.get(*mark).copied().unwrap_or_default();
                let bytes = self.bytes.get(start..start + cell.length).unwrap_or_default();
                let wrong = |code| Damage { at: start, ..self.damage(cell, code) };
                let number = match &cell.content {
                    Content::Number(digits) => digits.take(bytes).map_err(wrong)?,
                    Content::Text(_) | Content::Edited(_) => return Err(wrong(Code::BadCount)),
                };
                usize::try_from(number.magnitude)
                    .ok()
                    .filter(|times| (table.min..=table.max).contains(times))
                    .filter(|_| !matches!(number, Scaled { negative: true, .. }))
                    .ok_or_else(|| wrong(Code::BadCount))?
            }
        };
        let mut items = Vec::with_capacity(times.min(self.bytes.len()));
        for at in 0..times {
            let occurrence = self.occurrence(table).map_err(|mut damage| {
                damage.occurrence.insert(0, at + 1);
                damage
            })?;
            items.push(occurrence);
        }
        Ok(Value::List(items))
    }

    fn occurrence(&mut self, table: &Table) -> Result<Value, Damage> {
        let slots: &[Slot] = table.rows.as_deref().unwrap_or_default();
        let mut values = vec![Value::Null; slots.len().max(1)];
        self.steps(&table.steps, &mut values)?;
        Ok(match table.rows {
            None => values.into_iter().next().unwrap_or(Value::Null),
            Some(_) => Value::Map(slots.iter().map(|slot| slot.name.clone()).zip(values).collect::<Row>()),
        })
    }
}
