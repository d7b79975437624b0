//! The thread that keeps one captured log: wakes the workers when it grows, and tidies in the gaps.

use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use crate::clock;
use crate::daemon::heal::Task;
use crate::daemon::trouble::Trouble;
use crate::daemon::wake::{Wake, Watch};
use crate::engine::keeper::{Keeper, KeeperError};
use crate::engine::need::Need;
use crate::engine::push::{Mailbox, Message};
use crate::store::capture::{CaptureError, Heal};

/// How often a log is looked at when nothing wakes its reader.
pub const SLOW: Duration = Duration::from_secs(2);
/// A write is announced before its commit can be read: look again after these pauses, until it can.
/// The first steps are short, because a sync of a good disk is: most commits can be read within half a millisecond.
pub const AGAIN: [Duration; 13] = [
    Duration::from_micros(100),
    Duration::from_micros(80),
    Duration::from_micros(80),
    Duration::from_micros(80),
    Duration::from_micros(80),
    Duration::from_micros(160),
    Duration::from_micros(320),
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
];

/// So many of these steps wait for a commit only; then the file is looked at as a whole.
const SOON: usize = 7;

/// An application that writes all the time is looked at so often, after a burst of [`BURST`] looks at once. Every look is
/// a read transaction or two, and of some thousand that begin while somebody commits, one meets the header of the log half
/// written: SQLite then takes the writer's lock for a moment to look again, which the application could meet.
const PACE: Duration = Duration::from_millis(20);
/// So many looks go without a pause.
const BURST: u32 = 20;

/// While deliveries wait, the shadow follows the log this seldom, and not at all while nothing is delivered: it can wait,
/// they should not wait for it, and an outage costs no writes.
const BESIDE: Duration = Duration::from_secs(10);

/// A file that was replaced is looked at so often, until it can be opened.
const AWAY: Duration = Duration::from_millis(250);
/// And so seldom when that takes longer than so long.
const LONG: Duration = Duration::from_secs(10);

/// So many different complaints are remembered.
const MOST_SAID: usize = 20;

