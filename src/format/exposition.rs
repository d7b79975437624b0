//! Figures as text for whoever scrapes them: OpenMetrics 1.0, and the Prometheus text format 0.0.4 for who does not ask
//! for it.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

/// `Content-Type` of OpenMetrics.
pub const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// `Content-Type` of the older format.
pub const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What counters end in.
const TOTAL: &str = "_total";

/// How a metric moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// How many were how large.
    Histogram,
}

impl Kind {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// A metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name, with `_total` where it is a counter.
    pub name: &'static str,
    /// How it moves.
    pub kind: Kind,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it says, one sentence.
    pub help: &'static str,
}

/// A figure.
#[derive(Clone, Debug, PartialEq)]
pub enum Figure {
    /// Of a counter.
    Count(u64),
    /// Of a counter of something that has parts, like seconds.
    Amount(f64),
    /// Of a gauge.
    Level(f64),
    /// Of a histogram: the upper ends of the buckets with how many fell into each (the last one takes all the rest), and the
    /// sum of all.
    Spread {
        /// Upper end and count of each bucket; the last end counts as infinite.
        buckets: Vec<(f64, u64)>,
        /// Sum.
        sum: f64,
    },
}

/// A metric with its figures: the values of the labels in the order of their names.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// Which.
    pub metric: &'static Metric,
    /// Its figures.
    pub samples: Vec<(Vec<String>, Figure)>,
}

/// The figures as OpenMetrics.
///
/// # Errors
/// None that can happen: a text takes what is written to it.
pub fn openmetrics(families: &Arc<Vec<Family>>) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Shown(families.clone())));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}

/// The same in the older format: counters are called as their samples are, units are not told, and the end is not marked.
pub fn prometheus(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len() + 1024);
    let mut help: Option<(&str, &str)> = None;
    for line in openmetrics.lines() {
        if let Some((name, words)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            help = Some((name, words));
            continue;
        }
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let end = if kind == Kind::Counter.as_str() { TOTAL } else { "" };
            if let Some((_, words)) = help.take().filter(|(of, _)| *of == name) {
                text.push_str(&format!("# HELP {name}{end} {words}\n"));
            }
            text.push_str(&format!("# TYPE {name}{end} {kind}\n"));
            continue;
        }
        if line == "# EOF" || line.starts_with("# UNIT ") {
            continue;
        }
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// The families, as the encoder wants to be shown them.
#[derive(Debug)]
struct Shown(Arc<Vec<Family>>);

impl Collector for Shown {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for Family { metric, samples } in self.0.iter() {
            let kind = match metric.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
            };
            let name = metric.name.strip_suffix(TOTAL).unwrap_or(metric.name);
            let mut family = encoder.encode_descriptor(name, metric.help, None, kind)?;
            for (values, figure) in samples {
                if metric.labels.is_empty() {
                    put(&mut family, figure)?;
                } else {
                    let labels: Vec<(String, String)> =
                        metric.labels.iter().map(ToString::to_string).zip(values.iter().cloned()).collect();
                    put(&mut family.encode_family(&labels)?, figure)?;
                }
            }
        }
        Ok(())
    }
}

fn put(encoder: &mut MetricEncoder<'_>, figure: &Figure) -> Result<(), fmt::Error> {
    match figure {
        Figure::Count(n) => encoder.encode_counter::<NoLabelSet, u64, u64>(n, None),
        Figure::Amount(amount) => encoder.encode_counter::<NoLabelSet, f64, u64>(amount, None),
        Figure::Level(level) => encoder.encode_gauge(level),
        Figure::Spread { buckets, sum } => {
            let mut ends = buckets.clone();
            if let Some((end, _)) = ends.last_mut() {
                *end = f64::INFINITY;
            }
            let count = buckets.iter().map(|(_, n)| n).sum();
            encoder.encode_histogram::<NoLabelSet>(*sum, count, &ends, None)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const EVENTS: Metric =
        Metric { name: "sync_events_total", kind: Kind::Counter, labels: &["connector"], help: "Events." };
    const FREE: Metric = Metric { name: "sync_free_bytes", kind: Kind::Gauge, labels: &[], help: "Room." };
    const TOOK: Metric = Metric { name: "sync_took_seconds", kind: Kind::Histogram, labels: &[], help: "Time." };
    const NONE: Metric = Metric { name: "sync_none_total", kind: Kind::Counter, labels: &["x"], help: "Nothing." };

    fn families() -> Arc<Vec<Family>> {
        let spread = Figure::Spread { buckets: vec![(0.5, 2), (1.0, 0), (f64::INFINITY, 1)], sum: 7.5 };
        Arc::new(vec![
            Family { metric: &EVENTS, samples: vec![(vec!["a\"b\\c\nd".to_owned()], Figure::Count(3))] },
            Family { metric: &FREE, samples: vec![(Vec::new(), Figure::Level(1.5))] },
            Family { metric: &TOOK, samples: vec![(Vec::new(), spread)] },
            Family { metric: &NONE, samples: Vec::new() },
        ])
    }

    #[test]
    fn both_formats_call_a_counter_as_they_must_and_no_label_breaks_a_line() {
        let text = openmetrics(&families()).unwrap();
        for line in [
            "# HELP sync_events Events.",
            "# TYPE sync_events counter",
            r#"sync_events_total{connector="a\"b\\c\nd"} 3"#,
            "sync_free_bytes 1.5",
            r#"sync_took_seconds_bucket{le="0.5"} 2"#,
            r#"sync_took_seconds_bucket{le="1.0"} 2"#,
            r#"sync_took_seconds_bucket{le="+Inf"} 3"#,
            "sync_took_seconds_count 3",
            "sync_took_seconds_sum 7.5",
        ] {
            assert!(text.lines().any(|known| known == line), "{line}: {text}");
        }
        assert!(text.ends_with("# EOF\n"));
        let older = prometheus(&text);
        assert!(older.contains("# HELP sync_events_total Events.\n# TYPE sync_events_total counter\n"), "{older}");
        assert!(older.contains("# TYPE sync_free_bytes gauge\n") && !older.contains("EOF"));
        let samples =
            |text: &str| text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(samples(&older), samples(&text));
    }
}
