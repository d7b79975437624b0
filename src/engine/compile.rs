//! From an event to what is sent for it: route, map, clear, render.

use std::fmt::Write as _;

use crate::adapter::Parcel;
use crate::engine::connector::Connector;
use crate::engine::subscription::Part;
use crate::event::{Event, Value};
use crate::format::json;
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
        match parcel(connector, &event, key(&event, letter, suffix)) {
            Ok(parcel) => parcels.extend(parcel),
            Err(reason) => return Compiled::Hold(reason),
        }
    }
    if parcels.is_empty() { Compiled::Skip } else { Compiled::Send(parcels) }
}

fn key(event: &Event, letter: &str, suffix: &str) -> String {
    let mut key = String::with_capacity(40);
    // Writing to a String cannot fail.
    let _ = write!(key, "{}{letter}{suffix}", event.id);
    key
}

fn parcel(connector: &Connector, event: &Event, key: String) -> Result<Option<Parcel>, Reason> {
    let cleared = connector.subscription.clear(event, connector.adapter.fields())?;
    let mut parcel = Parcel::new(key, event.op, event.kind.clone(), cleared);
    if connector.adapter.identifies() {
        let key = json::value(&Value::Map(event.key.clone()));
        parcel = parcel.of_record(String::from_utf8_lossy(&key).into_owned());
    }
    // Rendered once, here: what cannot be rendered is held, and the lanes have only to send.
    let request = connector.adapter.render(&parcel)?;
    Ok(request.map(|request| parcel.freeze(request)))
}
