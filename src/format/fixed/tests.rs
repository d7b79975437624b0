#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;

use super::*;
use crate::event::Record as Row;
use crate::format::codepage::named;
use crate::format::copybook::{Format, Reading, read};
use crate::format::layout::Layout;

fn layout(text: &str) -> Layout {
    let reading = Reading { format: Format::Free, extended: true, ..Reading::default() };
    read("T.cpy", text, &reading).unwrap_or_else(|problems| panic!("{problems}"))
}

fn options() -> Options {
    Options { unbound: Unbound::Slot, ..Options::new(named("037").unwrap()) }
}

fn bound(item: &str, source: Source) -> Binding {
    Binding { item: item.to_owned(), source, rules: None }
}

fn ruled(item: &str, rules: Rules) -> Binding {
    Binding { item: item.to_owned(), source: Source::Slot, rules: Some(rules) }
}

fn compiled(text: &str, options: &Options) -> Record {
    Record::compile(&layout(text).records[0], options).unwrap_or_else(|problems| panic!("{problems}"))
}

fn refused(text: &str, options: &Options) -> String {
    Record::compile(&layout(text).records[0], options).map(|_| ()).unwrap_err().to_string()
}

fn encoded(record: &Record, values: &[Value]) -> Result<Vec<u8>, String> {
    let mut out = b"before".to_vec();
    let done = record.encode(values, &mut out).map_err(|misfit| misfit.to_string());
    assert!(done.is_ok() || out == b"before", "a misfit leaves nothing");
    done.map(|()| out.split_off(6))
}

fn text(text: &str) -> Value {
    Value::from(text)
}

fn row<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Map(fields.into_iter().collect::<Row>())
}

const PLAIN: &str = "01 R. 05 ID PIC 9(5). 05 NAME PIC X(6). 05 FILLER PIC X(2) VALUE 'ZZ'. 05 BAL PIC S9(5)V99 COMP-3.
    05 N PIC S9(4) COMP. 05 KIND PIC X VALUE 'K'.";

#[test]
fn a_row_becomes_the_bytes_of_its_items_in_their_order() {
    let kind = bound("kind", Source::Initial);
    let record = compiled(PLAIN, &Options { bindings: vec![kind], ..options() });
    let names: Vec<_> = record.slots().iter().map(|slot| &*slot.name).collect();
    assert_eq!(names, ["ID", "NAME", "BAL", "N"]);
    let bytes = encoded(&record, &[Value::Integer(42), text("Zoé"), text("-12.5"), Value::Null]).unwrap();
    let wanted = [
        0xf0, 0xf0, 0xf0, 0xf4, 0xf2, 0xe9, 0x96, 0x51, 0x40, 0x40, 0x40, 0xe9, 0xe9, 0x00, 0x01, 0x25, 0x0d, 0, 0,
        0xd2,
    ];
    assert_eq!(bytes, wanted);
    let back = record.decode(&bytes).unwrap();
    assert_eq!(back, [Value::Integer(42), text("Zoé"), Value::Real(-12.5), Value::Integer(0)]);
    assert_eq!((record.longest(), record.shortest()), (20, 20));
    let gaps: Vec<_> = record.gaps().iter().map(|gap| (&*gap.name, gap.offset, gap.length, gap.filled)).collect();
    assert_eq!(gaps, [("FILLER", 11, 2, "VALUE"), ("KIND", 19, 1, "VALUE")]);
    let probe = record.probe("bal").unwrap();
    assert_eq!((probe.read(&bytes), probe.scale(), probe.offset()), (Ok(-1250), 2, 13));
    assert!(record.probe("NAME").is_none());
}

#[test]
fn what_does_not_fit_holds_the_row_with_the_item_and_the_reason() {
    let key = ruled("ID", Rules { key: true, ..Rules::default() });
    let record = compiled(PLAIN, &Options { bindings: vec![key], ..options() });
    let fine = [Value::Integer(1), text("a"), text("1"), Value::Integer(1), text("k")];
    assert!(encoded(&record, &fine).is_ok());
    for (slot, value, said) in [
        (0, Value::Integer(100_000), "ID: overflow"),
        (0, Value::Integer(-1), "ID: negative"),
        (0, Value::Null, "ID: null_key"),
        (0, text("x"), "ID: not_a_number"),
        (0, Value::Real(1.5), "ID: inexact"),
        (0, Value::Blob(vec![1]), "ID: wrong_kind"),
        (1, text("too long"), "NAME: overflow"),
        (1, text("日"), "NAME: unmappable"),
        (1, text("a\nb"), "NAME: control_character"),
        (1, text("a\u{85}"), "NAME: control_character"),
        (1, Value::BadText(vec![0xff]), "NAME: wrong_kind"),
        (1, Value::List(vec![]), "NAME: wrong_kind"),
        (2, text("100000"), "BAL: overflow"),
        (2, text("1.005"), "BAL: inexact"),
        (3, Value::Integer(10_000), "N: overflow"),
    ] {
        let mut values = fine.clone();
        values[slot] = value;
        assert_eq!(encoded(&record, &values), Err(said.to_owned()));
    }
    // Blanks at the end are padding, whoever wrote them.
    let mut values = fine.clone();
    values[1] = text("abcdef   ");
    assert!(encoded(&record, &values).is_ok());
}

