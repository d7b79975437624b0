//! The integration tests: one binary, one file per promise.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod answers;
mod capture;
mod configs;
mod demo;
mod docs;
mod layers;
mod support;
mod systemd;
mod transport;
