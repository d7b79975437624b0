//! Which event types a connector hears.

use crate::event::Op;

/// Patterns of `listen`: a type, `TYPE.insert|update|delete`, with `*` globs in the type; none = everything.
///
/// A type's name may contain dots itself: `order.update` hears updates of type `order` and every event of type
/// `order.update`.
#[derive(Clone, Debug, Default)]
pub struct Listen {
    patterns: Vec<String>,
    rules: Vec<Rule>,
    /// It hears nothing at all.
    deaf: bool,
}

#[derive(Clone, Debug)]
struct Rule {
    /// The whole pattern, for any operation.
    whole: Glob,
    /// The pattern without its operation, and that operation.
    split: Option<(Glob, Op)>,
}

impl Listen {
    /// Compiles the patterns; an empty list hears everything. Errors name the pattern.
    pub fn parse(patterns: &[String]) -> Result<Listen, String> {
        let rules = patterns.iter().map(|pattern| Rule::parse(pattern)).collect::<Result<_, _>>()?;
        Ok(Listen { patterns: patterns.to_vec(), rules, deaf: false })
    }

    /// What hears nothing: a connector that only reads.
    pub fn nothing() -> Listen {
        Listen { deaf: true, ..Listen::default() }
    }

    /// Whether an event of this type and operation is for this connector.
    pub fn hears(&self, kind: &str, op: Op) -> bool {
        !self.deaf && (self.rules.is_empty() || self.rules.iter().any(|rule| rule.hears(kind, op)))
    }

    /// The patterns as written.
    pub fn patterns(&self) -> &[String] {
        &self.patterns
    }
}

impl Rule {
    fn parse(pattern: &str) -> Result<Rule, String> {
        let wrong = |what: &str| Err(format!("`listen` pattern `{}` {what}", pattern.escape_debug()));
        if pattern.trim().is_empty() {
            return wrong("is empty: write an event type, TYPE.insert, TYPE.update, TYPE.delete, or `*`");
        }
        if pattern.trim() != pattern || pattern.chars().any(char::is_control) {
            return wrong("has white space around it or a control character in it");
        }
        let split = pattern.rsplit_once('.').and_then(|(kind, op)| {
            let op = [Op::Insert, Op::Update, Op::Delete].into_iter().find(|known| known.as_str() == op)?;
            Some((kind, op))
        });
        if let Some(("", op)) = split {
            return wrong(&format!("names no type before `.{op}`: for every type write `*.{op}`"));
        }
        Ok(Rule { whole: Glob::new(pattern), split: split.map(|(kind, op)| (Glob::new(kind), op)) })
    }

    fn hears(&self, kind: &str, op: Op) -> bool {
        self.whole.matches(kind) || self.split.as_ref().is_some_and(|(glob, only)| *only == op && glob.matches(kind))
    }
}

/// A text with `*` for any run of characters.
#[derive(Clone, Debug)]
enum Glob {
    Exact(Box<str>),
    /// First piece, pieces between, last piece.
    Pieces(Box<str>, Vec<Box<str>>, Box<str>),
}

impl Glob {
    fn new(pattern: &str) -> Glob {
        let mut pieces: Vec<Box<str>> = pattern.split('*').map(Box::from).collect();
        match (pieces.pop(), pieces.is_empty()) {
            (Some(last), false) => Glob::Pieces(pieces.remove(0), pieces, last),
            _ => Glob::Exact(pattern.into()),
        }
    }

    /// Linear: each piece between takes its first match, which is always enough when the last piece is anchored.
    fn matches(&self, text: &str) -> bool {
        match self {
            Glob::Exact(exact) => **exact == *text,
            Glob::Pieces(first, between, last) => {
                let Some(rest) = text.strip_prefix(&**first) else { return false };
                let Some(mut rest) = rest.strip_suffix(&**last) else { return false };
                for piece in between {
                    match rest.find(&**piece) {
                        Some(at) => rest = rest.get(at + piece.len()..).unwrap_or_default(),
                        None => return false,
                    }
                }
                true
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn hears(pattern: &str, kind: &str, op: Op) -> bool {
        Listen::parse(&[pattern.to_owned()]).unwrap().hears(kind, op)
    }

    #[test]
    fn no_pattern_hears_everything() {
        assert!(Listen::parse(&[]).unwrap().hears("anything", Op::Event));
        assert!(Listen::default().hears("anything", Op::Delete));
    }

    #[test]
    fn a_type_is_heard_whole_and_an_operation_narrows_it() {
        assert!(hears("appointments", "appointments", Op::Delete));
        assert!(!hears("appointments", "appointments2", Op::Delete));
        assert!(hears("appointments.update", "appointments", Op::Update));
        assert!(!hears("appointments.update", "appointments", Op::Insert));
        assert!(hears("appointment-rule-changed", "appointment-rule-changed", Op::Event));
    }

    #[test]
    fn a_type_whose_name_has_dots_is_heard() {
        assert!(hears("gov.hms.order", "gov.hms.order", Op::Insert));
        assert!(hears("gov.hms.order.delete", "gov.hms.order", Op::Delete));
        assert!(hears("order.update", "order.update", Op::Event));
        assert!(!hears("order.update", "order", Op::Event));
    }

    #[test]
    fn globs_stand_for_any_run_of_characters_in_the_type() {
        assert!(hears("*", "x", Op::Event));
        assert!(hears("*.delete", "patients", Op::Delete));
        assert!(!hears("*.delete", "patients", Op::Insert));
        assert!(hears("app*ments", "appointments", Op::Insert));
        assert!(hears("a*b*c.insert", "aXbYbZc", Op::Insert));
        assert!(!hears("a*b*c", "acb", Op::Insert));
        assert!(!hears("ab*ba", "aba", Op::Insert), "pieces may not overlap");
        assert!(hears("*ä*", "präsenz", Op::Insert));
    }

    #[test]
    fn any_of_several_patterns_is_enough() {
        let listen = Listen::parse(&["a.insert".to_owned(), "b".to_owned()]).unwrap();
        assert!(listen.hears("a", Op::Insert) && listen.hears("b", Op::Delete) && !listen.hears("a", Op::Delete));
        assert_eq!(listen.patterns(), ["a.insert", "b"]);
    }

    #[test]
    fn an_error_names_the_pattern() {
        for (bad, part) in [("", "is empty"), (" a", "white space"), (".delete", "`*.delete`"), ("a\u{7}b", "\\u{7}")] {
            let error = Listen::parse(&["fine".to_owned(), bad.to_owned()]).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
