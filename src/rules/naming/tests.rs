#![allow(clippy::unwrap_used)]

use super::*;
use jiff::civil::date;
use proptest::prelude::*;

fn stamp() -> Stamp {
    Stamp {
        office: "OF042".to_owned(),
        drop: "wic-nightly".to_owned(),
        bus_date: date(2026, 3, 5),
        // 18:00 in Chicago.
        cut: Timestamp::from_jiff("2026-03-06T00:00:00Z".parse().unwrap()),
        created: Timestamp::from_jiff("2026-03-06T00:00:07Z".parse().unwrap()),
        zone: crate::rules::zone::find(Some("America/Chicago")).unwrap(),
        seq: 17,
        prev_seq: 16,
        generation: 3,
        rerun: 0,
        modifier: 1,
        part: (1, 1),
    }
}

fn name(pattern: &str) -> String {
    Pattern::parse(pattern, Place::Name).unwrap().name(&stamp()).unwrap()
}

/// A line with its totals filled in.
fn line(pattern: &str, totals: &[Option<&str>]) -> Result<String, Reason> {
    let sealed = Sealed {
        size: 240,
        sha256: "ab".repeat(32),
        md5: "cd".repeat(16),
        crc32: "89abcdef".to_owned(),
        audit: "x 7 y".to_owned(),
    };
    let totals: Vec<Option<String>> = totals.iter().map(|total| total.map(str::to_owned)).collect();
    let values = Values { stamp: &stamp(), file: "A.DAT", sealed: Some(&sealed), totals: &totals };
    Pattern::parse(pattern, Place::Control).unwrap().fill(&values)
}

fn samples(sequence: Sequence) -> Samples {
    Samples {
        office: "OF042".to_owned(),
        drop: "wic-nightly".to_owned(),
        sequence,
        per_date: 1,
        zone: crate::rules::zone::find(Some("America/Chicago")).unwrap(),
    }
}

#[test]
fn every_placeholder_of_a_name_is_filled() {
    assert_eq!(name("{office}.WICAPPT.D{bus_date:%y%m%d}.S{seq:06}.DAT"), "OF042.WICAPPT.D260305.S000017.DAT");
    assert_eq!(name("J{bus_date:%Y%j}.T{cut:%H%M%S}.{created:%H%M%S}"), "J2026064.T180000.180007");
    assert_eq!(name("G{gen:04}V{rerun:02}{modifier}"), "G0003V00B");
    assert_eq!(name("{upper(drop)}-{lower(office)}-{ seq }-{prev_seq}"), "WIC-NIGHTLY-of042-17-16");
    assert_eq!(name("{{{seq}}}-{{}}-{part}of{parts}"), "{17}-{}-1of1");
    assert_eq!(name("{bus_date}T{cut}"), "20260305T20260305180000");
    assert_eq!(name("{upper(bus_date:%b)}{office:8}."), "MAROF042   .");
    assert_eq!(name(""), "");
}

#[test]
fn dates_are_written_as_mainframe_layouts_have_them() {
    assert_eq!(name("{bus_date:CCYYDDD} {bus_date:CYYMMDD} {bus_date:YYMMDD}"), "2026064 1260305 260305");
    assert_eq!(
        name("{bus_date:CCYYMMDD} {bus_date:CC} {bus_date:MM/DD/YYYY} {bus_date:YYDDD}"),
        "20260305 20 03/05/2026 26064"
    );
    assert_eq!(name("{cut:CCYY-MM-DD-HH.MI.SS}"), "2026-03-05-18.00.00");
    let century = date::Shape::of_date("CYYMMDD").unwrap();
    assert_eq!(century.date(date(1999, 12, 31)).unwrap(), "0991231");
    assert!(century.date(date(2900, 1, 1)).is_err());
    assert!(century.date(date(1899, 1, 1)).is_err());
}

