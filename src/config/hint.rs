//! What to do about an unknown word.

use crate::rules::nearest::nearest;

/// The word that was probably meant, or else all known words when they are few.
pub(crate) fn hint<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<String> {
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(word, known.iter().copied()) {
        Some(meant) => Some(format!("did you mean `{meant}`?")),
        None if known.is_empty() || known.len() > 12 => None,
        None => Some(format!("known: {}", known.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_named_and_a_far_one_is_not_guessed() {
        let known = ["listen", "endpoint", "retryPolicy"];
        assert_eq!(hint("enpoint", known), Some("did you mean `endpoint`?".into()));
        assert_eq!(hint("color", known), Some("known: listen, endpoint, retryPolicy".into()));
        assert_eq!(hint("color", []), None);
    }
}
