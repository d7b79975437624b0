//! Bringing rendered files to their outlets: oldest first, so that at no outlet a later file comes before an earlier one.

use std::collections::BTreeSet;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use super::outlet::Outlet;
use super::progress;
use super::publish::{Ended, publish};
use super::render::beside;
use super::seal::SENT;
use super::staged::{Files, Source, Staged};
use super::staging::{Staging, Written};
use super::worker::{StepError, Worker};
use super::{acknowledge, entry};
use crate::adapter::place::Content;
use crate::clock::{self, Timestamp};
use crate::engine::operate::called;
use crate::format::feed::Sums;
use crate::rules::outcome::Reason;
use crate::rules::publish::noted::Noted;
use crate::store::state::counter::{self, Counter};
use crate::store::state::drops::place::{self, Piece, PlaceState, Placed};
use crate::store::state::drops::{self, DropFile, FileState, change};
use crate::store::state::pace;

/// What only a person can mend is tried again this often.
const SLOW: Duration = Duration::from_secs(15 * 60);

impl Worker {
    /// The names of the outlets.
    pub(super) fn outlet_names(&self) -> Vec<String> {
        self.drop.outlets.iter().map(|outlet| outlet.name.clone()).collect()
    }

    /// When the part of the day begins in which a connection may be made; none = it may be made now.
    pub(super) fn closed_until(&self) -> Option<Timestamp> {
        let wall = clock::now();
        let opens = self.drop.timing.window.as_ref().and_then(|window| window.opens(wall));
        opens.filter(|opens| *opens > wall).map(|opens| clock::steady().plus(opens.since(wall)))
    }

    /// Brings what is rendered to where it is not yet; gives when the next attempt is due.
    pub(super) fn deliver_all(&mut self) -> Result<Option<Timestamp>, StepError> {
        if let Some(opens) = self.closed_until() {
            return Ok(Some(opens));
        }
        let hurry = std::mem::take(&mut self.hurry);
        let mut next: Option<Timestamp> = None;
        // An outlet that has not taken a file takes no later one.
        let mut behind: BTreeSet<String> = BTreeSet::new();
        for file in self.in_state(FileState::Rendered)? {
            let mut placed = self.placed(&file)?;
            for outlet in Arc::clone(&self.drop).outlets.iter() {
                let Some(at) = placed.iter_mut().find(|placed| placed.place == outlet.name) else { continue };
                if at.state == PlaceState::Waiting && !behind.contains(&outlet.name) {
                    let now = clock::steady();
                    match at.due.filter(|due| *due > now && !hurry) {
                        // A time that an earlier process stored may lie anywhere.
                        Some(due) => next = Some(next.map_or(due, |next| next.min(due)).min(now.plus(SLOW))),
                        None => {
                            *at = self.deliver(&file, outlet, at.clone())?;
                            next = at.due.map(|due| next.map_or(due, |next| next.min(due))).or(next);
                        }
                    }
                }
                if matches!(at.state, PlaceState::Waiting | PlaceState::Held) {
                    behind.insert(outlet.name.clone());
                    if self.summary.left_off.is_none() {
                        self.summary.left_off = at.reason.clone();
                    }
                }
            }
            if placed.iter().all(|placed| matches!(placed.state, PlaceState::Published | PlaceState::Unverified)) {
                self.end(&file)?;
            }
        }
        Ok(next)
    }

    /// What the outlets have of a file. They follow the configuration: one that is not configured any more does not count, one that
    /// came since gets the file. But where one that is gone has it, or may have it, one that came may be the same under another name: a
    /// person says so.
    fn placed(&mut self, file: &DropFile) -> Result<Vec<Placed>, StepError> {
        let (id, names, now) = (file.id, self.outlet_names(), clock::now());
        let known = self.reader.read(|db| place::of(db, id))?;
        let is_new = |name: &&String| !known.iter().any(|placed| placed.place == **name);
        let new: Vec<String> = names.iter().filter(is_new).cloned().collect();
        if !new.is_empty() {
            let may_have = |placed: &&Placed| placed.state != PlaceState::Waiting || !placed.noted.is_empty();
            let gone = known.iter().filter(|placed| !names.contains(&placed.place)).find(may_have);
            let reason = gone.map(|gone| {
                let text = format!(
                    "{} has it, or may have it, and is not configured any more: where this is the same place under another name it is \
                     not to come twice",
                    gone.place
                );
                log::error!("{}: {} at {}: {text}", self.drop.subscription.name, called(file), new.join(", "));
                Reason::new("renamed", text)
            });
            self.ledger.call(move |state| {
                state.commit(|db| {
                    new.iter().try_for_each(|outlet| match &reason {
                        None => place::begin(db, id, outlet, now),
                        Some(reason) => place::set(db, id, &Placed::doubted(outlet, reason.clone(), now)),
                    })
                })
            })?;
        }
        let placed = self.reader.read(|db| place::of(db, id))?;
        Ok(placed.into_iter().filter(|placed| names.contains(&placed.place)).collect())
    }

