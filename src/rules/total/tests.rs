#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;

/// The totals of detail records of type `DT`, each given as its fields.
fn totals(expressions: &[&str], records: &[&[(&str, &str)]]) -> Result<Vec<Option<String>>, Reason> {
    let mut totals = Totals::new(expressions.iter().map(|text| Expression::parse(text).unwrap()).collect());
    for fields in records {
        let fields: Vec<(&str, Encoded)> = fields.iter().map(|(name, text)| (*name, Encoded::from(*text))).collect();
        totals.take(&Counted { kind: "DT", detail: true, bytes: 80, fields: &fields })?;
    }
    Ok(totals.results())
}

fn total(expression: &str, values: &[&str]) -> Result<Option<String>, Reason> {
    let records: Vec<[(&str, &str); 1]> = values.iter().map(|value| [("F", *value)]).collect();
    let records: Vec<&[(&str, &str)]> = records.iter().map(<[_; 1]>::as_slice).collect();
    totals(&[expression], &records).map(|mut results| results.remove(0))
}

fn shown(expression: &str, values: &[&str]) -> String {
    total(expression, values).unwrap().unwrap()
}

#[test]
fn records_are_counted_by_kind_and_bytes() {
    let expressions = ["count()", "count(*)", "count(HD)", "count(DT)", "bytes()"];
    let mut totals = Totals::new(expressions.iter().map(|text| Expression::parse(text).unwrap()).collect());
    for (kind, detail, bytes) in [("HD", false, 80), ("DT", true, 80), ("DX", true, 40), ("TR", false, 81)] {
        totals.take(&Counted { kind, detail, bytes, fields: &[] }).unwrap();
    }
    assert_eq!(totals.results().into_iter().flatten().collect::<Vec<_>>(), ["2", "4", "1", "1", "281"]);
}

#[test]
fn sums_are_decimal_and_keep_their_places() {
    assert_eq!(shown("sum(F)", &["0.10", "0.20"]), "0.30");
    assert_eq!(shown("sum(F)", &["1", "0.5", "0.25", "-3"]), "-1.25");
    assert_eq!(shown("sum(F)", &["0000123-", "000100", "+1", "2+"]), "-20");
    assert_eq!(shown("sum(F)", &["999999999999999999", "999999999999999999.99"]), "1999999999999999998.99");
    assert_eq!(shown("sum(F)", &[]), "0");
    assert_eq!(shown("sum(F)", &["  ", "", " 7 "]), "7");
    assert_eq!(shown("abs(F)", &["-5", "5", "-0.5"]), "10.5");
    assert_eq!(shown("sum(F)", &["-0.05", "0.01"]), "-0.04");
}

#[test]
fn the_smallest_and_largest_of_nothing_is_nothing() {
    assert_eq!(total("min(F)", &[]).unwrap(), None);
    assert_eq!(total("max(F)", &[" "]).unwrap(), None);
    assert_eq!(shown("min(F)", &["20260305", "20250305", "20260101"]), "20250305");
    assert_eq!(shown("max(F)", &["-7", "-7.5", "-9"]), "-7");
    assert_eq!(shown("min(F)", &["5"]), "5");
}

#[test]
fn a_hash_total_drops_its_high_digits() {
    assert_eq!(shown("hash(F, 10)", &["9999999999", "2"]), "1");
    assert_eq!(shown("hash(F, 2)", &["12345678901234567890123456789012345678901234567850", "60"]), "10");
    assert_eq!(shown("hash(F, 36)", &["999999999999999999999999999999999999", "1"]), "0");
    // A sign is no part of an identifier.
    assert_eq!(shown("hash(F, 4)", &["-12", "12"]), "24");
    for bad in ["12A", "1.5", "-", "１"] {
        assert_eq!(total("hash(F, 4)", &[bad]).unwrap_err().class, "not-a-number", "{bad}");
    }
}

