//! RUN: workers, wake-up, signals, the loopback API.

pub mod agent;
pub mod alarm;
pub mod api;
mod archive;
pub mod assemble;
pub mod board;
pub mod client;
pub mod dumps;
pub mod fault;
pub mod handle;
pub mod heal;
pub mod keep;
pub mod notify;
pub mod page;
pub mod prune;
pub mod pulse;
mod rehearse;
pub mod serve;
pub mod socket;
#[cfg(feature = "ws")]
pub mod subscribe;
mod tidy;
pub mod trouble;
mod turn;
pub mod wake;
pub mod yielding;
