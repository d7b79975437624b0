//! The governance gate: what may leave by which connector. Only [`Gate::clear`] makes a [`Cleared`].

pub mod explain;
pub mod hook;
mod redact;
mod view;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_lc_rs::hmac;

use crate::event::{Event, Record, Value};
use crate::rules::hex::hex;
use crate::rules::mapping::path::{Found, Path, Root, descend, prefixes};
use crate::rules::mapping::{Mapping, Touch};
use crate::rules::nearest::hint;
use crate::rules::outcome::Reason;

/// `governance:` of the agent: the class of each column.
#[derive(Clone, Debug, Default)]
pub struct Classes {
    /// type -> column (or dotted path into a payload) -> class
    pub classify: BTreeMap<String, BTreeMap<String, String>>,
    /// Class of unlisted columns; none = they may not leave.
    pub default: Option<String>,
    /// Classes that the agent's own views show (`tail`, `GET /events`, deliveries, records); none = [`PUBLIC`] only.
    pub views: Option<Vec<String>>,
    /// Classes that may come in (`POST /sync`, event sources); none = all.
    pub inbound: Option<Vec<String>>,
}

/// What a connector does to a field before it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redact {
    /// HMAC-SHA256 of the value's text, in hexadecimal, in its place. Equal values have equal hashes; null stays null.
    Hash,
    /// `***` in place of the value.
    Mask,
    /// The field is left out.
    Drop,
}

impl Redact {
    /// Reads `hash`, `mask` or `drop`.
    pub fn parse(text: &str) -> Result<Redact, String> {
        let known = [("hash", Redact::Hash), ("mask", Redact::Mask), ("drop", Redact::Drop)];
        known
            .into_iter()
            .find(|(name, _)| *name == text)
            .map(|(_, redact)| redact)
            .ok_or_else(|| format!("`{text}` is none of hash, mask, drop{}", hint(text, known.map(|(name, _)| name))))
    }
}

/// The class that leaves by a connector without `allow`.
pub const PUBLIC: &str = "public";

/// The rule that refuses a column which has no class, when there is no `default` either.
pub const UNCLASSIFIED: &str = "unclassified";

/// Class of the reason with which a gate refuses.
pub const GATE: &str = "gate";

/// The rule by which a gate has refused; none = the reason is another one.
pub fn denied_by(reason: &Reason) -> Option<&str> {
    let rule = reason.text.strip_prefix("rule `").filter(|_| reason.class == GATE)?;
    rule.split_once('`').map(|(rule, _)| rule)
}

/// One connector's gate.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    /// None = nothing is classified, all may leave.
    classes: Option<Arc<Allowed>>,
    redact: BTreeMap<String, Redact>,
    secret: Option<hmac::Key>,
}

/// The classes of the columns, and whether each may leave by this connector.
#[derive(Debug, Default)]
struct Allowed {
    kinds: BTreeMap<String, Columns>,
    default: Class,
}

/// The classes of one type's columns.
#[derive(Clone, Copy)]
struct Kind<'g> {
    columns: Option<&'g Columns>,
    default: &'g Class,
}

#[derive(Debug, Default)]
struct Columns {
    classes: BTreeMap<String, Class>,
    /// Whether a listed name has a dot: only then does a column's inside matter.
    nested: bool,
}

#[derive(Clone, Debug, Default)]
struct Class {
    name: Option<String>,
    leaves: bool,
}

/// A record that may leave. Made only by [`Gate::clear`], and changed only by what a hook says of it
/// ([`Cleared::amended`]); only this is encoded.
#[derive(Clone, Debug)]
pub struct Cleared {
    record: Record,
    fields: Record,
}

impl Gate {
    /// A gate without governance section: nothing is classified.
    pub fn open() -> Gate {
        Gate::default()
    }

    /// A gate without governance section by which some fields are redacted all the same.
    pub fn redacting(redact: &BTreeMap<String, Redact>, secret: [u8; 32]) -> Gate {
        Gate { classes: None, redact: redact.clone(), secret: Some(hmac::Key::new(hmac::HMAC_SHA256, &secret)) }
    }

    /// A gate by classes; `allow` = classes that may leave by this connector (none = `public` only); `redact` by
    /// source column or dotted path; `secret` keys the hash.
    pub fn new(
        classes: &Classes,
        allow: Option<&[String]>,
        redact: &BTreeMap<String, Redact>,
        secret: [u8; 32],
    ) -> Gate {
        let allowed: BTreeSet<&str> = match allow {
            Some(classes) => classes.iter().map(String::as_str).collect(),
            None => BTreeSet::from([PUBLIC]),
        };
        let class = |name: &String| Class { name: Some(name.clone()), leaves: allowed.contains(&**name) };
        let columns = |listed: &BTreeMap<String, String>| Columns {
            classes: listed.iter().map(|(column, name)| (column.clone(), class(name))).collect(),
            nested: listed.keys().any(|column| column.contains('.')),
        };
        let kinds = classes.classify.iter().map(|(kind, listed)| (kind.clone(), columns(listed))).collect();
        let default = classes.default.as_ref().map(class).unwrap_or_default();
        Gate { classes: Some(Arc::new(Allowed { kinds, default })), ..Gate::redacting(redact, secret) }
    }

