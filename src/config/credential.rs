//! `credentials:` and the references to secrets. A secret itself never stands in a configuration.

mod login;
mod oauth;
mod sign;

use std::cell::RefCell;

use crate::adapter::auth::session::TokenPlace;
use crate::adapter::secret::SecretRef;
use crate::adapter::tls::TlsFiles;
use crate::config::fields::Fields;
use crate::config::found::Found;
use crate::config::proxy::{self, ProxySpec};
use crate::config::settings::SecretPlace;
use crate::config::tls;

pub use login::{Csrf, Session, Word};
pub use oauth::{Assertion, Grant, OAuth2, Proof};
pub use sign::{SigV4, WsSecurity};

/// How the agent shows who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// `Authorization: Bearer`.
    Bearer {
        /// The token.
        token: SecretRef,
    },
    /// `Authorization: Basic`.
    Basic {
        /// User name.
        username: String,
        /// Password.
        password: SecretRef,
    },
    /// A key of the target's own making.
    ApiKey {
        /// Where it goes.
        place: KeyPlace,
        /// The key.
        key: SecretRef,
    },
    /// OAuth2.
    OAuth2(Box<OAuth2>),
    /// A sign-in that is answered with cookies.
    Session(Box<Session>),
    /// A token against forged requests.
    Csrf(Box<Csrf>),
    /// WS-Security `UsernameToken`.
    WsSecurity(WsSecurity),
    /// AWS Signature Version 4.
    SigV4(Box<SigV4>),
    /// Standard Webhooks; each secret signs, the newest first.
    Webhook(Vec<SecretRef>),
    /// All of these together.
    Several(Vec<Credential>),
}

/// Where an API key goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPlace {
    /// In a header of this name.
    Header(String),
    /// In the query under this name.
    Query(String),
    /// In the body under this name.
    Body(String),
}

/// How to reach who gives tokens or sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// Proxy; none = straight.
    pub proxy: Option<ProxySpec>,
    /// TLS beyond the system's trust store.
    pub tls: TlsFiles,
}

/// The ways to show who one is, as `authType` and `type` name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthType {
    /// Nothing.
    None,
    /// Bearer token.
    Bearer,
    /// User name and password.
    Basic,
    /// API key.
    ApiKey,
    /// OAuth2.
    OAuth2,
    /// Session.
    Session,
    /// CSRF token.
    Csrf,
    /// WS-Security.
    WsSecurity,
    /// AWS Signature Version 4.
    SigV4,
    /// Standard Webhooks.
    Webhook,
    /// A list of these.
    Several,
}

impl AuthType {
    /// The words of `authType`.
    pub(crate) const WORDS: [(&'static str, AuthType); 10] = [
        ("OAuth2", AuthType::OAuth2),
        ("bearer", AuthType::Bearer),
        ("basic", AuthType::Basic),
        ("apiKey", AuthType::ApiKey),
        ("session", AuthType::Session),
        ("csrf", AuthType::Csrf),
        ("wsSecurity", AuthType::WsSecurity),
        ("sigV4", AuthType::SigV4),
        ("webhook", AuthType::Webhook),
        ("none", AuthType::None),
    ];

    /// The word for messages.
    pub fn word(self) -> &'static str {
        AuthType::WORDS.iter().find(|(_, known)| *known == self).map_or("a list", |(word, _)| word)
    }
}

/// The credentials of a file while they are read: the secrets that were met, and the names that there are.
pub(crate) struct Reading<'n> {
    name: String,
    names: &'n [&'n str],
    secrets: RefCell<Vec<SecretPlace>>,
}

impl<'n> Reading<'n> {
    /// Begins a credential; `names` are those of all.
    pub(crate) fn of(name: &str, names: &'n [&'n str]) -> Reading<'n> {
        Reading { name: name.to_owned(), names, secrets: RefCell::default() }
    }

    /// Where its secrets are.
    pub(crate) fn into_secrets(self) -> Vec<SecretPlace> {
        self.secrets.into_inner()
    }

    fn secret(&self, found: &Found<'_>) -> Option<SecretRef> {
        self.note(found, false)
    }

    /// A private key, which has several lines.
    fn key(&self, found: &Found<'_>) -> Option<SecretRef> {
        self.note(found, true)
    }

    fn note(&self, found: &Found<'_>, lines: bool) -> Option<SecretRef> {
        let from = secret(found)?;
        self.secrets.borrow_mut().push(SecretPlace {
            credential: self.name.clone(),
            key: found.key.clone(),
            place: found.node.place,
            from: from.clone(),
            lines,
        });
        Some(from)
    }

    /// `proxy` and `tls`.
    fn way(&self, fields: &Fields<'_>) -> Way {
        let known = |found: &Found<'_>| {
            let name = found.text()?;
            if !self.names.contains(&name) {
                found.unknown("credential", name, self.names.iter().copied());
                return None;
            }
            Some((name.to_owned(), None))
        };
        Way {
            proxy: fields.take("proxy").and_then(|found| proxy::read(&found, known)),
            tls: fields.take("tls").and_then(|found| tls::files(&found)).unwrap_or_default(),
        }
    }
}

