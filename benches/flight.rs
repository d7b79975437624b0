//! Behind a slow target: requests in flight against its answer time, over TLS (P4). The floor is arithmetic: as many
//! answers in one answer time as there are requests in flight.

use std::time::Duration;

use serde_json::{Value, json};

use crate::Arguments;
use crate::support::figures::{median, print};
use crate::support::journal::{Journal, Manner};
use crate::support::{agent, backlog};

/// Answer times in milliseconds.
const AFTER: [u64; 2] = [20, 100];
const FLIGHT: [u64; 4] = [1, 4, 16, 64];
/// Answer times before it counts: connections are made, the window is full.
const WARM: u64 = 5;

/// Measures and prints.
pub fn run(arguments: &Arguments) -> Value {
    let rounds = if arguments.long { arguments.rounds.unwrap_or(3) } else { 1 };
    let (mut rows, mut results) = (Vec::new(), Vec::new());
    for after in AFTER {
        let turns = turns(arguments, after);
        for flight in FLIGHT {
            let rates: Vec<f64> = (0..rounds).map(|_| rate(arguments, after, flight, turns)).collect();
            let limit = flight as f64 * 1000.0 / after as f64;
            let of_limit = median(&rates) / limit;
            rows.push(vec![
                format!("{after} ms"),
                flight.to_string(),
                format!("{:.1}", median(&rates)),
                format!("{limit:.0}"),
                format!("{of_limit:.3}"),
            ]);
            results.push(json!({ "answer ms": after, "in flight": flight, "events/s": rates, "limit": limit,
                                 "of limit": of_limit }));
        }
    }
    let title = format!(
        "flight: behind a slow target, HTTPS, cores {:?}, median of {rounds} (P4: at least 0.95 of in flight / answer time)",
        arguments.cores
    );
    print(&title, &["answer after", "in flight", "events/s", "limit", "of limit"], &rows);
    json!({ "cores": format!("{:?}", arguments.cores), "rounds": rounds, "ways": results })
}

/// Answer times that are measured.
fn turns(arguments: &Arguments, after: u64) -> u64 {
    if arguments.long { 8000 / after } else { 2000 / after }
}

fn rate(arguments: &Arguments, after: u64, flight: u64, turns: u64) -> f64 {
    // One backlog for all, enough for the most that are in flight, for the shortest answer time.
    let most = FLIGHT[FLIGHT.len() - 1] * (WARM + self::turns(arguments, AFTER[0]) + 1);
    let stock = backlog::of(most.next_multiple_of(backlog::RECORDS));
    let folder = stock.fresh();
    // Whole turns, so that a burst of answers at their end is not cut in two.
    let marks = [flight * WARM, flight * (WARM + turns)];
    let manner = Manner { after, ..Manner::new(stock.authority(), backlog::RECORDS, &marks) };
    let journal = Journal::start(&manner, arguments.cores);
    agent::configure(&folder, stock.authority(), journal.port, flight as usize, 1);
    let agent = agent::start(&folder, arguments.cores);
    let patience = Duration::from_millis(after * (WARM + turns) * 4 + 30_000);
    let warm = journal.next(patience).expect("nothing comes");
    let last = journal.next(patience).expect("not everything came");
    drop(agent);
    last.rate_since(&warm)
}
