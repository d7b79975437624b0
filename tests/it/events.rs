//! Event sources: what a source says by WebSocket is delivered once and in order, whatever becomes of the connection, the
//! agent or the target; shown of the shipped binary.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering::SeqCst};

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::journal::{Entry, body, committed};
use crate::support::loopback::Way;
use crate::support::office::{Agent, Office, RETRY, ended, wait};
use crate::support::proxy::ConnectProxy;
use crate::support::receiver::{Door, Receiver};
use crate::support::scenario::Scenario;
use crate::support::socks::SocksProxy;
use crate::support::source::{Admit, Source, Visit};

/// An office that follows a source and delivers to a target. `more` are further keys of the source, `connector` further
/// lines of the connector.
fn office(source: &Source, target: &Receiver, more: &str, connector: &str) -> Office {
    let office = Office::visits();
    let url = format!("wss://{}/events", source.address());
    std::fs::write(office.config().join("ops.token"), "t0ken\n").unwrap();
    chmod_600(&office.config().join("ops.token"));
    office.add_settings("credentials: {ops: {type: bearer, token: {file: ops.token}}}");
    office.add_settings(&format!(
        "events: [{{type: websocket, name: ops, url: \"{url}\", listen: rule-changed, credentialsId: ops, tls: {{ca: \"{}\"}}{more}}}]",
        source.ca.file().display()
    ));
    let (to, ca) = (target.url("/rules/{id}"), target.ca.file());
    office.connector(
        "vista",
        &format!(
            "listen: rule-changed\ntarget: {{url: \"{to}\", method: PUT, tls: {{ca: \"{}\"}}}}\n{RETRY}\n{connector}\n",
            ca.display()
        ),
    );
    office
}

