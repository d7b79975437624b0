//! An outside system that can be read: pages of what has changed there, one request at a time.
//!
//! A source makes one request and says what came of it. It never retries, sleeps, maps or decides what is new: that is the
//! engine's, which asks again with what the last page left.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::event::Record;
use crate::rules::outcome::{Outcome, Reason};

/// An outside system that can be read.
pub trait Source: Send + Sync + std::fmt::Debug {
    /// `scheme://host:port`, or the folder; the breaker is kept by it.
    fn origin(&self) -> &str;

    /// What a run reads.
    fn reads(&self) -> Reads;

    /// One request for a page.
    fn fetch(&self, ask: &Ask) -> Fetched;

    /// One request for one record as it is there now; `key` = its key under the names that the other side knows, `links` = what
    /// the target calls it. None = such a request is not described.
    fn fetch_one(&self, key: &Record, links: &[(String, String)]) -> Option<Fetched>;
}

/// What a run reads, and so what is missing in it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Everything, every time, without a cursor: what is missing at the end of a run is not there any more.
    All,
    /// What has changed since the cursor; everything in a run without one. What was deleted is told where `deletions` holds;
    /// else only a run without a cursor shows it.
    Changes {
        /// Deleted records come as items.
        deletions: bool,
    },
}

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// Where the last run ended, as the source itself said it ([`Page::cursor`]); none = from the beginning.
    pub cursor: Option<String>,
    /// Where this run goes on ([`Page::next`]); none = with its first page.
    pub next: Option<String>,
    /// What the last answer to a first page was known by (`ETag`, `Last-Modified`): an answer that is the same is
    /// [`Fetched::Unchanged`].
    pub validator: Option<String>,
    /// It is only looked at: nothing there may be moved or deleted for it.
    pub looks: bool,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Fetched {
    /// A page.
    Page(Page),
    /// Nothing has changed since the answer that the validator is of.
    Unchanged,
    /// The cursor is not known there any more: everything is to be read again.
    Expired,
    /// The record is not there: the answer to [`Source::fetch_one`].
    Gone,
    /// No page came: [`Outcome::Retry`], [`Outcome::Reauth`] or [`Outcome::Halt`]. The cursor stays, and the
    /// next run begins there, with its first page.
    Failed(Outcome),
}

/// One page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// What it holds, in its order.
    pub items: Vec<Item>,
    /// Items that cannot be read: each is parked, and the page goes on.
    pub bad: Vec<Bad>,
    /// What the next request of this run needs; none = this was its last page.
    pub next: Option<String>,
    /// Where the next run is to begin once this page is applied; none = where this one began. Never goes back.
    pub cursor: Option<String>,
    /// See [`Ask::validator`].
    pub validator: Option<String>,
    /// The other side's clock as its `Date` said, against ours halfway through the request, in milliseconds: positive = it
    /// is ahead. None = it did not say.
    pub ahead_ms: Option<i64>,
    /// Bytes of the answer's body.
    pub bytes: u64,
    /// From the first byte out to the last byte in.
    pub took: Duration,
}

/// One record as it is there, in the other side's own names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Item {
    /// What the other side calls it, where that is not one of the fields that the connector maps.
    pub id: Option<String>,
    /// Its fields; of a deleted one what the other side still says of it, its key at least.
    pub body: Record,
    /// Its version there (`ETag`, a revision, a version number).
    pub version: Option<String>,
    /// When it was changed last, by the other side's clock.
    pub updated: Option<Timestamp>,
    /// It is deleted there.
    pub deleted: bool,
    /// What is to be remembered of it for later requests (see [`super::Left`]).
    pub links: Vec<(String, String)>,
}

/// An item that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    /// Its place in the page, from 0.
    pub place: usize,
    /// What the other side calls it, where that can be read.
    pub id: Option<String>,
    /// SHA-256 of its bytes: the same one again is not parked twice.
    pub hash: [u8; 32],
    /// What is wrong with it.
    pub reason: Reason,
}
