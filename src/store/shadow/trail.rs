//! The trail: where in a log the events of one record may be, without an index on the log.
//!
//! For each position 16 bits of the event's lane, in blocks of [`BLOCK`] positions. Two records in 65,536 have the same, so
//! what is found is looked at. A position without a mark is looked at as well: the trail may be missing, and never misleads.

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::event::{Event, EventId};

/// Positions of a block.
pub const BLOCK: i64 = 1000;
/// Bytes of a mark.
const MARK: usize = 2;
/// The row that tells which event the trail ends with, by which another file is known.
const END: i64 = -1;

/// The mark of a lane; 0 is that of nothing.
fn mark(lane: u64) -> u16 {
    u16::try_from(lane >> 48).unwrap_or(u16::MAX).max(1)
}

/// Marks events, which follow those that were marked before.
pub(super) fn lay(state: &Connection, log: &str, events: &[Event]) -> rusqlite::Result<()> {
    let Some(last) = events.last() else { return Ok(()) };
    let mut rest = events;
    while let Some(first) = rest.first() {
        let block = first.seq().div_euclid(BLOCK);
        let of_block = rest.iter().take_while(|event| event.seq().div_euclid(BLOCK) == block).count();
        let (these, others) = rest.split_at(of_block);
        let mut marks = marks(state, log, block)?.unwrap_or_default();
        marks.resize(BLOCK as usize * MARK, 0);
        for event in these {
            // A change of a key is of two records: it is looked at for both.
            let mark = if event.old_lane.is_some() { 0 } else { mark(event.lane) };
            let at = usize::try_from(event.seq().rem_euclid(BLOCK)).unwrap_or(0) * MARK;
            if let Some(place) = marks.get_mut(at..at + MARK) {
                place.copy_from_slice(&mark.to_le_bytes());
            }
        }
        put(state, log, block, &marks)?;
        rest = others;
    }
    put(state, log, END, last.id.to_string().as_bytes())
}

fn marks(state: &Connection, log: &str, block: i64) -> rusqlite::Result<Option<Vec<u8>>> {
    state
        .prepare_cached("SELECT marks FROM trail WHERE log = ?1 AND block = ?2")?
        .query_row(params![log, block], |row| row.get(0))
        .optional()
}

fn put(state: &Connection, log: &str, block: i64, marks: &[u8]) -> rusqlite::Result<()> {
    state
        .prepare_cached(
            "INSERT INTO trail(log, block, marks) VALUES (?1, ?2, ?3)
             ON CONFLICT(log, block) DO UPDATE SET marks = excluded.marks",
        )?
        .execute(params![log, block, marks])?;
    Ok(())
}

/// Forgets the trail of a log: its positions mean other events now.
pub(super) fn forget(state: &Connection, log: &str) -> rusqlite::Result<()> {
    state.execute("DELETE FROM trail WHERE log = ?1", [log]).map(drop)
}

/// Forgets the blocks below the lowest position that the log still has.
pub(super) fn prune(state: &Connection, log: &str, lowest: i64) -> rusqlite::Result<()> {
    state
        .prepare_cached("DELETE FROM trail WHERE log = ?1 AND block >= 0 AND block < ?2")?
        .execute(params![log, lowest.div_euclid(BLOCK)])
        .map(drop)
}

/// The event that the trail of a log ends with. When another one has its position now, the trail is that of another file.
pub fn end(state: &Connection, log: &str) -> rusqlite::Result<Option<EventId>> {
    // A reader may have a file that an older version has made.
    if !state.prepare_cached("SELECT 1 FROM sqlite_schema WHERE name = 'trail'")?.exists([])? {
        return Ok(None);
    }
    let id = marks(state, log, END)?;
    Ok(id.and_then(|id| String::from_utf8(id).ok()?.parse().ok()))
}

/// The blocks of a log, the newest first.
const BLOCKS: &str = "SELECT block, marks FROM trail WHERE log = ?1 AND block BETWEEN ?2 AND ?3 ORDER BY block DESC";

/// The positions between two (both among them) at which events of these lanes may be, as ranges, the newest first.
pub fn places(
    state: &Connection,
    log: &str,
    lanes: &[u64],
    (lowest, highest): (i64, i64),
) -> rusqlite::Result<Vec<(i64, i64)>> {
    let wanted: Vec<u16> = lanes.iter().map(|lane| mark(*lane)).collect();
    let mut found = Ranges(Vec::new());
    let mut above = highest;
    let mut statement = state.prepare_cached(BLOCKS)?;
    let mut rows = statement.query(params![log, lowest.div_euclid(BLOCK).max(0), highest.div_euclid(BLOCK)])?;
    while let Some(row) = rows.next()? {
        let first = row.get::<_, i64>(0)? * BLOCK;
        let (from, to) = (first.max(lowest), (first + BLOCK - 1).min(above));
        // What stands between this block and the one before has none.
        found.add(to + 1, above);
        let marks = row.get_ref(1)?.as_blob().unwrap_or_default().as_chunks::<MARK>().0;
        let place = |seq: i64| usize::try_from(seq - first).unwrap_or(0);
        if marks.get(place(from)..=place(to)).is_none_or(|marks| may_have(marks, &wanted)) {
            for seq in (from..=to).rev() {
                let mark = marks.get(place(seq)).map_or(0, |mark| u16::from_le_bytes(*mark));
                if mark == 0 || wanted.contains(&mark) {
                    found.add(seq, seq);
                }
            }
        }
        above = from - 1;
    }
    found.add(lowest, above);
    Ok(found.0)
}

