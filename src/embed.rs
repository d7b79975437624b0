//! EMBED: the agent inside a Rust program. What `use hms_sync::…` shows, and nothing that the command line alone needs.

mod agent;
mod error;
mod event;
mod external;
mod handler;
mod interest;

pub use agent::{Agent, Drained, Handle};
pub use error::Error;
pub use event::Event;
pub use external::ExternalSync;
pub(crate) use external::{Undone, deliver};
pub use handler::{HandlerError, Pusher};
pub use interest::Interest;

pub use crate::engine::handler::PushError;
pub use crate::engine::single::Status;
