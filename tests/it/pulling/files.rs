//! Files that come in are read row by row, each once, and are out of the way when their rows were applied.

use std::path::Path;
use std::time::{Duration, SystemTime};

use hms_sync::adapter::pull::{Ask, Fetched, Page, Reads};
use hms_sync::event::Value;

use super::reader::{source, try_source};

struct Inbox {
    folder: tempfile::TempDir,
    cursor: Option<String>,
    read: std::sync::Arc<dyn hms_sync::adapter::pull::Source>,
}

impl Inbox {
    /// CSV files with `id,title`; `more` are further keys.
    fn new(more: &str) -> Inbox {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("done")).unwrap();
        let path = folder.path().display();
        let yaml = format!(
            "adapter: directory\nstrategy: pull\npull:\n  table: t\n  directory: {path}\n  pattern: \"*.csv\"\n  key: /id\n  format: {{columns: [id, title]}}\n{more}"
        );
        Inbox { folder, cursor: None, read: source(&yaml) }
    }

    /// A file that was written long ago.
    fn put(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let past = SystemTime::now() - Duration::from_secs(3600);
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(past).unwrap();
    }

    fn names(&self, below: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path().join(below)).unwrap().map(Result::unwrap);
        let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
        let mut names: Vec<String> = files.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// A run: its pages.
    fn run(&mut self) -> Vec<Page> {
        let mut ask = Ask { cursor: self.cursor.clone(), ..Ask::default() };
        let mut pages = Vec::new();
        loop {
            let page = match self.read.fetch(&ask) {
                Fetched::Page(page) => page,
                other => panic!("{other:?}"),
            };
            self.cursor = page.cursor.clone().or(self.cursor.take());
            let next = page.next.clone();
            pages.push(page);
            match next {
                None => return pages,
                next => ask.next = next,
            }
        }
    }

    fn titles(&mut self) -> Vec<String> {
        let pages = self.run();
        let rows = pages.iter().flat_map(|page| &page.items);
        rows.map(|item| item.body.get("title").and_then(Value::as_text).unwrap().into_owned()).collect()
    }
}

fn rows(from: usize, to: usize) -> String {
    let lines = (from..to).map(|n| format!("{n},t{n}\r\n"));
    format!("id,title\r\n{}", lines.collect::<String>())
}

#[test]
fn files_are_read_in_the_order_of_their_names_once_and_moved_away() {
    let mut inbox = Inbox::new("");
    assert_eq!(inbox.read.reads(), Reads::Changes { deletions: true });
    inbox.put("b.csv", &rows(2, 4));
    inbox.put("a.csv", &rows(1, 2));
    inbox.put("other.txt", "x");
    assert_eq!(inbox.titles(), ["t1", "t2", "t3"]);
    assert_eq!(inbox.names(""), ["other.txt"]);
    assert_eq!(inbox.names("done"), ["a.csv", "b.csv"]);
    // The same content again under another name, and another one under a name that was there.
    inbox.put("c.csv", &rows(1, 2));
    inbox.put("a.csv", &rows(7, 8));
    assert_eq!(inbox.titles(), ["t7"]);
    assert_eq!(inbox.names(""), ["other.txt"]);
    assert_eq!(inbox.names("done").len(), 4);
}

#[test]
fn a_file_stays_until_its_rows_were_applied() {
    let mut inbox = Inbox::new("");
    inbox.put("a.csv", &rows(1, 3));
    let Fetched::Page(page) = inbox.read.fetch(&Ask::default()) else { panic!("a page") };
    assert_eq!(page.items.len(), 2);
    assert_eq!(inbox.names(""), ["a.csv"]);
    // The agent was killed before the cursor was stored: the file is read again.
    assert_eq!(inbox.titles(), ["t1", "t2"]);
    assert!(inbox.names("").is_empty());
}

#[test]
fn a_large_file_comes_in_pages_and_goes_on_after_a_restart() {
    let mut inbox = Inbox::new("");
    inbox.put("a.csv", &rows(0, 2500));
    let Fetched::Page(first) = inbox.read.fetch(&Ask::default()) else { panic!("a page") };
    assert_eq!((first.items.len(), first.cursor.is_some()), (1000, false));
    let again = Inbox::new("");
    drop(again);
    let pages = inbox.run();
    assert_eq!(pages.iter().map(|page| page.items.len()).collect::<Vec<_>>(), [1000, 1000, 500, 0]);
    assert!(inbox.names("").is_empty());
}

#[test]
fn a_file_that_is_still_written_is_left_alone_and_keeps_later_ones_waiting() {
    let mut inbox = Inbox::new("  settle: 1h\n");
    inbox.put("b.csv", &rows(2, 3));
    std::fs::write(inbox.folder.path().join("a.csv"), "id,ti").unwrap();
    assert!(inbox.titles().is_empty());
    assert!(inbox.titles().is_empty());
    assert_eq!(inbox.names(""), ["a.csv", "b.csv"]);
}

#[test]
fn a_file_with_a_trigger_is_read_when_that_is_there() {
    let mut inbox = Inbox::new("  trigger: \"{file}.ok\"\n  after: delete\n");
    std::fs::write(inbox.folder.path().join("a.csv"), rows(1, 2)).unwrap();
    std::fs::write(inbox.folder.path().join("b.csv"), rows(2, 3)).unwrap();
    std::fs::write(inbox.folder.path().join("b.csv.ok"), "").unwrap();
    assert_eq!(inbox.titles(), ["t2"]);
    assert_eq!(inbox.names(""), ["a.csv"]);
}