#[test]
fn a_row_is_changed_only_where_the_item_says_so() {
    let cut = Rules { truncate_right: true, unmappable: Some('?'), controls: true, ..Rules::default() };
    let round = |round| Rules { round, ..Rules::default() };
    let text_ = "01 R. 05 A PIC X(3). 05 B PIC 9V9. 05 C PIC 9V9. 05 D PIC 9V9.";
    let bindings = vec![
        ruled("A", cut),
        ruled("B", round(Round::HalfUp)),
        ruled("C", round(Round::HalfEven)),
        ruled("D", round(Round::Truncate)),
    ];
    let record = compiled(text_, &Options { bindings, ..Options::new(named("ascii").unwrap()) });
    let half = || text("1.25");
    assert_eq!(encoded(&record, &[text("né\nx"), half(), half(), half()]).unwrap(), b"n?\n131212");
    // Never through a character.
    let cut = Rules { truncate_right: true, ..Rules::default() };
    let utf8 = Options { bindings: vec![ruled("A", cut)], ..Options::new(named("utf-8").unwrap()) };
    let record = compiled("01 R. 05 A PIC X(3).", &utf8);
    assert_eq!(encoded(&record, &[text("aéé")]).unwrap(), "aé".as_bytes());
    assert_eq!(encoded(&record, &[text("ééé")]).unwrap(), "é ".as_bytes());
}

#[test]
fn null_is_what_the_item_says() {
    let null = |item: &str, null| ruled(item, Rules { null: Some(null), ..Rules::default() });
    let bindings = vec![
        null("A", Null::Low),
        null("B", Null::High),
        null("C", Null::Spaces),
        null("D", Null::Constant(Value::Integer(99))),
        null("E", Null::Zeros),
    ];
    let layout =
        "01 R. 05 A PIC X(2). 05 B PIC S9(3) COMP-3. 05 C PIC 99. 05 D PIC 99. 05 E PIC XX. 05 F PIC XX. 05 G PIC 99.";
    let record = compiled(layout, &Options { bindings, ..options() });
    let nulls = vec![Value::Null; 7];
    let bytes = encoded(&record, &nulls).unwrap();
    assert_eq!(bytes, [0, 0, 0xff, 0xff, 0x40, 0x40, 0xf9, 0xf9, 0xf0, 0xf0, 0x40, 0x40, 0xf0, 0xf0]);
    let n = Value::Null;
    let back = record.decode(&bytes).unwrap();
    assert_eq!(back, [n.clone(), n.clone(), n.clone(), n, text("00"), text(""), Value::Integer(0)]);
}

#[test]
fn tables_take_lists_and_fill_up_what_is_missing() {
    let layout = "01 R. 05 T OCCURS 3. 10 A PIC X. 10 B PIC 9 OCCURS 2. 05 C PIC 9 OCCURS 2.";
    let record = compiled(layout, &options());
    let list = Value::List;
    let one = row([("A", text("x")), ("B", list(vec![Value::Integer(1), Value::Integer(2)]))]);
    let two = list(vec![text("y")]);
    let ascii = compiled(layout, &Options { page: named("ascii").unwrap(), ..options() });
    let values = [list(vec![one.clone(), two]), Value::Null];
    assert_eq!(encoded(&ascii, &values).unwrap(), b"x12y00 0000");
    let back = ascii.decode(b"x12y00 0000").unwrap();
    let blank = |a: &str| row([("A", text(a)), ("B", list(vec![Value::Integer(0); 2]))]);
    assert_eq!(back, [list(vec![one.clone(), blank("y"), blank("")]), list(vec![Value::Integer(0); 2])]);
    let bad = row([("B", list(vec![Value::Integer(1), Value::Integer(12)]))]);
    for (values, said) in [
        (vec![list(vec![one.clone(); 4])], "T: too_many_occurrences"),
        (vec![text("x")], "T: wrong_kind"),
        (vec![list(vec![text("x")])], "T(1): wrong_kind"),
        (vec![list(vec![one, bad])], "B(2 2): overflow"),
    ] {
        assert_eq!(encoded(&record, &values), Err(said.to_owned()));
    }
    assert_eq!(ascii.decode(b"x12y0z 0000").unwrap_err().to_string(), "B(2 2) at byte 5: bad_zone");
}

