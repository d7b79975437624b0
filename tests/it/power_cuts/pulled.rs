//! The power fails while a page is planned, applied and finished: its rows and how far it has come are there together or not at
//! all, and the next run writes what is missing, once.

use std::path::Path;
use std::process::Command;

use super::recording::is_modelled;
use super::{log, setting, whole};
use crate::pull::both_ways::{office, rows};
use crate::support::disk::{Disk, Image, Kind};
use crate::support::office::{Office, ended};
use crate::support::trace::{self, Act, Call};
use crate::support::world::{Paging, World};

const RECORDS: u64 = 120;

/// A run under strace, from files as they are; what it did to them.
fn recorded(office: &Office) -> Vec<Call> {
    let agent = office.command(&["run", "--once"]);
    let mut command = Command::new("strace");
    command.args(["-f", "--seccomp-bpf", "-y", "-s", "16777216", "-e", "signal=none"]);
    command.arg("-e").arg(format!("trace={}", trace::CALLS)).arg("-o").arg(office.folder().join("trace"));
    command.arg(agent.get_program()).args(agent.get_args());
    for (name, value) in agent.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let ended = ended(&mut command);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let root = office.folder().canonicalize().unwrap();
    let text = std::fs::read(office.folder().join("trace")).unwrap();
    trace::read(&text, |path| is_modelled(&root, path))
}

/// The image with the configuration of the office.
fn unpack(office: &Office, image: &Image) -> Office {
    let folder = tempfile::tempdir().unwrap();
    image.write(folder.path());
    for file in ["sync.yaml", "connectors/world.yaml", "adapters/world.yaml"] {
        let to = folder.path().join("config").join(file);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(office.config().join(file), to).unwrap();
    }
    Office::of(folder)
}

/// Of the rows that stand there as many came from the page as the page says. None = the file is damaged.
fn torn(folder: &Path) -> Option<Vec<String>> {
    let app = whole(&folder.join("app/office.db"))?;
    let count = |sql: &str| app.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap().unsigned_abs();
    let (changed, events) = (count("SELECT count(*) FROM things WHERE title LIKE 'new%'"), log(folder));
    let pulled = events.iter().filter(|event| event.origin.as_deref() == Some("world")).count() as u64;
    let mark = "SELECT v FROM hms_sync_meta WHERE k = 'pull/world'";
    let mark: String = app.query_row(mark, [], |row| row.get(0)).unwrap_or_else(|_| "{}".to_owned());
    let mark: serde_json::Value = serde_json::from_str(&mark).unwrap();
    let mut wrong = Vec::new();
    if pulled != RECORDS + changed {
        wrong.push(format!("{changed} rows are changed, {pulled} events tell of what was pulled"));
    }
    // The first run has ended; each page of the second has a number more.
    let (page, done) = (mark["page"].as_u64().unwrap(), mark["done"].as_u64().unwrap());
    let first = RECORDS.div_ceil(40);
    let said = if page <= first { 0 } else { (page - first - 1) * 40 + done };
    if said != changed {
        wrong.push(format!("{changed} rows are changed, the page says {said} ({mark})"));
    }
    Some(wrong)
}

#[test]
fn a_page_and_how_far_it_has_come_survive_a_power_cut_together_and_the_rest_is_written_once() {
    let cuts = usize::try_from(setting("HMS_CUTS", 60)).unwrap() / 4;
    for journal in ["wal", "delete"] {
        let world = World::start(Paging::Token, 40);
        (1..=RECORDS).for_each(|id| world.put(id, &format!("old {id}")));
        let office = office(&world, "", "1h");
        office.app().pragma_update(None, "journal_mode", journal).unwrap();
        assert_eq!(office.run(&["run", "--once"]).code, Some(0));
        world.pass(3_600_000);
        (1..=RECORDS).for_each(|id| world.put(id, &format!("new {id}")));
        let start = Image::of(office.folder(), &["app", "state"]);
        let calls = recorded(&office);
        let captured = office.highest();
        assert_eq!((rows(&office), captured), (world.alive(), i64::try_from(2 * RECORDS).unwrap()));
        let disk = Disk::new(&start, &office.folder().canonicalize().unwrap(), &calls);
        let matters = |call: &&Call| !matches!(call.act, Act::Hear { .. } | Act::Say { .. });
        let moments: Vec<usize> = calls.iter().filter(matters).flat_map(|call| [call.begin, call.end]).collect();
        let mut dice = fastrand::Rng::with_seed(setting("HMS_SEED", 1));
        let (mut bad, mut midst) = (Vec::new(), 0);
        for number in 0..cuts {
            let kind = if number % 2 == 0 { Kind::Ext4 } else { Kind::Strict };
            let cut = moments[dice.usize(..moments.len())];
            let losing = [None, None, Some("app"), Some("state")][dice.usize(..4)];
            let after = unpack(&office, &disk.image(cut, kind, losing, &mut dice));
            let mut wrong = torn(after.folder()).unwrap_or_else(|| vec!["the application's file is damaged".to_owned()]);
            let before = rows(&after);
            midst += usize::from(before != world.alive() && before.values().any(|title| title.starts_with("new")));
            let again = after.run(&["run", "--once"]);
            if again.code != Some(0) {
                wrong.push(format!("{again:#?}"));
            }
            if rows(&after) != world.alive() || after.highest() != captured {
                wrong.push(format!("{} rows, {} events", rows(&after).len(), after.highest()));
            }
            let status = after.run(&["--json", "status"]).stdout;
            if !status.contains(&format!("\"agreed\":{RECORDS}")) && !status.contains(&format!("\"agreed\": {RECORDS}")) {
                wrong.push(status);
            }
            if !wrong.is_empty() {
                bad.push(format!("{journal}, {kind:?}, losing {losing:?}, cut at {cut}: {wrong:#?}"));
            }
        }
        println!("{journal}: {cuts} cuts, {midst} of them in the midst of a page");
        assert!(bad.is_empty(), "{} of {cuts}:\n{}", bad.len(), bad.join("\n"));
        assert!(midst > 0, "no cut was in the midst of a page");
    }
}
