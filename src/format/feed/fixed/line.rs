//! One kind of record, compiled: for writing and for reading.

use std::sync::Arc;

use crate::event::{Record as Fields, Value};
use crate::format::codepage::CodePage;
use crate::format::feed::counting::Counting;
use crate::format::feed::fill::{Fill, Given, Set};
use crate::format::feed::fixed::pick::{self, Field};
use crate::format::feed::fixed::{FixedFeed, FixedLine, Pick, misfit};
use crate::format::feed::{ENCODING, Row};
use crate::format::fixed::{Binding, Options, Probe, Record, Rules, Slot, Source as Bound, Unbound};
use crate::format::layout::{Item, Problems};
use crate::rules::nearest::hint;
use crate::rules::outcome::Reason;

/// A compiled record.
#[derive(Debug)]
pub(super) struct Line {
    item: Item,
    page: &'static CodePage,
    writer: Record,
    /// Where the value of each slot of the writer comes from.
    sources: Vec<Source>,
    /// What is the same in all of a file.
    fills: Vec<Fill>,
    /// Whether any value is made for each row.
    makes: bool,
    /// Every item is a slot of this one.
    pub reader: Record,
    /// Slots of the reader that always hold the same value.
    pub constants: Vec<(usize, Value)>,
    /// Slots of the reader that show a total, by its place.
    pub totals: Vec<(usize, usize)>,
}

/// Where a value comes from.
#[derive(Debug)]
enum Source {
    /// One of the fills.
    File(usize),
    Action(Vec<(String, Value)>),
    Ordinal,
    Field(Field),
    Table(Pick),
    /// Nothing: null.
    Nothing,
}

/// Whether a slot is the item of a name: `NAME`, or `NAME OF GROUP`.
pub(super) fn same(slot: &str, name: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        let words = text.split_whitespace().map(str::to_uppercase);
        words.filter(|word| !matches!(word.as_str(), "OF" | "IN")).collect()
    };
    if slot.eq_ignore_ascii_case(name) {
        return true;
    }
    let (slot, name) = (words(slot), words(name));
    let mut around = slot.iter();
    around.next() == name.first() && name.iter().skip(1).all(|group| around.any(|own| own == group))
}

impl Line {
    /// Compiles a record; `map` is there for details. None when something is wrong.
    pub fn compile(
        feed: &FixedFeed,
        spec: &FixedLine,
        map: Option<&[(String, Pick)]>,
        counting: &mut Counting,
        wrong: &mut Vec<String>,
    ) -> Option<Line> {
        let before = wrong.len();
        let mut work = Work { feed, spec, map, wrong, bindings: Vec::new(), fills: Vec::new() };
        work.rules();
        let slots = work.slots()?;
        let sources = work.sources(&slots, counting);
        // What is wrong already would be said again.
        let refuse = !feed.reading && work.wrong.len() == before;
        let writer = work.record(if refuse { Unbound::Refuse } else { Unbound::Slot });
        // For reading, what stands in an item does not matter, but what stands for null does.
        for binding in &mut work.bindings {
            binding.source = Bound::Slot;
        }
        let reader = work.record(Unbound::Slot);
        let fills = work.fills;
        if wrong.len() > before {
            return None;
        }
        let (writer, reader) = (writer?, reader?);
        let mut sources = sources;
        let source = |slot: &Slot| {
            let own = sources.iter().position(|(name, _)| *name == slot.name);
            own.map_or(Source::Nothing, |own| sources.swap_remove(own).1)
        };
        let sources: Vec<Source> = writer.slots().iter().map(source).collect();
        let slot = |name: &str| reader.slots().iter().position(|slot| same(&slot.name, name));
        let constants = spec.set.iter().filter_map(|(name, set)| Some((slot(name)?, set.constant()?))).collect();
        let totals = writer.slots().iter().zip(&sources).filter_map(|(own, source)| match source {
            Source::File(fill) => match fills.get(*fill)? {
                Fill::Total(total) => Some((slot(&own.name)?, *total)),
                Fill::Text(..) => None,
            },
            _ => None,
        });
        let totals = totals.collect();
        let makes = sources.iter().any(|source| matches!(source, Source::Ordinal | Source::Table(_)));
        let (item, page) = (spec.record.clone(), feed.page);
        Some(Line { item, page, writer, sources, fills, makes, reader, constants, totals })
    }

    pub fn name(&self) -> &str {
        self.writer.name()
    }

    pub fn item(&self) -> &Item {
        &self.item
    }

