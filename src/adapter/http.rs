//! HTTP: the one constructor of every client, and one call at a time on a connection that its owner keeps.
//!
//! A client follows no redirect, takes no proxy from the environment, has every time-out, reads at most 64 KiB of an
//! answer, asks for no compression, and checks the address that it connects to. ureq keeps HTTP itself; connecting,
//! TLS and buffers are ours, because its own would cost half of the speed (see `wire`).

mod buffers;
mod open;
mod resolver;
mod trouble;
mod wire;

use std::fmt::{self, Write};
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use ureq::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, DATE, LOCATION, RETRY_AFTER};
use ureq::http::header::{HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use zeroize::Zeroizing;

pub use open::basic;
pub use resolver::{Resolver, forbidden};
pub use trouble::Trouble;

use crate::adapter::secret::SecretSource;
use crate::adapter::{Request, tls};
use crate::rules::classify::Answer;
use crate::rules::outcome::{Outcome, Reason};
use open::{Later, Opener};
use wire::{Connection, Wire};

/// `User-Agent` of every request.
pub const USER_AGENT: &str = concat!("hms-sync/", env!("CARGO_PKG_VERSION"));

/// Header fields that every request carries beside its own, as `simulate` shows them.
pub const FIXED_HEADERS: [(&str, &str); 3] =
    [("User-Agent", USER_AGENT), ("Accept", ACCEPT), ("Accept-Encoding", "identity")];

const ACCEPT: &str = "application/json, */*;q=0.1";

/// Most bytes of an answer's body that are read.
pub const BODY_LIMIT: usize = 64 * 1024;

/// Most bytes of an answer's head that are read.
pub const HEAD_LIMIT: usize = 64 * 1024;

/// How long an unused connection is kept.
const KEEP: Duration = Duration::from_secs(60);

/// What a client needs to be made.
#[derive(Debug)]
pub struct Options {
    /// TLS settings, by [`tls::client_config`].
    pub tls: Arc<ClientConfig>,
    /// Plain http is allowed (loopback, or `plainHttp: true`).
    pub plain: bool,
    /// Whole call; default [`Options::TIMEOUT`].
    pub timeout: Duration,
    /// Connecting with TLS; default [`Options::CONNECT`].
    pub connect: Duration,
    /// Looking a name up; default [`Options::RESOLVE`].
    pub resolve: Duration,
    /// An http proxy; none unless configured.
    pub proxy: Option<Proxy>,
}

impl Options {
    /// Default whole-call budget.
    pub const TIMEOUT: Duration = Duration::from_secs(30);
    /// Default limit for connecting, TLS included.
    pub const CONNECT: Duration = Duration::from_secs(10);
    /// Default limit for looking a name up.
    pub const RESOLVE: Duration = Duration::from_secs(5);

    /// The defaults.
    pub fn new(tls: Arc<ClientConfig>) -> Options {
        Options {
            tls,
            plain: false,
            timeout: Options::TIMEOUT,
            connect: Options::CONNECT,
            resolve: Options::RESOLVE,
            proxy: None,
        }
    }
}

/// An http proxy that is asked by CONNECT, for http and https targets alike.
#[derive(Debug)]
pub struct Proxy {
    host: String,
    port: u16,
    credential: Option<SecretSource>,
}

impl Proxy {
    /// From `http://host:port`; credentials (`user:password`) only as a secret, never in the URL.
    pub fn parse(url: &str, credential: Option<SecretSource>) -> Result<Proxy, String> {
        let uri: ureq::http::Uri = url.parse().map_err(|_| "proxy: not a URL; expected http://host:port".to_owned())?;
        let authority = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
        if authority.contains('@') {
            return Err("proxy: credentials do not belong into the URL; give them as a secret".to_owned());
        }
        if uri.scheme_str() != Some("http") {
            return Err("proxy: only http proxies are supported; expected http://host:port".to_owned());
        }
        if uri.path() != "/" || uri.query().is_some() {
            return Err("proxy: only host and port belong into the URL; expected http://host:port".to_owned());
        }
        let host = uri.host().unwrap_or_default().to_owned();
        Ok(Proxy { host, port: uri.port_u16().unwrap_or(3128), credential })
    }

    fn authorization(&self) -> Result<Option<Zeroizing<String>>, Trouble> {
        let Some(source) = &self.credential else { return Ok(None) };
        let secret = source.get().map_err(|why| Trouble::halt("credential", format!("the proxy's {why}")))?;
        Ok(Some(basic(secret.expose())))
    }
}

/// What all connections of a client share.
#[derive(Debug)]
struct Settings {
    tls: Arc<ClientConfig>,
    plain: bool,
    timeout: Duration,
    connect: Duration,
    resolve: Duration,
    proxy: Option<Proxy>,
    resolver: Resolver,
}

/// A client of one target. Makes [`Exchange`]s; holds no connection itself.
#[derive(Clone, Debug)]
pub struct Client {
    settings: Arc<Settings>,
}

impl Client {
    /// The only way to a client.
    pub fn new(options: Options) -> Client {
        let Options { tls, plain, timeout, connect, resolve, proxy } = options;
        let settings = Settings { tls, plain, timeout, connect, resolve, proxy, resolver: Resolver::default() };
        Client { settings: Arc::new(settings) }
    }

    /// A connection of its own, opened at the first call.
    pub fn exchange(&self) -> Exchange {
        let wire = Arc::new(Wire::new());
        Exchange { agent: self.agent(&wire), settings: Arc::clone(&self.settings), wire }
    }

    // ureq's time-outs stay unset: with one, ureq starts a thread for each look-up and asks the operating system
    // about each call. The wire's deadline holds for everything that an agent does.
    #[allow(clippy::disallowed_methods)]
    fn agent(&self, wire: &Arc<Wire>) -> ureq::Agent {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .https_only(!self.settings.plain)
            .proxy(None)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(USER_AGENT)
            .accept(ACCEPT)
            .accept_encoding("identity")
            .max_response_header_size(HEAD_LIMIT)
            .max_idle_connections(1)
            .max_idle_connections_per_host(1)
            .max_idle_age(KEEP)
            .build();
        let opener = Opener { settings: Arc::clone(&self.settings), wire: Arc::clone(wire) };
        ureq::Agent::with_parts(config, opener, Later)
    }

    /// Resolves, connects and does the TLS handshake; sends nothing. The text says what was found.
    pub fn probe(&self, url: &str) -> Result<String, Reason> {
        let uri: ureq::http::Uri = url.parse().map_err(|_| Reason::new("url", "not a URL"))?;
        let tls = uri.scheme_str() == Some("https");
        if !tls && !self.settings.plain {
            return Err(plain_http().reason);
        }
        let host = uri.host().unwrap_or_default();
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let wire = Arc::new(Wire::new());
        wire.begin(self.settings.timeout, 0);
        let opener = Opener { settings: Arc::clone(&self.settings), wire };
        let connection = opener.open(host, port, tls).map_err(|trouble| trouble.reason)?;
        Ok(format!("{host}:{port} is reached{}", describe(&connection)))
    }
}

fn plain_http() -> Trouble {
    Trouble::halt("plain-http", "plain http is not allowed here; use https, or say plainHttp: true")
}

fn describe(connection: &Connection) -> String {
    let Some(session) = connection.session() else { return ", plain http".to_owned() };
    let version = match session.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
        _ => "TLS 1.2",
    };
    let until = session
        .peer_certificates()
        .and_then(|chain| chain.first())
        .and_then(tls::not_after)
        .map_or_else(String::new, |until| format!(", certificate valid until {until}"));
    format!(", {version}{until}")
}

