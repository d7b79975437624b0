//! One record of a file: `header`, `detail` or `trailer`.

use crate::config::drop::csv::replacement;
use crate::config::drop::format::Purpose;
use crate::config::fields::Fields;
use crate::config::found::Found;
use crate::event::Value;
use crate::format::feed::{FixedDetail, FixedLine, Pick, Set, When};
use crate::format::fixed::{Choice, Null, Round, Rules, Select, Unbound};
use crate::format::layout::{self, Field, Form, Item, Kind, Layout, Number};
use crate::rules::nearest::hint;

/// The keys of every record.
const KEYS: [&str; 11] =
    ["record", "fields", "set", "null", "overflow", "unmappable", "round", "controls", "unset", "redefines", "items"];

/// Which record of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Header,
    Detail,
    Trailer,
}

/// What the records of a format have in common.
pub(super) struct Lines<'l> {
    /// The records of the copybook; none = each record has fields of its own.
    pub(super) layout: Option<&'l Layout>,
    /// The fields of the format itself, for details.
    pub(super) fields: Option<Vec<Field>>,
    pub(super) rules: &'l Rules,
    pub(super) purpose: &'l Purpose<'l>,
}

impl Lines<'_> {
    /// Reads a header or trailer.
    pub(super) fn line(&self, found: &Found<'_>, role: Role) -> Option<FixedLine> {
        let fields = found.fields()?;
        fields.know(&KEYS);
        let line = self.common(found, &fields, role);
        fields.done();
        line
    }

    /// Reads a detail.
    pub(super) fn detail(&self, found: &Found<'_>) -> Option<FixedDetail> {
        let fields = found.fields()?;
        fields.know(&KEYS);
        let line = self.common(found, &fields, Role::Detail);
        // The canonical form of a connector writes `map` so.
        let map = fields.take_any(&["map", "mapping"]).map_or(Some(Vec::new()), |found| {
            let entries = found.entries()?.into_iter();
            entries.map(|(item, from)| Some((item.to_owned(), pick(&from)?))).collect()
        });
        let when = fields.take("when").map_or(Some(None), |found| when(&found).map(Some));
        fields.done();
        self.keyed(FixedDetail { line: line?, map: map?, when: when? })
    }

    /// A detail of which nothing is said.
    pub(super) fn only(&self, found: &Found<'_>) -> Option<FixedDetail> {
        let record = self.record(found, None, self.fields.as_deref(), Role::Detail)?;
        let line = FixedLine { rules: self.rules.clone(), ..FixedLine::new(record) };
        self.keyed(FixedDetail { line, map: Vec::new(), when: None })
    }

    /// Items of key fields are keys.
    fn keyed(&self, mut detail: FixedDetail) -> Option<FixedDetail> {
        let mut items = Vec::new();
        elementary(&detail.line.record, &mut items);
        for item in items {
            let Some(name) = item.name.as_deref() else { continue };
            let mapped = detail.map.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
            let is = |field: &String| match mapped {
                Some((_, Pick::Field(from))) => from == field,
                Some(_) => false,
                None => alike(field, name) && !detail.line.set.iter().any(|(own, _)| own.eq_ignore_ascii_case(name)),
            };
            if !self.purpose.key.iter().any(is) || item.occurs.is_some() {
                continue;
            }
            match detail.line.items.iter_mut().find(|(own, _)| own.eq_ignore_ascii_case(name)) {
                Some((_, rules)) => {
                    (rules.key, rules.null, rules.null_number) = (true, None, None);
                }
                None => {
                    let rules = Rules { key: true, null: None, null_number: None, ..inherited(self.rules, item) };
                    detail.line.items.push((name.to_owned(), rules));
                }
            }
        }
        Some(detail)
    }

    /// What every record has.
    fn common(&self, found: &Found<'_>, fields: &Fields<'_>, role: Role) -> Option<FixedLine> {
        let name = fields.take("record");
        let own = match (fields.take("fields"), self.layout) {
            (Some(found), Some(_)) => {
                found.error_hint("stands beside a copybook", "name a `record` of it");
                return None;
            }
            (Some(found), None) => Some(super::table::table(&found)?),
            (None, _) => self.fields.clone(),
        };
        let record = self.record(found, name.as_ref(), own.as_deref(), role);
        let set = fields.take("set").map_or(Some(Vec::new()), |found| {
            let entries = found.entries()?.into_iter();
            let read: Vec<Option<(String, Set)>> =
                entries.map(|(item, value)| Some((item.to_owned(), set(&value)?))).collect();
            read.into_iter().collect()
        });
        let rules = rules(fields, self.rules.clone());
        let unset = fields.take("unset").map_or(Some(Unbound::Refuse), |found| {
            found.choice("rule for unset items", &[("refuse", Unbound::Refuse), ("initial", Unbound::Initial)])
        });
        let choices = fields.take("redefines").map_or(Some(Vec::new()), |found| {
            let entries = found.entries()?.into_iter();
            entries.map(|(of, select)| Some(Choice { of: of.to_owned(), select: choice(&select)? })).collect()
        });
        let items = fields.take("items");
        let (record, rules) = (record?, rules?);
        let items = items.map_or(Some(Vec::new()), |found| own_rules(&found, &record, &rules));
        Some(FixedLine { record, set: set?, rules, items: items?, choices: choices?, unset: unset? })
    }

    /// The layout of a record: by its name in the copybook, or of its own fields.
    fn record(&self, found: &Found<'_>, name: Option<&Found<'_>>, own: Option<&[Field]>, role: Role) -> Option<Item> {
        let title = match name {
            Some(found) => Some(found.word()?),
            None => None,
        };
        let Some(layout) = self.layout else {
            let Some(own) = own else {
                found.error_hint("does not say which fields it has", "write `fields: [{name: ..., length: ...}]`");
                return None;
            };
            let word = match role {
                Role::Header => "HEADER",
                Role::Detail => "DETAIL",
                Role::Trailer => "TRAILER",
            };
            let title = title.unwrap_or_else(|| word.to_owned());
            return match layout::of_fields("fields", &title, own) {
                Ok(mut layout) => layout.records.pop(),
                Err(problems) => {
                    problems.0.iter().for_each(|problem| found.error(problem.to_string()));
                    None
                }
            };
        };
        match (title, layout.records.as_slice()) {
            (Some(title), records) => {
                let record = layout.record(&title);
                if record.is_none() {
                    let near = hint(&title, records.iter().map(Item::title));
                    name.unwrap_or(found).error(format!("the copybook has no record `{title}`{near}"));
                }
                record.cloned()
            }
            (None, [only]) => Some(only.clone()),
            (None, records) => {
                let names: Vec<&str> = records.iter().map(Item::title).collect();
                found.error_hint("does not say which `record` it is", format!("the copybook has {}", names.join(", ")));
                None
            }
        }
    }
}

