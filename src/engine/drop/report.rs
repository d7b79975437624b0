//! What there is to say of a drop: for `status`, `drop list` and `drop show`.

use serde::Serialize;

use super::Timing;
use super::acknowledge::QUARANTINED;
use super::acknowledge::awaited::{self, Answer, Awaited};
use super::seal::SENT;
use crate::clock::{self, Timestamp};
use crate::engine::need::Need;
use crate::engine::operate::called;
use crate::engine::report::Mishap;
use crate::rules::cutoff::{Cut, Slot};
use crate::rules::hex::hex;
use crate::store::state::connector::Remembered;
use crate::store::state::drops::ack::{self, Ack};
use crate::store::state::drops::member::{self, Member};
use crate::store::state::drops::place::{self, PlaceState, Placed};
use crate::store::state::drops::{self, DropFile, FileState};
use crate::store::state::parked::{self, ParkedState};
use crate::store::state::{Db, Sql};

/// How long a file may wait at an outlet before somebody should look.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(15 * 60);

/// A drop at a glance.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DropStatus {
    /// Its name.
    pub drop: String,
    /// Whether it makes cuts: the connector's mode.
    pub mode: &'static str,
    /// Business date of the last published file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_date: Option<String>,
    /// Name of that file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_file: Option<String>,
    /// Number of that file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seq: Option<u64>,
    /// When it was published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_published: Option<String>,
    /// Files by state.
    pub files: Vec<(&'static str, u64)>,
    /// Rows that cannot be encoded, and what waits behind them.
    pub held: u64,
    /// Records that the host has refused.
    pub rejected: u64,
    /// Files of which nobody can say whether they arrived.
    pub unverified: u64,
    /// Files that wait for the host's answer.
    pub pending: u64,
    /// Files of which it should be there.
    pub overdue: u64,
    /// Answers that could not be used.
    pub quarantined: u64,
    /// Its newest files, newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recent: Vec<FileLine>,
    /// The file that is not published in time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late: Option<String>,
    /// Files that are held, as a whole or at a place.
    #[serde(skip)]
    pub stuck: u64,
}

/// So many of its files are told at a glance.
const RECENT: usize = 14;

/// A file of a drop.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FileLine {
    /// What its name shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Business date.
    pub date: String,
    /// Which cut of that date, from 1.
    pub cut: usize,
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// State.
    pub state: &'static str,
    /// Since when.
    pub since: String,
    /// Detail records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<u64>,
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// SHA-256 of the data file, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// What leaves in its place, where files are encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encrypted: Option<EncryptedLine>,
    /// The how many-th rerun it is.
    #[serde(skip_serializing_if = "is_zero")]
    pub rerun: u64,
    /// Why it stands still.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How far the answer of the host is: `pending` or `overdue`; once it is there the state says what it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<&'static str>,
    /// What its outlets have.
    pub outlets: Vec<OutletLine>,
    /// Its acknowledgements, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub acks: Vec<AckLine>,
}

/// The encrypted form of a file.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EncryptedLine {
    /// Bytes.
    pub size: u64,
    /// SHA-256, in hexadecimal.
    pub sha256: String,
}

/// An acknowledgement that was read.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AckLine {
    /// Its name there.
    pub name: String,
    /// When it was read.
    pub at: String,
    /// The state of the file after it, `quarantined`, or `dismissed`.
    pub word: String,
    /// The file that it answers, as people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// What it came to, or why it could not be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// SHA-256 of its content, in hexadecimal: what it is known by.
    pub sha256: String,
}

/// An acknowledgement.
fn ack_line(db: &Db, read: Ack) -> Sql<AckLine> {
    let file = read.file.map(|id| drops::get(db, id)).transpose()?.flatten();
    Ok(AckLine {
        name: read.name,
        at: read.at.to_string(),
        word: read.word,
        file: file.as_ref().map(called),
        reason: read.reason,
        sha256: hex(&read.sha256),
    })
}

