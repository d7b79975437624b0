//! Where a run begins: what the source said itself, a time, or a number. It never goes back.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::rules::pull::Select;
use crate::rules::pull::item::Pick;

/// A cursor.
#[derive(Debug)]
pub struct Cursor {
    /// What it is.
    pub kind: Kind,
    /// Where it comes from.
    pub from: From,
    /// The items of a run come in its order: it moves with every page, and not only with the last one.
    pub sorted: bool,
    /// It is the address of the first page of the next run.
    pub is_url: bool,
}

/// What a cursor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A word of the source's own.
    Opaque,
    /// A time by the source's clock. It is inclusive, and so much earlier when it is asked for.
    Timestamp(Duration),
    /// A number. It is so much lower when it is asked for.
    Sequence(u64),
}

/// Where a cursor comes from.
#[derive(Debug)]
pub enum From {
    /// The time at which each item was changed.
    Updated,
    /// A place in each item: the highest counts.
    Item(Pick),
    /// A place in the answer.
    Answer(Select),
}

/// What a new value did to a cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moved {
    /// It stands there now.
    To(String),
    /// It stays where it is.
    Stays,
    /// The source went back; it stays where it is.
    Back,
    /// It is not what this kind of cursor is made of.
    Odd,
}

/// Times of cursors and items: RFC 3339 with an offset.
pub fn time(text: &str) -> Option<Timestamp> {
    text.trim().parse::<jiff::Timestamp>().ok().map(Timestamp::from_jiff)
}

impl Kind {
    /// Where the cursor stands after a new value; `ceiling` = no time beyond that counts, for a record that claims to be
    /// from next year would hide all that come until then.
    pub fn advance(self, now: Option<&str>, seen: &str, ceiling: Option<Timestamp>) -> Moved {
        let seen = seen.trim();
        if seen.is_empty() {
            return Moved::Odd;
        }
        match self {
            Kind::Opaque if now == Some(seen) => Moved::Stays,
            Kind::Opaque => Moved::To(seen.to_owned()),
            Kind::Timestamp(_) => {
                let Some(seen) = time(seen) else { return Moved::Odd };
                let seen = ceiling.map_or(seen, |ceiling| seen.min(ceiling));
                match now.and_then(time) {
                    Some(now) if seen < now => Moved::Back,
                    Some(now) if seen == now => Moved::Stays,
                    _ => Moved::To(seen.to_string()),
                }
            }
            Kind::Sequence(_) => {
                let Ok(seen) = seen.parse::<i128>() else { return Moved::Odd };
                match now.and_then(|now| now.parse::<i128>().ok()) {
                    Some(now) if seen < now => Moved::Back,
                    Some(now) if seen == now => Moved::Stays,
                    _ => Moved::To(seen.to_string()),
                }
            }
        }
    }

    /// What is asked for when the cursor stands at `now`: with the overlap.
    pub fn asked(self, now: &str) -> String {
        match self {
            Kind::Opaque => now.to_owned(),
            Kind::Timestamp(overlap) => {
                time(now).map_or_else(|| now.to_owned(), |time| time.minus(overlap).to_string())
            }
            Kind::Sequence(overlap) => now
                .parse::<i128>()
                .map_or_else(|_| now.to_owned(), |number| number.saturating_sub(overlap.into()).max(0).to_string()),
        }
    }

    /// Whether what was stored can be a cursor of this kind: a file may say another kind than it did.
    pub fn fits(self, stored: &str) -> bool {
        match self {
            Kind::Opaque => !stored.is_empty(),
            Kind::Timestamp(_) => time(stored).is_some(),
            Kind::Sequence(_) => stored.parse::<i128>().is_ok(),
        }
    }
}
