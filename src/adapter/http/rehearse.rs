//! A delivery without a connection: the answers are given, and the requests are shown.

use super::caller::{Caller, Each, Next};
use super::{Fields, Reply};
use crate::adapter::{Left, Parcel, Request};
use crate::rules::outcome::{Outcome, Reason};

/// What would have been sent, and what came of it.
#[derive(Debug)]
pub struct Rehearsed {
    /// The requests, in order.
    pub requests: Vec<Request>,
    /// What came of it; none = an answer was wanting.
    pub outcome: Option<Outcome>,
    /// What came of each record of a joined request, where the answer said so.
    pub items: Vec<Outcome>,
    /// What it leaves behind.
    pub left: Vec<Left>,
}

/// Goes through a delivery with the answers that `answer` gives.
pub fn rehearse<C: Caller>(
    caller: &C,
    parcel: &Parcel,
    answer: &mut dyn FnMut(&Request) -> Option<Reply>,
) -> Result<Rehearsed, Reason> {
    let mut rehearsed = Rehearsed { requests: Vec::new(), outcome: None, items: Vec::new(), left: Vec::new() };
    let Some(own) = caller.render(parcel)? else { return Ok(rehearsed) };
    let (mut request, mut course) = match caller.set_out(parcel, &own)? {
        Some((first, course)) => (first, Some(course)),
        None => (own, None),
    };
    loop {
        rehearsed.requests.push(request.clone());
        let Some(reply) = answer(&request) else { return Ok(rehearsed) };
        let each = match parcel.items() {
            0 => Each::Unsaid,
            _ => caller.judge_items(parcel, &request, &reply, course.as_mut()),
        };
        let next = match each {
            Each::Unsaid => caller.judge(parcel, &request, &reply, course.as_mut()),
            Each::All(outcome) => Next::End(outcome),
            Each::Call(request) => Next::Call(request),
            Each::Items(items) => {
                let telling = items.iter().find(|outcome| !outcome.is_delivered()).or(items.first()).cloned();
                rehearsed.outcome = telling;
                rehearsed.items = items;
                rehearsed.left = course.map(|course| caller.leave(parcel, course)).unwrap_or_default();
                return Ok(rehearsed);
            }
        };
        match next {
            Next::Call(next) => request = next,
            Next::End(outcome) => {
                let outcome = caller.settle(outcome);
                if outcome.is_delivered() {
                    rehearsed.left = course.map(|course| caller.leave(parcel, course)).unwrap_or_default();
                }
                rehearsed.outcome = Some(outcome);
                return Ok(rehearsed);
            }
        }
    }
}

/// An answer as a fixture has it.
pub fn reply(status: u16, fields: &[(String, String)], body: Vec<u8>) -> Reply {
    let mut reply = Reply { status, fields: Fields::default(), body, whole: true, ..Reply::default() };
    for (name, value) in fields {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        reply.fields.add(name, value.as_bytes());
        if is("content-type") {
            reply.content_type = Some(value.clone());
        } else if is("retry-after") {
            reply.retry_after = Some(value.clone());
        } else if is("date") {
            reply.date = Some(value.clone());
        } else if is("location") {
            reply.location = Some(value.clone());
        }
    }
    reply
}
