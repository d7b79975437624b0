//! The nearest known name, for messages that say what was probably meant.

/// The known name that `name` was probably meant to be, if any is near: letter case, `_` and `-` do not count, and
/// up to one letter in three may differ.
pub fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let plain = |text: &str| text.replace(['_', '-'], "").to_lowercase();
    let wanted = plain(name);
    let (distance, best) = known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&wanted, &plain(candidate)), candidate))
        .min_by_key(|(distance, _)| *distance)?;
    (distance * 3 <= wanted.chars().count().max(3)).then_some(best)
}

/// `: did you mean `x`?`, or nothing when no known name is near.
pub fn hint<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    nearest(name, known).map_or_else(String::new, |best| format!(": did you mean `{best}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_name_and_another_word_finds_none() {
        let known = ["patientId", "vaccineCode", "date"];
        assert_eq!(nearest("patient_id", known), Some("patientId"));
        assert_eq!(nearest("vacineCode", known), Some("vaccineCode"));
        assert_eq!(nearest("dtae", known), Some("date"));
        assert_eq!(nearest("capacity", known), None);
        assert_eq!(nearest("x", []), None);
        assert_eq!(hint("Date", known), ": did you mean `date`?");
        assert_eq!(hint("zzz", known), "");
    }
}
