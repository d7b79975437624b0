//! What stands in the files: which lines the changes come to, what is held, and files of every shape.

use std::fs;

use super::nightly::Nightly;

/// Adds, a change of several steps, a key change, a delete, and a record that came and went.
const STEPS: &str = "UPDATE visits SET name = 'Ada B' WHERE id = 1; UPDATE visits SET amount = 11 WHERE id = 1;
    UPDATE visits SET id = 7 WHERE id = 3; DELETE FROM visits WHERE id = 2;
    INSERT INTO visits VALUES (9, 'Gone', 1, NULL); DELETE FROM visits WHERE id = 9;
    INSERT INTO visits VALUES (4, 'Dot', 2, '2027-03-09');";
const THREE: &str = "INSERT INTO visits VALUES (1, 'Ada', 10, NULL), (2, 'Bea', 3, NULL), (3, 'Cy', 1, NULL);";

/// The lines of the newest file after a cut.
#[track_caller]
fn cut(nightly: &Nightly) -> Vec<String> {
    nightly.well(&["drop", "run", "nightly"]);
    nightly.files().pop().map_or_else(Vec::new, |file| file.lines)
}

#[track_caller]
fn balances(nightly: &Nightly) {
    let doctor = nightly.run(&["doctor"]);
    assert_eq!(doctor.code, Some(0), "{doctor:?}");
}

#[test]
fn net_says_of_each_record_what_its_changes_come_to() {
    let nightly = Nightly::new(&[]);
    nightly.sql(THREE);
    assert_eq!(cut(&nightly).len(), 3);
    nightly.sql(STEPS);
    assert_eq!(
        cut(&nightly),
        [
            "C 1 Ada B 11.00 00000000",
            "D 3 Cy 1.00 00000000",
            "A 7 Cy 1.00 00000000",
            "D 2 Bea 3.00 00000000",
            "A 4 Dot 2.00 20270309",
        ]
    );
    balances(&nightly);
}

#[test]
fn all_says_every_change_in_order() {
    let nightly = Nightly::new(&[("source", "{tables: [visits], key: [id], coalesce: all}")]);
    nightly.sql(THREE);
    nightly.sql(STEPS);
    assert_eq!(
        cut(&nightly),
        [
            "A 1 Ada 10.00 00000000",
            "A 2 Bea 3.00 00000000",
            "A 3 Cy 1.00 00000000",
            "C 1 Ada B 10.00 00000000",
            "C 1 Ada B 11.00 00000000",
            "D 3 Cy 1.00 00000000",
            "A 7 Cy 1.00 00000000",
            "D 2 Bea 3.00 00000000",
            "A 9 Gone 1.00 00000000",
            "D 9 Gone 1.00 00000000",
            "A 4 Dot 2.00 20270309",
        ]
    );
    balances(&nightly);
}

#[test]
fn a_snapshot_has_every_record_that_is_there_at_the_cut() {
    let nightly = Nightly::new(&[("source", "{tables: [visits], key: [id], extract: snapshot}")]);
    nightly.sql(THREE);
    assert_eq!(cut(&nightly).len(), 3);
    nightly.sql(STEPS);
    let mut lines = cut(&nightly);
    lines.sort();
    assert_eq!(lines, ["A 1 Ada B 11.00 00000000", "A 4 Dot 2.00 20270309", "A 7 Cy 1.00 00000000"]);
    assert_eq!(cut(&nightly).len(), 3, "also when nothing has changed");
    balances(&nightly);
}

#[test]
fn a_record_that_leaves_the_condition_is_deleted_at_the_host() {
    let mut nightly = Nightly::new(&[]);
    let outside =
        "map: {id: id, name: name, amount: amount, day: {to: day, convert: \"date -> %Y%m%d\"}}\nwhere: amount > 2";
    nightly.set_outside(outside);
    nightly.sql(THREE);
    assert_eq!(cut(&nightly), ["A 1 Ada 10.00 00000000", "A 2 Bea 3.00 00000000"]);
    nightly.sql("UPDATE visits SET amount = 1 WHERE id = 1; UPDATE visits SET amount = 5 WHERE id = 3");
    let lines = cut(&nightly);
    assert!(lines.len() == 2 && lines[0].starts_with("D 1 Ada") && lines[1] == "A 3 Cy 5.00 00000000", "{lines:?}");
    nightly.set_outside(&format!("{outside}\nonLeave: ignore"));
    nightly.sql("UPDATE visits SET amount = 1 WHERE id = 3; UPDATE visits SET amount = 6 WHERE id = 2");
    assert_eq!(cut(&nightly), ["C 2 Bea 6.00 00000000"]);
    balances(&nightly);
}

