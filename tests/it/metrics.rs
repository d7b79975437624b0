//! Figures: every metric of the catalogue, valid for Prometheus in both formats, bounded, without a value of a record; the rules and
//! the dashboard name no other ones, and the documentation is as the code says.

mod paper;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use hms_sync::engine::metrics::METRICS;

use crate::support::journal::committed;
use crate::support::loopback::{Answer, Way};
use crate::support::office::{Office, THREE, wait};
use crate::support::receiver::Receiver;
use crate::support::scenario::Scenario;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0";

/// The samples of a text: name with labels, and value.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse::<f64>().unwrap())
    };
    text.lines().filter(|line| !line.starts_with('#')).map(sample).collect()
}

fn text(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    String::from_utf8(answer.body.clone()).unwrap()
}

/// What promtool says of a text.
fn lint(text: &str) -> String {
    let mut tool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("install the package `prometheus`, or use tests/run, which does");
    tool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = tool.wait_with_output().unwrap();
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
        + if output.status.success() { "" } else { "failed" }
}

/// An office with everything that has figures: a dead letter, a refusal of the gate, a drop that published, a name that is hard
/// to write.
fn office(target: &Receiver) -> Office {
    target.meet(|entry| (entry.path == "/visits/2").then(|| Scenario::named("status_422")));
    let office = Office::visits();
    office.settings("visits: {}");
    office.add_settings("governance: {classify: {visits: {name: phi}}, default: public}");
    office.rest("legacy", target, "allow: [phi, public]");
    office.rest("strict", target, "name: \"a\\\"b},\"\nallow: [public]");
    std::fs::create_dir(office.folder().join("out")).unwrap();
    office.connector(
        "nightly",
        &format!(
            "adapter: directory\nlisten: visits\nallow: [public]\nmapping: {{id: id, minutes: minutes}}\nstart: beginning\ndrop:\n  schedule: {{cut_off: \"00:00\", zone: UTC}}\n  format: {{kind: csv, columns: [{{field: id, type: text}}, {{field: minutes, type: number}}]}}\n  name: \"V_{{seq:06}}.txt\"\n  deliver: {{directory: {}}}\n",
            office.folder().join("out").display()
        ),
    );
    assert_eq!(office.run(&["watch", "visits"]).code, Some(0));
    office.sql(THREE);
    office
}

