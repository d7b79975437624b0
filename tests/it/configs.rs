//! The corpus of configurations: what loads, and what every mistake is told to its author, word for word.
//!
//! `NAME.yaml`, `NAME.json` or a folder `NAME/` beside `NAME.expected`, which holds all findings, one a line; a good
//! configuration without that file has none. With `WRITE_EXPECTED=1` the files are written anew, to be read through.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use hms_sync::adapter::{Parcel, Request};
use hms_sync::clock::Timestamp;
use hms_sync::config::drop::ack::After;
use hms_sync::config::{self, ConnectorSpec, Problem, Settings, build};
use hms_sync::engine::drop::Drop;
use hms_sync::engine::drop::acknowledge::Matching;
use hms_sync::event::{Event, Op, Record, Value};
use hms_sync::format::codepage;
use hms_sync::format::feed::Row;
use hms_sync::rules::mapping::Mapping;
use hms_sync::rules::naming::Stamp;
use proptest::prelude::*;

/// Every configuration in a folder of the corpus.
fn corpus(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = entries.filter(|path| path.extension().is_none_or(|end| end != "expected")).collect();
    found.sort();
    found
}

/// The settings that single connector files stand beside.
fn settings() -> Settings {
    config::load(Path::new("tests/configs/good/folder")).unwrap_or_else(|problems| panic!("{problems}")).settings
}

/// All findings, one a line, with names as seen from the corpus, and whether it loads.
fn findings(path: &Path, folder: &str) -> (String, bool) {
    let found = match path.is_dir() {
        true => config::load(path).map(|config| config.warnings),
        false => config::check_file(path, Some(&settings())),
    };
    let lines = |list: &[Problem]| {
        list.iter().map(|problem| format!("{problem}\n").replace(&format!("{folder}/"), "")).collect::<String>()
    };
    match found {
        Ok(warnings) => (lines(&warnings), true),
        Err(problems) => (lines(problems.list()), false),
    }
}

/// Compares the findings with the expected ones, or writes these anew.
fn compare(path: &Path, found: &str) -> Option<String> {
    let expected = path.with_extension("expected");
    if std::env::var_os("WRITE_EXPECTED").is_some() {
        match found.is_empty() {
            true => drop(fs::remove_file(&expected)),
            false => fs::write(&expected, found).unwrap(),
        }
    }
    let wanted = fs::read_to_string(&expected).unwrap_or_default();
    (wanted != found).then(|| format!("--- {}: expected\n{wanted}--- found\n{found}", path.display()))
}

