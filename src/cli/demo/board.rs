//! What the office has beside what the scheduler has, record by record, as it goes along.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::scheduler::{Desk, Met, RETRY_AFTER};
use super::truth::{Appointment, Truth};

/// One record.
#[derive(Debug, Default)]
pub struct Row {
    /// Who comes.
    pub patient: String,
    /// What the office has; none = it is gone there.
    pub office: Option<Appointment>,
    /// What the scheduler has.
    pub there: Option<Value>,
    /// Changes that have not arrived: when their commits began, and whether they were at the front at once.
    pub under_way: VecDeque<(Instant, bool)>,
    /// From commit to arrival of the last one that has.
    pub took: Option<Duration>,
    /// How often the last change that was called for was tried.
    pub tries: u32,
    /// When something last happened to it.
    pub touched: Option<Instant>,
    key: String,
}

/// Something that the scheduler did, worth telling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A call met this.
    Met(i64, Met),
    /// It answers again.
    Back,
}

/// All records.
#[derive(Debug, Default)]
pub struct Board {
    rows: BTreeMap<i64, Row>,
    changes: usize,
    entries: usize,
    /// From commit to arrival: of everything, and of what met no bad moment on its way.
    took: Vec<Duration>,
    smooth: Vec<Duration>,
    down: bool,
    /// Since when nothing is in the way.
    calm: Option<Instant>,
}

impl Board {
    /// Takes note of what has happened since; gives what is worth telling, with its time.
    pub fn update(&mut self, truth: &Truth, desk: &Desk) -> Vec<(Instant, News)> {
        for step in truth.changes.iter().skip(self.changes).flat_map(super::truth::Change::steps) {
            let row = self.rows.entry(step.record).or_default();
            let at_front = row.under_way.is_empty();
            row.under_way.push_back((step.at, at_front));
            if let Some(now) = &step.now {
                row.patient.clone_from(&now.patient);
            }
            row.office = step.now;
            row.touched = Some(step.at);
        }
        self.changes = truth.changes.len();
        let mut news = Vec::new();
        for entry in desk.journal.iter().skip(self.entries) {
            let row = self.rows.entry(entry.record).or_default();
            row.tries = if row.key == entry.key { row.tries + 1 } else { 1 };
            row.key.clone_from(&entry.key);
            if entry.met.carried_out() {
                row.there = serde_json::from_slice(&entry.body).ok();
                row.touched = Some(entry.at);
                if let Some((commit, at_front)) = row.under_way.pop_front() {
                    let took = entry.at.saturating_duration_since(commit);
                    row.took = Some(took);
                    self.took.push(took);
                    if at_front && row.tries == 1 && !self.down && self.calm.is_none_or(|calm| calm < commit) {
                        self.smooth.push(took);
                    }
                }
            }
            if self.down || entry.met.trouble().is_some() {
                let wait = if entry.met == Met::BusyFor { RETRY_AFTER } else { Duration::ZERO };
                self.calm = self.calm.max(Some(entry.at + wait));
            }
            let was_down = std::mem::replace(&mut self.down, entry.met == Met::Down);
            if was_down && !self.down {
                news.push((entry.at, News::Back));
            }
            if entry.met.trouble().is_some() && !(was_down && self.down) {
                news.push((entry.at, News::Met(entry.record, entry.met)));
            }
        }
        self.entries = desk.journal.len();
        news
    }

    /// The records to show, at most so many: those that are alive or on their way, and those that ended just now.
    pub fn shown(&self, most: usize, now: Instant) -> Vec<(i64, &Row)> {
        let fresh = |row: &Row| {
            let age = row.touched.map_or(Duration::MAX, |touched| now.saturating_duration_since(touched));
            row.office.is_some() || !row.under_way.is_empty() || row.there.is_some() || age < Duration::from_secs(3)
        };
        let mut rows: Vec<(i64, &Row)> =
            self.rows.iter().map(|(id, row)| (*id, row)).filter(|(_, row)| fresh(row)).collect();
        if rows.len() > most {
            rows.sort_by_key(|(_, row)| std::cmp::Reverse(row.touched));
            rows.truncate(most);
            rows.sort_by_key(|(id, _)| *id);
        }
        rows
    }

    /// From commit to arrival, of what met no bad moment on its way: the middle one.
    pub fn typical(&self) -> Option<Duration> {
        let mut sorted = self.smooth.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }

    /// From commit to arrival, of everything: the slowest.
    pub fn slowest(&self) -> Option<Duration> {
        self.took.iter().max().copied()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::scheduler::{Entry, Moods};
    use super::super::truth::{Change, Edit};
    use super::*;

    #[test]
    fn a_row_shows_both_sides_and_an_outage_is_told_once() {
        let at = Instant::now();
        let now = Appointment {
            patient: "Ada".into(),
            room: "room 1".into(),
            starts: "09:00".into(),
            minutes: 10,
            status: "booked".into(),
        };
        let mut truth = Truth::default();
        truth.changes.push(Change { at, edit: Edit::Set(7, now.clone()) });
        let mut desk = Desk::new(Moods { gap: 9, outage: Duration::ZERO, forever: false });
        let mut board = Board::default();
        assert!(board.update(&truth, &desk).is_empty());
        assert_eq!(board.shown(9, at)[0].1.under_way.len(), 1);
        let body = now.wanted().to_string().into_bytes();
        for (n, met) in [Met::Down, Met::Down, Met::Done].into_iter().enumerate() {
            let at = at + Duration::from_millis(n as u64 * 5);
            desk.journal.push(Entry { at, record: 7, method: "PUT".into(), key: "k".into(), body: body.clone(), met });
        }
        let news: Vec<News> = board.update(&truth, &desk).into_iter().map(|(_, news)| news).collect();
        assert_eq!(news, [News::Met(7, Met::Down), News::Back]);
        let (_, row) = board.shown(9, at)[0];
        assert_eq!((row.there.clone(), row.tries, row.took), (Some(now.wanted()), 3, Some(Duration::from_millis(10))));
        assert!(board.update(&truth, &desk).is_empty(), "nothing is told twice");
        truth.changes.push(Change { at, edit: Edit::Gone(7) });
        board.update(&truth, &desk);
        assert_eq!(board.shown(9, at + Duration::from_secs(60)).len(), 1, "not gone while it is on its way");
    }
}
