//! What is read of an outside system, page by page, and where the next run begins.
//!
//! A source answers one request at a time; what it has to know for the next one stands in a [`course::Course`], which travels as
//! text. Nothing here reads a clock or a socket.

pub mod clock;
pub mod course;
pub mod cursor;
pub mod item;
pub mod link;

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::rules::expression::{Expression, Text};
use crate::rules::operation::Call;
use crate::rules::pull::cursor::Cursor;
use crate::rules::pull::item::Shape;
use crate::rules::verdict::{Extract, Rule};

/// Everything that an adapter's file says of reading.
#[derive(Debug)]
pub struct Pull {
    /// What a run asks for, in order: what was deleted first, where that is asked for by itself, so that what is there
    /// again afterwards stays.
    pub feeds: Vec<Feed>,
    /// Where the next run begins; none = every run reads everything.
    pub cursor: Option<Cursor>,
    /// Whether deletions are told. If not, only what is missing where everything was read is deleted.
    pub tells_deletions: bool,
    /// Answers that say that the cursor is not known any more.
    pub expired: Vec<Rule>,
    /// What an answer means, before the file's own rules are asked.
    pub rules: Vec<Rule>,
    /// How a single record is asked for.
    pub one: Option<One>,
    /// So long an answer may take because there is no news yet.
    pub wait: Option<Duration>,
}

/// One kind of request of a run, and its pages.
#[derive(Debug)]
pub struct Feed {
    /// The request.
    pub request: Call,
    /// Query parameters, in order. One that names what is not there yet (`cursor`, `next`) is left out.
    pub query: Vec<(String, Text)>,
    /// Where the items stand.
    pub items: Items,
    /// How its pages follow one another.
    pub next: Next,
    /// What is taken of an item.
    pub item: Shape,
    /// Where the keys of deleted records are listed, and what is taken of each.
    pub tombstones: Option<(Items, Shape)>,
    /// All of its items are deleted records.
    pub deletions: bool,
}

/// Where items stand in an answer.
#[derive(Clone, Debug)]
pub struct Items {
    /// The list, or each item; in XML the elements.
    pub place: Extract,
    /// There may be none at all: an answer without the place has no items.
    pub optional: bool,
}

/// How pages follow one another.
#[derive(Clone, Debug, Default)]
pub enum Next {
    /// There is one.
    #[default]
    One,
    /// `Link: <...>; rel="next"` (RFC 8288).
    Link,
    /// The answer has the next page's address.
    Url(Select),
    /// The answer has a word that the next request repeats as `next`.
    Token(Select),
    /// The next request says how many items it passes over, as `offset`.
    Offset(Until),
    /// The next request says its number, as `page`; the first one is 1.
    Page(Until),
    /// The next request says the last item's `next.updated` and `next.key`: items come in that order.
    Keyset,
}

/// When there is no further page.
#[derive(Clone, Debug, Default)]
pub struct Until {
    /// Where the answer says `true` when there is more; none = a page without items is the end.
    pub more: Option<Extract>,
}

/// A value in an answer.
#[derive(Clone, Debug)]
pub struct Select {
    /// The value, or the items that it is in.
    pub from: Extract,
    /// Which item, by a pointer and its text, and what of it.
    pub choice: Option<(String, String, String)>,
}

/// How a single record is asked for.
#[derive(Debug)]
pub struct One {
    /// The request; the record's key is `key`, what earlier answers left `link`.
    pub request: Call,
    /// Query parameters.
    pub query: Vec<(String, Text)>,
    /// Where the item stands, if not as a whole: none in it = the record is gone.
    pub items: Option<Items>,
    /// What is taken of it; none = what is taken of an item of a page.
    pub item: Option<Shape>,
}

/// Whether records that are missing where everything was read may be deleted unasked: at most `share` in a hundred of those
/// that are known, or one, that a small office need not be asked for each. Never all of several: an answer that is empty is more often a
/// mistake than an end.
pub fn may_go(missing: u64, known: u64, share: f64) -> bool {
    let most = if share > 0.0 { ((known as f64 * share / 100.0) as u64).max(1) } else { 0 };
    missing == 0 || (missing <= most && (missing < known || known == 1))
}

impl Pull {
    /// Overlap of a timestamp's cursor when nobody says: 10 minutes.
    pub const OVERLAP: Duration = Duration::from_secs(600);

    /// Every expression of its requests.
    pub fn expressions(&self) -> Vec<&Expression> {
        let single = self.one.iter().flat_map(One::expressions);
        self.feeds.iter().flat_map(Feed::expressions).chain(single).collect()
    }
}

impl Feed {
    /// Every expression of its request.
    pub fn expressions(&self) -> Vec<&Expression> {
        let asked = self.query.iter().flat_map(|(_, text)| text.expressions());
        self.request.expressions().into_iter().chain(asked).collect()
    }
}

impl One {
    /// Every expression of its request.
    pub fn expressions(&self) -> Vec<&Expression> {
        let asked = self.query.iter().flat_map(|(_, text)| text.expressions());
        self.request.expressions().into_iter().chain(asked).collect()
    }
}
