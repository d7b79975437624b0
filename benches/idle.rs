//! What the agent costs when nothing happens (P10).

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::figures::print;
use crate::support::process::{self, Cores};
use crate::support::{agent, authority};
use crate::{Arguments, drain};

const CONNECTORS: usize = 10;

/// Measures and prints.
pub fn run(arguments: &Arguments) -> Value {
    let watched = Duration::from_secs(if arguments.long { 120 } else { 20 });
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    authority::make(place.path());
    let quiet = place.path().join("quiet");
    drain::make_backlog(&quiet, place.path(), 0);
    agent::configure(&quiet, place.path(), 1, 4, CONNECTORS);
    let agent = agent::start(&quiet, Cores::Free);
    // What a start leaves to do is done by then.
    std::thread::sleep(Duration::from_secs(5));
    let before = process::fine_cpu(agent.0.id());
    std::thread::sleep(watched);
    let idle = (process::fine_cpu(agent.0.id()) - before) / watched.as_secs_f64() * 100.0;
    let memory = process::peak_memory(agent.0.id());
    let rows = [
        vec![format!("idle, {CONNECTORS} connectors, {} s", watched.as_secs()), format!("{idle:.3} % of a core")],
        vec![format!("memory of it, {CONNECTORS} connectors"), format!("{memory:.1} MB peak")],
    ];
    print("idle (P10: at most 0.05 % of a core)", &["", ""], &rows);
    json!({ "idle % of a core": idle, "idle connectors": CONNECTORS, "idle s": watched.as_secs(), "idle peak MB": memory })
}
