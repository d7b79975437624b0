//! The cut: one transaction that makes lines of the changes, freezes them with their payloads, and gives the file its
//! numbers and its name. No network and no file comes before it is durable.

use std::sync::Arc;

use jiff::civil::Date;

use super::ask::{Asking, Verdicts, is_unasked, judged};
use super::gather::{held, join, park};
use super::scale::Scale;
use super::worker::{StepError, Worker};
use super::{Drop, Extract, RowError, WhenEmpty, entry, snapshot};
use crate::clock::{self, Timestamp};
use crate::event::Record;
use crate::format::feed::Row;
use crate::rules::coalesce::Action;
use crate::rules::naming::Stamp;
use crate::rules::outcome::Reason;
use crate::store::state::counter::{self, Counter};
use crate::store::state::drops::change::{self, Change};
use crate::store::state::drops::{self, Cutting, DropFile, FileId, FileState, Numbers, member};
use crate::store::state::parked::{self, Parked};
use crate::store::state::{ConnectorId, Db, Sql};

/// What a cut has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// So many files, with so many lines, and so many rows held.
    Files(u64, u64, u64),
    /// Nothing was to be sent.
    Skipped,
}

impl Worker {
    /// Cuts a file that has gathered everything. A reason says why it is not cut: nothing has changed then.
    pub(super) fn cut(&mut self, file: FileId) -> Result<Result<Cut, Reason>, StepError> {
        let (id, drop) = (self.id, Arc::clone(&self.drop));
        let verdicts = self.asking.as_ref().map(Asking::verdicts);
        let now = clock::now();
        let done = self.ledger.call(move |state| {
            state.commit(|db| {
                let Some(file) = drops::get(db, file)? else { return Ok(Ok(Cut::Skipped)) };
                let cut = drops::or_nothing(db, || cut(db, &drop, id, &file, now, verdicts.as_deref()))?;
                // One that came in after the hook was asked is asked about first.
                if let Err(reason) = &cut
                    && !is_unasked(reason)
                {
                    drops::hold(db, file.id, Some(reason))?;
                }
                Ok(cut)
            })
        })?;
        Ok(done)
    }
}

impl Worker {
    /// Gives a file that is made of lines of an older one its numbers and its name.
    pub(super) fn number(&mut self, file: &DropFile) -> Result<Result<(), Reason>, StepError> {
        let (id, drop, file, now) = (self.id, Arc::clone(&self.drop), file.clone(), clock::now());
        Ok(self.ledger.call(move |state| {
            state.commit(|db| {
                let records = member::count(db, file.id)?;
                drops::or_nothing(db, || number(db, &drop, id, &file, (records, (1, 1)), now))
            })
        })?)
    }
}

/// The stamps of a file with its numbers.
///
/// # Errors
/// When the ledger's date is none.
pub(super) fn stamp(drop: &Drop, file: &DropFile, numbers: Numbers, created: Timestamp) -> Result<Stamp, Reason> {
    let bus_date: Date = file.date.parse().map_err(|_| Reason::new("ledger", "the file's business date is no date"))?;
    Ok(Stamp {
        office: file.office.clone().unwrap_or_else(|| drop.naming.office.clone()),
        drop: drop.subscription.name.to_string(),
        bus_date,
        cut: file.cut_at,
        created,
        zone: drop.timing.cut_offs.zone().clone(),
        seq: numbers.seq,
        prev_seq: numbers.prev,
        generation: numbers.n,
        rerun: file.rerun,
        modifier: numbers.modifier,
        part: file.part,
    })
}

/// The next numbers of a drop.
pub(super) fn next_numbers(db: &Db, drop: &Drop, connector: ConnectorId, date: &str) -> Sql<Result<Numbers, Reason>> {
    let last = drops::last_numbered(db, connector)?.and_then(|file| file.numbers);
    let start = super::sequence::forced(db, connector)?;
    let seq = match start {
        Some(seq) => Some(seq),
        None => drop.naming.sequence.next(last.map(|last| last.seq)),
    };
    let Some(seq) = seq else {
        return Ok(Err(Reason::new("sequence", "the drop's sequence is at its end: give it a `wrap`")));
    };
    Ok(Ok(Numbers {
        n: last.map_or(1, |last| last.n + 1),
        seq,
        prev: last.map_or(0, |last| last.seq),
        modifier: drops::numbered_on(db, connector, date)?,
    }))
}

