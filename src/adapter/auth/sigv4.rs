//! AWS Signature Version 4 ("Create a signed AWS API request", AWS IAM User Guide): HMAC-SHA256 over method, path, query,
//! header fields and the hash of the body, by a key of the day.

use std::sync::Arc;

use aws_lc_rs::hmac;
use ureq::http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use zeroize::Zeroizing;

use crate::adapter::Request;
use crate::adapter::http::{Envelope, percent};
use crate::adapter::secret::{Secret, SecretSource};
use crate::adapter::sha256;
use crate::clock::{self, Timestamp};
use crate::rules::hex::hex;

const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const HASH: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// A `type: sigv4` credential.
#[derive(Debug)]
pub struct SigV4 {
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: SecretSource,
    /// Token of temporary credentials.
    pub session_token: Option<SecretSource>,
    /// Region, for example `us-gov-west-1`.
    pub region: String,
    /// Service, for example `s3` or `execute-api`.
    pub service: String,
}

impl SigV4 {
    /// Its secrets, in the order in which [`SigV4::sign`] takes them.
    pub fn sources(&self) -> Vec<&SecretSource> {
        std::iter::once(&self.secret_access_key).chain(&self.session_token).collect()
    }

    /// The fields that a signed request carries.
    pub fn shown(&self) -> Vec<&'static str> {
        let token = self.session_token.as_ref().map(|_| "x-amz-security-token");
        ["Authorization", "x-amz-date", "x-amz-content-sha256"].into_iter().chain(token).collect()
    }

    /// Signs the request as it is sent with this envelope.
    pub fn sign(&self, request: &Request, envelope: &mut Envelope, secrets: &[Arc<Secret>]) -> Result<(), String> {
        let [secret, token @ ..] = secrets else { return Err("it has no secret access key".to_owned()) };
        let hash = hex(&sha256(envelope.body(request)));
        let date = date_time(clock::now());
        let mut add = |name: HeaderName, text: &str| {
            let value = HeaderValue::from_str(text).map_err(|_| format!("{name} cannot be sent in a header field"))?;
            envelope.push(name, value);
            Ok::<(), String>(())
        };
        add(DATE, &date)?;
        add(HASH, &hash)?;
        if let Some(token) = token.first() {
            add(TOKEN, token.expose())?;
        }
        let address = envelope.address(request).ok_or("the URL cannot be sent")?;
        let (path, query) = address.rest.split_once('?').unwrap_or((address.rest, ""));
        let query = [query, envelope.query().unwrap_or_default()].join("&");
        let mut fields = vec![("host".to_owned(), address.authority.to_owned())];
        fields.extend(request.headers.iter().filter_map(|(name, value)| {
            let name = name.to_ascii_lowercase();
            let signed = name == "content-type" || name.starts_with("x-amz-");
            signed.then(|| (name, value.trim().to_owned()))
        }));
        fields.extend(
            envelope.fields().filter(|(name, _)| name.as_str().starts_with("x-amz-")).map(|(name, value)| {
                (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            }),
        );
        let message = Message { method: &request.method, path, query: &query, fields, hash: &hash };
        let text = self.authorization(message, &date, secret.expose());
        let value =
            HeaderValue::from_str(&text).map_err(|_| "accessKeyId cannot be sent in a header field".to_owned())?;
        envelope.push(AUTHORIZATION, value);
        Ok(())
    }

    /// The `Authorization` value.
    fn authorization(&self, message: Message<'_>, date: &str, secret: &str) -> String {
        let day = date.get(..8).unwrap_or_default();
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let (request, signed) = message.canonical(self.service == "s3");
        let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&sha256(request.as_bytes())));
        let mut key = Zeroizing::new(format!("AWS4{secret}").into_bytes());
        for part in [day, &self.region, &self.service, "aws4_request"] {
            key = Zeroizing::new(mac(&key, part).as_ref().to_vec());
        }
        let signature = hex(mac(&key, &text).as_ref());
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={signed}, Signature={signature}",
            self.access_key_id
        )
    }
}

/// What is signed.
struct Message<'m> {
    method: &'m str,
    /// As in the URL.
    path: &'m str,
    /// As in the URL; empty parameters do not count.
    query: &'m str,
    /// Lower-case names.
    fields: Vec<(String, String)>,
    hash: &'m str,
}

impl Message<'_> {
    /// The canonical request, and the list of the signed fields.
    fn canonical(mut self, s3: bool) -> (Zeroizing<String>, String) {
        // Of one name the values stay in their order.
        self.fields.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut names: Vec<&str> = self.fields.iter().map(|(name, _)| name.as_str()).collect();
        names.dedup();
        let signed = names.join(";");
        let mut text = Zeroizing::new(format!("{}\n{}\n{}\n", self.method, path(self.path, s3), query(self.query)));
        for name in names {
            let values: Vec<String> =
                self.fields.iter().filter(|(known, _)| known == name).map(|(_, value)| single(value)).collect();
            text.push_str(&format!("{name}:{}\n", values.join(",")));
        }
        text.push_str(&format!("\n{signed}\n{}", self.hash));
        (text, signed)
    }
}

fn mac(key: &[u8], text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
}

/// `20150830T123600Z`.
fn date_time(at: Timestamp) -> String {
    let text = at.to_string();
    let text: String = text.get(..19).unwrap_or_default().chars().filter(|c| !"-:".contains(*c)).collect();
    text + "Z"
}

