//! `check`: everything that is wrong is said at once, each with its place.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::support::desk::Desk;

const SCHEMA: &str = "
    CREATE TABLE visits(id INTEGER PRIMARY KEY, begins TEXT);
    CREATE TABLE notes(text TEXT);
    CREATE VIEW today AS SELECT 1;
    CREATE VIRTUAL TABLE words USING fts5(w)";

const TARGET: &str = "target: {url: 'https://x.example/{id}', method: PUT, credentialsId: legacy}";

#[test]
fn every_secret_that_cannot_be_had_is_named_with_its_place_and_never_shown() {
    let desk = Desk::new(SCHEMA);
    desk.settings(
        "credentials:
  absent: {type: bearer, token: {file: absent.token}}
  open: {type: basic, username: u, password: {file: open.token}}
  fine: {type: bearer, token: {file: fine.token}}
  unset: {type: bearer, token: {env: NO_SUCH_VARIABLE}}
  unit: {type: bearer, token: {credential: unit-token}}
  program: {type: bearer, token: {exec: /bin/false}}",
    );
    desk.write("config/open.token", "hunter2");
    desk.write("config/fine.token", "hunter2");
    fs::set_permissions(desk.path("config/open.token"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(desk.path("config/fine.token"), fs::Permissions::from_mode(0o600)).unwrap();
    let said = desk.ends(78, &["check"]);
    let line = |name: &str| {
        let mut lines = said.out.lines().filter(|line| line.contains(&format!("the secret of `{name}`")));
        (lines.next().unwrap_or_default().to_owned(), lines.count())
    };
    let (absent, _) = line("absent");
    assert!(absent.contains("sync.yaml:4:33: error: credentials.absent.token: "), "{absent}");
    assert!(line("open").0.contains(":5:") && line("open").0.contains("chmod 600"), "{said:?}");
    assert!(line("unset").0.contains(": warning: ") && line("unset").0.contains("environment may differ"), "{said:?}");
    assert!(line("unit").0.contains(": warning: ") && line("unit").0.contains("CREDENTIALS_DIRECTORY"), "{said:?}");
    assert!(line("fine").0.is_empty() && line("program").0.is_empty(), "{said:?}");
    assert!(!said.out.contains("hunter2") && !said.err.contains("hunter2"), "{said:?}");
    // A program is run only when asked for, and a credential is missed where there is a place for it.
    let output = desk.command().env("CREDENTIALS_DIRECTORY", desk.path("")).args(["check", "--online"]).output();
    let said = String::from_utf8(output.unwrap().stdout).unwrap();
    let is_error = |name: &str| said.lines().any(|line| line.contains(name) && line.contains(": error: "));
    assert!(is_error("the secret of `program`") && is_error("the secret of `unit`"), "{said}");
}

#[test]
fn tables_are_looked_at_although_a_file_is_wrong() {
    let desk = Desk::new(SCHEMA);
    desk.settings(
        "nonsense: 1
watch:
  visits: {}
  notes: {}
  today: {}
  words: {}
  nowhere: {}
credentials: {legacy: {type: nonsense}}",
    );
    desk.connector("bad", "listen: visits\ntarget: {url: nonsense}");
    desk.connector("good", &format!("listen: visits\n{TARGET}\nmap:\n  begins: start\n  beginz: other"));
    let said = desk.ends(78, &["check"]);
    for part in [
        "sync.yaml:3:1: error: nonsense",
        "bad.yaml:2:15: error",
        "sync.yaml:6:3: error: watch.notes",
        "sync.yaml:7:3: error: watch.today",
        "sync.yaml:8:3: error: watch.words",
        "sync.yaml:9:3: error: watch.nowhere",
        // The entry's own line, also where the connector's credential is wrong.
        "good.yaml:5:3: warning: mapping: reads `beginz`",
    ] {
        assert!(said.out.contains(part), "{part}: {said:?}");
    }
    assert!(!said.out.contains("there is no credential `"), "{said:?}");
}

#[test]
fn single_files_are_checked_beside_the_named_configuration() {
    let desk = Desk::new(SCHEMA);
    desk.settings("watch: {visits: {}}\ncredentials: {legacy: {type: bearer, token: {env: X}}}");
    desk.connector("good", TARGET);
    let (config, file) = (desk.path("config"), desk.path("config/connectors/good.yaml"));
    let line = ["-c", config.to_str().unwrap(), "check", file.to_str().unwrap()];
    let output = desk.command().env_remove("HMS_SYNC_CONFIG").args(line).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let elsewhere = desk.ends(78, &["-c", "nowhere", "check", file.to_str().unwrap()]);
    assert!(elsewhere.out.contains("nowhere: error: there is no such file"), "{elsewhere:?}");
}

#[test]
fn quietly_only_problems_are_printed() {
    let desk = Desk::new(SCHEMA);
    desk.settings("watch: {visits: {}}\ngovernance: {default: public}");
    desk.connector("good", "target: {url: 'https://x.example/{id}', method: PUT}");
    let plan = "good: everything -> https://x.example:443, when the application commits; new, it begins now";
    assert_eq!(desk.ends(0, &["check"]).out, format!("{plan}\nok\n"));
    assert_eq!(desk.ends(0, &["check", "-q"]).out, "");
}

#[test]
fn a_configuration_without_a_connector_has_nothing_to_run() {
    let desk = Desk::new(SCHEMA);
    desk.ends(0, &["init"]);
    let said = desk.ends(0, &["check"]);
    assert!(said.out.contains("warning: names no database and no connector yet"), "{said:?}");
    assert!(said.out.contains("scaffold connector"), "{said:?}");
}

#[test]
fn a_run_that_meets_a_bad_table_names_check() {
    let desk = Desk::new(SCHEMA);
    desk.settings("watch: {notes: {}}");
    desk.connector("good", "target: {url: 'https://x.example/{id}', method: PUT}");
    let said = desk.ends(78, &["run", "--once"]);
    assert!(said.err.contains("`hms-sync check`"), "{said:?}");
}

#[test]
fn what_each_connector_will_do_and_where_it_begins_is_said() {
    let desk = Desk::new(SCHEMA);
    desk.settings("watch: {visits: {}}");
    desk.connector("now", "listen: visits\ntarget: {url: 'https://x.example/{id}', method: PUT}");
    desk.connector(
        "old",
        "start: beginning\nschedule: '*/5 * * * *'\ntarget: {url: 'https://y.example:8443/{id}', method: PUT}",
    );
    let said = desk.ends(0, &["check"]);
    let now = "now: visits -> https://x.example:443, when the application commits; new, it begins now";
    assert!(said.out.lines().any(|line| line == now), "{said:?}");
    let old = said.out.lines().find(|line| line.starts_with("old: everything -> https://y.example:8443, ")).unwrap();
    assert!(old.ends_with("; new, it begins with the oldest event that is kept") && old.contains('5'), "{old}");
    let json: serde_json::Value = serde_json::from_str(&desk.ends(0, &["--json", "check"]).out).unwrap();
    assert_eq!(json["connectors"][1]["start"], "beginning", "{json}");
    // What has run goes on; what was added since is new.
    desk.ends(0, &["watch", "visits"]);
    desk.ends(0, &["run", "--once"]);
    desk.connector("added", "listen: visits\ntarget: {url: 'https://z.example/{id}', method: PUT}");
    let said = desk.ends(0, &["check"]).out;
    let ends = |name: &str, words: &str| said.lines().any(|line| line.starts_with(name) && line.ends_with(words));
    assert!(ends("now: ", "; it goes on where it stands") && ends("old: ", "; it goes on where it stands"), "{said}");
    assert!(ends("added: ", "; new, it begins now"), "{said}");
}

#[test]
fn what_a_url_or_a_key_names_and_nothing_gives_is_told_before_events_are_held() {
    let desk = Desk::new(SCHEMA);
    desk.settings("watch: {visits: {}}");
    let told = |connector: &str| {
        desk.connector("legacy", &format!("listen: visits\n{connector}"));
        let said = desk.ends(0, &["check"]);
        said.out.lines().filter(|line| line.contains("stands in a URL or a key")).map(str::to_owned).collect::<Vec<_>>()
    };
    let wrong = told("target: {url: 'https://x.example/{idd}', method: PUT}");
    assert!(wrong.len() == 1 && wrong[0].contains("legacy.yaml") && wrong[0].contains("`{idd}`"), "{wrong:?}");
    assert!(wrong[0].contains("`id`"), "the nearest name is told: {wrong:?}");
    let key = told("target: {url: 'https://x.example/{id}', method: PUT}\nidempotencyKey: '{visit}'");
    assert!(key.len() == 1 && key[0].contains("`{visit}`"), "{key:?}");
    // Columns, what the mapping makes, and what is known of the event itself.
    for fine in [
        "target: {url: 'https://x.example/{id}', method: PUT}",
        "target: {url: 'https://x.example/{visit}', method: PUT}\nmap: {id: visit}",
        "target: {url: 'https://x.example/{slot.no}/{begins}', method: PUT}\nmap: {id: slot.no}",
        "target: {url: 'https://x.example/{$event.seq}', method: PUT}",
    ] {
        assert_eq!(told(fine), Vec::<String>::new(), "{fine}");
    }
}

const DROP: &str = "adapter: directory
listen: visits
drop:
  schedule: {cut_off: \"18:00\", zone: UTC, calendar: days.txt}
  format: {kind: csv, columns: [id, begins]}
  name: \"V{seq:06}.csv\"
  deliver: {directory: out}
";

#[test]
fn a_drop_is_shown_with_its_places_and_its_next_cut_off() {
    let desk = Desk::new(SCHEMA);
    desk.settings("watch: {visits: {}}\ngovernance: {default: public}");
    desk.write("config/calendars/days.txt", "covers 2020-2150\n");
    desk.connector("nightly", DROP);
    let said = desk.ends(0, &["check"]);
    let line = said.out.lines().find(|line| line.starts_with("nightly: visits -> ")).unwrap_or_default();
    assert!(line.contains("out, as files, the next at 20") && line.contains(" 18:00 UTC, of 20"), "{said:?}");
    let json: serde_json::Value = serde_json::from_str(&desk.ends(0, &["--json", "check"]).out).unwrap();
    assert!(json["connectors"][0]["next"].as_str().unwrap().contains("18:00"), "{json}");
}

#[test]
fn a_drop_is_compared_with_its_tables_and_its_calendar() {
    let desk = Desk::new(SCHEMA);
    desk.settings("watch: {visits: {}}\ngovernance: {default: public}");
    desk.write("config/calendars/days.txt", "covers 2020-2021\n");
    desk.connector("nightly", &DROP.replace("[id, begins]", "[id, beginz]"));
    let said = desk.ends(78, &["check"]);
    let format = "drop.format: for `visits`: column `beginz`: there is no field `beginz`: did you mean `begins`?";
    assert!(said.out.contains(format), "{said:?}");
    assert!(said.out.contains("drop.schedule.calendar: the calendar does not cover 20"), "{said:?}");
}

/// What `check` says of connectors that read into `visits(id INTEGER PRIMARY KEY)` or `rooms(name TEXT PRIMARY KEY)`.
fn said_of_reading(table: &str, connector: &str) -> String {
    let desk = Desk::new(
        "CREATE TABLE visits(id INTEGER PRIMARY KEY, name TEXT, begins TEXT);
         CREATE TABLE rooms(name TEXT PRIMARY KEY NOT NULL, seats INTEGER);",
    );
    desk.settings("watch: {visits: {}, rooms: {}}");
    desk.write("config/connectors/there.yaml", &format!("{connector}\nlisten: {table}\n"));
    desk.ends(0, &["check"]).out
}

#[test]
fn a_source_whose_items_cannot_be_matched_to_the_rows_of_its_table_is_warned_of() {
    let of = |table: &str, adapter: &str, more: &str| {
        let text = format!(
            "adapter: {adapter}\nstrategy: bidirectional\nendpoint: {{url: 'https://x.example/y'}}\npull: {{table: {table}}}\n{more}"
        );
        said_of_reading(table, &text)
    };
    let second = "what was sent and is read again becomes a second row";
    let said = of("visits", "webdav", "");
    assert!(
        said.contains("`id` is the key of `visits`, and the adapter webdav reads no `id`") && said.contains(second),
        "{said}"
    );
    assert!(!of("rooms", "webdav", "").contains("is the key of"));
    let said = of("rooms", "google_calendar", "vars: {calendar: c}");
    assert!(said.contains("reads no `name`: what is read stands aside (`no-key`)"), "{said}");
    assert!(!of("visits", "google_calendar", "vars: {calendar: c}").contains("is the key of"));
    // By way of the mapping, of a variable, and where the mapping has no entry.
    assert!(
        !of("rooms", "google_calendar", "vars: {calendar: c}\nmap: {name: id, seats: summary}").contains("is the key")
    );
    let said = of("visits", "google_calendar", "vars: {calendar: c}\nmap: {name: summary}");
    assert!(said.contains("and the mapping has no entry for it"), "{said}");
    assert!(of("visits", "arcgis", "").contains("the adapter arcgis reads no `id`"));
    assert!(!of("visits", "arcgis", "vars: {idField: HMS_ID}").contains("reads no"));
}

#[test]
fn a_connector_that_overwrites_what_it_has_not_read_is_warned_of() {
    let lost = "what is changed there and not read yet is overwritten by what is sent";
    let of = |text: &str| said_of_reading("visits", &format!("strategy: bidirectional\n{text}"));
    let preset = |name: &str, more: &str| {
        of(&format!("adapter: {name}\nendpoint: {{url: 'https://x.example/y'}}\npull: {{table: visits}}\n{more}"))
    };
    assert!(preset("vista", "").contains(lost));
    assert!(!preset("fhir_immunization", "").contains(lost));
    assert!(preset("fhir_immunization", "batch: {}").contains("a record among several names no version"));
    let plain = |pull: &str| {
        of(&format!(
            "endpoint: {{url: 'https://x.example/y/{{id}}', method: PUT}}\npull: {{url: 'https://x.example/y', {pull}}}"
        ))
    };
    let said = plain("key: /id");
    assert!(said.contains(lost) && said.contains("`ifMatch: false` where the target knows no conditions"), "{said}");
    for pull in [
        "key: /id, ifMatch: false",
        "key: /id, links: {etag: /etag}",
        "key: /id, one: {request: {url: 'https://x.example/y/{key.id}'}}, ifMatch: true",
    ] {
        let said = plain(pull);
        assert!(!said.contains(lost), "{pull}: {said}");
    }
}

#[test]
fn names_that_no_table_has_are_found_without_a_mapping_and_in_where() {
    let desk = Desk::new("CREATE TABLE visits(id INTEGER PRIMARY KEY, title TEXT, status TEXT)");
    desk.settings("watch: {visits: {}}");
    desk.write(
        "config/adapters/own.yaml",
        "adapter: own\npush:\n  upsert: {request: {url: \"{base}/a\", json: {c: \"{titel}\", d: \"{title}\", k: \"{key.nope}\", m: \"{more | default(none)}\"}}}\nclassify: [default: standard]\n",
    );
    desk.write("config/connectors/a.yaml", "adapter: own\nlisten: visits\nendpoint: {url: 'https://x.example'}\n");
    desk.write(
        "config/connectors/b.yaml",
        "listen: visits\nwhere: statsu == 'x' and op != 'delete'\ntarget: {url: 'https://x.example', method: PUT, delete: skip}\n",
    );
    let said = desk.ends(0, &["check"]).out;
    let has = |line: &str| said.lines().any(|said| said.ends_with(line));
    assert!(
        has(
            "a.yaml:1:1: warning: adapter: own needs `titel`, which `visits` does not have: did you mean `title`?: its events are held"
        ),
        "{said}"
    );
    assert!(
        has(
            "a.yaml:1:1: warning: adapter: own needs `key.nope`, and the key of `visits` has none: its events are held"
        ),
        "{said}"
    );
    assert!(
        has(
            "b.yaml:2:1: warning: where: names `statsu`, which `visits` does not have: did you mean `status`?: its events are held"
        ),
        "{said}"
    );
    assert_eq!(said.matches("its events are held").count(), 3, "{said}");
}

#[test]
fn a_secret_is_seen_wherever_it_stands_and_arguments_of_filters_are_tried_out() {
    let desk = Desk::new("CREATE TABLE visits(id INTEGER PRIMARY KEY, title TEXT)");
    desk.settings("watch: {visits: {}}");
    let adapter = |name: &str, request: &str| {
        let text =
            format!("adapter: {name}\npush:\n  upsert: {{request: {{{request}}}}}\nclassify: [default: standard]\n");
        desk.write(&format!("config/adapters/{name}.yaml"), &text);
        let connector = format!("adapter: {name}\nlisten: visits\nendpoint: {{url: 'https://x.example'}}\n");
        desk.write(&format!("config/connectors/{name}.yaml"), &connector);
    };
    adapter("one", "url: \"{base}/a?api_key=abcdef\", json: {password: hunter2hunter2, tokenType: bearer}");
    adapter(
        "two",
        "url: \"{base}/a\", headers: {X-Foo: sk_live_abcdef0123456789}, json: {inner: [{apiKey: abc, note: \"{title}\"}]}",
    );
    desk.write(
        "config/connectors/three.yaml",
        "listen: visits\ntarget: {url: 'https://x.example/{id}', method: PUT, headers: {X-Bar: ghp_abcdefghijklmnopqrst}}\nmapping: {id: id, p: {to: login.password, value: hunter2hunter2}}\n",
    );
    let said = desk.ends(0, &["check"]).out;
    let mut places: Vec<&str> = said.lines().filter(|line| line.contains("seems to hold a secret")).collect();
    places.iter_mut().for_each(|line| *line = line.split(": warning: ").nth(1).unwrap().split(": ").next().unwrap());
    let wanted = [
        "push.upsert.request.url",
        "push.upsert.request.json.password",
        "push.upsert.request.headers.X-Foo",
        "push.upsert.request.json.inner[0].apiKey",
        "target.headers.X-Bar",
        "mapping.p.value",
    ];
    for place in wanted {
        assert!(places.contains(&place), "{place}: {said}");
    }
    assert_eq!(places.len(), wanted.len(), "{said}");
    assert!(!said.contains("hunter2") && !said.contains("sk_live"), "{said}");
    adapter("two", "url: \"{base}/a\", json: {a: \"{title | pad_left}\"}");
    let said = desk.ends(78, &["check"]).out;
    assert!(
        said.contains("two.yaml:3:49: error: push.upsert.request.json.a: ") && said.contains("`pad_left(width, char)`"),
        "{said}"
    );
}

#[test]
fn every_mistake_of_an_adapters_file_is_named_once_with_its_own_place_and_nothing_that_is_right() {
    let desk = Desk::new("CREATE TABLE visits(id INTEGER PRIMARY KEY, title TEXT)");
    desk.settings("watch: {visits: {}}");
    desk.write(
        "config/adapters/a.yaml",
        "adapter: a
vars: {x: 1}
push:
  upsert: {request: {url: \"{base}\", json: {a: \"{title | nofilter}\", b: [\"{)}\"], c: \"{title | upper(1)}\"}}}
classify:
  - {status: 999, is: reject, code: \"json:/x\"}
  - {status: 200, is: success}
  - {body: \"(\", is: reject}
  - {json: {nopointer: x}, is: retry, after: 3s}
  - {status: 200, is: reject}
  - {default: reject}
  - {status: 200, is: success}
",
    );
    desk.write(
        "config/connectors/a.yaml",
        "adapter: a\nlisten: visits\nendpoint: {url: 'http://127.0.0.1:1'}\nvars: {x: 2}\n",
    );
    let said = desk.ends(78, &["check"]).out;
    let errors: Vec<&str> = said.lines().filter(|line| line.contains(": error: ")).collect();
    let wanted = [
        "a.yaml:4:47: error: push.upsert.request.json.a",
        "a.yaml:4:73: error: push.upsert.request.json.b[0]",
        "a.yaml:4:84: error: push.upsert.request.json.c",
        "a.yaml:6:14: error: classify[0].status",
        "a.yaml:8:12: error: classify[2].body",
        "a.yaml:9:24: error: classify[3].json.nopointer",
        "a.yaml:10:5: error: classify[4]: is never reached: rule 2 above",
        "a.yaml:12:5: error: classify[6]: is never reached: the `default` above",
    ];
    for (line, wanted) in errors.iter().zip(wanted) {
        assert!(line.contains(wanted), "{wanted}: {said}");
    }
    assert_eq!(errors.len(), wanted.len(), "{said}");
}

#[test]
fn what_is_wrong_with_an_address_or_its_certificates_has_its_own_place() {
    let desk = Desk::new("CREATE TABLE visits(id INTEGER PRIMARY KEY, title TEXT)");
    desk.settings("watch: {visits: {}}");
    desk.write(
        "config/connectors/b.yaml",
        "listen: visits\nendpoint:\n  method: PUT\n  url: 'https://x.example/{idd}'\nmapping: {id: id}\n",
    );
    desk.write(
        "config/connectors/c.yaml",
        "listen: visits\nendpoint:\n  url: 'https://x.example/{id}'\n  method: PUT\n  tls: {ca: nothere.pem}\n",
    );
    let said = desk.ends(78, &["check"]).out;
    assert!(said.contains("b.yaml:4:3: warning: endpoint: `{idd}`"), "{said}");
    assert!(said.contains("c.yaml:5:3: error: endpoint.tls: "), "{said}");
}
