//! The integration tests: one binary, one file per promise.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod acknowledgements;
mod adapters;
mod alerts;
mod answers;
mod api;
mod asking;
mod audit;
mod bad_input;
mod batches;
mod braking;
mod canaries;
mod capture;
mod cli_check;
mod cli_init;
mod cli_layout;
mod cli_simulate;
mod cli_status;
mod cli_tail;
mod clock;
mod codepages;
mod configs;
mod conflicts;
mod copybooks;
mod credentials;
mod csv_files;
mod delivering;
mod demo;
mod disk_full;
mod docs;
mod doctor;
mod drops;
mod embedding;
mod end_to_end;
#[cfg(feature = "ws")]
mod events;
mod examples;
mod faults;
mod fleets;
mod gate;
mod harmless;
mod histories;
mod hooks;
mod housekeeping;
mod keeping;
mod layers;
mod logs;
mod metrics;
mod mllp;
mod named;
mod offline;
mod outage;
#[cfg(feature = "ws")]
mod page;
mod parked;
#[cfg(feature = "pgp")]
mod pgp;
mod power_cuts;
mod process_faults;
mod programs;
#[cfg(feature = "sftp")]
mod publishing;
mod pull;
mod pulling;
mod reloading;
mod replaced;
mod requests;
mod running;
#[cfg(all(feature = "sftp", feature = "ws"))]
mod sandbox;
#[cfg(feature = "sftp")]
mod sftp;
mod snapshots;
mod soak;
mod state_file;
mod support;
mod sync_record;
mod systemd;
mod transport;
mod watchdog;
