//! The lines of a copybook as they were received, to the text that they mean.
//!
//! Source: IBM Enterprise COBOL Language Reference, "Reference format".

use crate::format::copybook::Format;

/// The text of a copybook without its margins, comments and continuations: one line for each line of COBOL.
#[derive(Debug, Default)]
pub(super) struct Text {
    /// The text; lines end with `\n`.
    pub text: String,
    /// Where the text of a line of the file begins: position, line from 1. In order.
    pub lines: Vec<(usize, u32)>,
    /// Lines that cannot be read, and why.
    pub wrong: Vec<(u32, String)>,
    /// The first line that has a word across column 72.
    pub cut: Option<u32>,
}

impl Text {
    /// The line of the file that a position of the text came from.
    pub fn line(&self, at: usize) -> u32 {
        let found = self.lines.partition_point(|(start, _)| *start <= at);
        found.checked_sub(1).and_then(|before| self.lines.get(before)).map_or(0, |(_, line)| *line)
    }
}

/// Columns of the areas A and B, which follow column 7.
const AREA: usize = 65;

/// Reads the lines of a copybook.
pub(super) fn read(source: &str, format: Format) -> Text {
    let mut read = Text::default();
    // A quote that the line before left open.
    let mut open = None;
    // The mark of the end of a DOS file.
    for (number, line) in (1_u32..).zip(source.trim_end_matches('\u{1a}').lines()) {
        if format == Format::Fixed && read.cut.is_none() && is_cut(line) {
            read.cut = Some(number);
        }
        let (indicator, area) = match format {
            Format::Fixed => columns(line),
            Format::Free => free(line),
        };
        match indicator {
            ' ' => {
                start(&mut read, number);
                open = append(&mut read.text, &area, None);
            }
            '-' => continued(&mut read, number, &area, &mut open),
            '*' | '/' | 'D' | 'd' => {}
            other => {
                let other = other.escape_default();
                read.wrong.push((
                    number,
                    format!("column 7 holds `{other}`, which is no indicator; is the file in free format?"),
                ));
            }
        }
    }
    read.text.push('\n');
    read
}

fn start(read: &mut Text, number: u32) {
    if !read.text.is_empty() {
        read.text.push('\n');
    }
    read.lines.push((read.text.len(), number));
}

/// Whether a word stands across the end of what counts, and is no number of a card.
fn is_cut(line: &str) -> bool {
    let mut rest = line.chars().skip(6 + AREA);
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || "-()'\"".contains(c));
    let comment = line.chars().nth(6).is_some_and(|indicator| indicator != ' ' && indicator != '-');
    !comment && is_word(rest.next()) && is_word(rest.next())
}

/// Column 7 and columns 8 to 72; tabs reach to the next eighth column.
fn columns(line: &str) -> (char, String) {
    let mut all = String::with_capacity(80);
    let mut column = 0;
    for c in line.trim_end_matches('\r').chars() {
        if c == '\t' {
            let to = (column / 8 + 1) * 8;
            all.extend(std::iter::repeat_n(' ', to - column));
            column = to;
        } else {
            all.push(c);
            column += 1;
        }
    }
    let mut rest = all.chars().skip(6);
    let indicator = rest.next().unwrap_or(' ');
    (indicator, rest.take(AREA).collect())
}

/// A line of free format: comments begin with `*`, or with `*>` anywhere.
fn free(line: &str) -> (char, String) {
    let indicator = if line.trim_start().starts_with(['*', '/']) { '*' } else { ' ' };
    (indicator, line.replace('\t', " ").trim_end_matches('\r').to_owned())
}

/// Joins a continuation line to the one before: a literal goes on after its second opening quote, a word at once.
fn continued(read: &mut Text, number: u32, area: &str, open: &mut Option<char>) {
    let rest = area.trim_start();
    match *open {
        Some(quote) if rest.starts_with(quote) => {
            // The literal reaches to column 72 of the line before, blanks included.
            let line = read.text.rfind('\n').map_or(0, |at| at + 1);
            let missing = AREA.saturating_sub(read.text[line..].chars().count());
            if read.lines.last().is_some_and(|(start, _)| *start == line) {
                read.text.extend(std::iter::repeat_n(' ', missing));
            }
            read.lines.push((read.text.len(), number));
            *open = append(&mut read.text, &rest[quote.len_utf8()..], Some(quote));
        }
        Some(quote) => {
            read.wrong
                .push((number, format!("the literal of the line before goes on, so the line begins with {quote}")));
            *open = None;
        }
        None => {
            read.text.truncate(read.text.trim_end_matches(' ').len());
            read.lines.push((read.text.len(), number));
            *open = append(&mut read.text, rest, None);
        }
    }
}

/// Appends a line up to its comment; gives the quote that it leaves open.
fn append(text: &mut String, line: &str, mut open: Option<char>) -> Option<char> {
    let mut before = ' ';
    for (at, c) in line.char_indices() {
        match open {
            Some(quote) if c == quote => open = None,
            Some(_) => {}
            None if c == '\'' || c == '"' => open = Some(c),
            None if before == ' ' && line[at..].starts_with("*>") => {
                text.push_str(&line[..at]);
                return None;
            }
            None => {}
        }
        before = c;
    }
    text.push_str(line);
    open
}
