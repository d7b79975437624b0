//! COPY: other copybooks in this one, and words for words.

use std::rc::Rc;

use crate::format::copybook::lex::{Place, Token, TokenKind, words};
use crate::format::copybook::{Reading, lex, source};

/// Copybooks within one another at most.
const DEPTH: usize = 16;

/// Words of a copybook with all that it copies, at most.
const WORDS: usize = 300_000;

/// Bytes of a word that parts of are replaced, at most; and of what replaces a part.
const WORD_BYTES: usize = 10_000;

/// What a word, or several, become.
#[derive(Clone, Debug)]
pub(super) struct Replacement {
    from: Vec<Token>,
    to: Rc<str>,
    part: Part,
}

/// Which part of a word is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// All of it.
    Whole,
    /// Wherever it stands in it: `:TAG:`.
    Within,
    /// Its beginning.
    Leading,
    /// Its end.
    Trailing,
}

/// Copies a copybook with all that it copies in turn.
pub(super) struct Copier<'r> {
    pub reading: &'r Reading<'r>,
    /// The copybooks around this one.
    stack: Vec<String>,
    spent: usize,
    pub wrong: Vec<(Place, String)>,
    /// The first line that has a word across column 72, of any copybook.
    pub cut: Option<Place>,
}

impl<'r> Copier<'r> {
    pub fn new(reading: &'r Reading<'r>) -> Copier<'r> {
        Copier { reading, stack: Vec::new(), spent: 0, wrong: Vec::new(), cut: None }
    }

    /// The words of a copybook, replaced as the caller wants it.
    pub fn copy(&mut self, name: &str, text: &str) -> Vec<Token> {
        let source: Rc<str> = name.into();
        let outside = Place { source: source.clone(), line: 0 };
        let mut replacements = Vec::new();
        for (from, to) in &self.reading.replacing {
            replacements.extend(self.replacement(from, to, Part::Whole, &outside));
        }
        self.one(&source, text, &replacements)
    }

    fn one(&mut self, source: &Rc<str>, text: &str, replacements: &[Replacement]) -> Vec<Token> {
        self.stack.push(bare(source));
        let read = source::read(text, self.reading.format);
        let at = |line| Place { source: source.clone(), line };
        self.wrong.extend(read.wrong.iter().map(|(line, text)| (at(*line), text.clone())));
        self.cut = self.cut.take().or(read.cut.map(at));
        let mut wrong = Vec::new();
        let tokens = lex::of_source(&read, source, &mut |place, text| wrong.push((place, text)));
        self.wrong.append(&mut wrong);
        self.spent += tokens.len();
        let tokens = self.expand(tokens);
        self.stack.pop();
        self.replace(tokens, replacements)
    }

    /// Puts what is copied in the place of each COPY.
    fn expand(&mut self, tokens: Vec<Token>) -> Vec<Token> {
        if !tokens.iter().any(|token| token.word().as_deref() == Some("COPY")) {
            return tokens;
        }
        let mut all = Vec::with_capacity(tokens.len());
        let mut rest = tokens.into_iter();
        while let Some(token) = rest.next() {
            if token.word().as_deref() != Some("COPY") {
                all.push(token);
                continue;
            }
            let mut statement = Vec::new();
            let ended = loop {
                match rest.next() {
                    Some(Token { kind: TokenKind::Period, .. }) => break true,
                    Some(token) => statement.push(token),
                    None => break false,
                }
            };
            if !ended {
                self.wrong.push((token.place.clone(), "COPY is not ended by a period".to_owned()));
            }
            all.extend(self.statement(&token.place, &statement));
            if self.spent > WORDS {
                self.wrong.push((token.place, format!("copies more than {WORDS} words")));
                return Vec::new();
            }
        }
        all
    }

    /// `COPY NAME [OF|IN LIBRARY] [SUPPRESS] [REPLACING ...]`
    fn statement(&mut self, place: &Place, statement: &[Token]) -> Vec<Token> {
        let mut wrong = |text: String| self.wrong.push((place.clone(), text));
        let name = match statement.first().map(|token| &token.kind) {
            Some(TokenKind::Word(name) | TokenKind::Literal { text: name, .. }) => name.clone(),
            _ => {
                wrong("COPY names no copybook".to_owned());
                return Vec::new();
            }
        };
        let mut rest = statement.get(1..).unwrap_or_default();
        if matches!(keyword(rest).as_deref(), Some("OF" | "IN")) {
            rest = rest.get(2..).unwrap_or_default();
        }
        if keyword(rest).as_deref() == Some("SUPPRESS") {
            rest = rest.get(1..).unwrap_or_default();
        }
        let replacements = match keyword(rest).as_deref() {
            Some("REPLACING") => self.replacing(place, rest.get(1..).unwrap_or_default()),
            None if rest.is_empty() => Vec::new(),
            _ => {
                wrong(format!("COPY {name}: only OF, IN, SUPPRESS and REPLACING may follow, and a period ends it"));
                return Vec::new();
            }
        };
        if self.stack.contains(&bare(&name)) {
            self.wrong.push((place.clone(), format!("COPY {name}: it would copy itself")));
            return Vec::new();
        }
        if self.stack.len() >= DEPTH {
            self.wrong
                .push((place.clone(), format!("COPY {name}: copybooks stand in one another deeper than {DEPTH}")));
            return Vec::new();
        }
        match (self.reading.library)(&name) {
            Some(text) => self.one(&name, &text, &replacements),
            None => {
                let text = format!("COPY {name}: there is no such copybook in the library");
                self.wrong.push((place.clone(), text));
                Vec::new()
            }
        }
    }

    /// The operands of REPLACING: `[LEADING|TRAILING] from BY to` ...
    fn replacing(&mut self, place: &Place, mut rest: &[Token]) -> Vec<Replacement> {
        let mut replacements = Vec::new();
        while !rest.is_empty() {
            let part = match keyword(rest).as_deref() {
                Some("LEADING") => Part::Leading,
                Some("TRAILING") => Part::Trailing,
                _ => Part::Whole,
            };
            let skip = usize::from(part != Part::Whole);
            let operands = rest.get(skip..skip + 3).unwrap_or_default();
            let [from, by, to] = operands else {
                self.wrong.push((place.clone(), "REPLACING: expected ==this== BY ==that==".to_owned()));
                return replacements;
            };
            if by.word().as_deref() != Some("BY") {
                self.wrong.push((place.clone(), "REPLACING: expected BY between ==this== and ==that==".to_owned()));
                return replacements;
            }
            replacements.extend(self.replacement(&spelled(from), &spelled(to), part, place));
            rest = rest.get(skip + 3..).unwrap_or_default();
        }
        replacements
    }

    fn replacement(&mut self, from: &str, to: &str, part: Part, place: &Place) -> Option<Replacement> {
        let mut wrong = Vec::new();
        let from = words(from, &|_| place.clone(), &mut |place, text| wrong.push((place, text)));
        self.wrong.append(&mut wrong);
        let marked = |word: &str| word.len() > 2 && word.starts_with([':', '(']) && word.ends_with([':', ')']);
        let part = match from.as_slice() {
            [] => {
                self.wrong
                    .push((place.clone(), "REPLACING: there is nothing between `==` and `==` before BY".to_owned()));
                return None;
            }
            [one] if part == Part::Whole && one.word().is_some_and(|word| marked(&word)) => Part::Within,
            [_] => part,
            _ => Part::Whole,
        };
        if part != Part::Whole && to.len() > WORD_BYTES {
            self.wrong
                .push((place.clone(), format!("REPLACING: a part of a word becomes more than {WORD_BYTES} bytes")));
            return None;
        }
        Some(Replacement { from, to: to.into(), part })
    }

    /// Replaces words, each at most once.
    fn replace(&mut self, tokens: Vec<Token>, replacements: &[Replacement]) -> Vec<Token> {
        if replacements.is_empty() {
            return tokens;
        }
        let mut all = Vec::with_capacity(tokens.len());
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            let found = replacements.iter().find_map(|one| Some((one, one.matches(&tokens[at..])?)));
            let Some((one, text)) = found else {
                all.push(token.clone());
                at += 1;
                continue;
            };
            let mut wrong = Vec::new();
            // A part of a word may hold what another replacement is for.
            let text = match one.part {
                Part::Within => {
                    replacements.iter().filter(|r| r.part == Part::Within).fold(text, |text, r| r.within(&text))
                }
                _ => text,
            };
            let words = words(&text, &|_| token.place.clone(), &mut |place, text| wrong.push((place, text)));
            self.wrong.append(&mut wrong);
            self.spent += words.len();
            if self.spent > WORDS {
                self.wrong.push((token.place.clone(), format!("REPLACING makes more than {WORDS} words")));
                return Vec::new();
            }
            all.extend(words);
            at += if one.part == Part::Whole { one.from.len() } else { 1 };
        }
        all
    }
}

