//! An answer as a page: its items, and whatever else of it counts.

use serde_json::Value as Json;

use crate::adapter::http::Reply;
use crate::adapter::pull::{Bad, Item};
use crate::adapter::sha256;
use crate::adapter::spec::reading::Answer;
use crate::event::{Record, Value};
use crate::format::json;
use crate::format::xml::Xml;
use crate::rules::outcome::{Outcome, Reason};
use crate::rules::pull::course::Shown;
use crate::rules::pull::cursor::From;
use crate::rules::pull::item::{LARGEST, Pick, Shape, all, at, holds, is_broken, text};
use crate::rules::pull::{Feed, Items, Select};
use crate::rules::verdict::{Extract, Reading, XmlPath};

/// An answer's body, read once.
pub struct Tree {
    body: Body,
    /// Parts of it were no UTF-8: what holds them is bad.
    lossy: bool,
}

enum Body {
    Json(Value),
    Xml(String),
    /// Nothing at all: 204.
    Empty,
}

/// What is read of a page.
#[derive(Debug, Default)]
pub struct Read {
    /// Items, in order.
    pub items: Vec<Item>,
    /// Those that cannot be read.
    pub bad: Vec<Bad>,
    /// For where the run goes on.
    pub shown: Shown,
}

fn broken(text: impl Into<String>) -> Outcome {
    Outcome::Retry { reason: Reason::new("bad-answer", text.into()), after: None, transport: false }
}

