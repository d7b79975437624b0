//! Thirty nights with an agent that is killed at any moment: every change stands in exactly one published file.
//!
//! `HMS_DROP_KILLS` = kills in all (default 60), `HMS_SEED` = other moments and other changes (default 1).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::nightly::{Nightly, at};

const NIGHTS: usize = 30;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().filter(|text| !text.is_empty()).map_or(default, |text| text.parse().unwrap())
}

/// A time of a night, in UTC; the first is 3 March 2027.
fn time(night: usize, clock: &str) -> String {
    let date = jiff::civil::date(2027, 3, 3).checked_add(jiff::Span::new().days(night as i64)).unwrap();
    format!("{date} {clock}")
}

/// The application, which remembers what it has done.
#[derive(Default)]
struct Application {
    /// Names of visits by id.
    rows: BTreeMap<u64, String>,
    /// What each change must look like in a file: action, id and the name that no other change has.
    told: Vec<String>,
    count: u64,
}

impl Application {
    fn work(&mut self, nightly: &Nightly, night: usize, dice: &mut Rng) {
        let mut sql = String::from("BEGIN;");
        for _ in 0..dice.usize(0..12) {
            self.count += 1;
            let name = format!("n{}", self.count);
            let known: Vec<u64> = self.rows.keys().copied().collect();
            match dice.u32(..4) {
                0 if !known.is_empty() => {
                    let id = known[dice.usize(..known.len())];
                    let last = self.rows.remove(&id).unwrap();
                    self.told.push(format!("D {id} {last}"));
                    sql += &format!("DELETE FROM visits WHERE id = {id};");
                }
                1 if !known.is_empty() => {
                    let id = known[dice.usize(..known.len())];
                    self.rows.insert(id, name.clone());
                    self.told.push(format!("C {id} {name}"));
                    sql += &format!("UPDATE visits SET name = '{name}' WHERE id = {id};");
                }
                _ => {
                    // Of a row that is deleted and made again the host hears both.
                    let id = dice.u64(1..40);
                    if self.rows.contains_key(&id) {
                        continue;
                    }
                    self.rows.insert(id, name.clone());
                    self.told.push(format!("A {id} {name}"));
                    sql += &format!("INSERT INTO visits VALUES ({id}, '{name}', {}, NULL);", dice.u32(..99999));
                }
            }
        }
        nightly.sql_at(&time(night, "20:00:00"), &format!("{sql}COMMIT;"));
    }
}

#[test]
fn thirty_nights_of_kills_leave_every_change_in_exactly_one_file() {
    let (kills, seed) = (setting("HMS_DROP_KILLS", 60), setting("HMS_SEED", 1));
    let mut dice = Rng::with_seed(seed);
    let nightly = Nightly::new(&[
        ("source", "{tables: [visits], key: [id], coalesce: all}"),
        ("when_empty", "skip"),
        ("max_records", "5"),
        ("control", "{name: \"{file}.ctl\", content: \"{count()}\"}"),
        (
            "deliver",
            "[{directory: ../../out, name: host, trigger: \"{file}.done\"}, {directory: ../../copies, name: copies}]",
        ),
    ]);
    std::fs::create_dir(nightly.office.folder().join("copies")).unwrap();
    nightly.night("2027-03-02 18:00:10");
    let mut application = Application::default();
    // How long a run takes; a kill comes at any moment of it.
    let mut whole = Duration::from_millis(200);
    let (mut killed, mut ended) = (0, 0);
    for night in 0..NIGHTS {
        application.work(&nightly, night, &mut dice);
        let tonight = kills * (night as u64 + 1) / NIGHTS as u64 - kills * night as u64 / NIGHTS as u64;
        for _ in 0..tonight {
            let mut command = at(&time(night + 1, "00:00:05"), &nightly.office.command(&["run", "--once"]));
            let log = std::fs::File::create(nightly.office.folder().join("said")).unwrap();
            let mut child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
            std::thread::sleep(whole.mul_f64(dice.f64()));
            child.kill().unwrap();
            match child.wait().unwrap().code() {
                None => killed += 1,
                Some(_) => ended += 1,
            }
            // The office goes on working meanwhile, and what it does is for the next night.
        }
        let began = Instant::now();
        nightly.night(&time(night + 1, "00:05:00"));
        whole = began.elapsed();
    }
    assert!(killed > ended, "{killed} were killed and {ended} came to their end: the moments are not random");

    // Each file was read with its trailer checked; now all of them together.
    let files = nightly.files();
    let mut lines: Vec<String> = Vec::new();
    for (file, seq) in files.iter().zip(1..) {
        assert_eq!(file.seq, seq, "the numbers have a gap: {files:#?}");
        lines.extend(file.lines.iter().map(|line| line.split(' ').take(3).collect::<Vec<_>>().join(" ")));
    }
    assert_eq!(lines, application.told, "seed {seed}");
    let wanted: Vec<String> =
        files.iter().flat_map(|file| ["", ".ctl", ".done"].map(|end| format!("{}{end}", file.name))).collect();
    let mut there = nightly.names("out");
    there.sort();
    let mut wanted_there = wanted.clone();
    wanted_there.sort();
    assert_eq!(there, wanted_there, "nothing else is left there");
    let mut copies: Vec<String> = wanted.into_iter().filter(|name| !name.ends_with(".done")).collect();
    copies.sort();
    assert_eq!(nightly.names("copies"), copies);
    for name in &copies {
        let read = |folder: &str| std::fs::read(nightly.office.folder().join(folder).join(name)).unwrap();
        assert!(read("out") == read("copies"), "{name} differs");
    }
    assert_eq!(nightly.names("state/drops/nightly"), ["archive"], "no rendered or half-written file is left");
    assert!(nightly.names("state/drops/nightly/archive").iter().all(|name| name.ends_with(".gz")));
    let listed = nightly.json(&["drop", "list", "nightly", "--limit", "1000"]);
    let published = listed.as_array().unwrap().iter().filter(|file| file["state"] == "published").count();
    assert_eq!(published, files.len(), "{listed}");
    let doctor = nightly.run_at(&time(NIGHTS, "01:00:00"), &["doctor"]);
    assert_eq!(doctor.code, Some(0), "{doctor:#?}");
    eprintln!("{killed} kills, {ended} runs that were done before, {} changes in {} files", lines.len(), files.len());
}
