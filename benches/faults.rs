//! A target that fails now and then: 2 % of its answers are 503, over TLS, few records in rotation (P12). The floor is
//! arithmetic: how often one record can be sent when a failure costs it the wait before the next attempt, times the
//! records.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Arguments;
use crate::support::figures::{median, print};
use crate::support::journal::{Journal, Manner, Tally};
use crate::support::{agent, authority, office};

const RECORDS: u64 = 20;
const FLIGHT: usize = 16;
/// Milliseconds that an answer takes.
const AFTER: u64 = 5;
const REFUSED: f64 = 0.02;
/// Seconds before the second attempt: the connectors' default.
const BACKOFF: f64 = 1.0;
/// So long after the last event something may still come again.
const AFTERMATH: Duration = Duration::from_millis(500);

/// Measures and prints.
pub fn run(arguments: &Arguments) -> Value {
    let events = arguments.events.unwrap_or(if arguments.long { 60_000 } else { 6_000 }) / RECORDS * RECORDS;
    let rounds = if arguments.long { arguments.rounds.unwrap_or(3) } else { 1 };
    let (rates, tallies): (Vec<f64>, Vec<Tally>) = (0..rounds).map(|_| round(arguments, events)).unzip();
    let sum = |part: fn(&Tally) -> u64| tallies.iter().map(part).sum::<u64>();
    let lost: u64 = tallies.iter().map(|tally| events.saturating_sub(tally.received - tally.repeated)).sum();
    let limit =
        (RECORDS as f64 / (AFTER as f64 / 1000.0 + REFUSED * BACKOFF)).min(FLIGHT as f64 * 1000.0 / AFTER as f64);
    let row = vec![
        format!("{:.0}", median(&rates)),
        format!("{limit:.0}"),
        format!("{:.2}", median(&rates) / limit),
        sum(|tally| tally.refused).to_string(),
        lost.to_string(),
        sum(|tally| tally.overtaken).to_string(),
        sum(|tally| tally.repeated).to_string(),
    ];
    let title = format!(
        "faults: {events} events of {RECORDS} records, {AFTER} ms answers, {:.0} % of them 503, {FLIGHT} in flight, HTTPS, \
         median of {rounds} (P12: at least 600 events/s, 0 lost, 0 out of order)",
        REFUSED * 100.0
    );
    let head = ["events/s", "limit", "of limit", "answered 503", "lost", "out of order", "again"];
    print(&title, &head, &[row]);
    json!({ "events": events, "rounds": rounds, "events/s": rates, "limit": limit, "lost": lost,
            "out of order": sum(|tally| tally.overtaken), "again": sum(|tally| tally.repeated), "receiver": tallies })
}

fn round(arguments: &Arguments, events: u64) -> (f64, Tally) {
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    authority::make(place.path());
    let folder = place.path().join("office");
    std::fs::create_dir_all(folder.join("state")).unwrap();
    let db = office::open(&folder.join("office.db"));
    db.execute_batch(office::TABLE).unwrap();
    agent::configure(&folder, place.path(), 1, FLIGHT, 1);
    agent::prepare(&folder);
    let records = RECORDS as i64;
    office::batches(&db, 1, records + 1, records, office::insert);
    for _ in 1..events / RECORDS {
        office::batches(&db, 1, records + 1, records, office::update);
    }
    let manner = Manner { after: AFTER, refuse: REFUSED, ..Manner::new(place.path(), RECORDS, &[1, events]) };
    let mut journal = Journal::start(&manner, arguments.cores);
    agent::configure(&folder, place.path(), journal.port, FLIGHT, 1);
    let agent = agent::start(&folder, arguments.cores);
    let first = journal.next(Duration::from_secs(60)).expect("nothing comes");
    let started = Instant::now();
    // Four times what the target allows; what has not come by then is lost.
    let last = journal.next(Duration::from_secs_f64(events as f64 / 150.0 + 30.0));
    let rate = last.map_or_else(
        || journal.now().received as f64 / started.elapsed().as_secs_f64(),
        |last| last.rate_since(&first),
    );
    std::thread::sleep(AFTERMATH);
    let tally = journal.now();
    drop(agent);
    (rate, tally)
}
