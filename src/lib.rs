//! HMS-SYNC inside a Rust program: from a commit in an application's SQLite file to the outside systems, durable, in order for
//! each record, at least once.
//!
//! The program `hms-sync` is this library with a command line. Whoever writes a Rust program can embed the same agent, hear its
//! events, and deliver what they make of them:
//!
//! - [`Agent`]: the whole agent, with the configuration files of the command line. [`Agent::on_change`] hears events, each at least
//!   once and in order; [`Pusher::push`] delivers by a connector, through gate, retry and audit like every delivery.
//! - [`ExternalSync`]: one record, delivered now, beside whatever agent runs.
//!
//! # A first program
//!
//! ```toml
//! [dependencies]
//! hms-sync = { path = "../hms-sync" }
//! ```
//!
//! An office's database, one watched table, one connector; the handler sends what it makes of each change:
//!
//! ```
//! use hms_sync::{Agent, json};
//!
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! # let office = rusqlite::Connection::open(folder.join("office.db"))?;
//! # office.execute_batch("CREATE TABLE appointments(id INTEGER PRIMARY KEY, start TEXT)")?;
//! std::fs::write(folder.join("sync.yaml"), "
//! database: office.db
//! state: state/state.db
//! watch: {appointments: {}}
//! connectors:
//!   - name: lotus_notes
//!     listen: none-by-itself
//!     endpoint: {url: 'http://127.0.0.1:9/calendar', plainHttp: true}
//! ")?;
//! let open = || {
//!     let agent = Agent::open(folder.join("sync.yaml"))?;
//!     Ok::<_, hms_sync::Error>(agent.on_change("appointments", |event, sync| {
//!         let start = event.get("start");
//!         sync.push("lotus_notes", "/calendar/entries", json!({ "id": event.get("id"), "begins": start }))
//!     }))
//! };
//! open()?.run_once()?; // watches the table; what happens from now on is heard
//! office.execute("INSERT INTO appointments VALUES (42, '2026-03-05T09:00')", [])?;
//! let run = open()?.run_once()?; // .run() stays, until its handle() is told to stop
//!
//! assert_eq!(run.handled, 1);
//! assert_eq!(run.left_off.len(), 1, "nobody listens on port 9: it is sent when somebody does");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `docs/LIBRARY.md` is the guide, `examples/library/` has programs to start from, and `docs/FILES.md` and `docs/CONNECTORS.md` say what
//! stands in the files.
//!
//! # What is promised
//!
//! The names on this page are the library; everything else in the crate is the agent's own, may change with any version, and is hidden
//! here. No error, log line or metric holds a value of a record or a secret. Log lines go to the [`log`] crate: the program
//! chooses where they end.
//!
//! # The house
//!
//! Rules decide. Formats encode. Store remembers. Adapters reach. Engine moves. Daemon runs. `docs/ARCHITECTURE.md` is the long form
//! of this map.

mod embed;

#[doc(no_inline)]
pub use serde_json::json;

#[doc(inline)]
pub use embed::{
    Agent, Drained, Error, Event, ExternalSync, Handle, HandlerError, Interest, PushError, Pusher, Status,
};

#[doc(hidden)]
pub mod clock;
#[doc(hidden)]
pub mod event;

#[doc(hidden)]
pub mod rules;

#[doc(hidden)]
pub mod format;

#[doc(hidden)]
pub mod store;

#[doc(hidden)]
pub mod adapter;

#[doc(hidden)]
pub mod engine;

#[doc(hidden)]
pub mod config;

#[doc(hidden)]
pub mod daemon;

#[doc(hidden)]
pub mod cli;
