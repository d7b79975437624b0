//! The word that was probably meant.

/// The known word nearest to `word`, ignoring case and the style of separators; none when all are far.
pub(crate) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let plain = |text: &str| text.to_lowercase().replace(['_', '-', ' '], "");
    let word = plain(word);
    known
        .into_iter()
        .map(|known| (strsim::osa_distance(&word, &plain(known)), known))
        .filter(|(distance, known)| *distance <= 1 + known.chars().count().min(word.chars().count()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// A hint that names the nearest known word, or else all of them when they are few.
pub(crate) fn hint<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<String> {
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(word, known.iter().copied()) {
        Some(meant) => Some(format!("did you mean `{meant}`?")),
        None if known.is_empty() => None,
        None if known.len() <= 12 => Some(format!("known: {}", known.join(", "))),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_and_a_far_one_is_not_guessed() {
        let known = ["listen", "endpoint", "retryPolicy", "on"];
        assert_eq!(nearest("enpoint", known), Some("endpoint"));
        assert_eq!(nearest("retry_policy", known), Some("retryPolicy"));
        assert_eq!(nearest("lsiten", known), Some("listen"));
        assert_eq!(nearest("color", known), None);
        assert_eq!(hint("color", known), Some("known: listen, endpoint, retryPolicy, on".into()));
    }
}
