//! `status`: all connectors at a glance, or one record's whole history.

use crate::cli::failure::{Code, Failure};
use crate::cli::place::Place;
use crate::cli::{Outcome, order, output, record};
use crate::clock::{self, Timestamp};
use crate::config::Settings;
use crate::daemon::api::Code as GivenCode;
use crate::daemon::client;
use crate::engine::inflow::{InflowStatus, Standing};
use crate::engine::overview::{Configured, LogStatus, Overview, Parts, overview};
use crate::engine::report::ConnectorStatus;
use crate::store::capture::{Access, CapturedLog};
use crate::store::state::{StateError, StateReader, holder};

/// Shows all connectors at a glance, or one record's whole history
///
/// Ends with 0 when all is well, with 1 when something needs a person: then it says what, and what to do. Changes
/// nothing, whether the agent runs or not. With TYPE and KEY: every change of that record that is still in a log or
/// parked, and what came of it at every connector.
#[derive(Debug, clap::Args)]
pub struct Status {
    /// An event type or table
    #[arg(value_name = "TYPE", requires = "key")]
    kind: Option<String>,
    /// The record's key: its values in key order joined by commas, or as JSON
    #[arg(value_name = "KEY")]
    key: Option<String>,
    /// At most so many changes of the record, the newest
    #[arg(long, default_value_t = 100, value_name = "N", requires = "kind")]
    limit: usize,
    /// Prints the address of the status page, with a code that signs in who opens it: once, and within a minute
    #[arg(long, conflicts_with = "kind")]
    open: bool,
}

/// Runs `status`.
pub fn status(place: &Place, status: Status) -> Outcome {
    if let (Some(kind), Some(key)) = (&status.kind, &status.key) {
        return record::record(place, kind, key, status.limit);
    }
    let config = place.config()?;
    let settings = &config.settings;
    if status.open {
        return open(place, settings);
    }
    let seen = glance(settings, &config.configured())?;
    if place.json() {
        output::json(&seen)?;
    } else {
        show(place, &seen)?;
    }
    Ok(if seen.needs.is_empty() { Code::Ok } else { Code::Failed })
}

