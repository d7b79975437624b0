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
    /// From commit to arrival, in milliseconds: the middle one of all.
    pub middle_ms: Option<f64>,
    /// The slowest, outages and refusals included.
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
            middle_ms: board.latency().map(|(middle, _)| ms(middle)),
            slowest_ms: board.latency().map(|(_, slowest)| ms(slowest)),
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
        let (middle, slowest) = (self.middle_ms.map(time), self.slowest_ms.map(time));
        lines.push(format!(
            "  committed {:>5}  changes in {} transactions; {} more rolled back, nothing of them was sent",
            self.committed, self.transactions, self.rolled_back
        ));
        lines.push(format!("  captured  {:>5}  by triggers, inside those transactions", self.captured));
        lines.push(format!(
            "  delivered {:>5}  typically {} after the commit began, the slowest (outage, refusal) {}",
            self.delivered,
            middle.unwrap_or_default(),
            slowest.unwrap_or_default()
        ));
        lines.push(format!(
            "  retried   {:>5}  attempts: {} busy, {} broken or lost, {} while it was down",
            self.retried,
            met("busy") + met("busyRetryAfter"),
            met("reset") + met("lostAnswer"),
            met("down")
        ));
        lines.push(format!(
            "  parked    {:>5}  now; {} refused as dead letters on the way, delivered once the scheduler took them",
            self.parked, self.dead_letters
        ));
        lines.push(format!(
            "  scheduler {calls:>5}  calls: {} carried out, {} known again by their key, the rest failed",
            met("done") + met("lostAnswer"),
            met("knownKey"),
        ));
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
