//! The compiled form of a mapping: a tree of targets, each with the way to its value.

use std::collections::HashMap;
use std::sync::Arc;

use super::path::{Found, Path, Root};
use super::{Entry, Touch};
use crate::event::{Event, Record, Shared, Value};
use crate::rules::convert::Convert;
use crate::rules::nearest::hint;
use crate::rules::outcome::Reason;

/// One field of an outgoing object.
#[derive(Clone, Debug)]
pub struct Field {
    name: Arc<str>,
    make: Make,
}

#[derive(Clone, Debug)]
enum Make {
    Constant(Value),
    Read(Box<Read>),
    Map(Vec<Field>),
    List(Vec<Make>),
}

#[derive(Clone, Debug)]
struct Read {
    path: Path<'static>,
    /// The source as written, for messages.
    source: String,
    convert: Vec<Convert>,
    default: Option<Value>,
    lookup: Option<HashMap<String, Value>>,
    /// The number (from 0) of the entry it stands in.
    entry: usize,
    one_way: bool,
}

/// One name on the way to a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Into a field.
    Field(Arc<str>),
    /// To an item of a list, from 0.
    Item(usize),
}

/// A target that is read from a source, with all that happens on the way.
#[derive(Debug)]
pub struct Passage<'p> {
    /// The number (from 0) of its entry.
    pub entry: usize,
    /// The way to the target.
    pub target: Vec<Turn>,
    /// Where the source is.
    pub path: &'p Path<'static>,
    /// The source as written.
    pub source: &'p str,
    /// Its conversions, in order.
    pub convert: &'p [Convert],
    /// Its code table.
    pub lookup: Option<&'p HashMap<String, Value>>,
    /// What stands in for null, and for a code that is not listed.
    pub default: Option<&'p Value>,
    /// It is not read back.
    pub one_way: bool,
}

type Errors = Vec<(usize, String)>;

