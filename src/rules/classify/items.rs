//! 207 Multi-Status of a request with several records: what came of each.

use serde_json::Value;

use crate::rules::outcome::{Outcome, Reason};

/// Names under which an object holds the list, and an item its status.
const LISTS: [&str; 5] = ["items", "results", "responses", "records", "entries"];
const STATUSES: [&str; 3] = ["status", "statusCode", "code"];

/// The outcomes of `count` records in their order; none when the body does not list as many results.
///
/// The body is a JSON array, or an object that holds one as `items`, `results`, `responses`, `records` or `entries`, with
/// one item for each record in the order of the request: a status, or an object with it as `status`, `statusCode` or
/// `code` (a number, or text that begins with it).
pub fn items(body: &[u8], count: usize, delete: bool, retry_on: &[u16]) -> Option<Vec<Outcome>> {
    // The parser refuses what is nested deeper than 128.
    let list = match serde_json::from_slice(body).ok()? {
        Value::Array(list) => list,
        Value::Object(mut object) => LISTS.iter().find_map(|name| match object.remove(*name) {
            Some(Value::Array(list)) => Some(list),
            _ => None,
        })?,
        _ => return None,
    };
    if list.len() != count {
        return None;
    }
    list.iter().map(|item| status(item).map(|status| outcome(status, delete, retry_on))).collect()
}

fn status(item: &Value) -> Option<u16> {
    let found = match item {
        Value::Object(object) => STATUSES.iter().find_map(|name| object.get(*name))?,
        other => other,
    };
    let number = match found {
        Value::Number(number) => number.as_u64()?,
        Value::String(text) => text.get(..3)?.parse().ok()?,
        _ => return None,
    };
    u16::try_from(number).ok().filter(|status| (100..600).contains(status))
}

fn outcome(status: u16, delete: bool, retry_on: &[u16]) -> Outcome {
    let reason = |what: &'static str| Reason::new(format!("http-{status}"), what);
    match status {
        200..=299 => Outcome::Success,
        _ if status >= 300 && retry_on.contains(&status) => {
            let reason = reason("the connector's retryOn lists this status");
            Outcome::Retry { reason, after: None, transport: false }
        }
        404 | 410 if delete => Outcome::SuccessWithRemarks(reason("the record to delete was not there")),
        408 | 425 | 429 | 500..=599 => {
            Outcome::Retry { reason: reason("the target cannot take it now"), after: None, transport: false }
        }
        409 | 412 => Outcome::Conflict(reason("the target holds another version of the record")),
        _ => Outcome::Reject(reason("the target refuses this record")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_record_has_its_own_outcome_in_the_order_of_the_request() {
        let body = br#"[201, {"status": "422 Unprocessable"}, {"statusCode": 503, "id": 7}, {"code": 404}]"#;
        let words = |delete| items(body, 4, delete, &[]).unwrap().iter().map(Outcome::word).collect::<Vec<_>>();
        assert_eq!(words(false), ["success", "reject", "retry", "reject"]);
        assert_eq!(words(true), ["success", "reject", "retry", "success_with_remarks"]);
        let named = br#"{"took": 3, "items": [{"status": 409}]}"#;
        assert_eq!(items(named, 1, false, &[]).unwrap()[0].word(), "conflict");
        assert_eq!(items(named, 1, false, &[409]).unwrap()[0].word(), "retry");
    }

    #[test]
    fn a_list_that_does_not_fit_the_request_says_nothing() {
        for body in [&b"[200]"[..], b"[200,200,200]", b"[200,{}]", b"[200,9]", b"[200,\"ab\"]", b"{}", b"", b"[200,"] {
            assert_eq!(items(body, 2, false, &[]), None);
        }
    }
}
