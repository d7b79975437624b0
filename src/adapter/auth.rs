//! Credentials: how a request says who it comes from. Filled in at send time, never stored, hashed or shown.

pub mod body;
mod cookies;
pub mod csrf;
mod refused;
pub mod session;
pub mod sigv4;
mod tell;
#[cfg(test)]
mod tests;
pub mod webhook;
pub mod wsse;

use std::sync::Arc;

use ureq::http::header::{AUTHORIZATION, COOKIE, HeaderName, HeaderValue};
use zeroize::Zeroizing;

use crate::adapter::Request;
use crate::adapter::http::{Envelope, Reply, basic};
use crate::adapter::oauth::OAuth2;
use crate::adapter::secret::{Secret, SecretSource};
use crate::rules::outcome::{Outcome, Reason};
pub use refused::Refused;
use session::{Session, TokenPlace};
use webhook::Webhook;
use wsse::UsernameToken;
use {csrf::Csrf, sigv4::SigV4};

/// How a credential is shown to the target.
#[derive(Debug)]
pub enum Scheme {
    /// `Authorization: Bearer TOKEN`.
    Bearer(SecretSource),
    /// `Authorization: Basic ...`.
    Basic {
        /// User name; no colon.
        user: String,
        /// Password.
        password: SecretSource,
    },
    /// A key in a header field of the target's choice.
    HeaderKey {
        /// Field name, for example `X-Api-Key`.
        name: String,
        /// The key.
        key: SecretSource,
    },
    /// A key in a query parameter. Works, but ends up in the target's access log.
    QueryKey {
        /// Parameter name.
        name: String,
        /// The key.
        key: SecretSource,
    },
    /// A key in the body, see [`body`].
    BodyKey {
        /// Member of a JSON object, field of a form, or slot.
        name: String,
        /// The key.
        key: SecretSource,
    },
    /// OAuth2; one token for all who share the credential.
    OAuth2(Box<OAuth2>),
    /// A sign-in that is answered with cookies.
    Session(Box<Session>),
    /// A token against forged requests, which is fetched before the first write.
    Csrf(Box<Csrf>),
    /// WS-Security `UsernameToken` in the header of a SOAP message.
    UsernameToken(Box<UsernameToken>),
    /// AWS Signature Version 4.
    SigV4(Box<SigV4>),
    /// A signature over the body (Standard Webhooks).
    Webhook(Box<Webhook>),
}

impl Scheme {
    /// In which order the parts of a credential are filled in: what signs does so last, over all the others.
    fn rank(&self) -> u8 {
        match self {
            Scheme::Session(_) => 1,
            Scheme::Csrf(_) => 2,
            Scheme::BodyKey { .. } => 3,
            Scheme::UsernameToken(_) => 4,
            Scheme::SigV4(_) | Scheme::Webhook(_) => 5,
            _ => 0,
        }
    }
}

#[derive(Debug)]
struct Part {
    scheme: Scheme,
    header: HeaderName,
}

/// One entry of `credentials:`, shared by every connector and lane that names it.
#[derive(Debug)]
pub struct Credential {
    name: String,
    parts: Vec<Part>,
}

/// An envelope, and what it was made of: enough to tell later whether there is something newer.
#[derive(Debug)]
pub struct Sealed {
    /// What goes on the wire.
    pub envelope: Envelope,
    /// Of the first part, and of those after it: most credentials have one.
    made_of: MadeOf,
    more: Vec<MadeOf>,
}

#[derive(Debug)]
enum MadeOf {
    Nothing,
    Secret(Arc<Secret>),
    Secrets(Vec<Arc<Secret>>),
    Pass(u64),
}

/// Most parts of a credential.
const MOST: usize = 8;

impl Credential {
    /// A credential of one part; `name` is its key in the configuration. Errors say what is wrong with which setting.
    pub fn new(name: &str, scheme: Scheme) -> Result<Credential, String> {
        Credential::several(name, vec![scheme])
    }

