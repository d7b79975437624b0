//! From an event to what is sent for it: route, map, clear, render.

use std::fmt::Write as _;

use crate::adapter::Parcel;
use crate::engine::connector::Connector;
use crate::event::{Event, Op};
use crate::rules::filter::Route;
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
    if shut_out(connector, event).is_some() {
        return Compiled::Skip;
    }
    let route = match connector.filter.as_ref().map_or(Ok(Route::Send), |filter| filter.route(event)) {
        Ok(route) => route,
        Err(reason) => return Compiled::Hold(reason),
    };
    let one = |part: &Event, letter| parcel(connector, part, key(event, letter, suffix));
    let parcels = match (route, &event.old_key) {
        (Route::Skip, _) => return Compiled::Skip,
        (Route::Leave, _) if connector.ignore_leave => return Compiled::Skip,
        (Route::Leave, _) => one(&departure(event), "").map(|parcel| parcel.into_iter().collect::<Vec<_>>()),
        // A key change is the end of one record and the beginning of another.
        (Route::Send, Some(_)) => one(&departure(event), "-a")
            .and_then(|gone| Ok(gone.into_iter().chain(one(&arrival(event), "-b")?).collect())),
        (Route::Send, None) => one(event, "").map(|parcel| parcel.into_iter().collect()),
    };
    match parcels {
        Ok(parcels) if parcels.is_empty() => Compiled::Skip,
        Ok(parcels) => Compiled::Send(parcels),
        Err(reason) => Compiled::Hold(reason),
    }
}

fn key(event: &Event, letter: &str, suffix: &str) -> String {
    let mut key = String::with_capacity(40);
    // Writing to a String cannot fail.
    let _ = write!(key, "{}{letter}{suffix}", event.id);
    key
}

/// Why an event that [`compile`] skips is skipped, in plain words.
pub fn why_skipped(connector: &Connector, event: &Event) -> &'static str {
    shut_out(connector, event).unwrap_or_else(|| {
        match connector.filter.as_ref().map_or(Ok(Route::Send), |filter| filter.route(event)) {
            Ok(Route::Skip) => "the record does not match `where`",
            Ok(Route::Leave) if connector.ignore_leave => "the record left `where`, and `onLeave` is ignore",
            _ => "the connector does not send deletes",
        }
    })
}

/// Why a connector is not to see an event at all, before its content is looked at.
fn shut_out(connector: &Connector, event: &Event) -> Option<&'static str> {
    if !connector.listen.hears(&event.kind, event.op) {
        Some("the connector does not listen to it")
    } else if event.origin.as_deref() == Some(&*connector.name) {
        Some("the change came from this connector")
    } else if event.dest.as_deref().is_some_and(|dest| dest != &*connector.name) {
        Some("it is meant for another connector")
    } else if connector.skip_unchanged && event.op == Op::Update && event.changed.is_empty() && !event.synthetic {
        Some("no column changed, and `unchanged` is skip")
    } else {
        None
    }
}

/// The event as the target sees the record go: a delete under its old key, with its last image.
fn departure(event: &Event) -> Event {
    let mut gone = event.clone();
    gone.op = Op::Delete;
    if let Some(old) = gone.old_key.take() {
        gone.key = old;
    }
    gone.after = None;
    gone
}

/// The event as the target sees the record come under its new key.
fn arrival(event: &Event) -> Event {
    let mut come = event.clone();
    come.old_key = None;
    come
}

fn parcel(connector: &Connector, event: &Event, key: String) -> Result<Option<Parcel>, Reason> {
    let cleared = connector.gate.clear(event, &connector.mapping, connector.adapter.fields())?;
    let parcel = Parcel::new(key, event.op, event.kind.clone(), cleared);
    // Rendered once, here: what cannot be rendered is held, and the lanes have only to send.
    let request = connector.adapter.render(&parcel)?;
    Ok(request.map(|request| parcel.freeze(request)))
}
