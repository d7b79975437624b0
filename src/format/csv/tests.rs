#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::event::{Record, Value};

mod golden;
mod round_trip;

type Encode = fn(&str, &mut Vec<u8>) -> Result<(), Unmappable>;

fn utf8(text: &str, out: &mut Vec<u8>) -> Result<(), Unmappable> {
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

fn latin1(text: &str, out: &mut Vec<u8>) -> Result<(), Unmappable> {
    text.chars().try_for_each(|char| u8::try_from(char).map(|byte| out.push(byte)).map_err(|_| Unmappable))
}

fn ascii(text: &str, out: &mut Vec<u8>) -> Result<(), Unmappable> {
    text.is_ascii().then(|| out.extend_from_slice(text.as_bytes())).ok_or(Unmappable)
}

fn decode_utf8(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.to_vec()).ok()
}

fn two_places() -> Numbers {
    Numbers { places: Some(2), ..Numbers::default() }
}

/// What one text becomes in a dialect with two columns of it.
fn one(dialect: &Dialect, text: &str) -> Result<String, Code> {
    let columns = [Column::new("a", Kind::Any), Column::new("b", Kind::Any)];
    let record = Record::from_iter([("a", Value::from(text)), ("b", Value::from("x"))]);
    let dialect = Dialect { header: Header::Off, ..dialect.clone() };
    let mut out = b"before".to_vec();
    let done = Writer::new(&dialect, &columns, utf8).unwrap().row(&record, &mut out, |_, _| ());
    match done {
        Ok(()) => Ok(String::from_utf8(out.split_off(6)).unwrap()),
        Err(misfit) => {
            assert_eq!(out, b"before", "a row that does not fit leaves nothing behind");
            assert_eq!(misfit.field, "a");
            Err(misfit.code)
        }
    }
}

#[test]
fn without_quotes_a_text_that_would_need_them_is_held() {
    let never = Dialect { quote: Quote::Never, delimiter: Some('|'), null: "NULL".to_owned(), ..Dialect::default() };
    assert_eq!(one(&never, "a|b"), Err(Code::Delimiter));
    for text in ["a\nb", "a\rb", "a\u{85}b"] {
        assert_eq!(one(&never, text), Err(Code::LineBreak));
    }
    assert_eq!(one(&never, "NULL"), Err(Code::LooksNull));
    assert_eq!(one(&never, "a\"b\\,"), Ok("a\"b\\,|x\r\n".to_owned()));
    let forbids = Dialect { forbid: vec!['"', '~'], ..never.clone() };
    assert_eq!(one(&forbids, "a\"b"), Err(Code::Forbidden));
    assert_eq!(one(&forbids, "a~b"), Err(Code::Forbidden));
    assert_eq!(one(&forbids, "ab"), Ok("ab|x\r\n".to_owned()));
    let custom = Dialect { eol: Eol::Bytes(b"##\n".to_vec()), ..never };
    assert_eq!(one(&custom, "a##"), Ok("a##|x##\n".to_owned()));
    let custom = Dialect { eol: Eol::Bytes(b"%%".to_vec()), ..custom };
    assert_eq!(one(&custom, "a%%b"), Err(Code::Delimiter));
    assert_eq!(one(&custom, "a%"), Err(Code::Delimiter));
    assert_eq!(one(&Dialect { quote: Quote::Minimal, ..custom }, "a%"), Ok("\"a%\"|x%%".to_owned()));
}

#[test]
fn line_breaks_stay_or_become_spaces_or_are_held() {
    let with = |line_breaks| Dialect { line_breaks, ..Dialect::default() };
    let text = "a\r\nb\nc\rd\u{85}e\n\r";
    assert_eq!(one(&with(LineBreaks::Keep), text), Ok(format!("\"{text}\",x\r\n")));
    assert_eq!(one(&with(LineBreaks::Space), text), Ok("a b c d e  ,x\r\n".to_owned()));
    assert_eq!(one(&with(LineBreaks::Reject), text), Err(Code::LineBreak));
    let never = Dialect { quote: Quote::Never, ..with(LineBreaks::Space) };
    assert_eq!(one(&never, "a\nb"), Ok("a b,x\r\n".to_owned()));
}

