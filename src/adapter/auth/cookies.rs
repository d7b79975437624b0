//! Cookies of one origin (RFC 6265): what a sign-in set, shown to that origin and no other.

use std::time::Duration;

use ureq::http::HeaderValue;
use zeroize::Zeroizing;

use crate::adapter::http::Reply;

/// Most cookies that are kept, and most bytes of one.
const MOST: usize = 50;
const LONGEST: usize = 8 * 1024;

/// The cookies of a session.
#[derive(Clone, Default)]
pub struct Jar {
    cookies: Vec<Cookie>,
    /// How long the first of them to end lives, where one says so.
    pub lifetime: Option<Duration>,
}

#[derive(Clone)]
struct Cookie {
    name: String,
    value: Zeroizing<String>,
    path: String,
}

impl std::fmt::Debug for Jar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.cookies.iter().map(|cookie| &cookie.name)).finish()
    }
}

impl Jar {
    /// What an answer sets. `Domain` is not asked: the cookies go back to the origin they came from; `Expires` neither,
    /// as `Max-Age` says it without a clock.
    pub fn of(reply: &Reply) -> Jar {
        let mut jar = Jar::default();
        for text in reply.fields.all("set-cookie").filter(|text| text.len() <= LONGEST) {
            let mut parts = text.split(';').map(str::trim);
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { continue };
            let (name, value) = (name.trim(), value.trim());
            let attributes: Vec<(&str, &str)> = parts.map(|part| part.split_once('=').unwrap_or((part, ""))).collect();
            let attribute = |wanted: &str| {
                attributes
                    .iter()
                    .rev()
                    .find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted))
                    .map(|(_, value)| value.trim())
            };
            let age = attribute("max-age").and_then(|digits| digits.parse::<i64>().ok());
            jar.cookies.retain(|cookie| cookie.name != name);
            // An answer takes a cookie back by one that has ended, or is empty.
            if name.is_empty() || value.is_empty() || age.is_some_and(|age| age <= 0) || jar.cookies.len() == MOST {
                continue;
            }
            if let Some(seconds) = age.and_then(|age| u64::try_from(age).ok()) {
                let lives = Duration::from_secs(seconds);
                jar.lifetime = Some(jar.lifetime.map_or(lives, |lifetime| lifetime.min(lives)));
            }
            let path = attribute("path").filter(|path| path.starts_with('/')).unwrap_or("/");
            let value = Zeroizing::new(value.to_owned());
            jar.cookies.push(Cookie { name: name.to_owned(), value, path: path.to_owned() });
        }
        jar
    }

    /// Whether there is a cookie of this name.
    pub fn has(&self, name: &str) -> bool {
        self.cookies.iter().any(|cookie| cookie.name == name)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.cookies.is_empty()
    }

    /// The `Cookie` field for a URL of its origin; none when no cookie is for its path.
    pub fn header(&self, url: &str) -> Option<HeaderValue> {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/");
        let path = path.split(['?', '#']).next().unwrap_or("/");
        let mut text = Zeroizing::new(String::new());
        for cookie in self.cookies.iter().filter(|cookie| is_below(path, &cookie.path)) {
            if !text.is_empty() {
                text.push_str("; ");
            }
            text.push_str(&cookie.name);
            text.push('=');
            text.push_str(&cookie.value);
        }
        // What came as a field goes back as one; a name that cannot is as good as absent.
        HeaderValue::from_str(&text).ok().filter(|value| !value.is_empty())
    }
}

/// RFC 6265 §5.1.4.
fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || folder.ends_with('/'))
}

/// `scheme://host:port` in lower case, the port always there; none for what is no URL.
pub fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?.to_ascii_lowercase();
    let scheme = scheme.to_ascii_lowercase();
    let port = if scheme == "https" { ":443" } else { ":80" };
    let tail = authority.rsplit_once(']').map_or(authority.as_str(), |(_, tail)| tail);
    let port = if tail.contains(':') { "" } else { port };
    Some(format!("{scheme}://{authority}{port}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn jar(lines: &[&str]) -> Jar {
        let mut reply = Reply::default();
        lines.iter().for_each(|line| reply.fields.add("Set-Cookie", line.as_bytes()));
        Jar::of(&reply)
    }

    fn shown(jar: &Jar, url: &str) -> Option<String> {
        jar.header(url).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn what_is_set_goes_back_where_its_path_is() {
        let jar = jar(&[
            "a=1; Path=/; HttpOnly",
            "b=2; path=/mail; Max-Age=600; Secure",
            "gone=x; Max-Age=0",
            "a=3",
            "novalue",
            "=x",
        ]);
        assert_eq!(shown(&jar, "https://h/mail/x?q").unwrap(), "b=2; a=3");
        assert_eq!(shown(&jar, "https://h/mailbox").unwrap(), "a=3");
        assert_eq!(shown(&jar, "https://h").unwrap(), "a=3");
        assert_eq!(jar.lifetime, Some(Duration::from_secs(600)));
        assert!(jar.has("b") && !jar.has("gone"));
        assert_eq!(format!("{jar:?}"), r#"["b", "a"]"#);
        assert_eq!(shown(&Jar::default(), "https://h/"), None);
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        assert_eq!(origin("https://A.test/x"), origin("https://a.test:443?y"));
        assert_eq!(origin("http://[::1]/x").unwrap(), "http://[::1]:80");
        assert_ne!(origin("http://a.test:81/"), origin("http://a.test/"));
        assert_ne!(origin("https://a.test/"), origin("https://b.test/"));
    }
}
