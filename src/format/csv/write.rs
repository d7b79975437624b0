//! Records to the bytes of a file.

use super::cell::Cell;
use super::{Code, Column, Dialect, Eol, Escape, Header, Misfit, Quote, Unmappable, is_break};
use crate::event::{Record, Value};

/// The bytes of a dialect's signs in a code page.
#[derive(Clone, Debug)]
pub(super) struct Signs {
    /// Empty when columns have a fixed width.
    pub(super) delimiter: Vec<u8>,
    pub(super) quote: Vec<u8>,
    pub(super) backslash: Vec<u8>,
    pub(super) eol: Vec<u8>,
    pub(super) space: Vec<u8>,
    pub(super) bom: Vec<u8>,
}

impl Signs {
    pub(super) fn new<E>(dialect: &Dialect, encode: &E) -> Result<Signs, String>
    where
        E: Fn(&str, &mut Vec<u8>) -> Result<(), Unmappable>,
    {
        let bytes = |what: &str, text: &str| {
            let mut out = Vec::new();
            match encode(text, &mut out) {
                Ok(()) => Ok(out),
                Err(Unmappable) => Err(format!("the code page has no {what}")),
            }
        };
        let quotes = dialect.quote != Quote::Never || dialect.header == Header::Quoted;
        let if_used = |used: bool, what: &str, text: &str| if used { bytes(what, text) } else { Ok(Vec::new()) };
        let signs = Signs {
            delimiter: bytes("such delimiter", &dialect.delimiter.map(String::from).unwrap_or_default())?,
            quote: if_used(quotes, "such quote", &dialect.quote_char.to_string())?,
            backslash: if_used(quotes && dialect.escape == Escape::Backslash, "backslash", "\\")?,
            eol: match &dialect.eol {
                Eol::CrLf => bytes("line break", "\r\n")?,
                Eol::Lf => bytes("line feed", "\n")?,
                Eol::Cr => bytes("carriage return", "\r")?,
                Eol::Nl => vec![0x15],
                Eol::Bytes(bytes) => bytes.clone(),
            },
            space: bytes("space", " ")?,
            bom: if_used(dialect.bom, "byte order mark", "\u{feff}")?,
        };
        let used = [(dialect.delimiter.is_some(), &signs.delimiter), (quotes, &signs.quote), (true, &signs.eol)];
        if used.iter().any(|(used, sign)| *used && sign.is_empty()) {
            return Err("the code page gives no bytes for the signs of the dialect".to_owned());
        }
        let inside = |sign: &[u8]| !sign.is_empty() && signs.eol.windows(sign.len()).any(|part| part == sign);
        if inside(&signs.delimiter) || inside(&signs.quote) {
            return Err("what ends a line has the delimiter or the quote in it".to_owned());
        }
        if let Some(char) = dialect.replacement {
            bytes("such replacement", &char.to_string())?;
        }
        bytes("such word for null", &dialect.null)?;
        Ok(signs)
    }
}

/// Writes one file: [`start`](Writer::start), [`row`](Writer::row) for each record, [`end`](Writer::end). Bytes are
/// appended to `out`; what cannot be written leaves it as it was.
#[derive(Debug)]
pub struct Writer<'d, E> {
    dialect: &'d Dialect,
    columns: &'d [Column],
    encode: E,
    signs: Signs,
    /// Whether a line was written, which the next one ends when lines have an end between them only.
    lines: bool,
    cells: Vec<Cell>,
}

