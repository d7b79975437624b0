//! A system that is read by requests, as a file or a connector describes them.

mod call;
mod page;
mod request;

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::echo::Echo;
use super::reading::Answer;
use crate::adapter::Request;
use crate::adapter::auth::Credential;
use crate::adapter::auth::body::slot;
use crate::adapter::http::{Client, Exchange, Options, Reply};
use crate::adapter::pull::{Ask, Fetched, Item, Page, Reads, Source};
use crate::adapter::rest::{origin_of_text, version};
use crate::clock::{self, Timestamp};
use crate::event::{Record, Value};
use crate::rules::classify::{Asked, classify};
use crate::rules::expression::Scope;
use crate::rules::outcome::{Outcome, Reason};
use crate::rules::pull::course::{BACK, Course, Going, STRIKES};
use crate::rules::pull::cursor::{From, Kind};
use crate::rules::pull::link;
use crate::rules::pull::{Feed, Items, Next, Pull};
use crate::rules::verdict::{Rule, judge};
pub use call::Answering;
use call::{Calling, Got, passing, rehearsed, reject, retry, validator, validators};

/// What a source of a file's making is made of.
#[derive(Debug)]
pub struct PullSettings {
    /// What is read.
    pub pull: Arc<Pull>,
    /// What answers mean where that does not say.
    pub rules: Vec<Rule>,
    /// The connector's `endpoint.url`, without a slash at its end.
    pub base: String,
    /// The connector's variables, with the file's defaults.
    pub vars: Record,
    /// The installation's name.
    pub office: String,
    /// Further header fields of the connector.
    pub headers: Vec<(String, String)>,
    /// The connector's own overlap of a timestamp's cursor.
    pub overlap: Option<Duration>,
    /// Most bytes of an answer, unpacked; default [`PullSource::LARGEST`].
    pub largest: usize,
    /// What items are versions of is kept, for what is written to them.
    pub versions: bool,
    /// Client settings.
    pub http: Options,
    /// Who it comes from.
    pub credential: Option<Arc<Credential>>,
}

/// A source that is read by requests.
#[derive(Debug)]
pub struct PullSource {
    pull: Arc<Pull>,
    rules: Vec<Rule>,
    base: String,
    roots: Record,
    headers: Vec<(String, String)>,
    kind: Option<Kind>,
    largest: usize,
    versions: bool,
    client: Client,
    origin: String,
    credential: Option<Arc<Credential>>,
    /// The connection of the page before.
    open: Mutex<Option<(bool, Exchange)>>,
    /// How often in a row the cursor of an answer went back.
    strikes: AtomicU8,
}

impl PullSource {
    /// Largest answer that is read: 8 MiB.
    pub const LARGEST: usize = 8 << 20;

    /// A source. Errors name the setting and what is wrong.
    pub fn new(settings: PullSettings) -> Result<PullSource, Vec<String>> {
        let PullSettings { pull, rules, base, vars, office, headers, overlap, largest, versions, mut http, credential } =
            settings;
        let base = base.trim_end_matches('/').to_owned();
        let origin = origin_of_text(&base, http.plain).map_err(|error| vec![format!("url: {error}")])?;
        let mut secrets = Record::new();
        for expression in pull.expressions() {
            if let Some(name) = expression.secret() {
                // Without a credential of that name it is empty.
                let fills = credential.as_ref().is_some_and(|credential| credential.fills(name));
                secrets.set(name, Value::Text(if fills { slot(name).into() } else { "".into() }));
            }
        }
        let mut roots: Record =
            [("vars", Value::Map(vars)), ("office", Value::from(office.as_str()))].into_iter().collect();
        if !secrets.is_empty() {
            roots.push("secret", Value::Map(secrets));
        }
        http.timeout = http.timeout.saturating_add(pull.wait.unwrap_or_default());
        let kind = pull.cursor.as_ref().map(|cursor| match (cursor.kind, overlap) {
            (Kind::Timestamp(_), Some(overlap)) => Kind::Timestamp(overlap),
            (kind, _) => kind,
        });
        Ok(PullSource {
            pull,
            rules,
            base,
            roots,
            headers,
            kind,
            largest,
            versions,
            client: Client::new(http),
            origin,
            credential,
            open: Mutex::new(None),
            strikes: AtomicU8::new(0),
        })
    }

