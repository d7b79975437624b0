//! The integration tests: one binary, one file per promise.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod answers;
mod bad_input;
mod capture;
mod configs;
mod credentials;
mod delivering;
mod docs;
mod end_to_end;
mod histories;
mod layers;
mod requests;
mod running;
mod support;
mod systemd;
mod transport;
