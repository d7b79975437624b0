//! Cost against backlog: how fast, and for how much CPU, the first events leave when few or very many wait; and what a
//! delivery costs with one and with twenty connectors (P9). The floor is the smallest backlog of the same run.

use std::time::Duration;

use serde_json::{Value, json};

use crate::Arguments;
use crate::support::agent::{self, Target};
use crate::support::backlog;
use crate::support::figures::{median, paired, print};
use crate::support::journal::{Journal, Manner};
use crate::support::process;

/// The smallest backlog; at every size so many arrivals are measured.
const FEW: u64 = 10_000;
const FLIGHT: usize = 16;
/// Requests in flight of a connector when there may be several.
const EACH: usize = 4;
const CONNECTORS: [u64; 2] = [1, 20];

/// What was measured in one round.
#[derive(Clone, Copy)]
struct Round {
    rate: f64,
    /// Microseconds of CPU a delivery.
    cpu: f64,
}

/// Measures and prints.
pub fn run(arguments: &Arguments) -> Value {
    let rounds = arguments.rounds.unwrap_or(if arguments.long { 9 } else { 5 });
    let sizes: &[u64] = if arguments.long { &[FEW, 1_000_000, 10_000_000] } else { &[FEW, 1_000_000] };
    // The sizes in turn in each round, so that a slow moment hits all.
    let mut by_size = vec![Vec::new(); sizes.len()];
    for _ in 0..rounds {
        for (size, measured) in sizes.iter().zip(&mut by_size) {
            measured.push(round(arguments, *size, FLIGHT, 1));
        }
    }
    let head = ["waiting", "file MB", "events/s", "of smallest", "CPU us/event", "of smallest"];
    let rate = |rounds: &[Round]| rounds.iter().map(|round| round.rate).collect::<Vec<f64>>();
    let cpu = |rounds: &[Round]| rounds.iter().map(|round| round.cpu).collect::<Vec<f64>>();
    let (mut rows, mut results) = (Vec::new(), Vec::new());
    for (size, measured) in sizes.iter().zip(&by_size) {
        let (rates, cpus) = (rate(measured), cpu(measured));
        let (of_rate, of_cpu) = (paired(&rates, &rate(&by_size[0])), paired(&cpus, &cpu(&by_size[0])));
        rows.push(vec![
            size.to_string(),
            format!("{:.0}", backlog::of(*size).bytes as f64 / 1e6),
            format!("{:.0}", median(&rates)),
            format!("{of_rate:.2}"),
            format!("{:.1}", median(&cpus)),
            format!("{of_cpu:.2}"),
        ]);
        results.push(json!({ "waiting": size, "events/s": rates, "cpu us": cpus, "rate of smallest": of_rate,
                             "cpu of smallest": of_cpu }));
    }
    let title = format!(
        "backlog: the first {FEW} arrivals, HTTPS, {FLIGHT} in flight, cores {:?}, median of {rounds} (P9: the same at every size)",
        arguments.cores
    );
    print(&title, &head, &rows);

    let mut by_connectors = vec![Vec::new(); CONNECTORS.len()];
    for _ in 0..rounds.div_ceil(2) {
        for (connectors, measured) in CONNECTORS.iter().zip(&mut by_connectors) {
            measured.push(round(arguments, FEW, EACH, *connectors));
        }
    }
    let (mut rows, mut several) = (Vec::new(), Vec::new());
    for (connectors, measured) in CONNECTORS.iter().zip(&by_connectors) {
        let (rates, cpus) = (rate(measured), cpu(measured));
        let of_cpu = paired(&cpus, &cpu(&by_connectors[0]));
        let row = [
            connectors.to_string(),
            format!("{:.0}", median(&rates)),
            format!("{:.1}", median(&cpus)),
            format!("{of_cpu:.2}"),
        ];
        rows.push(row.to_vec());
        several.push(json!({ "connectors": connectors, "deliveries/s": rates, "cpu us": cpus, "cpu of one": of_cpu }));
    }
    let title = format!(
        "backlog: {FEW} waiting, {EACH} in flight each, every connector sends everything (P9: a delivery costs the same)"
    );
    print(&title, &["connectors", "deliveries/s", "CPU us/delivery", "of one"], &rows);
    json!({ "arrivals": FEW, "cores": format!("{:?}", arguments.cores), "rounds": rounds, "sizes": results, "connectors": several })
}

fn round(arguments: &Arguments, waiting: u64, flight: usize, connectors: u64) -> Round {
    let stock = backlog::of(waiting);
    let folder = stock.fresh();
    // Half of it when there are several: they do not all come to the end at once.
    let arrivals = if connectors == 1 { FEW } else { FEW * connectors / 2 };
    let manner = Manner { all: true, ..Manner::new(stock.authority(), backlog::RECORDS, &[1, arrivals]) };
    let journal = Journal::start(&manner, arguments.cores);
    let connectors = connectors as usize;
    Target { authority: stock.authority(), port: journal.port, plain: false, flight, connectors, batch: 1 }
        .configure(&folder);
    let agent = agent::start(&folder, arguments.cores);
    let patience = Duration::from_secs(300);
    let first = journal.next(patience).expect("nothing comes");
    let before = process::fine_cpu(agent.0.id());
    let last = journal.next(patience).expect("not everything came");
    let used = process::fine_cpu(agent.0.id()) - before;
    Round { rate: last.rate_since(&first), cpu: used * 1e6 / (last.received - first.received) as f64 }
}
