//! A filled pattern back to what its placeholders were filled with.

use super::{Part, Pattern};
use crate::rules::total::Expression;

/// What stands in the place of each placeholder, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scanned<'p, 't> {
    /// A placeholder by its name, and its text.
    Placeholder(&'static str, &'t str),
    /// A total, its place among [`Pattern::totals`], and its text.
    Total(&'p Expression, usize, &'t str),
}

impl Pattern {
    /// Reads a text that was made by filling it; None when it was not. Each placeholder takes as little as it can, so one
    /// that follows another without a text between them is not told apart.
    pub fn scan<'p, 't>(&'p self, text: &'t str) -> Option<Vec<Scanned<'p, 't>>> {
        let mut found = Vec::new();
        let mut rest = text;
        let mut parts = self.parts.iter().peekable();
        while let Some(part) = parts.next() {
            if let Part::Literal(literal) = part {
                rest = rest.strip_prefix(literal.as_str())?;
                continue;
            }
            let taken = match parts.peek() {
                // What is last goes to the end.
                None => rest,
                Some(Part::Literal(literal)) => {
                    let last = self.parts.len() >= 2 && std::ptr::eq(self.parts.last()?, *parts.peek()?);
                    match last {
                        true => rest.strip_suffix(literal.as_str())?,
                        false => rest.get(..rest.find(literal.as_str())?)?,
                    }
                }
                Some(_) => "",
            };
            rest = rest.get(taken.len()..)?;
            match part {
                Part::Total { nth, .. } => found.push(Scanned::Total(self.totals.get(*nth)?, *nth, taken)),
                part => found.extend(part.placeholder().map(|name| Scanned::Placeholder(name, taken))),
            }
        }
        rest.is_empty().then_some(found)
    }

    /// A total as it is written in the pattern, without what fills it up; none when it does not fit.
    pub fn total(&self, nth: usize, result: &str) -> Option<String> {
        self.parts.iter().find_map(|part| match part {
            Part::Total { nth: own, shape, .. } if *own == nth => shape.write(result).ok(),
            _ => None,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::rules::naming::Place;

    fn scanned(pattern: &str, text: &str) -> Option<Vec<String>> {
        let pattern = Pattern::parse(pattern, Place::Line).unwrap();
        let found = pattern.scan(text)?;
        Some(
            found
                .iter()
                .map(|found| match found {
                    Scanned::Placeholder(name, text) => format!("{name}={text}"),
                    Scanned::Total(expression, nth, text) => format!("{expression}#{nth}={text}"),
                })
                .collect(),
        )
    }

    #[test]
    fn a_filled_pattern_is_read_back_and_another_text_is_not() {
        let some = |found: &[&str]| Some(found.iter().map(|text| (*text).to_owned()).collect());
        assert_eq!(
            scanned("T|{seq:06}|{count():05}|{office}", "T|000017|00002|OF042"),
            some(&["seq=000017", "count()#0=00002", "office=OF042"])
        );
        assert_eq!(scanned("{office}.S{seq}.DAT", "A.S1.S2.DAT"), some(&["office=A", "seq=1.S2"]));
        assert_eq!(scanned("{{{seq}}}", "{7}"), some(&["seq=7"]));
        assert_eq!(scanned("plain", "plain"), some(&[]));
        for (pattern, text) in
            [("T|{seq}", "X|1"), ("{seq}.DAT", "1.DAX"), ("plain", "plainer"), ("A{seq}B{gen}", "A1")]
        {
            assert_eq!(scanned(pattern, text), None, "{pattern} {text}");
        }
    }
}
