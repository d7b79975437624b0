//! `where`: a filter expression on the event.
//!
//! An expression of minijinja without templates, functions or I/O. Names are the columns of the image, and
//! [`RESERVED`]; a column that has one of those names is reached as `after.NAME`, a column whose name is no
//! identifier as `after['first name']`. A name that is looked up and missing is an error, unless the expression asks
//! `is defined` or gives a `default`.

mod values;

use std::sync::{Arc, LazyLock, OnceLock};

use minijinja::{Environment, Error, ErrorKind, Expression, UndefinedBehavior, filters, tests as builtin};

use crate::event::{Event, Op, Record};
use crate::rules::outcome::Reason;

use values::{Missing, Names, Probe};

/// Names that mean the same in every expression, whatever the columns are called.
pub const RESERVED: [&str; 7] = ["event", "key", "before", "after", "changed", "op", "type"];

/// Steps that one evaluation may take.
const FUEL: u64 = 10_000;

/// Deepest recursion of one evaluation.
const RECURSION: usize = 64;

/// Longest expression, in bytes.
const LONGEST: usize = 65_536;

/// Most names, operators and brackets in an expression: the parser recurses over them, and 800 fit into a thread's
/// stack of 2 MiB even without optimisation.
const MOST_TOKENS: usize = 500;

/// A compiled `where` expression (minijinja).
#[derive(Debug)]
pub struct Filter {
    text: String,
    expression: Expression<'static, 'static>,
    /// What the expression names, columns and reserved.
    names: Vec<String>,
    /// Whether a missing name is an error wherever it is looked up.
    strict: bool,
}

/// What `where` says of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// The record is in the connector's part: deliver as it is.
    Send,
    /// The old image matched and the new one does not: the record leaves; the target gets a delete.
    Leave,
    /// Not for this connector.
    Skip,
}

/// The filters and tests that an expression may use: none of them makes much out of little.
static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(RECURSION);
    // Only so that errors know their place.
    environment.set_debug(true);
    environment.add_filter("lower", filters::lower);
    environment.add_filter("upper", filters::upper);
    environment.add_filter("trim", filters::trim);
    environment.add_filter("replace", filters::replace);
    environment.add_filter("split", filters::split);
    environment.add_filter("first", filters::first);
    environment.add_filter("last", filters::last);
    environment.add_filter("length", filters::length);
    environment.add_filter("default", filters::default);
    environment.add_filter("int", filters::int);
    environment.add_filter("float", filters::float);
    environment.add_filter("string", filters::string);
    environment.add_filter("bool", filters::bool);
    environment.add_filter("abs", filters::abs);
    environment.add_filter("round", filters::round);
    environment.add_test("defined", builtin::is_defined);
    environment.add_test("undefined", builtin::is_undefined);
    environment.add_test("none", builtin::is_none);
    environment.add_test("boolean", builtin::is_boolean);
    environment.add_test("number", builtin::is_number);
    environment.add_test("integer", builtin::is_integer);
    environment.add_test("string", builtin::is_string);
    environment.add_test("odd", builtin::is_odd);
    environment.add_test("even", builtin::is_even);
    environment.add_test("startingwith", builtin::is_startingwith);
    environment.add_test("endingwith", builtin::is_endingwith);
    environment
});

impl Filter {
    /// Compiles the expression; errors say what and where in it.
    pub fn compile(expression: &str) -> Result<Filter, String> {
        if expression.trim().is_empty() {
            return Err("the expression is empty: leave `where` out to take every event".to_owned());
        }
        let words = words(expression);
        if expression.len() > LONGEST || words.len() > MOST_TOKENS {
            return Err(format!(
                "the expression is too long: at most {LONGEST} bytes, and {MOST_TOKENS} names and operators"
            ));
        }
        let compiled = ENVIRONMENT
            .compile_expression_owned(expression.to_owned())
            .map_err(|error| explain(expression, &error, error.detail()) + foreign(&words))?;
        // The parser takes a sign it does not know for the end: `a && b` would be `a`, and let more through. In
        // parentheses the end is seen.
        if ENVIRONMENT.compile_expression_owned(format!("({expression}\n)")).is_err() {
            let foreign = foreign(&words);
            return Err(format!("the expression holds a sign that does not belong there{foreign}"));
        }
        if let Some(name) = called(&words) {
            return Err(format!(
                "`{name}(` is a call: there are no functions, only filters (`x|lower`) and tests (`x is none`)"
            ));
        }
        let mut names: Vec<String> = compiled.undeclared_variables(false).into_iter().collect();
        names.sort_unstable();
        // Filters, tests and functions are looked up when they run: try those that sample values reach.
        for probe in Probe::ALL {
            match compiled.eval(minijinja::Value::from_object(probe)) {
                Err(error) if is_unknown(&error) => return Err(explain(expression, &error, error.detail())),
                _ => {}
            }
        }
        let strict = !words.iter().any(|word| matches!(*word, "defined" | "undefined" | "default"));
        Ok(Filter { text: expression.to_owned(), expression: compiled, names, strict })
    }

