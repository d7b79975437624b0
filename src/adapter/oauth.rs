//! OAuth2 client credentials (RFC 6749 §4.4): one token, shared by all who use the credential, renewed early, by one
//! of them at a time, and never in a storm.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use ureq::http::HeaderValue;
use zeroize::{Zeroize, Zeroizing};

use crate::adapter::Request;
use crate::adapter::http::{Client, Envelope, Reply, basic, percent};
use crate::adapter::secret::{Secret, SecretSource};
use crate::clock;
use crate::event::Value;
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

/// How a client shows its secret to the token endpoint (RFC 6749 §2.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// In the `Authorization` header; every token endpoint must support it.
    Basic,
    /// In the body.
    Post,
}

/// A `type: oauth2` credential.
#[derive(Debug)]
pub struct OAuth2Spec {
    /// Token endpoint.
    pub token_url: String,
    /// Client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: SecretSource,
    /// Scopes, separated by spaces.
    pub scope: Option<String>,
    /// `audience`, as some servers want it.
    pub audience: Option<String>,
    /// How the secret is shown; none = as the standard demands first, and the other way when that is refused.
    pub client_auth: Option<ClientAuth>,
}

/// The token of one client.
#[derive(Debug)]
pub struct OAuth2 {
    spec: OAuth2Spec,
    client: Client,
    state: Mutex<State>,
    /// Held while the token endpoint is called.
    flight: Mutex<()>,
    told: OnceLock<Told>,
}

/// Who hears that the token endpoint was called, and whether it gave a token.
struct Told(Box<dyn Fn(bool) + Send + Sync>);

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Told")
    }
}

#[derive(Debug)]
struct State {
    token: Option<Token>,
    /// Counts the calls of the token endpoint: who waited for one that failed takes its failure and does not call again.
    flights: u64,
    failure: Option<Outcome>,
    client_auth: Option<ClientAuth>,
    /// When a 401 last asked for a renewal.
    forced: Option<Instant>,
    /// No early renewal before this.
    early: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Token {
    value: HeaderValue,
    generation: u64,
    issued: Instant,
    lifetime: Duration,
}

impl Token {
    fn is_fresh(&self) -> bool {
        self.issued.elapsed() < self.lifetime * 4 / 5
    }

    fn is_valid(&self) -> bool {
        self.issued.elapsed() < self.lifetime
    }
}

impl OAuth2 {
    /// A token source; nothing is called yet. The client is one for the token endpoint, with the same rules as any.
    pub fn new(spec: OAuth2Spec, client: Client) -> OAuth2 {
        let client_auth = spec.client_auth;
        let state = State { token: None, flights: 0, failure: None, client_auth, forced: None, early: None };
        OAuth2 { spec, client, state: Mutex::new(state), flight: Mutex::new(()), told: OnceLock::new() }
    }

    /// Whoever is told here hears of each call of the token endpoint, and whether it gave a token. Only the first counts.
    pub fn tell(&self, told: impl Fn(bool) + Send + Sync + 'static) {
        let _ = self.told.set(Told(Box::new(told)));
    }

    /// What [`OAuth2::token`] gives, where it asks nobody for it.
    pub fn held(&self) -> Option<(HeaderValue, u64)> {
        let state = self.state();
        let token = state.token.as_ref().filter(|token| token.is_fresh())?;
        Some((token.value.clone(), token.generation))
    }

    /// The `Authorization` value and its generation. At four fifths of its life one caller renews it while the others
    /// go on with the old one.
    pub fn token(&self) -> Result<(HeaderValue, u64), Outcome> {
        let (held, flights) = {
            let state = self.state();
            match &state.token {
                Some(token) if token.is_fresh() => return Ok((token.value.clone(), token.generation)),
                token => (token.clone().filter(Token::is_valid), state.flights),
            }
        };
        let Some(old) = held else {
            let _flight = self.flight.lock().unwrap_or_else(PoisonError::into_inner);
            return self.renewed(flights);
        };
        let rested = self.state().early.is_none_or(|early| early <= Instant::now());
        if rested && let Ok(_flight) = self.flight.try_lock() {
            match self.renewed(flights) {
                Ok(token) => return Ok(token),
                // The old one still works: try again a little later.
                Err(_) => {
                    let pause = (old.lifetime / 20).clamp(Duration::from_secs(1), Duration::from_secs(30));
                    self.state().early = Some(Instant::now() + pause);
                }
            }
        }
        Ok((old.value, old.generation))
    }

    /// A 401 met this generation. True = try once more with what [`OAuth2::token`] gives now.
    pub fn refused(&self, generation: u64) -> Result<bool, Outcome> {
        let flights = self.state().flights;
        let _flight = self.flight.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut state = self.state();
            if state.token.as_ref().is_some_and(|token| token.generation != generation) {
                return Ok(true);
            }
            if state.token.is_some() && state.forced.is_some_and(|forced| forced.elapsed() < CALM) {
                return Ok(true);
            }
            if state.flights == flights {
                state.forced = Some(Instant::now());
            }
            state.token = None;
        }
        self.renewed(flights).map(|_| true)
    }

