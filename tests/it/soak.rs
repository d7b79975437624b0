//! The soak: everything that happens to an office in a year, for as long as one likes. Several applications write, the
//! target fails in every way, is away, comes back; the agent is killed, stopped, reloaded; tables are altered and
//! rebuilt, triggers dropped, backups taken and restored, old events pruned.
//!
//! It goes in rounds. A round ends settled: then the target's records are the application's rows; where the round held
//! nothing that passes capture by, every single change has arrived, in order, once in effect and under one key, and
//! every request is in the attempt log. Memory and open files of an agent stay as they were at the end of its first
//! round.
//!
//! `HMS_SOAK` = seconds, 120 without; `HMS_SEED` = the chances. `HMS_SOAK=86400 tests/run soak` takes a day.

use std::collections::{BTreeMap, HashSet};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rustix::process::Signal;

use crate::end_to_end::{SCHEMA, Step, Visit, Writer, compare, setting, step_of, table};
use crate::support::journal::Entry;
use crate::support::office::{Agent, Office, PATIENCE, RETRY, wait};
use crate::support::receiver::Receiver;
use crate::support::scenario::Mix;
use crate::support::verdict::recorded;

/// Applications that write at the same time.
const WRITERS: i64 = 3;
/// Memory may grow by so much in one life of the agent, kB.
const GROWTH: u64 = 5 * 1024;
/// So many files more may be open than at the end of its first round: connections to the target come and go.
const FILES: usize = 8;
/// The state file after everything was delivered, without the attempt log, which is kept for years.
const STATE: u64 = 10 << 20;
/// And what the attempt log may take for each request.
const ATTEMPT: u64 = 200;
/// Between two lines of figures.
const MINUTE: Duration = Duration::from_secs(60);

/// What happens in a round beside writing, faults, outages and kills.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// Nothing that capture could miss: every change is accounted for.
    Plain,
    /// The application is upgraded: one column more.
    AddColumn,
    /// And upgraded again: the table is made anew under its own name, and its triggers are gone.
    Rebuild,
    /// A migration drops a trigger that it does not know.
    DropTrigger,
    /// The table has another name for a while.
    Rename,
    /// A backup is put in the place of the file, while the agent runs or while it does not.
    Restore,
}

/// What there is to tell.
#[derive(Debug, Default)]
struct Figures {
    rounds: u64,
    events: u64,
    arrivals: u64,
    kills: u64,
    stops: u64,
    reloads: u64,
    outages: u64,
    schema: u64,
    backups: u64,
    restores: u64,
    echoes: u64,
    lag: i64,
    growth: u64,
}

/// One life of the agent.
struct Life {
    agent: Agent,
    /// Memory and files at the end of its first round.
    warm: Option<(u64, usize)>,
}

struct Soak {
    office: Office,
    target: Receiver,
    dice: fastrand::Rng,
    life: Option<Life>,
    writers: Vec<Writer>,
    starts: u64,
    /// What the target has, by what it was told.
    mirror: BTreeMap<i64, Visit>,
    /// Keys that it has had in this round and the one before.
    had: [HashSet<String>; 2],
    round: u64,
    /// What was told in the round.
    truth: Vec<Step>,
    backup: Option<PathBuf>,
    figures: Figures,
}

impl Soak {
    fn new(seed: u64) -> Soak {
        let office = Office::new(SCHEMA);
        let mut soak = Soak {
            office,
            target: Receiver::start(),
            dice: fastrand::Rng::with_seed(seed),
            life: None,
            writers: Vec::new(),
            starts: 0,
            mirror: BTreeMap::new(),
            had: Default::default(),
            round: 0,
            truth: Vec::new(),
            backup: None,
            figures: Figures::default(),
        };
        soak.office.settings("visits: {}");
        soak.office.add_settings("retention: {events: 5s}");
        soak.configure();
        assert_eq!(soak.office.run(&["watch", "visits"]).code, Some(0));
        soak.open();
        soak
    }