/// Whether any of these marks is a wanted one, or none at all. Nearly no block has one, and there are very many: each mark is
/// compared without a branch, which is many at once.
fn may_have(marks: &[[u8; MARK]], wanted: &[u16]) -> bool {
    let has = |wanted: u16| marks.iter().fold(false, |has, mark| has | (u16::from_le_bytes(*mark) == wanted));
    has(0) || wanted.iter().any(|wanted| has(*wanted))
}

/// Ranges, the newest first; neighbours become one.
struct Ranges(Vec<(i64, i64)>);

impl Ranges {
    fn add(&mut self, from: i64, to: i64) {
        if from > to {
            return;
        }
        match self.0.last_mut() {
            Some((first, _)) if *first == to + 1 => *first = from,
            _ => self.0.push((from, to)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::store::state::{SideState, State};

    fn event(seq: i64, lane: u64) -> Event {
        Event { id: EventId { epoch: 1, seq, nonce: 7 }, lane, old_lane: None, ..Event::sample(seq, 1, Some(1)) }
    }

    /// A lane with these leading bits.
    fn lane(bits: u64) -> u64 {
        bits << 48 | 5
    }

    #[test]
    fn what_is_marked_is_found_what_is_not_marked_is_looked_at_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let _state = State::open(&path).unwrap();
        let side = SideState::open(&path).unwrap();
        let db = side.db();
        assert_eq!((end(db, "office").unwrap(), places(db, "office", &[1], (1, 9)).unwrap()), (None, vec![(1, 9)]));
        let mut events: Vec<Event> = (995..=3005).map(|seq| event(seq, lane(7))).collect();
        for (at, bits) in [(3, 9), (10, 9), (2000, 9)] {
            events[at].lane = lane(bits);
        }
        events[500].old_lane = Some(lane(9));
        let (some, others) = events.split_at(900);
        lay(db, "office", some).unwrap();
        lay(db, "office", others).unwrap();
        lay(db, "other", &[event(1000, lane(9))]).unwrap();
        assert_eq!(end(db, "office").unwrap().unwrap().seq, 3005);
        let found = |lanes: &[u64], between| places(db, "office", lanes, between).unwrap();
        // 1495 changed its key; below 995 and above 3005 nothing is marked.
        let expected = [(3006, 3010), (2995, 2995), (1495, 1495), (1005, 1005), (998, 998), (990, 994)];
        assert_eq!(found(&[lane(9)], (990, 3010)), expected);
        assert_eq!(found(&[lane(8)], (995, 3005)), [(1495, 1495)]);
        assert_eq!(found(&[lane(8), lane(9)], (1000, 1500)), [(1495, 1495), (1005, 1005)]);
        assert_eq!(found(&[lane(7)], (2000, 2003)), [(2000, 2003)]);
        // A block that is not there is looked at.
        db.execute("DELETE FROM trail WHERE log = 'office' AND block = 1", []).unwrap();
        assert_eq!(found(&[lane(8)], (995, 3005)), [(1000, 1999)]);
        prune(db, "office", 2500).unwrap();
        assert_eq!(found(&[lane(8)], (2500, 3005)), Vec::new());
        assert_eq!(found(&[lane(8)], (900, 2100)), [(900, 1999)]);
        forget(db, "office").unwrap();
        assert_eq!((found(&[lane(7)], (1, 9)), end(db, "office").unwrap()), (vec![(1, 9)], None));
        assert!(end(db, "other").unwrap().is_some());
    }

    #[test]
    fn a_trail_is_read_by_its_index_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let _state = State::open(&path).unwrap();
        let side = SideState::open(&path).unwrap();
        let plan: Vec<String> = side
            .db()
            .prepare(&format!("EXPLAIN QUERY PLAN {BLOCKS}"))
            .unwrap()
            .query_map(params!["office", 0, 9], |row| row.get(3))
            .unwrap()
            .collect::<rusqlite::Result<_>>()
            .unwrap();
        assert_eq!(plan, ["SEARCH trail USING INDEX trail_block (log=? AND block>? AND block<?)"]);
    }
}
