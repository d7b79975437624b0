//! What is wrong now, from everything at a glance.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::engine::drop::DropStatus;
use crate::engine::inflow::InflowStatus;
use crate::engine::lookout::Lookout;
use crate::engine::need::{Need, STATE};
use crate::engine::overview::{LogStatus, Overview};
use crate::engine::report::ConnectorStatus;
use crate::rules::alert::{Condition, Finding, Severity};
use crate::rules::room::alarms;
use crate::store::state::log;

/// A certificate or calendar that ends within this time is urgent.
const URGENT: Duration = Duration::from_secs(7 * 86_400);
/// Most names in one line.
const NAMES: usize = 5;
/// The subject of what is about this machine.
const HOST: &str = "host";
/// The subject of what the audit trail says of itself.
const AUDIT: &str = "audit";

/// What is looked at.
#[derive(Debug)]
pub struct Seen<'a> {
    /// Everything at a glance.
    pub overview: &'a Overview,
    /// What the running agent meets and lives with.
    pub needs: &'a [Need],
    /// Event sources.
    pub sources: &'a [InflowStatus],
    /// Certificates, calendars, disks, and what targets show.
    pub lookout: &'a Lookout,
    /// Until when the certificate of each connector's target is valid, as seen now or before.
    pub certificates: &'a [(String, Timestamp)],
    /// Since when is looked here.
    pub since: Timestamp,
    /// The time.
    pub now: Timestamp,
}

/// What is wrong, each condition of each subject once.
pub fn findings(seen: &Seen<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    let connectors = seen.overview.connectors.iter().filter(|status| status.configured);
    connectors.for_each(|status| of_connector(seen, status, &mut found));
    seen.overview.drops.iter().for_each(|drop| of_drop(drop, &mut found));
    seen.overview.logs.iter().for_each(|log| of_log(log, &mut found));
    of_sources(seen, &mut found);
    of_machine(seen, &mut found);
    of_ends(seen, &mut found);
    of_needs(seen, &mut found);
    found
}

fn finding(condition: Condition, subject: &str, severity: Severity, what: String, mend: String) -> Finding {
    Finding { condition, subject: subject.to_owned(), severity, since: None, count: None, what, mend }
}

fn of_connector(seen: &Seen<'_>, status: &ConnectorStatus, found: &mut Vec<Finding>) {
    use Condition::{Braked, BreakerOpen, Conflicts, DeadLetters, Halted, Held, NoDelivery, Oldest, Overflowed};
    let Seen { lookout, now, .. } = *seen;
    let (name, limits) = (&status.connector, lookout.limits_of(&status.connector));
    let mut find = |condition, severity, since, count, what, mend: String| {
        found.push(Finding { since, count, ..finding(condition, name, severity, what, mend) });
    };
    let reason = status.reason.as_deref().unwrap_or("no reason is known");
    let list = |state: &str| format!("`hms-sync deliveries list --connector {name} --state {state}`");
    if status.dead >= limits.dead_letters {
        let what = format!("{} refused or given up", deliveries(status.dead));
        let mend = format!("{}, then `deliveries retry` or `discard`", list("dead"));
        find(DeadLetters, Severity::Critical, None, Some(status.dead), what, mend);
    }
    if status.held >= limits.held {
        let what = format!("{} held", deliveries(status.held));
        let mend = format!("{}, then `deliveries release` or `discard`", list("held"));
        find(Held, Severity::Warning, None, Some(status.held), what, mend);
    }
    let down = status.down_since.as_deref().and_then(time);
    match status.mode {
        "halted" => {
            let mend = "put that right (`hms-sync check --online` tells); `hms-sync status` says how it goes on";
            find(Halted, Severity::Critical, None, None, format!("it has halted: {reason}"), mend.to_owned());
        }
        "overflowed" => {
            let mend = "the agent sends the tables again by itself once the target takes them";
            let what = format!("it fell too far behind, and capture goes on without it: {reason}");
            find(Overflowed, Severity::Critical, None, None, what, mend.to_owned());
        }
        _ => {
            if let Some(since) = down.filter(|since| now.since(*since) >= limits.breaker_open) {
                let mend =
                    "bring the target back (`hms-sync check --online` tells); nothing is lost, it goes on by itself";
                let what = format!("its endpoint is down: {reason}");
                find(BreakerOpen, Severity::Critical, Some(since), None, what, mend.to_owned());
            } else if let Some(due) =
                overdue(status, lookout).filter(|due| now.since(*due) >= limits.oldest && down.is_none())
            {
                let waiting = u64::try_from(status.queued).unwrap_or(0) + status.waiting;
                let why = if status.mode == "paused" { "; it is paused" } else { "" };
                let what = format!("{waiting} wait, the oldest since {due}{why}");
                let mend = format!("`hms-sync status` and the agent's log say why; `hms-sync sync {name}` tries now");
                find(Oldest, Severity::Critical, Some(due), Some(waiting), what, mend);
            }
        }
    }
    if status.braked > 0 {
        let what =
            format!("{} of its records are slowed down: each delivery is followed by another change", status.braked);
        let mend = "look for what writes the record again when it is delivered (the agent's log names type and event)";
        find(Braked, Severity::Warning, None, Some(status.braked), what, mend.to_owned());
    }
    if status.conflicts > 0 {
        let noun = if status.conflicts == 1 { "conflict waits" } else { "conflicts wait" };
        let what = format!("{} {noun} for a person", status.conflicts);
        let mend =
            format!("`hms-sync conflicts list --connector {name}`, then `conflicts resolve ID --take local|remote`");
        find(Conflicts, Severity::Warning, status.oldest_conflict, Some(status.conflicts), what, mend);
    }
    if let Some(limit) = limits.no_delivery {
        let file =
            seen.overview.drops.iter().find(|drop| drop.drop == *name).and_then(|drop| drop.last_published.as_ref());
        let last = status.last.as_ref().max(file).and_then(|at| time(at));
        let since = last.unwrap_or(seen.since);
        if now.since(since) >= limit {
            let last =
                last.map_or("nothing was ever delivered".to_owned(), |at| format!("nothing was delivered since {at}"));
            let mend = "see whether the application still writes, and whether the target still takes".to_owned();
            find(NoDelivery, Severity::Critical, Some(since), None, last, mend);
        }
    }
}

