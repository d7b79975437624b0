//! The power fails while application and agent are at work: whatever of what neither has synced is lost, torn or
//! stored out of order, nothing is lost at the target, nothing torn, and nothing there that the application does not
//! have. Both work under strace; a model of the disk (`support/disk.rs`) makes of its log what may be left after a cut
//! at any moment; the agent goes on from that, with a target that goes on from what had left by then.
//!
//! `HMS_CUTS` sets after how many cuts the agent goes on (default 60, shared by the setups; the files of four times
//! as many are judged without), `HMS_SEED` the chances (default 1).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod clerk;
mod pulled;
mod recording;

use std::collections::HashMap;
use std::path::Path;

use fastrand::Rng;
use hms_sync::event::Event;
use hms_sync::store::capture::{Access, CapturedLog};
use hms_sync::store::shadow;
use hms_sync::store::state::parked::{self, Selection};
use hms_sync::store::state::{StateReader, connector, cursor, log as logs};
use rusqlite::Connection;

use crate::end_to_end::setting;
use crate::support::disk::{Image, Kind};
use crate::support::journal::{Entry, Expected, judge};
use crate::support::office::Office;
use crate::support::verdict::intended;
use clerk::{Change, Clerk, account, name, replayed, torn};
use recording::{Recording, Setup};

/// Setups that share the cuts.
const SETUPS: usize = 6;
/// Images whose files are judged for each with which the agent goes on.
const ONLY_JUDGED: usize = 4;
/// Of each bad image so many faults are told.
const TOLD: usize = 3;

#[test]
fn power_cuts_beside_wal_full() {
    survives(Setup { journal: "wal", synchronous: "full", few: false }, Own::Commits);
}

#[test]
fn power_cuts_beside_wal_normal() {
    survives(Setup { journal: "wal", synchronous: "normal", few: false }, Own::File);
}

#[test]
fn power_cuts_beside_wal_normal_whose_changes_are_mostly_unwanted() {
    survives(Setup { journal: "wal", synchronous: "normal", few: true }, Own::File);
}

#[test]
fn power_cuts_beside_delete_full() {
    survives(Setup { journal: "delete", synchronous: "full", few: false }, Own::File);
}

#[test]
fn power_cuts_beside_truncate_normal() {
    survives(Setup { journal: "truncate", synchronous: "normal", few: false }, Own::Nothing);
}

#[test]
fn power_cuts_beside_persist_full() {
    survives(Setup { journal: "persist", synchronous: "full", few: false }, Own::Commits);
}

/// What the application keeps by its own settings in any power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Own {
    /// Every commit that it was told of.
    Commits,
    /// Its file stays whole; the last commits may be lost.
    File,
    /// Where the disk stores names and sizes in no order, its file can be damaged.
    Nothing,
}

fn survives(setup: Setup, own: Own) {
    let (cuts, seed) = (setting("HMS_CUTS", 60), setting("HMS_SEED", 1));
    let recording = setup.record(seed);
    let disk = recording.disk();
    let runs = usize::try_from(cuts).unwrap().div_ceil(SETUPS);
    let images = runs * (1 + ONLY_JUDGED);
    let mut dice = Rng::with_seed(seed);
    let (mut bad, mut lost, mut damaged) = (Vec::new(), 0, 0);
    for number in 0..images {
        let kind = if number % 2 == 0 { Kind::Ext4 } else { Kind::Strict };
        let cut = recording.moments[dice.usize(..recording.moments.len())];
        let losing = [None, None, Some("app"), Some("state")][dice.usize(..4)];
        let image = disk.image(cut, kind, losing, &mut dice);
        let received = received(&recording, cut, &mut dice);
        let told = recording.told.iter().filter(|told| told.at <= cut).map(|told| told.n).max().unwrap_or(0);
        let folder = unpack(&recording.office, &image);
        let mut wrong = match files(folder.path(), &received) {
            None if own == Own::Nothing && kind == Kind::Strict => {
                damaged += 1;
                continue;
            }
            // Its tables disagree with each other: that too is damage, of a kind that no check of SQLite's shows.
            Some((wrong, _))
                if own == Own::Nothing
                    && kind == Kind::Strict
                    && !wrong.is_empty()
                    && wrong.iter().all(|line| line.starts_with("torn:")) =>
            {
                damaged += 1;
                continue;
            }
            None => vec!["the application's file is damaged".to_owned()],
            Some((wrong, kept)) => {
                lost += usize::from(kept < told);
                let short = own == Own::Commits && kept < told;
                let short = short.then(|| format!("commits up to {told} had returned, those up to {kept} are there"));
                wrong.into_iter().chain(short).collect()
            }
        };
        if number % (1 + ONLY_JUDGED) == 0 && wrong.is_empty() {
            wrong.extend(goes_on(setup, &recording, &image, received, &mut dice));
        }
        if !wrong.is_empty() {
            let more = wrong.len().saturating_sub(TOLD);
            wrong.truncate(TOLD);
            bad.push(format!("{kind:?}, losing {losing:?}, cut at {cut}, image {number}: {wrong:#?} and {more} more"));
        }
    }
    let bad_ones = bad.len();
    println!(
        "{setup:?}: {images} images, in {lost} the application lost commits, in {damaged} its file; bad {bad_ones}"
    );
    assert!(bad.is_empty(), "{setup:?}, HMS_SEED={seed}: {bad_ones} of {images} bad:\n{}", bad.join("\n"));
}

