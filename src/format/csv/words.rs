//! The settings of a dialect by the words of a configuration.

use super::{Eol, Escape, Header, LineBreaks, Point, Quote, Sign};
use crate::rules::nearest::hint;

/// The setting that a word stands for.
fn find<T: Clone>(word: &str, known: &[(&str, T)]) -> Result<T, String> {
    let found = known.iter().find(|(name, _)| *name == word);
    found.map(|(_, setting)| setting.clone()).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        match hint(word, names.iter().copied()) {
            near if near.is_empty() => format!("`{word}` is not known: write one of {}", names.join(", ")),
            near => format!("`{word}` is not known{near}"),
        }
    })
}

impl Quote {
    /// `minimal`, `always`, `text_only`, `never`.
    pub fn parse(word: &str) -> Result<Quote, String> {
        let known = [
            ("minimal", Quote::Minimal),
            ("always", Quote::Always),
            ("text_only", Quote::TextOnly),
            ("never", Quote::Never),
        ];
        find(word, &known)
    }
}

impl Escape {
    /// `double`, `backslash`, `none`.
    pub fn parse(word: &str) -> Result<Escape, String> {
        find(word, &[("double", Escape::Double), ("backslash", Escape::Backslash), ("none", Escape::None)])
    }
}

impl Header {
    /// `off`, `on`, `quoted`.
    pub fn parse(word: &str) -> Result<Header, String> {
        find(word, &[("off", Header::Off), ("on", Header::Plain), ("quoted", Header::Quoted)])
    }
}

impl LineBreaks {
    /// `keep`, `space`, `reject`.
    pub fn parse(word: &str) -> Result<LineBreaks, String> {
        find(word, &[("keep", LineBreaks::Keep), ("space", LineBreaks::Space), ("reject", LineBreaks::Reject)])
    }
}

impl Sign {
    /// `leading`, `trailing`, `none`.
    pub fn parse(word: &str) -> Result<Sign, String> {
        find(word, &[("leading", Sign::Leading), ("trailing", Sign::Trailing), ("none", Sign::None)])
    }
}

impl Point {
    /// `point`, `comma`, `implied(2)`.
    pub fn parse(word: &str) -> Result<Point, String> {
        if let Some(places) = word.strip_prefix("implied(").and_then(|rest| rest.strip_suffix(')')) {
            return match places.trim().parse() {
                Ok(places @ 0..=18) => Ok(Point::Implied(places)),
                _ => Err(format!("`{word}`: write 0 to 18 decimal places, for example `implied(2)`")),
            };
        }
        find(word, &[("point", Point::Point), ("comma", Point::Comma), ("implied(2)", Point::Implied(2))])
    }
}

/// A delimiter: one character, `tab`, or its code as `0x1F`; `none` for columns of fixed width.
pub fn delimiter(word: &str) -> Result<Option<char>, String> {
    let wrong = || format!("`{word}` is not a delimiter: write one character, `tab`, a code like 0x1F, or `none`");
    let mut chars = word.chars();
    match (chars.next(), chars.next()) {
        (Some(char), None) => return Ok(Some(char)),
        (None, _) => return Err(wrong()),
        _ => {}
    }
    match word.strip_prefix("0x") {
        Some(code) => u32::from_str_radix(code, 16).ok().and_then(char::from_u32).map(Some).ok_or_else(wrong),
        None => find(word, &[("tab", Some('\t')), ("none", None)]).map_err(|_| wrong()),
    }
}

/// What ends a line: `crlf`, `lf`, `cr`, `nl` (the byte 15), or bytes as `0x0D25`.
pub fn eol(word: &str) -> Result<Eol, String> {
    if let Some(digits) = word.strip_prefix("0x") {
        let wrong = || format!("`{word}` is not a list of bytes like 0x0D25");
        let digits: Option<Vec<u32>> = digits.chars().map(|digit| digit.to_digit(16)).collect();
        let bytes = digits.filter(|digits| !digits.is_empty() && digits.len() % 2 == 0).ok_or_else(wrong)?;
        let byte = |pair: &[u32]| pair.iter().fold(0, |byte, half| byte * 16 + half);
        return bytes
            .chunks(2)
            .map(|pair| u8::try_from(byte(pair)).map_err(|_| wrong()))
            .collect::<Result<_, _>>()
            .map(Eol::Bytes);
    }
    find(&word.to_lowercase(), &[("crlf", Eol::CrLf), ("lf", Eol::Lf), ("cr", Eol::Cr), ("nl", Eol::Nl)])
}
