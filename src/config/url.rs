//! Addresses: where the agent connects to is configuration, checked before anything is sent.

use std::net::IpAddr;

use ureq::http::Uri;

use crate::config::found::Found;

/// What an address is for, which decides the schemes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use<'p> {
    /// A target: https; plain http only to this machine or with `plainHttp: true` (given here, with its key).
    Target { plain: bool, key: &'p str },
    /// A token or alert address: https; plain http only to this machine.
    Https,
    /// An event source: wss; plain ws only to this machine or with `plainHttp: true` (given here).
    WebSocket { plain: bool },
    /// A receiver of HL7 by MLLP: mllps; plain mllp only to this machine or with `plainMllp: true` (given here); host and port only.
    Mllp { plain: bool },
    /// A proxy: http, socks5 or socks5h, and nothing behind host and port.
    Proxy,
    /// A mail server: smtps; smtp as well, for the relay in the house.
    Mail,
}

/// Checks an address and returns it as written. Placeholders may stand in path and query only.
pub(crate) fn check(found: &Found<'_>, how: Use<'_>) -> Option<String> {
    let text = found.text()?;
    let wrong = |message: &str, hint: Option<&str>| -> Option<String> {
        match hint {
            Some(hint) => found.error_hint(message, hint),
            None => found.error(message),
        }
        None
    };
    let Some((scheme, rest)) = text.split_once("://") else {
        return wrong("is not an absolute URL", Some("write for example https://host.example/path"));
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return wrong("holds a user name or password", Some("name a credential with credentialsId instead"));
    }
    if authority.contains(['{', '}']) || scheme.contains(['{', '}']) {
        return wrong("has a placeholder in its host", Some("where the agent connects to is never taken from data"));
    }
    if text.contains('#') {
        return wrong("has a fragment (#...)", Some("no server ever sees it: leave it out"));
    }
    // A placeholder is no URL syntax; what stands for it at run time is percent-encoded.
    let Ok(uri) = filled(text).parse::<Uri>() else {
        return wrong("is not a valid URL", Some("write for example https://host.example/path"));
    };
    let Some(host) = uri.host().filter(|host| !host.is_empty()) else {
        return wrong("has no host", None);
    };
    if uri.port_u16().is_none_or(|port| port == 0) && authority.len() > host.len() {
        return wrong("has no valid port", None);
    }
    let here = is_loopback(host);
    let scheme = scheme.to_ascii_lowercase();
    match (how, scheme.as_str()) {
        (Use::Target { .. } | Use::Https, "https") | (Use::WebSocket { .. }, "wss") | (Use::Mllp { .. }, "mllps") => {}
        (Use::Target { .. } | Use::Https, "http") | (Use::WebSocket { .. }, "ws") | (Use::Mllp { .. }, "mllp")
            if here => {}
        (Use::Target { plain: true, .. }, "http")
        | (Use::WebSocket { plain: true }, "ws")
        | (Use::Mllp { plain: true }, "mllp") => {
            let secure = match how {
                Use::WebSocket { .. } => "use wss",
                Use::Mllp { .. } => "use mllps",
                _ => "use https",
            };
            found.warn("sends without encryption: everyone on the way can read and change it", Some(secure));
        }
        (Use::Target { key, .. }, "http") => {
            found.error_hint(
                "is plain http to another machine",
                format!("use https, or allow it with `{key}: true` where the way there is protected otherwise"),
            );
            return None;
        }
        (Use::Mllp { .. }, "mllp") => {
            return wrong(
                "is plain MLLP to another machine",
                Some("use mllps, or allow it with `plainMllp: true` where the way there is protected otherwise"),
            );
        }
        (Use::Https, "http") => return wrong("is plain http to another machine", Some("use https")),
        (Use::WebSocket { .. }, "ws") => return wrong("is a plain WebSocket to another machine", Some("use wss")),
        (Use::Proxy, "http" | "socks5" | "socks5h") | (Use::Mail, "smtp" | "smtps") => {}
        _ => {
            let known = match how {
                Use::Target { .. } | Use::Https => "https",
                Use::WebSocket { .. } => "wss",
                Use::Mllp { .. } => "mllps",
                Use::Proxy => "http, socks5 and socks5h",
                Use::Mail => "smtp or smtps",
            };
            found.error_hint(format!("cannot use the scheme `{scheme}`"), format!("known: {known}"));
            return None;
        }
    }
    if matches!(how, Use::Proxy | Use::Mllp { .. }) && (!matches!(uri.path(), "" | "/") || uri.query().is_some()) {
        let example = if how == Use::Proxy { "http://proxy.example:3128" } else { "mllps://hl7.example:2575" };
        return wrong("has more than a host and a port", Some(&format!("write for example {example}")));
    }
    warn_of_secret(found, &uri);
    Some(text.to_owned())
}

/// `scheme://host:port` in lower case, without a port that is the scheme's own.
pub(crate) fn origin(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let origin = format!("{scheme}://{authority}").to_ascii_lowercase();
    let own = if origin.starts_with("https:") { ":443" } else { ":80" };
    origin.strip_suffix(own).unwrap_or(&origin).to_owned()
}

/// Whether a host names this very machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A URL is written to logs of proxies and servers; a secret does not belong there.
fn warn_of_secret(found: &Found<'_>, uri: &Uri) {
    const SECRETS: [&str; 8] =
        ["token", "access_token", "key", "api_key", "apikey", "secret", "password", "client_secret"];
    let query = uri.query().unwrap_or_default();
    let name = |pair: &str| pair.split('=').next().unwrap_or_default().to_ascii_lowercase().replace('-', "_");
    if query.split('&').any(|pair| SECRETS.contains(&name(pair).as_str())) {
        found.warn("seems to hold a secret", Some("use a credential of type apiKey with `query:`"));
    }
}

fn filled(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        match c {
            '{' => inside = true,
            '}' if inside => {
                inside = false;
                out.push('x');
            }
            _ if inside => {}
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_the_same_however_it_is_written() {
        assert_eq!(origin("https://A.test/x"), origin("https://a.test:443/y?z"));
        assert_eq!(origin("http://a.test:80"), origin("http://a.test/"));
        assert_ne!(origin("https://a.test:80/"), origin("https://a.test/"));
        assert_ne!(origin("http://a.test/"), origin("https://a.test/"));
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for here in ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "[::1]"] {
            assert!(is_loopback(here), "{here}");
        }
        for elsewhere in ["localhost.evil.example", "10.0.0.1", "0.0.0.0", "127.1", "[::]", "::ffff:10.0.0.1"] {
            assert!(!is_loopback(elsewhere), "{elsewhere}");
        }
    }
}
