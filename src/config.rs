//! Files -> validated parts; then the configuration is gone. No side effects but reading its files.
//!
//! A configuration is a folder (`sync.yaml`, `connectors/`, `conflicts/`) or one file that holds everything. All
//! errors are found in one reading, each with file, line, column, key and a way out. The keys are explained
//! in the files that [`template`] writes.

pub mod adapter;
pub mod alerts;
pub mod api;
pub mod audit;
mod batch;
pub mod build;
mod canonical;
pub mod channels;
pub mod conflict;
pub mod connector;
pub mod credential;
pub mod drop;
pub mod endpoint;
pub mod events;
mod fields;
pub mod fixture;
mod found;
mod governance;
mod hint;
pub mod hook;
mod instead;
mod json;
pub mod library;
mod load;
pub mod locate;
pub mod lookout;
mod mapping;
pub mod masked;
pub mod problem;
pub mod program;
pub mod proxy;
pub mod retention;
pub(crate) mod secrecy;
pub mod settings;
pub(crate) mod source;
pub mod template;
mod tls;
mod tree;
mod url;
pub mod watch;

pub use conflict::ConflictRules;
pub use connector::{ConnectorSpec, Way};
pub use drop::DropSpec;
pub use instead::Instead;
pub use load::{
    Config, SETTINGS, Survey, check_file, configured, from_canonical, from_canonical_of, load, load_connector_file,
    load_mapping, survey,
};
pub use locate::locate;
pub use problem::{Problem, Problems, Severity};
pub use settings::{SecretPlace, Settings};