#[test]
fn without_the_syncs_of_the_agent_the_target_would_have_what_the_application_lost() {
    for journal in ["wal", "delete"] {
        let synchronous = if journal == "wal" { "normal" } else { "full" };
        let recording = Setup { journal, synchronous, few: false }.record(setting("HMS_SEED", 1));
        let disk = recording.disk_of_a_careless_agent();
        let mut dice = Rng::with_seed(1);
        let mut bad = 0;
        for number in 0..80 {
            let kind = if number % 2 == 0 { Kind::Ext4 } else { Kind::Strict };
            let cut = recording.moments[dice.usize(..recording.moments.len())];
            let image = disk.image(cut, kind, Some("app"), &mut dice);
            let received = received(&recording, cut, &mut dice);
            let wrong = files(unpack(&recording.office, &image).path(), &received).map(|(wrong, _)| wrong);
            bad += usize::from(wrong.unwrap_or_default().iter().any(|line| line.starts_with("phantom")));
        }
        println!("{journal}: {bad} of 80 bad");
        assert!(bad > 0, "{journal}: this test finds nothing");
    }
}

/// What the target had received by then. A request whose answer had not come back may still have been on its way.
fn received(recording: &Recording, cut: usize, dice: &mut Rng) -> Vec<Entry> {
    let arrived = recording.sent.iter().filter(|sent| sent.at <= cut && (sent.answered <= cut || dice.bool()));
    arrived.map(|sent| sent.entry.clone()).collect()
}

/// The image as the folders of an office.
fn unpack(office: &Office, image: &Image) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    image.write(folder.path());
    std::fs::create_dir_all(folder.path().join("config/connectors")).unwrap();
    for file in ["sync.yaml", "connectors/legacy.yaml"] {
        std::fs::copy(office.config().join(file), folder.path().join("config").join(file)).unwrap();
    }
    folder
}

/// The judge's own connection to a file, which does not sync: nobody's power fails under that. None = the file is damaged.
fn whole(path: &Path) -> Option<Connection> {
    let db = Connection::open(path).unwrap();
    db.pragma_update(None, "synchronous", "off").ok()?;
    let said: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).ok()?;
    (said == "ok").then_some(db)
}

/// The application's log.
fn log(folder: &Path) -> Vec<Event> {
    let mut log = CapturedLog::open("office", &folder.join("app/office.db"), Access::Read).unwrap();
    if log.installed().unwrap() { log.read(0, usize::MAX >> 1, usize::MAX).unwrap() } else { Vec::new() }
}

/// What the state file says of the application's log that the log does not bear out: a cursor, or the shadow, beyond its
/// end, where other changes will stand; a parked change that it does not have.
fn beyond(state: &Path, events: &[Event]) -> Vec<String> {
    let Ok(mut state) = StateReader::open(state) else { return Vec::new() };
    let end = events.last().map_or(0, Event::seq);
    let mut wrong = Vec::new();
    state
        .read(|db| {
            let Some(log) = logs::find(db, "office")? else { return Ok(()) };
            let shadow = shadow::position(db, "office").unwrap();
            if shadow > end {
                wrong.push(format!("the shadow stands at {shadow}, the log ends at {end}"));
            }
            let Some(known) = connector::find(db, "legacy")? else { return Ok(()) };
            let cursor = cursor::get(db, known.id, log)?.unwrap_or_default().seq;
            if cursor > end {
                wrong.push(format!("the cursor stands at {cursor}, the log ends at {end}"));
            }
            for (_, parked) in parked::select(db, &Selection::default())? {
                if !events.iter().any(|event| event.id == parked.event.id) {
                    wrong.push(format!("{} is parked, the log does not have it", parked.event.id));
                }
            }
            Ok(())
        })
        .unwrap();
    wrong
}

