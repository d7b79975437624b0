//! One part of a pattern: literal text or a placeholder.

use super::{Place, Values, date, modifier, number};
use crate::rules::nearest::hint;
use crate::rules::total::Expression;

/// A part of a pattern.
#[derive(Clone, Debug)]
pub(super) enum Part {
    Literal(String),
    Placeholder {
        name: &'static str,
        shape: Shape,
        case: Case,
    },
    /// The nth total of the pattern.
    Total {
        nth: usize,
        expression: String,
        shape: number::Shape,
    },
}

/// How a placeholder is written.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// With the width to which spaces fill it up; 0 = as it is.
    Text(usize),
    Number(number::Shape),
    Date(date::Shape),
    Moment(date::Shape),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    AsIs,
    Upper,
    Lower,
}

/// What a placeholder stands for.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Number,
    Date,
    Moment,
}

/// The placeholders, the first place where each is known, and what it stands for.
const KNOWN: [(&str, Kind, Place, &str); 18] = [
    ("office", Kind::Text, Place::Name, "this installation"),
    ("drop", Kind::Text, Place::Name, "the drop's name"),
    ("bus_date", Kind::Date, Place::Name, "the business date, `%Y%m%d`"),
    ("cut", Kind::Moment, Place::Name, "the moment of the cut-off, `%Y%m%d%H%M%S` in the drop's zone"),
    ("created", Kind::Moment, Place::Name, "when the batch was made, `%Y%m%d%H%M%S` in the drop's zone"),
    ("seq", Kind::Number, Place::Name, "the sequence"),
    ("prev_seq", Kind::Number, Place::Name, "the sequence of the file before, 0 for the first"),
    ("gen", Kind::Number, Place::Name, "the generation"),
    ("rerun", Kind::Number, Place::Name, "0, or which rerun it is"),
    ("modifier", Kind::Text, Place::Name, "which file of its business date it is: A to Z, then 0 to 9"),
    ("part", Kind::Number, Place::Name, "which part of the batch it is, from 1"),
    ("parts", Kind::Number, Place::Name, "how many parts the batch has"),
    ("file", Kind::Text, Place::Beside, "the name of the data file"),
    ("size", Kind::Number, Place::Trigger, "bytes of the data file"),
    ("sha256", Kind::Text, Place::Trigger, "its SHA-256, 64 hexadecimal digits"),
    ("md5", Kind::Text, Place::Trigger, "its MD5, 32 hexadecimal digits"),
    ("crc32", Kind::Text, Place::Trigger, "its CRC-32, 8 hexadecimal digits"),
    (
        "audit",
        Kind::Text,
        Place::Control,
        "the newest signed checkpoint of the audit, on one line; nothing before the first",
    ),
];

/// Every placeholder with the first place where it is known and what it stands for; the documentation is made from it.
pub fn placeholders() -> impl Iterator<Item = (&'static str, Place, &'static str)> {
    KNOWN.iter().map(|(name, _, place, what)| (*name, *place, *what))
}

impl Part {
    /// Parses what stands between the braces; a total is added to `totals`.
    pub(super) fn parse(text: &str, place: Place, totals: &mut Vec<Expression>) -> Result<Part, String> {
        for (function, case) in [("upper", Case::Upper), ("lower", Case::Lower)] {
            if let Some(inner) = text.strip_prefix(function).and_then(|rest| rest.trim_start().strip_prefix('(')) {
                let inner = inner.strip_suffix(')').ok_or_else(|| format!("`{function}(` is not closed with `)`"))?;
                return match Part::parse(inner.trim(), place, totals)? {
                    Part::Placeholder { name, shape, case: Case::AsIs } => Ok(Part::Placeholder { name, shape, case }),
                    _ => Err(format!("`{function}` takes the name of a placeholder")),
                };
            }
        }
        if text.contains('(') {
            return total(text, place, totals);
        }
        let (name, shape) = match text.split_once(':') {
            Some((name, shape)) => (name.trim_end(), Some(shape)),
            None => (text, None),
        };
        let known = KNOWN.iter().find(|(known, ..)| *known == name);
        let Some((name, kind, first, _)) = known else {
            let names = KNOWN.iter().filter(|(_, _, first, _)| *first <= place).map(|(name, ..)| *name);
            return Err(format!("`{name}` is not known{}", hint(name, names)));
        };
        if *first > place {
            return Err(format!("`{name}` is not known yet when {} is made", place.what()));
        }
        let shape = match kind {
            Kind::Text => Shape::Text(match shape {
                None => 0,
                Some(width) => match width.parse() {
                    Ok(width @ 1..=1000) => width,
                    _ => return Err(format!("`{width}` is not a width from 1 to 1000")),
                },
            }),
            Kind::Number => Shape::Number(shape.map_or(Ok(number::Shape::default()), number::Shape::parse)?),
            Kind::Date => Shape::Date(date::Shape::of_date(shape.unwrap_or("%Y%m%d"))?),
            Kind::Moment => Shape::Moment(date::Shape::of_moment(shape.unwrap_or("%Y%m%d%H%M%S"))?),
        };
        Ok(Part::Placeholder { name, shape, case: Case::AsIs })
    }

