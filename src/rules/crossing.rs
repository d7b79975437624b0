//! The brake on systems that each make something else of a record: its contents cross again and again.
//!
//! One system cuts values short, the other fills them up; each finds what the other has made a change and sends its own. No
//! breaker sees it, because everything succeeds. What shows it is that the same contents come back in turn, in or out.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::rules::hex::hex;

/// A record may cross so often within [`SPAN`] with contents that take turns.
pub const MOST: usize = 4;
/// What crossed longer ago is forgotten.
pub const SPAN: Duration = Duration::from_secs(600);
/// Contents that take turns: two of them, or three (of three systems).
const TURNS: [usize; 2] = [2, 3];
/// So many crossings show either.
const KEPT: usize = 8;
/// Bytes of a hash that are kept.
const HASH: usize = 8;

/// What crossed of one record lately, in or out: when, by the wall clock, and the hash of its contents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Crossings(VecDeque<(Timestamp, String)>);

impl Crossings {
    /// Whether contents that are about to cross now only take their turn again: they should not.
    pub fn goes_round(&self, contents: &[u8; 32], now: Timestamp) -> bool {
        let new = short(contents);
        // The same once more is no turn: a page that could not be written is read again.
        if self.0.back().is_some_and(|(_, last)| *last == new) {
            return false;
        }
        let lately = self.0.iter().filter(|(at, _)| now.since(*at) <= SPAN).map(|(_, hash)| hash.as_str());
        let all: Vec<&str> = lately.chain([new.as_str()]).collect();
        TURNS.iter().any(|turn| {
            let least = (turn * 2 + 1).max(MOST + 1);
            let last = all.len().checked_sub(least).and_then(|from| all.get(from..));
            last.is_some_and(|last| last.iter().zip(last.iter().skip(*turn)).all(|(one, again)| one == again))
        })
    }

    /// Contents have crossed.
    pub fn add(&mut self, contents: &[u8; 32], now: Timestamp) {
        let new = short(contents);
        if self.0.back().is_none_or(|(_, last)| *last != new) {
            self.0.push_back((now, new));
        }
        while self.0.len() > KEPT || self.0.front().is_some_and(|(at, _)| now.since(*at) > SPAN) {
            self.0.pop_front();
        }
    }

    /// From how it is written; what cannot be read is left out.
    pub fn read(text: &str) -> Crossings {
        let one = |word: &str| {
            let (at, hash) = word.split_once(':')?;
            Some((Timestamp(at.parse().ok()?), hash.to_owned()))
        };
        Crossings(text.split(' ').filter_map(one).collect())
    }
}

impl fmt::Display for Crossings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self.0.iter().map(|(at, hash)| format!("{}:{hash}", at.0)).collect();
        f.write_str(&words.join(" "))
    }
}

fn short(contents: &[u8; 32]) -> String {
    hex(contents.get(..HASH).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of these contents, a second apart, are stopped.
    fn stopped(contents: &[u8]) -> Vec<usize> {
        let (mut crossings, mut stopped) = (Crossings::default(), Vec::new());
        for (at, content) in contents.iter().enumerate() {
            let now = Timestamp(1_700_000_000_000 + at as i64 * 1000);
            if crossings.goes_round(&[*content; 32], now) {
                stopped.push(at);
            } else {
                crossings.add(&[*content; 32], now);
            }
            crossings = Crossings::read(&crossings.to_string());
        }
        stopped
    }

    #[test]
    fn two_contents_in_turn_cross_four_times_and_then_no_more_until_they_rest() {
        assert_eq!(stopped(&[0, 1, 0, 1, 0, 1, 0]), [4, 6]);
        let mut crossings = Crossings::default();
        (0..4).for_each(|n| crossings.add(&[(n % 2) as u8; 32], Timestamp(n * 1000)));
        assert!(crossings.goes_round(&[0; 32], Timestamp(5000)));
        assert!(!crossings.goes_round(&[0; 32], Timestamp(604_000)));
    }

    #[test]
    fn three_systems_pass_a_record_round_twice() {
        assert_eq!(stopped(&[0, 1, 2, 0, 1, 2, 0]), [6]);
    }

    #[test]
    fn the_same_contents_again_and_again_are_no_circle() {
        assert!(stopped(&[7; 200]).is_empty());
    }

    #[test]
    fn a_record_that_is_changed_often_and_honestly_crosses() {
        let ever_new: Vec<u8> = (0..200).collect();
        assert!(stopped(&ever_new).is_empty());
        // Changed back now and then, and one value between others.
        assert!(stopped(&[0, 1, 0, 2, 3, 0, 4, 3]).is_empty());
        assert!(stopped(&[0, 1, 0, 1, 2]).is_empty());
        // Each edit comes back as the other side writes it.
        assert!(stopped(&[1, 11, 2, 12, 1, 11, 3, 13]).is_empty());
    }
}
