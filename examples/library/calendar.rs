//! The agent inside a program: tells a calendar of every appointment, in the calendar's own words.
//!
//! `cargo run --example calendar -- CONFIG [--once]`

use std::io::Write as _;

use hms_sync::{Agent, Event, HandlerError, Pusher, json};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The library logs by the `log` crate; without a logger it says nothing.
    env_logger::init();
    let mut arguments = std::env::args().skip(1);
    let config = arguments.next().unwrap_or_else(|| "sync.yaml".to_owned());
    let agent = Agent::open(config)?.stop_on_signals().on_change("appointments", tell);
    if arguments.any(|argument| argument == "--once") {
        let run = agent.run_once()?;
        writeln!(std::io::stdout(), "handled {}, delivered {}", run.handled, run.delivered)?;
    } else {
        agent.run()?;
    }
    Ok(())
}

/// Handles one change. It comes again until this returns `Ok`, and what is pushed is stored only then.
fn tell(event: &Event, sync: &mut Pusher<'_>) -> Result<(), HandlerError> {
    // Written before it is pushed, so whoever reads along sees each event at least once.
    writeln!(std::io::stdout(), "{} {} {}", event.id, event.op, event.get("id"))?;
    if event.op == "delete" {
        return sync.push("calendar", "/calendar/cancelled", json!({ "appointment": event.get("id") }));
    }
    let minutes = event.get("minutes").as_i64().unwrap_or(20);
    sync.push(
        "calendar",
        "/calendar/entries",
        json!({ "appointment": event.get("id"), "begins": event.get("start"), "seconds": minutes * 60 }),
    )
}
