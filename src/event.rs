//! The nouns that everything moves: [`Event`], [`EventId`], [`Op`], [`Value`], [`Record`].

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::clock::Timestamp;

/// One value, in the storage class it was written with, or a part of a posted payload.
///
/// SQLite values arrive as `Null`, `Integer`, `Real`, `Text`, `BadText` or `Blob`; JSON payloads add
/// `Bool`, `Number`, `List` and `Map`. Nothing is rounded: integers keep 64 bits, reals 17 digits, blobs
/// and text every byte.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// SQL NULL, JSON null.
    Null,
    /// JSON true or false (SQLite has no such class).
    Bool(bool),
    /// A 64-bit signed integer.
    Integer(i64),
    /// A double. SQLite never stores NaN; infinities occur.
    Real(f64),
    /// The digits of a JSON number that fits neither of the two above without loss, as written.
    Number(Box<str>),
    /// Text that is valid UTF-8; copies share it.
    Text(Arc<str>),
    /// Text that is not valid UTF-8, byte for byte.
    BadText(Vec<u8>),
    /// Bytes.
    Blob(Vec<u8>),
    /// A JSON array.
    List(Vec<Value>),
    /// A JSON object.
    Map(Record),
}

impl Value {
    /// The word for this value's kind, for messages that must not show the value.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Integer(_) => "integer",
            Value::Real(_) | Value::Number(_) => "number",
            Value::Text(_) => "text",
            Value::BadText(_) => "text that is not UTF-8",
            Value::Blob(_) => "blob",
            Value::List(_) => "list",
            Value::Map(_) => "object",
        }
    }

    /// A single value as plain text: text as it is, numbers in the digits that JSON shows, `true`/`false`. None for
    /// null, bytes, text that is not UTF-8, numbers that are not finite, lists and objects.
    pub fn as_text(&self) -> Option<Cow<'_, str>> {
        match self {
            Value::Bool(flag) => Some(Cow::Borrowed(if *flag { "true" } else { "false" })),
            Value::Integer(number) => Some(Cow::Owned(number.to_string())),
            Value::Real(number) if number.is_finite() => Some(Cow::Owned(format!("{number:?}"))),
            Value::Number(text) => Some(Cow::Borrowed(text)),
            Value::Text(text) => Some(Cow::Borrowed(text)),
            Value::Real(_) | Value::Null | Value::BadText(_) | Value::Blob(_) | Value::List(_) | Value::Map(_) => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.into())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Integer(number)
    }
}

/// Named values in order: a row, a key, a JSON object. Records of one table share their names.
#[derive(Clone, Debug, Default)]
pub struct Record {
    names: Names,
    values: Vec<Value>,
}

/// Names that records share.
pub type Shared = Arc<[Arc<str>]>;

/// As many names as there are values.
#[derive(Clone, Debug)]
enum Names {
    Shared(Shared),
    Own(Vec<Arc<str>>),
}

impl Default for Names {
    fn default() -> Names {
        Names::Own(Vec::new())
    }
}

impl Names {
    fn as_slice(&self) -> &[Arc<str>] {
        match self {
            Names::Shared(names) => names,
            Names::Own(names) => names,
        }
    }

    /// The names, to change: no longer shared.
    fn own(&mut self) -> &mut Vec<Arc<str>> {
        loop {
            match self {
                Names::Own(names) => return names,
                Names::Shared(names) => *self = Names::Own(names.to_vec()),
            }
        }
    }
}

impl PartialEq for Record {
    fn eq(&self, other: &Record) -> bool {
        self.names.as_slice() == other.names.as_slice() && self.values == other.values
    }
}

impl Record {
    /// An empty record.
    pub fn new() -> Record {
        Record::default()
    }

    /// An empty record with room for `fields` fields.
    pub fn with_capacity(fields: usize) -> Record {
        Record { names: Names::Own(Vec::with_capacity(fields)), values: Vec::with_capacity(fields) }
    }

    /// A record of values under names that others share; what has no name or no value is left out.
    pub fn shared(names: &Shared, mut values: Vec<Value>) -> Record {
        values.truncate(names.len());
        let names = match names.get(..values.len()) {
            Some(some) if some.len() < names.len() => Names::Own(some.to_vec()),
            _ => Names::Shared(Arc::clone(names)),
        };
        Record { names, values }
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.names.as_slice().iter().position(|field| &**field == name)
    }

