//! Answer -> outcome: the default rules of REST/JSON targets.
//!
//! "Delivered" is said only of a 2xx whose body does not contradict it. What a passing cause can explain is retried,
//! what only this record can explain is rejected, what every record would meet halts the connector.

mod items;
mod skim;

pub use items::items;

use std::time::Duration;

use crate::clock::Timestamp;
use crate::rules::batch::MULTI_STATUS;
use crate::rules::outcome::{Outcome, Reason};

/// Longest `Retry-After` that is obeyed.
pub const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// What came back, as far as the decision needs it.
#[derive(Clone, Debug)]
pub struct Answer<'a> {
    /// HTTP status.
    pub status: u16,
    /// Content-Type as sent.
    pub content_type: Option<&'a str>,
    /// Retry-After as sent.
    pub retry_after: Option<&'a str>,
    /// Date as sent.
    pub date: Option<&'a str>,
    /// Location as sent.
    pub location: Option<&'a str>,
    /// The body as far as it was read (at most 64 KiB).
    pub body: &'a [u8],
    /// False when the body went on beyond the limit.
    pub whole: bool,
}

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// True for DELETE requests and deletes.
    pub delete: bool,
    /// True when the URL template has a placeholder: a 404 is about the record.
    pub record_url: bool,
    /// Statuses the connector wants retried (`retryOn`); those below 300 have no effect.
    pub retry_on: &'a [u16],
}

/// The default rules of REST/JSON targets; `now` stands in when an answer with a dated `Retry-After` has no `Date`.
pub fn classify(answer: &Answer<'_>, asked: Asked<'_>, now: Timestamp) -> Outcome {
    let status = answer.status;
    if status >= 300 && asked.retry_on.contains(&status) {
        return retry(answer, now, "the connector's retryOn lists this status");
    }
    match status {
        200..=299 => success(answer),
        300..=399 => Outcome::Halt(Reason::new(
            format!("http-{status}"),
            format!("the target redirects to {}; redirects are not followed", place(answer.location)),
        )),
        401 => Outcome::Reauth(reason(status, "the target does not accept the credentials")),
        404 | 410 if asked.delete && asked.record_url => {
            Outcome::SuccessWithRemarks(reason(status, "the record to delete was not there"))
        }
        404 if asked.record_url => Outcome::Reject(reason(status, "the target does not know this record")),
        404 => halt(status, "nothing is found at the endpoint's URL"),
        410 => halt(status, "the target says that this endpoint is gone for good"),
        409 if in_progress(answer.body) => retry(answer, now, "the target still works on this key"),
        409 | 412 => Outcome::Conflict(reason(status, "the target holds another version of the record")),
        413 => Outcome::Reject(reason(status, "the record is too large for the target")),
        421 => halt(status, "the target says that this host is not served here"),
        403 | 405 | 406 | 407 | 415 | 426 | 431 | 451 | 501 | 505 | 511 => halt(status, configuration(status)),
        408 | 425 | 429 | 500..=599 => retry(answer, now, "the target cannot take it now"),
        400..=499 => Outcome::Reject(reason(status, "the target refuses this record")),
        _ => unknown("bad-answer", format!("status {status} says nothing about the record")),
    }
}

fn reason(status: u16, what: &'static str) -> Reason {
    Reason::new(format!("http-{status}"), what)
}

fn halt(status: u16, what: &'static str) -> Outcome {
    Outcome::Halt(reason(status, what))
}

fn unknown(class: &'static str, text: impl Into<std::borrow::Cow<'static, str>>) -> Outcome {
    Outcome::Unknown { reason: Reason::new(class, text), transport: false }
}

fn retry(answer: &Answer<'_>, now: Timestamp, what: &'static str) -> Outcome {
    let after = answer.retry_after.and_then(|text| wait(text, answer.date, now));
    Outcome::Retry { reason: reason(answer.status, what), after, transport: false }
}

fn configuration(status: u16) -> &'static str {
    match status {
        403 => "the credentials do not allow this; the target's administrator must grant it",
        405 => "the target does not allow this method here; check method and url",
        406 | 415 => "the target does not take JSON here",
        407 => "a proxy on the way wants credentials",
        426 => "the target wants another protocol",
        431 => "the target finds the header too large; check the configured headers",
        451 => "the target refuses for legal reasons",
        511 => "a network on the way wants a sign-in",
        _ => "the target does not support this request",
    }
}

