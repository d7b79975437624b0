//! The account of a connector: what its cursors have passed equals what came of it.
//!
//! Each event that a cursor has passed was delivered, skipped, discarded, or is parked. The counters are written in the
//! commits that make them true, so the two sides agree after every commit; a difference is a loss, or a fault of the
//! bookkeeping, and never passes by itself. Where positions change their meaning the account is closed: for a connector
//! that is left behind until the next start, for a new epoch until nothing that was under way then counts any more.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::counter::{self, Counter};
use super::{ConnectorId, Sql, attempt, connector, cursor, drops, note, parked, set_note};
use crate::event::EventId;

/// The two sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Events that the cursors have passed since the account was opened.
    pub passed: i64,
    /// Delivered.
    pub delivered: i64,
    /// Not wanted.
    pub skipped: i64,
    /// Discarded by a person.
    pub discarded: i64,
    /// Parked now.
    pub parked: i64,
    /// In a drop's file that is not published yet.
    pub gathered: i64,
}

impl Account {
    /// Events that were passed and of which nothing came (above zero), or that were counted twice (below).
    pub fn missing(&self) -> i64 {
        let Account { passed, delivered, skipped, discarded, parked, gathered } = self;
        passed - (delivered + skipped + discarded + parked + gathered)
    }
}

fn name(connector: ConnectorId) -> String {
    format!("account/{}", connector.0)
}

/// In the place of the base, before the number of the last attempt: closed until later ones alone are looked at.
const AFTER: &str = "after ";

/// Opens the account of a connector that has none: it balances now. Not while an event above a cursor has ended that was
/// one of another epoch: it would count as delivered when the cursor comes to its number, which is another event's now.
pub(super) fn open(db: &Connection, connector: ConnectorId) -> Sql<()> {
    match note(db, &name(connector))?.as_deref() {
        None | Some("") => {}
        Some(text) if text.starts_with(AFTER) => return reopen(db, connector),
        Some(_) => return Ok(()),
    }
    let missing = sides(db, connector, 0)?.account.missing();
    set_note(db, &name(connector), &missing.to_string())
}

/// Opens an account that a new epoch has closed, as soon as no attempt of before counts any more.
pub(super) fn reopen(db: &Connection, connector: ConnectorId) -> Sql<()> {
    let Some(text) = note(db, &name(connector))? else { return Ok(()) };
    let Some(last) = text.strip_prefix(AFTER).and_then(|last| last.parse::<i64>().ok()) else { return Ok(()) };
    let sides = sides(db, connector, 0)?;
    if sides.settled < last || sides.above > 0 {
        return Ok(());
    }
    set_note(db, &name(connector), &sides.account.missing().to_string())
}

/// A further cursor begins here.
pub(super) fn begin(db: &Connection, connector: ConnectorId, seq: i64) -> Sql<()> {
    if let Some(base) = base(db, connector)? {
        set_note(db, &name(connector), &(base + seq).to_string())?;
    }
    Ok(())
}

/// A connector is left behind: the account is closed until the next start.
pub(super) fn close(db: &Connection, connector: ConnectorId) -> Sql<()> {
    set_note(db, &name(connector), "")
}

/// The positions of a log are not what they were: the account is closed until what was under way has settled.
pub(super) fn close_epoch(db: &Connection, connector: ConnectorId) -> Sql<()> {
    set_note(db, &name(connector), &format!("{AFTER}{}", attempt::last(db)?))
}

/// A replay parks what was counted when it was passed the first time.
pub(super) fn note_parked(db: &Connection, connector: ConnectorId, parked: &parked::Parked) -> Sql<()> {
    let seq = parked.event.seq();
    let Some(at) = cursor::get(db, connector, parked.log)? else { return Ok(()) };
    let again = at.seq < seq && seq <= at.replay_to;
    if again && parked::find(db, connector, &parked.event.id.to_string())?.is_none() {
        counter::add(db, connector, Counter::Repeated, 1)?;
    }
    Ok(())
}

fn base(db: &Connection, connector: ConnectorId) -> Sql<Option<i64>> {
    Ok(note(db, &name(connector))?.and_then(|text| text.parse().ok()))
}

/// The account as it stands; none = it is not open. Read it in one snapshot.
pub fn account(db: &Connection, connector: ConnectorId) -> Sql<Option<Account>> {
    let sides = base(db, connector)?.map(|base| sides(db, connector, base)).transpose()?;
    Ok(sides.map(|sides| sides.account))
}

struct Sides {
    account: Account,
    /// Up to which number attempts are no longer looked at.
    settled: i64,
    /// Events above the cursors that have ended.
    above: i64,
}

fn sides(db: &Connection, id: ConnectorId, base: i64) -> Sql<Sides> {
    let settled = connector::all(db)?.into_iter().find(|known| known.id == id).map_or(0, |known| known.settled);
    let (mut passed, mut ended_above, mut parked_above) = (-base, 0, 0);
    for (log, at) in cursor::of(db, id)? {
        // What a replay sends again was passed before.
        let end = at.seq.max(at.replay_to);
        passed += end;
        let parked: BTreeSet<EventId> = parked::ids_above(db, id, log, end)?.into_iter().collect();
        let mut ended: BTreeSet<EventId> = cursor::ahead(db, id, log)?.into_iter().collect();
        let left = attempt::traces(db, id, log, settled)?.into_iter();
        ended.extend(left.filter(|(_, trace)| trace.delivered).map(|(event, _)| event));
        ended.retain(|event| event.seq > end && !parked.contains(event));
        parked_above += length(&parked);
        ended_above += length(&ended);
    }
    let count = |which: Counter| counter::get(db, id, which).map(|n| i64::try_from(n).unwrap_or(i64::MAX));
    let parked: u64 = parked::counts(db, id)?.into_iter().map(|(_, n)| n).sum();
    let account = Account {
        passed,
        delivered: count(Counter::Delivered)? - count(Counter::Repeated)? - ended_above,
        skipped: count(Counter::Skipped)?,
        discarded: count(Counter::Discarded)?,
        parked: i64::try_from(parked).unwrap_or(i64::MAX) - parked_above,
        gathered: i64::try_from(drops::change::under_way(db, id)?).unwrap_or(i64::MAX),
    };
    Ok(Sides { account, settled, above: ended_above })
}

fn length(set: &BTreeSet<EventId>) -> i64 {
    i64::try_from(set.len()).unwrap_or(i64::MAX)
}
