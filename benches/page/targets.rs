//! Each target, what was measured, and whether it is held.

use serde_json::Value;

use super::Results;
use crate::support::figures::{median, percentile};

/// A row of the table.
#[derive(Default)]
pub struct Target {
    pub number: &'static str,
    pub wanted: &'static str,
    pub measured: String,
    pub floor: String,
    /// None = not measured, or not whole.
    pub held: Option<bool>,
    /// What measures it.
    pub bench: &'static str,
    /// What the short table calls it; empty = it is not in it.
    pub short: &'static str,
}

/// The members of a list; none when it is not one.
pub fn list(value: &Value) -> Vec<&Value> {
    value.as_array().map(|values| values.iter().collect()).unwrap_or_default()
}

/// The numbers of a list.
pub fn numbers(value: &Value) -> Vec<f64> {
    list(value).into_iter().filter_map(Value::as_f64).collect()
}

/// All of them, in order of their numbers.
pub fn all(results: &Results) -> Vec<Target> {
    let mut targets = Vec::new();
    for (target, measure) in TARGETS {
        let (number, bench, wanted, short) = *target;
        let measured = measure(results.of(bench));
        let (measured, floor, held) = measured.unwrap_or_else(|| ("not measured".to_owned(), String::new(), None));
        targets.push(Target { number, wanted, measured, floor, held, bench, short });
    }
    targets
}

/// What was measured, its floor, and whether that is enough.
type Measured = Option<(String, String, Option<bool>)>;

/// Number, bench, what is wanted, name in the short table; and how it is read from the bench's numbers.
type Row = ((&'static str, &'static str, &'static str, &'static str), fn(&Value) -> Measured);

