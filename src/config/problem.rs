//! What is wrong with a configuration: every finding has a place, a key and, where there is one, a way out.

use std::fmt;

use serde::Serialize;

/// How bad a [`Problem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can be used, but a person should know.
    Warning,
}

/// A place in a file; both count from 1. Line 0 = the file as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line.
    pub line: u32,
    /// Column, in characters.
    pub column: u32,
}

/// One finding. Never shows the value of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Error or warning.
    pub severity: Severity,
    /// File as it was named.
    pub file: String,
    /// Line from 1; 0 = the file as a whole.
    pub line: u32,
    /// Column from 1, in characters; 0 = the file as a whole.
    pub column: u32,
    /// Path of the key, `endpoint.url`; empty = the file as a whole.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to do, or the nearest known word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The disk failed while the file was read: what is in it may be right, and reading it again may help.
    #[serde(skip)]
    pub disk: bool,
}

impl Problem {
    fn order(&self) -> (&str, u32, u32, Severity, &str, &str) {
        (&self.file, self.line, self.column, self.severity, &self.key, &self.message)
    }
}

/// `file:line:column: error: key: message (hint)`.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        f.write_str(match self.severity {
            Severity::Error => ": error: ",
            Severity::Warning => ": warning: ",
        })?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// All findings of a configuration that cannot be used, in order of file and place: at least one error, and the
/// warnings with it.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Findings in order.
    pub(crate) fn new(mut found: Vec<Problem>) -> Problems {
        found.sort_by(|a, b| a.order().cmp(&b.order()));
        // A YAML alias shows the same mistake once for each use.
        found.dedup();
        Problems(found)
    }

    /// The findings.
    pub fn list(&self) -> &[Problem] {
        &self.0
    }

    /// The findings on their own.
    pub(crate) fn into_list(self) -> Vec<Problem> {
        self.0
    }

    /// Whether the disk failed while it was read. What else is wrong shows when it can be read.
    pub fn is_disk(&self) -> bool {
        self.0.iter().any(|problem| problem.disk && problem.severity == Severity::Error)
    }

    /// How many of them are errors.
    pub fn errors(&self) -> usize {
        self.0.iter().filter(|problem| problem.severity == Severity::Error).count()
    }
}

/// One finding a line.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Parts the warnings of a usable configuration from the findings of an unusable one.
pub(crate) fn verdict(found: Vec<Problem>) -> Result<Vec<Problem>, Problems> {
    let problems = Problems::new(found);
    if problems.errors() > 0 { Err(problems) } else { Ok(problems.0) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn problem(file: &str, line: u32, severity: Severity) -> Problem {
        Problem {
            severity,
            file: file.into(),
            line,
            column: 1,
            key: "name".into(),
            message: "is missing".into(),
            hint: Some("give one".into()),
            disk: false,
        }
    }

    #[test]
    fn problems_are_sorted_by_place_and_shown_once() {
        let (a, b) = (problem("a", 9, Severity::Error), problem("a", 10, Severity::Warning));
        let problems = verdict(vec![b.clone(), a.clone(), b]).unwrap_err();
        assert_eq!(problems.errors(), 1);
        assert_eq!(
            problems.to_string(),
            "a:9:1: error: name: is missing (give one)\na:10:1: warning: name: is missing (give one)"
        );
        assert_eq!(
            serde_json::to_string(&a).unwrap(),
            r#"{"severity":"error","file":"a","line":9,"column":1,"key":"name","message":"is missing","hint":"give one"}"#
        );
    }

    #[test]
    fn warnings_alone_do_not_make_a_configuration_unusable() {
        assert_eq!(verdict(vec![problem("a", 1, Severity::Warning)]).unwrap().len(), 1);
    }
}