impl Tree {
    /// Reads a body as what its items are said to be.
    pub fn of(reply: &Reply, items: &Items) -> Result<Tree, Outcome> {
        let bytes = reply.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&reply.body);
        if bytes.trim_ascii().is_empty() && (reply.status == 204 || items.optional) {
            return Ok(Tree { body: Body::Empty, lossy: false });
        }
        let text = String::from_utf8_lossy(bytes);
        let lossy = matches!(text, std::borrow::Cow::Owned(_));
        let body = match &items.place {
            Extract::Xml(path) => {
                let xml = Xml::page(&text).ok_or_else(|| {
                    broken("the answer is no XML that is read: not well-formed, with a DOCTYPE, or nested too deeply")
                })?;
                if !xml.begins(path) {
                    return Err(broken("the answer is another XML document than the one whose items are described"));
                }
                Body::Xml(text.into_owned())
            }
            _ => Body::Json(json::decode(text.as_bytes()).map_err(|what| {
                // What the reader says may not show a value; where it is, it may.
                let place = what.split(':').next().unwrap_or_default().to_owned();
                broken(format!("the answer is no JSON that can be read ({place})"))
            })?),
        };
        Ok(Tree { body, lossy })
    }

    /// The one item of a place: itself, or the first of a list.
    pub fn one(&self, items: &Items) -> Result<Option<Value>, Outcome> {
        if let (Body::Json(tree), Extract::Json(pointer)) = (&self.body, &items.place)
            && let Some(one @ Value::Map(_)) = at(tree, pointer)
        {
            return Ok(Some(one.clone()));
        }
        Ok(self.items(items)?.into_iter().next())
    }

    /// The items of a place.
    fn items(&self, items: &Items) -> Result<Vec<Value>, Outcome> {
        match (&self.body, &items.place) {
            (Body::Empty, _) => Ok(Vec::new()),
            (Body::Xml(text), Extract::Xml(path)) => Ok(self.xml(text, path)),
            (Body::Json(tree), Extract::Json(pointer)) => {
                let several = pointer.split('/').any(|name| name == "*");
                let found = if several { all(tree, pointer) } else { at(tree, pointer).into_iter().collect() };
                match found.as_slice() {
                    [] if items.optional || several => Ok(Vec::new()),
                    [] => Err(broken(format!("the answer has no items at json:{pointer}"))),
                    [Value::List(list)] if !several => Ok(list.clone()),
                    [one] if !several && pointer.is_empty() => Ok(vec![(*one).clone()]),
                    [other] if !several => {
                        Err(broken(format!("json:{pointer} of the answer is {}, not a list", other.kind())))
                    }
                    several => Ok(several.iter().map(|value| (*value).clone()).collect()),
                }
            }
            _ => Err(broken("the answer is of another kind than its items")),
        }
    }

    fn xml(&self, text: &str, path: &XmlPath) -> Vec<Value> {
        Xml::page(text).map(|xml| xml.values(path)).unwrap_or_default()
    }

    fn texts(&self, place: &Extract, reply: Option<&Reply>) -> Vec<String> {
        match (place, &self.body) {
            (Extract::Json(pointer), Body::Json(tree)) => all(tree, pointer).into_iter().filter_map(text).collect(),
            (Extract::Xml(path), Body::Xml(text)) => Xml::page(text).map(|xml| xml.find(path)).unwrap_or_default(),
            (Extract::Header(_) | Extract::Status, _) => {
                reply.and_then(|reply| Answer::new(reply, None).read(place)).unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }

    /// Whether a place says yes.
    pub fn says(&self, place: &Extract, reply: &Reply) -> bool {
        self.texts(place, Some(reply)).first().is_some_and(|text| holds(&Value::from(text.as_str())))
    }

    /// The text that is selected.
    pub fn select(&self, select: &Select, reply: &Reply) -> Option<String> {
        match &select.choice {
            None => self.texts(&select.from, Some(reply)).into_iter().next(),
            Some(_) => self.select_value(select),
        }
    }

    /// The same of the body alone.
    pub fn select_value(&self, select: &Select) -> Option<String> {
        let Some((place, wanted, take)) = &select.choice else {
            return self.texts(&select.from, None).into_iter().next();
        };
        let items: Vec<Value> = match (&select.from, &self.body) {
            (Extract::Json(pointer), Body::Json(tree)) => all(tree, pointer).into_iter().cloned().collect(),
            (Extract::Xml(path), Body::Xml(text)) => self.xml(text, path),
            _ => Vec::new(),
        };
        let items = items.into_iter().flat_map(|item| match item {
            Value::List(items) => items,
            item => vec![item],
        });
        let fits = |item: &Value| at(item, place).and_then(text).is_some_and(|text| text == *wanted);
        items.filter(|item| fits(item)).find_map(|item| at(&item, take).and_then(text))
    }
}

/// Reads a page of a feed.
pub fn read(tree: &Tree, feed: &Feed, roots: &Record) -> Result<Read, Outcome> {
    let mut read = take(tree.items(&feed.items)?, tree, &feed.item, feed.deletions, roots);
    if let Some((items, shape)) = &feed.tombstones {
        let others = take(tree.items(items)?, tree, shape, true, roots);
        let from = read.shown.items;
        read.items.extend(others.items);
        read.bad
            .extend(others.bad.into_iter().map(|bad| Bad { place: bad.place.saturating_add(from as usize), ..bad }));
        read.shown.items = read.shown.items.saturating_add(others.shown.items);
        read.shown.sum = read.shown.sum.wrapping_add(others.shown.sum);
        read.shown.mark ^= others.shown.mark.rotate_left(1);
    }
    if feed.deletions {
        // Of a history, the newest comes first: a record's first entry says what it is now.
        let mut seen = std::collections::BTreeSet::new();
        read.items.retain(|item| item.id.as_ref().is_none_or(|id| seen.insert(id.clone())));
        read.items.retain(|item| item.deleted);
    }
    Ok(read)
}

/// Takes items.
pub fn take(items: Vec<Value>, tree: &Tree, shape: &Shape, deletions: bool, roots: &Record) -> Read {
    let mut read = Read::default();
    for (place, item) in items.into_iter().enumerate() {
        let bytes = json::value(&item);
        let hash = sha256(&bytes);
        let number = first(&hash);
        read.shown.items += 1;
        read.shown.sum = read.shown.sum.wrapping_add(number);
        read.shown.mark = read.shown.mark.rotate_left(5) ^ number;
        let bad = |reason| Bad { place, id: shape.name(&item, roots), hash, reason };
        if bytes.len() > LARGEST {
            read.bad.push(bad(Reason::new("item", format!("it is larger than {LARGEST} bytes"))));
            continue;
        }
        if tree.lossy && is_broken(&item) {
            read.bad.push(bad(Reason::new("item", "it holds bytes that are no UTF-8")));
            continue;
        }
        match shape.take(&item, deletions, roots) {
            Ok(None) => {}
            Err(reason) => read.bad.push(bad(reason)),
            Ok(Some(taken)) => {
                if let (Some(written), Some(id)) = (&taken.written, &taken.id) {
                    let written = match written {
                        Value::Integer(_) | Value::Number(_) => String::from_utf8(json::value(written)).ok(),
                        value => text(value).map(|text| Json::from(text).to_string()),
                    };
                    read.shown.last = written.map(|written| (written, id.clone())).or(read.shown.last);
                }
                read.items.push(Item {
                    id: taken.id,
                    body: taken.body,
                    version: taken.version,
                    updated: taken.updated,
                    deleted: taken.deleted,
                    links: taken.links,
                });
            }
        }
    }
    read
}

/// The values at a cursor's place in the items of a page.
pub fn cursors(tree: &Tree, items: &Items, from: &From, roots: &Record) -> Result<Vec<String>, Outcome> {
    let From::Item(pick) = from else { return Ok(Vec::new()) };
    let of = |pick: &Pick, item: &Value| pick.of(item, roots).ok().flatten().and_then(|value| text(&value));
    Ok(tree.items(items)?.iter().filter_map(|item| of(pick, item)).collect())
}

/// What something is known by again.
pub fn mark(bytes: &[u8]) -> u64 {
    first(&sha256(bytes))
}

fn first(hash: &[u8; 32]) -> u64 {
    let (bytes, _) = hash.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
    u64::from_le_bytes(*bytes)
}