impl Replacement {
    /// What the words at the beginning of `tokens` become, if this is about them.
    fn matches(&self, tokens: &[Token]) -> Option<String> {
        let TokenKind::Word(from) = &self.from.first()?.kind else {
            return self.whole(tokens);
        };
        let word = match &tokens.first()?.kind {
            TokenKind::Word(word) => &**word,
            _ => return None,
        };
        let same = |part: Option<&str>| part.is_some_and(|part| part.eq_ignore_ascii_case(from));
        match self.part {
            Part::Whole => self.whole(tokens),
            Part::Within => find(word, from).map(|_| word.to_owned()),
            Part::Leading => same(word.get(..from.len())).then(|| format!("{}{}", self.to, &word[from.len()..])),
            Part::Trailing => {
                let start = word.len().checked_sub(from.len())?;
                same(word.get(start..)).then(|| format!("{}{}", &word[..start], self.to))
            }
        }
    }

    fn whole(&self, tokens: &[Token]) -> Option<String> {
        let same = tokens.len() >= self.from.len() && self.from.iter().zip(tokens).all(|(a, b)| a.is_same(b));
        same.then(|| self.to.to_string())
    }

    /// A word with each part of it replaced.
    fn within(&self, word: &str) -> String {
        let [Token { kind: TokenKind::Word(from), .. }] = self.from.as_slice() else { return word.to_owned() };
        let mut rest = word;
        let mut all = String::new();
        // A longer one is no word of a copybook any more, and is refused as a name.
        if word.len() > WORD_BYTES {
            return word.to_owned();
        }
        while let Some(at) = find(rest, from) {
            all.push_str(&rest[..at]);
            all.push_str(&self.to);
            rest = &rest[at + from.len()..];
        }
        all.push_str(rest);
        all
    }
}

/// Where `part` stands in `word`; letter case does not count.
fn find(word: &str, part: &str) -> Option<usize> {
    word.char_indices()
        .map(|(at, _)| at)
        .find(|at| word.get(*at..at + part.len()).is_some_and(|here| here.eq_ignore_ascii_case(part)))
}

fn keyword(tokens: &[Token]) -> Option<String> {
    tokens.first()?.word()
}

/// An operand of REPLACING as text.
fn spelled(token: &Token) -> String {
    match &token.kind {
        TokenKind::Word(text) | TokenKind::Pseudo(text) => text.to_string(),
        TokenKind::Literal { prefix, text } => format!("{prefix}'{}'", text.replace('\'', "''")),
        TokenKind::Period => ".".to_owned(),
    }
}

/// A copybook's name without the ending that files of it have, in upper case: two spellings of one copybook are one.
fn bare(name: &str) -> String {
    let name = name.rsplit('/').next().unwrap_or(name);
    name.split_once('.').map_or(name, |(name, _)| name).to_uppercase()
}
