//! No value of a column that may not leave stands in any byte that does.
//!
//! Offices are drawn at random: classes, a default or none, what each connector and the views may show, redactions,
//! mappings, and every way out (requests alone and in lists, a file, a stream of events, each view of the command line and
//! of the API, the log). Every column of every record has a value that is found nowhere else, as text, number, JSON in
//! text, or bytes. What may leave where follows from the drawn policy alone; everything that left is searched for the rest.
//!
//! `HMS_CANARIES=200` draws so many offices, `HMS_SEED` others.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fastrand::Rng;

use crate::support::loopback::Way;
use crate::support::office::{Office, files_beneath, wait};
use crate::support::receiver::Receiver;
use crate::support::scenario::{self, End, Scenario};

/// Offices in a usual run.
const OFFICES: u64 = 4;
const CLASSES: [&str; 3] = ["public", "internal", "phi"];
const COLUMNS: [&str; 7] = ["k", "a", "b", "c", "d", "e", "f"];
const ROWS: i64 = 4;

/// What the policy of an office says.
struct Policy {
    listed: BTreeMap<&'static str, &'static str>,
    default: Option<&'static str>,
    views: Option<BTreeSet<&'static str>>,
}

impl Policy {
    fn draw(dice: &mut Rng) -> Policy {
        let class = |dice: &mut Rng| CLASSES[dice.usize(..3)];
        let mut listed = BTreeMap::new();
        for column in COLUMNS {
            if dice.u8(..4) > 0 {
                listed.insert(column, class(dice));
            }
        }
        let some = |dice: &mut Rng| CLASSES.into_iter().filter(|_| dice.bool()).collect::<BTreeSet<_>>();
        Policy {
            listed,
            default: dice.bool().then(|| class(dice)),
            views: dice.bool().then(|| some(dice)).filter(|views| !views.is_empty()),
        }
    }

    /// The same with everything public: what a search must find.
    fn open() -> Policy {
        Policy { listed: BTreeMap::new(), default: Some("public"), views: None }
    }

    fn yaml(&self) -> String {
        let listed: Vec<String> = self.listed.iter().map(|(column, class)| format!("{column}: {class}")).collect();
        let mut text = format!("governance: {{classify: {{people: {{{}}}}}", listed.join(", "));
        self.default.iter().for_each(|class| write!(text, ", default: {class}").unwrap());
        self.views.iter().for_each(|views| write!(text, ", views: {{allow: [{}]}}", words(views)).unwrap());
        // So that no name of a class is unknown.
        text.replace("classify: {", "classify: {nothing: {x: public, y: internal, z: phi}, ") + "}"
    }

    fn leaves(&self, column: &str, allowed: Option<&BTreeSet<&'static str>>) -> bool {
        let class = self.listed.get(column).copied().or(self.default);
        class.is_some_and(|class| allowed.map_or(class == "public", |allowed| allowed.contains(class)))
    }
}

fn words(classes: &BTreeSet<&'static str>) -> String {
    classes.iter().copied().collect::<Vec<_>>().join(", ")
}

/// A way out and what it may carry.
struct Out {
    name: &'static str,
    allow: Option<BTreeSet<&'static str>>,
    redacted: BTreeSet<&'static str>,
    yaml: String,
}

impl Out {
    fn draw(dice: &mut Rng, name: &'static str, way: &str, open: bool) -> Out {
        let allow = (!open && dice.u8(..4) > 0)
            .then(|| CLASSES.into_iter().filter(|_| dice.u8(..3) > 0).chain(["public"]).collect::<BTreeSet<_>>());
        let (mut redacted, mut redact) = (BTreeSet::new(), Vec::new());
        for column in COLUMNS {
            if open || dice.u8(..3) > 0 {
                continue;
            }
            redacted.insert(column);
            redact.push(format!("{column}: {}", ["hash", "mask", "drop"][dice.usize(..3)]));
        }
        // A row with bytes has no place in CSV, and is held.
        let columns: Vec<&str> =
            COLUMNS.into_iter().filter(|c| *c == "k" || (*c != "d" && (open || dice.bool()))).collect();
        let way = way.replace("COLUMNS", &columns.join(", "));
        let mut yaml = format!("listen: people\nstart: beginning\n{way}\n");
        allow.iter().for_each(|allow| writeln!(yaml, "allow: [{}]", words(allow)).unwrap());
        if !redact.is_empty() {
            writeln!(yaml, "redact: {{{}}}", redact.join(", ")).unwrap();
        }
        // A file has fixed columns; of the others some are mapped, by any root, and some converters fail.
        let targets: Vec<String> = match (name, open || dice.u8(..3) == 0) {
            ("file", _) => columns.iter().map(|column| format!("{column}: {column}")).collect(),
            (_, true) => Vec::new(),
            (_, false) => {
                let one = |(at, column): (usize, &str)| match at {
                    0 => format!("$before.{column}: {{to: was.{column}, default: null}}"),
                    1 => format!("$after.{column}: {{to: list.{column}, default: null}}"),
                    2 => format!("{column}: {{to: {column}, convert: \"date -> %Y%m%d\"}}"),
                    _ => format!("{column}: deep.{column}"),
                };
                let mut columns = COLUMNS;
                dice.shuffle(&mut columns);
                let count = dice.usize(1..=4);
                columns.into_iter().take(count).map(|column| one((dice.usize(..6), column))).collect()
            }
        };
        if !targets.is_empty() {
            writeln!(yaml, "map: {{{}}}", targets.join(", ")).unwrap();
        }
        Out { name, allow, redacted, yaml }
    }
}