    /// One attempt at one outlet.
    fn deliver(&mut self, file: &DropFile, outlet: &Outlet, at: Placed) -> Result<Placed, StepError> {
        let name = Arc::clone(&self.drop.subscription.name);
        let what = file.name.clone().unwrap_or_default();
        let files = match self.files(file, outlet)? {
            Ok(files) => files,
            Err(reason) => return self.hold_at(file, at, reason),
        };
        let noted = Noted::from_str(&at.noted).unwrap_or_default();
        let mut began = false;
        let ended = match outlet.open() {
            Ok(mut place) => {
                began = true;
                let (ledger, id, outlet_name) = (self.ledger.clone(), file.id, outlet.name.clone());
                let mut all = noted.clone();
                let mut note = |step| {
                    all.add(step);
                    let (text, place) = (all.to_string(), outlet_name.clone());
                    ledger.call(move |state| state.commit(|db| place::note(db, id, &place, &text)))
                };
                let plan = outlet.plan(clock::now());
                let (file, to, data) = (file.clone(), entry::place(outlet), files.data.content.clone());
                self.ledger.call(move |state| state.commit(|db| entry::send(db, &file, (&to, &data), clock::now())))?;
                let of = files.data.content.size;
                let mut told = |done| progress::tell(&outlet.name, done, of);
                publish(&mut *place, &files, &plan, noted, &mut note, &mut told)?
            }
            Err(trouble) => Ended::Later(Reason::new(trouble.class.word(), trouble.text), trouble.class),
        };
        // What was noted on the way stands in the ledger.
        let (id, wanted) = (file.id, outlet.name.clone());
        let noted = self.reader.read(|db| place::of(db, id))?;
        let noted = noted.into_iter().find(|placed| placed.place == wanted).map_or(at.noted.clone(), |at| at.noted);
        let now = clock::steady();
        let attempts = at.attempts.saturating_add(1);
        let placed = Placed { noted, attempts, since: clock::now(), ..at };
        let came = began.then(|| (file.clone(), entry::place(outlet), files.data.content.clone(), ended.clone()));
        let placed = match ended {
            Ended::Published | Ended::Triggered => {
                log::info!(connector:% = name; "{name}: {what} is published at {}", outlet.name);
                Placed { state: PlaceState::Published, due: None, reason: None, ..placed }
            }
            Ended::Unverified(reason) => {
                log::error!(connector:% = name, class:% = reason.class; "{name}: {what} at {}: {reason}; it is not sent again by itself", outlet.name);
                Placed { state: PlaceState::Unverified, due: None, reason: Some(reason), ..placed }
            }
            Ended::Held(reason) => {
                log::error!(connector:% = name, class:% = reason.class; "{name}: {what} is held at {}: {reason}", outlet.name);
                Placed { state: PlaceState::Held, due: None, reason: Some(reason), ..placed }
            }
            Ended::Later(reason, class) => {
                log::warn!(connector:% = name, class:% = reason.class; "{name}: {what} is not at {} yet: {reason}", outlet.name);
                let delay =
                    if class.is_configuration() { SLOW } else { self.drop.retry.delay(attempts, self.dice.f64()) };
                self.summary.retried += 1;
                self.summary.left_off = Some(reason.clone());
                Placed { due: Some(now.plus(delay)), reason: Some(reason), ..placed }
            }
        };
        let stored = placed.clone();
        self.ledger.call(move |state| {
            state.commit(|db| {
                if let Some((file, at, data, ended)) = &came {
                    entry::came(db, file, (at, data, ended), clock::now())?;
                }
                place::set(db, id, &stored)
            })
        })?;
        Ok(placed)
    }

