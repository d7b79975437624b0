//! Several rendered requests as one (`batch`).
//!
//! Every part is the request that its record would be alone. The joined one goes to the same place with the same header
//! fields but these: `Idempotency-Key` is made of all keys, `Sync-Op` is the operation of all or `upsert`, `Sync-Keys`
//! lists the keys in the order of the records. An adapter's file may say otherwise (see [`frame`]). The same records in the same order make the same bytes.

pub mod frame;

use std::fmt::Write as _;

use aws_lc_rs::digest;

use super::{Parcel, Request, Text};
use crate::event::Op;
use crate::rules::batch::Shape;

const KEY: &str = "Idempotency-Key";
const OP: &str = "Sync-Op";
/// Keys of the records of a joined request, in their order, separated by `, `.
pub const KEYS: &str = "Sync-Keys";
const TYPE: &str = "Content-Type";

/// What stands for a record in a request that an adapter's file says how to join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The list that it stands in.
    pub list: String,
    /// What names it at the target; empty = nothing does.
    pub name: String,
    /// Whose it is, where something is kept of its record.
    pub of: Option<Of>,
    /// What is in it.
    pub body: Vec<u8>,
}

/// Whose something is.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Of {
    /// The event's type.
    pub kind: String,
    /// The record's key, as JSON.
    pub key: String,
    /// The record is deleted.
    pub gone: bool,
}

/// Whether a parcel can be a part of a joined request: it is rendered, has a body and, where an adapter's file says how, is one
/// of those that it speaks of.
pub fn joins(shape: Shape, parcel: &Parcel) -> bool {
    let Some(request) = parcel.rendered() else { return false };
    match shape {
        Shape::Alone => false,
        Shape::Array | Shape::Lines => !request.body.is_empty(),
        Shape::Spec => frame::is_item(request),
    }
}

/// What names a record at the target, where an adapter's file says so: two of one name never stand in one request.
pub fn name(parcel: &Parcel) -> Option<&str> {
    parcel.rendered().and_then(frame::name).filter(|name| !name.is_empty())
}

/// Whether two parcels can go in one request: to the same place, in the same way. Deletes go with deletes only, events
/// that are no rows with their like.
pub fn go_together(one: &Parcel, other: &Parcel) -> bool {
    let (Some(a), Some(b)) = (one.rendered(), other.rendered()) else { return false };
    let framed = frame::is_item(a);
    let own = |name: &str| name == KEY || name == OP || (framed && frame::is_own(name));
    let same = |(a, b): (&(Text, Text), &(Text, Text))| a.0 == b.0 && (own(&a.0) || a.1 == b.1);
    (framed || sort(one.op()) == sort(other.op()))
        && a.method == b.method
        && a.url == b.url
        && a.headers.len() == b.headers.len()
        && a.headers.iter().zip(&b.headers).all(same)
}

fn sort(op: Op) -> u8 {
    match op {
        Op::Insert | Op::Update => 0,
        Op::Delete => 1,
        Op::Event => 2,
    }
}

/// The one parcel of all of these, in this order. The caller has asked [`go_together`]; what has no body of its own (a
/// `DELETE` of a record's URL) is left as it is.
pub fn join(shape: Shape, parts: &[&Parcel]) -> Option<Parcel> {
    let first = *parts.first()?;
    let request = first.rendered()?;
    if !joins(shape, first) {
        return Some(first.clone());
    }
    let key = key(parts);
    if shape == Shape::Spec {
        let requests: Vec<&Request> = parts.iter().filter_map(|part| part.rendered()).collect();
        let members: Vec<Member> = requests.iter().filter_map(|request| frame::member(request)).collect();
        let request = frame::filled(request, KEY, &key, &members);
        let op = if parts.iter().all(|part| part.op() == first.op()) { first.op() } else { Op::Update };
        return Some(Parcel::joined(key, op, first.kind.clone(), request, parts.len()).of_members(members));
    }
    let op = if parts.iter().all(|part| part.op() == first.op()) { first.op().as_str() } else { "upsert" };
    let header = |(name, value): &(Text, Text)| {
        let value = match &**name {
            KEY => key.clone().into(),
            OP => op.into(),
            _ if shape == Shape::Lines && name.eq_ignore_ascii_case(TYPE) && value == "application/json" => {
                "application/x-ndjson".into()
            }
            _ => value.clone(),
        };
        (name.clone(), value)
    };
    let mut headers: Vec<(Text, Text)> = request.headers.iter().map(header).collect();
    headers.push((KEYS.into(), list(parts).into()));
    let joined =
        Request { method: request.method.clone(), url: request.url.clone(), headers, body: body(shape, parts) };
    Some(Parcel::joined(key, first.op(), first.kind.clone(), joined, parts.len()))
}