/// More rows than this that cannot be encoded are no matter of rows: the layout, or the mapping, is wrong.
pub(super) const MOST_HELD: u64 = 10_000;

/// What the changes of one record come to.
struct Lines {
    lines: Vec<(i64, Action, String, Record)>,
    host_has: bool,
}

/// The lines of one record, or why it is held.
fn lines(
    drop: &Drop,
    scale: &mut Scale<'_>,
    changes: &[Change],
    had: bool,
    verdicts: Option<&Verdicts>,
) -> Result<Lines, Reason> {
    let ops: Vec<_> = changes.iter().map(|change| change.op).collect();
    let outcome = drop.content.coalesce.decide(&ops, had);
    let mut lines = Vec::with_capacity(outcome.lines.len());
    for line in &outcome.lines {
        let Some(change) = changes.get(line.image) else { continue };
        let cleared = drop.subscription.clear(&change.event, &[])?;
        let record = judged(drop, &change.event, cleared, verdicts)?;
        scale.weigh(change.ordinal, &Row { record: &record, action: line.action.as_str(), ordinal: 1 })?;
        lines.push((change.ordinal, line.action, change.id.to_string(), record));
    }
    scale.keep();
    Ok(Lines { lines, host_has: outcome.host_has })
}

fn cut(
    db: &Db,
    drop: &Drop,
    connector: ConnectorId,
    file: &DropFile,
    now: Timestamp,
    verdicts: Option<&Verdicts>,
) -> Sql<Result<Cut, Reason>> {
    let mut scale = match scale(db, drop, connector, file, now)? {
        Ok(scale) => scale,
        Err(reason) => return Ok(Err(reason)),
    };
    let (count, wrong) = match drop.content.extract {
        Extract::Changes => changed(db, drop, connector, file, (&mut scale, verdicts))?,
        Extract::Snapshot => snapshot::all(db, drop, connector, file, (&mut scale, verdicts))?,
    };
    if let Some((unasked, _)) = wrong.iter().find(|(reason, _)| is_unasked(reason)) {
        return Ok(Err(unasked.clone()));
    }
    let errors = wrong.len() as u64;
    if let Some((first, _)) = wrong.first() {
        let too_many = errors > drop.content.max_row_errors.unwrap_or(MOST_HELD).min(MOST_HELD);
        if too_many || drop.content.on_row_error == RowError::FailFile {
            let text = format!("{errors} rows cannot be encoded (the first: {})", first.text);
            return Ok(Err(Reason::new("rows", text)));
        }
    }
    let mut held_now = Vec::new();
    for (reason, changes) in wrong {
        for change in changes {
            let id = change.id.to_string();
            let carried = change::is_in(db, connector, file.id, change.id)?;
            change::leave(db, connector, change.id, change.half)?;
            if let Some(before) = parked::find(db, connector, &id)? {
                if carried {
                    // The other half of a change of a key: they are held as the one change that they are.
                    parked::park(db, connector, &Parked { event: join(change.event, &before.event), ..before })?;
                }
                continue;
            }
            log::warn!(connector:% = drop.subscription.name, class:% = reason.class; "{}: {id} is held: {reason}", drop.subscription.name);
            held_now.push((change.id, carried));
            park(db, connector, &held(change.log, change.event, reason.clone()))?;
        }
    }
    for (id, carried) in held_now {
        // An earlier file has carried it, or this one carries its other half.
        if !carried || change::is_in(db, connector, file.id, id)? {
            counter::add(db, connector, Counter::Repeated, 1)?;
        }
    }
    if count == 0 && !sends_empty(db, drop, connector, file)? {
        if drop.content.skipped_takes_number
            && let Err(reason) = number(db, drop, connector, file, (0, (1, 1)), now)?
        {
            return Ok(Err(reason));
        }
        counter::add(db, connector, Counter::Delivered, change::events(db, file.id)?)?;
        change::forget(db, file.id)?;
        drops::set_state(db, file.id, FileState::Skipped, now)?;
        entry::skip(db, file, now)?;
        return Ok(Ok(Cut::Skipped));
    }
    let most = drop.content.max_records.filter(|most| *most > 0).unwrap_or(u64::MAX);
    let ends = scale.ends(most);
    let parts = ends.as_ref().map_or(count.div_ceil(most).max(1), |ends| ends.len() as u64 + 1);
    let mut ends = ends.map(Vec::into_iter);
    let mut rest = file.clone();
    for part in 1..=parts {
        let end = match &mut ends {
            Some(ends) => ends.next(),
            None => member::place_of(db, rest.id, most)?,
        };
        let next = match end {
            Some(place) if part < parts => {
                let next = drops::begin_beside(db, file, None, 0, now)?;
                member::move_behind(db, rest.id, next, place)?;
                // Each part will count what it carries; a change of a key with a half in each is one event all the same.
                counter::add(db, connector, Counter::Repeated, change::shared(db, connector, rest.id, next)?)?;
                Some(next)
            }
            _ => None,
        };
        let lines = member::count(db, rest.id)?;
        rest.part = (part, parts);
        if let Err(reason) = number(db, drop, connector, &rest, (lines, (part, parts)), now)? {
            return Ok(Err(reason));
        }
        if let Some(next) = next {
            rest = DropFile { id: next, ..file.clone() };
        }
    }
    Ok(Ok(Cut::Files(parts, count, errors)))
}

