//! Files of drops: the most memory that a file of very many records takes, from the changes in the application's file to the file in
//! its folder (F2). The floor is the same with few records.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Arguments;
use crate::support::agent::{PROGRAM, prepare};
use crate::support::figures::print;
use crate::support::office;
use crate::support::process::peak_memory_of;

const FEW: i64 = 10_000;
const MANY: i64 = 1_000_000;

const COPYBOOK: &str = "       01  HEADER-REC.
           05  H-TYPE      PIC X(2).
           05  H-SEQ       PIC 9(6).
           05  FILLER      PIC X(192).
       01  DETAIL-REC.
           05  D-TYPE      PIC X(2).
           05  D-ID        PIC 9(10).
           05  D-PATIENT   PIC X(12).
           05  D-CLINIC    PIC X(30).
           05  D-PROVIDER  PIC X(10).
           05  D-STARTS    PIC X(25).
           05  D-MINUTES   PIC S9(5) COMP-3.
           05  D-STATUS    PIC X(12).
           05  D-ROOM      PIC X(8).
           05  D-REASON    PIC X(40).
           05  D-NOTE      PIC X(40).
           05  D-PRIORITY  PIC S9(3).
           05  FILLER      PIC X(5).
       01  TRAILER-REC.
           05  T-TYPE      PIC X(2).
           05  T-COUNT     PIC 9(9).
           05  T-HASH      PIC 9(10).
           05  FILLER      PIC X(179).
";

const CONNECTOR: &str = r#"adapter: directory
listen: appointments
start: beginning
drop:
  schedule: {cut_off: "18:00", zone: UTC}
  format:
    copybook: BENCH.cpy
    codepage: cp037
    lrecl: 200
    header: {record: HEADER-REC, set: {H-TYPE: HD, H-SEQ: "{seq}"}}
    detail: {record: DETAIL-REC, set: {D-TYPE: DT}, map: {D-ID: id, D-PATIENT: patient, D-CLINIC: clinic, D-PROVIDER: provider, D-STARTS: starts, D-MINUTES: minutes, D-STATUS: status, D-ROOM: room, D-REASON: reason, D-NOTE: note, D-PRIORITY: priority}}
    trailer: {record: TRAILER-REC, set: {T-TYPE: TR, T-COUNT: "count()", T-HASH: "hash(D-ID, 10)"}}
  name: "F{seq:06}"
  deliver: {directory: out}
"#;

/// Measures and prints.
pub fn run(_: &Arguments) -> Value {
    let (few, _) = file(FEW);
    let (many, seconds) = file(MANY);
    let row = |records: i64, peak: f64| vec![records.to_string(), format!("{peak:.1}")];
    let title = format!("a file of a drop: peak resident MB, {seconds:.0} s for the large one (F2: under 64 MB)");
    print(&title, &["records", "peak MB"], &[row(FEW, few), row(MANY, many)]);
    json!({ "records": MANY, "peak MB": many, "seconds": seconds, "peak MB with 10000": few })
}

/// The peak of the run that makes a file of so many records, and how long it took.
fn file(records: i64) -> (f64, f64) {
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let folder = place.path();
    for name in ["state", "connectors", "copybooks", "connectors/out"] {
        std::fs::create_dir_all(folder.join(name)).unwrap();
    }
    let settings = "database: office.db\nstate: state/state.db\noffice: BENCH\nwatch: {appointments: {}}\n\
                    governance: {default: public}\ncapture: {cap: 1000GiB}\n";
    std::fs::write(folder.join("sync.yaml"), settings).unwrap();
    std::fs::write(folder.join("copybooks/BENCH.cpy"), COPYBOOK).unwrap();
    std::fs::write(folder.join("connectors/bench.yaml"), CONNECTOR).unwrap();
    let db = office::open(&folder.join("office.db"));
    db.execute_batch(office::TABLE).unwrap();
    prepare(folder);
    db.execute_batch("PRAGMA synchronous=OFF; PRAGMA wal_autocheckpoint=20000").unwrap();
    office::batches(&db, 1, records + 1, 10_000, office::insert);
    db.pragma_update(None, "wal_checkpoint", "TRUNCATE").unwrap();
    drop(db);
    let (peak, seconds) = cut(folder);
    let size = std::fs::metadata(folder.join("connectors/out/F000001")).unwrap().len();
    assert_eq!(size, 200 * (records as u64 + 2), "the file is not whole");
    (peak, seconds)
}

/// Has the file made.
fn cut(folder: &Path) -> (f64, f64) {
    let started = Instant::now();
    let log = std::fs::File::create(folder.join("agent.log")).unwrap();
    let mut command = Command::new(PROGRAM);
    command.arg("--config").arg(folder).args(["drop", "run", "bench", "--reason", "bench"]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
    let mut peak = 0.0_f64;
    loop {
        // The kernel keeps the highest: the last look is what counts, and nothing large is made at the very end.
        peak = peak.max(peak_memory_of(child.id()).unwrap_or(0.0));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{}", std::fs::read_to_string(folder.join("agent.log")).unwrap());
            return (peak, started.elapsed().as_secs_f64());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