#[test]
fn what_may_not_leave_is_held_and_stands_in_no_file() {
    let mut nightly = Nightly::new(&[]);
    nightly.office.add_settings("governance: {classify: {visits: {day: phi}}, default: public}");
    nightly.sql(THREE);
    assert_eq!(cut(&nightly), [""; 0]);
    let held = nightly.json(&["deliveries", "list"]).to_string();
    assert!(
        held.contains("may not leave") && held.contains("day") && nightly.office.parked("nightly").len() == 3,
        "{held}"
    );
    let map = "map: {id: id, name: name, amount: amount, day: {to: day, convert: \"date -> %Y%m%d\"}}";
    nightly.set_outside(&format!("{map}\nallow: [public, phi]"));
    nightly.well(&["drop", "release", "nightly", "--reason", "the agreement of March"]);
    assert_eq!(cut(&nightly).len(), 3);
    balances(&nightly);
}

#[test]
fn rows_that_cannot_be_encoded_are_held_by_key_field_and_reason_while_the_others_go() {
    let nightly = Nightly::new(&[]);
    nightly.sql(
        "INSERT INTO visits VALUES (1, 'Ada', 10, NULL), (2, 'Much longer than that', 1, NULL), (3, 'Cy', 123456, NULL),
         (4, 'Łada', 1, NULL), (5, 'Eve', 1, '2027-02-30'), (6, 'Fay', 1.005, NULL)",
    );
    assert_eq!(cut(&nightly), ["A 1 Ada 10.00 00000000"]);
    let said = nightly.json(&["deliveries", "list"]).to_string();
    for (key, why) in [
        ("2", "VD-NAME: overflow"),
        ("3", "VD-AMOUNT: overflow"),
        ("4", "VD-NAME: unmappable"),
        ("5", "field `day`"),
        ("6", "VD-AMOUNT: inexact"),
    ] {
        assert!(said.contains(why), "{key}: {why}: {said}");
    }
    assert!(!said.contains("Much longer") && !said.contains("123456") && !said.contains("02-30"), "{said}");
    let list = nightly.json(&["drop", "list"]);
    assert_eq!(list[0]["held"], 5, "{list}");
    let status = nightly.run(&["status"]);
    assert!(status.code == Some(1) && status.stdout.contains("nightly"), "{status:?}");
    // A later change of the same record takes its held ones along; a released one goes when it can.
    nightly.sql("UPDATE visits SET name = 'Short' WHERE id = 2; UPDATE visits SET name = 'Cyd' WHERE id = 3");
    assert_eq!(cut(&nightly), ["A 2 Short 1.00 00000000"]);
    let dry = nightly.well(&["drop", "release", "nightly", "--dry-run"]);
    assert!(dry.contains("unmappable"), "{dry}");
    nightly.well(&["drop", "release", "nightly", "--reason", "try"]);
    assert_eq!(cut(&nightly), [""; 0]);
    // The code page may become another one: then it goes.
    let mut nightly = nightly;
    nightly.set(&[("format", &Nightly::format_with("recfm: FB", "unmappable: \"?\"\n    recfm: FB"))]);
    nightly.well(&["drop", "release", "nightly", "--reason", "it has a ? now"]);
    assert_eq!(cut(&nightly), ["A 4 ?ada 1.00 00000000"]);
    // What nobody will mend is discarded.
    let held = nightly.json(&["deliveries", "list"]);
    let text = held.to_string();
    assert!(!text.contains("unmappable") && text.contains("inexact"), "{text}");
    let every = nightly.office.parked("nightly");
    let fay = every.iter().find(|parked| parked.reason.text.contains("inexact")).unwrap().event.id.to_string();
    nightly.well(&["drop", "discard", "nightly", "--event", &fay, "--reason", "a typing error"]);
    assert_eq!(nightly.office.parked("nightly").len(), every.len() - 1);
    balances(&nightly);
}