/// The items with a picture.
fn elementary<'i>(item: &'i Item, items: &mut Vec<&'i Item>) {
    if item.items().is_empty() {
        items.push(item);
    }
    item.items().iter().for_each(|below| elementary(below, items));
}

/// Whether a field is that of an item: letter case does not count, and `-` is `_`.
fn alike(field: &str, item: &str) -> bool {
    field.replace('-', "_").eq_ignore_ascii_case(&item.replace('-', "_"))
}

/// What stands in an item or column: a text with placeholders, a number, `{value: ...}` or `{action: {add: A, ...}}`.
pub(super) fn set(found: &Found<'_>) -> Option<Set> {
    if found.is_text() {
        return found.text_or_nothing().map(Set::parse);
    }
    if !found.is_section() {
        return found.constant().map(Set::Constant);
    }
    let fields = found.fields()?;
    let (value, action) = (fields.take("value"), fields.take("action"));
    let set = match (value, action) {
        (Some(value), None) => value.constant().map(Set::Constant),
        (None, Some(table)) => actions(&table).map(Set::Action),
        _ => {
            found.error_hint(
                "says not what stands there",
                "write a text, {value: ...} or {action: {add: A, change: C}}",
            );
            None
        }
    };
    fields.done();
    set
}

/// A code for each thing that a line tells the host.
fn actions(found: &Found<'_>) -> Option<Vec<(String, Value)>> {
    let fields = found.fields()?;
    let words = ["add", "change", "delete", "message"];
    let codes: Vec<_> = words.iter().filter_map(|word| Some((*word, fields.take(word)?))).collect();
    fields.done();
    if codes.is_empty() {
        found.error_hint("is an empty code table", "write {add: A, change: C, delete: D}");
        return None;
    }
    codes.into_iter().map(|(word, code)| Some((word.to_owned(), code.constant()?))).collect()
}

/// Where the value of an item comes from: a field, a list for a table, `{ITEM: field}` for a group in one.
fn pick(found: &Found<'_>) -> Option<Pick> {
    if found.is_list() {
        return found.items()?.iter().map(pick).collect::<Option<_>>().map(Pick::List);
    }
    if found.is_section() {
        let entries = found.entries()?.into_iter();
        return entries
            .map(|(item, from)| Some((item.to_owned(), pick(&from)?)))
            .collect::<Option<_>>()
            .map(Pick::Items);
    }
    found.word().map(Pick::Field)
}

/// `when: {field, is}`.
fn when(found: &Found<'_>) -> Option<When> {
    let fields = found.fields()?;
    let field = fields.need("field").and_then(|found| found.word());
    let is = fields.need("is").and_then(|found| found.one_or_many().iter().map(Found::word).collect());
    fields.done();
    Some(When { field: field?, is: is? })
}

