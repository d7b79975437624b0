//! `type: oauth2`: where tokens come from, what for, and how the client shows who it is.

use std::time::Duration;

use crate::adapter::oauth::{Algorithm, BaseFrom, ClientAuth, Signer};
use crate::adapter::secret::SecretRef;
use crate::config::credential::{Reading, Way};
use crate::config::fields::Fields;
use crate::config::found::Found;
use crate::config::url::{self, Use};

/// OAuth2 (RFC 6749).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuth2 {
    /// Where tokens come from.
    pub token_url: String,
    /// Client; none = the assertion says it.
    pub client_id: Option<String>,
    /// How it shows who it is.
    pub proof: Proof,
    /// What a token is given for.
    pub grant: Grant,
    /// Scopes, separated by spaces.
    pub scope: Option<String>,
    /// `audience`, as some servers want it.
    pub audience: Option<String>,
    /// Where calls go, as the token endpoint says it; none = where their URL says.
    pub base: Option<BaseFrom>,
    /// How to reach the token endpoint.
    pub way: Way,
}

/// What a token is given for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    /// Who the client is.
    ClientCredentials,
    /// This refresh token, and those that follow it.
    RefreshToken(SecretRef),
    /// An assertion that we sign.
    JwtBearer(Assertion),
}

/// How the client shows who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// By a secret; where it goes.
    Secret(SecretRef, Option<ClientAuth>),
    /// By an assertion that we sign.
    Key(Assertion),
    /// By its name, or its certificate.
    Name,
}

