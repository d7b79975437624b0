//! The totals of a feed: which are counted, and of which fields.

use crate::format::feed::Sums;
use crate::rules::nearest::hint;
use crate::rules::outcome::Reason;
use crate::rules::total::{Counted, Encoded, Expression, Totals};

/// The totals that a feed counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Counting {
    expressions: Vec<Expression>,
    /// The fields that they read, each once, as they are written.
    fields: Vec<String>,
}

impl Counting {
    /// Counts one more, unless it is counted already; its place.
    pub fn add(&mut self, expression: &Expression) -> usize {
        if let Some(place) = self.expressions.iter().position(|known| known == expression) {
            return place;
        }
        for field in expression.fields() {
            if !self.fields.iter().any(|known| known == field) {
                self.fields.push(field.to_owned());
            }
        }
        self.expressions.push(expression.clone());
        self.expressions.len() - 1
    }

    pub fn expressions(&self) -> &[Expression] {
        &self.expressions
    }

    pub fn fields(&self) -> &[String] {
        &self.fields
    }

    /// Nothing counted yet.
    pub fn totals(&self) -> Totals {
        Totals::new(self.expressions.clone())
    }

    /// What they came to, by their texts.
    pub fn sums(&self, results: &[Option<String>]) -> Sums {
        self.expressions.iter().map(Expression::to_string).zip(results.iter().cloned()).collect()
    }

    /// The same in their order; zero for what the sums do not have.
    pub fn results(&self, sums: Option<&Sums>) -> Vec<Option<String>> {
        let zero = || Some("0".to_owned());
        let result = |expression: &Expression| match sums.and_then(|sums| sums.get(&expression.to_string())) {
            Some(result) => result.clone(),
            None => zero(),
        };
        self.expressions.iter().map(result).collect()
    }

    /// What is wrong with an expression for records of these kinds, whose fields `sample` gives as empty values.
    pub fn check<'s>(
        expression: &'s Expression,
        kinds: &[&str],
        sample: impl Fn(&'s str) -> Result<Encoded<'s>, String>,
    ) -> Result<(), String> {
        let about = |what: String| format!("the total `{expression}`: {what}");
        if let Some(kind) = expression.record_type().filter(|kind| !kinds.contains(kind)) {
            return Err(about(format!("there is no record `{kind}`{}", hint(kind, kinds.iter().copied()))));
        }
        let fields = expression.fields().map(|field| Ok((field, sample(field).map_err(about)?)));
        let fields = fields.collect::<Result<Vec<_>, String>>()?;
        let record = Counted { kind: "", detail: true, bytes: 0, fields: &fields };
        Totals::new(vec![expression.clone()]).take(&record).map_err(|reason| about(reason.text.into_owned()))
    }
}

/// What a total that cannot be taken is for the row.
pub(super) fn refused(reason: Reason) -> Reason {
    Reason::new(super::ENCODING, format!("{}: {}", reason.text, reason.class))
}
