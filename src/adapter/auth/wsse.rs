//! WS-Security in SOAP messages: `UsernameToken` (OASIS Web Services Security UsernameToken Profile 1.1.1) and `Timestamp`
//! (SOAP Message Security 1.1.1 §10). Both are new at each attempt; what is rendered and kept has neither.

use std::time::Duration;

use aws_lc_rs::{digest, rand};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::adapter::secret::SecretSource;
use crate::clock::{self, Timestamp};
use crate::format::markup::{escaped, soap_header};

const WSSE: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";
const WSU: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd";
const TOKEN: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0";
const BASE64: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary";

/// A `type: wsSecurity` credential.
#[derive(Debug)]
pub struct UsernameToken {
    /// User name.
    pub user: String,
    /// Password.
    pub password: SecretSource,
    /// `PasswordDigest`, which does not show the password; else `PasswordText`.
    pub digest: bool,
    /// How long a message counts; default [`UsernameToken::LIFETIME`].
    pub lifetime: Duration,
}

impl UsernameToken {
    /// How long a message counts where the configuration does not say.
    pub const LIFETIME: Duration = Duration::from_secs(300);

    /// The message with the header in it. Errors hold nothing of it.
    pub fn enclose(&self, body: &[u8], password: &str) -> Result<Zeroizing<Vec<u8>>, String> {
        let mut nonce = [0; 16];
        rand::fill(&mut nonce).map_err(|_| "the operating system gives no random numbers".to_owned())?;
        self.at(body, password, &nonce, clock::now())
    }

    fn at(&self, body: &[u8], password: &str, nonce: &[u8], now: Timestamp) -> Result<Zeroizing<Vec<u8>>, String> {
        let text = std::str::from_utf8(body).ok();
        let (text, place) = text.and_then(|text| Some((text, soap_header(text)?))).ok_or_else(|| {
            "a UsernameToken goes into the header of a SOAP envelope, and the body is none".to_owned()
        })?;
        let (created, expires) = (now.to_string(), now.plus(self.lifetime).to_string());
        let (kind, shown) = match self.digest {
            true => ("PasswordDigest", Zeroizing::new(password_digest(nonce, &created, password))),
            false => ("PasswordText", escaped(password).ok_or("the password holds what XML cannot have")?),
        };
        let user = escaped(&self.user).ok_or("the user name holds what XML cannot have")?;
        let prefix = &place.prefix;
        let nonce = STANDARD.encode(nonce);
        let block = Zeroizing::new(format!(
            "<wsse:Security xmlns:wsse=\"{WSSE}\" xmlns:wsu=\"{WSU}\" {prefix}mustUnderstand=\"1\">\
             <wsu:Timestamp><wsu:Created>{created}</wsu:Created><wsu:Expires>{expires}</wsu:Expires></wsu:Timestamp>\
             <wsse:UsernameToken><wsse:Username>{}</wsse:Username>\
             <wsse:Password Type=\"{TOKEN}#{kind}\">{}</wsse:Password>\
             <wsse:Nonce EncodingType=\"{BASE64}\">{nonce}</wsse:Nonce><wsu:Created>{created}</wsu:Created>\
             </wsse:UsernameToken></wsse:Security>",
            user.as_str(),
            shown.as_str(),
        ));
        // An attribute without a prefix is in no namespace, so it would not be SOAP's.
        let block = match prefix.is_empty() {
            true => Zeroizing::new(block.replace(" mustUnderstand=\"1\"", "")),
            false => block,
        };
        let (before, after) = (text.get(..place.from).unwrap_or_default(), text.get(place.to..).unwrap_or_default());
        let mut out = Zeroizing::new(Vec::with_capacity(body.len() + block.len() + 64));
        for part in [before, &place.before, &block, &place.after, after] {
            out.extend_from_slice(part.as_bytes());
        }
        Ok(out)
    }
}

/// `Base64(SHA-1(nonce + created + password))`.
fn password_digest(nonce: &[u8], created: &str, password: &str) -> String {
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    [nonce, created.as_bytes(), password.as_bytes()].iter().for_each(|part| context.update(part));
    STANDARD.encode(context.finish())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::adapter::secret::SecretRef;

    fn token(digest: bool) -> UsernameToken {
        let password = SecretSource::new(SecretRef::Env("HMS_UNUSED".into()));
        UsernameToken { user: "of<042".into(), password, digest, lifetime: UsernameToken::LIFETIME }
    }

    /// The worked example that is passed around with the profile: nonce `LKqI6G/AikKCQrN0zqZFlg==`, created
    /// `2010-09-16T07:50:45Z`, password `userpassword`; `printf | openssl sha1 -binary | base64` gives the same.
    #[test]
    fn a_digest_is_that_of_the_profile() {
        let nonce = STANDARD.decode("LKqI6G/AikKCQrN0zqZFlg==").unwrap();
        assert_eq!(password_digest(&nonce, "2010-09-16T07:50:45Z", "userpassword"), "tuOSpGlFlIXsozq4HFNeeGeFLEI=");
    }

    #[test]
    fn the_header_is_new_at_each_attempt_and_the_body_is_not() {
        let message = b"<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\"><s:Header/><s:Body>x</s:Body></s:Envelope>";
        let [one, two] = [(); 2].map(|()| token(true).enclose(message, "c4nary").unwrap());
        assert_ne!(one, two);
        let text = String::from_utf8(one.to_vec()).unwrap();
        assert!(!text.contains("c4nary") && text.contains("#PasswordDigest\">"), "{text}");
        assert!(
            text.contains("<s:Header><wsse:Security ")
                && text.contains("</wsse:Security></s:Header><s:Body>x</s:Body>")
        );
        assert!(text.contains(" s:mustUnderstand=\"1\">") && text.contains("<wsse:Username>of&lt;042</wsse:Username>"));
        let now = Timestamp(1_772_733_600_000);
        let text =
            String::from_utf8(token(false).at(b"<Envelope><Body/></Envelope>", "a<b", b"n", now).unwrap().to_vec())
                .unwrap();
        assert!(text.contains("#PasswordText\">a&lt;b</wsse:Password>") && !text.contains("mustUnderstand"), "{text}");
        assert!(
            text.contains("<wsu:Created>2026-03-05T18:00:00.000Z</wsu:Created><wsu:Expires>2026-03-05T18:05:00.000Z<")
        );
        assert!(token(true).enclose(b"{}", "c4nary").unwrap_err().contains("the body is none"));
    }
}
