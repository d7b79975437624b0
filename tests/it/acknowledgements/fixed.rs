//! Answers in fixed records of a mainframe: EBCDIC, by the copybook of the host.

use hms_sync::format::codepage;

use super::desk::{Desk, id};

const OURS: &str = "
       01  HDR.
           05  H-TYPE      PIC X(2).
           05  H-ID        PIC X(8).
           05  H-SEQ       PIC 9(6).
           05  FILLER      PIC X(24).
       01  DTL.
           05  D-TYPE      PIC X(2).
           05  D-VISIT     PIC 9(8).
           05  D-NAME      PIC X(20).
           05  FILLER      PIC X(10).
       01  TRL.
           05  T-TYPE      PIC X(2).
           05  T-COUNT     PIC 9(8).
           05  FILLER      PIC X(30).
";

const THEIRS: &str = "
       01  WA-HEADER.
           05  WH-TYPE     PIC X(2).
           05  WH-FILE-ID  PIC X(8).
           05  WH-SEQ      PIC 9(6).
           05  WH-RESULT   PIC X(2).
           05  WH-CODE     PIC X(4).
           05  FILLER      PIC X(18).
       01  WA-DETAIL.
           05  WD-TYPE     PIC X(2).
           05  WD-VISIT    PIC 9(8).
           05  WD-STATUS   PIC X.
           05  WD-CODE     PIC X(4).
           05  WD-TEXT     PIC X(25).
       01  WA-TRAILER.
           05  WT-TYPE     PIC X(2).
           05  WT-COUNT    PIC 9(8).
           05  FILLER      PIC X(30).
";

/// A drop of fixed records; the header of an answer says what became of the file.
fn desk(code: &str) -> Desk {
    let desk = Desk::new(super::LISTED);
    let books = desk.office.config().join("copybooks");
    std::fs::create_dir_all(&books).unwrap();
    std::fs::write(books.join("VISIT.cpy"), OURS).unwrap();
    std::fs::write(books.join("VISACK.cpy"), THEIRS).unwrap();
    let drop = format!(
        r#"adapter: directory
listen: visits
mapping: {{id: id, name: name}}
start: beginning
drop:
  source: {{key: [id]}}
  schedule: {{cut_off: "23:59", zone: UTC, days: every}}
  format:
    kind: copybook
    copybook: VISIT.cpy
    recfm: FB
    lrecl: 40
    codepage: cp037
    header: {{record: HDR, set: {{H-TYPE: HD, H-ID: VISITS, H-SEQ: "{{seq}}"}}}}
    detail: {{record: DTL, set: {{D-TYPE: DT}}, map: {{D-VISIT: id, D-NAME: name}}}}
    trailer: {{record: TRL, set: {{T-TYPE: TR, T-COUNT: "count()"}}}}
  name: "VISITS.{{seq:06}}.DAT"
  deliver: {{directory: {out}}}
  ack:
    dir: acks
    pattern: "VISACK.S*"
    trigger: "{{file}}.done"
    format:
      kind: copybook
      copybook: VISACK.cpy
      recfm: FB
      lrecl: 40
      codepage: cp037
      header: {{record: WA-HEADER, set: {{WH-TYPE: HD}}}}
      detail: {{record: WA-DETAIL, set: {{WD-TYPE: DT}}}}
      trailer: {{record: WA-TRAILER, set: {{WT-TYPE: TR, WT-COUNT: "count()"}}}}
    match:
      file: {{id: WH-FILE-ID, is: VISITS, sequence: WH-SEQ}}
      record: {{item: WD-VISIT, ours: D-VISIT}}
      status: {{item: WD-STATUS, accepted: [A], rejected: [R]}}
      file_status: {{item: WH-RESULT, accepted: [OK], rejected: ["NO"]}}
      code: {code}
      text: WD-TEXT
"#,
        out = desk.out().display()
    );
    desk.office.connector("legacy", &drop);
    desk
}

/// Records of 40 bytes in EBCDIC.
fn ebcdic(lines: &[String]) -> Vec<u8> {
    let page = codepage::named("cp037").unwrap();
    lines
        .iter()
        .flat_map(|line| format!("{line:<40}").chars().map(|c| page.byte(c).unwrap()).collect::<Vec<u8>>())
        .collect()
}

fn header(id: &str, seq: u64, result: &str) -> String {
    format!("HD{id:<8}{seq:06}{result}F001")
}

fn detail(visit: u64, status: &str, code: &str, text: &str) -> String {
    format!("DT{visit:08}{status}{code:<4}{text}")
}

fn trailer(count: u64) -> String {
    format!("TR{count:08}")
}