    fn configure(&self) {
        let (url, ca) = (self.target.url("/visits/{id}"), self.target.ca.file());
        self.office.connector(
            "legacy",
            &format!(
                "target: {{url: \"{url}\", method: PUT, tls: {{ca: \"{}\"}}, headers: {{X-Round: \"{}\"}}}}\n\
                 start: beginning\n{RETRY}\n",
                ca.display(),
                self.round
            ),
        );
    }

    /// The applications open the file.
    fn open(&mut self) {
        for writer in 1..=WRITERS {
            self.starts += 1;
            self.writers.push(Writer::start(&self.office.database(), writer, self.starts));
        }
    }

    /// A connection that waits, as a migration does.
    fn patient(&self) -> Connection {
        let app = self.office.app();
        app.busy_timeout(PATIENCE).unwrap();
        app
    }

    fn agent(&mut self) -> &Agent {
        if self.life.is_none() {
            self.life = Some(Life { agent: self.office.agent(), warm: None });
        }
        &self.life.as_ref().unwrap().agent
    }

    /// The applications write for a while, one after the other or all at once, and the target behaves as it likes.
    fn write(&mut self, transactions: u32) {
        self.writers.iter_mut().for_each(|writer| writer.work(transactions));
        if self.dice.u32(..6) == 0 {
            self.take_backup();
        }
        let accounts: Vec<Step> = self.writers.iter_mut().flat_map(Writer::account).collect();
        self.figures.events += accounts.len() as u64;
        self.truth.extend(accounts);
        self.figures.lag = self.figures.lag.max(self.office.highest() - self.office.cursor("legacy"));
    }

    /// A copy of the live file, by one of the two ways that make a whole one.
    fn take_backup(&mut self) {
        let to = self.office.folder().join("backup.db");
        let _ = std::fs::remove_file(&to);
        let app = self.patient();
        if self.dice.bool() {
            app.execute("VACUUM INTO ?1", [to.to_str().unwrap()]).unwrap();
        } else {
            app.backup("main", &to, None::<fn(rusqlite::backup::Progress)>).unwrap();
        }
        // As the original: the copy is in rollback mode.
        Connection::open(&to).unwrap().pragma_update(None, "journal_mode", "wal").unwrap();
        self.backup = Some(to);
        self.figures.backups += 1;
    }

    /// What may happen to agent and target at any time.
    fn incident(&mut self) {
        match self.dice.u32(..12) {
            0 | 1 => {
                self.agent();
                self.life.take().unwrap().agent.kill();
                self.figures.kills += 1;
                self.agent();
            }
            2 => {
                self.agent();
                self.life.take().unwrap().agent.stop();
                self.figures.stops += 1;
                self.agent();
            }
            3 => {
                self.configure();
                let agent = self.agent();
                let before = agent.said().matches("reloaded").count();
                agent.signal(Signal::HUP);
                wait("it reloads", || agent.said().matches("reloaded").count() > before);
                self.figures.reloads += 1;
            }
            4 => {
                self.target.close();
                self.write(20);
                std::thread::sleep(Duration::from_millis(self.dice.u64(..3_000)));
                self.target.reopen();
                self.figures.outages += 1;
            }
            _ => {}
        }
    }

    /// What a round of this kind is about.
    fn happen(&mut self, kind: Kind) {
        let app = self.patient();
        match kind {
            Kind::Plain => return,
            Kind::AddColumn => {
                let column = format!("more{}", self.round);
                app.execute_batch(&format!(
                    "ALTER TABLE visits ADD COLUMN {column} TEXT; UPDATE visits SET {column} = 'x' WHERE id % 3 = 0"
                ))
                .unwrap();
            }
            Kind::Rebuild => {
                let columns = "id, slot, n, name, price, note";
                let made = SCHEMA.replace("visits", "visits_new");
                app.execute_batch(&format!(
                    "BEGIN IMMEDIATE; {made} INSERT INTO visits_new SELECT {columns} FROM visits; DROP TABLE visits;
                     ALTER TABLE visits_new RENAME TO visits; COMMIT; DELETE FROM visits WHERE id % 7 = 0;"
                ))
                .unwrap();
            }
            Kind::DropTrigger => {
                let names = "SELECT name FROM sqlite_master WHERE type = 'trigger' ORDER BY random() LIMIT 1";
                // While the agent is just putting them back there may be none.
                if let Ok(name) = app.query_row(names, [], |row| row.get::<_, String>(0)) {
                    app.execute_batch(&format!("DROP TRIGGER {name}; DELETE FROM visits WHERE id % 7 = 1;")).unwrap();
                }
            }
            Kind::Rename => {
                app.execute_batch("ALTER TABLE visits RENAME TO calls; UPDATE calls SET note = 'c' WHERE id % 5 = 0")
                    .unwrap();
                std::thread::sleep(Duration::from_millis(self.dice.u64(..1_500)));
                app.execute_batch("ALTER TABLE calls RENAME TO visits; DELETE FROM visits WHERE id % 7 = 2").unwrap();
            }
            Kind::Restore => {
                drop(app);
                return self.restore();
            }
        }
        drop(app);
        self.figures.schema += 1;
        // Their picture of the table is no longer true: the harness has written too.
        self.writers.clear();
        self.open();
    }

