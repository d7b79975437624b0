//! Expressions of adapter specs (minijinja, without templates, functions or I/O): a name, an operator, a filter. They are
//! total: bounded in steps, depth and length, without loops, clock or chance.

pub(in crate::rules) mod environment;
pub(in crate::rules) mod guard;
pub(in crate::rules) mod literal;
pub(in crate::rules) mod scan;
mod scope;
mod text;

use std::sync::{Arc, LazyLock};

use minijinja::ErrorKind;

use crate::event::Value;
use crate::rules::convert::Convert;
use crate::rules::nearest::hint;
use crate::rules::outcome::Reason;
use environment::{FULL, LONGEST, MOST_BYTES, MOST_TOKENS, TESTS};
use scan::{called, conversions, explain, foreign, repeats, words};

pub use environment::{FILTERS, MORE, known};
pub use scope::{OMIT, ROOTS, Scope};
pub use text::{Escape, Text};

/// What an operator says of values that do not fit it.
pub(in crate::rules) const UNFIT: &str =
    "a value does not fit an operator or a filter: `| int`, `| float` or `| number` makes a number of a text";

/// A compiled expression.
#[derive(Debug)]
pub struct Expression {
    text: String,
    compiled: minijinja::Expression<'static, 'static>,
    names: Vec<String>,
    /// The names of a plain path (`a.b`), which needs no evaluation.
    path: Option<Vec<String>>,
    /// Whether a missing name is an error wherever it is looked up.
    strict: bool,
}

/// What an expression comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Came {
    /// The value; none = `omit`.
    pub value: Option<Value>,
    /// It is escaped already.
    pub safe: bool,
}