#[test]
fn records_are_found_by_their_number_whatever_its_zeros() {
    let desk = desk("WD-CODE");
    desk.three();
    desk.cut();
    let lines =
        [header("VISITS", 1, "OK"), detail(3, "R", "E17", "NO SUCH CLINIC"), detail(1, "A", "", ""), trailer(2)];
    desk.answer("VISACK.S000001", ebcdic(&lines));
    desk.look();
    assert_eq!(desk.state(1), "partial");
    assert_eq!(desk.answers(1), ["accepted", "accepted", "rejected (E17)"]);
    assert_eq!(desk.parked().iter().map(id).collect::<Vec<_>>(), [3]);
    assert_eq!(desk.parked()[0].reason.to_string(), "host-E17: NO SUCH CLINIC");
    desk.balanced();
}

#[test]
fn a_refused_file_makes_dead_letters_of_all_its_records() {
    let desk = desk("WH-CODE");
    desk.three();
    desk.cut();
    desk.answer("VISACK.S000001", ebcdic(&[header("VISITS", 1, "NO"), trailer(0)]));
    desk.look();
    assert_eq!(desk.state(1), "refused");
    assert_eq!(desk.answers(1), ["rejected (F001)"; 3]);
    assert_eq!(desk.parked_words(), ["dead host-F001"; 3]);
    desk.balanced();
    desk.ok(&["drop", "release", "legacy"]);
    desk.cut();
    desk.balanced();
    assert_eq!(desk.shown("2")["records"], 3);
    desk.answer("VISACK.S000002", ebcdic(&[header("VISITS", 2, "OK"), trailer(0)]));
    desk.look();
    assert_eq!((desk.state(1), desk.state(2), desk.parked().len()), ("refused".into(), "acked".into(), 0));
    desk.balanced();
}

#[test]
fn an_answer_to_another_file_or_with_other_totals_is_put_aside() {
    let desk = desk("WD-CODE");
    desk.three();
    desk.cut();
    for (name, lines, class) in [
        ("VISACK.S1", vec![header("OTHERS", 1, "OK"), trailer(0)], "unknown-file"),
        ("VISACK.S2", vec![header("VISITS", 1, "OK"), detail(2, "R", "E1", ""), trailer(2)], "decoding"),
        ("VISACK.S3", vec![header("VISITS", 1, "OK"), detail(4, "R", "E1", ""), trailer(1)], "unknown-key"),
        ("VISACK.S4", vec![header("VISITS", 1, "??"), trailer(0)], "status"),
    ] {
        desk.answer(name, ebcdic(&lines));
        let said = desk.look();
        assert!(
            said.contains(&format!("the answer {name} is put aside, and nothing of it is applied: {class}")),
            "{said}"
        );
        assert_eq!((desk.state(1).as_str(), desk.parked().len()), ("published", 0), "{name}");
    }
}

#[test]
fn a_file_without_records_is_answered_too() {
    let desk = desk("WD-CODE");
    assert_eq!(desk.cut(), "published");
    desk.answer("VISACK.S000001", ebcdic(&[header("VISITS", 1, "OK"), trailer(0)]));
    desk.cut();
    assert_eq!(desk.state(1), "acked");
    desk.answer("VISACK.S000002", ebcdic(&[header("VISITS", 2, "NO"), trailer(0)]));
    desk.look();
    assert_eq!(desk.state(2), "refused");
}

#[test]
fn an_answer_to_a_number_that_was_never_given_stops_the_drop_until_a_person_says_how_it_goes_on() {
    let desk = desk("WD-CODE");
    let mode = || -> serde_json::Value { serde_json::from_str(&desk.ok(&["--json", "drop", "list"]).stdout).unwrap() };
    desk.three();
    desk.cut();
    // Numbers of others are their own.
    desk.answer("VISACK.S000009", ebcdic(&[header("OTHERS", 9, "OK"), trailer(0)]));
    desk.look();
    assert_eq!(mode()[0]["mode"], "running", "{}", mode());
    desk.answer("VISACK.S000005", ebcdic(&[header("VISITS", 5, "OK"), trailer(0)]));
    let said = desk.look();
    assert!(
        said.contains(
            "the host has answered our number 5, and the next one here would be 2: was an older state file put back?"
        ),
        "{said}"
    );
    assert_eq!(mode()[0]["mode"], "halted", "{}", mode());
    let status = desk.office.run(&["status"]);
    assert!(status.code == Some(1) && status.stdout.contains("drop set-sequence legacy"), "{status:?}");
    desk.ok(&["drop", "set-sequence", "legacy", "6", "--reason", "the host has 5"]);
    assert_eq!(desk.cut(), "published");
    assert_eq!((desk.state(6), &mode()[0]["mode"]), ("published".to_owned(), &"running".into()));
}
