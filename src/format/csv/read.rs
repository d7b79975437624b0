//! The bytes of a file to records.

use std::borrow::Cow;
use std::sync::Arc;

use super::write::Signs;
use super::{Code, Column, Dialect, Eol, Escape, Header, Quote, Unmappable};
use crate::event::{Record, Value};

/// Reads files of one dialect.
#[derive(Debug)]
pub struct Reader<'d, D> {
    dialect: &'d Dialect,
    columns: &'d [Column],
    decode: D,
    signs: Signs,
    /// The same with LF at the end of a line, where CRLF is what the dialect has.
    other: Option<Signs>,
    names: Arc<[Arc<str>]>,
}

/// What a file says.
#[derive(Clone, Debug, PartialEq)]
pub struct Sheet {
    /// Its first lines, as many as were asked for, as they are.
    pub lead: Vec<String>,
    /// Its records.
    pub rows: Vec<Record>,
    /// Its last lines, as many as were asked for, as they are.
    pub trail: Vec<String>,
}

/// A file that is not of the dialect. Nothing of it is to be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, {field}: {code}")]
pub struct Torn {
    /// The record, counted as lines of the file from 1; one with kept line breaks counts once.
    pub line: usize,
    /// The field, or what else of the line.
    pub field: String,
    /// Why.
    pub code: Code,
}

/// A field as it stands in the file.
struct Token<'b> {
    bytes: Cow<'b, [u8]>,
    quoted: bool,
}

