//! How far a run has come: which page is asked for, and what the pages before it have shown. It travels as text.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::event::{Record, Value};
use crate::rules::outcome::Reason;
use crate::rules::pull::cursor::{Cursor, Moved};
use crate::rules::pull::{Next, Pull};

/// A page that came before, or a cursor that went back, this often: the run stops.
pub const STRIKES: u8 = 3;

/// Most pages of a run.
pub const MOST_PAGES: u32 = 100_000;

/// Most passes over pages that are numbered.
pub const MOST_PASSES: u32 = 10;

/// So many pages are remembered to know them again.
const KEPT: usize = 16;

/// Most pages without an item that follow one another: a source that filters its pages may well send some.
pub const MOST_EMPTY: u32 = 100;

/// The class of a run that was stopped because nothing comes but further pages.
pub const EMPTY: &str = "pages-empty";
/// The class of a run that was stopped because its pages repeat.
pub const REPEATED: &str = "pages-repeat";
/// The class of a run that was stopped because the source's cursor goes back.
pub const BACK: &str = "cursor-back";
/// The class of a run whose pages changed all the time.
pub const RESTLESS: &str = "pages-change";

/// How far a run has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Course {
    /// Which feed.
    pub feed: usize,
    /// Which page of it.
    pub step: Step,
    /// Pages that were read in this run.
    pages: u32,
    /// Pages of this pass that had items.
    full: u32,
    /// Pages without one since the last of those.
    empty: u32,
    /// Which pass over numbered pages.
    pass: u32,
    /// Number and sum of the items of this pass, and of the one before.
    sum: (u64, u64),
    before: Option<(u64, u64)>,
    /// Pages seen last.
    seen: Vec<u64>,
    repeats: u8,
    /// The cursor as far as it has come in this run; none = where the run began.
    pub top: Option<String>,
    /// What the requests for deleted records have shown of it. It counts at the end of the run: what was changed before is not
    /// read yet.
    pub held: Option<String>,
    /// The source's clock when the run began, in milliseconds.
    pub ceiling: Option<i64>,
}

/// Which page is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// The first one.
    #[default]
    First,
    /// The one at this address.
    Url(String),
    /// The one that this word stands for.
    Token(String),
    /// After so many items.
    Offset(u64),
    /// The one with this number.
    Page(u64),
    /// After this item.
    After {
        /// Its time, as the source wrote it, in JSON.
        updated: String,
        /// Its key.
        key: String,
    },
}

/// What a page has shown.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// Items, those that cannot be read and those that are not wanted among them.
    pub items: u64,
    /// The sum of their hashes: the same for the same items in any order.
    pub sum: u64,
    /// What the page is known by.
    pub mark: u64,
    /// Address or word of the next page.
    pub next: Option<String>,
    /// What the answer says of there being more; none = nothing.
    pub more: Option<bool>,
    /// Time and key of the last item that could be read.
    pub last: Option<(String, String)>,
}

/// Where a run goes after a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Going {
    /// On.
    On(Box<Course>),
    /// It was the last page.
    End,
    /// It stops before its end: the cursor stays. True = a person is needed.
    Stop(Reason, bool),
}

impl Course {
    /// The first page of a run that begins with this feed.
    pub fn at(feed: usize) -> Course {
        Course { feed, ..Course::default() }
    }

    /// Reads what [`Course::text`] has written; none = it is not of this kind.
    pub fn parse(text: &str) -> Option<Course> {
        serde_json::from_str(text).ok()
    }

    /// As text.
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Whether it is the first page of a run.
    pub fn is_first(&self) -> bool {
        self.pages == 0
    }

    /// `next`, `page` and `offset`, as expressions see them; what is not there yet is missing.
    pub fn roots(&self, next: &Next, roots: &mut Record) {
        match &self.step {
            Step::First => match next {
                Next::Offset(_) => roots.push("offset", Value::Integer(0)),
                Next::Page(_) => roots.push("page", Value::Integer(1)),
                _ => {}
            },
            Step::Url(_) => {}
            Step::Token(token) => roots.push("next", Value::from(token.as_str())),
            Step::Offset(offset) => roots.push("offset", number(*offset)),
            Step::Page(page) => roots.push("page", number(*page)),
            Step::After { updated, key } => {
                let updated = serde_json::from_str::<serde_json::Value>(updated).ok();
                let updated = match updated {
                    Some(serde_json::Value::Number(number)) => {
                        number.as_i64().map_or_else(|| Value::Number(number.to_string().into()), Value::Integer)
                    }
                    Some(serde_json::Value::String(text)) => Value::Text(text.into()),
                    _ => Value::Null,
                };
                let after = [("updated", updated), ("key", Value::from(key.as_str()))].into_iter().collect();
                roots.push("next", Value::Map(after));
            }
        }
    }

    /// The time that no cursor goes beyond in this run; `now` = the source's clock as this answer shows it.
    pub fn begin(&mut self, now: Timestamp) -> Timestamp {
        Timestamp(*self.ceiling.get_or_insert(now.0))
    }

    /// Moves the cursor of the run by a value that was seen; `from` = where the run began. True = the source went back.
    pub fn see(&mut self, cursor: &Cursor, from: Option<&str>, seen: &str) -> Result<bool, Reason> {
        let now = self.top.as_deref().or(from);
        match cursor.kind.advance(now, seen, self.ceiling.map(Timestamp)) {
            Moved::To(to) => self.top = Some(to),
            Moved::Stays => {}
            Moved::Back => return Ok(true),
            Moved::Odd => return Err(Reason::new("cursor", "where the next run begins cannot be read in the answer")),
        }
        Ok(false)
    }