    /// Redacts a copy of the event and refuses (class `gate`, rule and field named) when a column that the mapping
    /// or `fields` reads may not leave. What is known of the event itself (`$event.`) is always free.
    pub fn clear(&self, event: &Event, mapping: &Mapping, fields: &[String]) -> Result<Cleared, Reason> {
        if let Some(allowed) = &self.classes {
            self.check(allowed.kind(&event.kind), event, mapping, fields)?;
        }
        let (record, event) = match self.redact.is_empty() {
            true => (mapping.apply(event)?, Cow::Borrowed(event)),
            false => {
                let redacted = self.redacted(event);
                (mapping.apply_touched(&redacted, &|path| self.touch(event, path))?, Cow::Owned(redacted))
            }
        };
        let mut named = Record::with_capacity(fields.len());
        for field in fields {
            if let Some(value) = found(&event, field) {
                named.push(field.as_str(), value.into_owned());
            }
        }
        Ok(Cleared { record, fields: named })
    }

    /// What it goes by, without the key of its hashes: another text after its classes, what may leave or what is redacted
    /// have changed.
    pub fn policy(&self) -> String {
        let digest = aws_lc_rs::digest::digest(
            &aws_lc_rs::digest::SHA256,
            format!("{:?} {:?}", self.classes, self.redact).as_bytes(),
        );
        hex(digest.as_ref())
    }

    /// The columns (or dotted paths) that it redacts, for `check`.
    pub fn redactions(&self) -> impl Iterator<Item = &str> {
        self.redact.keys().map(String::as_str)
    }

    /// The columns of a type that would hold its events at this gate: (column, rule), for `check`.
    pub fn refused(
        &self,
        kind: &str,
        columns: &[String],
        mapping: &Mapping,
        fields: &[String],
    ) -> Vec<(String, String)> {
        let Some(kind) = self.classes.as_ref().map(|allowed| allowed.kind(kind)) else { return Vec::new() };
        let sample: Record = columns.iter().map(|column| (column.as_str(), Value::Null)).collect();
        let named = fields
            .iter()
            .filter_map(|field| Path::parse(field).ok())
            .filter(|path| !matches!(path.root, Root::Event(_)) && sample.get(path.column_in(Some(&sample))).is_some());
        let mut refused = BTreeSet::new();
        let mut look = |path: &Path<'_>| {
            let all = path.rest.is_empty() && !matches!(path.root, Root::Event(_));
            let names: Vec<&str> = if all { columns.iter().map(String::as_str).collect() } else { vec![&path.rest] };
            for name in names.into_iter().filter(|name| !name.is_empty()) {
                let column = if all { name } else { path.column_in(Some(&sample)) };
                let refusal = self.refusal(kind, column, name);
                refused.extend(refusal.map(|(field, rule)| (field.to_owned(), rule.to_owned())));
            }
        };
        mapping.reads().iter().for_each(&mut look);
        named.for_each(|path| look(&path));
        if mapping.is_whole() {
            look(&Path::whole());
        }
        refused.into_iter().collect()
    }

    fn check(&self, kind: Kind<'_>, event: &Event, mapping: &Mapping, fields: &[String]) -> Result<(), Reason> {
        let look = |path: &Path<'_>| match (path.root, path.rest.is_empty()) {
            (Root::Event(_), _) => Ok(()),
            (_, true) => path.record(event).map_or(Ok(()), |record| {
                record.iter().try_for_each(|(column, _)| self.pass(kind, event, column, column))
            }),
            (_, false) => self.pass(kind, event, path.column(event), &path.rest),
        };
        mapping.reads().iter().try_for_each(look)?;
        if mapping.is_whole() {
            look(&Path::whole())?;
        }
        for field in fields {
            match Path::parse(field) {
                Ok(path) if matches!(path.find(event), Found::Value(_)) => look(&path)?,
                Ok(Path { root: Root::Image, rest }) if descend(&event.key, &rest).is_some() => {
                    look(&Path { root: Root::Key, rest })?;
                }
                // Not of the event: a field of the mapped record, whose sources were looked at.
                _ => {}
            }
        }
        Ok(())
    }

    fn pass(&self, kind: Kind<'_>, event: &Event, column: &str, path: &str) -> Result<(), Reason> {
        match self.refusal(kind, column, path) {
            None => Ok(()),
            Some((field, rule)) => Err(Reason::new(
                GATE,
                format!("rule `{rule}`: field `{field}` of `{}` may not leave by this connector", event.kind),
            )),
        }
    }

    /// The field and the rule that keep a path of a column from leaving.
    fn refusal<'g>(&self, kind: Kind<'g>, column: &str, path: &'g str) -> Option<(&'g str, &'g str)> {
        if !self.redact.is_empty() && self.redaction(column, path).is_some() {
            return None;
        }
        let class = kind.class(column, path);
        if !class.leaves {
            return Some((path, class.rule()));
        }
        let columns = kind.columns.filter(|columns| columns.nested)?;
        // A whole takes with it what lies inside.
        let plain = without_indexes(column, path);
        columns.classes.iter().find_map(|(name, class)| {
            let inside =
                [path, &plain].iter().any(|whole| name.strip_prefix(*whole).is_some_and(|rest| rest.starts_with('.')));
            (inside && !class.leaves && self.redaction(column, name).is_none()).then(|| (name.as_str(), class.rule()))
        })
    }

    /// How a path of a column is redacted: by its own name or by that of a whole around it.
    fn redaction(&self, column: &str, path: &str) -> Option<Redact> {
        if self.redact.is_empty() {
            return None;
        }
        most_specific(column, path, |name| self.redact.get(name).copied())
    }

    /// What was done to a path of an event, given the event as it was.
    fn touch(&self, event: &Event, path: &Path<'_>) -> Touch {
        if matches!(path.root, Root::Event(_)) || path.rest.is_empty() {
            return Touch::None;
        }
        match self.redaction(path.column(event), &path.rest) {
            Some(Redact::Drop) => Touch::Dropped,
            Some(Redact::Hash | Redact::Mask) => Touch::Replaced,
            None => Touch::None,
        }
    }

    fn redacted(&self, event: &Event) -> Event {
        let mut event = event.clone();
        let images = [Some(&mut event.key), event.old_key.as_mut(), event.before.as_mut(), event.after.as_mut()];
        for record in images.into_iter().flatten() {
            for (path, how) in &self.redact {
                redact::record(record, path, *how, self.secret.as_ref());
            }
        }
        event
    }
}

