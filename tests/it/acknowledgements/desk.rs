//! An office with a drop, and a host that answers from a folder.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use hms_sync::event::Value;
use hms_sync::store::state::parked::Parked;

use crate::support::office::{Ended, Office, THREE};

/// The usual way to see that an answer is whole.
const TRIGGER: &str = "trigger: \"{file}.done\"";

pub struct Desk {
    pub office: Office,
    said: std::cell::RefCell<String>,
}

impl Desk {
    /// With the usual first line of an answer, `ACK 1`; `more` are further keys of `ack`.
    pub fn new(more: &str) -> Desk {
        Desk::with_header("ACK {seq}", more)
    }

    pub fn with_header(header: &str, more: &str) -> Desk {
        let desk = Desk { office: Office::visits(), said: Default::default() };
        desk.configure(header, more, TRIGGER);
        assert_eq!(desk.office.run(&["watch", "visits"]).code, Some(0));
        desk
    }

    /// Another office, as this one is now.
    pub fn copy(&self) -> Desk {
        let desk = Desk { office: self.office.copy(), said: Default::default() };
        // The answers are removed once they were used.
        desk.configure("ACK {seq}", super::LISTED, &format!("{TRIGGER}\n    after: delete"));
        desk
    }

    pub fn configure(&self, header: &str, more: &str, how: &str) {
        let drop = format!(
            r#"adapter: directory
listen: visits
mapping: {{id: id, name: name}}
start: beginning
drop:
  source: {{key: [id]}}
  schedule: {{cut_off: "23:59", zone: UTC, days: every}}
  format:
    kind: csv
    names: off
    eol: lf
    columns:
      - {{field: id}}
      - {{name: op, set: {{action: {{add: A, change: C, delete: D, message: M}}}}}}
      - {{field: name}}
    header: ["H|{{seq}}"]
    trailer: ["T|{{count()}}"]
  when_empty: skip
  name: "VISITS.{{seq:06}}.csv"
  deliver: {{directory: {out}}}
  ack:
    dir: acks
    pattern: "*.ack"
    {how}
    format:
      kind: csv
      names: off
      eol: lf
      columns: [{{field: id}}, {{field: word}}, {{field: code}}, {{field: text}}]
      header: ["{header}"]
      trailer: ["END {{count()}}"]
    {more}
"#,
            out = self.out().display()
        );
        fs::create_dir_all(self.acks_folder()).unwrap();
        self.office.connector("legacy", &drop);
    }

    /// Each file has every record.
    pub fn every_record(&self) {
        let path = self.office.config().join("connectors/legacy.yaml");
        let text = fs::read_to_string(&path).unwrap();
        let changed = text.replace("source: {key: [id]}", "source: {key: [id], extract: snapshot}");
        assert_ne!(changed, text);
        fs::write(path, changed).unwrap();
    }

    pub fn out(&self) -> PathBuf {
        self.office.folder().join("out")
    }

    pub fn acks_folder(&self) -> PathBuf {
        self.out().join("acks")
    }

    pub fn sql(&self, sql: &str) {
        self.office.sql(sql);
    }

    /// Three records.
    pub fn three(&self) {
        self.sql(THREE);
    }

    fn heard(&self, ended: Ended) -> Ended {
        self.said.borrow_mut().push_str(&ended.stderr);
        ended
    }

    /// Everything that was logged.
    pub fn said(&self) -> String {
        self.said.borrow().clone()
    }

    pub fn ok(&self, arguments: &[&str]) -> Ended {
        let ended = self.heard(self.office.run(arguments));
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:#?}");
        ended
    }

    /// Cuts and publishes a file; gives its state.
    pub fn cut(&self) -> String {
        let ended = self.ok(&["--json", "drop", "run", "legacy"]);
        let json: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
        json["file"]["state"].as_str().unwrap_or_else(|| panic!("{ended:#?}")).to_owned()
    }

