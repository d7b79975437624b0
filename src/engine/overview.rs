//! `status` at a glance: the agent, its logs, its connectors, and what needs a person.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::clock::{BUILT, Timestamp, now};
use crate::engine::alarm::{self, AlertStatus};
use crate::engine::connector::Pace;
use crate::engine::drop::{self, DropStatus};
use crate::engine::handler::is_handler;
use crate::engine::inflow::InflowStatus;
use crate::engine::keeper::OVERFLOW_PART;
use crate::engine::need::Need;
use crate::engine::report::{ConnectorStatus, connector_status};
use crate::rules::clock::{self, Known as KnownTime};
use crate::store::capture::{self, CaptureError, CapturedLog, Seen};
use crate::store::state::ask::{self, Ask};
use crate::store::state::drops::last_cut;
use crate::store::state::leftover::{self, Leftover};
use crate::store::state::{Holder, LogId, StateError, StateReader, belief, connector, health, intake, log as logs};

/// How long an endpoint may be down before somebody should look: the first alert of a delivery that waits.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// All there is to say at a glance.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    /// The agent.
    pub agent: AgentStatus,
    /// Its logs.
    pub logs: Vec<LogStatus>,
    /// Its connectors, by name.
    pub connectors: Vec<ConnectorStatus>,
    /// Its file drops, by name: those that have made a file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drops: Vec<DropStatus>,
    /// Its event sources, as the running agent says; whoever asks it fills them in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<InflowStatus>,
    /// Alerts that are open.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<AlertStatus>,
    /// What needs a person; empty = all is well.
    pub needs: Vec<Need>,
}

/// Whether the agent runs.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentStatus {
    /// What the installation is called.
    pub office: String,
    /// It runs now.
    pub running: bool,
    /// Its process number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// There is a state file.
    pub has_run: bool,
    /// When the state file was last looked through for damage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checked: Option<String>,
}

/// A log at a glance.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogStatus {
    /// Its name.
    pub log: String,
    /// The file it lies in.
    pub file: String,
    /// The highest position: how many events were captured so far.
    pub captured: i64,
    /// Events that are kept.
    pub kept: i64,
    /// When the oldest of those was captured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest: Option<String>,
    /// Changes that were not captured because the log was full, and were not made up for yet.
    pub lost: i64,
    /// Tables that are captured.
    pub tables: Vec<String>,
    /// Tables whose capture is not as it should be, with what is wrong.
    pub trouble: Vec<String>,
    /// The names of those tables.
    #[serde(skip)]
    pub wrong: Vec<String>,
    /// Those of them that a person has paused.
    #[serde(skip)]
    pub paused: Vec<String>,
    /// The log is full: changes are counted, and not kept.
    #[serde(skip)]
    pub full: bool,
    /// It cannot be read.
    #[serde(skip)]
    pub unread: bool,
    /// Comparisons that wait for a person, and what a restore may have left at the targets.
    #[serde(skip)]
    pub asks: usize,
}

/// What an overview is made from.
pub struct Parts<'a> {
    /// The state file; none = the agent has never run.
    pub state: Option<StateReader>,
    /// Who holds the state file.
    pub holder: Option<Holder>,
    /// The databases by log name and file, as far as they could be opened.
    pub logs: Vec<(String, String, Result<CapturedLog, CaptureError>)>,
    /// What the installation is called.
    pub office: &'a str,
    /// The connectors of the configuration.
    pub configured: &'a [Configured],
}

/// A connector of the configuration.
#[derive(Clone, Debug)]
pub struct Configured {
    /// Its name.
    pub name: Arc<str>,
    /// When it runs.
    pub timing: Timing,
    /// The type of the table that it reads into, if it reads.
    pub pulls: Option<String>,
}

/// When a connector or a drop runs.
#[derive(Clone, Debug)]
pub enum Timing {
    /// As this says.
    Pace(Pace),
    /// At these cut-offs.
    CutOffs(Box<drop::Timing>),
}

impl Configured {
    /// Says how and when it runs: `last` = the last cut of a drop.
    fn tell(&self, status: &mut ConnectorStatus, last: Option<&(String, usize)>) {
        let runs = status.mode != "paused";
        let (kind, schedule, next) = match &self.timing {
            Timing::Pace(Pace::Stream) => ("stream", None, None),
            Timing::Pace(Pace::Schedule(schedule)) => {
                ("schedule", Some(schedule.describe()), schedule.next_after(now()))
            }
            Timing::CutOffs(timing) => ("drop", None, drop::next_cut_of(timing, last, now()).map(|cut| cut.at)),
        };
        status.kind = Some(kind);
        status.schedule = schedule;
        status.next_run = next.filter(|_| runs).map(|at| at.to_string());
    }
}