#[test]
fn numbers_fill_their_place_and_are_never_cut() {
    let shown = |shape: &str, text: &str| number::Shape::parse(shape).unwrap().write(text);
    for (shape, text, written) in [
        ("06", "17", "000017"),
        ("6", "-17", "   -17"),
        ("06", "-17", "-00017"),
        ("012.2", "1234.5", "000001234.50"),
        ("012v2", "-1234.5", "-00000123450"),
        ("v2", "0.05", "5"),
        ("v2", "0", "0"),
        ("v0", "12.00", "12"),
        (".2", "12", "12.00"),
        (".0", "12.0", "12"),
        (".1", "-0.00", "0.0"),
        ("04", "9999", "9999"),
        ("038", "170141183460469231731687303715884105727", ""),
    ] {
        assert_eq!(shown(shape, text).unwrap_or_default(), written, "{shape} {text}");
    }
    assert_eq!(shown("02", "100").unwrap_err(), "it needs 3 characters and has a place of 2");
    assert_eq!(shown("v2", "0.125").unwrap_err(), "it has more than 2 decimal places");
    for bad in ["", "x", "0", "00", "6.", "v", "1e3", "41", "-6", "6.2.2", "+6", "999999999999999999999"] {
        assert!(number::Shape::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn headers_and_trailers_show_totals_and_control_files_the_finished_file() {
    let totals = [Some("12"), Some("-3.50"), None];
    assert_eq!(line("TR|{count():09}|{sum(BALANCE):012v2}", &totals).unwrap(), "TR|000000012|-00000000350");
    assert_eq!(line("{file} {size:010} {crc32} {upper(crc32)}", &[]).unwrap(), "A.DAT 0000000240 89abcdef 89ABCDEF");
    assert_eq!(line("{sha256}{md5}", &[]).unwrap().len(), 96);
    assert_eq!(line("{hash(ID, 10):010}{sum(F, where=SIDE = 'D:(')}", &totals).unwrap(), "0000000012-3.50");
    let pattern = Pattern::parse("{count()} {max(DATE)}", Place::Line).unwrap();
    assert_eq!(pattern.totals().iter().map(ToString::to_string).collect::<Vec<_>>(), ["count()", "max(DATE)"]);
    let empty = line("{count()} {count()} {max(DATE)}", &totals).unwrap_err();
    assert_eq!(empty.class, "naming");
    assert!(empty.text.contains("`max(DATE)` has no value"), "{empty}");
}

#[test]
fn a_mistake_in_a_pattern_is_told_with_its_place() {
    for (pattern, part) in [
        ("ab{ofice}", "the placeholder at character 3: `ofice` is not known: did you mean `office`?"),
        ("ab{seq", "`{` at character 3 is not closed"),
        ("ab}", "`}` without `{` at character 3"),
        ("é{a{b}", "`{` at character 2 is not closed"),
        ("{}", "`` is not known"),
        ("{seq:x}", "`x` is not a form of number"),
        ("{seq:6x}", "is not a form of number"),
        ("{office:0}", "`0` is not a width"),
        ("{bus_date:%H}", "`%H` cannot be written: a date has no such part"),
        ("{bus_date:HH}", "a date has no time of day"),
        ("{bus_date:%Q!}", "cannot be written"),
        ("{bus_date:CCYYMMD}", "`CCYYMMD` is not a form of date"),
        ("{bus_date:}", "nothing stands after `:`"),
        ("{cut:%!}", "cannot be written"),
        ("{file}", "`file` is not known yet when the name of a file is made"),
        ("{size}", "`size` is not known yet"),
        ("{count()}", "`count()` is not known yet when the name of a file is made"),
        ("{upper(seq}", "`upper(` is not closed"),
        ("{upper(lower(seq))}", "`upper` takes the name of a placeholder"),
        ("{cuont()}", "did you mean `count`?"),
    ] {
        let error = Pattern::parse(pattern, Place::Name).unwrap_err();
        assert!(error.contains(part), "{pattern}: {error}");
    }
    assert!(Pattern::parse("{file}.done", Place::Beside).is_ok());
    assert!(Pattern::parse("{count()}", Place::Beside).is_err());
    assert!(Pattern::parse("{sha256}", Place::Line).is_err());
    assert!(Pattern::parse("{count()06}", Place::Line).unwrap_err().contains("`06` follows a total"));
}

#[test]
fn a_number_wider_than_its_place_is_an_error_and_not_another_name() {
    let pattern = Pattern::parse("S{seq:02}", Place::Name).unwrap();
    let reason = pattern.name(&Stamp { seq: 100, ..stamp() }).unwrap_err();
    assert_eq!(reason.to_string(), "naming: `S{seq:02}`: `seq`: it needs 3 characters and has a place of 2");
    let reason = Pattern::parse("{modifier}", Place::Name).unwrap().name(&Stamp { modifier: 36, ..stamp() });
    assert!(reason.unwrap_err().text.contains("only 36 modifiers"));
}

#[test]
fn names_are_tried_out_for_more_than_a_year() {
    let told = |pattern: &str, targets: &[Target], wrap: Option<&str>| {
        let pattern = Pattern::parse(pattern, Place::Name).unwrap();
        lint(&pattern, None, targets, &samples(Sequence::parse(1, wrap).unwrap()))
    };
    let (zos, posix, dos, dash) = (&[Target::Zos], &[Target::Posix], &[Target::Dos83], &[Target::NoDash]);
    assert_eq!(told("{office}.WICAPPT.D{bus_date:%y%m%d}.S{seq:06}.DAT", zos, None), [""; 0]);
    assert_eq!(told("{office}.WIC.G{gen:04}V{rerun:02}", zos, None), [""; 0]);
    assert_eq!(told("{office}.WIC(+1)", zos, None), [""; 0]);
    assert_eq!(told("D{bus_date:%y%m%d}.TXT", dos, None), [""; 0]);
    assert_eq!(
        told("{office}.{bus_date:%y%m%d}", zos, None),
        ["z/OS takes no qualifier that begins with `2`: `OF042.260101`"]
    );
    assert_eq!(
        told("{drop}", zos, None),
        [
            "z/OS takes qualifiers of 8 characters, and one is longer: `wic-nightly`",
            "a name comes twice: `wic-nightly` of 2026-01-01 and of 2026-01-02"
        ]
    );
    assert_eq!(told("D{bus_date:%j}", posix, None), ["a name comes twice: `D001` of 2026-01-01 and of 2027-01-01"]);
    assert_eq!(
        told("S{seq:02}", posix, Some("99 -> 01")),
        ["a name comes twice: `S01` of 2026-01-01 and of 2026-04-10"]
    );
    assert_eq!(
        told("S{seq:02}", posix, None),
        ["`S{seq:02}`: `seq`: it needs 3 characters and has a place of 2: sequence 100 of 2026-04-10"]
    );
    // Only one month of the year has a name that is too long.
    assert_eq!(
        told("{upper(bus_date:%B)}.D{bus_date:%y%m%d}", zos, None),
        ["z/OS takes qualifiers of 8 characters, and one is longer: `SEPTEMBER.D260901`"]
    );
    assert_eq!(told("{office}-{seq}", dash, None), ["it has a `-`: `OF042-1`"]);
    let pattern = Pattern::parse("D{bus_date:%y%m%d}", Place::Name).unwrap();
    let twice = Samples { per_date: 2, ..samples(Sequence::from(1)) };
    assert!(lint(&pattern, None, &[], &twice)[0].starts_with("a name comes twice: `D260101`"));
    let pattern = Pattern::parse("D{bus_date:%y%m%d}{modifier}", Place::Name).unwrap();
    assert_eq!(lint(&pattern, None, zos, &twice), [""; 0]);
    let trigger = Pattern::parse("{file}.DONE", Place::Beside).unwrap();
    assert_eq!(lint(&trigger, Some(&pattern), zos, &twice), [""; 0]);
    let trigger = Pattern::parse("{file}.finished", Place::Beside).unwrap();
    assert_eq!(lint(&trigger, Some(&pattern), &[Target::Dos83], &twice).len(), 1);
}

#[test]
fn each_target_takes_its_own_names() {
    for (target, good) in [
        (Target::Zos, "A"),
        (Target::Zos, "#A.@B.$C-D.X2345678"),
        (Target::Zos, "'HLQ.NAME'"),
        (Target::Zos, "HLQ.PDS(MEMBER1)"),
        (Target::Zos, "A2345678.A2345678.A2345678.A2345678.A2345678"),
        (Target::Posix, "a.B_c-1"),
        (Target::Dos83, "A~1.X"),
        (Target::Dos83, "COM0.TXT"),
        (Target::NoDash, "a_b"),
    ] {
        assert_eq!(target.wrong(good), None, "{good}");
    }
    for (target, bad) in [
        (Target::Zos, "a"),
        (Target::Zos, ""),
        (Target::Zos, "A..B"),
        (Target::Zos, "A."),
        (Target::Zos, "A234567890"),
        (Target::Zos, "-A"),
        (Target::Zos, "A_B"),
        (Target::Zos, "A2345678.A2345678.A2345678.A2345678.A2345678.A"),
        (Target::Zos, "A2345678.A2345678.A2345678.A2345678.A(+1)"),
        (Target::Zos, "PDS(MEM-BER)"),
        (Target::Zos, "PDS()"),
        (Target::Zos, "HLQ.É"),
        (Target::Posix, "a b"),
        (Target::Posix, "a/b"),
        (Target::Posix, "-a"),
        (Target::Posix, ".."),
        (Target::Posix, "é"),
        (Target::Dos83, "ABCDEFGHI"),
        (Target::Dos83, "A.ABCD"),
        (Target::Dos83, "A.B.C"),
        (Target::Dos83, "a.b"),
        (Target::Dos83, ".TXT"),
        (Target::Dos83, "NUL.TXT"),
        (Target::Dos83, "LPT1"),
        (Target::NoDash, "a-b"),
    ] {
        assert!(target.wrong(bad).is_some(), "{target:?} {bad}");
    }
    assert!(Target::wrong(Target::Posix, &"a".repeat(256)).is_some());
    assert_eq!(Target::parse("dos83"), Ok(Target::Dos83));
    assert_eq!(Target::parse("nodash").unwrap_err(), "`nodash` is not known: did you mean `no_dash`?");
}

#[test]
fn a_sequence_has_no_gap_and_wraps_only_where_told() {
    let plain = Sequence::from(41);
    assert_eq!((plain.next(None), plain.next(Some(41)), plain.next(Some(u64::MAX))), (Some(41), Some(42), None));
    let wraps = Sequence::parse(5, Some("99 -> 01")).unwrap();
    assert_eq!((wraps.next(None), wraps.next(Some(98)), wraps.next(Some(99))), (Some(5), Some(99), Some(1)));
    for (start, wrap, part) in [
        (1, "99", "is not the end of a sequence"),
        (1, "99 -> 00", "goes on with 1"),
        (1, "0 -> 1", "is not the end of a sequence"),
        (100, "99 -> 01", "after its last number"),
    ] {
        assert!(Sequence::parse(start, Some(wrap)).unwrap_err().contains(part), "{wrap}");
    }
}

#[test]
fn a_higher_number_at_the_other_side_shows_a_restored_backup() {
    let plain = Sequence::from(1);
    assert!(!plain.is_behind(Some(17), 17) && !plain.is_behind(Some(17), 3));
    assert!(plain.is_behind(Some(17), 18) && plain.is_behind(None, 1));
    assert!(!Sequence::from(41).is_behind(None, 40) && Sequence::from(41).is_behind(None, 41));
    let wraps = Sequence::parse(1, Some("99 -> 01")).unwrap();
    assert!(wraps.is_behind(Some(99), 1) && wraps.is_behind(Some(98), 2) && wraps.is_behind(Some(10), 40));
    assert!(!wraps.is_behind(Some(1), 99) && !wraps.is_behind(Some(2), 98) && !wraps.is_behind(Some(99), 99));
}

#[test]
fn modifiers_are_letters_and_then_digits() {
    let all: String = (0..36).map(|nth| modifier(nth).unwrap()).collect();
    assert_eq!(all, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
    assert!(modifier(36).is_err() && modifier(u64::MAX).is_err());
}

#[test]
fn a_rerun_keeps_its_name_or_changes_only_what_it_should() {
    let pattern = |text: &str| Pattern::parse(text, Place::Name).unwrap();
    let named = |text: &str, policy: &str, rerun| {
        let pattern = pattern(text);
        Rerun::parse(policy, &pattern).unwrap().name(&pattern, &Stamp { rerun, ..stamp() }).unwrap()
    };
    assert_eq!(named("S{seq:04}", "same", 2), "S0017");
    assert_eq!(named("S{seq:04}V{rerun:02}", "same", 2), "S0017V00");
    assert_eq!(named("S{seq:04}V{rerun:02}", "version", 2), "S0017V02");
    assert_eq!(named("S{seq:04}{modifier}", "modifier", 0), "S0017B");
    assert_eq!(named("S{seq:04}{modifier}", "modifier", 2), "S0017D");
    assert_eq!(named("S{seq:04}", ".R{rerun:02}", 0), "S0017");
    assert_eq!(named("S{seq:04}", ".R{rerun:02}", 2), "S0017.R02");
    for (name, policy, part) in [
        ("S{seq}", "version", "needs `{rerun}` in the name"),
        ("S{seq}", "modifier", "needs `{modifier}` in the name"),
        ("S{seq}", ".R{seq}", "needs `{rerun}`"),
        ("S{seq}", "next", "`next` is not known"),
    ] {
        assert!(Rerun::parse(policy, &pattern(name)).unwrap_err().contains(part), "{policy}");
    }
}

#[test]
fn a_generation_that_the_receiver_counts_is_known_as_not_repeatable() {
    for (text, relative) in
        [("HLQ.A(+1)", true), ("'HLQ.A(+1)'", true), ("HLQ.G{gen:04}V00", false), ("A(+1).B", false)]
    {
        assert_eq!(Pattern::parse(text, Place::Name).unwrap().is_relative(), relative, "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "([{}():%a-zA-Z0-9. ]|seq|bus_date|count|upper){0,20}") {
        for place in [Place::Name, Place::Beside, Place::Line, Place::Trigger, Place::Control] {
            if let Ok(pattern) = Pattern::parse(&text, place) {
                let totals = vec![Some("1".to_owned()); pattern.totals().len()];
                let _ = pattern.fill(&Values { stamp: &stamp(), file: "f", sealed: None, totals: &totals });
            }
        }
    }

    #[test]
    fn a_sequence_visits_every_number_of_its_range_once_a_round(start in 1_u64..50, last in 50_u64..60) {
        let sequence = Sequence::parse(start, Some(&format!("{last} -> 1"))).unwrap();
        let mut used = None;
        let mut round = Vec::new();
        for _ in 0..last {
            used = sequence.next(used);
            round.push(used.unwrap());
        }
        round.sort_unstable();
        prop_assert_eq!(round, (1..=last).collect::<Vec<_>>());
    }

    #[test]
    fn a_number_in_its_place_is_read_back(units in any::<i64>(), places in 0_usize..6) {
        let sign = if units < 0 { "-" } else { "" };
        let digits = format!("{:0width$}", units.unsigned_abs(), width = places + 1);
        let (whole, fraction) = digits.split_at(digits.len() - places);
        let text = if places > 0 { format!("{sign}{whole}.{fraction}") } else { format!("{sign}{whole}") };
        let written = number::Shape::parse(&format!("030v{places}")).unwrap().write(&text).unwrap();
        prop_assert_eq!(written.len(), 30);
        prop_assert_eq!(written.parse::<i64>().unwrap(), units);
    }
}
