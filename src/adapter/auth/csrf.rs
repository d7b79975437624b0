//! A token against forged requests: fetched before the first write, sent with each, fetched again when the target asks
//! for it. It belongs to a session of its own, whose cookies go with it.

use std::time::Duration;

use ureq::http::header::{HeaderName, HeaderValue};

use super::cookies::{Jar, origin};
use super::halt;
use super::session::{unable, unanswered};
use crate::adapter::http::{Client, Envelope, Reply};
use crate::adapter::pass::{Given, Passes};
use crate::adapter::{Request, Text};
use crate::rules::outcome::{Outcome, Reason};

/// A `type: csrf` credential.
#[derive(Debug)]
pub struct CsrfSpec {
    /// Where the token is fetched.
    pub url: String,
    /// By `GET` or `HEAD`.
    pub method: Text,
    /// The field that asks for the token, carries it, and says that it is wanted; default [`CsrfSpec::HEADER`].
    pub header: String,
}

impl CsrfSpec {
    /// The field's name where the configuration does not say.
    pub const HEADER: &'static str = "X-CSRF-Token";
}

/// What every write carries.
#[derive(Clone, Debug)]
pub struct Token {
    /// The field's value; marked sensitive.
    pub value: HeaderValue,
    /// The cookies that belong to it.
    pub jar: Jar,
}

/// The token of one target.
#[derive(Debug)]
pub struct Csrf {
    spec: CsrfSpec,
    header: HeaderName,
    origin: String,
    client: Client,
    passes: Passes<Token>,
}

impl Csrf {
    /// A token; nothing is called yet.
    pub fn new(spec: CsrfSpec, client: Client) -> Result<Csrf, String> {
        let header = HeaderName::from_bytes(spec.header.as_bytes())
            .map_err(|_| format!("{:?} is not the name of a header field", spec.header))?;
        let origin = origin(&spec.url).unwrap_or_default();
        // A target may end a session as soon as it has begun: whoever is told so fetches at once.
        Ok(Csrf { spec, header, origin, client, passes: Passes::new(Duration::ZERO) })
    }

    /// Token and cookies are for the origin that they came from, and for no other.
    pub fn is_for(&self, url: &str) -> Result<(), String> {
        match origin(url) {
            Some(other) if other == self.origin => Ok(()),
            _ => Err(format!("its {} is one of {}, and the request goes elsewhere", self.spec.header, self.origin)),
        }
    }

    /// The field that carries the token.
    pub fn header(&self) -> &HeaderName {
        &self.header
    }

    /// Its name as it was configured.
    pub fn shown(&self) -> &str {
        &self.spec.header
    }

    /// Whoever is told here hears of each time that a token is fetched, and whether one came. Only the first counts.
    pub fn tell(&self, told: impl Fn(bool) + Send + Sync + 'static) {
        self.passes.tell(told);
    }

    /// The token and its generation, where it has not to be fetched.
    pub fn held(&self) -> Option<(Token, u64)> {
        self.passes.held()
    }

    /// The token and its generation.
    pub fn token(&self, fetch: impl FnOnce() -> Result<Given<Token>, Outcome>) -> Result<(Token, u64), Outcome> {
        self.passes.get(fetch)
    }

    /// The target wants another one than that of this generation: one fetches it, the others wait for it.
    pub fn refused(
        &self,
        generation: u64,
        fetch: impl FnOnce() -> Result<Given<Token>, Outcome>,
    ) -> Result<(), Outcome> {
        self.passes.refused(generation, fetch)
    }

    /// The token of this generation is of no use any more.
    pub fn forget(&self, generation: u64) {
        self.passes.forget(generation);
    }

    /// 403, and the field says what is wanted.
    pub fn is_refused(&self, reply: &Reply) -> bool {
        reply.status == 403
            && reply.fields.one(&self.spec.header).is_some_and(|value| value.trim().eq_ignore_ascii_case("required"))
    }

    /// The request that fetches it, without what the other parts of the credential add.
    pub fn request(&self) -> Request {
        let headers = vec![(self.spec.header.clone().into(), "Fetch".into())];
        Request { method: self.spec.method.clone(), url: self.spec.url.as_str().into(), headers, body: Vec::new() }
    }

    /// Makes that request.
    pub fn call(&self, request: &Request, envelope: &Envelope) -> Result<Reply, Outcome> {
        let result = self.client.exchange().call(request, envelope);
        result.map_err(|failure| unanswered("fetching the CSRF token", failure))
    }

    /// The token of an answer. Any status will do that is not one of refusal: some services answer 404 beside the token.
    pub fn read(&self, reply: &Reply) -> Result<Given<Token>, Outcome> {
        let token = reply.fields.one(&self.spec.header).map(str::trim);
        let token = token.filter(|token| !token.is_empty() && !token.eq_ignore_ascii_case("required"));
        match (reply.status, token) {
            (401, _) => Err(Outcome::Reauth(Reason::new(
                "http-401",
                "fetching the CSRF token: the credentials are not accepted",
            ))),
            (408 | 425 | 429 | 500..=599, _) => Err(unable("fetching the CSRF token", reply.status)),
            (_, Some(token)) => {
                let mut value = HeaderValue::from_str(token)
                    .map_err(|_| halt("the CSRF token cannot be sent in a header field"))?;
                value.set_sensitive(true);
                let jar = Jar::of(reply);
                Ok(Given { lifetime: jar.lifetime, pass: Token { value, jar } })
            }
            (status, None) => Err(halt(&format!(
                "fetching the CSRF token: the answer ({status}) has no {}; check `fetch`: some targets want another method or a / at the end",
                self.spec.header
            ))),
        }
    }
}
