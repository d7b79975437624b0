//! Items with editing symbols: numbers and texts as people read them.
//!
//! Source: IBM Enterprise COBOL Language Reference, "PICTURE clause editing".

use crate::event::Value;
use crate::format::codepage::CodePage;
use crate::format::fixed::cell::has_controls;
use crate::format::fixed::number::{Scaled, scaled, tens, valued};
use crate::format::fixed::{Code, Round};
use crate::format::layout::{Edited, Symbol};

/// An edited item.
#[derive(Clone, Debug)]
pub(super) struct Editing {
    pub page: &'static CodePage,
    pub edited: Edited,
    pub round: Round,
}

impl Editing {
    /// Appends the bytes of a value.
    pub fn encode(&self, value: &Value, out: &mut Vec<u8>) -> Result<(), Code> {
        let shown = if self.edited.number {
            self.number(scaled(value, self.edited.scale, self.round)?)?
        } else {
            self.text(&value.as_text().ok_or(Code::Kind)?)?
        };
        self.page.encode(&shown, None, out).map_err(|_| Code::Unmappable)
    }

    /// The value of bytes. Whatever stands there besides digits is what the same value would show, or it is damage.
    pub fn decode(&self, bytes: &[u8]) -> Result<Value, Code> {
        let shown: Vec<char> = self.page.decode(bytes).map_err(|_| Code::BadCharacter)?.chars().collect();
        let mut at = 0;
        let mut places = String::new();
        let mut negative = false;
        for symbol in &self.edited.symbols {
            let end = at + symbol.length();
            let own = shown.get(at..end).unwrap_or_default();
            match symbol {
                symbol if symbol.is_place() && self.edited.number => {
                    places.extend(own.iter().map(|c| if c.is_ascii_digit() { *c } else { '0' }));
                }
                symbol if symbol.is_place() => places.extend(own),
                Symbol::Credit(_) => negative |= own.first() != Some(&' '),
                _ => {}
            }
            negative |= own.first() == Some(&'-');
            at = end;
        }
        if !self.edited.number {
            let text = places.trim_end_matches(' ');
            let same = self.text(text).is_ok_and(|again| again.chars().eq(shown));
            return if same { Ok(Value::from(text)) } else { Err(Code::BadCharacter) };
        }
        let magnitude = places.parse().map_err(|_| Code::BadDigit)?;
        let number = Scaled { negative: negative && magnitude > 0, magnitude };
        let same = self.number(number).is_ok_and(|again| again.chars().eq(shown));
        if same { Ok(valued(number, self.edited.scale)) } else { Err(Code::BadDigit) }
    }

    fn text(&self, text: &str) -> Result<String, Code> {
        if has_controls(text) {
            return Err(Code::Control);
        }
        let mut rest = text.chars();
        let shown = self.edited.symbols.iter().map(|symbol| match symbol {
            Symbol::Insert('B') => ' ',
            Symbol::Insert(c) => *c,
            _ => rest.next().unwrap_or(' '),
        });
        let shown = shown.collect();
        if rest.any(|c| c != ' ') { Err(Code::Overflow) } else { Ok(shown) }
    }

    /// A number as it is shown.
    fn number(&self, Scaled { negative, magnitude }: Scaled) -> Result<String, Code> {
        let Edited { symbols, digits, signed, vanishes, blank_when_zero, .. } = &self.edited;
        if magnitude >= tens(*digits) {
            return Err(Code::Overflow);
        }
        if negative && !signed {
            return Err(Code::Negative);
        }
        let fill = if symbols.contains(&Symbol::Suppress('*')) { '*' } else { ' ' };
        if magnitude == 0 && (*vanishes || *blank_when_zero) {
            let point = |symbol: &Symbol| if fill == '*' && *symbol == Symbol::Point { '.' } else { fill };
            let shown = symbols.iter().flat_map(|symbol| std::iter::repeat_n(point(symbol), symbol.length()));
            return Ok(shown.collect());
        }
        let number = format!("{magnitude:0digits$}");
        let mut next = number.chars();
        let mut line = Line { shown: Vec::with_capacity(symbols.len() + 1), leading: None, begun: false, negative };
        for symbol in symbols {
            let digit = if symbol.is_place() { next.next().unwrap_or('0') } else { ' ' };
            match *symbol {
                Symbol::Digit | Symbol::Character => {
                    line.begin();
                    line.shown.push(digit);
                }
                Symbol::First(c) => {
                    line.leading = Some((Some(c), line.shown.len()));
                    line.shown.push(' ');
                }
                Symbol::Suppress(_) | Symbol::Float(_) if !line.begun && digit == '0' => line.suppress(fill),
                Symbol::Suppress(_) | Symbol::Float(_) => {
                    line.begin();
                    line.shown.push(digit);
                }
                // Between suppressed digits there is nothing to divide.
                Symbol::Insert(_) if line.leading.is_some() && !line.begun => line.suppress(fill),
                Symbol::Insert(c) => line.shown.push(if c == 'B' { ' ' } else { c }),
                Symbol::Point => {
                    line.begin();
                    line.shown.push('.');
                }
                Symbol::Implied => line.begin(),
                Symbol::Sign(c) => line.shown.push(line.sign(c)),
                Symbol::Currency => line.shown.push('$'),
                Symbol::Credit(word) if negative => line.shown.extend(word.chars()),
                Symbol::Credit(_) => line.shown.extend("  ".chars()),
            }
        }
        Ok(line.shown.into_iter().collect())
    }
}

/// A number that is being shown.
struct Line {
    shown: Vec<char>,
    /// Within leading zeros: what floats, and where it would stand now.
    leading: Option<(Option<char>, usize)>,
    /// Whether a digit that counts was met.
    begun: bool,
    negative: bool,
}

impl Line {
    /// Nothing, in the place of a leading zero.
    fn suppress(&mut self, fill: char) {
        let float = self.leading.and_then(|(float, _)| float);
        self.leading = Some((float, self.shown.len()));
        self.shown.push(fill);
    }

    /// Ends the leading zeros: what floats stands right before.
    fn begin(&mut self) {
        if let (false, Some((Some(c), at))) = (self.begun, self.leading) {
            let sign = self.sign(c);
            if let Some(place) = self.shown.get_mut(at) {
                *place = sign;
            }
        }
        self.begun = true;
    }

    fn sign(&self, c: char) -> char {
        match (c, self.negative) {
            ('+' | '-', true) => '-',
            ('-', false) => ' ',
            (c, _) => c,
        }
    }
}