/// A path, and the number (from 0) of the entry that reads it.
pub type Numbered = (usize, Path<'static>);

/// Takes the names of the two systems off: `hms.` when every source that is read has it, and then the first segment
/// that all written targets share.
pub fn strip_systems(entries: &mut [Entry]) {
    const HERE: &str = "hms.";
    let is_read = |entry: &&Entry| entry.value.is_none() && !entry.source.starts_with('$');
    let mut sources = entries.iter().filter(is_read).peekable();
    if sources.peek().is_none() || !sources.all(|entry| entry.source.starts_with(HERE)) {
        return;
    }
    for entry in entries.iter_mut() {
        if let Some(rest) = entry.source.strip_prefix(HERE) {
            entry.source = rest.to_owned();
        }
    }
    let mut shared = None;
    for target in entries.iter().filter_map(|entry| entry.to.as_deref()) {
        match target.split_once('.') {
            Some((first, _)) if shared.is_none_or(|shared| shared == first) => shared = Some(first),
            _ => return,
        }
    }
    let Some(prefix) = shared.map(|shared| format!("{shared}.")) else { return };
    for target in entries.iter_mut().filter_map(|entry| entry.to.as_mut()) {
        if let Some(rest) = target.strip_prefix(&prefix) {
            *target = rest.to_owned();
        }
    }
}

/// The tree of targets in the order of the entries, and the paths that it reads, each with its entry's number.
pub fn compile(entries: Vec<Entry>) -> Result<(Vec<Field>, Vec<Numbered>), Errors> {
    let mut fields = Vec::new();
    let mut reads = Vec::new();
    let mut targets = Vec::new();
    let mut errors = Vec::new();
    for (at, entry) in entries.into_iter().enumerate() {
        let placed = target(&entry).and_then(|target| {
            targets.push((target.join("."), at));
            let make = leaf(at, entry)?;
            if let Make::Read(read) = &make {
                reads.push((at, read.path.clone()));
            }
            place(&mut fields, &target, &[], make)
        });
        if let Err(what) = placed {
            errors.push((at, what));
        }
    }
    // With an entry missing, a list could seem to have a gap.
    if errors.is_empty()
        && let Err((list, what)) = fields.iter_mut().try_for_each(|field| lists(&mut field.make, &field.name))
    {
        let first = targets.iter().find(|(target, _)| target.starts_with(&list)).map_or(0, |(_, at)| *at);
        errors.push((first, what));
    }
    if errors.is_empty() { Ok((fields, reads)) } else { Err(errors) }
}

/// The names of the target, from the outermost.
fn target(entry: &Entry) -> Result<Vec<String>, String> {
    let written = match &entry.to {
        Some(to) => to.as_str(),
        None if entry.source.starts_with('$') => entry.source.split_once('.').map_or("", |(_, rest)| rest),
        None => &entry.source,
    };
    let mut names = vec![String::new()];
    let mut chars = written.chars().peekable();
    while let Some(char) = chars.next() {
        match (char, names.last_mut()) {
            ('.', _) => names.push(String::new()),
            ('\\', Some(name)) if chars.next_if_eq(&'.').is_some() => name.push('.'),
            (char, Some(name)) => name.push(char),
            (_, None) => {}
        }
    }
    match (written, names.iter().any(String::is_empty)) {
        ("", _) => Err(format!("`{}` has no target: write `to`", entry.source)),
        (_, true) => Err(format!("the target `{written}` has an empty part")),
        (_, false) => Ok(names),
    }
}

/// The way to one value.
fn leaf(at: usize, entry: Entry) -> Result<Make, String> {
    if let Some(mut value) = entry.value {
        if entry.default.is_some() || entry.lookup.is_some() {
            return Err("`default` and `lookup` have no effect beside `value`".to_owned());
        }
        for convert in &entry.convert {
            value = convert.apply(value).map_err(|reason| format!("`value`: {}", reason.text))?;
        }
        return Ok(Make::Constant(value));
    }
    let path = Path::parse(&entry.source).map_err(|what| format!("source: {what}"))?.into_owned();
    let lookup = match entry.lookup {
        Some(codes) => {
            let count = codes.len();
            let table: HashMap<String, Value> = codes.into_iter().collect();
            if table.len() < count {
                return Err("`lookup` lists a code twice".to_owned());
            }
            Some(table)
        }
        None => None,
    };
    Ok(Make::Read(Box::new(Read {
        path,
        source: entry.source,
        convert: entry.convert,
        default: entry.default,
        lookup,
        entry: at,
        one_way: entry.one_way,
    })))
}

/// Puts a leaf at its place in the tree.
fn place(fields: &mut Vec<Field>, target: &[String], above: &[String], leaf: Make) -> Result<(), String> {
    let Some((name, rest)) = target.split_first() else { return Ok(()) };
    let here = [above, std::slice::from_ref(name)].concat();
    let existing = fields.iter_mut().find(|field| *field.name == **name).map(|field| &mut field.make);
    match (existing, rest.is_empty()) {
        (None, true) => {
            fields.push(Field { name: name.as_str().into(), make: leaf });
            Ok(())
        }
        (None, false) => {
            let mut inner = Vec::new();
            place(&mut inner, rest, &here, leaf)?;
            fields.push(Field { name: name.as_str().into(), make: Make::Map(inner) });
            Ok(())
        }
        (Some(Make::Map(inner)), false) => place(inner, rest, &here, leaf),
        (Some(Make::Map(_)), true) => {
            Err(format!("the target `{}` is also the parent of another target", here.join(".")))
        }
        (Some(_), true) => Err(format!("the target `{}` has two sources", here.join("."))),
        (Some(_), false) => {
            let whole = [above, target].concat().join(".");
            Err(format!("the target `{whole}` lies inside `{}`, which is itself a target", here.join(".")))
        }
    }
}

/// Makes lists of the objects whose names are indexes. An error is (path of the list, what is wrong).
fn lists(make: &mut Make, path: &str) -> Result<(), (String, String)> {
    let Make::Map(fields) = make else { return Ok(()) };
    for field in fields.iter_mut() {
        lists(&mut field.make, &format!("{path}.{}", field.name))?;
    }
    let is_index =
        |name: &str| name == "0" || (!name.starts_with('0') && name.bytes().all(|byte| byte.is_ascii_digit()));
    if !fields.iter().all(|field| is_index(&field.name)) {
        return Ok(());
    }
    let mut items = Vec::with_capacity(fields.len());
    for index in 0..fields.len() {
        let index = index.to_string();
        match fields.iter().find(|field| *field.name == *index) {
            Some(field) => items.push(field.make.clone()),
            None => {
                let what = format!("the list `{path}` has no target `{path}.{index}`: indexes run from 0");
                return Err((path.to_owned(), what));
            }
        }
    }
    *make = Make::List(items);
    Ok(())
}

/// The targets in order, as dotted paths (items of a list by their index), each with its source as written; none for a
/// constant.
pub fn leaves(fields: &[Field]) -> Vec<(String, Option<&str>)> {
    fn walk<'f>(make: &'f Make, target: String, found: &mut Vec<(String, Option<&'f str>)>) {
        match make {
            Make::Constant(_) => found.push((target, None)),
            Make::Read(read) => found.push((target, Some(&read.source))),
            Make::Map(fields) => {
                fields.iter().for_each(|field| walk(&field.make, format!("{target}.{}", field.name), found));
            }
            Make::List(items) => {
                items.iter().enumerate().for_each(|(at, item)| walk(item, format!("{target}.{at}"), found));
            }
        }
    }
    let mut found = Vec::new();
    fields.iter().for_each(|field| walk(&field.make, field.name.to_string(), &mut found));
    found
}

/// The targets that are read from sources, in order.
pub fn passages(fields: &[Field]) -> Vec<Passage<'_>> {
    fn walk<'f>(make: &'f Make, target: Vec<Turn>, found: &mut Vec<Passage<'f>>) {
        let further = |turn: Turn| [target.as_slice(), &[turn]].concat();
        match make {
            Make::Constant(_) => {}
            Make::Read(read) => found.push(Passage {
                entry: read.entry,
                target,
                path: &read.path,
                source: &read.source,
                convert: &read.convert,
                lookup: read.lookup.as_ref(),
                default: read.default.as_ref(),
                one_way: read.one_way,
            }),
            Make::Map(fields) => {
                fields.iter().for_each(|field| walk(&field.make, further(Turn::Field(Arc::clone(&field.name))), found));
            }
            Make::List(items) => {
                items.iter().enumerate().for_each(|(at, item)| walk(item, further(Turn::Item(at)), found));
            }
        }
    }
    let mut found = Vec::new();
    fields.iter().for_each(|field| walk(&field.make, vec![Turn::Field(Arc::clone(&field.name))], &mut found));
    found
}

