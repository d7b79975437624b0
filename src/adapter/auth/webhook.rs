//! Signatures of Standard Webhooks (specification 1.0.0, symmetric `v1`): HMAC-SHA256 over id, time and body. While a
//! secret is being replaced, each request is signed by the old one and the new one.

use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ureq::http::header::{HeaderName, HeaderValue};
use zeroize::Zeroizing;

use crate::adapter::Request;
use crate::adapter::http::Envelope;
use crate::adapter::secret::{Secret, SecretSource};
use crate::adapter::sha256;
use crate::clock;
use crate::rules::hex::hex;

/// The fields that a signed request carries.
pub const FIELDS: [&str; 3] = ["webhook-id", "webhook-timestamp", "webhook-signature"];

/// Fewest and most bytes of a secret, as the specification has them.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A `type: webhook` credential.
#[derive(Debug)]
pub struct Webhook {
    /// Each signs; the first is the newest.
    pub secrets: Vec<SecretSource>,
}

impl Webhook {
    /// Whether the secrets are keys.
    pub fn check(&self, secrets: &[Arc<Secret>]) -> Result<(), String> {
        secrets.iter().try_for_each(|secret| key(secret).map(drop))
    }

    /// Signs the body as it is sent.
    pub fn sign(&self, request: &Request, envelope: &mut Envelope, secrets: &[Arc<Secret>]) -> Result<(), String> {
        let given = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("idempotency-key"));
        let id = given.map_or_else(|| hex(&sha256(&request.body)), |(_, value)| value.clone().into_owned());
        let seconds = clock::now().0.div_euclid(1000).to_string();
        let text = signatures(&id, &seconds, envelope.body(request), secrets)?;
        for (name, value) in FIELDS.into_iter().zip([id, seconds, text]) {
            let value =
                HeaderValue::from_str(&value).map_err(|_| "the id cannot be sent in a header field".to_owned())?;
            envelope.push(HeaderName::from_static(name), value);
        }
        Ok(())
    }
}

/// `v1,SIGNATURE` by each secret, separated by a space.
fn signatures(id: &str, seconds: &str, body: &[u8], secrets: &[Arc<Secret>]) -> Result<String, String> {
    let mut all = String::new();
    for secret in secrets {
        let mut context = hmac::Context::with_key(&key(secret)?);
        [id.as_bytes(), b".", seconds.as_bytes(), b".", body].iter().for_each(|part| context.update(part));
        if !all.is_empty() {
            all.push(' ');
        }
        all.push_str("v1,");
        all.push_str(&STANDARD.encode(context.sign()));
    }
    Ok(all)
}

/// `whsec_` (which may be absent) and base64.
fn key(secret: &Secret) -> Result<hmac::Key, String> {
    let text = secret.expose();
    let bytes = STANDARD.decode(text.strip_prefix("whsec_").unwrap_or(text)).map(Zeroizing::new);
    let bytes = bytes.map_err(|_| "a secret of a webhook is base64, with or without `whsec_` before it".to_owned())?;
    if !BYTES.contains(&bytes.len()) {
        return Err(format!(
            "a secret of a webhook has {} to {} bytes, this one has {}",
            BYTES.start(),
            BYTES.end(),
            bytes.len()
        ));
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Arc<Secret> {
        Arc::new(Secret::new(text))
    }

    /// The vector of the reference libraries of Standard Webhooks (`test_sign_function`).
    const REFERENCE: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn a_signature_is_that_of_the_reference_libraries() {
        let signed =
            signatures("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", br#"{"test": 2432232314}"#, &[secret(REFERENCE)]);
        assert_eq!(signed.unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn every_secret_signs_while_one_replaces_another() {
        let other = secret(&format!("whsec_{}", STANDARD.encode([7; 32])));
        let both = signatures("i", "1", b"{}", &[other.clone(), secret(REFERENCE)]).unwrap();
        let [new, old] = [&[other][..], &[secret(REFERENCE)]].map(|one| signatures("i", "1", b"{}", one).unwrap());
        assert_eq!(both, format!("{new} {old}"));
        assert_eq!(signatures("i", "1", b"{}", &[secret(&REFERENCE[6..])]).unwrap(), old);
    }

    #[test]
    fn what_is_no_key_is_told_without_it() {
        for (text, why) in [("whsec_c4nary!", "is base64"), ("whsec_YzRuYXJ5", "this one has 6")] {
            let error = key(&secret(text)).unwrap_err();
            assert!(error.contains(why) && !error.contains("c4nary"), "{error}");
        }
    }
}
