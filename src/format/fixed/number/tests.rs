#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::format::codepage::named;

fn digits(number: Number, page: &str, overpunch: Option<Overpunch>) -> Digits {
    Digits::new(number, Round::Exact, named(page).unwrap(), overpunch, false, false)
}

fn number(digits: u8, scale: i8, signed: bool, form: Form) -> Number {
    Number { digits, scale, signed, form, blank_when_zero: false }
}

const TRAILING: Form = Form::Zoned(Sign { leading: false, separate: false });
const LEADING: Form = Form::Zoned(Sign { leading: true, separate: false });
const BEFORE: Form = Form::Zoned(Sign { leading: true, separate: true });
const AFTER: Form = Form::Zoned(Sign { leading: false, separate: true });

fn written(digits: &Digits, value: &Value) -> Result<Vec<u8>, Code> {
    let mut cell = vec![0; digits.number.length()];
    digits.encode(value, &mut cell).map(|()| cell)
}

#[test]
fn each_kind_of_number_has_the_bytes_of_the_table() {
    let ebcdic = |number| digits(number, "037", None);
    let image = |number| digits(number, "ascii", Some(Overpunch::Ebcdic));
    let micro = |number| digits(number, "ascii", Some(Overpunch::MicroFocus));
    for (digits, value, bytes) in [
        (ebcdic(number(5, 0, true, Form::Packed)), -12345, vec![0x12, 0x34, 0x5d]),
        (ebcdic(number(4, 0, true, Form::Packed)), 1234, vec![0x01, 0x23, 0x4c]),
        (ebcdic(number(5, 0, false, Form::Packed)), 12345, vec![0x12, 0x34, 0x5f]),
        (ebcdic(number(5, 0, true, Form::Packed)), 0, vec![0, 0, 0x0c]),
        (ebcdic(number(4, 0, true, Form::Binary)), -2, vec![0xff, 0xfe]),
        (ebcdic(number(9, 0, true, Form::Binary)), 258, vec![0, 0, 1, 2]),
        (ebcdic(number(18, 0, true, Form::Binary)), -1, vec![0xff; 8]),
        (ebcdic(number(4, 0, false, Form::Native)), 65535, vec![0xff, 0xff]),
        (ebcdic(number(4, 0, true, Form::Native)), -32768, vec![0x80, 0]),
        (ebcdic(number(3, 0, true, TRAILING)), 12, vec![0xf0, 0xf1, 0xc2]),
        (ebcdic(number(3, 0, true, TRAILING)), -12, vec![0xf0, 0xf1, 0xd2]),
        (ebcdic(number(3, 0, false, TRAILING)), 12, vec![0xf0, 0xf1, 0xf2]),
        (ebcdic(number(3, 0, true, LEADING)), -12, vec![0xd0, 0xf1, 0xf2]),
        (ebcdic(number(3, 0, true, BEFORE)), -12, vec![0x60, 0xf0, 0xf1, 0xf2]),
        (ebcdic(number(3, 0, true, BEFORE)), 12, vec![0x4e, 0xf0, 0xf1, 0xf2]),
        (ebcdic(number(3, 0, true, AFTER)), -12, vec![0xf0, 0xf1, 0xf2, 0x60]),
        (image(number(3, 0, true, TRAILING)), 12, b"01B".to_vec()),
        (image(number(3, 0, true, TRAILING)), -12, b"01K".to_vec()),
        (image(number(3, 0, true, TRAILING)), -10, b"01}".to_vec()),
        (micro(number(3, 0, true, TRAILING)), 12, b"012".to_vec()),
        (micro(number(3, 0, true, TRAILING)), -12, b"01r".to_vec()),
        (micro(number(3, 0, true, AFTER)), -12, b"012-".to_vec()),
    ] {
        assert_eq!(written(&digits, &Value::Integer(value)), Ok(bytes.clone()), "{:?} {value}", digits.number);
        assert_eq!(digits.take(&bytes).map(|scaled| digits.value(scaled)), Ok(Value::Integer(value)));
    }
}

#[test]
fn the_range_is_that_of_the_picture_and_of_comp_5_that_of_the_bytes() {
    for (form, signed, most) in [
        (Form::Binary, true, 9999),
        (Form::Native, true, 32767),
        (Form::Native, false, 65535),
        (Form::Packed, true, 9999),
    ] {
        let digits = digits(number(4, 0, signed, form), "037", None);
        assert!(written(&digits, &Value::Integer(most)).is_ok());
        assert_eq!(written(&digits, &Value::Integer(most + 1)), Err(Code::Overflow), "{form:?}");
        let below = if form == Form::Native { -most - 2 } else { -most - 1 };
        let code = if signed { Code::Overflow } else { Code::Negative };
        assert_eq!(written(&digits, &Value::Integer(if signed { below } else { -1 })), Err(code), "{form:?}");
    }
}

