//! PICTURE strings.
//!
//! Source: IBM Enterprise COBOL Language Reference, "PICTURE clause".

use crate::format::layout::{Edited, RECORD_MAX};

/// What a picture describes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Picture {
    /// So many characters.
    Text(usize),
    /// Digits, places right of the decimal point, and whether it has a sign.
    Number { digits: u8, scale: i8, signed: bool },
    /// A number or a text with editing symbols.
    Edited(Edited),
}

/// Symbols of an edited picture, repetitions written out, at most.
const EDITED: usize = 255;

/// Reads a picture in upper case. A number may have `most` digits.
pub(super) fn read(text: &str, most: usize) -> Result<Picture, String> {
    let runs = runs(text)?;
    let is = |symbols: &str| runs.iter().all(|(symbol, _)| symbols.contains(*symbol));
    let has = |symbols: &str| runs.iter().any(|(symbol, _)| symbols.contains(*symbol));
    if let Some((symbol, _)) = runs.iter().find(|(symbol, _)| "NGUE1".contains(*symbol)) {
        return Err(match symbol {
            'N' | 'G' => format!("PICTURE {symbol} (two-byte characters) is not supported"),
            'E' => "PICTURE E (floating point) is not supported".to_owned(),
            other => format!("PICTURE {other} is not supported"),
        });
    }
    if let Some((symbol, _)) = runs.iter().find(|(symbol, _)| !"XA9SVPZ*+-,.$B0/CDR".contains(*symbol)) {
        return Err(format!("`{}` is no symbol of a picture", symbol.escape_default()));
    }
    if is("XA9") && has("XA") {
        return total(&runs).map(Picture::Text);
    }
    if is("9SVP") {
        return number(&runs, most);
    }
    if has("S") {
        return Err("S does not go with the other symbols of the picture".to_owned());
    }
    if total(&runs)? > EDITED {
        return Err(format!("an edited picture of more than {EDITED} symbols"));
    }
    let symbols: String = runs.iter().flat_map(|(symbol, times)| std::iter::repeat_n(*symbol, *times)).collect();
    Edited::parse(&symbols, most).map(Picture::Edited)
}

/// Symbols with their repetitions: `9(5)V99` is 9 five times, V once, 9 twice.
fn runs(text: &str) -> Result<Vec<(char, usize)>, String> {
    let mut runs: Vec<(char, usize)> = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(symbol) = rest.next() {
        if symbol == '(' || symbol == ')' {
            return Err("a repetition in a picture is a symbol, `(`, a number and `)`".to_owned());
        }
        let mut times = 1;
        if rest.next_if_eq(&'(').is_some() {
            let mut number = String::new();
            while let Some(digit) = rest.next_if(char::is_ascii_digit) {
                number.push(digit);
            }
            if rest.next() != Some(')') {
                return Err("a repetition in a picture is a symbol, `(`, a number and `)`".to_owned());
            }
            times = number
                .parse()
                .ok()
                .filter(|times| (1..=RECORD_MAX).contains(times))
                .ok_or_else(|| format!("a repetition in a picture is between 1 and {RECORD_MAX}"))?;
        }
        match runs.last_mut() {
            Some((before, so_far)) if *before == symbol => *so_far = so_far.saturating_add(times),
            _ => runs.push((symbol, times)),
        }
    }
    if runs.is_empty() { Err("the picture is empty".to_owned()) } else { Ok(runs) }
}

fn total(runs: &[(char, usize)]) -> Result<usize, String> {
    let total = runs.iter().fold(0_usize, |sum, (_, times)| sum.saturating_add(*times));
    if total > RECORD_MAX { Err(format!("longer than {RECORD_MAX} bytes")) } else { Ok(total) }
}

