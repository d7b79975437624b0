//! `events:`: where events come from besides the watched tables. Checked now, so that a file written today still
//! loads when they take effect.

use crate::config::found::Found;
use crate::config::url::{self, Use};

/// An event source besides the watched tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventSource {
    /// Address of the WebSocket.
    pub url: String,
    /// Event types to ask for.
    pub listen: Vec<String>,
    /// Credential to show.
    pub credential: Option<String>,
    /// Field whose value orders events (D9); none = `id`.
    pub key: Option<String>,
}

/// Reads `events:`; `credential` checks a credential's name.
pub(crate) fn events(found: &Found<'_>, credential: impl Fn(&Found<'_>) -> Option<String>) -> Vec<EventSource> {
    found.no_effect();
    let read = |item: Found<'_>| {
        let fields = item.fields()?;
        fields.need("type").and_then(|kind| kind.choice("event source", &[("websocket", ())]));
        let url = fields.need("url").and_then(|found| url::check(&found, Use::WebSocket));
        let listen = fields.need("listen").and_then(|found| found.texts());
        let credential = fields.take("credentialsId").and_then(|found| credential(&found));
        let key = fields.text("key");
        fields.done();
        Some(EventSource { url: url?, listen: listen?, credential, key })
    };
    found.items().unwrap_or_default().into_iter().filter_map(read).collect()
}
