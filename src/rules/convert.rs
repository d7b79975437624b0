//! Converters: units, dates, case, types.
//!
//! `A -> B` between two units or two forms of date and time, or one word (`upper`, `pad_left(9, 0)`). Null passes
//! through every converter.

mod dates;
mod inverse;
mod text;
mod units;

use crate::event::Value;
use crate::rules::nearest::hint;
use crate::rules::outcome::Reason;

/// One conversion step of a mapping.
#[derive(Clone, Debug)]
pub struct Convert {
    /// As written, for messages.
    name: String,
    step: Step,
}

#[derive(Clone, Debug)]
enum Step {
    Units(units::Scale),
    Dates(Box<dates::Dates>),
    Text(text::Word),
    Back(inverse::Back),
}

impl Convert {
    /// Parses `minutes -> seconds`, `rfc3339 -> %Y%m%d`, `upper`...; `zone` is the IANA zone for local times
    /// (default UTC). Errors name the nearest known converter.
    pub fn parse(text: &str, zone: Option<&str>) -> Result<Convert, String> {
        let text = text.trim();
        let step = match text.split_once("->").map(|(from, to)| (from.trim(), to.trim())) {
            Some((from, to)) if units::find(from).is_some() || units::find(to).is_some() => {
                Step::Units(units::Scale::parse(from, to)?)
            }
            Some((from, to)) => Step::Dates(Box::new(dates::Dates::parse(from, to, zone)?)),
            None => Step::Text(text::Word::parse(text).map_err(|what| match units::find(text).is_some() {
                true => format!("`{text}` is a unit: write for example `minutes -> seconds`"),
                false if dates::is_form(text) => format!("`{text}` is a form of date: write `rfc3339 -> {text}`"),
                false => what,
            })?),
        };
        Ok(Convert { name: text.to_owned(), step })
    }

    /// Converts one value; the reason names the converter, never the value.
    pub fn apply(&self, value: Value) -> Result<Value, Reason> {
        if value == Value::Null {
            return Ok(value);
        }
        let kind = value.kind();
        let converted = match &self.step {
            Step::Units(scale) => scale.apply(&value),
            Step::Dates(dates) => dates.apply(&value),
            Step::Text(word) => word.apply(value),
            Step::Back(back) => back.apply(value),
        };
        converted.map_err(|wants| {
            Reason::new(
                "mapping",
                format!("converter `{}` wants {wants}; this is {kind} that it cannot take", self.name),
            )
        })
    }

    /// What undoes it: of what it makes, this gives a value that it makes the same of. `before` is the step before it, which
    /// can say more of the values. None where what it takes away is gone.
    pub fn inverse(&self, before: Option<&Convert>) -> Option<Convert> {
        let step = match &self.step {
            Step::Units(scale) => Step::Back(inverse::Back::Units(scale.clone())),
            Step::Dates(dates) => Step::Dates(Box::new(dates.inverse()?)),
            Step::Text(word) => Step::Back(inverse::Back::of(word, before.map(|before| &before.step))?),
            Step::Back(_) => return None,
        };
        Some(Convert { name: format!("{} (back)", self.name), step })
    }

    /// As written.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Every name that may stand in a converter, with what it means; the documentation is made from it.
pub fn catalog() -> Vec<(String, String)> {
    let words = text::WORDS.iter().map(|(name, what)| ((*name).to_owned(), (*what).to_owned()));
    let forms = dates::FORMS.iter().map(|(name, what)| (format!("{name} -> …"), (*what).to_owned()));
    words.chain(forms).chain(units::catalog()).collect()
}

/// The words, as written with their arguments, and what they do.
pub fn words() -> impl Iterator<Item = (&'static str, &'static str)> {
    text::WORDS.iter().copied()
}

/// The message for a name that is neither a unit nor a form of date.
fn unknown(name: &str) -> String {
    let known = units::names().chain(dates::FORMS.iter().map(|(name, _)| *name));
    format!("`{name}` is neither a unit nor a form of date (a pattern has a `%`){}", hint(name, known))
}

#[cfg(test)]
#[path = "convert/tests.rs"]
mod tests;
