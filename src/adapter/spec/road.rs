//! What a described target is reached by: HTTP, MLLP, a program.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::exec::{self, Runner};
use super::mllp::{self, Place, Sender};
use crate::adapter::Fleet;
use crate::adapter::crew::Crew;
use crate::adapter::http::{Caller, Client, Options};
use crate::adapter::rest::origin_of_text;

/// How long a connection for MLLP is kept without a message.
const KEEP_LINE: Duration = Duration::from_secs(10 * 60);
/// How long a thread waits for the next batch of a program.
const KEEP_THREAD: Duration = Duration::from_secs(10);

/// What a target is reached by: as the file's `transport` says.
#[derive(Debug)]
pub enum Road {
    /// HTTP, with these client settings.
    Http(Options),
    /// MLLP, with the same settings: time, TLS, proxy.
    Mllp(Options),
    /// A program.
    Exec(exec::Program),
}

/// The same, ready.
#[derive(Debug)]
pub(super) enum Reach {
    Http(Client),
    Mllp(Client, Arc<Place>),
    Exec(Arc<Runner>),
}

impl Road {
    /// What requests are addressed to (`base` without a slash at its end, or the program with its arguments), the origin, and the
    /// road ready. Errors say what is wrong with the address.
    pub(super) fn open(self, base: &str) -> Result<(String, String, Reach), String> {
        let address = base.trim_end_matches('/').to_owned();
        match self {
            Road::Http(http) => {
                let origin = origin_of_text(&address, http.plain)?;
                Ok((address, origin, Reach::Http(Client::new(http))))
            }
            Road::Mllp(http) => {
                let place = Place::of(&address, http.plain)?;
                Ok((address, place.origin(), Reach::Mllp(Client::new(http), Arc::new(place))))
            }
            Road::Exec(program) => Ok((program.url(), program.origin(), Reach::Exec(Arc::new(Runner::new(program))))),
        }
    }
}

impl Reach {
    /// One worker's connections, threads or programs.
    pub(super) fn fleet<C: Caller>(&self, caller: Arc<C>, most: usize) -> io::Result<Box<dyn Fleet>> {
        Ok(match self {
            Reach::Http(client) => Box::new(client.fleet(caller, most)?),
            Reach::Mllp(client, place) => {
                let (client, place) = (client.clone(), Arc::clone(place));
                let hire = move || Box::new(Sender::new(client.clone(), Arc::clone(&place))) as _;
                Box::new(Crew::new("mllp", caller, most, KEEP_LINE, hire))
            }
            Reach::Exec(runner) => {
                runner.open();
                let runner = Arc::clone(runner);
                let hire = move || Box::new(exec::Caller(Arc::clone(&runner))) as _;
                Box::new(Crew::new("exec", caller, most, KEEP_THREAD, hire))
            }
        })
    }

    /// Whether answers have a status.
    pub(super) fn is_http(&self) -> bool {
        matches!(self, Reach::Http(_))
    }

    /// Whether a request can be sent by it at all: an error holds the event.
    pub(super) fn takes(&self, request: &crate::adapter::Request) -> Result<(), crate::rules::outcome::Reason> {
        if matches!(self, Reach::Mllp(..)) { mllp::sound(request) } else { Ok(()) }
    }
}
