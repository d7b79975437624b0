//! The status page and the way into it: `/` is open to everybody who may reach the port and holds no data; a code that the
//! command line prints makes it a session.

use std::net::SocketAddr;
use std::sync::LazyLock;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::Desk;
use super::caller::Caller;
use super::problem::{Given, Problem};
use super::session::{CODE, Refused};
use crate::daemon::page;

/// The header in which the page shows its key.
pub(super) const KEY: HeaderName = HeaderName::from_static("x-hms-page");

/// The page.
pub(super) async fn page() -> Response {
    static HEADERS: LazyLock<HeaderMap> = LazyLock::new(|| {
        let policy = HeaderValue::from_str(&page::policy()).unwrap_or(HeaderValue::from_static("default-src 'none'"));
        let fixed = [
            ("content-type", "text/html; charset=utf-8"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
        ];
        let fixed = fixed.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        fixed.into_iter().chain([(header::CONTENT_SECURITY_POLICY, policy)]).collect()
    });
    (HEADERS.clone(), page::text()).into_response()
}

/// A code, and where it can be shown.
#[derive(Debug, Serialize, Deserialize)]
pub struct Code {
    /// Works once.
    pub code: String,
    /// And for so long.
    pub seconds: u64,
    /// The pages, as far as TCP ports are open.
    pub pages: Vec<String>,
}

/// The address of the page at a port.
pub(super) fn address(port: SocketAddr) -> String {
    format!("http://{port}/")
}

/// Gives a code to who is let in without one; a page cannot go on for ever by giving itself codes.
pub(super) async fn code(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Code>, Problem> {
    if matches!(caller, Caller::Page(_)) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "a page gives no codes: `hms-sync status --open` does"));
    }
    let code = desk.sessions.code(&caller.name(None), CODE).ok_or_else(Problem::broken)?;
    let pages = desk.ports.iter().map(|port| address(*port)).collect();
    Ok(Json(Code { code, seconds: CODE.as_secs(), pages }))
}

/// What is exchanged.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shown {
    code: String,
}

/// Who is signed in.
#[derive(Debug, Serialize)]
pub(super) struct Session {
    name: String,
    /// `page`, `token` or `socket`.
    way: &'static str,
    /// To be shown with every call.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

/// Exchanges a code for a session.
pub(super) async fn sign_in(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    Given(Shown { code }): Given<Shown>,
) -> Result<Response, Problem> {
    let signed_in = desk.sessions.sign_in(&code).map_err(|refused| match refused {
        Refused::Unknown => {
            let detail = "this code was used already, is older than a minute, or never was one: `hms-sync status --open` prints another";
            Problem::new(StatusCode::UNAUTHORIZED, detail)
        }
        Refused::TooMany => Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many wrong codes").after(6),
        Refused::NoChance => Problem::broken(),
    })?;
    log::info!("{} has signed in to the status page", signed_in.who);
    let cookie = format!("{}={}; Path=/; HttpOnly; SameSite=Strict", caller.cookie(), signed_in.cookie);
    let cookie = HeaderValue::from_str(&cookie).map_err(|_| Problem::broken())?;
    let session = Session { name: signed_in.who.to_string(), way: "page", key: Some(signed_in.key) };
    Ok(([(header::SET_COOKIE, cookie)], Json(session)).into_response())
}

/// Says who the caller is.
pub(super) async fn who(Extension(caller): Extension<Caller>) -> Json<Session> {
    let way = match &caller {
        Caller::Page(_) => "page",
        Caller::Tcp(_) => "token",
        Caller::Peer(_) => "socket",
    };
    Json(Session { name: caller.name(None), way, key: None })
}

/// Ends the session, if there is one.
pub(super) async fn sign_out(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Caller::Page(page) = &caller else { return Err(Problem::absent("there is no session to end")) };
    let cookie = caller.cookie();
    if let Some((cookie, key)) = shown(&headers, &cookie) {
        desk.sessions.sign_out(&cookie, &key);
    }
    log::info!("{} has signed out of the status page", page.who);
    let gone = format!("{cookie}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    let gone = HeaderValue::from_str(&gone).map_err(|_| Problem::broken())?;
    Ok(([(header::SET_COOKIE, gone)], Json(Session { name: String::new(), way: "page", key: None })).into_response())
}

/// The cookie of this name and the page's key, as far as they are shown.
pub(super) fn shown(headers: &HeaderMap, name: &str) -> Option<(String, String)> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, cookie) = pairs.find(|(known, _)| *known == name)?;
    let key = headers.get(KEY).and_then(|key| key.to_str().ok()).unwrap_or_default();
    Some((cookie.to_owned(), key.to_owned()))
}
