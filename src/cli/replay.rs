//! `replay`: a connector's cursor is set back, and what follows is sent again.

use crate::cli::failure::{Code, Failure};
use crate::cli::order;
use crate::cli::past::{self, Position};
use crate::cli::place::Place;
use crate::cli::{Outcome, output, since};
use crate::config::build;
use crate::engine::compile::{Compiled, compile};
use crate::engine::handler::is_handler;
use crate::engine::operate::Operation;
use crate::event::Event;
use crate::store::capture::Access;

/// Sends again what was delivered since a time or a position
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("place").required(true).args(["since", "from"]))]
pub struct Replay {
    /// At which connector
    #[arg(long)]
    connector: String,
    /// Events since then: a time span back from now (1h, 7d) or a time
    #[arg(long, value_parser = since::parse, value_name = "TIME")]
    since: Option<crate::clock::Timestamp>,
    /// Events from this position on; LOG:SEQ when there is more than one database
    #[arg(long, value_parser = past::position, value_name = "SEQ", conflicts_with = "since")]
    from: Option<Position>,
    /// With --since: in this log, when there is more than one database
    #[arg(long)]
    log: Option<String>,
    /// Only says what would be sent
    #[arg(long)]
    dry_run: bool,
    /// Why; kept in the audit
    #[arg(long)]
    reason: Option<String>,
}

/// Runs `replay`. 65 when the log no longer reaches back that far.
pub fn replay(place: &Place, replay: Replay) -> Outcome {
    let config = place.config()?;
    let names: Vec<_> = config.connectors.iter().map(|spec| spec.name.clone()).collect();
    // A handler stands in a program: here it is known by what it has heard.
    let handler = is_handler(&replay.connector);
    if handler {
        order::known(&config, Some(&replay.connector))?;
    } else if !names.iter().any(|name| **name == *replay.connector) {
        return Err(order::unknown(&replay.connector, &names));
    }
    let settings = config.settings.clone();
    let mut logs = place.logs(&settings, Access::Read)?;
    let named = match (&replay.log, replay.from.as_ref().and_then(|from| from.log.as_ref())) {
        (Some(log), Some(from)) if log != from => {
            return Err(Failure::new(Code::Usage, format!("--log {log} and --from {from}:...: which log is meant?")));
        }
        (log, from) => log.as_ref().or(from),
    };
    let known: Vec<String> = logs.iter().map(|log| log.name().to_owned()).collect();
    logs.retain(|log| named.is_none_or(|name| log.name() == name));
    let [log] = logs.as_mut_slice() else {
        let text = format!("in which log? Write --from LOG:SEQ or --log LOG; the logs are {}", known.join(", "));
        return Err(Failure::new(Code::Usage, text));
    };
    let after = match (replay.since, &replay.from) {
        (Some(since), _) => since::position(log, since)?,
        (None, from) => {
            let from = from.as_ref().map_or(1, |from| from.seq);
            let lowest = log.lowest_seq()?;
            if from < lowest
                && let Some(first) = log.read(lowest - 1, 1, usize::MAX)?.first()
            {
                return Err(since::pruned(log.name(), lowest, first.at));
            }
            from - 1
        }
    };
    let connector = {
        let credentials = build::credentials(&settings)?;
        let spec = config.connectors.into_iter().find(|spec| *spec.name == *replay.connector);
        spec.map(|spec| build::connector(spec, &settings, &credentials, [0; 32])).transpose()?
    };
    if connector.is_none() && !handler {
        return Err(order::unknown(&replay.connector, &names));
    }
    let is_meant = |event: &Event| match &connector {
        Some(connector) => matches!(compile(connector, event, ""), Compiled::Send(_)),
        None => event.dest.is_none(),
    };
    let (mut events, mut position) = (Vec::new(), after);
    let mut count = 0_u64;
    loop {
        let chunk = log.read(position, 500, 1 << 20)?;
        let Some(last) = chunk.last() else { break };
        position = last.seq();
        for event in chunk {
            if is_meant(&event) {
                count += 1;
                if replay.dry_run {
                    events.push(event.id.to_string());
                }
            }
        }
    }
    let name = log.name().to_owned();
    if replay.dry_run {
        if place.json() {
            output::json(
                &serde_json::json!({ "connector": replay.connector, "log": name, "after": after, "events": events }),
            )?;
        } else {
            events.iter().try_for_each(|id| output::line(id))?;
            output::line(&format!(
                "{count} events of {name} after {after} would be sent again to {}",
                replay.connector
            ))?;
        }
        return Ok(Code::Ok);
    }
    let operation = Operation::Replay { connector: replay.connector.clone(), log: name.clone(), after };
    let report = order::order(&settings, operation, replay.reason)?;
    if let Some(refused) = report.refused.first() {
        return Err(Failure::new(Code::Data, refused.why.clone()));
    }
    if place.json() {
        output::json(
            &serde_json::json!({ "connector": replay.connector, "log": name, "after": after, "count": count }),
        )?;
    } else {
        output::line(&format!("{count} events of {name} after {after} are sent again to {}", replay.connector))?;
    }
    Ok(Code::Ok)
}
