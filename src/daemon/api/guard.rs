//! Who may call: the Host must be this machine (no DNS rebinding), no other origin may be behind the call (no request
//! forgery by a page), and on TCP the token must be shown, or the session of the status page. On the unix socket its
//! permissions have decided already; but it can be forwarded to somebody's browser (`ssh -L`), so the first two hold there
//! too.

use std::net::SocketAddr;

use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Desk;
use super::caller::{Caller, Page};
use super::problem::{Problem, is_json};
use super::signin;
use crate::adapter::secret::Secret;

/// Whether the process lives; for everybody.
pub(super) const LIVE: &str = "/healthz";
/// Whether it can work; for everybody.
pub(super) const READY: &str = "/readyz";
/// The status page without its data; for everybody.
pub(super) const PAGE: &str = "/";
/// Where a code is exchanged; for everybody who has one.
pub(super) const SESSION: &str = "/session";

/// Figures; for everybody where the configuration says so.
pub(super) const METRICS: &str = "/metrics";

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const BEARER: &str = "Bearer ";

/// Lets a call through, or says why not.
pub(super) async fn guard(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    mut request: Request,
    next: Next,
) -> Response {
    let admitted = match (check(&caller, &request, desk.open_metrics), &desk.token) {
        (Ok(Way::Open), _) => Ok(None),
        (Ok(Way::Token(shown)), Some(token)) => token.admit(shown).await.map(|()| None),
        (Ok(Way::Token(_)), None) => Err(Problem::later("there is no token to compare with")),
        (Ok(Way::Page { cookie, key, port }), _) => match desk.sessions.admit(&cookie, &key) {
            Some(who) => Ok(Some(Caller::Page(Page { who, port }))),
            None => Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                "the session has ended: `hms-sync status --open` begins one",
            )),
        },
        (Err(problem), _) => Err(problem),
    };
    let mut response = match admitted {
        Ok(page) => {
            page.map(|page| request.extensions_mut().insert(page));
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// How a call comes in.
enum Way {
    /// As it is.
    Open,
    /// By the token that is shown.
    Token(Option<Secret>),
    /// By a session of the status page.
    Page {
        /// Its cookie.
        cookie: String,
        /// What the page shows beside it.
        key: String,
        /// The port it came by.
        port: u16,
    },
}

fn check(caller: &Caller, request: &Request, open_metrics: bool) -> Result<Way, Problem> {
    let headers = request.headers();
    let port = match caller {
        Caller::Tcp(address) => Some(*address),
        Caller::Peer(_) | Caller::Page(_) => None,
    };
    let absolute = request.uri().authority().is_some();
    if port.is_some_and(|port| absolute || !is_ours(headers, port)) || !is_here(headers) {
        let port = port.map(|port| format!(":{}", port.port())).unwrap_or_default();
        let detail = format!("ask for this machine by name: http://localhost{port}");
        return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail));
    }
    if is_foreign(request.method(), headers, port) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "the page that asks is not this agent's"));
    }
    let Some(port) = port else { return Ok(Way::Open) };
    match (request.method(), request.uri().path()) {
        (_, LIVE | READY | PAGE) | (&Method::POST, SESSION) => return Ok(Way::Open),
        (_, METRICS) if open_metrics => return Ok(Way::Open),
        _ => {}
    }
    let shown = headers.get(header::AUTHORIZATION).and_then(|shown| shown.to_str().ok());
    if shown.is_none()
        && let Some((cookie, key)) = signin::shown(headers, &caller.cookie())
    {
        if is_forged(request.method(), headers) {
            return Err(Problem::new(StatusCode::FORBIDDEN, "the page that asks does not ask as this agent's does"));
        }
        return Ok(Way::Page { cookie, key, port: port.port() });
    }
    let token = |shown: &str| {
        let (word, token) = shown.split_at_checked(BEARER.len())?;
        word.eq_ignore_ascii_case(BEARER).then(|| Secret::new(token))
    };
    Ok(Way::Token(shown.and_then(token)))
}

/// The names of this machine in a URL, with our port.
fn names(address: SocketAddr) -> [String; 3] {
    let port = address.port();
    [format!("localhost:{port}"), format!("127.0.0.1:{port}"), format!("[::1]:{port}")]
}

/// Whether the one Host is one of ours.
fn is_ours(headers: &HeaderMap, address: SocketAddr) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    // Port 80 is left out by who asks at it.
    let bare = || (address.port() == 80).then(|| format!("{}:80", host.to_str().unwrap_or_default()));
    names(address).iter().any(|name| *host == **name || bare().is_some_and(|host| host == *name))
}

/// Whether the Host, if there is one, is this machine, at whatever port: a socket that was forwarded has any.
fn is_here(headers: &HeaderMap) -> bool {
    headers.get_all(header::HOST).iter().all(|host| {
        let host = host.to_str().unwrap_or_default();
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        ["localhost", "127.0.0.1", "[::1]"].contains(&name)
    })
}

/// Whether a page of somebody else's is behind the call. At a socket that was forwarded, ours has the Host as its origin.
fn is_foreign(method: &Method, headers: &HeaderMap, port: Option<SocketAddr>) -> bool {
    let ours = |origin: &HeaderValue| match port {
        Some(port) => names(port).iter().any(|name| *origin == *format!("http://{name}")),
        None => headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
            .is_some_and(|host| *origin == *format!("http://{host}")),
    };
    let site = |site: &HeaderValue| site == "same-origin" || site == "none";
    !headers.get_all(header::ORIGIN).iter().all(ours)
        || (!is_followed(method, headers) && !headers.get_all(FETCH_SITE).iter().all(site))
}

