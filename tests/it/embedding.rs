//! The agent inside a program (`hms_sync::Agent`, `hms_sync::ExternalSync`): what its handlers hear and push.

mod killed;
mod one;
mod pushing;

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use hms_sync::store::state::holder;
use hms_sync::{Agent, Error, Handle, json};

use crate::support::journal::{Entry, body, committed};
use crate::support::loopback::Way;
use crate::support::office::{Office, RETRY, THREE, wait};
use crate::support::receiver::Receiver;

/// An office with a calendar that gets what is pushed, and nothing else.
fn office(target: &Receiver) -> Office {
    let office = Office::visits();
    office.add_settings(&format!("api: {{listen: \"unix:{}\"}}", office.folder().join("api.sock").display()));
    calendar(&office, target, "");
    assert_eq!(office.run(&["watch", "visits"]).code, Some(0));
    office
}

fn calendar(office: &Office, target: &Receiver, more: &str) {
    let (url, ca) = (target.url("/calendar"), target.ca.file());
    let text = format!(
        "listen: pushed-only\ntarget: {{url: \"{url}\", tls: {{ca: \"{}\"}}}}\n{RETRY}\n{more}\n",
        ca.display()
    );
    office.connector("calendar", &text);
}

/// An agent of this process, running.
struct Running {
    handle: Handle,
    thread: JoinHandle<Result<(), Error>>,
}

fn run(office: &Office, agent: Agent) -> Running {
    let handle = agent.handle();
    let thread = std::thread::spawn(move || agent.run());
    wait("it listens", || {
        thread.is_finished() || holder(&office.state()).is_some_and(|holder| holder.socket.is_some())
    });
    Running { handle, thread }
}

impl Running {
    #[track_caller]
    fn stop(self) {
        self.handle.stop();
        self.thread.join().unwrap().unwrap();
    }
}

/// What was seen, by whoever saw it.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<i64>>>);

impl Seen {
    fn note(&self, event: &hms_sync::Event) -> i64 {
        let id = event.get("id").as_i64().unwrap();
        self.0.lock().unwrap().push(id);
        id
    }

    fn all(&self) -> Vec<i64> {
        self.0.lock().unwrap().clone()
    }
}

fn open(office: &Office) -> Agent {
    Agent::open(office.config()).unwrap()
}

/// What `status` says of a connector or handler.
fn status(office: &Office, name: &str) -> serde_json::Value {
    let ended = office.run(&["--json", "status"]);
    let status: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"));
    let connectors = status["connectors"].as_array().unwrap();
    connectors.iter().find(|known| known["connector"] == name).cloned().unwrap_or_default()
}

/// The visits that were pushed, each push once; of different records the order is nobody's.
fn pushed(journal: &[Entry]) -> Vec<i64> {
    let mut keys = std::collections::HashSet::new();
    let firsts = journal.iter().filter(|entry| entry.committed && keys.insert(entry.key.clone()));
    let mut pushed: Vec<i64> = firsts.map(|entry| body(entry)["id"].as_i64().unwrap()).collect();
    pushed.sort_unstable();
    pushed
}

