//! Layouts to steps.

mod blank;
mod shared;

use std::collections::{HashMap, HashSet};
use std::ptr::from_ref;
use std::sync::Arc;

use crate::format::fixed::cell::{Cell, Characters, Content};
use crate::format::fixed::edited::Editing;
use crate::format::fixed::names::Names;
use crate::format::fixed::number::Digits;
use crate::format::fixed::step::{Gap, Slot, Step, Table, Takes};
use crate::format::fixed::{Binding, Null, Options, Overpunch, Probe, Record, Rules, Select, Source, Unbound};
use crate::format::layout::{Form, Item, Kind, Number, Problem, Problems};

impl Record {
    /// Compiles a record of a layout. All that is wrong is said at once.
    pub fn compile(record: &Item, options: &Options) -> Result<Record, Problems> {
        let names = Names::of(record);
        let mut compiler = Compiler::new(record, &names, options);
        let (mut slots, mut steps) = (Vec::new(), Vec::new());
        if compiler.problems.is_empty() {
            compiler.item(record, Within { times: 1, fixed: true }, &mut steps, &mut slots);
            compiler.unreached(record);
        }
        let Compiler { problems, gaps, probes, marks, .. } = compiler;
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        let (longest, shortest) = (record.length, record.shortest);
        Ok(Record { name: record.title().into(), steps, slots, gaps, probes, longest, shortest, marks: marks.len() })
    }
}

/// What stands around an item.
#[derive(Clone, Copy)]
struct Within {
    /// Occurrences of it in the record.
    times: usize,
    /// Whether it is there in every record, once, at one place.
    fixed: bool,
}

/// A place that is looked back at: the number of occurrences of a table, or what chooses a redefinition.
#[derive(Default)]
struct Mark {
    number: usize,
    /// What stands there, once it was met; and the tables and alternatives around it.
    met: Option<(Cell, Vec<*const Item>)>,
    /// Where the step that counts is, for a count.
    step: Option<usize>,
}

struct Compiler<'c> {
    names: &'c Names<'c>,
    options: &'c Options,
    bindings: HashMap<*const Item, &'c Binding>,
    /// The choices, with the item that each is about.
    choices: Vec<(*const Item, &'c Select)>,
    /// The counts of tables.
    counts: Vec<*const Item>,
    marks: HashMap<*const Item, Mark>,
    /// The tables and alternatives around the item that is looked at.
    around: Vec<*const Item>,
    /// Items that were met.
    met: HashSet<*const Item>,
    problems: Vec<Problem>,
    gaps: Vec<Gap>,
    probes: Vec<(Arc<str>, Probe)>,
}