/// Idempotency key of all: the first one's own when it is alone, else with how many follow and a hash over all.
fn key(parts: &[&Parcel]) -> String {
    let mut key = parts.first().map_or_else(String::new, |part| part.key().to_owned());
    if parts.len() > 1 {
        let mut all = digest::Context::new(&digest::SHA256);
        for part in parts {
            all.update(part.key().as_bytes());
            all.update(b"\n");
        }
        // Writing to a String cannot fail.
        let _ = write!(key, "+{}-", parts.len() - 1);
        for byte in all.finish().as_ref().iter().take(8) {
            let _ = write!(key, "{byte:02x}");
        }
    }
    key
}

fn list(parts: &[&Parcel]) -> String {
    let mut list = String::with_capacity(parts.iter().map(|part| part.key().len() + 2).sum());
    for part in parts {
        if !list.is_empty() {
            list.push_str(", ");
        }
        list.push_str(part.key());
    }
    list
}

fn body(shape: Shape, parts: &[&Parcel]) -> Vec<u8> {
    let records = parts.iter().filter_map(|part| Some(&part.rendered()?.body));
    let mut body = Vec::with_capacity(parts.iter().map(|part| part.weight() + 1).sum::<usize>() + 2);
    match shape {
        Shape::Lines => {
            for record in records {
                body.extend_from_slice(record);
                body.push(b'\n');
            }
        }
        Shape::Array | Shape::Alone | Shape::Spec => {
            for record in records {
                body.push(if body.is_empty() { b'[' } else { b',' });
                body.extend_from_slice(record);
            }
            body.push(b']');
        }
    }
    body
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn part(key: &str, op: Op, body: &str) -> Parcel {
        let headers = vec![
            ("Content-Type".into(), "application/json".into()),
            (KEY.into(), key.to_owned().into()),
            (OP.into(), op.as_str().into()),
            ("X-Office".into(), "OF042".into()),
        ];
        let request = Request {
            method: "POST".into(),
            url: "https://a.example/x".into(),
            headers,
            body: body.as_bytes().to_vec(),
        };
        Parcel::frozen(key.to_owned(), op, "t", request)
    }

    fn header<'a>(request: &'a Request, name: &str) -> &'a str {
        &request.headers.iter().find(|(found, _)| found == name).unwrap().1
    }

    #[test]
    fn records_become_an_array_or_lines_under_one_key_and_each_keeps_its_own() {
        let (one, two) = (part("e-1-a", Op::Insert, "{\"n\":1}"), part("e-2-b", Op::Update, "{\"n\":2}"));
        assert!(go_together(&one, &two));
        let array = join(Shape::Array, &[&one, &two]).unwrap();
        let request = array.rendered().unwrap();
        assert_eq!(request.body, b"[{\"n\":1},{\"n\":2}]");
        assert_eq!(header(request, KEY), array.key());
        assert!(array.key().starts_with("e-1-a+1-") && array.key().len() == "e-1-a+1-".len() + 16, "{}", array.key());
        assert_eq!((header(request, KEYS), header(request, OP)), ("e-1-a, e-2-b", "upsert"));
        assert_eq!((header(request, TYPE), header(request, "X-Office")), ("application/json", "OF042"));
        assert_eq!(array.items(), 2);
        let lines = join(Shape::Lines, &[&one, &two]).unwrap();
        assert_eq!(lines.rendered().unwrap().body, b"{\"n\":1}\n{\"n\":2}\n");
        assert_eq!(header(lines.rendered().unwrap(), TYPE), "application/x-ndjson");
        assert_ne!(array.key(), join(Shape::Array, &[&two, &one]).unwrap().key());
    }

    #[test]
    fn a_record_alone_keeps_its_key() {
        let one = part("e-1-a", Op::Delete, "{}");
        let joined = join(Shape::Array, &[&one]).unwrap();
        assert_eq!((joined.key(), &*joined.rendered().unwrap().body), ("e-1-a", &b"[{}]"[..]));
        assert_eq!(header(joined.rendered().unwrap(), OP), "delete");
    }

    #[test]
    fn what_goes_elsewhere_or_does_another_thing_does_not_go_along() {
        let one = part("e-1-a", Op::Insert, "{}");
        assert!(!go_together(&one, &part("e-2-b", Op::Delete, "{}")));
        assert!(!go_together(&one, &part("e-2-b", Op::Event, "{}")));
        let mut other = part("e-2-b", Op::Insert, "{}").rendered().unwrap().clone();
        other.headers[3].1 = "OF043".into();
        assert!(!go_together(&one, &Parcel::frozen("e-2-b".into(), Op::Insert, "t", other.clone())));
        other.headers[3].1 = "OF042".into();
        other.url = "https://a.example/y".into();
        assert!(!go_together(&one, &Parcel::frozen("e-2-b".into(), Op::Insert, "t", other)));
        assert!(!joins(Shape::Array, &part("e-3-c", Op::Delete, "")));
    }
}