/// Looks at everything, changes nothing.
pub fn overview(parts: Parts<'_>) -> Result<Overview, StateError> {
    let Parts { mut state, holder, logs: databases, office, configured } = parts;
    let running = holder.is_some();
    let mut needs = Vec::new();
    let (mut statuses, mut readable) = (Vec::new(), Vec::new());
    for (name, file, opened) in databases {
        let status = LogStatus { log: name.clone(), file, ..LogStatus::default() };
        let healed = state.as_mut().map(|state| healed(state, &name)).transpose()?.flatten();
        let asks = state.as_mut().map(|state| state.read(|db| ask::all(db, &name))).transpose()?.unwrap_or_default();
        let left =
            state.as_mut().map(|state| state.read(|db| leftover::all(db, &name))).transpose()?.unwrap_or_default();
        let known = Known { healed, asks, left };
        match opened.and_then(|mut log| Ok((log_status(&mut log, status.clone(), known, running, &mut needs)?, log))) {
            Ok((status, log)) => {
                readable.push((name, status.captured, log));
                statuses.push(status);
            }
            Err(error) => {
                let need = Need::of(&name, &error.to_string());
                statuses.push(LogStatus { trouble: vec![need.what.clone()], unread: true, ..status });
                needs.push(need);
            }
        }
    }
    let (mut connectors, mut drops) = (Vec::new(), Vec::new());
    let known = state.as_mut().map(|state| state.read(belief::known)).transpose()?;
    let known = known.unwrap_or(KnownTime { built: BUILT, ..KnownTime::default() });
    if let Some(doubt) = clock::doubt(now(), &known) {
        let mend = "set it; until then nothing is deleted by age, and certificates may look expired".to_owned();
        needs.push(Need { subject: "clock".to_owned(), what: doubt.to_string(), mend });
    }
    if let Some(state) = &mut state {
        let cap = readable.iter().filter_map(|(_, _, log)| log.fill_level().ok()).map(|valve| valve.cap).min();
        let (mut places, taken_in) = (Vec::new(), state.read(intake::highest)?);
        for (name, captured, log) in &mut readable {
            if let Some(id) = state.read(|db| logs::find(db, name))? {
                places.push((id, *captured, Some(log)));
            }
        }
        if let Some(id) = state.read(|db| logs::find(db, logs::INTAKE))? {
            places.push((id, taken_in, None));
        }
        let ends: Vec<(LogId, i64)> = places.iter().map(|(id, end, _)| (*id, *end)).collect();
        for known in state.read(connector::all)? {
            let captured_at = |log: LogId, after: i64| {
                let (_, _, source) = places.iter_mut().find(|(id, ..)| *id == log)?;
                source.as_mut()?.read(after, 1, usize::MAX).ok()?.first().map(|event| event.at)
            };
            let mut status = connector_status(state, &known, &ends, captured_at)?;
            // What a killed agent left says nothing.
            status.braked = if running { status.braked } else { 0 };
            let spec = configured.iter().find(|spec| *spec.name == *known.name);
            // A handler stands in a program, where nobody can look it up.
            status.configured = is_handler(&known.name) || spec.is_some();
            if let Some(spec) = spec {
                // What one that does not read any more has read is in its records, and no news.
                status.pull = status.pull.filter(|_| spec.pulls.is_some());
                let last = state.read(|db| last_cut(db, known.id))?;
                spec.tell(&mut status, last.as_ref());
            }
            let files = state.read(|db| drop::drop_status(db, &known))?;
            if let Some(files) = &files {
                status.last_error = files.trouble().or(status.last_error);
            }
            needs_of(&status, files.is_some(), running, &mut needs);
            needs.extend(status.pull.iter().filter(|_| status.configured).flat_map(|pull| pull.needs(&known.name)));
            drops.extend(files);
            needs.extend(state.read(|db| drop::needs(db, &known, now()))?);
            needs.extend(cap.and_then(|cap| of_pause(&status, cap)));
            connectors.push(status);
        }
    }
    for spec in configured {
        if !connectors.iter().any(|known| *known.connector == *spec.name) {
            let (connector, mode) = (spec.name.to_string(), "new");
            let mut status = ConnectorStatus { connector, mode, configured: true, ..ConnectorStatus::default() };
            spec.tell(&mut status, None);
            connectors.push(status);
        }
    }
    connectors.sort_by(|a, b| a.connector.cmp(&b.connector));
    let alerts = state.as_mut().map(|state| state.read(alarm::open)).transpose()?.unwrap_or_default();
    let health = state.as_mut().map(|state| state.read(health::last)).transpose()?.flatten();
    if let Some(found) = health.as_ref().and_then(|health| health.damage.as_ref()) {
        needs.insert(
            0,
            Need {
                subject: "state".to_owned(),
                what: format!("the state file is damaged ({found})"),
                mend: "check the disk; `hms-sync run` says how to go on".to_owned(),
            },
        );
    }
    let agent = AgentStatus {
        office: office.to_owned(),
        running,
        process: holder.map(|holder| holder.process),
        has_run: state.is_some(),
        checked: health.map(|health| health.at.to_string()),
    };
    Ok(Overview { agent, logs: statuses, connectors, drops, sources: Vec::new(), alerts, needs })
}

