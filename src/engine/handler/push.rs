//! What a handler pushes: made, and checked, before it is stored.

use std::sync::Arc;

use crate::engine::intake::{self, BODY, NoPayload};
use crate::event::{Event, Record};
use crate::store::state::intake::Message;

/// Where the keys of pushes come from, so that they are no source's.
const SOURCE: &str = "on_change";

/// A payload for one connector.
#[derive(Clone, Debug)]
pub struct Push {
    connector: Arc<str>,
    url: Arc<str>,
    payload: Record,
    body_hash: [u8; 32],
}

/// Why something cannot be pushed: nothing of it is stored, and the handler has failed unless it makes something else of it.
/// No text names a value of the payload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// No connector has this name.
    #[error(
        "no connector `{name}` is configured{hint}; put connectors/{name}.yaml beside sync.yaml (`hms-sync scaffold connector {name}` writes one)"
    )]
    Unknown {
        /// The name that was given.
        name: String,
        /// The nearest known one, in words, or nothing.
        hint: String,
    },
    /// The connector makes files, and no calls.
    #[error("connector `{0}` is a file drop: only connectors that make calls can be pushed to")]
    Drop(String),
    /// The URL is none, or not one of the connector's own origin.
    #[error("connector `{connector}`: {why}")]
    Url {
        /// The connector.
        connector: String,
        /// What is wrong, without the URL.
        why: String,
    },
    /// The payload is no JSON object.
    #[error("the payload: {0}")]
    Payload(String),
    /// The payload is too large.
    #[error("the payload has {size} bytes; {BODY} are the most")]
    TooLarge {
        /// Its bytes, as JSON.
        size: usize,
    },
}

impl Push {
    /// A push of a JSON object; [`super::Desk::push`] checks the rest.
    pub(super) fn new(connector: Arc<str>, url: &str, body: &[u8]) -> Result<Push, PushError> {
        if body.len() > BODY {
            return Err(PushError::TooLarge { size: body.len() });
        }
        let payload = intake::payload(body).map_err(|error: NoPayload| PushError::Payload(error.to_string()))?;
        let all = [connector.as_bytes(), b"\0", url.as_bytes(), b"\0", body].concat();
        Ok(Push { connector, url: url.into(), payload, body_hash: intake::hash(&all) })
    }

    /// The push as the intake log takes it: the `nth` of the event that was handled. The same push of the same event has the
    /// same name there, so it is stored once also when the handler is set back and hears the event again; another payload
    /// is another push.
    pub(super) fn stored<T>(&self, event: &Event, nth: usize, store: impl FnOnce(&Message<'_>) -> T) -> T {
        let hash: String = self.body_hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let name = format!("{}/{nth}/{hash}", event.id);
        let lane = record(&event.key);
        store(&Message {
            kind: &event.kind,
            payload: &self.payload,
            lane_key: lane.as_deref(),
            message: Some((SOURCE, &name)),
            body_hash: self.body_hash,
            to: Some((&self.connector, &self.url)),
        })
    }
}

/// The key of the handled record as people write it: what is pushed for one record keeps its order. None = it is no row.
fn record(key: &Record) -> Option<String> {
    let values = key.iter().map(|(_, value)| value.as_text().map(|text| text.into_owned()).unwrap_or_default());
    Some(values.collect::<Vec<_>>().join(",")).filter(|text| !text.is_empty())
}