#[test]
fn of_several_held_changes_of_a_record_the_last_one_counts() {
    for all_at_once in [true, false] {
        let mut nightly = Nightly::new(&[]);
        nightly.sql("INSERT INTO visits VALUES (4, 'Łada', 1, NULL)");
        assert_eq!(cut(&nightly), [""; 0]);
        nightly.sql("UPDATE visits SET name = 'Łeda' WHERE id = 4");
        assert_eq!(cut(&nightly), [""; 0]);
        nightly.sql("UPDATE visits SET name = 'Łida' WHERE id = 4");
        assert_eq!(cut(&nightly), [""; 0]);
        assert_eq!(nightly.office.parked("nightly").len(), 3);
        nightly.set(&[("format", &Nightly::format_with("recfm: FB", "unmappable: \"?\"\n    recfm: FB"))]);
        let first = nightly.office.parked("nightly")[0].event.id.to_string();
        let which: &[&str] = if all_at_once { &[] } else { &[&first] };
        nightly.well(&[&["drop", "release", "nightly", "--reason", "it has a ? now"], which].concat());
        assert_eq!(cut(&nightly), ["A 4 ?ida 1.00 00000000"]);
        balances(&nightly);
    }
}

#[test]
fn a_change_of_a_key_of_which_nothing_can_be_written_is_held_whole() {
    for both in [true, false] {
        let mut nightly = Nightly::new(&[]);
        nightly.sql("INSERT INTO visits VALUES (4, 'Ada', 1, NULL)");
        assert_eq!(cut(&nightly), ["A 4 Ada 1.00 00000000"]);
        if both {
            nightly.sql("UPDATE visits SET name = 'Łada' WHERE id = 4");
        }
        nightly.sql("UPDATE visits SET id = 5, name = 'Łeda' WHERE id = 4");
        let first = if both { vec![] } else { vec!["D 4 Ada 1.00 00000000"] };
        assert_eq!(cut(&nightly), first);
        balances(&nightly);
        nightly.set(&[("format", &Nightly::format_with("recfm: FB", "unmappable: \"?\"\n    recfm: FB"))]);
        nightly.well(&["drop", "release", "nightly", "--reason", "it has a ? now"]);
        let mut lines = cut(&nightly);
        lines.sort();
        let second = if both {
            vec!["A 5 ?eda 1.00 00000000", "D 4 ?ada 1.00 00000000"]
        } else {
            vec!["A 5 ?eda 1.00 00000000"]
        };
        assert_eq!(lines, second, "{both}");
        balances(&nightly);
    }
}

#[test]
fn one_bad_row_or_too_many_of_them_hold_the_whole_file_where_the_drop_says_so() {
    for setting in [("on_row_error", "fail_file"), ("max_row_errors", "1")] {
        let nightly = Nightly::new(&[setting]);
        nightly.sql("INSERT INTO visits VALUES (1, 'Ada', 10, NULL), (2, 'Much longer than that', 1, NULL), (3, 'Another that is long', 1, NULL)");
        let ended = nightly.run(&["drop", "run", "nightly"]);
        assert_ne!(ended.code, Some(0), "{setting:?}: {ended:?}");
        assert!(nightly.names("out").is_empty());
        let status = nightly.run(&["status"]);
        assert!(status.code == Some(1) && status.stdout.contains("2 rows cannot be encoded"), "{status:?}");
        nightly.sql("UPDATE visits SET name = 'B' WHERE id = 2; UPDATE visits SET name = 'C' WHERE id = 3");
        // It was asked for, and is made as soon as it can be.
        nightly.night(super::nightly::ONE);
        let lines = ["A 1 Ada 10.00 00000000", "A 2 B 1.00 00000000", "A 3 C 1.00 00000000"];
        let mut seen = nightly.only();
        seen.sort();
        assert_eq!(seen, lines, "{setting:?}");
        balances(&nightly);
    }
}

