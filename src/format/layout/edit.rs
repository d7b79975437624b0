//! Pictures with editing symbols: `ZZ,ZZ9.99-`, `99/99/9999`, `XXBXX`.
//!
//! Source: IBM Enterprise COBOL Language Reference, "PICTURE clause editing".

/// A picture with editing symbols.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edited {
    /// What stands at each place.
    pub symbols: Vec<Symbol>,
    /// Whether it is a number; else text with characters between.
    pub number: bool,
    /// Digits of the number, or characters of the text.
    pub digits: usize,
    /// Decimal places.
    pub scale: i8,
    /// Whether it shows that a number is below zero.
    pub signed: bool,
    /// Whether a zero leaves nothing but spaces, or asterisks: no digit of it is always there.
    pub vanishes: bool,
    /// BLANK WHEN ZERO.
    pub blank_when_zero: bool,
}

/// One symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symbol {
    /// X or A, and 9 in a text.
    Character,
    /// 9: a digit.
    Digit,
    /// Z or *: a digit, or this instead of a leading zero.
    Suppress(char),
    /// The first of several +, - or $: where it stands is not yet known.
    First(char),
    /// The others: a digit, or the sign before it, or a space.
    Float(char),
    /// B, 0, / or a comma.
    Insert(char),
    /// A decimal point.
    Point,
    /// V: a point that takes no place.
    Implied,
    /// A single + or -.
    Sign(char),
    /// A single $.
    Currency,
    /// CR or DB: two places.
    Credit(&'static str),
}

impl Symbol {
    /// Bytes that it takes.
    pub fn length(self) -> usize {
        match self {
            Symbol::Implied => 0,
            Symbol::Credit(_) => 2,
            _ => 1,
        }
    }

    /// Whether a digit of the number, or a character of the text, may stand there.
    pub fn is_place(self) -> bool {
        matches!(self, Symbol::Character | Symbol::Digit | Symbol::Suppress(_) | Symbol::Float(_))
    }
}

impl Edited {
    /// Reads a picture in upper case, with its repetitions written out.
    pub fn parse(picture: &str, most: usize) -> Result<Edited, String> {
        let symbols = if picture.contains(['X', 'A']) { text(picture)? } else { number(picture)? };
        let count = |symbols: &[Symbol]| symbols.iter().filter(|symbol| symbol.is_place()).count();
        let point = symbols.iter().position(|symbol| matches!(symbol, Symbol::Point | Symbol::Implied));
        let places = point.map_or(0, |point| count(&symbols[point..]));
        let digits = count(&symbols);
        let is_number = !symbols.contains(&Symbol::Character);
        if digits == 0 {
            return Err("an edited picture without a place for a digit".to_owned());
        }
        if is_number && digits > most {
            return Err(format!("{digits} digits; {most} are the most"));
        }
        let scale = i8::try_from(places).map_err(|_| "too many decimal places".to_owned())?;
        let shows = |symbol: &Symbol| {
            matches!(symbol, Symbol::Sign(_) | Symbol::Credit(_) | Symbol::First('+' | '-') | Symbol::Float('+' | '-'))
        };
        let signed = symbols.iter().any(shows);
        let vanishes = is_number && !symbols.contains(&Symbol::Digit);
        Ok(Edited { number: is_number, digits, scale, signed, vanishes, blank_when_zero: false, symbols })
    }

    /// Bytes of the item.
    pub fn length(&self) -> usize {
        self.symbols.iter().map(|symbol| symbol.length()).sum()
    }
}

fn text(picture: &str) -> Result<Vec<Symbol>, String> {
    picture
        .chars()
        .map(|symbol| match symbol {
            'X' | 'A' | '9' => Ok(Symbol::Character),
            'B' | '0' | '/' => Ok(Symbol::Insert(symbol)),
            other => Err(format!("`{other}` does not go with X and A in a picture")),
        })
        .collect()
}