/// The value of a column in a row and version: the SQL of it, and the forms in which it would be found.
struct Canary {
    column: &'static str,
    sql: String,
    forms: Vec<String>,
}

impl Canary {
    fn new(dice: &mut Rng, column: &'static str) -> Canary {
        let letters: String = (0..16).map(|_| dice.lowercase()).collect();
        let number = 4_000_000_000_000_000_u64 + dice.u64(..999_999_999_999_999);
        let encoded =
            |bytes: &[u8]| (0..3).map(|cut| STANDARD.encode(&bytes[cut.min(bytes.len())..])).collect::<Vec<_>>();
        // Whole groups of base64: what comes before and after does not change them.
        let inner = |bytes: &[u8]| encoded(bytes).into_iter().map(|text| text[..16].to_owned()).collect::<Vec<_>>();
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let (sql, mut forms) = match column {
            "b" => (number.to_string(), vec![number.to_string()]),
            "c" => (format!("'{{\"inner\": {{\"ssn\": \"{letters}\"}}}}'"), vec![letters.clone()]),
            "d" => (format!("x'{}'", hex(letters.as_bytes())), vec![letters.clone()]),
            "e" => (format!("{number}.25"), vec![number.to_string()]),
            "f" => (format!("'Größe & <{letters}>\"'"), vec![letters.clone()]),
            _ => (format!("'{letters}'"), vec![letters.clone()]),
        };
        let text = forms[0].clone();
        forms.extend(inner(text.as_bytes()));
        forms.push(hex(text.as_bytes()));
        Canary { column, sql, forms }
    }
}

/// Everything that left by one way: whether the policy lets a column leave there is asked of `may`.
struct Left<'p> {
    way: String,
    bytes: Vec<u8>,
    may: Box<dyn Fn(&str) -> bool + 'p>,
}

/// Searches all that left. Gives what should not be there, and what was found of what may: (way, column).
fn search(left: &[Left<'_>], canaries: &[Canary]) -> (Vec<String>, BTreeSet<(String, &'static str)>) {
    let (mut wrong, mut found) = (Vec::new(), BTreeSet::new());
    for Left { way, bytes, may } in left {
        let text = String::from_utf8_lossy(bytes).to_lowercase();
        for canary in canaries {
            let Some(form) = canary.forms.iter().find(|form| text.contains(&form.to_lowercase())) else { continue };
            if may(canary.column) {
                found.insert((way.clone(), canary.column));
            } else {
                let at = text.find(&form.to_lowercase()).unwrap();
                let from = text.char_indices().map(|(at, _)| at).rfind(|from| *from + 200 <= at).unwrap_or(0);
                let near: String = text[from..].chars().take(400).collect();
                wrong.push(format!("{way}: column {} as {form}: ...{near}", canary.column));
            }
        }
    }
    (wrong, found)
}

