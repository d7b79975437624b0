//! What the service manager hears of an agent that runs: that its state file's writer is alive, and the line that
//! `systemctl status` shows. Where no service manager listens there is nothing of it.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use crate::clock::{self, Timestamp};
use crate::daemon::api::Shared;
use crate::daemon::handle::Handle;
use crate::daemon::notify;
use crate::engine::overview::Overview;
use crate::engine::push::Beat;

/// The line is looked at so often, and told when it has changed.
const LOOK: Duration = Duration::from_secs(5);
/// Longest line, in characters.
const LONGEST: usize = 300;

/// Tells until it is dropped.
#[derive(Debug)]
pub struct Pulse {
    notices: Option<Sender<Option<String>>>,
}

impl Pulse {
    /// Begins to tell of whatever agent is there.
    pub fn start(shared: Shared) -> Pulse {
        if !notify::is_heard() {
            return Pulse { notices: None };
        }
        let (notices, inbox) = channel();
        let thread = std::thread::Builder::new().name("pulse".into());
        let started = thread.spawn(move || Line::default().tell(&shared, &inbox));
        if let Err(error) = &started {
            log::error!("the service manager is not told how the agent is: {error}");
        }
        Pulse { notices: started.is_ok().then_some(notices) }
    }

    /// Puts something in front of the line, until it is taken back; told at once.
    pub fn notice(&self, notice: Option<String>) {
        if let Some(notices) = &self.notices {
            let _ = notices.send(notice);
        }
    }
}

#[derive(Debug, Default)]
struct Line {
    notice: Option<String>,
    told: String,
    /// What the files and the agent looked like when the line was made.
    seen: Option<(Vec<Stamp>, usize)>,
    standing: String,
}

/// Length and last write of a file.
type Stamp = (u64, i64, i64);

impl Line {
    fn tell(mut self, shared: &Shared, inbox: &Receiver<Option<String>>) {
        let mut next_look = clock::steady();
        let mut next_beat = next_look;
        loop {
            let handle = shared.read().unwrap_or_else(PoisonError::into_inner).clone();
            let now = clock::steady();
            if let Some(beat) = handle.pulse.as_ref().filter(|_| now >= next_beat) {
                next_beat = now.plus(beat.every);
                ask(&handle, beat);
            }
            if now >= next_look {
                next_look = now.plus(LOOK);
                self.look(&handle);
            }
            self.say();
            let beat = handle.pulse.as_ref().map(|_| next_beat);
            let wait = |due: Timestamp| due.since(clock::steady());
            let patience = beat.map_or(wait(next_look), |beat| wait(beat).min(wait(next_look)));
            // Nothing of an agent that a reload stops is kept meanwhile.
            drop(handle);
            match inbox.recv_timeout(patience) {
                Ok(notice) => self.notice = notice,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Looks at the files when they were written since. An idle agent costs a few calls of `stat`.
    fn look(&mut self, handle: &Handle) {
        let files = handle.databases.iter().map(|database| database.path.as_path()).chain([handle.state()]);
        let stamps = files.flat_map(|file| [stamp(file), stamp(&wal(file))]).collect();
        let seen = Some((stamps, handle.needs().len()));
        if self.seen == seen {
            return;
        }
        match handle.glance() {
            Ok(mut overview) => {
                overview.needs.extend(handle.needs());
                self.standing = line(&overview);
                self.seen = seen;
            }
            Err(error) => log::debug!("the line for the service manager: {error}"),
        }
    }

    fn say(&mut self) {
        let text = match &self.notice {
            Some(notice) => format!("{notice}; {}", self.standing),
            None => self.standing.clone(),
        };
        if text != self.told && !text.is_empty() {
            notify::hint(&format!("STATUS={}", notify::one_line(&text, LONGEST)));
            self.told = text;
        }
    }
}

/// Has the writer of the state file answer: whoever waits for a disk that does not come back gives no sign of life.
fn ask(handle: &Handle, beat: &Beat) {
    let tell = beat.tell.clone();
    handle.ledger().ping(move || tell());
}

fn wal(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

fn stamp(file: &Path) -> Stamp {
    std::fs::metadata(file).map_or((0, 0, 0), |found| (found.len(), found.mtime(), found.mtime_nsec()))
}

/// An agent at a glance, in one line: sums and names of modes, no name of a record.
pub fn line(seen: &Overview) -> String {
    let connectors: Vec<_> = seen.connectors.iter().filter(|known| known.configured).collect();
    let down = |mode: &str, since: &Option<String>| mode == "running" && since.is_some();
    let of = |mode: &str| {
        connectors.iter().filter(|known| known.mode == mode && !down(known.mode, &known.down_since)).count()
    };
    let running = of("running") + of("new");
    let mut parts = vec![format!("{running} {} running", if running == 1 { "connector" } else { "connectors" })];
    let mut add = |count: u64, word: &str| {
        if count > 0 {
            parts.push(format!("{count} {word}"));
        }
    };
    add(connectors.iter().filter(|known| down(known.mode, &known.down_since)).count() as u64, "down");
    for mode in ["paused", "halted", "overflowed"] {
        add(of(mode) as u64, mode);
    }
    let sum =
        |count: fn(&crate::engine::report::ConnectorStatus) -> u64| connectors.iter().map(|known| count(known)).sum();
    add(sum(|known| u64::try_from(known.queued).unwrap_or(0)), "queued");
    add(sum(|known| known.waiting + known.behind), "waiting");
    add(sum(|known| known.held), "held");
    add(sum(|known| known.dead), "dead");
    let mut line = parts.join(", ");
    match seen.needs.len() {
        0 => {}
        1 => line.push_str("; 1 thing needs a person: `hms-sync status`"),
        many => line.push_str(&format!("; {many} things need a person: `hms-sync status`")),
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::need::Need;
    use crate::engine::overview::AgentStatus;
    use crate::engine::report::ConnectorStatus;

    #[test]
    fn the_line_has_sums_and_what_needs_a_person_and_leaves_out_what_is_zero() {
        let of = |mode, queued| ConnectorStatus { mode, queued, configured: true, ..ConnectorStatus::default() };
        let agent = AgentStatus { running: true, process: None, has_run: true, checked: None, office: String::new() };
        let mut seen = Overview {
            agent,
            logs: Vec::new(),
            connectors: vec![of("running", 0)],
            drops: Vec::new(),
            sources: Vec::new(),
            needs: Vec::new(),
            alerts: Vec::new(),
        };
        assert_eq!(line(&seen), "1 connector running");
        let down = ConnectorStatus { down_since: Some("2026-03-05T18:05:00Z".into()), ..of("running", 12) };
        let gone = ConnectorStatus { configured: false, dead: 7, ..of("running", 9) };
        seen.connectors.extend([of("running", 3), down, of("halted", 0), gone]);
        seen.connectors.push(ConnectorStatus { waiting: 2, behind: 1, dead: 4, ..of("new", 0) });
        seen.needs.push(Need { subject: "a".into(), what: "b".into(), mend: "c".into() });
        let expected = "3 connectors running, 1 down, 1 halted, 15 queued, 3 waiting, 4 dead; 1 thing needs a person: `hms-sync status`";
        assert_eq!(line(&seen), expected);
    }
}