    /// Keeps what a deleted record shows of the cursor for the end of the run.
    pub fn hold(&mut self, cursor: &Cursor, seen: &str) {
        if let Moved::To(to) = cursor.kind.advance(self.held.as_deref(), seen, self.ceiling.map(Timestamp)) {
            self.held = Some(to);
        }
    }

    /// Where the cursor stands at the end of the run that began at `from`; none = there.
    pub fn end(&self, cursor: &Cursor, from: Option<&str>) -> Option<String> {
        let now = self.top.as_deref().or(from);
        let moved = self.held.as_deref().map(|held| cursor.kind.advance(now, held, self.ceiling.map(Timestamp)));
        match moved {
            Some(Moved::To(to)) => Some(to),
            _ => self.top.clone(),
        }
    }

    /// Whether the cursor may move with this page although others follow.
    pub fn moves(&self, pull: &Pull) -> bool {
        let last = self.feed + 1 == pull.feeds.len();
        let next = pull.feeds.get(self.feed).map(|feed| &feed.next);
        let numbered = matches!(next, Some(Next::Offset(_) | Next::Page(_)));
        last && !numbered && pull.cursor.as_ref().is_some_and(|cursor| cursor.sorted)
    }

    /// Where the run goes after a page.
    pub fn proceed(mut self, pull: &Pull, shown: &Shown) -> Going {
        let Some(feed) = pull.feeds.get(self.feed) else { return Going::End };
        self.pages = self.pages.saturating_add(1);
        if self.pages >= MOST_PAGES {
            let text = format!("a run has more than {MOST_PAGES} pages: does the source begin again and again?");
            return Going::Stop(Reason::new(REPEATED, text), true);
        }
        if shown.items > 0 || shown.next.is_some() {
            if self.seen.contains(&shown.mark) {
                self.repeats += 1;
                if self.repeats >= STRIKES {
                    let text = format!("the source has sent the same page {} times in one run", STRIKES + 1);
                    return Going::Stop(Reason::new(REPEATED, text), true);
                }
            }
            if self.seen.len() >= KEPT {
                self.seen.remove(0);
            }
            self.seen.push(shown.mark);
        }
        self.full += u32::from(shown.items > 0);
        self.empty = if shown.items > 0 { 0 } else { self.empty.saturating_add(1) };
        self.sum = (self.sum.0.saturating_add(shown.items), self.sum.1.wrapping_add(shown.sum));
        let step = match &feed.next {
            Next::One => None,
            Next::Link | Next::Url(_) => shown.next.clone().map(Step::Url),
            Next::Token(_) => shown.next.clone().map(Step::Token),
            Next::Offset(_) | Next::Page(_) => {
                let more = shown.more.unwrap_or(shown.items > 0) && shown.items > 0;
                match (more, &self.step) {
                    (false, _) => None,
                    (true, Step::Offset(offset)) => Some(Step::Offset(offset.saturating_add(shown.items))),
                    (true, Step::Page(page)) => Some(Step::Page(page.saturating_add(1))),
                    (true, _) if matches!(feed.next, Next::Offset(_)) => Some(Step::Offset(shown.items)),
                    (true, _) => Some(Step::Page(2)),
                }
            }
            Next::Keyset => match &shown.last {
                _ if shown.items == 0 => None,
                None => {
                    let text = "no item of the page can be read, so that the next page cannot be asked for";
                    return Going::Stop(Reason::new("item", text), true);
                }
                Some((updated, key)) => {
                    let after = Step::After { updated: updated.clone(), key: key.clone() };
                    (after != self.step).then_some(after)
                }
            },
        };
        if let Some(step) = step {
            if self.empty >= MOST_EMPTY {
                let text = format!(
                    "the source has sent {MOST_EMPTY} pages without an item, one after the other, and names yet another"
                );
                return Going::Stop(Reason::new(EMPTY, text), false);
            }
            self.step = step;
            return Going::On(Box::new(self));
        }
        if matches!(feed.next, Next::Offset(_) | Next::Page(_)) && !self.agrees(shown) {
            self.pass += 1;
            if self.pass >= MOST_PASSES {
                let text = format!("the pages changed while they were read, {MOST_PASSES} times in a row");
                return Going::Stop(Reason::new(RESTLESS, text), false);
            }
            self.before = Some(self.sum);
            (self.sum, self.full, self.step) = ((0, 0), 0, Step::First);
            self.seen.clear();
            return Going::On(Box::new(self));
        }
        if self.feed + 1 < pull.feeds.len() {
            (self.feed, self.step, self.full, self.pass) = (self.feed + 1, Step::First, 0, 0);
            (self.sum, self.before, self.repeats) = ((0, 0), None, 0);
            self.seen.clear();
            return Going::On(Box::new(self));
        }
        Going::End
    }

    /// Whether what numbered pages have shown can be believed: they were one page, of which the source says that it is all;
    /// or two passes have shown the same.
    fn agrees(&self, shown: &Shown) -> bool {
        let one = self.full == 0 || (self.full == 1 && shown.items > 0 && shown.more == Some(false));
        (one && self.before.is_none()) || self.before == Some(self.sum)
    }
}

fn number(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}
