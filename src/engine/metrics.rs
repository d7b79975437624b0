//! `GET /metrics`: figures, read where they are kept. No key and no value of a record, and no more figures than a metric may
//! have.

mod catalogue;

use std::collections::BTreeMap;

use crate::clock::{Timestamp, now};
use crate::engine::alarm::overdue;
use crate::engine::inflow::InflowStatus;
use crate::engine::lookout::Lookout;
use crate::engine::meter;
use crate::engine::overview::Overview;
use crate::engine::pull::pulled;
use crate::engine::report::ConnectorStatus;
use crate::format::exposition::{Family, Figure, Metric};
use crate::store::state::counter::{self, Counter, Series};
use crate::store::state::{StateError, StateReader, alert, conflict, connector, intake, log as logs};
use catalogue::*;

pub use catalogue::METRICS;

/// Most figures of one metric; what is more is left out, and counted.
pub const MOST: usize = 2000;

/// Ticks of a second in which the kernel counts processor time.
const TICKS: f64 = 100.0;

/// Modes of a connector that has run.
const MODES: [&str; 4] = ["running", "paused", "halted", "overflowed"];

/// What is told of.
#[derive(Debug)]
pub struct Parts<'a> {
    /// Everything at a glance.
    pub overview: &'a Overview,
    /// The event sources.
    pub sources: &'a [InflowStatus],
    /// Open alerts: how many of each condition.
    pub alerts: BTreeMap<&'static str, usize>,
    /// The state file.
    pub state: &'a mut StateReader,
    /// What is looked at beside the files.
    pub lookout: &'a Lookout,
}

