//! The bytes of items that nobody gave a value.

use crate::event::Value;
use crate::format::codepage::CodePage;
use crate::format::fixed::Code;
use crate::format::fixed::cell::{Cell, Characters, Content};
use crate::format::fixed::edited::Editing;
use crate::format::fixed::number::Scaled;
use crate::format::fixed::step::Step;
use crate::format::layout::Initial;

/// One pass over steps without values.
pub(super) fn of(steps: &[Step]) -> Vec<u8> {
    let mut out = Vec::new();
    render(steps, &mut Vec::new(), &mut out);
    out
}

fn render(steps: &[Step], marks: &mut Vec<(usize, usize)>, out: &mut Vec<u8>) {
    for step in steps {
        match step {
            Step::Bytes(bytes) => out.extend_from_slice(bytes),
            Step::Mark(mark) => marks.push((*mark, out.len())),
            Step::Cell { cell, .. } => match &cell.null {
                Some(blank) => out.extend_from_slice(&blank.bytes),
                None => zero(cell, 0, out),
            },
            Step::Count { cell, least, .. } => zero(cell, *least, out),
            Step::Table(table) => {
                for _ in 0..if table.count.is_some() { table.min } else { table.max } {
                    out.extend_from_slice(&table.blank);
                }
            }
            Step::Choice(chosen) => {
                let start = marks.iter().rev().find(|(mark, _)| *mark == chosen.mark).map(|(_, start)| *start);
                let key = start.and_then(|start| out.get(start..start + chosen.cell.length)).unwrap_or_default();
                let arm = chosen.arms.iter().find(|arm| arm.keys.iter().any(|own| **own == *key));
                if let Some(arm) = arm.or(chosen.arms.first()) {
                    render(&arm.steps, marks, out);
                }
            }
        }
    }
}

/// A key or a count that is not there: spaces or a small number.
fn zero(cell: &Cell, number: usize, out: &mut Vec<u8>) {
    let start = out.len();
    match &cell.content {
        Content::Text(Characters { page, .. }) | Content::Edited(Editing { page, .. }) => {
            out.resize(start + cell.length, page.space());
        }
        Content::Number(digits) => {
            out.resize(start + cell.length, 0);
            // Zero fits into every number, and the least count into that of its table.
            let _ = digits.put(Scaled { negative: false, magnitude: number as u128 }, &mut out[start..]);
        }
    }
}

/// The bytes of a VALUE, or spaces or zeros where there is none; and the word for it.
pub(super) fn initial(value: Option<&Initial>, cell: &Cell, page: &CodePage) -> (Result<Vec<u8>, Code>, &'static str) {
    let number = matches!(cell.content, Content::Number(_));
    let edited = matches!(cell.content, Content::Edited(_));
    let filled = |byte| Ok(vec![byte; cell.length]);
    let written = match value {
        None if cell.is_number() => return (cell.key(&Value::Integer(0)).map(Vec::from), "zeros"),
        None => return (filled(page.space()), "spaces"),
        Some(Initial::Number(digits)) if number => {
            // A sign of plus, and a point at the beginning, are COBOL's.
            let digits = digits.replace(',', ".");
            let (sign, rest) =
                digits.strip_prefix('-').map_or(("", digits.trim_start_matches('+')), |rest| ("-", rest));
            let zero = if rest.starts_with('.') { "0" } else { "" };
            cell.key(&Value::Number(format!("{sign}{zero}{rest}").into())).map(Vec::from)
        }
        // The VALUE of an edited item is what it shows.
        Some(Initial::Number(text) | Initial::Text(text)) if edited => {
            let mut shown = Vec::new();
            page.encode(text, None, &mut shown).map_err(|_| Code::Unmappable).and_then(|()| {
                let fits = shown.len() <= cell.length;
                shown.resize(cell.length, page.space());
                if fits { Ok(shown) } else { Err(Code::Overflow) }
            })
        }
        Some(Initial::Number(text) | Initial::Text(text)) => cell.key(&Value::from(&**text)).map(Vec::from),
        Some(Initial::Zeros) if number => cell.key(&Value::Integer(0)).map(Vec::from),
        Some(Initial::Zeros) => filled(page.zero()),
        Some(Initial::Spaces) => filled(page.space()),
        Some(Initial::Low) => filled(0),
        Some(Initial::High) => filled(0xff),
        Some(Initial::Quotes) => page.byte('"').ok_or(Code::Unmappable).and_then(filled),
        Some(Initial::All(text)) => {
            let mut part = Vec::new();
            page.encode(text, None, &mut part)
                .map_err(|_| Code::Unmappable)
                .map(|()| part.iter().copied().cycle().take(cell.length).collect())
        }
    };
    (written, "VALUE")
}