#[test]
fn a_table_that_depends_on_a_count_sets_it() {
    let layout = "01 R. 05 N PIC 99. 05 T OCCURS 1 TO 3 DEPENDING ON N. 10 A PIC XX. 05 Z PIC X.";
    let record = compiled(layout, &Options { page: named("ascii").unwrap(), ..options() });
    assert_eq!((record.shortest(), record.longest()), (5, 9));
    let names: Vec<_> = record.slots().iter().map(|slot| &*slot.name).collect();
    assert_eq!(names, ["T", "Z"]);
    let rows = |number| Value::List((0..number).map(|_| row([("A", text("ab"))])).collect());
    for (number, bytes) in [(1, &b"01abz"[..]), (3, b"03abababz")] {
        let values = [rows(number), text("z")];
        assert_eq!(encoded(&record, &values).unwrap(), bytes);
        assert_eq!(record.decode(bytes).unwrap(), values);
    }
    assert_eq!(encoded(&record, &[rows(0), text("z")]), Err("T: too_few_occurrences".to_owned()));
    assert_eq!(encoded(&record, &[rows(4), text("z")]), Err("T: too_many_occurrences".to_owned()));
    for (bytes, said) in [
        (&b"04abababz"[..], "N at byte 0: bad_count"),
        (b"00abz", "N at byte 0: bad_count"),
        (b"0xabz", "N at byte 0: bad_zone"),
        (b"02abz", "A(2) at byte 4: wrong_length"),
        (b"01ababz", "R at byte 5: wrong_length"),
        (b"01a", "R at byte 3: wrong_length"),
    ] {
        assert_eq!(record.decode(bytes).unwrap_err().to_string(), said);
    }
    let count = Options { bindings: vec![bound("N", Source::Slot)], ..options() };
    assert!(refused(layout, &count).contains("N: is set from the number of occurrences"));
}

#[test]
fn a_table_in_a_table_depends_on_a_count_of_its_own_occurrence() {
    let layout = "01 R. 05 N PIC 9. 05 T OCCURS 0 TO 3 DEPENDING ON N. 10 M PIC 9. 10 U OCCURS 1 TO 2 DEPENDING ON M. 15 A PIC X.
        05 F OCCURS 2. 10 K PIC 9. 10 V PIC X OCCURS 1 TO 2 DEPENDING ON K.";
    let record = compiled(layout, &Options { page: named("ascii").unwrap(), ..options() });
    assert_eq!((record.shortest(), record.longest()), (5, 1 + 3 * 3 + 2 * 3));
    let list = |texts: &[&str]| Value::List(texts.iter().map(|one| row([("A", text(one))])).collect());
    let table = Value::List(vec![row([("U", list(&["a", "b"]))]), row([("U", list(&["c"]))])]);
    let flat = Value::List(vec![row([("V", Value::List(vec![text("x"), text("y")]))])]);
    let bytes = encoded(&record, &[table.clone(), flat]).unwrap();
    // The occurrence of F that is missing is as short as it can be.
    assert_eq!(bytes, b"22ab1c2xy1 ");
    assert_eq!(record.decode(&bytes).unwrap()[0], table);
    assert_eq!(record.decode(b"13ab1c2xy1 ").unwrap_err().to_string(), "M(1) at byte 1: bad_count");
    let none = Value::List(vec![row([("U", list(&[]))])]);
    assert_eq!(encoded(&record, &[none, Value::Null]), Err("U(1): too_few_occurrences".to_owned()));
}

const SHARED: &str = "01 R. 05 T OCCURS 2. 10 K PIC X. 10 A PIC X(4). 10 B REDEFINES A PIC 9(2).
    10 C REDEFINES A. 15 D PIC X. 15 E PIC S9(3) COMP-3.";

fn by_kind() -> Choice {
    let when = [("P", "A"), ("Q", "A"), ("N", "B"), ("G", "C")];
    let when = when.iter().map(|(value, name)| (text(value), (*name).to_owned())).collect();
    Choice { of: "A".to_owned(), select: Select::By { item: "K".to_owned(), when } }
}

