//! `strategy:` and `pull:` of a connector: whether it reads, what, when, and what becomes of it here.

use std::sync::Arc;
use std::time::Duration;

use crate::adapter::rest::version::ETAG;
use crate::adapter::spec::PullSource;
use crate::config::adapter::pull as section;
use crate::config::drop::Adapter;
use crate::config::drop::inbox::{self, InboxSpec};
use crate::config::endpoint::Endpoint;
use crate::config::fields::Fields;
use crate::config::found::Found;
use crate::config::{adapter, url};
use crate::engine::connector::Pace;
use crate::rules::listen::Listen;
use crate::rules::operation::Spec;
use crate::rules::pull::clock::{TRUSTS, Trust};
use crate::rules::pull::{Feed, Pull};
use crate::rules::schedule::Schedule;

/// Which ways a connector's records go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// Out.
    #[default]
    Push,
    /// In.
    Pull,
    /// Both.
    Bidirectional,
}

impl Strategy {
    const WORDS: [(&str, Strategy); 3] =
        [("push", Strategy::Push), ("pull", Strategy::Pull), ("bidirectional", Strategy::Bidirectional)];

    /// Whether it sends.
    pub fn pushes(self) -> bool {
        self != Strategy::Pull
    }

    /// Whether it reads.
    pub fn pulls(self) -> bool {
        self != Strategy::Push
    }
}

/// How a connector reads.
#[derive(Debug)]
pub struct PullSpec {
    /// The type of the watched table that what is read goes into.
    pub table: String,
    /// When it reads.
    pub when: When,
    /// Of the records that are known here, at most so many percent, but one unless it is 0, may be deleted by one run; default
    /// [`PullSpec::MAX_DELETE`].
    pub max_delete: f64,
    /// A record that cannot be read or applied stops the run, so that nothing overtakes it.
    pub strict_order: bool,
    /// After so long everything is read again.
    pub full: Option<Duration>,
    /// The connector's own overlap of a timestamp's cursor; none = what the adapter says.
    pub overlap: Option<Duration>,
    /// Whether the times there can decide anything.
    pub clock: Trust,
    /// What is sent by plain REST names the version that was last seen there (`If-Match`).
    pub conditional: bool,
    /// Somebody has said that it does not.
    pub declined: bool,
    /// What is read.
    pub from: Origin,
}

/// What a connector reads.
#[derive(Debug)]
pub enum Origin {
    /// Answers to requests.
    Requests {
        /// What is asked for.
        pull: Arc<Pull>,
        /// Largest answer that is read, in bytes.
        largest: usize,
    },
    /// Files that come in.
    Files(Box<InboxSpec>),
}

/// When a connector reads.
#[derive(Clone, Debug)]
pub enum When {
    /// So long after the end of the last run.
    Every(Duration),
    /// At the times of a schedule.
    Schedule(Schedule),
}

impl PullSpec {
    /// Whether it is read by requests.
    pub fn is_asked(&self) -> bool {
        matches!(self.from, Origin::Requests { .. })
    }

    /// Between two runs when nobody says: 5 minutes.
    pub const EVERY: Duration = Duration::from_secs(300);
    /// The same where the source waits for news itself.
    pub const AT_ONCE: Duration = Duration::from_secs(1);
    /// Percent of the known records that one run may delete, when nobody says.
    pub const MAX_DELETE: f64 = 5.0;
}

/// `strategy:`; none = it is wrong.
pub(super) fn strategy(fields: &Fields<'_>) -> Option<Strategy> {
    fields.take("strategy").map_or(Some(Strategy::Push), |found| found.choice("strategy", &Strategy::WORDS))
}

/// What a connector that only reads hears: nothing.
pub(super) fn nothing(heard: &Found<'_>) {
    heard.error_hint("is what a connector sends, and this one only reads", "write `pull: {table: NAME}`");
}

/// What is for calls does not stand with files that come in.
pub(super) fn no_calls(fields: &Fields<'_>) {
    for key in ["endpoint", "target", "drop"] {
        if let Some(found) = fields.take(key) {
            found.error_hint("stands with files that come in", "say in `pull` where they are: `directory:` or `sftp:`");
        }
    }
}

