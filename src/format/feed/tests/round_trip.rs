//! Random rows, against a sum that is made otherwise.

use proptest::prelude::*;

use super::records::{detail, layout, line, spec};
use super::*;
use crate::format::frame::Framing;
use crate::rules::decimal::Decimal;

const LEDGER: &str =
    "01 L. 05 ID PIC 9(12). 05 NAME PIC X(9). 05 AMT PIC S9(9)V99. 05 PCK PIC S9(11) COMP-3. 05 BIN PIC S9(9) COMP.
01 T. 05 N PIC 9(5). 05 SUM-AMT PIC S9(11)V99. 05 HASH-ID PIC 9(12). 05 LOW PIC S9(11) COMP-3. 05 FILLER PIC X(4).";

proptest! {
    #[test]
    fn what_was_written_is_read_back_and_its_totals_are_those_of_an_independent_sum(
        rows in prop::collection::vec(
            (0_i64..1_000_000_000_000, "[A-Zé ]{0,9}", -99_999_999_999_i64..100_000_000_000, any::<i32>(), -999_999_999_i64..1_000_000_000),
            0..20,
        ),
        blksize in prop::option::of(60_usize..400),
    ) {
        let layout = layout(LEDGER);
        let own = detail(&layout.records[0], &[], &[]);
        let trailer = [("N", "count()"), ("SUM-AMT", "sum(AMT)"), ("HASH-ID", "hash(ID, 12)"), ("LOW", "min(PCK)")];
        let framing = Framing::Variable { lrecl: 56, blksize };
        let feed = FixedFeed { trailers: vec![line(&layout.records[1], &trailer)], ..spec(framing, vec![own]) };
        let feed = Feed::fixed(feed).unwrap();
        let cents = |units: i64| format!("{}{}.{:02}", if units < 0 { "-" } else { "" }, units.unsigned_abs() / 100, units.unsigned_abs() % 100);
        let records: Vec<Record> = rows.iter().map(|(id, name, amount, packed, binary)| record([
            ("id", Value::Integer(*id)),
            ("name", Value::from(name.as_str())),
            ("amt", Value::from(cents(*amount).as_str())),
            ("pck", Value::Integer(i64::from(*packed))),
            ("bin", Value::Integer(*binary)),
        ])).collect();
        let (bytes, finished) = file(&feed, &records).unwrap();
        let sum = |text: &str| finished.sums.get(text).cloned().flatten();
        let amount: i64 = rows.iter().map(|row| row.2).sum();
        let ids = rows.iter().map(|row| row.0).fold(0, |sum, id| (sum + id) % 1_000_000_000_000);
        prop_assert_eq!(sum("count()"), Some(rows.len().to_string()));
        prop_assert_eq!(sum("sum(AMT)").and_then(|sum| Decimal::parse(&sum)), Decimal::parse(&cents(amount)));
        prop_assert_eq!(sum("hash(ID, 12)"), Some(ids.to_string()));
        prop_assert_eq!(sum("min(PCK)"), rows.iter().map(|row| row.3).min().map(|low| low.to_string()));
        let parsed = feed.read(&bytes).unwrap();
        prop_assert_eq!(parsed.details.len(), rows.len());
        for (read, (id, name, amount, packed, binary)) in parsed.details.iter().zip(&rows) {
            let decimal = |name: &str| read.get(name).and_then(Decimal::of);
            prop_assert_eq!(decimal("ID"), Decimal::parse(&id.to_string()));
            prop_assert_eq!(read.get("NAME").and_then(Value::as_text).unwrap(), name.trim_end_matches(' '));
            prop_assert_eq!(decimal("AMT"), Decimal::parse(&cents(*amount)));
            prop_assert_eq!(decimal("PCK"), Decimal::parse(&packed.to_string()));
            prop_assert_eq!(decimal("BIN"), Decimal::parse(&binary.to_string()));
        }
    }
}