#[test]
fn an_item_that_shares_its_place_is_chosen_by_the_value_before_it() {
    let record = compiled(SHARED, &Options { choices: vec![by_kind()], page: named("ascii").unwrap(), ..options() });
    let list = |rows: Vec<Value>| [Value::List(rows)];
    let of = |fields: [(&str, Value); 2]| row(fields);
    let rows = list(vec![
        of([("K", text("N")), ("B", Value::Integer(7))]),
        row([("K", text("G")), ("D", text("d")), ("E", Value::Integer(-5))]),
    ]);
    let bytes = encoded(&record, &rows).unwrap();
    assert_eq!(bytes, b"N07  Gd\x00\x5d ");
    let back = record.decode(&bytes).unwrap();
    let Value::List(back) = &back[0] else { panic!() };
    let Value::Map(first) = &back[0] else { panic!() };
    assert_eq!(
        (first.get("B"), first.get("A"), first.get("E")),
        (Some(&Value::Integer(7)), Some(&Value::Null), Some(&Value::Null))
    );
    let unknown = list(vec![of([("K", text("X")), ("A", text("a"))])]);
    assert_eq!(encoded(&record, &unknown), Err("K(1): unknown_choice".to_owned()));
    assert_eq!(record.decode(b"N07  X    ").unwrap_err().to_string(), "K(2) at byte 5: unknown_choice");
}

#[test]
fn a_choice_is_explicit() {
    let said = refused(SHARED, &options());
    assert!(said.contains("T.cpy:1: A: `A`, `B`, `C` share one place: say which of them counts"), "{said}");
    let always = |name: &str| Choice { of: "b".to_owned(), select: Select::Always(name.to_owned()) };
    let record = compiled(SHARED, &Options { choices: vec![always("B")], ..options() });
    let inner: Vec<_> = record.slots()[0].inner().iter().map(|slot| &*slot.name).collect();
    assert_eq!(inner, ["K", "B"]);
    assert_eq!(record.gaps().iter().map(|gap| (gap.offset, gap.length)).collect::<Vec<_>>(), [(3, 4)]);
    let with = |choice, bindings| refused(SHARED, &Options { choices: vec![choice], bindings, ..options() });
    assert!(with(always("Z"), vec![]).contains("`Z` does not share its place"));
    assert!(with(always("B"), vec![bound("E", Source::Slot)]).contains("E: is bound, but"));
    let later = Choice {
        of: "A".to_owned(),
        select: Select::By { item: "E".to_owned(), when: vec![(Value::Integer(1), "A".to_owned())] },
    };
    assert!(with(later, vec![]).contains("`E` chooses what stands here, so it stands before"));
    let twice = Choice {
        of: "A".to_owned(),
        select: Select::By {
            item: "K".to_owned(),
            when: vec![(text("x"), "A".to_owned()), (text("x "), "B".to_owned())],
        },
    };
    assert!(with(twice, vec![]).contains("K: one value chooses `B` and, again"));
}

#[test]
fn what_cannot_be_meant_is_refused_before_any_row() {
    let refuse = Options::new(named("037").unwrap());
    let said = refused(PLAIN, &refuse);
    assert_eq!(said.lines().count(), 5, "every item that nothing stands in: {said}");
    assert!(said.contains("T.cpy:1: ID: nothing stands in it: map it, or give it a default"));
    let with = |bindings| refused(PLAIN, &Options { bindings, ..options() });
    assert!(with(vec![bound("IDD", Source::Slot)]).contains("there is no item `IDD`: did you mean `ID`?"));
    assert!(with(vec![bound("ID", Source::Slot), bound("id", Source::Slot)]).contains("ID: is bound twice"));
    let constant = |value| bound("ID", Source::Constant(value));
    assert!(with(vec![constant(Value::Integer(123_456))]).contains("ID: its constant does not fit: overflow"));
    let rules = |rules| with(vec![ruled("BAL", rules)]);
    assert!(rules(Rules { truncate_right: true, ..Rules::default() }).contains("BAL: `overflow: truncate_right`"));
    assert!(rules(Rules { null: Some(Null::Spaces), ..Rules::default() }).contains("BAL: `null: spaces`"));
    assert!(rules(Rules { key: true, null: Some(Null::Low), ..Rules::default() }).contains("BAL: a key is never null"));
    let question = Rules { unmappable: Some('日'), ..Rules::default() };
    assert!(with(vec![ruled("NAME", question)]).contains("NAME: the code page IBM-037 has no"));
    let same = "01 R. 05 A. 10 X PIC 9. 05 B. 10 X PIC 9.";
    let said = refused(same, &Options { bindings: vec![bound("X", Source::Slot)], ..options() });
    assert!(said.contains("`X` is the name of several items: say which (X OF A OF R, X OF B OF R)"), "{said}");
    let record = compiled(same, &Options { bindings: vec![bound("X of B", Source::Constant(text("7")))], ..options() });
    assert_eq!(record.slots().iter().map(|slot| &*slot.name).collect::<Vec<_>>(), ["X OF A OF R"]);
    let value = "01 R. 05 FILLER PIC X VALUE 'ABC'.";
    assert!(refused(value, &options()).contains("FILLER: its VALUE does not fit: overflow"));
}

