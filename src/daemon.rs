//! RUN: workers, wake-up, signals, the loopback API.

pub mod agent;
pub mod api;
mod archive;
pub mod assemble;
pub mod board;
pub mod client;
pub mod handle;
pub mod heal;
pub mod keep;
pub mod notify;
pub mod socket;
#[cfg(feature = "ws")]
pub mod subscribe;
pub mod trouble;
pub mod wake;
