//! What sending asks of the adapter that it is done for.

use std::sync::Arc;

use super::answer::Reply;
use crate::adapter::auth::Credential;
use crate::adapter::{Parcel, Request};
use crate::rules::outcome::{Outcome, Reason};

/// What a fleet asks of the adapter that it sends for: the requests, and what their answers mean.
pub trait Caller: Send + Sync + 'static {
    /// The request of a parcel that has none yet.
    fn render(&self, parcel: &Parcel) -> Result<Option<Request>, Reason>;

    /// What an answer means.
    fn judge(&self, parcel: &Parcel, request: &Request, reply: &Reply) -> Outcome;

    /// What an answer means for each record of a joined request, in its order, where it says so; else empty.
    fn judge_items(&self, parcel: &Parcel, reply: &Reply) -> Vec<Outcome> {
        let _ = (parcel, reply);
        Vec::new()
    }

    /// What seals its requests.
    fn credential(&self) -> Option<&Arc<Credential>>;
}
