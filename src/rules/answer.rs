//! What a receiver's answer to a file means: its words, the keys that it repeats, and what becomes of a file.

use std::collections::BTreeMap;

/// What an answer says of a record, or of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Said {
    /// The receiver has taken it.
    Accepted,
    /// The receiver has not taken it.
    Rejected,
}

impl Said {
    /// The word in the ledger and in `drop show`.
    pub fn as_str(self) -> &'static str {
        match self {
            Said::Accepted => "accepted",
            Said::Rejected => "rejected",
        }
    }

    /// From its word.
    pub fn parse(word: &str) -> Option<Said> {
        [Said::Accepted, Said::Rejected].into_iter().find(|said| said.as_str() == word)
    }
}

/// An item of an answer that says what became of a record, or of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// The item.
    pub item: String,
    /// Its words for accepted; empty = all that are not for rejected.
    pub accepted: Vec<String>,
    /// Its words for rejected; empty = all that are not for accepted.
    pub rejected: Vec<String>,
}

impl Words {
    /// What a word says; none = nobody has said what it means.
    pub fn judge(&self, word: &str) -> Option<Said> {
        let is_one = |words: &[String]| words.iter().any(|known| same(known, word));
        match (is_one(&self.accepted), is_one(&self.rejected)) {
            (true, _) => Some(Said::Accepted),
            (_, true) => Some(Said::Rejected),
            _ if self.accepted.is_empty() && self.rejected.is_empty() => None,
            _ if self.accepted.is_empty() => Some(Said::Accepted),
            _ if self.rejected.is_empty() => Some(Said::Rejected),
            _ => None,
        }
    }
}

/// What holds for records that an answer does not list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unlisted {
    /// They are accepted: only what was rejected is listed.
    #[default]
    Accepted,
    /// They wait for another answer: only what was accepted is listed.
    Pending,
}

/// What a file's lines come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whole {
    /// Some line has no answer yet, or there is no line.
    Open,
    /// All were accepted.
    Accepted,
    /// Some were accepted, some rejected.
    Partial,
    /// All were rejected.
    Refused,
}

impl Whole {
    /// From the numbers of lines that were accepted, rejected, and not answered.
    pub fn of(accepted: u64, rejected: u64, pending: u64) -> Whole {
        match (accepted, rejected, pending) {
            (0, 0, _) | (_, _, 1..) => Whole::Open,
            (_, 0, _) => Whole::Accepted,
            (0, _, _) => Whole::Refused,
            _ => Whole::Partial,
        }
    }
}

/// Whether the host has a record, by the lines that told it of the record, oldest first: the action of each, and what was
/// said of it. A line without an answer is taken for accepted; what a rejected change says is that nothing became of it.
/// None = no line says.
pub fn host_has<'l>(lines: impl IntoIterator<Item = (&'l str, Option<Said>)>) -> Option<bool> {
    let mut has = None;
    for (action, said) in lines {
        has = match (action, said) {
            ("add", Some(Said::Rejected)) | ("delete", Some(Said::Accepted) | None) => Some(false),
            ("add", _) | ("change", Some(Said::Accepted)) | ("delete", Some(Said::Rejected)) => Some(true),
            // Until the host says so, it is no proof that an add before it came through.
            ("change", None) => has.or(Some(true)),
            _ => has,
        };
    }
    has
}

/// The keys of a file's records as the receiver sees them, and where each stands.
#[derive(Debug, Default)]
pub struct Keys {
    exact: BTreeMap<String, Vec<i64>>,
    /// The texts of keys that are numbers, by the number.
    numbers: BTreeMap<String, Vec<String>>,
}

impl Keys {
    /// A record with a key stands at a place.
    pub fn add(&mut self, key: &str, place: i64) {
        let key = key.trim();
        if !self.exact.contains_key(key)
            && let Some(number) = number(key)
        {
            self.numbers.entry(number).or_default().push(key.to_owned());
        }
        self.exact.entry(key.to_owned()).or_default().push(place);
    }

    /// Where the records with a key stand: as a text, else as a number if only one text is that number. None = nowhere.
    pub fn find(&self, key: &str) -> Option<&[i64]> {
        let key = key.trim();
        let places = self.exact.get(key).or_else(|| match self.numbers.get(&number(key)?)?.as_slice() {
            [only] => self.exact.get(only),
            _ => None,
        });
        places.map(Vec::as_slice)
    }
}

/// Whether two texts are the same word: spaces around them do not count, zeros around a number neither.
pub fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.trim(), b.trim());
    a == b || number(a).is_some_and(|a| number(b) == Some(a))
}

/// A number without what does not change it; none = the text is none.
fn number(text: &str) -> Option<String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(part) {
        return None;
    }
    let (whole, part) = (whole.trim_start_matches('0'), part.trim_end_matches('0'));
    let sign = if whole.is_empty() && part.is_empty() { "" } else { sign };
    Some(format!("{sign}{whole}.{part}"))
}

/// Whether a name fits a pattern, in which `*` stands for any text.
pub fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some((_, behind)) = rest.split_once(part) else { return false };
        rest = behind;
    }
    rest.ends_with(last)
}

/// Most characters of a code.
const CODE: usize = 32;