/// Since when the oldest event that waits for a connector should be on its way: one with a schedule waits for its time, and a
/// drop for its cut-off, which has a deadline of its own. What is held or dead waits for a person.
pub fn overdue(status: &ConnectorStatus, lookout: &Lookout) -> Option<Timestamp> {
    let watched = lookout.watched(&status.connector)?;
    let queued = status.oldest.as_deref().and_then(time).filter(|_| status.queued > 0);
    let oldest = queued.into_iter().chain(status.oldest_waiting).min().filter(|_| !watched.drop)?;
    watched.schedule.as_ref().map_or(Some(oldest), |schedule| schedule.next_after(oldest))
}

fn deliveries(n: u64) -> String {
    if n == 1 { "1 delivery was".to_owned() } else { format!("{n} deliveries were") }
}

fn of_drop(drop: &DropStatus, found: &mut Vec<Finding>) {
    let name = &drop.drop;
    let look = format!("`hms-sync drop list {name}` and `hms-sync status` say which, and what to do");
    if let Some(late) = &drop.late {
        let what = format!("{late} and is not published yet");
        let mend = format!("{look}; tell the host");
        found.push(finding(Condition::DropLate, name, Severity::Critical, what, mend));
    }
    if drop.overdue > 0 {
        let what = format!("{} of its files should have been answered", drop.overdue);
        let mend = format!("ask the host whether it has them; {look}");
        let count = Some(drop.overdue);
        found.push(Finding { count, ..finding(Condition::AckOverdue, name, Severity::Critical, what, mend) });
    }
    let troubles = [
        (drop.stuck, "files are held"),
        (drop.unverified, "files may have arrived or not"),
        (drop.quarantined, "answers were put aside"),
    ];
    let count = troubles.iter().map(|(n, _)| n).sum();
    if count > 0 {
        let what: Vec<String> =
            troubles.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        let found_it = finding(Condition::DropTrouble, name, Severity::Critical, what.join(", "), look);
        found.push(Finding { count: Some(count), ..found_it });
    }
}

fn of_log(log: &LogStatus, found: &mut Vec<Finding>) {
    let wrong: Vec<&str> = log.wrong.iter().filter(|table| !log.paused.contains(table)).map(String::as_str).collect();
    let mut what = Vec::new();
    if log.unread {
        what.push(log.trouble.join(", "));
    }
    if !wrong.is_empty() {
        what.push(format!("the changes of {} are not captured", names(&wrong)));
    }
    if log.full {
        what.push("the log is full: changes are counted and not kept".to_owned());
    }
    if log.lost > 0 {
        what.push(format!("{} changes were not captured because the log was full", log.lost));
    }
    if !what.is_empty() {
        let mend = "`hms-sync doctor` says what to do; the agent mends by itself what it can".to_owned();
        found.push(finding(Condition::Capture, &log.log, Severity::Critical, what.join("; "), mend));
    }
    if log.asks > 0 {
        let what = format!("{} of its tables wait for a person before they are compared with what was sent", log.asks);
        let mend = "`hms-sync status` says which, and what to do".to_owned();
        let count = Some(log.asks as u64);
        found.push(Finding { count, ..finding(Condition::Agent, &log.log, Severity::Critical, what, mend) });
    }
}