#[test]
fn debits_and_credits_are_split_by_a_condition() {
    let rows: [&[(&str, &str)]; 4] = [
        &[("SIDE", "D "), ("AMT", "10.00")],
        &[("SIDE", "C "), ("AMT", "2.50")],
        &[("SIDE", "D "), ("AMT", "-1.00")],
        &[("AMT", "100.00")],
    ];
    let expressions = [
        "sum(AMT, where=SIDE = 'D')",
        "sum(AMT, where=SIDE = 'C')",
        "sum(AMT, where=SIDE != 'C')",
        "sum(AMT, where = SIDE='D' and AMT>=0)",
        "count(where=AMT < 0)",
        "count(DT, where=AMT <= 10.0)",
        "sum(AMT)",
    ];
    let results = totals(&expressions, &rows).unwrap();
    let results: Vec<String> = results.into_iter().flatten().collect();
    assert_eq!(results, ["9.00", "2.50", "9.00", "10.00", "1", "3", "111.50"]);
}

#[test]
fn a_field_that_occurs_several_times_counts_each_time() {
    let row: &[(&str, &str)] = &[("F", "1"), ("G", "5"), ("F", "2")];
    assert_eq!(totals(&["sum(F)"], &[row]).unwrap(), [Some("3".to_owned())]);
}

#[test]
fn a_value_that_is_no_number_is_refused_by_its_field_and_leaves_the_totals_as_they_were() {
    for bad in ["x", "1.", ".5", "1e3", "1 2", "--1", "1,5", "-5-"] {
        let reason = total("sum(F)", &[bad]).unwrap_err();
        assert_eq!(reason.to_string(), "not-a-number: field `F` is in a total and is not a number", "{bad}");
    }
    let expressions = ["count()", "sum(F)"].map(|text| Expression::parse(text).unwrap());
    let mut totals = Totals::new(expressions.to_vec());
    let mut take =
        |text: &str| totals.take(&Counted { kind: "", detail: true, bytes: 1, fields: &[("F", text.into())] });
    take("5").unwrap();
    take("x").unwrap_err();
    take("6").unwrap();
    assert_eq!(totals.results(), [Some("2".to_owned()), Some("11".to_owned())]);
    // Also a test can meet one.
    let row: &[(&str, &str)] = &[("F", "x")];
    assert_eq!(super::tests::totals(&["count(where=F > 1)"], &[row]).unwrap_err().class, "not-a-number");
}

#[test]
fn numbers_that_were_encoded_in_binary_are_taken_as_they_are() {
    let expressions = ["sum(F)", "hash(F, 3)", "min(F)", "count(where=F > 12)", "abs(F)"];
    let mut totals = Totals::new(expressions.map(|text| Expression::parse(text).unwrap()).to_vec());
    let mut take = |units| {
        let fields = [("F", Encoded::Number { units, scale: 2 })];
        totals.take(&Counted { kind: "", detail: true, bytes: 1, fields: &fields })
    };
    take(1250).unwrap();
    take(-50).unwrap();
    assert_eq!(take(i128::MIN).unwrap_err().class, "overflow");
    assert_eq!(totals.results().into_iter().flatten().collect::<Vec<_>>(), ["12.00", "300", "-0.50", "1", "13.00"]);
    let text = Expression::parse("count(where=F = 'D')").unwrap();
    let fields = [("F", Encoded::Number { units: 1, scale: 0 })];
    let reason = Totals::new(vec![text]).take(&Counted { kind: "", detail: true, bytes: 1, fields: &fields });
    assert_eq!(reason.unwrap_err().to_string(), "not-a-text: field `F` is a number and is compared with a text");
}

#[test]
fn a_sum_beyond_all_digits_is_an_error() {
    let most = i128::MAX.to_string();
    assert_eq!(shown("sum(F)", &[&most]), most);
    let reason = total("sum(F)", &[&most, "1"]).unwrap_err();
    assert_eq!(reason.to_string(), "overflow: the total `sum(F)` is larger than can be calculated");
    assert_eq!(total("sum(F)", &[&most, "0.1"]).unwrap_err().class, "overflow");
    assert_eq!(total("max(F)", &[&"9".repeat(50)]).unwrap_err().class, "overflow");
}

