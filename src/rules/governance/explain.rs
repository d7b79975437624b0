//! What a gate does with each field of a type, and why: for `gate explain`.

use std::borrow::Cow;

use super::{Gate, Kind, Redact, UNCLASSIFIED};
use crate::event::{Record, Value};
use crate::rules::mapping::Mapping;
use crate::rules::mapping::path::{Path, Root};

/// What becomes of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It leaves as it is.
    Leaves,
    /// It leaves hashed or masked, or is left out; its class does not matter.
    Redacted(Redact),
    /// It is read and may not leave: every event that has it is held.
    Refused,
    /// Nothing reads it.
    NotMapped,
}

impl Verdict {
    /// The word for people and for JSON: `leaves`, `hashed`, `masked`, `dropped`, `refused`, `not mapped`.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Leaves => "leaves",
            Verdict::Redacted(Redact::Hash) => "hashed",
            Verdict::Redacted(Redact::Mask) => "masked",
            Verdict::Redacted(Redact::Drop) => "dropped",
            Verdict::Refused => "refused",
            Verdict::NotMapped => "not mapped",
        }
    }
}

/// What becomes of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// A column, a dotted path into one, or a path of a mapping (`$before.start`); `(constant)` for what a mapping brings.
    pub field: String,
    /// Its class, as listed or by `default`; none = it has none.
    pub class: Option<String>,
    /// What becomes of it.
    pub verdict: Verdict,
    /// What decides that.
    pub rule: String,
    /// Where it goes: targets of the mapping, [`ADDRESS`].
    pub to: Vec<String>,
}

/// Where a field goes that a template names.
pub const ADDRESS: &str = "URL or Idem-Key";

impl Gate {
    /// What it does with each field of a type: of its `columns`, of what is listed or redacted inside them, and of what
    /// else the mapping or a template (`fields`) reads.
    pub fn explain(&self, kind: &str, columns: &[String], mapping: &Mapping, fields: &[String]) -> Vec<Line> {
        let leaves = mapping.leaves();
        let sample: Record = columns.iter().map(|column| (column.as_str(), Value::Null)).collect();
        let known = |name: &str| columns.iter().any(|column| column == name);
        let inside = |name: &&str| columns.iter().any(|column| name.strip_prefix(&**column).is_some_and(dotted));
        let classes = self.classes.as_ref().map(|allowed| allowed.kind(kind));
        let listed = classes.and_then(|kind| kind.columns).into_iter().flat_map(|columns| columns.classes.keys());
        let mut names: Vec<&str> = columns.iter().map(String::as_str).collect();
        let more = listed.chain(self.redact.keys()).map(String::as_str).filter(|name| !known(name)).filter(inside);
        let read = leaves.iter().filter_map(|(_, source)| *source);
        // A template may also name a field of the mapped record, whose source is looked at.
        let named = fields.iter().map(String::as_str).filter(|field| of_event(field, &sample));
        for name in more.chain(read).chain(named) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let mut lines: Vec<Line> = names
            .into_iter()
            .filter_map(|name| {
                let path = Path::parse(name).ok()?;
                let mut to: Vec<String> = match mapping.is_whole() {
                    true if path.root == Root::Image => vec![name.to_owned()],
                    true => Vec::new(),
                    false => {
                        let from = |(_, source): &&(String, Option<&str>)| *source == Some(name);
                        leaves.iter().filter(from).map(|(to, _)| to.clone()).collect()
                    }
                };
                to.extend(fields.iter().any(|field| field == name).then(|| ADDRESS.to_owned()));
                Some(self.line(name, &path, classes, columns, &sample, to))
            })
            .collect();
        lines.extend(leaves.iter().filter(|(_, source)| source.is_none()).map(|(to, _)| Line {
            field: "(constant)".to_owned(),
            class: None,
            verdict: Verdict::Leaves,
            rule: "the mapping brings it".to_owned(),
            to: vec![to.clone()],
        }));
        lines
    }

    fn line(
        &self,
        name: &str,
        path: &Path<'_>,
        kind: Option<Kind<'_>>,
        columns: &[String],
        sample: &Record,
        to: Vec<String>,
    ) -> Line {
        let field = name.to_owned();
        if !path.is_of_row() {
            let rule = "known of the event itself".to_owned();
            return Line { field, class: None, verdict: Verdict::Leaves, rule, to };
        }
        let column = path.column_in(Some(sample));
        let class = kind.filter(|_| !path.rest.is_empty()).map(|kind| kind.class(column, &path.rest));
        let class = class.and_then(|class| class.name.clone());
        if to.is_empty() {
            return Line { field, class, verdict: Verdict::NotMapped, rule: "nothing reads it".to_owned(), to };
        }
        let (verdict, rule) = self.verdict(path, column, kind, columns, class.as_deref());
        Line { field, class, verdict, rule: rule.into_owned(), to }
    }

    fn verdict(
        &self,
        path: &Path<'_>,
        column: &str,
        kind: Option<Kind<'_>>,
        columns: &[String],
        class: Option<&str>,
    ) -> (Verdict, Cow<'static, str>) {
        let redaction = Some(()).filter(|()| !path.rest.is_empty()).and_then(|()| self.redaction(column, &path.rest));
        if let Some(redact) = redaction {
            let word = match redact {
                Redact::Hash => "redact: hash",
                Redact::Mask => "redact: mask",
                Redact::Drop => "redact: drop",
            };
            return (Verdict::Redacted(redact), word.into());
        }
        let Some(kind) = kind else { return (Verdict::Leaves, "nothing is classified".into()) };
        let refusal = match path.rest.is_empty() {
            true => columns.iter().find_map(|column| self.refusal(kind, column, column)),
            false => self.refusal(kind, column, &path.rest),
        };
        match refusal {
            Some((_, UNCLASSIFIED)) if class.is_none() => {
                (Verdict::Refused, "unclassified: it is not listed, and there is no default".into())
            }
            Some((field, rule)) if field == path.rest => {
                (Verdict::Refused, format!("class {rule} is not in allow").into())
            }
            Some((field, rule)) => (Verdict::Refused, format!("{field} inside it is {rule}, not in allow").into()),
            None => (Verdict::Leaves, format!("class {} is in allow", class.unwrap_or("of each column")).into()),
        }
    }
}

fn dotted(rest: &str) -> bool {
    rest.starts_with('.')
}

/// Whether a field that a template names is one of the event, as far as the columns are known.
fn of_event(field: &str, sample: &Record) -> bool {
    let Ok(path) = Path::parse(field) else { return false };
    path.root != Root::Image || sample.is_empty() || sample.get(path.column_in(Some(sample))).is_some()
}
