//! A webhook: the notice as the body of a POST.
//!
//! With a `secret` the body is signed: `Sync-Signature: t=SECONDS,v1=HEX`, where HEX is the HMAC-SHA256 of `SECONDS.BODY` under the
//! secret. Whoever checks it knows who wrote the notice, and that it is not an old one sent again.

use std::sync::Arc;

use aws_lc_rs::hmac;

use super::Channel;
use crate::adapter::Request;
use crate::adapter::auth::{Credential, Refused};
use crate::adapter::http::{Client, Envelope, Options};
use crate::adapter::secret::SecretSource;
use crate::clock;
use crate::format::notice::Notice;
use crate::rules::hex::hex;
use crate::rules::outcome::Reason;

/// What a webhook is made of.
#[derive(Debug)]
pub struct WebhookSpec {
    /// Where to.
    pub url: String,
    /// Client settings.
    pub http: Options,
    /// Credential to show.
    pub credential: Option<Arc<Credential>>,
    /// Signs the body.
    pub secret: Option<SecretSource>,
}

/// A webhook. It has the notice when it answers with a 2xx.
#[derive(Debug)]
pub struct Webhook {
    url: Arc<str>,
    client: Client,
    credential: Option<Arc<Credential>>,
    secret: Option<SecretSource>,
}

impl Webhook {
    /// Nothing is connected yet.
    pub fn new(spec: WebhookSpec) -> Webhook {
        let WebhookSpec { url, http, credential, secret } = spec;
        Webhook { url: url.into(), client: Client::new(http), credential, secret }
    }

    fn request(&self, notice: &Notice) -> Result<Request, Reason> {
        let body = notice.json();
        let mut headers = vec![
            ("Content-Type".into(), "application/json".into()),
            ("Idempotency-Key".into(), notice.id.clone().into()),
        ];
        if let Some(source) = &self.secret {
            let secret = source.get().map_err(|why| Reason::new("credential", format!("the webhook's {why}")))?;
            headers.push(("Sync-Signature".into(), sign(secret.expose(), clock::now().0 / 1000, &body).into()));
        }
        Ok(Request { method: "POST".into(), url: self.url.clone(), headers, body: body.into_bytes() })
    }

    fn send(&self, request: &Request, envelope: &Envelope) -> Result<u16, Reason> {
        let reply = self.client.exchange().call(request, envelope);
        reply.map(|reply| reply.status).map_err(|failure| {
            let reason = failure.outcome().reason().cloned();
            reason.unwrap_or_else(|| Reason::new("http", "the call failed"))
        })
    }
}

/// `t=SECONDS,v1=HEX`.
fn sign(secret: &str, seconds: i64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("{seconds}.{body}").as_bytes());
    format!("t={seconds},v1={}", hex(tag.as_ref()))
}

impl Channel for Webhook {
    fn tell(&self, notice: &Notice) -> Result<(), Reason> {
        let request = self.request(notice)?;
        let Some(credential) = &self.credential else {
            return judge(self.send(&request, &Envelope::default())?);
        };
        let why = |outcome: crate::rules::outcome::Outcome| {
            outcome.reason().cloned().unwrap_or_else(|| Reason::new("credential", "cannot be had"))
        };
        let sealed = credential.seal(&request).map_err(why)?;
        let status = self.send(&request, &sealed.envelope)?;
        if status == 401 && credential.refused(&sealed, Refused::ALL).map_err(why)? {
            let sealed = credential.seal(&request).map_err(why)?;
            return judge(self.send(&request, &sealed.envelope)?);
        }
        judge(status)
    }
}

fn judge(status: u16) -> Result<(), Reason> {
    match status {
        200..=299 => Ok(()),
        300..=399 => Err(Reason::new(format!("http-{status}"), "it points elsewhere, and no redirect is followed")),
        status => Err(Reason::new(format!("http-{status}"), format!("it answered {status}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_time_and_the_body() {
        // printf '1.{}' | openssl dgst -sha256 -hmac key
        let signature = sign("key", 1, "{}");
        assert_eq!(signature, format!("t=1,v1={}", EXPECTED));
    }

    const EXPECTED: &str = "1ba6b8171186efc613e8bcc0cbdab2748f24984d7c5a84faa2637afa0e40d224";
}