#[test]
fn minus_zero_is_plus_zero_both_ways() {
    for text in ["-0", "-0.00", "-0e5"] {
        let digits = digits(number(3, 2, true, TRAILING), "037", None);
        assert_eq!(written(&digits, &Value::from(text)), Ok(vec![0xf0, 0xf0, 0xc0]), "{text}");
        assert_eq!(digits.take(&[0xf0, 0xf0, 0xd0]), Ok(Scaled { negative: false, magnitude: 0 }));
    }
}

#[test]
fn decimal_places_are_exact_or_rounded_as_declared() {
    let scaled = |text: &str, scale, round| {
        super::scaled(&Value::from(text), scale, round)
            .map(|s| if s.negative { -(s.magnitude as i128) } else { s.magnitude as i128 })
    };
    for (text, scale, exact, up, even, cut) in [
        ("12.5", 2, Some(1250), 1250, 1250, 1250),
        ("12.500", 2, Some(1250), 1250, 1250, 1250),
        ("12.345", 2, None, 1235, 1234, 1234),
        ("-12.345", 2, None, -1235, -1234, -1234),
        ("12.355", 2, None, 1236, 1236, 1235),
        ("12.3449", 2, None, 1234, 1234, 1234),
        ("12.34501", 2, None, 1235, 1235, 1234),
        ("0.5", 0, None, 1, 0, 0),
        ("-0.4", 0, None, 0, 0, 0),
        ("0.05", 0, None, 0, 0, 0),
        ("1.5e3", 0, Some(1500), 1500, 1500, 1500),
        ("15e-1", 0, None, 2, 2, 1),
        ("1e-400", 2, None, 0, 0, 0),
        ("0e999999999", 2, Some(0), 0, 0, 0),
        ("1250", -2, None, 13, 12, 12),
        ("1200", -2, Some(12), 12, 12, 12),
        ("000000000000000000000000000000000000000000000001.10", 1, Some(11), 11, 11, 11),
        ("99999999999999999999999999999999999999.9", 0, None, 10_i128.pow(38), 10_i128.pow(38), 10_i128.pow(38) - 1),
    ] {
        assert_eq!(scaled(text, scale, Round::Exact), exact.ok_or(Code::Inexact), "{text}");
        assert_eq!(scaled(text, scale, Round::HalfUp), Ok(up), "{text} half_up");
        assert_eq!(scaled(text, scale, Round::HalfEven), Ok(even), "{text} half_even");
        assert_eq!(scaled(text, scale, Round::Truncate), Ok(cut), "{text} truncate");
    }
    for text in ["", "-", ".5", "5.", "1.2.3", "1e", "e5", "0x1", "NaN", "inf", "1 2", "½", "+-1", "1e99999999999999"]
    {
        assert_eq!(scaled(text, 2, Round::Truncate), Err(Code::NotANumber), "{text}");
    }
    for text in ["1e40", "1e2000000000", &"9".repeat(60)] {
        assert_eq!(scaled(text, 2, Round::Truncate), Err(Code::Overflow), "{text}");
    }
    assert_eq!(super::scaled(&Value::Real(0.1), 1, Round::Exact).map(|s| s.magnitude), Ok(1));
    assert_eq!(super::scaled(&Value::Real(0.1 + 0.2), 2, Round::Exact), Err(Code::Inexact));
    assert_eq!(super::scaled(&Value::Real(1e300), 2, Round::Exact), Err(Code::Overflow));
    assert_eq!(super::scaled(&Value::Real(f64::NAN), 2, Round::Exact), Err(Code::NotANumber));
    assert_eq!(super::scaled(&Value::Blob(vec![1]), 2, Round::Exact), Err(Code::Kind));
    assert_eq!(super::scaled(&Value::Integer(i64::MIN), 31, Round::Exact), Err(Code::Overflow));
}

