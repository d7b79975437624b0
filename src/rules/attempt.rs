//! What is recorded of an attempt: an intent before the first byte leaves, an outcome after.

pub mod entries;

use std::sync::Arc;

use crate::event::{EventId, Op};

/// An event that is about to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// Which event.
    pub id: EventId,
    /// Its how manieth attempt, from 1.
    pub attempt: u32,
    /// Keyed hash of the record's lane: finds the record without holding its key.
    pub mac: [u8; 8],
    /// The same of the record's old key, when the event changed it.
    pub old_mac: Option<[u8; 8]>,
    /// It goes in one request with the intent before it.
    pub joined: bool,
    /// Type of the event and what happened; none in rows of before the chain.
    pub what: Option<(Arc<str>, Op)>,
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Which event.
    pub id: EventId,
    /// What came of it.
    pub word: Word,
    /// HTTP status; 0 = no answer.
    pub status: u16,
    /// Microseconds from first byte out to last byte in.
    pub took_us: u32,
    /// Body bytes out and in.
    pub bytes: (u32, u32),
    /// SHA-256 of the request; of several, over theirs.
    pub request_hash: [u8; 32],
    /// SHA-256 of the answer's body; zeros = none.
    pub answer_hash: [u8; 32],
    /// Class of the failure; empty = none.
    pub class: String,
}

impl Settled {
    /// The outcome of an attempt to which no answer is known: `class` says why.
    pub fn unanswered(id: EventId, word: Word, class: &str) -> Settled {
        Settled {
            id,
            word,
            status: 0,
            took_us: 0,
            bytes: (0, 0),
            request_hash: [0; 32],
            answer_hash: [0; 32],
            class: class.to_owned(),
        }
    }
}

/// The outcome words of the contract, as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Word {
    Success = 1,
    SuccessWithRemarks = 2,
    Duplicate = 3,
    Conflict = 4,
    Retry = 5,
    Reauth = 6,
    Reject = 7,
    Halt = 8,
    Unknown = 9,
}

impl Word {
    const ALL: [(Word, &'static str); 9] = [
        (Word::Success, "success"),
        (Word::SuccessWithRemarks, "success_with_remarks"),
        (Word::Duplicate, "duplicate"),
        (Word::Conflict, "conflict"),
        (Word::Retry, "retry"),
        (Word::Reauth, "reauth"),
        (Word::Reject, "reject"),
        (Word::Halt, "halt"),
        (Word::Unknown, "unknown"),
    ];

    /// From an outcome's word.
    pub fn of(word: &str) -> Word {
        Word::ALL.iter().find(|(_, text)| *text == word).map_or(Word::Unknown, |(word, _)| *word)
    }

    /// The word.
    pub fn as_str(self) -> &'static str {
        Word::ALL.iter().find(|(word, _)| *word == self).map_or("unknown", |(_, text)| text)
    }

    /// Whether the target has the event.
    pub fn is_delivered(self) -> bool {
        matches!(self, Word::Success | Word::SuccessWithRemarks | Word::Duplicate)
    }

    fn from_byte(byte: u8) -> Word {
        Word::ALL.iter().find(|(word, _)| *word as u8 == byte).map_or(Word::Unknown, |(word, _)| *word)
    }
}