#[test]
fn quotes_inside_are_doubled_escaped_or_held() {
    let with = |escape| Dialect { escape, ..Dialect::default() };
    assert_eq!(one(&with(Escape::Double), "a\"\\"), Ok("\"a\"\"\\\",x\r\n".to_owned()));
    assert_eq!(one(&with(Escape::Backslash), "a\"\\"), Ok("\"a\\\"\\\\\",x\r\n".to_owned()));
    assert_eq!(one(&with(Escape::Backslash), "a\\"), Ok("\"a\\\\\",x\r\n".to_owned()));
    assert_eq!(one(&with(Escape::None), "a\""), Err(Code::Quote));
    assert_eq!(one(&with(Escape::None), "a,"), Ok("\"a,\",x\r\n".to_owned()));
    let single = Dialect { quote_char: '\'', ..Dialect::default() };
    assert_eq!(one(&single, "it's \"a\""), Ok("'it''s \"a\"',x\r\n".to_owned()));
}

#[test]
fn null_and_empty_are_told_apart_where_quotes_can() {
    let columns = [Column::new("a", Kind::Any), Column::new("b", Kind::Any)];
    for (quote, null, line) in [
        (Quote::Minimal, "", ",\"\"\r\n"),
        (Quote::Always, "", ",\"\"\r\n"),
        (Quote::TextOnly, "", ",\"\"\r\n"),
        (Quote::Never, "", ",\r\n"),
        (Quote::Minimal, "NULL", "NULL,\r\n"),
        (Quote::Never, "NULL", "NULL,\r\n"),
        (Quote::Always, "NULL", "NULL,\"\"\r\n"),
    ] {
        let dialect = Dialect { quote, null: null.to_owned(), header: Header::Off, ..Dialect::default() };
        let record = Record::from_iter([("b", Value::from(""))]);
        let mut out = Vec::new();
        Writer::new(&dialect, &columns, utf8).unwrap().row(&record, &mut out, |_, _| ()).unwrap();
        assert_eq!(out, line.as_bytes(), "{quote:?} {null}");
    }
    let word = Dialect { null: "NULL".to_owned(), ..Dialect::default() };
    assert_eq!(one(&word, "NULL"), Ok("\"NULL\",x\r\n".to_owned()));
}

#[test]
fn what_a_spreadsheet_would_calculate_is_guarded_only_when_asked() {
    let guarded = Dialect { formula_guard: true, ..Dialect::default() };
    for text in ["=1+1", "+1", "-1", "@a"] {
        assert_eq!(one(&guarded, text), Ok(format!("'{text},x\r\n")));
        assert_eq!(one(&Dialect::default(), text), Ok(format!("{text},x\r\n")));
    }
    assert_eq!(one(&guarded, "a=1"), Ok("a=1,x\r\n".to_owned()));
    // A number is none of its business.
    let columns = [Column::new("a", Kind::Any), Column::new("b", Kind::Any)];
    let dialect = Dialect { header: Header::Off, ..guarded };
    let mut out = Vec::new();
    let record = Record::from_iter([("a", Value::Integer(-1)), ("b", Value::Null)]);
    Writer::new(&dialect, &columns, utf8).unwrap().row(&record, &mut out, |_, _| ()).unwrap();
    assert_eq!(out, b"-1,\r\n");
}

/// A number as it is written.
fn number(numbers: Numbers, value: impl Into<Value>) -> Result<String, Code> {
    numbers.write(&value.into()).map(|written| written.text)
}