#[test]
fn a_mistake_in_an_expression_is_told() {
    for (text, part) in [
        ("cuont()", "`cuont` is not a function of totals: did you mean `count`?"),
        ("count", "is not a total"),
        ("sum(F", "is not a total"),
        ("sum()", "write `sum(FIELD)`"),
        ("sum(A, B)", "write `sum(FIELD)`"),
        ("sum(A,)", "write `sum(FIELD)`"),
        ("sum('A')", "`'A'` is not the name of a field"),
        ("hash(F)", "write `hash(FIELD, DIGITS)`"),
        ("hash(F, 0)", "not a number of digits from 1 to 36"),
        ("hash(F, 37)", "not a number of digits from 1 to 36"),
        ("bytes(F)", "write `bytes()`"),
        ("count(A, B)", "write `count()`, `count(*)` or `count(TYPE)`"),
        ("sum(F, where=)", "is not a comparison"),
        ("sum(F, where=A)", "is not a comparison"),
        ("sum(F, where=A ! 5)", "write `!=`"),
        ("sum(F, where=A = D)", "neither a number nor a text"),
        ("sum(F, where=A = 'D)", "is not closed"),
        ("sum(F, where=A < 'D')", "only be equal"),
        ("sum(F, where=A = 1 or B = 2)", "join them with `and`"),
        ("sum(F, where= = 1)", "is not the name of a field"),
    ] {
        let error = Expression::parse(text).unwrap_err();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn an_expression_names_the_fields_that_must_exist() {
    let expression = Expression::parse(" sum( WD-BALANCE , where=WD-SIDE = 'it''s, where=' and X.Y > 5 ) ").unwrap();
    assert_eq!(expression.fields().collect::<Vec<_>>(), ["WD-BALANCE", "WD-SIDE", "X.Y"]);
    assert_eq!(expression.to_string(), "sum( WD-BALANCE , where=WD-SIDE = 'it''s, where=' and X.Y > 5 )");
    assert_eq!(Expression::parse("count(DT)").unwrap().record_type(), Some("DT"));
    assert_eq!(expression.record_type(), None);
    // A field may be called so.
    assert_eq!(Expression::parse("sum(where)").unwrap().fields().collect::<Vec<_>>(), ["where"]);
}

proptest! {
    #[test]
    fn totals_of_hundredths_are_those_of_whole_numbers(values in proptest::collection::vec(any::<i32>(), 0..50)) {
        let sign = |value: &i32| if *value < 0 { "-" } else { "" };
        let texts: Vec<String> = values
            .iter()
            .map(|value| format!("{}{}.{:02}", sign(value), value.unsigned_abs() / 100, value.unsigned_abs() % 100))
            .collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let hundredths = |text: String| text.replace('.', "").parse::<i64>().unwrap();
        let exact: i64 = values.iter().map(|value| i64::from(*value)).sum();
        prop_assert_eq!(hundredths(shown("sum(F)", &texts)), exact);
        let sizes: i64 = values.iter().map(|value| i64::from(*value).abs()).sum();
        prop_assert_eq!(hundredths(shown("abs(F)", &texts)), sizes);
        let largest = values.iter().max().map(|value| i64::from(*value));
        prop_assert_eq!(total("max(F)", &texts).unwrap().map(hundredths), largest);
    }

    #[test]
    fn a_hash_total_is_the_sum_modulo_a_power_of_ten(values in proptest::collection::vec(any::<u64>(), 0..50), digits in 1_u32..19) {
        let texts: Vec<String> = values.iter().map(u64::to_string).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let exact = values.iter().map(|value| u128::from(*value)).sum::<u128>() % 10_u128.pow(digits);
        prop_assert_eq!(shown(&format!("hash(F, {digits})"), &texts), exact.to_string());
    }

    #[test]
    fn no_text_makes_it_panic(text in "(sum|count|hash|where|[-A-F0-9(),.='<>! ]){0,16}", value in ".{0,50}") {
        if let Ok(expression) = Expression::parse(&text) {
            let mut totals = Totals::new(vec![expression]);
            let _ = totals.take(&Counted { kind: "", detail: true, bytes: 1, fields: &[("F", value.as_str().into()), ("A", value.as_str().into())] });
            totals.results();
        }
    }
}