/// Every metric with its figures.
///
/// # Errors
/// The state file cannot be read.
pub fn metrics(parts: Parts<'_>) -> Result<Vec<Family>, StateError> {
    let Parts { overview, sources, alerts, state, lookout } = parts;
    let mut sheet = Sheet::default();
    let known = state.read(connector::all)?;
    for status in &overview.connectors {
        let name = &status.connector;
        of_connector(&mut sheet, status, lookout);
        let Some(known) = known.iter().find(|known| known.name == *name) else { continue };
        let sums = state.read(|db| {
            let sum = |counter| counter::get(db, known.id, counter);
            let outcomes = [
                ("dead", sum(Counter::Dead)?),
                ("held", sum(Counter::Held)?),
                ("delivered", status.delivered),
                ("skipped", status.skipped),
                ("discarded", status.discarded),
            ];
            let attempts = counter::series(db, known.id, Series::Attempts)?;
            let denied = counter::series(db, known.id, Series::Denied)?;
            Ok((outcomes, attempts, denied, sum(Counter::Records)?, alert::certificate(db, name)?))
        })?;
        let (outcomes, attempts, denied, records, seen) = sums;
        for (outcome, n) in outcomes {
            sheet.count(&EVENTS, &[name, "outbound", outcome], n);
        }
        attempts.iter().for_each(|(class, n)| sheet.count(&ATTEMPTS, &[name, class], *n));
        denied.iter().for_each(|(rule, n)| sheet.count(&DENIED, &[name, rule], *n));
        if lookout.watched(name).map_or(records > 0, |watched| watched.drop) {
            sheet.count(&RECORDS, &[name], records);
        }
        if let Some(until) = certificate_of(lookout, name, seen.map(Timestamp)) {
            sheet.level(&CERTIFICATE, &[name], seconds(until));
        }
    }
    for drop in &overview.drops {
        if let Some(at) = drop.last_published.as_deref().and_then(time) {
            sheet.level(&FILE_SUCCESS, &[&drop.drop], seconds(at));
        }
        drop.files.iter().for_each(|(state, n)| sheet.level(&FILES, &[&drop.drop, state], *n as f64));
        let date = drop.last_date.as_ref().and_then(|date| time(&format!("{date}T00:00:00Z")));
        if let Some(date) = date {
            sheet.level(&FILE_DATE, &[&drop.drop], seconds(date));
        }
        let next = overview.connectors.iter().find(|status| status.connector == drop.drop);
        if let Some(next) = next.and_then(|status| status.next_run.as_deref()).and_then(time) {
            sheet.level(&NEXT_CUT, &[&drop.drop], seconds(next));
        }
        let troubles = [
            ("held", drop.stuck),
            ("unverified", drop.unverified),
            ("late", u64::from(drop.late.is_some())),
            ("overdue", drop.overdue),
            ("put_aside", drop.quarantined),
            ("rejected", drop.rejected),
        ];
        troubles.iter().for_each(|(kind, n)| sheet.level(&FILE_TROUBLE, &[&drop.drop, kind], *n as f64));
    }
    for (name, shown) in lookout.shown() {
        if let Some(ahead) = shown.ahead_ms {
            sheet.level(&SKEW, &[name], ahead as f64 / 1000.0);
        }
    }
    for known in &overview.connectors {
        let shows = lookout.shown().any(|(name, shown)| name == known.connector && shown.ahead_ms.is_some());
        if let Some(ahead) = known.pull.as_ref().and_then(|pull| pull.skew).filter(|_| !shows) {
            sheet.level(&SKEW, &[&known.connector], ahead as f64 / 1000.0);
        }
    }
    for log in &overview.logs {
        sheet.count(&CAPTURED, &[&log.log], u64::try_from(log.captured).unwrap_or(0));
    }
    sheet.count(&CAPTURED, &[logs::INTAKE], u64::try_from(state.read(intake::highest)?).unwrap_or(0));
    for source in sources {
        for (outcome, n) in
            [("received", source.received), ("duplicate", source.duplicates), ("rejected", source.rejected)]
        {
            sheet.count(&EVENTS, &[&source.source, "inbound", outcome], n);
        }
    }
    for known in state.read(connector::all)? {
        for (outcome, n) in state.read(|db| pulled(db, &known))? {
            sheet.count(&EVENTS, &[&known.name, "inbound", &outcome], n);
        }
    }
    for ([table, field, winner], n) in state.read(conflict::count)? {
        sheet.count(&CONFLICTS, &[&table, &field, &winner], n);
    }
    captured(&mut sheet, overview, lookout);
    alerts.iter().for_each(|(condition, n)| sheet.level(&ALERTS, &[condition], *n as f64));
    if let Some(free) = lookout.disks().iter().map(|disk| disk.free).min() {
        sheet.level(&FREE, &[], free as f64);
    }
    let (buckets, sum) = meter::deliveries();
    sheet.put(&DELIVERY, &[], Figure::Spread { buckets, sum });
    sheet.level(&BUILD, &[env!("CARGO_PKG_VERSION"), &lookout.office], 1.0);
    process(&mut sheet);
    Ok(sheet.families())
}

fn of_connector(sheet: &mut Sheet, status: &ConnectorStatus, lookout: &Lookout) {
    let name = &status.connector;
    let queued = u64::try_from(status.queued).unwrap_or(0);
    sheet.level(&PENDING, &[name], (queued + status.waiting + status.behind + status.held) as f64);
    let ages = [status.oldest.as_deref().and_then(time), status.oldest_waiting, status.oldest_held];
    let oldest = ages.into_iter().flatten().min();
    sheet.level(&OLDEST, &[name], oldest.map_or(0.0, |at| now().since(at).as_secs_f64()));
    // A schedule's next time may still be to come: then it is not overdue at all.
    let due = overdue(status, lookout);
    sheet.level(&OVERDUE, &[name], due.map_or(0.0, |at| now().since(at).as_secs_f64()));
    sheet.level(&DEAD, &[name], status.dead as f64);
    sheet.level(&HELD, &[name], status.held as f64);
    sheet.level(&BREAKER, &[name], f64::from(u8::from(status.down_since.is_some())));
    for mode in MODES.into_iter().filter(|_| status.configured) {
        sheet.level(&MODE, &[name, mode], f64::from(u8::from(mode == status.mode)));
    }
}

