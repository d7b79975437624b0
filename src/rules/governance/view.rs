//! What someone sees who is no target: the agent's own views, and what comes in.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Class, Classes, Gate, Redact, redact};
use crate::event::{Event, Record, Value};
use crate::rules::outcome::Reason;

impl Gate {
    /// The gate of the agent's own views: `tail`, the stream of events, deliveries, records. Without a governance section
    /// it is open.
    pub fn of_views(classes: Option<&Classes>) -> Gate {
        let view = |classes: &Classes| Gate::new(classes, classes.views.as_deref(), &BTreeMap::new(), [0; 32]);
        classes.map_or_else(Gate::open, view)
    }

    /// The gate for what comes in; open when nothing is said of that.
    pub fn of_entrance(classes: Option<&Classes>) -> Gate {
        let entrance = |classes: &Classes| {
            let allowed = classes.inbound.as_deref()?;
            Some(Gate::new(classes, Some(allowed), &BTreeMap::new(), [0; 32]))
        };
        classes.and_then(entrance).unwrap_or_default()
    }

    /// Whether a record of a type may come in: all of its fields, with what lies inside.
    ///
    /// # Errors
    /// Class `gate`; names the rule and the field, never a value.
    pub fn admit(&self, kind: &str, record: &Record) -> Result<(), Reason> {
        let Some(allowed) = &self.classes else { return Ok(()) };
        let kinds = allowed.kind(kind);
        let refused = record.iter().find_map(|(column, value)| {
            let own = kinds.class(column, column);
            if !own.leaves {
                return Some((&**column, own.rule()));
            }
            // A class of a field that this record does not have keeps nothing out.
            let listed = kinds.columns.filter(|columns| columns.nested)?;
            let inside = |name: &str| name.strip_prefix(&**column).is_some_and(|rest| rest.starts_with('.'));
            let refused =
                |(name, class): &(&String, &Class)| !class.leaves && inside(name) && holds(column, value, name);
            listed.classes.iter().find(refused).map(|(name, class)| (name.as_str(), class.rule()))
        });
        match refused {
            None => Ok(()),
            Some((field, rule)) => {
                Err(Reason::new("gate", format!("rule `{rule}`: field `{field}` of `{kind}` may not come in")))
            }
        }
    }

    /// The event as it may be shown to someone who is no target: every column that holds something which may not leave
    /// is masked, in all images and in the key.
    pub fn veil<'e>(&self, event: &'e Event) -> Cow<'e, Event> {
        if self.classes.is_none() {
            return Cow::Borrowed(event);
        }
        let mut veiled = event.clone();
        let key = std::iter::once(&mut veiled.key);
        let images = [veiled.old_key.as_mut(), veiled.before.as_mut(), veiled.after.as_mut()];
        for record in key.chain(images.into_iter().flatten()) {
            self.mask(&event.kind, record);
        }
        Cow::Owned(veiled)
    }

    /// A record of a type (a key, an image) as it may be shown.
    pub fn veil_record<'r>(&self, kind: &str, record: &'r Record) -> Cow<'r, Record> {
        if self.classes.is_none() {
            return Cow::Borrowed(record);
        }
        let mut veiled = record.clone();
        self.mask(kind, &mut veiled);
        Cow::Owned(veiled)
    }

    fn mask(&self, kind: &str, record: &mut Record) {
        let Some(kind) = self.classes.as_ref().map(|allowed| allowed.kind(kind)) else { return };
        let refused = |column: &&Arc<str>| self.refusal(kind, column, column).is_some();
        let columns: Vec<Arc<str>> = record.iter().map(|(column, _)| column).filter(refused).cloned().collect();
        for column in columns {
            redact::record(record, &column, Redact::Mask, None);
        }
    }
}

/// Whether a column's value has something at a listed path, which may lead through lists without naming an item.
fn holds(column: &str, value: &Value, path: &str) -> bool {
    let rest = path.strip_prefix(column).unwrap_or_default().trim_start_matches('.');
    rest.is_empty() || inside(value, rest)
}

fn inside(value: &Value, path: &str) -> bool {
    match value {
        Value::Map(fields) => {
            let mut parts = path.match_indices('.').map(|(at, _)| at).chain([path.len()]);
            parts.any(|at| match (path.get(..at).and_then(|name| fields.get(name)), path.get(at + 1..)) {
                (Some(_), None) => true,
                (Some(value), Some(rest)) => inside(value, rest),
                (None, _) => false,
            })
        }
        Value::List(items) => items.iter().any(|item| {
            let rest = path.split_once('.').filter(|(first, _)| first.bytes().all(|byte| byte.is_ascii_digit()));
            inside(item, path) || rest.is_some_and(|(_, rest)| inside(item, rest))
        }),
        _ => false,
    }
}
