//! How the entries of one row are packed.
//!
//! `entries` of an `intent` row is a sequence of fixed records: seq i64, epoch u32, nonce u32, attempt u32 (its highest
//! bit says that the event goes in one request with the one before it), key mac 8 bytes. Of an `outcome` row: seq i64,
//! epoch u32, nonce u32, word u8, HTTP status u16 (0 = none), duration in
//! microseconds u32, body bytes out u32 and in u32, SHA-256 of the request and of the answer's body (zeros = none),
//! then the class of the failure as one length byte and its text. All numbers little-endian.

use super::{INTENT, Intent, Line, Settled, Word};
use crate::clock::Timestamp;
use crate::event::EventId;
use crate::store::state::Sql;

/// The bit of a stored attempt number that says so.
const JOINED: u32 = 1 << 31;

/// Writes an intent behind others.
pub(super) fn put_intent(intent: &Intent, out: &mut Vec<u8>) {
    put_id(out, intent.id);
    let joined = if intent.joined { JOINED } else { 0 };
    out.extend_from_slice(&(intent.attempt.min(JOINED - 1) | joined).to_le_bytes());
    out.extend_from_slice(&intent.mac);
}

/// Writes an outcome behind others.
pub(super) fn put_settled(settled: &Settled, out: &mut Vec<u8>) {
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

/// Reads the entries of one row; entries that cannot be read end the row.
pub(super) fn each(row: &rusqlite::Row<'_>, mut line: impl FnMut(Line)) -> Sql<()> {
    let at = Timestamp(row.get(0)?);
    let intent = row.get_ref(1)?.as_str()? == INTENT;
    let config: Option<[u8; 32]> = row.get(2)?;
    let mut entries = row.get_ref(3)?.as_blob()?;
    let entries = &mut entries;
    while !entries.is_empty() {
        let read = if intent {
            take_intent(entries).map(|intent| Line::Intent { at, intent, config })
        } else {
            take_settled(entries).map(|settled| Line::Outcome { at, settled })
        };
        match read {
            Some(read) => line(read),
            None => break,
        }
    }
    Ok(())
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

fn take_intent(from: &mut &[u8]) -> Option<Intent> {
    let (id, attempt, mac) = (take_id(from)?, u32::from_le_bytes(take(from)?), take(from)?);
    Some(Intent { id, attempt: attempt & !JOINED, mac, joined: attempt & JOINED != 0 })
}

fn take_settled(from: &mut &[u8]) -> Option<Settled> {
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
