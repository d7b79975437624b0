//! Whole files of the dialects that receivers are known to want, byte for byte.

use super::*;
use crate::clock::Timestamp;
use crate::rules::naming::{Pattern, Place, Stamp, Values};
use crate::rules::total::{Counted, Encoded, Totals};

/// The part of code page 1047 that the tests need.
fn ebcdic(text: &str, out: &mut Vec<u8>) -> Result<(), Unmappable> {
    let run = |first: u8, char: char, from: char| first + u8::try_from(u32::from(char) - u32::from(from)).unwrap();
    for char in text.chars() {
        out.push(match char {
            'a'..='i' => run(0x81, char, 'a'),
            'j'..='r' => run(0x91, char, 'j'),
            's'..='z' => run(0xa2, char, 's'),
            'A'..='I' => run(0xc1, char, 'A'),
            'J'..='R' => run(0xd1, char, 'J'),
            'S'..='Z' => run(0xe2, char, 'S'),
            '0'..='9' => run(0xf0, char, '0'),
            ' ' => 0x40,
            '.' => 0x4b,
            '|' => 0x4f,
            'é' => 0x51,
            '-' => 0x60,
            ',' => 0x6b,
            '_' => 0x6d,
            '"' => 0x7f,
            '\n' => 0x25,
            '\r' => 0x0d,
            '\u{85}' => 0x15,
            _ => return Err(Unmappable),
        });
    }
    Ok(())
}

fn columns(dialect: &Dialect) -> Vec<Column> {
    let date = Convert::parse("date -> %Y%m%d", None).unwrap();
    if let Point::Implied(_) = dialect.numbers.point {
        return vec![
            Column::new("id", Kind::Text),
            Column::new("name", Kind::Text),
            Column::new("born", Kind::Converted(Box::new(date))),
            Column::new("balance", Kind::Number(dialect.numbers)),
            Column::new("active", Kind::Boolean("Y".to_owned(), "N".to_owned())),
            Column::new("note", Kind::Text),
        ];
    }
    vec![
        Column::new("id", Kind::Any),
        Column::new("name", Kind::Text),
        Column::new("born", Kind::Converted(Box::new(date))),
        Column::new("balance", Kind::Any),
        Column::new("active", Kind::Any),
        Column::new("note", Kind::Any),
    ]
}

/// Two records with what is hard in them: 18 digits, a number that no double holds in two places, a comma, quotes, a
/// letter beyond ASCII, null and an empty text.
fn rows() -> Vec<Record> {
    let row = |id: i64, name: &str, balance: Value, active: bool, note: Value| {
        Record::from_iter([
            ("id", Value::Integer(id)),
            ("name", Value::from(name)),
            ("born", Value::from("1987-02-03")),
            ("balance", balance),
            ("active", Value::Bool(active)),
            ("note", note),
        ])
    };
    vec![
        row(123_456_789_012_345_678, "Pérez, Ana", Value::Real(-1234.1), true, Value::Null),
        row(-7, "O\"Neil", Value::Number("99999999999999.99".into()), false, Value::from("")),
    ]
}

/// A whole file of those records.
fn file(dialect: &Dialect, encode: Encode, lead: &[&str], trail: &[&str]) -> Vec<u8> {
    let columns = columns(dialect);
    let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    let mut writer = Writer::new(dialect, &columns, encode).unwrap();
    let mut out = Vec::new();
    writer.start(&owned(lead), &mut out).unwrap();
    for row in rows() {
        writer.row(&row, &mut out, |_, _| ()).unwrap();
    }
    writer.end(&owned(trail), &mut out).unwrap();
    out
}

#[test]
fn rfc_4180() {
    let text = "id,name,born,balance,active,note\r\n\
                123456789012345678,\"Pérez, Ana\",19870203,-1234.1,true,\r\n\
                -7,\"O\"\"Neil\",19870203,99999999999999.99,false,\"\"\r\n";
    assert_eq!(file(&Dialect::default(), utf8, &[], &[]), text.as_bytes());
}

#[test]
fn all_quoted_in_latin_1() {
    let dialect = Dialect { quote: Quote::Always, eol: Eol::Lf, ..Dialect::default() };
    let mut expected: Vec<u8> = Vec::new();
    expected
        .extend(b"\"id\",\"name\",\"born\",\"balance\",\"active\",\"note\"\n\"123456789012345678\",\"P\xe9rez, Ana\",");
    expected.extend(b"\"19870203\",\"-1234.1\",\"true\",\n\"-7\",\"O\"\"Neil\",\"19870203\",\"99999999999999.99\",");
    expected.extend(b"\"false\",\"\"\n");
    assert_eq!(file(&dialect, latin1, &[], &[]), expected);
}

