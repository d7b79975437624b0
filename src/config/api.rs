//! `api:`: where the agent listens for its own people and programs.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use crate::adapter::secret::SecretRef;
use crate::config::credential;
use crate::config::found::Found;

/// The loopback API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Api {
    /// Where it listens; empty = the socket at its usual place.
    pub listen: Vec<Listener>,
    /// The token that TCP callers show; none = a file that the agent makes.
    pub token: Option<SecretRef>,
    /// `/metrics` needs no token.
    pub open_metrics: bool,
}

/// A way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listener {
    /// A unix socket.
    Unix(PathBuf),
    /// A TCP port of this machine.
    Tcp(IpAddr, u16),
}

impl Api {
    /// Reads `api:`.
    pub(crate) fn read(found: &Found<'_>) -> Option<Api> {
        let fields = found.fields()?;
        let listen = fields.take("listen").map(|found| found.one_or_many()).unwrap_or_default();
        let token = fields.take("token");
        let api = Api {
            listen: listen.iter().filter_map(listener).collect(),
            token: token.as_ref().and_then(credential::secret),
            open_metrics: fields.flag("openMetrics"),
        };
        fields.done();
        Some(api)
    }
}

fn listener(found: &Found<'_>) -> Option<Listener> {
    let text = found.text()?;
    if let Some(path) = text.strip_prefix("unix:") {
        if path.is_empty() {
            found.error("names no socket");
            return None;
        }
        return Some(Listener::Unix(found.source.folder.join(path)));
    }
    let address = text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    let Some((host, port)) = address else {
        found.error_hint(format!("`{text}` is no address"), "write unix:/path/api.sock or 127.0.0.1:7003");
        return None;
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let host = match host {
        "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        _ => host.parse::<IpAddr>().ok().filter(IpAddr::is_loopback),
    };
    let Some(host) = host else {
        found.error_hint(
            format!("`{text}` can be reached from other machines"),
            "the API listens on this machine only: unix:/path/api.sock or 127.0.0.1:PORT",
        );
        return None;
    };
    Some(Listener::Tcp(host, port))
}