impl Credential {
    /// Its type.
    pub fn auth_type(&self) -> AuthType {
        match self {
            Credential::Bearer { .. } => AuthType::Bearer,
            Credential::Basic { .. } => AuthType::Basic,
            Credential::ApiKey { .. } => AuthType::ApiKey,
            Credential::OAuth2(_) => AuthType::OAuth2,
            Credential::Session(_) => AuthType::Session,
            Credential::Csrf(_) => AuthType::Csrf,
            Credential::WsSecurity(_) => AuthType::WsSecurity,
            Credential::SigV4(_) => AuthType::SigV4,
            Credential::Webhook(_) => AuthType::Webhook,
            Credential::Several(_) => AuthType::Several,
        }
    }

    /// Whether it goes into the body of a request, which then must have one.
    pub fn is_in_body(&self) -> bool {
        match self {
            Credential::ApiKey { place: KeyPlace::Body(_), .. } | Credential::WsSecurity(_) => true,
            Credential::Session(session) => {
                session.token.as_ref().is_some_and(|token| matches!(token.place, TokenPlace::Body(_)))
            }
            Credential::Several(parts) => parts.iter().any(Credential::is_in_body),
            _ => false,
        }
    }

    /// The names under which it goes into the body of a request.
    pub fn body_names(&self) -> Vec<&str> {
        match self {
            Credential::ApiKey { place: KeyPlace::Body(name), .. } => vec![name],
            Credential::Session(session) => match session.token.as_ref().map(|token| &token.place) {
                Some(TokenPlace::Body(name)) => vec![name],
                _ => Vec::new(),
            },
            Credential::Several(parts) => parts.iter().flat_map(Credential::body_names).collect(),
            _ => Vec::new(),
        }
    }

    /// The files of the connections that it makes itself.
    pub fn tls(&self) -> Vec<&TlsFiles> {
        match self {
            Credential::OAuth2(oauth) => vec![&oauth.way.tls],
            Credential::Session(session) => vec![&session.way.tls],
            Credential::Csrf(csrf) => vec![&csrf.way.tls],
            Credential::Several(parts) => parts.iter().flat_map(Credential::tls).collect(),
            _ => Vec::new(),
        }
    }

    /// Reads one credential, or a list of those that belong together.
    pub(crate) fn read(found: &Found<'_>, reading: &Reading<'_>) -> Option<Credential> {
        if !found.is_list() {
            return one(found, reading);
        }
        let items = found.items()?;
        if items.len() < 2 {
            found.error_hint("is a list of less than two", "write the one credential without the list");
        }
        let mut parts: Vec<Option<Credential>> = Vec::with_capacity(items.len());
        for item in &items {
            let part = if item.is_list() {
                item.error("is a list in a list");
                None
            } else {
                one(item, reading)
            };
            if let Some(part) = &part {
                let header = |part: &Credential| match part {
                    Credential::Bearer { .. }
                    | Credential::Basic { .. }
                    | Credential::OAuth2(_)
                    | Credential::SigV4(_) => true,
                    Credential::Session(session) => {
                        session.token.as_ref().is_some_and(|token| token.place == TokenPlace::Bearer)
                    }
                    Credential::ApiKey { place: KeyPlace::Header(name), .. } => {
                        name.eq_ignore_ascii_case("authorization")
                    }
                    _ => false,
                };
                let clash = parts.iter().flatten().any(|other| header(other) && header(part));
                let twice = !matches!(part, Credential::ApiKey { .. })
                    && parts.iter().flatten().any(|other| other.auth_type() == part.auth_type());
                if clash || twice {
                    item.error("goes into the same place as one before it");
                }
            }
            parts.push(part);
        }
        parts.into_iter().collect::<Option<Vec<_>>>().map(Credential::Several)
    }
}

