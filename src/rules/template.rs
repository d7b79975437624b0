//! `{field}` templates for URLs and the `Idem-Key` header.

use crate::event::Value;
use crate::rules::outcome::Reason;

/// A text with `{path}` placeholders (`{{` and `}}` stand for braces).
#[derive(Clone, Debug)]
pub struct Template;

impl Template {
    /// Parses; errors say what is wrong and at which character.
    pub fn parse(text: &str) -> Result<Template, String> {
        let _ = text;
        todo!()
    }

    /// The placeholders' paths, in order.
    pub fn paths(&self) -> &[String] {
        todo!()
    }

    /// Fills a URL: each value percent-encoded as one path segment; empty, `.` and `..` are refused.
    pub fn url<'v>(&self, lookup: impl Fn(&str) -> Option<&'v Value>) -> Result<String, Reason> {
        let _ = lookup;
        todo!()
    }

    /// Fills a header value: visible ASCII only.
    pub fn header<'v>(&self, lookup: impl Fn(&str) -> Option<&'v Value>) -> Result<String, Reason> {
        let _ = lookup;
        todo!()
    }
}
