//! An answer, read as far as the rules ask.

use std::cell::OnceCell;

use serde_json::Value as Json;

use crate::adapter::http::Reply;
use crate::format::hl7::Message;
use crate::format::xml::Xml;
use crate::rules::expression::{Escape, Scope};
use crate::rules::operation::Choice;
use crate::rules::outcome::Reason;
use crate::rules::verdict::{Extract, Hl7Path, Reading, XmlPath};

/// An answer.
pub struct Answer<'r> {
    reply: &'r Reply,
    text: OnceCell<Option<&'r str>>,
    json: OnceCell<Option<Json>>,
    /// Where the HL7 v2 message stands; none = it is the body.
    hl7_in: Option<&'r Extract>,
}

impl<'r> Answer<'r> {
    /// An answer as it came.
    pub fn new(reply: &'r Reply, hl7_in: Option<&'r Extract>) -> Answer<'r> {
        Answer { reply, text: OnceCell::new(), json: OnceCell::new(), hl7_in }
    }

    fn text(&self) -> Option<&'r str> {
        *self.text.get_or_init(|| std::str::from_utf8(&self.reply.body).ok())
    }

    fn parsed(&self) -> Option<&Json> {
        let read =
            || serde_json::from_slice(self.reply.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.reply.body)).ok();
        self.json.get_or_init(read).as_ref()
    }

    fn json(&self, pointer: &str) -> Vec<String> {
        self.parsed().map(|json| pointed(json, pointer)).unwrap_or_default()
    }

    /// The values at a pointer; none = the answer was not read to its end, or is no JSON.
    pub fn results(&self, pointer: &str) -> Option<Vec<&Json>> {
        self.parsed().filter(|_| self.reply.whole).map(|json| pointed_in(json, pointer))
    }

    fn xml(&self, path: &XmlPath) -> Vec<String> {
        self.text().and_then(Xml::read).map(|xml| xml.find(path)).unwrap_or_default()
    }

    fn hl7(&self, path: &Hl7Path) -> Vec<String> {
        let inner = match self.hl7_in {
            None => self.text().map(str::to_owned),
            Some(place) => self.read(place).and_then(|found| found.into_iter().next()),
        };
        let found = inner.as_deref().and_then(Message::read).map(|message| message.find(path));
        found.unwrap_or_default()
    }
}

/// Whether a text is a message of HL7 v2 that acknowledges one.
pub fn is_acknowledgement(text: &str) -> bool {
    let code = Hl7Path { segment: "MSA".to_owned(), field: 1, component: None };
    Message::read(text).is_some_and(|message| !message.find(&code).is_empty())
}

/// The values at a pointer, `*` being every item.
pub fn pointed_in<'j>(json: &'j Json, pointer: &str) -> Vec<&'j Json> {
    let mut at = vec![json];
    for name in pointer.split('/').skip(1) {
        let name = name.replace("~1", "/").replace("~0", "~");
        at = at
            .into_iter()
            .flat_map(|json| match (json, name.as_str()) {
                (Json::Array(items), "*") => items.iter().collect(),
                (Json::Object(fields), "*") => fields.values().collect(),
                (Json::Array(items), index) => {
                    index.parse().ok().and_then(|at: usize| items.get(at)).into_iter().collect()
                }
                (Json::Object(fields), name) => fields.get(name).into_iter().collect::<Vec<_>>(),
                _ => Vec::new(),
            })
            .collect();
    }
    at
}

/// The same, scalars as text, structures as `{…}` and `[…]` in JSON.
pub fn pointed(json: &Json, pointer: &str) -> Vec<String> {
    let text = |json: &Json| match json {
        Json::Null => None,
        Json::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    pointed_in(json, pointer).into_iter().filter_map(text).collect()
}

/// Of the values at a place the first, or what a choice takes of its item.
pub fn choose(found: Vec<String>, choice: Option<&Choice>, scope: &Scope) -> Option<String> {
    let Some(choice) = choice else { return found.into_iter().next() };
    let wanted = choice.contains.write(scope, Escape::Plain).ok().filter(|text| !text.is_empty())?;
    found.into_iter().find_map(|item| {
        let item: Json = serde_json::from_str(&item).ok()?;
        let holds = pointed(&item, &choice.field).iter().any(|text| text.contains(&wanted));
        if holds { pointed(&item, &choice.take).into_iter().next() } else { None }
    })
}

impl Reading for Answer<'_> {
    fn status(&self) -> u16 {
        self.reply.status
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.reply.fields.one(name)
    }

    fn flaw(&self) -> Option<Reason> {
        let looked = self.json.get().is_some() || self.text.get().is_some();
        let readable = self.json.get().is_some_and(Option::is_some);
        if !looked || readable || self.reply.body.trim_ascii().is_empty() {
            return None;
        }
        let Some(text) = self.text() else {
            return Some(Reason::new("not-utf8", "it is not UTF-8"));
        };
        let said = text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
        let begins = |with: &str| said.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
        if begins("<!doctype html") || begins("<html") {
            return Some(Reason::new("html", "it is a web page; a captive portal or a sign-in page?"));
        }
        if said.starts_with('<') {
            return match Xml::read(text) {
                Some(_) => None,
                None if said.contains("<!DOCTYPE") => Some(Reason::new(
                    "doctype",
                    "it is XML with a DOCTYPE, which is not read: what it defines may be without end",
                )),
                None => Some(Reason::new("not-xml", "it is no XML that can be read")),
            };
        }
        match (self.json.get(), said.starts_with(['{', '['])) {
            (Some(None), true) => {
                Some(Reason::new("not-json", "it is no JSON that can be read: broken, or nested too deep"))
            }
            _ => None,
        }
    }

    fn read(&self, what: &Extract) -> Option<Vec<String>> {
        let inside = matches!(what, Extract::Json(_) | Extract::Xml(_) | Extract::Hl7(_) | Extract::Body);
        if inside && !self.reply.whole {
            return None;
        }
        Some(match what {
            Extract::Status => vec![self.reply.status.to_string()],
            Extract::Header(name) => self.reply.fields.all(name).map(str::to_owned).collect(),
            Extract::Json(pointer) => self.json(pointer),
            Extract::Xml(path) => self.xml(path),
            Extract::Hl7(path) => self.hl7(path),
            Extract::Body => vec![String::from_utf8_lossy(&self.reply.body).into_owned()],
        })
    }
}
