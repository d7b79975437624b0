//! Sealing: a day of the chain becomes a file of the archive, and another key signs from then on.

use super::{Archivist, ArchivistError, FORGET, KEY, KEY_ROW, NEXT_KEY, SEAL, random, record, vouched};
use crate::clock::{self, Timestamp};
use crate::engine::archive::day_text;
use crate::format::note::Checkpoint;
use crate::format::segment::{Head as SegmentHead, Writer};
use crate::rules::chain::{BEGINNING, Body, Hash, Row, day, link};
use crate::rules::hex::hex;
use crate::store::state::segment::{self, Segment};
use crate::store::state::{StateError, chain, note, set_note};

/// Rows that are read in one snapshot: a long one would keep the state file's log from being emptied.
const BLOCK: usize = 200;
/// Nor more bytes of them, unless one alone has more.
const BLOCK_BYTES: usize = 256 << 10;
/// A piece has no more rows, so that a busy day is several.
const ROWS: i64 = 20_000;
/// Nor more bytes of them.
const BYTES: usize = 128 << 20;

/// A row as it was read.
struct Taken {
    bytes: Vec<u8>,
    hash: Option<Hash>,
}

/// What was read so far.
struct Progress {
    last_n: i64,
    hash: Hash,
    last_at: Timestamp,
    bytes: usize,
    day: i64,
}

impl Archivist {
    /// Seals what comes next, when its day is over or it is as large as a piece may be. True when it did.
    pub(super) fn seal_next(&mut self) -> Result<bool, ArchivistError> {
        let (sealed, last, head) =
            self.reader.read(|db| Ok((segment::sealed(db)?, segment::last(db)?, chain::head(db)?)))?;
        let before = last.map_or(BEGINNING, |last| last.hash);
        let block = self.block(sealed)?;
        let rows = || block.iter().filter_map(|taken| Row::read(&taken.bytes));
        // What sealing itself has left stands at the beginning, and is sealed with what comes after it.
        let Some((first_n, of_day)) =
            rows().next().map(|row| row.n).zip(rows().find(|row| !is_own(row)).map(|row| row.day()))
        else {
            return Ok(false);
        };
        if of_day == day(clock::now()) && head.n - sealed < ROWS {
            return Ok(false);
        }
        let name = self.archive.name(of_day, first_n);
        let sealing = self.write(&name, (sealed, before), of_day, block);
        if sealing.is_err() {
            self.archive.give_up(&name);
        }
        let segment = sealing?;
        log::info!("audit: {} is sealed: {} records", segment.name, segment.records);
        self.ledger.call(move |state| {
            state.commit(|db| {
                segment::seal(db, &segment)?;
                let Segment { first_n, last_n, records, hash, name, .. } = &segment;
                let reason = format!("records {first_n} to {last_n}, {records} of them, hash {}", hex(hash));
                record(db, SEAL, name, &reason)
            })
        })?;
        Ok(true)
    }

    fn block(&mut self, after: i64) -> Result<Vec<Taken>, StateError> {
        let mut block = Vec::new();
        let mut bytes = 0;
        self.reader.read(|db| {
            chain::rows(db, after, |stored| {
                bytes += stored.bytes.len();
                block.push(Taken { bytes: stored.bytes.to_vec(), hash: stored.hash });
                block.len() < BLOCK && bytes < BLOCK_BYTES
            })
        })?;
        Ok(block)
    }

    fn write(
        &mut self,
        name: &str,
        (sealed, before): (i64, Hash),
        of_day: i64,
        mut block: Vec<Taken>,
    ) -> Result<Segment, ArchivistError> {
        let failed = |error| ArchivistError::Write { name: name.to_owned(), error };
        let first = block.first().and_then(|taken| Row::read(&taken.bytes)).map_or(sealed + 1, |row| row.n);
        let origin = self.archive.origin().to_owned();
        let head = SegmentHead { origin: origin.clone(), day: day_text(of_day), first, previous: hex(&before) };
        let mut writer = Writer::new(self.archive.draft(name)?, &head).map_err(failed)?;
        let key_row = self.reader.read(|db| note(db, KEY_ROW))?.and_then(|row| row.parse().ok()).unwrap_or(-1);
        let mut at = Progress { last_n: sealed, hash: before, last_at: Timestamp(i64::MIN), bytes: 0, day: of_day };
        'day: loop {
            for taken in &block {
                let Some(row) = Row::read(&taken.bytes) else {
                    return Err(ArchivistError::Broken { n: at.last_n + 1 });
                };
                let ends = row.day() != at.day && !is_own(&row) || row.n - first >= ROWS || at.bytes >= BYTES;
                // What a key signs has that key in it, or before it.
                if ends && at.last_n >= key_row {
                    break 'day;
                }
                let hash = link(&at.hash, &taken.bytes);
                // What was changed is not signed: it stays where it is, for whoever looks into it.
                if taken.hash != Some(hash) {
                    return Err(ArchivistError::Broken { n: row.n });
                }
                writer.row(&row, &taken.bytes, &hash).map_err(failed)?;
                at.bytes += taken.bytes.len();
                (at.last_n, at.hash, at.last_at) = (row.n, hash, at.last_at.max(row.at));
            }
            block = self.block(at.last_n)?;
            if block.is_empty() {
                break;
            }
        }
        let checkpoint = Checkpoint { origin, size: at.last_n, root: at.hash };
        let signed = self.signer.sign(&checkpoint).ok_or(ArchivistError::Random)?;
        let (file, end, index) = writer.finish(&signed).map_err(failed)?;
        let size = self.archive.keep(name, file, &index)?;
        Ok(Segment {
            first_n: first,
            last_n: at.last_n,
            day: of_day,
            name: name.to_owned(),
            hash: at.hash,
            last_at: at.last_at,
            records: end.records,
            size,
        })
    }

    /// Goes over to another key: whoever comes by that one cannot sign the past anew.
    pub(super) fn turn(&mut self) -> Result<(), ArchivistError> {
        let next = random()?;
        let signer = self.archive.signer(&next).ok_or(ArchivistError::Random)?;
        let key = signer.verifier().ok_or(ArchivistError::Random)?;
        let certificate = vouched(self.signer.certify(&key), self.voucher.as_ref(), &key);
        let text = key.text();
        self.archive.keep_keys(&self.seed, Some(&next))?;
        self.ledger.call(move |state| {
            state.commit(|db| {
                record(db, NEXT_KEY, &text, &certificate)?;
                set_note(db, KEY_ROW, &chain::head(db)?.n.to_string())?;
                set_note(db, KEY, &text)
            })
        })?;
        self.archive.keep_keys(&next, None)?;
        (self.seed, self.signer) = (next, signer);
        self.sign()?;
        let sealed = self.reader.read(segment::sealed)?;
        Ok(self.archive.trim_checkpoints(sealed)?)
    }
}

/// Whether a row says what the archivist itself did: an agent that does nothing else seals nothing.
fn is_own(row: &Row<'_>) -> bool {
    matches!(row.body, Body::Act { verb: SEAL | FORGET | NEXT_KEY, .. })
}
