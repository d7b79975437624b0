//! The benches: what the agent costs, each figure beside its floor in the same run.
//!
//! `benches/run` builds, runs them and keeps the raw numbers. Machines differ and are shared: the ratios inside one
//! run are what counts. The agent is always the shipped binary, in a process of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod audit;
mod backlog;
mod bare;
mod beside;
mod capture;
mod drain;
mod drops;
mod faults;
mod flight;
mod idle;
mod instructions;
mod latency;
mod memory;
mod outage;
mod page;
mod peers;
mod posting;
mod pull;
mod records;
#[cfg(feature = "sftp")]
mod sftp;
mod start;
mod support;
mod tracking;

use std::path::PathBuf;

use clap::Parser;
use clap::builder::PossibleValuesParser;
use serde_json::{Map, Value, json};

use support::machine;
use support::process::Cores;

/// Measures the agent beside the floor of the same run.
#[derive(Clone, Debug, Parser)]
pub struct Arguments {
    /// Which benches; all of them but peers (which needs benches/peers/run) unless some are named
    #[arg(value_parser = PossibleValuesParser::new(ALL.iter().chain([&NAMED]).map(|(name, _)| *name)))]
    which: Vec<String>,
    /// More rounds, larger backlogs, a longer outage: about an hour
    #[arg(long)]
    long: bool,
    /// Where the two sides of a drain run: free, shared (one core for all), apart (a core each)
    #[arg(long, default_value = "shared")]
    cores: Cores,
    /// Events of one drain
    #[arg(long)]
    events: Option<u64>,
    /// Requests in flight of the drains
    #[arg(long, value_delimiter = ',', default_value = "16,4,1")]
    flight: Vec<usize>,
    /// Rounds of each figure
    #[arg(long)]
    rounds: Option<usize>,
    /// File for the raw numbers
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// A bench: prints its table, returns its raw numbers.
type Bench = fn(&Arguments) -> Value;

const ALL: &[(&str, Bench)] = &[
    ("audit", audit::run),
    ("backlog", backlog::run),
    ("batches", drain::batches),
    ("beside", beside::run),
    ("capture", capture::run),
    ("drain", drain::run),
    ("drops", drops::run),
    ("faults", faults::run),
    ("flight", flight::run),
    ("idle", idle::run),
    ("instructions", instructions::run),
    ("latency", latency::run),
    ("memory", memory::run),
    ("outage", outage::run),
    ("posting", posting::run),
    ("pull", pull::run),
    ("records", records::run),
    #[cfg(feature = "sftp")]
    ("sftp", sftp::run),
    ("start", start::run),
    ("tracking", tracking::run),
];

/// Only when it is named: it needs programs that are not ours.
const NAMED: (&str, Bench) = ("peers", peers::run);

fn main() {
    // The other sides of a measurement are this program again, in processes of their own.
    let mut words = std::env::args().skip(1);
    match words.next().as_deref() {
        Some("as-receiver") => return support::journal::serve(words),
        Some("as-bare") => return bare::drain(words),
        Some("as-ledger") => return peers::ledger::serve(words),
        Some("as-pure") => return instructions::pure(words),
        Some("as-report") => return page::write(words),
        Some("as-writer") => return beside::application(words),
        _ => {}
    }
    let arguments = Arguments::parse();
    let mut results = Map::new();
    results.insert("machine".into(), machine::describe());
    results.insert("taken".into(), json!(jiff::Timestamp::now().to_string()));
    results.insert("long".into(), json!(arguments.long));
    for (name, bench) in ALL.iter().chain([&NAMED]) {
        let named = arguments.which.iter().any(|wanted| wanted == name);
        if named || (arguments.which.is_empty() && *name != NAMED.0) {
            results.insert((*name).into(), bench(&arguments));
        }
    }
    support::backlog::remove();
    results.insert("load after".into(), json!(machine::load()));
    if let Some(path) = &arguments.out {
        std::fs::write(path, serde_json::to_string_pretty(&results).unwrap() + "\n").unwrap();
    }
}
