//! HMS-SYNC: from a commit in an application's SQLite file to the outside systems.
//!
//! Rules decide. Formats encode. Store remembers. Adapters reach. Engine moves. Daemon runs.
//! `docs/ARCHITECTURE.md` is the long form of this map.

pub mod clock;
pub mod event;

pub mod rules;

pub mod format;

pub mod store;

pub mod adapter;

pub mod engine;

pub mod config;

pub mod daemon;

pub mod cli;
