//! Under which word an attempt is counted.
//!
//! A class is the agent's own word but for a status, which the target chooses: of those that nobody has registered only
//! the hundred is told, so that no target can make up words without end.

use std::borrow::Cow;

/// Statuses that are registered (RFC 9110 §16.2.1, as of 2025): ranges, both ends included.
const REGISTERED: [(u16, u16); 13] = [
    (100, 104),
    (200, 208),
    (226, 226),
    (300, 308),
    (400, 418),
    (421, 426),
    (428, 429),
    (431, 431),
    (451, 451),
    (500, 508),
    (510, 511),
    (420, 420),
    (509, 509),
];

/// Longest word that is taken as it is.
const LONGEST: usize = 40;

/// In place of a class that is no word.
const OTHER: &str = "other";

/// The word under which a class of attempts is counted: the class, `http-4xx` for a status that nobody knows.
pub fn class(class: &str) -> Cow<'_, str> {
    if let Some(status) = class.strip_prefix("http-").and_then(|digits| digits.parse::<u16>().ok()) {
        let known = REGISTERED.iter().any(|(first, last)| (*first..=*last).contains(&status));
        return if known { Cow::Borrowed(class) } else { Cow::Owned(format!("http-{}xx", (status / 100).min(9))) };
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let word = !class.is_empty() && class.len() <= LONGEST && class.bytes().all(plain);
    Cow::Borrowed(if word { class } else { OTHER })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_target_cannot_make_up_classes_without_end() {
        let made_up: BTreeSet<String> = (0..=u16::MAX).map(|n| class(&format!("http-{n}")).into_owned()).collect();
        assert!(made_up.len() < 90, "{}", made_up.len());
        assert_eq!((class("http-503"), class("http-599")), ("http-503".into(), "http-5xx".into()));
        assert_eq!((class("connect"), class("success")), ("connect".into(), "success".into()));
        for odd in ["", "a b", "x\n", "naïve", &"x".repeat(41)] {
            assert_eq!(class(odd), "other", "{odd}");
        }
    }
}
