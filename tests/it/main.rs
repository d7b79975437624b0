//! The integration tests: one binary, one file per promise.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod answers;
mod docs;
mod layers;
mod support;
mod systemd;
mod transport;
