//! What sending asks of the adapter that it is done for.

use std::sync::Arc;

use super::BODY_LIMIT;
use super::answer::Reply;
use crate::adapter::auth::Credential;
use crate::adapter::{Left, Parcel, Request};
use crate::rules::outcome::{Outcome, Reason};

/// What an answer leads to.
#[derive(Debug)]
pub enum Next {
    /// The parcel is done with.
    End(Outcome),
    /// Another call for the same parcel.
    Call(Request),
}

/// What an answer to a joined request says.
#[derive(Debug)]
pub enum Each {
    /// Nothing of single records: it is judged as the answer to one is.
    Unsaid,
    /// One thing of all of them.
    All(Outcome),
    /// What came of each record, in the order of the request.
    Items(Vec<Outcome>),
    /// Another call, for those that need one.
    Call(Request),
}

/// What a fleet asks of the adapter that it sends for: the requests, and what their answers mean.
pub trait Caller: Send + Sync + 'static {
    /// How far a parcel has come that takes several calls.
    type Course: Send;

    /// The request of a parcel that has none yet.
    fn render(&self, parcel: &Parcel) -> Result<Option<Request>, Reason>;

    /// The first call of a parcel that takes several; none = its request is what is sent.
    fn set_out(&self, parcel: &Parcel, request: &Request) -> Result<Option<(Request, Self::Course)>, Reason> {
        let _ = (parcel, request);
        Ok(None)
    }

    /// Whether the answers are to come with all of their header fields.
    fn wants_fields(&self) -> bool {
        false
    }

    /// Most bytes of an answer's body that are read.
    fn longest_answer(&self) -> usize {
        BODY_LIMIT
    }

    /// What an answer leads to.
    fn judge(&self, parcel: &Parcel, request: &Request, reply: &Reply, course: Option<&mut Self::Course>) -> Next;

    /// What a parcel leaves behind that was delivered, or of which some records were.
    fn leave(&self, parcel: &Parcel, course: Self::Course) -> Vec<Left> {
        let _ = (parcel, course);
        Vec::new()
    }

    /// What an outcome means that nobody may repeat without asking.
    fn settle(&self, outcome: Outcome) -> Outcome {
        outcome
    }

    /// What an answer to a joined request says of its records.
    fn judge_items(
        &self,
        parcel: &Parcel,
        request: &Request,
        reply: &Reply,
        course: Option<&mut Self::Course>,
    ) -> Each {
        let _ = (parcel, request, reply, course);
        Each::Unsaid
    }

    /// What seals its requests.
    fn credential(&self) -> Option<&Arc<Credential>>;
}
