//! From an event to what is sent for it: route, map, clear, render.

use std::fmt::Write as _;

use std::sync::Arc;

use crate::adapter::Parcel;
use crate::engine::connector::Connector;
use crate::engine::subscription::Part;
use crate::event::{Event, EventId, Op, Value};
use crate::format::json;
use crate::rules::governance::Cleared;
use crate::rules::outcome::Reason;

/// What an event means to a connector.
#[derive(Debug)]
pub enum Compiled {
    /// It is not for this connector.
    Skip,
    /// These parcels, in order.
    Send(Vec<Parcel>),
    /// It cannot be sent as it is: held until a person or a new configuration changes that.
    Hold(Reason),
}

/// Compiles an event for a connector. The same event under the same configuration gives the same bytes.
///
/// `suffix` is put behind the idempotency key (`-r1` of a replay whose bytes have changed).
pub fn compile(connector: &Connector, event: &Event, suffix: &str) -> Compiled {
    let parts = match connector.subscription.parts(event) {
        Ok(parts) => parts,
        Err(reason) => return Compiled::Hold(reason),
    };
    let mut parcels = Vec::with_capacity(parts.len());
    for Part { letter, event } in parts {
        match parcel(connector, &event, key(event.id, letter, suffix)) {
            Ok(parcel) => parcels.extend(parcel),
            Err(reason) => return Compiled::Hold(reason),
        }
    }
    if parcels.is_empty() { Compiled::Skip } else { Compiled::Send(parcels) }
}

/// A part of an event that has passed the gate, and is not rendered yet: what a hook is asked about.
#[derive(Clone, Debug)]
pub struct Passed {
    /// The event.
    pub id: EventId,
    /// What is put behind its id.
    pub letter: &'static str,
    /// What happened to the record.
    pub op: Op,
    /// Its type.
    pub kind: Arc<str>,
    /// What may leave of it.
    pub cleared: Cleared,
    /// Where a handler pushed it.
    pub push: Option<Arc<str>>,
    /// The record's key as JSON, where the adapter asks for it.
    pub identity: String,
}

/// The parts of an event that pass the gate of a connector, in order.
///
/// # Errors
/// It is held.
pub fn pass(connector: &Connector, event: &Event) -> Result<Vec<Passed>, Reason> {
    let clear = |Part { letter, event }: Part<'_>| {
        let cleared = connector.subscription.clear(&event, connector.adapter.fields())?;
        Ok(Passed {
            id: event.id,
            letter,
            op: event.op,
            kind: Arc::clone(&event.kind),
            cleared,
            push: event.push.clone(),
            identity: identity(connector, &event),
        })
    };
    connector.subscription.parts(event)?.into_iter().map(clear).collect()
}

/// What [`compile`] gives, of parts that have passed before.
pub fn compile_passed(connector: &Connector, parts: &[Passed], suffix: &str) -> Compiled {
    let mut parcels = Vec::with_capacity(parts.len());
    for part in parts {
        let key = key(part.id, part.letter, suffix);
        let parcel =
            Parcel::new(key, part.op, Arc::clone(&part.kind), part.cleared.clone()).of_record(part.identity.clone());
        match render(connector, part.push.iter().fold(parcel, Parcel::pushed)) {
            Ok(parcel) => parcels.extend(parcel),
            Err(reason) => return Compiled::Hold(reason),
        }
    }
    if parcels.is_empty() { Compiled::Skip } else { Compiled::Send(parcels) }
}

fn key(id: EventId, letter: &str, suffix: &str) -> String {
    let mut key = String::with_capacity(40);
    // Writing to a String cannot fail.
    let _ = write!(key, "{id}{letter}{suffix}");
    key
}

fn parcel(connector: &Connector, event: &Event, key: String) -> Result<Option<Parcel>, Reason> {
    let cleared = connector.subscription.clear(event, connector.adapter.fields())?;
    let parcel = Parcel::new(key, event.op, event.kind.clone(), cleared).of_record(identity(connector, event));
    render(connector, event.push.iter().fold(parcel, Parcel::pushed))
}

/// The record's key as JSON, where the adapter asks for it.
fn identity(connector: &Connector, event: &Event) -> String {
    match connector.adapter.identifies() {
        true => String::from_utf8_lossy(&json::value(&Value::Map(event.key.clone()))).into_owned(),
        false => String::new(),
    }
}

fn render(connector: &Connector, parcel: Parcel) -> Result<Option<Parcel>, Reason> {
    // Rendered once, here: what cannot be rendered is held, and the lanes have only to send.
    let request = connector.adapter.render(&parcel)?;
    Ok(request.map(|request| parcel.freeze(request)))
}
