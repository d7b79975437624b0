//! What the audit says of a file: that it was cut, that it is about to be sent and what came of that, and that it went.
//!
//! Each is an act of the agent in the commit that makes it so; a file is about to be sent when that is recorded, and not
//! before. Which records a file has, the ledger says; what was in it, its SHA-256.

use super::outlet::{Outlet, Reach};
use super::publish::Ended;
use crate::adapter::place::Content;
use crate::clock::{self, Timestamp};
use crate::engine::operate::called;
use crate::rules::hex::hex;
use crate::store::state::act::{self, Act};
use crate::store::state::batch::{GATE, PARK};
use crate::store::state::drops::DropFile;
use crate::store::state::parked::{Parked, ParkedState};
use crate::store::state::{ConnectorId, Db, Sql};

/// A file has its lines, its numbers and its name.
pub(super) fn cut(db: &Db, file: &DropFile, now: Timestamp) -> Sql<()> {
    let config = file.config_hash.map(|hash| hex(&hash)).unwrap_or_default();
    let lines = file.records.unwrap_or(0);
    record(db, file.connector, "drop cut", &called(file), &format!("{lines} records, configuration {config}"), now)
}

/// A cut gave no file.
pub(super) fn skip(db: &Db, file: &DropFile, now: Timestamp) -> Sql<()> {
    record(db, file.connector, "drop cut", &file.date, "nothing to send, no file", now)
}

/// The first byte of a file is about to leave for a place.
pub(super) fn send(db: &Db, file: &DropFile, (outlet, data): (&str, &Content), now: Timestamp) -> Sql<()> {
    let text = format!("to {outlet}: {} bytes, sha256 {}", data.size, hex(&data.sha256));
    record(db, file.connector, "drop send", &called(file), &text, now)
}

/// What came of it.
pub(super) fn came(
    db: &Db,
    file: &DropFile,
    (outlet, data, ended): (&str, &Content, &Ended),
    now: Timestamp,
) -> Sql<()> {
    let (verb, why) = match ended {
        Ended::Published | Ended::Triggered => ("drop publish", String::new()),
        Ended::Unverified(reason) => ("drop unverified", format!(": {}", reason.class)),
        Ended::Held(reason) => ("drop hold", format!(": {}", reason.class)),
        Ended::Later(reason, _) => ("drop retry", format!(": {}", reason.class)),
    };
    let text = format!("at {outlet}: {} bytes, sha256 {}{why}", data.size, hex(&data.sha256));
    record(db, file.connector, verb, &called(file), &text, now)
}

/// A place as the audit names it: its name, and where it is.
pub(super) fn place(outlet: &Outlet) -> String {
    match &outlet.reach {
        Reach::Sftp(target) => format!("{} (sftp://{}:{})", outlet.name, target.host, target.port),
        Reach::Directory { folder, .. } => format!("{} ({})", outlet.name, folder.display()),
    }
}

/// The bytes of a file, and what it was made of, are deleted by age or number.
pub(super) fn purge(db: &Db, file: &DropFile, now: Timestamp) -> Sql<()> {
    let sha256 = file.sha256.map(|sha256| format!(", sha256 {}", hex(&sha256))).unwrap_or_default();
    let text = format!("its bytes and payloads{sha256}");
    record(db, file.connector, "drop purge", &called(file), &text, now)
}

/// A change stands aside: class and field names. Of what the host said only its code, since its words may name somebody.
pub(super) fn park(db: &Db, connector: ConnectorId, parked: &Parked) -> Sql<()> {
    let reason = &parked.reason;
    let text = if parked.state == ParkedState::Dead { reason.class.to_string() } else { reason.to_string() };
    let verb = if *reason.class == *GATE { GATE } else { PARK };
    record(db, connector, verb, &parked.event.id.to_string(), &text, clock::now())
}

/// A change that stood aside goes with a file, because of a later one of its record, or because it was released.
pub(super) fn along(db: &Db, connector: ConnectorId, parked: &Parked) -> Sql<()> {
    let text = format!("goes with the next file; {} before", parked.reason.class);
    record(db, connector, "drop release", &parked.event.id.to_string(), &text, clock::now())
}

fn record(db: &Db, connector: ConnectorId, verb: &str, subject: &str, reason: &str, now: Timestamp) -> Sql<()> {
    let (subject, reason) = (Some(subject), Some(reason));
    act::record(db, &Act { actor: "system", verb, connector: Some(connector), subject, reason }, now)
}
