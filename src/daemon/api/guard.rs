//! Who may call: on TCP the Host must be ours (no DNS rebinding), no other origin may be behind the call (no request
//! forgery by a page), and the token must be shown. On the unix socket its permissions have decided already.

use std::net::SocketAddr;

use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Desk;
use super::caller::Caller;
use super::problem::Problem;
use crate::adapter::secret::Secret;

/// Whether the process lives; for everybody.
pub(super) const LIVE: &str = "/healthz";
/// Whether it can work; for everybody.
pub(super) const READY: &str = "/readyz";

/// Figures; for everybody where the configuration says so.
pub(super) const METRICS: &str = "/metrics";

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const BEARER: &str = "Bearer ";

/// Lets a call through, or says why not.
pub(super) async fn guard(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    request: Request,
    next: Next,
) -> Response {
    let checked = check(caller, &request, desk.open_metrics);
    let admitted = match (checked, &desk.token) {
        (Ok(Way::Open), _) => Ok(()),
        (Ok(Way::Token(shown)), Some(token)) => token.admit(shown).await,
        (Ok(Way::Token(_)), None) => Err(Problem::later("there is no token to compare with")),
        (Err(problem), _) => Err(problem),
    };
    let mut response = match admitted {
        Ok(()) => next.run(request).await,
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
}

fn check(caller: Caller, request: &Request, open_metrics: bool) -> Result<Way, Problem> {
    let Caller::Tcp(address) = caller else { return Ok(Way::Open) };
    if request.uri().authority().is_some() || !is_ours(request.headers(), address) {
        let detail = format!("ask for this machine by name: http://localhost:{}", address.port());
        return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail));
    }
    if is_foreign(request.method(), request.headers(), address) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "the page that asks is not this agent's"));
    }
    let path = request.uri().path();
    if [LIVE, READY].contains(&path) || (open_metrics && path == METRICS) {
        return Ok(Way::Open);
    }
    let shown = request.headers().get(header::AUTHORIZATION).and_then(|shown| shown.to_str().ok());
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

/// Whether a page of somebody else's is behind the call.
fn is_foreign(method: &Method, headers: &HeaderMap, address: SocketAddr) -> bool {
    let ours = |origin: &HeaderValue| names(address).iter().any(|name| *origin == *format!("http://{name}"));
    let changes = ![Method::GET, Method::HEAD].contains(method);
    let site = |site: &HeaderValue| site == "same-origin" || site == "none";
    !headers.get_all(header::ORIGIN).iter().all(ours) || (changes && !headers.get_all(FETCH_SITE).iter().all(site))
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
        let foreign = |method, fields: &[(HeaderName, &str)]| is_foreign(&method, &headers(fields), address);
        assert!(!foreign(Method::POST, &[]), "a program");
        assert!(!foreign(Method::POST, &[(header::ORIGIN, "http://localhost:7003"), (FETCH_SITE, "same-origin")]));
        for origin in ["null", "http://evil.example", "https://localhost:7003", "http://localhost:80"] {
            assert!(foreign(Method::POST, &[(header::ORIGIN, origin)]), "{origin}");
            assert!(foreign(Method::GET, &[(header::ORIGIN, origin)]), "{origin}");
        }
        for site in ["cross-site", "same-site"] {
            assert!(foreign(Method::POST, &[(FETCH_SITE, site)]), "{site}");
            assert!(!foreign(Method::GET, &[(FETCH_SITE, site)]), "a link to a page");
        }
    }
}