    fn hold_at(&mut self, file: &DropFile, at: Placed, reason: Reason) -> Result<Placed, StepError> {
        log::error!(connector:% = self.drop.subscription.name, class:% = reason.class; "{}: {} is held at {}: {reason}", self.drop.subscription.name, file.date, at.place);
        let placed = Placed { state: PlaceState::Held, due: None, reason: Some(reason), since: clock::now(), ..at };
        let (id, stored) = (file.id, placed.clone());
        self.ledger.call(move |state| state.commit(|db| place::set(db, id, &stored)))?;
        Ok(placed)
    }

    /// What goes to an outlet. A reason says why it cannot be had.
    fn files(&mut self, file: &DropFile, outlet: &Outlet) -> Result<Result<Files, Reason>, StepError> {
        let id = file.id;
        let pieces = self.reader.read(|db| place::pieces(db, id))?;
        let (Some(size), Some(sha256)) = (file.size, file.sha256) else {
            return Ok(Err(Reason::new("ledger", "the file was never rendered")));
        };
        let whole = |staging: &Staging| staging.has(id, size, &sha256);
        if !whole(&self.staging) && (self.staging.restore(id).is_err() || !whole(&self.staging)) {
            // The ledger has everything that it is made of; other bytes than then are refused.
            if let Err(reason) = self.render(file)? {
                return Ok(Err(reason));
            }
        }
        let name = file.name.clone().unwrap_or_default();
        let (from, content) = match pieces.iter().find(|piece| piece.role == SENT) {
            None => (self.staging.path(id), Content { size, sha256 }),
            Some(sent) if self.staging.has_sealed(id, sent.size, &sent.sha256) => {
                (self.staging.sealed(id), Content { size: sent.size, sha256: sent.sha256 })
            }
            Some(_) => {
                let text = "the encrypted file is gone from the archive, and encrypting it again gives other bytes: `drop resend \
                            --as-new` sends its lines in a new file";
                return Ok(Err(Reason::new("changed", text)));
            }
        };
        let data = Staged { name, source: Source::File(from), content };
        let small = |piece: &Piece| Staged::bytes(piece.name.clone(), piece.body.clone().unwrap_or_default());
        let controls = pieces.iter().filter(|piece| piece.role.starts_with("control")).map(small).collect();
        let trigger = match &outlet.trigger {
            None => None,
            Some(trigger) => {
                let written = self.written(file)?;
                let sums: Sums =
                    file.totals.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
                let piece = file
                    .numbers
                    .zip(file.created)
                    .ok_or_else(|| Reason::new("ledger", "the file has no numbers"))
                    .and_then(|(numbers, created)| super::cut::stamp(&self.drop, file, numbers, created))
                    .and_then(|stamp| {
                        let name = file.name.as_deref().unwrap_or_default();
                        beside("trigger".to_owned(), trigger, (&stamp, name), &written, &sums, String::new())
                    });
                match piece {
                    Ok(piece) => Some(small(&piece)),
                    Err(reason) => return Ok(Err(reason)),
                }
            }
        };
        Ok(Ok(Files { data, controls, trigger }))
    }

    /// Size and digests of a rendered file.
    fn written(&self, file: &DropFile) -> Result<Written, StepError> {
        Ok(self.staging.sums(file.id)?)
    }

    /// Every outlet has the file, or may have it.
    fn end(&mut self, file: &DropFile) -> Result<(), StepError> {
        self.staging.archive(file.id)?;
        let names = self.outlet_names();
        let (id, connector, keeps) = (file.id, self.id, self.drop.awaits_answer());
        let records = file.records.unwrap_or(0);
        let events = self.ledger.call(move |state| {
            state.commit(|db| {
                let events = change::events(db, id)?;
                counter::add(db, connector, Counter::Delivered, events)?;
                pace::add(db, connector, events, 0, clock::now())?;
                counter::add(db, connector, Counter::Records, records)?;
                // One that is sent again may have been answered before.
                let state = if keeps { acknowledge::state(db, connector, id)? } else { FileState::Published };
                if !keeps || state != FileState::Published {
                    change::forget(db, id)?;
                }
                // Nothing waits any more for those that are not configured any more.
                for placed in place::of(db, id)? {
                    if placed.state == PlaceState::Waiting && !names.contains(&placed.place) {
                        place::remove(db, id, &placed.place)?;
                    }
                }
                drops::set_state(db, id, state, clock::now())?;
                Ok(events)
            })
        })?;
        self.summary.delivered += events;
        self.watch.now();
        Ok(())
    }
}
