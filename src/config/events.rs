//! `events:`: where events come from besides the watched tables.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::adapter::tls::TlsFiles;
use crate::config::credential::AuthType;
use crate::config::found::Found;
use crate::config::problem::{Place, Problems, verdict};
use crate::config::proxy::{self, ProxySpec};
use crate::config::source::Source;
use crate::config::tls;
use crate::config::tree::{Node, Value};
use crate::config::url::{self, Use};
use crate::engine::inflow::Inflow;
use crate::format::message::Shape;

/// An event source besides the watched tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventSource {
    /// Unique name; default: the host of its address.
    pub name: String,
    /// Address of the WebSocket.
    pub url: String,
    /// Plain `ws`: to this machine, or allowed by `plainHttp: true`.
    pub plain: bool,
    /// Event types to ask for.
    pub listen: Vec<String>,
    /// Credential to show.
    pub credential: Option<String>,
    /// Field whose value orders events (D9); none = `id`.
    pub key: Option<String>,
    /// Field that holds a message's id; none = `id`, `eventId` or `messageId`.
    pub id: Option<String>,
    /// `Sec-WebSocket-Protocol` to ask for.
    pub subprotocol: Option<String>,
    /// How often it is asked whether it is there; default [`Inflow::PING`].
    pub ping: Duration,
    /// Proxy; none = straight.
    pub proxy: Option<ProxySpec>,
    /// TLS beyond the system's trust store.
    pub tls: TlsFiles,
}

/// Beats of pings that make sense.
const PINGS: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);

impl EventSource {
    fn at(url: String, listen: Vec<String>) -> EventSource {
        EventSource {
            name: host(&url).to_owned(),
            plain: is_plain(&url),
            url,
            listen,
            credential: None,
            key: None,
            id: None,
            subprotocol: None,
            ping: Inflow::PING,
            proxy: None,
            tls: TlsFiles::default(),
        }
    }

    /// A source that the command line names.
    ///
    /// # Errors
    /// The address cannot be one of an event source.
    pub fn named(url: &str, listen: Vec<String>) -> Result<EventSource, Problems> {
        let source = Source::new(Path::new("--events"));
        let node = Node { place: Place::default(), value: Value::Text(url.to_owned()) };
        url::check(&source.root(&node), Use::WebSocket { plain: false });
        verdict(source.into_problems())?;
        Ok(EventSource::at(url.to_owned(), listen))
    }

    fn read(
        item: &Found<'_>,
        credential: impl Fn(&Found<'_>) -> Option<(String, Option<AuthType>)>,
    ) -> Option<EventSource> {
        let fields = item.fields()?;
        fields.need("type").and_then(|kind| kind.choice("event source", &[("websocket", ())]));
        let plain = fields.flag("plainHttp");
        let url = fields.need("url").and_then(|found| url::check(&found, Use::WebSocket { plain }));
        let listen = fields.need("listen").and_then(|found| {
            let listen = found.texts()?;
            if listen.is_empty() {
                found.error("names no event type");
            }
            Shape::new(&listen, None, None).map_err(|message| found.error(message)).ok()?;
            Some(listen)
        });
        let named = fields.take("name").map(|found| name(&found));
        let source = EventSource {
            credential: fields.take("credentialsId").and_then(|found| credential(&found)).map(|(name, _)| name),
            key: fields.text("key"),
            id: fields.text("id"),
            subprotocol: fields.take("subprotocol").and_then(|found| subprotocol(&found)),
            ping: fields.take("ping").and_then(|found| ping(&found)).unwrap_or(Inflow::PING),
            proxy: fields.take("proxy").and_then(|found| proxy::read(&found, &credential)),
            tls: fields.take("tls").and_then(|found| tls::files(&found)).unwrap_or_default(),
            ..EventSource::at(String::new(), Vec::new())
        };
        fields.done();
        let url = url?;
        let name = named.unwrap_or_else(|| Some(host(&url).to_owned()))?;
        Some(EventSource { name, plain: is_plain(&url), url, listen: listen?, ..source })
    }
}

/// Reads `events:`; `credential` checks a credential's name.
pub(crate) fn events(
    found: &Found<'_>,
    credential: impl Fn(&Found<'_>) -> Option<(String, Option<AuthType>)>,
) -> Vec<EventSource> {
    if !cfg!(feature = "ws") {
        found.error_hint("needs WebSockets, which this build was made without", "build it with the feature `ws`");
    }
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    let mut sources = Vec::new();
    for item in found.items().unwrap_or_default() {
        let Some(source) = EventSource::read(&item, &credential) else { continue };
        if names.insert(source.name.clone(), sources.len()).is_some() {
            item.error_hint(
                format!("is another source of the name `{}`", source.name),
                "give each a `name:` of its own, or ask for all types in one `listen:`",
            );
        }
        sources.push(source);
    }
    sources
}

/// The host of an address, which names a source that has no other name.
fn host(url: &str) -> &str {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest).split(['/', '?']).next().unwrap_or_default();
    authority
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|digit| digit.is_ascii_digit()))
        .map_or(authority, |(host, _)| host)
}

fn is_plain(url: &str) -> bool {
    url.get(..3).is_some_and(|scheme| scheme.eq_ignore_ascii_case("ws:"))
}

fn name(found: &Found<'_>) -> Option<String> {
    let name = found.text()?;
    if name.len() > 100 || name.trim() != name || name.chars().any(char::is_control) {
        found.error("cannot name a source: at most 100 characters, no control characters, no space around it");
        return None;
    }
    Some(name.to_owned())
}

fn subprotocol(found: &Found<'_>) -> Option<String> {
    let name = found.text()?;
    if !crate::config::credential::is_header_name(name) {
        found.error("is not the name of a subprotocol");
        return None;
    }
    Some(name.to_owned())
}

fn ping(found: &Found<'_>) -> Option<Duration> {
    let beat = found.duration()?;
    if !PINGS.contains(&beat) {
        found.error("is not between 1s and 1h");
        return None;
    }
    Some(beat)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_named_after_its_host() {
        for (url, name) in [
            ("wss://hms-ops.gov/events", "hms-ops.gov"),
            ("ws://127.0.0.1:9000?x=1:2", "127.0.0.1"),
            ("wss://[::1]:8443/", "[::1]"),
            ("wss://[::1]", "[::1]"),
        ] {
            assert_eq!(host(url), name);
        }
    }
}