#[test]
fn an_empty_night_is_a_file_or_none_or_one_a_day() {
    let nights = ["2027-03-03 00:30:00", "2027-03-04 00:30:00"];
    let sent = Nightly::new(&[]);
    let skipped = Nightly::new(&[("when_empty", "skip")]);
    let counted = Nightly::new(&[("when_empty", "skip"), ("skipped_takes_number", "true")]);
    let daily = Nightly::new(&[
        ("when_empty", "send_once_per_day"),
        ("schedule", "{cut_off: [\"12:30\", \"18:00\"], zone: America/Chicago}"),
    ]);
    for nightly in [&sent, &skipped, &counted, &daily] {
        nightly.night("2027-03-02 18:00:10");
        nights.iter().for_each(|night| nightly.night(night));
        nightly.sql_at("2027-03-04 20:00:00", THREE);
        nightly.night("2027-03-05 00:30:00");
        balances(nightly);
    }
    let short = |nightly: &Nightly| {
        nightly.files().iter().map(|file| (file.seq, file.date[4..].to_owned(), file.lines.len())).collect::<Vec<_>>()
    };
    let day = |day: &str| day.to_owned();
    assert_eq!(short(&sent), [(1, day("0302"), 0), (2, day("0303"), 0), (3, day("0304"), 3)]);
    assert_eq!(short(&skipped), [(1, day("0304"), 3)]);
    assert_eq!(short(&counted), [(3, day("0304"), 3)]);
    assert_eq!(short(&daily), [(1, day("0302"), 0), (2, day("0303"), 0), (3, day("0304"), 0), (4, day("0304"), 3)]);
}

#[test]
fn many_records_leave_in_several_files_that_count_on() {
    let nightly = Nightly::new(&[("max_records", "2"), ("sequence", "{start: 98, wrap: \"99 -> 01\"}")]);
    nightly.sql("INSERT INTO visits VALUES (1, 'Ada', 1, NULL), (2, 'Bea', 1, NULL), (3, 'Cy', 1, NULL), (4, 'Dot', 1, NULL), (5, 'Eve', 1, NULL)");
    nightly.well(&["drop", "run", "nightly"]);
    nightly.sql("DELETE FROM visits WHERE id = 5");
    nightly.well(&["drop", "run", "nightly"]);
    let short: Vec<_> = nightly.files().iter().map(|file| (file.seq, file.part, file.lines.len())).collect();
    assert_eq!(short, [(1, (3, 3), 1), (2, (1, 1), 1), (98, (1, 3), 2), (99, (2, 3), 2)]);
    balances(&nightly);
}

#[test]
fn large_files_are_divided_by_their_bytes_header_and_trailer_counted() {
    // Room for two lines of 41 bytes between header and trailer.
    for (most, parts) in [("164", vec![2, 2, 1]), ("204", vec![2, 2, 1]), ("205", vec![3, 2]), ("1MB", vec![5])] {
        let nightly = Nightly::new(&[("max_bytes", most)]);
        nightly.sql("INSERT INTO visits VALUES (1, 'Ada', 1, NULL), (2, 'Bea', 1, NULL), (3, 'Cy', 1, NULL), (4, 'Dot', 1, NULL), (5, 'Eve', 1, NULL)");
        nightly.well(&["drop", "run", "nightly"]);
        let files = nightly.files();
        assert_eq!(files.iter().map(|file| file.lines.len()).collect::<Vec<_>>(), parts, "{most}");
        let of = parts.len() as u64;
        assert_eq!(
            files.iter().map(|file| file.part).collect::<Vec<_>>(),
            (1..=of).map(|n| (n, of)).collect::<Vec<_>>()
        );
        balances(&nightly);
    }
    // Both limits hold.
    let nightly = Nightly::new(&[("max_bytes", "205"), ("max_records", "1")]);
    nightly.sql(THREE);
    nightly.well(&["drop", "run", "nightly"]);
    assert_eq!(nightly.files().len(), 3);
    // A limit in which nothing has room cuts nothing.
    let mut nightly = Nightly::new(&[("max_bytes", "82")]);
    nightly.sql(THREE);
    let refused = nightly.run(&["drop", "run", "nightly"]);
    assert!(refused.code != Some(0) && refused.stderr.contains("`max_bytes` is 82"), "{refused:?}");
    nightly.set(&[("max_bytes", "1MB")]);
    nightly.night("2027-03-03 00:30:00");
    assert_eq!(nightly.files().iter().map(|file| file.lines.len()).sum::<usize>(), 3);
    balances(&nightly);
}

