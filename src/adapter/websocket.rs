//! WebSockets (RFC 6455) to event sources: one connection, opened and authenticated. It is async by nature, and the one
//! who listens (`daemon/subscribe`) is the only one who holds it.

#[cfg(feature = "ws")]
mod line;
#[cfg(feature = "ws")]
mod open;

use std::fmt;
use std::sync::Arc;

use crate::adapter::auth::Credential;
use crate::adapter::http::{Proxy, Resolver, Trouble};
use crate::adapter::tls::Tls;
use crate::rules::outcome::Reason;
use crate::rules::reconnect::Refusal;

#[cfg(feature = "ws")]
pub use open::{Opened, Socket, ended};

/// Largest message that is read at all: what is larger ends the connection.
pub const MOST: usize = 8 << 20;

/// What is needed to open one.
#[derive(Debug)]
pub struct Options {
    /// `wss://…`, or `ws://…` where `plain` allows it.
    pub url: String,
    /// TLS settings.
    pub tls: Tls,
    /// Plain `ws` is allowed (loopback, or `plainHttp: true`).
    pub plain: bool,
    /// A proxy.
    pub proxy: Option<Proxy>,
    /// Who we are.
    pub credential: Option<Arc<Credential>>,
    /// `Sec-WebSocket-Protocol`.
    pub subprotocol: Option<String>,
}

/// The way to one event source; opens connections, holds none.
#[derive(Clone)]
pub struct Door {
    // Whoever builds without `ws` opens none.
    #[cfg_attr(not(feature = "ws"), allow(dead_code))]
    options: Arc<Options>,
    #[cfg_attr(not(feature = "ws"), allow(dead_code))]
    resolver: Arc<Resolver>,
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("url", &self.shown()).finish_non_exhaustive()
    }
}

/// Why there is no connection, or no longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Whether it passes.
    pub refusal: Refusal,
    /// Why.
    pub reason: Reason,
}

impl Ended {
    /// For a cause that passes.
    pub fn passing(class: &'static str, text: impl Into<std::borrow::Cow<'static, str>>) -> Ended {
        Ended { refusal: Refusal::Passing, reason: Reason::new(class, text) }
    }
}

impl From<Trouble> for Ended {
    fn from(trouble: Trouble) -> Ended {
        let Trouble { reason, halt, .. } = trouble;
        Ended { refusal: if halt { Refusal::Lasting } else { Refusal::Passing }, reason }
    }
}

impl Door {
    /// The way to a source.
    pub fn new(options: Options) -> Door {
        Door { options: Arc::new(options), resolver: Arc::default() }
    }

    /// The address as it may be shown: without its query.
    pub fn shown(&self) -> &str {
        self.options.url.split('?').next().unwrap_or_default()
    }

    /// Opens a connection and closes it again; the text says what was found.
    ///
    /// # Errors
    /// It cannot be opened, and why.
    #[cfg(not(feature = "ws"))]
    pub fn probe(&self) -> Result<String, Reason> {
        Err(Reason::new("build", "this build cannot follow event sources: it was built without `ws`"))
    }
}