const TARGETS: &[Row] = &[
    (
        (
            "P1",
            "drain",
            "drain, HTTPS, one event a request, 16 in flight, one shared core: at least 0.85 × a bare loop",
            "drain over https, 16 in flight; mapping, gate, order and attempt log on",
        ),
        |drain| rate(drain, 0.85),
    ),
    (("P1", "drain --cores apart", "the same with cores apart: at least 0.75 × bare", ""), |drain| rate(drain, 0.75)),
    (("P2", "drain", "CPU for the same: at most 1.6 × bare", ""), |drain| {
        let (way, ratio) = sixteen(drain, "cpu of bare")?;
        let cpu = |side: &str| median(&numbers(&way[side]["cpu s/100k"]));
        Some((
            format!("{:.2} s per 100,000 events, {ratio:.2} × bare", cpu("ours")),
            format!("{:.2} s", cpu("bare")),
            Some(ratio <= 1.6),
        ))
    }),
    (
        (
            "P3",
            "batches",
            "drain, 100 events a request: at least 0.9 × bare with the same batch",
            "the same with 100 events a request",
        ),
        |drain| rate(drain, 0.9),
    ),
    (
        (
            "P4",
            "flight",
            "behind 20 and 100 ms answers, 1 to 64 in flight: at least 0.95 × in flight / answer time",
            "behind a slow target, 1 to 64 in flight",
        ),
        |flight| {
            let ways = list(&flight["ways"]);
            let ratio = |way: &&Value| way["of limit"].as_f64();
            let worst = ways
                .iter()
                .copied()
                .min_by(|one, other| ratio(one).unwrap_or(0.0).total_cmp(&ratio(other).unwrap_or(0.0)))?;
            let best = ways.iter().filter_map(ratio).fold(0.0, f64::max);
            let least = ratio(&worst)?;
            let measured = format!(
                "{least:.3} ({} ms, {} in flight) to {best:.3} × the limit",
                worst["answer ms"], worst["in flight"]
            );
            Some((measured, "in flight / answer time".to_owned(), Some(least >= 0.95)))
        },
    ),
    (
        (
            "P5",
            "latency",
            "commit to arrival, 20 a second, HTTPS: p50 at most 1.5 × its floor, p99 at most 10 ms",
            "commit to arrival over https, 20 a second",
        ),
        |latency| {
            let (ours, floors) = (numbers(&latency["ours ms"]), numbers(&latency["floor ms"]));
            if ours.is_empty() || floors.is_empty() {
                return None;
            }
            let (half, nearly) = (percentile(&ours, 0.5), percentile(&ours, 0.99));
            let floor = percentile(&floors, 0.5);
            Some((
                format!("p50 {half:.2} ms ({:.2} × floor), p99 {nearly:.1} ms", half / floor),
                format!("p50 {floor:.2} ms: one log sync, one state commit, one raw request"),
                Some(half <= floor * 1.5 && nearly <= 10.0),
            ))
        },
    ),
    (
        (
            "P6",
            "capture",
            "capture: at most 1.5 × the time of a plain JSON trigger in batches, 1.1 × no trigger for one-row FULL commits",
            "capture: insert, update, delete in batches; one-row FULL commits",
        ),
        |capture| {
            let of = |work: &str, what: &str| capture[work][what].as_f64();
            let batches = ["insert, in batches", "update, in batches", "delete, in batches"];
            let batches: Vec<f64> = batches.iter().filter_map(|work| of(work, "time of plain")).collect();
            let [insert, update, delete] = batches[..] else { return None };
            let commits = of("one-row FULL commits", "time of none")?;
            Some((
                format!("{insert:.2}, {update:.2}, {delete:.2} × plain JSON trigger; {commits:.2} × no trigger"),
                "a plain JSON trigger; no trigger".to_owned(),
                Some(batches.iter().all(|ratio| *ratio <= 1.5) && commits <= 1.1),
            ))
        },
    ),
    (
        (
            "P7",
            "beside",
            "an application beside a full-rate drain: p99 of its commits at most 1.2 × alone, at most 1 in 100,000 refused",
            "an application's commits beside a full-rate drain",
        ),
        |beside| {
            let (own, free) = (&beside["WAL, a core of its own"], &beside["WAL, cores free"]);
            let ratio = |met: &Value| met["p99 of alone"].as_f64();
            let refused = |met: &Value| met["refused in 100,000"].as_f64();
            let (own, free, refused) = (ratio(own)?, ratio(free)?, refused(own)?.max(refused(free)?));
            let measured = format!(
                "p99 {own:.2} × alone (a core of its own), {free:.2} × (cores free); {refused:.1} in 100,000 refused"
            );
            Some((
                measured,
                "the same commits without the agent".to_owned(),
                Some(own.max(free) <= 1.2 && refused <= 1.0),
            ))
        },
    ),
    (
        (
            "P8",
            "memory",
            "peak memory with 1,000,000 waiting: 16 MB, with TLS and 64 in flight 24 MB; the same with 10,000,000",
            "peak memory with a large backlog",
        ),
        |memory| {
            let ways = list(&memory["ways"]);
            let mut parts = Vec::new();
            let mut held = true;
            for way in &ways {
                let (peak, most) = (way["peak MB"].as_f64()?, way["at most MB"].as_f64()?);
                held &= peak <= most;
                let tls = if way["tls"] == true { "HTTPS, 64" } else { "HTTP, 4" };
                parts.push(format!("{tls} in flight, {} waiting: {peak:.1} MB", thousands(way["waiting"].as_f64()?)));
            }
            let few: Vec<String> = ways
                .iter()
                .filter_map(|way| Some(format!("{:.1}", way["peak MB with 10000 waiting"].as_f64()?)))
                .collect();
            let floor = format!("{} MB with 10,000 waiting", dedup(few).join(" and "));
            (!parts.is_empty()).then(|| (parts.join("; "), floor, Some(held)))
        },
    ),
    (
        (
            "P9",
            "backlog",
            "throughput with the largest backlog within 10 % of that with 10,000; a delivery costs the same with 20 connectors",
            "cost against backlog",
        ),
        |backlog| {
            let sizes = list(&backlog["sizes"]);
            let mut parts = Vec::new();
            let mut held = true;
            for size in sizes.iter().skip(1) {
                let ratio = size["rate of smallest"].as_f64()?;
                held &= ratio >= 0.9;
                parts.push(format!("{} waiting: {ratio:.2} × the rate", thousands(size["waiting"].as_f64()?)));
            }
            let several = *list(&backlog["connectors"]).last()?;
            let cost = several["cpu of one"].as_f64()?;
            parts.push(format!("{} connectors: {cost:.2} × the CPU of a delivery", several["connectors"]));
            let floor = sizes.first().map(|size| thousands(median(&numbers(&size["events/s"]))))?;
            Some((parts.join("; "), format!("{floor}/s with 10,000 waiting"), Some(held && cost <= 1.1)))
        },
    ),
    (("P10", "idle", "idle with 10 connectors: at most 0.05 % of a core", "idle, 10 connectors"), |idle| {
        let part = idle["idle % of a core"].as_f64()?;
        let memory = idle["idle peak MB"].as_f64()?;
        Some((format!("{part:.3} % of a core, {memory:.0} MB"), String::new(), Some(part <= 0.05)))
    }),
    (
        (
            "P11",
            "start",
            "start to first request with 1,000,000 waiting: 50 ms; binary (profile small) at most 12 MB",
            "start to first request, 1,000,000 waiting",
        ),
        |start| {
            let last = *list(&start["starts"]).last()?;
            let took = last["median ms"].as_f64()?;
            let small = start["small MB"].as_f64();
            let release = start["release MB"].as_f64()?;
            let size = small.map_or_else(
                || format!("binary {release:.1} MB (profile release)"),
                |small| format!("binary {small:.1} MB ({release:.1} MB as released)"),
            );
            let floor = format!("{:.0} ms to say its version", median(&numbers(&start["version ms"])));
            Some((format!("{took:.0} ms; {size}"), floor, Some(took <= 50.0 && small.unwrap_or(release) <= 12.0)))
        },
    ),
    (
        (
            "P12",
            "faults",
            "2 % of the answers 503, 5 ms answers, 20 records, 16 in flight: at least 600 events/s, 0 lost, 0 out of order",
            "2 % of the answers are 503, 20 records in rotation",
        ),
        |faults| {
            let rate = median(&some(numbers(&faults["events/s"]))?);
            let (lost, wrong) = (faults["lost"].as_u64()?, faults["out of order"].as_u64()?);
            let floor = format!("{:.0}/s with a second's pause after each", faults["limit"].as_f64()?);
            let held = rate >= 600.0 && lost == 0 && wrong == 0;
            Some((format!("{rate:.0} events/s, {lost} lost, {wrong} out of order"), floor, Some(held)))
        },
    ),
    (
        (
            "P13",
            "outage",
            "an outage while 1,000,000 events come in: no writes an event by us, at most 4 probes a minute",
            "an outage",
        ),
        |outage| {
            let (calls, bytes) = (outage["write calls an event"].as_f64()?, outage["bytes an event"].as_f64()?);
            let (probes, seconds) = (outage["probes"].as_f64()?, outage["seconds"].as_f64()?);
            let a_minute = outage["probes a minute"].as_f64();
            // The rows of a probe are there with and without events. A write call for a thousand events is noise.
            let rows = numbers(&outage["queue rows"]).last().copied()?;
            let held = calls < 0.001 && a_minute.is_none_or(|probes| probes <= 4.0);
            let events = outage["events"].as_f64()?;
            Some((
                format!(
                    "{bytes:.1} bytes in {calls:.4} write calls an event ({rows:.0} rows of the queue for {} events); \
                     {probes:.0} probes in the first {seconds:.0} s",
                    thousands(events)
                ),
                "the same outage without events".to_owned(),
                Some(held),
            ))
        },
    ),
    (
        (
            "P14",
            "posting",
            "posted events, each durable before its answer, 32 clients: at least 5,000 a second",
            "posted events, each durable before its answer",
        ),
        |posting| {
            let rate = |side: &str| median(&numbers(&posting[side]["events/s"]));
            let ours = median(&some(numbers(&posting["ours"]["events/s"]))?);
            let slow = median(&numbers(&posting["ours"]["p99 ms"]));
            let floor = format!(
                "{}/s inserted by hand, 32 a commit; {}/s answered without storing",
                thousands(rate("insert")),
                thousands(rate("http"))
            );
            Some((format!("{} events/s, p99 {slow:.1} ms", thousands(ours)), floor, Some(ours >= 5000.0)))
        },
    ),
    (
        (
            "P15",
            "audit",
            "the audit in all (recorded, chained, proved again, sealed): at most 8 % of a drain's processor time",
            "",
        ),
        |audit| {
            let (all, drain) = (audit["all us"].as_f64()?, audit["drain us"].as_f64()?);
            let chained = median(&some(numbers(&audit["us an event"]["chained"]))?);
            let (proved, sealed) = (audit["us proved"].as_f64()?, audit["us sealed"].as_f64()?);
            let share = all / drain;
            Some((
                format!(
                    "{:.1} %: {all:.2} µs an event ({chained:.2} recorded, {proved:.2} proved, {sealed:.2} sealed)",
                    share * 100.0
                ),
                format!("{drain:.1} µs an event of a drain"),
                Some(share <= 0.08),
            ))
        },
    ),
    (("P16", "audit", "`audit verify`: at least 500,000 records a second", ""), |audit| {
        let rates = audit["records/s"].as_object()?;
        let rates: Vec<(&String, f64)> = rates.iter().map(|(what, rates)| (what, median(&numbers(rates)))).collect();
        let least = rates.iter().map(|(_, rate)| *rate).fold(f64::INFINITY, f64::min);
        let words: Vec<String> = rates.iter().map(|(what, rate)| format!("{what} {}/s", thousands(*rate))).collect();
        Some((words.join(", "), String::new(), Some(least >= 500_000.0)))
    }),
    (
        (
            "P17",
            "tracking",
            "`status TYPE KEY` with 10,000,000 events in the log, each with its attempt: 100 ms",
            "one record among 10,000,000 events",
        ),
        |tracking| {
            let sizes = list(&tracking["sizes"]);
            let (few, many) = (sizes.first()?, sizes.last()?);
            let took = some(numbers(&many["ms"]))?;
            let slowest = took.iter().copied().fold(0.0, f64::max);
            let events = thousands(many["events"].as_f64()?);
            let floor =
                format!("{:.0} ms with {} events", median(&numbers(&few["ms"])), thousands(few["events"].as_f64()?));
            let measured = format!("{:.0} ms, slowest {slowest:.0} ms ({events} events)", median(&took));
            Some((measured, floor, Some(slowest <= 100.0)))
        },
    ),
    (
        (
            "F1",
            "records",
            "1,000,000 records of 200 bytes, packed and zoned fields, to EBCDIC on one core: at least 250 MB/s",
            "fixed records, packed and zoned, to EBCDIC",
        ),
        |records| {
            let (encode, table) = (records["encode MB/s"].as_f64()?, records["table MB/s"].as_f64()?);
            let ratio = records["of table"].as_f64()?;
            Some((
                format!("{encode:.0} MB/s, {ratio:.2} × the floor"),
                format!("{table:.0} MB/s: each byte through a table"),
                Some(encode >= 250.0),
            ))
        },
    ),
    (
        (
            "F2",
            "drops",
            "a file of 1,000,000 records, from the changes to the published file: under 64 MB of memory",
            "peak memory with a file of 1,000,000 records",
        ),
        |drops| {
            let (peak, few) = (drops["peak MB"].as_f64()?, drops["peak MB with 10000"].as_f64()?);
            let seconds = drops["seconds"].as_f64()?;
            Some((
                format!("{peak:.1} MB, in {seconds:.0} s"),
                format!("{few:.1} MB with 10,000 records"),
                Some(peak < 64.0),
            ))
        },
    ),
    (
        ("F3", "sftp", "SFTP upload to a server on the machine: at least 0.9 × OpenSSH's `sftp`", "SFTP upload"),
        |sftp| {
            let rate = |side: &str| median(&numbers(&sftp[side]));
            let (ours, floor) = (median(&some(numbers(&sftp["MB/s"]))?), rate("floor MB/s"));
            let ratio = sftp["ratio"].as_f64()?;
            Some((
                format!("{ours:.0} MB/s, {ratio:.2} × the floor"),
                format!("{floor:.0} MB/s: OpenSSH's `sftp`, the same file, server and key by turns"),
                Some(ratio >= 0.9),
            ))
        },
    ),
    (("D31", "instructions", "map, gate and encode an event of 12 fields: at most 2 µs", ""), |pure| {
        let took = pure["median us"].as_f64()?;
        let count = |what: &str| {
            pure[what].as_f64().map_or_else(String::new, |count| format!(", {} instructions", thousands(count)))
        };
        let hand = median(&some(numbers(&pure["by hand us"]))?);
        Some((
            format!("{took:.2} µs{}", count("instructions")),
            format!("{hand:.2} µs{} by hand", count("by hand instructions")),
            Some(took <= 2.0),
        ))
    }),
    (("D31", "instructions", "the same through a preset with a template: at most 30 µs", ""), |pure| {
        let presets = pure["presets us"].as_object()?;
        let each: Vec<(&str, f64)> =
            presets.iter().filter_map(|(name, took)| Some((name.as_str(), took.as_f64()?))).collect();
        let most = each.iter().map(|(_, took)| *took).fold(0.0, f64::max);
        let shown: Vec<String> = each.iter().map(|(name, took)| format!("{name} {took:.1} µs")).collect();
        Some((shown.join(", "), String::new(), Some(most <= 30.0)))
    }),
];

/// The rate of a drain with 16 in flight.
fn rate(drain: &Value, wanted: f64) -> Measured {
    let (way, ratio) = sixteen(drain, "rate of bare")?;
    let rate = |side: &str| thousands(median(&numbers(&way[side]["events/s"])));
    let floor = format!("{}/s: a bare loop without any of these", rate("bare"));
    Some((format!("{} events/s, {ratio:.2} × bare", rate("ours")), floor, Some(ratio >= wanted)))
}

/// The drain with 16 in flight, and one of its ratios.
fn sixteen<'v>(drain: &'v Value, ratio: &str) -> Option<(&'v Value, f64)> {
    let way = list(&drain["flights"]).into_iter().find(|way| way["in flight"] == 16)?;
    Some((way, way[ratio].as_f64()?))
}

fn some(values: Vec<f64>) -> Option<Vec<f64>> {
    (!values.is_empty()).then_some(values)
}

fn dedup(mut values: Vec<String>) -> Vec<String> {
    values.dedup();
    values
}

/// A whole number with commas.
fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
