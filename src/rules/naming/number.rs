//! How numbers are written in names, headers and trailers.

/// How a number is written.
///
/// `06`: filled up with zeros to 6 characters, the sign first; `6` the same with spaces. `.2`, `012.2`: two decimal places
/// after a point; `v2`, `012v2`: two decimal places without a point. What does not fit exactly is an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Characters in all; 0 = as many as it needs.
    width: usize,
    /// Filled up with zeros, else with spaces.
    zeros: bool,
    /// Decimal places, and whether a point stands before them; none = as they come.
    places: Option<(usize, bool)>,
}

/// The widest number that makes sense: 38 digits, sign and point.
const WIDEST: usize = 40;

impl Shape {
    /// Parses what stands after the `:`.
    pub fn parse(text: &str) -> Result<Shape, String> {
        let wrong = || format!("`{text}` is not a form of number: write for example 06, 012.2 or 012v2");
        let (width, places) = match text.split_once(['.', 'v']) {
            Some((width, places)) => (width, Some((places, text.contains('.')))),
            None if text.is_empty() => return Err(wrong()),
            None => (text, None),
        };
        let number = |digits: &str| match digits.bytes().all(|byte| byte.is_ascii_digit()) {
            true if digits.is_empty() => Some(0),
            true => digits.parse::<usize>().ok().filter(|number| *number <= WIDEST),
            false => None,
        };
        let places = match places {
            Some(("", _)) => return Err(wrong()),
            Some((digits, point)) => Some((number(digits).ok_or_else(wrong)?, point)),
            None => None,
        };
        let zeros = width.starts_with('0');
        let width = number(width).ok_or_else(wrong)?;
        if zeros && width == 0 {
            return Err(wrong());
        }
        Ok(Shape { width, zeros, places })
    }

    /// A number in plain decimal digits, `-12.50`; the error says how it does not fit.
    pub fn write(self, number: &str) -> Result<String, String> {
        let (sign, number) = match number.strip_prefix('-') {
            Some(rest) => ("-", rest),
            None => ("", number),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = match self.places {
            None => number.to_owned(),
            Some((places, point)) => {
                let kept = fraction.trim_end_matches('0');
                if kept.len() > places {
                    return Err(format!("it has more than {places} decimal places"));
                }
                let dot = if point && places > 0 { "." } else { "" };
                let digits = format!("{whole}{dot}{kept:0<places$}");
                match digits.trim_start_matches('0') {
                    // A shape without point must not begin with the zeros of the whole part.
                    rest if !point && !rest.is_empty() => rest.to_owned(),
                    _ if !point => "0".to_owned(),
                    _ => digits,
                }
            }
        };
        let zero = digits.bytes().all(|byte| matches!(byte, b'0' | b'.'));
        let sign = if zero { "" } else { sign };
        let length = sign.len() + digits.len();
        if self.width > 0 && length > self.width {
            return Err(format!("it needs {length} characters and has a place of {}", self.width));
        }
        let fill = self.width.saturating_sub(length);
        Ok(match self.zeros {
            true => format!("{sign}{}{digits}", "0".repeat(fill)),
            false => format!("{}{sign}{digits}", " ".repeat(fill)),
        })
    }
}