#[test]
fn a_file_that_cannot_be_read_gives_nothing_is_told_of_and_the_next_one_is_read() {
    let mut inbox = Inbox::new("");
    inbox.put("a.csv", "id,title\r\n1,\"Ada\r\n");
    inbox.put("b.csv", &rows(2, 3));
    let pages = inbox.run();
    let bad: Vec<String> = pages.iter().flat_map(|page| &page.bad).map(|bad| bad.reason.to_string()).collect();
    assert_eq!(bad.len(), 1);
    assert!(bad[0].contains("a.csv") && !bad[0].contains("Ada"), "{bad:?}");
    assert_eq!(pages.iter().map(|page| page.items.len()).sum::<usize>(), 1);
    assert_eq!(inbox.names("done"), ["a.csv", "b.csv"]);
}

#[test]
fn a_copybook_gives_the_rows_of_a_mainframe_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    let copybook = "       01 R.\n          05 ID PIC 9(4).\n          05 TITLE PIC X(6).\n";
    std::fs::write(folder.path().join("R.cpy"), copybook).unwrap();
    let yaml = format!(
        "adapter: directory\nstrategy: pull\npull: {{table: t, directory: {path}, pattern: \"IN.*\", after: delete, key: /ID, format: {{copybook: {path}/R.cpy, recfm: text, codepage: iso-8859-1}}}}\n"
    );
    let source = source(&yaml);
    let file = folder.path().join("IN.1");
    std::fs::write(&file, "0007SEVEN \n0008EIGHT \n").unwrap();
    let past = SystemTime::now() - Duration::from_secs(3600);
    std::fs::File::options().write(true).open(&file).unwrap().set_modified(past).unwrap();
    let Fetched::Page(page) = source.fetch(&Ask::default()) else { panic!("a page") };
    assert_eq!(page.bad, []);
    assert_eq!(page.items[0].id.as_deref(), Some("7"));
    assert_eq!(page.items[1].body.get("TITLE"), Some(&Value::from("EIGHT")));
}

#[test]
fn a_folder_that_is_not_there_stops_the_reading_with_what_to_do() {
    let inbox = Inbox::new("");
    std::fs::remove_dir(inbox.folder.path().join("done")).unwrap();
    let came = inbox.read.fetch(&Ask::default());
    assert!(format!("{came:?}").contains("Halt") && format!("{came:?}").contains("done"), "{came:?}");
}

#[test]
fn what_files_cannot_do_is_said() {
    let base = "adapter: directory\nstrategy: pull\n";
    let format = "format: {columns: [id]}";
    let here = Path::new("/tmp").display();
    for (pull, says) in [
        (format!("pull: {{table: t, pattern: \"*\", {format}}}\n"), "does not say where"),
        (format!("pull: {{table: t, directory: {here}, {format}}}\n"), "`pattern` is missing"),
        (format!("pull: {{table: t, directory: {here}, pattern: \"*\"}}\n"), "what a file looks like"),
        (format!("pull: {{table: t, directory: {here}, pattern: \"a/*\", {format}}}\n"), "has a folder in it"),
        (format!("pull: {{table: t, directory: {here}, pattern: \"*\", {format}, full: 1d}}\n"), "is no known key"),
        (
            format!(
                "endpoint: {{url: https://a.example}}\npull: {{table: t, directory: {here}, pattern: \"*\", {format}}}\n"
            ),
            "stands with files that come in",
        ),
    ] {
        let said = try_source(&format!("{base}{pull}")).expect_err(&pull);
        assert!(said.contains(says), "{pull}\nsays: {said}");
    }
    let said =
        try_source(&format!("adapter: directory\nstrategy: bidirectional\npull: {{table: t}}\ndrop: {{{format}}}\n"));
    assert!(said.unwrap_err().contains("files go one way"));
}

#[cfg(feature = "sftp")]
#[test]
fn files_on_a_server_are_read_and_moved_there() {
    use crate::support::sshd::{self, Sshd};
    let server = Sshd::start("");
    std::fs::create_dir(server.files().join("done")).unwrap();
    let path = server.files().join("a.csv");
    std::fs::write(&path, rows(1, 3)).unwrap();
    let past = SystemTime::now() - Duration::from_secs(3600);
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(past).unwrap();
    let yaml = format!(
        "adapter: sftp\nstrategy: pull\npull:\n  table: t\n  sftp: {{host: 127.0.0.1, port: {}, user: {}, key: {{file: {}}}, host_key: \"{}\", dir: {}}}\n  pattern: \"*.csv\"\n  key: /id\n  format: {{columns: [id, title]}}\n",
        server.port,
        sshd::me(),
        server.folder.path().join("user").display(),
        server.fingerprint("ed25519"),
        server.files().display(),
    );
    let mut inbox = Inbox { folder: tempfile::tempdir().unwrap(), cursor: None, read: source(&yaml) };
    assert!(inbox.read.origin().starts_with("sftp://127.0.0.1:"));
    assert_eq!(inbox.titles(), ["t1", "t2"]);
    assert!(!path.exists() && server.files().join("done/a.csv").exists());
    assert!(inbox.titles().is_empty());
}
