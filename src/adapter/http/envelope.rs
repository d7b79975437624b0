//! What is filled in at send time and never stored, hashed or shown.

use std::fmt;
use std::sync::Arc;

use ureq::http::header::{COOKIE, HeaderName, HeaderValue};
use zeroize::Zeroizing;

use super::message::Address;
use super::percent;
use crate::adapter::Request;

/// What a credential adds to a request. One header field costs no allocation of its own.
#[derive(Clone, Default)]
pub struct Envelope {
    first: Option<(HeaderName, HeaderValue)>,
    more: Vec<(HeaderName, HeaderValue)>,
    /// Query parameters, percent-encoded.
    query: Option<Zeroizing<String>>,
    /// The body that is sent in place of the request's: the same, with the secrets in their places.
    body: Option<Zeroizing<Vec<u8>>>,
    /// Where the request goes in place of its URL's origin, as the token endpoint said.
    base: Option<Base>,
}

/// Where calls go, as an answer named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// `https://host[:port]`.
    pub origin: Arc<str>,
    /// The configuration names this very host, not only what its name ends with.
    pub is_named: bool,
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Envelope(***)")
    }
}

impl Envelope {
    /// An envelope with one header field.
    pub fn of(name: HeaderName, value: HeaderValue) -> Envelope {
        let mut envelope = Envelope::default();
        envelope.push(name, value);
        envelope
    }

    /// Adds a header field; its value is marked sensitive. Cookies join those that are there.
    pub fn push(&mut self, name: HeaderName, mut value: HeaderValue) {
        if name == COOKIE
            && let Some((_, there)) = self.fields_mut().find(|(known, _)| *known == COOKIE)
        {
            let mut both = Zeroizing::new(there.as_bytes().to_vec());
            both.extend_from_slice(b"; ");
            both.extend_from_slice(value.as_bytes());
            // Both are values of a field: so is their join.
            if let Ok(both) = HeaderValue::from_bytes(&both) {
                *there = both;
                there.set_sensitive(true);
            }
            return;
        }
        value.set_sensitive(true);
        match self.first {
            None => self.first = Some((name, value)),
            Some(_) => self.more.push((name, value)),
        }
    }

    /// Its header fields, in order.
    pub fn fields(&self) -> impl Iterator<Item = &(HeaderName, HeaderValue)> {
        self.first.iter().chain(&self.more)
    }

    fn fields_mut(&mut self) -> impl Iterator<Item = &mut (HeaderName, HeaderValue)> {
        self.first.iter_mut().chain(&mut self.more)
    }

    /// Adds a query parameter.
    pub fn ask(&mut self, name: &str, value: &str) {
        let pair = Zeroizing::new(format!("{}={}", percent(name).as_str(), percent(value).as_str()));
        self.query = Some(match &self.query {
            None => pair,
            Some(before) => Zeroizing::new(format!("{}&{}", before.as_str(), pair.as_str())),
        });
    }

    /// Its query parameters as they stand in a URL.
    pub fn query(&self) -> Option<&str> {
        self.query.as_ref().map(|query| query.as_str())
    }

    /// Sets the body that is sent.
    pub fn fill(&mut self, body: Zeroizing<Vec<u8>>) {
        self.body = Some(body);
    }

    /// The body that is sent for a request.
    pub fn body<'e>(&'e self, request: &'e Request) -> &'e [u8] {
        self.body.as_ref().map_or(&request.body, |body| body.as_slice())
    }

    /// Sends requests to another origin than their URL says.
    pub fn lead(&mut self, base: Base) {
        self.base = Some(base);
    }

    /// Where a request goes, with this envelope.
    pub(in crate::adapter) fn address<'e>(&'e self, request: &'e Request) -> Option<Address<'e>> {
        let own = Address::of(&request.url)?;
        let Some(base) = &self.base else { return Some(own) };
        Some(Address { rest: own.rest, ..Address::of(&base.origin)? })
    }

    /// Whether its host is one that only an answer has named.
    pub(in crate::adapter) fn is_led_by_name(&self) -> bool {
        self.base.as_ref().is_some_and(|base| !base.is_named)
    }
}