/// When the first certificate of a connector ends; `noted` is what its target has shown before this start.
pub fn certificate_of(lookout: &Lookout, name: &str, noted: Option<Timestamp>) -> Option<Timestamp> {
    let shown = lookout.watched(name).and_then(|watched| watched.adapter.as_ref()?.shown().certificate_until);
    let files =
        lookout.endings().into_iter().filter(|ending| ending.owner == name).filter_map(|ending| ending.until.ok());
    shown.or(noted).into_iter().chain(files).min()
}

/// Whether each table is captured: those of the configuration, and those that the file says.
fn captured(sheet: &mut Sheet, overview: &Overview, lookout: &Lookout) {
    let mut tables: BTreeMap<(String, String), bool> =
        lookout.tables.iter().cloned().map(|table| (table, false)).collect();
    for log in &overview.logs {
        for table in &log.tables {
            let wrong = log.wrong.iter().any(|wrong| wrong == table);
            tables.insert((log.log.clone(), table.clone()), !wrong && !log.full);
        }
    }
    for ((log, table), fine) in tables {
        let name = if lookout.several { format!("{log}.{table}") } else { table };
        sheet.level(&CAPTURE, &[&name], f64::from(u8::from(fine)));
    }
}

/// The process itself, as the kernel tells.
fn process(sheet: &mut Sheet) {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
    let status = read("status");
    let kib =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.iter().for_each(|kib| sheet.level(&RSS, &[], (kib * 1024) as f64));
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        sheet.level(&FDS, &[], open.count() as f64);
    }
    // What stands behind the name of the process, which may hold anything: the 12th and 13th word.
    let stat = read("stat");
    let words: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |at: usize| words.get(at).and_then(|word| word.parse::<u64>().ok());
    if let Some((user, system)) = ticks(11).zip(ticks(12)) {
        sheet.put(&CPU, &[], Figure::Amount((user + system) as f64 / TICKS));
    }
}

/// A time of the overview.
pub(super) fn time(text: &str) -> Option<Timestamp> {
    text.parse().ok().map(Timestamp::from_jiff)
}

fn seconds(at: Timestamp) -> f64 {
    at.0 as f64 / 1000.0
}

/// The figures as they come, by metric.
#[derive(Default)]
struct Sheet {
    samples: BTreeMap<&'static str, Vec<(Vec<String>, Figure)>>,
    omitted: usize,
}

impl Sheet {
    fn put(&mut self, metric: &'static Metric, labels: &[&str], figure: Figure) {
        let samples = self.samples.entry(metric.name).or_default();
        if samples.len() < MOST {
            samples.push((labels.iter().map(ToString::to_string).collect(), figure));
        } else {
            self.omitted += 1;
        }
    }

    fn count(&mut self, metric: &'static Metric, labels: &[&str], n: u64) {
        self.put(metric, labels, Figure::Count(n));
    }

    fn level(&mut self, metric: &'static Metric, labels: &[&str], level: f64) {
        self.put(metric, labels, Figure::Level(level));
    }

    fn families(mut self) -> Vec<Family> {
        self.level(&OMITTED, &[], self.omitted as f64);
        let family =
            |metric: &&'static Metric| Family { metric, samples: self.samples.remove(metric.name).unwrap_or_default() };
        METRICS.iter().map(family).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_connectors_do_not_become_ten_thousand_figures() {
        let mut sheet = Sheet::default();
        for n in 0..10_000 {
            sheet.level(&DEAD, &[&n.to_string()], 1.0);
        }
        let families = sheet.families();
        let of = |name: &str| families.iter().find(|family| family.metric.name == name);
        assert_eq!(of("sync_dead_letters").map(|family| family.samples.len()), Some(MOST));
        assert_eq!(of("sync_metrics_omitted").map(|family| &family.samples[0].1), Some(&Figure::Level(8000.0)));
    }
}