    /// The applications are stopped, the backup is put in the file's place, they are started. A file that is
    /// restored over changes which the agent has read and not sent, or while it lies killed, can hide a record that only
    /// the target has: whoever restores lets it finish first, as the manual says. What is parked may stay so.
    fn restore(&mut self) {
        if self.backup.is_none() {
            self.take_backup();
        }
        self.writers.clear();
        self.agent();
        wait("what was captured is sent or parked", || self.office.cursor("legacy") >= self.office.highest());
        if self.dice.bool() {
            self.life.take().unwrap().agent.stop();
        }
        let from = self.backup.take().unwrap();
        for end in ["-wal", "-shm"] {
            let mut beside = self.office.database().into_os_string();
            beside.push(end);
            let _ = std::fs::remove_file(beside);
        }
        std::fs::rename(from, self.office.database()).unwrap();
        self.figures.restores += 1;
        self.agent();
        self.open();
    }

    /// Takes in what has arrived; what arrives a second time under its key changes nothing at the target.
    fn take_in(&mut self, journal: &[Entry]) {
        self.figures.arrivals += journal.len() as u64;
        for entry in journal.iter().filter(|entry| entry.committed) {
            if self.had[1].contains(&entry.key) || !self.had[0].insert(entry.key.clone()) {
                continue;
            }
            match step_of(entry) {
                Step::Put(visit) => drop(self.mirror.insert(visit.id, visit)),
                Step::Gone(id) => drop(self.mirror.remove(&id)),
            }
        }
    }

