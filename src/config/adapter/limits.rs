//! `limits:` and `probe:` of an adapter's file.

use super::{request, rule};
use crate::config::found::Found;
use crate::rules::operation::{Limits, Probe};
use crate::rules::rate::Rate;

/// Most requests in flight that a file may ask for.
const MOST_CONCURRENT: i64 = 64;

/// Reads `limits:`.
pub(super) fn limits(found: &Found<'_>) -> Option<Limits> {
    let fields = found.fields()?;
    let rate = fields.take("rate").map(|found| Rate::parse(found.text()?).map_err(|message| found.error(message)).ok());
    let concurrency = fields.take("concurrency").and_then(|found| found.integer(1..=MOST_CONCURRENT));
    let timeout = fields.duration("timeout");
    let body = fields.take("bodyBytes").and_then(|found| found.bytes());
    let answer = fields.take("answerBytes").and_then(|found| answer(&found));
    fields.done();
    Some(Limits {
        rate: rate.flatten(),
        concurrency: concurrency.and_then(|count| usize::try_from(count).ok()),
        timeout,
        body: body.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
        answer,
    })
}

fn answer(found: &Found<'_>) -> Option<usize> {
    let bytes = usize::try_from(found.bytes()?).unwrap_or(usize::MAX);
    if (1..=Limits::MOST_ANSWER).contains(&bytes) {
        return Some(bytes);
    }
    found.error(format!("so much of an answer is not read: between 1 and {} bytes", Limits::MOST_ANSWER));
    None
}

/// Reads `probe:`.
pub(super) fn probe(found: &Found<'_>) -> Option<Probe> {
    let fields = found.fields()?;
    let call = fields.need("request").and_then(|found| request::call(&found));
    let rules = fields.need("expect").map(|found| rule::rules(&found, true)).unwrap_or_default();
    fields.done();
    let call = call?;
    for expression in call.expressions() {
        let of_records = |name: &&String| !["vars", "office", "secret"].contains(&name.as_str());
        if let Some(name) = expression.names().iter().find(of_records) {
            found.error_where(
                expression.as_str(),
                format!("`{}`: a probe is about no record and has no `{name}`", expression.as_str()),
                Some("only `vars`, `office` and `secret` can stand in it"),
            );
            return None;
        }
    }
    Some(Probe { request: call, rules })
}