/// Whether a person follows a link to here, from whatever page: what is shown then fills the window, and that page reads none
/// of it.
fn is_followed(method: &Method, headers: &HeaderMap) -> bool {
    let says = |name: &HeaderName, word: &str| headers.get(name).is_some_and(|value| value == word);
    method == Method::GET && says(&FETCH_MODE, "navigate") && says(&FETCH_DEST, "document")
}

/// Whether a call with a session's cookie does not come from our page: that names its origin when it changes something, and
/// sends JSON.
fn is_forged(method: &Method, headers: &HeaderMap) -> bool {
    let same = headers.get_all(FETCH_SITE).iter().all(|site| site == "same-origin");
    let changes = ![Method::GET, Method::HEAD].contains(method);
    let named = headers.contains_key(header::ORIGIN) || headers.contains_key(FETCH_SITE);
    !same || (changes && !(named && is_json(headers)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn headers(fields: &[(HeaderName, &str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_this_machine_by_name_and_port_is_ours() {
        let address: SocketAddr = ([127, 0, 0, 1], 7003).into();
        for good in ["localhost:7003", "127.0.0.1:7003", "[::1]:7003"] {
            assert!(is_ours(&headers(&[(header::HOST, good)]), address), "{good}");
        }
        let bad = ["evil.example", "localhost.evil:7003", "0.0.0.0:7003", "127.1:7003", "2130706433:7003"];
        for bad in bad.into_iter().chain(["localhost.:7003", "localhost", "localhost:7004", ""]) {
            assert!(!is_ours(&headers(&[(header::HOST, bad)]), address), "{bad}");
        }
        let mut two = headers(&[(header::HOST, "localhost:7003")]);
        two.append(header::HOST, "localhost:7003".parse().unwrap());
        assert!(!is_ours(&two, address) && !is_ours(&HeaderMap::new(), address));
    }

    #[test]
    fn a_page_from_elsewhere_changes_nothing_and_reads_nothing() {
        let address: SocketAddr = ([127, 0, 0, 1], 7003).into();
        let foreign = |method, fields: &[(HeaderName, &str)]| is_foreign(&method, &headers(fields), Some(address));
        assert!(!foreign(Method::POST, &[]), "a program");
        assert!(!foreign(Method::POST, &[(header::ORIGIN, "http://localhost:7003"), (FETCH_SITE, "same-origin")]));
        for origin in ["null", "http://evil.example", "https://localhost:7003", "http://localhost:80"] {
            assert!(foreign(Method::POST, &[(header::ORIGIN, origin)]), "{origin}");
            assert!(foreign(Method::GET, &[(header::ORIGIN, origin)]), "{origin}");
        }
        for site in ["cross-site", "same-site"] {
            let (site, navigates) = ((FETCH_SITE, site), (FETCH_MODE, "navigate"));
            for method in [Method::POST, Method::GET] {
                assert!(foreign(method.clone(), std::slice::from_ref(&site)), "{site:?}");
                assert!(foreign(method, &[site.clone(), navigates.clone(), (FETCH_DEST, "iframe")]), "{site:?}");
            }
            let link = [site, navigates, (FETCH_DEST, "document")];
            assert!(!foreign(Method::GET, &link), "a link to a page");
            assert!(foreign(Method::POST, &link), "a form that is sent");
        }
    }

    #[test]
    fn a_socket_that_is_forwarded_to_a_browser_serves_its_own_page_only() {
        let here = |host| is_here(&headers(&[(header::HOST, host)]));
        for good in ["localhost", "localhost:7003", "127.0.0.1:80", "[::1]", "[::1]:9"] {
            assert!(here(good), "{good}");
        }
        for bad in
            ["evil.example", "evil.example:7003", "localhost.evil:1", "localhost.:1", "", "localhost:x", "[::]:1"]
        {
            assert!(!here(bad), "{bad}");
        }
        let foreign = |fields: &[(HeaderName, &str)]| is_foreign(&Method::POST, &headers(fields), None);
        let host = (header::HOST, "localhost:7003");
        assert!(
            !foreign(std::slice::from_ref(&host))
                && !foreign(&[host.clone(), (header::ORIGIN, "http://localhost:7003")])
        );
        assert!(foreign(&[host.clone(), (header::ORIGIN, "http://localhost:7004")]));
        assert!(foreign(&[host, (FETCH_SITE, "cross-site")]));
    }

    #[test]
    fn a_session_changes_something_only_by_json_and_by_its_own_page() {
        let forged = |method, fields: &[(HeaderName, &str)]| is_forged(&method, &headers(fields));
        let (json, same) = ((header::CONTENT_TYPE, "application/json"), (FETCH_SITE, "same-origin"));
        assert!(!forged(Method::POST, &[json.clone(), same.clone()]) && !forged(Method::GET, &[]));
        assert!(forged(Method::POST, &[same]), "no JSON");
        assert!(forged(Method::POST, std::slice::from_ref(&json)), "it says nothing of itself");
        assert!(forged(Method::POST, &[json, (FETCH_SITE, "none")]));
        assert!(forged(Method::GET, &[(FETCH_SITE, "same-site")]), "another port of this machine");
    }
}
