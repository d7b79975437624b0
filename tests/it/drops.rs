//! Files of drops, from the application's commit to the outlet: what a person types, what stands in the files, when they
//! are cut, and that no crash, fault or clock takes a change twice or loses one.
//!
//! The outlets are folders. The files are lines of fixed length in ASCII, laid out by a copybook, and are read here by
//! position, with their trailers recalculated.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod audited;
mod clock;
mod content;
mod faults;
mod full;
mod kept;
mod kills;
pub mod nightly;
mod outlets;
#[cfg(feature = "sftp")]
mod reached;
mod typed;
