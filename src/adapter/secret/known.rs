//! Taking secrets out of texts that go to people: whatever this process has read as a secret is known by its value, also
//! where a library or an outside system put it into its words.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

/// Shorter ones would take ordinary words out of texts.
const SHORTEST: usize = 8;
/// At most so many are known, the latest: tokens that were asked for anew pile up over the years.
const MOST: usize = 256;
/// What stands in place of a secret.
const SHOWN: &str = "***";

/// The forms of one secret.
type Forms = Vec<Zeroizing<String>>;

static KNOWN: Mutex<VecDeque<Forms>> = Mutex::new(VecDeque::new());

/// From now on [`redact`] takes this text out, and its forms in base64 and percent signs. Of one with several lines (a
/// private key), each line.
pub(crate) fn remember(secret: &str) {
    let lines: Vec<&str> = secret.lines().filter(|line| line.len() >= SHORTEST && !line.starts_with("-----")).collect();
    if lines.is_empty() {
        return;
    }
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    for line in lines {
        // What is read again is among the latest again.
        if let Some(at) = known.iter().position(|forms| forms.first().is_some_and(|first| **first == *line)) {
            known.remove(at).into_iter().for_each(|forms| known.push_back(forms));
            continue;
        }
        if known.len() == MOST {
            known.pop_front();
        }
        known.push_back(forms(line));
    }
}

/// The text without the secrets that this process knows.
pub fn redact(text: &str) -> Cow<'_, str> {
    let mut clean = Cow::Borrowed(text);
    for form in KNOWN.lock().unwrap_or_else(PoisonError::into_inner).iter().flatten() {
        if clean.contains(form.as_str()) {
            clean = Cow::Owned(clean.replace(form.as_str(), SHOWN));
        }
    }
    clean
}

/// The secret itself first; then as JSON, a URL, and base64 show it, the latter wherever in three bytes it may begin.
fn forms(secret: &str) -> Forms {
    let mut forms: Forms = vec![Zeroizing::new(secret.to_owned())];
    let mut add = |form: Zeroizing<String>| {
        if form.len() >= SHORTEST && !forms.contains(&form) {
            forms.push(form);
        }
    };
    add(Zeroizing::new(secret.replace('\\', "\\\\").replace('"', "\\\"")));
    for upper in [true, false] {
        let mut percent = Zeroizing::new(String::new());
        for byte in secret.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => percent.push(char::from(byte)),
                _ if upper => percent.push_str(&format!("%{byte:02X}")),
                _ => percent.push_str(&format!("%{byte:02x}")),
            }
        }
        add(percent);
    }
    for before in 0..3 {
        let mut bytes = Zeroizing::new(vec![0; before]);
        bytes.extend_from_slice(secret.as_bytes());
        // Only the characters that come of the secret's bits alone: what stands before and after it changes the others.
        let (from, to) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
        for engine in [BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD] {
            let text = Zeroizing::new(engine.encode(&*bytes));
            add(Zeroizing::new(text.get(from..to).unwrap_or_default().to_owned()));
        }
    }
    forms
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};

    use super::*;

    #[test]
    fn a_secret_that_was_read_is_taken_out_in_every_form() {
        let secret = "c4nary/Tok+en\"7Ω";
        remember(secret);
        let json = serde_json::to_string(secret).unwrap();
        let mut texts = vec![secret.to_owned(), json, "at /x?key=c4nary%2FTok%2Ben%227%CE%A9&y".to_owned()];
        for user in ["", "a", "ab", "abc", "hms"] {
            texts.push(BASE64_STANDARD.encode(format!("{user}:{secret}")));
            texts.push(BASE64_URL_SAFE.encode(format!("{user}:{secret}!")));
        }
        for text in texts {
            let text = format!("before {text} after");
            let clean = redact(&text);
            assert!(clean.contains("***") && clean.starts_with("before ") && clean.ends_with(" after"), "{clean}");
            // What is left of it is what stood around it, and no more than a character of base64 at each side.
            assert!(!clean.contains("c4nary") && clean.len() < "before  after".len() + 28, "{text} became {clean}");
        }
    }

    #[test]
    fn the_lines_of_a_key_are_secrets_and_its_frame_is_not() {
        remember("-----BEGIN TEST KEY-----\nQUJDREVGR0hJSktMTU5P\nshort\n-----END TEST KEY-----");
        assert_eq!(redact("read QUJDREVGR0hJSktMTU5P and short"), "read *** and short");
        assert_eq!(redact("-----BEGIN TEST KEY-----"), "-----BEGIN TEST KEY-----");
    }

    #[test]
    fn a_short_secret_takes_no_ordinary_words_out() {
        remember("office");
        assert!(matches!(redact("the office is open"), Cow::Borrowed("the office is open")));
    }
}
