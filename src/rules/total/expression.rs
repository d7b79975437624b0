//! What a total is of: `sum(WD-BALANCE, where=WD-SIDE = 'D')`.

use std::cmp::Ordering;
use std::fmt;

use super::HASH_DIGITS;
use crate::rules::nearest::hint;

/// The functions.
const FUNCTIONS: [&str; 7] = ["count", "bytes", "sum", "abs", "min", "max", "hash"];

/// One total, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression {
    pub(super) what: What,
    pub(super) tests: Vec<Test>,
    /// As written.
    text: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    Details,
    All,
    Type(String),
    Bytes,
    Sum(String),
    Abs(String),
    Min(String),
    Max(String),
    Hash(String, u32),
}

/// One comparison of a `where`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Test {
    pub(super) field: String,
    pub(super) is: Is,
    pub(super) than: Literal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Is {
    Equal,
    Different,
    Less,
    AtMost,
    More,
    AtLeast,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Literal {
    Text(String),
    /// In digits that were checked.
    Number(String),
}

impl Is {
    /// Whether `value.cmp(literal)` is what it asks for.
    pub(super) fn accepts(self, order: Ordering) -> bool {
        match self {
            Is::Equal => order.is_eq(),
            Is::Different => order.is_ne(),
            Is::Less => order.is_lt(),
            Is::AtMost => order.is_le(),
            Is::More => order.is_gt(),
            Is::AtLeast => order.is_ge(),
        }
    }
}

impl Expression {
    /// Parses; the error says what is wrong with which part.
    pub fn parse(text: &str) -> Result<Expression, String> {
        let text = text.trim();
        let wrong = || format!("`{text}` is not a total: write for example `count()` or `sum(FIELD)`");
        let (function, rest) = text.split_once('(').ok_or_else(wrong)?;
        let inside = rest.strip_suffix(')').ok_or_else(wrong)?;
        let function = function.trim_end();
        if !FUNCTIONS.contains(&function) {
            return Err(format!("`{function}` is not a function of totals{}", hint(function, FUNCTIONS)));
        }
        let (inside, condition) = split_where(inside);
        let tests = condition.map_or(Ok(Vec::new()), tests)?;
        let arguments: Vec<&str> =
            inside.split(',').map(str::trim).filter(|argument| !argument.is_empty() || inside.contains(',')).collect();
        let field = |name: &str| field(name).map(str::to_owned);
        let what = match (function, arguments.as_slice()) {
            ("count", []) => What::Details,
            ("count", ["*"]) => What::All,
            ("count", [kind]) => What::Type(field(kind)?),
            ("bytes", []) => What::Bytes,
            ("sum", [name]) => What::Sum(field(name)?),
            ("abs", [name]) => What::Abs(field(name)?),
            ("min", [name]) => What::Min(field(name)?),
            ("max", [name]) => What::Max(field(name)?),
            ("hash", [name, digits]) => match digits.parse() {
                Ok(count @ 1..=HASH_DIGITS) => What::Hash(field(name)?, count),
                _ => return Err(format!("`{digits}` in `{text}` is not a number of digits from 1 to {HASH_DIGITS}")),
            },
            ("hash", _) => return Err(format!("`{text}`: write `hash(FIELD, DIGITS)`, for example `hash(ID, 10)`")),
            ("count", _) => return Err(format!("`{text}`: write `count()`, `count(*)` or `count(TYPE)`")),
            ("bytes", _) => return Err(format!("`{text}`: write `bytes()`")),
            (other, _) => return Err(format!("`{text}`: write `{other}(FIELD)`")),
        };
        Ok(Expression { what, tests, text: text.to_owned() })
    }

    /// The fields that it reads, so that they can be looked for in the layout.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        let of = match &self.what {
            What::Sum(name) | What::Abs(name) | What::Min(name) | What::Max(name) | What::Hash(name, _) => Some(name),
            What::Details | What::All | What::Type(_) | What::Bytes => None,
        };
        of.into_iter().chain(self.tests.iter().map(|test| &test.field)).map(String::as_str)
    }

    /// The record type that it counts, if it counts one.
    pub fn record_type(&self) -> Option<&str> {
        match &self.what {
            What::Type(kind) => Some(kind),
            _ => None,
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The arguments, and the condition after `where=`.
fn split_where(inside: &str) -> (&str, Option<&str>) {
    for (at, _) in inside.match_indices("where") {
        let (before, after) = inside.split_at(at);
        let begins = before.trim_end();
        if let Some(condition) = after.trim_start_matches("where").trim_start().strip_prefix('=')
            && (begins.is_empty() || begins.ends_with(','))
        {
            return (begins.strip_suffix(',').unwrap_or(begins), Some(condition.trim()));
        }
    }
    (inside, None)
}

/// A name of a field or a type, as COBOL and CSV headers have them.
fn field(name: &str) -> Result<&str, String> {
    let good = |char: char| char.is_alphanumeric() || matches!(char, '-' | '_' | '.' | ' ' | '#' | '@' | '$');
    match !name.is_empty() && name.chars().all(good) {
        true => Ok(name),
        false => Err(format!("`{name}` is not the name of a field")),
    }
}

/// `FIELD = 'text' and OTHER > 5`.
fn tests(condition: &str) -> Result<Vec<Test>, String> {
    let mut tests = Vec::new();
    let mut rest = condition;
    loop {
        let at = rest
            .find(['=', '!', '<', '>'])
            .ok_or_else(|| format!("`{rest}` in `where` is not a comparison like SIDE = 'D'"))?;
        let (name, after) = rest.split_at(at);
        const SIGNS: [(&str, Is); 6] = [
            ("!=", Is::Different),
            ("<=", Is::AtMost),
            (">=", Is::AtLeast),
            ("=", Is::Equal),
            ("<", Is::Less),
            (">", Is::More),
        ];
        let found = SIGNS.iter().find_map(|(sign, is)| after.strip_prefix(sign).map(|after| (*is, after)));
        let (is, after) = found.ok_or("`!` in `where` is no comparison: write `!=`")?;
        let (than, after) = literal(after.trim_start())?;
        if matches!(than, Literal::Text(_)) && !matches!(is, Is::Equal | Is::Different) {
            return Err("a text in `where` can only be equal (`=`) or different (`!=`)".to_owned());
        }
        tests.push(Test { field: field(name.trim())?.to_owned(), is, than });
        match after.trim_start() {
            "" => return Ok(tests),
            after => {
                rest = after
                    .strip_prefix("and ")
                    .ok_or_else(|| format!("`{after}` in `where` follows a comparison: join them with `and`"))?;
            }
        }
    }
}

/// A literal and what follows it.
fn literal(text: &str) -> Result<(Literal, &str), String> {
    if let Some(quoted) = text.strip_prefix('\'') {
        let mut value = String::new();
        let mut rest = quoted;
        loop {
            let (part, after) =
                rest.split_once('\'').ok_or_else(|| "a text in `where` is not closed with `'`".to_owned())?;
            value.push_str(part);
            match after.strip_prefix('\'') {
                Some(after) => {
                    value.push('\'');
                    rest = after;
                }
                None => return Ok((Literal::Text(value), after)),
            }
        }
    }
    let (word, after) = text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()));
    match super::Number::parse(word) {
        Some(_) => Ok((Literal::Number(word.to_owned()), after)),
        None => Err(format!("`{word}` in `where` is neither a number nor a text in `'`")),
    }
}
