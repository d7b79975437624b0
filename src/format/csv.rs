//! Delimited text (RFC 4180 and its many dialects) and text in columns of fixed width: records to bytes and back.
//!
//! Nothing is cut off, rounded or replaced unless the dialect says with what: a value that does not fit is a [`Misfit`],
//! which names its field and a reason, never the value. Numbers never pass through binary floating point. Code pages come
//! from outside, as a function from text to bytes and one back.

mod cell;
mod number;
mod read;
mod words;
mod write;

use std::fmt;

use crate::rules::convert::Convert;

pub use number::{Numbers, Point, Sign};
pub use read::{Reader, Sheet, Torn};
pub use words::{delimiter, eol};
pub use write::Writer;

/// How a file is written. The default is RFC 4180 with a header line.
#[derive(Clone, Debug)]
pub struct Dialect {
    /// What stands between two fields; none = columns of fixed width. Default `,`.
    pub delimiter: Option<char>,
    /// What is quoted. Default minimal.
    pub quote: Quote,
    /// Default `"`.
    pub quote_char: char,
    /// How a quote inside of quotes is written. Default doubled.
    pub escape: Escape,
    /// What ends a line. Default CRLF.
    pub eol: Eol,
    /// Nobody has said what ends a line: a file that is read may have LF in the place of CRLF. Default no.
    pub eol_free: bool,
    /// Whether the last line has one too. Default yes.
    pub final_eol: bool,
    /// Whether the names of the columns come first. Default plain.
    pub header: Header,
    /// Whether the file begins with a byte order mark. Default no.
    pub bom: bool,
    /// A byte behind everything, as DOS's 1A. Default none.
    pub eof: Option<u8>,
    /// What is written for a character that the code page does not have; none = the row does not fit. Default none.
    pub replacement: Option<char>,
    /// What is written for null, without quotes. Default nothing: an empty text is quoted then, so that the two can be
    /// told apart, except where nothing is quoted.
    pub null: String,
    /// What becomes of line breaks in a text. Default kept.
    pub line_breaks: LineBreaks,
    /// How numbers are written where the column does not say otherwise.
    pub numbers: Numbers,
    /// What is written for true and for false. Default `true`, `false`.
    pub booleans: (String, String),
    /// Whether a delimiter stands behind the last field too. Default no.
    pub trailing_delimiter: bool,
    /// Characters that may not stand in any value. Default none.
    pub forbid: Vec<char>,
    /// Whether a text that begins with `=`, `+`, `-` or `@` gets a `'` in front, so that a spreadsheet does not calculate
    /// it. For files that people open, never for machines: it changes the value. Default no.
    pub formula_guard: bool,
}

/// What is quoted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quote {
    /// What cannot be read back without.
    #[default]
    Minimal,
    /// Every value; null is not.
    Always,
    /// Everything but numbers; null is not.
    TextOnly,
    /// Nothing: a row whose text would need it does not fit.
    Never,
}

/// How a quote inside of quotes is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Escape {
    /// Twice.
    #[default]
    Double,
    /// With a backslash in front, like a backslash itself.
    Backslash,
    /// Not at all: such a row does not fit.
    None,
}

/// What ends a line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Eol {
    /// Carriage return and line feed, in the code page.
    #[default]
    CrLf,
    /// Line feed, in the code page (25 in EBCDIC).
    Lf,
    /// Carriage return.
    Cr,
    /// The byte 15, which ends lines on z/OS UNIX.
    Nl,
    /// These bytes.
    Bytes(Vec<u8>),
}

/// Whether the names of the columns come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Header {
    /// No.
    Off,
    /// Yes, quoted where needed.
    #[default]
    Plain,
    /// Yes, all in quotes.
    Quoted,
}

/// What becomes of line breaks (CR, LF, both together, NEL) in a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LineBreaks {
    /// They stay, in quotes; without quotes the row does not fit.
    #[default]
    Keep,
    /// Each becomes one space.
    Space,
    /// The row does not fit.
    Reject,
}

