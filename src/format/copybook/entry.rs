//! Data description entries: a level, a name, and clauses up to a period.
//!
//! Source: IBM Enterprise COBOL Language Reference, "Data Division, data description entry".

use std::rc::Rc;
use std::sync::Arc;

use crate::format::copybook::lex::{Place, Token, TokenKind};
use crate::format::layout::{Initial, Occurs};
use crate::rules::nearest;

/// One entry as it was written.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    pub level: u8,
    pub name: Option<Arc<str>>,
    pub place: Option<Place>,
    pub picture: Option<String>,
    pub usage: Option<Usage>,
    pub sign: Option<crate::format::layout::Sign>,
    pub occurs: Option<Occurs>,
    pub redefines: Option<Arc<str>>,
    pub value: Option<Initial>,
    pub right: bool,
    pub blank_when_zero: bool,
}

/// USAGE, as far as records have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Usage {
    Display,
    Packed,
    Binary,
    Native,
}

/// Words that begin a clause; an item of such a name does not exist.
const CLAUSES: [&str; 34] = [
    "PIC",
    "PICTURE",
    "USAGE",
    "DISPLAY",
    "COMP",
    "COMPUTATIONAL",
    "BINARY",
    "PACKED-DECIMAL",
    "SIGN",
    "OCCURS",
    "REDEFINES",
    "VALUE",
    "VALUES",
    "SYNC",
    "SYNCHRONIZED",
    "JUST",
    "JUSTIFIED",
    "BLANK",
    "INDEX",
    "POINTER",
    "RENAMES",
    "EXTERNAL",
    "GLOBAL",
    "INDEXED",
    "ASCENDING",
    "DESCENDING",
    "DEPENDING",
    "LEADING",
    "TRAILING",
    "COMP-1",
    "COMP-2",
    "COMP-3",
    "COMP-4",
    "COMP-5",
];

/// Letters of a name at most: COBOL 2002 has 31, some compilers 61.
const NAME: usize = 61;

/// What is wrong with an entry; the entry is left out.
pub(super) struct Wrong {
    pub place: Place,
    pub item: Option<Arc<str>>,
    pub text: String,
}

/// Reads all entries; every wrong one is told to `wrong`, and the next is read.
pub(super) fn entries(tokens: &[Token], wrong: &mut dyn FnMut(Wrong)) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut rest = tokens;
    while let Some(first) = rest.first() {
        let end = rest.iter().position(|token| token.kind == TokenKind::Period);
        let (own, after) = rest.split_at(end.unwrap_or(rest.len()));
        rest = after.get(1..).unwrap_or_default();
        // Compiler directions for the listing, and stray periods.
        let listing = ["EJECT", "SKIP1", "SKIP2", "SKIP3"];
        let own = &own[own.iter().take_while(|t| t.word().is_some_and(|w| listing.contains(&&*w))).count()..];
        if own.is_empty() {
            continue;
        }
        let mut cursor = Cursor { tokens: own, at: 0, place: first.place.clone(), name: None };
        match cursor.entry() {
            Ok(Some(_)) if end.is_none() => {
                wrong(cursor.wrong("the entry is not ended by a period"));
            }
            Ok(entry) => entries.extend(entry),
            Err(text) => wrong(cursor.wrong(text)),
        }
    }
    entries
}

/// Reads the words of one entry.
struct Cursor<'t> {
    tokens: &'t [Token],
    at: usize,
    place: Place,
    name: Option<Arc<str>>,
}

type Read<T> = Result<T, String>;

