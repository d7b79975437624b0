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
const PAGE: u64 = 40;

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

/// Of the rows that stand there as many are told by the log, and by the page. None = the file is damaged.
fn torn(folder: &Path) -> Option<Vec<String>> {
    let app = whole(&folder.join("app/office.db"))?;
    let there = app.query_row("SELECT count(*) FROM things", [], |row| row.get::<_, i64>(0)).unwrap().unsigned_abs();
    let told = log(folder).iter().filter(|event| event.origin.as_deref() == Some("world")).count() as u64;
    let mark = "SELECT v FROM hms_sync_meta WHERE k = 'pull/world'";
    let mark: Option<String> = app.query_row(mark, [], |row| row.get(0)).ok();
    let mark: Option<serde_json::Value> = mark.map(|mark| serde_json::from_str(&mark).unwrap());
    let said =
        mark.as_ref().map_or(0, |mark| (mark["page"].as_u64().unwrap() - 1) * PAGE + mark["done"].as_u64().unwrap());
    let whole = mark.is_some_and(|mark| mark["cursor"].is_string());
    let mut wrong = Vec::new();
    if (told, said) != (there, there) {
        wrong.push(format!("{there} rows, {told} events tell of them, {said} the pages"));
    }
    if whole && there != RECORDS {
        wrong.push(format!("the cursor has moved, and there are {there} rows"));
    }
    Some(wrong)
}

#[test]
fn a_page_and_how_far_it_has_come_survive_a_power_cut_together_and_the_rest_is_written_once() {
    let cuts = usize::try_from(setting("HMS_CUTS", 60)).unwrap() / 4;
    for journal in ["wal", "delete"] {
        let world = World::start(Paging::Token, usize::try_from(PAGE).unwrap());
        (1..=RECORDS).for_each(|id| world.put(id, &format!("t{id}")));
        let office = office(&world, "", "1h");
        office.app().pragma_update(None, "journal_mode", journal).unwrap();
        let start = Image::of(office.folder(), &["app"]);
        let calls = recorded(&office);
        let captured = office.highest();
        assert_eq!((rows(&office), captured), (world.alive(), i64::try_from(RECORDS).unwrap()));
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
            let mut wrong =
                torn(after.folder()).unwrap_or_else(|| vec!["the application's file is damaged".to_owned()]);
            let before = rows(&after);
            midst += usize::from(!before.is_empty() && before != world.alive());
            let again = after.run(&["run", "--once"]);
            if again.code != Some(0) {
                wrong.push(format!("{again:#?}"));
            }
            if rows(&after) != world.alive() || after.highest() != captured {
                wrong.push(format!("{} rows, {} events", rows(&after).len(), after.highest()));
            }
            let status = after.run(&["--json", "status"]).stdout;
            if !status.contains(&format!("\"agreed\":{RECORDS}")) && !status.contains(&format!("\"agreed\": {RECORDS}"))
            {
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