/// The acknowledgements of a drop, newest first, at most so many.
pub fn ack_lines(db: &Db, known: &Remembered, limit: usize) -> Sql<Vec<AckLine>> {
    ack::newest(db, known.id, None, limit)?.into_iter().map(|read| ack_line(db, read)).collect()
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// What an outlet has of a file.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OutletLine {
    /// Which.
    pub outlet: String,
    /// State.
    pub state: &'static str,
    /// Since when.
    pub since: String,
    /// Attempts.
    pub attempts: u32,
    /// Why it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A line of a file.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberLine {
    /// The record: type and key.
    pub record: String,
    /// What it tells the host.
    pub action: String,
    /// The event that gave its image.
    pub event: String,
    /// What the host said of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

impl From<Member> for MemberLine {
    fn from(member: Member) -> MemberLine {
        let answer = member.answer.map(|(answer, code)| match code {
            Some(code) => format!("{answer} ({code})"),
            None => answer,
        });
        MemberLine { record: member.key, action: member.action, event: member.event, answer }
    }
}

/// A drop at a glance; none = the connector has made no file and has none under way.
pub fn drop_status(db: &Db, known: &Remembered) -> Sql<Option<DropStatus>> {
    let counts = drops::counts(db, known.id)?;
    if counts.is_empty() {
        return Ok(None);
    }
    let last = drops::last_published(db, known.id)?;
    let parked = parked::counts(db, known.id)?;
    let of =
        |states: &[ParkedState]| parked.iter().filter(|(state, _)| states.contains(state)).map(|(_, n)| n).sum::<u64>();
    let (mut pending, mut overdue) = (0, 0);
    for answer in unanswered(db, known, clock::now())?.into_iter().map(|(answer, _)| answer) {
        *(if answer == Answer::Overdue { &mut overdue } else { &mut pending }) += 1;
    }
    Ok(Some(DropStatus {
        drop: known.name.clone(),
        mode: known.mode.as_str(),
        last_date: last.as_ref().map(|file| file.date.clone()),
        last_file: last.as_ref().and_then(|file| file.name.clone()),
        last_seq: last.as_ref().and_then(|file| file.numbers).map(|numbers| numbers.seq),
        last_published: last.as_ref().map(|file| file.since.to_string()),
        files: counts.into_iter().map(|(state, n)| (state.as_str(), n)).collect(),
        held: of(&[ParkedState::Held, ParkedState::Behind, ParkedState::Waiting]),
        rejected: of(&[ParkedState::Dead]),
        unverified: drops::unverified(db, known.id)?.len() as u64,
        pending,
        overdue,
        quarantined: ack::newest(db, known.id, Some(QUARANTINED), usize::MAX)?.len() as u64,
        recent: drops::newest(db, known.id, RECENT)?.iter().map(|file| file_line(db, file)).collect::<Sql<_>>()?,
        late: super::late::late(db, known.id)?,
        stuck: stuck(db, known)?,
    }))
}

/// How many files are held, as a whole or at a place.
fn stuck(db: &Db, known: &Remembered) -> Sql<u64> {
    let mut stuck = 0;
    for file in drops::under_way(db, known.id)? {
        let held_there = place::of(db, file.id)?.iter().any(|placed| placed.state == PlaceState::Held);
        stuck += u64::from(file.held.is_some() || held_there);
    }
    Ok(stuck)
}

/// The files that wait for an answer, oldest first.
fn unanswered(db: &Db, known: &Remembered, now: Timestamp) -> Sql<Vec<(Answer, DropFile)>> {
    let awaited = awaited::get(db, known.id)?;
    if awaited == Awaited::No {
        return Ok(Vec::new());
    }
    let published = drops::in_state(db, known.id, FileState::Published)?.into_iter();
    Ok(published.filter_map(|file| Some((awaited.answer(&file, now)?, file))).collect())
}

impl DropStatus {
    /// What its newest files stand still for, if one does.
    pub fn trouble(&self) -> Option<Mishap> {
        let told = |at: &str, reason: &str| {
            let (class, words) = reason.split_once(": ").unwrap_or(("file", reason));
            Mishap { at: at.to_owned(), class: class.to_owned(), reason: words.to_owned() }
        };
        self.recent.iter().find_map(|file| {
            let outlet = file.outlets.iter().find_map(|outlet| Some(told(&outlet.since, outlet.reason.as_deref()?)));
            file.reason.as_deref().map(|reason| told(&file.since, reason)).or(outlet)
        })
    }

    /// Of a drop that has made no file yet.
    pub fn of(known: &Remembered) -> DropStatus {
        DropStatus { mode: known.mode.as_str(), ..DropStatus::unknown(&known.name) }
    }

    /// Of a drop that has never run.
    pub fn unknown(name: &str) -> DropStatus {
        DropStatus {
            drop: name.to_owned(),
            mode: "new",
            last_date: None,
            last_file: None,
            last_seq: None,
            last_published: None,
            files: Vec::new(),
            held: 0,
            rejected: 0,
            unverified: 0,
            pending: 0,
            overdue: 0,
            quarantined: 0,
            recent: Vec::new(),
            late: None,
            stuck: 0,
        }
    }
}

/// The next cut, when the last one was that (date and the how many-th of it); none = the calendar does not say.
pub fn next_cut_of(timing: &Timing, last: Option<&(String, usize)>, now: Timestamp) -> Option<Cut> {
    match last {
        None => timing.cut_offs.of(now).ok(),
        Some((date, nth)) => timing.cut_offs.after(Slot { date: date.parse().ok()?, nth: *nth }).ok(),
    }
}

/// A file with what its outlets have.
pub fn file_line(db: &Db, file: &DropFile) -> Sql<FileLine> {
    let acks = ack::of_file(db, file.connector, file.id)?;
    let sent = place::pieces(db, file.id)?.into_iter().find(|piece| piece.role == SENT);
    let outlet = |placed: Placed| OutletLine {
        outlet: placed.place,
        state: placed.state.as_str(),
        since: placed.since.to_string(),
        attempts: placed.attempts,
        reason: placed.reason.map(|reason| reason.to_string()),
    };
    Ok(FileLine {
        seq: file.numbers.map(|numbers| numbers.seq),
        date: file.date.clone(),
        cut: file.nth + 1,
        name: file.name.clone(),
        state: file.state.as_str(),
        since: file.since.to_string(),
        records: file.records,
        size: file.size,
        sha256: file.sha256.as_ref().map(|sha256| hex(sha256)),
        encrypted: sent.map(|sent| EncryptedLine { size: sent.size, sha256: hex(&sent.sha256) }),
        rerun: file.rerun,
        reason: file.held.as_ref().map(ToString::to_string),
        answer: awaited::get(db, file.connector)?.answer(file, clock::now()).map(Answer::as_str),
        outlets: place::of(db, file.id)?.into_iter().map(outlet).collect(),
        acks: acks.into_iter().map(|read| ack_line(db, read)).collect::<Sql<_>>()?,
    })
}

/// The lines of a file, at most so many.
pub fn member_lines(db: &Db, file: &DropFile, limit: usize) -> Sql<Vec<MemberLine>> {
    Ok(member::read(db, file.id, i64::MIN, limit)?.into_iter().map(MemberLine::from).collect())
}

/// What of a drop needs a person, one line each.
pub fn needs(db: &Db, known: &Remembered, now: Timestamp) -> Sql<Vec<Need>> {
    let mut needs = Vec::new();
    let name = &known.name;
    let mut need = |what: String, mend: String| needs.push(Need { subject: name.clone(), what, mend });
    for file in drops::under_way(db, known.id)? {
        let called = called(&file);
        if let Some(reason) = &file.held {
            need(format!("the file {called} is held: {reason}"), format!("mend it, then `hms-sync drop run {name}`"));
        }
        for placed in place::of(db, file.id)? {
            let why = placed.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
            let late = now.since(file.created.unwrap_or(file.since)) >= PATIENCE;
            match placed.state {
                PlaceState::Held => need(
                    format!("{called} is held at {}{why}", placed.place),
                    format!("look there; `hms-sync drop resend {name} FILE` tries again, `drop discard` gives it up"),
                ),
                PlaceState::Waiting if placed.attempts > 0 && late => need(
                    format!("{called} is not at {} yet, after {} attempts{why}", placed.place, placed.attempts),
                    "it is tried again by itself; look at the place and at the credentials".to_owned(),
                ),
                _ => {}
            }
        }
    }
    for trouble in super::keys::troubles(db, known.id, now)? {
        need(
            trouble,
            format!("put a key that is valid for longer in its place; `hms-sync drop run {name}` looks at it at once"),
        );
    }
    if let Some(late) = super::late::late(db, known.id)? {
        need(format!("{late} and is not published yet"), "the lines above say why; tell the host".to_owned());
    }
    for file in drops::unverified(db, known.id)? {
        need(
            format!("nobody can say whether {} arrived", called(&file)),
            format!("ask the host: `hms-sync drop accept {name} FILE` if it did, `drop resend` if not"),
        );
    }
    for (_, file) in unanswered(db, known, now)?.into_iter().filter(|(answer, _)| *answer == Answer::Overdue) {
        need(
            format!("{} is published since {} and not answered", called(&file), file.since),
            format!("ask the host whether it has it; if it never came: `hms-sync drop resend {name} FILE`"),
        );
    }
    for read in ack::newest(db, known.id, Some(QUARANTINED), usize::MAX)? {
        let why = read.reason.unwrap_or_default();
        need(
            format!("the answer {} was put aside: {why}", read.name),
            format!("a copy lies in `quarantine` of the drop's folder; settled: `hms-sync drop dismiss {name} ANSWER`"),
        );
    }
    Ok(needs)
}

/// The states in which a file's bytes exist.
pub fn has_bytes(state: FileState) -> bool {
    !matches!(state, FileState::Open | FileState::Cut | FileState::Skipped | FileState::Discarded | FileState::Purged)
}

/// How long ago a time of the ledger was, for people.
pub fn ago(text: &str) -> Option<std::time::Duration> {
    let at = text.parse().ok().map(Timestamp::from_jiff)?;
    Some(clock::now().since(at))
}