    pub fn page(&self) -> &'static CodePage {
        self.page
    }

    pub fn probe(&self, item: &str) -> Option<&Probe> {
        self.writer.probe(item)
    }

    pub fn longest(&self) -> usize {
        self.writer.longest()
    }

    /// Items with a name that nothing stands in.
    pub fn gaps(&self) -> Option<String> {
        let named = || self.writer.gaps().iter().filter(|gap| !gap.name.starts_with("FILLER"));
        let names: Vec<&str> = named().map(|gap| &*gap.name).collect();
        let bytes: usize = named().map(|gap| gap.length).sum();
        let what = || format!("{}: nothing stands in {} ({bytes} bytes)", self.name(), names.join(", "));
        (!names.is_empty()).then(what)
    }

    pub fn shows_totals(&self) -> bool {
        self.fills.iter().any(|fill| !fill.totals().is_empty())
    }

    /// What is the same in all of a file.
    pub fn file_values(&self, given: &Given<'_>) -> Result<Vec<Value>, Reason> {
        self.fills.iter().map(|fill| fill.value(given)).collect()
    }

    /// Appends a header or trailer.
    pub fn encode(&self, given: &Given<'_>, out: &mut Vec<u8>) -> Result<(), Reason> {
        let values = self.file_values(given)?;
        let nothing = Fields::new();
        self.detail(&Row { record: &nothing, action: "", ordinal: 0 }, &values, out)
    }

    /// Appends a detail; `file` is what is the same in all of its file.
    pub fn detail(&self, row: &Row<'_>, file: &[Value], out: &mut Vec<u8>) -> Result<(), Reason> {
        let made = if self.makes { self.made(row)? } else { Vec::new() };
        let mut made = made.iter();
        let mut values: Vec<&Value> = Vec::with_capacity(self.sources.len());
        for (source, slot) in self.sources.iter().zip(self.writer.slots()) {
            values.push(match source {
                Source::File(fill) => file.get(*fill).unwrap_or(&Value::Null),
                Source::Action(table) => {
                    let code = table.iter().find(|(word, _)| word == row.action);
                    code.map(|(_, code)| code).ok_or_else(|| self.held(slot, "unknown_action"))?
                }
                Source::Ordinal | Source::Table(_) => made.next().unwrap_or(&Value::Null),
                Source::Field(field) => self.present(field.find(row.record), row, slot)?,
                Source::Nothing => &Value::Null,
            });
        }
        let values: &[&Value] = &values;
        self.writer.encode::<[&Value]>(values, out).map_err(|wrong| misfit(self.name(), &wrong))
    }

    /// The values that are made for each row, in order.
    fn made(&self, row: &Row<'_>) -> Result<Vec<Value>, Reason> {
        let mut made = Vec::new();
        for (source, slot) in self.sources.iter().zip(self.writer.slots()) {
            match source {
                Source::Ordinal => made.push(Value::Integer(i64::try_from(row.ordinal).unwrap_or(i64::MAX))),
                Source::Table(pick) => {
                    let table = pick::table(pick, slot, row.record);
                    made.push(self.present(table.as_ref(), row, slot)?.clone());
                }
                Source::File(_) | Source::Action(_) | Source::Field(_) | Source::Nothing => {}
            }
        }
        Ok(made)
    }

    /// Of a deleted record only the key may be known; any other has all its fields.
    fn present<'v>(&self, value: Option<&'v Value>, row: &Row<'_>, slot: &Slot) -> Result<&'v Value, Reason> {
        match value {
            Some(value) => Ok(value),
            None if row.action == "delete" => Ok(&Value::Null),
            None => Err(self.held(slot, "no_such_field")),
        }
    }

    fn held(&self, slot: &Slot, code: &str) -> Reason {
        Reason::new(ENCODING, format!("{}: {code} ({})", slot.name, self.name()))
    }
}

/// A record that is being compiled.
struct Work<'w> {
    feed: &'w FixedFeed,
    spec: &'w FixedLine,
    map: Option<&'w [(String, Pick)]>,
    wrong: &'w mut Vec<String>,
    bindings: Vec<Binding>,
    fills: Vec<Fill>,
}