#[test]
fn pipes_with_implied_decimals_and_a_header_and_trailer() {
    let dialect = Dialect {
        delimiter: Some('|'),
        quote: Quote::Never,
        header: Header::Off,
        eol: Eol::Lf,
        numbers: Numbers {
            point: Point::Implied(2),
            sign: Sign::Trailing,
            plus: Some('+'),
            width: Some(18),
            places: None,
        },
        trailing_delimiter: true,
        ..Dialect::default()
    };
    let text = "HD|WICAPPT|20260305\n\
                123456789012345678|Pérez, Ana|19870203|00000000000123410-|Y||\n\
                -7|O\"Neil|19870203|09999999999999999+|N||\n\
                TR|000000002\n";
    assert_eq!(file(&dialect, utf8, &["HD|WICAPPT|20260305"], &["TR|000000002"]), text.as_bytes());
}

#[test]
fn a_trailer_is_filled_with_totals_of_what_was_encoded() {
    let numbers = Numbers { point: Point::Implied(2), width: Some(12), ..Numbers::default() };
    let dialect =
        Dialect { delimiter: Some('|'), quote: Quote::Never, header: Header::Off, eol: Eol::Lf, ..Dialect::default() };
    let columns = [Column::new("id", Kind::Text), Column::new("sum", Kind::Number(numbers))];
    let trailer = "TR|{count():05}|{hash(id, 3):03}|{sum(sum):012}|{sum(sum, where=sum < 0)}|{bytes()}";
    let trailer = Pattern::parse(trailer, Place::Line).unwrap();
    let mut totals = Totals::new(trailer.totals().to_vec());
    let mut writer = Writer::new(&dialect, &columns, utf8).unwrap();
    let mut out = Vec::new();
    writer.start(&[], &mut out).unwrap();
    for (id, sum) in [("0998", "10.5"), ("0007", "-0.25")] {
        let (start, mut fields) = (out.len(), Vec::new());
        let record = Record::from_iter([("id", Value::from(id)), ("sum", Value::from(sum))]);
        writer.row(&record, &mut out, |field, text| fields.push((field.to_owned(), text.to_owned()))).unwrap();
        let fields: Vec<(&str, Encoded)> =
            fields.iter().map(|(name, text)| (name.as_str(), text.as_str().into())).collect();
        let bytes = u64::try_from(out.len() - start).unwrap();
        totals.take(&Counted { kind: "", detail: true, bytes, fields: &fields }).unwrap();
    }
    let stamp = Stamp {
        office: "OF042".to_owned(),
        drop: "wic".to_owned(),
        bus_date: jiff::civil::date(2026, 3, 5),
        cut: Timestamp(0),
        created: Timestamp(0),
        zone: jiff::tz::TimeZone::UTC,
        seq: 1,
        prev_seq: 0,
        generation: 1,
        rerun: 0,
        modifier: 0,
        part: (1, 1),
    };
    let results = totals.results();
    let line = trailer.fill(&Values { stamp: &stamp, file: "", sealed: None, totals: &results }).unwrap();
    writer.end(&[line], &mut out).unwrap();
    let text = "0998|000000001050\n0007|-00000000025\nTR|00002|005|000000001025|-25|36\n";
    assert_eq!(String::from_utf8(out).unwrap(), text);
}

#[test]
fn dos_with_1a_at_the_end() {
    let dialect = Dialect {
        quote: Quote::TextOnly,
        header: Header::Quoted,
        eof: Some(0x1a),
        replacement: Some('?'),
        numbers: Numbers::default(),
        ..Dialect::default()
    };
    let text = "\"id\",\"name\",\"born\",\"balance\",\"active\",\"note\"\r\n\
                123456789012345678,\"P?rez, Ana\",\"19870203\",-1234.1,\"true\",\r\n\
                -7,\"O\"\"Neil\",\"19870203\",99999999999999.99,\"false\",\"\"\r\n\x1a";
    assert_eq!(file(&dialect, ascii, &[], &[]), text.as_bytes());
}

