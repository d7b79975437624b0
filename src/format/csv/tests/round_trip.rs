//! Files of random dialects and values.

use proptest::prelude::*;

use super::*;

fn dialects() -> impl Strategy<Value = Dialect> {
    let signs = (
        prop::sample::select(vec![',', ';', '|', '\t', '\u{1f}', 'é', 'a']),
        prop::sample::select(vec![Quote::Minimal, Quote::Always, Quote::TextOnly, Quote::Never]),
        prop::sample::select(vec!['"', '\'', 'ß']),
        prop::sample::select(vec![Escape::Double, Escape::Backslash, Escape::None]),
        prop::sample::select(vec![
            Eol::CrLf,
            Eol::Lf,
            Eol::Cr,
            Eol::Nl,
            Eol::Bytes(b"%%".to_vec()),
            Eol::Bytes(b"b\n".to_vec()),
        ]),
    );
    let flags = (any::<[bool; 4]>(), prop::sample::select(vec![Header::Off, Header::Plain, Header::Quoted]));
    let words = (prop::sample::select(vec!["", "NULL", "-"]), prop::sample::select(vec![".", ",", "v"]));
    (signs, flags, words).prop_map(|(signs, ([final_eol, bom, eof, trailing_delimiter], header), (null, point))| {
        let (delimiter, quote, quote_char, escape, eol) = signs;
        let point = match point {
            "." => Point::Point,
            "," => Point::Comma,
            _ => Point::Implied(3),
        };
        Dialect {
            delimiter: Some(delimiter),
            quote,
            quote_char,
            escape,
            eol,
            final_eol,
            header,
            bom,
            eof: eof.then_some(0x1a),
            null: null.to_owned(),
            numbers: Numbers { point, sign: Sign::Trailing, ..Numbers::default() },
            trailing_delimiter,
            ..Dialect::default()
        }
    })
}

proptest! {
    #[test]
    fn what_was_written_is_read_back_in_every_dialect(
        dialect in dialects(),
        rows in prop::collection::vec(("[a-bß\"'\\\\,;|%\t\n\ré\u{feff}NUL-]{0,8}", any::<Option<i32>>(), any::<Option<bool>>()), 0..6),
    ) {
        let number = Kind::Number(dialect.numbers);
        let columns =
            [Column::new("x", Kind::Text), Column::new("z", number), Column::new("y", Kind::Boolean("Y".to_owned(), "N".to_owned()))];
        prop_assume!(dialect.check(&columns).is_ok());
        let Ok(mut writer) = Writer::new(&dialect, &columns, utf8) else { return Ok(()) };
        let mut out = Vec::new();
        let lines = ["one".to_owned(), "two\"".to_owned()];
        writer.start(&lines, &mut out).unwrap();
        let mut written = Vec::new();
        for (text, thousandths, flag) in rows {
            let number = thousandths.map_or(Value::Null, |number| {
                crate::rules::decimal::Decimal::parse(&format!("{number}e-3")).unwrap().to_value(true)
            });
            let flag = flag.map_or(Value::Null, Value::Bool);
            let mut record = Record::from_iter([("x", Value::from(text.as_str())), ("z", number), ("y", flag)]);
            match writer.row(&record, &mut out, |_, _| ()) {
                Ok(()) => {
                    if text.is_empty() && dialect.quote == Quote::Never && dialect.null.is_empty() {
                        record.set("x", Value::Null);
                    }
                    written.push(record);
                }
                // With quotes that can be escaped everything fits.
                Err(_) => prop_assert!(dialect.quote == Quote::Never || dialect.escape == Escape::None),
            }
        }
        writer.end(&lines, &mut out).unwrap();
        let reader = Reader::new(&dialect, &columns, utf8, decode_utf8).unwrap();
        let sheet = reader.read(&out, 2, 2).unwrap();
        prop_assert_eq!(&sheet.lead, &lines);
        prop_assert_eq!(&sheet.trail, &lines);
        prop_assert_eq!(sheet.rows, written);
    }

    #[test]
    fn no_file_makes_the_reader_panic(dialect in dialects(), file in "[ab,;|\"'%\\\\\n\r\t\u{feff}é\u{1a}]{0,40}", lead in 0_usize..2, trail in 0_usize..2) {
        let columns = [Column::new("x", Kind::Text), Column::new("y", Kind::Number(dialect.numbers))];
        if let Ok(reader) = Reader::new(&dialect, &columns, utf8, decode_utf8) {
            let _ = reader.read(file.as_bytes(), lead, trail);
        }
    }
}