    /// Looks for answers; gives what was logged.
    pub fn look(&self) -> String {
        let ended = self.heard(self.office.run(&["run", "--once"]));
        // 1 = something is parked.
        assert!(matches!(ended.code, Some(0 | 1)), "{ended:#?}");
        ended.stderr
    }

    /// The host writes.
    pub fn put(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.acks_folder().join(name), text).unwrap();
    }

    /// The host answers: the trigger comes last.
    pub fn answer(&self, name: &str, text: impl AsRef<[u8]>) {
        self.put(name, text);
        self.put(&format!("{name}.done"), "");
    }

    /// A file as `drop show` shows it.
    pub fn shown(&self, which: &str) -> serde_json::Value {
        serde_json::from_str(&self.ok(&["--json", "drop", "show", "legacy", which]).stdout).unwrap()
    }

    pub fn state(&self, seq: u64) -> String {
        self.shown(&seq.to_string())["state"].as_str().unwrap().to_owned()
    }

    /// What was said of each line.
    pub fn answers(&self, seq: u64) -> Vec<String> {
        let shown = self.shown(&seq.to_string());
        let answer = |line: &serde_json::Value| line["answer"].as_str().unwrap_or("-").to_owned();
        shown["lines"].as_array().unwrap().iter().map(answer).collect()
    }

    pub fn acks(&self) -> Vec<serde_json::Value> {
        serde_json::from_str(&self.ok(&["--json", "drop", "acks", "legacy"]).stdout).unwrap()
    }

    pub fn parked(&self) -> Vec<Parked> {
        self.office.parked("legacy")
    }

    pub fn parked_words(&self) -> Vec<String> {
        self.office.parked_words("legacy")
    }

    /// The details of a published file.
    pub fn lines(&self, seq: u64) -> Vec<String> {
        let text = fs::read_to_string(self.out().join(format!("VISITS.{seq:06}.csv"))).unwrap();
        let is_detail = |line: &&str| !line.starts_with("H|") && !line.starts_with("T|");
        text.lines().filter(is_detail).map(str::to_owned).collect()
    }

    pub fn sorted(&self, seq: u64) -> Vec<String> {
        let mut lines = self.lines(seq);
        lines.sort();
        lines
    }

    /// What lies where the answers come from, sorted.
    pub fn there(&self) -> Vec<String> {
        names(&self.acks_folder())
    }

    fn kept(&self, folder: &str) -> PathBuf {
        self.office.folder().join("state/drops/legacy").join(folder)
    }

    pub fn quarantine(&self) -> Vec<String> {
        names(&self.kept("quarantine"))
    }

    /// The answers in the archive.
    pub fn archived(&self) -> Vec<PathBuf> {
        let folder = self.kept("archive");
        names(&folder).into_iter().filter(|name| name.ends_with(".ack.gz")).map(|name| folder.join(name)).collect()
    }

    /// Every event is somewhere, once.
    pub fn balanced(&self) {
        let ended = self.office.run(&["--json", "doctor"]);
        let json: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:#?}"));
        let accounts: Vec<&serde_json::Value> =
            json["findings"].as_array().unwrap().iter().filter(|finding| finding["check"] == "account").collect();
        assert!(!accounts.is_empty(), "{json:#}");
        assert!(accounts.iter().all(|finding| finding["level"] == "ok"), "{accounts:#?}");
    }
}

/// An answer with the number of its records at its end.
pub fn ack(lines: &str) -> String {
    format!("{lines}END {}\n", lines.lines().count() - 1)
}

/// The record of a parked change.
pub fn id(parked: &Parked) -> i64 {
    match parked.event.key.get("id") {
        Some(Value::Integer(id)) => *id,
        other => panic!("{other:?}"),
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

pub fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

pub fn unpacked(path: &Path) -> String {
    std::io::read_to_string(flate2::read::GzDecoder::new(fs::File::open(path).unwrap())).unwrap()
}
