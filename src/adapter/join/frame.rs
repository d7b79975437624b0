//! The frame of a request that an adapter's file says how to join: a body with marks where the lists of records go.
//!
//! What stands for one record is a request too, which never leaves as it is: its body is the item, and header fields that no
//! request can have hold the frame, the list and the record's name at the target. So whatever keeps requests (parked rows, hashes,
//! what is repeated after a kill) keeps all that is needed to make the joined one again, byte for byte.

use super::Member;
use crate::adapter::{Request, Text};
use crate::format::multipart;
use crate::rules::escape;
use crate::rules::operation::joint::Changesets;

/// `KIND LIST`.
const ITEM: &str = ":item";
/// The body with its marks.
const FRAME: &str = ":frame";
/// What names the record.
const NAME: &str = ":name";
/// Whose it is, as JSON.
const OF: &str = ":of";
/// What stands in a header field for the boundary between parts.
pub const BOUNDARY: &str = "hmsSyncBoundary";

/// How lists stand in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A JSON array.
    Json,
    /// A JSON array, as the value of a field of a form; a list without records leaves the field out.
    Form,
    /// An item a line, LF behind each.
    Lines,
    /// One item behind the other.
    Run,
    /// A request each, in parts.
    Mixed(Changesets),
}

impl Kind {
    const ALL: [(&'static str, Kind); 7] = [
        ("json", Kind::Json),
        ("form", Kind::Form),
        ("lines", Kind::Lines),
        ("run", Kind::Run),
        ("mixed", Kind::Mixed(Changesets::None)),
        ("mixed-each", Kind::Mixed(Changesets::Each)),
        ("mixed-one", Kind::Mixed(Changesets::One)),
    ];

    fn word(self) -> &'static str {
        Kind::ALL.iter().find(|(_, kind)| *kind == self).map_or("json", |(word, _)| word)
    }
}

/// What stands in a frame where a list goes: letters and digits, which no body writes in another way.
pub fn mark(list: &str) -> String {
    format!("hmsSyncItems0{list}0smetIcnySsmh")
}

/// What stands for one record: `frame` is the request with marks in its body.
pub fn item(frame: Request, kind: Kind, member: Member) -> Request {
    let text = String::from_utf8_lossy(&frame.body).into_owned();
    let of = member.of.as_ref().and_then(|of| serde_json::to_string(of).ok());
    let mut headers: Vec<(Text, Text)> = Vec::with_capacity(frame.headers.len() + 4);
    headers.push((ITEM.into(), format!("{} {}", kind.word(), member.list).into()));
    headers.push((FRAME.into(), text.into()));
    headers.push((NAME.into(), member.name.into()));
    headers.extend(of.map(|of| (OF.into(), of.into())));
    headers.extend(frame.headers);
    Request { headers, body: member.body, ..frame }
}

/// Whether a request stands for a record in a list.
pub fn is_item(request: &Request) -> bool {
    request.headers.first().is_some_and(|(name, _)| name == ITEM)
}

/// Whether a header field may differ between two records of one request.
pub fn is_own(name: &str) -> bool {
    name == NAME || name == ITEM || name == OF
}

/// What names the record at the target.
pub fn name(request: &Request) -> Option<&str> {
    is_item(request).then(|| header(request, NAME)).flatten()
}

/// What stands for the record.
pub fn member(request: &Request) -> Option<Member> {
    let (_, list) = header(request, ITEM).filter(|_| is_item(request))?.split_once(' ')?;
    let name = header(request, NAME).unwrap_or_default();
    let of = header(request, OF).and_then(|of| serde_json::from_str(of).ok());
    Some(Member { list: list.to_owned(), name: name.to_owned(), of, body: request.body.clone() })
}

fn header<'r>(request: &'r Request, name: &str) -> Option<&'r str> {
    request.headers.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
}

/// The request of several records, in their order; `first` stands for one of them. `key` is put into the header `named`, if it
/// has that.
pub fn filled(first: &Request, named: &str, key: &str, members: &[Member]) -> Request {
    let kind = header(first, ITEM).and_then(|item| item.split(' ').next()).unwrap_or_default();
    let kind = Kind::ALL.iter().find(|(word, _)| *word == kind).map_or(Kind::Json, |(_, kind)| *kind);
    let frame = header(first, FRAME).unwrap_or_default();
    let (boundary, body) = body(frame, kind, members);
    let own = |(name, value): &(Text, Text)| match (name.starts_with(':'), name == named) {
        (true, _) => None,
        (false, true) => Some((name.clone(), key.to_owned().into())),
        (false, false) => Some((name.clone(), bounded(value, boundary.as_deref()))),
    };
    Request {
        method: first.method.clone(),
        url: first.url.clone(),
        headers: first.headers.iter().filter_map(own).collect(),
        body,
    }
}

/// A frame that stands by itself, with these records.
pub fn fill(frame: Request, kind: Kind, members: &[Member]) -> Request {
    let (boundary, body) = body(&String::from_utf8_lossy(&frame.body), kind, members);
    let named = |(name, value): (Text, Text)| (name, bounded(&value, boundary.as_deref()));
    Request { headers: frame.headers.into_iter().map(named).collect(), body, ..frame }
}

