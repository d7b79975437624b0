//! A connector's file: what to deliver, where, in which shape, and when.

pub mod condition;
mod described;
mod pace;
pub mod pull;
mod retry;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::adapter::Finding;
use crate::config::batch;
use crate::config::canonical;
use crate::config::drop::{Adapter, DropSpec, Whole};
use crate::config::endpoint::Endpoint;
use crate::config::fields::Fields;
use crate::config::found::Found;
use crate::config::governance;
use crate::config::hook::{self, HookSpec};
use crate::config::mapping;
use crate::config::problem::Place;
use crate::config::settings::{Scope, SecretPlace};
use crate::engine::connector::{Connector, Pace};
use crate::event::Op;
use crate::rules::batch::{Batch, Shape};
use crate::rules::filter::Filter;
use crate::rules::governance::Redact;
use crate::rules::listen::Listen;
use crate::rules::mapping::Mapping;
use crate::rules::nearest::nearest;
use crate::rules::operation::Limits;
use crate::rules::rate::Rate;
use crate::rules::retry::RetryPolicy;
use crate::rules::template::Template;
use crate::rules::transport::Transport;

pub use described::{Described, Target};
use described::{described, needed, placed, target, variables};
use pace::pace;
pub use pull::{Origin, PullSpec, Strategy, When};

/// A connector as its file describes it, checked; [`crate::config::build::connector`] makes it ready to run.
#[derive(Debug)]
pub struct ConnectorSpec {
    /// Unique name.
    pub name: Arc<str>,
    /// Event types it hears.
    pub listen: Listen,
    /// `where`.
    pub filter: Option<Filter>,
    /// Where that stands.
    pub filter_place: Place,
    /// Where the keys of its endpoint stand.
    pub endpoint_places: Vec<(String, Place)>,
    /// Which ways its records go.
    pub strategy: Strategy,
    /// How it reads; none = it only sends.
    pub pull: Option<PullSpec>,
    /// Its way out.
    pub way: Way,
    /// Source to target.
    pub mapping: Mapping,
    /// Where the mapping stands in the file; the connector itself when it has none.
    pub mapping_place: Place,
    /// Where each entry of the mapping stands.
    pub mapping_lines: Vec<Place>,
    /// Value of the `Idem-Key` header.
    pub idempotency_key: Option<Template>,
    /// When it delivers.
    pub pace: Pace,
    /// Back-off and limits.
    pub retry: RetryPolicy,
    /// Requests in flight.
    pub concurrency: usize,
    /// Several records in one request.
    pub batch: Option<Batch>,
    /// At most so many sends.
    pub rate: Option<Rate>,
    /// Classes that may leave; none = `public` only, when there is a governance section.
    pub allow: Option<Vec<String>>,
    /// What is done to columns before they leave.
    pub redact: BTreeMap<String, Redact>,
    /// Who else is asked about each payload; none = whom the settings name, if anybody.
    pub hook: Option<HookSpec>,
    /// `onDead: continue`.
    pub continue_on_dead: bool,
    /// `onLeave: ignore`.
    pub ignore_leave: bool,
    /// `unchanged: skip`.
    pub skip_unchanged: bool,
    /// `serial: true`.
    pub serial: bool,
    /// `start: beginning`.
    pub from_beginning: bool,
    /// The file it came from.
    pub file: String,
    /// Its section in canonical form, from which [`crate::config::from_canonical`] makes it again.
    pub config: String,
    /// SHA-256 of `config`.
    pub config_hash: [u8; 32],
}

/// The way out of a connector.
#[derive(Debug)]
pub enum Way {
    /// `adapter: rest`: calls of an endpoint.
    Rest(Box<Endpoint>),
    /// `adapter: sftp` or `directory`: files.
    Drop(Box<DropSpec>),
    /// An adapter that a file describes.
    Spec(Box<Described>),
    /// There is none: files come in.
    Inbox,
}

/// Most requests in flight that make sense for one target.
const MOST_CONCURRENT: i64 = 64;

