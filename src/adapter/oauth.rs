//! OAuth2 tokens (RFC 6749): by client credentials (§4.4), a refresh token (§6) or a signed assertion (RFC 7523), one for
//! all who share the credential.

mod jwt;
mod kept;

use std::sync::Arc;
use std::time::Duration;

use ureq::http::HeaderValue;
use ureq::http::header::AUTHORIZATION;
use zeroize::Zeroizing;

pub use jwt::{Algorithm, Signer};
pub use kept::Kept;

use crate::adapter::Request;
use crate::adapter::http::{Base, Client, Envelope, Reply, basic, percent};
use crate::adapter::pass::{Given, Passes};
use crate::adapter::secret::{self, Secret, SecretSource};
use crate::clock;
use crate::event::{Record, Value};
use crate::format::json;
use crate::rules::classify::{Asked, classify};
use crate::rules::outcome::{Outcome, Reason};

/// Lifetime of a token whose answer does not say it. Short: a 401 renews it anyway.
const LIFETIME: Duration = Duration::from_secs(300);

/// No token counts as shorter or longer lived than this.
const SHORTEST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// After a renewal that a 401 asked for, further 401s within this time are only tried again with the token at hand.
const CALM: Duration = Duration::from_secs(10);

/// The type of an assertion that shows who the client is (RFC 7523 §2.2).
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How a client shows its secret to the token endpoint (RFC 6749 §2.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// In the `Authorization` header; every token endpoint must support it.
    Basic,
    /// In the body.
    Post,
}

/// What a token is given for.
#[derive(Debug)]
pub enum Grant {
    /// Who the client is.
    ClientCredentials,
    /// A refresh token; where the answer has another one, that is kept.
    RefreshToken(Kept),
    /// An assertion that we sign (RFC 7523 §2.1).
    JwtBearer(Signer),
}

/// How the client shows who it is.
#[derive(Debug)]
pub enum Proof {
    /// By a secret.
    Secret {
        /// It.
        secret: SecretSource,
        /// Where; none = as the standard demands first, and the other way when that is refused.
        how: Option<ClientAuth>,
    },
    /// By an assertion that we sign (`private_key_jwt`, RFC 7523 §2.2).
    Key(Signer),
    /// By its name only, or by the certificate of the connection (RFC 8705).
    Name,
}

/// Where calls go, as the token endpoint says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseFrom {
    /// Member of the answer, for example `instance_url`.
    pub field: String,
    /// Hosts that it may name: `host.example`, or `*.host.example` for all below.
    pub hosts: Vec<String>,
}

/// A `type: oauth2` credential.
#[derive(Debug)]
pub struct OAuth2Spec {
    /// Token endpoint.
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
    /// Where calls go; none = where their URL says.
    pub base: Option<BaseFrom>,
}

/// A token, ready to be sent.
#[derive(Clone, Debug)]
pub struct Token {
    /// `Authorization` value; marked sensitive.
    pub value: HeaderValue,
    /// Where calls go.
    pub base: Option<Base>,
}

/// The token of one client.
#[derive(Debug)]
pub struct OAuth2 {
    spec: OAuth2Spec,
    client: Client,
    passes: Passes<Token>,
    /// Which way of showing the secret has worked.
    works: std::sync::Mutex<Option<ClientAuth>>,
}

impl OAuth2 {
    /// A token source; nothing is called yet. The client is one for the token endpoint, with the same rules as any.
    pub fn new(spec: OAuth2Spec, client: Client) -> OAuth2 {
        let works = match &spec.proof {
            Proof::Secret { how, .. } => *how,
            _ => None,
        };
        let works = std::sync::Mutex::new(works);
        OAuth2 { spec, client, passes: Passes::new(CALM), works }
    }

    /// Whoever is told here hears of each call of the token endpoint, and whether it gave a token. Only the first counts.
    pub fn tell(&self, told: impl Fn(bool) + Send + Sync + 'static) {
        self.passes.tell(told);
    }

    /// What [`OAuth2::token`] gives, where it asks nobody for it.
    pub fn held(&self) -> Option<(Token, u64)> {
        self.passes.held()
    }

    /// The token and its generation.
    pub fn token(&self) -> Result<(Token, u64), Outcome> {
        self.passes.get(|| self.fetch())
    }

    /// A 401 met this generation: there is another one now, or it was renewed a moment ago.
    pub fn refused(&self, generation: u64) -> Result<(), Outcome> {
        self.passes.refused(generation, || self.fetch())
    }

    /// Whether the token endpoint says where calls go.
    pub fn leads(&self) -> bool {
        self.spec.base.is_some()
    }

    /// Where calls go, once that was said.
    pub fn base(&self) -> Option<Arc<str>> {
        Some(self.held()?.0.base?.origin)
    }

