//! RUN: workers, wake-up, signals, the loopback API.

pub mod agent;
pub mod api;
pub mod client;
pub mod handle;
pub mod heal;
pub mod keep;
pub mod notify;
pub mod socket;
pub mod trouble;
pub mod wake;