/// The value of a header field, with the boundary in its place.
fn bounded(value: &Text, boundary: Option<&str>) -> Text {
    match boundary {
        Some(boundary) if value.contains(BOUNDARY) => value.replace(BOUNDARY, boundary).into(),
        _ => value.clone(),
    }
}

/// A body with its lists, and the boundary between its parts where it has some.
fn body(frame: &str, kind: Kind, members: &[Member]) -> (Option<String>, Vec<u8>) {
    if let Kind::Mixed(changesets) = kind {
        let requests: Vec<&[u8]> = members.iter().map(|member| member.body.as_slice()).collect();
        let nested = match changesets {
            Changesets::None => None,
            Changesets::Each => Some(true),
            Changesets::One => Some(false),
        };
        let (boundary, body) = multipart::mixed(&requests, nested);
        return (Some(boundary), body);
    }
    (None, lists(frame, kind, members))
}

fn lists(frame: &str, kind: Kind, members: &[Member]) -> Vec<u8> {
    let mut lists: Vec<&str> = members.iter().map(|member| member.list.as_str()).collect();
    lists.sort_unstable();
    lists.dedup();
    let of = |list: &str| -> Vec<&[u8]> {
        members.iter().filter(|member| member.list == list).map(|member| member.body.as_slice()).collect()
    };
    match kind {
        Kind::Json => put(frame, |list| array(&of(list)), true),
        Kind::Lines => put(frame, |list| of(list).iter().flat_map(|item| [item, &b"\n"[..]].concat()).collect(), false),
        Kind::Run => put(frame, |list| of(list).concat(), false),
        Kind::Form => {
            // A field whose list is empty is no field.
            let full = |field: &&str| mentioned(field).is_none_or(|list| lists.contains(&list));
            let fields: Vec<&str> = frame.split('&').filter(full).collect();
            let list = |list: &str| escape::form(&String::from_utf8_lossy(&array(&of(list)))).into_bytes();
            put(&fields.join("&"), list, false)
        }
        Kind::Mixed(_) => Vec::new(),
    }
}

fn array(items: &[&[u8]]) -> Vec<u8> {
    [&b"["[..], &items.join(&b","[..]), b"]"].concat()
}

/// The list that a text has a mark of.
fn mentioned(text: &str) -> Option<&str> {
    let (before, after) = ends();
    let (_, rest) = text.split_once(&before)?;
    rest.split_once(&after).map(|(list, _)| list)
}

/// What stands before and behind the name of a list in its mark.
fn ends() -> (String, String) {
    let mark = mark("|");
    let (before, after) = mark.split_once('|').unwrap_or_default();
    (before.to_owned(), after.to_owned())
}

/// Puts lists in place of their marks, in JSON with the quotes around them.
fn put(frame: &str, list: impl Fn(&str) -> Vec<u8>, quoted: bool) -> Vec<u8> {
    let (before, after) = ends();
    let quote = if quoted { "\"" } else { "" };
    let (before, after) = (format!("{quote}{before}"), format!("{after}{quote}"));
    let mut out = Vec::with_capacity(frame.len() + 1024);
    let mut rest = frame;
    while let Some((text, tail)) = rest.split_once(&before) {
        let Some((name, tail)) = tail.split_once(&after) else { break };
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(&list(name));
        rest = tail;
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(list: &str, body: &str) -> Member {
        Member { list: list.to_owned(), name: String::new(), of: None, body: body.as_bytes().to_vec() }
    }

    fn text(frame: &str, kind: Kind, members: &[Member]) -> String {
        String::from_utf8_lossy(&body(frame, kind, members).1).into_owned()
    }

    #[test]
    fn records_become_lists_where_their_marks_stand() {
        let members = [member("", "{\"a\":1}"), member("", "{\"a\":2}")];
        let whole = mark("");
        let json = format!("{{\"all\":false,\"records\":\"{whole}\"}}");
        assert_eq!(text(&json, Kind::Json, &members), "{\"all\":false,\"records\":[{\"a\":1},{\"a\":2}]}");
        assert_eq!(text(&whole, Kind::Lines, &members), "{\"a\":1}\n{\"a\":2}\n");
        assert_eq!(text(&format!("<l>{whole}</l>"), Kind::Run, &members), "<l>{\"a\":1}{\"a\":2}</l>");
    }

    #[test]
    fn a_form_has_only_the_lists_that_have_records() {
        let frame = format!("f=json&adds={}&deletes={}", mark("adds"), mark("deletes"));
        let adds = [member("adds", "{\"a\":\"b&c\"}")];
        assert_eq!(text(&frame, Kind::Form, &adds), "f=json&adds=%5B%7B%22a%22%3A%22b%26c%22%7D%5D");
        let both = [member("deletes", "7"), member("adds", "1"), member("deletes", "8")];
        assert_eq!(text(&frame, Kind::Form, &both), "f=json&adds=%5B1%5D&deletes=%5B7%2C8%5D");
    }

    #[test]
    fn a_value_that_looks_like_a_mark_stays_a_value() {
        let members = [member("", &format!("\"{}\"", mark("")))];
        let frame = format!("[\"{}\"]", mark(""));
        assert_eq!(text(&frame, Kind::Json, &members), format!("[[\"{}\"]]", mark("")));
    }
}