/// What is filled in at send time and never stored, hashed or shown.
#[derive(Clone, Default)]
pub struct Envelope {
    /// A header field; its value is marked sensitive.
    pub header: Option<(HeaderName, HeaderValue)>,
    /// A query parameter, percent-encoded.
    pub query: Option<Zeroizing<String>>,
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Envelope(***)")
    }
}

/// An answer whose head was read to its end.
#[derive(Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Header fields.
    pub headers: HeaderMap,
    /// Body as far as it was read.
    pub body: Vec<u8>,
    /// False when the body went on beyond the limit, or broke off in an answer that is no success.
    pub whole: bool,
}

impl Reply {
    /// As [`crate::rules::classify::classify`] wants it.
    pub fn answer(&self) -> Answer<'_> {
        let text = |name| self.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        Answer {
            status: self.status,
            content_type: text(CONTENT_TYPE),
            retry_after: text(RETRY_AFTER),
            date: text(DATE),
            location: text(LOCATION),
            body: &self.body,
            whole: self.whole,
        }
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Failure {
    /// The request cannot be sent as it stands (a URL that grew too long).
    Request(Reason),
    /// The connection or the answer failed; `sent` = bytes of the request may have reached the target.
    Trouble {
        /// Why.
        trouble: Trouble,
        /// Whether the target may have acted on it.
        sent: bool,
    },
}

impl Failure {
    /// As an outcome.
    pub fn outcome(self) -> Outcome {
        match self {
            Failure::Request(reason) => Outcome::Reject(reason),
            Failure::Trouble { trouble, sent } => trouble.outcome(sent),
        }
    }
}

/// One request, one answer, on a connection that its owner keeps.
#[derive(Debug)]
pub struct Exchange {
    agent: ureq::Agent,
    settings: Arc<Settings>,
    wire: Arc<Wire>,
}

impl Exchange {
    /// One call. At most [`Options::timeout`] passes, whatever the target does.
    pub fn call(&mut self, request: &Request, envelope: &Envelope) -> Result<Reply, Failure> {
        self.wire.begin(self.settings.timeout, longest_line(request, envelope));
        let message = message(request, envelope)?;
        let answer = if request.body.is_empty() && bodiless(&request.method) {
            self.agent.run(message.map(|_| ()))
        } else {
            self.agent.run(message)
        };
        let answer = answer.map_err(|error| self.failed(error))?;
        self.read(answer)
    }