impl<'d, E> Writer<'d, E>
where
    E: Fn(&str, &mut Vec<u8>) -> Result<(), Unmappable>,
{
    /// A writer; `encode` appends the bytes of a text in the file's code page. The error is about the configuration.
    pub fn new(dialect: &'d Dialect, columns: &'d [Column], encode: E) -> Result<Writer<'d, E>, String> {
        dialect.check(columns)?;
        let signs = Signs::new(dialect, &encode)?;
        let mut writer = Writer { dialect, columns, encode, signs, lines: false, cells: Vec::new() };
        writer.names(&mut Vec::new()).map_err(|misfit| format!("the header cannot be written: {misfit}"))?;
        writer.lines = false;
        Ok(writer)
    }

    /// The byte order mark, the fixed lines of the header, and the names of the columns.
    pub fn start(&mut self, lines: &[String], out: &mut Vec<u8>) -> Result<(), Misfit> {
        let before = out.len();
        out.extend_from_slice(&self.signs.bom);
        let done = lines.iter().try_for_each(|line| self.line(line, out)).and_then(|()| self.names(out));
        if done.is_err() {
            out.truncate(before);
        }
        done
    }

    /// A line as it is, without quotes.
    pub fn line(&mut self, text: &str, out: &mut Vec<u8>) -> Result<(), Misfit> {
        let before = out.len();
        let misfit = |code| Misfit { field: "line".to_owned(), code };
        if text.contains(is_break) {
            return Err(misfit(Code::LineBreak));
        }
        self.begin(out);
        if let Err(code) = self.text(text, out) {
            out.truncate(before);
            return Err(misfit(code));
        }
        self.finish(out);
        Ok(())
    }

    /// A record. `encoded` gets each field that is not null as totals want it: its name, and its text, or the plain digits
    /// of a number (`-12.50`; implied places are digits like all others). It is called only when the whole record fits.
    pub fn row(
        &mut self,
        record: &Record,
        out: &mut Vec<u8>,
        mut encoded: impl FnMut(&str, &str),
    ) -> Result<(), Misfit> {
        let before = out.len();
        self.cells.clear();
        for column in self.columns {
            let misfit = |code| Misfit { field: column.field.clone(), code };
            let value = record.get(&column.field).unwrap_or(&Value::Null);
            self.cells.push(column.cell(value, self.dialect).map_err(misfit)?);
        }
        self.begin(out);
        for (nth, (column, cell)) in self.columns.iter().zip(&self.cells).enumerate() {
            if let Err(code) = self.cell(nth, column, cell, self.dialect.quote, out) {
                out.truncate(before);
                return Err(Misfit { field: column.field.clone(), code });
            }
        }
        self.close(out);
        for (column, cell) in self.columns.iter().zip(&self.cells) {
            match cell {
                Cell::Null => {}
                Cell::Text(text) => encoded(&column.field, text),
                Cell::Number { digits, .. } => encoded(&column.field, digits),
            }
        }
        Ok(())
    }

    /// The fixed lines of the trailer, and what ends the file.
    pub fn end(&mut self, lines: &[String], out: &mut Vec<u8>) -> Result<(), Misfit> {
        let before = out.len();
        let done = lines.iter().try_for_each(|line| self.line(line, out));
        if done.is_err() {
            out.truncate(before);
        }
        out.extend(self.dialect.eof.filter(|_| done.is_ok()));
        done
    }

    /// The names of the columns.
    fn names(&mut self, out: &mut Vec<u8>) -> Result<(), Misfit> {
        let quote = match self.dialect.header {
            Header::Off => return Ok(()),
            Header::Quoted => Quote::Always,
            Header::Plain => self.dialect.quote,
        };
        self.begin(out);
        for (nth, column) in self.columns.iter().enumerate() {
            let name = Cell::Text(column.name.clone());
            self.cell(nth, column, &name, quote, out).map_err(|code| Misfit { field: column.name.clone(), code })?;
        }
        self.close(out);
        Ok(())
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if self.lines && !self.dialect.final_eol {
            out.extend_from_slice(&self.signs.eol);
        }
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        if self.dialect.trailing_delimiter {
            out.extend_from_slice(&self.signs.delimiter);
        }
        self.finish(out);
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.lines = true;
        if self.dialect.final_eol {
            out.extend_from_slice(&self.signs.eol);
        }
    }

    /// One cell with the delimiter in front of it.
    fn cell(&self, nth: usize, column: &Column, cell: &Cell, quote: Quote, out: &mut Vec<u8>) -> Result<(), Code> {
        if nth > 0 {
            out.extend_from_slice(&self.signs.delimiter);
        }
        let start = out.len();
        let dialect = self.dialect;
        let text = match cell {
            Cell::Null => dialect.null.as_str(),
            cell => cell.text(),
        };
        if let Some(width) = column.width {
            if text.contains(is_break) {
                return Err(Code::LineBreak);
            }
            let number = matches!(cell, Cell::Number { .. });
            self.text(text, out)?;
            let mut chars = text.chars();
            while column.truncate && !number && out.len() - start > width && chars.next_back().is_some() {
                out.truncate(start);
                self.text(chars.as_str(), out)?;
            }
            return self.fill(start, width, number, out);
        }
        if *cell == Cell::Null {
            return self.text(text, out);
        }
        let quoted = match (quote, cell) {
            (Quote::Never, _) => {
                self.bare(text)?;
                false
            }
            (Quote::Always, _) | (Quote::TextOnly, Cell::Text(_)) => true,
            (Quote::Minimal | Quote::TextOnly, _) => self.needs_quotes(text),
        };
        if !quoted {
            return self.text(text, out);
        }
        out.extend_from_slice(&self.signs.quote);
        match dialect.escape {
            Escape::None if text.contains(dialect.quote_char) => return Err(Code::Quote),
            Escape::Double if text.contains(dialect.quote_char) => {
                self.text(&text.replace(dialect.quote_char, &String::from_iter([dialect.quote_char; 2])), out)?;
            }
            Escape::Backslash if text.contains([dialect.quote_char, '\\']) => {
                let escaped = text.chars().flat_map(|char| {
                    let escape = (char == dialect.quote_char || char == '\\').then_some('\\');
                    escape.into_iter().chain([char])
                });
                self.text(&escaped.collect::<String>(), out)?;
            }
            _ => self.text(text, out)?,
        }
        out.extend_from_slice(&self.signs.quote);
        Ok(())
    }

    /// Whether a text could not be read back, or not as itself, without quotes.
    fn needs_quotes(&self, text: &str) -> bool {
        let dialect = self.dialect;
        let special = |char: char| {
            Some(char) == dialect.delimiter
                || char == dialect.quote_char
                || is_break(char)
                || (char == '\\' && dialect.escape == Escape::Backslash)
        };
        text == dialect.null || text.contains(special) || self.ends_early(text)
    }

    /// Whether a text can stand without quotes where there are none.
    fn bare(&self, text: &str) -> Result<(), Code> {
        match text {
            text if self.dialect.delimiter.is_some_and(|delimiter| text.contains(delimiter)) => Err(Code::Delimiter),
            text if text.contains(is_break) => Err(Code::LineBreak),
            text if self.ends_early(text) => Err(Code::Delimiter),
            // Where null is nothing, null and empty are the same by the dialect's own choice.
            text if text == self.dialect.null && !text.is_empty() => Err(Code::LooksNull),
            _ => Ok(()),
        }
    }

    /// Whether a reader that looks for the bytes that end a line would find them before the end of this text.
    fn ends_early(&self, text: &str) -> bool {
        let Eol::Bytes(eol) = &self.dialect.eol else { return false };
        let mut bytes = Vec::new();
        if self.text(text, &mut bytes).is_err() {
            return false;
        }
        let end = bytes.len();
        bytes.extend_from_slice(eol);
        bytes.windows(eol.len()).position(|part| part == eol.as_slice()) != Some(end)
    }

    /// Fills a cell of fixed width up with spaces: numbers stand right, all else left.
    fn fill(&self, start: usize, width: usize, right: bool, out: &mut Vec<u8>) -> Result<(), Code> {
        let length = out.len() - start;
        let missing = width.checked_sub(length).ok_or(Code::Overflow)?;
        if out.get(start..).is_some_and(|cell| cell.windows(self.signs.eol.len()).any(|part| part == self.signs.eol)) {
            return Err(Code::LineBreak);
        }
        let spaces = self.signs.space.iter().copied().cycle().take(missing * self.signs.space.len());
        match right {
            true => drop(out.splice(start..start, spaces)),
            false => out.extend(spaces),
        }
        Ok(())
    }

    /// Text in the code page, with the replacement for what it does not have.
    fn text(&self, text: &str, out: &mut Vec<u8>) -> Result<(), Code> {
        let before = out.len();
        if (self.encode)(text, out).is_ok() {
            return Ok(());
        }
        out.truncate(before);
        let replacement = self.dialect.replacement.ok_or(Code::Unmappable)?;
        for char in text.chars() {
            let start = out.len();
            if (self.encode)(char.encode_utf8(&mut [0; 4]), out).is_err() {
                out.truncate(start);
                (self.encode)(replacement.encode_utf8(&mut [0; 4]), out).map_err(|Unmappable| Code::Unmappable)?;
            }
        }
        Ok(())
    }
}
