//! One delivery under way, and what comes of it.

use std::sync::Arc;
use std::time::Instant;

use crate::adapter::auth::{Refused, Sealed};
use crate::adapter::http::answer::Reply;
use crate::adapter::http::message::Address;
use crate::adapter::http::trouble::Trouble;
use crate::adapter::http::wire::Channel;
use crate::adapter::{Delivery, Parcel, Request};
use crate::rules::outcome::Outcome;

/// One delivery under way: its parts in order, the first that is not delivered is the last.
pub(super) struct Task<K> {
    pub(super) ticket: u64,
    pub(super) parts: Arc<[Parcel]>,
    pub(super) deliveries: Vec<Delivery>,
    /// The call at hand, when it is not the parcel's request.
    pub(super) rendered: Option<Request>,
    /// How far the part at hand has come, where it takes several calls.
    pub(super) course: Option<K>,
    /// Body bytes of its earlier calls.
    pub(super) earlier: (u64, u64),
    pub(super) started: Instant,
    /// When the call at hand must be over; none while something slow is waited for.
    pub(super) deadline: Option<Instant>,
    /// When it must be over where its connection was opened for it: opening is a part of the call.
    pub(super) until: Option<Instant>,
    pub(super) sealed: Option<Sealed>,
    /// The credential was renewed once.
    pub(super) renewed: bool,
    /// A 421 was tried on another connection.
    pub(super) moved: bool,
    /// The answer that stands unless there is a newer credential.
    pub(super) refusal: Option<(Reply, Refused)>,
}

impl<K> Task<K> {
    pub(super) fn new(ticket: u64, parts: Arc<[Parcel]>) -> Task<K> {
        Task {
            ticket,
            deliveries: Vec::with_capacity(parts.len()),
            parts,
            rendered: None,
            course: None,
            earlier: (0, 0),
            started: Instant::now(),
            deadline: None,
            until: None,
            sealed: None,
            renewed: false,
            moved: false,
            refusal: None,
        }
    }

    pub(super) fn part(&self) -> Option<&Parcel> {
        self.parts.get(self.deliveries.len())
    }

    pub(super) fn request(&self) -> Option<&Request> {
        self.rendered.as_ref().or_else(|| self.part()?.rendered())
    }

    /// Where it goes: where its URL says, unless the credential knows better.
    pub(super) fn address(&self) -> Option<Address<'_>> {
        let request = self.request()?;
        match &self.sealed {
            Some(sealed) => sealed.envelope.address(request),
            None => Address::of(&request.url),
        }
    }
}

/// What came of the calls of one attempt.
pub(super) struct Came {
    pub(super) outcome: Outcome,
    pub(super) items: Vec<Outcome>,
    pub(super) status: Option<u16>,
    pub(super) answer: Option<Vec<u8>>,
    pub(super) sent: bool,
}

impl Came {
    pub(super) fn unsent(outcome: Outcome) -> Came {
        Came { outcome, items: Vec::new(), status: None, answer: None, sent: false }
    }
}

/// What a thread that waited has brought about.
#[derive(Default)]
pub(super) struct Prepared {
    /// Whether there is a newer credential than the one that was refused.
    pub(super) newer: Option<Result<bool, Outcome>>,
    pub(super) sealed: Option<Result<Sealed, Outcome>>,
    pub(super) channel: Option<Result<Channel, Trouble>>,
    /// When the call that the channel is for must be over.
    pub(super) until: Option<Instant>,
}
