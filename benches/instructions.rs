//! The pure path: route, map, gate, encode one event for one target, by time and by instructions (the latter repeat,
//! whatever else the machine does). Beside it what an event of the same twelve fields costs to write as JSON by hand.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Serialize;
use serde_json::{Value as Json, json};

use hms_sync::config::{build, load};
use hms_sync::engine::compile::{Compiled, compile};
use hms_sync::engine::connector::Connector;
use hms_sync::event::{Event, Record, Value};
use hms_sync::store::capture::{Access, CapturedLog};

use crate::Arguments;
use crate::support::figures::{median, print};
use crate::support::{agent, backlog, process};

/// Different events; the path is taken over and over with them.
const EVENTS: usize = 1000;
const SIDES: [&str; 2] = ["by-hand", "hms-sync"];

/// Measures and prints.
pub fn run(arguments: &Arguments) -> Json {
    let rounds = arguments.rounds.unwrap_or(if arguments.long { 9 } else { 3 });
    let stock = backlog::of(4000);
    let folder = stock.fresh();
    agent::configure(&folder, stock.authority(), 1, 4, 1);
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for (side, times) in SIDES.iter().zip(&mut times) {
            times.push(microseconds(&folder, side, 300));
        }
    }
    let counts = SIDES.map(|side| instructions(&folder, side));
    let presets: Vec<(&str, Vec<f64>)> = PRESETS
        .iter()
        .map(|(name, _)| {
            by_preset(&folder, name);
            (*name, (0..rounds).map(|_| microseconds(&folder.join(name), SIDES[1], 30)).collect())
        })
        .collect();
    let shown = |count: Option<f64>| {
        count.map_or_else(|| "valgrind is not installed".to_owned(), |count| format!("{count:.0}"))
    };
    let rows = [0, 1].map(|at| vec![SIDES[at].to_owned(), format!("{:.2}", median(&times[at])), shown(counts[at])]);
    print(
        "pure path: route, map, gate, encode an event of 12 fields (D31: at most 2 us)",
        &["", "us/event", "instructions/event"],
        &rows,
    );
    let rows: Vec<_> =
        presets.iter().map(|(name, times)| vec![(*name).to_owned(), format!("{:.2}", median(times))]).collect();
    print("the same through a preset with a template (at most 30 us)", &["", "us/event"], &rows);
    let presets: serde_json::Map<String, Json> =
        presets.into_iter().map(|(name, times)| (name.to_owned(), json!(median(&times)))).collect();
    json!({ "presets us": presets, "by hand us": times[0], "us": times[1], "median us": median(&times[1]), "by hand instructions": counts[0],
            "instructions": counts[1] })
}

/// Adapters that are files, with what they want of the office's table.
const PRESETS: [(&str, &str); 3] = [
    ("fhir_immunization", "mapping: {id: id, room: vaccineCode, patient: patientId, starts: date, reason: lotNumber}"),
    (
        "cdc_immunization",
        "vars: {username: u, facility: OF042}\nmapping: {id: id, patient: patientId, clinic: lastName, provider: firstName, \
         starts: [{to: date, convert: iso -> date}, {to: birthDate, convert: iso -> date}], room: vaccineCode, note: lotNumber}",
    ),
    (
        "salesforce",
        "vars: {object: Appt__c, externalId: HMS_Id__c}\nmapping: {id: id, clinic: Clinic__c, starts: Start__c, note: Note__c}",
    ),
];

/// A folder beside the office's file with a connector that sends its table by a preset.
fn by_preset(folder: &Path, name: &str) {
    let own = folder.join(name);
    std::fs::create_dir_all(own.join("connectors")).unwrap();
    let more = PRESETS.iter().find(|(known, _)| *known == name).unwrap().1;
    let settings = "database: ../office.db\nstate: state.db\noffice: BENCH\nwatch: {appointments: {}}\ngovernance: {default: public}\n";
    std::fs::write(own.join("sync.yaml"), settings).unwrap();
    let connector =
        format!("adapter: {name}\nlisten: appointments\nendpoint: {{url: https://target.example/srv}}\n{more}\n");
    std::fs::write(own.join("connectors/preset.yaml"), connector).unwrap();
}

fn words(folder: &Path, side: &str, times: u32) -> Vec<String> {
    vec!["as-pure".to_owned(), folder.display().to_string(), side.to_owned(), times.to_string()]
}

