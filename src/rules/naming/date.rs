//! How dates and times are written in names and headers.

use jiff::Zoned;
use jiff::civil::{self, Date};
use jiff::fmt::strtime::BrokenDownTime;

/// How a date or time is written: a pattern with `%` (strftime, as jiff documents it), or a picture as mainframe
/// layouts have it, of `CC` century, `C` century as AS/400 counts it (0 = 19, 1 = 20), `YY`, `YYYY` or `CCYY` year, `MM`
/// month, `DD` day of the month, `DDD` day of the year, `HH`, `MI`, `SS`, and signs as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape(Form);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    Strftime(String),
    Picture(Vec<Token>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Century,
    CenturyDigit,
    Year2,
    Year4,
    Month,
    Day,
    DayOfYear,
    Hour,
    Minute,
    Second,
    Sign(char),
}

/// The longest first, so that `CCYY` is not read as `C` and something unknown.
const TOKENS: [(&str, Token); 11] = [
    ("CCYY", Token::Year4),
    ("YYYY", Token::Year4),
    ("DDD", Token::DayOfYear),
    ("CC", Token::Century),
    ("YY", Token::Year2),
    ("MM", Token::Month),
    ("DD", Token::Day),
    ("HH", Token::Hour),
    ("MI", Token::Minute),
    ("SS", Token::Second),
    ("C", Token::CenturyDigit),
];

impl Shape {
    /// The shape of a date without time of day.
    pub fn of_date(text: &str) -> Result<Shape, String> {
        let shape = Shape::parse(text)?;
        shape.date(civil::date(2026, 3, 5)).map_err(|what| format!("`{text}` cannot be written: {what}"))?;
        Ok(shape)
    }

    /// The shape of a moment.
    pub fn of_moment(text: &str) -> Result<Shape, String> {
        let shape = Shape::parse(text)?;
        let sample = civil::date(2026, 3, 5).at(18, 5, 9, 0).to_zoned(jiff::tz::TimeZone::UTC);
        sample
            .map_err(|error| error.to_string())
            .and_then(|sample| shape.moment(&sample))
            .map_err(|what| format!("`{text}` cannot be written: {what}"))?;
        Ok(shape)
    }

    fn parse(text: &str) -> Result<Shape, String> {
        if text.contains('%') {
            return Ok(Shape(Form::Strftime(text.to_owned())));
        }
        let mut tokens = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let known = TOKENS.iter().find(|(word, _)| rest.starts_with(word));
            let (length, token) = match known {
                Some((word, token)) => (word.len(), *token),
                None if !first.is_alphanumeric() => (first.len_utf8(), Token::Sign(first)),
                None => {
                    return Err(format!(
                        "`{text}` is not a form of date: write for example %Y%m%d, CCYYMMDD, CCYYDDD or CYYMMDD"
                    ));
                }
            };
            tokens.push(token);
            rest = rest.get(length..).unwrap_or("");
        }
        match tokens.is_empty() {
            true => Err("nothing stands after `:`: write for example %Y%m%d".to_owned()),
            false => Ok(Shape(Form::Picture(tokens))),
        }
    }

    /// A date; the error says what of the shape it has not.
    pub fn date(&self, date: Date) -> Result<String, String> {
        match &self.0 {
            Form::Strftime(pattern) => {
                BrokenDownTime::from(date).to_string(pattern).map_err(|_| "a date has no such part".to_owned())
            }
            Form::Picture(tokens) => tokens.iter().map(|token| token.of_date(date)).collect(),
        }
    }

    /// A moment in its zone.
    pub fn moment(&self, moment: &Zoned) -> Result<String, String> {
        match &self.0 {
            Form::Strftime(pattern) => {
                BrokenDownTime::from(moment).to_string(pattern).map_err(|error| error.to_string())
            }
            Form::Picture(tokens) => tokens
                .iter()
                .map(|token| match token {
                    Token::Hour => Ok(format!("{:02}", moment.hour())),
                    Token::Minute => Ok(format!("{:02}", moment.minute())),
                    Token::Second => Ok(format!("{:02}", moment.second())),
                    token => token.of_date(moment.date()),
                })
                .collect(),
        }
    }
}

impl Token {
    fn of_date(self, date: Date) -> Result<String, String> {
        let year = date.year();
        Ok(match self {
            Token::Century => format!("{:02}", year / 100),
            // One digit counts the centuries from 1900: up to the year 2899.
            Token::CenturyDigit => match year / 100 - 19 {
                digit @ 0..=9 => digit.to_string(),
                _ => return Err("the year has no century digit".to_owned()),
            },
            Token::Year2 => format!("{:02}", year % 100),
            Token::Year4 => format!("{year:04}"),
            Token::Month => format!("{:02}", date.month()),
            Token::Day => format!("{:02}", date.day()),
            Token::DayOfYear => format!("{:03}", date.day_of_year()),
            Token::Sign(sign) => sign.to_string(),
            Token::Hour | Token::Minute | Token::Second => return Err("a date has no time of day".to_owned()),
        })
    }
}