    /// With the flight held: what others got meanwhile, else a new token.
    fn renewed(&self, seen: u64) -> Result<(HeaderValue, u64), Outcome> {
        let generation = {
            let state = self.state();
            if state.flights != seen {
                match (&state.token, &state.failure) {
                    (Some(token), _) if token.is_valid() => return Ok((token.value.clone(), token.generation)),
                    (_, Some(failure)) => return Err(failure.clone()),
                    _ => {}
                }
            }
            state.flights + 1
        };
        let result = self.fetch(generation);
        if let Some(Told(told)) = self.told.get() {
            told(result.is_ok());
        }
        let mut state = self.state();
        state.flights = generation;
        match result {
            Ok(token) => {
                let answer = (token.value.clone(), token.generation);
                state.token = Some(token);
                state.failure = None;
                state.early = None;
                Ok(answer)
            }
            Err(outcome) => {
                state.failure = Some(outcome.clone());
                Err(outcome)
            }
        }
    }

    fn fetch(&self, generation: u64) -> Result<Token, Outcome> {
        let secret = self.spec.client_secret.get().map_err(|why| Outcome::Halt(Reason::new("credential", why)))?;
        let known = self.state().client_auth;
        let first = known.unwrap_or(ClientAuth::Basic);
        let mut reply = self.ask(first, &secret)?;
        let mut used = first;
        // Some endpoints know only the other way. Which one works is found out once and kept.
        if known.is_none() && matches!(reply.status, 400 | 401) && error_code(&reply.body) == Some("invalid_client") {
            used = ClientAuth::Post;
            reply = self.ask(used, &secret)?;
        }
        let token = read(reply, generation)?;
        self.state().client_auth = Some(used);
        Ok(token)
    }