/// Microseconds an event.
fn microseconds(folder: &Path, side: &str, times: u32) -> f64 {
    let done = Command::new(std::env::current_exe().unwrap()).args(words(folder, side, times)).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().parse().unwrap()
}

/// Instructions an event; none without valgrind. The difference of two runs, so that the start is not in it.
fn instructions(folder: &Path, side: &str) -> Option<f64> {
    let count = |times: u32| {
        let out = folder.join("callgrind.out");
        let mut command = Command::new("valgrind");
        command.args(["--quiet", "--tool=callgrind"]).arg(format!("--callgrind-out-file={}", out.display()));
        command.arg(std::env::current_exe().unwrap()).args(words(folder, side, times)).stdout(Stdio::null());
        let done = command.stderr(Stdio::piped()).output().ok()?;
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let text = std::fs::read_to_string(out).unwrap();
        let total = text.lines().find_map(|line| line.strip_prefix("totals: ").or(line.strip_prefix("summary: ")));
        Some(total.expect("callgrind has written no sum").trim().parse::<f64>().unwrap())
    };
    Some((count(4)? - count(1)?) / (3 * EVENTS) as f64)
}

/// A process that takes the path so many times with every event, and prints the microseconds an event: the agent's
/// folder, which side, how often.
pub fn pure(mut words: impl Iterator<Item = String>) {
    let folder = PathBuf::from(words.next().unwrap());
    let side = words.next().unwrap();
    let times: u32 = words.next().unwrap().parse().unwrap();
    let file = [folder.join("office.db"), folder.join("../office.db")].into_iter().find(|file| file.exists()).unwrap();
    let mut log = CapturedLog::open("office", &file, Access::Read).unwrap();
    let events = log.read(1000, EVENTS, usize::MAX).unwrap();
    assert_eq!(events.len(), EVENTS);
    let work: Box<dyn Fn(&Event)> = if side == SIDES[1] {
        let connector = connector(&folder);
        let has_steps = connector.adapter.identifies();
        Box::new(move |event| {
            let Compiled::Send(parcels) = compile(&connector, event, "") else { panic!("the event is not sent") };
            if has_steps {
                // What has several steps is written when it is sent.
                parcels.iter().for_each(|parcel| drop(black_box(connector.adapter.calls(parcel).unwrap())));
            }
            black_box(parcels);
        })
    } else {
        Box::new(|event| {
            black_box(serde_json::to_vec(&Slot::of(event.image()).unwrap()).unwrap());
        })
    };
    // By the CPU's time: what else runs on the machine is not in it.
    let before = process::fine_cpu(std::process::id());
    for _ in 0..times {
        events.iter().for_each(|event| work(black_box(event)));
    }
    let used = process::fine_cpu(std::process::id()) - before;
    println!("{}", used * 1e6 / (f64::from(times) * EVENTS as f64));
}

fn connector(folder: &Path) -> Connector {
    let config = load(folder).unwrap();
    let credentials = build::credentials(&config.settings).unwrap();
    let spec = config.connectors.into_iter().next().unwrap();
    build::connector(spec, &config.settings, &credentials, [0; 32]).unwrap()
}

/// What the target wants, as one would write it by hand.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Slot<'e> {
    record: i64,
    version: i64,
    patient_id: &'e str,
    clinic_name: &'e str,
    provider_id: &'e str,
    starts_at: &'e str,
    slot_minutes: i64,
    state: &'e str,
    room_name: &'e str,
    reason_text: &'e str,
    remarks: &'e str,
    rank: i64,
}

impl<'e> Slot<'e> {
    fn of(image: &'e Record) -> Option<Slot<'e>> {
        // In the order of the table's columns, as a loop over a statement's row would have them.
        let mut values = image.iter().map(|(_, value)| value);
        let mut next = || values.next();
        let text = |value: Option<&'e Value>| match value? {
            Value::Text(text) => Some(&**text),
            _ => None,
        };
        let number = |value: Option<&'e Value>| match value? {
            Value::Integer(number) => Some(*number),
            _ => None,
        };
        Some(Slot {
            record: number(next())?,
            version: number(next())?,
            patient_id: text(next())?,
            clinic_name: text(next())?,
            provider_id: text(next())?,
            starts_at: text(next())?,
            slot_minutes: number(next())?,
            state: text(next())?,
            room_name: text(next())?,
            reason_text: text(next())?,
            remarks: text(next())?,
            rank: number(next())?,
        })
    }
}
