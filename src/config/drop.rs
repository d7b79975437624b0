//! `drop:` of a connector: what leaves as files, when, in which form, under which names, and where to.
//!
//! The text of copybooks and calendars becomes part of what is kept of a drop ([`shelf`]), so that a file can be made
//! again when they have changed. The keys are explained in `docs/DROPS.md`.

pub mod ack;
mod answers;
mod content;
mod csv;
pub mod deliver;
mod fixed;
mod format;
pub(crate) mod inbox;
mod naming;
pub mod pgp;
mod record;
pub mod sftp;
pub mod shelf;
mod table;
mod timing;

use crate::config::found::Found;
use crate::config::settings::Scope;
use crate::engine::drop::{Beside, Content, Keep, Timing};
use crate::rules::calendar::Calendar;
use crate::rules::mapping::Mapping;
use crate::rules::naming::{Pattern, Place, Rerun, Sequence};

pub use ack::AckSpec;
pub use deliver::Deliver;
pub use format::FeedSpec;
use pgp::SealSpec;
use shelf::{Embedded, Shelf};

/// A drop as its file describes it, checked; [`crate::config::build::drop`] makes it ready to run.
#[derive(Debug)]
pub struct DropSpec {
    /// `source.tables`: event types that it hears; none = those of the connector's `listen`.
    pub tables: Option<Vec<String>>,
    /// `source.key`: fields of the mapped record that are never null.
    pub key: Vec<String>,
    /// What goes into a file.
    pub content: Content,
    /// When a file is cut, and when it may leave.
    pub timing: Timing,
    /// The calendar of the cut-offs.
    pub calendar: Option<Calendar>,
    /// What a file looks like.
    pub feed: FeedSpec,
    /// How the data file is called.
    pub name: Pattern,
    /// How a rerun is called.
    pub rerun: Rerun,
    /// How files are counted.
    pub sequence: Sequence,
    /// `pgp`: how files are encrypted.
    pub pgp: Option<SealSpec>,
    /// Files beside the data file.
    pub controls: Vec<Beside>,
    /// Where files go, at least one place.
    pub deliver: Vec<Deliver>,
    /// The answers of the receiver.
    pub ack: Option<AckSpec>,
    /// `archive`.
    pub keep: Keep,
    /// The texts of other files that it was made from.
    pub embedded: Embedded,
}

/// `adapter:` of a connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Adapter {
    Rest,
    Sftp,
    Directory,
}

/// What the readers of a drop need to know of the rest of its connector.
pub(crate) struct Whole<'w> {
    /// The connector's name; empty when it has none.
    pub(crate) name: &'w str,
    pub(crate) adapter: Adapter,
    /// None = it is wrong.
    pub(crate) mapping: Option<&'w Mapping>,
    pub(crate) scope: &'w Scope,
}

impl Whole<'_> {
    /// The fields of the outgoing records, where the mapping says them.
    pub(crate) fn fields(&self) -> Option<Vec<String>> {
        self.mapping?.targets().map(|names| names.iter().map(|name| name.to_string()).collect())
    }
}

impl DropSpec {
    /// Reads a drop. None when anything was wrong that keeps it from being built.
    pub(crate) fn read(found: &Found<'_>, whole: &Whole<'_>) -> Option<DropSpec> {
        let fields = found.fields()?;
        let shelf = Shelf::of(&fields);
        let source = content::source(&fields);
        let form = fields.need("format");
        let content = content::content(&fields, form.as_ref(), &source);
        let schedule = fields.need("schedule").and_then(|found| timing::timing(&found, &shelf));
        let data = fields.take("name").and_then(|found| Pattern::parse(found.node_text()?, Place::Name).ok());
        let pgp = match fields.take("pgp") {
            Some(found) => pgp::seal(&found, data.as_ref().is_some_and(Pattern::is_relative)).map(Some),
            None => Some(None),
        };
        let extension = pgp.as_ref().and_then(Option::as_ref).map_or("", |pgp| pgp.extension.as_str());
        let named = naming::names(&fields, whole, schedule.as_ref().map(|(timing, _)| timing), extension);
        let feed = form.and_then(|found| format::read(&found, whole, &source.key, &shelf));
        let deliver = deliver::deliver(&fields, whole, data.as_ref());
        if let (Some(feed), Some(named)) = (&feed, &named) {
            let triggers = deliver.iter().flatten().filter_map(|place| place.trigger.as_ref());
            feed.counts(&fields, whole, named.controls.iter().chain(triggers));
        }
        let ack = match fields.take("ack") {
            Some(found) => ack::ack(&found, deliver.as_deref().unwrap_or_default(), feed.as_ref(), &shelf).map(Some),
            None => Some(None),
        };
        let keep = fields.take("archive").map_or(Some(Keep::default()), |found| keep(&found));
        fields.done();
        let (timing, calendar) = schedule?;
        let naming::Names { name, rerun, sequence, controls } = named?;
        Some(DropSpec {
            tables: source.tables,
            key: source.key,
            content: content?,
            timing,
            calendar,
            feed: feed?,
            name,
            rerun,
            sequence,
            pgp: pgp?,
            controls,
            deliver: deliver?,
            ack: ack?,
            keep: keep?,
            embedded: shelf.into_embedded(),
        })
    }
}

/// Reads `archive: {retain: 400d}` or `{count: N}`.
fn keep(found: &Found<'_>) -> Option<Keep> {
    let fields = found.fields()?;
    let (retain, count) = (fields.take("retain"), fields.take("count"));
    fields.done();
    match (retain, count) {
        (Some(_), Some(count)) => {
            count.error_hint("stands beside `retain`", "files are kept for a time, or so many of them: leave one out");
            None
        }
        (Some(retain), None) => retain.duration().map(Keep::For),
        (None, Some(count)) => {
            count.integer(1..=i64::MAX).and_then(|count| u64::try_from(count).ok()).map(Keep::Newest)
        }
        (None, None) => Some(Keep::default()),
    }
}
