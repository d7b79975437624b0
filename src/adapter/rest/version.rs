//! The version that a record was last known to have at a plain REST target: what is written to it names it (`If-Match`,
//! RFC 9110 §13.1.1), so that a version which was not read yet is not overwritten.

use crate::adapter::http::Reply;
use crate::adapter::{Left, Links, Parcel, Request};
use crate::event::Op;
use crate::rules::outcome::Reason;

/// What a version is kept as among the links of a record.
pub const ETAG: &str = "etag";
/// Longest entity tag that is sent.
const LONGEST: usize = 512;

/// What is known of a record while something is written to it.
#[derive(Debug)]
pub struct Version {
    links: Vec<(String, String)>,
    /// What the answer calls the version that was written.
    written: Option<String>,
}

impl Version {
    /// The request as it is sent: with the version, where that is known and the request does not name one itself. `named` = its
    /// address is that of the record.
    pub fn set_out(
        links: &dyn Links,
        parcel: &Parcel,
        request: &Request,
        named: bool,
    ) -> Result<(Request, Version), Reason> {
        let links = links.of(parcel.kind(), parcel.identity()).map_err(|why| Reason::new("state", why))?;
        let mut request = request.clone();
        let own = request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("if-match"));
        let known = links.iter().find(|(name, value)| name == ETAG && is_sendable(value));
        if let (true, false, Some((_, etag))) = (named, own, known) {
            request.headers.push(("If-Match".into(), etag.clone().into()));
        }
        Ok((request, Version { links, written: None }))
    }

    /// What an answer says of the version that was written.
    pub fn take(&mut self, reply: &Reply) {
        self.written = if (200..300).contains(&reply.status) { strong(reply) } else { None };
    }

    /// What is remembered once the record is delivered. A version that the answer does not tell is not known any more.
    pub fn leave(self, parcel: &Parcel) -> Vec<Left> {
        let values = match (parcel.op(), self.written) {
            (Op::Delete, _) => None,
            (_, None) if !self.links.iter().any(|(name, _)| name == ETAG) => return Vec::new(),
            (_, written) => {
                let mut values = self.links;
                values.retain(|(name, _)| name != ETAG);
                values.extend(written.map(|written| (ETAG.to_owned(), written)));
                Some(values)
            }
        };
        vec![Left { kind: parcel.kind().to_owned(), key: parcel.identity().to_owned(), values }]
    }
}

fn is_sendable(value: &str) -> bool {
    !value.is_empty() && value.len() <= LONGEST && value.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}

/// Whether a text is an entity tag that versions can be compared by byte for byte: a weak one (`W/"..."`) is not (RFC 9110
/// §8.8.3).
pub fn is_strong(text: &str) -> bool {
    let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    text.len() <= LONGEST
        && inner.is_some_and(|inner| inner.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"'))
}

/// The strong entity tag of an answer.
pub fn strong(reply: &Reply) -> Option<String> {
    reply.fields.one("ETag").map(str::trim).filter(|text| is_strong(text)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_strong_entity_tag_is_a_version_that_can_be_named() {
        for text in ["\"1\"", "\"\"", "\"a-b.c\""] {
            assert!(is_strong(text), "{text}");
        }
        for text in ["", "1", "\"", "W/\"1\"", "\"a\"b\"", "\"a b\"", "\"a\r\nX: y\"", "\"ä\""] {
            assert!(!is_strong(text), "{text}");
        }
        assert!(!is_strong(&format!("\"{}\"", "x".repeat(600))));
    }
}
