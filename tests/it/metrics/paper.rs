//! The rules, the dashboard and the manual.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::Duration;

use hms_sync::engine::metrics::METRICS;
use hms_sync::format::exposition::{Kind, Metric};
use hms_sync::rules::alert::{Condition, Limits, Pace};
use serde_json::Value;

fn promtool(arguments: &[&str]) -> String {
    let output = Command::new("promtool").args(arguments).output().expect("install the package `prometheus`");
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{arguments:?}: {said}");
    said
}

/// The names of samples that an expression asks for.
fn asked(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    words.filter(|word| word.starts_with("sync_") || word.starts_with("process_")).map(str::to_owned).collect()
}

/// The samples that the catalogue has.
fn known() -> BTreeSet<String> {
    let names = |metric: &&Metric| match metric.kind {
        Kind::Histogram => ["bucket", "sum", "count"].map(|end| format!("{}_{end}", metric.name)).to_vec(),
        Kind::Counter | Kind::Gauge => vec![metric.name.to_owned()],
    };
    METRICS.iter().flat_map(names).collect()
}

#[test]
fn the_alert_rules_are_valid_fire_when_they_should_and_name_only_what_there_is() {
    promtool(&["check", "rules", "docs/monitoring/alerts.yml"]);
    promtool(&["test", "rules", "tests/monitoring/alerts_test.yml"]);
    let text = fs::read_to_string("docs/monitoring/alerts.yml").unwrap();
    let rules: Vec<&str> = text.lines().filter(|line| line.trim_start().starts_with("expr:")).collect();
    assert!(rules.len() > 10);
    for rule in &rules {
        let unknown: Vec<_> = asked(rule).difference(&known()).cloned().collect();
        assert!(unknown.is_empty(), "{rule}: {unknown:?}");
    }
    // Every rule is tried.
    let tried = fs::read_to_string("tests/monitoring/alerts_test.yml").unwrap();
    for name in text.lines().filter_map(|line| line.trim_start().strip_prefix("- alert: ")) {
        assert!(tried.contains(&format!("alertname: {name}\n")), "{name} is not tried");
    }
}

#[test]
fn the_dashboard_is_one_and_names_only_what_there_is() {
    let board: Value = serde_json::from_str(&fs::read_to_string("docs/monitoring/dashboard.json").unwrap()).unwrap();
    let panels = board["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    let mut expressions = Vec::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        for target in panel["targets"].as_array().into_iter().flatten() {
            expressions.push(target["expr"].as_str().unwrap().to_owned());
        }
    }
    for variable in board["templating"]["list"].as_array().unwrap() {
        expressions.extend(variable["query"].as_str().map(str::to_owned));
    }
    assert!(expressions.len() > 12);
    for expression in expressions {
        let unknown: Vec<_> = asked(&expression).difference(&known()).cloned().collect();
        assert!(unknown.is_empty(), "{expression}: {unknown:?}");
    }
}

/// A length of time as the configuration writes it.
fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match (seconds % 86_400, seconds % 60) {
        (0, _) => format!("{}d", seconds / 86_400),
        (_, 0) => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

/// The tables of the manual, as the code says.
fn tables() -> Vec<String> {
    let metric = |metric: &&Metric| {
        let labels = metric.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        format!("| `{}` | {} | {labels} | {} |", metric.name, metric.kind.as_str(), metric.help.trim_end_matches('.'))
    };
    let metrics: Vec<String> = METRICS.iter().map(metric).collect();
    let condition = |(condition, word, what): &(Condition, &str, &str)| {
        let pace = if condition.pace() == Pace::Slow { "weekly, daily in the last week" } else { "1 h, 24 h, daily" };
        format!("| `{word}` | {what} | {pace} |")
    };
    let conditions: Vec<String> = Condition::ALL.iter().map(condition).collect();
    let limits = Limits::default();
    let rows = [
        ("deadLetters", "dead letters of a connector", limits.dead_letters.to_string(), "yes"),
        ("held", "deliveries of a connector that are held", limits.held.to_string(), "yes"),
        ("breakerOpen", "an endpoint is down for so long", span(limits.breaker_open), "yes"),
        ("oldest", "the oldest event waits for so long since it was due", span(limits.oldest), "yes"),
        (
            "noDelivery",
            "a connector has delivered nothing for so long",
            limits.no_delivery.map_or("never".into(), span),
            "yes",
        ),
        ("diskFree", "fewer free bytes, for a warning", format!("{}GB", limits.disk_free / 1_000_000_000), ""),
        ("certificate", "so long before a certificate ends", span(limits.certificate), ""),
        ("calendar", "so long before a calendar ends", span(limits.calendar), ""),
        ("clock", "a target's clock is so far from ours", span(limits.clock), ""),
        ("clear", "it must be well for so long to be over", span(limits.clear), ""),
        ("check", "how often is looked, 1s to 5m", span(limits.check), ""),
    ];
    let limit =
        |(key, what, usual, own): &(&str, &str, String, &str)| format!("| `{key}` | {what} | {usual} | {own} |");
    vec![metrics.join("\n"), conditions.join("\n"), rows.iter().map(limit).collect::<Vec<_>>().join("\n")]
}

#[test]
fn the_manual_has_every_metric_condition_and_default_as_the_code_has_it() {
    let manual = fs::read_to_string("docs/MONITORING.md").unwrap();
    for table in tables() {
        assert!(manual.contains(&table), "docs/MONITORING.md must have:\n{table}");
    }
}