fn one(found: &Found<'_>, reading: &Reading<'_>) -> Option<Credential> {
    let fields = found.fields()?;
    let words = &AuthType::WORDS[..AuthType::WORDS.len() - 1];
    let kind = fields.need("type").and_then(|kind| kind.choice("credential type", words));
    let secret = |name| fields.need(name).and_then(|found| reading.secret(&found));
    let Some(kind) = kind else {
        // Which keys belong here is not known, so nothing else can be said of them.
        return None;
    };
    let credential = match kind {
        AuthType::None | AuthType::Several => None,
        AuthType::Bearer => secret("token").map(|token| Credential::Bearer { token }),
        AuthType::Basic => {
            let username = fields.need("username").and_then(|found| user_name(&found));
            let password = secret("password");
            username.zip(password).map(|(username, password)| Credential::Basic { username, password })
        }
        AuthType::ApiKey => {
            let key = secret("key");
            key_place(&fields).zip(key).map(|(place, key)| Credential::ApiKey { place, key })
        }
        AuthType::OAuth2 => oauth::read(&fields, reading).map(|oauth| Credential::OAuth2(Box::new(oauth))),
        AuthType::Session => login::session(&fields, reading).map(|session| Credential::Session(Box::new(session))),
        AuthType::Csrf => login::csrf(&fields, reading).map(|csrf| Credential::Csrf(Box::new(csrf))),
        AuthType::WsSecurity => sign::ws_security(&fields, reading).map(Credential::WsSecurity),
        AuthType::SigV4 => sign::sigv4(&fields, reading).map(|sigv4| Credential::SigV4(Box::new(sigv4))),
        AuthType::Webhook => sign::webhook(&fields, reading).map(Credential::Webhook),
    };
    fields.done();
    credential
}

fn user_name(found: &Found<'_>) -> Option<String> {
    let name = found.text()?;
    if name.contains(':') || name.chars().any(char::is_control) {
        found.error("cannot be a user name: it holds a colon or a control character");
    }
    Some(name.to_owned())
}

fn key_place(fields: &Fields<'_>) -> Option<KeyPlace> {
    let (header, query, body) = (fields.take("header"), fields.take("query"), fields.take("body"));
    match (header, query, body) {
        (Some(header), None, None) => header_name(&header).map(KeyPlace::Header),
        (None, Some(query), None) => {
            query.warn(
                "puts the key into the URL, where servers and proxies log it",
                Some("use `header:` where the target takes one"),
            );
            query.text().map(|name| KeyPlace::Query(name.to_owned()))
        }
        (None, None, Some(body)) => body.text().map(|name| KeyPlace::Body(name.to_owned())),
        (None, None, None) => {
            let found = fields.section();
            found.error_hint("needs `header:`, `query:` or `body:`", "the name that the target expects the key under");
            None
        }
        (Some(_), Some(found), _) | (Some(_), None, Some(found)) => {
            found.error("stands beside `header:`: only one of the two");
            None
        }
        (None, Some(_), Some(found)) => {
            found.error("stands beside `query:`: only one of the two");
            None
        }
    }
}

/// Reads a reference. The value of a literal secret is never repeated.
pub(crate) fn secret(found: &Found<'_>) -> Option<SecretRef> {
    if !found.is_section() {
        found.error_hint(
            "is a secret and never stands in the file",
            "use {credential: NAME}, {file: PATH}, {env: NAME} or {exec: PROGRAM}",
        );
        return None;
    }
    let fields = found.fields()?;
    let file = fields.take("file").map(|found| found.path().map(SecretRef::File));
    let env = fields.take("env").map(|found| {
        found.warn(
            "reads a secret from the environment, which other programs of this user can see",
            Some("prefer {credential: NAME} or {file: PATH}"),
        );
        found.text().map(|name| SecretRef::Env(name.to_owned()))
    });
    let credential = fields.take("credential").map(|found| {
        let name = found.text()?;
        if name.contains('/') || name.starts_with('.') {
            found.error("is not the name of a systemd credential");
            return None;
        }
        Some(SecretRef::Credential(name.to_owned()))
    });
    let exec = fields.take("exec").map(|found| found.texts().map(SecretRef::Exec));
    fields.done();
    let mut given = [file, env, credential, exec].into_iter().flatten();
    match (given.next(), given.next()) {
        (Some(reference), None) => reference,
        (None, _) => {
            found.error_hint("names no secret", "use {credential: NAME}, {file: PATH}, {env: NAME} or {exec: PROGRAM}");
            None
        }
        (Some(_), Some(_)) => {
            found.error("names more than one place for a secret");
            None
        }
    }
}

fn header_name(found: &Found<'_>) -> Option<String> {
    let name = found.text()?;
    if !is_header_name(name) {
        found.error("is not a header name");
        return None;
    }
    Some(name.to_owned())
}

/// Whether a text can name a header (RFC 9110 5.6.2, a token).
pub(crate) fn is_header_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))
}