    /// Where a run has come to: none = what was kept is of another make of this source.
    fn course(&self, ask: &Ask) -> Option<Course> {
        let course = match ask.next.as_deref() {
            Some(next) => Course::parse(next)?,
            // Where everything is read, what was deleted before is of no interest.
            None if ask.cursor.is_none() => Course::at(self.pull.feeds.len().saturating_sub(1)),
            None => Course::default(),
        };
        (course.feed < self.pull.feeds.len()).then_some(course)
    }

    /// What an answer means; none = it is a page.
    fn verdict(&self, got: &Got) -> Option<Outcome> {
        let answer = Answer::new(&got.reply, None);
        let sent = Echo::of(&got.request);
        let now = clock::now();
        if !got.reply.whole && (200..300).contains(&got.reply.status) {
            let text = format!(
                "the answer is longer than {} bytes: ask for smaller pages, or allow more with `maxBytes`",
                self.largest
            );
            return Some(Outcome::Halt(Reason::new("long-answer", text)));
        }
        let judged =
            judge(&self.pull.rules, &answer, "", now, &sent).or_else(|| judge(&self.rules, &answer, "", now, &sent));
        let outcome = match judged {
            Some(verdict) => verdict.outcome,
            None => {
                let mut answer = got.reply.answer();
                // JSON that does not parse costs the items that it breaks, where it can be told which.
                if answer.content_type.is_some_and(|kind| kind.to_ascii_lowercase().contains("json")) {
                    answer.content_type = None;
                }
                classify(&answer, Asked { delete: false, record_url: false, retry_on: &[] }, now)
            }
        };
        (!outcome.is_delivered()).then(|| passing(outcome))
    }

    fn is_expired(&self, got: &Got) -> bool {
        let answer = Answer::new(&got.reply, None);
        judge(&self.pull.expired, &answer, "", clock::now(), &Echo::of(&got.request)).is_some()
    }

    /// What [`Source::fetch`] would make of an answer, without a connection: the request, and what came of it; none = there was
    /// no answer. It is `now` on both sides, where the answer has no `Date`.
    pub fn rehearse(&self, ask: &Ask, now: Timestamp, answer: &mut Answering<'_>) -> Option<Fetched> {
        let mut silent = false;
        let mut call = |request: Request| Ok(rehearsed(request, now, answer, &mut silent));
        let fetched = self.read(ask, now, &mut call).unwrap_or_else(Fetched::Failed);
        (!silent).then_some(fetched)
    }

    /// The same of [`Source::fetch_one`]; none inside = such a request is not described.
    pub fn rehearse_one(
        &self,
        key: &Record,
        links: &[(String, String)],
        now: Timestamp,
        answer: &mut Answering<'_>,
    ) -> Option<Option<Fetched>> {
        let mut silent = false;
        let mut call = |request: Request| Ok(rehearsed(request, now, answer, &mut silent));
        let fetched = self.single(key, links, &mut call).unwrap_or_else(|outcome| Some(Fetched::Failed(outcome)));
        (!silent).then_some(fetched)
    }

    fn read(&self, ask: &Ask, now: Timestamp, call: &mut Calling<'_>) -> Result<Fetched, Outcome> {
        if let (Some(cursor), Some(kind)) = (&ask.cursor, self.kind)
            && !kind.fits(cursor)
        {
            // It was kept for another kind of cursor.
            return Ok(Fetched::Expired);
        }
        let Some(course) = self.course(ask) else { return Ok(Fetched::Expired) };
        let mut request = self.request(ask, &course)?;
        let first = course.is_first();
        let asked = validators(ask.validator.as_deref().filter(|_| first), &request);
        request.headers.extend(asked.iter().cloned());
        let got = call(request)?;
        if got.reply.status == 304 && !asked.is_empty() {
            return Ok(Fetched::Unchanged);
        }
        if self.is_expired(&got) {
            return match (&ask.cursor, first) {
                (Some(_), true) => Ok(Fetched::Expired),
                // If it is the cursor, the first page of the next run says so.
                (_, false) => Err(retry("pages", "the source does not keep the pages of this run any more")),
                (None, true) => Err(self.verdict(&got).unwrap_or_else(|| reject("the source is gone"))),
            };
        }
        if let Some(outcome) = self.verdict(&got) {
            return Err(outcome);
        }
        self.page(ask, course, got, now).map(Fetched::Page)
    }