    /// Drops the connection; the next call opens another.
    pub fn hang_up(&mut self) {
        self.agent = Client { settings: Arc::clone(&self.settings) }.agent(&self.wire);
    }

    /// Bytes that left in the last call, TLS included.
    pub fn sent(&self) -> u64 {
        self.wire.sent()
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
        let mut reply = Reply { status, headers: parts.headers, body: Vec::new(), whole: true };
        if encoded(&reply.headers) {
            if success && status != 204 {
                let text = "the answer is compressed although identity was asked for";
                return Err(self.failure(Trouble::answered("content-encoding", text)));
            }
            // Its status says enough; what was compressed is not unpacked.
            reply.whole = false;
            return Ok(reply);
        }
        let mut reader = body.into_reader().take(BODY_LIMIT as u64 + 1);
        match reader.read_to_end(&mut reply.body) {
            Ok(_) => {
                reply.whole = reply.body.len() <= BODY_LIMIT;
                reply.body.truncate(BODY_LIMIT);
                Ok(reply)
            }
            // The status of a refusal stands, even when its explanation broke off.
            Err(_) if !success => {
                reply.whole = false;
                Ok(reply)
            }
            Err(error) => Err(self.failed(body_error(error))),
        }
    }
}

/// ureq wraps its own errors when a body is read through [`Read`].
fn body_error(error: std::io::Error) -> ureq::Error {
    match error.downcast::<ureq::Error>() {
        Ok(inner) => inner,
        Err(error) => ureq::Error::Io(error),
    }
}

/// Percent-encodes all but the unreserved characters of RFC 3986; fit for queries and forms.
pub fn percent(text: &str) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(text.len() * 3));
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn bodiless(method: &str) -> bool {
    matches!(method, "DELETE" | "GET" | "HEAD" | "OPTIONS")
}

/// An upper bound of the longest line of the head, line end included.
fn longest_line(request: &Request, envelope: &Envelope) -> usize {
    let query = envelope.query.as_ref().map_or(0, |query| query.len());
    let secret = envelope.header.as_ref().map_or(0, |(name, value)| name.as_str().len() + value.len());
    let fields = request.headers.iter().map(|(name, value)| name.len() + value.len()).max().unwrap_or(0);
    (request.url.len() + query).max(secret).max(fields) + 64
}

fn message<'r>(request: &'r Request, envelope: &Envelope) -> Result<ureq::http::Request<&'r [u8]>, Failure> {
    let mut builder = ureq::http::Request::builder().method(request.method.as_str());
    builder = match &envelope.query {
        None => builder.uri(request.url.as_str()),
        Some(query) => {
            let joint = if request.url.contains('?') { '&' } else { '?' };
            builder.uri(format!("{}{joint}{}", request.url, query.as_str()))
        }
    };
    for (name, value) in &request.headers {
        builder = builder.header(name.as_str(), value.as_str());
    }
    if let Some((name, value)) = &envelope.header {
        builder = builder.header(name, value);
    }
    builder.body(request.body.as_slice()).map_err(|_| {
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

fn encoded(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_url_holds_no_credentials() {
        assert!(Proxy::parse("http://proxy.example:8080", None).is_ok());
        assert!(Proxy::parse("http://u:p@proxy.example:8080", None).unwrap_err().contains("as a secret"));
        assert!(Proxy::parse("socks5://proxy.example", None).unwrap_err().contains("only http proxies"));
        assert!(Proxy::parse("http://proxy.example/x", None).unwrap_err().contains("only host and port"));
        assert!(Proxy::parse("not a url", None).unwrap_err().contains("not a URL"));
    }

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