impl<'d, D> Reader<'d, D>
where
    D: Fn(&[u8]) -> Option<String>,
{
    /// A reader; `encode` and `decode` are the code page. The error is about the configuration.
    pub fn new<E>(dialect: &'d Dialect, columns: &'d [Column], encode: E, decode: D) -> Result<Reader<'d, D>, String>
    where
        E: Fn(&str, &mut Vec<u8>) -> Result<(), Unmappable>,
    {
        dialect.check(columns)?;
        let signs = Signs::new(dialect, &encode)?;
        let other = match dialect.eol {
            Eol::CrLf => Signs::new(&Dialect { eol: Eol::Lf, ..dialect.clone() }, &encode).ok(),
            _ => None,
        };
        let names = columns.iter().map(|column| Arc::from(column.field.as_str())).collect();
        Ok(Reader { dialect, columns, decode, signs, other, names })
    }

    /// Reads a whole file with so many fixed lines before its header and behind its last record.
    pub fn read(&self, file: &[u8], lead: usize, trail: usize) -> Result<Sheet, Torn> {
        let has = |eol: &[u8]| file.windows(eol.len()).any(|part| part == eol);
        let Some(other) = self.other.as_ref().filter(|other| has(&other.eol)) else {
            return self.whole(file, lead, trail);
        };
        let (never, free) = (!has(&self.signs.eol), self.dialect.eol_free);
        let as_said = || match self.whole(file, lead, trail) {
            Err(Torn { .. }) if never => Err(Torn { line: 1, field: "line".to_owned(), code: Code::LineEnd }),
            read => read,
        };
        if !free {
            return as_said();
        }
        let Reader { dialect, columns, decode, names, .. } = self;
        let as_is = Reader { dialect, columns, decode, signs: other.clone(), other: None, names: names.clone() };
        if never {
            return as_is.whole(file, lead, trail);
        }
        // There may be line breaks of the one kind in a text, among those of the other.
        self.whole(file, lead, trail).or_else(|torn| as_is.whole(file, lead, trail).map_err(|_| torn))
    }

    fn whole(&self, file: &[u8], lead: usize, trail: usize) -> Result<Sheet, Torn> {
        let mut rest = file.strip_prefix(self.signs.bom.as_slice()).unwrap_or(file);
        while let Some((last, before)) = rest.split_last()
            && Some(*last) == self.dialect.eof
        {
            rest = before;
        }
        let mut line = 0;
        let leads = (0..lead).map(|_| self.first_line(&mut rest, &mut line)).collect::<Result<_, _>>()?;
        let mut trails = Vec::new();
        for _ in 0..trail {
            trails.push(self.last_line(&mut rest)?);
        }
        trails.reverse();
        if self.dialect.header != Header::Off {
            line += 1;
            self.header(&mut rest, line)?;
        }
        let mut rows = Vec::new();
        while !rest.is_empty() {
            line += 1;
            rows.push(self.record(&mut rest, line)?);
        }
        Ok(Sheet { lead: leads, rows, trail: trails })
    }

    /// Takes a line from the front.
    fn first_line(&self, rest: &mut &[u8], line: &mut usize) -> Result<String, Torn> {
        *line += 1;
        let torn = |code| Torn { line: *line, field: "line".to_owned(), code };
        if rest.is_empty() {
            return Err(torn(Code::FieldCount));
        }
        let text = self.up_to_eol(rest);
        (self.decode)(text).ok_or_else(|| torn(Code::BadCharacter))
    }

    fn up_to_eol<'b>(&self, rest: &mut &'b [u8]) -> &'b [u8] {
        let eol = self.signs.eol.as_slice();
        let end = rest.windows(eol.len()).position(|part| part == eol);
        let (text, after) = match end {
            Some(end) => (rest.get(..end), rest.get(end + eol.len()..)),
            None => (Some(*rest), None),
        };
        *rest = after.unwrap_or_default();
        text.unwrap_or_default()
    }

    /// Takes a line from the end.
    fn last_line(&self, rest: &mut &[u8]) -> Result<String, Torn> {
        let eol = self.signs.eol.as_slice();
        let torn = |code| Torn { line: 0, field: "last lines".to_owned(), code };
        let body = rest.strip_suffix(eol).unwrap_or(rest);
        if body.is_empty() {
            return Err(torn(Code::FieldCount));
        }
        let start = body.windows(eol.len()).rposition(|part| part == eol).map_or(0, |at| at + eol.len());
        let (before, text) = body.split_at_checked(start).unwrap_or((&[], body));
        *rest = before;
        (self.decode)(text).ok_or_else(|| torn(Code::BadCharacter))
    }

    fn header(&self, rest: &mut &[u8], line: usize) -> Result<(), Torn> {
        let torn = |code| Torn { line, field: "header".to_owned(), code };
        let tokens = self.tokens(rest, line, self.dialect.header == Header::Quoted || self.quotes())?;
        let names = tokens.iter().map(|token| (self.decode)(&token.bytes)).collect::<Option<Vec<String>>>();
        let names = names.ok_or_else(|| torn(Code::BadCharacter))?;
        let fixed = self.dialect.delimiter.is_none();
        let shown = |name: &String| if fixed { name.trim_end().to_owned() } else { name.clone() };
        match names.iter().map(shown).eq(self.columns.iter().map(|column| column.name.clone())) {
            true => Ok(()),
            false => Err(torn(Code::OtherHeader)),
        }
    }

    fn record(&self, rest: &mut &[u8], line: usize) -> Result<Record, Torn> {
        let tokens = self.tokens(rest, line, self.quotes())?;
        let mut values = Vec::with_capacity(tokens.len());
        for (token, column) in tokens.iter().zip(self.columns) {
            let value = self.value(token, column);
            values.push(value.map_err(|code| Torn { line, field: column.field.clone(), code })?);
        }
        Ok(Record::shared(&self.names, values))
    }

    fn value(&self, token: &Token, column: &Column) -> Result<Value, Code> {
        let mut text = (self.decode)(&token.bytes).ok_or(Code::BadCharacter)?;
        if column.width.is_some() {
            text.truncate(text.trim_end().len());
        }
        if !token.quoted && text == self.dialect.null {
            return if column.required { Err(Code::Null) } else { Ok(Value::Null) };
        }
        column.value(text.into())
    }

    fn quotes(&self) -> bool {
        self.dialect.quote != Quote::Never
    }

    /// The fields of the next record, as many as there are columns.
    fn tokens<'b>(&self, rest: &mut &'b [u8], line: usize, quotes: bool) -> Result<Vec<Token<'b>>, Torn> {
        let torn = |field: &str, code| Torn { line, field: field.to_owned(), code };
        if self.dialect.delimiter.is_none() {
            return self.fixed(self.up_to_eol(rest)).ok_or_else(|| torn("line", Code::Length));
        }
        let mut tokens = Vec::with_capacity(self.columns.len());
        loop {
            let name = self.columns.get(tokens.len()).map_or("line", |column| column.field.as_str());
            tokens.push(self.token(rest, quotes).map_err(|code| torn(name, code))?);
            if let Some(after) = rest.strip_prefix(self.signs.delimiter.as_slice()) {
                *rest = after;
                continue;
            }
            *rest = rest.strip_prefix(self.signs.eol.as_slice()).unwrap_or(rest);
            break;
        }
        if self.dialect.trailing_delimiter && !tokens.pop().is_some_and(|last| last.bytes.is_empty() && !last.quoted) {
            return Err(torn("line", Code::FieldCount));
        }
        match tokens.len() == self.columns.len() {
            true => Ok(tokens),
            false => Err(torn("line", Code::FieldCount)),
        }
    }

    /// The columns of a line of fixed width.
    fn fixed<'b>(&self, mut line: &'b [u8]) -> Option<Vec<Token<'b>>> {
        let mut tokens = Vec::with_capacity(self.columns.len());
        for column in self.columns {
            let (bytes, after) = line.split_at_checked(column.width?)?;
            tokens.push(Token { bytes: Cow::Borrowed(bytes), quoted: false });
            line = after;
        }
        line.is_empty().then_some(tokens)
    }

    /// The field at the front, up to its delimiter or the end of its line.
    fn token<'b>(&self, rest: &mut &'b [u8], quotes: bool) -> Result<Token<'b>, Code> {
        let signs = &self.signs;
        if quotes && let Some(inside) = rest.strip_prefix(signs.quote.as_slice()) {
            let (bytes, after) = self.quoted(inside)?;
            if !(after.is_empty() || after.starts_with(&signs.delimiter) || after.starts_with(&signs.eol)) {
                return Err(Code::AfterQuote);
            }
            *rest = after;
            return Ok(Token { bytes: Cow::Owned(bytes), quoted: true });
        }
        let escapes = quotes && self.dialect.escape == Escape::Backslash;
        let mut bytes = Cow::Borrowed(&[][..]);
        let (mut at, text) = (0, *rest);
        while let Some(left) = text.get(at..).filter(|left| !left.is_empty()) {
            if left.starts_with(&signs.delimiter) || left.starts_with(&signs.eol) {
                break;
            }
            if escapes && let Some(escaped) = left.strip_prefix(signs.backslash.as_slice()) {
                bytes.to_mut().extend(escaped.first());
                at += signs.backslash.len() + 1;
                continue;
            }
            match &mut bytes {
                Cow::Borrowed(kept) if kept.len() == at => *kept = text.get(..=at).unwrap_or_default(),
                other => other.to_mut().extend(left.first()),
            }
            at += 1;
        }
        *rest = text.get(at..).unwrap_or_default();
        Ok(Token { bytes, quoted: false })
    }

    /// What stands before the closing quote, and what behind it.
    fn quoted<'b>(&self, inside: &'b [u8]) -> Result<(Vec<u8>, &'b [u8]), Code> {
        let quote = self.signs.quote.as_slice();
        let mut bytes = Vec::new();
        let mut left = inside;
        while let Some((first, after)) = left.split_first() {
            if self.dialect.escape == Escape::Backslash
                && let Some(escaped) = left.strip_prefix(self.signs.backslash.as_slice())
            {
                let (char, after) = escaped.split_first().ok_or(Code::UnclosedQuote)?;
                bytes.push(*char);
                left = after;
            } else if let Some(after) = left.strip_prefix(quote) {
                match after.strip_prefix(quote) {
                    Some(after) if self.dialect.escape == Escape::Double => {
                        bytes.extend_from_slice(quote);
                        left = after;
                    }
                    _ => return Ok((bytes, after)),
                }
            } else {
                bytes.push(*first);
                left = after;
            }
        }
        Err(Code::UnclosedQuote)
    }
}