impl Allowed {
    fn kind(&self, kind: &str) -> Kind<'_> {
        Kind { columns: self.kinds.get(kind), default: &self.default }
    }
}

impl<'g> Kind<'g> {
    /// The class of a path of a column: the longest listed name counts.
    fn class(&self, column: &str, path: &str) -> &'g Class {
        let listed = self.columns.and_then(|columns| match columns.nested {
            true => most_specific(column, path, |name| columns.classes.get(name)),
            false => columns.classes.get(column),
        });
        listed.unwrap_or(self.default)
    }
}

impl Class {
    fn rule(&self) -> &str {
        self.name.as_deref().unwrap_or(UNCLASSIFIED)
    }
}

/// The first that is found of a path and the wholes around it up to its column; indexes of lists do not count in names.
fn most_specific<T>(column: &str, path: &str, find: impl Fn(&str) -> Option<T>) -> Option<T> {
    let look = |name: &str| {
        find(name).or_else(|| match without_indexes(column, name) {
            Cow::Owned(plain) => find(&plain),
            Cow::Borrowed(_) => None,
        })
    };
    let around = prefixes(path).map(|(name, _)| name).take_while(|name| name.len() >= column.len());
    std::iter::once(path).chain(around).find_map(look)
}

/// `items.0.code` as `items.code`, beyond the column's own name.
fn without_indexes<'p>(column: &str, path: &'p str) -> Cow<'p, str> {
    let rest = path.get(column.len()..).unwrap_or_default();
    let is_index = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !rest.contains('.') || !rest.split('.').any(is_index) {
        return Cow::Borrowed(path);
    }
    let kept: Vec<&str> = rest.split('.').filter(|part| !is_index(part)).collect();
    Cow::Owned(format!("{column}{}", kept.join(".")))
}

/// A field that a template names, in the event: its image, then its key.
fn found<'e>(event: &'e Event, field: &str) -> Option<Cow<'e, Value>> {
    let path = Path::parse(field).ok()?;
    match path.find(event) {
        Found::Value(value) => Some(value),
        Found::NoImage => None,
        Found::Missing if path.root == Root::Image => descend(&event.key, &path.rest).map(Cow::Borrowed),
        Found::Missing => None,
    }
}

impl Cleared {
    /// The mapped record.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The fields that templates name, apart from the record.
    pub fn fields(&self) -> &Record {
        &self.fields
    }

    /// The record that a hook has put in the place of this one. A hook is asked with what has passed the gate, so it has
    /// nothing else to put there but what it brings itself.
    pub fn amended(&self, record: Record) -> Cleared {
        Cleared { record, fields: self.fields.clone() }
    }

    /// A field that a template names: from the event's image first, then its key, then the mapped record by its
    /// dotted path.
    pub fn field(&self, path: &str) -> Option<&Value> {
        self.fields.get(path).or_else(|| descend(&self.record, path))
    }
}

#[cfg(test)]
#[path = "governance/tests.rs"]
mod tests;
