//! How the entries of one row of the attempt log are packed.
//!
//! `entries` of an `intent` row is a sequence of records: seq i64, epoch u32, nonce u32, attempt u32, key mac 8 bytes.
//! The highest bits of the attempt number are flags. `JOINED`: the event goes in one request with the one before it.
//! `TYPED`: op u8 and type u16 follow, the type as a place in the row's list of types. `MOVED`: the mac of the old
//! key follows, 8 bytes. Of an `outcome` row: seq i64, epoch u32, nonce u32, word u8, HTTP status u16 (0 = none),
//! duration in microseconds u32, body bytes out u32 and in u32, SHA-256 of the request and of the answer's body (zeros
//! = none), then the class of the failure as one length byte and its text. All numbers little-endian.

use std::sync::Arc;

use super::{Intent, Settled, Word};
use crate::event::{EventId, Op};

const JOINED: u32 = 1 << 31;
const TYPED: u32 = 1 << 30;
const MOVED: u32 = 1 << 29;
/// No attempt has a higher number than fits below the flags.
const HIGHEST: u32 = MOVED - 1;

/// The types of the events of one row, each once, in the order of their first appearance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kinds(Vec<Arc<str>>);

impl Kinds {
    /// From the list as it is stored: a JSON array of names. What cannot be read has no names.
    pub fn read(text: &str) -> Kinds {
        Kinds(serde_json::from_str(text).unwrap_or_default())
    }

    /// As it is stored; none = no event has a type.
    pub fn text(&self) -> Option<String> {
        if self.0.is_empty() { None } else { serde_json::to_string(&self.0).ok() }
    }

    fn place(&mut self, kind: &Arc<str>) -> u16 {
        let at = self.0.iter().position(|known| known == kind).unwrap_or_else(|| {
            self.0.push(kind.clone());
            self.0.len() - 1
        });
        // No row has so many events.
        u16::try_from(at).unwrap_or(u16::MAX)
    }

    fn at(&self, place: u16) -> Arc<str> {
        self.0.get(usize::from(place)).cloned().unwrap_or_default()
    }
}

fn op_byte(op: Op) -> u8 {
    match op {
        Op::Insert => 1,
        Op::Update => 2,
        Op::Delete => 3,
        Op::Event => 4,
    }
}

fn op_of(byte: u8) -> Option<Op> {
    [Op::Insert, Op::Update, Op::Delete, Op::Event].into_iter().find(|op| op_byte(*op) == byte)
}

/// Writes an intent behind others.
pub fn put_intent(intent: &Intent, kinds: &mut Kinds, out: &mut Vec<u8>) {
    put_id(out, intent.id);
    let mut number = intent.attempt.min(HIGHEST);
    for (flag, set) in [(JOINED, intent.joined), (TYPED, intent.what.is_some()), (MOVED, intent.old_mac.is_some())] {
        number |= if set { flag } else { 0 };
    }
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(&intent.mac);
    if let Some((kind, op)) = &intent.what {
        out.push(op_byte(*op));
        out.extend_from_slice(&kinds.place(kind).to_le_bytes());
    }
    if let Some(mac) = &intent.old_mac {
        out.extend_from_slice(mac);
    }
}

/// Writes an outcome behind others.
pub fn put_settled(settled: &Settled, out: &mut Vec<u8>) {
    put_id(out, settled.id);
    out.push(settled.word as u8);
    out.extend_from_slice(&settled.status.to_le_bytes());
    out.extend_from_slice(&settled.took_us.to_le_bytes());
    out.extend_from_slice(&settled.bytes.0.to_le_bytes());
    out.extend_from_slice(&settled.bytes.1.to_le_bytes());
    out.extend_from_slice(&settled.request_hash);
    out.extend_from_slice(&settled.answer_hash);
    let class = settled.class.as_bytes();
    let length = class.len().min(255);
    out.push(length as u8);
    out.extend_from_slice(&class[..length]);
}

fn put_id(out: &mut Vec<u8>, id: EventId) {
    out.extend_from_slice(&id.seq.to_le_bytes());
    out.extend_from_slice(&id.epoch.to_le_bytes());
    out.extend_from_slice(&id.nonce.to_le_bytes());
}

fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = from.split_at_checked(N)?;
    *from = rest;
    taken.try_into().ok()
}

fn take_id(from: &mut &[u8]) -> Option<EventId> {
    Some(EventId {
        seq: i64::from_le_bytes(take(from)?),
        epoch: u32::from_le_bytes(take(from)?),
        nonce: u32::from_le_bytes(take(from)?),
    })
}

/// Takes the first intent off; none = it cannot be read.
pub fn take_intent(from: &mut &[u8], kinds: &Kinds) -> Option<Intent> {
    let (id, number, mac) = (take_id(from)?, u32::from_le_bytes(take(from)?), take(from)?);
    let mut what = None;
    if number & TYPED != 0 {
        let [op] = take(from)?;
        what = Some((kinds.at(u16::from_le_bytes(take(from)?)), op_of(op)?));
    }
    let old_mac = if number & MOVED != 0 { Some(take(from)?) } else { None };
    Some(Intent { id, attempt: number & HIGHEST, mac, old_mac, joined: number & JOINED != 0, what })
}

/// Takes the first outcome off; none = it cannot be read.
pub fn take_settled(from: &mut &[u8]) -> Option<Settled> {
    let id = take_id(from)?;
    let [word] = take(from)?;
    let status = u16::from_le_bytes(take(from)?);
    let took_us = u32::from_le_bytes(take(from)?);
    let bytes = (u32::from_le_bytes(take(from)?), u32::from_le_bytes(take(from)?));
    let (request_hash, answer_hash) = (take(from)?, take(from)?);
    let [length] = take(from)?;
    let (class, rest) = from.split_at_checked(usize::from(length))?;
    *from = rest;
    let class = String::from_utf8_lossy(class).into_owned();
    Some(Settled { id, word: Word::from_byte(word), status, took_us, bytes, request_hash, answer_hash, class })
}

/// Bytes of an intent before what its flags say that follows.
const INTENT: usize = 16 + 4 + 8;
/// Bytes of an outcome before the text of its class, its length among them.
const OUTCOME: usize = 16 + 1 + 2 + 4 + 4 + 4 + 32 + 32 + 1;
/// Where the two hashes of an outcome stand in it.
pub const HASHES: std::ops::Range<usize> = 31..95;

/// How many bytes every entry has.
pub const fn fixed(intents: bool) -> usize {
    if intents { INTENT } else { OUTCOME }
}

/// How many bytes follow those that every entry has; none = these are no such bytes.
pub fn following(intents: bool, fixed: &[u8]) -> Option<usize> {
    if intents {
        let number = u32::from_le_bytes(fixed.get(16..20)?.try_into().ok()?);
        let flagged = |flag, bytes| if number & flag != 0 { bytes } else { 0 };
        Some(flagged(TYPED, 3) + flagged(MOVED, 8))
    } else {
        fixed.get(OUTCOME - 1).map(|length| usize::from(*length))
    }
}

/// One entry as it lies in its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framed<'a> {
    /// The bytes that every entry has.
    pub fixed: &'a [u8],
    /// What follows them.
    pub tail: &'a [u8],
}

impl Framed<'_> {
    /// The position of its event.
    pub fn seq(&self) -> i64 {
        self.fixed.first_chunk().map_or(0, |seq| i64::from_le_bytes(*seq))
    }

    /// The macs of an intent: of the key, and of the old key when it has one.
    pub fn macs(&self) -> impl Iterator<Item = [u8; 8]> {
        let moved = self.tail.len() >= 8;
        let old = self.tail.last_chunk::<8>().copied().filter(|_| moved);
        self.fixed.last_chunk::<8>().copied().into_iter().chain(old)
    }
}

/// Takes the first entry off without reading it; none = it is cut off.
pub fn take_framed<'a>(intents: bool, from: &mut &'a [u8]) -> Option<Framed<'a>> {
    let (fixed, rest) = from.split_at_checked(fixed(intents))?;
    let (tail, rest) = rest.split_at_checked(following(intents, fixed)?)?;
    *from = rest;
    Some(Framed { fixed, tail })
}

