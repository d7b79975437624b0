//! `format:` of delimited text.

use crate::config::drop::format::{self, Purpose};
use crate::config::drop::record::set;
use crate::config::fields::Fields;
use crate::config::found::Found;
use crate::config::tree::Value;
use crate::format::codepage::{self, CodePage};
use crate::format::csv::{
    Column, Dialect, Eol, Escape, Header, Kind, LineBreaks, Numbers, Point, Quote, Sign, delimiter, eol,
};
use crate::format::feed::{CsvColumn, CsvFeed, Set};
use crate::rules::convert::Convert;

/// The keys of `kind: csv`.
pub(super) const KEYS: [&str; 27] = [
    "codepage",
    "encoding",
    "columns",
    "header",
    "trailer",
    "delimiter",
    "quote",
    "quoteChar",
    "escape",
    "eol",
    "finalEol",
    "names",
    "bom",
    "eof",
    "unmappable",
    "null",
    "lineBreaks",
    "decimal",
    "places",
    "sign",
    "plus",
    "zeroFill",
    "booleans",
    "trailingDelimiter",
    "forbid",
    "formulaGuard",
    "whenEmpty",
];

/// Reads the keys of `kind: csv`.
pub(super) fn csv(fields: &Fields<'_>, purpose: &Purpose<'_>) -> Option<CsvFeed> {
    let page = page(fields, purpose);
    let dialect = dialect(fields);
    let lines = |key| fields.take(key).map_or(Some(Vec::new()), |found| found.texts());
    let (headers, trailers) = (lines("header"), lines("trailer"));
    let columns = fields.need("columns").and_then(|found| {
        let items = found.items()?;
        if items.is_empty() {
            found.error("names no column");
        }
        let columns = items.iter().map(|item| column(item, dialect.as_ref(), purpose.key)).collect::<Vec<_>>();
        columns.into_iter().collect::<Option<Vec<CsvColumn>>>()
    });
    Some(CsvFeed {
        dialect: dialect?,
        page: page?,
        columns: columns?,
        headers: headers?,
        trailers: trailers?,
        fields: purpose.fields.clone(),
        sample: format::sample(),
    })
}

/// `codepage`, also `encoding`; default UTF-8, for an answer that of the drop.
fn page(fields: &Fields<'_>, purpose: &Purpose<'_>) -> Option<&'static CodePage> {
    let named = |name: &str| codepage::named(name).map_err(|error| error.to_string());
    match (fields.take_any(&["codepage", "encoding"]), purpose.like) {
        (Some(found), _) => found.parsed(named),
        (None, Some(like)) => Some(like.page()),
        (None, None) => named("UTF-8").ok(),
    }
}