impl ConnectorSpec {
    /// Reads a connector; `stem` names it when it has no name of its own. None when anything was wrong that keeps
    /// it from being built.
    pub(crate) fn read(found: &Found<'_>, stem: Option<&str>, scope: &Scope) -> Option<ConnectorSpec> {
        let fields = found.fields()?;
        let name = match (fields.take("name"), stem) {
            (Some(found), _) => name(&found),
            (None, Some(stem)) => Some(stem.to_owned()),
            (None, None) => fields.need("name").and_then(|found| name(&found)),
        };
        not_yet(&fields);
        let strategy = pull::strategy(&fields);
        let reads_only = strategy == Some(Strategy::Pull);
        let pulls = strategy.is_some_and(Strategy::pulls);
        let described = described(&fields);
        let adapter = if described.is_some() { Some(Adapter::Rest) } else { built_in(&fields) };
        // With an adapter that is none, by what stands there.
        let files = match adapter {
            Some(adapter) => adapter != Adapter::Rest,
            None => fields.take("drop").is_some() && fields.take_any(&["endpoint", "target"]).is_none(),
        };
        // Files that come in have no drop.
        let inbox = adapter.filter(|_| files && reads_only);
        let files = files && inbox.is_none();

        let heard = fields.take("listen");
        let listen = match (&heard, reads_only) {
            (None, true) => Some(Listen::nothing()),
            (None, false) => Listen::parse(&[]).ok(),
            (Some(found), true) => {
                pull::nothing(found);
                None
            }
            (Some(found), false) => listen(found, &scope.kinds),
        };
        let deletes =
            listen.as_ref().is_some_and(|listen| scope.kinds.iter().any(|kind| listen.hears(kind, Op::Delete)));
        let mut filter_place = found.place;
        let filter = optional(fields.take("where"), |found| {
            filter_place = found.place;
            Filter::compile(found.text()?).map_err(|message| found.error(message)).ok()
        });
        let transport = described.as_ref().and_then(Option::as_ref).map(|finding| finding.spec.transport);
        if inbox.is_some() {
            pull::no_calls(&fields);
        }
        let place = if files || inbox.is_some() { None } else { fields.need_any(&["endpoint", "target"]) };
        let endpoint_places = place.iter().flat_map(Found::entries_quietly);
        let endpoint_places = endpoint_places.map(|(key, found)| (key.to_owned(), found.place)).collect();
        let (endpoint, target) = match (place, described.is_some()) {
            (None, _) => (None, None),
            (Some(found), false) => (Endpoint::read(&found, scope, deletes), None),
            // What is wrong with the adapter's file was said; then the address tells which keys belong here.
            (Some(found), true) => {
                let seems = || described::is_address(&found).then_some(Transport::Http);
                (None, transport.or_else(seems).and_then(|transport| target(&found, transport, scope)))
            }
        };
        let described = described.map(|finding| {
            let Some(finding) = finding else {
                fields.know(&["vars"]);
                return None;
            };
            let vars = variables(&fields, &finding.spec)?;
            Some((finding, vars))
        });
        let map = fields.take_any(&["mapping", "map"]);
        let mapping_place = map.as_ref().map_or(found.place, |found| found.place);
        let mapping = map.map_or_else(
            || Some((Mapping::whole(), Vec::new())),
            |found| {
                let read = mapping::mapping(&found)?;
                pulls.then(|| mapping::backwards(&found, &read.0, &read.1));
                Some(read)
            },
        );
        let dropped = match (adapter, drop_of(&fields, files)) {
            (Some(adapter), Some(found)) => {
                let name = name.as_deref().unwrap_or_default();
                let whole = Whole { name, adapter, mapping: mapping.as_ref().map(|(mapping, _)| mapping), scope };
                let read = DropSpec::read(&found, &whole);
                if let (Some(heard), Some(true)) = (&heard, read.as_ref().map(|drop| drop.tables.is_some())) {
                    heard.error_hint("stands beside `drop.source.tables`", "say once what the drop hears");
                }
                read
            }
            _ => None,
        };
        let listen = match dropped.as_ref().and_then(|drop| drop.tables.as_deref()) {
            Some(tables) => Listen::parse(tables).ok(),
            None => listen,
        };
        let idempotency_key = optional(fields.take("idempotencyKey"), |found| idempotency_key(&found));
        // What of these a drop has is an error already.
        let pace = if files { Some(Pace::Stream) } else { pace(&fields) };
        let retry = retry::retry(&fields);
        described::statuses(transport.unwrap_or_default(), fields.section(), &retry.retry_on);
        let concurrency = fields.take("concurrency").and_then(|found| found.integer(1..=MOST_CONCURRENT));
        let rate = optional(fields.take("rate"), |found| {
            Rate::parse(found.text()?).map_err(|message| found.error(message)).ok()
        });
        let batches = fields.take("batch");
        let batch = optional(batches.clone(), |found| {
            // Of another transport than HTTP the file says nothing of that.
            let spec = described.as_ref().filter(|_| transport.unwrap_or_default() == Transport::Http);
            let spec = spec.map(|found| found.as_ref().map(|(finding, ..)| &finding.spec));
            let batch = batch::batch(&found, spec)?;
            if batch.is_some_and(|batch| batch.shape != Shape::Spec) {
                let endpoint = endpoint.as_ref().or_else(|| target.as_ref()?.endpoint());
                go_together(&found, endpoint, idempotency_key.as_ref());
            }
            Some(batch)
        });
        let serial = fields.take("serial").and_then(|found| {
            let serial = found.flag()?;
            if serial && concurrency.is_some_and(|count| count > 1) {
                found.error_hint("sends one at a time, but `concurrency` asks for more", "leave one of the two out");
            }
            if serial && matches!(batch, Some(Some(Some(_)))) {
                found.error_hint("sends one record at a time, but `batch` asks for more", "leave one of the two out");
            }
            Some(serial)
        });
        let (drawn, place) = (described.as_ref().and_then(|described| described.as_ref()), fields.take("adapter"));
        let reading = strategy.and_then(|strategy| {
            let around = pull::Around {
                strategy,
                listen: listen.as_ref(),
                endpoint: endpoint.as_ref(),
                pace: pace.as_ref(),
                spec: drawn.map(|(finding, ..)| &finding.spec),
                adapter: place.as_ref(),
                inbox,
            };
            if files && strategy.pulls() {
                let hint =
                    "write a connector for the files that leave, and one with `strategy: pull` for those that come";
                fields.section().error_hint("files go one way", hint);
                fields.know(&["pull"]);
                return None;
            }
            // Of an adapter that is wrong nothing can be said.
            if described.is_some() && drawn.is_none() {
                fields.know(&["pull"]);
                return None;
            }
            pull::pull(&fields, &around)
        });
        let allow = fields.take("allow").map(|found| governance::allow(&found, scope.governance.as_ref()));
        let redact = fields.take("redact").map(|found| governance::redact(&found)).unwrap_or_default();
        let hook = optional(fields.take("hook"), |found| hook::hook(&found, scope));
        let word = |key, yes: &'static str, no: &'static str| {
            fields.take(key).and_then(|found| found.choice(key, &[(no, false), (yes, true)])).unwrap_or(false)
        };
        let continue_on_dead = word("onDead", "continue", "hold");
        let ignore_leave = word("onLeave", "ignore", "delete");
        let skip_unchanged = word("unchanged", "skip", "deliver");
        let from_beginning = word("start", "beginning", "now");
        fields.done();

        if let (Some(Strategy::Bidirectional), Some(Some(reading))) = (strategy, &reading) {
            let joins = matches!(batch, Some(Some(Some(_))));
            let spec = drawn.map(|(finding, ..)| &finding.spec);
            condition::warn(place.as_ref().unwrap_or(found), &condition::Around { spec, joins, reading });
        }
        let (name, (mapping, mapping_lines)) = (name?, mapping?);
        // What the adapter's file says of its target, unless the connector says otherwise.
        let limits = match &described {
            Some(Some((finding, ..))) => finding.spec.limits.clone(),
            _ => Limits::default(),
        };
        let concurrency = concurrency.and_then(|count| usize::try_from(count).ok()).or(limits.concurrency);
        let way = match (files, described) {
            (false, None) if inbox.is_some() => Way::Inbox,
            (true, _) => Way::Drop(Box::new(dropped?)),
            (false, None) => Way::Rest(Box::new(endpoint?)),
            (false, Some(described)) => {
                let (Finding { spec, text }, vars) = described?;
                if !reads_only {
                    needed(found, &spec, &mapping);
                }
                let mut target = target?;
                if let Target::Address { endpoint, .. } = &mut target {
                    placed(found, &spec, endpoint, scope);
                    if !endpoint.timed {
                        endpoint.timeout = limits.timeout.unwrap_or(endpoint.timeout);
                    }
                }
                Way::Spec(Box::new(Described { target, spec: Arc::new(spec), vars, text }))
            }
        };
        let beside = match &way {
            Way::Drop(drop) => canonical::Beside::Drop(&drop.embedded),
            Way::Spec(described) => canonical::Beside::Adapter(&described.text),
            Way::Rest(_) | Way::Inbox => canonical::Beside::Nothing,
        };
        let config = canonical::text(found, &name, beside);
        let config_hash = canonical::hash(&config);
        Some(ConnectorSpec {
            name: name.into(),
            listen: listen?,
            strategy: strategy?,
            pull: reading?,
            filter: filter?,
            filter_place,
            endpoint_places,
            way,
            mapping,
            mapping_place,
            mapping_lines,
            idempotency_key: idempotency_key?,
            pace: pace?,
            retry,
            concurrency: concurrency.or(transport.unwrap_or_default().concurrency()).unwrap_or(Connector::CONCURRENCY),
            batch: described::batch(transport.unwrap_or_default(), batches.as_ref(), batch?),
            rate: rate?.or(limits.rate),
            allow: allow.flatten(),
            redact,
            hook: hook?,
            continue_on_dead,
            ignore_leave,
            skip_unchanged,
            serial: serial.unwrap_or_default(),
            from_beginning,
            file: found.source.name.clone(),
            config,
            config_hash,
        })
    }