    /// The name of the placeholder.
    pub(super) fn placeholder(&self) -> Option<&'static str> {
        match self {
            Part::Placeholder { name, .. } => Some(name),
            Part::Literal(_) | Part::Total { .. } => None,
        }
    }

    /// Adds it to the text; the error says what does not fit.
    pub(super) fn write(&self, values: &Values, out: &mut String) -> Result<(), String> {
        match self {
            Part::Literal(text) => out.push_str(text),
            Part::Total { nth, expression, shape } => {
                let total = values.totals.get(*nth).and_then(Option::as_deref);
                let total = total.ok_or_else(|| format!("`{expression}` has no value: no record gave it one"))?;
                out.push_str(&shape.write(total).map_err(|what| format!("`{expression}`: {what}"))?);
            }
            Part::Placeholder { name, shape, case } => {
                let text = placeholder(name, shape, values).map_err(|what| format!("`{name}`: {what}"))?;
                match case {
                    Case::AsIs => out.push_str(&text),
                    Case::Upper => out.push_str(&text.to_uppercase()),
                    Case::Lower => out.push_str(&text.to_lowercase()),
                }
            }
        }
        Ok(())
    }
}

impl Place {
    fn what(self) -> &'static str {
        match self {
            Place::Name => "the name of a file",
            Place::Beside => "the name of a file beside it",
            Place::Line => "the file itself",
            Place::Trigger => "a trigger file",
            Place::Control => "a control file",
        }
    }
}

/// `sum(FIELD):012v2`.
fn total(text: &str, place: Place, totals: &mut Vec<Expression>) -> Result<Part, String> {
    let end = text.rfind(')').map_or(text.len(), |at| at + 1);
    let (expression, shape) = text.split_at(end);
    let expression = Expression::parse(expression)?;
    if place < Place::Line {
        return Err(format!("`{expression}` is not known yet when {} is made", place.what()));
    }
    let shape = match shape.trim() {
        "" => number::Shape::default(),
        shape => number::Shape::parse(shape.strip_prefix(':').ok_or_else(|| format!("`{shape}` follows a total"))?)?,
    };
    let part = Part::Total { nth: totals.len(), expression: expression.to_string(), shape };
    totals.push(expression);
    Ok(part)
}

fn placeholder(name: &str, shape: &Shape, values: &Values) -> Result<String, String> {
    let stamp = values.stamp;
    let zoned = |moment: crate::clock::Timestamp| moment.to_jiff().to_zoned(stamp.zone.clone());
    let sealed = || values.sealed.ok_or_else(|| "the file is not finished yet".to_owned());
    match shape {
        Shape::Date(shape) => shape.date(stamp.bus_date),
        Shape::Moment(shape) if name == "cut" => shape.moment(&zoned(stamp.cut)),
        Shape::Moment(shape) => shape.moment(&zoned(stamp.created)),
        Shape::Number(shape) => {
            let number = match name {
                "seq" => stamp.seq,
                "prev_seq" => stamp.prev_seq,
                "gen" => stamp.generation,
                "rerun" => stamp.rerun,
                "part" => stamp.part.0,
                "parts" => stamp.part.1,
                _ => sealed()?.size,
            };
            shape.write(&number.to_string())
        }
        Shape::Text(width) => {
            let text = match name {
                "office" => stamp.office.clone(),
                "drop" => stamp.drop.clone(),
                "modifier" => modifier(stamp.modifier)?.to_string(),
                "file" => values.file.to_owned(),
                "sha256" => sealed()?.sha256.clone(),
                "md5" => sealed()?.md5.clone(),
                "audit" => sealed()?.audit.clone(),
                _ => sealed()?.crc32.clone(),
            };
            match text.chars().count() {
                length if *width > 0 && length > *width => {
                    Err(format!("it needs {length} characters and has a place of {width}"))
                }
                _ => Ok(format!("{text:<width$}")),
            }
        }
    }
}