/// What the state file knows of a log.
struct Known {
    /// What the agent has made up for.
    healed: Option<Seen>,
    /// Comparisons that wait for a person.
    asks: Vec<Ask>,
    /// What a restore may have left at the targets.
    left: Vec<Leftover>,
}

/// What the agent has made up for in a log.
fn healed(state: &mut StateReader, name: &str) -> Result<Option<Seen>, StateError> {
    let seen =
        state.read(|db| logs::find(db, name)?.map_or(Ok(None), |id| logs::seen(db, id).map(|(seen, _)| seen)))?;
    Ok(seen.and_then(|seen| serde_json::from_str(&seen).ok()))
}

fn log_status(
    log: &mut CapturedLog,
    mut status: LogStatus,
    known: Known,
    running: bool,
    needs: &mut Vec<Need>,
) -> Result<LogStatus, CaptureError> {
    if !log.installed()? {
        return Ok(status);
    }
    let lowest = log.lowest_seq()?;
    status.captured = log.highest_seq()?;
    status.kept = if lowest > 0 { status.captured - lowest + 1 } else { 0 };
    status.oldest = log.read(lowest.saturating_sub(1), 1, usize::MAX)?.first().map(|event| event.at.to_string());
    let lost = log.seen(None)?.lost;
    let made_up = |tid: &i64| known.healed.as_ref().and_then(|seen| seen.lost.get(tid)).copied().unwrap_or(0);
    status.lost = lost.iter().map(|(tid, n)| (n - made_up(tid)).max(0)).sum();
    if status.lost > 0 {
        needs.push(Need {
            subject: status.log.clone(),
            what: format!("{} changes were not captured because the log was full", status.lost),
            mend: by_agent(running, "sends the tables again"),
        });
    }
    status.full = log.fill_level()?.closed;
    if status.full {
        needs.push(Need {
            subject: status.log.clone(),
            what: "the log is full: changes are counted and not kept".to_owned(),
            mend: "let the connectors catch up (who lags stands above), or raise `capture: {cap:}`".to_owned(),
        });
    }
    for watched in log.watched()? {
        status.tables.push(watched.table.clone());
        let asked = known.asks.iter().find(|ask| *ask.kind == *watched.kind);
        status.asks += usize::from(asked.is_some());
        needs.extend(asked.map(|ask| of_ask(&status.log, &watched.table, ask)));
        let left = known.left.iter().find(|left| *left.kind == *watched.kind);
        status.asks += usize::from(left.is_some());
        needs.extend(left.map(|left| Need::of_leftover(&status.log, &watched.table, left)));
        if watched.state != capture::State::Ok {
            status.wrong.push(watched.table.clone());
        }
        let mend = match &watched.state {
            capture::State::Ok => continue,
            capture::State::Paused(_) => {
                status.paused.push(watched.table.clone());
                None
            }
            capture::State::Missing | capture::State::Changed => Some(by_agent(running, "repairs it")),
            capture::State::Dropped => Some(format!("if that is meant: `hms-sync unwatch {}`", watched.table)),
            capture::State::Renamed(now) => {
                Some(format!("`hms-sync unwatch {}`, then `hms-sync watch {now}`", watched.table))
            }
            capture::State::Refused(_) => {
                Some(format!("mend the table, or give it up with `hms-sync unwatch {}`", watched.table))
            }
        };
        let what = format!("{}: {}", watched.table, watched.state);
        status.trouble.push(what.clone());
        needs.extend(mend.map(|mend| Need { subject: status.log.clone(), what, mend }));
    }
    Ok(status)
}

