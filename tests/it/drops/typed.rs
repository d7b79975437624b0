//! What a person types.

use std::fs;

use rusqlite::Connection;

use super::nightly::{COPYBOOK, Nightly};

const THREE: &str =
    "INSERT INTO visits VALUES (1, 'Ada', '10.50', '2027-03-05'), (2, 'Bea', 3, '2027-03-05'), (3, 'Cy', 1, NULL)";
const FIRST: &str = "OF042.VISITS.D270302.S000001";

/// Who did what: verb, subject, reason.
fn acts(nightly: &Nightly) -> Vec<(String, String, Option<String>)> {
    let state = Connection::open(nightly.office.state()).unwrap();
    let mut acts = state
        .prepare("SELECT verb, subject, reason FROM act WHERE connector IS NOT NULL AND actor <> 'system' ORDER BY n")
        .unwrap();
    let rows = acts.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn a_person_sees_the_next_file_before_it_goes_and_makes_it_go() {
    let nightly = Nightly::new(&[("control", "{name: \"{file}.ctl\", content: \"{file} {size} {count()}\"}")]);
    nightly.sql(THREE);
    let said = nightly.well(&["check"]);
    assert!(said.contains("nightly: visits -> host, as files, the next at 2027-03-02 18:00 CST"), "{said}");
    let list = nightly.json(&["drop", "list"]);
    assert_eq!((&list[0]["drop"], &list[0]["mode"]), (&"nightly".into(), &"running".into()), "{list}");
    let unknown = nightly.run(&["drop", "list", "nigthly"]);
    assert!(unknown.code == Some(2) && unknown.stderr.contains("did you mean `nightly`"), "{unknown:?}");

    // The database is read, and a state file is there, once the agent has run.
    nightly.night(super::nightly::NOON);
    assert!(nightly.names("out").is_empty(), "nothing is cut before the cut-off");
    let looks = [&["drop", "preview", "nightly"][..], &["drop", "run", "nightly", "--dry-run"]];
    for look in looks {
        let said = nightly.well(look);
        assert!(said.contains(&format!("{FIRST}: 3 records, 205 bytes, for 2027-03-02")), "{said}");
        assert!(said.contains(r#"detail   {"VD-TYPE":"DT","VD-ACTION":"A","VD-ID":1"#), "{said}");
    }
    let bytes = nightly.office.folder().join("seen");
    nightly.well(&["drop", "preview", "nightly", "--to", bytes.to_str().unwrap()]);
    let seen = fs::read(&bytes).unwrap();
    let shown = nightly.json(&["drop", "preview", "nightly"]);
    assert_eq!(shown["files"][0]["content"]["details"][1]["VD-NAME"], "Bea", "{shown}");
    assert!(nightly.names("out").is_empty() && acts(&nightly).is_empty(), "looking changes nothing");
    assert_eq!(nightly.json(&["drop", "list", "nightly"]), serde_json::json!([]));

    let made = nightly.json(&["drop", "run", "nightly", "--reason", "the host asks"]);
    let file = &made["file"];
    assert_eq!(
        (&file["seq"], &file["state"], &file["records"], &file["size"], &file["outlets"][0]["state"]),
        (&1.into(), &"published".into(), &3.into(), &205.into(), &"published".into()),
        "{made}"
    );
    assert_eq!(nightly.names("out"), [FIRST.to_owned(), format!("{FIRST}.ctl")]);
    assert_eq!(fs::read(nightly.out().join(FIRST)).unwrap(), seen, "what was previewed is what went");
    assert_eq!(fs::read_to_string(nightly.out().join(format!("{FIRST}.ctl"))).unwrap(), format!("{FIRST} 205 3"));
    assert_eq!(nightly.only(), ["A 1 Ada 10.50 20270305", "A 2 Bea 3.00 20270305", "A 3 Cy 1.00 00000000"]);
    assert_eq!(acts(&nightly), [("drop run".into(), "now".into(), Some("the host asks".to_owned()))]);

    let list = nightly.well(&["drop", "list"]);
    assert!(list.contains("stopped  2027-03-02    1"), "nothing runs: {list}");
    let shown = nightly.json(&["drop", "show", "nightly", "1"]);
    assert_eq!(shown["lines"].as_array().unwrap().len(), 3, "{shown}");
    assert_eq!(shown["totals"]["sum(VD-AMOUNT)"], "14.50", "{shown}");
    assert_eq!(shown["lines"][0]["record"], r#"visits {"id":1}"#);
    for which in ["2027-03-02", FIRST] {
        assert_eq!(nightly.json(&["drop", "show", "nightly", which]), shown);
    }
    for which in ["2", "2027-03-03", "no"] {
        let none = nightly.run(&["drop", "show", "nightly", which]);
        assert_eq!(none.code, Some(65), "{none:?}");
    }
    let status = nightly.run(&["status"]);
    assert!(status.code == Some(0) && !status.stdout.contains("not configured"), "{status:?}");
    let both = status.stdout.lines().filter(|line| line.starts_with("nightly ") && line.contains(" stopped "));
    assert_eq!(both.count(), 2, "as a connector and as a drop: {status:?}");
}

#[test]
fn a_cut_takes_the_business_date_that_is_said_and_never_one_before_the_last() {
    let nightly = Nightly::new(&[]);
    nightly.sql(THREE);
    nightly.well(&["drop", "run", "nightly", "--bus-date", "2027-03-05"]);
    let back = nightly.run(&["drop", "run", "nightly", "--bus-date", "2027-03-04"]);
    assert!(back.code == Some(65) && back.stderr.contains("2027-03-05 is cut already"), "{back:?}");
    let none = nightly.run(&["--json", "drop", "run", "nightly", "--bus-date", "soon"]);
    assert!(none.code == Some(65) && none.stdout.contains("is no date like"), "{none:?}");
    nightly.well(&["drop", "run", "nightly", "--bus-date", "2027-03-05"]);
    let dates: Vec<_> = nightly.files().iter().map(|file| (file.seq, file.date.clone())).collect();
    assert_eq!(dates, [(1, "20270305".to_owned()), (2, "20270305".to_owned())]);
}

#[test]
fn a_run_that_cuts_nothing_does_not_pass_off_an_older_file() {
    let mut nightly = Nightly::new(&[]);
    nightly.sql(THREE);
    nightly.well(&["drop", "run", "nightly"]);
    fs::create_dir_all(nightly.office.config().join("calendars")).unwrap();
    fs::write(nightly.office.config().join("calendars/old.txt"), "covers 2026\n").unwrap();
    let schedule = "{cut_off: \"18:00\", zone: America/Chicago, calendar: old.txt}";
    nightly.set(&[("schedule", schedule)]);
    let ended = nightly.run(&["drop", "run", "nightly"]);
    assert!(ended.code == Some(1) && !ended.stdout.contains("published"), "{ended:?}");
    assert!(ended.stderr.contains("nightly is halted: calendar: the calendar does not cover 2027"), "{ended:?}");
    fs::write(nightly.office.config().join("calendars/old.txt"), "covers 2026-2027\n").unwrap();
    // What was asked for is made by the next one, and this one's too.
    let made = nightly.json(&["drop", "run", "nightly"]);
    assert_eq!((&made["file"]["seq"], &made["file"]["state"]), (&2.into(), &"published".into()), "{made}");
}

#[test]
fn a_second_cut_on_one_day_leaves_the_next_night_its_file() {
    let nightly = Nightly::new(&[]);
    nightly.sql(THREE);
    nightly.well(&["drop", "run", "nightly"]);
    nightly.well(&["drop", "run", "nightly"]);
    nightly.sql_at("2027-03-03 18:00:00", "UPDATE visits SET name = 'Ada B' WHERE id = 1");
    nightly.night("2027-03-03 00:30:00");
    assert_eq!(nightly.files().len(), 2, "the cut-off of the day was made by hand");
    nightly.night("2027-03-04 00:30:00");
    let files = nightly.files();
    let dates: Vec<&str> = files.iter().map(|file| &*file.date).collect();
    assert_eq!(dates, ["20270302", "20270302", "20270303"]);
    assert_eq!(files[2].lines, ["C 1 Ada B 10.50 20270305"]);
}

#[test]
fn a_file_is_sent_again_for_a_reason_and_as_it_was() {
    let nightly = Nightly::new(&[]);
    nightly.sql(THREE);
    nightly.well(&["drop", "run", "nightly"]);
    let bytes = fs::read(nightly.out().join(FIRST)).unwrap();
    fs::remove_file(nightly.out().join(FIRST)).unwrap();
    let why = nightly.run(&["drop", "resend", "nightly", "1"]);
    assert!(why.code == Some(2) && why.stderr.contains("--reason"), "{why:?}");
    let dry = nightly.well(&["drop", "resend", "nightly", "1", "--dry-run"]);
    assert!(dry.contains("would be sent again") && nightly.names("out").is_empty(), "{dry}");
    let none = nightly.run(&["drop", "resend", "nightly", "1", "--outlet", "nobody", "--reason", "lost"]);
    assert_eq!(none.code, Some(65), "{none:?}");
    let done = nightly.json(&["drop", "resend", "nightly", "1", "--reason", "lost at the host"]);
    assert_eq!(done["refused"], serde_json::json!([]), "{done}");
    assert_eq!(fs::read(nightly.out().join(FIRST)).unwrap(), bytes);
    // Where it still is nothing is written.
    nightly.well(&["drop", "resend", "nightly", "1", "--reason", "to be sure"]);
    assert_eq!(nightly.names("out"), [FIRST]);
    // A foreign file of its name is not touched.
    fs::write(nightly.out().join(FIRST), "another").unwrap();
    nightly.run(&["drop", "resend", "nightly", "1", "--reason", "again"]);
    assert_eq!(fs::read(nightly.out().join(FIRST)).unwrap(), b"another");
    let shown = nightly.json(&["drop", "show", "nightly", "1"]);
    assert_eq!(shown["outlets"][0]["state"], "held", "{shown}");
    let status = nightly.run(&["status"]);
    assert!(status.code == Some(1) && status.stdout.contains("is held at host"), "{status:?}");
    let reasons: Vec<_> = acts(&nightly).into_iter().filter_map(|(_, _, reason)| reason).collect();
    assert_eq!(reasons, ["lost at the host", "to be sure", "again"]);
    let doctor = nightly.run(&["doctor"]);
    assert_eq!(doctor.code, Some(0), "{doctor:?}");
}

#[test]
fn lines_of_an_old_file_leave_in_a_new_one_with_a_number_of_its_own() {
    let nightly = Nightly::new(&[]);
    nightly.sql(THREE);
    nightly.well(&["drop", "run", "nightly"]);
    let record = r#"visits {"id":2}"#;
    let none = nightly.run(&["drop", "resend", "nightly", "1", "--as-new", "--record", "x", "--reason", "lost"]);
    assert_eq!(none.code, Some(65), "{none:?}");
    nightly.well(&["drop", "resend", "nightly", "1", "--as-new", "--record", record, "--reason", "lost"]);
    nightly.well(&["drop", "resend", "nightly", "1", "--as-new", "--reason", "lost"]);
    let files = nightly.files();
    let short: Vec<_> = files.iter().map(|file| (file.seq, file.rerun, file.lines.len())).collect();
    assert_eq!(short, [(1, 0, 3), (2, 1, 1), (3, 2, 3)]);
    assert_eq!(files[1].lines, ["A 2 Bea 3.00 20270305"]);
    assert_eq!(files[2].lines, files[0].lines);
    assert!(files.iter().all(|file| file.date == "20270302"), "{files:#?}");
    let doctor = nightly.run(&["doctor"]);
    assert_eq!(doctor.code, Some(0), "{doctor:?}");
}

#[test]
fn a_rerun_says_in_its_name_which_one_it_is_where_the_drop_wants_that() {
    let nightly = Nightly::new(&[("rerun", "\".R{rerun:02}\"")]);
    nightly.sql(THREE);
    nightly.well(&["drop", "run", "nightly"]);
    for _ in 0..2 {
        nightly.well(&["drop", "resend", "nightly", "1", "--as-new", "--reason", "lost"]);
    }
    let rerun = |n: u32| format!("OF042.VISITS.D270302.S{:06}.R{n:02}", n + 1);
    assert_eq!(nightly.names("out"), [FIRST.to_owned(), rerun(1), rerun(2)]);
    // The next night goes on with a number of its own, and without a rerun.
    nightly.night("2027-03-04 00:30:00");
    let last = nightly.files().pop().unwrap();
    assert_eq!((last.seq, last.rerun, &*last.date), (4, 0, "20270303"));
}

#[test]
fn an_old_file_is_made_again_byte_for_byte_after_everything_about_it_has_changed() {
    let calendar = "covers 2027\nweekend Saturday Sunday\n2027-03-04 A holiday\n";
    let mut nightly = Nightly::new(&[]);
    fs::create_dir_all(nightly.office.config().join("calendars")).unwrap();
    fs::write(nightly.office.config().join("calendars/office.txt"), calendar).unwrap();
    nightly.set(&[("schedule", "{cut_off: \"18:00\", zone: America/Chicago, calendar: office.txt}")]);
    nightly.sql(THREE);
    nightly.well(&["drop", "run", "nightly"]);
    let bytes = fs::read(nightly.out().join(FIRST)).unwrap();
    // Another layout, code page, calendar, name, zone; other rows; and the archive and the published file are gone.
    let wide = COPYBOOK.replace("X(12)", "X(14)").replace("PIC X(4)", "PIC X(2)");
    fs::write(nightly.office.config().join("copybooks/VISITS.cpy"), wide).unwrap();
    fs::write(nightly.office.config().join("calendars/office.txt"), "covers 2027\nweekend Friday\n").unwrap();
    nightly.set(&[
        ("format", &Nightly::format_with("codepage: latin1", "codepage: cp037")),
        ("schedule", "{cut_off: \"06:00\", zone: Asia/Tokyo, calendar: office.txt}"),
        ("name", "\"OTHER.S{seq:06}\""),
    ]);
    nightly.sql("UPDATE visits SET name = 'other'; DELETE FROM visits WHERE id = 2");
    fs::remove_file(nightly.out().join(FIRST)).unwrap();
    fs::remove_file(nightly.office.folder().join("state/drops/nightly/archive/1.data.gz")).unwrap();
    let again = nightly.office.folder().join("again");
    for which in ["1", "2027-03-02", FIRST] {
        let said = nightly.well(&["drop", "regenerate", "nightly", which, "--to", again.to_str().unwrap()]);
        assert!(said.contains(&format!("the same bytes as {FIRST}")), "{said}");
        assert_eq!(fs::read(&again).unwrap(), bytes);
        fs::remove_file(&again).unwrap();
    }
    let none = nightly.run(&["drop", "regenerate", "nightly", "7", "--to", again.to_str().unwrap()]);
    assert!(none.code == Some(65) && !again.exists(), "{none:?}");
}

#[test]
fn a_file_whose_bytes_are_lost_is_made_again_as_it_was_and_never_with_others() {
    let mut nightly = Nightly::new(&[]);
    nightly.sql(THREE);
    fs::remove_dir(nightly.out()).unwrap();
    let ended = nightly.run(&["drop", "run", "nightly"]);
    assert_eq!(ended.code, Some(75), "{ended:?}");
    let before = nightly.json(&["drop", "show", "nightly", "1"])["sha256"].clone();
    fs::create_dir(nightly.out()).unwrap();
    // Damaged, and not what the configuration of now would make.
    let staged = nightly.office.folder().join("state/drops/nightly/1.data");
    fs::write(&staged, "damaged").unwrap();
    nightly.set(&[("format", &Nightly::format_with("VH-TYPE: HD", "VH-TYPE: HX"))]);
    nightly.night("2027-03-02 20:00:00");
    assert_eq!(nightly.only().len(), 3);
    let shown = nightly.json(&["drop", "show", "nightly", "1"]);
    assert_eq!((&shown["state"], &shown["sha256"]), (&"published".into(), &before), "{shown}");
    // Where what was frozen is damaged as well nothing goes that is not what it was.
    fs::remove_file(nightly.out().join(FIRST)).unwrap();
    fs::remove_file(nightly.office.folder().join("state/drops/nightly/archive/1.data.gz")).unwrap();
    let state = Connection::open(nightly.office.state()).unwrap();
    state.execute("UPDATE drop_member SET action = 'delete' WHERE ordinal = 1", []).unwrap();
    drop(state);
    for _ in 0..2 {
        nightly.run(&["drop", "resend", "nightly", "1", "--reason", "lost"]);
        let shown = nightly.json(&["drop", "show", "nightly", "1"]);
        assert_eq!((&shown["outlets"][0]["state"], &shown["sha256"]), (&"held".into(), &before), "{shown}");
        assert!(nightly.names("out").is_empty());
    }
}

#[test]
fn the_number_of_the_next_file_is_set_by_hand_and_goes_on_from_there() {
    let nightly = Nightly::new(&[]);
    nightly.sql(THREE);
    let unknown = nightly.run(&["drop", "set-sequence", "weekly", "50"]);
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    nightly.well(&["drop", "run", "nightly"]);
    nightly.well(&["drop", "set-sequence", "nightly", "50", "--dry-run"]);
    nightly.well(&["drop", "set-sequence", "nightly", "50", "--reason", "agreed with the host"]);
    nightly.well(&["drop", "run", "nightly"]);
    nightly.well(&["drop", "run", "nightly"]);
    let numbers: Vec<u64> = nightly.files().iter().map(|file| file.seq).collect();
    assert_eq!(numbers, [1, 50, 51]);
    let acts = acts(&nightly);
    assert!(
        acts.contains(&("drop set-sequence".into(), "the next file is 50".into(), Some("agreed with the host".into()))),
        "{acts:?}"
    );
}

#[test]
fn a_file_that_is_not_published_is_given_up_and_the_account_still_balances() {
    let nightly = Nightly::new(&[]);
    nightly.sql(THREE);
    fs::remove_dir(nightly.out()).unwrap();
    let ended = nightly.run(&["drop", "run", "nightly"]);
    assert_eq!(ended.code, Some(75), "{ended:?}");
    let status = nightly.json(&["drop", "show", "nightly", "1"]);
    assert_eq!((&status["state"], &status["outlets"][0]["state"]), (&"rendered".into(), &"waiting".into()), "{status}");
    let accept = nightly.run(&["drop", "accept", "nightly", "1"]);
    assert!(accept.code == Some(65) && accept.stderr.contains("in no doubt"), "{accept:?}");
    nightly.well(&["drop", "discard", "nightly", "1", "--dry-run"]);
    nightly.well(&["drop", "discard", "nightly", "1", "--reason", "the host does not want it"]);
    fs::create_dir(nightly.out()).unwrap();
    nightly.sql("UPDATE visits SET amount = 4 WHERE id = 2");
    nightly.well(&["drop", "run", "nightly"]);
    // The host has never had the record: it is an add.
    assert_eq!(nightly.only(), ["A 2 Bea 4.00 20270305"]);
    let published = nightly.run(&["drop", "discard", "nightly", "2", "--reason", "x"]);
    assert_eq!(published.code, Some(65), "{published:?}");
    let doctor = nightly.run(&["doctor"]);
    assert!(doctor.code == Some(0) && doctor.stdout.contains("3 discarded"), "{doctor:?}");
    let state = nightly.json(&["drop", "show", "nightly", "1"])["state"].clone();
    assert_eq!(state, "discarded");
}