    fn fetch(&self) -> Result<Given<Token>, Outcome> {
        let mut turn = match &self.spec.grant {
            Grant::RefreshToken(kept) => Some(kept.turn()?),
            _ => None,
        };
        let grant = match (&self.spec.grant, &turn) {
            (Grant::RefreshToken(_), Some(turn)) => {
                let token = percent(turn.token().expose());
                Zeroizing::new(format!("grant_type=refresh_token&refresh_token={}", token.as_str()))
            }
            (Grant::JwtBearer(signer), _) => {
                let assertion = signer.assertion().map_err(|why| halt(&why))?;
                let kind = percent("urn:ietf:params:oauth:grant-type:jwt-bearer");
                Zeroizing::new(format!("grant_type={}&assertion={}", kind.as_str(), assertion.as_str()))
            }
            _ => Zeroizing::new("grant_type=client_credentials".to_owned()),
        };
        let reply = self.shown(&grant)?;
        let fields = read(reply)?;
        if let (Some(turn), Some(Value::Text(next))) = (&mut turn, fields.get("refresh_token")) {
            // Before the token is used: what was there before may be of no use any more.
            turn.keep(Secret::new(next.to_string()))?;
        }
        self.given(&fields)
    }

    /// Asks with what shows who the client is.
    fn shown(&self, grant: &str) -> Result<Reply, Outcome> {
        let Proof::Secret { secret, .. } = &self.spec.proof else { return self.ask(grant, None) };
        let secret = secret.get().map_err(|why| halt(&why))?;
        let known = *self.works.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut used = known.unwrap_or(ClientAuth::Basic);
        let mut reply = self.ask(grant, Some((used, &secret)))?;
        // Some endpoints know only the other way. Which one works is found out once and kept.
        if known.is_none() && matches!(reply.status, 400 | 401) && error_code(&reply.body) == Some("invalid_client") {
            used = ClientAuth::Post;
            reply = self.ask(grant, Some((used, &secret)))?;
        }
        if reply.status == 200 {
            *self.works.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(used);
        }
        Ok(reply)
    }

    fn ask(&self, grant: &str, secret: Option<(ClientAuth, &Secret)>) -> Result<Reply, Outcome> {
        let spec = &self.spec;
        let mut body = Zeroizing::new(grant.to_owned());
        let mut add = |name: &str, value: &str| {
            let pair = Zeroizing::new(format!("&{name}={}", percent(value).as_str()));
            body.push_str(&pair);
        };
        for (name, value) in [("scope", &spec.scope), ("audience", &spec.audience)] {
            if let Some(value) = value {
                add(name, value);
            }
        }
        let id = spec.client_id.as_deref().unwrap_or_default();
        let mut envelope = Envelope::default();
        match (secret, &spec.proof) {
            (Some((ClientAuth::Basic, secret)), _) => {
                let (id, word) = (percent(id), percent(secret.expose()));
                let text = basic(&Zeroizing::new(format!("{}:{}", id.as_str(), word.as_str())));
                let value = HeaderValue::from_str(&text)
                    .map_err(|_| halt("client id or secret cannot be sent in a header field"))?;
                envelope.push(AUTHORIZATION, value);
            }
            (Some((ClientAuth::Post, secret)), _) => {
                add("client_id", id);
                add("client_secret", secret.expose());
            }
            (None, Proof::Key(signer)) => {
                add("client_id", id);
                add("client_assertion_type", ASSERTION_TYPE);
                add("client_assertion", &signer.assertion().map_err(|why| halt(&why))?);
            }
            (None, _) if !id.is_empty() => add("client_id", id),
            (None, _) => {}
        }
        let request = Request {
            method: "POST".into(),
            url: spec.token_url.as_str().into(),
            headers: vec![("Content-Type".into(), "application/x-www-form-urlencoded".into())],
            body: Vec::new(),
        };
        envelope.fill(Zeroizing::new(body.as_bytes().to_vec()));
        // The event itself was not sent, whatever became of this call.
        self.client.exchange().call(&request, &envelope).map_err(|failure| match failure.outcome() {
            Outcome::Halt(reason) => Outcome::Halt(at_endpoint(reason)),
            other => passing(other.reason().cloned().unwrap_or_else(|| Reason::new("oauth", "no answer")), None),
        })
    }

    fn given(&self, fields: &Record) -> Result<Given<Token>, Outcome> {
        let garbage = |what: &'static str| passing(Reason::new("oauth", what), None);
        if let Some(Value::Text(kind)) = fields.get("token_type")
            && !kind.to_ascii_lowercase().starts_with("bearer")
        {
            return Err(refusal("gives tokens of a type other than bearer"));
        }
        let Some(Value::Text(token)) = fields.get("access_token") else {
            return Err(garbage("the answer holds no token"));
        };
        secret::remember(token);
        let text = Zeroizing::new(format!("Bearer {token}"));
        let mut value =
            HeaderValue::from_str(&text).map_err(|_| garbage("the token cannot be sent in a header field"))?;
        value.set_sensitive(true);
        let seconds = match fields.get("expires_in") {
            Some(Value::Integer(seconds)) => u64::try_from(*seconds).ok(),
            Some(Value::Real(seconds)) => Some(*seconds as u64),
            Some(Value::Text(digits)) => digits.trim().parse().ok(),
            _ => None,
        };
        let base = self.spec.base.as_ref().map(|base| base.of(fields)).transpose()?;
        let lifetime = seconds.map_or(LIFETIME, Duration::from_secs).clamp(SHORTEST, LONGEST);
        Ok(Given { pass: Token { value, base }, lifetime: Some(lifetime) })
    }
}

