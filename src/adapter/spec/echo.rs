//! Targets echo what they were sent in what they say of it, as it was or in another form: those words are taken out, and
//! so is every secret that this process has read.

#[cfg(test)]
mod tests;
mod values;

use std::cell::OnceCell;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};

use crate::adapter::Request;
use crate::adapter::secret::redact;
use crate::rules::verdict::Sent;
use values::{Values, plain};

/// What stands in place of a value.
const HIDDEN: &str = "***";
/// More of a message nobody sees, in characters.
const LOOKED_AT: usize = 1000;
/// A word in base64 is not shorter.
const BASE64: usize = 8;

/// A request whose answer may echo it. It is read when there is something to be hidden, and once.
pub struct Echo<'r> {
    request: &'r Request,
    values: OnceCell<Values>,
}

impl<'r> Echo<'r> {
    /// Of this request.
    pub fn of(request: &'r Request) -> Echo<'r> {
        Echo { request, values: OnceCell::new() }
    }

    fn values(&self) -> &Values {
        self.values.get_or_init(|| Values::of(self.request))
    }
}

impl Sent for Echo<'_> {
    fn hide(&self, text: &str) -> String {
        let cut: String = text.chars().take(LOOKED_AT).collect();
        let text = redact(&cut);
        let values = self.values();
        let chars: Vec<char> = text.chars().collect();
        let mut hidden = vec![false; chars.len()];
        values.find_joined(&chars, &mut hidden);
        for token in runs(&chars, |char| !(char.is_whitespace() || "()[]{}<>\"'!?,".contains(char))) {
            let text: String = chars.iter().skip(token.start).take(token.len()).collect();
            if is_value_in_disguise(&text, values) {
                hidden.iter_mut().skip(token.start).take(token.len()).for_each(|hidden| *hidden = true);
            }
        }
        for run in runs(&chars, char::is_alphanumeric) {
            let word: String = chars.iter().skip(run.start).take(run.len()).collect::<String>().to_lowercase();
            let marked = hidden.iter().skip(run.start).take(run.len()).any(|hidden| *hidden);
            if marked || values.tells(&word) {
                hidden.iter_mut().skip(run.start).take(run.len()).for_each(|hidden| *hidden = true);
            }
        }
        let mut out = String::with_capacity(text.len());
        let mut before = false;
        for (char, hidden) in chars.into_iter().zip(hidden) {
            match (hidden, before) {
                (true, false) => out.push_str(HIDDEN),
                (true, true) => {}
                (false, _) => out.push(char),
            }
            before = hidden;
        }
        out
    }

    fn holds(&self, code: &str) -> bool {
        *redact(code) != *code || self.values().is_code(code) || is_value_in_disguise(code, self.values())
    }
}

/// Whether a word is a value with percent signs, with escapes of JSON or XML, or in base64.
fn is_value_in_disguise(token: &str, values: &Values) -> bool {
    let open = plain(&unescaped(token)).to_lowercase();
    let escaped = open != token.to_lowercase() && values.stands_in(&open);
    escaped
        || token.split(|char: char| !(char.is_ascii_alphanumeric() || "+/-_".contains(char))).any(|word| {
            (0..4).filter_map(|from| word.get(from..)).filter(|word| word.len() >= BASE64).any(|word| {
                let whole = word.get(..word.len() - usize::from(word.len() % 4 == 1)).unwrap_or_default();
                let decoded = BASE64_STANDARD_NO_PAD
                    .decode(whole)
                    .or_else(|_| BASE64_URL_SAFE_NO_PAD.decode(whole))
                    .or_else(|_| BASE64_STANDARD_NO_PAD.decode(whole.get(..whole.len() / 4 * 4).unwrap_or_default()));
                decoded.is_ok_and(|bytes| values.stands_in(&String::from_utf8_lossy(&bytes).to_lowercase()))
            })
        })
}

/// `\u00ed` and `&#237;` as characters.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(char) = rest.chars().next() {
        let found = rest.strip_prefix("\\u").and_then(|after| {
            let hex = after.get(..4)?;
            Some((u32::from_str_radix(hex, 16).ok()?, after.get(4..)?))
        });
        let found = found.or_else(|| {
            let (number, after) = rest.strip_prefix("&#")?.split_once(';')?;
            let number = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            Some((number.ok()?, after))
        });
        match found.and_then(|(number, after)| Some((char::from_u32(number)?, after))) {
            Some((decoded, after)) => {
                out.push(decoded);
                rest = after;
            }
            None => {
                out.push(char);
                rest = rest.get(char.len_utf8()..).unwrap_or_default();
            }
        }
    }
    out
}

/// The runs of characters of a kind.
fn runs(chars: &[char], is: impl Fn(char) -> bool) -> Vec<std::ops::Range<usize>> {
    let mut found: Vec<std::ops::Range<usize>> = Vec::new();
    for (at, _) in chars.iter().enumerate().filter(|(_, char)| is(**char)) {
        match found.last_mut().filter(|run| run.end == at) {
            Some(run) => run.end = at + 1,
            None => found.push(at..at + 1),
        }
    }
    found
}