    /// The endpoint that it calls; none for a drop.
    pub fn endpoint(&self) -> Option<&Endpoint> {
        match &self.way {
            Way::Rest(endpoint) => Some(endpoint),
            Way::Spec(described) => described.target.endpoint(),
            Way::Drop(_) | Way::Inbox => None,
        }
    }

    /// Where its secrets are, beside its credential.
    pub fn secrets(&self) -> Vec<SecretPlace> {
        match &self.way {
            Way::Spec(described) => described.target.secrets(),
            Way::Rest(_) | Way::Drop(_) | Way::Inbox => Vec::new(),
        }
    }

    /// Its drop; none for one that makes calls.
    pub fn drop(&self) -> Option<&DropSpec> {
        match &self.way {
            Way::Rest(_) | Way::Spec(_) | Way::Inbox => None,
            Way::Drop(drop) => Some(drop),
        }
    }
}

/// The adapters that are no file.
const BUILT_IN: [(&str, Adapter); 3] =
    [("rest", Adapter::Rest), ("sftp", Adapter::Sftp), ("directory", Adapter::Directory)];

/// `adapter:` that is no file; none = it is wrong.
fn built_in(fields: &Fields<'_>) -> Option<Adapter> {
    fields.take("adapter").map_or(Some(Adapter::Rest), |found| found.choice("adapter", &BUILT_IN))
}