    /// A credential of several parts, all of which every request carries.
    pub fn several(name: &str, schemes: Vec<Scheme>) -> Result<Credential, String> {
        if schemes.len() > MOST {
            return Err(format!("credential {name}: has more than {MOST} parts"));
        }
        let mut parts = Vec::with_capacity(schemes.len());
        for scheme in schemes {
            let header = match &scheme {
                Scheme::HeaderKey { name: field, .. } => HeaderName::from_bytes(field.as_bytes())
                    .map_err(|_| format!("credential {name}: {field:?} is not the name of a header field"))?,
                Scheme::QueryKey { name: word, .. } | Scheme::BodyKey { name: word, .. } if word.is_empty() => {
                    return Err(format!("credential {name}: the key has no name"));
                }
                Scheme::Basic { user, .. } if user.contains(':') || user.chars().any(char::is_control) => {
                    return Err(format!("credential {name}: a user name holds no colon and no control characters"));
                }
                _ => AUTHORIZATION,
            };
            parts.push(Part { scheme, header });
        }
        parts.sort_by_key(|part| part.scheme.rank());
        Ok(Credential { name: name.to_owned(), parts })
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `https://host[:port]` that the token endpoint has named for the calls (`baseFrom`), once there is a token.
    pub fn base(&self) -> Option<Arc<str>> {
        self.parts.iter().find_map(|part| match &part.scheme {
            Scheme::OAuth2(oauth) => oauth.base(),
            _ => None,
        })
    }

    /// Whether it puts something of this name into the body.
    pub fn fills(&self, name: &str) -> bool {
        self.parts.iter().any(|part| match &part.scheme {
            Scheme::BodyKey { name: own, .. } => own == name,
            Scheme::Session(session) => matches!(session.place(), Some(TokenPlace::Body(own)) if own == name),
            _ => false,
        })
    }

    /// Whether its token endpoint names where the calls go.
    pub fn leads(&self) -> bool {
        self.parts.iter().any(|part| matches!(&part.scheme, Scheme::OAuth2(oauth) if oauth.leads()))
    }

    /// The envelope for one request, where nothing has to be read or fetched for it.
    pub fn sealed(&self, request: &Request) -> Option<Sealed> {
        self.enclose(request, self.parts.len(), false).ok().flatten()
    }

    /// The envelope for one request; may read a file, run a command or ask a token endpoint. An error is the outcome of
    /// the attempt: halt when the secret cannot be read, retry when a token could not be had for a passing cause.
    pub fn seal(&self, request: &Request) -> Result<Sealed, Outcome> {
        let sealed = self.enclose(request, self.parts.len(), true).map_err(|outcome| self.named(outcome))?;
        sealed.ok_or_else(|| self.named(halt("it could not be read")))
    }

    /// Has everything ready that requests will need: secrets read, tokens fetched, signed in.
    pub fn ready(&self) -> Result<(), Outcome> {
        (0..self.parts.len()).try_for_each(|at| self.prepare(at)).map_err(|outcome| self.named(outcome))
    }

    fn prepare(&self, at: usize) -> Result<(), Outcome> {
        let Some(part) = self.parts.get(at) else { return Ok(()) };
        match &part.scheme {
            Scheme::OAuth2(oauth) => oauth.token().map(drop),
            Scheme::Session(session) => session.signed_in().map(drop),
            Scheme::Csrf(csrf) => self.csrf(csrf, at).map(drop),
            Scheme::Webhook(webhook) => {
                webhook.check(&secrets(&part.scheme, true)?.unwrap_or_default()).map_err(|why| halt(&why))
            }
            scheme => secrets(scheme, true).map(drop),
        }
    }

    /// Fills in the parts before `end`. None = something would have to be waited for, and `wait` does not allow it.
    fn enclose(&self, request: &Request, end: usize, wait: bool) -> Result<Option<Sealed>, Outcome> {
        let mut sealed = Sealed { envelope: Envelope::default(), made_of: MadeOf::Nothing, more: Vec::new() };
        for (at, part) in self.parts.iter().enumerate().take(end) {
            let Some(made_of) = self.add(part, at, request, &mut sealed.envelope, wait)? else { return Ok(None) };
            if at == 0 { sealed.made_of = made_of } else { sealed.more.push(made_of) }
        }
        Ok(Some(sealed))
    }

    fn add(
        &self,
        part: &Part,
        at: usize,
        request: &Request,
        envelope: &mut Envelope,
        wait: bool,
    ) -> Result<Option<MadeOf>, Outcome> {
        let source = match &part.scheme {
            Scheme::OAuth2(oauth) => {
                let found = if wait { Some(oauth.token()?) } else { oauth.held() };
                let Some((token, generation)) = found else { return Ok(None) };
                envelope.push(AUTHORIZATION, token.value);
                if let Some(base) = token.base {
                    envelope.lead(base);
                }
                return Ok(Some(MadeOf::Pass(generation)));
            }
            Scheme::Session(session) => {
                // A token goes where the configuration says; cookies go home only.
                let home = session.is_for(&request.url).map_err(|why| halt(&why));
                if session.place().is_none() {
                    home.clone()?;
                }
                let found = if wait { Some(session.signed_in()?) } else { session.held() };
                let Some((given, generation)) = found else { return Ok(None) };
                if let Some(cookies) = given.jar.header(&request.url).filter(|_| home.is_ok()) {
                    envelope.push(COOKIE, cookies);
                }
                if let (Some(token), Some(place)) = (&given.token, session.place()) {
                    put(token.expose(), place, request, envelope)?;
                }
                return Ok(Some(MadeOf::Pass(generation)));
            }
            Scheme::Csrf(csrf) => {
                csrf.is_for(&request.url).map_err(|why| halt(&why))?;
                let found = if wait { Some(self.csrf(csrf, at)?) } else { csrf.held() };
                let Some((token, generation)) = found else { return Ok(None) };
                envelope.push(csrf.header().clone(), token.value);
                if let Some(cookies) = token.jar.header(&request.url) {
                    envelope.push(COOKIE, cookies);
                }
                return Ok(Some(MadeOf::Pass(generation)));
            }
            Scheme::SigV4(_) | Scheme::Webhook(_) => {
                let Some(found) = secrets(&part.scheme, wait)? else { return Ok(None) };
                match &part.scheme {
                    Scheme::SigV4(sigv4) => sigv4.sign(request, envelope, &found),
                    Scheme::Webhook(webhook) => webhook.sign(request, envelope, &found),
                    _ => Ok(()),
                }
                .map_err(|why| halt(&why))?;
                return Ok(Some(MadeOf::Secrets(found)));
            }
            Scheme::Bearer(source)
            | Scheme::Basic { password: source, .. }
            | Scheme::HeaderKey { key: source, .. }
            | Scheme::QueryKey { key: source, .. }
            | Scheme::BodyKey { key: source, .. } => source,
            Scheme::UsernameToken(token) => &token.password,
        };
        let Some(secret) = one(source, wait)? else { return Ok(None) };
        let text = secret.expose();
        let header = match &part.scheme {
            Scheme::Bearer(_) => Some(Zeroizing::new(format!("Bearer {text}"))),
            Scheme::Basic { user, .. } => Some(basic(&Zeroizing::new(format!("{user}:{text}")))),
            Scheme::QueryKey { name, .. } => {
                envelope.ask(name, text);
                None
            }
            Scheme::BodyKey { name, .. } => {
                let filled = body::with_key(request, envelope.body(request), name, text).map_err(|why| halt(&why))?;
                envelope.fill(filled);
                None
            }
            Scheme::UsernameToken(token) => {
                let filled = token.enclose(envelope.body(request), text).map_err(|why| halt(&why))?;
                envelope.fill(filled);
                None
            }
            _ => Some(Zeroizing::new(text.to_owned())),
        };
        if let Some(text) = header {
            let value = HeaderValue::from_str(&text)
                .map_err(|_| halt("it holds characters that a header field cannot carry"))?;
            envelope.push(part.header.clone(), value);
        }
        Ok(Some(MadeOf::Secret(secret)))
    }

    /// The token against forged requests; it is fetched as the parts before it allow, which may be renewed for that.
    fn csrf(&self, csrf: &Csrf, at: usize) -> Result<(csrf::Token, u64), Outcome> {
        csrf.token(|| self.fetch(csrf, at))
    }

    fn fetch(&self, csrf: &Csrf, at: usize) -> Result<crate::adapter::pass::Given<csrf::Token>, Outcome> {
        let request = csrf.request();
        let seal = || self.enclose(&request, at, true)?.ok_or_else(|| halt("it could not be read"));
        let sealed = seal()?;
        let reply = csrf.call(&request, &sealed.envelope)?;
        let refusal = self.refusal_before(&reply, at);
        if let Some(refusal) = refusal
            && self.renew(&sealed, refusal)?
        {
            return csrf.read(&csrf.call(&request, &seal()?.envelope)?);
        }
        csrf.read(&reply)
    }

    /// Which parts an answer does not accept; none = it speaks of something else.
    pub fn refusal(&self, reply: &Reply) -> Option<Refused> {
        self.refusal_before(reply, self.parts.len())
    }

    fn refusal_before(&self, reply: &Reply, end: usize) -> Option<Refused> {
        let mut found = 0;
        for (at, part) in self.parts.iter().enumerate().take(end) {
            let refused = match &part.scheme {
                Scheme::Session(_) => session::is_refused(reply),
                Scheme::Csrf(csrf) => csrf.is_refused(reply),
                _ => reply.status == 401,
            };
            found |= u32::from(refused) << at;
        }
        (found != 0).then_some(Refused(found))
    }

    /// The target did not accept what was sealed. True = there is something newer, worth one more try.
    pub fn refused(&self, sealed: &Sealed, refusal: Refused) -> Result<bool, Outcome> {
        self.renew(sealed, refusal).map_err(|outcome| self.named(outcome))
    }

    fn renew(&self, sealed: &Sealed, refusal: Refused) -> Result<bool, Outcome> {
        let made = std::iter::once(&sealed.made_of).chain(&sealed.more);
        let mut newer = false;
        let mut signed_in = false;
        for (at, (part, made)) in self.parts.iter().zip(made).enumerate() {
            match (&part.scheme, made) {
                // A new session does not know the token of the old one.
                (Scheme::Csrf(csrf), MadeOf::Pass(generation)) if signed_in => csrf.forget(*generation),
                _ if !refusal.has(at) => {}
                (Scheme::OAuth2(oauth), MadeOf::Pass(generation)) => {
                    oauth.refused(*generation)?;
                    newer = true;
                }
                (Scheme::Session(session), MadeOf::Pass(generation)) => {
                    session.refused(*generation)?;
                    (newer, signed_in) = (true, true);
                }
                (Scheme::Csrf(csrf), MadeOf::Pass(generation)) => {
                    csrf.refused(*generation, || self.fetch(csrf, at))?;
                    newer = true;
                }
                (scheme, MadeOf::Secret(used)) => newer |= is_newer(scheme, std::slice::from_ref(used))?,
                (scheme, MadeOf::Secrets(used)) => newer |= is_newer(scheme, used)?,
                _ => {}
            }
        }
        Ok(newer)
    }

    /// What a request carries, masked, for `simulate`: header fields; a query parameter as `?name`, what goes into the
    /// body as `body: name`.
    pub fn masked(&self) -> Vec<(String, String)> {
        let mut masked: Vec<(String, String)> = Vec::new();
        let mut add = |name: &str, value: &str| {
            if !masked.iter().any(|(known, _)| known == name) {
                masked.push((name.to_owned(), value.to_owned()));
            }
        };
        for part in &self.parts {
            match &part.scheme {
                Scheme::Bearer(_) | Scheme::OAuth2(_) => add("Authorization", "Bearer ***"),
                Scheme::Basic { .. } => add("Authorization", "Basic ***"),
                Scheme::HeaderKey { name, .. } => add(name, "***"),
                Scheme::QueryKey { name, .. } => add(&format!("?{name}"), "***"),
                Scheme::BodyKey { name, .. } => add(&format!("body: {name}"), "***"),
                Scheme::Session(session) => match session.place() {
                    None => add("Cookie", "***"),
                    Some(TokenPlace::Bearer) => add("Authorization", "Bearer ***"),
                    Some(TokenPlace::Header(name)) => add(name, "***"),
                    Some(TokenPlace::Query(name)) => add(&format!("?{name}"), "***"),
                    Some(TokenPlace::Body(name)) => add(&format!("body: {name}"), "***"),
                },
                Scheme::Csrf(csrf) => {
                    add(csrf.shown(), "***");
                    add("Cookie", "***");
                }
                Scheme::UsernameToken(_) => add("body: wsse:Security", "***"),
                Scheme::SigV4(sigv4) => sigv4.shown().into_iter().for_each(|name| add(name, "***")),
                Scheme::Webhook(_) => webhook::FIELDS.into_iter().for_each(|name| add(name, "***")),
            }
        }
        masked
    }

    fn named(&self, outcome: Outcome) -> Outcome {
        let with_name =
            |reason: Reason| Reason { text: format!("credential {}: {}", self.name, reason.text).into(), ..reason };
        match outcome {
            Outcome::Halt(reason) => Outcome::Halt(with_name(reason)),
            Outcome::Reauth(reason) => Outcome::Reauth(with_name(reason)),
            Outcome::Retry { reason, after, transport } => {
                Outcome::Retry { reason: with_name(reason), after, transport }
            }
            other => other,
        }
    }
}

/// Puts the token of a session where it goes.
fn put(token: &str, place: &TokenPlace, request: &Request, envelope: &mut Envelope) -> Result<(), Outcome> {
    let (name, text) = match place {
        TokenPlace::Bearer => (AUTHORIZATION, Zeroizing::new(format!("Bearer {token}"))),
        TokenPlace::Header(name) => {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| halt("its header has no proper name"))?;
            (name, Zeroizing::new(token.to_owned()))
        }
        TokenPlace::Query(name) => {
            envelope.ask(name, token);
            return Ok(());
        }
        TokenPlace::Body(name) => {
            let filled = body::with_key(request, envelope.body(request), name, token).map_err(|why| halt(&why))?;
            envelope.fill(filled);
            return Ok(());
        }
    };
    let value = HeaderValue::from_str(&text).map_err(|_| halt("its token cannot be sent in a header field"))?;
    envelope.push(name, value);
    Ok(())
}

