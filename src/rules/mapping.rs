//! Mapping: source paths to target paths.

pub mod path;
mod plan;
mod reverse;

use std::borrow::Cow;

use crate::event::{Event, Record, Shared, Value};
use crate::rules::convert::Convert;
use crate::rules::outcome::Reason;

use path::{Found, Path, Root};
use plan::Field;

pub use reverse::{NotInvertible, Reverse};

/// One line of `map`/`mapping`, as the configuration gives it.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// Source path: `duration`, `address.city`, `items.0.code`, `hms.patientId`, `$event.id`, `$key.id`,
    /// `$before.start`; `$key`, `$before` and `$after` alone are the whole record.
    pub source: String,
    /// Target path, nested by dots (`\.` is a dot in a name), lists by index from 0; none = the source's name.
    pub to: Option<String>,
    /// Conversion steps in order, before `lookup`.
    pub convert: Vec<Convert>,
    /// Used as it is when the source is missing or null.
    pub default: Option<Value>,
    /// A constant instead of the source.
    pub value: Option<Value>,
    /// Code table: the value (as text, after `convert`) to the target's value; a code that is not listed takes
    /// `default`, else the event is held.
    pub lookup: Option<Vec<(String, Value)>>,
    /// It is sent and not read back ([`Mapping::reverse`] leaves it out).
    pub one_way: bool,
}

/// A compiled mapping.
#[derive(Clone, Debug, Default)]
pub struct Mapping {
    /// None = the record as it is.
    plan: Option<(Vec<Field>, Shared)>,
    reads: Vec<Path<'static>>,
    /// For each of `reads`, the number of its entry.
    entries: Vec<usize>,
}

/// Which columns a mapping reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sources {
    /// Every column: the record goes out as it is.
    All,
    /// These columns of the image (first path segment).
    Columns(Vec<String>),
}

/// What was done to a source before the mapping reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch {
    /// Nothing.
    None,
    /// Its value was replaced: it is not converted or looked up.
    Replaced,
    /// It was taken out: its target is left out.
    Dropped,
}

impl Mapping {
    /// The record as it is.
    pub fn whole() -> Mapping {
        Mapping::default()
    }

    /// Compiles. An error is (index of the entry, what is wrong). Strips the system prefixes of the contract: `hms.`
    /// when every source has it, and then a first segment that all targets share.
    pub fn compile(mut entries: Vec<Entry>) -> Result<Mapping, Vec<(usize, String)>> {
        plan::strip_systems(&mut entries);
        let (fields, reads) = plan::compile(entries)?;
        let (entries, reads) = reads.into_iter().unzip();
        let names = plan::names(&fields);
        Ok(Mapping { plan: Some((fields, names)), reads, entries })
    }

    /// The outgoing record. A failure's reason has class `mapping` and names the field: the event is held.
    ///
    /// A source that is missing without default is left out when the event is a delete of which only the key is
    /// known, else it is a failure; null stays null.
    pub fn apply(&self, event: &Event) -> Result<Record, Reason> {
        self.apply_touched(event, &|_| Touch::None)
    }

    /// As [`Mapping::apply`], on an event of which some sources were redacted.
    pub fn apply_touched(&self, event: &Event, touch: &dyn Fn(&Path<'_>) -> Touch) -> Result<Record, Reason> {
        match &self.plan {
            Some((fields, names)) => plan::record((fields, names), event, touch),
            None => Ok(event.image().clone()),
        }
    }

    /// The way back, for what is pulled: the target's record to the row's columns. The error lists every source that cannot
    /// be had back from any of its targets.
    pub fn reverse(&self) -> Result<Reverse, Vec<NotInvertible>> {
        Reverse::of(self.plan.as_ref().map(|(fields, _)| plan::passages(fields)))
    }

    /// What it reads, for the gate.
    pub fn sources(&self) -> Sources {
        let whole = |path: &Path<'_>| path.rest.is_empty() && !matches!(path.root, Root::Event(_));
        if self.plan.is_none() || self.reads.iter().any(whole) {
            return Sources::All;
        }
        let mut columns: Vec<String> = Vec::new();
        for path in &self.reads {
            let column = path.rest.split('.').next().unwrap_or_default();
            if !column.is_empty() && !columns.iter().any(|known| known == column) {
                columns.push(column.to_owned());
            }
        }
        Sources::Columns(columns)
    }

    /// Whether the record goes out as it is.
    pub fn is_whole(&self) -> bool {
        self.plan.is_none()
    }

    /// The first names of its targets, in order; none for the record as it is.
    pub fn targets(&self) -> Option<&[std::sync::Arc<str>]> {
        self.plan.as_ref().map(|(_, names)| &**names)
    }

    /// Its targets as dotted paths, each with its source as written (none for a constant); empty for the record as it is.
    pub fn leaves(&self) -> Vec<(String, Option<&str>)> {
        self.plan.as_ref().map_or_else(Vec::new, |(fields, _)| plan::leaves(fields))
    }

    /// The paths that it reads, in order; empty for the record as it is.
    pub fn reads(&self) -> &[Path<'static>] {
        &self.reads
    }

    /// The same, each with the number (from 0) of the entry it stands in.
    pub fn reads_by_entry(&self) -> impl Iterator<Item = (usize, &Path<'static>)> {
        self.entries.iter().copied().zip(&self.reads)
    }
}

/// A value by its path in an event: `a.b`, `$event.id`, `$key.x`, `$before.x`.
pub fn lookup<'e>(event: &'e Event, path: &str) -> Option<Cow<'e, Value>> {
    match Path::parse(path).ok()?.find(event) {
        Found::Value(value) => Some(value),
        Found::NoImage | Found::Missing => None,
    }
}

#[cfg(test)]
#[path = "mapping/tests.rs"]
mod tests;
