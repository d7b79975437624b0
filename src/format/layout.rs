//! Layouts of fixed records: what stands where. They come from a COBOL copybook ([`crate::format::copybook`]) or from a
//! plain table of fields ([`of_fields`]).
//!
//! Source of the lengths: IBM Enterprise COBOL Language Reference, "USAGE clause" and "PICTURE clause".

mod edit;
mod place;

use std::fmt;
use std::sync::Arc;

pub use edit::{Edited, Symbol};
pub use place::{RECORD_MAX, place};

/// What is wrong with a layout: one line each, all at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

/// One thing that is wrong with a layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The copybook, or the table of fields.
    pub source: Arc<str>,
    /// Line, from 1; 0 where there is none.
    pub line: u32,
    /// The item, where it is one's fault.
    pub item: Option<Arc<str>>,
    /// What is wrong and what to do.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        match &self.item {
            Some(item) => write!(f, ": {item}: {}", self.text),
            None => write!(f, ": {}", self.text),
        }
    }
}

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

/// All records of one copybook, in its order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    /// Items of level 01 and 77; one for a copybook that begins below them.
    pub records: Vec<Item>,
}

impl Layout {
    /// The record of a name (letter case does not count).
    pub fn record(&self, name: &str) -> Option<&Item> {
        self.records.iter().find(|record| record.is_called(name))
    }
}

/// One item of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Level number: 01-49, 77.
    pub level: u8,
    /// Its name in upper case; None for FILLER and unnamed items.
    pub name: Option<Arc<str>>,
    /// Where it was written: the copybook and the line, from 1; 0 for a table of fields.
    pub source: Arc<str>,
    /// See `source`.
    pub line: u32,
    /// What it is.
    pub kind: Kind,
    /// The picture as it was written, in upper case.
    pub picture: Option<Box<str>>,
    /// How often it occurs.
    pub occurs: Option<Occurs>,
    /// The item whose place it shares.
    pub redefines: Option<Arc<str>>,
    /// Its VALUE.
    pub value: Option<Initial>,
    /// Bytes from the beginning of the record to its first occurrence, when each table before it is at its longest.
    pub offset: usize,
    /// Bytes of one occurrence, when each table in it is at its longest.
    pub length: usize,
    /// Bytes of one occurrence, when each table in it is at its shortest.
    pub shortest: usize,
    /// Whether a table before it varies, so that `offset` is only its furthest.
    pub moves: bool,
}

/// What an item is.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Items one level below.
    Group(Vec<Item>),
    /// Characters.
    Text(Text),
    /// A number.
    Number(Number),
    /// A number or text as people read it: `ZZ9.99-`.
    Edited(Edited),
}

/// Characters, as many as the item is long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// JUSTIFIED RIGHT: padded and cut on the left.
    pub right: bool,
}

/// A number as a record holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    /// Digits that are stored.
    pub digits: u8,
    /// Places right of the decimal point of the last digit that is stored; negative left of it (`9(3)PP` is -2).
    pub scale: i8,
    /// Whether it may be negative.
    pub signed: bool,
    /// How it is stored.
    pub form: Form,
    /// BLANK WHEN ZERO.
    pub blank_when_zero: bool,
}

/// How a number is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// DISPLAY: a byte for each digit, the sign where [`Sign`] says.
    Zoned(Sign),
    /// COMP-3, PACKED-DECIMAL: half a byte for each digit, the sign in the last half.
    Packed,
    /// COMP, COMP-4, BINARY: 2, 4 or 8 bytes, as many values as the picture has.
    Binary,
    /// COMP-5: as many values as the bytes have.
    Native,
}

/// Where a zoned number has its sign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sign {
    /// SIGN LEADING: at the first digit, not at the last.
    pub leading: bool,
    /// SEPARATE: in a byte of its own.
    pub separate: bool,
}

/// How often an item occurs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occurs {
    /// At least.
    pub min: usize,
    /// At most, and always unless `depending` says otherwise.
    pub max: usize,
    /// The item that has the number of occurrences.
    pub depending: Option<Arc<str>>,
}

/// A VALUE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Initial {
    /// A text.
    Text(Box<str>),
    /// The digits of a number.
    Number(Box<str>),
    /// ALL 'x': repeated to the item's end.
    All(Box<str>),
    /// SPACES.
    Spaces,
    /// ZERO.
    Zeros,
    /// LOW-VALUES: 00.
    Low,
    /// HIGH-VALUES: FF.
    High,
    /// QUOTES.
    Quotes,
}

impl Item {
    /// Its name, or `FILLER`.
    pub fn title(&self) -> &str {
        self.name.as_deref().unwrap_or("FILLER")
    }

