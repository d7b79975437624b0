//! One call of a source, and what its answer is known by.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::PullSource;
use crate::adapter::auth::Credential;
use crate::adapter::http::{Envelope, Failure, Reply};
use crate::adapter::{Request, Text as Head, sha256};
use crate::clock::{self, Timestamp};
use crate::rules::classify::http_date;
use crate::rules::hex::hex;
use crate::rules::outcome::{Outcome, Reason};

/// Gives the answer to a request; none = there is none.
pub type Answering<'a> = dyn FnMut(&Request) -> Option<Reply> + 'a;

/// Makes a call.
pub type Calling<'a> = dyn FnMut(Request) -> Result<Got, Outcome> + 'a;

/// What was asked, and what came of it.
pub struct Got {
    pub request: Request,
    pub reply: Reply,
    pub ahead_ms: Option<i64>,
    pub took: Duration,
}

impl PullSource {
    /// One call; a credential that is refused is renewed once.
    pub(super) fn call(&self, request: Request) -> Result<Got, Outcome> {
        let (begun, at) = (Instant::now(), clock::now());
        let credential = self.credential.as_deref();
        let seal = |credential: &Credential| credential.seal(&request);
        let sealed = credential.map(seal).transpose()?;
        let mut reply = self.send(&request, sealed.as_ref().map(|sealed| &sealed.envelope))?;
        if let (Some(credential), Some(used)) = (credential, &sealed)
            && let Some(refusal) = credential.refusal(&reply)
            && credential.refused(used, refusal)?
        {
            let again = seal(credential)?;
            reply = self.send(&request, Some(&again.envelope))?;
        }
        self.client.note_date(&reply);
        reply.vouch(&self.origin);
        let took = begun.elapsed();
        let ahead_ms = reply.date.as_deref().and_then(|date| http_date(date.trim())).map(|date| {
            // Halfway between; and a `Date` leaves out half a second on the average.
            let half = i64::try_from(took.as_millis() / 2).unwrap_or_default();
            date.0.saturating_add(500).saturating_sub(at.0.saturating_add(half))
        });
        Ok(Got { request, reply, ahead_ms, took })
    }

    fn send(&self, request: &Request, envelope: Option<&Envelope>) -> Result<Reply, Outcome> {
        let none = Envelope::default();
        let envelope = envelope.unwrap_or(&none);
        let wary = envelope.is_led_by_name();
        let kept = self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
        let kept = kept.filter(|(led, _)| *led == wary);
        let is_kept = kept.is_some();
        let mut exchange = kept.map_or_else(|| self.client.reading(self.largest, wary), |(_, exchange)| exchange);
        let mut answer = exchange.call(request, envelope);
        // A connection that was kept may have been closed meanwhile; a question may be asked again.
        if is_kept
            && matches!(&answer, Err(Failure::Trouble { trouble, .. }) if !trouble.answered && !trouble.halt && trouble.reason.class != "timeout")
        {
            exchange = self.client.reading(self.largest, wary);
            answer = exchange.call(request, envelope);
        }
        match answer {
            Ok(reply) => {
                *self.open.lock().unwrap_or_else(PoisonError::into_inner) = Some((wary, exchange));
                Ok(reply)
            }
            Err(failure) => Err(passing(failure.outcome())),
        }
    }
}

/// A call whose answer is given.
pub fn rehearsed(request: Request, now: Timestamp, answer: &mut Answering<'_>, silent: &mut bool) -> Got {
    let reply = answer(&request);
    *silent |= reply.is_none();
    let reply = reply.unwrap_or_default();
    let date = reply.date.as_deref().and_then(|date| http_date(date.trim()));
    let ahead_ms = date.map(|date| date.0.saturating_sub(now.0));
    Got { request, reply, ahead_ms, took: Duration::ZERO }
}

/// What an answer to this request is known by, for the next one: `URL ETAG` or `URL date`.
pub fn validator(got: &Got) -> Option<String> {
    let url = hex(sha256(got.request.url.as_bytes()).get(..8).unwrap_or_default());
    if let Some(etag) = got.reply.fields.one("ETag").filter(|etag| !etag.is_empty()) {
        return Some(format!("{url} etag {etag}"));
    }
    let modified = got.reply.fields.one("Last-Modified")?;
    let (changed, now) = (http_date(modified.trim())?, http_date(got.reply.date.as_deref()?.trim())?);
    // What was changed in the second of the answer may be changed again in it (RFC 9110 §8.8.2.2).
    (now.0.saturating_sub(changed.0) >= 2_000).then(|| format!("{url} date {modified}"))
}

/// The header fields that ask only for what is new.
pub fn validators(known: Option<&str>, request: &Request) -> Vec<(Head, Head)> {
    let own = |name: &str| request.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
    let Some((url, rest)) = known.and_then(|known| known.split_once(' ')) else { return Vec::new() };
    if url != hex(sha256(request.url.as_bytes()).get(..8).unwrap_or_default()) {
        return Vec::new();
    }
    let (name, value) = match rest.split_once(' ') {
        Some(("etag", value)) => ("If-None-Match", value),
        Some(("date", value)) => ("If-Modified-Since", value),
        _ => return Vec::new(),
    };
    if own(name) { Vec::new() } else { vec![(name.into(), value.to_owned().into())] }
}

/// Of a question nothing can have happened: what is not known is asked again.
pub fn passing(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Unknown { reason, transport } => Outcome::Retry { reason, after: None, transport },
        Outcome::Conflict(reason) | Outcome::Reject(reason) | Outcome::SuccessWithRemarks(reason) => {
            Outcome::Halt(reason)
        }
        Outcome::Success | Outcome::Duplicate => reject("the answer is no page"),
        other => other,
    }
}

/// The source or its configuration is wrong.
pub fn reject(text: &'static str) -> Outcome {
    Outcome::Halt(Reason::new("pull", text))
}

/// It passes.
pub fn retry(class: &'static str, text: &'static str) -> Outcome {
    Outcome::Retry { reason: Reason::new(class, text), after: None, transport: false }
}
