//! REACH: the outside systems behind one small trait. An adapter takes only a [`Parcel`], makes one attempt and
//! says what came of it; it never retries, sleeps or maps.

pub mod auth;
pub mod channel;
pub mod crew;
pub mod directory;
pub mod hook;
pub mod http;
pub mod inbox;
pub mod join;
pub mod oauth;
pub mod pass;
pub mod pgp;
pub mod place;
pub mod program;
pub mod pull;
pub mod rest;
pub mod secret;
pub mod sftp;
pub mod spec;
pub mod stamp;
pub mod tls;
pub mod websocket;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;

use crate::clock::Timestamp;
use crate::event::Op;
use crate::rules::batch::Shape;
use crate::rules::governance::Cleared;
use crate::rules::outcome::{Outcome, Reason};

/// One cleared change on its way to one target: what to do, with what, under which idempotency key.
///
/// Made only from a [`Cleared`] record, or again from the frozen bytes of an attempt whose outcome is unknown.
#[derive(Clone, Debug)]
pub struct Parcel {
    key: String,
    op: Op,
    kind: Arc<str>,
    load: Load,
    /// Records that were joined into its request; 0 = it is one record as it is.
    items: usize,
    /// These records, where the adapter's file says how they are joined.
    members: Arc<[join::Member]>,
    /// Where a handler pushed it, instead of the endpoint's URL.
    to: Option<Arc<str>>,
    /// The record's key as JSON, where the adapter asks for it; else empty.
    identity: String,
}

#[derive(Clone, Debug)]
enum Load {
    Cleared(Cleared),
    Frozen(Request),
}

impl Parcel {
    /// A parcel: `key` is the idempotency key (the event id, with `-a`/`-b` for the two parts of a key change and
    /// `-rN` for a changed replay); `kind` the event type.
    pub fn new(key: String, op: Op, kind: impl Into<Arc<str>>, record: Cleared) -> Parcel {
        Parcel::of(key, op, kind.into(), Load::Cleared(record))
    }

    fn of(key: String, op: Op, kind: Arc<str>, load: Load) -> Parcel {
        Parcel { key, op, kind, load, items: 0, members: Arc::default(), to: None, identity: String::new() }
    }

    /// A parcel that a handler pushed to a URL of the endpoint's origin; empty = to the endpoint's own.
    pub fn pushed(self, url: &Arc<str>) -> Parcel {
        Parcel { to: (!url.is_empty()).then(|| url.clone()), ..self }
    }

    /// Where a handler pushed it, unless to the endpoint's own URL.
    pub fn to(&self) -> Option<&str> {
        self.to.as_deref()
    }

    /// The same parcel as it was sent before, byte for byte.
    pub fn frozen(key: String, op: Op, kind: impl Into<Arc<str>>, request: Request) -> Parcel {
        Parcel::of(key, op, kind.into(), Load::Frozen(request))
    }

    /// So many records in one request.
    pub fn joined(key: String, op: Op, kind: impl Into<Arc<str>>, request: Request, items: usize) -> Parcel {
        Parcel { items, ..Parcel::frozen(key, op, kind, request) }
    }

    /// The same, with what stands for each of them.
    pub fn of_members(self, members: Vec<join::Member>) -> Parcel {
        Parcel { members: members.into(), ..self }
    }

    /// What stands for each record that was joined into its request, where the adapter's file says how they are joined.
    pub fn members(&self) -> &Arc<[join::Member]> {
        &self.members
    }

    /// This parcel with its record's key, as JSON.
    pub fn of_record(self, identity: String) -> Parcel {
        Parcel { identity, ..self }
    }

    /// The record's key as JSON; empty where the adapter does not ask for it ([`Adapter::identifies`]).
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// This parcel with its request rendered: what is sent for it from now on.
    pub fn freeze(self, request: Request) -> Parcel {
        Parcel { load: Load::Frozen(request), ..self }
    }

    /// Idempotency key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What happened to the record.
    pub fn op(&self) -> Op {
        self.op
    }

    /// The event's type.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Records that were joined into its request; 0 = it is one record as it is.
    pub fn items(&self) -> usize {
        self.items
    }

    /// Bytes of the request's body, when it is rendered already.
    pub fn weight(&self) -> usize {
        match &self.load {
            Load::Frozen(request) => request.body.len(),
            Load::Cleared(_) => 0,
        }
    }

    /// The request, when it is rendered already.
    pub fn rendered(&self) -> Option<&Request> {
        match &self.load {
            Load::Frozen(request) => Some(request),
            Load::Cleared(_) => None,
        }
    }