impl Work<'_> {
    fn wrong(&mut self, item: &str, text: impl std::fmt::Display) {
        self.wrong.push(format!("{}: {item}: {text}", self.spec.record.title()));
    }

    /// Constants and items with rules of their own.
    fn rules(&mut self) {
        for (item, set) in &self.spec.set {
            if let Some(value) = set.constant() {
                let rules = self.own(item);
                self.bindings.push(Binding { item: item.clone(), source: Bound::Constant(value), rules });
            }
        }
        for (item, rules) in &self.spec.items {
            if !self.bindings.iter().any(|binding| same(&binding.item, item)) {
                self.bindings.push(Binding { item: item.clone(), source: Bound::Slot, rules: Some(rules.clone()) });
            }
        }
    }

    fn own(&self, item: &str) -> Option<Rules> {
        self.spec.items.iter().find(|(name, _)| same(name, item)).map(|(_, rules)| rules.clone())
    }

    fn options(&self, unbound: Unbound) -> Options {
        let FixedFeed { page, overpunch, little_endian, blank_is_zero, .. } = *self.feed;
        let (rules, bindings, choices) = (self.spec.rules.clone(), self.bindings.clone(), self.spec.choices.clone());
        Options { page, overpunch, little_endian, blank_is_zero, unbound, rules, bindings, choices }
    }

    fn record(&mut self, unbound: Unbound) -> Option<Record> {
        Record::compile(&self.spec.record, &self.options(unbound))
            .map_err(|Problems(problems)| {
                for problem in problems {
                    let text = problem.to_string();
                    if !self.wrong.contains(&text) {
                        self.wrong.push(text);
                    }
                }
            })
            .ok()
    }

    /// What takes a value, with groups that are given one as a whole.
    fn slots(&mut self) -> Option<Vec<Slot>> {
        let record = self.record(Unbound::Slot)?;
        let known = |name: &str| {
            let of = |slot: &Slot| same(&slot.name, name) || slot.inner().iter().any(|inner| same(&inner.name, name));
            record.slots().iter().any(of)
        };
        let set = self.spec.set.iter().map(|(item, set)| (item, set.constant().is_some()));
        let map = self.map.unwrap_or_default().iter().map(|(item, _)| (item, false));
        let groups: Vec<String> =
            set.chain(map).filter(|(item, constant)| !constant && !known(item)).map(|(item, _)| item.clone()).collect();
        if groups.is_empty() {
            return Some(record.slots().to_vec());
        }
        let before = self.bindings.len();
        for item in groups {
            let rules = self.own(&item);
            self.bindings.push(Binding { item, source: Bound::Slot, rules });
        }
        // Without those that are no items the others can be looked at.
        match self.record(Unbound::Slot) {
            Some(record) => Some(record.slots().to_vec()),
            None => {
                self.bindings.truncate(before);
                Some(record.slots().to_vec())
            }
        }
    }

    /// What fills each slot. Slots that nothing fills are refused, or get their initial value and are slots no more.
    fn sources(&mut self, slots: &[Slot], counting: &mut Counting) -> Vec<(Arc<str>, Source)> {
        let (spec, map) = (self.spec, self.map.unwrap_or_default());
        for (item, _) in spec.set.iter().filter(|(_, set)| set.constant().is_none()) {
            let inner = |slot: &Slot| slot.inner().iter().any(|inner| same(&inner.name, item));
            if slots.iter().any(inner) && !slots.iter().any(|slot| same(&slot.name, item)) {
                self.wrong(item, "is in a table, where only constants can be set");
            }
            if map.iter().any(|(other, _)| same(item, other)) {
                self.wrong(item, "is both set and mapped: leave one of the two out");
            }
        }
        let mut sources = Vec::new();
        for slot in slots {
            if let Some(source) = self.source(slot, counting) {
                self.slot(slot);
                sources.push((slot.name.clone(), source));
            }
        }
        sources
    }

    /// Keeps a slot a slot.
    fn slot(&mut self, slot: &Slot) {
        if !slot.is_table() && !self.bindings.iter().any(|binding| same(&slot.name, &binding.item)) {
            self.bindings.push(Binding { item: slot.name.to_string(), source: Bound::Slot, rules: None });
        }
        for inner in slot.inner() {
            self.slot(inner);
        }
        if slot.is_table() && slot.inner().is_empty() && !slot.name.starts_with("FILLER") {
            self.slot(&Slot { takes: crate::format::fixed::Takes::One, ..slot.clone() });
        }
    }

    fn source(&mut self, slot: &Slot, counting: &mut Counting) -> Option<Source> {
        let (spec, map) = (self.spec, self.map);
        if let Some((item, set)) = spec.set.iter().find(|(item, _)| same(&slot.name, item)) {
            return self.set(item, set, counting);
        }
        if let Some((item, pick)) = map.unwrap_or_default().iter().find(|(item, _)| same(&slot.name, item)) {
            return self.mapped(item, pick, slot);
        }
        let name = slot.name.split(' ').next().unwrap_or_default();
        let initial = spec.unset == Unbound::Initial;
        match (&self.feed.fields, map) {
            _ if self.feed.reading => Some(Source::Nothing),
            (Some(fields), Some(_)) if fields.iter().any(|field| pick::alike(field, name)) => Some(like(name, slot)),
            (None, Some(_)) if !initial => Some(like(name, slot)),
            (fields, map) if !initial => {
                let what = if map.is_some() { "map or set it" } else { "set it" };
                let fields = fields.iter().flatten().map(String::as_str);
                let near =
                    if map.is_some() { hint(&name.to_lowercase().replace('-', "_"), fields) } else { String::new() };
                let text = format!("nothing stands in it: {what}, or write `unset: initial`{near}");
                self.wrong(&slot.name, text);
                None
            }
            _ => {
                self.initial(slot);
                None
            }
        }
    }

    /// Its VALUE, spaces or zeros.
    fn initial(&mut self, slot: &Slot) {
        for inner in slot.inner() {
            self.initial(inner);
        }
        if slot.inner().is_empty() && !slot.name.starts_with("FILLER") {
            self.bindings.retain(|binding| !same(&slot.name, &binding.item));
            let rules = self.own(&slot.name);
            self.bindings.push(Binding { item: slot.name.to_string(), source: Bound::Initial, rules });
        }
    }

    fn set(&mut self, item: &str, set: &Set, counting: &mut Counting) -> Option<Source> {
        let detail = self.map.is_some();
        match set {
            Set::Pattern(text) => match Fill::compile(text, counting) {
                Ok(fill) if detail && !fill.totals().is_empty() && !self.feed.reading => {
                    self.wrong(item, "shows a total, which is known only when all details are written");
                    None
                }
                Ok(fill) => {
                    self.fills.push(fill);
                    Some(Source::File(self.fills.len() - 1))
                }
                Err(text) => {
                    self.wrong(item, text);
                    None
                }
            },
            Set::Action(_) | Set::Ordinal if !detail => {
                self.wrong(item, "is about one line, and this record is about the file");
                None
            }
            Set::Action(table) if table.is_empty() => {
                let words = ["add", "change", "delete", "message"];
                Some(Source::Action(words.map(|word| (word.to_owned(), Value::from(word))).into()))
            }
            Set::Action(table) => Some(Source::Action(table.clone())),
            Set::Ordinal => Some(Source::Ordinal),
            // Constants are bound, and no slots.
            Set::Constant(_) => None,
        }
    }

    fn mapped(&mut self, item: &str, pick: &Pick, slot: &Slot) -> Option<Source> {
        if let Some(fields) = &self.feed.fields {
            let mut unknown = Vec::new();
            unknown_fields(pick, fields, &mut unknown);
            for name in &unknown {
                let near = hint(name, fields.iter().map(String::as_str));
                self.wrong(item, format!("there is no field `{name}`{near}"));
            }
        }
        match pick {
            Pick::Field(name) if !slot.is_table() => Some(Source::Field(Field::named(name))),
            pick if slot.is_table() => {
                self.inner(item, pick, slot);
                Some(Source::Table(pick.clone()))
            }
            _ => {
                self.wrong(item, "is no table: name one field");
                None
            }
        }
    }

    /// Items of a table that are named and not there.
    fn inner(&mut self, item: &str, pick: &Pick, slot: &Slot) {
        match pick {
            Pick::Field(_) => {}
            Pick::List(picks) => picks.iter().for_each(|pick| self.inner(item, pick, slot)),
            Pick::Items(items) => {
                let missing =
                    slot.inner().iter().filter(|inner| !items.iter().any(|(name, _)| same(&inner.name, name)));
                for inner in missing.filter(|_| self.spec.unset != Unbound::Initial) {
                    self.wrong(&inner.name, "nothing stands in it: map it, or write `unset: initial`");
                }
                for (name, pick) in items {
                    match slot.inner().iter().find(|inner| same(&inner.name, name)) {
                        Some(inner) => self.inner(name, pick, inner),
                        None => {
                            let near = hint(name, slot.inner().iter().map(|inner| &*inner.name));
                            self.wrong(item, format!("there is no item `{name}` in it{near}"));
                        }
                    }
                }
            }
        }
    }
}

/// The field with the name of an item.
fn like(name: &str, slot: &Slot) -> Source {
    match slot.is_table() {
        true => Source::Table(Pick::Field(name.to_lowercase().replace('-', "_"))),
        false => Source::Field(Field::like(name)),
    }
}

fn unknown_fields(pick: &Pick, fields: &[String], unknown: &mut Vec<String>) {
    match pick {
        Pick::Field(name) => {
            let first = name.split('.').next().unwrap_or_default();
            if !fields.iter().any(|field| field == name || field == first) && !unknown.contains(name) {
                unknown.push(name.clone());
            }
        }
        Pick::List(picks) => picks.iter().for_each(|pick| unknown_fields(pick, fields, unknown)),
        Pick::Items(items) => items.iter().for_each(|(_, pick)| unknown_fields(pick, fields, unknown)),
    }
}
