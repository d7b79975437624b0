//! The audit as a chain: what a row is in bytes, and how it holds on to the row before it.
//!
//! `hash(n) = SHA-256(hash(n-1) || bytes of row n)`. The live file, the archive and an export are checked by this code
//! and no other. The bytes name connector and log by their names, so that a row means the same wherever it lies.

use aws_lc_rs::digest;

use super::attempt::entries;
use crate::clock::Timestamp;

/// A SHA-256.
pub type Hash = [u8; 32];

/// What the first row holds on to.
pub const BEGINNING: Hash = [0; 32];

/// The form of the bytes below.
const FORM: u8 = 1;
const INTENTS: u8 = 1;
const OUTCOMES: u8 = 2;
const ACT: u8 = 3;

/// Milliseconds of an UTC day.
const DAY: i64 = 86_400_000;

/// One row of the audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// Its number: each row has a higher one than the row before it.
    pub n: i64,
    /// When, by the wall clock.
    pub at: Timestamp,
    /// Milliseconds since the machine was started; none in rows of before the chain.
    pub up: Option<i64>,
    /// What.
    pub body: Body<'a>,
}

/// What a row says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// These events are about to be sent.
    Intents {
        /// By which connector.
        connector: &'a str,
        /// Out of which log.
        log: &'a str,
        /// To which scheme, host and port; none in rows of before the chain.
        origin: Option<&'a str>,
        /// Under which configuration.
        config: Option<&'a [u8]>,
        /// The types of the events, as `rules::attempt::entries::Kinds` writes them.
        kinds: Option<&'a str>,
        /// The events, packed.
        entries: &'a [u8],
    },
    /// This came of them.
    Outcomes {
        /// By which connector.
        connector: &'a str,
        /// Out of which log.
        log: &'a str,
        /// The events, packed.
        entries: &'a [u8],
    },
    /// Something that is no attempt.
    Act {
        /// `system`, or the operator's user name.
        actor: &'a str,
        /// What was done.
        verb: &'a str,
        /// At which connector, if at one.
        connector: Option<&'a str>,
        /// What it was done to.
        subject: Option<&'a str>,
        /// Why.
        reason: Option<&'a str>,
    },
}

impl<'a> Row<'a> {
    /// Its bytes, in place of what `out` held. All numbers little-endian; a text is its length (u32) and its bytes, a
    /// missing one the length `0xffffffff`.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.clear();
        if let Body::Intents { entries, .. } | Body::Outcomes { entries, .. } = &self.body {
            out.reserve(entries.len() + 512);
        }
        let sort = match self.body {
            Body::Intents { .. } => INTENTS,
            Body::Outcomes { .. } => OUTCOMES,
            Body::Act { .. } => ACT,
        };
        out.extend_from_slice(&[FORM, sort]);
        for number in [self.n, self.at.0, self.up.unwrap_or(i64::MIN)] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        match &self.body {
            Body::Intents { connector, log, origin, config, kinds, entries } => {
                put(out, Some(connector.as_bytes()));
                put(out, Some(log.as_bytes()));
                put(out, origin.map(str::as_bytes));
                put(out, *config);
                put(out, kinds.map(str::as_bytes));
                put(out, Some(entries));
            }
            Body::Outcomes { connector, log, entries } => {
                [connector.as_bytes(), log.as_bytes(), entries].into_iter().for_each(|part| put(out, Some(part)));
            }
            Body::Act { actor, verb, connector, subject, reason } => {
                let parts = [Some(*actor), Some(*verb), *connector, *subject, *reason];
                parts.into_iter().for_each(|part| put(out, part.map(str::as_bytes)));
            }
        }
    }

    /// Reads bytes that [`Row::write`] has written; none = they are no such bytes.
    pub fn read(mut from: &'a [u8]) -> Option<Row<'a>> {
        let from = &mut from;
        let [form, sort] = take(from)?;
        if form != FORM {
            return None;
        }
        let mut number = || Some(i64::from_le_bytes(take(from)?));
        let (n, at, up) = (number()?, Timestamp(number()?), Some(number()?).filter(|up| *up != i64::MIN));
        let body = match sort {
            INTENTS => Body::Intents {
                connector: text(from)??,
                log: text(from)??,
                origin: text(from)?,
                config: part(from)?,
                kinds: text(from)?,
                entries: part(from)??,
            },
            OUTCOMES => Body::Outcomes { connector: text(from)??, log: text(from)??, entries: part(from)?? },
            ACT => Body::Act {
                actor: text(from)??,
                verb: text(from)??,
                connector: text(from)?,
                subject: text(from)?,
                reason: text(from)?,
            },
            _ => return None,
        };
        from.is_empty().then_some(Row { n, at, up, body })
    }

    /// How many records it holds: an act is one, attempts are as many as there are events; none = they cannot be read.
    pub fn records(&self) -> Option<u64> {
        match self.body {
            Body::Act { .. } => Some(1),
            _ => self.extent().map(|(count, ..)| count),
        }
    }

    /// How many events a row of attempts has, and their lowest and highest positions; none = it is an act, or they cannot
    /// be read.
    pub fn extent(&self) -> Option<(u64, i64, i64)> {
        match self.body {
            Body::Intents { entries, .. } => entries::extent(true, entries),
            Body::Outcomes { entries, .. } => entries::extent(false, entries),
            Body::Act { .. } => None,
        }
    }

    /// The UTC day that it belongs to, counted from 1970-01-01.
    pub fn day(&self) -> i64 {
        day(self.at)
    }
}