    /// The value of a field; names are compared exactly.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.place(name).and_then(|at| self.values.get(at))
    }

    /// The value of the first field whose name `is` accepts, and its place; looked for at `guess` first, where records of
    /// one table have it.
    pub fn find(&self, guess: usize, is: impl Fn(&str) -> bool) -> Option<(usize, &Value)> {
        let names = self.names.as_slice();
        let at = match names.get(guess) {
            Some(name) if is(name) => guess,
            _ => names.iter().position(|name| is(name))?,
        };
        self.values.get(at).map(|value| (at, value))
    }

    /// The value of a field, to change.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Value> {
        self.place(name).and_then(|at| self.values.get_mut(at))
    }

    /// Adds a field at the end, without looking whether it is there already.
    pub fn push(&mut self, name: impl Into<Arc<str>>, value: Value) {
        self.names.own().push(name.into());
        self.values.push(value);
    }

    /// Sets a field: replaced where it stands, else added at the end.
    pub fn set(&mut self, name: &str, value: Value) {
        match self.get_mut(name) {
            Some(old) => *old = value,
            None => self.push(name, value),
        }
    }

    /// Removes a field.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let at = self.place(name)?;
        self.names.own().remove(at);
        Some(self.values.remove(at))
    }

    /// The fields in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, &Value)> {
        self.names.as_slice().iter().zip(&self.values)
    }

    /// How many fields.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether it has no field.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

impl<N: Into<Arc<str>>> FromIterator<(N, Value)> for Record {
    fn from_iter<I: IntoIterator<Item = (N, Value)>>(fields: I) -> Record {
        let (names, values) = fields.into_iter().map(|(name, value)| (name.into(), value)).unzip();
        Record { names: Names::Own(names), values }
    }
}

impl IntoIterator for Record {
    type Item = (Arc<str>, Value);
    type IntoIter = std::iter::Zip<std::vec::IntoIter<Arc<str>>, std::vec::IntoIter<Value>>;

    fn into_iter(mut self) -> Self::IntoIter {
        std::mem::take(self.names.own()).into_iter().zip(self.values)
    }
}

/// What happened to the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// A row was inserted. Receivers treat it as an upsert: `REPLACE` over the same key shows as this.
    Insert,
    /// A row was changed, or its current image is sent again (reconcile, backfill, `sync SYSTEM TYPE ID`).
    Update,
    /// A row was deleted.
    Delete,
    /// No row: an event that was posted or subscribed to.
    Event,
}

impl Op {
    /// The word of the contract: `insert`, `update`, `delete`, `event`.
    pub fn as_str(self) -> &'static str {
        match self {
            Op::Insert => "insert",
            Op::Update => "update",
            Op::Delete => "delete",
            Op::Event => "event",
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An event's identity and idempotency key: `<epoch 8 hex>-<seq>-<nonce 8 hex>`, e.g. `6f1c09aa-17-0b7e22d1`.
///
/// Stable over retry, restart and replay. The epoch changes when a file is found restored or replaced, the
/// nonce is random per row: a sequence number that a power cut or a restore gives to a different change
/// still makes a different key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId {
    /// First 32 bits of the log's epoch.
    pub epoch: u32,
    /// Position in the log.
    pub seq: i64,
    /// First 32 bits of the row's nonce.
    pub nonce: u32,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{}-{:08x}", self.epoch, self.seq, self.nonce)
    }
}

/// The text is not an event id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an event id: expected <epoch>-<seq>-<nonce>, for example 6f1c09aa-17-0b7e22d1")]
pub struct NotAnEventId;

impl FromStr for EventId {
    type Err = NotAnEventId;

    fn from_str(text: &str) -> Result<EventId, NotAnEventId> {
        let mut parts = text.split('-');
        let (Some(epoch), Some(seq), Some(nonce), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NotAnEventId);
        };
        let hex =
            |part: &str| (part.len() == 8).then(|| u32::from_str_radix(part, 16).ok()).flatten().ok_or(NotAnEventId);
        Ok(EventId { epoch: hex(epoch)?, seq: seq.parse().map_err(|_| NotAnEventId)?, nonce: hex(nonce)? })
    }
}

