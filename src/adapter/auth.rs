//! Credentials: how a request says who it comes from. Filled in at send time, never stored, hashed or shown.

use std::sync::Arc;

use ureq::http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use zeroize::Zeroizing;

use crate::adapter::http::{Envelope, basic, percent};
use crate::adapter::oauth::OAuth2;
use crate::adapter::secret::{Secret, SecretSource};
use crate::rules::outcome::{Outcome, Reason};

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
    /// OAuth2 client credentials; one token for all who share the credential.
    OAuth2(Box<OAuth2>),
}

/// One entry of `credentials:`, shared by every connector and lane that names it.
#[derive(Debug)]
pub struct Credential {
    name: String,
    scheme: Scheme,
    header: HeaderName,
}

/// An envelope, and what it was made of: enough to tell later whether there is something newer.
#[derive(Debug)]
pub struct Sealed {
    /// What goes on the wire.
    pub envelope: Envelope,
    made_of: MadeOf,
}

#[derive(Debug)]
enum MadeOf {
    Secret(Arc<Secret>),
    Token(u64),
}

impl Credential {
    /// A credential; `name` is its key in the configuration. Errors say what is wrong with which setting.
    pub fn new(name: &str, scheme: Scheme) -> Result<Credential, String> {
        let header = match &scheme {
            Scheme::HeaderKey { name: field, .. } => HeaderName::from_bytes(field.as_bytes())
                .map_err(|_| format!("credential {name}: {field:?} is not the name of a header field"))?,
            Scheme::QueryKey { name: parameter, .. } if parameter.is_empty() => {
                return Err(format!("credential {name}: the query parameter has no name"));
            }
            Scheme::Basic { user, .. } if user.contains(':') || user.chars().any(char::is_control) => {
                return Err(format!("credential {name}: a user name holds no colon and no control characters"));
            }
            _ => AUTHORIZATION,
        };
        Ok(Credential { name: name.to_owned(), scheme, header })
    }

    /// Whoever is told here hears when it was renewed, or could not be. One that never expires is never renewed.
    pub fn tell(&self, told: impl Fn(bool) + Send + Sync + 'static) {
        if let Scheme::OAuth2(oauth) = &self.scheme {
            oauth.tell(told);
        }
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The envelope for one request, where nothing has to be read or fetched for it.
    pub fn sealed(&self) -> Option<Sealed> {
        match &self.scheme {
            Scheme::OAuth2(oauth) => oauth.held().map(|(value, generation)| sealed_by(value, generation)),
            _ => self.source().ok()?.held().and_then(|secret| self.enclose(secret).ok()),
        }
    }

    /// The envelope for one request; may read a file, run a command or ask a token endpoint. An error is the outcome of the attempt: halt when the secret cannot be read,
    /// retry when a token could not be had for a passing cause.
    pub fn seal(&self) -> Result<Sealed, Outcome> {
        if let Scheme::OAuth2(oauth) = &self.scheme {
            let (value, generation) = oauth.token().map_err(|outcome| self.named(outcome))?;
            return Ok(sealed_by(value, generation));
        }
        self.enclose(self.source()?.get().map_err(|why| self.halt(&why))?)
    }

    fn enclose(&self, secret: Arc<Secret>) -> Result<Sealed, Outcome> {
        let text = secret.expose();
        let envelope = match &self.scheme {
            Scheme::Bearer(_) => self.in_header(Zeroizing::new(format!("Bearer {text}")))?,
            Scheme::Basic { user, .. } => self.in_header(basic(&Zeroizing::new(format!("{user}:{text}"))))?,
            Scheme::QueryKey { name, .. } => Envelope {
                header: None,
                query: Some(Zeroizing::new(format!("{}={}", percent(name).as_str(), percent(text).as_str()))),
            },
            Scheme::HeaderKey { .. } | Scheme::OAuth2(_) => self.in_header(Zeroizing::new(text.to_owned()))?,
        };
        Ok(Sealed { envelope, made_of: MadeOf::Secret(secret) })
    }

    /// The target answered 401 to what was sealed. True = there is something newer, worth one more try.
    pub fn refused(&self, sealed: &Sealed) -> Result<bool, Outcome> {
        match (&self.scheme, &sealed.made_of) {
            (Scheme::OAuth2(oauth), MadeOf::Token(generation)) => {
                oauth.refused(*generation).map_err(|outcome| self.named(outcome))
            }
            (_, MadeOf::Secret(used)) => {
                let source = self.source()?;
                source.forget();
                let now = source.get().map_err(|why| self.halt(&why))?;
                Ok(now != *used)
            }
            (_, MadeOf::Token(_)) => Ok(false),
        }
    }

    /// What a request carries, masked, for `simulate`: header fields; a query parameter as `?name`.
    pub fn masked(&self) -> Vec<(String, String)> {
        let (name, value) = match &self.scheme {
            Scheme::Bearer(_) | Scheme::OAuth2(_) => ("Authorization".to_owned(), "Bearer ***"),
            Scheme::Basic { .. } => ("Authorization".to_owned(), "Basic ***"),
            Scheme::HeaderKey { name, .. } => (name.clone(), "***"),
            Scheme::QueryKey { name, .. } => (format!("?{name}"), "***"),
        };
        vec![(name, value.to_owned())]
    }

    fn source(&self) -> Result<&SecretSource, Outcome> {
        match &self.scheme {
            Scheme::Bearer(source)
            | Scheme::Basic { password: source, .. }
            | Scheme::HeaderKey { key: source, .. }
            | Scheme::QueryKey { key: source, .. } => Ok(source),
            Scheme::OAuth2(_) => Err(self.halt("a token is not read from a secret")),
        }
    }

    fn in_header(&self, text: Zeroizing<String>) -> Result<Envelope, Outcome> {
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| self.halt("it holds characters that a header field cannot carry"))?;
        value.set_sensitive(true);
        Ok(Envelope { header: Some((self.header.clone(), value)), query: None })
    }

