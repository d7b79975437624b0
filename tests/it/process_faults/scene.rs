//! What the agent is at when the fault comes.

use crate::support::office::Office;
use crate::support::receiver::Receiver;
use crate::support::visits::Memory;

/// One piece of the agent's work, with the offices as they are before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scene {
    /// The first run on a database without triggers: it makes the state file and installs capture.
    First,
    /// Twelve changes wait; the state file is there.
    Deliver,
    /// Everything is delivered and old: the log is pruned.
    Prune,
    /// The triggers were dropped and rows changed behind their back: capture is repaired, the table compared.
    Heal,
    /// Rows from before the watch are written into the log by `backfill`.
    Backfill,
    /// A running agent, while the application works.
    Daemon,
}

impl Scene {
    pub const ALL: [Scene; 6] =
        [Scene::First, Scene::Deliver, Scene::Prune, Scene::Heal, Scene::Backfill, Scene::Daemon];

    pub fn name(self) -> &'static str {
        match self {
            Scene::First => "first",
            Scene::Deliver => "deliver",
            Scene::Prune => "prune",
            Scene::Heal => "heal",
            Scene::Backfill => "backfill",
            Scene::Daemon => "daemon",
        }
    }

    /// The verb that meets the fault.
    pub fn arguments(self) -> &'static [&'static str] {
        match self {
            Scene::Backfill => &["backfill", "visits", "--connector", "legacy"],
            Scene::Daemon => &["-v", "run"],
            _ => &["--json", "run", "--once"],
        }
    }

    /// The application wrote while capture stood, so that every step of its account must arrive. Otherwise it is the
    /// table that counts, as it is in the end.
    pub fn counts_steps(self) -> bool {
        !matches!(self, Scene::Heal | Scene::Backfill)
    }

    /// An office before the fault, and what its application knows.
    pub fn prepare(self, target: &Receiver) -> (Office, Memory) {
        let office = Office::visits();
        let mut memory = Memory::default();
        office.rest("legacy", target, "");
        let once = || {
            let (code, summary) = office.once();
            assert_eq!(code, Some(0), "{summary}");
        };
        match self {
            Scene::First => {}
            Scene::Deliver => {
                once();
                memory.work(&office);
            }
            Scene::Prune => {
                once();
                memory.work(&office);
                once();
                office.add_settings("retention: {events: 1ms}");
                memory.account.clear();
            }
            Scene::Heal => {
                once();
                memory.work(&office);
                once();
                memory.behind_the_back(&office);
            }
            Scene::Backfill => {
                memory.untold(&office);
                once();
            }
            Scene::Daemon => once(),
        }
        target.forget();
        (office, memory)
    }
}
