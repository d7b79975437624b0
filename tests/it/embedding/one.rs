//! `ExternalSync`: one record, now.

use hms_sync::{Error, ExternalSync, Status};

use super::{open, run};
use crate::support::office::{Office, THREE};
use crate::support::receiver::Receiver;
use crate::support::scenario::Scenario;

#[test]
fn one_record_is_delivered_by_call_with_and_without_an_agent_of_the_same_process() {
    let target = Receiver::start();
    let office = Office::with(&target, "", THREE);
    office.add_settings(&format!("api: {{listen: \"unix:{}\"}}", office.folder().join("api.sock").display()));
    let sync = ExternalSync::open(office.config()).unwrap();
    assert_eq!(sync.sync("legacy", "visits", 2).unwrap(), Status::Success);
    let running = run(&office, open(&office));
    assert_eq!(sync.sync("legacy", "visits", "3").unwrap(), Status::Success);
    target.meet(|_| Some(Scenario::named("status_422")));
    let Status::Failed { reason } = sync.sync("legacy", "visits", 1).unwrap() else { unreachable!() };
    assert!(reason.contains("422"), "{reason}");
    let Status::Failed { reason } = sync.sync("legacy", "visit", 1).unwrap() else { unreachable!() };
    assert!(reason.contains("no watched table"), "{reason}");
    let unknown = sync.sync("legcy", "visits", 1).unwrap_err();
    assert!(matches!(&unknown, Error::UnknownConnector { hint, .. } if hint.contains("legacy")), "{unknown}");
    running.stop();
    let asked: Vec<_> = target.journal().into_iter().map(|entry| entry.path).collect();
    assert!(asked.contains(&"/visits/2".to_owned()) && asked.contains(&"/visits/3".to_owned()), "{asked:?}");
}

#[test]
fn a_configuration_that_is_wrong_is_told_at_once_with_file_and_line() {
    let office = Office::visits();
    office.add_settings("retention: {event: 7d}");
    let wrong = ExternalSync::open(office.config()).unwrap_err().to_string();
    assert!(wrong.contains("sync.yaml:5") && wrong.contains("events"), "{wrong}");
}