fn dialect(fields: &Fields<'_>) -> Option<Dialect> {
    let default = Dialect::default();
    let mut whole = true;
    // A key that is wrong makes the dialect unusable, and the others are still looked at.
    let mut wrong = || whole = false;
    macro_rules! key {
        ($key:literal, $default:expr, $read:expr) => {
            match fields.take($key) {
                None => $default,
                Some(found) => $read(&found).unwrap_or_else(|| {
                    wrong();
                    $default
                }),
            }
        };
    }
    let mut eol_said = false;
    let dialect = Dialect {
        delimiter: key!("delimiter", default.delimiter, delimiter_of),
        quote: key!("quote", default.quote, |found: &Found<'_>| found.parsed(Quote::parse)),
        quote_char: key!("quoteChar", default.quote_char, one_char),
        escape: key!("escape", default.escape, |found: &Found<'_>| found.parsed(Escape::parse)),
        eol: key!("eol", Eol::default(), |found: &Found<'_>| {
            eol_said = true;
            found.parsed(eol)
        }),
        eol_free: !eol_said,
        final_eol: key!("finalEol", default.final_eol, Found::flag),
        header: key!("names", default.header, |found: &Found<'_>| found.parsed(Header::parse)),
        bom: key!("bom", default.bom, Found::flag),
        eof: key!("eof", default.eof, |found: &Found<'_>| byte(found).map(Some)),
        replacement: key!("unmappable", default.replacement, replacement),
        null: key!("null", String::new(), |found: &Found<'_>| found.text_or_nothing().map(str::to_owned)),
        line_breaks: key!("lineBreaks", default.line_breaks, |found: &Found<'_>| found.parsed(LineBreaks::parse)),
        numbers: numbers(fields, Numbers::default()).unwrap_or_else(|| {
            wrong();
            Numbers::default()
        }),
        booleans: key!("booleans", default.booleans.clone(), words),
        trailing_delimiter: key!("trailingDelimiter", default.trailing_delimiter, Found::flag),
        forbid: key!("forbid", Vec::new(), |found: &Found<'_>| found
            .texts()
            .map(|texts| texts.concat().chars().collect())),
        formula_guard: key!("formulaGuard", default.formula_guard, Found::flag),
    };
    whole.then_some(dialect)
}

/// A delimiter; its code may stand there as a number.
fn delimiter_of(found: &Found<'_>) -> Option<Option<char>> {
    match found.node.value {
        Value::Integer(code) if code > 9 => {
            let char = u32::try_from(code).ok().and_then(char::from_u32);
            if char.is_none() {
                found.error("is the code of no character");
            }
            char.map(Some)
        }
        _ => found.parsed(delimiter),
    }
}

fn one_char(found: &Found<'_>) -> Option<char> {
    found.parsed(|text| {
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(char), None) => Ok(char),
            _ => Err(format!("`{text}` is not one character")),
        }
    })
}

/// `reject`, or the character that stands for others.
pub(super) fn replacement(found: &Found<'_>) -> Option<Option<char>> {
    match found.text()? {
        "reject" | "hold" => Some(None),
        "replace" => {
            found.error_hint("does not say with what", "write the character itself: \"?\"");
            None
        }
        _ => one_char(found).map(Some),
    }
}

/// A byte, as a number or in hexadecimal digits.
pub(super) fn byte(found: &Found<'_>) -> Option<u8> {
    match found.node.value {
        Value::Integer(_) => found.integer(0..=255).and_then(|byte| u8::try_from(byte).ok()),
        _ => found.parsed(|text| {
            let digits = text.strip_prefix("0x").unwrap_or(text);
            u8::from_str_radix(digits, 16).map_err(|_| format!("`{text}` is not a byte like 0x1A"))
        }),
    }
}

/// Two words, for true and for false.
fn words(found: &Found<'_>) -> Option<(String, String)> {
    match found.texts()?.as_slice() {
        [yes, no] => Some((yes.clone(), no.clone())),
        _ => {
            found.error_hint("needs two words", "write the one for true and the one for false: [Y, N]");
            None
        }
    }
}

/// `decimal`, `places`, `sign`, `plus` and `zero_fill`, of the dialect or of one column.
fn numbers(fields: &Fields<'_>, default: Numbers) -> Option<Numbers> {
    let point = fields.take("decimal").map_or(Some(default.point), |found| found.parsed(Point::parse));
    let places = match fields.take("places") {
        Some(found) => found.integer(0..=18).and_then(|places| u32::try_from(places).ok()).map(Some),
        // Implied decimals of a column say it, whatever holds elsewhere.
        None if matches!(point, Some(Point::Implied(_))) => Some(None),
        None => Some(default.places),
    };
    let sign = fields.take("sign").map_or(Some(default.sign), |found| found.parsed(Sign::parse));
    let plus = fields.take("plus").map_or(Some(default.plus), |found| one_char(&found).map(Some));
    let width = fields.take("zeroFill").map_or(Some(default.width), |found| {
        found.integer(1..=100).and_then(|width| usize::try_from(width).ok()).map(Some)
    });
    Some(Numbers { point: point?, places: places?, sign: sign?, plus: plus?, width: width? })
}

/// A column: the name of its field, or a section.
fn column(found: &Found<'_>, dialect: Option<&Dialect>, key: &[String]) -> Option<CsvColumn> {
    #[derive(Clone, Copy, PartialEq)]
    enum Type {
        Any,
        Text,
        Number,
        Boolean,
    }
    const TYPES: [(&str, Type); 4] =
        [("any", Type::Any), ("text", Type::Text), ("number", Type::Number), ("boolean", Type::Boolean)];
    let is_key = |field: &str| key.iter().any(|name| name == field);
    if found.is_text() {
        let name = found.text()?;
        let column = Column { required: is_key(name), ..Column::new(name, Kind::Any) };
        return Some(CsvColumn { column, set: None });
    }
    let fields = found.fields()?;
    let text = |key| fields.take(key).map_or(Some(None), |found| found.text().map(|text| Some(text.to_owned())));
    let (name, field) = (text("name"), text("field"));
    let set: Option<Option<Set>> = fields.take("set").map_or(Some(None), |found| set(&found).map(Some));
    let kind = fields.take("type").map_or(Some(Type::Any), |found| found.choice("type of column", &TYPES));
    let own = ["decimal", "places", "sign", "plus", "zeroFill"].map(|key| fields.take(key));
    let numbers = numbers(&fields, dialect.map(|dialect| dialect.numbers).unwrap_or_default());
    let booleans = fields.take("booleans").map_or(Some(None), |found| words(&found).map(Some));
    let convert = fields.take("convert").map_or(Some(None), |found| {
        found.parsed(|text| Convert::parse(text, None)).map(|convert| Some(Box::new(convert)))
    });
    let width = fields
        .take("width")
        .map_or(Some(None), |found| found.integer(1..=32_760).and_then(|width| usize::try_from(width).ok()).map(Some));
    const OVERFLOW: [(&str, bool); 2] = [("hold", false), ("truncate_right", true)];
    let truncate = fields.take("overflow").map_or(Some(false), |found| found.choice("rule for overflow", &OVERFLOW));
    let required = fields.take("required").map_or(Some(None), |found| found.flag().map(Some));
    fields.done();
    let (name, field, set, convert) = (name?, field?, set?, convert?);
    let Some(title) = name.clone().or_else(|| field.clone()) else {
        found.error_hint("has neither a name nor a field", "write `field:`, and `name:` where its header differs");
        return None;
    };
    if field.is_some() && set.is_some() {
        found.error_hint("has both `field` and `set`", "leave one of the two out");
        return None;
    }
    let kind = match (kind?, convert, booleans?) {
        (Type::Any, Some(convert), None) => Kind::Converted(convert),
        (_, Some(_), _) => {
            found.error_hint("has `convert` beside a type", "the converter says what it holds: leave the type out");
            return None;
        }
        (Type::Boolean, None, words) => {
            let (yes, no) = words.or_else(|| dialect.map(|dialect| dialect.booleans.clone()))?;
            Kind::Boolean(yes, no)
        }
        (Type::Any, None, Some((yes, no))) => Kind::Boolean(yes, no),
        (_, None, Some(_)) => {
            found.error("has `booleans` and is none");
            return None;
        }
        (Type::Number, None, None) => Kind::Number(numbers?),
        (Type::Any, None, None) if own.iter().any(Option::is_some) => Kind::Number(numbers?),
        (Type::Text, None, None) if own.iter().any(Option::is_some) => {
            found.error("says how numbers are written, and is text");
            return None;
        }
        (Type::Text, None, None) => Kind::Text,
        (Type::Any, None, None) => Kind::Any,
    };
    let field = field.unwrap_or_else(|| title.clone());
    let required = required?.unwrap_or_else(|| set.is_none() && is_key(&field));
    let column = Column { name: title, field, kind, width: width?, truncate: truncate?, required };
    Some(CsvColumn { column, set })
}
