//! What came of an attempt, and why: [`Outcome`] and [`Reason`].

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// Why something was not delivered: a class for machines and a sentence for people.
///
/// Built from codes, field names and sizes, never from values of a record or from an answer's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Short stable word: `connect`, `dns`, `tls`, `timeout`, `http-503`, `not-json`, `mapping`, `gate`...
    pub class: Cow<'static, str>,
    /// One sentence, no trailing full stop.
    pub text: Cow<'static, str>,
}

impl Reason {
    /// A reason.
    pub fn new(class: impl Into<Cow<'static, str>>, text: impl Into<Cow<'static, str>>) -> Reason {
        Reason { class: class.into(), text: text.into() }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class, self.text)
    }
}

/// What an adapter says of one attempt. It never retries; `rules::retry` turns this into a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Received, and the answer was read to its end.
    Success,
    /// Received; the target remarked on it (kept in the audit).
    SuccessWithRemarks(Reason),
    /// The target says that it had it already.
    Duplicate,
    /// The target holds another version (409, 412).
    Conflict(Reason),
    /// Not received for a passing cause; the same bytes may be sent again.
    Retry {
        /// Why.
        reason: Reason,
        /// Not before this time has passed (`Retry-After`, clamped to 24 h); holds the whole connector.
        after: Option<Duration>,
        /// True when no answer came (refused, reset before sending, DNS): never uses up the event's attempts.
        transport: bool,
    },
    /// The credentials were not accepted; the adapter has already refreshed them once.
    Reauth(Reason),
    /// This record was refused: dead letter; others go on.
    Reject(Reason),
    /// The target or its configuration is wrong for every record: the connector halts.
    Halt(Reason),
    /// The target may have received it: same key, same bytes again.
    Unknown {
        /// Why.
        reason: Reason,
        /// True when the connection failed; false when an answer came that says nothing (HTML, garbage).
        transport: bool,
    },
}

impl Outcome {
    /// The word of the contract, for audit and metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Success => "success",
            Outcome::SuccessWithRemarks(_) => "success_with_remarks",
            Outcome::Duplicate => "duplicate",
            Outcome::Conflict(_) => "conflict",
            Outcome::Retry { .. } => "retry",
            Outcome::Reauth(_) => "reauth",
            Outcome::Reject(_) => "reject",
            Outcome::Halt(_) => "halt",
            Outcome::Unknown { .. } => "unknown",
        }
    }

    /// The same, as if the target had answered it: no failure of the connection.
    pub fn as_answered(&self) -> Outcome {
        match self.clone() {
            Outcome::Retry { reason, after, .. } => Outcome::Retry { reason, after, transport: false },
            Outcome::Unknown { reason, .. } => Outcome::Unknown { reason, transport: false },
            other => other,
        }
    }

    /// Whether the event is done at this target.
    pub fn is_delivered(&self) -> bool {
        matches!(self, Outcome::Success | Outcome::SuccessWithRemarks(_) | Outcome::Duplicate)
    }

    /// Why, unless it simply succeeded.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Outcome::Success | Outcome::Duplicate => None,
            Outcome::SuccessWithRemarks(reason)
            | Outcome::Conflict(reason)
            | Outcome::Reauth(reason)
            | Outcome::Reject(reason)
            | Outcome::Halt(reason)
            | Outcome::Retry { reason, .. }
            | Outcome::Unknown { reason, .. } => Some(reason),
        }
    }
}