#[test]
fn numbers_are_written_exactly_or_held() {
    let plain = Numbers::default();
    assert_eq!(number(plain, i64::MIN), Ok("-9223372036854775808".to_owned()));
    assert_eq!(number(plain, "999999999999999999.99"), Ok("999999999999999999.99".to_owned()));
    assert_eq!(number(plain, "-0.10"), Ok("-0.1".to_owned()));
    assert_eq!(plain.write(&Value::Real(0.1)).unwrap().text, "0.1");
    assert_eq!(plain.write(&Value::Real(1e15)).unwrap().text, "1000000000000000");
    assert_eq!(plain.write(&Value::Real(f64::INFINITY)).err(), Some(Code::NotANumber));
    assert_eq!(number(plain, "1e400"), Err(Code::Overflow));
    for text in ["", "x", "1,5", "0x1"] {
        assert_eq!(number(plain, text), Err(Code::NotANumber), "{text}");
    }
    let two = two_places();
    assert_eq!(number(two, 5), Ok("5.00".to_owned()));
    assert_eq!(number(two, "1.005"), Err(Code::Inexact));
    assert_eq!(number(Numbers { places: Some(0), ..plain }, "7.0"), Ok("7".to_owned()));
    let implied = Numbers { point: Point::Implied(2), width: Some(8), ..plain };
    assert_eq!(number(implied, "12.5"), Ok("00001250".to_owned()));
    assert_eq!(number(implied, "-12.5"), Ok("-0001250".to_owned()));
    assert_eq!(number(implied, "-0.00"), Ok("00000000".to_owned()));
    assert_eq!(number(implied, 1_000_000), Err(Code::Overflow));
    let trailing = Numbers { sign: Sign::Trailing, plus: Some('+'), ..implied };
    assert_eq!(number(trailing, "-12.5"), Ok("0001250-".to_owned()));
    assert_eq!(number(trailing, "12.5"), Ok("0001250+".to_owned()));
    let unsigned = Numbers { sign: Sign::None, ..plain };
    assert_eq!(number(unsigned, -1), Err(Code::Negative));
    assert_eq!(number(unsigned, "-0"), Ok("0".to_owned()));
    assert_eq!(number(Numbers { point: Point::Comma, ..two }, "-1.5"), Ok("-1,50".to_owned()));
    assert_eq!(implied.write(&Value::from("-12.5")).unwrap().digits, "-1250");
    assert_eq!(two.write(&Value::from("-12.5")).unwrap().digits, "-12.50");
}

#[test]
fn a_value_that_does_not_fit_is_named_by_field_and_code_and_never_shown() {
    let date = Convert::parse("date -> %Y%m%d", None).unwrap();
    let columns = [
        Column { required: true, ..Column::new("key", Kind::Any) },
        Column::new("born", Kind::Converted(Box::new(date))),
        Column::new("flag", Kind::Boolean("Y".to_owned(), "N".to_owned())),
        Column::new("sum", Kind::Number(Numbers::default())),
    ];
    let dialect = Dialect { forbid: vec!['9'], ..Dialect::default() };
    let mut writer = Writer::new(&dialect, &columns, latin1).unwrap();
    let mut told = |field: &str, value: Value| {
        let mut record = Record::from_iter([("key", Value::Integer(1))]);
        record.set(field, value);
        writer
            .row(&record, &mut Vec::new(), |_, _| panic!("a row that does not fit is not counted"))
            .unwrap_err()
            .to_string()
    };
    for (field, value, expected) in [
        ("key", Value::Null, "key: null"),
        ("key", Value::Blob(vec![1]), "key: wrong_kind"),
        ("key", Value::BadText(vec![0xff]), "key: wrong_kind"),
        ("key", Value::List(Vec::new()), "key: wrong_kind"),
        ("key", Value::Real(f64::NEG_INFINITY), "key: not_a_number"),
        ("key", Value::from("secret\0"), "key: control_character"),
        ("key", Value::from("secret\u{1a}"), "key: control_character"),
        ("key", Value::from("secret €"), "key: unmappable"),
        ("key", Value::Integer(19), "key: forbidden_character"),
        ("born", Value::from("2026-02-30"), "born: conversion"),
        ("flag", Value::Integer(2), "flag: not_a_boolean"),
        ("sum", Value::from("secret"), "sum: not_a_number"),
        ("sum", Value::Bool(true), "sum: not_a_number"),
    ] {
        assert_eq!(told(field, value), expected);
    }
}