/// The class of a record that the host has rejected with a code: `host-` and what of the code is letters, digits, `-`,
/// `_` and `.`.
pub fn class(code: Option<&str>) -> String {
    let clean: String = code
        .unwrap_or_default()
        .trim()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        .take(CODE)
        .collect();
    format!("host-{}", if clean.is_empty() { "rejected" } else { &clean })
}

/// A name of the receiver as a name on this machine: letters, digits, `-`, `_` and `.`, at most 80 characters.
pub fn local_name(name: &str) -> String {
    const MOST: usize = 80;
    let keep = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' };
    let text: String = name.chars().map(keep).take(MOST).collect();
    text.strip_prefix('.').map_or_else(|| text.clone(), |rest| format!("_{rest}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn words(accepted: &[&str], rejected: &[&str]) -> Words {
        let own = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Words { item: "STATUS".into(), accepted: own(accepted), rejected: own(rejected) }
    }

    #[test]
    fn a_word_of_which_nobody_has_said_what_it_means_means_nothing() {
        let both = words(&["A", "OK"], &["R", "08"]);
        assert_eq!(both.judge(" OK "), Some(Said::Accepted));
        assert_eq!(both.judge("8"), Some(Said::Rejected));
        assert_eq!(both.judge("X"), None);
        assert_eq!(words(&["0"], &[]).judge("12"), Some(Said::Rejected));
        assert_eq!(words(&["0"], &[]).judge("000"), Some(Said::Accepted));
        assert_eq!(words(&[], &["R"]).judge("A"), Some(Said::Accepted));
    }

    #[test]
    fn a_key_is_found_as_text_and_as_a_number_unless_that_is_ambiguous() {
        let mut keys = Keys::default();
        for (key, place) in [("0000042", 1), ("A 7 ", 2), ("7", 3), ("007", 4), ("7", 5)] {
            keys.add(key, place);
        }
        assert_eq!(keys.find("42"), Some([1].as_slice()));
        assert_eq!(keys.find("0000042"), Some([1].as_slice()));
        assert_eq!(keys.find("A 7"), Some([2].as_slice()));
        assert_eq!(keys.find("7"), Some([3, 5].as_slice()));
        assert_eq!(keys.find("007"), Some([4].as_slice()));
        assert_eq!(keys.find("0007"), None, "it may be either");
        assert_eq!(keys.find("8"), None);
        assert_eq!(keys.find(""), None);
    }

    #[test]
    fn numbers_are_the_same_whatever_zeros_stand_around_them() {
        for (a, b, alike) in [
            ("1", "01.00", true),
            ("-1", "1", false),
            ("-0", "0", true),
            ("+5", "5", true),
            ("1.5", "01.50", true),
            ("1.5", "1.05", false),
            ("1e1", "10", false),
            (" a", "a ", true),
            ("", "0", false),
        ] {
            assert_eq!(same(a, b), alike, "{a} {b}");
        }
    }

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, name, fit) in [
            ("HOST.WICACK.S*.ACK", "HOST.WICACK.S000001.ACK", true),
            ("HOST.WICACK.S*.ACK", "HOST.WICACK.S000001.ACK.done", false),
            ("*", "anything", true),
            ("*.ACK", ".ACK", true),
            ("A*B*C", "AxBByC", true),
            ("A*B*C", "AxC", false),
            ("A*A", "A", false),
            ("A", "A", true),
            ("A", "AB", false),
        ] {
            assert_eq!(fits(pattern, name), fit, "{pattern} {name}");
        }
    }

    #[test]
    fn what_the_host_has_follows_from_its_answers() {
        use Said::{Accepted, Rejected};
        let has = |lines: &[(&str, Option<Said>)]| host_has(lines.iter().copied());
        assert_eq!(has(&[("add", None)]), Some(true));
        assert_eq!(has(&[("add", Some(Rejected))]), Some(false));
        assert_eq!(has(&[("add", Some(Rejected)), ("change", None)]), Some(false));
        assert_eq!(has(&[("add", Some(Rejected)), ("change", Some(Accepted))]), Some(true));
        assert_eq!(has(&[("change", Some(Rejected))]), None);
        assert_eq!(has(&[("add", None), ("delete", Some(Rejected))]), Some(true));
        assert_eq!(has(&[("add", None), ("delete", None)]), Some(false));
        assert_eq!(has(&[("message", Some(Rejected))]), None);
    }

    #[test]
    fn a_file_is_answered_when_every_line_is() {
        assert_eq!(Whole::of(3, 0, 0), Whole::Accepted);
        assert_eq!(Whole::of(2, 1, 0), Whole::Partial);
        assert_eq!(Whole::of(0, 3, 0), Whole::Refused);
        assert_eq!(Whole::of(2, 1, 1), Whole::Open);
        assert_eq!(Whole::of(0, 0, 0), Whole::Open);
    }

    #[test]
    fn what_comes_from_outside_is_short_and_harmless() {
        assert_eq!(class(Some(" E-12\u{1b}[31m\n")), "host-E-1231m");
        assert_eq!(class(Some("\0")), "host-rejected");
        assert_eq!(class(None), "host-rejected");
        assert_eq!(class(Some(&"9".repeat(400))).len(), 5 + CODE);
        assert_eq!(local_name("../é x"), "_.___x");
        assert_eq!(local_name(&"a".repeat(500)).len(), 80);
    }
}
