//! `POST /sync`: an event from outside, durable before it is answered.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::Desk;
use super::problem::{Asked, Problem, Raw};
use crate::clock;
use crate::engine::fanout::{Fate, fates};
use crate::engine::intake::{IntakeError, NoPayload, Post, PostState, Posted, hash, payload};
use crate::event::{EventId, Record, Value};
use crate::rules::listen::Listen;
use crate::store::state::{LogId, StateReader, log as logs};

/// The name under which posts are remembered by their key.
const SOURCE: &str = "api";
/// Longest type, in bytes.
const LONGEST_TYPE: usize = 200;
/// Longest key, in bytes.
const LONGEST_KEY: usize = 255;
/// Longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How often is looked what came of it: soon at first, and then less often.
const FIRST_GLANCE: Duration = Duration::from_millis(2);
const LAST_GLANCE: Duration = Duration::from_millis(100);

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The query.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wait {
    wait: Option<String>,
}

/// The answer.
#[derive(Debug, Serialize)]
struct Stored {
    status: &'static str,
    id: String,
    /// What came of it, when the caller waited.
    #[serde(skip_serializing_if = "Option::is_none")]
    deliveries: Option<Vec<Fate>>,
}

/// Takes an event in.
pub(super) async fn post(
    State(desk): State<Desk>,
    Asked(Wait { wait }): Asked<Wait>,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Result<Response, Problem> {
    let wait = wait.as_deref().map(span).transpose()?;
    let key = key(&headers)?;
    let (kind, record) = read(&body)?;
    let intake = desk.handle().intake();
    if let Err(reason) = intake.admit(&kind, &record) {
        return Err(Problem::new(StatusCode::FORBIDDEN, format!("{}: nothing was stored", reason.text)));
    }
    let message = key.map(|key| (SOURCE.to_owned(), key));
    let post = Post { kind: kind.into(), payload: record, lane_key: None, message, body_hash: hash(&body) };
    let (told, posted) = tokio::sync::oneshot::channel();
    let submitted = intake.submit(post, move |result| drop(told.send(result)));
    let ended = || Problem::later("the agent is ending, or loading its configuration: nothing was stored");
    submitted.map_err(|_| ended())?;
    let Posted { state, id } = match posted.await {
        Ok(Ok(posted)) => posted,
        Ok(Err(IntakeError::Refused(error))) => return Err(Problem::full(format!("nothing was stored: {error}"))),
        Ok(Err(IntakeError::Full(full))) => return Err(Problem::full(format!("nothing was stored: {full}")).after(60)),
        Ok(Err(IntakeError::Gone)) | Err(_) => return Err(ended()),
    };
    if state == PostState::Differs {
        let detail = format!("event {id} was posted under this Idempotency-Key with another body: nothing was stored");
        return Err(Problem::senseless(detail));
    }
    let deliveries = match wait {
        Some(wait) => Some(watch(&desk, id, wait).await?),
        None => None,
    };
    Ok(Json(Stored { status: "ok", id: id.to_string(), deliveries }).into_response())
}

/// The type and the record of a body.
fn read(body: &[u8]) -> Result<(String, Record), Problem> {
    let mut fields = payload(body).map_err(|error| match error {
        NoPayload::Malformed(why) => Problem::bad(format!("the body is not JSON as it is taken here: {why}")),
        NoPayload::NoObject => Problem::senseless("the body must be an object: {\"type\": TYPE, \"payload\": {...}}"),
    })?;
    let (kind, record) = (fields.remove("type"), fields.remove("payload"));
    if let Some((name, _)) = fields.iter().next() {
        let detail = format!("the body has a member `{}`; it knows `type` and `payload`", name.escape_debug());
        return Err(Problem::senseless(detail));
    }
    let Some(Value::Text(kind)) = kind else {
        return Err(Problem::senseless("`type` must be a text: the type of the event"));
    };
    // A connector must be able to listen to it.
    if kind.len() > LONGEST_TYPE || kind.contains('*') || Listen::parse(&[kind.to_string()]).is_err() {
        let detail =
            format!("`type` is 1 to {LONGEST_TYPE} bytes, without `*`, control characters and white space around it");
        return Err(Problem::senseless(detail));
    }
    let Some(Value::Map(record)) = record else {
        return Err(Problem::senseless("`payload` must be an object: the record of the event"));
    };
    Ok((kind.to_string(), record))
}

/// What makes a repetition known.
fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
    let (Some(key), more) = (keys.next(), keys.next()) else { return Ok(None) };
    let text = key.to_str().ok().filter(|text| (1..=LONGEST_KEY).contains(&text.len()) && more.is_none());
    let detail = format!("`Idempotency-Key` stands there once, with 1 to {LONGEST_KEY} visible ASCII characters");
    text.map(|text| Some(text.to_owned())).ok_or_else(|| Problem::bad(detail))
}