#[test]
fn totals_get_what_was_encoded() {
    let implied = Numbers { point: Point::Implied(2), sign: Sign::Trailing, width: Some(9), ..Numbers::default() };
    let columns = [
        Column::new("id", Kind::Any),
        Column::new("sum", Kind::Number(implied)),
        Column { name: "SIDE".to_owned(), ..Column::new("side", Kind::Text) },
        Column::new("none", Kind::Any),
    ];
    let dialect = Dialect { quote: Quote::Always, ..Dialect::default() };
    let mut writer = Writer::new(&dialect, &columns, utf8).unwrap();
    let record = Record::from_iter([
        ("id", Value::Integer(7)),
        ("sum", Value::from("-12.5")),
        ("side", Value::from("D\"")),
        ("other", Value::from("not in the file")),
    ]);
    let mut told = Vec::new();
    writer.row(&record, &mut Vec::new(), |field, text| told.push(format!("{field}={text}"))).unwrap();
    assert_eq!(told, ["id=7", "sum=-1250", "side=D\""]);
}

#[test]
fn a_dialect_that_contradicts_itself_is_refused() {
    let two = [Column::new("a", Kind::Any), Column::new("b", Kind::Any)];
    let base = Dialect::default;
    let numbers = |numbers| Dialect { numbers, ..base() };
    for (dialect, part) in [
        (Dialect { delimiter: Some('"'), ..base() }, "both delimiter and quote"),
        (Dialect { delimiter: Some('\n'), ..base() }, "cannot be the delimiter"),
        (Dialect { delimiter: Some('\\'), escape: Escape::Backslash, ..base() }, "both delimiter and escape"),
        (Dialect { quote_char: '\n', ..base() }, "the quote is also"),
        (Dialect { delimiter: None, ..base() }, "`quote: never`"),
        (Dialect { delimiter: None, quote: Quote::Never, ..base() }, "column `a`: it needs a width"),
        (Dialect { eol: Eol::Bytes(Vec::new()), ..base() }, "nothing ends a line"),
        (Dialect { null: "a,b".to_owned(), ..base() }, "the word for null"),
        (Dialect { null: "\"".to_owned(), ..base() }, "the word for null"),
        (Dialect { replacement: Some(','), ..base() }, "the replacement"),
        (numbers(Numbers { point: Point::Implied(2), ..two_places() }), "say already"),
        (numbers(Numbers { places: Some(19), ..Numbers::default() }), "at most 18"),
        (numbers(Numbers { sign: Sign::None, plus: Some('+'), ..Numbers::default() }), "no sign is written"),
        (numbers(Numbers { plus: Some('-'), ..Numbers::default() }), "cannot be a `-`"),
        (numbers(Numbers { width: Some(0), ..Numbers::default() }), "a width of 0"),
    ] {
        let error = Writer::new(&dialect, &two, utf8).err().unwrap();
        assert!(error.contains(part), "{part}: {error}");
    }
    let refused = |dialect: &Dialect, columns: &[Column], encode: Encode| Writer::new(dialect, columns, encode).err();
    assert!(refused(&base(), &[], utf8).unwrap().contains("no columns"));
    assert!(refused(&base(), &two[..1], utf8).unwrap().contains("only column"));
    let implied = numbers(Numbers { point: Point::Implied(2), ..Numbers::default() });
    assert!(refused(&implied, &two, utf8).unwrap().contains("column `a`: say what it holds"));
    assert!(refused(&base(), &[two[0].clone().wide(3)], utf8).is_some());
    let same = [two[0].clone(), Column::new("f", Kind::Boolean("J".to_owned(), "J".to_owned()))];
    assert!(refused(&base(), &same, utf8).unwrap().contains("column `f`: true and false"));
    assert!(refused(&Dialect { delimiter: Some('é'), ..base() }, &two, ascii).unwrap().contains("no such delimiter"));
    assert!(refused(&Dialect { bom: true, ..base() }, &two, latin1).unwrap().contains("no byte order mark"));
    let inside = Dialect { eol: Eol::Bytes(b";,".to_vec()), ..base() };
    assert!(refused(&inside, &two, utf8).unwrap().contains("what ends a line"));
    let never = Dialect { quote: Quote::Never, ..base() };
    let comma = [Column::new("a,b", Kind::Any), two[0].clone()];
    assert!(refused(&never, &comma, utf8).unwrap().contains("the header cannot be written: a,b: delimiter_in_text"));
}