/// The UTC day of a moment, counted from 1970-01-01.
pub fn day(at: Timestamp) -> i64 {
    at.0.div_euclid(DAY)
}

/// The moment at which a day begins.
pub fn begin_of(day: i64) -> Timestamp {
    Timestamp(day.saturating_mul(DAY))
}

/// The hash of a row that follows another one.
pub fn link(before: &Hash, row: &[u8]) -> Hash {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(before);
    context.update(row);
    let mut hash = [0; 32];
    hash.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    hash
}

fn put(out: &mut Vec<u8>, part: Option<&[u8]>) {
    match part {
        // A part longer than 4 GiB cannot be stored in SQLite either.
        Some(part) => {
            out.extend_from_slice(&(part.len() as u32).to_le_bytes());
            out.extend_from_slice(part);
        }
        None => out.extend_from_slice(&u32::MAX.to_le_bytes()),
    }
}

fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = from.split_at_checked(N)?;
    *from = rest;
    taken.try_into().ok()
}

fn part<'a>(from: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let length = u32::from_le_bytes(take(from)?);
    if length == u32::MAX {
        return Some(None);
    }
    let (taken, rest) = from.split_at_checked(length as usize)?;
    *from = rest;
    Some(Some(taken))
}

fn text<'a>(from: &mut &'a [u8]) -> Option<Option<&'a str>> {
    match part(from)? {
        None => Some(None),
        Some(bytes) => std::str::from_utf8(bytes).ok().map(Some),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    struct Made {
        n: i64,
        at: i64,
        up: Option<i64>,
        sort: u8,
        texts: Vec<Option<String>>,
        entries: Vec<u8>,
    }

    impl Made {
        fn row(&self) -> Row<'_> {
            let text = |at: usize| self.texts[at].as_deref();
            let sure = |at: usize| text(at).unwrap_or("");
            let body = match self.sort {
                INTENTS => Body::Intents {
                    connector: sure(0),
                    log: sure(1),
                    origin: text(2),
                    config: text(3).map(str::as_bytes),
                    kinds: text(4),
                    entries: &self.entries,
                },
                OUTCOMES => Body::Outcomes { connector: sure(0), log: sure(1), entries: &self.entries },
                _ => Body::Act { actor: sure(0), verb: sure(1), connector: text(2), subject: text(3), reason: text(4) },
            };
            Row { n: self.n, at: Timestamp(self.at), up: self.up, body }
        }
    }

    fn made() -> impl Strategy<Value = Made> {
        let texts = prop::collection::vec(prop::option::of("\\PC{0,9}"), 5);
        let entries = prop::collection::vec(any::<u8>(), 0..60);
        (any::<i64>(), any::<i64>(), prop::option::of(0..i64::MAX), 1u8..=3, texts, entries)
            .prop_map(|(n, at, up, sort, texts, entries)| Made { n, at, up, sort, texts, entries })
    }

    fn bytes(made: &Made) -> Vec<u8> {
        let mut bytes = Vec::new();
        made.row().write(&mut bytes);
        bytes
    }

    proptest! {
        #[test]
        fn a_row_is_read_as_it_was_written(made in made()) {
            let bytes = bytes(&made);
            prop_assert_eq!(Row::read(&bytes), Some(made.row()));
        }

        #[test]
        fn rows_that_differ_in_anything_have_other_bytes(one in made(), other in made()) {
            prop_assert_eq!(bytes(&one) == bytes(&other), one.row() == other.row());
        }

        #[test]
        fn a_bit_in_any_row_changes_the_hash_of_it_and_of_all_that_follow(
            rows in prop::collection::vec(made(), 2..8), which in any::<prop::sample::Index>(),
            bit in any::<prop::sample::Index>(),
        ) {
            let chain = |rows: &[Vec<u8>]| {
                let mut hash = BEGINNING;
                rows.iter().map(|row| { hash = link(&hash, row); hash }).collect::<Vec<_>>()
            };
            let mut rows: Vec<Vec<u8>> = rows.iter().map(bytes).collect();
            let before = chain(&rows);
            let which = which.index(rows.len());
            let bit = bit.index(rows[which].len() * 8);
            rows[which][bit / 8] ^= 1 << (bit % 8);
            let after = chain(&rows);
            for at in 0..rows.len() {
                prop_assert_eq!(before[at] == after[at], at < which);
            }
        }

        #[test]
        fn bytes_that_are_no_row_are_none(mut bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Row::read(&bytes);
            if let Some(first) = bytes.first_mut() {
                *first = FORM;
            }
            if let Some(row) = Row::read(&bytes) {
                let mut again = Vec::new();
                row.write(&mut again);
                prop_assert!(again == bytes || row.up.is_none());
            }
        }
    }

    #[test]
    fn days_are_those_of_utc_before_1970_too() {
        assert_eq!([0, -1, DAY - 1, DAY].map(|at| day(Timestamp(at))), [0, -1, 0, 1]);
        assert_eq!(begin_of(1), Timestamp(DAY));
    }
}
