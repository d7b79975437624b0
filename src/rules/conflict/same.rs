//! Whether two values are the same, however they are written.
//!
//! The two sides of a record seldom write a value alike: one says `1`, the other `1.0`; one keeps `10:00`, the other answers
//! `10:00:00Z`. Each value has one canonical form, which depends on nothing but the value; two values are the same when their
//! forms are. The form is the same on each machine and in each version, because hashes of it decide ties:
//!
//! | written | form |
//! |---|---|
//! | null, a field that is not there, a text of nothing but white space | `-` |
//! | a number, `true` (1) and `false` (0); a text in the shortest spelling of a number (`7`, `-1.5`, not `007` or `1.50`) | `n` and that spelling |
//! | a text that is a date with a time, with an offset or without (UTC then, as SQLite's own functions read it) | `i` and the nanoseconds since 1970 |
//! | a text that is a time of day, with seconds or without, `Z` or not | `c` and the nanoseconds since midnight |
//! | any other text | `t` and the text without white space at its ends, its line ends `\n` |
//! | bytes, text that is not UTF-8, an infinite number | `b`, `x`, `r` and the bytes |
//! | a list | `l` and the forms of its items |
//! | an object | `m` and names and forms of those fields that are not `-`, by name |
//!
//! A date alone is a text: a day is not its midnight. Upper and lower case differ, and so do `1.50` and `1.5` written as texts.
//! What a system changes beyond that is for the mapping, both ways, or for a base of its own ([`super::Base::remote`]).

use std::sync::Arc;

use aws_lc_rs::digest;
use jiff::civil::{DateTime, Time};
use jiff::tz::Offset;

use crate::event::{Record, Value};
use crate::rules::decimal::Decimal;

/// Whether two values are the same; none = the field is not there.
pub fn same(one: Option<&Value>, other: Option<&Value>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) if one == other => true,
        (None, None) => true,
        _ => form(one) == form(other),
    }
}

/// SHA-256 of these fields of an image, whatever their order; none = the record is not there. It is kept in state files.
pub fn fingerprint(image: Option<&Record>, fields: &[Arc<str>]) -> [u8; 32] {
    let mut bytes = b"hms-sync values 1\n".to_vec();
    match image {
        None => bytes.extend_from_slice(b"gone"),
        Some(image) => {
            let mut names: Vec<&Arc<str>> = fields.iter().collect();
            names.sort_unstable();
            names.dedup();
            for name in names {
                part(&mut bytes, name.as_bytes());
                part(&mut bytes, &form(image.get(name)));
            }
        }
    }
    let digest = digest::digest(&digest::SHA256, &bytes);
    let mut hash = [0; 32];
    hash.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    hash
}

/// The canonical form.
fn form(value: Option<&Value>) -> Vec<u8> {
    let mut form = Vec::new();
    write(&mut form, value.unwrap_or(&Value::Null));
    form
}

/// Bytes behind their length, so that no two sequences of parts are the same bytes.
fn part(to: &mut Vec<u8>, bytes: &[u8]) {
    to.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    to.extend_from_slice(bytes);
}

fn tagged(to: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    to.push(tag);
    to.extend_from_slice(bytes);
}

fn write(to: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => to.push(b'-'),
        Value::Bool(flag) => tagged(to, b'n', if *flag { b"1" } else { b"0" }),
        Value::Integer(number) => tagged(to, b'n', number.to_string().as_bytes()),
        Value::Real(number) if !number.is_finite() => tagged(to, b'r', number.to_string().as_bytes()),
        Value::Real(_) | Value::Number(_) => match Decimal::of(value) {
            Some(number) => tagged(to, b'n', number.shortest().as_bytes()),
            None => tagged(to, b't', value.as_text().unwrap_or_default().as_bytes()),
        },
        Value::Text(held) => text(to, held),
        Value::BadText(bytes) => tagged(to, b'x', bytes),
        Value::Blob(bytes) => tagged(to, b'b', bytes),
        Value::List(items) => {
            to.push(b'l');
            items.iter().for_each(|item| part(to, &form(Some(item))));
        }
        Value::Map(record) => {
            to.push(b'm');
            let mut fields: Vec<(&Arc<str>, Vec<u8>)> =
                record.iter().map(|(name, value)| (name, form(Some(value)))).filter(|(_, form)| form != b"-").collect();
            fields.sort_unstable();
            for (name, form) in fields {
                part(to, name.as_bytes());
                part(to, &form);
            }
        }
    }
}

fn text(to: &mut Vec<u8>, text: &str) {
    let text = text.trim();
    if text.is_empty() {
        return to.push(b'-');
    }
    let like_a_number = text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    if like_a_number && let Some(number) = Decimal::parse(text).filter(|number| number.shortest() == text) {
        return tagged(to, b'n', number.shortest().as_bytes());
    }
    // Longer than any date is no date; without a colon it has no time of day.
    if like_a_number && text.len() <= 48 && text.contains(':') {
        if let Some(instant) = instant(text) {
            return tagged(to, b'i', instant.to_string().as_bytes());
        }
        if let Ok(time) = text.trim_end_matches(['Z', 'z']).parse::<Time>() {
            let of_day = time.since(Time::midnight()).map(|span| span.total(jiff::Unit::Nanosecond));
            if let Ok(Ok(nanos)) = of_day {
                return tagged(to, b'c', nanos.to_string().as_bytes());
            }
        }
    }
    tagged(to, b't', text.replace("\r\n", "\n").as_bytes());
}

/// Nanoseconds since 1970 of a date with a time.
fn instant(text: &str) -> Option<i128> {
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Some(instant.as_nanosecond());
    }
    // A time of day alone is none: it would need a day.
    let local = text.parse::<DateTime>().ok()?;
    Some(Offset::UTC.to_timestamp(local).ok()?.as_nanosecond())
}