#[test]
fn the_program_of_the_contract_hears_a_change_and_its_push_arrives() {
    let target = Receiver::start();
    let office = office(&target);
    let url = target.url("/calendar/entries");
    let agent = Agent::open(office.config().join("sync.yaml")).unwrap().on_change("visits", move |event, sync| {
        sync.push("calendar", &url, json!({"id": event.get("id"), "who": event.get("name")}))
    });
    let running = run(&office, agent);
    office.sql(THREE);
    let journal = target.wait("all arrive", |journal| committed(journal) == 3);
    let first = journal.iter().find(|entry| body(entry)["id"] == 1).unwrap();
    assert_eq!((&*first.method, &*first.path), ("POST", "/calendar/entries"));
    assert_eq!(String::from_utf8_lossy(&first.body), r#"{"id":1,"who":"Ada"}"#);
    assert_eq!(first.header("sync-op"), Some("event"));
    wait("it is written down", || status(&office, "on_change:visits")["delivered"] == 3);
    let seen = status(&office, "on_change:visits");
    assert_eq!((&seen["mode"], &seen["queued"], &seen["configured"]), (&json!("running"), &json!(0), &json!(true)));
    // It is asked like the daemon.
    let way = Way::socket(&office);
    assert_eq!(way.post("/connectors/on_change:visits/pause", "").status, 200);
    office.sql("INSERT INTO visits VALUES (4, 'Di', 40)");
    wait("it stands", || status(&office, "on_change:visits")["queued"] == 1);
    assert_eq!(way.post("/connectors/on_change:visits/resume", "").status, 200);
    target.wait("it arrives", |journal| committed(journal) == 4);
    wait("its whole history is told", || {
        let history = office.run(&["--json", "status", "visits", "4"]).stdout;
        history.contains("\"passed\"") && history.contains("\"delivered\"")
    });
    running.stop();
    assert!(holder(&office.state()).is_none(), "the state file is free again");
}

#[test]
fn a_failing_handler_sees_the_same_event_again_before_any_later_one_and_others_go_on() {
    let target = Receiver::start();
    let office = office(&target);
    let (bad, good, mended) = (Seen::default(), Seen::default(), Arc::new(Mutex::new(false)));
    let (told, other, well) = (bad.clone(), good.clone(), mended.clone());
    let agent = open(&office)
        .on_change("visits", move |event, sync| {
            let id = told.note(event);
            sync.push("calendar", "", json!({ "id": id }))?;
            if id == 2 && !*well.lock().unwrap() {
                // After the push: nothing of it may stay.
                Err(std::io::Error::other("Bea's secret"))?;
            }
            Ok(())
        })
        .on_change(hms_sync::Interest::in_types(["visits.insert"]).named("other"), move |event, _| {
            other.note(event);
            Ok(())
        });
    let running = run(&office, agent);
    office.sql(THREE);
    wait("the other has them all", || good.all() == [1, 2, 3]);
    wait("it was tried three times", || bad.all().iter().filter(|id| **id == 2).count() >= 3);
    let seen = status(&office, "on_change:visits");
    assert_eq!(seen["reason"], "handler: it failed with std::io::error::Error", "{seen}");
    assert_eq!((&seen["delivered"], seen["retried"].as_u64() >= Some(2)), (&json!(1), true), "{seen}");
    assert!(!office.run(&["--json", "status"]).stdout.contains("secret"));
    *mended.lock().unwrap() = true;
    let journal = target.wait("all arrive", |journal| committed(journal) == 3);
    assert_eq!(pushed(&journal), [1, 2, 3]);
    let mut order = bad.all();
    order.dedup();
    assert_eq!(order, [1, 2, 3]);
    wait("it is well again", || status(&office, "on_change:visits")["reason"].is_null());
    running.stop();
    assert_eq!(pushed(&target.journal()), [1, 2, 3], "what failed pushed nothing");
}

#[test]
fn a_handler_that_panics_is_tried_again_and_the_agent_lives() {
    let target = Receiver::start();
    let office = office(&target);
    let seen = Seen::default();
    let told = seen.clone();
    let agent = open(&office).on_change("visits", move |event, sync| {
        let id = told.note(event);
        assert!(id != 2 || told.all().len() > 3, "as it was meant to");
        sync.push("calendar", "", json!({ "id": id }))
    });
    let running = run(&office, agent);
    office.sql(THREE);
    let journal = target.wait("all arrive", |journal| committed(journal) == 3);
    assert_eq!(pushed(&journal), [1, 2, 3]);
    assert_eq!(seen.all(), [1, 2, 2, 2, 3]);
    running.stop();
}

#[test]
fn an_agent_stops_while_a_handler_runs_and_what_it_returns_in_time_counts() {
    let target = Receiver::start();
    let office = office(&target);
    let (seen, gate) = (Seen::default(), Arc::new(Mutex::new(())));
    let (told, shut) = (seen.clone(), gate.clone());
    let agent = open(&office).on_change("visits", move |event, sync| {
        let id = told.note(event);
        drop(shut.lock().unwrap());
        sync.push("calendar", "", json!({ "id": id }))
    });
    let closed = gate.lock().unwrap();
    let running = run(&office, agent);
    office.sql(THREE);
    wait("it has begun", || seen.all() == [1]);
    running.handle.stop();
    // It is told so before it may go on: nothing says when, so the stop is looked for where it shows.
    wait("the API has stopped, or still waits for the handler", || !running.thread.is_finished());
    drop(closed);
    running.thread.join().unwrap().unwrap();
    let handled = seen.all();
    // What it handled is stored; the others come at the next start, once.
    let again =
        open(&office).on_change("visits", |event, sync| sync.push("calendar", "", json!({ "id": event.get("id") })));
    let run = again.run_once().unwrap();
    assert_eq!(run.handled as usize + handled.len(), 3, "{handled:?}");
    assert_eq!(pushed(&target.journal()), [1, 2, 3]);
}

#[test]
fn a_handler_that_never_returns_is_left_alone_at_the_stop_and_its_event_comes_again() {
    let target = Receiver::start();
    let office = office(&target);
    office.rest("legacy", &target, "");
    let (seen, other) = (Seen::default(), Seen::default());
    let (told, others) = (seen.clone(), other.clone());
    let agent = open(&office)
        .on_change("visits", move |event, _| {
            told.note(event);
            loop {
                std::thread::park();
            }
        })
        .on_change(hms_sync::Interest::from("visits").named("other"), move |event, _| {
            others.note(event);
            Ok(())
        });
    let running = run(&office, agent);
    office.sql(THREE);
    target.wait("connectors go on", |journal| committed(journal) == 3);
    wait("the other goes on", || other.all() == [1, 2, 3]);
    running.stop();
    assert_eq!(seen.all(), [1]);
    let again = seen.clone();
    let agent = open(&office).on_change("visits", move |event, _| {
        again.note(event);
        Ok(())
    });
    assert_eq!(agent.run_once().unwrap().handled, 3);
    assert_eq!(seen.all(), [1, 1, 2, 3]);
}

#[test]
fn a_second_agent_on_the_same_files_is_refused_in_this_process_and_in_another() {
    let target = Receiver::start();
    let office = office(&target);
    let running = run(&office, open(&office));
    let refused = open(&office).run_once();
    assert!(matches!(refused, Err(Error::Held(_))), "{refused:?}");
    assert_eq!(office.run(&["run", "--once"]).code, Some(75));
    running.stop();
    open(&office).run_once().unwrap();
}

#[test]
fn handlers_that_cannot_be_are_refused_before_anything_is_opened() {
    let office = Office::visits();
    let nothing = |_: &hms_sync::Event, _: &mut hms_sync::Pusher<'_>| Ok(());
    for (agent, why) in [
        (open(&office).on_change("visits", nothing).on_change("visits", nothing), "two handlers have this name"),
        (open(&office).on_change("", nothing), "without control characters"),
        (open(&office).on_change(hms_sync::Interest::in_types([".insert"]).named("x"), nothing), "names no type"),
    ] {
        let refused = agent.run_once().unwrap_err();
        assert!(refused.to_string().contains(why), "{refused}");
    }
    assert!(matches!(Agent::open(office.folder().join("nowhere")), Err(Error::Config(_))));
    assert!(!office.state().exists());
}

#[test]
fn a_new_handler_begins_now_or_at_the_beginning_and_goes_on_where_it_was() {
    let target = Receiver::start();
    let office = office(&target);
    office.sql(THREE);
    let seen = |from_beginning: bool, name: &str| {
        let seen = Seen::default();
        let told = seen.clone();
        let interest = hms_sync::Interest::from("visits").named(name);
        let interest = if from_beginning { interest.from_beginning() } else { interest };
        let agent = open(&office).on_change(interest, move |event, _| {
            told.note(event);
            Ok(())
        });
        agent.run_once().unwrap();
        seen.all()
    };
    assert_eq!((seen(false, "now"), seen(true, "all")), (vec![], vec![1, 2, 3]));
    office.sql("UPDATE visits SET minutes = 5 WHERE id = 2");
    assert_eq!((seen(false, "now"), seen(true, "all")), (vec![2], vec![2]));
}
