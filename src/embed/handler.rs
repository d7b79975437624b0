//! What a handler works with: [`Pusher`] on the way out, [`HandlerError`] when it cannot.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Serialize;

use super::Event;
use crate::engine::handler::{Desk, Handle, Push, PushError};
use crate::rules::outcome::Reason;

/// Where a handler pushes. One is made for each event.
#[derive(Debug)]
pub struct Pusher<'a> {
    desk: &'a Desk,
    pushes: Vec<Push>,
}

impl Pusher<'_> {
    /// Has `payload` (a JSON object: of [`json!`](crate::json), a map, or anything that serialises to one) delivered by a
    /// connector of the configuration, as it is: with the connector's method, header fields and credential, through its gate,
    /// its retries and its audit. `listen`, `where` and `mapping` do not apply.
    ///
    /// `url` is one of the connector's own host, a path there (`/calendar/42`), or nothing for the connector's own URL. Any other
    /// host is refused: credentials and the right to send to a host are the configuration's, never a record's.
    ///
    /// The gate judges the payload under the type of the event that is handled: with a `governance:` section a field has the
    /// class of the column of its name, and one that is no column the default class. A refusal holds the push, where
    /// `hms-sync deliveries` shows it; the handler does not hear of it.
    ///
    /// What a handler pushes is stored when it has returned `Ok`, in one commit with its position: all of it or nothing. So
    /// a crash, or a failure further on in the handler, leaves no half of it, and what comes of it has one
    /// idempotency key for ever. Of one record pushes arrive in order.
    ///
    /// # Errors
    /// The connector is not configured or makes files; the URL is of another host; the payload is no object or has more than
    /// 1 MiB. Nothing of this push is stored.
    pub fn push(&mut self, connector: &str, url: impl AsRef<str>, payload: impl Serialize) -> Result<(), HandlerError> {
        let body = serde_json::to_vec(&payload);
        // What serde_json says of a type that fails to serialise may hold what was in it.
        let body = body.map_err(|_| PushError::Payload("it does not serialise to JSON".to_owned()))?;
        self.pushes.push(self.desk.push(connector, url.as_ref(), &body)?);
        Ok(())
    }
}

/// Why a handler failed. The same event comes again, after a second at first and at most a minute later on, before any later one.
///
/// Any error converts into one (`?`), but of a foreign error only its type is told in log and `status`: its text may hold a
/// record's value. What may be told is said by [`HandlerError::because`].
pub struct HandlerError {
    told: Reason,
    push: Option<PushError>,
}

impl HandlerError {
    /// A failure in words that log and `status` may show: they must hold no value of a record, and no secret.
    pub fn because(why: impl Into<String>) -> HandlerError {
        let why: String =
            why.into().chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(200).collect();
        HandlerError { told: Reason::new("handler", why), push: None }
    }

    /// What was wrong with a push, if that is what failed.
    pub fn push(&self) -> Option<&PushError> {
        self.push.as_ref()
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HandlerError({})", self.told)
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.told.text)
    }
}

// Not an `Error` itself: then every error can become one.
impl<E: std::error::Error + 'static> From<E> for HandlerError {
    fn from(error: E) -> HandlerError {
        match (&error as &dyn Any).downcast_ref::<PushError>() {
            Some(push) => HandlerError { told: Reason::new("push", push.to_string()), push: Some(push.clone()) },
            None => HandlerError::because(format!("it failed with {}", std::any::type_name::<E>())),
        }
    }
}

/// The code of the program as the engine calls it.
pub(super) fn handle<F>(desk: Desk, mut handler: F) -> Handle
where
    F: FnMut(&Event, &mut Pusher<'_>) -> Result<(), HandlerError> + Send + 'static,
{
    Box::new(move |event| {
        let event = Event::of(event);
        let mut pusher = Pusher { desk: &desk, pushes: Vec::new() };
        // What it had under way in its own data is its own: it sees the event again.
        match catch_unwind(AssertUnwindSafe(|| handler(&event, &mut pusher))) {
            Ok(Ok(())) => Ok(pusher.pushes),
            Ok(Err(error)) => Err(error.told),
            Err(_) => Err(Reason::new("handler", "it panicked")),
        }
    })
}