#[test]
fn settings_are_known_by_their_words() {
    assert_eq!(Quote::parse("text_only"), Ok(Quote::TextOnly));
    assert_eq!(Escape::parse("backslash"), Ok(Escape::Backslash));
    assert_eq!(Header::parse("quoted"), Ok(Header::Quoted));
    assert_eq!(LineBreaks::parse("space"), Ok(LineBreaks::Space));
    assert_eq!(Sign::parse("trailing"), Ok(Sign::Trailing));
    assert_eq!(Point::parse("implied(4)"), Ok(Point::Implied(4)));
    assert_eq!(Point::parse("comma"), Ok(Point::Comma));
    assert!(Point::parse("implied(19)").unwrap_err().contains("0 to 18"));
    assert_eq!(Quote::parse("minimall").unwrap_err(), "`minimall` is not known: did you mean `minimal`?");
    assert!(Escape::parse("x").unwrap_err().contains("write one of double, backslash, none"));
    for (word, char) in [(";", ';'), ("tab", '\t'), ("0x1F", '\u{1f}'), ("\t", '\t'), ("0", '0')] {
        assert_eq!(delimiter(word), Ok(Some(char)));
    }
    assert_eq!(delimiter("none"), Ok(None));
    assert!(delimiter("").is_err() && delimiter("ab").is_err() && delimiter("0xZZ").is_err());
    for (word, end) in [("CRLF", Eol::CrLf), ("lf", Eol::Lf), ("cr", Eol::Cr), ("nl", Eol::Nl)] {
        assert_eq!(eol(word), Ok(end));
    }
    assert_eq!(eol("0x0D25"), Ok(Eol::Bytes(vec![0x0d, 0x25])));
    assert!(eol("0x0").is_err() && eol("0x").is_err() && eol("0x+1").is_err() && eol("x").is_err());
}

#[test]
fn lf_does_where_nobody_has_said_what_ends_a_line_and_is_told_where_somebody_has() {
    let columns = [Column::new("a", Kind::Any), Column::new("b", Kind::Any)];
    let free = Dialect { eol_free: true, ..Dialect::default() };
    let reader = Reader::new(&free, &columns, utf8, decode_utf8).unwrap();
    let with_crlf = reader.read(b"a,b\r\n1,x\r\n2,y\r\n", 0, 0).unwrap();
    assert_eq!(reader.read(b"a,b\n1,x\n2,y\n", 0, 0).unwrap(), with_crlf);
    assert_eq!(reader.read(b"a,b\n1,x\n2,y", 0, 0).unwrap(), with_crlf);
    // Line breaks in a text stay what they are.
    let text = reader.read(b"a,b\r\n1,\"x\ny\"\r\n", 0, 0).unwrap();
    assert_eq!(text.rows[0].get("b"), Some(&Value::from("x\ny")));
    let text = reader.read(b"a,b\n1,\"x\r\ny\"\n", 0, 0).unwrap();
    assert_eq!(text.rows[0].get("b"), Some(&Value::from("x\r\ny")));
    assert_eq!(reader.read(b"a,b\r\n1\r\n\n", 0, 0).unwrap_err().to_string(), "line 2, line: wrong_field_count");
    let said = Dialect::default();
    let reader = Reader::new(&said, &columns, utf8, decode_utf8).unwrap();
    assert_eq!(reader.read(b"a,b\n1,x\n", 0, 0).unwrap_err().to_string(), "line 1, line: wrong_line_end");
    assert_eq!(reader.read(b"a,b\r\n1,x\r\n2,y\r\n", 0, 0).unwrap(), with_crlf);
}

