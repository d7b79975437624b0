//! Where each item stands, and what may not stand where it does.

use std::ptr::from_ref;
use std::sync::Arc;

use crate::format::layout::{Item, Kind, Problem};

/// Bytes that a record may have.
pub const RECORD_MAX: usize = 16 << 20;

/// Gives the items of all records their places and lengths; elementary items know their own length. Returns what is
/// wrong with them: what redefines what, and what depends on what.
pub fn place(records: &mut [Item]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for record in records.iter_mut() {
        item(record, 0, false, &mut problems);
        if record.whole() > RECORD_MAX {
            problems.push(record.problem(format!("the record is longer than {RECORD_MAX} bytes")));
        }
    }
    if problems.is_empty() {
        for record in records.iter() {
            let mut walk = Walk { record, counts: Vec::new(), problems: &mut problems };
            walk.item(record, &Around::default());
        }
        redefined_records(records, &mut problems);
    }
    problems
}

/// Places an item and all below it.
fn item(item_: &mut Item, at: usize, moves: bool, problems: &mut Vec<Problem>) {
    item_.offset = at;
    item_.moves = moves;
    if let Kind::Group(items) = &mut item_.kind {
        let (length, shortest) = group(items, at, moves, problems);
        item_.length = length;
        item_.shortest = shortest;
    }
}

/// Places the items of a group one after the other; gives its longest and its shortest length.
fn group(items: &mut [Item], start: usize, moves: bool, problems: &mut Vec<Problem>) -> (usize, usize) {
    let (mut next, mut shortest, mut moves) = (start, 0_usize, moves);
    // The item that the ones after it may redefine: its place in the list, and where the longest of them ends.
    let mut base: Option<usize> = None;
    for at in 0..items.len() {
        let (before, rest) = items.split_at_mut(at);
        let Some(own) = rest.first_mut() else { break };
        let Some(target) = own.redefines.clone() else {
            item(own, next, moves, problems);
            next = next.saturating_add(own.whole());
            let fewest = own.occurs.as_ref().map_or(1, |occurs| occurs.min);
            shortest = shortest.saturating_add(own.shortest.saturating_mul(fewest));
            moves = moves || own.varies();
            base = Some(at);
            continue;
        };
        let first = base.and_then(|base| before.get(base..)).unwrap_or_default();
        match (first.iter().any(|item| item.is_called(&target)), first.first()) {
            (true, Some(original)) => {
                if original.occurs.is_some() {
                    problems.push(
                        own.problem(format!("redefines `{target}`, which has OCCURS: only a group around it can be")),
                    );
                }
                let (start, moves, vary) = (original.offset, original.moves, original.varies());
                item(own, start, moves, problems);
                if vary || own.varies() {
                    problems.push(own.problem(format!("redefines `{target}`, and one of them depends on a count")));
                }
                let end = start.saturating_add(own.whole());
                // A longer one lengthens the place that both share.
                shortest = shortest.saturating_add(end.saturating_sub(next));
                next = next.max(end);
            }
            _ => problems.push(own.problem(match before.iter().any(|item| item.is_called(&target)) {
                true => format!("redefines `{target}`, but other items with a place of their own stand between them"),
                false => format!("redefines `{target}`, which is not among the items of the same level before it"),
            })),
        }
    }
    (next.saturating_sub(start), shortest)
}

/// Records share their places with whatever else is in the file: only that the redefined one is there matters.
fn redefined_records(records: &[Item], problems: &mut Vec<Problem>) {
    for (at, record) in records.iter().enumerate() {
        let Some(target) = &record.redefines else { continue };
        if !records.iter().take(at).any(|before| before.is_called(target)) {
            problems.push(record.problem(format!("redefines `{target}`, which is no record before it")));
        }
    }
}

/// What stands around an item.
#[derive(Clone, Default)]
struct Around {
    /// The tables around it, it itself included.
    tables: Vec<*const Item>,
    /// Some item around it, or it itself, shares its place.
    shared: bool,
}

/// An item that may count.
struct Count {
    name: Arc<str>,
    /// What speaks against it.
    against: Option<&'static str>,
    /// The tables around it.
    tables: Vec<*const Item>,
}

/// Looks at one record's items in their order.
struct Walk<'r> {
    record: &'r Item,
    /// Items that stand before, and may count.
    counts: Vec<Count>,
    problems: &'r mut Vec<Problem>,
}

impl Walk<'_> {
    fn item(&mut self, item: &Item, around: &Around) {
        let mut around = around.clone();
        if let Some(occurs) = &item.occurs {
            if let Some(count) = &occurs.depending {
                self.depending(item, count, &around);
            }
            around.tables.push(from_ref(item));
        }
        around.shared |= item.redefines.is_some();
        match &item.kind {
            Kind::Group(items) => {
                for (at, below) in items.iter().enumerate() {
                    let redefined = items[at + 1..].first().is_some_and(|next| next.redefines.is_some());
                    let around = Around { shared: around.shared || redefined, ..around.clone() };
                    self.item(below, &around);
                }
            }
            Kind::Number(number) => {
                let against = if item.occurs.is_some() {
                    Some("occurs itself")
                } else if around.shared {
                    Some("shares its place with another item")
                } else if number.scale != 0 {
                    Some("is no whole number")
                } else {
                    None
                };
                self.may_count(item, against, around.tables);
            }
            Kind::Text(_) | Kind::Edited(_) => self.may_count(item, Some("is no number"), around.tables),
        }
    }

    fn may_count(&mut self, item: &Item, against: Option<&'static str>, tables: Vec<*const Item>) {
        if let Some(name) = item.name.clone() {
            self.counts.push(Count { name, against, tables });
        }
    }

    /// A table that depends on a count.
    fn depending(&mut self, item: &Item, count: &Arc<str>, around: &Around) {
        let found: Vec<_> = self.counts.iter().filter(|own| own.name == *count).collect();
        let text = match found.as_slice() {
            _ if around.shared => "DEPENDING ON in an item that shares its place with another".to_owned(),
            [] => format!("depends on `{count}`, which is no item before it in {}", self.record.title()),
            [Count { against: Some(against), .. }] => format!("depends on `{count}`, which {against}"),
            [Count { tables, .. }] if *tables != around.tables => {
                format!("depends on `{count}`, which does not stand in the same occurrence of the same table")
            }
            [_] => return,
            _ => format!("depends on `{count}`, and there are several items of that name"),
        };
        self.problems.push(item.problem(text));
    }
}
