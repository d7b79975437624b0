//! Answers that say no (RFC 9457), and what is read of a request: each part answers for itself when it is not as it must be.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequest, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Bytes;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::engine::intake::BODY;

/// How long a body may take to come.
const COMING: Duration = Duration::from_secs(10);

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    detail: String,
    /// Seconds after which it may be tried again.
    after: Option<u32>,
}

impl Problem {
    /// One with a reason in words; no value of a record.
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Problem {
        Problem { status, detail: detail.into(), after: None }
    }

    /// What is not there.
    pub(super) fn absent(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, detail)
    }

    /// What is not as it must be.
    pub(super) fn bad(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, detail)
    }

    /// What can be read and makes no sense.
    pub(super) fn senseless(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// What cannot be stored.
    pub(super) fn full(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::INSUFFICIENT_STORAGE, detail)
    }

    /// What is not possible now.
    pub(super) fn later(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).after(1)
    }

    /// What came to no end.
    pub(super) fn broken() -> Problem {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the call broke down: the agent's log says why")
    }

    /// The same, with when to try again.
    pub(super) fn after(self, seconds: u32) -> Problem {
        Problem { after: Some(seconds), ..self }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Problem { status, detail, after } = self;
        let title = status.canonical_reason().unwrap_or("Error");
        let body = json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail });
        let mut response =
            (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response();
        if let Some(seconds) = after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// For a path that nothing answers.
pub(super) async fn nowhere() -> Problem {
    Problem::absent("there is no such call: /openapi.json lists them")
}

/// For a method that a path has no answer to.
pub(super) async fn not_so(method: Method) -> Problem {
    let detail = format!("this path knows no {method}: /openapi.json lists what it knows");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}

/// The names in a path: any UTF-8, decoded once.
pub(super) struct Named<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Named<T>, Problem> {
        let found = Path::<T>::from_request_parts(parts, state).await;
        found.map(|Path(names)| Named(names)).map_err(|error| Problem::bad(format!("the path: {}", error.body_text())))
    }
}

/// The query, in which only what is known may stand.
pub(super) struct Asked<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Asked<T>, Problem> {
        let found = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        found.map(|query| Asked(query.0)).map_err(|error| Problem::bad(format!("the query: {}", error.body_text())))
    }
}

/// A body that says it is JSON, as it came.
pub(super) struct Raw(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Raw {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Raw, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "send it as `Content-Type: application/json`",
            ));
        }
        read(request.into_body()).await.map(Raw)
    }
}

/// A body as it must be; as an option, none when nothing came.
pub(super) struct Given<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Given<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Given<T>, Problem> {
        let Raw(bytes) = <Raw as FromRequest<S>>::from_request(request, state).await?;
        parse(&bytes)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> OptionalFromRequest<S> for Given<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Option<Given<T>>, Problem> {
        let is_json = is_json(request.headers());
        let bytes = read(request.into_body()).await?;
        if bytes.is_empty() {
            return Ok(None);
        }
        if !is_json {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "send it as `Content-Type: application/json`",
            ));
        }
        parse(&bytes).map(Some)
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<Given<T>, Problem> {
    serde_json::from_slice(bytes).map(Given).map_err(|error| {
        if error.is_data() {
            Problem::senseless(format!("the body: {error}"))
        } else {
            Problem::bad(format!("the body is not JSON: {error}"))
        }
    })
}

/// Whether a body is said to be JSON.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// A body, of at most [`BODY`] bytes and within [`COMING`].
async fn read(body: Body) -> Result<Bytes, Problem> {
    let read = tokio::time::timeout(COMING, Limited::new(body, BODY).collect()).await;
    let read = read.map_err(|_| {
        let detail = format!("the body did not come within {} s", COMING.as_secs());
        Problem::new(StatusCode::REQUEST_TIMEOUT, detail)
    })?;
    read.map(|read| read.to_bytes()).map_err(|error| match error.is::<LengthLimitError>() {
        true => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {BODY} bytes")),
        false => Problem::bad("the body broke off"),
    })
}