    fn page(&self, ask: &Ask, mut course: Course, got: Got, now: Timestamp) -> Result<Page, Outcome> {
        let Some(feed) = self.pull.feeds.get(course.feed) else { return Err(reject("the source has no such page")) };
        let tree = page::Tree::of(&got.reply, &feed.items)?;
        let mut read = page::read(&tree, feed, &self.roots)?;
        read.items.iter_mut().for_each(|item| self.keep_version(item, None));
        let theirs = now.0.saturating_add(got.ahead_ms.map_or(0, |ahead| ahead.saturating_add(500)));
        course.begin(Timestamp(theirs));
        self.move_cursor(ask, &mut course, feed, &tree, &read)?;
        let (first, moves) = (course.is_first(), course.moves(&self.pull));
        let more = match &feed.next {
            Next::Offset(until) | Next::Page(until) => until.more.as_ref().map(|place| tree.says(place, &got.reply)),
            _ => None,
        };
        let target = match &feed.next {
            Next::Link => link::linked(got.reply.fields.all("Link"), "next"),
            Next::Url(select) | Next::Token(select) => tree.select(select, &got.reply),
            _ => None,
        };
        let target = target.filter(|target| !target.trim().is_empty());
        let target = match (&feed.next, target) {
            (Next::Link | Next::Url(_), Some(target)) => Some(self.follow(&got.request.url, &target)?),
            (_, target) => target,
        };
        read.shown.more = more;
        read.shown.next = target;
        if read.shown.items == 0
            && let Some(next) = &read.shown.next
        {
            read.shown.mark = page::mark(next.as_bytes());
        }
        let from = ask.cursor.as_deref();
        let last = self.pull.cursor.as_ref().and_then(|cursor| course.end(cursor, from));
        let top = course.top.clone().filter(|_| moves);
        let (next, ended) = match course.proceed(&self.pull, &read.shown) {
            Going::On(course) => (Some(course.text()), false),
            Going::End => (None, true),
            Going::Stop(reason, true) => return Err(Outcome::Halt(reason)),
            Going::Stop(reason, false) => return Err(Outcome::Retry { reason, after: None, transport: false }),
        };
        let cursor = if ended { last } else { top }.filter(|cursor| ask.cursor.as_ref() != Some(cursor));
        // Only what one answer has told whole can be known again by that answer.
        let validator = if ended && first { validator(&got) } else { None };
        let Got { reply, ahead_ms, took, .. } = got;
        Ok(Page {
            items: read.items,
            bad: read.bad,
            next,
            cursor,
            validator,
            ahead_ms,
            bytes: reply.body.len() as u64,
            took,
        })
    }

    /// Keeps the version of an item as the target takes it in `If-Match`: the item's own where that is an entity tag, else that
    /// of the answer which is about this item alone. Of an answer that tells none it is not known any more.
    fn keep_version(&self, item: &mut Item, alone: Option<&Reply>) {
        if !self.versions || item.deleted || item.links.iter().any(|(name, _)| name == version::ETAG) {
            return;
        }
        let own = item.version.clone().filter(|text| version::is_strong(text));
        let known = own.or_else(|| alone.map(|reply| version::strong(reply).unwrap_or_default()));
        item.links.extend(known.map(|etag| (version::ETAG.to_owned(), etag)));
    }

