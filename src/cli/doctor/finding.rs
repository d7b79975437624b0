//! What `doctor` finds: how bad, where, what, what to do, and whether `--fix` can do it.

use std::path::PathBuf;

use serde::Serialize;

use crate::cli::failure::{Code, Failure};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Somebody should know.
    Warn,
    /// Something is wrong.
    Bad,
}

impl Level {
    /// The word at the beginning of a line.
    pub fn word(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Bad => "bad",
        }
    }
}

/// What `--fix` can do about a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cure {
    /// Capture of a log is to be repaired.
    Repair,
    /// A table is to be compared, and what differs sent again.
    Reconcile {
        /// Its log.
        log: String,
        /// The table.
        table: String,
    },
    /// A file or folder of ours is to be its owner's alone.
    Mode(PathBuf, u32),
    /// A file that a killed agent left is to go.
    Remove(PathBuf),
}

/// One finding.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// How bad.
    pub level: Level,
    /// Which check found it, in one word.
    pub check: &'static str,
    /// Where: a log, a connector, a file.
    pub subject: String,
    /// What is there, or wrong.
    pub what: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
    /// The exit code that it calls for.
    #[serde(skip)]
    pub code: Code,
    /// What `--fix` does about it.
    #[serde(skip)]
    pub cure: Option<Cure>,
}

impl Finding {
    /// One line: how bad, where, what; what to do.
    pub fn line(&self) -> String {
        let mend = self.mend.as_ref().map(|mend| format!("; {mend}")).unwrap_or_default();
        format!("{:<4} {} {}: {}{mend}", self.level.word(), self.subject, self.check, self.what)
    }
}

/// Everything that was found, in the order of looking.
#[derive(Debug, Default)]
pub struct Findings(pub Vec<Finding>);

impl Findings {
    /// Something is as it should be.
    pub fn ok(&mut self, check: &'static str, subject: &str, what: impl Into<String>) {
        self.add(Level::Ok, check, subject, what.into(), None, Code::Ok);
    }

    /// Somebody should know.
    pub fn warn(&mut self, check: &'static str, subject: &str, what: impl Into<String>, mend: impl Into<String>) {
        self.add(Level::Warn, check, subject, what.into(), Some(mend.into()), Code::Ok);
    }

    /// Something is wrong.
    pub fn bad(&mut self, check: &'static str, subject: &str, what: impl Into<String>, mend: impl Into<String>) {
        self.add(Level::Bad, check, subject, what.into(), Some(mend.into()), Code::Failed);
    }

    /// An operation failed; its message ends in what to do.
    pub fn failed(&mut self, check: &'static str, subject: &str, failure: impl Into<Failure>) {
        let Failure { code, message } = failure.into();
        let (what, mend) = match message.rsplit_once("; ") {
            Some((what, mend)) => (what.to_owned(), Some(mend.to_owned())),
            None => (message, None),
        };
        self.add(Level::Bad, check, subject, what, mend, code);
    }

    /// The last finding calls for this exit code.
    pub fn with_code(&mut self, code: Code) {
        if let Some(last) = self.0.last_mut() {
            last.code = code;
        }
    }

    /// The last finding can be cured.
    pub fn curable(&mut self, cure: Cure) {
        if let Some(last) = self.0.last_mut() {
            last.cure = Some(cure);
        }
    }

    /// Everything that can be cured, once each.
    pub fn cures(&self) -> Vec<Cure> {
        let mut cures: Vec<Cure> = Vec::new();
        for cure in self.0.iter().filter_map(|finding| finding.cure.clone()) {
            if !cures.contains(&cure) {
                cures.push(cure);
            }
        }
        cures
    }

    /// The exit code: 0 when nothing is bad, the one that all that is bad has in common, else 1.
    pub fn code(&self) -> Code {
        let mut codes = self.0.iter().filter(|finding| finding.level == Level::Bad).map(|finding| finding.code);
        let Some(first) = codes.next() else { return Code::Ok };
        if codes.all(|code| code == first) { first } else { Code::Failed }
    }

    fn add(
        &mut self,
        level: Level,
        check: &'static str,
        subject: &str,
        what: String,
        mend: Option<String>,
        code: Code,
    ) {
        let one_line = |text: String| text.lines().map(str::trim).collect::<Vec<_>>().join(", ");
        let (what, mend) = (one_line(what), mend.map(one_line));
        self.0.push(Finding { level, check, subject: subject.to_owned(), what, mend, code, cure: None });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_is_the_one_that_all_bad_findings_share() {
        let mut findings = Findings::default();
        findings.ok("disk", "/", "enough");
        findings.warn("disk", "/", "little", "free some");
        assert_eq!(findings.code(), Code::Ok);
        findings.bad("integrity", "office", "torn", "restore a backup");
        findings.with_code(Code::Data);
        assert_eq!(findings.code(), Code::Data);
        findings.bad("clock", "host", "wrong", "set it");
        assert_eq!(findings.code(), Code::Failed);
    }
}
