//! HTTP: the one constructor of every client, and one call at a time on a connection that its owner keeps.
//!
//! A client follows no redirect, takes no proxy from the environment, has every time-out, reads at most 64 KiB of an
//! answer, asks for no compression, and checks the address that it connects to. Only pages that are read may be longer and
//! packed, up to a limit of their own. Deliveries go through a [`HttpFleet`], many at once on one thread; what is called
//! once in a while (tokens, pages) goes through ureq, in an [`Exchange`]. Both open their connections in the same way (`docs/decisions/0011-deliveries-on-a-readiness-loop.md`).

mod answer;
mod buffers;
mod caller;
mod envelope;
mod exchange;
mod fields;
mod fleet;
mod line;
mod message;
mod open;
mod parts;
mod proxy;
mod rehearse;
mod resolver;
mod sight;
mod socks;
mod trouble;
mod way;
mod wire;
mod witness;

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

pub use answer::Reply;
pub use caller::{Caller, Each, Next};
pub use envelope::{Base, Envelope};
pub use exchange::Exchange;
pub use fields::Fields;
pub use fleet::HttpFleet;
pub use open::basic;
pub(in crate::adapter) use parts::parts;
pub use proxy::{Login, Proxy};
pub(in crate::adapter) use rehearse::rehearse;
pub use rehearse::{Rehearsed, reply};
pub use resolver::{Resolver, forbidden};
pub use trouble::Trouble;
pub(in crate::adapter) use way::Way;
#[cfg(feature = "ws")]
pub(in crate::adapter) use {proxy::Manner, socks::To, socks::tunnel as socks, wire::trouble as trouble_of};

use crate::adapter::Shown;
use crate::adapter::tls::{self, Tls};
use crate::rules::outcome::{Outcome, Reason};
use open::Opener;
use sight::Sight;
use wire::{Channel, Wire};

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
    /// TLS settings.
    pub tls: Tls,
    /// Plain http is allowed (loopback, or `plainHttp: true`).
    pub plain: bool,
    /// Whole call; default [`Options::TIMEOUT`].
    pub timeout: Duration,
    /// Connecting with TLS; default [`Options::CONNECT`].
    pub connect: Duration,
    /// Looking a name up; default [`Options::RESOLVE`].
    pub resolve: Duration,
    /// A proxy; none unless configured.
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
    pub fn new(tls: impl Into<Tls>) -> Options {
        Options {
            tls: tls.into(),
            plain: false,
            timeout: Options::TIMEOUT,
            connect: Options::CONNECT,
            resolve: Options::RESOLVE,
            proxy: None,
        }
    }
}

/// What all connections of a client share.
#[derive(Debug)]
struct Settings {
    tls: Tls,
    plain: bool,
    timeout: Duration,
    connect: Duration,
    resolve: Duration,
    proxy: Option<Proxy>,
    resolver: Resolver,
    sight: Sight,
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
        let (resolver, sight) = (Resolver::default(), Sight::default());
        let settings = Settings { tls, plain, timeout, connect, resolve, proxy, resolver, sight };
        Client { settings: Arc::new(settings) }
    }

    /// One call and its answer, on a connection of its own.
    pub fn exchange(&self) -> Exchange {
        Exchange::new(&self.settings)
    }

    /// One call after the other, for pages: answers of at most `most` bytes, which may come packed. `wary` = the host was named
    /// by an answer.
    pub(in crate::adapter) fn reading(&self, most: usize, wary: bool) -> Exchange {
        Exchange::reading(&self.settings, most, wary)
    }

    /// Many calls at once, at most `most`, on one thread.
    ///
    /// # Errors
    /// When the operating system gives no more of what it watches sockets with.
    pub fn fleet<C: Caller>(&self, caller: Arc<C>, most: usize) -> std::io::Result<HttpFleet<C>> {
        HttpFleet::new(Arc::clone(&self.settings), caller, most)
    }

    /// Takes note of the time that an answer shows.
    pub fn note_date(&self, reply: &Reply) {
        self.settings.sight.date(reply);
    }

    /// What the target has shown of itself beside its answers.
    pub fn shown(&self) -> Shown {
        self.settings.sight.shown()
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
        let opener = Opener { settings: Arc::clone(&self.settings), wire, wary: false };
        let channel = opener.open(host, port, tls).map_err(|trouble| trouble.reason)?;
        Ok(format!("{host}:{port} is reached{}", describe(&channel, ", plain http")))
    }
}

fn plain_http() -> Trouble {
    Trouble::halt("plain-http", "plain http is not allowed here; use https, or say plainHttp: true")
}

fn describe(channel: &Channel, plain: &str) -> String {
    let Some(session) = channel.session() else { return plain.to_owned() };
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
