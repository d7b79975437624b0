//! A sign-in that is answered with cookies: one session for all who share the credential, begun again when the target no
//! longer knows it.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::cookies::{Jar, origin};
use super::halt;
use crate::adapter::Request;
use crate::adapter::http::{Client, Envelope, Failure, Reply, percent};
use crate::adapter::pass::{Given, Passes};
use crate::adapter::secret::{Secret, SecretSource};
use crate::event::Value;
use crate::rules::outcome::{Outcome, Reason};

/// After a sign-in that a refusal asked for, further refusals within this time are only tried again with its session.
const CALM: Duration = Duration::from_secs(10);

/// A value that is sent at a sign-in.
#[derive(Debug)]
pub enum Word {
    /// As the configuration says.
    Plain(String),
    /// A secret.
    Secret(SecretSource),
}

/// What is sent to sign in.
#[derive(Debug)]
pub enum SignIn {
    /// Form fields.
    Form(Vec<(String, Word)>),
    /// A JSON object of texts.
    Json(Vec<(String, Word)>),
}

/// A `type: session` credential.
#[derive(Debug)]
pub struct SessionSpec {
    /// Where one signs in.
    pub url: String,
    /// What is sent there, by POST.
    pub sign_in: SignIn,
    /// The cookie that only a good sign-in sets; none = any cookie will do.
    pub cookie: Option<String>,
    /// A token in the answer, instead of cookies.
    pub token: Option<TokenFrom>,
    /// How long a session holds; none = as its cookies say, else until it is refused.
    pub lifetime: Option<Duration>,
}

/// A token that a sign-in is answered with, as a member of a JSON object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFrom {
    /// The member; a dot leads into an object.
    pub from: String,
    /// Where it goes.
    pub place: TokenPlace,
}

/// Where the token of a session goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenPlace {
    /// `Authorization: Bearer`.
    Bearer,
    /// A header of this name.
    Header(String),
    /// A query parameter of this name.
    Query(String),
    /// The body, under this name.
    Body(String),
}

/// What a sign-in gave.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// Cookies.
    pub jar: Jar,
    /// The token, where one was looked for.
    pub token: Option<Arc<Secret>>,
}

/// The session of one user.
#[derive(Debug)]
pub struct Session {
    spec: SessionSpec,
    origin: String,
    client: Client,
    passes: Passes<SignedIn>,
}

impl Session {
    /// A session; nothing is called yet.
    pub fn new(spec: SessionSpec, client: Client) -> Session {
        Session { origin: origin(&spec.url).unwrap_or_default(), spec, client, passes: Passes::new(CALM) }
    }

    /// Its cookies are for the origin where one signs in, and for no other.
    pub fn is_for(&self, url: &str) -> Result<(), String> {
        match origin(url) {
            Some(other) if other == self.origin => Ok(()),
            _ => Err(format!("its session is one of {}, and the request goes elsewhere", self.origin)),
        }
    }

    /// Where its token goes, if it has one.
    pub fn place(&self) -> Option<&TokenPlace> {
        self.spec.token.as_ref().map(|token| &token.place)
    }

    /// Whoever is told here hears of each sign-in, and whether it gave a session. Only the first counts.
    pub fn tell(&self, told: impl Fn(bool) + Send + Sync + 'static) {
        self.passes.tell(told);
    }

    /// What a sign-in gave and its generation, where nobody has to sign in for it.
    pub fn held(&self) -> Option<(SignedIn, u64)> {
        self.passes.held()
    }

    /// What a sign-in gave and its generation.
    pub fn signed_in(&self) -> Result<(SignedIn, u64), Outcome> {
        self.passes.get(|| self.sign_in())
    }

    /// The target no longer knows the session of this generation: there is another one now.
    pub fn refused(&self, generation: u64) -> Result<(), Outcome> {
        self.passes.refused(generation, || self.sign_in())
    }