/// One change, or one message, as every part of the agent sees it. Immutable.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Identity and idempotency key.
    pub id: EventId,
    /// Name of the log it was read from (`office`, or `intake` for posted and subscribed events).
    pub log: Arc<str>,
    /// Type: the watched table (or its `as`), or the event type.
    pub kind: Arc<str>,
    /// What happened.
    pub op: Op,
    /// The record's key, in key-column order. Empty for an event that is no row and has no key.
    pub key: Record,
    /// The key before an update that changed it.
    pub old_key: Option<Record>,
    /// The image before: updates and deletes, as far as known.
    pub before: Option<Record>,
    /// The image after: inserts and updates; the payload of an [`Op::Event`].
    pub after: Option<Record>,
    /// Columns whose value differs between `before` and `after`, in column order; for an insert all of them.
    pub changed: Vec<Arc<str>>,
    /// When the application wrote it, by that machine's wall clock. Data, not order.
    pub at: Timestamp,
    /// The connector that a pulled change came from; it is never sent back there.
    pub origin: Option<Arc<str>>,
    /// The one connector a synthetic event is for; none = every connector that listens.
    pub dest: Option<Arc<str>>,
    /// A push of a handler, for `dest` alone: its payload leaves unmapped, to this URL of the connector's own origin (a whole
    /// URL, a path at it, or nothing for the URL that is configured). None = it is no push.
    pub push: Option<Arc<str>>,
    /// Lane of this record: events with equal lanes are delivered in order, one at a time (see `rules::lane`).
    pub lane: u64,
    /// Lane of the old key, when the key changed.
    pub old_lane: Option<u64>,
    /// True for reconcile, backfill and `sync SYSTEM TYPE ID`: nothing changed, the current state is sent.
    pub synthetic: bool,
}

impl Event {
    /// The lanes of the records that it changes: two when it changes a key.
    pub fn lanes(&self) -> impl Iterator<Item = u64> + use<> {
        let second = self.old_lane.filter(|lane| *lane != self.lane);
        [Some(self.lane), second].into_iter().flatten()
    }

    /// An update of some record, for the tests of what only looks at positions and lanes.
    #[cfg(test)]
    pub(crate) fn sample(seq: i64, lane: u64, old_lane: Option<u64>) -> Event {
        Event {
            id: EventId { epoch: 1, seq, nonce: 2 },
            log: "office".into(),
            kind: "t".into(),
            op: Op::Update,
            key: [("id", Value::Integer(1))].into_iter().collect(),
            old_key: None,
            before: None,
            after: Some(Record::new()),
            changed: Vec::new(),
            at: Timestamp(0),
            origin: None,
            dest: None,
            push: None,
            lane,
            old_lane,
            synthetic: false,
        }
    }

    /// Position in its log; commit order.
    pub fn seq(&self) -> i64 {
        self.id.seq
    }

    /// The image that mappings read: `after`, or `before` for a delete (its key alone when no image is known).
    pub fn image(&self) -> &Record {
        match self.op {
            Op::Delete => self.before.as_ref().unwrap_or(&self.key),
            _ => self.after.as_ref().unwrap_or(&self.key),
        }
    }

    /// Whether this is a delete of a record of which nothing but the key is known.
    pub fn is_key_only_delete(&self) -> bool {
        let in_key = |before: &Record| before.iter().all(|(name, _)| self.key.get(name).is_some());
        self.op == Op::Delete && self.before.as_ref().is_none_or(in_key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_id_reads_back_as_it_was_printed() {
        let id = EventId { epoch: 0x6f1c_09aa, seq: 17, nonce: 0x0b7e_22d1 };
        assert_eq!(id.to_string(), "6f1c09aa-17-0b7e22d1");
        assert_eq!("6f1c09aa-17-0b7e22d1".parse(), Ok(id));
        for bad in ["", "17", "6f1c09aa-x-0b7e22d1", "6f1c09aa-17-0b7e22d1-a", "6f1c09-17-0b7e22d1"] {
            assert_eq!(bad.parse::<EventId>(), Err(NotAnEventId), "{bad}");
        }
    }
}