/// Runs of spaces count as one.
fn single(value: &str) -> String {
    value.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The path: for S3 as it is sent; for all others normalised, and encoded once more.
fn path(path: &str, s3: bool) -> String {
    let path = if path.is_empty() { "/" } else { path };
    if s3 {
        return recoded(path, true);
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let end = if path.ends_with('/') && !parts.is_empty() { "/" } else { "" };
    let parts: Vec<String> = parts.iter().map(|part| percent(&recoded(part, false)).as_str().to_owned()).collect();
    format!("/{}{end}", parts.join("/"))
}

/// The query: decoded, encoded as AWS does, in the order of names and then values.
fn query(query: &str) -> String {
    let parameters = query.split('&').filter(|parameter| !parameter.is_empty());
    let mut pairs: Vec<(String, String)> = parameters
        .map(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            (recoded(name, false), recoded(value, false))
        })
        .collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// Percent-encoded in the one way that counts here: all but the unreserved characters, in capital digits.
fn recoded(text: &str, slashes: bool) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.filter(|_| *first == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    let mut out = String::with_capacity(text.len() + 8);
    for byte in bytes {
        match byte {
            b'/' if slashes => out.push('/'),
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::adapter::secret::SecretRef;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn signer(service: &str) -> SigV4 {
        let secret = SecretSource::new(SecretRef::Env("HMS_UNUSED".into()));
        SigV4 {
            access_key_id: "AKIDEXAMPLE".into(),
            secret_access_key: secret,
            session_token: None,
            region: "us-east-1".into(),
            service: service.into(),
        }
    }

    /// A case of AWS's Signature Version 4 test suite: fields beside host and date, method, path, query, body.
    fn suite(fields: &[(&str, &str)], method: &str, path: &str, query: &str, body: &str) -> (String, String) {
        let date = "20150830T123600Z";
        let mut all =
            vec![("host".to_owned(), "example.amazonaws.com".to_owned()), ("x-amz-date".to_owned(), date.to_owned())];
        all.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let hash = hex(&sha256(body.as_bytes()));
        let message = Message { method, path, query, fields: all, hash: &hash };
        let text = signer("service").authorization(message, date, "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let part = |word: &str| text.split(word).nth(1).unwrap().split(',').next().unwrap().to_owned();
        assert!(text.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "));
        (part("SignedHeaders="), part("Signature="))
    }

    /// Signatures of the suite `aws-sig-v4-test-suite` (get-vanilla, get-vanilla-query-order-key-case,
    /// get-header-value-trim, post-vanilla, post-x-www-form-urlencoded, get-unreserved, get-slashes...).
    #[test]
    fn signatures_are_those_of_the_test_suite() {
        let plain = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
        for path in ["/", "", "//", "/./", "/example/..", "/example1/example2/../.."] {
            assert_eq!(suite(&[], "GET", path, "", ""), ("host;x-amz-date".to_owned(), plain.to_owned()), "{path}");
        }
        for (method, path, query, signature) in [
            ("POST", "/", "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
            (
                "GET",
                "/",
                "Param2=value2&Param1=value1",
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            ("GET", "/", "Param1=value1", "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"),
            (
                "GET",
                "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
                "",
                "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
            ),
        ] {
            assert_eq!(suite(&[], method, path, query, "").1, signature, "{method} {path}?{query}");
        }
        let form = suite(&[("content-type", "application/x-www-form-urlencoded")], "POST", "/", "", "Param1=value1");
        assert_eq!(form.0, "content-type;host;x-amz-date");
        assert_eq!(form.1, "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a");
        let trim = suite(&[("my-header1", "  value1 "), ("my-header2", " \"a   b   c\" ")], "GET", "/", "", "");
        assert_eq!(trim.1, "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736");
    }

    /// The worked example of the Amazon S3 API reference ("Example: GET Object").
    #[test]
    fn a_signature_for_s3_is_that_of_its_reference() {
        let date = "20130524T000000Z";
        let fields = [
            ("host", "examplebucket.s3.amazonaws.com"),
            ("range", "bytes=0-9"),
            ("x-amz-content-sha256", EMPTY),
            ("x-amz-date", date),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let message = Message { method: "GET", path: "/test.txt", query: "", fields, hash: EMPTY };
        let signer = SigV4 { access_key_id: "AKIAIOSFODNN7EXAMPLE".into(), ..signer("s3") };
        let text = signer.authorization(message, date, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        assert!(text.ends_with("Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"), "{text}");
    }

    #[test]
    fn a_path_is_encoded_twice_but_for_s3() {
        assert_eq!(path("/a%20b/c", false), "/a%2520b/c");
        // get-utf8 of the suite, as S3 has it: what it takes raw is encoded on the wire.
        assert_eq!((path("/ሴ", true), path("/%e1%88%b4", true)), ("/%E1%88%B4".into(), "/%E1%88%B4".into()));
        assert_eq!(path("/a%20b//c+d", true), "/a%20b//c%2Bd");
        assert_eq!(query("b=%7e&a&b=1+2"), "a=&b=1%2B2&b=~");
        assert_eq!(date_time(Timestamp(1_440_938_160_000)), "20150830T123600Z");
    }
}
