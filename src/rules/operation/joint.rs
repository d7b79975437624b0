//! Several records in one request of an adapter's file (`batch`): what stands for each in it, and what the answer says of each.

use std::collections::BTreeMap;

use super::{Body, Call, Operations};
use crate::rules::expression::{Expression, Text};
use crate::rules::verdict::{Extract, Rule, Word};

/// How several records go in one request.
#[derive(Debug)]
pub struct Joint {
    /// Most records of a request; none = what the connector says.
    pub max: Option<usize>,
    /// Most bytes of a request's body; none = what the connector says.
    pub max_bytes: Option<usize>,
    /// The target takes all records of a request or none of them.
    pub atomic: bool,
    /// What names a record at the target: two of one name never stand in one request.
    pub key: Option<Text>,
    /// What stands for a record in the request. A kind of change that is not here goes alone, as `push` says.
    pub items: Operations<Item>,
    /// The requests, in order: the first holds all records, a later one those whose answers lead there.
    pub steps: Vec<JointStep>,
}

/// What stands for a record.
#[derive(Debug)]
pub struct Item {
    /// The list that it stands in: `{items.NAME}`; empty = `{items}`.
    pub list: String,
    /// What is in it.
    pub content: Content,
}

/// What stands for a record.
#[derive(Debug)]
pub enum Content {
    /// A value, an element, a line.
    Body(Body),
    /// A request of its own, within a [`Body::Mixed`].
    Call(Box<Call>),
}

impl Content {
    /// The expressions in it.
    pub fn expressions(&self) -> Vec<&Expression> {
        match self {
            Content::Body(body) => body.expressions(),
            Content::Call(call) => call.expressions(),
        }
    }
}

/// How requests stand in a `multipart/mixed` body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mixed {
    /// What is taken whole or not.
    pub changesets: Changesets,
    /// How their addresses are written.
    pub urls: Urls,
}

/// The changesets of a `$batch` (OData v4.01 part 1 §11.7, v2 batch processing).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changesets {
    /// Requests stand side by side.
    None,
    /// Each request is a changeset.
    Each,
    /// All are one, which is taken whole or not.
    One,
}

/// How the addresses of requests within a request are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urls {
    /// From `{base}` on, without a slash at the beginning.
    Relative,
    /// As a path of the host.
    Path,
    /// Whole.
    Whole,
}

/// A request with several records.
#[derive(Debug)]
pub struct JointStep {
    /// Its name.
    pub id: String,
    /// What is sent; its expressions see no record.
    pub request: Call,
    /// What an answer means for all; a success asks `results` for each.
    pub rules: Vec<Rule>,
    /// Where the answer speaks of each record of a list.
    pub results: Vec<(String, Results)>,
    /// Which later step what is said of a record leads it to.
    pub on: BTreeMap<Word, usize>,
}

/// Where an answer speaks of each record.
#[derive(Debug)]
pub struct Results {
    /// Where they stand, in the order of the records unless `key` is given.
    pub place: Place,
    /// JSON pointer in a result of what names the record.
    pub key: Option<String>,
    /// JSON pointer in a result of its status: a number, or a text that begins with one (`201 Created`).
    pub status: Option<String>,
    /// What a result means.
    pub rules: Vec<Rule>,
    /// What is kept of the result of a record that the target has taken.
    pub capture: Vec<(String, Extract)>,
}

/// Where results stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The values at a JSON pointer.
    Json(String),
    /// The answers within an answer that is `multipart/mixed`.
    Parts,
}

impl Joint {
    /// The expressions that see a record.
    pub fn expressions(&self) -> Vec<&Expression> {
        let mut found: Vec<&Expression> = self.items.all().flat_map(|(_, item)| item.content.expressions()).collect();
        found.extend(self.key.iter().flat_map(Text::expressions));
        found
    }

    /// What is kept of results.
    pub fn captures(&self) -> impl Iterator<Item = &str> {
        let results = self.steps.iter().flat_map(|step| &step.results);
        results.flat_map(|(_, results)| &results.capture).map(|(name, _)| name.as_str())
    }

    /// The names of its lists.
    pub fn lists(&self) -> Vec<&str> {
        let mut lists: Vec<&str> = self.items.all().map(|(_, item)| item.list.as_str()).collect();
        lists.sort_unstable();
        lists.dedup();
        lists
    }
}
