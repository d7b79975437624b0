#![allow(clippy::unwrap_used)]

use super::*;
use crate::event::Record;
use proptest::prelude::*;

fn converted(converter: &str, value: impl Into<Value>) -> Value {
    zoned(converter, None, value)
}

fn zoned(converter: &str, zone: Option<&str>, value: impl Into<Value>) -> Value {
    Convert::parse(converter, zone).unwrap().apply(value.into()).unwrap()
}

fn refused(converter: &str, value: impl Into<Value>) -> Reason {
    Convert::parse(converter, None).unwrap().apply(value.into()).unwrap_err()
}

#[test]
fn units_convert_exactly_and_integers_stay_integers() {
    for (converter, value, result) in [
        ("minutes -> seconds", Value::Integer(20), Value::Integer(1200)),
        ("min->s", "20".into(), Value::Integer(1200)),
        ("Minute -> SECONDS", Value::Real(20.0), Value::Real(1200.0)),
        ("seconds -> minutes", Value::Integer(90), Value::Real(1.5)),
        ("seconds -> minutes", Value::Integer(20), Value::Real(20.0 / 60.0)),
        ("weeks -> milliseconds", Value::Integer(1), Value::Integer(604_800_000)),
        ("days -> hours", " 0.1 ".into(), Value::Real(2.4)),
        ("in -> cm", Value::Integer(1), Value::Real(2.54)),
        ("miles -> metres", Value::Integer(1), Value::Real(1609.344)),
        ("lb -> kg", Value::Integer(1), Value::Real(0.453_592_37)),
        ("oz -> g", Value::Integer(16), Value::Real(453.592_37)),
        ("gal -> ml", Value::Integer(1), Value::Real(3_785.411_784)),
        ("fluid_ounces -> gallons", Value::Integer(128), Value::Integer(1)),
        ("celsius -> fahrenheit", Value::Integer(37), Value::Real(98.6)),
        ("fahrenheit -> celsius", Value::Real(98.6), Value::Real(37.0)),
        ("fahrenheit -> celsius", Value::Integer(-40), Value::Integer(-40)),
        ("celsius -> kelvin", Value::Integer(0), Value::Real(273.15)),
        ("kelvin -> fahrenheit", "273.15".into(), Value::Integer(32)),
        ("hours -> days", Value::Null, Value::Null),
    ] {
        assert_eq!(converted(converter, value), result, "{converter}");
    }
    assert_eq!(
        refused("minutes -> seconds", "secret").to_string(),
        "mapping: converter `minutes -> seconds` wants a number, or a text that is one; this is text that it cannot take"
    );
    assert_eq!(converted("minutes -> seconds", i64::MAX), Value::Number("553402322211286548420".into()));
}

#[test]
fn forms_of_date_convert_into_each_other() {
    for (converter, value, result) in [
        ("rfc3339 -> date", "2026-03-05T23:05:00-06:00", "2026-03-06"),
        ("rfc3339 -> datetime", "2026-03-05T18:05:00.123Z", "2026-03-05 18:05:00"),
        ("datetime -> rfc3339", "2026-03-05 18:05:00", "2026-03-05T18:05:00Z"),
        ("datetime -> iso", "2026-03-05T18:05:00.25", "2026-03-05T18:05:00.25Z"),
        ("iso -> %H:%M", "2026-03-05T18:05", "18:05"),
        ("date -> %m/%d/%Y", "2026-03-05", "03/05/2026"),
        ("%m/%d/%y -> date", "3/5/26", "2026-03-05"),
        ("date -> julian", "2026-03-05", "2026064"),
        ("julian -> date", "2026064", "2026-03-05"),
        ("date -> hl7", "2026-03-05", "20260305000000+0000"),
        ("hl7 -> rfc3339", "20260305180500.1234-0600", "2026-03-06T00:05:00.1234Z"),
        ("hl7 -> date", "20260305", "2026-03-05"),
        ("hl7 -> datetime", "202603051805", "2026-03-05 18:05:00"),
        ("odata2 -> rfc3339", "/Date(1492098664000+0060)/", "2017-04-13T15:51:04Z"),
        ("odata2 -> rfc3339", "/Date(-1000)/", "1969-12-31T23:59:59Z"),
        ("rfc3339 -> odata2", "2017-04-13T15:51:04Z", "/Date(1492098664000)/"),
        ("%H:%M:%S -> %I:%M %p", "14:30:00", "02:30 PM"),
        ("%Y%m%d -> date", "20260305", "2026-03-05"),
    ] {
        assert_eq!(converted(converter, value), result.into(), "{converter}");
    }
    assert_eq!(converted("rfc3339 -> epoch", "2017-04-13T15:51:04.5Z"), Value::Integer(1_492_098_664));
    assert_eq!(converted("rfc3339 -> epoch_ms", "2017-04-13T15:51:04.5Z"), Value::Integer(1_492_098_664_500));
    assert_eq!(converted("epoch -> rfc3339", 1_492_098_664), "2017-04-13T15:51:04Z".into());
    assert_eq!(converted("epoch -> rfc3339", Value::Real(1_492_098_664.5)), "2017-04-13T15:51:04.5Z".into());
    assert_eq!(converted("epoch_ms -> date", "1492098664000"), "2017-04-13".into());
    assert_eq!(converted("%Y%m%d -> date", 20_260_305), "2026-03-05".into());
}