    fn halt(&self, why: &str) -> Outcome {
        Outcome::Halt(Reason::new("credential", format!("credential {}: {why}", self.name)))
    }

    fn named(&self, outcome: Outcome) -> Outcome {
        let with_name =
            |reason: Reason| Reason { text: format!("credential {}: {}", self.name, reason.text).into(), ..reason };
        match outcome {
            Outcome::Halt(reason) => Outcome::Halt(with_name(reason)),
            Outcome::Retry { reason, after, transport } => {
                Outcome::Retry { reason: with_name(reason), after, transport }
            }
            other => other,
        }
    }
}

fn sealed_by(token: HeaderValue, generation: u64) -> Sealed {
    let envelope = Envelope { header: Some((AUTHORIZATION, token)), query: None };
    Sealed { envelope, made_of: MadeOf::Token(generation) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::os::unix::fs::OpenOptionsExt;

    use super::*;
    use crate::adapter::secret::SecretRef;

    fn held(text: &str) -> (tempfile::TempDir, SecretSource) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        (folder, SecretSource::new(SecretRef::File(path)))
    }

    fn header(credential: &Credential) -> (String, String) {
        let (name, value) = credential.seal().unwrap().envelope.header.unwrap();
        assert!(value.is_sensitive());
        (name.to_string(), value.to_str().unwrap().to_owned())
    }

    #[test]
    fn each_scheme_fills_its_own_place() {
        let (_a, token) = held("t0ken");
        let bearer = Credential::new("c", Scheme::Bearer(token)).unwrap();
        assert_eq!(header(&bearer), ("authorization".to_owned(), "Bearer t0ken".to_owned()));
        let (_b, password) = held("open sesame");
        let basic = Credential::new("c", Scheme::Basic { user: "Aladdin".into(), password }).unwrap();
        assert_eq!(header(&basic).1, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        let (_c, key) = held("k");
        let header_key = Credential::new("c", Scheme::HeaderKey { name: "X-Api-Key".into(), key }).unwrap();
        assert_eq!(header(&header_key), ("x-api-key".to_owned(), "k".to_owned()));
        let (_d, key) = held("a&b=c");
        let query = Credential::new("c", Scheme::QueryKey { name: "key".into(), key }).unwrap();
        assert_eq!(query.seal().unwrap().envelope.query.unwrap().as_str(), "key=a%26b%3Dc");
    }

    #[test]
    fn nothing_that_can_be_shown_holds_the_secret() {
        let (_folder, token) = held("t0ken");
        let credential = Credential::new("cdc", Scheme::Bearer(token)).unwrap();
        let sealed = credential.seal().unwrap();
        assert!(!format!("{credential:?} {sealed:?} {:?}", credential.masked()).contains("t0ken"));
        assert_eq!(credential.masked(), vec![("Authorization".to_owned(), "Bearer ***".to_owned())]);
        let (_folder, key) = held("t0ken");
        let query = Credential::new("cdc", Scheme::QueryKey { name: "key".into(), key }).unwrap();
        assert!(!format!("{:?}", query.seal().unwrap()).contains("t0ken"));
    }

    #[test]
    fn a_refused_secret_is_tried_again_only_when_it_was_replaced() {
        let (folder, token) = held("one");
        let credential = Credential::new("cdc", Scheme::Bearer(token)).unwrap();
        let sealed = credential.seal().unwrap();
        assert!(!credential.refused(&sealed).unwrap());
        std::fs::write(folder.path().join("secret"), "two").unwrap();
        assert!(credential.refused(&sealed).unwrap());
    }

    #[test]
    fn a_secret_that_cannot_be_read_halts_and_names_the_credential() {
        let missing = SecretSource::new(SecretRef::Env("HMS_NO_SUCH_VARIABLE".into()));
        let credential = Credential::new("cdc", Scheme::Bearer(missing)).unwrap();
        let Err(Outcome::Halt(reason)) = credential.seal() else { panic!("no halt") };
        assert!(reason.text.contains("credential cdc") && reason.text.contains("is not set"), "{reason}");
        let (_folder, odd) = held("t\u{7f}oken");
        let credential = Credential::new("cdc", Scheme::Bearer(odd)).unwrap();
        let Err(Outcome::Halt(reason)) = credential.seal() else { panic!("no halt") };
        assert!(!reason.text.contains("oken"), "{reason}");
    }
}