/// What stands around `pull:`.
pub(super) struct Around<'a, 'f> {
    pub strategy: Strategy,
    pub listen: Option<&'a Listen>,
    pub endpoint: Option<&'a Endpoint>,
    pub pace: Option<&'a Pace>,
    /// What the adapter's file says; none = the connector has none.
    pub spec: Option<&'a Spec>,
    /// Its place, for what is missing in it.
    pub adapter: Option<&'a Found<'f>>,
    /// Files come in, by this adapter.
    pub inbox: Option<Adapter>,
}

/// Reads `pull:`. None = it is wrong; none inside = the connector does not read.
pub(super) fn pull(fields: &Fields<'_>, around: &Around<'_, '_>) -> Option<Option<PullSpec>> {
    let found = fields.take("pull");
    if !around.strategy.pulls() {
        if let Some(found) = found {
            found.error_hint("is for a connector that reads", "write `strategy: pull` or `strategy: bidirectional`");
            return None;
        }
        return Some(None);
    }
    let Some(found) = found else {
        fields.section().error_hint(
            "`pull` is missing: what is read goes into a table",
            "write `pull: {table: NAME}`, and for a target without an adapter's file how it is asked",
        );
        return None;
    };
    let inner = found.fields()?;
    let table = table(&inner, around);
    let mut when = when(&inner, around);
    let max_delete = inner.take("maxDelete").map_or(Some(PullSpec::MAX_DELETE), |found| percent(&found));
    let strict_order = inner.flag("strictOrder");
    let clock = inner.take("clock").map_or(Some(Trust::default()), |found| found.choice("clock", &TRUSTS));
    if let Some(adapter) = around.inbox {
        let files = inbox::inbox(&inner, adapter);
        inner.done();
        return Some(Some(PullSpec {
            table: table?,
            when: when?,
            max_delete: max_delete?,
            strict_order,
            full: None,
            overlap: None,
            clock: clock?,
            conditional: false,
            declined: false,
            from: Origin::Files(Box::new(files?)),
        }));
    }
    let full = inner.take("full").map_or(Some(None), |found| found.duration().map(Some));
    let largest = inner.take("maxBytes").map_or(Some(PullSource::LARGEST), |found| largest(&found));
    let wanted = if around.spec.is_none() { inner.take("ifMatch") } else { None };
    let said = wanted.as_ref().and_then(Found::flag);
    let asked = match around.spec {
        Some(spec) => described(spec, &found, around),
        None => plain(&inner, around),
    };
    let overlap = inner.take("overlap").map_or(Some(None), |found| {
        let overlap = section::span(&found)?;
        use crate::rules::pull::cursor::Kind;
        let timed = asked.as_ref().and_then(|pull| pull.cursor.as_ref());
        if asked.is_some() && !timed.is_some_and(|cursor| matches!(cursor.kind, Kind::Timestamp(_))) {
            found.error_hint("is for a cursor that is a time", "leave it out");
            return None;
        }
        Some(Some(overlap))
    });
    let waits = asked.as_ref().is_some_and(|pull| pull.wait.is_some());
    if let (true, None, Some(When::Every(pause))) = (waits, inner.take("every"), &mut when) {
        *pause = PullSpec::AT_ONCE;
    }
    inner.done();
    Some(Some(PullSpec {
        table: table?,
        when: when?,
        max_delete: max_delete?,
        strict_order,
        full: full?,
        overlap: overlap?,
        clock: clock?,
        conditional: asked.as_ref().is_some_and(|pull| conditional(wanted.as_ref().zip(said), pull, around)),
        declined: said == Some(false),
        from: Origin::Requests { pull: asked?, largest: largest? },
    }))
}