#[test]
fn the_words_of_a_configuration_are_read_and_others_are_not() {
    assert_eq!(Round::parse("half_even"), Ok(Round::HalfEven));
    assert_eq!(Overpunch::parse("microfocus"), Ok(Overpunch::MicroFocus));
    assert_eq!(Null::parse("low-values"), Ok(Null::Low));
    let said = Round::parse("halfup").unwrap_err();
    assert_eq!(said, "`halfup` is none of exact, half_up, half_even, truncate: did you mean `half_up`?");
}

#[test]
fn a_table_of_fields_is_a_layout_like_that_of_a_copybook() {
    use crate::format::layout::{Field, Form, Number, Occurs, Shape, Sign, of_fields};
    let number =
        |digits, scale, form| Shape::Number(Number { digits, scale, signed: true, form, blank_when_zero: false });
    let field = |name: &str, shape| Field { name: Some(name.to_owned()), shape, occurs: None };
    let count = Form::Zoned(Sign::default());
    let table = Occurs { min: 0, max: 3, depending: Some("n".into()) };
    let fields = [
        field("id", Shape::Text(4)),
        field("money", number(7, 2, Form::Packed)),
        Field { name: None, shape: Shape::Text(2), occurs: None },
        field("n", number(2, 0, count)),
        Field { occurs: Some(table), ..field("t", Shape::Group(vec![field("a", number(3, 0, Form::Binary))])) },
    ];
    let own = of_fields("spec.yaml", "rec", &fields).unwrap();
    let copybook = layout(
        "01 REC. 05 ID PIC X(4). 05 MONEY PIC S9(5)V9(2) COMP-3. 05 FILLER PIC X(2). 05 N PIC S9(2).
         05 T OCCURS 0 TO 3 DEPENDING ON N. 10 A PIC S9(3) COMP.",
    );
    let places = |layout: &Layout| {
        let items = layout.records[0].items();
        items.iter().map(|item| (item.name.clone(), item.offset, item.length, item.description())).collect::<Vec<_>>()
    };
    assert_eq!(places(&own), places(&copybook));
    assert_eq!((own.records[0].shortest, own.records[0].length), (12, 18));
    let wrong =
        [field("a", number(32, 0, Form::Packed)), field("b", number(19, 0, Form::Binary)), field("c", Shape::Text(0))];
    let said = of_fields("spec.yaml", "rec", &wrong).unwrap_err().to_string();
    assert_eq!(
        said,
        "spec.yaml: A: a number has 1 to 31 digits\nspec.yaml: B: a binary number has at most 18 digits\nspec.yaml: C: a field has at least one byte"
    );
}

#[test]
fn signs_in_ascii_have_no_default() {
    let layout = "01 R. 05 A PIC S9(3). 05 B PIC S9(3) SIGN LEADING SEPARATE.";
    let ascii = |overpunch| Options { overpunch, ..Options { page: named("ascii").unwrap(), ..options() } };
    assert!(
        refused(layout, &ascii(None)).contains("A: has its sign in a digit, for which ASCII has three conventions")
    );
    assert!(refused(layout, &ascii(Some(Overpunch::Separate))).contains("A: has its sign in a digit, but"));
    let values = [Value::Integer(-12), Value::Integer(-12)];
    for (overpunch, bytes) in [(Overpunch::Ebcdic, b"01K-012"), (Overpunch::MicroFocus, b"01r-012")] {
        assert_eq!(encoded(&compiled(layout, &ascii(Some(overpunch))), &values).unwrap(), bytes);
    }
}

