//! RUN: workers, wake-up, signals, the loopback API.

pub mod agent;
pub mod keep;
pub mod wake;