/// A few names in one line.
fn names(names: &[&str]) -> String {
    let shown = names.iter().take(NAMES).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn of_sources(seen: &Seen<'_>, found: &mut Vec<Finding>) {
    for source in seen.sources {
        if let Some(need) = source.need(seen.now) {
            let since = source.since.as_deref().and_then(time);
            let of = finding(Condition::Source, &source.source, Severity::Critical, need.what, need.mend);
            found.push(Finding { since, ..of });
        }
    }
}

fn of_machine(seen: &Seen<'_>, found: &mut Vec<Finding>) {
    let Seen { lookout, overview, .. } = seen;
    for disk in lookout.disks() {
        if let Some(severity) = alarms(disk.free, disk.all, lookout.limits.disk_free) {
            let folder = disk.folder.display().to_string();
            let what = format!("{} MB are free of {}", disk.free / 1_000_000, disk.all / 1_000_000);
            let mend = "free space on it: what cannot be recorded is not sent, and the application cannot write";
            found.push(finding(Condition::DiskLow, &folder, severity, what, mend.to_owned()));
        }
    }
    let doubt = overview.needs.iter().find(|need| need.subject == "clock");
    let limit = i64::try_from(lookout.limits.clock.as_millis()).unwrap_or(i64::MAX);
    let mut apart: Vec<(String, i64)> = Vec::new();
    for (name, shown) in lookout.shown() {
        apart.extend(
            shown.ahead_ms.filter(|ahead| ahead.saturating_abs() >= limit).map(|ahead| (name.to_owned(), ahead)),
        );
    }
    let told: Vec<String> = apart
        .iter()
        .map(|(name, ahead)| {
            format!("{name} by {} s {}", ahead.abs() / 1000, if *ahead > 0 { "ahead" } else { "behind" })
        })
        .collect();
    let what = match (doubt, told.is_empty()) {
        (None, true) => return,
        (Some(doubt), _) => doubt.what.clone(),
        (None, false) => {
            let told: Vec<&str> = told.iter().map(String::as_str).collect();
            format!("targets show another time than this machine: {}", names(&told))
        }
    };
    let mend = "set the clock (NTP) of whichever is wrong; `date -u` shows this machine's".to_owned();
    found.push(finding(Condition::Clock, HOST, Severity::Critical, what, mend));
}

/// What ends soon: certificates and calendars.
fn of_ends(seen: &Seen<'_>, found: &mut Vec<Finding>) {
    let Seen { lookout, now, .. } = *seen;
    let urgency = |until: Timestamp| if until.since(now) <= URGENT { Severity::Critical } else { Severity::Warning };
    let word = |until: Timestamp| if until < now { "ended" } else { "ends" };
    let shown = seen
        .certificates
        .iter()
        .map(|(owner, until)| (owner.clone(), *until, "its target shows a certificate that".to_owned()));
    let files = lookout.endings().into_iter().filter_map(|ending| {
        let until = ending.until.ok()?;
        Some((ending.owner, until, format!("the certificate in {}", ending.file.display())))
    });
    let mut ends: Vec<(String, Timestamp, String)> = shown.chain(files).collect();
    ends.sort();
    // Of each owner what ends first.
    ends.dedup_by(|later, first| later.0 == first.0);
    for (owner, until, which) in ends.into_iter().filter(|(_, until, _)| until.since(now) <= lookout.limits.certificate)
    {
        let what = format!("{which} {} on {until}", word(until));
        let mend = "put a new one in its place in time; one of ours counts as soon as it is there".to_owned();
        found.push(finding(Condition::Certificate, &owner, urgency(until), what, mend));
    }
    for watched in &lookout.connectors {
        let Some(until) = watched.calendar_until else { continue };
        if until.since(now) <= lookout.limits.calendar {
            let what =
                format!("its calendar {} on {until}: nothing is cut on days that it does not cover", word(until));
            let mend = "add the holidays of the next years to it, and reload the agent".to_owned();
            found.push(finding(Condition::Calendar, &watched.name, urgency(until), what, mend));
        }
    }
}

/// What the running agent meets, and what of the glance has no figure of its own.
fn of_needs(seen: &Seen<'_>, found: &mut Vec<Finding>) {
    let told = seen.overview.needs.iter().filter(|need| need.subject == STATE).chain(seen.needs);
    for need in told {
        let condition = match need.subject.as_str() {
            STATE => Condition::State,
            AUDIT => Condition::Audit,
            log::INTAKE => Condition::Capture,
            subject if seen.sources.iter().any(|source| source.source == subject) => continue,
            subject if seen.overview.logs.iter().any(|log| log.log == subject) => Condition::Capture,
            _ => Condition::Agent,
        };
        // Of one subject the first thing is told; `status` has them all.
        if !found.iter().any(|known| known.condition == condition && known.subject == need.subject) {
            let (what, mend) = (need.what.clone(), need.mend.clone());
            found.push(finding(condition, &need.subject, Severity::Critical, what, mend));
        }
    }
}

fn time(text: &str) -> Option<Timestamp> {
    text.parse().ok().map(Timestamp::from_jiff)
}
