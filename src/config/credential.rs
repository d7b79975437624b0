//! `credentials:` and the references to secrets. A secret itself never stands in a configuration.

use crate::adapter::oauth::ClientAuth;
use crate::adapter::secret::SecretRef;
use crate::adapter::tls::TlsFiles;
use crate::config::found::Found;
use crate::config::tls;
use crate::config::url::{self, Use};

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
    /// OAuth2 client credentials.
    OAuth2(Box<OAuth2>),
}

/// OAuth2 client credentials (RFC 6749 4.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuth2 {
    /// Where tokens come from.
    pub token_url: String,
    /// Client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: SecretRef,
    /// Scopes, separated by spaces.
    pub scope: Option<String>,
    /// `audience`, as some servers want it.
    pub audience: Option<String>,
    /// How the secret is shown; none = as the standard demands first, and the other way when that is refused.
    pub client_auth: Option<ClientAuth>,
    /// Proxy to the token address; none = straight.
    pub proxy: Option<String>,
    /// TLS to the token address, beyond the system's trust store.
    pub tls: TlsFiles,
}

/// Where an API key goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPlace {
    /// In a header of this name.
    Header(String),
    /// In the query under this name.
    Query(String),
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
}

impl AuthType {
    /// The words of `authType`.
    pub(crate) const WORDS: [(&'static str, AuthType); 5] = [
        ("OAuth2", AuthType::OAuth2),
        ("bearer", AuthType::Bearer),
        ("basic", AuthType::Basic),
        ("apiKey", AuthType::ApiKey),
        ("none", AuthType::None),
    ];

    /// The word for messages.
    pub fn word(self) -> &'static str {
        AuthType::WORDS.iter().find(|(_, known)| *known == self).map_or("none", |(word, _)| word)
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
        }
    }

    /// The key under which its secret stands, and where the secret is.
    pub(crate) fn secret(&self) -> (&'static str, &SecretRef) {
        match self {
            Credential::Bearer { token } => ("token", token),
            Credential::Basic { password, .. } => ("password", password),
            Credential::ApiKey { key, .. } => ("key", key),
            Credential::OAuth2(oauth) => ("clientSecret", &oauth.client_secret),
        }
    }

    /// Reads one credential.
    pub(crate) fn read(found: &Found<'_>) -> Option<Credential> {
        let fields = found.fields()?;
        let kind = fields.need("type").and_then(|kind| kind.choice("credential type", &AuthType::WORDS[..4]));
        let secret = |name| fields.need(name).and_then(|found| secret(&found));
        let text = |name| fields.need(name).and_then(|found| found.text().map(str::to_owned));
        let Some(kind) = kind else {
            // Which keys belong here is not known, so nothing else can be said of them.
            return None;
        };
        let credential = match kind {
            AuthType::None => None,
            AuthType::Bearer => secret("token").map(|token| Credential::Bearer { token }),
            AuthType::Basic => {
                let username = fields.need("username").and_then(|found| {
                    let name = found.text()?;
                    if name.contains(':') || name.chars().any(char::is_control) {
                        found.error("cannot be a user name: it holds a colon or a control character");
                    }
                    Some(name.to_owned())
                });
                let password = secret("password");
                username.zip(password).map(|(username, password)| Credential::Basic { username, password })
            }
            AuthType::ApiKey => {
                let (header, query) = (fields.take("header"), fields.take("query"));
                let key = secret("key");
                let place = match (header, query) {
                    (Some(header), None) => header_name(&header).map(KeyPlace::Header),
                    (None, Some(query)) => {
                        query.warn(
                            "puts the key into the URL, where servers and proxies log it",
                            Some("use `header:` where the target takes one"),
                        );
                        query.text().map(|name| KeyPlace::Query(name.to_owned()))
                    }
                    (None, None) => {
                        found.error_hint(
                            "needs `header:` or `query:`",
                            "the name that the target expects the key under",
                        );
                        None
                    }
                    (Some(_), Some(query)) => {
                        query.error("stands beside `header:`: only one of the two");
                        None
                    }
                };
                place.zip(key).map(|(place, key)| Credential::ApiKey { place, key })
            }
            AuthType::OAuth2 => {
                let token_url = fields.need("tokenUrl").and_then(|found| url::check(&found, Use::Https));
                let (client_id, client_secret) = (text("clientId"), secret("clientSecret"));
                let (scope, audience) = (fields.text("scope"), fields.text("audience"));
                const SHOWN: [(&str, ClientAuth); 2] = [("basic", ClientAuth::Basic), ("post", ClientAuth::Post)];
                let client_auth = fields.take("clientAuth").and_then(|found| found.choice("clientAuth", &SHOWN));
                let proxy = fields.take("proxy").and_then(|found| url::check(&found, Use::Proxy));
                let tls = fields.take("tls").and_then(|found| tls::files(&found)).unwrap_or_default();
                match (token_url, client_id, client_secret) {
                    (Some(token_url), Some(client_id), Some(client_secret)) => {
                        Some(Credential::OAuth2(Box::new(OAuth2 {
                            token_url,
                            client_id,
                            client_secret,
                            scope,
                            audience,
                            client_auth,
                            proxy,
                            tls,
                        })))
                    }
                    _ => None,
                }
            }
        };
        fields.done();
        credential
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