    fn ask(&self, how: ClientAuth, secret: &Secret) -> Result<Reply, Outcome> {
        let id = percent(&self.spec.client_id);
        let word = percent(secret.expose());
        let mut body = Zeroizing::new("grant_type=client_credentials".to_owned());
        for (name, value) in [("scope", &self.spec.scope), ("audience", &self.spec.audience)] {
            if let Some(value) = value {
                body.push_str(&format!("&{name}={}", percent(value).as_str()));
            }
        }
        let mut envelope = Envelope::default();
        match how {
            ClientAuth::Post => {
                body.push_str(&Zeroizing::new(format!("&client_id={}&client_secret={}", id.as_str(), word.as_str())));
            }
            ClientAuth::Basic => {
                let text = basic(&Zeroizing::new(format!("{}:{}", id.as_str(), word.as_str())));
                let mut value = HeaderValue::from_str(&text).map_err(|_| {
                    Outcome::Halt(Reason::new("credential", "client id or secret cannot be sent in a header field"))
                })?;
                value.set_sensitive(true);
                envelope.header = Some((ureq::http::header::AUTHORIZATION, value));
            }
        }
        let mut request = Request {
            method: "POST".into(),
            url: self.spec.token_url.as_str().into(),
            headers: vec![("Content-Type".into(), "application/x-www-form-urlencoded".into())],
            body: body.as_bytes().to_vec(),
        };
        let result = self.client.exchange().call(&request, &envelope);
        request.body.zeroize();
        // The event itself was not sent, whatever became of this call.
        result.map_err(|failure| match failure.outcome() {
            Outcome::Halt(reason) => Outcome::Halt(at_endpoint(reason)),
            other => passing(other.reason().cloned().unwrap_or_else(|| Reason::new("oauth", "no answer")), None),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn at_endpoint(reason: Reason) -> Reason {
    Reason { text: format!("token endpoint: {}", reason.text).into(), ..reason }
}

/// No attempt of the event is used up: it was not sent.
fn passing(reason: Reason, after: Option<Duration>) -> Outcome {
    Outcome::Retry { reason: at_endpoint(reason), after, transport: true }
}

fn read(reply: Reply, generation: u64) -> Result<Token, Outcome> {
    let asked = Asked { delete: false, record_url: false, retry_on: &[] };
    match classify(&reply.answer(), asked, clock::now()) {
        outcome if outcome.is_delivered() => {}
        Outcome::Retry { reason, after, .. } => return Err(passing(reason, after)),
        Outcome::Unknown { reason, .. } if reply.status < 300 => return Err(passing(reason, None)),
        Outcome::Halt(reason) => return Err(Outcome::Halt(at_endpoint(reason))),
        _ => {
            let code = error_code(&reply.body).unwrap_or("no error code");
            let text = format!(
                "token endpoint: refuses the client ({}, {code}); check clientId, secret and scope",
                reply.status
            );
            return Err(Outcome::Halt(Reason::new("oauth", text)));
        }
    }
    let garbage = |what: &'static str| passing(Reason::new("oauth", what), None);
    let body = Zeroizing::new(reply.body);
    let Ok(Value::Map(fields)) = json::decode(&body) else { return Err(garbage("the answer is no JSON object")) };
    if let Some(Value::Text(kind)) = fields.get("token_type")
        && !kind.to_ascii_lowercase().starts_with("bearer")
    {
        return Err(Outcome::Halt(Reason::new("oauth", "token endpoint: gives tokens of a type other than bearer")));
    }
    let Some(Value::Text(token)) = fields.get("access_token") else { return Err(garbage("the answer holds no token")) };
    let text = Zeroizing::new(format!("Bearer {token}"));
    let mut value = HeaderValue::from_str(&text).map_err(|_| garbage("the token cannot be sent in a header field"))?;
    value.set_sensitive(true);
    let seconds = match fields.get("expires_in") {
        Some(Value::Integer(seconds)) => u64::try_from(*seconds).ok(),
        Some(Value::Real(seconds)) => Some(*seconds as u64),
        Some(Value::Text(digits)) => digits.trim().parse().ok(),
        _ => None,
    };
    let lifetime = seconds.map_or(LIFETIME, Duration::from_secs).clamp(SHORTEST, LONGEST);
    Ok(Token { value, generation, issued: Instant::now(), lifetime })
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
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::os::unix::fs::OpenOptionsExt;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;
    use crate::adapter::http::Options;
    use crate::adapter::secret::SecretRef;
    use crate::adapter::tls::{TlsFiles, client_config};

    /// A token endpoint without TLS: `token-1`, `token-2`..., or 503 after so many.
    fn endpoint(good: usize) -> (String, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap());
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        std::thread::spawn(move || {
            for mut socket in listener.incoming().flatten() {
                let mut seen = Vec::new();
                let mut part = [0; 4096];
                while !seen.ends_with(b"grant_type=client_credentials") {
                    let count = socket.read(&mut part).unwrap();
                    seen.extend_from_slice(&part[..count]);
                }
                let number = counted.fetch_add(1, SeqCst) + 1;
                let (status, body) = match number <= good {
                    true => (200, format!(r#"{{"access_token":"token-{number}","expires_in":100}}"#)),
                    false => (503, String::new()),
                };
                let head = format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nConnection: close\r\n");
                write!(socket, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
            }
        });
        (url, calls)
    }

    fn oauth(token_url: String) -> (tempfile::TempDir, OAuth2) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap();
        file.write_all(b"s3cret").unwrap();
        let spec = OAuth2Spec {
            token_url,
            client_id: "hms".into(),
            client_secret: SecretSource::new(SecretRef::File(path)),
            scope: None,
            audience: None,
            client_auth: None,
        };
        let tls = client_config(&TlsFiles::default()).unwrap();
        (folder, OAuth2::new(spec, Client::new(Options { plain: true, ..Options::new(tls) })))
    }

    /// Makes the token at hand so many seconds old.
    fn age(oauth: &OAuth2, seconds: u64) {
        oauth.state().token.as_mut().unwrap().issued = Instant::now() - Duration::from_secs(seconds);
    }

    #[test]
    fn a_token_is_renewed_at_four_fifths_of_its_life() {
        let (url, calls) = endpoint(9);
        let (_folder, oauth) = oauth(url);
        let first = oauth.token().unwrap();
        age(&oauth, 79);
        assert_eq!(oauth.token().unwrap(), first);
        age(&oauth, 81);
        assert_eq!(oauth.token().unwrap().0, "Bearer token-2");
        assert_eq!(calls.load(SeqCst), 2);
    }

    #[test]
    fn while_one_renews_early_the_others_go_on_with_the_old_token() {
        let (url, calls) = endpoint(9);
        let (_folder, oauth) = oauth(url);
        let first = oauth.token().unwrap();
        age(&oauth, 81);
        let _renewing = oauth.flight.lock().unwrap();
        assert_eq!(oauth.token().unwrap(), first);
        assert_eq!(calls.load(SeqCst), 1);
    }

    #[test]
    fn an_early_renewal_that_fails_keeps_the_old_token_and_rests() {
        let (url, calls) = endpoint(1);
        let (_folder, oauth) = oauth(url);
        let first = oauth.token().unwrap();
        age(&oauth, 81);
        for _ in 0..5 {
            assert_eq!(oauth.token().unwrap(), first);
        }
        assert_eq!(calls.load(SeqCst), 2);
        age(&oauth, 101);
        assert!(matches!(oauth.token(), Err(Outcome::Retry { transport: true, .. })));
    }

    #[test]
    fn whoever_waited_for_a_failed_call_takes_its_failure() {
        let (url, calls) = endpoint(0);
        let (_folder, oauth) = oauth(url);
        let seen = oauth.state().flights;
        assert!(oauth.token().is_err());
        assert!(oauth.renewed(seen).is_err());
        assert_eq!(calls.load(SeqCst), 1);
        assert!(oauth.token().is_err());
        assert_eq!(calls.load(SeqCst), 2);
    }

    #[test]
    fn a_refused_token_of_an_older_generation_is_not_renewed_again() {
        let (url, calls) = endpoint(9);
        let (_folder, oauth) = oauth(url);
        let (_, old) = oauth.token().unwrap();
        assert_eq!(oauth.refused(old), Ok(true));
        assert_eq!(oauth.refused(old), Ok(true));
        assert_eq!(oauth.token().unwrap().0, "Bearer token-2");
        assert_eq!(calls.load(SeqCst), 2);
    }
}
