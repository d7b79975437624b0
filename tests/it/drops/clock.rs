//! When files are cut: cut-offs, days on which clocks change, nights that were missed, and clocks that are wrong.
//!
//! libfaketime plays the clock. Times are UTC; Chicago is 6 hours behind in winter and 5 in summer.

use std::fs;
use std::path::PathBuf;

use hms_sync::store::state::connector::Mode;

use super::nightly::{Nightly, at};
use crate::support::office::{Agent, wait};

/// Business dates of the files, in short, with how many lines each has.
fn dates(nightly: &Nightly) -> Vec<(String, usize)> {
    nightly.files().into_iter().map(|file| (file.date[4..].to_owned(), file.lines.len())).collect()
}

fn expected(dates: &[(&str, usize)]) -> Vec<(String, usize)> {
    dates.iter().map(|(date, lines)| ((*date).to_owned(), *lines)).collect()
}

/// One visit, at a time.
fn visit(nightly: &Nightly, time: &str, id: u32) {
    nightly.sql_at(time, &format!("INSERT INTO visits VALUES ({id}, 'Visit', 1, NULL)"));
}

#[test]
fn a_change_belongs_to_the_cut_off_after_its_commit_whenever_the_agent_looks() {
    let nightly = Nightly::new(&[("when_empty", "skip")]);
    nightly.night("2027-03-02 18:00:10");
    visit(&nightly, "2027-03-02 23:59:58", 1);
    visit(&nightly, "2027-03-03 00:00:01", 2);
    visit(&nightly, "2027-03-03 00:00:02", 3);
    // Half a night late, and again: a date is cut once.
    nightly.night("2027-03-03 05:00:00");
    nightly.night("2027-03-03 05:10:00");
    assert_eq!(dates(&nightly), expected(&[("0302", 1)]));
    nightly.night("2027-03-04 00:00:10");
    assert_eq!(dates(&nightly), expected(&[("0302", 1), ("0303", 2)]));
}

#[test]
fn cut_offs_follow_the_wall_clock_of_the_office_through_the_days_on_which_it_changes() {
    // 14 March 2027: 02:00 becomes 03:00. 02:30 is skipped: the cut is at 03:00, which is 08:00 UTC.
    let spring = Nightly::at("2027-03-12 18:00:00", &[("schedule", "{cut_off: \"02:30\", zone: America/Chicago}")]);
    spring.night("2027-03-13 12:00:00");
    visit(&spring, "2027-03-14 07:59:50", 1);
    spring.night("2027-03-14 07:59:55");
    assert_eq!(dates(&spring), expected(&[]));
    visit(&spring, "2027-03-14 08:00:05", 2);
    spring.night("2027-03-14 08:00:10");
    assert_eq!(dates(&spring), expected(&[("0314", 1)]));
    // The day after it is 02:30 in summer: 07:30 UTC.
    spring.night("2027-03-15 07:29:50");
    assert_eq!(dates(&spring).len(), 1);
    spring.night("2027-03-15 07:30:10");
    assert_eq!(dates(&spring), expected(&[("0314", 1), ("0315", 1)]));

    // 7 November 2027: 01:30 comes twice. The cut is at the first, 06:30 UTC, and only there.
    let autumn = Nightly::at("2027-11-05 18:00:00", &[("schedule", "{cut_off: \"01:30\", zone: America/Chicago}")]);
    autumn.night("2027-11-06 12:00:00");
    visit(&autumn, "2027-11-07 06:29:50", 1);
    autumn.night("2027-11-07 06:30:10");
    visit(&autumn, "2027-11-07 07:00:00", 2);
    assert_eq!(dates(&autumn), expected(&[("1107", 1)]));
    autumn.night("2027-11-07 07:30:10");
    assert_eq!(dates(&autumn), expected(&[("1107", 1)]), "the second 01:30 is no cut-off");
    autumn.night("2027-11-08 07:30:10");
    assert_eq!(dates(&autumn), expected(&[("1107", 1), ("1108", 1)]));
}

#[test]
fn only_business_days_are_cut_and_a_calendar_that_has_ended_stops_the_drop() {
    let nightly = Nightly::at("2027-12-29 18:00:00", &[]);
    let mut nightly = nightly;
    fs::create_dir_all(nightly.office.config().join("calendars")).unwrap();
    let calendar = "covers 2027\nweekend Saturday Sunday\n2027-12-30 A holiday\n";
    fs::write(nightly.office.config().join("calendars/office.txt"), calendar).unwrap();
    nightly.set(&[("schedule", "{cut_off: \"18:00\", zone: America/Chicago, calendar: office.txt}")]);
    nightly.night("2027-12-29 19:00:00");
    for (id, day) in ["2027-12-29 20:00:00", "2027-12-30 20:00:00", "2027-12-31 20:00:00"].into_iter().enumerate() {
        visit(&nightly, day, id as u32);
    }
    nightly.night("2028-01-01 00:00:10");
    assert_eq!(dates(&nightly), expected(&[("1229", 1), ("1231", 2)]));
    let (mode, reason) = nightly.office.mode("nightly");
    assert_eq!(mode, Mode::Halted, "{reason:?}");
    assert_eq!(reason.unwrap().class, "calendar");
    let status = nightly.run_at("2028-01-01 00:01:00", &["status"]);
    assert_eq!(status.code, Some(1), "{status:?}");
}

