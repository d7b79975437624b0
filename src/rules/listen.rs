//! Which event types a connector hears.

use crate::event::Op;

/// Patterns of `listen`: a type, `TYPE.insert|update|delete`, with `*` globs; none = everything.
#[derive(Clone, Debug, Default)]
pub struct Listen {
    patterns: Vec<String>,
}

impl Listen {
    /// Compiles the patterns; an empty list hears everything. Errors name the pattern.
    pub fn parse(patterns: &[String]) -> Result<Listen, String> {
        Ok(Listen { patterns: patterns.to_vec() })
    }

    /// Whether an event of this type and operation is for this connector.
    pub fn hears(&self, kind: &str, op: Op) -> bool {
        let _ = (kind, op);
        todo!()
    }

    /// The patterns as written.
    pub fn patterns(&self) -> &[String] {
        &self.patterns
    }
}
