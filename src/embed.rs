//! EMBED: the agent inside a Rust program. What `use hms_sync::…` shows, and nothing that the command line alone needs.

use crate::config::SETTINGS;

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

use std::path::{Path, PathBuf};

/// The configuration that a path means: `sync.yaml` means the whole folder that it stands in, with the connectors beside it.
fn whole(path: &Path) -> PathBuf {
    let is_settings = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| SETTINGS.contains(&name));
    match path.parent() {
        Some(folder) if is_settings && path.is_file() => {
            if folder.as_os_str().is_empty() {
                PathBuf::from(".")
            } else {
                folder.to_owned()
            }
        }
        _ => path.to_owned(),
    }
}

pub use crate::engine::handler::PushError;
pub use crate::engine::single::Status;
