//! What would be sent, without sending: events compiled for connectors that never get a lane, a ledger or a log to
//! write to.

use std::sync::Arc;

use crate::adapter::Request;
use crate::adapter::auth::body::with_key;
use crate::adapter::join::join;
use crate::engine::compile::{Compiled, compile};
use crate::engine::connector::Connector;
use crate::engine::source::{Source, SourceError};
use crate::event::Event;
use crate::rules::outcome::Reason;

/// Events read at once.
const CHUNK: usize = 256;
/// Bytes of values read at once, about.
const CHUNK_BYTES: usize = 1 << 20;

/// One event at one connector.
#[derive(Debug)]
pub struct Simulated<'a> {
    /// Connector.
    pub connector: &'a Arc<str>,
    /// Event.
    pub event: &'a Event,
    /// What would come of it.
    pub fate: Fate,
    /// The connector has a hook, which was not asked: it may change or refuse what would be sent.
    pub is_unasked: bool,
}

/// What would come of an event at a connector.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is not sent, and why.
    Skipped(&'static str),
    /// It waits for a person or another configuration, and why.
    Held(Reason),
    /// These requests, in order, with the authentication that is filled in at send time masked.
    Sent(Vec<Request>),
}

/// How often each fate came up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Events.
    pub events: u64,
    /// Requests.
    pub requests: u64,
    /// Events held, by connector.
    pub held: u64,
    /// Events skipped, by connector.
    pub skipped: u64,
}

/// Simulates every event of a log after a position, in order, up to where the log ends now. `see` says whether to go on.
pub fn simulate<E: From<SourceError>>(
    connectors: &[Connector],
    source: &mut dyn Source,
    after: i64,
    tally: &mut Tally,
    mut see: impl FnMut(Simulated<'_>) -> Result<bool, E>,
) -> Result<(), E> {
    let end = source.highest()?;
    let mut after = after;
    while after < end {
        let events = source.read(after, CHUNK, CHUNK_BYTES)?;
        let Some(last) = events.last() else { break };
        after = last.seq();
        for event in events.iter().take_while(|event| event.seq() <= end) {
            tally.events += 1;
            for connector in connectors {
                let fate = fate(connector, event);
                match &fate {
                    Fate::Skipped(_) => tally.skipped += 1,
                    Fate::Held(_) => tally.held += 1,
                    Fate::Sent(requests) => tally.requests += requests.len() as u64,
                }
                let is_unasked = connector.hook.is_some() && matches!(fate, Fate::Sent(_));
                if !see(Simulated { connector: &connector.name, event, fate, is_unasked })? {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// What would come of an event at a connector.
pub fn fate(connector: &Connector, event: &Event) -> Fate {
    let parcels = match compile(connector, event, "") {
        Compiled::Skip => return Fate::Skipped(connector.subscription.why_skipped(event)),
        Compiled::Hold(reason) => return Fate::Held(reason),
        Compiled::Send(parcels) => parcels,
    };
    let mut requests = Vec::with_capacity(parcels.len());
    for parcel in &parcels {
        // How many go along is known when they are sent; the form of the request is that of one.
        let joined = join(connector.shape(), &[parcel]);
        match connector.adapter.calls(joined.as_ref().unwrap_or(parcel)) {
            Ok(calls) => requests.extend(calls.into_iter().map(|request| masked(connector, request))),
            Err(reason) => return Fate::Held(reason),
        }
    }
    Fate::Sent(requests)
}

/// The request with its authentication, masked, where it will stand.
fn masked(connector: &Connector, mut request: Request) -> Request {
    for (name, value) in connector.adapter.masked_headers() {
        if let Some(name) = name.strip_prefix("body: ") {
            // What has no place there shows when it is sent; what makes its own place is named.
            match with_key(&request, &request.body, name, &value) {
                Ok(body) => request.body = body.to_vec(),
                Err(_) => request.headers.push((format!("(in the body) {name}").into(), value.into())),
            }
            continue;
        }
        match name.strip_prefix('?') {
            Some(parameter) => {
                let sign = if request.url.contains('?') { '&' } else { '?' };
                request.url = format!("{}{sign}{parameter}={value}", request.url).into();
            }
            None => request.headers.push((name.into(), value.into())),
        }
    }
    request
}