    /// Decides for one event. An expression that fails (a missing name, out of fuel) is a `where` reason: the
    /// event is held.
    pub fn route(&self, event: &Event) -> Result<Route, Reason> {
        let send = |matches| if matches { Route::Send } else { Route::Skip };
        if event.is_key_only_delete() {
            // Where the key does not decide, the target must be told: it may have the record.
            return match self.reads_beyond_key(event) {
                true => Ok(Route::Send),
                false => self.matches(event, &event.key, &event.key).map(send),
            };
        }
        if self.matches(event, event.image(), &event.key)? {
            return Ok(Route::Send);
        }
        match (&event.before, event.op) {
            (Some(before), Op::Insert | Op::Update) => {
                let old_key = event.old_key.as_ref().unwrap_or(&event.key);
                Ok(if self.matches(event, before, old_key)? { Route::Leave } else { Route::Skip })
            }
            _ => Ok(Route::Skip),
        }
    }

    /// Whether an image matches; `after` is that image.
    fn matches(&self, event: &Event, image: &Record, key: &Record) -> Result<bool, Reason> {
        let missing: Missing = Arc::new(OnceLock::new());
        let names = Names::of(event, image, key, &self.names, &missing);
        let value = self.expression.eval(minijinja::Value::from_object(names)).map_err(|error| self.failed(&error))?;
        match missing.get().filter(|_| self.strict) {
            Some(name) => Err(Reason::new("where", format!("`where` names `{name}`, which the event does not have"))),
            None if value.is_undefined() => {
                Err(Reason::new("where", "`where` comes to a name that the event does not have"))
            }
            None => Ok(value.is_true()),
        }
    }

    /// Whether more than the key is needed to decide.
    fn reads_beyond_key(&self, event: &Event) -> bool {
        self.names.iter().any(|name| match &**name {
            "before" | "after" => true,
            name => !RESERVED.contains(&name) && event.key.get(name).is_none(),
        })
    }

    /// The reason never shows a value: of minijinja's details only those that name what is undefined.
    fn failed(&self, error: &Error) -> Reason {
        let detail = error.detail().filter(|_| error.kind() == ErrorKind::UndefinedError);
        Reason::new("where", format!("`where` failed: {}", explain(&self.text, error, detail)))
    }
}

fn is_unknown(error: &Error) -> bool {
    use ErrorKind::{UnknownFilter, UnknownFunction, UnknownMethod, UnknownTest};
    matches!(error.kind(), UnknownFilter | UnknownFunction | UnknownMethod | UnknownTest)
}

/// What went wrong and at which character (counted from 1).
fn explain(expression: &str, error: &Error, detail: Option<&str>) -> String {
    let what = match detail {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    match error.range().and_then(|range| expression.get(..range.start)) {
        Some(before) => format!("{what}, at character {}", before.chars().count() + 1),
        None => what,
    }
}

/// The names, operators and brackets of an expression; not its strings, numbers and commas, which do not nest.
fn words(expression: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = expression;
    while let Some(char) = rest.chars().next() {
        let is_word = |char: char| char.is_alphanumeric() || char == '_';
        let length = match char {
            '\'' | '"' => quoted(rest, char),
            char if is_word(char) => rest.find(|char| !is_word(char)).unwrap_or(rest.len()),
            char => char.len_utf8(),
        };
        let (word, after) = rest.split_at(length);
        if !char.is_whitespace() && !char.is_numeric() && !matches!(char, '\'' | '"' | ',') {
            words.push(word);
        }
        rest = after;
    }
    words
}

/// The word for a sign that other languages have and this one has not; empty when there is none.
fn foreign(words: &[&str]) -> &'static str {
    const SIGNS: [([&str; 2], &str); 2] =
        [(["&", "&"], "; write `and` for `&&`"), (["|", "|"], "; write `or` for `||`")];
    let has = |sign: &[&str; 2]| words.windows(2).any(|pair| pair == sign);
    match SIGNS.iter().find(|(sign, _)| has(sign)) {
        Some((_, hint)) => hint,
        // `!a`, not `a != b`.
        None if words.windows(2).any(|pair| matches!(pair, ["!", next] if *next != "=")) => "; write `not` for `!`",
        None => "",
    }
}

/// The first name that is called, other than a filter or test with arguments.
fn called<'w>(words: &[&'w str]) -> Option<&'w str> {
    const KEYWORDS: [&str; 7] = ["and", "or", "not", "in", "if", "else", "is"];
    words.windows(2).enumerate().find_map(|(at, pair)| {
        let &[name, "("] = pair else { return None };
        let before = |back: usize| at.checked_sub(back).and_then(|at| words.get(at)).copied().unwrap_or_default();
        let is_name = name.starts_with(|char: char| char.is_alphabetic() || char == '_') && !KEYWORDS.contains(&name);
        let is_test = before(1) == "is" || (before(1) == "not" && before(2) == "is");
        (is_name && !is_test && before(1) != "|").then_some(name)
    })
}

/// The length of a string literal with its quotes.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, char) in text.char_indices().skip(1) {
        match char {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            char if char == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
#[path = "filter/tests.rs"]
mod tests;
