//! The brake on two systems that each make something else of a record: its contents come in again and again.
//!
//! One system cuts values short, the other fills them up; each finds what the other has made a change and sends its own. No
//! breaker sees it, because everything succeeds. What shows it is that the same contents come back.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Timestamp;

/// A record may come in so often within [`SPAN`] with contents that it had before.
pub const MOST: usize = 4;
/// What came in longer ago is forgotten.
pub const SPAN: Duration = Duration::from_secs(600);
/// Records that are remembered; above that those that came in once only are forgotten.
pub const RECORDS: usize = 16_384;

/// The contents of one record that came in, by their hashes.
#[derive(Clone, Debug, Default)]
pub struct Crossings(VecDeque<(Timestamp, [u8; 32])>);

impl Crossings {
    /// A content comes in; true = it goes round in a circle and is not to come in. Times by the steady clock.
    pub fn comes_round(&mut self, hash: [u8; 32], now: Timestamp) -> bool {
        while self.0.front().is_some_and(|(at, _)| now.since(*at) > SPAN) {
            self.0.pop_front();
        }
        let again = self.0.iter().filter(|(_, known)| *known == hash).count();
        if self.0.len() >= MOST && again >= 2 {
            return true;
        }
        // The same once more is no turn: a page that could not be written is read again.
        if self.0.back().is_none_or(|(_, last)| *last != hash) {
            self.0.push_back((now, hash));
        }
        false
    }

    /// Whether nothing of it is remembered that counts.
    pub fn is_idle(&self, now: Timestamp) -> bool {
        self.0.len() <= 1 || self.0.back().is_none_or(|(at, _)| now.since(*at) > SPAN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_contents_in_turn_come_in_four_times_and_then_no_more_until_they_rest() {
        let mut crossings = Crossings::default();
        let came: Vec<bool> = (0..7).map(|n| crossings.comes_round([(n % 2) as u8; 32], Timestamp(n * 1000))).collect();
        assert_eq!(came, [false, false, false, false, true, true, true]);
        assert!(!crossings.comes_round([0; 32], Timestamp(610_000)));
    }

    #[test]
    fn the_same_contents_again_and_again_are_no_circle() {
        let mut crossings = Crossings::default();
        assert!((0..200).all(|n| !crossings.comes_round([7; 32], Timestamp(n))));
        assert!(!crossings.comes_round([8; 32], Timestamp(300)));
    }

    #[test]
    fn a_record_that_is_changed_often_and_never_back_comes_in() {
        let mut crossings = Crossings::default();
        assert!((0..200).all(|n| !crossings.comes_round([n as u8; 32], Timestamp(i64::from(n)))));
        // Changed back once or twice is no circle.
        assert!(!crossings.comes_round([0; 32], Timestamp(300)));
    }
}