    /// Whether this is its name (letter case does not count).
    pub fn is_called(&self, name: &str) -> bool {
        self.name.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name))
    }

    /// The items below it.
    pub fn items(&self) -> &[Item] {
        match &self.kind {
            Kind::Group(items) => items,
            Kind::Text(_) | Kind::Number(_) | Kind::Edited(_) => &[],
        }
    }

    /// Occurrences at most; 1 for an item without OCCURS.
    pub fn times(&self) -> usize {
        self.occurs.as_ref().map_or(1, |occurs| occurs.max)
    }

    /// Bytes of all occurrences at their longest.
    pub fn whole(&self) -> usize {
        self.length.saturating_mul(self.times())
    }

    /// Whether its length varies: a table below it, or it itself, depends on a count.
    pub fn varies(&self) -> bool {
        self.shortest != self.length || self.occurs.as_ref().is_some_and(|occurs| occurs.depending.is_some())
    }

    /// A problem with it.
    pub fn problem(&self, text: impl Into<String>) -> Problem {
        Problem { source: self.source.clone(), line: self.line, item: Some(self.title().into()), text: text.into() }
    }

    /// Its type in the words of COBOL: `GROUP`, `X(10)`, `S9(5)V99 COMP-3`, `S9(3) SIGN LEADING`.
    pub fn description(&self) -> String {
        let picture = self.picture.as_deref().unwrap_or_default();
        match &self.kind {
            Kind::Group(_) => "GROUP".to_owned(),
            Kind::Text(Text { right: false }) => picture.to_owned(),
            Kind::Text(Text { right: true }) => format!("{picture} JUSTIFIED RIGHT"),
            Kind::Edited(Edited { blank_when_zero: false, .. }) => picture.to_owned(),
            Kind::Edited(Edited { blank_when_zero: true, .. }) => format!("{picture} BLANK WHEN ZERO"),
            Kind::Number(number) => {
                let form = match number.form {
                    Form::Zoned(_) if !number.signed => "",
                    Form::Zoned(Sign { leading: false, separate: false }) => "",
                    Form::Zoned(Sign { leading: true, separate: false }) => " SIGN LEADING",
                    Form::Zoned(Sign { leading: false, separate: true }) => " SIGN TRAILING SEPARATE",
                    Form::Zoned(Sign { leading: true, separate: true }) => " SIGN LEADING SEPARATE",
                    Form::Packed => " COMP-3",
                    Form::Binary => " COMP",
                    Form::Native => " COMP-5",
                };
                format!("{picture}{form}{}", if number.blank_when_zero { " BLANK WHEN ZERO" } else { "" })
            }
        }
    }
}

impl Number {
    /// Bytes that it takes.
    pub fn length(&self) -> usize {
        let digits = usize::from(self.digits);
        match self.form {
            Form::Zoned(sign) => digits + usize::from(self.signed && sign.separate),
            Form::Packed => digits / 2 + 1,
            Form::Binary | Form::Native => match digits {
                ..=4 => 2,
                5..=9 => 4,
                _ => 8,
            },
        }
    }
}

/// One line of a table of fields, for records that are described without a copybook.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name; None for bytes that nobody names.
    pub name: Option<String>,
    /// What it is.
    pub shape: Shape,
    /// How often it occurs.
    pub occurs: Option<Occurs>,
}

/// What a field of a table is.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// Characters: how many bytes.
    Text(usize),
    /// A number.
    Number(Number),
    /// A group of fields.
    Group(Vec<Field>),
}

/// The layout of one record from a table of fields. `source` is named in problems.
pub fn of_fields(source: &str, record: &str, fields: &[Field]) -> Result<Layout, Problems> {
    let source: Arc<str> = source.into();
    let mut problems = Problems::default();
    let whole = Field { name: Some(record.to_owned()), shape: Shape::Group(fields.to_vec()), occurs: None };
    let mut records = vec![row(&source, 1, &whole, &mut problems)];
    problems.0.extend(place(&mut records));
    if problems.0.is_empty() { Ok(Layout { records }) } else { Err(problems) }
}

fn rows(source: &Arc<str>, level: u8, fields: &[Field], problems: &mut Problems) -> Vec<Item> {
    fields.iter().map(|field| row(source, level, field, problems)).collect()
}

fn row(source: &Arc<str>, level: u8, field: &Field, problems: &mut Problems) -> Item {
    let name: Option<Arc<str>> = field.name.as_deref().map(|name| name.to_uppercase().into());
    let mut wrong = |text: &str| {
        problems.0.push(Problem { source: source.clone(), line: 0, item: name.clone(), text: text.to_owned() });
    };
    let (kind, picture, length) = match &field.shape {
        Shape::Text(0) => {
            wrong("a field has at least one byte");
            (Kind::Text(Text::default()), None, 0)
        }
        Shape::Text(length) => (Kind::Text(Text::default()), Some(format!("X({length})")), *length),
        Shape::Number(number) => {
            if number.digits == 0 || number.digits > 31 {
                wrong("a number has 1 to 31 digits");
            }
            if number.digits > 18 && matches!(number.form, Form::Binary | Form::Native) {
                wrong("a binary number has at most 18 digits");
            }
            (Kind::Number(*number), Some(picture(number)), number.length())
        }
        Shape::Group(_) if level >= 49 => {
            wrong("groups stand in one another too deep: 48 levels are the most");
            (Kind::Group(Vec::new()), None, 0)
        }
        Shape::Group(fields) => (Kind::Group(rows(source, level + 1, fields, problems)), None, 0),
    };
    Item {
        level,
        name,
        source: source.clone(),
        line: 0,
        kind,
        picture: picture.map(String::into_boxed_str),
        occurs: field.occurs.as_ref().map(|occurs| Occurs {
            depending: occurs.depending.as_ref().map(|name| name.to_uppercase().into()),
            ..*occurs
        }),
        redefines: None,
        value: None,
        offset: 0,
        length,
        shortest: length,
        moves: false,
    }
}

/// The picture that COBOL has for a number.
fn picture(number: &Number) -> String {
    let sign = if number.signed { "S" } else { "" };
    let digits = i32::from(number.digits);
    let scale = i32::from(number.scale);
    match scale {
        0 => format!("{sign}9({digits})"),
        ..0 => format!("{sign}9({digits})P({})", -scale),
        _ if scale < digits => format!("{sign}9({})V9({scale})", digits - scale),
        _ if scale == digits => format!("{sign}V9({digits})"),
        _ => format!("{sign}VP({})9({digits})", scale - digits),
    }
}
