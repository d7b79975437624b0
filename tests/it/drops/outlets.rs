//! Where files go: what stands beside them, several places of which one is down, and when a connection may be made.

use std::fs;

use super::nightly::Nightly;

const THREE: &str = "INSERT INTO visits VALUES (1, 'Ada', 10, NULL), (2, 'Bea', 3, NULL), (3, 'Cy', 1, NULL);";
const FIRST: &str = "OF042.VISITS.D270302.S000001";

#[test]
fn control_and_trigger_files_stand_beside_the_data_and_say_what_it_is() {
    let nightly = Nightly::new(&[
        (
            "control",
            "[{name: \"{file}.ctl\", content: \"{file} {size} {sha256} {md5} {crc32} {count()} {sum(VD-AMOUNT)}\"}]",
        ),
        ("deliver", "[{directory: ../../out, name: host, trigger: {name: \"{file}.done\", content: \"{seq:04}\"}}]"),
    ]);
    nightly.sql(THREE);
    nightly.well(&["drop", "run", "nightly"]);
    assert_eq!(nightly.names("out"), [FIRST.to_owned(), format!("{FIRST}.ctl"), format!("{FIRST}.done")]);
    let data = fs::read(nightly.out().join(FIRST)).unwrap();
    let sums = |program: &str| {
        let said = std::process::Command::new(program).arg(nightly.out().join(FIRST)).output().unwrap().stdout;
        String::from_utf8(said).unwrap().split_whitespace().next().unwrap().to_owned()
    };
    let expected = format!(
        "{FIRST} {} {} {} {:08x} 3 14.00",
        data.len(),
        sums("sha256sum"),
        sums("md5sum"),
        crc32fast::hash(&data)
    );
    assert_eq!(fs::read_to_string(nightly.out().join(format!("{FIRST}.ctl"))).unwrap(), expected);
    assert_eq!(fs::read_to_string(nightly.out().join(format!("{FIRST}.done"))).unwrap(), "0001");
}

#[test]
fn an_outlet_that_is_down_gets_its_files_later_in_order_and_the_other_gets_none_twice() {
    let nightly =
        Nightly::new(&[("deliver", "[{directory: ../../out, name: host}, {directory: ../../audit, name: audit}]")]);
    nightly.sql(THREE);
    let first = nightly.run(&["drop", "run", "nightly"]);
    assert_eq!(first.code, Some(75), "{first:?}");
    let bytes = fs::read(nightly.out().join(FIRST)).unwrap();
    // The host has taken its copy away: it gets no second one.
    fs::remove_file(nightly.out().join(FIRST)).unwrap();
    nightly.sql("DELETE FROM visits WHERE id = 1");
    nightly.run_at("2027-03-02 20:00:00", &["drop", "run", "nightly", "--bus-date", "2027-03-03"]);
    let shown = nightly.json(&["drop", "show", "nightly", "1"]);
    let states: Vec<_> = shown["outlets"].as_array().unwrap().iter().map(|outlet| outlet["state"].clone()).collect();
    assert_eq!((&shown["state"], states), (&"rendered".into(), vec!["waiting".into(), "published".into()]), "{shown}");
    fs::create_dir(nightly.office.folder().join("audit")).unwrap();
    nightly.night("2027-03-02 23:00:00");
    assert_eq!(nightly.names("audit").len(), 2);
    assert_eq!(fs::read(nightly.office.folder().join("audit").join(FIRST)).unwrap(), bytes);
    assert_eq!(nightly.names("out"), ["OF042.VISITS.D270303.S000002"]);
    let doctor = nightly.run(&["doctor"]);
    assert_eq!(doctor.code, Some(0), "{doctor:?}");
}

#[test]
fn a_file_that_waits_goes_to_the_places_that_are_configured_now() {
    let mut nightly = Nightly::new(&[("deliver", "[{directory: ../../away, name: host}]")]);
    nightly.sql(THREE);
    assert_eq!(nightly.run(&["drop", "run", "nightly"]).code, Some(75));
    nightly.set(&[("deliver", "[{directory: ../../out, name: mainframe}]")]);
    nightly.night("2027-03-02 20:00:00");
    let shown = nightly.json(&["drop", "show", "nightly", "1"]);
    assert_eq!((&shown["state"], nightly.names("out")), (&"published".into(), vec![FIRST.to_owned()]), "{shown:#}");
    let outlets: Vec<_> = shown["outlets"].as_array().unwrap().iter().map(|outlet| outlet["outlet"].clone()).collect();
    assert_eq!(outlets, ["mainframe"]);
    assert_eq!(nightly.run(&["status"]).code, Some(0));
}

#[test]
fn a_place_that_was_renamed_gets_no_file_twice_unless_a_person_says_so() {
    for (verb, comes) in [("accept", false), ("resend", true)] {
        let mut nightly =
            Nightly::new(&[("deliver", "[{directory: ../../out, name: host}, {directory: ../../audit, name: audit}]")]);
        nightly.sql(THREE);
        assert_eq!(nightly.run(&["drop", "run", "nightly"]).code, Some(75));
        // The host has taken its file; then its place gets another name while the other one is down still.
        fs::remove_file(nightly.out().join(FIRST)).unwrap();
        nightly.set(&[("deliver", "[{directory: ../../out, name: mainframe}, {directory: ../../audit, name: audit}]")]);
        fs::create_dir(nightly.office.folder().join("audit")).unwrap();
        nightly.night("2027-03-02 20:00:00");
        assert_eq!((nightly.names("out").len(), nightly.names("audit").len()), (0, 1));
        let status = nightly.run(&["status"]);
        assert!(status.code == Some(1) && status.stdout.contains("nobody can say whether 1 ("), "{status:?}");
        let shown = nightly.json(&["drop", "show", "nightly", "1"]);
        assert_eq!(shown["state"], "published");
        assert!(shown["outlets"].to_string().contains("renamed: host has it"), "{shown:#}");
        let reason = ["--reason", "we looked"];
        nightly.well(&[&["drop", verb, "nightly", "1"][..], &reason].concat());
        assert_eq!(nightly.names("out").len(), usize::from(comes), "{verb}");
        assert_eq!(nightly.run(&["status"]).code, Some(0), "{verb}");
    }
}

#[test]
fn nothing_is_brought_anywhere_outside_of_the_delivery_window() {
    let nightly = Nightly::new(&[(
        "schedule",
        "{cut_off: \"18:00\", zone: America/Chicago, delivery_window: \"20:00-04:00\", deadline: \"05:00\"}",
    )]);
    nightly.night("2027-03-02 18:00:10");
    nightly.sql_at("2027-03-02 20:00:00", THREE);
    nightly.night("2027-03-03 00:00:10");
    let shown = nightly.json(&["drop", "show", "nightly", "1"]);
    assert_eq!(shown["state"], "rendered", "{shown}");
    assert!(nightly.names("out").is_empty());
    // The window has closed and the deadline has passed.
    nightly.night("2027-03-03 11:00:10");
    assert!(nightly.names("out").is_empty());
    let status = nightly.run_at("2027-03-03 11:01:00", &["status"]);
    assert!(status.code == Some(1) && status.stdout.contains("was due at"), "{status:?}");
    nightly.night("2027-03-04 02:00:10");
    assert_eq!(nightly.files()[0].lines.len(), 3);
    let status = nightly.run_at("2027-03-04 02:01:00", &["status"]);
    assert_eq!(status.code, Some(0), "{status:?}");
}
