//! A request of a page, as it stands on the wire.

use super::PullSource;
use super::call::reject;
use crate::adapter::Request;
use crate::adapter::pull::Ask;
use crate::adapter::spec::body::{self, Around};
use crate::event::{Record, Value};
use crate::rules::escape;
use crate::rules::expression::{Scope, Text};
use crate::rules::operation::Call;
use crate::rules::outcome::{Outcome, Reason};
use crate::rules::pull::course::{Course, Step};
use crate::rules::pull::link::{self, Elsewhere};

impl PullSource {
    /// The request of a page.
    pub(super) fn request(&self, ask: &Ask, course: &Course) -> Result<Request, Outcome> {
        let Some(feed) = self.pull.feeds.get(course.feed) else { return Err(reject("the source has no such page")) };
        let cursor = ask.cursor.as_deref().zip(self.kind).map(|(cursor, kind)| kind.asked(cursor));
        let main = course.feed + 1 == self.pull.feeds.len();
        let address = match (&course.step, &cursor, &self.pull.cursor) {
            (Step::Url(url), _, _) => Some(url.as_str()),
            (Step::First, Some(url), Some(kind)) if main && kind.is_url => Some(url.as_str()),
            _ => None,
        };
        let mut roots = self.roots.clone();
        if let Some(cursor) = &cursor {
            roots.push("cursor", Value::from(cursor.as_str()));
        }
        course.roots(&feed.next, &mut roots);
        let scope = Scope { record: Record::new(), roots };
        let mut request = self.built(&feed.request, &feed.query, &scope).map_err(Outcome::Halt)?;
        if let Some(address) = address {
            let url = self.follow(&request.url, address)?;
            request.url = url.into();
            if request.method == "GET" {
                request.body.clear();
                request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
            }
        }
        Ok(request)
    }

    pub(super) fn built(&self, call: &Call, query: &[(String, Text)], scope: &Scope) -> Result<Request, Reason> {
        let around = Around { base: &self.base, key: "pull", headers: &self.headers };
        let mut request = body::request(call, scope, &around)?;
        // A question is nobody's change.
        request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("idempotency-key"));
        let mut url = request.url.to_string();
        for (name, text) in query {
            let Some(value) = parameter(text, scope)? else { continue };
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(&format!("{}={}", escape::percent(name), escape::percent(&value)));
        }
        request.url = url.into();
        Ok(request)
    }

    /// The whole of an address that an answer has named.
    pub(super) fn follow(&self, from: &str, target: &str) -> Result<String, Outcome> {
        let led = self.credential.as_ref().and_then(|credential| credential.base());
        let allowed: Vec<&str> = std::iter::once(self.origin.as_str()).chain(led.as_deref()).collect();
        link::follow(from, target, &allowed).map_err(|elsewhere| {
            let text = match elsewhere {
                Elsewhere::Origin(origin) => format!(
                    "the answer leads to {origin} for its next page, and the connector's endpoint is {}: a source never leads elsewhere",
                    self.origin
                ),
                Elsewhere::Odd => "the answer leads to something that is no address for its next page".to_owned(),
            };
            Outcome::Halt(Reason::new("next", text))
        })
    }
}

/// The value of a query parameter; none = it is left out.
fn parameter(text: &Text, scope: &Scope) -> Result<Option<String>, Reason> {
    for expression in text.expressions().filter(|expression| expression.is_strict()) {
        let missing = |name: &&String| matches!(name.as_str(), "cursor" | "next") && scope.roots.get(name).is_none();
        if expression.names().iter().any(|name| missing(&name)) {
            return Ok(None);
        }
    }
    let Some(value) = text.value(scope)? else { return Ok(None) };
    match value {
        Value::Null => Ok(None),
        value => match value.as_text() {
            Some(text) if text.is_empty() => Ok(None),
            Some(text) => Ok(Some(text.into_owned())),
            None => Err(Reason::new("encoding", format!("a query parameter is {}, not a single value", value.kind()))),
        },
    }
}