impl<'c> Compiler<'c> {
    fn new(record: &'c Item, names: &'c Names<'c>, options: &'c Options) -> Compiler<'c> {
        let mut compiler = Compiler {
            names,
            options,
            bindings: HashMap::new(),
            choices: Vec::new(),
            counts: Vec::new(),
            marks: HashMap::new(),
            around: Vec::new(),
            met: HashSet::new(),
            problems: Vec::new(),
            gaps: Vec::new(),
            probes: Vec::new(),
        };
        for binding in &options.bindings {
            match names.find(&binding.item) {
                Ok(item) if compiler.bindings.insert(from_ref(item), binding).is_none() => {}
                Ok(item) => compiler.wrong(item, "is bound twice"),
                Err(text) => compiler.wrong(record, text),
            }
        }
        for choice in &options.choices {
            match names.find(&choice.of) {
                Ok(item) => compiler.choices.push((from_ref(item), &choice.select)),
                Err(text) => compiler.wrong(record, text),
            }
            if let Select::By { item, .. } = &choice.select {
                match names.find(item) {
                    Ok(item) => compiler.mark(item),
                    Err(text) => compiler.wrong(record, text),
                }
            }
        }
        compiler.find_counts(record, record);
        compiler
    }

    fn wrong(&mut self, item: &Item, text: impl Into<String>) {
        self.problems.push(item.problem(text));
    }

    fn mark(&mut self, item: &Item) {
        let number = self.marks.len();
        self.marks.entry(from_ref(item)).or_insert_with(|| Mark { number, ..Mark::default() });
    }

    /// Finds the items that tables depend on: each the first of its name.
    fn find_counts(&mut self, record: &Item, item: &Item) {
        let depending = item.occurs.as_ref().and_then(|occurs| occurs.depending.as_deref());
        if let Some(count) = depending.and_then(|name| first(record, name)) {
            self.mark(count);
            self.counts.push(from_ref(count));
        }
        for below in item.items() {
            self.find_counts(record, below);
        }
    }

    /// Bindings and choices of items that no record of this kind has.
    fn unreached(&mut self, record: &Item) {
        let bound = self.options.bindings.iter().map(|binding| &binding.item);
        for name in bound.chain(self.options.choices.iter().map(|choice| &choice.of)) {
            let Ok(item) = self.names.find(name) else { continue };
            if !self.met.contains(&from_ref(item)) {
                let text = "is bound, but it is part of an alternative that is never chosen, or of a group that is bound as \
                            one text";
                self.wrong(item, text);
            }
        }
        if record.occurs.is_some() {
            self.wrong(record, "a record does not occur more than once");
        }
    }

    fn item(&mut self, item: &Item, within: Within, steps: &mut Vec<Step>, slots: &mut Vec<Slot>) {
        match &item.occurs {
            Some(_) => self.table(item, within, steps, slots),
            None => self.once(item, within, steps, slots),
        }
    }

    /// One occurrence of an item.
    fn once(&mut self, item: &Item, within: Within, steps: &mut Vec<Step>, slots: &mut Vec<Slot>) {
        self.met.insert(from_ref(item));
        match &item.kind {
            Kind::Group(items) if !self.bindings.contains_key(&from_ref(item)) => {
                self.group(items, within, steps, slots)
            }
            Kind::Group(_) if item.varies() => self.wrong(item, "is bound as one text, but its length varies"),
            _ => self.elementary(item, within, steps, slots),
        }
    }

    fn table(&mut self, item: &Item, within: Within, steps: &mut Vec<Step>, slots: &mut Vec<Slot>) {
        let Some(occurs) = &item.occurs else { return };
        let (mut below, mut rows) = (Vec::new(), Vec::new());
        self.around.push(from_ref(item));
        let times = within.times.saturating_mul(occurs.max);
        self.once(item, Within { times, fixed: false }, &mut below, &mut rows);
        self.around.pop();
        let blank = blank::of(&below);
        if rows.is_empty() && occurs.depending.is_none() {
            return bytes(steps, &blank.repeat(occurs.max));
        }
        let slot = slots.len();
        let single = matches!(item.kind, Kind::Text(_) | Kind::Number(_) | Kind::Edited(_))
            || self.bindings.contains_key(&from_ref(item));
        let rows: Option<Arc<[Slot]>> = if single { None } else { Some(rows.into()) };
        let mut name = self.names.title(item);
        if item.name.is_none() {
            name = format!("FILLER {}", slots.iter().filter(|slot| slot.name.starts_with("FILLER")).count() + 1).into();
        }
        let takes = rows.clone().map_or(Takes::List, Takes::Rows);
        slots.push(Slot { name: name.clone(), takes });
        let count = self.count_of(item, slot, steps);
        if occurs.depending.is_some() && count.is_none() {
            self.wrong(item, "depends on a number that stands in no record of this kind");
        }
        let (min, max, blank) = (occurs.min, occurs.max, blank.into());
        steps.push(Step::Table(Box::new(Table { name, slot, rows, steps: below, min, max, count, blank })));
    }

    /// Where the number of occurrences of a table stands, which is told the table's slot.
    fn count_of(&mut self, table: &Item, slot: usize, steps: &mut [Step]) -> Option<(usize, Cell)> {
        let depending = table.occurs.as_ref()?.depending.as_deref()?;
        let found = self.counts.iter().find_map(|count| {
            let mark = self.marks.get(count)?;
            let (cell, _) = mark.met.as_ref()?;
            let is = cell.name.split(' ').next() == Some(depending);
            is.then(|| (mark.step, mark.number, cell.clone()))
        });
        let (step, number, cell) = found?;
        if let Some(Step::Count { slots, least, .. }) = step.and_then(|step| steps.get_mut(step)) {
            slots.push(slot);
            *least = (*least).max(table.occurs.as_ref()?.min);
        }
        Some((number, cell))
    }

    /// An item with a picture, or a group that is bound as one text.
    fn elementary(&mut self, item: &Item, within: Within, steps: &mut Vec<Step>, slots: &mut Vec<Slot>) {
        let binding = self.bindings.get(&from_ref(item)).copied();
        let rules = binding.and_then(|binding| binding.rules.as_ref());
        if let Some(rules) = rules {
            self.check(item, rules);
        }
        let Some(cell) = self.cell(item, rules.unwrap_or(&self.options.rules)) else { return };
        if let (Content::Number(digits), true, false) = (&cell.content, within.fixed, item.moves) {
            let probe = Probe { offset: item.offset, length: item.length, digits: *digits };
            self.probes.push((cell.name.clone(), probe));
        }
        let is_count = self.counts.contains(&from_ref(item));
        if let Some(mark) = self.marks.get_mut(&from_ref(item)) {
            steps.push(Step::Mark(mark.number));
            mark.met = Some((cell.clone(), self.around.clone()));
            mark.step = is_count.then_some(steps.len());
        }
        if is_count {
            if binding.is_some() {
                self.wrong(item, "is set from the number of occurrences: it needs no value");
            }
            steps.push(Step::Count { slots: Vec::new(), least: 0, cell });
            return;
        }
        let source = match (binding.map(|binding| &binding.source), item.name.is_some(), self.options.unbound) {
            (Some(source), _, _) => source,
            (None, true, Unbound::Slot) => &Source::Slot,
            (None, true, Unbound::Refuse) => {
                self.wrong(item, "nothing stands in it: map it, or give it a default");
                return;
            }
            (None, true, Unbound::Initial) | (None, false, _) => &Source::Initial,
        };
        let (written, filled) = match source {
            Source::Slot => {
                let slot = slots.len();
                slots.push(Slot { name: cell.name.clone(), takes: Takes::One });
                return steps.push(Step::Cell { slot, cell });
            }
            Source::Constant(value) => (cell.key(value).map(Vec::from), "constant"),
            Source::Initial => blank::initial(item.value.as_ref(), &cell, self.options.page),
        };
        match written {
            Ok(written) => bytes(steps, &written),
            Err(code) => self.wrong(item, format!("its {filled} does not fit: {code}")),
        }
        if !matches!(source, Source::Constant(_)) {
            self.gap(cell.name, item.offset, cell.length, within, filled);
        }
    }

    fn gap(&mut self, name: Arc<str>, offset: usize, length: usize, within: Within, filled: &'static str) {
        self.gaps.push(Gap { name, offset, length: length.saturating_mul(within.times), filled });
    }

    /// Rules that an item cannot have.
    fn check(&mut self, item: &Item, rules: &Rules) {
        if matches!(item.kind, Kind::Number(_) | Kind::Edited(_)) {
            if rules.truncate_right {
                self.wrong(item, "`overflow: truncate_right` is for texts: a number loses no digits");
            }
            if rules.unmappable.is_some() {
                self.wrong(item, "`unmappable` is for texts without editing");
            }
        }
        let is_zoned = matches!(item.kind, Kind::Number(Number { form: Form::Zoned(_), .. }));
        if matches!(item.kind, Kind::Number(_)) && !is_zoned && rules.null == Some(Null::Spaces) {
            self.wrong(
                item,
                "`null: spaces` is no number in packed and binary items: use zeros, or low or high values",
            );
        }
        if rules.key && rules.null.is_some() {
            self.wrong(item, "a key is never null: leave `null` out");
        }
    }

    fn cell(&mut self, item: &Item, rules: &Rules) -> Option<Cell> {
        let page = self.options.page;
        let content = match &item.kind {
            Kind::Number(number) => {
                self.check_sign(item, *number);
                let Options { overpunch, little_endian, blank_is_zero, .. } = self.options;
                Content::Number(Digits::new(*number, rules.round, page, *overpunch, *little_endian, *blank_is_zero))
            }
            Kind::Edited(edited) => Content::Edited(Editing { page, edited: edited.clone(), round: rules.round }),
            Kind::Text(_) | Kind::Group(_) => {
                let unmappable = rules.unmappable.map(|c| (c, page.byte(c)));
                if let Some((c, None)) = unmappable {
                    let c = c.escape_default();
                    self.wrong(item, format!("the code page {} has no `{c}` to stand for others", page.name()));
                }
                let right = matches!(&item.kind, Kind::Text(text) if text.right);
                let (truncate, controls) = (rules.truncate_right, rules.controls);
                let unmappable = unmappable.and_then(|(_, byte)| byte);
                Content::Text(Characters { page, right, truncate, unmappable, controls })
            }
        };
        let mut cell = Cell { name: self.names.title(item), length: item.length, content, null: None };
        if !rules.key {
            // What holds for all items is what each can have.
            let number = matches!(&cell.content, Content::Number(_));
            let null = rules.null_number.as_ref().filter(|_| number).or(rules.null.as_ref());
            let zoned = matches!(item.kind, Kind::Number(Number { form: Form::Zoned(_), .. }));
            let null = null.filter(|null| **null != Null::Spaces || !number || zoned);
            match cell.blank(null, page) {
                Ok(blank) => cell.null = Some(blank),
                Err(code) => {
                    self.wrong(item, format!("what stands for null does not fit: {code}"));
                    return None;
                }
            }
        }
        Some(cell)
    }

    fn check_sign(&mut self, item: &Item, number: Number) {
        let Form::Zoned(sign) = number.form else { return };
        if !number.signed || sign.separate || self.options.page.is_ebcdic() {
            return;
        }
        match self.options.overpunch {
            Some(Overpunch::Ebcdic | Overpunch::MicroFocus) => {}
            Some(Overpunch::Separate) => {
                self.wrong(
                    item,
                    "has its sign in a digit, but signs are to be separate: add SIGN SEPARATE, or choose another",
                );
            }
            None => {
                let text = "has its sign in a digit, for which ASCII has three conventions: say which the receiver reads \
                            (ebcdic: -12 is 01K; microfocus: 01r; separate)";
                self.wrong(item, text);
            }
        }
    }
}

/// The first item of a name.
fn first<'i>(item: &'i Item, name: &str) -> Option<&'i Item> {
    if item.is_called(name) { Some(item) } else { item.items().iter().find_map(|below| first(below, name)) }
}

/// Adds bytes to those before.
fn bytes(steps: &mut Vec<Step>, more: &[u8]) {
    if more.is_empty() {
        return;
    }
    match steps.last_mut() {
        Some(Step::Bytes(bytes)) => *bytes = [&**bytes, more].concat().into(),
        _ => steps.push(Step::Bytes(more.into())),
    }
}