/// A comparison waits for a person.
fn of_ask(log: &str, table: &str, ask: &Ask) -> Need {
    Need {
        subject: log.to_owned(),
        what: format!(
            "{table}: {} records are gone, more than the {} that may go unasked; the comparison has stopped and nothing \
             of it is sent",
            ask.deletes, ask.limit
        ),
        mend: format!(
            "look at the table; if they are meant to be gone: `hms-sync reconcile {table} --force`; once they are back: \
             `hms-sync reconcile {table}`"
        ),
    }
}

/// A person has stopped the connector, and so long ago that capture waits for it no more.
fn of_pause(status: &ConnectorStatus, cap: i64) -> Option<Need> {
    let lags = status.queued as f64 > cap as f64 * OVERFLOW_PART;
    (status.configured && status.mode == "paused" && lags).then(|| Need {
        subject: status.connector.clone(),
        what: format!("is paused and {} changes behind: capture no longer waits for it", status.queued),
        mend: "resume it: of what is pruned meanwhile it gets the last change of each record".to_owned(),
    })
}

fn by_agent(running: bool, does: &str) -> String {
    if running { format!("the agent {does} by itself") } else { format!("`hms-sync run`: the agent {does} by itself") }
}

fn needs_of(status: &ConnectorStatus, files: bool, running: bool, needs: &mut Vec<Need>) {
    let name = &status.connector;
    let mut need = |what: String, mend: String| needs.push(Need { subject: name.clone(), what, mend });
    if !status.configured {
        let parked = status.waiting + status.behind + status.held + status.dead;
        if parked > 0 {
            let noun = if parked == 1 { "delivery stays" } else { "deliveries stay" };
            need(
                format!("is not configured any more; {parked} parked {noun} until its file comes back"),
                format!("put its file back, or `hms-sync deliveries discard --connector {name}`"),
            );
        }
        return;
    }
    let reason = status.reason.as_deref().unwrap_or("no reason given");
    match status.mode {
        // A drop stands still until a person has looked: each file that it makes has a number.
        "halted" if files => {
            need(format!("halted: {reason}"), format!("look at it, then `hms-sync drop run {name}`"));
        }
        "halted" => need(
            format!("halted: {reason}"),
            "put that right (`hms-sync check --online` tells); the agent tries again by itself".to_owned(),
        ),
        "overflowed" => need(
            format!("fell too far behind: {reason}"),
            by_agent(running, "sends the tables again once the target takes them"),
        ),
        _ => {}
    }
    if status.braked > 0 {
        let noun = if status.braked == 1 { "record is" } else { "records are" };
        need(
            format!("{} {noun} braked to one delivery a second: each is followed by another change", status.braked),
            "look for what writes the record again when it is delivered (the agent's log names type and event)"
                .to_owned(),
        );
    }
    let down: Option<Timestamp> = status.down_since.as_deref().and_then(|at| at.parse().ok()).map(Timestamp::from_jiff);
    if let Some(since) = down.filter(|since| status.mode != "halted" && now().since(*since) >= PATIENCE) {
        let (what, mend) = match is_handler(name) {
            true => ("the handler fails", "mend the program, or what it needs; nothing is lost, it goes on by itself"),
            false => (
                "the endpoint is down",
                "bring the target back (`hms-sync check --online` tells); nothing is lost, it goes on by itself",
            ),
        };
        need(format!("{what} since {since}: {reason}"), mend.to_owned());
    }
    for (count, state, word, then) in [
        (status.dead, "dead", "refused or given up", "retry` or `discard"),
        (status.held, "held", "held", "release` or `discard"),
    ] {
        if count > 0 {
            let noun = if count == 1 { "delivery was" } else { "deliveries were" };
            let list = format!("`hms-sync deliveries list --connector {name} --state {state}`");
            need(format!("{count} {noun} {word}"), format!("{list}, then `deliveries {then}`"));
        }
    }
    if status.conflicts > 0 {
        let (noun, list) = if status.conflicts == 1 { ("conflict waits", "it") } else { ("conflicts wait", "them") };
        need(
            format!("{} {noun} for a person", status.conflicts),
            format!(
                "`hms-sync conflicts list --connector {name}` shows {list}, `conflicts resolve ID --take local|remote` decides"
            ),
        );
    }
    let waiting = u64::try_from(status.queued).unwrap_or(0) + status.waiting;
    if !running && status.configured && status.mode == "running" && waiting > 0 {
        let verb = if waiting == 1 { "change waits" } else { "changes wait" };
        need(format!("{waiting} {verb} and the agent is not running"), "`hms-sync run`".to_owned());
    }
}