/// A wait: `10s`, `500ms`, `1m`; at most [`LONGEST_WAIT`].
fn span(text: &str) -> Result<Duration, Problem> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let span = number.parse::<u32>().ok().and_then(|number| match unit {
        "ms" => Some(Duration::from_millis(u64::from(number))),
        "s" => Some(Duration::from_secs(u64::from(number))),
        "m" => Some(Duration::from_secs(u64::from(number) * 60)),
        _ => None,
    });
    span.filter(|span| *span <= LONGEST_WAIT).ok_or_else(|| {
        Problem::bad(format!("`wait` is a time of at most {} s, as in wait=10s or wait=500ms", LONGEST_WAIT.as_secs()))
    })
}

/// What came of an event everywhere, once that is clear or the time is over.
async fn watch(desk: &Desk, id: EventId, wait: Duration) -> Result<Vec<Fate>, Problem> {
    let until = clock::steady().plus(wait);
    let (mut glance, mut stop, mut reader) = (FIRST_GLANCE, desk.stop.clone(), None);
    loop {
        let (fates, kept) = desk.ask(move |handle| look(reader, &handle, id)).await?.map_err(Problem::later)?;
        reader = Some(kept);
        let left = until.since(clock::steady());
        if left.is_zero() || *stop.borrow() || fates.iter().all(|fate| fate.is_final) {
            return Ok(fates);
        }
        tokio::select! {
            () = tokio::time::sleep(glance.min(left)) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
        glance = (glance * 2).min(LAST_GLANCE);
    }
}

type Looked = Result<(Vec<Fate>, (StateReader, LogId)), String>;

fn look(reader: Option<(StateReader, LogId)>, handle: &crate::daemon::handle::Handle, id: EventId) -> Looked {
    let told = |error: crate::store::state::StateError| error.to_string();
    let (mut state, log) = match reader {
        Some(kept) => kept,
        None => {
            let mut state = StateReader::open(handle.state()).map_err(told)?;
            let log = state.read(|db| logs::find(db, logs::INTAKE)).map_err(told)?.ok_or("no event was taken in")?;
            (state, log)
        }
    };
    let names: Vec<&str> = handle.connectors().collect();
    let fates = fates(&mut state, &names, log, id).map_err(told)?;
    Ok((fates, (state, log)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_a_time_of_at_most_a_minute() {
        assert_eq!(span("10s").unwrap(), Duration::from_secs(10));
        assert_eq!(span("500ms").unwrap(), Duration::from_millis(500));
        assert_eq!(span("1m").unwrap(), Duration::from_secs(60));
        for bad in ["", "10", "s", "-1s", "61s", "2m", "1h", "10 s", "99999999999s"] {
            assert!(span(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_no_event_is_refused_in_words_that_hold_no_value() {
        for bad in [
            r#"{"type":"a"}"#,
            r#"{"type":"a","payload":["secret"]}"#,
            r#"{"type":7,"payload":{}}"#,
            r#"{"type":"","payload":{}}"#,
            r#"{"type":" a","payload":{}}"#,
            r#"{"type":"a*","payload":{}}"#,
            r#"{"type":"a","payload":{},"more":"secret"}"#,
            r#"["secret"]"#,
            r#"{"type":secret}"#,
        ] {
            assert!(!format!("{:?}", read(bad.as_bytes()).unwrap_err()).contains("secret"), "{bad}");
        }
        let (kind, record) = read(br#"{"type":"rule-changed","payload":{"id":7}}"#).unwrap();
        assert_eq!((&*kind, record.get("id")), ("rule-changed", Some(&Value::Integer(7))));
    }
}
