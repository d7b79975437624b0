//! Why no answer came.

use std::borrow::Cow;
use std::fmt;

use crate::rules::outcome::{Outcome, Reason};

/// Why no answer came, before it is known whether the request had left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Class and sentence.
    pub reason: Reason,
    /// True when only a person can help (certificate, forbidden address): the connector halts.
    pub halt: bool,
    /// True when something came back that is no HTTP answer; false when the connection failed.
    pub answered: bool,
}

impl Trouble {
    /// A cause that passes.
    pub fn passing(class: &'static str, text: impl Into<Cow<'static, str>>) -> Trouble {
        Trouble { reason: Reason::new(class, text), halt: false, answered: false }
    }

    /// A cause that stays until a person changes something.
    pub fn halt(class: &'static str, text: impl Into<Cow<'static, str>>) -> Trouble {
        Trouble { halt: true, ..Trouble::passing(class, text) }
    }

    /// What came back is no HTTP answer, or one that must not be trusted.
    pub fn garbage(text: impl Into<Cow<'static, str>>) -> Trouble {
        Trouble::answered("bad-answer", text)
    }

    /// An answer that says nothing.
    pub fn answered(class: &'static str, text: impl Into<Cow<'static, str>>) -> Trouble {
        Trouble { answered: true, ..Trouble::passing(class, text) }
    }

    /// The outcome: `sent` = bytes of the request may have reached the target.
    pub fn outcome(self, sent: bool) -> Outcome {
        let Trouble { reason, halt, answered } = self;
        match (halt, sent) {
            (true, _) => Outcome::Halt(reason),
            (false, false) => Outcome::Retry { reason, after: None, transport: true },
            (false, true) => Outcome::Unknown { reason, transport: !answered },
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl std::error::Error for Trouble {}