#[test]
fn nights_that_were_missed_are_made_up_one_by_one_or_in_one_file() {
    for (missed, files) in [
        ("one_file_per_business_date", &[("0302", 1), ("0303", 1), ("0304", 0), ("0305", 1)][..]),
        ("merge", &[("0305", 3)]),
    ] {
        let schedule = format!("{{cut_off: \"18:00\", zone: America/Chicago, missed: {missed}}}");
        let nightly = Nightly::new(&[("schedule", &schedule)]);
        nightly.night("2027-03-02 18:00:10");
        for (id, day) in ["2027-03-02 20:00:00", "2027-03-03 20:00:00", "2027-03-05 20:00:00"].into_iter().enumerate() {
            visit(&nightly, day, id as u32);
        }
        nightly.night("2027-03-06 03:00:00");
        assert_eq!(dates(&nightly), expected(files), "{missed}");
    }
}

#[test]
fn more_missed_nights_than_the_limit_wait_for_a_person() {
    let nightly = Nightly::new(&[("schedule", "{cut_off: \"18:00\", zone: America/Chicago, catch_up: 2}")]);
    nightly.night("2027-03-02 18:00:10");
    visit(&nightly, "2027-03-02 20:00:00", 1);
    nightly.night("2027-03-06 03:00:00");
    assert_eq!(dates(&nightly), expected(&[]));
    let (mode, reason) = nightly.office.mode("nightly");
    assert_eq!((mode, reason.unwrap().class), (Mode::Halted, "missed".into()));
    let status = nightly.run_at("2027-03-06 03:01:00", &["status"]);
    assert!(status.code == Some(1) && status.stdout.contains("drop run nightly"), "{status:?}");
    // A restart does not make it go on.
    nightly.night("2027-03-06 03:02:00");
    assert_eq!(dates(&nightly), expected(&[]));
    let run = nightly.run_at("2027-03-06 03:03:00", &["drop", "run", "nightly"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(dates(&nightly), expected(&[("0302", 1), ("0303", 0), ("0304", 0), ("0305", 0), ("0306", 0)]));
    assert_eq!(nightly.office.mode("nightly").0, Mode::Running);
}

#[test]
fn a_row_stamped_by_a_clock_that_ran_ahead_goes_with_its_neighbours() {
    let nightly = Nightly::new(&[("when_empty", "skip")]);
    nightly.night("2027-03-02 18:00:10");
    visit(&nightly, "2027-03-02 20:00:00", 1);
    visit(&nightly, "2031-01-01 00:00:00", 2);
    visit(&nightly, "2027-03-02 20:00:00", 3);
    nightly.night("2027-03-03 00:00:10");
    assert_eq!(dates(&nightly), expected(&[("0302", 3)]));
}

/// A clock that is set while the agent runs.
struct Clock(PathBuf);

impl Clock {
    fn set(&self, time: &str) {
        fs::write(&self.0, format!("@{time}\n")).unwrap();
    }

    fn agent(&self, nightly: &Nightly, time: &str) -> Agent {
        self.set(time);
        let mut command = at(time, &nightly.office.command(&["-v", "run"]));
        command.env_remove("FAKETIME").env("FAKETIME_TIMESTAMP_FILE", &self.0).env("FAKETIME_NO_CACHE", "1");
        let agent = Agent::start(command);
        agent.says("running: ");
        agent
    }
}

/// The worker looks at its clock.
fn nudge(nightly: &Nightly, time: &str) {
    let ended = nightly.run_at(time, &["drop", "release", "nightly"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn a_running_agent_cuts_at_the_cut_off_and_not_before() {
    let nightly = Nightly::new(&[]);
    nightly.night("2027-03-02 18:00:10");
    visit(&nightly, "2027-03-02 20:00:00", 1);
    let clock = Clock(nightly.office.folder().join("clock"));
    let agent = clock.agent(&nightly, "2027-03-02 23:59:55");
    let early = nightly.run_at("2027-03-02 23:59:56", &["drop", "list", "nightly"]);
    assert!(early.stdout.contains("no file yet"), "{early:?}");
    agent.says("is published at host");
    assert_eq!(dates(&nightly), expected(&[("0302", 1)]));
    agent.stop();
}

#[test]
fn a_clock_that_is_set_by_more_than_a_day_makes_no_file_until_a_person_agrees() {
    for (wrong, way) in [("2027-04-20 03:00:00", "forward"), ("2026-12-31 03:00:00", "back")] {
        let nightly = Nightly::new(&[("when_empty", "skip")]);
        nightly.night("2027-03-02 18:00:10");
        visit(&nightly, "2027-03-02 20:00:00", 1);
        let clock = Clock(nightly.office.folder().join("clock"));
        let agent = clock.agent(&nightly, "2027-03-02 21:00:00");
        wait("the worker has begun", || nightly.office.state().exists());
        nudge(&nightly, "2027-03-02 21:00:01");
        clock.set(wrong);
        nudge(&nightly, wrong);
        agent.says(&format!("the clock was set {way}"));
        wait("it stands still", || nightly.office.mode("nightly").0 == Mode::Halted);
        assert!(nightly.names("out").is_empty());
        // Set right, and said to be.
        clock.set("2027-03-03 00:00:10");
        let run = nightly.run_at("2027-03-03 00:00:10", &["drop", "run", "nightly"]);
        assert_eq!(run.code, Some(0), "{run:?}");
        wait("the file is published", || !nightly.names("out").is_empty());
        assert_eq!(dates(&nightly), expected(&[("0302", 1)]), "{way}");
        wait("it runs again", || nightly.office.mode("nightly").0 == Mode::Running);
        agent.stop();
    }
}
