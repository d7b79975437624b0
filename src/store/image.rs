//! Events, records and values as bytes: exact for every storage class, the same bytes for the same record.
//!
//! Used for the copy of a parked event and wherever a record is hashed. Layout: one tag byte, then the value;
//! lengths and numbers are LEB128 (integers zig-zag). `VERSION` leads an event.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::event::{Event, EventId, Op, Record, Value};

const VERSION: u8 = 1;
/// The same with the URL of a push behind it.
const PUSHED: u8 = 2;
/// Deepest nesting that is read back; payloads are limited to the same depth when they are taken in.
const DEPTH: usize = 128;

/// The bytes are not an event of a version known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stored copy of the event cannot be read: it was damaged, or written by a newer version")]
pub struct Unreadable;

/// An event as bytes.
pub fn encode_event(event: &Event) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.push(if event.push.is_some() { PUSHED } else { VERSION });
    out.extend_from_slice(&event.id.epoch.to_le_bytes());
    out.extend_from_slice(&event.id.seq.to_le_bytes());
    out.extend_from_slice(&event.id.nonce.to_le_bytes());
    text(&mut out, &event.log);
    text(&mut out, &event.kind);
    out.push(match event.op {
        Op::Insert => b'I',
        Op::Update => b'U',
        Op::Delete => b'D',
        Op::Event => b'E',
    });
    record(&mut out, &event.key);
    optional(&mut out, event.old_key.as_ref(), record);
    optional(&mut out, event.before.as_ref(), record);
    optional(&mut out, event.after.as_ref(), record);
    number(&mut out, event.changed.len() as u64);
    event.changed.iter().for_each(|name| text(&mut out, name));
    out.extend_from_slice(&event.at.0.to_le_bytes());
    optional(&mut out, event.origin.as_deref(), text);
    optional(&mut out, event.dest.as_deref(), text);
    out.extend_from_slice(&event.lane.to_le_bytes());
    optional(&mut out, event.old_lane.as_ref(), |out, lane| out.extend_from_slice(&lane.to_le_bytes()));
    out.push(u8::from(event.synthetic));
    event.push.iter().for_each(|url| text(&mut out, url));
    out
}

/// An event from its bytes.
pub fn decode_event(bytes: &[u8]) -> Result<Event, Unreadable> {
    let mut input = Input(bytes);
    let version = input.byte()?;
    if version != VERSION && version != PUSHED {
        return Err(Unreadable);
    }
    let id = EventId {
        epoch: u32::from_le_bytes(input.array()?),
        seq: i64::from_le_bytes(input.array()?),
        nonce: u32::from_le_bytes(input.array()?),
    };
    let log = input.name()?;
    let kind = input.name()?;
    let op = match input.byte()? {
        b'I' => Op::Insert,
        b'U' => Op::Update,
        b'D' => Op::Delete,
        b'E' => Op::Event,
        _ => return Err(Unreadable),
    };
    let key = input.record(0)?;
    let old_key = input.optional(|input| input.record(0))?;
    let before = input.optional(|input| input.record(0))?;
    let after = input.optional(|input| input.record(0))?;
    let changed = (0..input.number()?).map(|_| input.name()).collect::<Result<_, _>>()?;
    Ok(Event {
        id,
        log,
        kind,
        op,
        key,
        old_key,
        before,
        after,
        changed,
        at: Timestamp(i64::from_le_bytes(input.array()?)),
        origin: input.optional(Input::name)?,
        dest: input.optional(Input::name)?,
        lane: u64::from_le_bytes(input.array()?),
        old_lane: input.optional(|input| Ok(u64::from_le_bytes(input.array()?)))?,
        synthetic: input.byte()? != 0,
        push: if version == PUSHED { Some(input.name()?) } else { None },
    })
}

/// A record as bytes, for hashing: names and values in order.
pub fn encode_record(fields: &Record) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    record(&mut out, fields);
    out
}