impl Cursor<'_> {
    fn wrong(&self, text: impl Into<String>) -> Wrong {
        Wrong { place: self.place.clone(), item: self.name.clone(), text: text.into() }
    }

    /// The next word in upper case; None for what is no word, and at the end.
    fn peek(&self) -> Option<String> {
        self.tokens.get(self.at)?.word()
    }

    /// Takes the next word if it is one of these.
    fn take(&mut self, words: &[&str]) -> bool {
        let is = self.peek().is_some_and(|word| words.contains(&&*word));
        self.at += usize::from(is);
        is
    }

    /// Takes the next word.
    fn word(&mut self, what: &str) -> Read<String> {
        let word = self.peek().ok_or_else(|| format!("{what} is missing"))?;
        self.at += 1;
        Ok(word)
    }

    /// Takes the next word as the name of an item.
    fn named(&mut self, what: &str) -> Read<Arc<str>> {
        let word = self.word(what)?;
        let fine = word.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_')
            && word.chars().any(char::is_alphabetic)
            && !word.starts_with('-')
            && !word.ends_with('-');
        if word.chars().count() > NAME {
            Err(format!("{what} is longer than {NAME} letters"))
        } else if !fine {
            Err(format!("`{}` is no name of an item", word.escape_default()))
        } else {
            Ok(word.into())
        }
    }

    fn number(&mut self, what: &str) -> Read<usize> {
        let word = self.word(what)?;
        word.parse()
            .ok()
            .filter(|n| *n <= crate::format::layout::RECORD_MAX)
            .ok_or_else(|| format!("{what} is no number"))
    }

    /// None for what is no item: 88.
    fn entry(&mut self) -> Read<Option<Entry>> {
        let level = self.word("a level number")?;
        let level: u8 = match level.parse::<u8>() {
            Ok(number) if level.len() <= 2 && matches!(number, 1..=49 | 66 | 77 | 78 | 88) => number,
            _ => {
                return Err(format!(
                    "expected a level number (01 to 49, 77 or 88), found `{}`",
                    level.escape_default()
                ));
            }
        };
        let mut entry = Entry { level, place: Some(self.place.clone()), ..Entry::default() };
        match self.peek() {
            Some(word) if CLAUSES.contains(&&*word) || !matches!(usage(&word), Ok(None)) => {}
            Some(word) if word == "FILLER" => self.at += 1,
            Some(_) => entry.name = Some(self.named("the name")?),
            None if self.at < self.tokens.len() => return Err("expected a name".to_owned()),
            None => {}
        }
        self.name = Some(entry.name.clone().unwrap_or_else(|| "FILLER".into()));
        match level {
            66 => return Err("level 66 (RENAMES) is not supported: map the items themselves".to_owned()),
            78 => return Err("level 78 (a constant) is not supported".to_owned()),
            88 if self.take(&["VALUE", "VALUES"]) => return Ok(None),
            88 => return Err("level 88 has a VALUE and nothing else".to_owned()),
            _ => {}
        }
        while self.at < self.tokens.len() {
            self.clause(&mut entry)?;
        }
        Ok(Some(entry))
    }

    fn clause(&mut self, entry: &mut Entry) -> Read<()> {
        let word = self.word("a clause")?;
        if let Some(usage) = usage(&word)? {
            return once(&mut entry.usage, usage, "USAGE");
        }
        match &*word {
            "PIC" | "PICTURE" => {
                self.take(&["IS"]);
                let picture = self.word("the picture")?;
                once(&mut entry.picture, picture, "PICTURE")
            }
            "USAGE" => {
                self.take(&["IS"]);
                let word = self.word("the word after USAGE")?;
                let found = usage(&word)?.ok_or_else(|| format!("USAGE {} is not known", word.escape_default()))?;
                once(&mut entry.usage, found, "USAGE")
            }
            "SIGN" => {
                self.take(&["IS"]);
                let word = self.word("LEADING or TRAILING")?;
                self.sign(&word, entry)
            }
            "LEADING" | "TRAILING" => self.sign(&word, entry),
            "OCCURS" => {
                let occurs = self.occurs()?;
                once(&mut entry.occurs, occurs, "OCCURS")
            }
            "REDEFINES" => {
                let name = self.named("the redefined item")?;
                once(&mut entry.redefines, name, "REDEFINES")
            }
            "VALUE" => {
                self.take(&["IS"]);
                let value = self.value()?;
                once(&mut entry.value, value, "VALUE")
            }
            "JUST" | "JUSTIFIED" => {
                self.take(&["RIGHT"]);
                entry.right = true;
                Ok(())
            }
            "BLANK" => {
                self.take(&["WHEN"]);
                if !self.take(&["ZERO", "ZEROS", "ZEROES"]) {
                    return Err("BLANK is BLANK WHEN ZERO".to_owned());
                }
                entry.blank_when_zero = true;
                Ok(())
            }
            "IS" if matches!(self.peek().as_deref(), Some("EXTERNAL" | "GLOBAL")) => Ok(()),
            "EXTERNAL" | "GLOBAL" => Ok(()),
            "SYNC" | "SYNCHRONIZED" => {
                Err("SYNCHRONIZED is not supported: it puts slack bytes before the item; declare them as FILLER"
                    .to_owned())
            }
            "INDEX" | "POINTER" | "POINTER-32" | "FUNCTION-POINTER" | "PROCEDURE-POINTER" | "OBJECT" => {
                Err(format!("USAGE {word} is not supported: it is an address, not data"))
            }
            "VALUES" => Err("VALUES stands at level 88 only".to_owned()),
            "GROUP-USAGE" | "TYPE" | "DYNAMIC" | "ANY" | "VOLATILE" | "RENAMES" => {
                Err(format!("{word} is not supported"))
            }
            // The next entry, after a period that is missing.
            level if level.parse::<u8>().is_ok() => {
                Err(format!("no period before `{level}`: the entry goes on where the next seems to begin"))
            }
            other => {
                let hint = nearest::hint(other, CLAUSES);
                Err(format!("`{}` is no clause of an item{hint}", other.escape_default()))
            }
        }
    }

    fn sign(&mut self, word: &str, entry: &mut Entry) -> Read<()> {
        let leading = match word {
            "LEADING" => true,
            "TRAILING" => false,
            _ => return Err("SIGN is LEADING or TRAILING".to_owned()),
        };
        let separate = self.take(&["SEPARATE"]);
        if separate {
            self.take(&["CHARACTER"]);
        }
        once(&mut entry.sign, crate::format::layout::Sign { leading, separate }, "SIGN")
    }

    /// `n [TO m] [TIMES] [DEPENDING [ON] name] [ASCENDING KEY ...] [INDEXED BY ...]`
    fn occurs(&mut self) -> Read<Occurs> {
        let first = self.number("the number after OCCURS")?;
        let second = if self.take(&["TO"]) { Some(self.number("the number after TO")?) } else { None };
        self.take(&["TIMES"]);
        let mut depending = None;
        loop {
            if self.take(&["DEPENDING"]) {
                self.take(&["ON"]);
                depending = Some(self.named("the item after DEPENDING ON")?);
                if self.take(&["OF", "IN"]) {
                    return Err("DEPENDING ON names an item without OF: give it a name of its own".to_owned());
                }
            } else if self.take(&["ASCENDING", "DESCENDING"]) {
                self.take(&["KEY"]);
                self.take(&["IS"]);
                self.names();
            } else if self.take(&["INDEXED"]) {
                self.take(&["BY"]);
                self.names();
            } else {
                break;
            }
        }
        let (min, max) = match (second, &depending) {
            (Some(second), Some(_)) => (first, second),
            (None, Some(_)) => (first.min(1), first),
            (None, None) => (first, first),
            (Some(_), None) => return Err("OCCURS n TO m has DEPENDING ON as well".to_owned()),
        };
        if max == 0 || min > max || (depending.is_some() && second.is_some() && min == max) {
            return Err(format!("OCCURS {min} TO {max}: the second number is the larger one, and not zero"));
        }
        Ok(Occurs { min, max, depending })
    }

    /// Skips names up to the next clause.
    fn names(&mut self) {
        while self.peek().is_some_and(|word| !CLAUSES.contains(&&*word)) {
            self.at += 1;
        }
    }

    fn value(&mut self) -> Read<Initial> {
        let token = self.tokens.get(self.at).ok_or("the value is missing")?;
        self.at += 1;
        match &token.kind {
            TokenKind::Literal { prefix, text } => literal(prefix, text),
            TokenKind::Word(word) => match &*word.to_ascii_uppercase() {
                "SPACE" | "SPACES" => Ok(Initial::Spaces),
                "ZERO" | "ZEROS" | "ZEROES" => Ok(Initial::Zeros),
                "LOW-VALUE" | "LOW-VALUES" | "NULL" | "NULLS" => Ok(Initial::Low),
                "HIGH-VALUE" | "HIGH-VALUES" => Ok(Initial::High),
                "QUOTE" | "QUOTES" => Ok(Initial::Quotes),
                "ALL" => match self.value()? {
                    Initial::Text(text) if !text.is_empty() => Ok(Initial::All(text)),
                    Initial::Number(_) | Initial::Text(_) | Initial::All(_) => {
                        Err("ALL is followed by a literal".to_owned())
                    }
                    figurative => Ok(figurative),
                },
                number if is_number(number) => Ok(Initial::Number(number.into())),
                other => Err(format!("`{}` is no value", other.escape_default())),
            },
            TokenKind::Period | TokenKind::Pseudo(_) => Err("the value is missing".to_owned()),
        }
    }
}

