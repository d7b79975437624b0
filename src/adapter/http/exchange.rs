//! One call at a time, waited for: how tokens are fetched. HTTP itself is ureq's, on a connection of ours.

use std::io::Read;
use std::sync::Arc;

use flate2::read::GzDecoder;
use ureq::http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, DATE, LOCATION, RETRY_AFTER,
};
use ureq::http::header::{HeaderMap, HeaderName, TRANSFER_ENCODING};

use super::answer::Reply;
use super::fields::Fields;
use super::message::Address;
use super::open::{Later, Opener};
use super::trouble::Trouble;
use super::wire::{self, Wire};
use super::{ACCEPT, BODY_LIMIT, Envelope, Failure, HEAD_LIMIT, Settings, USER_AGENT, plain_http};
use crate::adapter::Request;
use crate::rules::outcome::Reason;

/// One request, one answer, on a connection of its own that ends with it.
#[derive(Debug)]
pub struct Exchange {
    agent: ureq::Agent,
    settings: Arc<Settings>,
    wire: Arc<Wire>,
    /// Most bytes of an answer's body that are read, unpacked.
    most: usize,
    /// Answers may come packed.
    packed: bool,
}

impl Exchange {
    /// One whose answers may be large and packed, and which keeps its connection for the next call: pages are read one after
    /// the other. `wary` = the host was named by an answer, not by the configuration.
    pub(super) fn reading(settings: &Arc<Settings>, most: usize, wary: bool) -> Exchange {
        let wire = Arc::new(Wire::new());
        let agent = agent(settings, &wire, Manner { keeps: true, wary });
        Exchange { agent, settings: Arc::clone(settings), wire, most, packed: true }
    }

    /// One call. At most [`super::Options::timeout`] passes, whatever the target does.
    pub fn call(&mut self, request: &Request, envelope: &Envelope) -> Result<Reply, Failure> {
        self.wire.begin(self.settings.timeout, longest_line(request, envelope));
        let message = message(request, envelope, self.packed)?;
        let answer = if envelope.body(request).is_empty() && bodiless(&request.method) {
            self.agent.run(message.map(|_| ()))
        } else {
            self.agent.run(message)
        };
        let answer = answer.map_err(|error| self.failed(error))?;
        self.read(answer)
    }

    /// Opens its connection at the call.
    pub(super) fn new(settings: &Arc<Settings>) -> Exchange {
        let wire = Arc::new(Wire::new());
        let agent = agent(settings, &wire, Manner { keeps: false, wary: false });
        Exchange { agent, settings: Arc::clone(settings), wire, most: BODY_LIMIT, packed: false }
    }

    fn failure(&self, trouble: Trouble) -> Failure {
        Failure::Trouble { trouble, sent: self.wire.sent() > 0 }
    }

    fn failed(&self, error: ureq::Error) -> Failure {
        let trouble = self.wire.take_trouble().unwrap_or_else(|| match error {
            ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Trouble::passing("closed", "the target closed the connection before its answer was complete")
            }
            ureq::Error::Protocol(error) => Trouble::garbage(format!("the answer breaks the rules of HTTP: {error}")),
            ureq::Error::LargeResponseHeader(..) => {
                Trouble::garbage(format!("the head of the answer is longer than {HEAD_LIMIT} bytes"))
            }
            ureq::Error::RequireHttpsOnly(_) => plain_http(),
            ureq::Error::Io(error) => wire::trouble(&error, false),
            other => Trouble::passing("http", format!("the call failed: {other}")),
        });
        self.failure(trouble)
    }

    fn read(&self, answer: ureq::http::Response<ureq::Body>) -> Result<Reply, Failure> {
        let (parts, body) = answer.into_parts();
        let status = parts.status.as_u16();
        framing(&parts.headers).map_err(|trouble| self.failure(trouble))?;
        let success = (200..300).contains(&status);
        if success && self.wire.write_failed() {
            return Err(self.failure(Trouble::garbage("the target said yes before it had the whole request")));
        }
        let text = |name: HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut all = Fields::default();
        parts.headers.iter().for_each(|(name, value)| all.add(name.as_str(), value.as_bytes()));
        let mut reply = Reply {
            status,
            content_type: text(CONTENT_TYPE),
            retry_after: text(RETRY_AFTER),
            date: text(DATE),
            location: text(LOCATION),
            fields: all,
            body: Vec::new(),
            whole: true,
        };
        let gzip = self.packed && is_gzip(&parts.headers);
        if encoded(&parts.headers) && !gzip {
            if success && status != 204 {
                let text = "the answer is compressed although identity was asked for";
                return Err(self.failure(Trouble::answered("content-encoding", text)));
            }
            // Its status says enough; what was compressed is not unpacked.
            reply.whole = false;
            return Ok(reply);
        }
        let reader = body.into_reader().take(self.most as u64 + 1);
        let read = match gzip {
            false => reader.take(self.most as u64 + 1).read_to_end(&mut reply.body),
            // What is unpacked has the same limit: a few bytes may become a lot.
            true => GzDecoder::new(reader).take(self.most as u64 + 1).read_to_end(&mut reply.body),
        };
        match read {
            Ok(_) => {
                reply.whole = reply.body.len() <= self.most;
                reply.body.truncate(self.most);
                Ok(reply)
            }
            // A body that is cut at the limit cannot be unpacked to its end.
            Err(_) if gzip && reply.body.len() > self.most => {
                reply.whole = false;
                Ok(reply)
            }
            // The status of a refusal stands, even when its explanation broke off.
            Err(_) if !success => {
                reply.whole = false;
                Ok(reply)
            }
            Err(error) if gzip && !error.get_ref().is_some_and(|inner| inner.is::<ureq::Error>()) => {
                Err(self.failure(Trouble::garbage("what came back is packed, and cannot be unpacked")))
            }
            Err(error) => Err(self.failed(body_error(error))),
        }
    }
}

