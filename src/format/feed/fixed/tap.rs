//! Where the totals find their fields in encoded records.

use crate::format::codepage::CodePage;
use crate::format::feed::fixed::line::{self, Line};
use crate::format::fixed::Probe;
use crate::format::layout::{Item, Kind};
use crate::rules::nearest::hint;
use crate::rules::total::Encoded;

/// One item of encoded records.
#[derive(Clone, Debug)]
pub(super) enum Tap {
    Number(Probe),
    Text { offset: usize, length: usize, page: &'static CodePage },
}

impl Tap {
    /// The item of a name; the error says why it cannot be in a total.
    pub fn find(line: &Line, name: &str, page: &'static CodePage) -> Result<Tap, String> {
        if let Some(probe) = line.probe(name) {
            return Ok(Tap::Number(probe.clone()));
        }
        let mut found = Vec::new();
        collect(line.item(), false, &mut found);
        let mut own = found.iter().filter(|(item, _)| item.name.as_deref().is_some_and(|own| line::same(own, name)));
        match (own.next(), own.next()) {
            (Some((item, true)), None) if matches!(item.kind, Kind::Text(_)) => {
                Ok(Tap::Text { offset: item.offset, length: item.length, page })
            }
            (Some(_), None) => {
                Err(format!("`{name}` is a group, in a table, behind one that varies, or one of several redefinitions"))
            }
            (Some(_), Some(_)) => Err(format!("`{name}` is the name of several items")),
            (None, _) => {
                let names = found.iter().filter_map(|(item, _)| item.name.as_deref());
                Err(format!("there is no item `{name}` in {}{}", line.name(), hint(name, names)))
            }
        }
    }

    pub fn is_text(&self) -> bool {
        matches!(self, Tap::Text { .. })
    }

    /// Puts its characters into `text`, if it has any.
    pub fn read_text(&self, record: &[u8], text: &mut String) {
        if let Tap::Text { offset, length, page } = self {
            text.clear();
            let bytes = record.get(*offset..offset + length).unwrap_or_default();
            text.push_str(&page.decode_lossy(bytes));
        }
    }

    /// Its value; none where what stands for null is no number.
    pub fn read<'t>(&self, record: &[u8], text: &'t str) -> Option<Encoded<'t>> {
        match self {
            Tap::Text { .. } => Some(Encoded::Text(text)),
            Tap::Number(probe) => {
                let units = probe.read(record).ok()?;
                Some(match u32::try_from(probe.scale()) {
                    Ok(scale) => Encoded::Number { units, scale },
                    Err(_) => {
                        let up = 10_i128.checked_pow(u32::from(probe.scale().unsigned_abs()))?;
                        Encoded::Number { units: units.checked_mul(up)?, scale: 0 }
                    }
                })
            }
        }
    }
}

/// What a field is, without a value: from the first kind of record that has it.
pub(super) fn sample<'l>(lines: impl Iterator<Item = &'l Line>, name: &str) -> Result<Encoded<'static>, String> {
    let mut wrong = None;
    for line in lines {
        match Tap::find(line, name, line.page()) {
            Ok(Tap::Number(_)) => return Ok(Encoded::Number { units: 0, scale: 0 }),
            Ok(Tap::Text { .. }) => return Ok(Encoded::Text("")),
            Err(text) => wrong = wrong.or(Some(text)),
        }
    }
    Err(wrong.unwrap_or_else(|| format!("there is no item `{name}`")))
}

/// The items below a record, and whether each is at one place in every record.
fn collect<'l>(item: &'l Item, away: bool, found: &mut Vec<(&'l Item, bool)>) {
    let items = item.items();
    for below in items {
        let shared = below.redefines.is_some()
            || items.iter().any(|other| other.redefines.as_deref().is_some_and(|of| below.is_called(of)));
        let away = away || shared || below.occurs.is_some() || below.moves;
        found.push((below, !away));
        collect(below, away, found);
    }
}