/// `[sign] [$] digits [. digits] [sign]`, with B 0 / and commas between.
fn number(picture: &str) -> Result<Vec<Symbol>, String> {
    const ORDER: &str = "the symbols of the edited picture do not follow one another so";
    let all: Vec<char> = picture.chars().collect();
    let float = ['+', '-', '$'].into_iter().find(|sign| all.iter().filter(|symbol| *symbol == sign).count() > 1);
    let mut symbols: Vec<Symbol> = Vec::with_capacity(all.len());
    let mut rest = all.iter().copied().peekable();
    while let Some(symbol) = rest.next() {
        let first = !symbols.contains(&Symbol::First(symbol));
        symbols.push(match symbol {
            '9' => Symbol::Digit,
            'Z' => Symbol::Suppress(' '),
            '*' => Symbol::Suppress('*'),
            'B' | '0' | '/' | ',' => Symbol::Insert(symbol),
            '.' => Symbol::Point,
            'V' => Symbol::Implied,
            'C' if rest.next_if_eq(&'R').is_some() => Symbol::Credit("CR"),
            'D' if rest.next_if_eq(&'B').is_some() => Symbol::Credit("DB"),
            sign @ ('+' | '-' | '$') if float == Some(sign) && first => Symbol::First(sign),
            sign @ ('+' | '-' | '$') if float == Some(sign) => Symbol::Float(sign),
            sign @ ('+' | '-') => Symbol::Sign(sign),
            '$' => Symbol::Currency,
            'P' => return Err("P in an edited picture is not supported".to_owned()),
            other => return Err(format!("`{}` is no symbol of an edited picture", other.escape_default())),
        });
    }
    check(&symbols).ok_or_else(|| ORDER.to_owned())?;
    Ok(symbols)
}

/// Whether the symbols follow one another as COBOL has them.
fn check(symbols: &[Symbol]) -> Option<()> {
    let last = symbols.len().checked_sub(1)?;
    // What was met: 9, a point, signs; and what floats or fills.
    let (mut digit, mut point, mut signs, mut way) = (false, false, 0, None);
    for (at, symbol) in symbols.iter().enumerate() {
        let begins = symbols[..at].iter().all(|before| matches!(before, Symbol::Sign(_) | Symbol::Insert(_)));
        match *symbol {
            Symbol::Digit => digit = true,
            Symbol::Suppress(c) | Symbol::First(c) | Symbol::Float(c) => {
                if digit || way.replace(c).is_some_and(|before| before != c) {
                    return None;
                }
                signs += usize::from(matches!(symbol, Symbol::First('+' | '-')));
            }
            Symbol::Point | Symbol::Implied if point => return None,
            Symbol::Point if at == last => return None,
            Symbol::Point | Symbol::Implied => point = true,
            Symbol::Sign(_) if at != 0 && at != last => return None,
            Symbol::Credit(_) if at != last => return None,
            Symbol::Sign(_) | Symbol::Credit(_) => signs += 1,
            Symbol::Currency if !begins => return None,
            Symbol::Insert(',') if at == last => return None,
            Symbol::Currency | Symbol::Insert(_) | Symbol::Character => {}
        }
    }
    // Of suppressed digits behind the point all are suppressed.
    let behind = symbols.iter().skip_while(|s| !matches!(s, Symbol::Point | Symbol::Implied));
    let (some, all) = behind.filter(|s| s.is_place()).fold((false, true), |(some, all), s| {
        let suppressed = *s != Symbol::Digit;
        (some | suppressed, all & suppressed)
    });
    (signs <= 1 && (!some || all)).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edited_picture_has_its_digits_places_and_length() {
        for (picture, digits, scale, signed, vanishes, length) in [
            ("ZZ,ZZ9.99-", 7, 2, true, false, 10),
            ("99/99/9999", 8, 0, false, false, 10),
            ("----9.99", 6, 2, true, false, 8),
            ("$$,$$9.99CR", 6, 2, true, false, 11),
            ("**,***.99", 7, 2, false, false, 9),
            ("ZZZ.ZZ", 5, 2, false, true, 6),
            ("+999V99", 5, 2, true, false, 6),
            ("XXBXX/99", 6, 0, false, false, 8),
        ] {
            let edited = Edited::parse(picture, 18).map(|e| (e.digits, e.scale, e.signed, e.vanishes, e.length()));
            assert_eq!(edited, Ok((digits, scale, signed, vanishes, length)), "{picture}");
        }
        for picture in
            ["9Z", "Z*9", "9.9.9", "99-99", "CR99", "9$", "+99-", "ZZ.Z9", "9.", "//", "X.X", "99P", "ZZ.99Z", "++9-"]
        {
            assert!(Edited::parse(picture, 18).is_err(), "{picture}");
        }
    }
}