/// Whether what plain REST sends names the version that was read: unless somebody says no, where a version that is refused
/// can be had anew. `wanted` = `ifMatch:`.
fn conditional(wanted: Option<(&Found<'_>, bool)>, pull: &Pull, around: &Around<'_, '_>) -> bool {
    if around.spec.is_some() || !around.strategy.pushes() || matches!(wanted, Some((_, false))) {
        return false;
    }
    let linked = |feed: &Feed| feed.item.links.iter().any(|(name, _)| name == ETAG);
    let renewed = pull.one.is_some() || pull.feeds.iter().any(linked);
    let named = around.endpoint.is_some_and(|endpoint| !endpoint.url.paths().is_empty());
    if let (Some((place, _)), false) = (wanted, renewed && named) {
        let (what, how) = match named {
            false => ("the endpoint's url names no single record, which alone has a version", "write `{id}` into it"),
            true => ("no version can be had that a write would name", "say `one:`, or `links: {etag: /PLACE}`"),
        };
        place.error_hint(what, how);
    }
    renewed && named
}

fn table(inner: &Fields<'_>, around: &Around<'_, '_>) -> Option<String> {
    if let Some(found) = inner.take("table") {
        return found.text().map(str::to_owned);
    }
    // One that sends a single table reads into it.
    let patterns = around.listen.map(Listen::patterns).unwrap_or_default();
    let plain = |pattern: &&String| {
        let operation = pattern.rsplit('.').next().is_some_and(|last| matches!(last, "insert" | "update" | "delete"));
        !pattern.contains('*') && !operation
    };
    match patterns {
        [only] if plain(&only) => Some(only.clone()),
        _ => {
            inner.section().error_hint("does not say which table what is read goes into", "write `table: NAME`");
            None
        }
    }
}

fn when(inner: &Fields<'_>, around: &Around<'_, '_>) -> Option<When> {
    match (inner.take("every"), around.pace) {
        (Some(found), _) => found.duration().map(When::Every),
        (None, Some(Pace::Schedule(schedule))) => Some(When::Schedule(schedule.clone())),
        (None, _) => Some(When::Every(PullSpec::EVERY)),
    }
}

/// `5%`.
fn percent(found: &Found<'_>) -> Option<f64> {
    let text = found.word()?;
    let number = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    let sound = number.filter(|number| number.is_finite() && (0.0..=100.0).contains(number));
    if sound.is_none() {
        found.error_hint("is no share of the records", "write for example `5%`; `100%` lets a run delete all but one");
    }
    sound
}

fn largest(found: &Found<'_>) -> Option<usize> {
    const MOST: u64 = 64 << 20;
    let bytes = found.bytes()?;
    if bytes > MOST {
        found.error_hint("is more than a page may have", "at most 64MiB: ask for smaller pages");
        return None;
    }
    usize::try_from(bytes).ok()
}

/// What the adapter's file says.
fn described(spec: &Spec, found: &Found<'_>, around: &Around<'_, '_>) -> Option<Arc<Pull>> {
    if spec.pull.is_none() {
        let place = around.adapter.unwrap_or(found);
        place.error_hint(
            format!("the adapter {} does not say how it is read", spec.name),
            "write `strategy: push`, or an adapter with a `pull:` section (docs/ADAPTERS.md)",
        );
    }
    spec.pull.clone()
}

/// What the connector says itself.
fn plain(inner: &Fields<'_>, around: &Around<'_, '_>) -> Option<Arc<Pull>> {
    let place = inner.take("url");
    let pull = section::flat(inner)?;
    adapter::read_names(inner.section(), &pull);
    let endpoint = around.endpoint?;
    let written = |found: &Found<'_>| found.text().map(str::to_owned);
    match place.as_ref().and_then(written) {
        Some(text) if !text.starts_with("{base}") => {
            let own = endpoint.url.url(|_| Some(&crate::event::Value::Integer(1))).unwrap_or_default();
            if let Some(place) = place.as_ref().filter(|_| url::origin(&text) != url::origin(&own)) {
                place.error_hint("is on another host than the endpoint's `url`", "that needs a connector of its own");
                return None;
            }
        }
        _ if !endpoint.url.paths().is_empty() => {
            inner.section().error_hint(
                "the endpoint's url names a single record: it cannot be asked for several",
                "write here the `url` that lists them",
            );
            return None;
        }
        _ => {}
    }
    Some(Arc::new(pull))
}