#[test]
fn groups_are_bound_as_text_and_values_fill_what_nobody_gives() {
    let layout = "01 R. 05 G. 10 A PIC 9(3). 10 B PIC S9(3) COMP-3. 05 FILLER PIC S9(3)V9 VALUE -1.5. 05 C PIC X(5) VALUE ALL 'ab'.
        05 D PIC X(2) VALUE LOW-VALUES. 05 E PIC X(2) VALUE ZERO. 05 F PIC 9(2). 05 H PIC S9V99 VALUE .25.
        05 I PIC X(4) JUSTIFIED RIGHT. 05 J PIC 9(3) BLANK WHEN ZERO.";
    let page = named("ascii").unwrap();
    let bindings = vec![bound("G", Source::Slot), bound("I", Source::Slot), bound("J", Source::Slot)];
    let overpunch = Some(Overpunch::MicroFocus);
    let record = compiled(layout, &Options { bindings, overpunch, unbound: Unbound::Initial, page, ..options() });
    let bytes = encoded(&record, &[text("abcde"), text("xy"), Value::Integer(0)]).unwrap();
    assert_eq!(bytes, b"abcde001uababa\x00\x000000025  xy   ");
    assert_eq!(record.decode(&bytes).unwrap(), [text("abcde"), text("xy"), Value::Integer(0)]);
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::Integer),
        (-200_i64..200).prop_map(Value::Integer),
        any::<f64>().prop_map(Value::Real),
        "[0-9]{1,3}(\\.[0-9]{1,3})?".prop_map(|digits| Value::from(&*digits)),
        "\\PC{0,5}".prop_map(|any| Value::from(&*any)),
        Just(Value::Blob(vec![1])),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| proptest::collection::vec(inner, 0..4).prop_map(Value::List))
}

/// A text without blanks at its end, or a number: what comes back as it went in.
fn fitting() -> impl Strategy<Value = [Value; 6]> {
    let list = proptest::collection::vec(("[a-z é]{0,3}", -999_i64..1000), 1..4).prop_map(|rows| {
        let row = |(name, number): (String, i64)| row([("A", text(name.trim_end())), ("B", Value::Integer(number))]);
        Value::List(rows.into_iter().map(row).collect())
    });
    (0_i64..100_000, "[A-Z0-9.'é ]{0,6}", -99_999_i64..99_999, -9999_i64..9999, any::<bool>(), list).prop_map(
        |(id, name, cents, number, kind, list)| {
            let cents = crate::rules::decimal::Decimal::parse(&format!("{cents}e-2")).unwrap().to_value(false);
            let shared = if kind { "P" } else { "Q" };
            [Value::Integer(id), text(name.trim_end()), cents, Value::Integer(number), text(shared), list]
        },
    )
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_again(values in fitting(), page in prop_oneof![Just("037"), Just("1047"), Just("latin1")]) {
        let layout = "01 R. 05 ID PIC 9(5). 05 NAME PIC X(6). 05 BAL PIC S9(5)V99 COMP-3. 05 N PIC S9(4) SIGN LEADING.
            05 KIND PIC X. 05 C PIC 9. 05 T OCCURS 1 TO 3 DEPENDING ON C. 10 A PIC X(3). 10 B PIC S9(3) COMP.";
        let record = compiled(layout, &Options { overpunch: Some(Overpunch::Ebcdic), page: named(page).unwrap(), ..options() });
        let bytes = encoded(&record, &values).unwrap();
        prop_assert_eq!(record.decode(&bytes).unwrap(), values);
    }

    #[test]
    fn no_values_and_no_bytes_make_it_panic(
        values in proptest::collection::vec(any_value(), 0..6),
        bytes in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let layout = "01 R. 05 N PIC 9(5). 05 X PIC X(6). 05 S PIC S9(5)V99 COMP-3. 05 B PIC S9(4) COMP-5.
            05 T OCCURS 0 TO 3 DEPENDING ON N. 10 K PIC X. 10 A PIC X(3). 10 C REDEFINES A PIC 9(2).";
        let when = vec![(text("A"), "A".to_owned()), (text("C"), "C".to_owned())];
        let choices = vec![Choice { of: "A".to_owned(), select: Select::By { item: "K".to_owned(), when } }];
        let record = compiled(layout, &Options { choices, ..options() });
        let _ = record.decode(&bytes);
        if let Ok(bytes) = encoded(&record, &values) {
            prop_assert!(record.decode(&bytes).is_ok());
            let mut damaged = bytes;
            damaged[0] = 0xff;
            prop_assert!(record.decode(&damaged).is_err());
        }
    }
}
