//! What is looked at rather than read.

use serde_json::Value;

use super::Results;
use super::targets::{list, numbers};
use crate::support::figures::{median, percentile};
use crate::support::plot::{Axis, Panel, Series, draw};

/// Every plot that there are numbers for: file name, content.
pub fn all(results: &Results) -> Vec<(&'static str, String)> {
    [("flight.svg", flight(results)), ("backlog.svg", backlog(results)), ("latency.svg", latency(results))]
        .into_iter()
        .filter_map(|(name, svg)| Some((name, svg?)))
        .collect()
}

fn series(name: impl Into<String>, colour: usize, points: Vec<(f64, f64)>) -> Series {
    Series { name: name.into(), colour, dashed: false, dots: true, points, spread: Vec::new() }
}

fn dashed(name: impl Into<String>, colour: usize, points: Vec<(f64, f64)>) -> Series {
    Series { dashed: true, dots: false, ..series(name, colour, points) }
}

/// Throughput against requests in flight and the target's answer time.
fn flight(results: &Results) -> Option<String> {
    let ways = list(&results.of("flight")["ways"]);
    let drains = list(&results.of("drain")["flights"]);
    if ways.is_empty() {
        return None;
    }
    let mut lines = Vec::new();
    let fast = |side: &str| {
        let mut points: Vec<(f64, f64)> = drains
            .iter()
            .filter_map(|drain| Some((drain["in flight"].as_f64()?, median(&numbers(&drain[side]["events/s"])))))
            .collect();
        points.sort_by(|one, other| one.0.total_cmp(&other.0));
        points
    };
    if !drains.is_empty() {
        lines.push(dashed("bare loop", 3, fast("bare")));
        lines.push(series("answers at once", 0, fast("ours")));
    }
    for (colour, after) in [(2, 20.0), (1, 100.0)] {
        let of: Vec<&Value> = ways.iter().copied().filter(|way| way["answer ms"].as_f64() == Some(after)).collect();
        let at = |value: &dyn Fn(&Value) -> Option<f64>| -> Vec<(f64, f64)> {
            of.iter().filter_map(|way| Some((way["in flight"].as_f64()?, value(way)?))).collect()
        };
        lines.push(dashed("", 3, at(&|way| way["limit"].as_f64())));
        lines.push(series(format!("after {after} ms"), colour, at(&|way| Some(median(&numbers(&way["events/s"]))))));
    }
    let panel = Panel {
        x: Axis::powers("requests in flight", 2.0, 0, 6),
        y: Axis::powers("events/s", 10.0, 0, 5),
        series: lines,
    };
    let said = "Over TLS, by how long the target takes to answer. Dashed: in flight / answer time, and a bare loop.";
    Some(draw("Throughput against requests in flight", said, 130.0, &[panel]))
}

/// Throughput and CPU against backlog.
fn backlog(results: &Results) -> Option<String> {
    let sizes = list(&results.of("backlog")["sizes"]);
    if sizes.len() < 2 {
        return None;
    }
    let panel = |what: &str, name: &'static str| {
        let (mut points, mut spread, mut most) = (Vec::new(), Vec::new(), 0.0_f64);
        for size in &sizes {
            let values = numbers(&size[what]);
            points.push((size["waiting"].as_f64().unwrap_or(1.0), median(&values)));
            spread.push((percentile(&values, 0.0), percentile(&values, 1.0)));
            most = most.max(percentile(&values, 1.0));
        }
        let x = Axis::powers("events waiting", 10.0, 4, if sizes.len() > 2 { 7 } else { 6 });
        Panel { x, y: Axis::up_to(name, most), series: vec![Series { spread, ..series("", 0, points) }] }
    };
    let said =
        "The first 10,000 arrivals, over TLS, 16 in flight. Dots: median; bars: from the lowest to the highest round.";
    let panels = [panel("events/s", "events/s"), panel("cpu us", "CPU, microseconds an event")];
    Some(draw("Cost against backlog", said, 30.0, &panels))
}

/// How long changes take to arrive: which part of them took at most so long.
fn latency(results: &Results) -> Option<String> {
    let latency = results.of("latency");
    let (ours, floors) = (numbers(&latency["ours ms"]), numbers(&latency["floor ms"]));
    if ours.is_empty() || floors.is_empty() {
        return None;
    }
    let most = percentile(&ours, 0.99) * 1.2;
    let curve = |values: &[f64]| -> Vec<(f64, f64)> {
        (0..=100)
            .map(|part| percentile(values, f64::from(part) / 100.0))
            .zip(0..=100)
            .filter_map(|(value, part)| (value <= most).then_some((value, f64::from(part))))
            .collect()
    };
    let name = |name: &str, values: &[f64]| format!("{name}, p50 {:.1} ms", percentile(values, 0.5));
    let smooth = |line: Series| Series { dots: false, ..line };
    let panel = Panel {
        x: Axis::up_to("milliseconds from the application's commit to the request at the target", most),
        y: Axis { to: 100.0, ticks: vec![0.0, 25.0, 50.0, 75.0, 100.0], ..Axis::up_to("% of the changes", 100.0) },
        series: vec![
            dashed(name("floor", &floors), 3, curve(&floors)),
            smooth(series(name("HMS-SYNC", &ours), 0, curve(&ours))),
        ],
    };
    let said =
        "20 changes a second, over TLS. Floor: one sync of the application's log, one durable commit, one raw request.";
    Some(draw("From commit to arrival", said, 110.0, &[panel]))
}