    fn sign_in(&self) -> Result<Given<SignedIn>, Outcome> {
        let (kind, body) = match &self.spec.sign_in {
            SignIn::Form(words) => ("application/x-www-form-urlencoded", form(words)?),
            SignIn::Json(words) => ("application/json", json(words)?),
        };
        let mut envelope = Envelope::default();
        envelope.fill(body);
        let headers = vec![("Content-Type".into(), kind.into())];
        let request = Request { method: "POST".into(), url: self.spec.url.as_str().into(), headers, body: Vec::new() };
        let reply =
            self.client.exchange().call(&request, &envelope).map_err(|failure| unanswered("sign-in", failure))?;
        let jar = Jar::of(&reply);
        let token = self.spec.token.as_ref().and_then(|token| member(&reply.body, &token.from));
        let cookie = self.spec.cookie.as_ref().map_or(!jar.is_empty(), |name| jar.has(name));
        let signed_in = if self.spec.token.is_some() { token.is_some() } else { cookie };
        let what = if self.spec.token.is_some() { "the token" } else { "the cookie" };
        let lifetime = self.spec.lifetime.or(jar.lifetime);
        match reply.status {
            200..=299 | 302 | 303 if signed_in => Ok(Given { pass: SignedIn { jar, token }, lifetime }),
            408 | 425 | 429 | 500..=599 => Err(unable("sign-in", reply.status)),
            200..=399 => Err(halt(&format!(
                "the sign-in is answered by {} without {what} of a session; check its fields, its address and `cookie` or `token`",
                reply.status
            ))),
            status => Err(halt(&format!("the sign-in is refused ({status}); check its fields and its address"))),
        }
    }
}

/// Whether an answer is the one that a target gives to whom it does not know: 401, a page to sign in on, or the way there.
pub fn is_refused(reply: &Reply) -> bool {
    let page = || reply.content_type.as_ref().is_some_and(|kind| kind.to_ascii_lowercase().starts_with("text/html"));
    match reply.status {
        401 | 302 | 303 | 307 => true,
        200..=299 => page(),
        _ => false,
    }
}

/// No answer came. The event itself was not sent, whatever became of this call.
pub(super) fn unanswered(what: &str, failure: Failure) -> Outcome {
    let outcome = failure.outcome();
    let reason = outcome.reason().cloned().unwrap_or_else(|| Reason::new("credential", "no answer"));
    let reason = Reason { text: format!("{what}: {}", reason.text).into(), ..reason };
    match outcome {
        Outcome::Halt(_) => Outcome::Halt(reason),
        _ => Outcome::Retry { reason, after: None, transport: true },
    }
}

pub(super) fn unable(what: &str, status: u16) -> Outcome {
    let reason = Reason::new(format!("http-{status}"), format!("{what}: the target cannot answer now"));
    Outcome::Retry { reason, after: None, transport: true }
}

/// A text in a JSON object, where the dots of the path lead.
fn member(body: &[u8], path: &str) -> Option<Arc<Secret>> {
    let mut value = crate::format::json::decode(body).ok()?;
    for name in path.split('.') {
        let Value::Map(mut fields) = value else { return None };
        value = fields.remove(name)?;
    }
    match value {
        Value::Text(text) if !text.is_empty() => Some(Arc::new(Secret::new(text.to_string()))),
        _ => None,
    }
}

fn said(word: &Word) -> Result<Zeroizing<String>, Outcome> {
    match word {
        Word::Plain(text) => Ok(Zeroizing::new(text.clone())),
        Word::Secret(source) => {
            let secret = source.get().map_err(|why| halt(&why))?;
            Ok(Zeroizing::new(secret.expose().to_owned()))
        }
    }
}

fn form(words: &[(String, Word)]) -> Result<Zeroizing<Vec<u8>>, Outcome> {
    let mut body = Zeroizing::new(Vec::new());
    for (name, word) in words {
        if !body.is_empty() {
            body.push(b'&');
        }
        body.extend_from_slice(percent(name).as_bytes());
        body.push(b'=');
        body.extend_from_slice(percent(&said(word)?).as_bytes());
    }
    Ok(body)
}

fn json(words: &[(String, Word)]) -> Result<Zeroizing<Vec<u8>>, Outcome> {
    let mut body = Zeroizing::new("{".to_owned());
    for (name, word) in words {
        let comma = if body.len() > 1 { "," } else { "" };
        let (name, word) = (super::body::json(name), super::body::json(&said(word)?));
        // Writing to a String cannot fail.
        let _ = write!(*body, "{comma}\"{}\":\"{}\"", name.as_str(), word.as_str());
    }
    body.push('}');
    Ok(Zeroizing::new(body.as_bytes().to_vec()))
}
