//! What an answer says, from its records. Nothing of their values stands in a reason.

use std::collections::BTreeMap;

use super::{Ack, Matching};
use crate::adapter::place::quoted;
use crate::event::Record;
use crate::format::feed::Parsed;
use crate::rules::answer::{Keys, Said, Unlisted, same};
use crate::rules::outcome::Reason;

/// Which file an answer is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// The one with this number.
    Number(u64),
    /// The one of this name.
    Name(String),
    /// It is of another drop, or says nothing that is a number.
    Nobody(&'static str),
}

/// What was said of something, with code and text, cleaned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) said: Said,
    pub(super) code: Option<String>,
    pub(super) text: Option<String>,
}

/// What an answer says.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) which: Which,
    /// Of the file as a whole; none = it says nothing of that.
    pub(super) whole: Option<Word>,
    /// Of records, by key.
    pub(super) records: Vec<(String, Word)>,
}

/// What becomes of the lines of a file.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Of those that are listed, by their place.
    pub(super) lines: BTreeMap<i64, Word>,
    /// Of all others; none = they wait on.
    pub(super) rest: Option<Word>,
    /// What is said of the others was said aloud, and does not only follow.
    pub(super) aloud: bool,
}

fn wrong(class: &'static str, text: String) -> Reason {
    Reason::new(class, text)
}

/// The text of an item, without the spaces around it; none = it has no such item, or it is empty.
fn text(record: &Record, item: &str) -> Option<String> {
    let value = record.find(0, |name| name.eq_ignore_ascii_case(item)).map(|(_, value)| value)?;
    let text = value.as_text()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn around(parsed: &Parsed, item: &str) -> Option<String> {
    parsed.header.iter().chain(&parsed.trailer).find_map(|record| text(record, item))
}

/// What an answer says.
///
/// # Errors
/// When it does not say what it is to say.
pub(super) fn understand(ack: &Ack, parsed: &Parsed) -> Result<Answer, Reason> {
    let clean = |text: String| Some(quoted(text.as_bytes())).filter(|text| !text.is_empty());
    let of = |item: &Option<String>, record: Option<&Record>| {
        let item = item.as_ref()?;
        record.map_or_else(|| around(parsed, item), |record| text(record, item)).and_then(clean)
    };
    let whole = match (&ack.file_status, &ack.record) {
        (Some(words), _) => {
            let word = around(parsed, &words.item);
            let said = word.as_deref().and_then(|word| words.judge(word)).ok_or_else(|| {
                wrong("status", format!("what {} says of the file is no word of `fileStatus`", words.item))
            })?;
            Some(said)
        }
        (None, None) => Some(Said::Accepted),
        (None, Some(_)) => None,
    };
    let whole = whole.map(|said| Word { said, code: of(&ack.code, None), text: of(&ack.text, None) });
    let refused = whole.as_ref().is_some_and(|word| word.said == Said::Rejected);
    let mut records = Vec::new();
    for (detail, nth) in parsed.details.iter().zip(1_u64..) {
        let Some((item, _)) = &ack.record else { break };
        if detail.find(0, |name| name.eq_ignore_ascii_case(item)).is_none() {
            continue;
        }
        let key =
            text(detail, item).ok_or_else(|| wrong("unknown-key", format!("detail {nth} has no key in {item}")))?;
        let said = match (&ack.status, ack.unlisted) {
            _ if refused => Said::Rejected,
            (Some(words), _) => {
                text(detail, &words.item).as_deref().and_then(|word| words.judge(word)).ok_or_else(|| {
                    wrong("status", format!("what {} says of detail {nth} is no word of `status`", words.item))
                })?
            }
            (None, Unlisted::Accepted) => Said::Rejected,
            (None, Unlisted::Pending) => Said::Accepted,
        };
        records.push((key, Word { said, code: of(&ack.code, Some(detail)), text: of(&ack.text, Some(detail)) }));
    }
    Ok(Answer { which: which(ack, parsed)?, whole, records })
}

fn which(ack: &Ack, parsed: &Parsed) -> Result<Which, Reason> {
    let missing = |item: &str| wrong("unknown-file", format!("it has nothing in {item}"));
    match &ack.file {
        Matching::Name(item) => around(parsed, item).map(Which::Name).ok_or_else(|| missing(item)),
        Matching::Sequence { id, sequence } => {
            if let Some((item, ours)) = id
                && !same(&around(parsed, item).ok_or_else(|| missing(item))?, ours)
            {
                return Ok(Which::Nobody("its file id is not ours"));
            }
            let number = around(parsed, sequence).ok_or_else(|| missing(sequence))?;
            Ok(number.parse().map_or(Which::Nobody("its number is none"), Which::Number))
        }
    }
}

/// What an answer means for the lines of a file. `ours` gives the places of the lines in order, and our file as it was
/// read back; it is asked only when records are listed.
pub(super) fn plan(
    ack: &Ack,
    answer: &Answer,
    ours: impl FnOnce() -> Result<(Vec<i64>, Parsed), Reason>,
) -> Result<Plan, Reason> {
    let mut lines: BTreeMap<i64, Word> = BTreeMap::new();
    if let (Some((_, item)), false) = (&ack.record, answer.records.is_empty()) {
        let (places, parsed) = ours()?;
        if places.len() != parsed.details.len() {
            let text = format!("our file has {} details, and {} were sent", parsed.details.len(), places.len());
            return Err(wrong("changed", text));
        }
        let mut keys = Keys::default();
        for (place, detail) in places.into_iter().zip(&parsed.details) {
            if let Some(key) = text(detail, item) {
                keys.add(&key, place);
            }
        }
        for ((key, word), nth) in answer.records.iter().zip(1_u64..) {
            let places = keys
                .find(key)
                .ok_or_else(|| wrong("unknown-key", format!("its {nth}. record has a key that is not in the file")))?;
            for place in places {
                // Of what is listed twice the worse counts: the record does not get lost.
                let known = lines.get(place);
                if known.is_none_or(|known| known.said == Said::Accepted) {
                    lines.insert(*place, word.clone());
                }
            }
        }
    }
    let (rest, aloud) = match (&answer.whole, &ack.record, ack.unlisted) {
        (Some(word), _, _) if word.said == Said::Rejected => (Some(word.clone()), true),
        (Some(word), None, _) => (Some(word.clone()), true),
        (_, _, Unlisted::Accepted) => (Some(Word { said: Said::Accepted, code: None, text: None }), false),
        (_, _, Unlisted::Pending) => (None, false),
    };
    Ok(Plan { lines, rest, aloud })
}