/// One column, in the order of the file.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name in the header.
    pub name: String,
    /// The field of the record.
    pub field: String,
    /// What it holds.
    pub kind: Kind,
    /// Its width in bytes; needed where there is no delimiter, and only there.
    pub width: Option<usize>,
    /// Whether a text that is too wide is cut off; else its row does not fit. Numbers are never cut off.
    pub truncate: bool,
    /// Whether null does not fit (a key).
    pub required: bool,
}

/// What a column holds.
#[derive(Clone, Debug)]
pub enum Kind {
    /// What the record has: numbers by the dialect, texts as they are. Not with implied decimals, which would make
    /// another number of an identifier.
    Any,
    /// Text; a number is written in its digits.
    Text,
    /// Numbers, also those that the record has as text.
    Number(Numbers),
    /// True and false (also 1 and 0), in these words.
    Boolean(String, String),
    /// What a converter makes of it: `date -> %m/%d/%Y`. Where decimals are implied, its numbers are still written plainly.
    Converted(Box<Convert>),
}

impl Column {
    /// A column with the name of its field.
    pub fn new(field: &str, kind: Kind) -> Column {
        Column { name: field.to_owned(), field: field.to_owned(), kind, width: None, truncate: false, required: false }
    }

    /// The same with a width.
    pub fn wide(self, width: usize) -> Column {
        Column { width: Some(width), ..self }
    }
}

/// The code page does not have a character of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the code page has not every character of the text")]
pub struct Unmappable;

/// A row that cannot be written so that it can be read back: it is held.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {code}")]
pub struct Misfit {
    /// The field.
    pub field: String,
    /// Why.
    pub code: Code,
}

/// Why a value does not fit, or a file cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Wider than its place, or too many digits.
    Overflow,
    /// A character that the code page does not have.
    Unmappable,
    /// A control character in a text.
    Control,
    /// A character that the dialect forbids.
    Forbidden,
    /// A delimiter, or the bytes that end a line, in a text that cannot be quoted.
    Delimiter,
    /// A line break in a text that cannot have one.
    LineBreak,
    /// A quote in a text that cannot have one.
    Quote,
    /// A text that would be read as null.
    LooksNull,
    /// Not a number.
    NotANumber,
    /// More decimal places than are written.
    Inexact,
    /// Below zero, and no sign is written.
    Negative,
    /// Neither true nor false.
    NotABoolean,
    /// Not what the converter of the column takes.
    Conversion,
    /// Null in a column that needs a value.
    Null,
    /// Bytes, text that is not UTF-8, a list or an object.
    Kind,
    /// Reading: quotes that are not closed.
    UnclosedQuote,
    /// Reading: something between a closing quote and the delimiter.
    AfterQuote,
    /// Reading: more or fewer fields than columns.
    FieldCount,
    /// Reading: its lines end with LF, and CRLF was expected.
    LineEnd,
    /// Reading: a line that is not as wide as its columns.
    Length,
    /// Reading: the header has other names.
    OtherHeader,
    /// Reading: bytes that are no text in the code page.
    BadCharacter,
}

