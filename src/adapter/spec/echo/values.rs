//! The values of a request, in the forms in which they are looked for.

use foldhash::HashSet;

use crate::adapter::Request;

/// Shorter words say nothing of a record.
const SHORTEST: usize = 3;
/// Shorter ones are looked for as whole words only: parts of them are parts of any word.
const PART: usize = 4;
/// Values that come back with other signs, or none, between their parts are not shorter, in letters and digits.
const JOINED: usize = 6;

/// What a request held as values.
pub struct Values {
    /// Their words in small letters.
    words: HashSet<String>,
    /// Those of them that parts of are looked for.
    long: Vec<String>,
    /// Their letters and digits alone, in small letters.
    joined: Vec<Vec<char>>,
    /// Their digits alone, of those with [`PART`] or more.
    digits: Vec<String>,
}

impl Values {
    /// Of this request.
    pub fn of(request: &Request) -> Values {
        let body = String::from_utf8_lossy(&request.body);
        let sent = format!("{}\r{body}\r{}\r{}", request.url, plain(&body), plain(&request.url)).to_lowercase();
        let is_hl7 = sent.contains("msh|^~\\&");
        let mut words: HashSet<String> = HashSet::default();
        let mut at = 0;
        for word in sent.split(|char: char| !char.is_alphanumeric()) {
            let start = at;
            at +=
                word.len() + sent.get(at + word.len()..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
            let number = is_number(word) && word.len() > 1;
            if (number || word.chars().count() >= SHORTEST)
                && !words.contains(word)
                && is_value(&sent, start, word, is_hl7)
            {
                words.insert(word.to_owned());
            }
        }
        let (mut joined, mut digits): (HashSet<String>, HashSet<String>) = (HashSet::default(), HashSet::default());
        for value in
            sent.split(['"', '<', '>', '&', '=', '|', '^', '~', '\r', '\n', ',', ';', '{', '}', '[', ']', '/', '?'])
        {
            let alone: String = value.chars().filter(char::is_ascii_digit).collect();
            if alone.len() >= PART {
                digits.insert(alone);
            }
            let parts = || value.split(|char: char| !char.is_alphanumeric()).filter(|part| !part.is_empty());
            if parts().all(|part| part.chars().count() < SHORTEST || words.contains(part)) {
                let whole: String = parts().collect();
                if whole.chars().count() >= JOINED {
                    joined.insert(whole);
                }
            }
        }
        let long = words.iter().filter(|word| word.chars().count() >= PART).cloned().collect();
        let joined = joined.iter().map(|value| value.chars().collect()).collect();
        Values { words, long, joined, digits: digits.into_iter().collect() }
    }

    /// Whether a word in small letters is one of them, the beginning of one, holds one, or is digits of one.
    pub fn tells(&self, word: &str) -> bool {
        let length = word.chars().count();
        let number = is_number(word) && length > 1;
        if (number || length >= SHORTEST) && self.words.contains(word) {
            return true;
        }
        if length < PART {
            return false;
        }
        let digits: String = word.chars().filter(char::is_ascii_digit).collect();
        digits.len() >= PART && self.digits.iter().any(|known| known.contains(&digits))
            || self
                .long
                .iter()
                .any(|known| known.starts_with(word) || word.contains(known.as_str()) || alike(known, word))
    }

    /// Whether a text in small letters holds one of them.
    pub fn stands_in(&self, text: &str) -> bool {
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        self.long.iter().any(|known| text.contains(known.as_str()))
            || self.digits.iter().any(|known| digits.contains(known.as_str()))
    }

    /// Whether a code is one of them as a whole, whatever signs stand in it. Codes are short: what is only a part of a
    /// value, or has one in it, is left.
    pub fn is_code(&self, code: &str) -> bool {
        let bare: String = code.to_lowercase().chars().filter(|char| char.is_alphanumeric()).collect();
        let long = bare.chars().count() >= PART;
        let digits = long && is_number(&bare) && self.digits.contains(&bare);
        digits
            || long && self.words.contains(&bare)
            || self.joined.iter().any(|known| bare.chars().eq(known.iter().copied()))
    }

    /// Marks where one of them stands, whatever signs are between its letters and digits.
    pub fn find_joined(&self, chars: &[char], found: &mut [bool]) {
        let places: Vec<(usize, char)> = chars
            .iter()
            .enumerate()
            .filter(|(_, char)| char.is_alphanumeric())
            .flat_map(|(at, char)| char.to_lowercase().map(move |char| (at, char)))
            .collect();
        for known in &self.joined {
            for from in places.windows(known.len()) {
                if from.iter().map(|(_, char)| char).eq(known)
                    && let (Some((first, _)), Some((last, _))) = (from.first(), from.last())
                {
                    found.iter_mut().take(last + 1).skip(*first).for_each(|found| *found = true);
                }
            }
        }
    }
}

fn is_number(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a word is another but for its letters beyond ASCII: systems write `Maria` for `María`.
fn alike(known: &str, word: &str) -> bool {
    !known.is_ascii()
        && known.chars().count() == word.chars().count()
        && known.chars().zip(word.chars()).all(|(known, char)| known == char || !known.is_ascii())
}

/// Whether a word stands in what was sent other than as the name of a field or of a segment of HL7 v2.
fn is_value(sent: &str, at: usize, word: &str, is_hl7: bool) -> bool {
    let (before, after) = (sent.get(..at).unwrap_or_default(), sent.get(at + word.len()..).unwrap_or_default());
    let key = before.ends_with('"') && after.strip_prefix('"').is_some_and(|rest| rest.trim_start().starts_with(':'));
    let tag = before.ends_with('<') || before.ends_with("</") || (before.ends_with(':') && after.starts_with('>'));
    let field = (before.ends_with('&') || before.ends_with('\r')) && after.starts_with('=');
    let line = before.ends_with('\r') || before.ends_with("&#xd;");
    let segment = is_hl7 && word.len() == 3 && line && after.starts_with('|');
    !(key || tag || field || segment)
}

/// A form as text; other texts have few percent signs and are hardly changed.
pub fn plain(body: &str) -> String {
    let bytes = body.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.filter(|_| *byte == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(decoded) => {
                out.push(decoded);
                at += 3;
            }
            None => {
                out.push(if *byte == b'+' { b' ' } else { *byte });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
