//! The integration tests: one binary, one file per promise.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod answers;
mod bad_input;
mod capture;
mod cli_check;
mod cli_init;
mod cli_simulate;
mod cli_status;
mod cli_tail;
mod configs;
mod credentials;
mod delivering;
mod demo;
mod docs;
mod end_to_end;
mod examples;
mod harmless;
mod histories;
mod layers;
mod replaced;
mod requests;
mod running;
mod soak;
mod support;
mod sync_record;
mod systemd;
mod transport;
