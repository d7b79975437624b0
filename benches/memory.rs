//! Memory: the most that the agent holds while it drains large backlogs (P8). The floor is the same agent with a small
//! one.

use std::time::Duration;

use serde_json::{Value, json};

use crate::Arguments;
use crate::support::agent::{self, Target};
use crate::support::backlog;
use crate::support::figures::print;
use crate::support::journal::{Journal, Manner};
use crate::support::process::{self, Cores};

/// Without TLS, with the connector's own number of requests in flight; and the largest.
const WAYS: [(bool, usize, f64); 2] = [(true, 4, 16.0), (false, 64, 24.0)];

/// A small backlog.
const FEW: u64 = 10_000;

/// Measures and prints.
pub fn run(arguments: &Arguments) -> Value {
    let sizes: &[u64] = if arguments.long { &[1_000_000, 10_000_000] } else { &[1_000_000] };
    // Its window is full after a thousand; what grows with the backlog has been read by then, or grows on to the end.
    let drained = if arguments.long { 1_000_000 } else { 100_000 };
    let (mut rows, mut results) = (Vec::new(), Vec::new());
    for (plain, flight, most) in WAYS {
        let way = if plain { "HTTP" } else { "HTTPS" };
        let few = peak(FEW, FEW, plain, flight);
        rows.push(vec![way.to_owned(), flight.to_string(), FEW.to_string(), format!("{few:.1}"), String::new()]);
        for &size in sizes {
            let peak = peak(size, drained, plain, flight);
            let row =
                [way.to_owned(), flight.to_string(), size.to_string(), format!("{peak:.1}"), format!("{most:.0}")];
            rows.push(row.to_vec());
            results.push(
                json!({ "tls": !plain, "in flight": flight, "waiting": size, "drained": drained, "peak MB": peak,
                                 "peak MB with 10000 waiting": few, "at most MB": most }),
            );
        }
    }
    let title = format!("memory: peak resident MB while the first {drained} events are drained (P8)");
    print(&title, &["", "in flight", "waiting", "peak MB", "at most"], &rows);
    json!({ "ways": results })
}

fn peak(waiting: u64, drained: u64, plain: bool, flight: usize) -> f64 {
    let stock = backlog::of(waiting);
    let folder = stock.fresh();
    let manner = Manner { plain, ..Manner::new(stock.authority(), backlog::RECORDS, &[drained]) };
    let journal = Journal::start(&manner, Cores::Free);
    let target = Target { authority: stock.authority(), port: journal.port, plain, flight, connectors: 1, batch: 1 };
    target.configure(&folder);
    let agent = agent::start(&folder, Cores::Free);
    journal.next(Duration::from_secs(600)).expect("not everything came");
    process::peak_memory(agent.0.id())
}