/// How many entries a row has, and their lowest and highest positions, without reading the rest of them; none = they
/// cannot be read to their end.
pub fn extent(intents: bool, mut entries: &[u8]) -> Option<(u64, i64, i64)> {
    let (mut count, mut low, mut high) = (0, i64::MAX, i64::MIN);
    while !entries.is_empty() {
        let seq = take_framed(intents, &mut entries)?.seq();
        (count, low, high) = (count + 1, low.min(seq), high.max(seq));
    }
    Some((count, low, high))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn intent() -> impl Strategy<Value = Intent> {
        let id =
            (any::<u32>(), any::<i64>(), any::<u32>()).prop_map(|(epoch, seq, nonce)| EventId { epoch, seq, nonce });
        let what = prop::option::of((
            "[a-z\n\"]{0,3}".prop_map(Arc::from),
            prop::sample::select(vec![Op::Insert, Op::Update, Op::Delete, Op::Event]),
        ));
        (id, 0..=HIGHEST, any::<[u8; 8]>(), any::<Option<[u8; 8]>>(), any::<bool>(), what)
            .prop_map(|(id, attempt, mac, old_mac, joined, what)| Intent { id, attempt, mac, old_mac, joined, what })
    }

    fn settled() -> impl Strategy<Value = Settled> {
        (any::<i64>(), 1u8..=9, any::<u16>(), any::<u32>(), any::<[u8; 32]>(), "[a-z-]{0,40}").prop_map(
            |(seq, word, status, took_us, request_hash, class)| Settled {
                id: EventId { epoch: 1, seq, nonce: 2 },
                word: Word::from_byte(word),
                status,
                took_us,
                bytes: (took_us, 3),
                request_hash,
                answer_hash: [0; 32],
                class,
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked_and_measured(
            intents in prop::collection::vec(intent(), 1..20), outcomes in prop::collection::vec(settled(), 1..20),
        ) {
            let (mut kinds, mut bytes) = (Kinds::default(), Vec::new());
            intents.iter().for_each(|intent| put_intent(intent, &mut kinds, &mut bytes));
            let kinds = kinds.text().map(|text| Kinds::read(&text)).unwrap_or_default();
            let seqs = || intents.iter().map(|intent| intent.id.seq);
            let measured = (intents.len() as u64, seqs().min().unwrap(), seqs().max().unwrap());
            prop_assert_eq!(extent(true, &bytes), Some(measured));
            let mut framed = bytes.as_slice();
            for intent in &intents {
                let entry = take_framed(true, &mut framed).unwrap();
                let macs: Vec<_> = [Some(intent.mac), intent.old_mac].into_iter().flatten().collect();
                prop_assert_eq!((entry.seq(), entry.macs().collect::<Vec<_>>()), (intent.id.seq, macs));
            }
            let mut rest = bytes.as_slice();
            for intent in &intents {
                prop_assert_eq!(take_intent(&mut rest, &kinds), Some(intent.clone()));
            }
            let mut bytes = Vec::new();
            outcomes.iter().for_each(|settled| put_settled(settled, &mut bytes));
            prop_assert_eq!(extent(false, &bytes).map(|(count, ..)| count), Some(outcomes.len() as u64));
            let first = take_framed(false, &mut bytes.as_slice()).unwrap();
            prop_assert_eq!(&first.fixed[HASHES], [outcomes[0].request_hash, outcomes[0].answer_hash].concat());
            prop_assert_eq!(first.tail, outcomes[0].class.as_bytes());
            let mut rest = bytes.as_slice();
            for settled in &outcomes {
                prop_assert_eq!(take_settled(&mut rest), Some(settled.clone()));
            }
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let (mut intents, mut outcomes) = (bytes.as_slice(), bytes.as_slice());
            while take_intent(&mut intents, &Kinds::default()).is_some() {}
            while take_settled(&mut outcomes).is_some() {}
            let _ = (extent(true, &bytes), extent(false, &bytes));
        }
    }
}
