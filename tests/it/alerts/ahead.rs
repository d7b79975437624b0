//! What is told before it hurts: a calendar that ends, a disk that fills up.

use rustix::process::Signal;

use super::standing::{cleared, opened, told};
use super::{lines, words};
use crate::drops::nightly::{Nightly, at};
use crate::support::office::{Agent, Office, THREE, wait};
use crate::support::receiver::Receiver;

#[test]
fn a_calendar_that_ends_within_two_months_is_told_and_is_over_when_it_has_more_years() {
    let december = "2027-12-01 18:00:00";
    let nightly = Nightly::at(december, &[]);
    let calendars = nightly.office.config().join("calendars");
    std::fs::create_dir_all(&calendars).unwrap();
    let covers = |years: &str| std::fs::write(calendars.join("days.txt"), format!("covers {years}\n")).unwrap();
    covers("2027");
    let mut nightly = nightly;
    nightly.set(&[("schedule", "{cut_off: \"18:00\", zone: America/Chicago, calendar: days.txt}")]);
    let file = told(&nightly.office);
    let agent = Agent::start(at(december, &nightly.office.command(&["-v", "run"])));
    let notice = opened(&file, "calendar nightly");
    assert!(notice["what"].as_str().unwrap().starts_with("its calendar ends on 2028-01-01T"), "{notice:#}");
    covers("2027-2040");
    agent.signal(Signal::HUP);
    cleared(&file, "calendar nightly");
    agent.stop();
}

#[test]
fn a_disk_with_less_room_than_somebody_wants_is_told_by_its_folder_and_is_over_when_there_is_enough() {
    let target = Receiver::start();
    let office = Office::with(&target, "", THREE);
    let file = told(&office);
    let sync = office.config().join("sync.yaml");
    let enough = std::fs::read_to_string(&sync).unwrap();
    std::fs::write(&sync, enough.replace("diskFree: 1}", "diskFree: 8000000GiB}")).unwrap();
    let agent = office.agent();
    wait("it is told", || !lines(&file).is_empty());
    let all = words(&lines(&file));
    assert!(all.iter().all(|word| word.starts_with("opened disk-low /")), "{all:?}");
    assert!(lines(&file)[0]["what"].as_str().unwrap().contains(" MB are free of "), "{:#}", lines(&file)[0]);
    std::fs::write(&sync, enough).unwrap();
    agent.signal(Signal::HUP);
    wait("all of it is over", || {
        lines(&file).iter().filter(|notice| notice["event"] == "cleared").count() == all.len()
    });
    assert_eq!(lines(&file).len(), 2 * all.len(), "each was told once: {:?}", words(&lines(&file)));
    office.wait_settled("legacy");
    agent.stop();
}