#[test]
fn the_figures_are_valid_for_promtool_and_say_what_happened() {
    let target = Receiver::start();
    let office = office(&target);
    office.add_settings("api: {listen: \"127.0.0.1:0\"}");
    let agent = office.agent();
    let drop = || office.run(&["--json", "drop", "run", "nightly"]);
    wait("the calls are made", || {
        office.parked_words("legacy") == ["dead http-422"]
            && office.parked("a\"b},").len() == 3
            && office.cursor("legacy") == office.highest()
    });
    assert_eq!(drop().code, Some(0));
    let way = Way::tcp(&agent);
    wait("the file is there", || std::fs::read_dir(office.folder().join("out")).unwrap().count() == 1);
    // The file is there before the note that it was published.
    wait("its figures are there", || {
        let said = samples(&text(&way.get("/metrics")));
        said.get(r#"sync_file_records_total{drop="nightly"}"#) == Some(&3.0)
            && said.contains_key(r#"sync_file_last_success_timestamp_seconds{drop="nightly"}"#)
    });
    let answer = way.get("/metrics");
    assert!(answer.head.contains("text/plain; version=0.0.4; charset=utf-8"), "{}", answer.head);
    let plain = text(&answer);
    assert_eq!(lint(&plain), "", "{plain}");
    let said = samples(&plain);
    for (name, value) in [
        (r#"sync_events_total{connector="legacy",direction="outbound",outcome="delivered"}"#, 2.0),
        (r#"sync_events_total{connector="legacy",direction="outbound",outcome="dead"}"#, 1.0),
        (r#"sync_events_total{connector="a\"b},",direction="outbound",outcome="held"}"#, 3.0),
        (r#"sync_captured_events_total{log="office"}"#, 3.0),
        (r#"sync_outbox_pending{connector="legacy"}"#, 0.0),
        (r#"sync_outbox_pending{connector="a\"b},"}"#, 3.0),
        (r#"sync_outbox_oldest_seconds{connector="legacy"}"#, 0.0),
        (r#"sync_attempts_total{connector="legacy",class="success"}"#, 2.0),
        (r#"sync_attempts_total{connector="legacy",class="http-422"}"#, 1.0),
        (r#"sync_dead_letters{connector="legacy"}"#, 1.0),
        (r#"sync_held_deliveries{connector="a\"b},"}"#, 3.0),
        (r#"sync_breaker_state{connector="legacy"}"#, 0.0),
        (r#"sync_connector_mode{connector="legacy",mode="running"}"#, 1.0),
        (r#"sync_delivery_seconds_count"#, 2.0),
        (r#"sync_gate_denied_total{connector="a\"b},",rule="phi"}"#, 3.0),
        (r#"sync_capture_ok{table="visits"}"#, 1.0),
        (r#"sync_metrics_omitted"#, 0.0),
    ] {
        assert_eq!(said.get(name), Some(&value), "{name}: {plain}");
    }
    assert!(said[r#"sync_outbox_oldest_seconds{connector="a\"b},"}"#] > 0.0);
    assert!(said[r#"sync_cert_expiry_timestamp_seconds{connector="legacy"}"#] > 4e9);
    assert!(said[r#"sync_file_last_success_timestamp_seconds{drop="nightly"}"#] > 1.7e9);
    assert!(
        said["sync_disk_free_bytes"] > 0.0
            && said["process_resident_memory_bytes"] > 1e6
            && said["process_open_fds"] > 3.0
    );
    for metric in METRICS {
        assert!(plain.contains(&format!("# TYPE {} {}\n", metric.name, metric.kind.as_str())), "{}", metric.name);
    }
    // The other format: the same figures, under the names that it wants.
    let answer = way.call("GET", "/metrics", &[("Accept", OPENMETRICS)], b"");
    assert!(answer.head.contains("application/openmetrics-text; version=1.0.0; charset=utf-8"), "{}", answer.head);
    let open = text(&answer);
    assert!(open.ends_with("# EOF\n") && open.contains("# TYPE sync_events counter\n"), "{open}");
    let names = |text: &str| samples(text).into_keys().collect::<BTreeSet<_>>();
    assert_eq!(names(&open), names(&plain));
    for value in ["Ada", "Bea", "Cy"] {
        assert!(!plain.contains(value), "{value}");
    }
    agent.stop();
}

#[test]
fn counters_go_on_after_a_kill_and_count_nothing_twice() {
    let target = Receiver::start();
    let office = Office::with(&target, "", THREE);
    let counters = || samples(&text(&Way::socket(&office).get("/metrics")));
    let wanted = [
        r#"sync_events_total{connector="legacy",direction="outbound",outcome="delivered"}"#,
        r#"sync_attempts_total{connector="legacy",class="success"}"#,
        r#"sync_captured_events_total{log="office"}"#,
    ];
    let agent = office.agent();
    office.wait_settled("legacy");
    wait("three are counted", || wanted.iter().all(|name| counters().get(*name) == Some(&3.0)));
    agent.kill();
    let agent = office.agent();
    assert!(wanted.iter().all(|name| counters().get(*name) == Some(&3.0)), "{:#?}", counters());
    office.sql("INSERT INTO visits VALUES (4, 'Dot', 1)");
    wait("and the fourth", || wanted.iter().all(|name| counters().get(*name) == Some(&4.0)));
    agent.stop();
}

#[test]
fn the_figures_need_the_token_unless_the_configuration_frees_them_and_nothing_else() {
    let target = Receiver::start();
    let office = Office::with(&target, "", "");
    office.add_settings("api: {listen: \"127.0.0.1:0\"}");
    let agent = office.agent();
    assert_eq!(Way::tcp(&agent).with_token("").get("/metrics").status, 401);
    agent.stop();
    let sync = office.config().join("sync.yaml");
    let settings = std::fs::read_to_string(&sync).unwrap();
    std::fs::write(&sync, settings.replace("127.0.0.1:0\"}", "127.0.0.1:0\", openMetrics: true}")).unwrap();
    let agent = office.agent();
    let free = Way::tcp(&agent).with_token("");
    assert_eq!(free.get("/metrics").status, 200);
    for path in ["/status", "/alerts", "/metrics/", "/metricsx", "//metrics"] {
        assert_eq!(free.get(path).status, 401, "{path}");
    }
    assert_eq!(free.call("GET", "/metrics", &[("Host", "evil.example")], b"").status, 421);
    assert_eq!(free.call("GET", "/metrics", &[("Origin", "http://evil.example")], b"").status, 403);
    assert_eq!(free.post("/metrics", "{}").status, 405);
    agent.stop();
}

#[test]
fn a_storm_of_scrapes_is_answered_and_holds_up_no_delivery() {
    let target = Receiver::start();
    let office = Office::with(&target, "", "");
    let agent = office.agent();
    let way = Way::socket(&office);
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| (0..10).for_each(|_| drop(text(&way.get("/metrics")))));
        }
        office.sql("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) INSERT INTO visits SELECT i, 'x', i FROM n");
        target.wait("all are delivered meanwhile", |journal| committed(journal) == 500);
    });
    agent.stop();
}

/// A Prometheus that scrapes an address each second; it ends with it.
struct Prometheus {
    child: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    fn scraping(target: &str) -> Prometheus {
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "scrape_configs: [{{job_name: sync, scrape_interval: 1s, static_configs: [{{targets: [\"{target}\"]}}]}}]\n"
        );
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        // Free a moment ago, and nobody else on this machine asks for this one.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("install the package `prometheus`, or use tests/run, which does");
        Prometheus { child, address, _folder: folder }
    }

    /// The value of a query, when there is one.
    fn value(&self, query: &str) -> Option<f64> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        write!(stream, "GET /api/v1/query?query={query} HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let body: serde_json::Value = serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()?;
        body["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_prometheus_takes_them_in() {
    let target = Receiver::start();
    let office = Office::with(&target, "", THREE);
    office.add_settings("api: {listen: \"127.0.0.1:0\", openMetrics: true}");
    let agent = office.agent();
    office.wait_settled("legacy");
    let prometheus = Prometheus::scraping(&Way::tcp(&agent).address().to_string());
    wait("it scrapes", || prometheus.value("up") == Some(1.0));
    wait("it has the counters", || prometheus.value("sync_events_total{outcome=%22delivered%22}") == Some(3.0));
    wait("and the histogram", || prometheus.value("sync_delivery_seconds_count") == Some(3.0));
    agent.stop();
}