fn chmod_600(path: &std::path::Path) {
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

/// The `n`th message of a source: the next change of one of ten records.
fn message(n: usize) -> String {
    json!({"type": "rule-changed", "id": format!("m{n}"), "seq": n, "payload": {"id": n % 10, "n": n}}).to_string()
}

/// What arrived, by the numbers of the messages, in order of arrival.
fn numbers(journal: &[Entry]) -> Vec<u64> {
    journal.iter().filter(|entry| entry.committed).map(|entry| body(entry)["n"].as_u64().unwrap()).collect()
}

/// Each of `1..=last` has arrived as one event, those of each record in order.
#[track_caller]
fn judge(journal: &[Entry], last: usize) {
    assert_eq!(committed(journal), last, "a message is missing, or was taken for two events");
    let mut firsts = std::collections::HashSet::new();
    let once: Vec<Entry> = journal.iter().filter(|entry| firsts.insert(entry.key.clone())).cloned().collect();
    for record in 0..10 {
        let of: Vec<u64> = numbers(&once).into_iter().filter(|n| n % 10 == record).collect();
        let wanted: Vec<u64> = (1..=last as u64).filter(|n| n % 10 == record).collect();
        assert_eq!(of, wanted, "record {record}");
    }
}

/// What `status` says of the source.
fn status(office: &Office) -> Value {
    let ended = office.run(&["--json", "status"]);
    let status: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"));
    status["sources"][0].clone()
}

fn needs(office: &Office) -> Vec<String> {
    let ended = office.run(&["--json", "status"]);
    let status: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"));
    let of_source = |need: &&Value| need["subject"] == "ops";
    status["needs"].as_array().unwrap().iter().filter(of_source).map(|need| need["what"].to_string()).collect()
}

fn arrived(target: &Receiver, n: usize) -> Vec<Entry> {
    target.wait("everything arrives", |journal| committed(journal) >= n)
}

#[test]
fn each_message_arrives_once_and_in_order_and_repetitions_are_counted() {
    let target = Receiver::start();
    let source = Source::start(|visit: &mut Visit| {
        assert_eq!(visit.hear(), Some(json!({"listen": "rule-changed"})));
        for n in 1..=200 {
            visit.say(message(n));
            if n % 10 == 0 {
                visit.say(message(n - 5));
            }
        }
        visit.stay();
    });
    let office = office(&source, &target, "", "");
    let agent = office.agent();
    judge(&arrived(&target, 200), 200);
    wait("it has counted", || status(&office)["duplicates"] == 20);
    let line = status(&office);
    assert_eq!((&line["state"], &line["received"], &line["rejected"]), (&json!("connected"), &json!(200), &json!(0)));
    assert!(office.run(&["status"]).stdout.contains("200 received"));
    assert_eq!(needs(&office), Vec::<String>::new());
    agent.stop();
    assert_eq!(status(&office)["state"], "stopped");
    judge(&target.journal(), 200);
}

#[test]
fn a_killed_agent_loses_nothing_and_doubles_nothing_although_the_source_begins_anew_each_time() {
    const ALL: usize = 1500;
    let target = Receiver::start();
    // It knows no positions: every connection begins with the first message.
    let source = Source::start(|visit: &mut Visit| {
        visit.hear();
        let mut n = 0;
        while n < ALL && visit.say(message(n + 1)) {
            n += 1;
        }
        visit.stay();
    });
    let office = office(&source, &target, "", "");
    for part in [100, 400, 900] {
        let agent = office.agent();
        arrived(&target, part);
        agent.kill();
    }
    let agent = office.agent();
    judge(&arrived(&target, ALL), ALL);
    agent.stop();
    judge(&target.journal(), ALL);
}

#[test]
fn a_cut_frame_a_closed_and_a_silent_connection_are_followed_by_one_that_goes_on_behind_the_last_position() {
    let target = Receiver::start();
    let noticed = Arc::new(AtomicBool::new(false));
    let frozen = noticed.clone();
    let source = Source::start(move |visit: &mut Visit| {
        visit.hear();
        let first = visit.number * 3 - 2;
        assert!((first..first + 3).all(|n| visit.say(message(n))));
        match visit.number {
            1 => visit.cut_in(&message(99)),
            2 => visit.close(1012),
            // It is there, and does not even answer pings.
            3 => visit.freeze(|| frozen.load(SeqCst)),
            _ => visit.stay(),
        }
    });
    let office = office(&source, &target, ", ping: 1s", "");
    let agent = office.agent();
    judge(&arrived(&target, 12), 12);
    noticed.store(true, SeqCst);
    agent.says("nothing was heard");
    let listen = |after: Option<u64>| match after {
        None => json!({"listen": "rule-changed"}),
        Some(after) => json!({"listen": "rule-changed", "after": after}),
    };
    assert_eq!(source.heard(), [None, Some(3), Some(6), Some(9)].map(listen));
    agent.stop();
}

#[test]
fn the_position_outlives_the_agent() {
    let target = Receiver::start();
    let source = Source::start(|visit: &mut Visit| {
        let asked = visit.hear();
        let after = asked.and_then(|asked| asked["after"].as_u64()).unwrap_or_default();
        visit.say(message(usize::try_from(after).unwrap() + 1));
        visit.stay();
    });
    let office = office(&source, &target, "", "");
    for n in 1..=3 {
        let agent = office.agent();
        judge(&arrived(&target, n), n);
        agent.kill();
    }
}

#[test]
fn what_cannot_be_used_is_counted_and_told_without_its_values_and_the_rest_goes_on() {
    let target = Receiver::start();
    let source = Source::start(|visit: &mut Visit| {
        visit.hear();
        if visit.number == 1 {
            visit.say(message(1));
            for garbage in ["", "secret", "[\"secret\"]", "{\"type\":\"secret\",\"payload\":{}}"] {
                visit.say(garbage);
            }
            visit.say(format!("{{\"type\":\"rule-changed\",\"payload\":{}1{}}}", "[".repeat(5000), "]".repeat(5000)));
            visit.say(
                json!({"type": "rule-changed", "id": "big", "payload": {"secret": "x".repeat(2 << 20)}}).to_string(),
            );
            visit.say(json!({"type": "rule-changed", "id": "m1", "payload": {"id": 1, "secret": 2}}).to_string());
            visit.send(Message::binary(message(2)));
            visit.send(Message::binary(vec![0xff, 0xfe]));
            visit.say(message(3));
            // More than is read of any message: the connection cannot go on behind it.
            visit.say("x".repeat(9 << 20));
            visit.stay();
        } else {
            visit.say(message(4));
            visit.stay();
        }
    });
    let office = office(&source, &target, "", "");
    let agent = office.agent();
    judge(&arrived(&target, 4), 4);
    let line = status(&office);
    assert_eq!(
        (&line["received"], &line["rejected"], &line["duplicates"]),
        (&json!(4), &json!(9), &json!(0)),
        "{line}"
    );
    agent.says("a message cannot be used");
    assert!(!agent.said().contains("secret"), "{}", agent.said());
    agent.stop();
}

#[test]
fn an_acknowledgement_that_is_asked_for_comes_after_the_message_is_stored() {
    let target = Receiver::start();
    target.close();
    let source = Source::start(|visit: &mut Visit| {
        visit.hear();
        let mut message = json!({"type": "rule-changed", "id": "m1", "ack": true, "payload": {"id": 1, "n": 1}});
        for id in ["m1", "m2", "m1"] {
            message["id"] = json!(id);
            visit.say(message.to_string());
        }
        message["payload"] = json!([]);
        visit.say(message.to_string());
        visit.stay();
    });
    let office = office(&source, &target, "", "");
    let agent = office.agent();
    let heard = source.wait("four are acknowledged", |heard| heard.len() == 5);
    let rejected = json!({"ack": "m1", "rejected": "not-an-object"});
    assert_eq!(heard[1..], [json!({"ack": "m1"}), json!({"ack": "m2"}), json!({"ack": "m1"}), rejected]);
    // What was acknowledged is there after a kill, and the source need not say it again.
    agent.kill();
    target.reopen();
    let once = office.once();
    assert_eq!((once.0, committed(&target.journal())), (Some(0), 2), "{once:?}");
}

#[test]
fn a_source_that_refuses_the_credential_or_sends_elsewhere_needs_a_person() {
    let target = Receiver::start();
    let source = Source::choosy(
        |request| match request.headers().get("authorization").map(|value| value.to_str().unwrap()) {
            Some("Bearer g00d") => Ok(()),
            Some("Bearer moved") => Err((301, "location: wss://elsewhere.test/secret")),
            _ => Err((401, "")),
        },
        |visit: &mut Visit| {
            visit.hear();
            match visit.number {
                1 => visit.close(4403),
                _ => visit.stay(),
            }
        },
    );
    let office = office(&source, &target, "", "");
    let agent = office.agent();
    let refused = |class: &str| {
        wait(class, || needs(&office).iter().any(|need| need.contains(class)));
        let (code, line) = (office.run(&["status"]).code, status(&office));
        assert_eq!((code, &line["state"]), (Some(1), &json!("refused")), "{line}");
    };
    let token = |token: &str| {
        std::fs::write(office.config().join("ops.token"), token).unwrap();
        agent.signal(Signal::HUP);
    };
    refused("http-401");
    token("moved");
    refused("http-301");
    token("g00d");
    refused("close-4403");
    agent.signal(Signal::HUP);
    wait("it is let in", || status(&office)["state"] == "connected");
    assert_eq!(needs(&office), Vec::<String>::new());
    assert!(!agent.said().contains("elsewhere") && !agent.said().contains("secret"), "{}", agent.said());
    agent.stop();
}

#[test]
fn that_a_source_is_away_is_over_when_it_is_back_and_not_when_the_agent_counts_anew() {
    static ANSWER: AtomicU16 = AtomicU16::new(401);
    let target = Receiver::start();
    target.meet(|_| Some(Scenario::named("status_422")));
    let admit: Admit = |_| match ANSWER.load(SeqCst) {
        200 => Ok(()),
        status => Err((status, "")),
    };
    let source = Source::choosy(admit, Visit::stay);
    let office = office(&source, &target, "", "");
    let file = office.folder().join("alerts.jsonl");
    office.add_settings("alertAfter: {check: 1s, clear: 1s, diskFree: 1}");
    office.add_settings(&format!("alerts: [{{type: file, path: {}}}]", file.display()));
    let words = || {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let notices = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        notices
            .map(|notice| format!("{} {}", notice["event"], notice["condition"]).replace('"', ""))
            .collect::<Vec<_>>()
    };
    let agent = office.agent();
    wait("it is told", || words() == ["opened source"]);
    ANSWER.store(503, SeqCst);
    agent.signal(Signal::HUP);
    wait("it is only away now", || status(&office)["state"] == "down");
    // Time for an alert to be over: another one is opened and cleared.
    assert_eq!(Way::socket(&office).post("/sync", r#"{"type":"rule-changed","payload":{"id":1}}"#).status, 200);
    wait("another one is told", || words().contains(&"opened dead-letters".to_owned()));
    assert_eq!(office.run(&["deliveries", "discard", "--connector", "vista", "--state", "dead"]).code, Some(0));
    wait("and over", || words().contains(&"cleared dead-letters".to_owned()));
    ANSWER.store(200, SeqCst);
    agent.signal(Signal::HUP);
    wait("it is back", || words().contains(&"cleared source".to_owned()));
    assert_eq!(words(), ["opened source", "opened dead-letters", "cleared dead-letters", "cleared source"]);
    agent.stop();
}

#[test]
fn check_online_reaches_the_source_and_says_what_is_wrong_with_it() {
    let target = Receiver::start();
    let source = Source::start(Visit::stay);
    let good = office(&source, &target, "", "");
    let said = good.run(&["check", "--online"]);
    assert!(said.code == Some(0) && said.stdout.contains("event source ops: 127.0.0.1:"), "{said:?}");
    let stranger = Source::start(Visit::stay);
    let settings = std::fs::read_to_string(good.config().join("sync.yaml")).unwrap();
    let other = settings.replace(&source.address().to_string(), &stranger.address().to_string());
    std::fs::write(good.config().join("sync.yaml"), other).unwrap();
    let said = good.run(&["check", "--online"]);
    assert!(said.code == Some(69) && said.stdout.contains("event source ops: cannot be reached: tls:"), "{said:?}");
}

#[test]
fn a_source_is_reached_through_a_socks_proxy() {
    for scheme in ["socks5", "socks5h"] {
        let (source, target) = (Source::start(Visit::stay), Receiver::start());
        let proxy = SocksProxy::start(None, None);
        let office = office(&source, &target, &format!(", proxy: \"{}\"", proxy.url(scheme)), "");
        let said = office.run(&["check", "--online"]);
        assert!(said.stdout.contains("is reached by WebSocket"), "{said:?}");
        assert_eq!(proxy.asked(), [format!("address {}", source.address())]);
        proxy.reply(2);
        let said = office.run(&["check", "--online"]);
        assert!(said.code == Some(69) && said.stdout.contains("proxy: the proxy does not let us through"), "{said:?}");
    }
}

#[test]
fn a_source_is_reached_through_a_proxy_and_what_the_proxy_refuses_is_told() {
    let (target, proxy) = (Receiver::start(), ConnectProxy::start());
    let source = Source::start(Visit::stay);
    let office = office(&source, &target, &format!(", proxy: \"{}\"", proxy.url()), "");
    let said = office.run(&["check", "--online"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(proxy.heads()[0].starts_with(&format!("CONNECT {} ", source.address())), "{:?}", proxy.heads());
    proxy.answer(b"HTTP/1.1 407 No\r\n\r\n");
    let said = office.run(&["check", "--online"]);
    assert!(said.code == Some(69) && said.stdout.contains("proxy: the proxy wants credentials"), "{said:?}");
}

#[test]
fn a_flood_stays_in_the_file_and_not_in_memory_while_the_target_is_slow() {
    const FLOOD: usize = 50_000;
    let target = Receiver::start();
    let (begin, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (begun, counted) = (begin.clone(), sent.clone());
    let source = Source::start(move |visit: &mut Visit| {
        visit.hear();
        visit.say(message(1));
        visit.freeze(|| begun.load(SeqCst));
        let filler = "x".repeat(400);
        for n in 2..=FLOOD {
            let payload = json!({"id": n % 10, "n": n, "filler": filler});
            let text = json!({"type": "rule-changed", "id": format!("m{n}"), "payload": payload}).to_string();
            if !visit.say(text) {
                return;
            }
            counted.store(n, SeqCst);
        }
        visit.stay();
    });
    let office = office(&source, &target, ", ping: 1h", "rate: 20/s");
    let agent = office.agent();
    arrived(&target, 1);
    let before = resident(&agent);
    begin.store(true, SeqCst);
    let began = std::time::Instant::now();
    while status(&office)["received"] != FLOOD {
        let minutes = began.elapsed().as_secs() / 60;
        assert!(minutes < 10, "{} of {FLOOD} were sent", sent.load(SeqCst));
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    let grown = resident(&agent).saturating_sub(before);
    assert!(grown < 48 << 10, "it has grown by {grown} KiB from {before} KiB");
    assert!(committed(&target.journal()) < FLOOD / 2, "the target was not slow");
    agent.kill();
}

/// Resident memory, in KiB.
fn resident(agent: &Agent) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The short form with arguments, in a home of its own without any configuration.
fn short_form(home: &std::path::Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hms-sync"));
    command.env_clear().env("HOME", home).current_dir(home).args(arguments).stdin(Stdio::null());
    command
}

fn lines_of(mut command: Command, lines: usize) -> Vec<String> {
    use std::io::BufRead as _;
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let out = std::io::BufReader::new(child.stdout.take().unwrap());
    let said: Vec<String> = out.lines().map_while(Result::ok).take(lines).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    said
}

#[test]
fn the_short_form_follows_a_source_with_a_token_and_says_what_was_synced() {
    let home = tempfile::tempdir().unwrap();
    let target = Receiver::start_with(Arc::new(crate::support::ca::Ca::new()), Door::Plain, "127.0.0.1:0");
    let source = Source::plain(|visit: &mut Visit| {
        let asked = visit.hear().unwrap();
        visit.say(
            json!({"type": asked["listen"], "payload": {"ruleId": 42, "duration": 20, "maxPatients": 4}}).to_string(),
        );
        visit.stay();
    });
    let rest = "map: {duration: slotLen, maxPatients: capacity}\nidempotencyKey: ruleId\n";
    let file =
        format!("listen: appointment-rule-changed\ntarget: {{url: \"{}\", method: PUT}}\n{rest}", target.url("/slots"));
    std::fs::create_dir(home.path().join("mappings")).unwrap();
    std::fs::write(home.path().join("mappings/vista.yaml"), file).unwrap();
    let events = format!("ws://{}/events", source.address());

    let mut command = short_form(home.path(), &["--mapping", "mappings/vista.yaml", "--token", "t0ken"]);
    command.env("HMS_EVENTS_URL", &events);
    assert_eq!(lines_of(command, 1), ["synced 200"]);
    let first = target.journal();
    assert_eq!((&*first[0].path, first[0].header("idem-key")), ("/slots", Some("42")));
    assert_eq!(first[0].body, br#"{"slotLen":20,"capacity":4}"#);

    // The same from the environment alone; the file need not say what to listen to or where to deliver.
    std::fs::write(home.path().join("mappings/bare.yaml"), rest).unwrap();
    std::fs::write(home.path().join("token"), "t0ken").unwrap();
    chmod_600(&home.path().join("token"));
    let mut command = short_form(home.path(), &["--token-file", "token", "--json"]);
    command
        .env("MAPPING", "mappings/bare.yaml")
        .env("LISTEN", "rule-of-the-house")
        .env("TARGET_URL", target.url("/other"));
    command.env("HMS_EVENTS_URL", &events);
    assert_eq!(lines_of(command, 1), [r#"{"status":200,"synced":true}"#]);
    assert_eq!(target.journal().last().unwrap().path, "/other");
    let listened = [json!({"listen": "appointment-rule-changed"}), json!({"listen": "rule-of-the-house"})];
    assert_eq!(source.heard(), listened);

    let wrong =
        ended(&mut short_form(home.path(), &["--mapping", "mappings/vista.yaml", "--events", "ws://ops.test/"]));
    assert!(wrong.code == Some(78) && wrong.stderr.contains("use wss"), "{wrong:?}");
}