/// Part of a record that is written from what is borrowed.
#[derive(Clone, Debug)]
pub enum Piece<'a> {
    /// [`Value::Null`].
    Null,
    /// [`Value::Bool`].
    Bool(bool),
    /// [`Value::Integer`].
    Integer(i64),
    /// [`Value::Text`].
    Text(&'a str),
    /// [`Value::List`].
    List(&'a [Value]),
    /// [`Value::Map`].
    Map(&'a Record),
    /// A list of pieces.
    Each(Vec<Piece<'a>>),
    /// A map of pieces.
    Pieces(Vec<(&'a str, Piece<'a>)>),
}

/// The bytes that [`encode_record`] has for a record of such values, without copying them into one.
pub fn encode_pieces(pieces: &[(&str, Piece<'_>)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    self::pieces(&mut out, pieces);
    out
}

fn pieces(out: &mut Vec<u8>, pieces: &[(&str, Piece<'_>)]) {
    number(out, pieces.len() as u64);
    for (name, piece) in pieces {
        text(out, name);
        self::piece(out, piece);
    }
}

fn piece(out: &mut Vec<u8>, piece: &Piece<'_>) {
    match piece {
        Piece::Null => value(out, &Value::Null),
        Piece::Bool(flag) => value(out, &Value::Bool(*flag)),
        Piece::Integer(n) => value(out, &Value::Integer(*n)),
        Piece::Text(content) => {
            out.push(b't');
            text(out, content);
        }
        Piece::List(items) => {
            out.push(b'l');
            number(out, items.len() as u64);
            items.iter().for_each(|item| value(out, item));
        }
        Piece::Map(fields) => {
            out.push(b'm');
            record(out, fields);
        }
        Piece::Each(items) => {
            out.push(b'l');
            number(out, items.len() as u64);
            items.iter().for_each(|item| self::piece(out, item));
        }
        Piece::Pieces(parts) => {
            out.push(b'm');
            pieces(out, parts);
        }
    }
}

/// A record from its bytes.
pub fn decode_record(bytes: &[u8]) -> Result<Record, Unreadable> {
    Input(bytes).record(0)
}

fn number(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push((n as u8) | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn text(out: &mut Vec<u8>, text: &str) {
    bytes(out, text.as_bytes());
}

fn optional<T: ?Sized>(out: &mut Vec<u8>, value: Option<&T>, write: impl FnOnce(&mut Vec<u8>, &T)) {
    match value {
        None => out.push(0),
        Some(value) => {
            out.push(1);
            write(out, value);
        }
    }
}

fn record(out: &mut Vec<u8>, fields: &Record) {
    number(out, fields.len() as u64);
    for (name, value) in fields.iter() {
        text(out, name);
        self::value(out, value);
    }
}

fn value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.push(b'n'),
        Value::Bool(flag) => out.extend_from_slice(&[b'f', u8::from(*flag)]),
        Value::Integer(n) => {
            out.push(b'i');
            number(out, ((n << 1) ^ (n >> 63)) as u64);
        }
        Value::Real(n) => {
            out.push(b'r');
            out.extend_from_slice(&n.to_bits().to_le_bytes());
        }
        Value::Number(digits) => {
            out.push(b'd');
            text(out, digits);
        }
        Value::Text(content) => {
            out.push(b't');
            text(out, content);
        }
        Value::BadText(content) => {
            out.push(b'x');
            bytes(out, content);
        }
        Value::Blob(content) => {
            out.push(b'b');
            bytes(out, content);
        }
        Value::List(items) => {
            out.push(b'l');
            number(out, items.len() as u64);
            items.iter().for_each(|item| self::value(out, item));
        }
        Value::Map(fields) => {
            out.push(b'm');
            record(out, fields);
        }
    }
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], Unreadable> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or(Unreadable)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        self.take(N)?.try_into().map_err(|_| Unreadable)
    }

    fn byte(&mut self) -> Result<u8, Unreadable> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn number(&mut self) -> Result<u64, Unreadable> {
        let mut n = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            n |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(n);
            }
        }
        Err(Unreadable)
    }

    fn bytes(&mut self) -> Result<&'a [u8], Unreadable> {
        let length = usize::try_from(self.number()?).map_err(|_| Unreadable)?;
        self.take(length)
    }

    fn text(&mut self) -> Result<&'a str, Unreadable> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Unreadable)
    }

    fn name(&mut self) -> Result<Arc<str>, Unreadable> {
        self.text().map(Arc::from)
    }

    fn optional<T>(
        &mut self,
        read: impl FnOnce(&mut Input<'a>) -> Result<T, Unreadable>,
    ) -> Result<Option<T>, Unreadable> {
        match self.byte()? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err(Unreadable),
        }
    }

    fn record(&mut self, depth: usize) -> Result<Record, Unreadable> {
        let fields = self.number()?;
        (0..fields).map(|_| Ok((self.name()?, self.value(depth)?))).collect()
    }

    fn value(&mut self, depth: usize) -> Result<Value, Unreadable> {
        if depth > DEPTH {
            return Err(Unreadable);
        }
        Ok(match self.byte()? {
            b'n' => Value::Null,
            b'f' => Value::Bool(self.byte()? != 0),
            b'i' => {
                let n = self.number()?;
                Value::Integer(((n >> 1) as i64) ^ -((n & 1) as i64))
            }
            b'r' => Value::Real(f64::from_bits(u64::from_le_bytes(self.array()?))),
            b'd' => Value::Number(self.text()?.into()),
            b't' => Value::Text(self.text()?.into()),
            b'x' => Value::BadText(self.bytes()?.to_vec()),
            b'b' => Value::Blob(self.bytes()?.to_vec()),
            b'l' => {
                let items = self.number()?;
                Value::List((0..items).map(|_| self.value(depth + 1)).collect::<Result<_, _>>()?)
            }
            b'm' => Value::Map(self.record(depth + 1)?),
            _ => return Err(Unreadable),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn event() -> Event {
        let image: Record = [
            ("id", Value::Integer(i64::MIN)),
            ("max", Value::Integer(i64::MAX)),
            ("third", Value::Real(1.0 / 3.0)),
            ("endless", Value::Real(f64::INFINITY)),
            ("bad", Value::BadText(vec![0xff, 0])),
            ("blob", Value::Blob(vec![0, 1, 2])),
            ("nested", Value::List(vec![Value::Map([("a", Value::Bool(true))].into_iter().collect()), Value::Null])),
            ("digits", Value::Number("18446744073709551616".into())),
        ]
        .into_iter()
        .collect();
        Event {
            id: EventId { epoch: 7, seq: 42, nonce: 9 },
            log: "office".into(),
            kind: "appointments".into(),
            op: Op::Update,
            key: [("id", Value::Integer(1))].into_iter().collect(),
            old_key: Some([("id", Value::Integer(2))].into_iter().collect()),
            before: None,
            after: Some(image),
            changed: vec!["id".into(), "third".into()],
            at: Timestamp(-5),
            origin: Some("lotus".into()),
            dest: None,
            push: None,
            lane: u64::MAX,
            old_lane: Some(3),
            synthetic: true,
        }
    }

    #[test]
    fn a_stored_event_reads_back_exactly() {
        assert_eq!(decode_event(&encode_event(&event())), Ok(event()));
        let push = Event { push: Some("https://lotus.example/x".into()), ..event() };
        assert_eq!(decode_event(&encode_event(&push)), Ok(push));
    }

    #[test]
    fn damaged_bytes_are_refused_and_never_panic() {
        let whole = encode_event(&event());
        for cut in 0..whole.len() {
            assert_eq!(decode_event(&whole[..cut]), Err(Unreadable), "cut at {cut}");
        }
        for at in 0..whole.len() {
            for flip in [1, 0x80, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] ^= flip;
                let _ = decode_event(&damaged);
            }
        }
    }
}
