//! The end: what was committed, captured, delivered, retried, parked, and whether all of it is right.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::board::Board;
use super::figures::Figures;
use super::scheduler::Entry;
use super::screen::short;
use super::truth::Truth;

/// The summary, as `--json` prints it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Everything arrived exactly as committed.
    pub ok: bool,
    /// What is wrong, if not.
    pub wrong: Vec<String>,
    /// Transactions that the clerk committed.
    pub transactions: u64,
    /// Transactions that the clerk rolled back.
    pub rolled_back: u64,
    /// Changes of rows in the committed ones.
    pub committed: u64,
    /// Events in the outbox.
    pub captured: u64,
    /// Events delivered.
    pub delivered: u64,
    /// Attempts that failed and were made again.
    pub retried: u64,
    /// Events parked now.
    pub parked: u64,
    /// Dead letters that came, and left again when the scheduler took them.
    pub dead_letters: u64,
    /// What the scheduler's calls met, and how often.
    pub calls: BTreeMap<&'static str, u64>,
    /// From commit to arrival, in milliseconds: the middle one of those that met no bad moment of the scheduler.
    pub typical_ms: Option<f64>,
    /// The slowest of all, outage and refusal included.
    pub slowest_ms: Option<f64>,
    /// How long it all took.
    pub seconds: f64,
    /// The folder, if it is kept.
    pub folder: Option<PathBuf>,
}

impl Summary {
    /// Draws the sums; `wrong` is what the checker found.
    pub fn new(
        truth: &Truth,
        journal: &[Entry],
        figures: &Figures,
        board: &Board,
        mut wrong: Vec<String>,
        took: Duration,
    ) -> Summary {
        let parked = figures.waiting + figures.behind + figures.held + figures.dead;
        wrong.extend(disagreements(figures, parked));
        let mut calls = BTreeMap::new();
        for entry in journal {
            *calls.entry(entry.met.word()).or_default() += 1;
        }
        let ms = |time: Duration| (time.as_secs_f64() * 1e5).round() / 100.0;
        Summary {
            ok: wrong.is_empty(),
            wrong,
            transactions: truth.transactions,
            rolled_back: truth.rolled_back,
            committed: figures.committed,
            captured: figures.captured,
            delivered: figures.delivered,
            retried: figures.retried,
            parked,
            dead_letters: figures.died,
            calls,
            typical_ms: board.typical().map(ms),
            slowest_ms: board.slowest().map(ms),
            seconds: (took.as_secs_f64() * 100.0).round() / 100.0,
            folder: None,
        }
    }

    /// For people.
    pub fn lines(&self) -> Vec<String> {
        let calls: u64 = self.calls.values().sum();
        let met = |word: &str| self.calls.get(word).copied().unwrap_or(0);
        let mut lines = Vec::new();
        if self.ok {
            lines.push("Every change arrived exactly as it was committed, in order, and nothing else did.".to_owned());
        } else {
            lines.push("WRONG: the scheduler did not get what the office committed:".to_owned());
            lines.extend(self.wrong.iter().map(|wrong| format!("  {wrong}")));
        }
        let slowest = self.slowest_ms.map_or_else(String::new, |ms| format!("the slowest took {}", time(ms)));
        let typical =
            self.typical_ms.map_or_else(String::new, |ms| format!("typically {} after the commit; ", time(ms)));
        let letters = match (self.parked, self.dead_letters) {
            (0, 0) => "no dead letter came up".to_owned(),
            (0, 1) => "one dead letter came up, was retried and delivered".to_owned(),
            (0, n) => format!("{n} dead letters came up, were retried and delivered"),
            _ => "`hms-sync -c FOLDER deliveries list` shows them".to_owned(),
        };
        let rows = [
            (
                "committed",
                self.committed,
                format!(
                    "changes in {} transactions ({} more rolled back: not sent)",
                    self.transactions, self.rolled_back
                ),
            ),
            ("captured", self.captured, "by triggers, inside those transactions".to_owned()),
            ("delivered", self.delivered, format!("{typical}{slowest}")),
            (
                "retried",
                self.retried,
                format!(
                    "503: {}, lost answers: {}, cut connections: {}, the rest: outage",
                    met("busy") + met("busyRetryAfter"),
                    met("lostAnswer"),
                    met("reset"),
                ),
            ),
            ("parked", self.parked, letters),
            ("scheduler", calls, format!("calls; {} known again by their key and not done twice", met("knownKey"))),
        ];
        lines.extend(rows.map(|(name, n, what)| format!("  {name:<9} {n:>4}   {what}")));
        lines
    }
}

fn time(ms: f64) -> String {
    short(Duration::from_secs_f64(ms / 1000.0))
}

/// Sums that do not add up: nothing may be uncounted.
fn disagreements(figures: &Figures, parked: u64) -> Vec<String> {
    let Figures { committed, captured, delivered, .. } = *figures;
    let mut wrong = Vec::new();
    if captured != committed {
        wrong.push(format!("{committed} changes were committed, {captured} captured"));
    }
    if delivered + parked != captured {
        wrong.push(format!("{captured} were captured, but {delivered} delivered and {parked} parked"));
    }
    if parked > 0 {
        wrong.push(format!("{parked} are still parked"));
    }
    if let Some(halted) = &figures.halted {
        wrong.push(format!("the connector is {halted}"));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_that_do_not_add_up_are_named() {
        let good = Figures { committed: 5, captured: 5, delivered: 5, ..Figures::default() };
        assert_eq!(disagreements(&good, 0), Vec::<String>::new());
        assert_eq!(disagreements(&Figures { captured: 4, delivered: 4, ..good.clone() }, 0).len(), 1);
        assert_eq!(disagreements(&Figures { delivered: 4, ..good.clone() }, 0).len(), 1);
        assert_eq!(disagreements(&Figures { delivered: 4, ..good.clone() }, 1).len(), 1);
        assert_eq!(disagreements(&Figures { halted: Some("halted: x".into()), ..good }, 0).len(), 1);
    }
}
