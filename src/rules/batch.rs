//! Several records in one request (`batch`): how many, in which form, and what an answer to all of them together means.

use crate::rules::outcome::{Outcome, Reason};

/// How the records of one request stand in its body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// One record a request, as it is.
    #[default]
    Alone,
    /// A JSON array of records.
    Array,
    /// A record a line (NDJSON: each line ends in LF).
    Lines,
    /// As the adapter's file says (`batch`); what it says nothing of goes alone.
    Spec,
}

/// `batch` of a connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Most records of a request; default [`Batch::MAX`].
    pub max: usize,
    /// Most bytes of a request's body, about; default [`Batch::MAX_BYTES`]. One record larger than that goes alone.
    pub max_bytes: usize,
    /// Form of the body; default [`Shape::Array`].
    pub shape: Shape,
}

impl Batch {
    /// Records of a request when the connector does not say.
    pub const MAX: usize = 100;
    /// Most records that a connector may ask for.
    pub const MOST: usize = 5_000;
    /// Bytes of a request's body when the connector does not say.
    pub const MAX_BYTES: usize = 1_000_000;
    /// Bytes of the header field that lists the records' keys. Servers commonly take lines of 8 KiB; a request ends before
    /// its list grows longer.
    pub const KEY_BYTES: usize = 7_000;
}

/// What is to be done with records that went in one request, when nothing was said of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Again, the same together.
    Together(Reason),
    /// Again, as two halves: it may be but one of them that the target does not take.
    Halves(Reason),
    /// The connector halts; the records stay where they are.
    Halt(Reason),
}

/// A request that may have arrived and brought no answer so often goes in halves, even where nothing else is there to show that others
/// get through: one of its records may be what ends the connection, or the program.
pub const OFTEN: u32 = 5;

/// Decides. `own` = the same records have failed again and again while other requests got through; `failures` = how often
/// they have failed in a row.
pub fn next(outcome: &Outcome, own: bool, failures: u32) -> Next {
    match outcome {
        Outcome::Conflict(reason) | Outcome::Reject(reason) => Next::Halves(reason.clone()),
        // Who asks for time asks it of all.
        Outcome::Retry { reason, after: Some(_), .. } => Next::Together(reason.clone()),
        Outcome::Retry { reason, transport: false, .. } if reason.class != TOO_MANY => Next::Halves(reason.clone()),
        // A list of results that could not be read: fewer records make a shorter one.
        Outcome::Unknown { reason, transport: false } if reason.class == MULTI_STATUS => Next::Halves(reason.clone()),
        Outcome::Retry { reason, .. } | Outcome::Unknown { reason, .. } if own => Next::Halves(reason.clone()),
        Outcome::Unknown { reason, .. } if failures >= OFTEN => Next::Halves(reason.clone()),
        Outcome::Retry { reason, .. } | Outcome::Unknown { reason, .. } => Next::Together(reason.clone()),
        Outcome::Reauth(reason) | Outcome::Halt(reason) => Next::Halt(reason.clone()),
        Outcome::Success | Outcome::SuccessWithRemarks(_) | Outcome::Duplicate => {
            Next::Together(Reason::new("partial", "only a part was delivered"))
        }
    }
}

/// Class of an answer that there are too many requests: it is not about these records.
const TOO_MANY: &str = "http-429";

/// Class of a 207 whose list of results could not be read.
pub const MULTI_STATUS: &str = "multi-status";

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(class: &'static str) -> Reason {
        Reason::new(class, "said the target")
    }

    fn busy(class: &'static str, after: Option<std::time::Duration>) -> Outcome {
        Outcome::Retry { reason: reason(class), after, transport: false }
    }

    #[test]
    fn what_a_target_refuses_or_cannot_bear_together_is_tried_as_halves() {
        let refused =
            [Outcome::Reject(reason("http-413")), Outcome::Conflict(reason("http-409")), busy("http-500", None)];
        for outcome in refused {
            assert!(matches!(next(&outcome, false, 1), Next::Halves(_)), "{outcome:?}");
        }
        let unread = Outcome::Unknown { reason: reason(MULTI_STATUS), transport: false };
        assert!(matches!(next(&unread, false, 1), Next::Halves(_)));
    }

    #[test]
    fn what_may_have_arrived_goes_together_again_unless_it_never_gets_through() {
        for transport in [true, false] {
            let outcome = Outcome::Unknown { reason: reason("reset"), transport };
            assert!(matches!(next(&outcome, false, 1), Next::Together(_)), "{transport}");
            assert!(matches!(next(&outcome, true, 1), Next::Halves(_)), "{transport}");
            assert!(matches!(next(&outcome, false, OFTEN), Next::Halves(_)), "{transport}");
        }
    }

    #[test]
    fn a_target_that_asks_for_time_is_not_asked_more_often() {
        for outcome in [busy("http-503", Some(std::time::Duration::from_secs(5))), busy("http-429", None)] {
            assert!(matches!(next(&outcome, false, 1), Next::Together(_)), "{outcome:?}");
        }
        // What never left says nothing of the records.
        let down = Outcome::Retry { reason: reason("connect"), after: None, transport: true };
        assert!(matches!(next(&down, false, 50), Next::Together(_)));
        assert!(matches!(next(&Outcome::Halt(reason("http-403")), false, 1), Next::Halt(_)));
    }
}
