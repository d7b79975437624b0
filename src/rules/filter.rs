//! `where`: a filter expression on the event.
//!
//! An expression of minijinja without templates, functions or I/O. Names are the columns of the image, and
//! [`RESERVED`]; a column that has one of those names is reached as `after.NAME`, a column whose name is no
//! identifier as `after['first name']`. A name that is looked up and missing is an error, unless the expression asks
//! `is defined` or gives a `default`.

mod values;

use std::sync::{Arc, LazyLock, OnceLock};

use minijinja::{Environment, Error, ErrorKind, Expression};

use crate::event::{Event, Op, Record};
use crate::rules::expression::UNFIT;
use crate::rules::expression::environment::{LONGEST, MOST_TOKENS, plain};
use crate::rules::expression::guard::guarded;
use crate::rules::expression::literal;
use crate::rules::expression::scan::{called, explain, foreign, words};
use crate::rules::outcome::Reason;

use values::{Missing, Names, Probe};

/// Names that mean the same in every expression, whatever the columns are called.
pub const RESERVED: [&str; 7] = ["event", "key", "before", "after", "changed", "op", "type"];

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

/// The filters and tests that `where` may use.
static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(plain);

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
        let compiled = ENVIRONMENT.compile_expression_owned(guarded(expression)).unwrap_or(compiled);
        let mut names: Vec<String> = compiled.undeclared_variables(false).into_iter().collect();
        names.sort_unstable();
        // Filters, tests and functions are looked up when they run: try those that sample values reach.
        for probe in Probe::ALL {
            match compiled.eval(minijinja::Value::from_object(probe)) {
                Err(error) if is_unknown(&error) => return Err(explain(expression, &error, error.detail())),
                _ => {}
            }
        }
        if let Some(wrong) = literal::misused(&ENVIRONMENT, expression) {
            return Err(wrong);
        }
        let strict = !words.iter().any(|word| matches!(*word, "defined" | "undefined" | "default"));
        Ok(Filter { text: expression.to_owned(), expression: compiled, names, strict })
    }

    /// The columns that an event must have; those of one that asks about them first are not among them.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        let names = self.names.iter().filter(|_| self.strict).map(String::as_str);
        names.filter(|name| !RESERVED.contains(name))
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
        let what = match (error.kind(), error.detail()) {
            (ErrorKind::UndefinedError, detail) => explain(&self.text, error, detail),
            // Of ours: what a filter wants.
            (ErrorKind::BadSerialization, Some(detail)) => format!("it wants {detail}"),
            (ErrorKind::InvalidOperation, _) => UNFIT.to_owned(),
            (kind, _) => kind.to_string(),
        };
        Reason::new("where", format!("`where` failed: {what}"))
    }
}

fn is_unknown(error: &Error) -> bool {
    use ErrorKind::{UnknownFilter, UnknownFunction, UnknownMethod, UnknownTest};
    matches!(error.kind(), UnknownFilter | UnknownFunction | UnknownMethod | UnknownTest)
}

#[cfg(test)]
#[path = "filter/tests.rs"]
mod tests;