    fn move_cursor(
        &self,
        ask: &Ask,
        course: &mut Course,
        feed: &Feed,
        tree: &page::Tree,
        read: &page::Read,
    ) -> Result<(), Outcome> {
        let Some(cursor) = &self.pull.cursor else { return Ok(()) };
        let from = ask.cursor.as_deref();
        let odd = |reason: Reason| Outcome::Retry { reason, after: None, transport: false };
        match &cursor.from {
            From::Updated => {
                if let Some(latest) = read.items.iter().filter_map(|item| item.updated).max() {
                    if feed.deletions {
                        course.hold(cursor, &latest.to_string());
                        return Ok(());
                    }
                    // Items of an overlap are older: that is no way back.
                    course.see(cursor, from, &latest.to_string()).map_err(odd)?;
                }
            }
            From::Item(_) if feed.deletions => {}
            place @ From::Item(_) => {
                for seen in page::cursors(tree, &feed.items, place, &self.roots)? {
                    course.see(cursor, from, &seen).map_err(odd)?;
                }
            }
            From::Answer(_) if feed.deletions => {}
            From::Answer(select) => {
                let Some(seen) = tree.select_value(select) else { return Ok(()) };
                match course.see(cursor, from, &seen).map_err(odd)? {
                    false => self.strikes.store(0, Relaxed),
                    true if self.strikes.fetch_add(1, Relaxed) + 1 >= STRIKES => {
                        self.strikes.store(0, Relaxed);
                        let text = format!(
                            "the source's cursor went back {STRIKES} times in a row; was it restored from a backup? A full sync begins anew"
                        );
                        return Err(Outcome::Halt(Reason::new(BACK, text)));
                    }
                    true => {}
                }
            }
        }
        Ok(())
    }

    fn single(
        &self,
        key: &Record,
        links: &[(String, String)],
        call: &mut Calling<'_>,
    ) -> Result<Option<Fetched>, Outcome> {
        let Some(one) = &self.pull.one else { return Ok(None) };
        let mut roots = self.roots.clone();
        roots.push("key", Value::Map(key.clone()));
        let link: Record = links.iter().map(|(name, value)| (name.as_str(), Value::from(value.as_str()))).collect();
        roots.push("link", Value::Map(link));
        let scope = Scope { record: Record::new(), roots };
        let request = self.built(&one.request, &one.query, &scope).map_err(Outcome::Halt)?;
        let got = call(request)?;
        if matches!(got.reply.status, 404 | 410) {
            return Ok(Some(Fetched::Gone));
        }
        if let Some(outcome) = self.verdict(&got) {
            return Err(outcome);
        }
        let Some(feed) = self.pull.feeds.last() else { return Ok(None) };
        let whole = Items { place: crate::rules::verdict::Extract::Json(String::new()), optional: false };
        let list = one.items.as_ref().unwrap_or(&whole);
        let tree = page::Tree::of(&got.reply, list)?;
        let shape = one.item.as_ref().unwrap_or(&feed.item);
        let mut read = page::take(tree.one(list)?.into_iter().collect(), &tree, shape, false, &self.roots);
        read.items.iter_mut().for_each(|item| self.keep_version(item, Some(&got.reply)));
        if read.items.is_empty() && read.bad.is_empty() {
            return Ok(Some(Fetched::Gone));
        }
        Ok(Some(Fetched::Page(Page {
            items: read.items,
            bad: read.bad,
            ahead_ms: got.ahead_ms,
            bytes: got.reply.body.len() as u64,
            took: got.took,
            ..Page::default()
        })))
    }
}

impl Source for PullSource {
    fn origin(&self) -> &str {
        &self.origin
    }

    fn reads(&self) -> Reads {
        match (&self.pull.cursor, self.pull.tells_deletions) {
            (None, _) => Reads::All,
            (Some(_), deletions) => Reads::Changes { deletions },
        }
    }

    fn fetch(&self, ask: &Ask) -> Fetched {
        self.read(ask, clock::now(), &mut |request| self.call(request)).unwrap_or_else(Fetched::Failed)
    }

    fn fetch_one(&self, key: &Record, links: &[(String, String)]) -> Option<Fetched> {
        match self.single(key, links, &mut |request| self.call(request)) {
            Ok(fetched) => fetched,
            Err(outcome) => Some(Fetched::Failed(outcome)),
        }
    }
}