/// Keeps a log until it is told to stop, a sync has failed, or another agent has taken it: then the workers stop.
pub fn keep(
    mut keeper: Keeper,
    watch: &Watch,
    workers: &[Mailbox],
    healer: &Sender<Task>,
    healed: &Receiver<Heal>,
    trouble: &Trouble,
) -> Keeper {
    let name = keeper.log().name().to_owned();
    let mut again = AGAIN.iter();
    let mut complaint = Complaint::of(&name, "looking", trouble);
    let mut tidying = Complaint::of(&name, "tidying", trouble);
    let mut patience = Duration::ZERO;
    let mut caught_up = clock::steady();
    let mut next_look = caught_up;
    let mut written = false;
    // The time at which looks at that pace would have come to the next.
    let mut paced = caught_up;
    let mut away_since = None;
    // The log was tidied, and the shadow does not follow yet.
    let mut owed = false;
    loop {
        // The next look is near: until then the application need not tell what it writes.
        let near = again.as_slice().len() > AGAIN.len() - SOON;
        let wake = if near { watch.pause(patience) } else { watch.wait(patience) };
        for done in healed.try_iter() {
            if let Err(error) = keeper.healed(&done) {
                complaint.make(&error);
            }
        }
        if wake == Some(Wake::Stop) || trouble.is_met() {
            return keeper;
        }
        if wake.is_some() {
            again = AGAIN.iter();
            // Whatever was written, the file may be another now: looked at when no commit shows soon.
            written = true;
        }
        let left = next_look.since(clock::steady());
        let soon = again.as_slice().len() > AGAIN.len() - SOON;
        if wake != Some(Wake::Asked) && (soon || !written) && !left.is_zero() && !keeper.is_newer() {
            patience = again.next().map_or(left, |soon| left.min(*soon));
            continue;
        }
        written = false;
        let ahead = paced.since(clock::steady());
        if ahead > PACE * BURST {
            std::thread::sleep(ahead - PACE * BURST);
        }
        paced = paced.max(clock::steady()).plus(PACE);
        // Whoever delivers reads on while the rest is looked at.
        let told = keeper.version().filter(|_| keeper.is_newer());
        if told.is_some() {
            tell(workers, || Message::Wake);
        }
        match keeper.look() {
            Ok(look) => {
                complaint.end();
                if look.rewound {
                    tell(workers, || Message::Rewind);
                }
                keeper.release();
                // What was committed since they were told they may have missed.
                if look.grown && (told.is_none() || told != keeper.looked_at()) {
                    tell(workers, || Message::Wake);
                }
                if look.grown {
                    // Another commit may have been announced together with this one.
                    again = AGAIN.iter();
                }
            }
            Err(error) => {
                complaint.make(&error);
                if keeper.is_lost() {
                    // What is captured from now on is the other agent's to deliver.
                    trouble.lose();
                    tell(workers, || Message::Stop);
                    return keeper;
                }
            }
        }
        keeper.answer_asked();
        let heal = keeper.take_heal();
        if !heal.is_empty() {
            let _ = healer.send(Task::Heal(heal));
        }
        let due = match keeper.tidy_due() {
            Ok(Some(due)) if due <= clock::steady() => match keeper.tidy() {
                Ok(look) => {
                    tidying.end();
                    if look.rewound {
                        tell(workers, || Message::Rewind);
                    }
                    owed = !keeper.is_drained().unwrap_or(true);
                    if !owed {
                        caught_up = clock::steady();
                        let _ = healer.send(Task::CatchUp);
                    }
                    match keeper.check_state() {
                        Err(error) if error.is_broken() => {
                            log::error!("{error}");
                            tell(workers, || Message::Broken);
                        }
                        Err(error) => complaint.make(&error),
                        Ok(()) => {}
                    }
                    keeper.tidy_due().ok().flatten()
                }
                Err(error) => {
                    tidying.make(&error);
                    None
                }
            },
            Ok(due) => due,
            Err(error) => {
                complaint.make(&error);
                None
            }
        };
        if owed && clock::steady() >= caught_up.plus(BESIDE) {
            caught_up = clock::steady();
            // Nothing new is delivered while a connector stands still, and nothing is written for that.
            if keeper.has_moved().unwrap_or(true) {
                let _ = healer.send(Task::CatchUp);
            }
        }
        patience = due.map_or(SLOW, |due| due.since(clock::steady()).max(Duration::from_millis(50)).min(SLOW));
        if keeper.is_away() {
            if keeper.log().is_waited_for() {
                tell(workers, || Message::LetGo);
                let _ = healer.send(Task::LetGo);
            }
            let since = *away_since.get_or_insert_with(clock::steady);
            patience = if clock::steady().since(since) < LONG { AWAY } else { SLOW };
        } else {
            away_since = None;
        }
        next_look = clock::steady().plus(patience);
        if let Some(soon) = again.next() {
            patience = patience.min(*soon);
        }
    }
}

fn tell(workers: &[Mailbox], message: impl Fn() -> Message) {
    workers.iter().for_each(|worker| worker.tell(message()));
}

/// What is wrong with one thing that the keeper does: said once, not at every look, and told to `status` while it lasts.
struct Complaint<'a> {
    log: &'a str,
    who: String,
    /// What was said since all was well.
    said: Vec<String>,
    trouble: &'a Trouble,
}

impl<'a> Complaint<'a> {
    fn of(log: &'a str, doing: &str, trouble: &'a Trouble) -> Complaint<'a> {
        Complaint { log, who: format!("{log}: {doing}"), said: Vec::new(), trouble }
    }

    fn make(&mut self, error: &KeeperError) {
        let text = error.to_string();
        if error.is_broken() {
            self.trouble.meet();
        }
        if self.said.contains(&text) {
            return;
        }
        if matches!(error, KeeperError::Capture(CaptureError::Replaced { .. })) {
            // It is opened again in a moment: that needs nobody.
            log::warn!(log:% = self.log; "{}: {text}", self.log);
        } else {
            log::error!(log:% = self.log; "{}: {text}", self.log);
            self.trouble.tell(&self.who, Some(Need::of_keeping(self.log, error)));
        }
        if self.said.len() == MOST_SAID {
            self.said.clear();
        }
        self.said.push(text);
    }

    fn end(&mut self) {
        if !self.said.is_empty() {
            self.said.clear();
            self.trouble.tell(&self.who, None);
        }
    }
}