/// Whether a request says what a change did.
fn says(entry: &Entry, change: &Change) -> bool {
    if entry.path != format!("/visits/{}", change.id) {
        return false;
    }
    if change.gone {
        return entry.method == "DELETE" && entry.body.is_empty();
    }
    let body: serde_json::Value = serde_json::from_slice(&entry.body).unwrap();
    entry.method == "PUT" && body["n"] == change.n && body["name"] == name(change.n) && body["id"] == change.id
}

/// Every request is of a change that the application has, and says what that change did.
fn phantoms(events: &[Event], account: &[Change], journal: &[Entry]) -> Vec<String> {
    let known: HashMap<String, &Change> = events.iter().map(|event| event.id.to_string()).zip(account.iter()).collect();
    let mut wrong = Vec::new();
    for entry in journal {
        match known.get(&entry.key) {
            None => wrong.push(format!("phantom: {} {} under {}", entry.method, entry.path, entry.key)),
            Some(change) if !says(entry, change) => wrong.push(format!("{} does not say {change:?}", entry.key)),
            Some(_) => {}
        }
    }
    wrong
}

/// Judges the files alone; also up to which change the application's file has everything. None = that file is damaged.
fn files(folder: &Path, received: &[Entry]) -> Option<(Vec<String>, i64)> {
    let app = whole(&folder.join("app/office.db"))?;
    let (account, events) = (account(&app), log(folder));
    let mut wrong = torn(&app, &account, &events);
    wrong.extend(phantoms(&events, &account, received));
    if account.iter().zip(1..).any(|(change, n)| change.n != n) {
        wrong.push("torn: a commit is missing before another".to_owned());
    }
    let state = folder.join("state/state.db");
    if state.exists() && whole(&state).is_none() {
        wrong.push("the state file is damaged".to_owned());
    }
    wrong.extend(intended(&state, received));
    wrong.extend(beyond(&state, &events));
    Some((wrong, account.last().map_or(0, |change| change.n)))
}

/// Application and agent go on from an image; what is wrong at the end.
fn goes_on(setup: Setup, recording: &Recording, image: &Image, received: Vec<Entry>, dice: &mut Rng) -> Vec<String> {
    let office = Office::of(unpack(&recording.office, image));
    recording.target.resume(received);
    // The application writes before the agent looks, or after; what it writes has the positions of what it lost. Nothing
    // captures its writes before the agent has put its triggers there.
    let app = Connection::open(office.database()).unwrap();
    app.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    let captured = app.prepare("SELECT 1 FROM hms_sync_outbox").is_ok();
    let first = captured && dice.bool();
    if !first && let Err(wrong) = drain(&office) {
        return vec![wrong];
    }
    let there = replayed(&account(&app)).into_keys().collect();
    let mut clerk = Clerk::new(dice.u64(..), 100_000, there);
    (0..3).for_each(|_| app.execute_batch(&clerk.transaction().0).unwrap());
    if let Err(wrong) = drain(&office) {
        return vec![wrong];
    }
    let (account, events, journal) = (account(&app), log(office.folder()), recording.target.journal());
    let mut wrong = torn(&app, &account, &events);
    wrong.extend(phantoms(&events, &account, &journal));
    wrong.extend(intended(&office.state(), &journal));
    let wanted = events.iter().zip(&account).filter(|(_, change)| setup.wants(change.id));
    let expected: Vec<Expected> =
        wanted.map(|(event, change)| Expected::new(event.id.to_string(), change.id.to_string())).collect();
    wrong.extend(judge(&expected, &journal));
    let state = Connection::open(office.state()).unwrap();
    let repairs = "SELECT count(*) FROM act WHERE verb = 'repair'";
    if state.query_row(repairs, [], |row| row.get::<_, i64>(0)).unwrap() > 0 {
        wrong.push("the agent took the file for another one".to_owned());
    }
    wrong
}

/// Delivers until nothing is left to be delivered.
fn drain(office: &Office) -> Result<(), String> {
    for _ in 0..100 {
        let ended = office.run(&["--json", "run", "--once"]);
        match ended.code {
            Some(0) => return Ok(()),
            Some(75) => {}
            _ => return Err(format!("the agent does not go on: {ended:?}")),
        }
    }
    Err("the agent does not come to an end".to_owned())
}