impl BaseFrom {
    /// What an answer names, when it is https to a host that is allowed.
    fn of(&self, fields: &Record) -> Result<Base, Outcome> {
        let Some(Value::Text(url)) = fields.get(self.field.as_str()) else {
            return Err(refusal(&format!("its answer has no {}, which says where calls go", self.field)));
        };
        let odd = || refusal(&format!("its {} is not https to a host of `baseHosts`", self.field));
        let uri: ureq::http::Uri = url.parse().map_err(|_| odd())?;
        let (Some("https"), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(odd()) };
        let mut fitting = self.hosts.iter().filter(|pattern| is_host(authority.host(), pattern)).peekable();
        if fitting.peek().is_none() || authority.as_str().contains('@') {
            return Err(odd());
        }
        let is_named = fitting.any(|pattern| !pattern.starts_with("*."));
        Ok(Base { origin: format!("https://{}", authority.as_str().to_ascii_lowercase()).into(), is_named })
    }
}

/// Whether a host is that of a pattern: itself, or `*.` and what its name ends with.
fn is_host(host: &str, pattern: &str) -> bool {
    let (host, pattern) = (host.to_ascii_lowercase(), pattern.to_ascii_lowercase());
    match pattern.strip_prefix("*.") {
        Some(tail) => host.strip_suffix(tail).is_some_and(|head| head.len() > 1 && head.ends_with('.')),
        None => host == pattern,
    }
}

fn halt(why: &str) -> Outcome {
    Outcome::Halt(Reason::new("credential", why.to_owned()))
}

fn refusal(why: &str) -> Outcome {
    Outcome::Halt(Reason::new("oauth", format!("token endpoint: {why}")))
}

fn at_endpoint(reason: Reason) -> Reason {
    Reason { text: format!("token endpoint: {}", reason.text).into(), ..reason }
}

/// No attempt of the event is used up: it was not sent.
fn passing(reason: Reason, after: Option<Duration>) -> Outcome {
    Outcome::Retry { reason: at_endpoint(reason), after, transport: true }
}

/// The members of a good answer.
fn read(reply: Reply) -> Result<Record, Outcome> {
    let asked = Asked { delete: false, record_url: false, retry_on: &[] };
    match classify(&reply.answer(), asked, clock::now()) {
        outcome if outcome.is_delivered() => {}
        Outcome::Retry { reason, after, .. } => return Err(passing(reason, after)),
        Outcome::Unknown { reason, .. } if reply.status < 300 => return Err(passing(reason, None)),
        Outcome::Halt(reason) => return Err(Outcome::Halt(at_endpoint(reason))),
        _ => {
            let code = error_code(&reply.body).unwrap_or("no error code");
            let status = reply.status;
            return Err(refusal(&format!("refuses the client ({status}, {code}); check clientId, secret and scope")));
        }
    }
    let body = Zeroizing::new(reply.body);
    match json::decode(&body) {
        Ok(Value::Map(fields)) => Ok(fields),
        _ => Err(passing(Reason::new("oauth", "the answer is no JSON object"), None)),
    }
}

/// The `error` of a token endpoint (RFC 6749 §5.2), when it is one of the standard's: nothing else is shown.
fn error_code(body: &[u8]) -> Option<&'static str> {
    const CODES: [&str; 6] = [
        "invalid_client",
        "invalid_request",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
    ];
    let Ok(Value::Map(fields)) = json::decode(body) else { return None };
    let Some(Value::Text(code)) = fields.get("error") else { return None };
    CODES.into_iter().find(|known| **known == **code)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_https_to_an_allowed_host() {
        let base = BaseFrom { field: "instance_url".into(), hosts: vec!["*.my.example".into(), "one.example".into()] };
        let of = |url: &str| {
            let fields: Record = [("instance_url", Value::from(url))].into_iter().collect();
            base.of(&fields).ok().map(|base| base.origin.to_string())
        };
        assert_eq!(of("https://A.my.example/services").unwrap(), "https://a.my.example");
        assert_eq!(of("https://one.example:8443").unwrap(), "https://one.example:8443");
        for odd in [
            "http://a.my.example",
            "https://my.example",
            "https://.my.example",
            "https://evilmy.example",
            "https://a.my.example.evil.test",
            "https://u@a.my.example",
            "https://169.254.169.254/",
            "a.my.example",
            "",
        ] {
            assert_eq!(of(odd), None, "{odd}");
        }
        assert!(matches!(base.of(&Record::default()), Err(Outcome::Halt(_))));
    }
}
