//! An office whose visits leave every night as a file, and what a receiver reads in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::support::faketime::under;
use crate::support::office::{Ended, Office, ended};

pub const COPYBOOK: &str = "
       01  V-HEADER.
           05  VH-TYPE     PIC X(2).
           05  VH-OFFICE   PIC X(5).
           05  VH-DATE     PIC 9(8).
           05  VH-SEQ      PIC 9(6).
           05  VH-PART     PIC 9(2).
           05  VH-PARTS    PIC 9(2).
           05  VH-RERUN    PIC 9(2).
           05  FILLER      PIC X(13).
       01  V-DETAIL.
           05  VD-TYPE     PIC X(2).
           05  VD-ACTION   PIC X.
           05  VD-ID       PIC 9(6).
           05  VD-NAME     PIC X(12).
           05  VD-AMOUNT   PIC 9(5)V99.
           05  VD-DAY      PIC 9(8).
           05  FILLER      PIC X(4).
       01  V-TRAILER.
           05  VT-TYPE     PIC X(2).
           05  VT-COUNT    PIC 9(8).
           05  VT-HASH     PIC 9(10).
           05  VT-SUM      PIC 9(9)V99.
           05  FILLER      PIC X(9).
";

const FORMAT: &str = r#"
    copybook: VISITS.cpy
    codepage: latin1
    recfm: FB
    lrecl: 40
    terminator: lf
    header: {record: V-HEADER, set: {VH-TYPE: HD, VH-OFFICE: "{office}", VH-DATE: "{bus_date:%Y%m%d}", VH-SEQ: "{seq}", VH-PART: "{part}", VH-PARTS: "{parts}", VH-RERUN: "{rerun}"}}
    detail: {record: V-DETAIL, set: {VD-TYPE: DT, VD-ACTION: {action: {add: A, change: C, delete: D}}}, map: {VD-ID: id, VD-NAME: name, VD-AMOUNT: amount, VD-DAY: day}}
    trailer: {record: V-TRAILER, set: {VT-TYPE: TR, VT-COUNT: "count()", VT-HASH: "hash(VD-ID, 10)", VT-SUM: "sum(VD-AMOUNT)"}}"#;

/// Bytes of a line, with its end.
pub const LINE: usize = 41;

/// An office with the drop `nightly`.
pub struct Nightly {
    pub office: Office,
    settings: BTreeMap<&'static str, String>,
    /// Lines of the connector outside of `drop:`.
    outside: String,
}