fn halt(why: &str) -> Outcome {
    Outcome::Halt(Reason::new("credential", why.to_owned()))
}

/// The secret; none when it would have to be read and `wait` does not allow it.
fn one(source: &SecretSource, wait: bool) -> Result<Option<Arc<Secret>>, Outcome> {
    if wait { source.get().map(Some).map_err(|why| halt(&why)) } else { Ok(source.held()) }
}

/// The sources of what a part is made of, where that is secrets.
fn sources(scheme: &Scheme) -> Vec<&SecretSource> {
    match scheme {
        Scheme::Bearer(source)
        | Scheme::Basic { password: source, .. }
        | Scheme::HeaderKey { key: source, .. }
        | Scheme::QueryKey { key: source, .. }
        | Scheme::BodyKey { key: source, .. } => vec![source],
        Scheme::UsernameToken(token) => vec![&token.password],
        Scheme::SigV4(sigv4) => sigv4.sources(),
        Scheme::Webhook(webhook) => webhook.secrets.iter().collect(),
        Scheme::OAuth2(_) | Scheme::Session(_) | Scheme::Csrf(_) => Vec::new(),
    }
}

fn secrets(scheme: &Scheme, wait: bool) -> Result<Option<Vec<Arc<Secret>>>, Outcome> {
    sources(scheme).into_iter().map(|source| one(source, wait)).collect()
}

/// Reads the secrets again: is one another than it was?
fn is_newer(scheme: &Scheme, used: &[Arc<Secret>]) -> Result<bool, Outcome> {
    sources(scheme).into_iter().for_each(SecretSource::forget);
    let now = secrets(scheme, true)?.unwrap_or_default();
    Ok(now.as_slice() != used)
}
