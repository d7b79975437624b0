//! The words of a copybook.

use std::rc::Rc;

use crate::format::copybook::source::Text;

/// One word, with the place that it came from.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub kind: TokenKind,
    pub place: Place,
}

/// Where a word stands.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The copybook.
    pub source: Rc<str>,
    /// The line, from 1.
    pub line: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// Letters, digits and signs up to the next blank: a name, a keyword, a number, a picture.
    Word(Rc<str>),
    /// What stands between quotes, and the letters before them (`X'00'`).
    Literal { prefix: Rc<str>, text: Rc<str> },
    /// A period with a blank after it.
    Period,
    /// What stands between `==` and `==`.
    Pseudo(Rc<str>),
}

impl Token {
    /// The word in upper case.
    pub fn word(&self) -> Option<String> {
        match &self.kind {
            TokenKind::Word(word) => Some(word.to_ascii_uppercase()),
            TokenKind::Literal { .. } | TokenKind::Period | TokenKind::Pseudo(_) => None,
        }
    }

    /// Whether two words count as one in a replacement: letter case matters in literals only.
    pub fn is_same(&self, other: &Token) -> bool {
        match (&self.kind, &other.kind) {
            (TokenKind::Word(a), TokenKind::Word(b)) => a.eq_ignore_ascii_case(b),
            (a, b) => a == b,
        }
    }
}

/// The words of a text. `place` gives the place of a position in it; what cannot be read is told to `wrong`.
pub(super) fn words(text: &str, place: &dyn Fn(usize) -> Place, wrong: &mut dyn FnMut(Place, String)) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        if c.is_whitespace() || is_separator(text, at) {
            if c == '.' {
                tokens.push(Token { kind: TokenKind::Period, place: place(at) });
            }
            at += c.len_utf8();
            continue;
        }
        let start = at;
        let kind = if text[at..].starts_with("==") {
            pseudo(text, &mut at)
        } else {
            let end = word_end(text, at);
            let word = &text[at..end];
            at = end;
            match text[at..].chars().next() {
                Some(quote @ ('\'' | '"')) if word.len() <= 2 && word.bytes().all(|b| b.is_ascii_alphabetic()) => {
                    literal(text, &mut at, quote).map(|text| TokenKind::Literal { prefix: word.into(), text })
                }
                _ if word.is_empty() => {
                    at += c.len_utf8();
                    Err("this sign has no meaning here")
                }
                _ => Ok(TokenKind::Word(word.into())),
            }
        };
        match kind {
            Ok(kind) => tokens.push(Token { kind, place: place(start) }),
            Err(text) => wrong(place(start), text.to_owned()),
        }
    }
    tokens
}

/// The words of a whole copybook.
pub(super) fn of_source(text: &Text, source: &Rc<str>, wrong: &mut dyn FnMut(Place, String)) -> Vec<Token> {
    words(&text.text, &|at| Place { source: source.clone(), line: text.line(at) }, wrong)
}

/// A period, comma or semicolon that a blank or the end follows.
fn is_separator(text: &str, at: usize) -> bool {
    let mut rest = text[at..].chars();
    matches!(rest.next(), Some('.' | ',' | ';')) && rest.next().is_none_or(char::is_whitespace)
}

fn word_end(text: &str, start: usize) -> usize {
    let ends = |(at, c): &(usize, char)| {
        c.is_whitespace()
            || matches!(c, '\'' | '"')
            || text[start + at..].starts_with("==")
            || is_separator(text, start + at)
    };
    text[start..].char_indices().find(ends).map_or(text.len(), |(at, _)| start + at)
}

fn pseudo(text: &str, at: &mut usize) -> Result<TokenKind, &'static str> {
    let start = *at + 2;
    let Some(length) = text[start..].find("==") else {
        *at = text.len();
        return Err("`==` is not closed by another `==`");
    };
    *at = start + length + 2;
    Ok(TokenKind::Pseudo(text[start..start + length].trim().into()))
}

/// A literal up to its closing quote; a doubled one stands for itself.
fn literal(text: &str, at: &mut usize, quote: char) -> Result<Rc<str>, &'static str> {
    let mut content = String::new();
    let mut rest = text[*at..].char_indices().skip(1).peekable();
    while let Some((offset, c)) = rest.next() {
        if c == quote {
            if rest.next_if(|(_, next)| *next == quote).is_none() {
                *at += offset + 1;
                return Ok(content.into());
            }
        } else if c == '\n' {
            *at += offset;
            return Err("the literal is not closed on its line, and no continuation line follows");
        }
        content.push(c);
    }
    *at = text.len();
    Err("the literal is not closed")
}