#[test]
fn local_times_follow_their_zone_through_summer_time() {
    let zone = Some("America/Chicago");
    assert_eq!(zoned("datetime -> rfc3339", zone, "2026-03-05 18:05:00"), "2026-03-06T00:05:00Z".into());
    assert_eq!(zoned("datetime -> rfc3339", zone, "2026-07-05 18:05:00"), "2026-07-05T23:05:00Z".into());
    assert_eq!(zoned("rfc3339 -> hl7", zone, "2026-03-06T00:05:00Z"), "20260305180500-0600".into());
    assert_eq!(zoned("date -> epoch", zone, "2026-03-05"), Value::Integer(1_772_690_400));
    // 2026-03-08 02:30 does not exist there: it moves forward by the hour; 2026-11-01 01:30 comes twice: the first.
    assert_eq!(zoned("datetime -> rfc3339", zone, "2026-03-08 02:30:00"), "2026-03-08T08:30:00Z".into());
    assert_eq!(zoned("datetime -> rfc3339", zone, "2026-11-01 01:30:00"), "2026-11-01T06:30:00Z".into());
    // From local to local nothing moves.
    assert_eq!(zoned("datetime -> %Y%m%d%H%M", zone, "2026-03-08 02:30:00"), "202603080230".into());
}

#[test]
fn words_convert_text_and_types() {
    for (converter, value, result) in [
        ("upper", "straße".into(), "STRASSE".into()),
        ("lower", "ÀB".into(), "àb".into()),
        ("trim", " a b\n".into(), "a b".into()),
        ("text", Value::Integer(42), "42".into()),
        ("text", Value::Real(5.0), "5.0".into()),
        ("text", Value::Bool(true), "true".into()),
        ("integer", "0042".into(), Value::Integer(42)),
        ("integer", Value::Real(5.0), Value::Integer(5)),
        ("number", " 1.50 ".into(), Value::Real(1.5)),
        ("number", "18446744073709551616".into(), Value::Number("18446744073709551616".into())),
        ("boolean", Value::Integer(1), Value::Bool(true)),
        ("boolean", "No".into(), Value::Bool(false)),
        ("base64", Value::Blob(vec![0, 255]), "AP8=".into()),
        ("base64", Value::BadText(vec![255]), "/w==".into()),
        ("sha256", "abc".into(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".into()),
        ("substr(2,3)", "äöüßx".into(), "öüß".into()),
        ("substr(3)", "abcd".into(), "cd".into()),
        ("substr(9, 1)", "abcd".into(), "".into()),
        ("pad_left(5, 0)", Value::Integer(42), "00042".into()),
        ("pad_left(2,0)", Value::Integer(12345), "12345".into()),
        ("pad_right(4, ' ')", "é".into(), "é   ".into()),
        ("pad_right(3)", "a".into(), "a  ".into()),
        ("pad_right(3, ',')", "a".into(), "a,,".into()),
    ] {
        assert_eq!(converted(converter, value), result, "{converter}");
    }
    for (converter, value) in [
        ("integer", Value::Real(5.5)),
        ("integer", "9223372036854775808".into()),
        ("boolean", Value::Integer(2)),
        ("upper", Value::Blob(vec![1])),
        ("text", Value::List(Vec::new())),
        ("number", Value::Bool(true)),
        ("rfc3339 -> date", "2026-03-05".into()),
        ("date -> julian", "2026-02-30".into()),
        ("date -> julian", Value::Real(5.0)),
        ("julian -> date", "26064".into()),
        ("hl7 -> date", "2026".into()),
        ("epoch -> date", Value::Real(1e300)),
        ("odata2 -> date", "/Date()/".into()),
    ] {
        let reason = refused(converter, value);
        assert!(reason.class == "mapping" && reason.text.contains(converter), "{reason}");
    }
}

#[test]
fn an_unknown_converter_names_the_nearest_known_one() {
    for (text, part) in [
        ("uper", "did you mean `upper`?"),
        ("minutes -> secnds", "`secnds` is not a unit of time: did you mean `seconds`?"),
        ("minuts -> rfc3339", "did you mean `minutes`?"),
        ("minutes -> metres", "`minutes` measures time, `metres` length"),
        ("rfc339 -> date", "did you mean `rfc3339`?"),
        ("minutes", "write for example `minutes -> seconds`"),
        ("date", "write `rfc3339 -> date`"),
        (" -> date", "a side of `->` is empty"),
        ("pad_left(x)", "`x` is not a number from 1"),
        ("pad_left(3, ab)", "is not one character"),
        ("substr(0)", "`0` is not a number from 1"),
        ("upper(1)", "takes nothing"),
        ("substr(1", "closing"),
        ("date -> %Q%!", "cannot be written"),
        ("%H:%M -> date", "`%H:%M` gives no date, which `date` needs"),
        ("%M -> %M", "cannot be read"),
        ("%Y -> date", "cannot be read"),
    ] {
        let error = Convert::parse(text, None).unwrap_err();
        assert!(error.contains(part), "{text}: {error}");
    }
    let error = Convert::parse("date -> epoch", Some("America/Chicgo")).unwrap_err();
    assert_eq!(error, "`America/Chicgo` is not a time zone: did you mean `America/Chicago`?");
}

#[test]
fn the_catalog_lists_only_what_can_be_parsed() {
    for (name, what) in catalog() {
        assert!(!what.is_empty(), "{name}");
        let parsed = match name.split_once(" -> ").map_or(&*name, |(form, _)| form) {
            form if units::find(form).is_some() => Convert::parse(&format!("{form} -> {form}"), None),
            form if dates::is_form(form) => Convert::parse(&format!("{form} -> date"), None),
            word => Convert::parse(
                &[
                    ("from", "1"),
                    ("len", "2"),
                    ("width", "3"),
                    ("char", "x"),
                    ("space", "url"),
                    ("before", "a"),
                    ("behind", "b"),
                    ("places", "2"),
                    ("what", "xml"),
                ]
                .iter()
                .fold(word.to_owned(), |word, (argument, value)| word.replace(argument, value)),
                None,
            ),
        };
        assert!(parsed.is_ok(), "{name}: {parsed:?}");
    }
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Integer),
        any::<f64>().prop_map(Value::Real),
        "-?[0-9]{1,400}(\\.[0-9]{1,40})?(e-?[0-9]{1,20})?".prop_map(|digits| Value::Number(digits.into())),
        any::<String>().prop_map(|text| Value::Text(text.into())),
        "[0-9:/TZ .+-]{0,30}".prop_map(|text| Value::Text(text.into())),
        "/Date\\([-+0-9]{0,25}\\)/".prop_map(|text| Value::Text(text.into())),
        any::<Vec<u8>>().prop_map(Value::BadText),
        any::<Vec<u8>>().prop_map(Value::Blob),
        Just(Value::List(vec![Value::Null])),
        Just(Value::Map(Record::new())),
    ]
}

proptest! {
    #[test]
    fn no_value_makes_a_converter_panic(value in value()) {
        let forms = dates::FORMS.iter().map(|(form, _)| *form).chain(["%Y-%m-%d %H:%M:%S %z", "%s", "%Y%j", "%G-W%V-%u"]);
        let forms: Vec<_> = forms.collect();
        for from in &forms {
            for to in &forms {
                let _ = Convert::parse(&format!("{from} -> {to}"), None).unwrap().apply(value.clone());
            }
        }
        for unit in units::names() {
            for other in ["milliseconds", "miles", "pounds", "gallons", "fahrenheit"] {
                if let Ok(convert) = Convert::parse(&format!("{unit} -> {other}"), None) {
                    let _ = convert.apply(value.clone());
                }
            }
        }
        for word in ["upper", "lower", "trim", "text", "integer", "number", "boolean", "base64", "sha256", "substr(2,3)", "pad_left(9,0)"] {
            let _ = Convert::parse(word, None).unwrap().apply(value.clone());
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[a-z0-9_%(),' >-]{0,24}") {
        let _ = Convert::parse(&text, None);
    }
}