#[test]
fn a_row_that_is_larger_than_a_file_is_held_and_texts_of_every_length_keep_within_it() {
    const CSV: &str = "{kind: csv, columns: [id, name, {name: nth, set: \"{ordinal}\"}], header: [\"H|{seq}|{part}|{parts}\"], trailer: [\"T|{count()}|{sum(id)}\"]}";
    let nightly = Nightly::new(&[("max_bytes", "400"), ("format", CSV), ("name", "\"V{seq:06}.csv\"")]);
    nightly.sql("WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 60) INSERT INTO visits SELECT id, substr('Ada Lovelace of the long name', 1, id % 29), 1, NULL FROM n");
    nightly.sql("INSERT INTO visits VALUES (100, hex(zeroblob(300)), 1, NULL)");
    nightly.well(&["drop", "run", "nightly"]);
    let names = nightly.names("out");
    let files: Vec<String> = names.iter().map(|name| fs::read_to_string(nightly.out().join(name)).unwrap()).collect();
    assert!(files.len() > 5, "{names:?}");
    let mut lines = 0;
    for (file, part) in files.iter().zip(1..) {
        assert!(file.len() <= 400, "{file}");
        assert!(file.starts_with(&format!("H|{part}|{part}|{}\r\n", files.len())), "{file}");
        lines += file.lines().count() - 3;
    }
    assert_eq!(lines, 60);
    let held = nightly.office.parked("nightly");
    assert_eq!(held.len(), 1);
    assert!(held[0].reason.text.contains("too_large"), "{:?}", held[0].reason);
    balances(&nightly);
}

#[test]
fn a_change_of_a_key_whose_halves_leave_in_two_files_is_delivered_once() {
    let nightly = Nightly::new(&[("max_records", "2")]);
    nightly.sql(THREE);
    nightly.well(&["drop", "run", "nightly"]);
    let delivered = |nightly: &Nightly| {
        let status = nightly.run(&["--json", "status"]).stdout;
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        status["connectors"][0]["delivered"].as_u64().unwrap()
    };
    assert_eq!(delivered(&nightly), 3);
    // The delete is the second line, the add the third.
    nightly.sql("UPDATE visits SET name = 'Ada B' WHERE id = 1; UPDATE visits SET id = 7 WHERE id = 3;");
    nightly.well(&["drop", "run", "nightly"]);
    let lines: Vec<Vec<String>> = nightly.files().into_iter().skip(2).map(|file| file.lines).collect();
    assert_eq!(
        lines,
        [
            vec!["C 1 Ada B 1.00 00000000".replace("1.00", "10.00"), "D 3 Cy 1.00 00000000".into()],
            vec!["A 7 Cy 1.00 00000000".into()]
        ]
    );
    assert_eq!(delivered(&nightly), 5);
    balances(&nightly);
    // Sent again it was delivered all the same only once.
    for file in ["3", "4"] {
        nightly.well(&["drop", "resend", "nightly", file, "--reason", "asked for"]);
        assert_eq!(delivered(&nightly), 5);
        balances(&nightly);
    }
}

#[test]
fn two_databases_leave_in_one_file() {
    let nightly = Nightly::new(&[("source", "{tables: [visits, clinic-visits], key: [id]}")]);
    let second = nightly.office.folder().join("app/second.db");
    let app = rusqlite::Connection::open(&second).unwrap();
    app.execute_batch(
        "PRAGMA journal_mode = wal; CREATE TABLE visits(id INTEGER PRIMARY KEY, name TEXT, amount, day TEXT)",
    )
    .unwrap();
    drop(app);
    let settings = "databases: {office: ../app/office.db, second: ../app/second.db}\nstate: ../state/state.db\noffice: OF042\nwatch: {office.visits: {}, second.visits: {as: clinic-visits}}\n";
    fs::write(nightly.office.config().join("sync.yaml"), settings).unwrap();
    nightly.well(&["watch", "second.visits"]);
    nightly.sql(THREE);
    let mut sqlite = std::process::Command::new("sqlite3");
    sqlite.arg("-bail").arg(&second).arg("INSERT INTO visits VALUES (100, 'Zoe', 1, NULL)");
    assert_eq!(super::nightly::at(super::nightly::NOON, &sqlite).status().unwrap().code(), Some(0));
    let mut lines = cut(&nightly);
    lines.sort();
    assert!(lines.len() == 4 && lines[1].starts_with("A 100 Zoe"), "{lines:?}");
    balances(&nightly);
}