/// How connections are used.
struct Manner {
    keeps: bool,
    wary: bool,
}

/// So long a connection waits for the next page.
const KEPT: std::time::Duration = std::time::Duration::from_secs(5);

// ureq's time-outs stay unset: with one, ureq starts a thread for each look-up and asks the operating system
// about each call. The wire's deadline holds for everything that an agent does.
#[allow(clippy::disallowed_methods)]
fn agent(settings: &Arc<Settings>, wire: &Arc<Wire>, manner: Manner) -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .https_only(!settings.plain)
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(USER_AGENT)
        .accept(ACCEPT)
        .accept_encoding("identity")
        .max_response_header_size(HEAD_LIMIT)
        .max_idle_connections(usize::from(manner.keeps))
        .max_idle_connections_per_host(usize::from(manner.keeps))
        .max_idle_age(KEPT)
        .allow_non_standard_methods(true)
        .build();
    let opener = Opener { settings: Arc::clone(settings), wire: Arc::clone(wire), wary: manner.wary };
    ureq::Agent::with_parts(config, opener, Later)
}

/// ureq wraps its own errors when a body is read through [`Read`].
fn body_error(error: std::io::Error) -> ureq::Error {
    match error.downcast::<ureq::Error>() {
        Ok(inner) => inner,
        Err(error) => ureq::Error::Io(error),
    }
}

fn bodiless(method: &str) -> bool {
    matches!(method, "DELETE" | "GET" | "HEAD" | "OPTIONS")
}

/// An upper bound of the longest line of the head, line end included.
fn longest_line(request: &Request, envelope: &Envelope) -> usize {
    let query = envelope.query().map_or(0, str::len);
    let secret = envelope.fields().map(|(name, value)| name.as_str().len() + value.len()).max().unwrap_or(0);
    let fields = request.headers.iter().map(|(name, value)| name.len() + value.len()).max().unwrap_or(0);
    (request.url.len() + query).max(secret).max(fields) + 64
}

fn message<'r>(
    request: &'r Request,
    envelope: &'r Envelope,
    packed: bool,
) -> Result<ureq::http::Request<&'r [u8]>, Failure> {
    let mut builder = ureq::http::Request::builder().method(&*request.method);
    // A token endpoint may have said where calls go.
    let url = match envelope.address(request) {
        Some(address) if Address::of(&request.url).is_some_and(|own| own.origin != address.origin) => {
            format!("{}{}", address.origin, address.rest)
        }
        _ => request.url.to_string(),
    };
    builder = match envelope.query() {
        None => builder.uri(url),
        Some(query) => {
            let joint = if url.contains('?') { '&' } else { '?' };
            builder.uri(format!("{url}{joint}{query}"))
        }
    };
    if packed {
        builder = builder.header(ACCEPT_ENCODING, "gzip");
    }
    for (name, value) in &request.headers {
        builder = builder.header(&**name, &**value);
    }
    for (name, value) in envelope.fields() {
        builder = builder.header(name, value);
    }
    builder.body(envelope.body(request)).map_err(|_| {
        Failure::Request(Reason::new("url", "the URL or a header field cannot be sent; is a value too long?"))
    })
}

/// Answers whose length can be read in two ways are not trusted (RFC 9112 §6.3): what one reader takes for the end
/// of a body, another takes for the next answer.
fn framing(headers: &HeaderMap) -> Result<(), Trouble> {
    let lengths = headers.get_all(CONTENT_LENGTH).iter().count();
    let codings = headers.get_all(TRANSFER_ENCODING).iter().count();
    let chunked = headers.get(TRANSFER_ENCODING).is_none_or(|value| value.as_bytes().eq_ignore_ascii_case(b"chunked"));
    if lengths > 1 || codings > 1 || (lengths > 0 && codings > 0) || !chunked {
        return Err(Trouble::garbage("the answer states its length in more than one way"));
    }
    Ok(())
}

/// Packed once, by gzip.
fn is_gzip(headers: &HeaderMap) -> bool {
    let mut all = headers.get_all(CONTENT_ENCODING).iter();
    let is = |value: &[u8]| value.eq_ignore_ascii_case(b"gzip") || value.eq_ignore_ascii_case(b"x-gzip");
    all.next().is_some_and(|value| is(value.as_bytes())) && all.next().is_none()
}

fn encoded(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use ureq::http::header::HeaderValue;

    use super::*;

    #[test]
    fn an_answer_with_two_lengths_is_refused() {
        let headers = |fields: &[(HeaderName, &'static str)]| {
            fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect::<HeaderMap>()
        };
        assert!(framing(&headers(&[(CONTENT_LENGTH, "5")])).is_ok());
        assert!(framing(&headers(&[(TRANSFER_ENCODING, "chunked")])).is_ok());
        assert!(framing(&headers(&[])).is_ok());
        let mut twice = headers(&[(CONTENT_LENGTH, "5")]);
        twice.append(CONTENT_LENGTH, HeaderValue::from_static("5"));
        assert!(framing(&twice).is_err());
        assert!(framing(&headers(&[(CONTENT_LENGTH, "5"), (TRANSFER_ENCODING, "chunked")])).is_err());
        assert!(framing(&headers(&[(TRANSFER_ENCODING, "gzip, chunked")])).is_err());
    }
}