#[test]
fn ebcdic_1047_with_nl() {
    let dialect = Dialect { eol: Eol::Nl, header: Header::Off, ..Dialect::default() };
    let mut expected = vec![0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9];
    expected.extend([0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0x6b, 0x7f, 0xd7, 0x51, 0x99, 0x85, 0xa9]);
    expected.extend([0x6b, 0x40, 0xc1, 0x95, 0x81, 0x7f, 0x6b, 0xf1, 0xf9, 0xf8, 0xf7, 0xf0, 0xf2, 0xf0, 0xf3, 0x6b]);
    expected.extend([0x60, 0xf1, 0xf2, 0xf3, 0xf4, 0x4b, 0xf1, 0x6b, 0xa3, 0x99, 0xa4, 0x85, 0x6b, 0x15, 0x60, 0xf7]);
    expected.extend([0x6b, 0x7f, 0xd6, 0x7f, 0x7f, 0xd5, 0x85, 0x89, 0x93, 0x7f, 0x6b, 0xf1, 0xf9, 0xf8, 0xf7, 0xf0]);
    expected.extend([0xf2, 0xf0, 0xf3, 0x6b]);
    expected.extend([0xf9; 14]);
    expected.extend([0x4b, 0xf9, 0xf9, 0x6b, 0x86, 0x81, 0x93, 0xa2, 0x85, 0x6b, 0x7f, 0x7f, 0x15]);
    assert_eq!(file(&dialect, ebcdic, &[], &[]), expected);
}

#[test]
fn semicolons_with_a_byte_order_mark_and_words_for_null() {
    let dialect = Dialect {
        delimiter: Some(';'),
        bom: true,
        null: "NULL".to_owned(),
        numbers: Numbers { point: Point::Comma, ..two_places() },
        booleans: ("ja".to_owned(), "nein".to_owned()),
        final_eol: false,
        ..Dialect::default()
    };
    let text = "\u{feff}id;name;born;balance;active;note\r\n\
                123456789012345678,00;Pérez, Ana;19870203;-1234,10;ja;NULL\r\n\
                -7,00;\"O\"\"Neil\";19870203;99999999999999,99;nein;";
    assert_eq!(file(&dialect, utf8, &[], &[]), text.as_bytes());
}

#[test]
fn ascii_columns_of_fixed_width_with_crlf_and_1a() {
    let dialect =
        Dialect { delimiter: None, quote: Quote::Never, header: Header::Off, eof: Some(0x1a), ..Dialect::default() };
    let numbers =
        Numbers { point: Point::Implied(2), sign: Sign::Trailing, plus: Some(' '), width: Some(9), places: None };
    let columns = [
        Column::new("id", Kind::Any).wide(6),
        Column::new("name", Kind::Text).wide(8),
        Column::new("balance", Kind::Number(numbers)).wide(9),
    ];
    let row = |id: i64, name: Value, balance: &str| {
        Record::from_iter([("id", Value::Integer(id)), ("name", name), ("balance", Value::from(balance))])
    };
    let mut writer = Writer::new(&dialect, &columns, ascii).unwrap();
    let mut out = Vec::new();
    writer.start(&[], &mut out).unwrap();
    writer.row(&row(42, Value::from("Ana"), "12.5"), &mut out, |_, _| ()).unwrap();
    writer.row(&row(7, Value::Null, "-0.01"), &mut out, |_, _| ()).unwrap();
    for (bad, field, code) in [
        (row(1_234_567, Value::Null, "1"), "id", Code::Overflow),
        (row(1, Value::from("Maximilian"), "1"), "name", Code::Overflow),
        (row(1, Value::from("é"), "1"), "name", Code::Unmappable),
        (row(1, Value::from("a\nb"), "1"), "name", Code::LineBreak),
        (row(1, Value::Null, "1000000.00"), "balance", Code::Overflow),
        (row(1, Value::Null, "1.005"), "balance", Code::Inexact),
    ] {
        let misfit = Misfit { field: field.to_owned(), code };
        assert_eq!(writer.row(&bad, &mut out, |_, _| ()), Err(misfit));
    }
    let cut = [columns[0].clone(), Column { truncate: true, ..columns[1].clone() }, columns[2].clone()];
    let mut cutting = Writer::new(&dialect, &cut, ascii).unwrap();
    let mut shorter = Vec::new();
    cutting.row(&row(1, Value::from("Maximilian"), "1"), &mut shorter, |_, _| ()).unwrap();
    assert_eq!(shorter, b"     1Maximili00000100 \r\n");
    writer.end(&["TR000002".to_owned()], &mut out).unwrap();
    let text = "    42Ana     00001250 \r\n     7        00000001-\r\nTR000002\r\n\x1a";
    assert_eq!(out, text.as_bytes());
    let reader = Reader::new(&dialect, &columns, ascii, decode_utf8).unwrap();
    let sheet = reader.read(&out, 0, 1).unwrap();
    assert_eq!(sheet.trail, ["TR000002"]);
    assert_eq!(sheet.rows[1].get("name"), Some(&Value::Null));
    assert_eq!(sheet.rows[1].get("balance"), Some(&Value::Real(-0.01)));
    let torn = reader.read(b"too short\r\n", 0, 0).unwrap_err();
    assert_eq!(torn.to_string(), "line 1, line: wrong_length");
}