    /// The request: frozen, or rendered by `render` from the cleared record. None = nothing is to be sent.
    pub fn request(
        &self,
        render: impl FnOnce(&Cleared) -> Result<Option<Request>, Reason>,
    ) -> Result<Option<Cow<'_, Request>>, Reason> {
        match &self.load {
            Load::Frozen(request) => Ok(Some(Cow::Borrowed(request))),
            Load::Cleared(record) => Ok(render(record)?.map(Cow::Owned)),
        }
    }
}

/// Text of a request: most of it is the same in every one.
pub type Text = Cow<'static, str>;

/// One call as it stands on the wire, without the authentication that is filled in at send time and never stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// HTTP method.
    pub method: Text,
    /// Absolute URL.
    pub url: Arc<str>,
    /// Header fields in order, without `Host`, `Content-Length` and authentication.
    pub headers: Vec<(Text, Text)>,
    /// Body; empty = none.
    pub body: Vec<u8>,
}

impl Request {
    /// SHA-256 over method, URL, header fields and body, each part followed by its length in bytes, so that no two
    /// requests run together to the same input.
    pub fn hash(&self) -> [u8; 32] {
        // Gathered first: a call of the digest costs more than a copy of its few bytes.
        let mut head = Vec::with_capacity(512);
        let mut part = |bytes: &[u8]| {
            head.extend_from_slice(bytes);
            head.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        };
        part(self.method.as_bytes());
        part(self.url.as_bytes());
        for (name, value) in &self.headers {
            part(name.as_bytes());
            part(value.as_bytes());
        }
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&head);
        context.update(&self.body);
        context.update(&(self.body.len() as u64).to_le_bytes());
        finish(context)
    }
}

/// SHA-256 of a delivery: of its request, or of several parts over their hashes; none when one is not rendered.
pub fn hash_of(parts: &[Parcel]) -> Option<[u8; 32]> {
    let hash = |part: &Parcel| part.request(|_| Ok(None)).ok().flatten().map(|request| request.hash());
    let hashes: Vec<[u8; 32]> = parts.iter().map(hash).collect::<Option<_>>()?;
    match hashes.as_slice() {
        [only] => Some(*only),
        several => Some(sha256(several.as_flattened())),
    }
}

/// The same of a delivery in the form in which it stands in a request: in another form it is another one.
pub fn hash_in(shape: Shape, parts: &[Parcel]) -> Option<[u8; 32]> {
    let hash = hash_of(parts)?;
    let form: &[u8] = match shape {
        Shape::Alone => return Some(hash),
        Shape::Array => b"array",
        Shape::Lines => b"lines",
        // The frame in which it stands is a part of it already.
        Shape::Spec => return Some(hash),
    };
    Some(sha256(&[&hash, form].concat()))
}

/// SHA-256 of an answer's body.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(bytes);
    finish(context)
}

fn finish(context: digest::Context) -> [u8; 32] {
    let mut hash = [0; 32];
    // SHA-256 always gives 32 bytes; zip keeps this free of a length check that could panic.
    hash.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    hash
}

/// What one attempt came to, with what the audit keeps of it.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The verdict's input.
    pub outcome: Outcome,
    /// What came of each record of a joined request, in its order, where the target said so; else empty.
    pub items: Vec<Outcome>,
    /// HTTP status, when an answer came.
    pub status: Option<u16>,
    /// SHA-256 over method, URL, headers and body as sent (without authentication).
    pub request_hash: [u8; 32],
    /// SHA-256 of the answer's body as far as it was read.
    pub answer_hash: Option<[u8; 32]>,
    /// Body bytes sent and received.
    pub bytes: (u64, u64),
    /// From first byte out to last byte in.
    pub took: Duration,
    /// What is to be remembered of its records at this target.
    pub left: Vec<Left>,
}

/// What a delivery leaves behind for the later ones of the same record: what the target calls it, its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// The event's type.
    pub kind: String,
    /// The record's key, as JSON.
    pub key: String,
    /// Names and values; none = the target has the record no more.
    pub values: Option<Vec<(String, String)>>,
}

/// What earlier deliveries left behind.
pub trait Links: Send + Sync + std::fmt::Debug {
    /// The names and values of a record; an error says why they cannot be had.
    fn of(&self, kind: &str, key: &str) -> Result<Vec<(String, String)>, String>;
}

/// What a target has shown of itself beside its answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Until when its certificate is valid, with the chain that it sent; none = not seen yet, or it has none.
    pub certificate_until: Option<Timestamp>,
    /// By how many milliseconds its clock is ahead of ours, as its last `Date` said (to half a second); none = not said yet.
    pub ahead_ms: Option<i64>,
}

