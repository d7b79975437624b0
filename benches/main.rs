//! The benches: what the agent costs, each figure beside its floor in the same run.
//!
//! `benches/run` builds, runs them and keeps the raw numbers. Machines differ and are shared: the ratios inside one
//! run are what counts. The agent is always the shipped binary, in a process of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod bare;
mod beside;
mod capture;
mod drain;
mod idle;
mod latency;
mod support;

use std::path::PathBuf;

use clap::Parser;
use serde_json::{Map, Value, json};

use support::machine;
use support::process::Cores;

/// Measures the agent beside the floor of the same run.
#[derive(Debug, Parser)]
pub struct Arguments {
    /// Which benches: capture, latency, drain, idle, beside; all of them unless some are named
    which: Vec<String>,
    /// More rounds and larger backlogs: some ten minutes
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

const ALL: [(&str, Bench); 5] = [
    ("capture", capture::run),
    ("latency", latency::run),
    ("drain", drain::run),
    ("idle", idle::run),
    ("beside", beside::run),
];

fn main() {
    // The other sides of a measurement are this program again, in processes of their own.
    let mut words = std::env::args().skip(1);
    match words.next().as_deref() {
        Some("as-receiver") => return support::journal::serve(words),
        Some("as-bare") => return bare::drain(words),
        Some("as-writer") => return beside::application(words),
        _ => {}
    }
    let arguments = Arguments::parse();
    let unknown = arguments.which.iter().find(|name| !ALL.iter().any(|(known, _)| known == name));
    if let Some(name) = unknown {
        eprintln!("no bench {name}; there are {}", ALL.map(|(name, _)| name).join(", "));
        std::process::exit(2);
    }
    let mut results = Map::new();
    results.insert("machine".into(), machine::describe());
    for (name, bench) in ALL {
        if arguments.which.is_empty() || arguments.which.iter().any(|wanted| wanted == name) {
            results.insert(name.into(), bench(&arguments));
        }
    }
    results.insert("load after".into(), json!(machine::load()));
    if let Some(path) = &arguments.out {
        std::fs::write(path, serde_json::to_string_pretty(&results).unwrap() + "\n").unwrap();
    }
}