#[test]
fn a_file_that_is_not_of_the_dialect_is_refused_with_its_line_and_field() {
    let columns = [
        Column { required: true, ..Column::new("id", Kind::Number(Numbers::default())) },
        Column::new("flag", Kind::Boolean("Y".to_owned(), "N".to_owned())),
    ];
    let dialect = Dialect { eol: Eol::Lf, ..Dialect::default() };
    let reader = Reader::new(&dialect, &columns, utf8, decode_utf8).unwrap();
    let told = |file: &[u8]| reader.read(file, 0, 0).unwrap_err().to_string();
    for (file, expected) in [
        (&b""[..], "line 1, line: wrong_field_count"),
        (b"id,flags\n", "line 1, header: other_header"),
        (b"id\n", "line 1, line: wrong_field_count"),
        (b"id,flag\n1,Y\n2\n", "line 3, line: wrong_field_count"),
        (b"id,flag\n1,Y,\n", "line 2, line: wrong_field_count"),
        (b"id,flag\n\n", "line 2, line: wrong_field_count"),
        (b"id,flag\n1,\"Y\n", "line 2, flag: unclosed_quote"),
        (b"id,flag\n\"1\"2,Y\n", "line 2, id: text_after_quote"),
        (b"id,flag\nx,Y\n", "line 2, id: not_a_number"),
        (b"id,flag\n1,y\n", "line 2, flag: not_a_boolean"),
        (b"id,flag\n,Y\n", "line 2, id: null"),
        (b"id,flag\n1,\xff\n", "line 2, flag: bad_character"),
        (b"id,flag\n1,Y\n2,\"\"\n", "line 3, flag: not_a_boolean"),
    ] {
        assert_eq!(told(file), expected);
    }
    let good = reader.read(b"id,flag\n1,Y\n-2.50,", 0, 0).unwrap();
    assert_eq!(good.rows.len(), 2);
    assert_eq!(good.rows[0], Record::from_iter([("id", Value::Integer(1)), ("flag", Value::Bool(true))]));
    assert_eq!(good.rows[1], Record::from_iter([("id", Value::Real(-2.5)), ("flag", Value::Null)]));
    let escaped = Dialect { escape: Escape::Backslash, header: Header::Off, ..Dialect::default() };
    let texts = [Column::new("a", Kind::Any), Column::new("b", Kind::Any)];
    let reader_of_others = Reader::new(&escaped, &texts, utf8, decode_utf8).unwrap();
    let sheet = reader_of_others.read(b"a\\,b\\\\,\"c\\\"\"\r\n", 0, 0).unwrap();
    assert_eq!(sheet.rows, [Record::from_iter([("a", Value::from("a,b\\")), ("b", Value::from("c\""))])]);
    let framed = reader.read(b"HD,\"x\nid,flag\n7,N\nT1\nT2\n", 1, 2).unwrap();
    assert_eq!((framed.lead, framed.trail), (vec!["HD,\"x".to_owned()], vec!["T1".to_owned(), "T2".to_owned()]));
    assert_eq!(framed.rows.len(), 1);
    assert_eq!(reader.read(b"HD\n", 1, 1).unwrap_err().to_string(), "line 0, last lines: wrong_field_count");
}
