//! A request as it stands on the wire (HTTP/1.1, RFC 9112): head and body in one piece, so that they leave in one
//! write.

use std::io::Write;

use super::{ACCEPT, Envelope, USER_AGENT};
use crate::adapter::Request;
use crate::rules::outcome::Reason;

/// Longest URL that is sent, query included.
const URL_LIMIT: usize = 65_534;

/// A URL, as far as sending needs it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address<'u> {
    /// `scheme://authority`: a connection carries requests for one of these.
    pub origin: &'u str,
    /// With TLS.
    pub tls: bool,
    /// Host and port as written.
    pub authority: &'u str,
    /// Path and query, without a fragment; begins with `/`, unless it is empty or a query only.
    pub rest: &'u str,
}

impl<'u> Address<'u> {
    /// Takes a URL apart; none when it cannot be sent.
    pub fn of(url: &'u str) -> Option<Address<'u>> {
        if url.len() > URL_LIMIT {
            return None;
        }
        let (tls, host) = match url.split_at_checked(8) {
            Some(("https://", host)) => (true, host),
            _ => (false, url.strip_prefix("http://")?),
        };
        let end = host.find(['/', '?', '#']).unwrap_or(host.len());
        let (authority, rest) = host.split_at(end);
        let rest = rest.split('#').next().unwrap_or_default();
        let origin = url.get(..url.len() - host.len() + end)?;
        let sound = !authority.is_empty() && authority.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'@');
        (sound && rest.bytes().all(|byte| byte.is_ascii_graphic())).then_some(Address { origin, tls, authority, rest })
    }

    /// Host (an IPv6 address in brackets) and port.
    pub fn host(&self) -> Option<(&'u str, u16)> {
        let default = if self.tls { 443 } else { 80 };
        let end = self.authority.rfind(']').map_or(0, |at| at + 1);
        match self.authority.get(end..)?.rfind(':') {
            Some(colon) => {
                let (host, port) = self.authority.split_at(end + colon);
                Some((host, port.get(1..)?.parse().ok()?))
            }
            None => Some((self.authority, default)),
        }
    }
}

/// Writes head and body behind what `out` holds.
pub fn encode(request: &Request, address: Address<'_>, envelope: &Envelope, out: &mut Vec<u8>) -> Result<(), Reason> {
    let from = out.len();
    write_all(request, address, envelope, out).ok_or_else(|| {
        out.truncate(from);
        Reason::new("url", "the URL or a header field cannot be sent; is a value too long?")
    })
}

fn write_all(request: &Request, address: Address<'_>, envelope: &Envelope, out: &mut Vec<u8>) -> Option<()> {
    let (query, body) = (envelope.query().unwrap_or_default(), envelope.body(request));
    if request.url.len() + query.len() > URL_LIMIT || !is_token(&request.method) {
        return None;
    }
    out.reserve(request.url.len() + body.len() + 512);
    put(out, &[request.method.as_bytes(), b" "]);
    if !address.rest.starts_with('/') {
        out.push(b'/');
    }
    put(out, &[address.rest.as_bytes()]);
    if !query.is_empty() {
        let joint: &[u8] = if address.rest.contains('?') { b"&" } else { b"?" };
        put(out, &[joint, query.as_bytes()]);
    }
    put(out, &[b" HTTP/1.1\r\nHost: ", address.authority.as_bytes(), b"\r\nUser-Agent: ", USER_AGENT.as_bytes()]);
    put(out, &[b"\r\nAccept: ", ACCEPT.as_bytes(), b"\r\nAccept-Encoding: identity\r\n"]);
    for (name, value) in &request.headers {
        if !is_token(name) || !value.bytes().all(|byte| (0x20..0x7f).contains(&byte) || byte == b'\t') {
            return None;
        }
        put(out, &[name.as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
    }
    for (name, value) in envelope.fields() {
        put(out, &[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
    }
    if !(body.is_empty() && matches!(&*request.method, "DELETE" | "GET" | "HEAD" | "OPTIONS")) {
        // Writing to a Vec cannot fail.
        let _ = write!(out, "Content-Length: {}\r\n", body.len());
    }
    put(out, &[b"\r\n", body]);
    Some(())
}

fn put(out: &mut Vec<u8>, parts: &[&[u8]]) {
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

/// RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn sent(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<String, Reason> {
        let headers =
            headers.iter().map(|(name, value)| ((*name).to_owned().into(), (*value).to_owned().into())).collect();
        let request = Request { method: method.to_owned().into(), url: url.into(), headers, body: body.to_vec() };
        let mut out = Vec::new();
        encode(&request, Address::of(url).unwrap(), &Envelope::default(), &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_url_is_taken_apart_as_it_is_sent() {
        let host = |url: &'static str| Address::of(url).and_then(|address| address.host());
        assert_eq!(host("https://a.example/x"), Some(("a.example", 443)));
        assert_eq!(host("http://a.example:8080?q"), Some(("a.example", 8080)));
        assert_eq!(host("https://[::1]:7003/x"), Some(("[::1]", 7003)));
        assert_eq!(host("https://[::1]"), Some(("[::1]", 443)));
        for bad in ["ftp://a/", "https:///x", "a.example", "https://u:p@a.example/", "https://a/ b", "https://a/é"] {
            assert_eq!(Address::of(bad), None, "{bad}");
        }
        assert_eq!(host("https://a.example:99999/"), None);
        assert_eq!(Address::of("https://a/b?c#d").unwrap().rest, "/b?c");
        assert_eq!(Address::of("https://a?c").unwrap().origin, "https://a");
    }

    #[test]
    fn a_request_is_one_piece_with_a_length_where_a_body_may_be() {
        let text = sent("POST", "https://a.example:8443/x?y=1", &[("Idempotency-Key", "k")], b"{}").unwrap();
        assert!(text.starts_with("POST /x?y=1 HTTP/1.1\r\nHost: a.example:8443\r\nUser-Agent: hms-sync/"), "{text}");
        assert!(text.ends_with("\r\nIdempotency-Key: k\r\nContent-Length: 2\r\n\r\n{}"), "{text}");
        assert!(sent("PUT", "https://a", &[], b"").unwrap().starts_with("PUT / HTTP/1.1\r\n"));
        assert!(sent("PUT", "https://a", &[], b"").unwrap().contains("Content-Length: 0"));
        assert!(!sent("DELETE", "https://a/1", &[], b"").unwrap().contains("Content-Length"));
        assert!(sent("DELETE", "https://a?x", &[], b"").unwrap().starts_with("DELETE /?x HTTP/1.1\r\n"));
    }

    #[test]
    fn nothing_that_would_begin_another_line_is_sent() {
        for headers in [("A", "b\r\nC: d"), ("A\r\nB", "c"), ("A B", "c"), ("A", "b\0"), ("", "b"), ("A", "ü")] {
            assert!(sent("POST", "https://a/", &[headers], b"").is_err(), "{headers:?}");
        }
        assert!(sent("POST X", "https://a/", &[], b"").is_err());
        assert_eq!(Address::of(&format!("https://a/{}", "x".repeat(URL_LIMIT))), None);
    }
}