impl Code {
    /// The stable word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::Overflow => "overflow",
            Code::Unmappable => "unmappable",
            Code::Control => "control_character",
            Code::Forbidden => "forbidden_character",
            Code::Delimiter => "delimiter_in_text",
            Code::LineBreak => "line_break",
            Code::Quote => "quote_in_text",
            Code::LooksNull => "looks_null",
            Code::NotANumber => "not_a_number",
            Code::Inexact => "inexact",
            Code::Negative => "negative",
            Code::NotABoolean => "not_a_boolean",
            Code::Conversion => "conversion",
            Code::Null => "null",
            Code::Kind => "wrong_kind",
            Code::UnclosedQuote => "unclosed_quote",
            Code::AfterQuote => "text_after_quote",
            Code::FieldCount => "wrong_field_count",
            Code::LineEnd => "wrong_line_end",
            Code::Length => "wrong_length",
            Code::OtherHeader => "other_header",
            Code::BadCharacter => "bad_character",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Default for Dialect {
    fn default() -> Dialect {
        Dialect {
            delimiter: Some(','),
            quote: Quote::default(),
            quote_char: '"',
            escape: Escape::default(),
            eol: Eol::default(),
            eol_free: false,
            final_eol: true,
            header: Header::default(),
            bom: false,
            eof: None,
            replacement: None,
            null: String::new(),
            line_breaks: LineBreaks::default(),
            numbers: Numbers::default(),
            booleans: ("true".to_owned(), "false".to_owned()),
            trailing_delimiter: false,
            forbid: Vec::new(),
            formula_guard: false,
        }
    }
}

/// Whether a character breaks a line in some code page: NEL is NL in EBCDIC.
fn is_break(char: char) -> bool {
    matches!(char, '\r' | '\n' | '\u{85}')
}

impl Dialect {
    /// What in it contradicts itself, or the columns; the first problem found.
    pub fn check(&self, columns: &[Column]) -> Result<(), String> {
        if columns.is_empty() {
            return Err("there are no columns".to_owned());
        }
        let quotes = self.quote != Quote::Never;
        match self.delimiter {
            None if quotes || self.header == Header::Quoted => {
                return Err("without a delimiter nothing can be quoted: write `quote: never`".to_owned());
            }
            None if self.trailing_delimiter => return Err("there is no delimiter to stand last".to_owned()),
            None => {}
            Some(delimiter) if is_break(delimiter) => return Err("a line break cannot be the delimiter".to_owned()),
            Some(delimiter) if quotes && delimiter == self.quote_char => {
                return Err(format!("`{delimiter}` is both delimiter and quote"));
            }
            Some('\\') if quotes && self.escape == Escape::Backslash => {
                return Err("`\\` is both delimiter and escape".to_owned());
            }
            Some(_) => {}
        }
        if quotes && (is_break(self.quote_char) || (self.quote_char == '\\' && self.escape == Escape::Backslash)) {
            return Err("the quote is also a line break or the escape".to_owned());
        }
        if matches!(&self.eol, Eol::Bytes(bytes) if bytes.is_empty()) {
            return Err("nothing ends a line".to_owned());
        }
        let special = |char: char| {
            Some(char) == self.delimiter || is_break(char) || (quotes && (char == self.quote_char || char == '\\'))
        };
        if self.null.chars().any(special) {
            return Err("the word for null has a delimiter, a quote, a backslash or a line break".to_owned());
        }
        if self.replacement.is_some_and(|char| special(char) || char.is_control()) {
            return Err("the replacement for unmappable characters means something else in this dialect".to_owned());
        }
        if let [column] = columns
            && self.null.is_empty()
            && self.delimiter.is_some()
            && !(self.trailing_delimiter || column.required)
        {
            return Err(
                "null in the only column would be an empty line, which many readers skip: say what is written \
                        for null, or that the column is required"
                    .to_owned(),
            );
        }
        self.numbers.check()?;
        for column in columns {
            self.check_column(column).map_err(|what| format!("column `{}`: {what}", column.name))?;
        }
        Ok(())
    }

    fn check_column(&self, column: &Column) -> Result<(), String> {
        match (self.delimiter, column.width) {
            (None, None | Some(0)) => return Err("it needs a width, since there is no delimiter".to_owned()),
            (Some(_), Some(_)) => return Err("it has a width, and the fields have a delimiter".to_owned()),
            _ => {}
        }
        match &column.kind {
            Kind::Any if matches!(self.numbers.point, Point::Implied(_)) => {
                Err("say what it holds: with implied decimals, an identifier that is taken for a number becomes another one"
                    .to_owned())
            }
            Kind::Number(numbers) => numbers.check(),
            Kind::Boolean(yes, no) if yes == no => Err("true and false are the same word".to_owned()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