/// A 2xx counts when nothing in the answer contradicts it: no page of a captive portal, and JSON that parses and
/// does not say "error" where JSON is declared.
fn success(answer: &Answer<'_>) -> Outcome {
    let kind = media_type(answer.content_type);
    if answer.status == 207 {
        return unknown(MULTI_STATUS, "the answer does not list one status for each record of the request");
    }
    if answer.status == 204 || answer.status == 205 {
        return Outcome::Success;
    }
    if is_json(&kind) {
        if !answer.whole {
            return unknown("not-json", "the answer is declared JSON but is too long to be read");
        }
        match skim::says_error(answer.body) {
            None if answer.body.trim_ascii().is_empty() => {
                return unknown("not-json", "the answer is declared JSON but is empty");
            }
            None => return unknown("not-json", "the answer is declared JSON but does not parse"),
            Some(true) => return unknown("error-inside", "the status says success but the answer holds an error"),
            Some(false) => {}
        }
    } else if is_page(&kind, answer.body) {
        return unknown("html", "a web page came back instead of an answer; a captive portal or a sign-in page?");
    }
    match answer.status {
        202 => Outcome::SuccessWithRemarks(Reason::new("accepted", "accepted by the target, processed later")),
        _ if !answer.whole => {
            Outcome::SuccessWithRemarks(Reason::new("long-answer", "the answer was too long to be read to its end"))
        }
        _ => Outcome::Success,
    }
}

/// The media type in lower case, without parameters.
fn media_type(content_type: Option<&str>) -> String {
    content_type.and_then(|text| text.split(';').next()).unwrap_or_default().trim().to_ascii_lowercase()
}

fn is_json(kind: &str) -> bool {
    kind == "application/json" || kind == "text/json" || kind.ends_with("+json")
}

fn is_page(kind: &str, body: &[u8]) -> bool {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start();
    let starts = |with: &[u8]| body.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    let declared = kind == "text/html" || kind == "application/xhtml+xml";
    (declared && !body.is_empty()) || starts(b"<!doctype html") || starts(b"<html")
}

/// 409 as draft-ietf-httpapi-idempotency-key-header means it: the first request with this key is still being worked on.
fn in_progress(body: &[u8]) -> bool {
    const SIGNS: [&str; 6] =
        ["in progress", "in_progress", "in-progress", "outstanding", "being processed", "concurrent request"];
    let text = String::from_utf8_lossy(body).to_ascii_lowercase();
    SIGNS.iter().any(|sign| text.contains(sign))
}

/// Scheme, host and port of a `Location`; its path may hold anything and is not shown.
fn place(location: Option<&str>) -> String {
    let Some(location) = location.map(str::trim) else { return "an unnamed place".to_owned() };
    let Some((scheme, rest)) = location.split_once("://") else { return "another path of the same host".to_owned() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.:[]_".contains(&byte));
    if host.is_empty() || host.len() > 255 || !plain(scheme) || !plain(host) {
        return "a place that cannot be shown".to_owned();
    }
    format!("{}://{}", scheme.to_ascii_lowercase(), host.to_ascii_lowercase())
}

/// `Retry-After` (RFC 9110 §10.2.3): seconds, or a date that is measured against the answer's own `Date`, so that
/// neither clock needs to be right. Clamped to [`LONGEST_WAIT`]; nonsense is none.
pub fn wait(retry_after: &str, date: Option<&str>, now: Timestamp) -> Option<Duration> {
    let text = retry_after.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = text.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(LONGEST_WAIT));
    }
    let until = http_date(text)?;
    let from = date.and_then(|date| http_date(date.trim())).unwrap_or(now);
    Some(until.since(from).min(LONGEST_WAIT))
}