/// Which of several redefinitions counts: `NAME`, or `{by: ITEM, when: {VALUE: NAME}}`.
fn choice(found: &Found<'_>) -> Option<Select> {
    if !found.is_section() {
        return found.word().map(Select::Always);
    }
    let fields = found.fields()?;
    let item = fields.need("by").and_then(|found| found.word());
    let when = fields.need("when").and_then(|found| {
        let entries = found.entries()?.into_iter();
        entries.map(|(value, name)| Some((Value::from(value), name.word()?))).collect()
    });
    fields.done();
    Some(Select::By { item: item?, when: when? })
}

/// Reads `items: {ITEM: {null, overflow, unmappable, round, controls, key}}`.
fn own_rules(found: &Found<'_>, record: &Item, rules_: &Rules) -> Option<Vec<(String, Rules)>> {
    let mut items = Vec::new();
    elementary(record, &mut items);
    let entries = found.entries()?.into_iter();
    let read = entries.map(|(name, found)| {
        let fields = found.fields()?;
        let own = name.split_whitespace().next().unwrap_or_default();
        let base =
            items.iter().find(|item| item.is_called(own)).map_or(Rules::default(), |item| inherited(rules_, item));
        let key = fields.take("key").map_or(Some(false), |found| found.flag());
        let rules = rules(&fields, base);
        fields.done();
        let (key, rules) = (key?, rules?);
        let rules = if key { Rules { key, null: None, null_number: None, ..rules } } else { rules };
        Some((name.to_owned(), rules))
    });
    let read: Vec<_> = read.collect();
    read.into_iter().collect()
}

/// What of the rules of all items an item can have.
fn inherited(rules: &Rules, item: &Item) -> Rules {
    match &item.kind {
        Kind::Number(number) => {
            let zoned = matches!(number, Number { form: Form::Zoned(_), .. });
            let null = rules.null_number.clone().or_else(|| rules.null.clone());
            let null = null.filter(|null| zoned || *null != Null::Spaces);
            Rules { null, null_number: None, truncate_right: false, unmappable: None, ..rules.clone() }
        }
        _ => Rules { null_number: None, ..rules.clone() },
    }
}

/// `null`, `overflow`, `unmappable`, `round` and `controls`, of a format, a record or an item.
pub(super) fn rules(fields: &Fields<'_>, mut rules: Rules) -> Option<Rules> {
    const OVERFLOW: [(&str, bool); 2] = [("hold", false), ("truncate_right", true)];
    const ROUND: [(&str, Round); 4] = [
        ("exact", Round::Exact),
        ("half_up", Round::HalfUp),
        ("half_even", Round::HalfEven),
        ("truncate", Round::Truncate),
    ];
    let mut whole = true;
    if let Some(found) = fields.take("null") {
        match nulls(&found) {
            Some((text, number)) => {
                if let Some(text) = text {
                    (rules.null, rules.null_number) = (Some(text), None);
                }
                rules.null_number = number.or(rules.null_number);
            }
            None => whole = false,
        }
    }
    match fields.take("overflow").map(|found| found.choice("rule for overflow", &OVERFLOW)) {
        Some(Some(truncate)) => rules.truncate_right = truncate,
        Some(None) => whole = false,
        None => {}
    }
    match fields.take("unmappable").map(|found| replacement(&found)) {
        Some(Some(replacement)) => rules.unmappable = replacement,
        Some(None) => whole = false,
        None => {}
    }
    match fields.take("round").map(|found| found.choice("way to round", &ROUND)) {
        Some(Some(round)) => rules.round = round,
        Some(None) => whole = false,
        None => {}
    }
    match fields.take("controls").map(|found| found.flag()) {
        Some(Some(controls)) => rules.controls = controls,
        Some(None) => whole = false,
        None => {}
    }
    whole.then_some(rules)
}

/// What stands for null in texts, and in numbers: one word for both, or `{text, number}`.
fn nulls(found: &Found<'_>) -> Option<(Option<Null>, Option<Null>)> {
    if !found.is_section() {
        return null(found).map(|null| (Some(null), None));
    }
    let fields = found.fields()?;
    if let Some(value) = fields.take("value") {
        fields.done();
        return value.constant().map(|value| (Some(Null::Constant(value)), None));
    }
    let text = fields.take("text").map_or(Some(None), |found| null(&found).map(Some));
    let number = fields.take("number").map_or(Some(None), |found| null(&found).map(Some));
    fields.done();
    Some((text?, number?))
}

fn null(found: &Found<'_>) -> Option<Null> {
    if found.is_section() {
        let fields = found.fields()?;
        let value = fields.need("value").and_then(|found| found.constant());
        fields.done();
        return value.map(Null::Constant);
    }
    if !found.is_text() {
        return found.constant().map(Null::Constant);
    }
    // A constant that is a word is written {value: ...}: a slip in one of these words must not become one.
    const WORDS: [(&str, u8); 4] = [("spaces", 0), ("zeros", 1), ("low_values", 2), ("high_values", 3)];
    found.choice("filling for null", &WORDS).map(|word| match word {
        0 => Null::Spaces,
        1 => Null::Zeros,
        2 => Null::Low,
        _ => Null::High,
    })
}
