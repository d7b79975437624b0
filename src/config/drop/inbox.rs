//! `pull:` of a connector whose files come in: where they are, what they look like, and what becomes of them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::adapter::inbox::{At, Inbox, InboxSettings};
use crate::config::adapter::pull as section;
use crate::config::drop::deliver::{self, Place};
use crate::config::drop::format::FeedSpec;
use crate::config::drop::shelf::Shelf;
use crate::config::drop::{Adapter, ack};
use crate::config::fields::Fields;
use crate::rules::pull::item::Shape;

/// Where files come in, and how they are read.
#[derive(Debug)]
pub struct InboxSpec {
    place: Place,
    /// The folder of files that were read, below theirs unless it has a slash; none = they are removed.
    done: Option<String>,
    pattern: String,
    trigger: Option<String>,
    settle: Duration,
    feed: FeedSpec,
    shape: Arc<Shape>,
    largest: u64,
}

impl InboxSpec {
    /// Ready to be read. No secret is read yet.
    pub(crate) fn inbox(&self) -> Result<Inbox, Vec<String>> {
        let done = self.done.clone();
        let moves = done.is_some();
        let at = match &self.place {
            Place::Sftp(spec) => {
                let mut target = spec.as_ref().clone().target();
                target.temps = done.map(|done| match done.contains('/') || target.folder.is_empty() {
                    true => done,
                    false => format!("{}/{done}", target.folder.trim_end_matches('/')),
                });
                At::Sftp(Box::new(target))
            }
            Place::Directory { folder, .. } => {
                let done: Option<PathBuf> = done.map(|done| folder.join(done));
                At::Directory { folder: folder.clone(), done }
            }
        };
        Ok(Inbox::new(InboxSettings {
            at,
            pattern: self.pattern.clone(),
            trigger: self.trigger.clone(),
            settle: self.settle,
            feed: self.feed.make("OFFICE", "", None)?,
            shape: Arc::clone(&self.shape),
            moves,
            largest: self.largest,
        }))
    }
}

/// Reads what a connector says of files that come in.
pub(crate) fn inbox(fields: &Fields<'_>, adapter: Adapter) -> Option<InboxSpec> {
    let found = fields.section().clone();
    let place = deliver::place(&found, fields);
    if let Some(place) = &place {
        let fits =
            matches!((place, adapter), (Place::Sftp(_), Adapter::Sftp) | (Place::Directory { .. }, Adapter::Directory));
        if !fits {
            found.error_hint(
                "has another place than `adapter:` says",
                "write `adapter: sftp` with `sftp:`, `directory` with `directory:`",
            );
        }
        if let Place::Directory { temps: Some(_), .. } = place {
            found.error_hint("`tempDir` is for files that leave", "write `moveTo` for where files go that were read");
        }
    }
    let pattern = fields.need("pattern").and_then(|found| ack::name_pattern(&found));
    let trigger = fields.take("trigger").map_or(Some(None), |found| ack::trigger(&found).map(Some));
    let settle = fields.take("settle").map_or(Some(Inbox::SETTLE), |found| found.duration());
    let feed = ack::form(fields, &found, None, &Shelf::of(fields));
    let shape = section::shape(fields);
    let largest = fields.take("maxBytes").map_or(Some(Inbox::LARGEST), |found| found.bytes());
    const AFTER: [(&str, bool); 2] = [("delete", false), ("move", true)];
    let moves = fields.take("after").map_or(Some(true), |found| found.choice("end of a file", &AFTER));
    let target = fields.take("moveTo");
    let folder = target.as_ref().map_or(Some("done".to_owned()), |found| found.text().map(str::to_owned));
    if let (Some(false), Some(target)) = (moves, &target) {
        target.error_hint("says where to, but `after` is `delete`", "leave one of the two out");
    }
    let moves = moves?;
    Some(InboxSpec {
        place: place?,
        done: folder.map(|folder| moves.then_some(folder))?,
        pattern: pattern?,
        trigger: trigger?,
        settle: settle?,
        feed: feed?,
        shape: Arc::new(shape?),
        largest: largest?,
    })
}
