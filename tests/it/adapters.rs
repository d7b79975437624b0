//! Targets that a file in `adapters/` describes, shown of the shipped binary.

mod calendar;
mod conditions;
mod faults;
mod files;
mod health;
mod lists;
mod mapping;
mod page;
mod parts;
mod presets;
mod secrets;
mod steps;

use crate::support::journal::Entry;
use crate::support::office::{Office, RETRY};
use crate::support::receiver::Receiver;

/// An office whose visits go to a target by an adapter's file; `more` are further lines of the connector.
fn office(target: &Receiver, adapter: &str, more: &str) -> Office {
    let office = unchecked(target, adapter, more);
    let watched = office.run(&["watch", "visits"]);
    assert_eq!(watched.code, Some(0), "{watched:?}");
    office
}

/// The same with a file that may be wrong.
fn unchecked(target: &Receiver, adapter: &str, more: &str) -> Office {
    let office = Office::visits();
    std::fs::create_dir_all(office.config().join("adapters")).unwrap();
    std::fs::write(office.config().join("adapters/site.yaml"), adapter).unwrap();
    let (url, ca) = (target.url("/srv"), target.ca.file());
    let endpoint = format!("adapter: site\nendpoint: {{url: \"{url}\", tls: {{ca: \"{}\"}}}}", ca.display());
    office.connector("legacy", &format!("{endpoint}\nstart: beginning\n{RETRY}\n{more}\n"));
    office
}

/// Method and path of each request.
fn asked(journal: &[Entry]) -> Vec<String> {
    journal.iter().map(|entry| format!("{} {}", entry.method, entry.path)).collect()
}

fn text(entry: &Entry) -> &str {
    std::str::from_utf8(&entry.body).unwrap()
}