/// `drop:`, which stands with the adapters that have files, and what does not stand beside it.
fn drop_of<'a>(fields: &Fields<'a>, files: bool) -> Option<Found<'a>> {
    if !files {
        if let Some(found) = fields.take("drop") {
            found.error_hint("is for files, and this connector makes calls", "write `adapter: sftp` or `directory`");
        }
        return None;
    }
    let found = fields.need("drop");
    const ORDER: &str = "leave it out: the files of a drop leave one after the other";
    const CALLS: [(&str, &str); 12] = [
        ("endpoint", "say in `drop.deliver` where files go"),
        ("target", "say in `drop.deliver` where files go"),
        ("schedule", "say in `drop.schedule` when files are cut"),
        ("timezone", "say it in `drop.schedule` as `zone`"),
        ("mode", "say in `drop.schedule` when files are cut"),
        ("batch", "`drop.max_records` limits a file"),
        ("rate", "`rate` of a place in `drop.deliver` limits an upload"),
        ("concurrency", ORDER),
        ("serial", ORDER),
        ("idempotencyKey", "leave it out: the number and the name of a file are its key"),
        ("onDead", "`drop.on_row_error` says what becomes of a row that cannot be encoded"),
        ("retryOn", "leave it out: a place for files has no statuses"),
    ];
    for (key, hint) in CALLS {
        if let Some(found) = fields.take(key) {
            found.error_hint("is for calls, and this connector has files", hint);
        }
    }
    found
}

