//! OAuth2 client credentials (RFC 6749 §4.4): one token, shared by all who use the credential, renewed early, by one
//! of them at a time, and never in a storm.

use std::sync::{Mutex, MutexGuard, PoisonError};
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
        OAuth2 { spec, client, state: Mutex::new(state), flight: Mutex::new(()) }
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
            method: "POST".to_owned(),
            url: self.spec.token_url.clone(),
            headers: vec![("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned())],
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
    CODES.into_iter().find(|known| known == code)
}