impl Nightly {
    /// With these keys of `drop:` in place of the usual ones; watched.
    pub fn new(settings: &[(&'static str, &str)]) -> Nightly {
        Nightly::at(NOON, settings)
    }

    /// The same, at another time.
    pub fn at(time: &str, settings: &[(&'static str, &str)]) -> Nightly {
        let office = Office::new("CREATE TABLE visits(id INTEGER PRIMARY KEY, name TEXT, amount, day TEXT);");
        office.settings("visits: {}");
        for folder in ["config/copybooks", "out"] {
            fs::create_dir_all(office.folder().join(folder)).unwrap();
        }
        fs::write(office.config().join("copybooks/VISITS.cpy"), COPYBOOK).unwrap();
        let usual = [
            ("source", "{tables: [visits], key: [id]}"),
            ("schedule", "{cut_off: \"18:00\", zone: America/Chicago}"),
            ("format", FORMAT),
            ("name", "\"{office}.VISITS.D{bus_date:%y%m%d}.S{seq:06}\""),
            ("deliver", "[{directory: ../../out, name: host}]"),
        ];
        let usual = usual.into_iter().map(|(key, text)| (key, text.to_owned())).collect();
        let outside = "map: {id: id, name: name, amount: amount, day: {to: day, convert: \"date -> %Y%m%d\"}}\n".into();
        let mut nightly = Nightly { office, settings: usual, outside };
        nightly.set(settings);
        let ended = nightly.run_at(time, &["watch", "visits"]);
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        nightly
    }

    /// Changes keys of `drop:` and writes the connector.
    pub fn set(&mut self, settings: &[(&'static str, &str)]) {
        self.settings.extend(settings.iter().map(|(key, text)| (*key, (*text).to_owned())));
        let keys: String = self.settings.iter().map(|(key, text)| format!("  {key}: {text}\n")).collect();
        let text = format!("adapter: directory\nstart: beginning\n{}\ndrop:\n{keys}", self.outside);
        self.office.connector("nightly", &text);
    }

    /// Changes what stands outside of `drop:`.
    pub fn set_outside(&mut self, outside: &str) {
        self.outside = outside.to_owned();
        self.set(&[]);
    }

    /// The format, with one text in it in place of another.
    pub fn format_with(from: &str, to: &str) -> String {
        assert!(FORMAT.contains(from), "{from}");
        FORMAT.replace(from, to)
    }

    /// The application writes, at a time.
    pub fn sql_at(&self, time: &str, sql: &str) {
        let mut sqlite = Command::new("sqlite3");
        sqlite.args(["-bail", "-cmd", ".timeout 10000"]).arg(self.office.database()).arg(sql);
        let ended = ended(&mut at(time, &sqlite));
        assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{sql}");
    }

    /// The same, at noon of the first day.
    pub fn sql(&self, sql: &str) {
        self.sql_at(NOON, sql);
    }

    /// A verb to its end, at a time.
    pub fn run_at(&self, time: &str, arguments: &[&str]) -> Ended {
        ended(&mut at(time, &self.office.command(arguments)))
    }

    /// The same, at one in the afternoon of the first day.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        self.run_at(ONE, arguments)
    }

    /// A verb that must end well; what it printed.
    #[track_caller]
    pub fn well(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:#?}");
        ended.stdout
    }

    /// A verb that must end well, as JSON.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let said = self.well(&[&["--json"], arguments].concat());
        serde_json::from_str(&said).unwrap_or_else(|_| panic!("no JSON: {said}"))
    }

    /// One night: what is due at a time is cut and published.
    #[track_caller]
    pub fn night(&self, time: &str) {
        let ended = self.run_at(time, &["run", "--once"]);
        assert_eq!(ended.code, Some(0), "{ended:#?}");
    }

    /// The folder of published files.
    pub fn out(&self) -> PathBuf {
        self.office.folder().join("out")
    }

    /// Names of everything in a folder, sorted.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.office.folder().join(folder)).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The published data files, by number.
    #[track_caller]
    pub fn files(&self) -> Vec<Parsed> {
        let data = |name: &&String| !name.contains(".ctl") && !name.contains(".done");
        let names = self.names("out");
        let mut files: Vec<Parsed> =
            names.iter().filter(data).map(|name| parse(name, &fs::read(self.out().join(name)).unwrap())).collect();
        files.sort_by_key(|file| file.seq);
        files
    }

    /// The lines of the only file that is there.
    #[track_caller]
    pub fn only(&self) -> Vec<String> {
        let mut files = self.files();
        assert_eq!(files.len(), 1, "{files:#?}");
        files.remove(0).lines
    }
}

/// Noon and one o'clock in Chicago, of a Tuesday in winter.
pub const NOON: &str = "2027-03-02 18:00:00";
pub const ONE: &str = "2027-03-02 19:00:00";

/// A command under a clock that begins at a time (UTC) and goes on from there.
pub fn at(time: &str, plain: &Command) -> Command {
    let mut command = under(plain);
    command.env("FAKETIME", format!("@{time}")).env("TZ", "UTC");
    command
}

/// A file as its receiver reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    pub name: String,
    pub date: String,
    pub seq: u64,
    pub part: (u64, u64),
    pub rerun: u64,
    /// `A 1 Ada 10.50 20270302`.
    pub lines: Vec<String>,
}

/// Reads a file; what its trailer says must be right.
#[track_caller]
pub fn parse(name: &str, bytes: &[u8]) -> Parsed {
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    assert!(text.ends_with('\n') && bytes.len().is_multiple_of(LINE), "{name}: {text}");
    let lines: Vec<Vec<char>> = text.lines().map(|line| line.chars().collect()).collect();
    assert!(lines.len() >= 2 && lines.iter().all(|line| line.len() == LINE - 1), "{name}: {text}");
    let field = |line: &[char], from: usize, to: usize| line[from..to].iter().collect::<String>();
    let number = |line: &[char], from: usize, to: usize| field(line, from, to).parse::<u64>().unwrap();
    let (header, trailer) = (&lines[0], &lines[lines.len() - 1]);
    assert_eq!((&*field(header, 0, 7), &*field(trailer, 0, 2)), ("HDOF042", "TR"), "{name}: {text}");
    let (mut sum, mut hash, mut shown) = (0, 0, Vec::new());
    for line in &lines[1..lines.len() - 1] {
        assert_eq!(field(line, 0, 2), "DT", "{name}: {text}");
        let (id, cents) = (number(line, 3, 9), number(line, 21, 28));
        (sum, hash) = (sum + cents, hash + id);
        let (action, name, day) = (line[2], field(line, 9, 21), field(line, 28, 36));
        shown.push(format!("{action} {id} {} {}.{:02} {day}", name.trim_end(), cents / 100, cents % 100));
    }
    let told = (number(trailer, 2, 10), number(trailer, 10, 20), number(trailer, 20, 31));
    assert_eq!(told, (shown.len() as u64, hash, sum), "{name}: {text}");
    Parsed {
        name: name.to_owned(),
        date: field(header, 7, 15),
        seq: number(header, 15, 21),
        part: (number(header, 21, 23), number(header, 23, 25)),
        rerun: number(header, 25, 27),
        lines: shown,
    }
}