impl Expression {
    /// Compiles; errors say what and where in it.
    pub fn compile(text: &str) -> Result<Expression, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("the expression is empty".to_owned());
        }
        let words = words(text);
        if text.len() > LONGEST || words.len() > MOST_TOKENS {
            return Err(format!(
                "the expression is too long: at most {LONGEST} bytes, and {MOST_TOKENS} names and operators"
            ));
        }
        let environment = LazyLock::force(&FULL);
        let compiled = environment
            .compile_expression_owned(text.to_owned())
            .map_err(|error| explain(text, &error, error.detail()) + foreign(&words))?;
        // The parser takes a sign it does not know for the end; in parentheses the end is seen.
        if environment.compile_expression_owned(format!("({text}\n)")).is_err() {
            return Err(format!("the expression holds a sign that does not belong there{}", foreign(&words)));
        }
        if let Some(name) = called(&words) {
            let filter = if known().any(|known| known == name) { name } else { "upper" };
            return Err(format!("`{name}(` is a call: there are no functions, only filters (`x|{filter}`)"));
        }
        for pair in words.windows(2) {
            let &[before, name] = pair else { continue };
            let is_word = name.starts_with(|char: char| char.is_alphabetic() || char == '_');
            if before == "|" && is_word && !known().any(|known| known == name) {
                return Err(format!("there is no filter `{name}`{}", hint(name, known())));
            }
            if before == "is" && is_word && name != "not" && !TESTS.contains(&name) {
                return Err(format!("there is no test `{name}`{}", hint(name, TESTS)));
            }
        }
        if repeats(text) {
            return Err("`*` is for numbers: it does not repeat a text or a list".to_owned());
        }
        for (name, zone) in conversions(text) {
            Convert::parse(&name, zone.as_deref())?;
        }
        if let Some(wrong) = literal::misused(environment, text) {
            return Err(wrong);
        }
        let compiled = environment.compile_expression_owned(guard::guarded(text)).unwrap_or(compiled);
        let mut names: Vec<String> = compiled.undeclared_variables(false).into_iter().collect();
        names.sort_unstable();
        let strict = !words.iter().any(|word| matches!(*word, "defined" | "undefined" | "default" | "coalesce"));
        Ok(Expression { path: plain_path(text), text: text.to_owned(), compiled, names, strict })
    }

    /// The names that it looks up first: fields and roots.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Its paths of two names, as far as the text shows them: `link.etag`, `key.id`.
    pub fn paths(&self) -> Vec<(String, String)> {
        let words = words(&self.text);
        let pair = |three: &[&str]| match three {
            [root, ".", name] if self.names.iter().any(|known| known == root) => {
                Some(((*root).to_owned(), (*name).to_owned()))
            }
            _ => None,
        };
        words.windows(3).filter_map(pair).collect()
    }

    /// Whether a root stands in it as a whole, and not only with one of its names: `key`, `key['odd name']`.
    pub fn wants_whole(&self, root: &str) -> bool {
        let words = words(&self.text);
        let stands = |at: usize| {
            let behind = |at: usize| words.get(at).copied().unwrap_or_default();
            let inside = at.checked_sub(1).is_some_and(|before| behind(before) == ".");
            behind(at) == root && !inside && behind(at + 1) != "."
        };
        self.names.iter().any(|known| known == root) && (0..words.len()).any(stands)
    }

    /// The name of the secret whose place it is, when it is nothing else: `secret.password`.
    pub fn secret(&self) -> Option<&str> {
        match self.path.as_deref() {
            Some([root, name]) if root == "secret" => Some(name),
            _ => None,
        }
    }

    /// Whether a name that is missing is an error wherever it is looked up.
    pub fn is_strict(&self) -> bool {
        self.strict
    }

    /// Whether a filter of this name is in it.
    pub fn uses(&self, filter: &str) -> bool {
        words(&self.text).windows(2).any(|pair| matches!(pair, ["|", name] if *name == filter))
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Evaluates. A failure is an `encoding` reason that names fields and filters, never a value.
    pub fn eval(&self, scope: &Scope) -> Result<Came, Reason> {
        if let Some(value) = self.path.as_ref().and_then(|path| scope.exact(path)) {
            // The place of a secret is no text that would have to be escaped; what is put there is.
            return Ok(Came { value: Some(value.clone()), safe: self.secret().is_some() });
        }
        if self.path.as_ref().is_some_and(|path| matches!(path.as_slice(), [whole] if whole == "record")) {
            return Ok(Came { value: Some(Value::Map(scope.record.clone())), safe: false });
        }
        let missing = Arc::default();
        let result = self.compiled.eval(scope.names(&self.names, &missing));
        let value = result.map_err(|error| match (missing.get(), error.kind()) {
            (Some(name), kind) if self.strict || kind == ErrorKind::UndefinedError => self.missing(name),
            _ => {
                // Of ours: what a filter wants. Of minijinja's own only the kind, for its details may show values.
                let ours = matches!(error.kind(), ErrorKind::BadSerialization | ErrorKind::InvalidOperation);
                let detail = error.detail().filter(|_| error.kind() == ErrorKind::BadSerialization);
                match (ours, detail) {
                    (true, Some(detail)) => Reason::new("encoding", format!("`{}` wants {detail}", self.text)),
                    (true, None) => Reason::new("encoding", format!("`{}` failed: {UNFIT}", self.text)),
                    _ => Reason::new("encoding", format!("`{}` failed: {}", self.text, error.kind())),
                }
            }
        })?;
        if let Some(name) = missing.get().filter(|_| self.strict || value.is_undefined()) {
            return Err(self.missing(name));
        }
        if scope::is_omit(&value) {
            return Ok(Came { value: None, safe: false });
        }
        if value.as_str().is_some_and(|text| text.len() > MOST_BYTES) {
            return Err(Reason::new("encoding", format!("`{}` comes to more than 16 MiB", self.text)));
        }
        let safe = value.is_safe();
        match scope::taken(&value) {
            Some(value) => Ok(Came { value: Some(value), safe }),
            None => Err(Reason::new("encoding", format!("`{}` comes to nothing that can be sent", self.text))),
        }
    }

    /// Whether it holds.
    pub fn holds(&self, scope: &Scope) -> Result<bool, Reason> {
        let came = self.eval(scope)?;
        Ok(match came.value {
            None | Some(Value::Null | Value::Bool(false) | Value::Integer(0)) => false,
            Some(Value::Text(text)) => !text.is_empty(),
            Some(Value::List(items)) => !items.is_empty(),
            Some(_) => true,
        })
    }

    fn missing(&self, name: &str) -> Reason {
        Reason::new("encoding", format!("the adapter needs `{name}`, which the record does not have"))
    }
}

/// The names of `a`, `a.b`, `a.b.c`: nothing else in it.
fn plain_path(text: &str) -> Option<Vec<String>> {
    const WORDS: [&str; 10] = ["and", "or", "not", "in", "is", "if", "else", "true", "false", "none"];
    let is_name = |name: &str| {
        name.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_')
            && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
            && !WORDS.contains(&name.to_ascii_lowercase().as_str())
            && name != OMIT
    };
    text.split('.').map(|name| is_name(name).then(|| name.to_owned())).collect()
}

#[cfg(test)]
#[path = "expression/tests.rs"]
mod tests;
