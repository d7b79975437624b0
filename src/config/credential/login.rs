//! `type: session` and `type: csrf`: what is asked for before the first write.

use std::time::Duration;

use crate::adapter::auth::csrf::CsrfSpec;
use crate::adapter::auth::session::{TokenFrom, TokenPlace};
use crate::adapter::secret::SecretRef;
use crate::config::credential::{KeyPlace, Reading, Way, header_name, key_place};
use crate::config::fields::Fields;
use crate::config::found::Found;
use crate::config::url::{self, Use};

/// A sign-in that is answered with cookies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Where one signs in.
    pub url: String,
    /// What is sent there is JSON; else a form.
    pub json: bool,
    /// What is sent.
    pub words: Vec<(String, Word)>,
    /// The cookie that only a good sign-in sets.
    pub cookie: Option<String>,
    /// A token in the answer, instead of cookies.
    pub token: Option<TokenFrom>,
    /// How long a session holds; none = as its cookies say, else until it is refused.
    pub lifetime: Option<Duration>,
    /// How to get there.
    pub way: Way,
}

/// A value that is sent at a sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// As it stands here.
    Plain(String),
    /// A secret.
    Secret(SecretRef),
}

/// A token against forged requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Csrf {
    /// Where it is fetched.
    pub url: String,
    /// By `GET` or `HEAD`.
    pub method: &'static str,
    /// The header that asks for it and carries it.
    pub header: String,
    /// How to get there.
    pub way: Way,
}

pub(super) fn session(fields: &Fields<'_>, reading: &Reading<'_>) -> Option<Session> {
    let login = fields.need("login");
    let cookie = fields.text("cookie");
    let token = fields.take("token").map(|found| token(&found));
    if let (Some(_), Some(found)) = (&cookie, fields.take("token")) {
        found.error("stands beside `cookie:`: only one of the two");
    }
    let lifetime = fields.duration("lifetime");
    let way = reading.way(fields);
    let login = login?;
    let inner = login.fields()?;
    let url = inner.need("url").and_then(|found| url::check(&found, Use::Https));
    let (form, json) = (inner.take("form"), inner.take("json"));
    inner.done();
    let (words, json) = match (form, json) {
        (Some(found), None) => (words(&found, reading), false),
        (None, Some(found)) => (words(&found, reading), true),
        (None, None) => {
            login.error_hint(
                "needs `form:` or `json:`, what is sent to sign in",
                "form: {Username: NAME, Password: {credential: NAME}}",
            );
            return None;
        }
        (Some(_), Some(found)) => {
            found.error("stands beside `form:`: only one of the two");
            return None;
        }
    };
    let token = token.map_or(Some(None), |found| found.map(Some))?;
    Some(Session { url: url?, json, words: words?, cookie, token, lifetime, way })
}

fn token(found: &Found<'_>) -> Option<TokenFrom> {
    let fields = found.fields()?;
    let from = fields.need("from").and_then(|found| found.text().map(str::to_owned));
    let placed = ["header", "query", "body"].into_iter().any(|name| fields.take(name).is_some());
    let place = if placed { key_place(&fields)?.into() } else { TokenPlace::Bearer };
    fields.done();
    Some(TokenFrom { from: from?, place })
}

impl From<KeyPlace> for TokenPlace {
    fn from(place: KeyPlace) -> TokenPlace {
        match place {
            KeyPlace::Header(name) => TokenPlace::Header(name),
            KeyPlace::Query(name) => TokenPlace::Query(name),
            KeyPlace::Body(name) => TokenPlace::Body(name),
        }
    }
}

fn words(found: &Found<'_>, reading: &Reading<'_>) -> Option<Vec<(String, Word)>> {
    let entries = found.entries()?;
    if entries.is_empty() {
        found.error("sends nothing");
        return None;
    }
    let word = |(name, found): (&str, Found<'_>)| {
        let lower = name.to_ascii_lowercase();
        let secret = ["pass", "pwd", "secret", "token", "key", "pin"].iter().any(|part| lower.contains(part));
        let word = if found.is_section() || secret {
            Word::Secret(reading.secret(&found)?)
        } else {
            Word::Plain(found.text()?.to_owned())
        };
        Some((name.to_owned(), word))
    };
    // Each is read, so that each mistake is told.
    let words: Vec<_> = entries.into_iter().map(word).collect();
    words.into_iter().collect()
}

pub(super) fn csrf(fields: &Fields<'_>, reading: &Reading<'_>) -> Option<Csrf> {
    let fetch = fields.need("fetch");
    let way = reading.way(fields);
    let inner = fetch?.fields()?;
    let url = inner.need("url").and_then(|found| url::check(&found, Use::Https));
    let methods = [("GET", "GET"), ("HEAD", "HEAD")];
    let method = inner.take("method").map_or(Some("GET"), |found| found.choice("method", &methods));
    let header = inner.take("header").map_or(Some(CsrfSpec::HEADER.to_owned()), |found| header_name(&found));
    inner.done();
    Some(Csrf { url: url?, method: method?, header: header?, way })
}