const CSV: &str = "adapter: directory
drop:
  schedule: {cut_off: \"00:00\", zone: UTC}
  source: {key: [k]}
  format: {kind: csv, columns: [COLUMNS]}
  name: \"P{seq:06}.csv\"
  deliver: {directory: ../../out}";

/// Draws an office, lets it work in every way, and searches all that left.
fn office(seed: u64, open: bool) -> (Vec<String>, BTreeSet<(String, &'static str)>) {
    let mut dice = Rng::with_seed(seed);
    let target = Receiver::start();
    // A target that does not like some records, and says so with what it was told.
    let refused = AtomicUsize::new(0);
    target.meet(move |entry| {
        let refuses = entry.path.starts_with("/single") && refused.fetch_add(1, SeqCst).is_multiple_of(2);
        let said = format!("{{\"title\":\"no\",\"detail\":{}}}", serde_json::Value::from(entry.path.as_str()));
        refuses.then(|| Scenario::answer("echo", false, scenario::json(422, "", &said), End::Keep))
    });
    let office = Office::new("CREATE TABLE people(k TEXT PRIMARY KEY NOT NULL, a, b, c, d, e, f)");
    std::fs::create_dir_all(office.folder().join("out")).unwrap();
    let policy = if open { Policy::open() } else { Policy::draw(&mut dice) };
    office.settings("people: {}");
    office.add_settings(&policy.yaml());
    let at = |path: &str, more: &str| {
        let (url, ca) = (target.url(path), target.ca.file());
        format!("target: {{url: '{url}', tls: {{ca: '{}'}}{more}}}\nonDead: continue", ca.display())
    };
    let outs = [
        Out::draw(&mut dice, "single", &at("/single/{k}", ", method: PUT"), open),
        Out::draw(&mut dice, "array", &format!("{}\nbatch: {{max: 3, shape: array}}", at("/array", "")), open),
        Out::draw(&mut dice, "lines", &format!("{}\nbatch: {{max: 5, shape: ndjson}}", at("/lines", "")), open),
        #[cfg(feature = "sftp")]
        Out::draw(&mut dice, "file", CSV, open),
    ];
    outs.iter().for_each(|out| office.connector(out.name, &out.yaml));
    assert_eq!(office.run(&["watch", "people"]).code, Some(0), "{seed}");
    let configured = office.run(&["check"]);
    assert_eq!(configured.code, Some(0), "{seed}: {configured:#?}");

    let agent = office.agent();
    let way = Way::socket(&office);
    let mut stream = way.open();
    let head = stream.head("GET", "/events", &[]);
    stream.write(format!("{head}\r\n").as_bytes()).unwrap();
    assert_eq!(stream.answer().unwrap().status, 200);

    let mut canaries = Vec::new();
    let mut keys = Vec::new();
    let mut values = |dice: &mut Rng, columns: &[&'static str]| -> Vec<String> {
        let made: Vec<Canary> = columns.iter().map(|column| Canary::new(dice, column)).collect();
        let sql = made.iter().map(|canary| canary.sql.clone()).collect();
        canaries.extend(made);
        sql
    };
    for _ in 0..ROWS {
        let row = values(&mut dice, &COLUMNS);
        office.sql(&format!("INSERT INTO people VALUES ({})", row.join(", ")));
        let update = values(&mut dice, &COLUMNS[1..]);
        let set: Vec<String> =
            COLUMNS[1..].iter().zip(&update).map(|(column, value)| format!("{column} = {value}")).collect();
        office.sql(&format!("UPDATE people SET {} WHERE k = {}", set.join(", "), row[0]));
        keys.push(row[0].trim_matches('\'').to_owned());
    }
    let new_key = values(&mut dice, &["k"]);
    office.sql(&format!(
        "UPDATE people SET k = {} WHERE k = '{}'; DELETE FROM people WHERE k = '{}'",
        new_key[0], keys[0], keys[1]
    ));
    // The same by the front door; JSON has no bytes.
    let posted = values(&mut dice, &["a", "f"]);
    let payload = format!(
        r#"{{"a":"{}","f":{}}}"#,
        posted[0].trim_matches('\''),
        serde_json::Value::from(posted[1].trim_matches('\''))
    );
    let answer = way.post("/sync", &format!(r#"{{"type":"people","payload":{payload}}}"#));
    assert_eq!(answer.status, 200, "{answer:?}");

    let events = office.highest();
    let mut streamed = Vec::new();
    let mut heard = 0;
    while heard <= events {
        for (name, text) in stream.message().unwrap() {
            heard += i64::from(name == "data");
            streamed.extend(format!("{name}: {text}\n").into_bytes());
        }
    }
    for out in outs.iter().filter(|out| out.name != "file") {
        wait("it has read everything", || office.cursor(out.name) >= events);
    }
    let over = |office: &Office| office.run(&["--json", "status"]).stdout.contains("\"queued\": 0");
    wait("nothing is under way", || over(&office) || office.run(&["--json", "status"]).stdout.contains("\"queued\":0"));

    let mut left: Vec<Left<'_>> = Vec::new();
    let view = |column: &str| policy.leaves(column, policy.views.as_ref());
    let nothing = |_: &str| false;
    left.push(Left { way: "stream".into(), bytes: streamed, may: Box::new(view) });
    let verb = |line: &[&str]| {
        let ended = office.run(line);
        [ended.stdout.into_bytes(), ended.stderr.into_bytes()].concat()
    };
    for out in &outs {
        let may = |column: &str| policy.leaves(column, out.allow.as_ref()) && !out.redacted.contains(column);
        let simulated = match out.name {
            "file" => {
                let previewed = verb(&["drop", "preview", "file"]);
                assert!(office.run(&["drop", "run", "file"]).code.is_some());
                previewed
            }
            name => {
                [verb(&["simulate", "--connector", name]), verb(&["--json", "simulate", "--connector", name])].concat()
            }
        };
        left.push(Left { way: format!("simulate {}", out.name), bytes: simulated, may: Box::new(may) });
    }
    for line in [
        &["tail", "--once"][..],
        &["deliveries", "list"],
        &["--json", "deliveries", "list"],
        &["drop", "show", "file"],
        &["drop", "show", "file", "1"],
        &["--json", "drop", "show", "file", "1"],
    ] {
        left.push(Left { way: line.join(" "), bytes: verb(line), may: Box::new(view) });
    }
    let positions: Vec<String> = (1..=events).map(|seq| seq.to_string()).collect();
    for json in [&["-v"][..], &["--json"]] {
        let mut shown = Vec::new();
        for seq in &positions {
            shown.extend(verb(&[json, &["deliveries", "show", seq, "--values"]].concat()));
        }
        left.push(Left { way: "deliveries show".into(), bytes: shown, may: Box::new(view) });
    }
    for key in &keys {
        // Who names a key knows it: an answer that there is none repeats it.
        let answers = [way.get(&format!("/records/people/{key}")), way.get("/deliveries")];
        let bytes = answers.iter().flat_map(|answer| answer.json().to_string().into_bytes()).collect();
        left.push(Left { way: "records".into(), bytes, may: Box::new(view) });
    }
    for line in [
        &["status"][..],
        &["--json", "status"],
        &["check"],
        &["check", "--online"],
        &["gate", "explain"],
        &["--json", "gate", "explain"],
        &["doctor"],
        &["drop", "list"],
    ] {
        left.push(Left { way: line.join(" "), bytes: verb(line), may: Box::new(nothing) });
    }
    for call in ["/status", "/connectors", "/needs", "/sources", "/metrics", "/readyz", "/healthz", "/"] {
        let answer = way.get(call);
        let bytes = [answer.head.clone().into_bytes(), answer.body.clone()].concat();
        left.push(Left { way: format!("GET {call}"), bytes, may: Box::new(nothing) });
    }
    // An entrance that is told nonsense.
    let nonsense = way.post("/sync", &format!(r#"{{"type":"people","payload":{{"a":{}}}"#, canaries[1].forms[0]));
    left.push(Left { way: "a bad post".into(), bytes: format!("{nonsense:?}").into_bytes(), may: Box::new(nothing) });
    left.push(Left { way: "log".into(), bytes: agent.said().into_bytes(), may: Box::new(nothing) });
    agent.stop();
    for out in &outs {
        let may = |column: &str| policy.leaves(column, out.allow.as_ref()) && !out.redacted.contains(column);
        let mut bytes = Vec::new();
        match out.name {
            "file" => {
                for path in files_beneath(&office.folder().join("out")) {
                    bytes.extend(std::fs::read(&path).unwrap());
                }
            }
            name => {
                for entry in target.journal().iter().filter(|entry| entry.path.starts_with(&format!("/{name}"))) {
                    bytes.extend(format!("{} {} {:?}\n", entry.method, entry.path, entry.headers).into_bytes());
                    bytes.extend(&entry.body);
                }
            }
        }
        left.push(Left { way: out.name.to_owned(), bytes, may: Box::new(may) });
    }
    let (wrong, found) = search(&left, &canaries);
    let wrong = wrong.into_iter().map(|what| format!("seed {seed}: {what}\n{}", policy.yaml())).collect();
    (wrong, found)
}

#[test]
fn what_may_not_leave_stands_in_no_byte_that_does() {
    let offices = std::env::var("HMS_CANARIES").map_or(OFFICES, |text| text.parse().unwrap());
    let seed = std::env::var("HMS_SEED").map_or(1, |text| text.parse().unwrap());
    for seed in seed..seed + offices {
        let (wrong, _) = office(seed, false);
        assert!(wrong.is_empty(), "{} of them, the first: {}", wrong.len(), wrong[0]);
    }
}

#[test]
fn where_everything_may_leave_the_search_finds_it_on_every_way() {
    let (wrong, found) = office(1, true);
    assert_eq!(wrong, Vec::<String>::new());
    let ways: BTreeSet<&str> = found.iter().map(|(way, _)| way.as_str()).collect();
    let mut expected = vec!["single", "array", "lines", "stream", "tail --once", "deliveries show", "records"];
    expected.extend(["simulate single", "simulate array", "simulate lines"]);
    if cfg!(feature = "sftp") {
        expected.extend(["file", "simulate file", "drop show file 1"]);
    }
    for way in expected {
        assert!(ways.contains(way), "{way} is not among {ways:?}");
    }
    for way in ["single", "array", "lines", "tail --once"] {
        let columns: BTreeSet<&str> = found.iter().filter(|(of, _)| of == way).map(|(_, column)| *column).collect();
        assert_eq!(columns, BTreeSet::from(COLUMNS), "{way}: each form of a value is found");
    }
}
