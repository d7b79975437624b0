//! Secrets that stand in a file as they are: by the name of what they are given to, or by their own look.

use crate::config::found::Found;

/// Names that hold a secret, in small letters without `-` and `_`; so does what ends in one of [`ENDS`].
const NAMES: [&str; 7] = ["passwd", "passphrase", "pwd", "pin", "bearer", "authorization", "credentials"];
const ENDS: [&str; 8] = ["password", "secret", "token", "apikey", "accesskey", "privatekey", "secretkey", "authkey"];
/// How keys and tokens of well-known makers begin, and how long they are at least.
const LOOKS: [(&str, usize); 20] = [
    ("sk_live_", 16),
    ("sk_test_", 16),
    ("rk_live_", 16),
    ("whsec_", 16),
    ("sk-", 24),
    ("ghp_", 20),
    ("gho_", 20),
    ("ghs_", 20),
    ("ghu_", 20),
    ("github_pat_", 20),
    ("glpat-", 20),
    ("xoxb-", 16),
    ("xoxp-", 16),
    ("xoxa-", 16),
    ("AKIA", 20),
    ("ASIA", 20),
    ("AIza", 35),
    ("ya29.", 20),
    ("SG.", 30),
    ("00D", 60),
];

/// Whether what has this name is a secret.
pub(crate) fn is_named(name: &str) -> bool {
    let name: String = name.chars().filter(|char| !matches!(char, '-' | '_')).collect::<String>().to_ascii_lowercase();
    NAMES.contains(&name.as_str()) || ENDS.iter().any(|end| name.ends_with(end))
}

/// Whether a word of a text looks like a secret.
pub(crate) fn is_in(text: &str) -> bool {
    let inside = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '.' | '+' | '/' | '=');
    let looks = |word: &str| {
        let known = LOOKS.iter().any(|(start, least)| word.len() >= *least && word.starts_with(start));
        // A signed token (RFC 7519): three parts, of which the first begins as a JSON object does.
        let token = word.starts_with("eyJ") && word.len() > 40 && word.split('.').count() == 3;
        known || token
    };
    text.contains("-----BEGIN ") || text.split(|char| !inside(char)).any(looks)
}

/// Warns of a text that is, or seems to be, a secret: given to a name that holds one, or by its look. `way` = where it
/// belongs.
pub(crate) fn look(found: &Found<'_>, name: &str, way: &str) {
    let Some(text) = found.node_text() else { return };
    // What an expression brings stands elsewhere.
    let given = !text.trim().is_empty() && !text.contains('{') && is_named(name);
    if given || is_in(text) {
        found.warn("seems to hold a secret, which never stands in a file", Some(way));
    }
}

/// Whether the query of an address gives a secret as it stands there: `?api_key=...`.
pub(crate) fn is_in_query(url: &str) -> bool {
    let pairs = url.split_once('?').map_or("", |(_, query)| query).split('&');
    let secret = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        !value.is_empty() && !value.contains('{') && (is_named(name) || matches!(name, "key" | "sig" | "signature"))
    };
    pairs.into_iter().any(secret) || is_in(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_by_its_name_or_by_its_look_and_other_words_are_not() {
        for name in ["password", "apiKey", "api_key", "X-Api-Key", "accessToken", "client_secret", "dbPassword", "pwd"]
        {
            assert!(is_named(name), "{name}");
        }
        for name in ["id", "key", "tokenType", "secretary", "passwordHint", "monkey", "pinned", "name", "keyField"] {
            assert!(!is_named(name), "{name}");
        }
        let jwt = format!("eyJhbGciOiJIUzI1NiJ9.{}.{}", "a".repeat(20), "b".repeat(20));
        for text in ["sk_live_abcdef0123456789", "Bearer ghp_abcdefghijklmnopqrstuvwxyz", "AKIAIOSFODNN7EXAMPLE", &jwt]
        {
            assert!(is_in(text), "{text}");
        }
        for text in
            ["sk_", "booked", "{vars.token}", "urn:hms:of042", "ask-me-anything-you-want-to", "2026-03-05T10:00:00Z"]
        {
            assert!(!is_in(text), "{text}");
        }
        assert!(is_in_query("{base}/a?api_key=sk_live_abcdef0123456789") && is_in_query("{base}/a?x=1&key=abc"));
        assert!(!is_in_query("{base}/a?token={vars.t}&f=json&key={id}") && !is_in_query("/a/token=1"));
    }
}