fn literal(prefix: &Rc<str>, text: &Rc<str>) -> Read<Initial> {
    match &*prefix.to_ascii_uppercase() {
        "" | "Z" if !prefix.is_empty() => {
            Err("a literal that ends with a zero byte (Z'...') is not supported".to_owned())
        }
        "" => Ok(Initial::Text((&**text).into())),
        "X" if text.chars().all(|c| c == '0') && !text.is_empty() => Ok(Initial::Low),
        "X" if text.chars().all(|c| c.eq_ignore_ascii_case(&'f')) && !text.is_empty() => Ok(Initial::High),
        "X" => {
            Err("a hexadecimal VALUE other than all 00 or all FF is not supported: give the item a constant".to_owned())
        }
        other => Err(format!("a literal {other}'...' is not supported")),
    }
}

fn is_number(word: &str) -> bool {
    let digits = word.strip_prefix(['+', '-']).unwrap_or(word);
    let point = digits.matches(['.', ',']).count() <= 1 && !digits.ends_with(['.', ',']);
    point
        && digits.len() <= 40
        && digits.bytes().any(|byte| byte.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.' || byte == b',')
}

fn once<T>(place: &mut Option<T>, new: T, what: &str) -> Read<()> {
    if place.replace(new).is_some() { Err(format!("{what} stands there twice")) } else { Ok(()) }
}

/// The usage that a word is; None when it is none.
fn usage(word: &str) -> Read<Option<Usage>> {
    let short = word.replace("COMPUTATIONAL", "COMP");
    Ok(Some(match &*short {
        "DISPLAY" => Usage::Display,
        "COMP" | "COMP-4" | "BINARY" => Usage::Binary,
        "COMP-3" | "PACKED-DECIMAL" => Usage::Packed,
        "COMP-5" => Usage::Native,
        "COMP-1" | "COMP-2" | "FLOAT-SHORT" | "FLOAT-LONG" => {
            return Err(format!("USAGE {word} (hexadecimal floating point) is not supported"));
        }
        "DISPLAY-1" | "NATIONAL" => return Err(format!("USAGE {word} (two-byte characters) is not supported")),
        "COMP-6" | "COMP-X" | "COMP-N" => return Err(format!("USAGE {word} is not one that IBM's COBOL has")),
        "BINARY-CHAR" | "BINARY-SHORT" | "BINARY-LONG" | "BINARY-DOUBLE" => {
            return Err(format!("USAGE {word} is not one that IBM's COBOL has"));
        }
        "POINTER" | "INDEX" | "FUNCTION-POINTER" | "PROCEDURE-POINTER" => {
            return Err(format!("USAGE {word} is not supported: it is an address, not data"));
        }
        _ => return Ok(None),
    }))
}
