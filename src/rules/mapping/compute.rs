//! A target that is made of several columns, by an expression.

use std::sync::Arc;

use super::path::{Found, Path};
use crate::event::{Event, Record, Value};
use crate::rules::expression::{OMIT, Scope, Text};
use crate::rules::outcome::Reason;

/// What an event is asked for.
const EVENT: [&str; 6] = ["id", "seq", "type", "op", "at", "log"];
/// Roots of the expressions of adapters that a mapping has not.
const FOREIGN: [&str; 7] = ["vars", "link", "steps", "parts", "items", "idempotency", "secret"];

/// An expression, and the columns that it reads.
#[derive(Clone, Debug)]
pub struct Compute {
    text: Arc<Text>,
    written: String,
    reads: Vec<(String, Path<'static>)>,
}

impl Compute {
    /// Compiles; errors say where.
    pub fn parse(written: &str) -> Result<Compute, String> {
        let text = Text::parse(written).map_err(|what| format!("`expression`: {what}"))?;
        let mut reads: Vec<(String, Path<'static>)> = Vec::new();
        for expression in text.expressions() {
            for name in expression.names() {
                let path = match name.as_str() {
                    OMIT => continue,
                    "event" => {
                        for (_, name) in expression.paths().into_iter().filter(|(root, _)| root == "event") {
                            if !EVENT.contains(&name.as_str()) {
                                return Err(format!("`expression`: an event has no `{name}`: {}", EVENT.join(", ")));
                            }
                        }
                        continue;
                    }
                    "record" => Path::whole(),
                    "key" | "before" | "after" => {
                        let what = format!("`expression`: `{name}` cannot stand in it: columns by their names");
                        return Err(format!("{what}, `record['odd name']` and `event` can"));
                    }
                    name if FOREIGN.contains(&name) => {
                        return Err(format!("`expression`: `{name}` is for the files of adapters"));
                    }
                    name => Path::parse(name).map_err(|what| format!("`expression`: {what}"))?.into_owned(),
                };
                // A whole record is called as a plain source would call it.
                let name = if path.rest.is_empty() { "$after" } else { name };
                if !reads.iter().any(|(known, _)| known == name) {
                    reads.push((name.to_owned(), path));
                }
            }
        }
        if reads.is_empty() && text.literal().is_some() {
            return Err("`expression` has no expression in braces: write a constant as `value`".to_owned());
        }
        Ok(Compute { text: Arc::new(text), written: written.to_owned(), reads })
    }

    /// As written.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// The columns that it reads, by their names.
    pub fn reads(&self) -> &[(String, Path<'static>)] {
        &self.reads
    }

    /// Its value; none = left out.
    pub fn value(&self, event: &Event) -> Result<Option<Value>, Reason> {
        let known = |name: &str| match Path::parse(&format!("$event.{name}")).ok()?.find(event) {
            Found::Value(value) => Some((name.to_owned(), value.into_owned())),
            Found::NoImage | Found::Missing => None,
        };
        let of_event: Record = EVENT.into_iter().filter_map(known).collect();
        let roots = [("event", Value::Map(of_event))].into_iter().collect();
        let scope = Scope { record: event.image().clone(), roots };
        self.text.value(&scope).map_err(|reason| {
            let text = reason.text.replace("the adapter needs `", "it needs `");
            Reason::new("mapping", format!("expression `{}`: {text}", self.written))
        })
    }
}