/// Records that each have a URL, or an `Idem-Key`, of their own cannot share a request.
fn go_together(batch: &Found<'_>, endpoint: Option<&Endpoint>, idem_key: Option<&Option<Template>>) {
    if endpoint.is_some_and(|endpoint| !endpoint.url.paths().is_empty()) {
        batch.error_hint("the endpoint's url names a record: each has a request of its own", "leave `batch` out");
    }
    if endpoint.is_some_and(|endpoint| endpoint.in_body) {
        let hint = "leave `batch` out, or use a credential that goes into a header";
        batch.error_hint("the endpoint's credential goes into a body that is one record", hint);
    }
    if matches!(idem_key, Some(Some(_))) {
        let hint = "leave one of the two out; every record's own key is listed in Sync-Keys";
        batch.error_hint("a request has one `Idem-Key`, so `idempotencyKey` cannot be each record's", hint);
    }
}

/// A part that may be absent (`Some(None)`), present (`Some(Some)`) or present and wrong (`None`).
fn optional<'a, T>(found: Option<Found<'a>>, read: impl FnOnce(Found<'a>) -> Option<T>) -> Option<Option<T>> {
    found.map_or(Some(None), |found| read(found).map(Some))
}

/// A name is one segment of a URL's path and of a command line.
fn name(found: &Found<'_>) -> Option<String> {
    let name = found.text()?;
    let bad = |c: char| c.is_control() || c == '/' || c == '\\';
    if name.contains(bad) || name.trim() != name || name == "." || name == ".." || name.len() > 200 {
        found.error_hint("cannot name a connector", "no slashes, control characters or blanks around it");
        return None;
    }
    Some(name.to_owned())
}

/// Reads `listen:`. A posted event may have any type, so an unknown one is only suspicious when it looks like a
/// watched table's.
fn listen(found: &Found<'_>, kinds: &[String]) -> Option<Listen> {
    let patterns = found.texts()?;
    let listen = Listen::parse(&patterns).map_err(|message| found.error(message)).ok()?;
    let ops = ["", ".insert", ".update", ".delete"];
    let known: Vec<String> = kinds.iter().flat_map(|kind| ops.map(|op| format!("{kind}{op}"))).collect();
    for item in found.one_or_many() {
        let Some(pattern) = item.text().filter(|text| !text.contains('*') && !known.iter().any(|name| name == text))
        else {
            continue;
        };
        if let Some(meant) = nearest(pattern, known.iter().map(String::as_str)) {
            let hint = format!("did you mean `{meant}`?");
            item.warn(
                format!("no watched table has the type `{pattern}`: it is heard only if it is posted"),
                Some(&hint),
            );
        }
    }
    Some(listen)
}

/// What later versions will do and this one cannot is an error, not a silent push.
fn not_yet(fields: &Fields<'_>) {
    for found in ["bundle", "key"].iter().filter_map(|key| fields.take(key)) {
        found.error_hint("is not in this version", "leave it out, or run a version that has it");
    }
}

fn idempotency_key(found: &Found<'_>) -> Option<Template> {
    let text = found.text()?;
    let template =
        if text.contains(['{', '}']) { Template::parse(text) } else { Template::parse(&format!("{{{text}}}")) };
    let template = template.map_err(|message| found.error(message)).ok()?;
    match template.paths() {
        [] => {
            found.error_hint("is the same for every event: a target would drop all but the first", "name a field");
            return None;
        }
        [field] if !field.starts_with("$event.") => found.warn(
            format!("`{field}` alone makes two edits of a record look like one: a target may drop the second"),
            Some("if so, add what differs: \"{FIELD}-{$event.seq}\""),
        ),
        _ => {}
    }
    Some(template)
}
