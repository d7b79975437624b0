//! Assertions that we sign (JWT, RFC 7519, in the form of RFC 7515): for a token (RFC 7523 §2.1) or to show who the client
//! is (§2.2).

use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, RsaEncoding, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::adapter::secret::SecretSource;
use crate::clock;
use crate::rules::hex::hex;

/// How an assertion is signed (RFC 7518 §3.1, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA, PKCS #1 v1.5, SHA-256.
    Rs256,
    /// RSA, PKCS #1 v1.5, SHA-384.
    Rs384,
    /// RSA, PKCS #1 v1.5, SHA-512.
    Rs512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// All, by the names that a header has.
    pub const WORDS: [(&'static str, Algorithm); 6] = [
        ("RS256", Algorithm::Rs256),
        ("RS384", Algorithm::Rs384),
        ("RS512", Algorithm::Rs512),
        ("ES256", Algorithm::Es256),
        ("ES384", Algorithm::Es384),
        ("EdDSA", Algorithm::EdDsa),
    ];

    fn word(self) -> &'static str {
        Algorithm::WORDS.iter().find(|(_, known)| *known == self).map_or("", |(word, _)| word)
    }
}

/// Who signs, and what is said.
#[derive(Debug)]
pub struct Signer {
    /// Private key in PEM (PKCS #8, PKCS #1 or SEC 1), not encrypted.
    pub key: SecretSource,
    /// `kid`: which of several keys of ours it is.
    pub key_id: Option<String>,
    /// How it is signed; none = as the key allows, with SHA-256 where there is a choice.
    pub algorithm: Option<Algorithm>,
    /// `iss`.
    pub issuer: String,
    /// `sub`.
    pub subject: Option<String>,
    /// `aud`.
    pub audience: String,
    /// Until `exp`; default [`Signer::LIFETIME`].
    pub lifetime: Duration,
    /// Further claims, as some servers want them.
    pub claims: Vec<(String, String)>,
}