/// What tries the rows of a cut out. A reason says why nothing can be cut.
fn scale<'d>(
    db: &Db,
    drop: &'d Drop,
    connector: ConnectorId,
    file: &DropFile,
    now: Timestamp,
) -> Sql<Result<Scale<'d>, Reason>> {
    let Some(most) = drop.content.max_bytes else { return Ok(Scale::new(drop, None)) };
    let numbers = match next_numbers(db, drop, connector, &file.date)? {
        Ok(numbers) => numbers,
        Err(reason) => return Ok(Err(reason)),
    };
    let around = stamp(drop, file, numbers, now).and_then(|stamp| {
        let name = drop.naming.rerun.name(&drop.naming.name, &stamp)? + &drop.naming.extension;
        drop.feed.around(&stamp, &name)
    });
    Ok(around.and_then(|around| Scale::new(drop, Some((most, around)))))
}

/// Gives a file its numbers and its name.
fn number(
    db: &Db,
    drop: &Drop,
    connector: ConnectorId,
    file: &DropFile,
    (records, part): (u64, (u64, u64)),
    now: Timestamp,
) -> Sql<Result<(), Reason>> {
    let numbers = match next_numbers(db, drop, connector, &file.date)? {
        Ok(numbers) => numbers,
        Err(reason) => return Ok(Err(reason)),
    };
    let name = stamp(drop, file, numbers, now).and_then(|stamp| drop.naming.rerun.name(&drop.naming.name, &stamp));
    let name = match name {
        Ok(name) => name + &drop.naming.extension,
        Err(reason) => return Ok(Err(reason)),
    };
    let office = &drop.naming.office;
    let cutting = Cutting { numbers, office, name: &name, records, part, config_hash: &drop.config_hash, now };
    drops::cut(db, file.id, &cutting)?;
    super::sequence::used(db, connector)?;
    if let Some(file) = drops::get(db, file.id)? {
        entry::cut(db, &file, now)?;
    }
    Ok(Ok(()))
}

/// Rows that cannot be encoded, with why.
pub(super) type Wrong = Vec<(Reason, Vec<Change>)>;

/// The lines of what has changed.
fn changed(
    db: &Db,
    drop: &Drop,
    connector: ConnectorId,
    file: &DropFile,
    (scale, verdicts): (&mut Scale<'_>, Option<&Verdicts>),
) -> Sql<(u64, Wrong)> {
    let (mut count, mut wrong) = (0_u64, Vec::new());
    change::each_record(db, connector, file.id, |key, changes| {
        let had = member::has(db, connector, key)?;
        match lines(drop, scale, changes, had, verdicts) {
            Ok(Lines { lines, host_has }) => {
                for (ordinal, action, event, record) in &lines {
                    member::add(db, file.id, *ordinal, (event, key, action.as_str()), record)?;
                    count += 1;
                }
                if host_has != had {
                    member::set_has(db, connector, key, host_has)?;
                }
            }
            // Of those beyond the most only how many there are is of interest.
            Err(reason) if wrong.len() as u64 <= MOST_HELD => wrong.push((reason, changes.to_vec())),
            Err(_) => {}
        }
        Sql::Ok(())
    })?;
    Ok((count, wrong))
}

fn sends_empty(db: &Db, drop: &Drop, connector: ConnectorId, file: &DropFile) -> Sql<bool> {
    Ok(match drop.content.when_empty {
        WhenEmpty::Send => true,
        WhenEmpty::Skip => false,
        WhenEmpty::SendOncePerDay => drops::numbered_on(db, connector, &file.date)? == 0,
    })
}