#[test]
fn every_bad_configuration_is_told_what_is_wrong_and_where() {
    let folder = "tests/configs/bad";
    let cases = corpus(folder);
    assert!(cases.len() >= 40, "only {} cases", cases.len());
    let mut wrong = Vec::new();
    for path in &cases {
        let (found, loads) = findings(path, folder);
        if loads {
            wrong.push(format!("--- {} loads", path.display()));
        }
        wrong.extend(compare(path, &found));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_good_configuration_loads_and_warns_of_what_it_should() {
    let folder = "tests/configs/good";
    let mut wrong = Vec::new();
    for path in corpus(folder) {
        let (found, loads) = findings(&path, folder);
        if !loads {
            wrong.push(format!("--- {} does not load", path.display()));
        }
        wrong.extend(compare(&path, &found));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_finding_stands_in_the_corpus_without_its_configuration() {
    for folder in ["tests/configs/bad", "tests/configs/good"] {
        let cases: BTreeSet<PathBuf> = corpus(folder).iter().map(|path| path.with_extension("")).collect();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            assert!(cases.contains(&path.with_extension("")), "{}", path.display());
        }
    }
}

#[test]
fn no_message_shows_a_secret() {
    for path in corpus("tests/configs/bad") {
        let (found, _) = findings(&path, "");
        assert!(!found.contains("hunter2"), "{}: {found}", path.display());
    }
}

#[test]
fn the_examples_load() {
    // A folder without settings has parts for the configurations of others.
    let stories: Vec<PathBuf> = corpus("examples").into_iter().filter(|path| path.join("sync.yaml").exists()).collect();
    for name in ["cdc", "vista"] {
        assert!(stories.iter().any(|path| path.ends_with(name)), "{name}");
    }
    for path in stories {
        config::load(&path).unwrap_or_else(|problems| panic!("{problems}"));
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

/// An inserted row.
fn event(image: Record) -> Event {
    Event {
        id: "6f1c09aa-17-0b7e22d1".parse().unwrap(),
        log: "office".into(),
        kind: "appointments".into(),
        op: Op::Insert,
        key: Record::new(),
        old_key: None,
        before: None,
        after: Some(image),
        changed: Vec::new(),
        at: Timestamp(0),
        origin: None,
        dest: None,
        push: None,
        lane: 0,
        old_lane: None,
        synthetic: false,
    }
}

/// What a connector's mapping makes of one event.
fn sent(spec: &ConnectorSpec) -> String {
    let image = [
        ("id", Value::Integer(42)),
        ("start", text("2026-03-05T18:05:00Z")),
        ("duration", Value::Integer(20)),
        ("status", text("01")),
        ("patient", text("p")),
        ("address", Value::Map([("city", text("Springfield"))].into_iter().collect())),
    ];
    format!("{:?}", spec.mapping.apply(&event(image.into_iter().collect())))
}

/// The request that a printed connector file makes of an event, where nothing is classified.
fn request(file: &str, image: Record) -> Request {
    let settings = Settings { governance: None, ..settings() };
    let credentials = build::credentials(&settings).unwrap();
    let connector = build::connector(connector(file), &settings, &credentials, [0; 32]).unwrap();
    let event = event(image);
    let cleared = connector.subscription.clear(&event, connector.adapter.fields()).unwrap();
    let parcel = Parcel::new(event.id.to_string(), event.op, event.kind.clone(), cleared);
    connector.adapter.render(&parcel).unwrap().unwrap()
}

#[test]
fn the_printed_connectors_send_what_their_authors_meant() {
    let shot =
        [("patientId", text("123-45-6789")), ("vaccineCode", text("208")), ("dateAdministered", text("2026-03-05"))];
    let sent = request("cdc-immunization.json", shot.into_iter().collect());
    assert_eq!((&*sent.method, &*sent.url), ("POST", "https://registry.test/immunizations"));
    assert_eq!(String::from_utf8_lossy(&sent.body), r#"{"ssn":"123-45-6789","cvxcvxc":"208","date":"2026-03-05"}"#);

    let rule = [("ruleId", Value::Integer(42)), ("duration", Value::Integer(20)), ("maxPatients", Value::Integer(4))];
    let sent = request("appointment-rule-vista.yaml", rule.into_iter().collect());
    assert_eq!((&*sent.method, &*sent.url), ("PUT", "https://vista.test/appointment-rules"));
    assert_eq!(String::from_utf8_lossy(&sent.body), r#"{"slotLen":20,"capacity":4}"#);
    let header =
        |name: &str| sent.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, v)| &**v);
    assert_eq!((header("Idem-Key"), header("Idempotency-Key")), (Some("42"), Some("6f1c09aa-17-0b7e22d1")));
}

fn connector(name: &str) -> ConnectorSpec {
    let path = Path::new("tests/configs/good").join(name);
    config::load_connector_file(&path, &settings()).unwrap_or_else(|problems| panic!("{problems}")).0
}

#[test]
fn both_spellings_of_a_connector_are_one_connector() {
    let (camel, snake) = (connector("everything.yaml"), connector("everything-snake.yaml"));
    assert_eq!(camel.config, snake.config);
    assert_eq!(camel.config_hash, snake.config_hash);
    assert_eq!(sent(&camel), sent(&snake));
}

#[test]
fn a_connector_is_made_again_from_its_canonical_form() {
    let settings = settings();
    for path in corpus("tests/configs/good").into_iter().filter(|path| !path.is_dir()) {
        let Ok((spec, _)) = config::load_connector_file(&path, &settings) else { continue };
        let again = config::from_canonical(&spec.config).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(again.config, spec.config, "{}", path.display());
        assert_eq!(again.config_hash, spec.config_hash);
        assert_eq!(sent(&again), sent(&spec), "{}", path.display());
        // Paths become absolute, which is the one difference that is meant.
        let here = format!("{}/", std::env::current_dir().unwrap().display());
        let rest = |mut spec: ConnectorSpec| {
            spec.mapping = Mapping::whole();
            spec.mapping_place = Default::default();
            spec.filter_place = Default::default();
            spec.endpoint_places = Default::default();
            spec.mapping_lines.clear();
            format!("{spec:?}").replace(&spec.file, "").replace(&here, "")
        };
        assert_eq!(rest(again), rest(spec), "{}", path.display());
    }
}

#[test]
fn the_order_of_a_mapping_is_part_of_the_configuration_and_the_order_of_keys_is_not() {
    let hash = |json: &str| config::from_canonical(json).unwrap().config_hash;
    let a = hash(r#"{"name":"x","endpoint":{"url":"https://h.example/"},"mapping":{"a":"a","b":"b"}}"#);
    let b = hash(r#"{"map":{"a":"a","b":"b"},"target":{"url":"https://h.example/"},"name":"x"}"#);
    let c = hash(r#"{"name":"x","endpoint":{"url":"https://h.example/"},"mapping":{"b":"b","a":"a"}}"#);
    assert_eq!(a, b);
    assert_ne!(a, c);
}

#[test]
fn good_connectors_are_built_and_share_their_credentials() {
    let config = config::load(Path::new("tests/configs/good/folder")).unwrap();
    let credentials = build::credentials(&config.settings).unwrap();
    assert_eq!(credentials.len(), 4);
    let mut origins = Vec::new();
    for spec in config.connectors {
        let canonical = spec.config.clone();
        let connector = build::connector(spec, &config.settings, &credentials, [0; 32]).unwrap();
        assert_eq!(connector.config, canonical);
        origins.push(connector.adapter.origin().to_owned());
    }
    assert_eq!(
        origins,
        ["https://gis.test:443", "https://notes.test:443", "http://localhost:8080", "https://rules.test:443"]
    );
}

#[test]
fn what_only_shows_when_a_connector_is_built_is_told_like_everything_else() {
    let settings = settings();
    let credentials = build::credentials(&settings).unwrap();
    let problems = build::connector(connector("everything.yaml"), &settings, &credentials, [0; 32]).unwrap_err();
    let [problem] = problems.list() else { panic!("{problems}") };
    assert_eq!((problem.file.as_str(), problem.key.as_str()), ("tests/configs/good/everything.yaml", "endpoint.tls"));
    assert!(problem.message.contains("ca.pem"), "{problem}");
}

/// The only drop of a configuration.
fn dropped(folder: &str) -> (Settings, ConnectorSpec) {
    let config = config::load(Path::new(folder)).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(config.connectors.is_empty(), "a drop makes no calls");
    (config.settings, config.drops.into_iter().next().unwrap())
}

/// The file that a drop makes of one appointment.
fn first_file(drop: &Drop) -> Vec<u8> {
    let stamp = Stamp {
        office: drop.naming.office.clone(),
        drop: drop.subscription.name.to_string(),
        bus_date: "2026-03-05".parse().unwrap(),
        cut: Timestamp(1_772_755_200_000),
        created: Timestamp(1_772_755_201_000),
        zone: drop.timing.cut_offs.zone().clone(),
        seq: 17,
        prev_seq: 16,
        generation: 17,
        rerun: 0,
        modifier: 0,
        part: (1, 1),
    };
    let name = drop.naming.name.name(&stamp).unwrap();
    assert_eq!(name, "OF042.WICAPPT.D260305.S000017.DAT");
    let record =
        [("appt_id", Value::Integer(42)), ("clinic", text("NORTH")), ("balance", text("12.50")), ("status", text("B"))];
    let record: Record = record.into_iter().collect();
    let row = Row { record: &record, action: "add", ordinal: 1 };
    drop.feed.gauge().unwrap().row(&row).unwrap();
    let mut file = Vec::new();
    let mut writing = drop.feed.file(&stamp, &name).unwrap();
    writing.begin(None, &mut file).unwrap();
    writing.row(&row, &mut file).unwrap();
    writing.finish(&mut file).unwrap();
    file
}

#[test]
fn a_drop_is_made_again_years_later_without_its_copybooks_and_its_calendar() {
    let (settings, spec) = dropped("tests/configs/good/folder-drop");
    let again = config::from_canonical(&spec.config).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!((&again.config, again.config_hash), (&spec.config, spec.config_hash));
    let embedded = &spec.drop().unwrap().embedded;
    assert_eq!(embedded.copybooks.keys().collect::<Vec<_>>(), ["WICACK.cpy", "WICAPPT.cpy", "WICAPPTD"]);
    assert_eq!(embedded.calendars.keys().collect::<Vec<_>>(), ["us-federal.txt"]);
    let (now, then) = (build::drop(spec, &settings, [0; 32]).unwrap(), build::drop(again, &settings, [0; 32]).unwrap());
    let file = first_file(&now);
    assert_eq!(file.len(), 240);
    assert_eq!(file, first_file(&then));
    assert_eq!(now.folder, settings.state.parent().unwrap().join("drops/wic-nightly"));
    assert_eq!((now.outlets.len(), now.outlets[0].name.as_str()), (1, "mvs.example"));
    let slot = now.timing.cut_offs.of(Timestamp(1_772_755_200_000)).unwrap().slot;
    assert_eq!(then.timing.cut_offs.of(Timestamp(1_772_755_200_000)).unwrap().slot, slot);
}

#[test]
fn the_answers_of_a_drop_are_read_by_their_copybook_alone() {
    let (_, spec) = dropped("tests/configs/good/folder-drop");
    let ack = spec.drop().unwrap().ack.as_ref().unwrap();
    assert_eq!(
        ack.file,
        Matching::Sequence {
            id: Some(("WA-FILE-ID".to_owned(), "WICAPPT".to_owned())),
            sequence: "WA-SEQ-NO".to_owned()
        }
    );
    assert_eq!((ack.from.as_str(), &ack.after), ("mvs.example", &After::Move("done".to_owned())));
    let mut file = Vec::new();
    for line in ["HDWICAPPT 000017", "DT0000000042R0007no such clinic", "TR00000001"] {
        codepage::named("037").unwrap().encode(&format!("{line:<80}"), None, &mut file).unwrap();
    }
    let read = ack.feed().unwrap().read(&file).unwrap();
    assert_eq!(read.header[0].get("WA-SEQ-NO"), Some(&Value::Integer(17)));
    let [line] = read.details.as_slice() else { panic!("{read:?}") };
    assert_eq!((line.get("WA-APPT-ID"), line.get("WA-STATUS")), (Some(&Value::Integer(42)), Some(&text("R"))));
    assert_eq!(line.get("WA-TEXT"), Some(&text("no such clinic")));
}

#[test]
fn another_copybook_is_another_configuration() {
    let folder = tempfile::tempdir().unwrap();
    for part in ["sync.yaml", "connectors/wic-nightly.yaml", "copybooks/WICAPPT.cpy", "copybooks/WICAPPTD.cpy"]
        .into_iter()
        .chain(["copybooks/WICACK.cpy", "calendars/us-federal.txt"])
    {
        let to = folder.path().join(part);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(Path::new("tests/configs/good/folder-drop").join(part), to).unwrap();
    }
    let hash = || dropped(folder.path().to_str().unwrap()).1.config_hash;
    let before = hash();
    let copied = folder.path().join("copybooks/WICAPPTD.cpy");
    let text = fs::read_to_string(&copied).unwrap();
    fs::write(&copied, format!("      * A later release.\n{text}")).unwrap();
    assert_ne!(hash(), before);
    // Without the copybook that another copies, the line of the copybook is named.
    fs::remove_file(&copied).unwrap();
    let problems = config::load(folder.path()).unwrap_err().to_string();
    assert!(problems.contains("drop.format.copybook: WICAPPT.cpy:10: "), "{problems}");
    assert!(problems.contains("WICAPPTD"), "{problems}");
}

/// What a slip of the hand may put into a file.
const SCRAPS: &str = "[ \\-:{}\\[\\],\"'#&*!|>%@`\t\n\\\\/a-z0-9éμ]{0,12}";

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn no_text_makes_the_reader_panic_or_point_beyond_the_file(
        seed in 0_usize..1_000_000,
        cuts in prop::collection::vec((0.0..1.0_f64, 0_usize..30, SCRAPS), 1..4),
    ) {
        let mut files = corpus("tests/configs/good");
        files.retain(|path| path.is_file());
        let path = &files[seed % files.len()];
        let mut text: Vec<char> = fs::read_to_string(path).unwrap().chars().collect();
        for (place, length, with) in cuts {
            let from = (place * text.len() as f64) as usize;
            text.splice(from..(from + length).min(text.len()), with.chars());
        }
        let text: String = text.into_iter().collect();
        let folder = tempfile::tempdir().unwrap();
        let broken = folder.path().join(path.file_name().unwrap());
        fs::write(&broken, &text).unwrap();
        let found = match config::check_file(&broken, Some(&Settings::default())) {
            Ok(warnings) => warnings,
            Err(problems) => problems.list().to_vec(),
        };
        for problem in found {
            prop_assert!(problem.line as usize <= text.lines().count() + 1, "{problem}");
        }
    }
}

#[test]
fn findings_are_json_for_programs() {
    let problems = config::check_file(Path::new("tests/configs/bad/unknown-key.yaml"), Some(&settings())).unwrap_err();
    let json: serde_json::Value = serde_json::from_str(&serde_json::to_string(&problems).unwrap()).unwrap();
    let first = &json[0];
    assert_eq!((&first["severity"], &first["line"]), (&"error".into(), &2.into()));
    assert_eq!(first["hint"], "did you mean `listen`?");
}