enum Pair {
    Rsa(Box<RsaKeyPair>, &'static dyn RsaEncoding),
    Ecdsa(Box<EcdsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

impl Signer {
    /// How long an assertion counts where the configuration does not say: no server known allows less than this at most.
    pub const LIFETIME: Duration = Duration::from_secs(180);

    /// A new one, which has never been used before.
    pub fn assertion(&self) -> Result<Zeroizing<String>, String> {
        let secret = self.key.get()?;
        let (pair, algorithm) =
            pair(secret.expose(), self.algorithm).map_err(|why| format!("{}: {why}", self.key.from()))?;
        let mut id = [0; 16];
        aws_lc_rs::rand::fill(&mut id).map_err(|_| "the operating system gives no random numbers".to_owned())?;
        let (header, claims) = self.said(algorithm, clock::now().0.div_euclid(1000), &hex(&id));
        let encode = |value: Map<String, Value>| URL_SAFE_NO_PAD.encode(Value::Object(value).to_string());
        let text = format!("{}.{}", encode(header), encode(claims));
        let signature = pair.sign(text.as_bytes()).map_err(|()| format!("{}: the key cannot sign", self.key.from()))?;
        Ok(Zeroizing::new(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }

    fn said(&self, algorithm: Algorithm, now: i64, id: &str) -> (Map<String, Value>, Map<String, Value>) {
        let mut header = Map::new();
        header.insert("alg".into(), json!(algorithm.word()));
        header.insert("typ".into(), json!("JWT"));
        header.extend(self.key_id.iter().map(|kid| ("kid".to_owned(), json!(kid))));
        let mut claims: Map<String, Value> =
            self.claims.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        claims.insert("iss".into(), json!(self.issuer));
        claims.extend(self.subject.iter().map(|sub| ("sub".to_owned(), json!(sub))));
        claims.insert("aud".into(), json!(self.audience));
        claims.insert("iat".into(), json!(now));
        claims.insert("exp".into(), json!(now + i64::try_from(self.lifetime.as_secs()).unwrap_or(300)));
        claims.insert("jti".into(), json!(id));
        (header, claims)
    }
}

/// Reads a key. Errors say what it is not, and hold nothing of it.
fn pair(pem: &str, wanted: Option<Algorithm>) -> Result<(Pair, Algorithm), String> {
    if pem.contains("BEGIN ENCRYPTED PRIVATE KEY") || pem.contains("Proc-Type: 4,ENCRYPTED") {
        return Err("the private key is encrypted; decrypt it: openssl pkey -in KEY -out NEW".to_owned());
    }
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| "holds no private key (expected -----BEGIN PRIVATE KEY-----)".to_owned())?;
    let candidates: Vec<Algorithm> = match wanted {
        Some(wanted) => vec![wanted],
        None => vec![Algorithm::Rs256, Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa],
    };
    let found = candidates.into_iter().find_map(|algorithm| Some((read(&key, algorithm)?, algorithm)));
    found.ok_or_else(|| match wanted {
        Some(wanted) => format!("is no key for {}", wanted.word()),
        None => "is no key of RSA, P-256, P-384 or Ed25519".to_owned(),
    })
}

fn read(key: &PrivateKeyDer<'_>, algorithm: Algorithm) -> Option<Pair> {
    let rsa = |how: &'static dyn RsaEncoding| {
        let pair = match key {
            PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
            _ => return None,
        };
        Some(Pair::Rsa(Box::new(pair.ok()?), how))
    };
    let ecdsa = |how: &'static EcdsaSigningAlgorithm| {
        let pair = match key {
            PrivateKeyDer::Pkcs8(der) => EcdsaKeyPair::from_pkcs8(how, der.secret_pkcs8_der()),
            PrivateKeyDer::Sec1(der) => EcdsaKeyPair::from_private_key_der(how, der.secret_sec1_der()),
            _ => return None,
        };
        Some(Pair::Ecdsa(Box::new(pair.ok()?)))
    };
    match algorithm {
        Algorithm::Rs256 => rsa(&signature::RSA_PKCS1_SHA256),
        Algorithm::Rs384 => rsa(&signature::RSA_PKCS1_SHA384),
        Algorithm::Rs512 => rsa(&signature::RSA_PKCS1_SHA512),
        Algorithm::Es256 => ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING),
        Algorithm::Es384 => ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING),
        Algorithm::EdDsa => match key {
            PrivateKeyDer::Pkcs8(der) => {
                Some(Pair::Ed25519(Box::new(Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der()).ok()?)))
            }
            _ => None,
        },
    }
}