/// What we sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assertion {
    /// Private key.
    pub key: SecretRef,
    /// `kid`.
    pub key_id: Option<String>,
    /// How; none = as the key allows.
    pub algorithm: Option<Algorithm>,
    /// `iss`.
    pub issuer: String,
    /// `sub`.
    pub subject: Option<String>,
    /// `aud`.
    pub audience: String,
    /// Until `exp`.
    pub lifetime: Duration,
    /// Further claims.
    pub claims: Vec<(String, String)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum GrantWord {
    ClientCredentials,
    RefreshToken,
    JwtBearer,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ProofWord {
    Secret(ClientAuth),
    Key,
    None,
}

const GRANTS: [(&str, GrantWord); 3] = [
    ("clientCredentials", GrantWord::ClientCredentials),
    ("refreshToken", GrantWord::RefreshToken),
    ("jwtBearer", GrantWord::JwtBearer),
];

const PROOFS: [(&str, ProofWord); 4] = [
    ("basic", ProofWord::Secret(ClientAuth::Basic)),
    ("post", ProofWord::Secret(ClientAuth::Post)),
    ("privateKeyJwt", ProofWord::Key),
    ("none", ProofWord::None),
];

/// Longest that an assertion may count.
const LONGEST: Duration = Duration::from_secs(3600);
const SHORTEST: Duration = Duration::from_secs(10);

pub(super) fn read(fields: &Fields<'_>, reading: &Reading<'_>) -> Option<OAuth2> {
    let token_url = fields.need("tokenUrl").and_then(|found| url::check(&found, Use::Https));
    let grant = fields.take("grant").map_or(Some(GrantWord::ClientCredentials), |found| found.choice("grant", &GRANTS));
    let how = fields.take("clientAuth").map(|found| (found.choice("clientAuth", &PROOFS), found));
    let signs = matches!(grant, Some(GrantWord::JwtBearer)) || matches!(how, Some((Some(ProofWord::Key), _)));
    // Who signs as somebody else needs no name of a client.
    let nameless = grant == Some(GrantWord::JwtBearer) && how.is_none();
    let client_id = if nameless { fields.take("clientId") } else { fields.need("clientId") };
    let named = client_id.is_some();
    let client_id = client_id.and_then(|found| found.text().map(str::to_owned));
    let place = fields.take("assertion");
    let assertion = match (signs, &place) {
        (true, None) => {
            fields
                .section()
                .error_hint("needs `assertion:`, which says what is signed", "assertion: {key: {file: PATH}}");
            None
        }
        (true, Some(found)) => assertion(found, reading, client_id.as_deref(), token_url.as_deref()),
        (false, Some(found)) => {
            found.error_hint(
                "is for `grant: jwtBearer` and `clientAuth: privateKeyJwt` only",
                "add one of the two, or leave it out",
            );
            None
        }
        (false, None) => None,
    };
    let refresh = fields.take("refreshToken");
    let grant = match (grant?, &refresh) {
        (GrantWord::RefreshToken, None) => {
            fields
                .section()
                .error_hint("needs `refreshToken:`", "refreshToken: {file: PATH}, as the first sign-in gave it");
            None
        }
        (GrantWord::RefreshToken, Some(found)) => reading.secret(found).map(Grant::RefreshToken),
        (_, Some(found)) => {
            found.error_hint("is for `grant: refreshToken` only", "add that, or leave it out");
            None
        }
        (GrantWord::JwtBearer, None) => assertion.clone().map(Grant::JwtBearer),
        (GrantWord::ClientCredentials, None) => Some(Grant::ClientCredentials),
    };
    let needs_secret = !nameless && !matches!(how, Some((Some(ProofWord::Key | ProofWord::None), _)));
    let secret = if needs_secret { fields.need("clientSecret") } else { fields.take("clientSecret") };
    let proof = match (secret, &how) {
        (Some(found), Some((Some(ProofWord::Key | ProofWord::None), _))) => {
            found.error("stands beside a `clientAuth` that shows no secret");
            None
        }
        (Some(found), how) => {
            let way = match how {
                Some((Some(ProofWord::Secret(way)), _)) => Some(*way),
                _ => None,
            };
            reading.secret(&found).map(|secret| Proof::Secret(secret, way))
        }
        (None, Some((Some(ProofWord::Key), _))) => {
            // Who the client is, it says itself (RFC 7523 §3).
            let own = assertion.zip(client_id.clone());
            own.map(|(assertion, id)| Proof::Key(Assertion { issuer: id.clone(), subject: Some(id), ..assertion }))
        }
        (None, _) if needs_secret => None,
        (None, _) => Some(Proof::Name),
    };
    let (scope, audience) = (fields.text("scope"), fields.text("audience"));
    let base = base(fields);
    let way = reading.way(fields);
    Some(OAuth2 {
        token_url: token_url?,
        client_id: if named { Some(client_id?) } else { None },
        proof: proof?,
        grant: grant?,
        scope,
        audience,
        base: base?,
        way,
    })
}

fn assertion(
    found: &Found<'_>,
    reading: &Reading<'_>,
    client: Option<&str>,
    token_url: Option<&str>,
) -> Option<Assertion> {
    let fields = found.fields()?;
    let key = fields.need("key").and_then(|found| reading.key(&found));
    let algorithm = fields.take("algorithm").map(|found| found.choice("algorithm", &Algorithm::WORDS));
    let issuer = match client {
        Some(client) => fields.text("issuer").or_else(|| Some(client.to_owned())),
        None => fields.need("issuer").and_then(|found| found.text().map(str::to_owned)),
    };
    let lifetime = match fields.take("lifetime") {
        None => Some(Signer::LIFETIME),
        Some(found) => found.duration().filter(|lifetime| {
            let fits = (SHORTEST..=LONGEST).contains(lifetime);
            if !fits {
                found.error("is not between 10s and 1h");
            }
            fits
        }),
    };
    let claims = fields.take("claims").map(|found| {
        let entries = found.entries()?;
        let own = ["iss", "sub", "aud", "iat", "exp", "jti", "nbf"];
        let claim = |(name, found): (&str, Found<'_>)| {
            if own.contains(&name) {
                found.error("is set by the agent: see `issuer`, `subject`, `audience` and `lifetime`");
                return None;
            }
            Some((name.to_owned(), found.text()?.to_owned()))
        };
        entries.into_iter().map(claim).collect::<Option<Vec<_>>>()
    });
    let (key_id, subject) = (fields.text("keyId"), fields.text("subject"));
    let audience = fields.text("audience").or_else(|| token_url.map(str::to_owned));
    fields.done();
    Some(Assertion {
        key: key?,
        key_id,
        algorithm: algorithm.map_or(Some(None), |found| found.map(Some))?,
        issuer: issuer?,
        subject,
        audience: audience?,
        lifetime: lifetime?,
        claims: claims.map_or(Some(Vec::new()), |found| found)?,
    })
}

/// `baseFrom` and `baseHosts`, which belong together.
fn base(fields: &Fields<'_>) -> Option<Option<BaseFrom>> {
    let (from, hosts) = (fields.take("baseFrom"), fields.take("baseHosts"));
    match (from, hosts) {
        (None, None) => Some(None),
        (Some(found), None) => {
            found.error_hint(
                "lets an answer say where calls go, and `baseHosts` does not say where they may",
                "baseHosts: [\"*.my.salesforce.com\"]",
            );
            None
        }
        (None, Some(found)) => {
            found.error("has no effect without `baseFrom`");
            None
        }
        (Some(from), Some(found)) => {
            let hosts = found.texts()?;
            if hosts.is_empty() {
                found.error("names no host");
                return None;
            }
            for host in &hosts {
                let name = host.strip_prefix("*.").unwrap_or(host);
                let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "-.[]:".contains(c));
                // `*.com` would be nearly every host.
                let broad = host.starts_with("*.") && !name.contains('.');
                if name.is_empty() || !plain || broad {
                    found.error_hint(
                        format!("`{host}` is no host"),
                        "write host.example, or *.host.example for all below it",
                    );
                    return None;
                }
            }
            Some(Some(BaseFrom { field: from.text()?.to_owned(), hosts }))
        }
    }
}
