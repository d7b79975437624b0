//! Taking values out of a record before it leaves.

use aws_lc_rs::hmac;

use super::Redact;
use crate::event::{Record, Value};
use crate::rules::hex::hex;
use crate::rules::mapping::path::prefixes;

/// What stands in place of a masked value.
const MASK: &str = "***";

/// Redacts what a path leads to; a path through a list concerns each of its items, unless it names one.
pub fn record(record: &mut Record, path: &str, how: Redact, secret: Option<&hmac::Key>) {
    if record.get(path).is_some() {
        match (how, record.get_mut(path)) {
            (Redact::Drop, _) => drop(record.remove(path)),
            (_, Some(value)) => replace(value, how, secret),
            (_, None) => {}
        }
        return;
    }
    for (name, rest) in prefixes(path) {
        if let Some(value) = record.get_mut(name) {
            inside(value, rest, how, secret);
        }
    }
}

fn inside(value: &mut Value, path: &str, how: Redact, secret: Option<&hmac::Key>) {
    match value {
        Value::Map(fields) => record(fields, path, how, secret),
        Value::List(items) => {
            let (first, rest) = path.split_once('.').unwrap_or((path, ""));
            match (first.parse::<usize>().ok().and_then(|index| items.get_mut(index)), rest, how) {
                // Taking an item out would move the others.
                (Some(item), "", Redact::Drop) => *item = Value::Null,
                (Some(item), "", _) => replace(item, how, secret),
                (Some(item), rest, _) => inside(item, rest, how, secret),
                (None, ..) => items.iter_mut().for_each(|item| inside(item, path, how, secret)),
            }
        }
        _ => {}
    }
}

/// Hashes each single value of a whole, so that its shape stays; masks the whole.
fn replace(value: &mut Value, how: Redact, secret: Option<&hmac::Key>) {
    match (value, how, secret) {
        (Value::Null, Redact::Hash, _) => {}
        (Value::List(items), Redact::Hash, _) => items.iter_mut().for_each(|item| replace(item, how, secret)),
        (Value::Map(fields), Redact::Hash, _) => {
            *fields = std::mem::take(fields)
                .into_iter()
                .map(|(name, mut value)| {
                    replace(&mut value, how, secret);
                    (name, value)
                })
                .collect();
        }
        (value, Redact::Hash, Some(key)) => {
            let tag = match &*value {
                Value::Blob(bytes) | Value::BadText(bytes) => hmac::sign(key, bytes),
                value => hmac::sign(key, value.as_text().unwrap_or_default().as_bytes()),
            };
            *value = Value::Text(hex(tag.as_ref()).into());
        }
        (value, _, _) => *value = MASK.into(),
    }
}