#[test]
fn what_mainframes_write_is_read_and_what_they_do_not_is_damage() {
    let packed = digits(number(5, 0, true, Form::Packed), "037", None);
    for (nibble, sign) in [(0xa, 1), (0xb, -1), (0xc, 1), (0xd, -1), (0xe, 1), (0xf, 1)] {
        let value = packed.take(&[0x12, 0x34, 0x50 | nibble]).map(|scaled| packed.value(scaled));
        assert_eq!(value, Ok(Value::Integer(12345 * sign)));
    }
    assert_eq!(packed.take(&[0x12, 0x34, 0x55]), Err(Code::BadSign));
    assert_eq!(packed.take(&[0x1a, 0x34, 0x5c]), Err(Code::BadDigit));
    // A digit too many in the unused half.
    let even = digits(number(4, 0, true, Form::Packed), "037", None);
    assert_eq!(even.take(&[0x12, 0x34, 0x5c]), Err(Code::Overflow));

    let zoned = digits(number(3, 0, true, TRAILING), "037", None);
    for (byte, sign) in [(0xa2, 1), (0xb2, -1), (0xc2, 1), (0xd2, -1), (0xe2, 1), (0xf2, 1)] {
        let value = zoned.take(&[0xf0, 0xf1, byte]).map(|scaled| zoned.value(scaled));
        assert_eq!(value, Ok(Value::Integer(12 * sign)));
    }
    assert_eq!(zoned.take(&[0xf0, 0xc1, 0xf2]), Err(Code::BadZone));
    assert_eq!(zoned.take(&[0xf0, 0xfa, 0xf2]), Err(Code::BadDigit));
    assert_eq!(zoned.take(&[0xf0, 0xf1, 0x02]), Err(Code::BadSign));
    assert_eq!(zoned.take(&[0xf0, 0xf1, 0xca]), Err(Code::BadDigit));
    assert_eq!(zoned.take(&[0x40; 3]), Err(Code::Blank));
    let unsigned = digits(number(3, 0, false, TRAILING), "037", None);
    assert_eq!(unsigned.take(&[0xf0, 0xf1, 0xc2]).map(|s| s.magnitude), Ok(12));
    assert_eq!(unsigned.take(&[0xf0, 0xf1, 0xd2]), Err(Code::BadSign));
    let separate = digits(number(3, 0, true, BEFORE), "037", None);
    assert_eq!(separate.take(&[0x40, 0xf0, 0xf1, 0xf2]), Err(Code::BadSign));
    let binary = digits(number(4, 0, true, Form::Binary), "037", None);
    assert_eq!(binary.take(&[0x7f, 0xff]), Err(Code::Overflow));
    let ascii = digits(number(3, 0, true, TRAILING), "ascii", Some(Overpunch::MicroFocus));
    assert_eq!(ascii.take(b"01B"), Err(Code::BadSign));
    assert_eq!(ascii.take(b"0z2"), Err(Code::BadZone));
}

#[test]
fn comp_5_may_have_its_lowest_byte_first() {
    let number = number(4, 0, true, Form::Native);
    let little = Digits::new(number, Round::Exact, named("ascii").unwrap(), None, true, false);
    assert_eq!(written(&little, &Value::Integer(-2)), Ok(vec![0xfe, 0xff]));
    assert_eq!(little.take(&[0x01, 0x02]).map(|s| s.magnitude), Ok(0x0201));
}

fn any_form() -> impl Strategy<Value = Form> {
    prop_oneof![
        Just(Form::Packed),
        Just(Form::Binary),
        Just(Form::Native),
        (any::<bool>(), any::<bool>()).prop_map(|(leading, separate)| Form::Zoned(Sign { leading, separate })),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        form in any_form(),
        size in 1_u8..=31,
        scale in -3_i8..=5,
        signed in any::<bool>(),
        magnitude in any::<u128>(),
        minus in any::<bool>(),
        page in prop_oneof![Just("037"), Just("ascii")],
        micro in any::<bool>(),
    ) {
        let size = if matches!(form, Form::Binary | Form::Native) { size.min(18) } else { size };
        let over = if micro { Overpunch::MicroFocus } else { Overpunch::Ebcdic };
        let digits = digits(number(size, scale, signed, form), page, Some(over));
        let magnitude = magnitude % tens(usize::from(size));
        let scaled = Scaled { negative: minus && signed && magnitude > 0, magnitude };
        let mut cell = vec![0; digits.number.length()];
        // COMP-5 of 4, 9 or 18 digits has more room than digits, never less.
        prop_assert_eq!(digits.put(scaled, &mut cell), Ok(()));
        prop_assert_eq!(digits.take(&cell), Ok(scaled));
        let value = digits.value(scaled);
        prop_assert_eq!(super::scaled(&value, scale, Round::Exact), Ok(scaled));
    }

    #[test]
    fn no_bytes_and_no_text_make_it_panic(
        form in any_form(),
        size in 1_u8..=31,
        signed in any::<bool>(),
        bytes in proptest::collection::vec(any::<u8>(), 0..40),
        text in "[-+0-9.eE ]{0,50}",
    ) {
        let size = if matches!(form, Form::Binary | Form::Native) { size.min(18) } else { size };
        let digits = digits(number(size, 2, signed, form), "037", None);
        let mut cell = bytes;
        cell.resize(digits.number.length(), 0xf1);
        let _ = digits.take(&cell).map(|scaled| digits.value(scaled));
        let _ = digits.encode(&Value::from(&*text), &mut cell);
    }
}