/// The three forms of an HTTP date (RFC 9110 §5.6.7).
pub fn http_date(text: &str) -> Option<Timestamp> {
    const FORMS: [&str; 3] = ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    FORMS.iter().find_map(|form| {
        let time = jiff::fmt::strtime::parse(form, text).and_then(|parts| parts.to_datetime()).ok()?;
        let time = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(Timestamp::from_jiff(time.timestamp()))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    const COLLECTION: Asked<'_> = Asked { delete: false, record_url: false, retry_on: &[] };
    const RECORD: Asked<'_> = Asked { record_url: true, ..COLLECTION };
    const DELETE: Asked<'_> = Asked { delete: true, ..RECORD };
    /// 2026-03-05T18:05:00Z
    const NOW: Timestamp = Timestamp(1_772_733_900_000);

    fn answer(status: u16) -> Answer<'static> {
        Answer { status, content_type: None, retry_after: None, date: None, location: None, body: b"", whole: true }
    }

    fn json(status: u16, body: &'static [u8]) -> Answer<'static> {
        Answer { content_type: Some("Application/JSON; charset=utf-8"), body, ..answer(status) }
    }

    fn plain(status: u16) -> Outcome {
        classify(&answer(status), COLLECTION, NOW)
    }

    fn word(outcome: &Outcome) -> &'static str {
        outcome.word()
    }

    fn class(outcome: &Outcome) -> String {
        outcome.reason().unwrap().class.to_string()
    }

    #[test]
    fn a_2xx_is_delivered_and_202_is_recorded_as_accepted() {
        for status in [200, 201, 204, 206] {
            assert_eq!(plain(status), Outcome::Success, "{status}");
        }
        assert_eq!(class(&plain(202)), "accepted");
        assert!(plain(202).is_delivered());
        assert_eq!(classify(&json(200, br#"{"id":1,"error":null,"errors":[]}"#), COLLECTION, NOW), Outcome::Success);
        assert_eq!(classify(&json(204, b""), COLLECTION, NOW), Outcome::Success);
        let text = Answer { content_type: Some("text/plain"), body: b"{not json", ..answer(200) };
        assert_eq!(classify(&text, COLLECTION, NOW), Outcome::Success);
    }

    #[test]
    fn a_2xx_whose_body_contradicts_it_is_unknown_and_not_a_transport_failure() {
        let deep: &'static [u8] = Box::leak([b"[".repeat(100_000), b"]".repeat(100_000)].concat().into_boxed_slice());
        let page = Answer { content_type: Some("text/html"), body: b"<p>Sign in", ..answer(200) };
        let untyped = Answer { body: b"\xef\xbb\xbf \n<!DOCTYPE HTML><title>Hotel", ..answer(200) };
        for (answer, expected) in [
            (json(200, b""), "not-json"),
            (json(201, b"<html>"), "not-json"),
            (json(200, b"{\"id\":"), "not-json"),
            (json(200, deep), "not-json"),
            (Answer { whole: false, ..json(200, b"[1,2") }, "not-json"),
            (json(200, br#"{"error":{"code":498}}"#), "error-inside"),
            (json(200, br#"{"success":false}"#), "error-inside"),
            (page, "html"),
            (untyped, "html"),
            (json(207, b"{}"), "multi-status"),
        ] {
            let outcome = classify(&answer, COLLECTION, NOW);
            assert!(matches!(outcome, Outcome::Unknown { transport: false, .. }), "{expected}: {outcome:?}");
            assert_eq!(class(&outcome), expected);
        }
    }

    #[test]
    fn a_long_answer_that_the_rule_does_not_need_counts_by_its_status() {
        let long = Answer { whole: false, body: b"xxxx", ..answer(200) };
        assert_eq!(class(&classify(&long, COLLECTION, NOW)), "long-answer");
        assert!(classify(&long, COLLECTION, NOW).is_delivered());
        assert_eq!(word(&classify(&Answer { whole: false, ..answer(503) }, COLLECTION, NOW)), "retry");
    }

    #[test]
    fn a_redirect_halts_and_shows_only_the_origin_it_points_to() {
        for status in [300, 301, 302, 303, 304, 307, 308] {
            let to = Answer { location: Some("https://u:pw@Evil.example:8443/p/4711?ssn=1#x"), ..answer(status) };
            let Outcome::Halt(reason) = classify(&to, RECORD, NOW) else { panic!("{status} did not halt") };
            assert_eq!(reason.class, format!("http-{status}"));
            assert!(reason.text.contains("https://evil.example:8443;"), "{reason}");
            for secret in ["4711", "ssn", "pw"] {
                assert!(!reason.text.contains(secret), "{reason}");
            }
        }
        assert_eq!(word(&plain(302)), "halt");
        for odd in ["/login?x=1", "https://\u{1b}[2J/", "https://"] {
            let Outcome::Halt(reason) = classify(&Answer { location: Some(odd), ..answer(302) }, RECORD, NOW) else {
                panic!("no halt")
            };
            assert!(!reason.text.contains('\u{1b}') && !reason.text.contains("login"), "{reason}");
        }
    }

    #[test]
    fn a_refused_record_is_rejected_alone() {
        for status in [400, 402, 413, 414, 418, 422, 423, 428] {
            assert_eq!(word(&plain(status)), "reject", "{status}");
        }
        assert_eq!(word(&plain(401)), "reauth");
        assert_eq!(word(&plain(412)), "conflict");
    }

    #[test]
    fn what_every_record_would_meet_halts_the_connector() {
        for status in [403, 405, 406, 407, 415, 421, 426, 431, 451, 501, 505, 511] {
            assert_eq!(word(&plain(status)), "halt", "{status}");
        }
    }

    #[test]
    fn a_404_or_410_depends_on_what_was_asked() {
        assert_eq!(word(&classify(&answer(404), COLLECTION, NOW)), "halt");
        assert_eq!(word(&classify(&answer(404), RECORD, NOW)), "reject");
        assert!(classify(&answer(404), DELETE, NOW).is_delivered());
        assert_eq!(word(&classify(&answer(410), COLLECTION, NOW)), "halt");
        assert_eq!(word(&classify(&answer(410), RECORD, NOW)), "halt");
        assert!(classify(&answer(410), DELETE, NOW).is_delivered());
        let nowhere = Asked { record_url: false, ..DELETE };
        assert_eq!(word(&classify(&answer(404), nowhere, NOW)), "halt");
        assert_eq!(word(&classify(&answer(410), nowhere, NOW)), "halt");
    }

    #[test]
    fn a_409_is_a_conflict_unless_the_same_key_is_still_in_progress() {
        assert_eq!(word(&classify(&json(409, br#"{"title":"version 3 expected"}"#), RECORD, NOW)), "conflict");
        let busy = br#"{"title":"A request is outstanding for this Idempotency-Key"}"#;
        assert_eq!(word(&classify(&json(409, busy), RECORD, NOW)), "retry");
    }

    #[test]
    fn a_passing_cause_is_retried_and_was_answered() {
        for status in [408, 425, 429, 500, 502, 503, 504, 507, 520, 521, 522, 523, 524, 525, 526, 527, 530, 599] {
            let outcome = plain(status);
            assert!(matches!(outcome, Outcome::Retry { after: None, transport: false, .. }), "{status}: {outcome:?}");
            assert_eq!(class(&outcome), format!("http-{status}"));
        }
    }

    #[test]
    fn statuses_of_retry_on_are_retried() {
        let asked = Asked { retry_on: &[409, 422, 200], ..RECORD };
        assert_eq!(word(&classify(&answer(409), asked, NOW)), "retry");
        assert_eq!(word(&classify(&answer(422), asked, NOW)), "retry");
        assert_eq!(word(&classify(&answer(400), asked, NOW)), "reject");
        assert_eq!(classify(&answer(200), asked, NOW), Outcome::Success);
    }

    #[test]
    fn retry_after_is_read_as_seconds_or_as_a_date_and_clamped() {
        let after = |text: &'static str, date: Option<&'static str>| {
            let busy = Answer { retry_after: Some(text), date, ..answer(429) };
            match classify(&busy, COLLECTION, NOW) {
                Outcome::Retry { after, .. } => after.map(|wait| wait.as_secs()),
                other => panic!("{other:?}"),
            }
        };
        let day = Some(24 * 60 * 60);
        assert_eq!(after("120", None), Some(120));
        assert_eq!(after(" 0 ", None), Some(0));
        assert_eq!(after("86401", None), day);
        assert_eq!(after("99999999999999999999999", None), day);
        for nonsense in ["", "-5", "1.5", "soon", "Thu, 05 Mar 2026", "Thu, 45 Mar 2026 18:06:00 GMT"] {
            assert_eq!(after(nonsense, None), None, "{nonsense}");
        }
        // The target's clock runs a year ahead: its own Date is the measure.
        let date = Some("Fri, 05 Mar 2027 18:05:00 GMT");
        assert_eq!(after("Fri, 05 Mar 2027 18:06:30 GMT", date), Some(90));
        assert_eq!(after("Friday, 05-Mar-27 18:06:30 GMT", date), Some(90));
        assert_eq!(after("Fri Mar  5 18:06:30 2027", date), Some(90));
        assert_eq!(after("Fri, 05 Mar 2027 18:00:00 GMT", date), Some(0));
        assert_eq!(after("Thu, 05 Mar 2026 18:06:00 GMT", None), Some(60));
        assert_eq!(after("Thu, 05 Mar 2026 18:06:00 GMT", Some("garbage")), Some(60));
        assert_eq!(after("Fri, 05 Mar 2032 18:06:00 GMT", date), day);
    }

    #[test]
    fn a_status_out_of_range_says_nothing() {
        for status in [101, 100, 600, 999] {
            assert_eq!(word(&plain(status)), "unknown", "{status}");
        }
    }
}