impl Pair {
    fn sign(&self, text: &[u8]) -> Result<Vec<u8>, ()> {
        match self {
            Pair::Rsa(pair, how) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*how, &SystemRandom::new(), text, &mut signature).map_err(drop)?;
                Ok(signature)
            }
            Pair::Ecdsa(pair) => {
                pair.sign(&SystemRandom::new(), text).map(|found| found.as_ref().to_vec()).map_err(drop)
            }
            Pair::Ed25519(pair) => Ok(pair.sign(text).as_ref().to_vec()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The key of RFC 7515, appendix A.2.1, which is published there.
    const PUBLISHED: &str = "\
-----BEGIN RSA PRIVATE KEY-----\n\
MIIEowIBAAKCAQEAofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd/wWJcyQoTbji9k0\n\
l8W26mPddxHmfHQp+Vaw+4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL+yRT+SFd2lZS+pC\n\
gNMsD1W/YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb/7OMg0LOL+bSf63kpaSHSX\n\
ndS5z5rexMdbBYUsLA9e+KXBdQOS+UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uD\n\
Zlxvb3qCo5ZwKh9kG4LT6/I5IhlJH7aGhyxXFvUK+DWNmoudF8NAco9/h9iaGNj8\n\
q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQIDAQABAoIBABKucaRpzQorw35S\n\
bEUAVx8dYXUdZOlJcHtiWQ+dC6V8ljxAHj/PLyzTveyI5QO/xkObCyjIL303l2cf\n\
UhPu2MFaJdjVzqACXuOrLot/eSFvxjvqVidTtAZExqFRJ9mylUVAoLvhowVWmC1O\n\
n95fZCXxTUtxNEG1Xcc7m0rtzJKs45J+N/V9DP1edYH6USyPSWGp6wuA+KgHRnKK\n\
Vf9GRx80JQY7nVNkL17eHoTWEwga+lwi0FEoW9Y7lDtWXYmKBWhUE+U8PGxlJf8f\n\
40493HDw1WRQ/aSLoS4QTp3rn7gYgeHEvfJdkkf0UMhlknlo53M09EFPdadQ4TlU\n\
bjqKc50CgYEA4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH/5IB3jw3bcxGn6QLvnE\n\
tfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw/Py5PJdTJNPY8cQn7ouZ2KKDcmnPG\n\
BY5t7yLc1QlQ5xHdwW1VhvKn+nXqhJTBgIPgtldC+KDV5z+y2XDwGUcCgYEAuQPE\n\
fgmVtjL0Uyyx88GZFF1fOunH3+7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYs\n\
p1ZSe7zFYHj7C6ul7TjeLQeZD/YwD66t62wDmpe/HlB+TnBA+njbglfIsRLtXlnD\n\
zQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdcCgYAHAp9XcCSrn8wVkMVkKdb7\n\
DOX4IKjzdahm+ctDAJN4O/y7OW5FKebvUjdAIt2GuoTZ71iTG+7F0F+lP88jtjP4\n\
U4qe7VHoewl4MKOfXZKTe+YCS1XbNvfgwJ3Ltyl1OH9hWvu2yza7q+d5PCsDzqtm\n\
27kxuvULVeya+TEdAB1ijQKBgQCH/3r6YrVH/uCWGy6bzV1nGNOdjKc9tmkfOJmN\n\
54dxdixdpozCQ6U4OxZrsj3FcOhHBsqAHvX2uuYjagqvo3cOj1TRqNocX40omfCC\n\
Mx3bD1yPPf/6TI2XECva/ggqEY2mYzmIiA5LVVmc5nrybr+lssFKneeyxN2Wq93S\n\
0iJMdQKBgCGHewxzoa1r8ZMD0LETNrToK423K377UCYqXfg5XMclbrjPbEC3YI1Z\n\
NqMtuhdBJqUnBi6tjKMF+34Xf0CUN8ncuXGO2CAYvO8PdyCixHX52ybaDjy1FtCE\n\
6yUXjoKNXKvUm7MWGsAYH6f4IegOetN5NvmUMFStCSkh7ixZLkN1\n\
-----END RSA PRIVATE KEY-----\n\
";

    #[test]
    fn a_signature_is_that_of_the_standard() {
        let (pair, algorithm) = pair(PUBLISHED, None).unwrap();
        assert_eq!(algorithm, Algorithm::Rs256);
        // RFC 7515, appendices A.2.1 and A.2.2.
        let text = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let expected = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
        assert_eq!(URL_SAFE_NO_PAD.encode(pair.sign(text.as_bytes()).unwrap()), expected);
    }

    #[test]
    fn a_key_that_does_not_do_is_told_without_it() {
        for (pem, wanted, why) in [
            (PUBLISHED, Some(Algorithm::Es256), "is no key for ES256"),
            ("c4nary", None, "holds no private key"),
            (
                "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n",
                None,
                "is encrypted",
            ),
            ("-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n", None, "is no key of RSA"),
        ] {
            let Err(error) = pair(pem, wanted) else { unreachable!() };
            assert!(error.contains(why) && !error.contains("c4nary"), "{error}");
        }
    }
}