    /// Everything has arrived: the target has what the application has, and nothing else.
    fn judge(&mut self, strict: bool) {
        self.agent();
        let (mut journal, began) = (Vec::new(), Instant::now());
        loop {
            let more = self.target.take();
            self.take_in(&more);
            journal.extend(more);
            let truth = table(&self.patient());
            let (highest, cursor) = (self.office.highest(), self.office.cursor("legacy"));
            let settled = cursor >= highest && self.office.parked("legacy").is_empty();
            if settled && self.mirror == truth {
                break;
            }
            if began.elapsed() > PATIENCE {
                let wrong = |of: &BTreeMap<i64, Visit>, other: &BTreeMap<i64, Visit>| {
                    of.iter()
                        .filter(|(id, visit)| other.get(id) != Some(visit))
                        .map(|(_, visit)| visit.clone())
                        .collect()
                };
                let said = self.agent().said();
                let (missing, strange): (Vec<Visit>, Vec<Visit>) =
                    (wrong(&truth, &self.mirror), wrong(&self.mirror, &truth));
                panic!(
                    "round {}: settled {settled} ({cursor} of {highest}, parked {:?}); at the application only: \
                     {missing:?}; at the target only: {strange:?}; the agent said: {said}",
                    self.round,
                    self.office.parked_words("legacy"),
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let truth = std::mem::take(&mut self.truth);
        if strict {
            journal.extend(self.target.take());
            let told = self.without_echoes(&journal);
            self.figures.echoes += (journal.len() - told.len()) as u64;
            compare(&truth, &told);
            assert_eq!(recorded(&self.office.state(), &journal), Vec::<String>::new());
        }
        self.had.swap(0, 1);
        self.had[0].clear();
    }

    /// The journal without requests of the round before that arrived once more, before anything new of their record did: the
    /// agent was killed when it had sent them, and it was only now that the target came to read them.
    fn without_echoes(&self, journal: &[Entry]) -> Vec<Entry> {
        let mut begun = HashSet::new();
        let wanted = |entry: &&Entry| {
            let known = self.had[1].contains(&entry.key);
            if !known && entry.committed {
                begun.insert(entry.path.clone());
            }
            !known || begun.contains(&entry.path)
        };
        journal.iter().filter(wanted).cloned().collect()
    }

    /// Memory and open files of the agent are what they were.
    fn measure(&mut self) {
        let Some(life) = &mut self.life else { return };
        let now = (memory(life.agent.pid()), files(life.agent.pid()));
        let warm = *life.warm.get_or_insert(now);
        let growth = now.0.saturating_sub(warm.0);
        self.figures.growth = self.figures.growth.max(growth);
        assert!(growth < GROWTH, "round {}: {} kB of memory, {} kB before", self.round, now.0, warm.0);
        assert!(now.1 <= warm.1 + FILES, "round {}: {} open files, {} before", self.round, now.1, warm.1);
    }

    /// Bytes of the state file with its log.
    fn state(&self) -> u64 {
        let wal = self.office.state().with_extension("db-wal");
        [self.office.state(), wal].iter().map(|file| std::fs::metadata(file).map_or(0, |file| file.len())).sum()
    }

    fn tell(&self, began: Instant) {
        let (memory, open) =
            self.life.as_ref().map_or((0, 0), |life| (memory(life.agent.pid()), files(life.agent.pid())));
        // Past the test harness, which would keep it to the end.
        let _ = writeln!(
            std::io::stderr(),
            "soak: {} s, memory {memory} kB, files {open}, state {} kB, {:?}",
            began.elapsed().as_secs(),
            self.state() / 1024,
            self.figures
        );
    }
}

/// Resident memory that is the process's own, kB.
fn memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Open files of a process.
fn files(process: u32) -> usize {
    std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().count()
}

#[test]
fn nothing_is_lost_and_nothing_grows_through_faults_outages_kills_upgrades_and_restores() {
    let (seconds, seed) = (Duration::from_secs(setting("HMS_SOAK", 120)), setting("HMS_SEED", 1));
    let mut soak = Soak::new(seed);
    let (began, mut told) = (Instant::now(), Instant::now());
    let special = [Kind::AddColumn, Kind::Restore, Kind::DropTrigger, Kind::Rename, Kind::Rebuild];
    // What came late of a round is still told in the next one, which is not held against every single change then.
    let mut before = Kind::Plain;
    while began.elapsed() < seconds {
        soak.round += 1;
        soak.figures.rounds += 1;
        soak.target.mix(Some(Mix::new(
            seed + soak.round,
            &[
                (80, "ok"),
                (5, "status_503"),
                (3, "status_429"),
                (3, "commit_rst"),
                (2, "commit_close"),
                (2, "commit_partial"),
                (2, "rst_after_request"),
                (1, "rst_mid_request"),
                (2, "idle_close"),
            ],
        )));
        let kind = if soak.round.is_multiple_of(3) {
            special[usize::try_from(soak.round / 3 - 1).unwrap() % special.len()]
        } else {
            Kind::Plain
        };
        // Some lives are long, so that what grows slowly shows.
        let calm = soak.round / 8 % 2 == 1;
        for part in 0..4 {
            soak.write(15);
            if part == 1 {
                soak.happen(kind);
            }
            if !calm {
                soak.incident();
            }
            std::thread::sleep(Duration::from_millis(300));
        }
        soak.judge(kind == Kind::Plain && before == Kind::Plain);
        soak.measure();
        before = kind;
        if told.elapsed() >= MINUTE {
            told = Instant::now();
            soak.tell(began);
        }
    }
    let life = soak.life.take().unwrap();
    life.agent.stop();
    soak.tell(began);
    let allowed = STATE + soak.figures.arrivals * ATTEMPT;
    assert!(soak.state() < allowed, "the state file has {} bytes", soak.state());
}