/// The names of the outgoing record, for all that are made by these fields.
pub fn names(fields: &[Field]) -> Shared {
    fields.iter().map(|field| Arc::clone(&field.name)).collect()
}

/// The outgoing record; `names` are those of the fields.
pub fn record(
    (fields, names): (&[Field], &Shared),
    event: &Event,
    touch: &dyn Fn(&Path<'_>) -> Touch,
) -> Result<Record, Reason> {
    let mut values = Vec::with_capacity(fields.len());
    for (at, field) in fields.iter().enumerate() {
        match field.make.value(event, touch)? {
            Some(value) => values.push(value),
            // One is left out: the rest stands under names of its own.
            None => {
                let mut record = Record::shared(names, values);
                for field in fields.get(at + 1..).unwrap_or_default() {
                    if let Some(value) = field.make.value(event, touch)? {
                        record.push(Arc::clone(&field.name), value);
                    }
                }
                return Ok(record);
            }
        }
    }
    Ok(Record::shared(names, values))
}

impl Make {
    /// The value; None = left out. An object or list of which every part is left out is left out itself.
    fn value(&self, event: &Event, touch: &dyn Fn(&Path<'_>) -> Touch) -> Result<Option<Value>, Reason> {
        match self {
            Make::Constant(value) => Ok(Some(value.clone())),
            Make::Read(read) => read.value(event, touch(&read.path)),
            Make::Map(fields) => {
                let inner = record((fields, &names(fields)), event, touch)?;
                Ok((!inner.is_empty()).then_some(Value::Map(inner)))
            }
            Make::List(items) => {
                let items: Vec<_> = items.iter().map(|item| item.value(event, touch)).collect::<Result<_, _>>()?;
                let any = items.iter().any(Option::is_some);
                // A part that is left out must not move the others.
                Ok(any.then(|| Value::List(items.into_iter().map(|item| item.unwrap_or(Value::Null)).collect())))
            }
        }
    }
}

impl Read {
    fn value(&self, event: &Event, touch: Touch) -> Result<Option<Value>, Reason> {
        if touch == Touch::Dropped {
            return Ok(None);
        }
        let mut value = match self.path.find(event) {
            Found::Value(value) => value.into_owned(),
            Found::NoImage => Value::Null,
            Found::Missing => {
                return match &self.default {
                    Some(default) => Ok(Some(default.clone())),
                    None if event.is_key_only_delete() => Ok(None),
                    None => Err(self.missing(event)),
                };
            }
        };
        if value == Value::Null {
            return Ok(Some(self.default.clone().unwrap_or(Value::Null)));
        }
        if touch == Touch::Replaced {
            return Ok(Some(value));
        }
        for convert in &self.convert {
            value = convert
                .apply(value)
                .map_err(|reason| Reason::new(reason.class, format!("field `{}`: {}", self.source, reason.text)))?;
        }
        match &self.lookup {
            Some(table) => match listed(table, &value).or(self.default.as_ref()) {
                Some(found) => Ok(Some(found.clone())),
                None => Err(Reason::new(
                    "mapping",
                    format!(
                        "field `{}` holds a code that its lookup does not list, and there is no default",
                        self.source
                    ),
                )),
            },
            None => Ok(Some(value)),
        }
    }

    #[cold]
    fn missing(&self, event: &Event) -> Reason {
        let record = self.path.record(event);
        let known: Vec<&str> = record.into_iter().flat_map(|record| record.iter().map(|(name, _)| &**name)).collect();
        let hint = match self.path.root {
            Root::Event(_) => String::new(),
            _ => hint(&self.path.rest, known),
        };
        Reason::new("mapping", format!("field `{}` is missing{hint}", self.source))
    }
}

/// The entry of a code table: by the value's text; a real without fraction is also found by its integer.
fn listed<'t>(table: &'t HashMap<String, Value>, value: &Value) -> Option<&'t Value> {
    let text = value.as_text()?;
    table.get(&*text).or_else(|| match value {
        Value::Real(_) => table.get(text.strip_suffix(".0")?),
        _ => None,
    })
}