/// Everything at a glance, with what the running agent says.
pub(super) fn glance(settings: &Settings, configured: &[Configured]) -> Result<Overview, Failure> {
    let state = match StateReader::open(&settings.state) {
        Ok(state) => Some(state),
        Err(StateError::Absent(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let logs = settings.databases.iter().map(|database| {
        let opened = CapturedLog::open(&database.name, &database.path, Access::Read);
        (database.name.clone(), database.path.display().to_string(), opened)
    });
    let holder = holder(&settings.state);
    let told = holder.as_ref().map(order::needs).unwrap_or_default();
    let alerts = holder.as_ref().and_then(order::alerts);
    let heard = holder.as_ref().map(order::sources).unwrap_or_default();
    let running = holder.clone();
    let parts = Parts { state, holder, logs: logs.collect(), office: &settings.office, configured };
    let mut seen = overview(parts)?;
    seen.needs.extend(told);
    if let Some(holder) = running.filter(|_| seen.connectors.iter().any(|known| known.pull.is_some())) {
        for (name, poll) in order::polls(&holder) {
            let known = seen.connectors.iter_mut().filter(|known| known.connector == name);
            known.filter_map(|known| known.pull.as_mut()).for_each(|pull| pull.poll = poll.clone());
        }
    }
    seen.sources = sources(settings, heard);
    seen.alerts = alerts.unwrap_or(seen.alerts);
    Ok(seen)
}

/// Asks the running agent for a code for the status page.
fn open(place: &Place, settings: &Settings) -> Outcome {
    let Some(socket) = order::running(&settings.state)? else {
        return Err(Failure::new(
            Code::Unavailable,
            "no agent runs here: `hms-sync run` starts it, and serves the page",
        ));
    };
    let given: GivenCode = client::post(&socket, "/session/codes", Vec::new())?;
    let Some(page) = given.pages.first() else {
        let text = format!(
            "the status page needs a port of this machine: add `api: {{listen: \"127.0.0.1:7003\"}}` to sync.yaml and start the \
             agent anew. From another machine it can be reached without one: `ssh -L 7003:{} HOST`, then open \
             http://localhost:7003/ there",
            socket.display()
        );
        return Err(Failure::new(Code::Config, text));
    };
    let url = format!("{page}#code={}", given.code);
    if place.json() {
        output::json(&serde_json::json!({ "url": url, "seconds": given.seconds }))?;
        return Ok(Code::Ok);
    }
    output::line(&url)?;
    if !place.quiet() {
        let port = page.trim_start_matches("http://").trim_end_matches('/');
        let number = port.rsplit(':').next().unwrap_or_default();
        output::line(&format!("It works once, within {} seconds, in a browser on this machine.", given.seconds))?;
        output::line(&format!("From another machine, first: ssh -L {number}:{port} HOST"))?;
    }
    Ok(Code::Ok)
}

/// The sources that are followed, and those that are configured and not followed.
fn sources(settings: &Settings, heard: Vec<InflowStatus>) -> Vec<InflowStatus> {
    let stopped = settings.events.iter().filter(|source| heard.iter().all(|line| line.source != source.name));
    let stopped = stopped.map(|source| InflowStatus {
        source: source.name.clone(),
        url: source.url.split('?').next().unwrap_or_default().to_owned(),
        listen: source.listen.clone(),
        ..InflowStatus::default()
    });
    let stopped: Vec<_> = stopped.collect();
    heard.into_iter().chain(stopped).collect()
}

fn source_line(source: &InflowStatus) -> String {
    let at = |at: &Option<String>| at.as_deref().and_then(|at| at.parse().ok()).map(Timestamp::from_jiff);
    let ago = |at: Timestamp| output::age(clock::now().since(at));
    let since = at(&source.since).map(|at| format!(" for {}", ago(at))).unwrap_or_default();
    let reason = source.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    let last = at(&source.last).map(|at| format!(", the last {} ago", ago(at))).unwrap_or_default();
    let InflowStatus { source: name, url, received, duplicates, rejected, .. } = source;
    let counts = match source.state {
        Standing::Stopped => String::new(),
        _ => format!(": {received} received{last}, {duplicates} duplicates, {rejected} rejected"),
    };
    format!("events {name}: {}{since}{reason}, {url}{counts}", source.state.word())
}

/// What a connector reads, in a line.
fn pull_line(known: &ConnectorStatus) -> Option<String> {
    let pull = known.pull.as_ref().filter(|_| known.configured)?;
    let at = |at: &Option<String>| at.as_deref().and_then(|at| at.parse().ok()).map(Timestamp::from_jiff);
    let now = clock::now();
    let ago = |time: &Option<String>| at(time).map(|at| format!("{} ago", output::age(now.since(at))));
    let mut parts = Vec::new();
    parts.extend(ago(&pull.poll.polled).map(|ago| format!("asked {ago}")));
    parts.extend(at(&pull.poll.next).map(|next| format!("again in {}", output::age(next.since(now)))));
    parts.push(
        format!("{} changed here", pull.applied)
            + &ago(&pull.last).map(|ago| format!(", the last {ago}")).unwrap_or_default(),
    );
    parts
        .push(format!("{} agreed, {} refused, {} held, {} unreadable", pull.agreed, pull.refused, pull.held, pull.bad));
    let reason = known.last_error.as_ref().map(|last| (ago(&Some(last.at.clone())), &last.reason));
    parts.extend(reason.and_then(|(ago, reason)| Some(format!("last error {}: {reason}", ago?))));
    Some(format!("pull {}: {}", known.connector, parts.join("; ")))
}

fn show(place: &Place, seen: &Overview) -> Result<(), Failure> {
    if !place.quiet() {
        let agent = match (&seen.agent.process, seen.agent.has_run) {
            (Some(process), _) => format!("the agent is running (process {process})"),
            (None, true) => "the agent is not running".to_owned(),
            (None, false) => "the agent has not run here yet: `hms-sync run` starts it".to_owned(),
        };
        output::line(&agent)?;
        seen.logs.iter().try_for_each(|log| output::line(&log_line(log)))?;
        seen.sources.iter().try_for_each(|source| output::line(&source_line(source)))?;
        seen.connectors.iter().filter_map(pull_line).try_for_each(|line| output::line(&line))?;
        if seen.connectors.is_empty() {
            output::line("no connector is configured: `hms-sync scaffold connector NAME` writes one")?;
        } else {
            output::line("")?;
            let header = ["CONNECTOR", "MODE", "QUEUED", "OLDEST", "WAITING", "HELD", "DEAD", "DELIVERED", "LAST"];
            output::table(&header, seen.connectors.iter().map(|known| row(known, seen.agent.running)).collect())?;
            for known in &seen.connectors {
                let name = &known.connector;
                if !known.configured {
                    output::line(&format!(
                        "{name} is not configured: what is queued and parked stays until its file comes back"
                    ))?;
                } else if let Some(reason) = &known.reason {
                    output::line(&format!("{name} is {}: {reason}", mode(known, seen.agent.running)))?;
                }
                if let Some(until) = known.waits_until.as_ref().filter(|_| known.configured) {
                    output::line(&format!("{name} sends nothing until {until}: its target has asked for that"))?;
                }
            }
        }
    }
    if !place.quiet() && !seen.drops.is_empty() {
        output::line("")?;
        crate::cli::drop::table(&seen.drops, seen.agent.running)?;
    }
    if !place.quiet() && !seen.alerts.is_empty() {
        output::line("")?;
        seen.alerts.iter().try_for_each(|alert| output::line(&crate::cli::alerts::line(alert)))?;
    }
    if !seen.needs.is_empty() {
        if !place.quiet() {
            output::line("")?;
        }
        for need in &seen.needs {
            output::line(&format!("{}: {}\n  -> {}", need.subject, need.what, need.mend))?;
        }
    }
    Ok(())
}

fn log_line(log: &LogStatus) -> String {
    let LogStatus { log: name, captured, kept, oldest, lost, tables, trouble, .. } = log;
    if tables.is_empty() && trouble.is_empty() {
        return format!("log {name}: nothing is captured yet: `hms-sync watch TABLE`, or `watch:` and `hms-sync run`");
    }
    let oldest = oldest.as_ref().map(|at| format!(", the oldest of {at}")).unwrap_or_default();
    let capture = if trouble.is_empty() { "capture ok".to_owned() } else { trouble.join("; ") };
    let lost = if *lost > 0 { format!(", {lost} lost") } else { String::new() };
    format!("log {name}: {captured} captured{lost}, {kept} kept{oldest}; {capture}")
}

fn mode(known: &ConnectorStatus, running: bool) -> &'static str {
    match known.mode {
        _ if !known.configured => "not configured",
        "running" if known.down_since.is_some() => "down",
        mode => standing(mode, running),
    }
}

/// `running` is what a person wants of a connector or a drop; it does so only while the agent does.
pub(super) fn standing(mode: &'static str, agent: bool) -> &'static str {
    if mode == "running" && !agent { "stopped" } else { mode }
}

fn row(known: &ConnectorStatus, running: bool) -> Vec<String> {
    let since = |at: &Option<String>| {
        let at = at.as_deref().and_then(|at| at.parse().ok()).map(Timestamp::from_jiff);
        at.map_or("-".to_owned(), |at| output::age(clock::now().since(at)))
    };
    vec![
        known.connector.clone(),
        mode(known, running).to_owned(),
        if known.configured { known.queued.to_string() } else { "-".to_owned() },
        if known.configured { since(&known.oldest) } else { "-".to_owned() },
        (known.waiting + known.behind).to_string(),
        known.held.to_string(),
        known.dead.to_string(),
        known.delivered.to_string(),
        since(&known.last),
    ]
}