/// `[S] 9... [V] 9...`, or P at either end.
fn number(runs: &[(char, usize)], most: usize) -> Result<Picture, String> {
    let (signed, runs) = match runs {
        [('S', 1), rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let shape: String = runs.iter().map(|(symbol, _)| symbol).collect();
    let times = |at: usize| runs.get(at).map_or(0, |(_, times)| *times);
    // Digits that are stored, positions left and right of the point.
    let (digits, scale, zeros) = match &*shape {
        "9" | "9V" => (times(0), 0, 0),
        "9V9" => (times(0).saturating_add(times(2)), at(times(2)), 0),
        "V9" => (times(1), at(times(1)), 0),
        "9P" | "9PV" => (times(0), at(times(1)).saturating_neg(), times(1)),
        "P9" => (times(1), at(times(0)).saturating_add(at(times(1))), times(0)),
        "VP9" | "PV9" => {
            let zeros = if shape == "VP9" { times(1) } else { times(0) };
            (times(2), at(zeros).saturating_add(at(times(2))), zeros)
        }
        _ => {
            return Err("not a number that COBOL has: S first, one V, P only at one end, and at least one 9".to_owned());
        }
    };
    if runs.iter().any(|(symbol, times)| *symbol == 'V' && *times > 1) {
        return Err("a picture has one V".to_owned());
    }
    let all = digits.saturating_add(zeros);
    if all > most {
        let hint = if most < 31 { " (31 when they are switched on)" } else { "" };
        return Err(format!("{all} digits; {most} are the most{hint}"));
    }
    let digits = u8::try_from(digits).map_err(|_| format!("{digits} digits"))?;
    let scale = i8::try_from(scale).map_err(|_| format!("{scale} places"))?;
    Ok(Picture::Number { digits, scale, signed })
}

fn at(times: usize) -> isize {
    isize::try_from(times).unwrap_or(isize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_what_cobol_takes_them_for() {
        let number = |digits, scale, signed| Ok(Picture::Number { digits, scale, signed });
        for (text, found) in [
            ("X", Ok(Picture::Text(1))),
            ("XX(3)A9(2)", Ok(Picture::Text(7))),
            ("A(30)", Ok(Picture::Text(30))),
            ("9", number(1, 0, false)),
            ("S9(5)V99", number(7, 2, true)),
            ("S9(3)V9(2)", number(5, 2, true)),
            ("S9(5)V", number(5, 0, true)),
            ("V9(4)", number(4, 4, false)),
            ("SV99", number(2, 2, true)),
            ("9(18)", number(18, 0, false)),
            ("9(3)PP", number(3, -2, false)),
            ("SVP(2)9(3)", number(3, 5, true)),
            ("PP9(3)", number(3, 5, false)),
            ("Z(3)9.99-", Edited::parse("ZZZ9.99-", 18).map(Picture::Edited)),
            ("99/99/9999", Edited::parse("99/99/9999", 18).map(Picture::Edited)),
        ] {
            assert_eq!(read(text, 18), found, "{text}");
        }
        assert_eq!(read("9(31)", 31), number(31, 0, false));
    }

    #[test]
    fn what_is_no_picture_is_refused_with_the_reason() {
        for (text, part) in [
            ("", "empty"),
            ("9(19)", "19 digits"),
            ("9(10)V9(9)", "19 digits"),
            ("9(32)", "32 digits"),
            ("X(0)", "between 1"),
            ("X(", "repetition"),
            ("X()", "between 1"),
            ("X(3", "repetition"),
            ("X)3(", "repetition"),
            ("X(99999999999999999999999)", "between 1"),
            ("N(4)", "two-byte"),
            ("G(4)", "two-byte"),
            ("99V9V9", "one V"),
            ("9S", "S first"),
            ("SS9", "S first"),
            ("V", "at least one 9"),
            ("S", "at least one 9"),
            ("P(3)", "at least one 9"),
            ("Q", "no symbol"),
            ("é", "no symbol"),
            ("SZ9", "S does not go"),
            ("9Z", "do not follow"),
        ] {
            let said = read(text, 18).map_err(|text| text.contains(part));
            assert_eq!(said, Err(true), "{text}: {:?}", read(text, 18));
        }
    }
}