/// An outside system.
pub trait Adapter: Send + Sync + std::fmt::Debug {
    /// `scheme://host:port` of the endpoint; the breaker is kept per (connector, origin).
    fn origin(&self) -> &str;

    /// The request that a parcel makes, without authentication: pure, the same bytes at every call. None = nothing is
    /// to be sent (`delete: skip`): the event is skipped at this target. A failure is an `encoding`, `template` or
    /// `delete-rule` reason: the event is held.
    ///
    /// Whoever needs the request before it is sent (an intent's hash) renders once and delivers
    /// [`Parcel::frozen`], so that nothing is encoded twice.
    fn render(&self, parcel: &Parcel) -> Result<Option<Request>, Reason>;

    /// The whole URL that a handler's push to `url` means: a path at the endpoint's origin, or a URL of it. A host never comes
    /// from data, nor from code that may have it from data: any other origin is refused (class `push`).
    fn pushed(&self, _url: &str) -> Result<String, Reason> {
        Err(Reason::new("push", "the adapter takes no URL: push to the connector's own"))
    }

    /// The paths of the fields that URL and header templates name (`Cleared::field` must answer them).
    fn fields(&self) -> &[String];

    /// The calls that a parcel makes, as far as they are known before any answer; `simulate` shows them.
    fn calls(&self, parcel: &Parcel) -> Result<Vec<Request>, Reason> {
        Ok(self.render(parcel)?.into_iter().collect())
    }

    /// Goes through a delivery without a connection, with the answers that `answer` gives (none = no more of them).
    fn rehearse(
        &self,
        parcel: &Parcel,
        answer: &mut dyn FnMut(&Request) -> Option<http::Reply>,
    ) -> Result<http::Rehearsed, Reason>;

    /// Whether parcels must come with the key of their record.
    fn identifies(&self) -> bool {
        false
    }

    /// Gives it what earlier deliveries left behind; whoever needs none of it does nothing.
    fn attach(&self, links: Arc<dyn Links>) {
        let _ = links;
    }

    /// Connections of their own for one worker, at most `most`.
    ///
    /// # Errors
    /// When the operating system does not give what they are watched with.
    fn fleet(&self, most: usize) -> std::io::Result<Box<dyn Fleet>>;

    /// Reaches the target without changing anything (`check --online`): resolves, connects, TLS, and has the
    /// credential ready (an OAuth2 token is fetched, which proves client and secret).
    fn probe(&self) -> Result<String, Reason>;

    /// Whether the target can be asked if it works, by more than a connection ([`Adapter::ask`]).
    fn has_probe(&self) -> bool {
        false
    }

    /// Asks the target whether it works, without changing anything there. An error says what was answered, or why nothing was.
    fn ask(&self) -> Result<(), Reason> {
        Ok(())
    }

    /// Ends what is under way and would outlive the agent: nobody waits for it any more.
    fn abandon(&self) {}

    /// What the target has shown of itself since the start.
    fn shown(&self) -> Shown {
        Shown::default()
    }

    /// The authentication headers, masked, as `simulate` shows them.
    fn masked_headers(&self) -> Vec<(String, String)>;
}

/// What came of a delivery: of each part that was tried; the first that is not delivered is the last.
#[derive(Debug)]
pub struct Ended {
    /// As it was begun with.
    pub ticket: u64,
    /// What came of its parts; empty when the fleet had no room for it.
    pub deliveries: Vec<Delivery>,
}

/// One worker's way to the target: several deliveries at once, one attempt each, on connections that it owns. Used by
/// one thread.
pub trait Fleet: Send {
    /// How many more deliveries can be begun now.
    fn room(&self) -> usize;

    /// Begins a delivery: its parts in order, until one is not delivered. Never retries (but for one credential refresh
    /// and one 421). A parcel that does not render is [`Outcome::Reject`]ed without being sent: callers hold such an
    /// event after [`Adapter::render`] instead.
    fn begin(&mut self, ticket: u64, parts: Arc<[Parcel]>);

    /// Waits until a delivery has ended, or something came in, or the waker was called, or the patience is at its end
    /// (none = without end), and appends what has ended.
    ///
    /// # Errors
    /// When the operating system refuses to wait; the fleet is of no use then.
    fn wait(&mut self, patience: Option<Duration>, ended: &mut Vec<Ended>) -> std::io::Result<()>;

    /// Ends a wait from another thread.
    fn waker(&self) -> Arc<dyn Fn() + Send + Sync>;
}
