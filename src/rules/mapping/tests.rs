#![allow(clippy::unwrap_used)]

use super::*;
use crate::clock::Timestamp;
use crate::event::{EventId, Op};

fn record<const N: usize>(fields: [(&str, Value); N]) -> Record {
    fields.into_iter().collect()
}

fn change(op: Op, before: Option<Record>, after: Option<Record>) -> Event {
    Event {
        id: EventId { epoch: 1, seq: 17, nonce: 2 },
        log: "office".into(),
        kind: "t".into(),
        op,
        key: record([("id", 42.into())]),
        old_key: None,
        before,
        after,
        changed: Vec::new(),
        at: Timestamp(0),
        origin: None,
        dest: None,
        push: None,
        lane: 0,
        old_lane: None,
        synthetic: false,
    }
}

fn inserted<const N: usize>(fields: [(&str, Value); N]) -> Event {
    change(Op::Insert, None, Some(record(fields)))
}

fn entry(source: &str, to: &str) -> Entry {
    Entry { source: source.to_owned(), to: (!to.is_empty()).then(|| to.to_owned()), ..Entry::default() }
}

fn compile<const N: usize>(entries: [Entry; N]) -> Mapping {
    Mapping::compile(entries.into()).unwrap()
}

fn errors<const N: usize>(entries: [Entry; N]) -> Vec<(usize, String)> {
    Mapping::compile(entries.into()).unwrap_err()
}

#[test]
fn the_printed_cdc_mapping_sends_its_fields_without_the_system_names() {
    let mapping = compile([
        entry("hms.patientId", "cdc.ssn"),
        entry("hms.vaccineCode", "cdc.cvxcvxc"),
        entry("hms.dateAdministered", "cdc.date"),
    ]);
    let event = inserted([
        ("patientId", "123-45-6789".into()),
        ("vaccineCode", "208".into()),
        ("dateAdministered", "2026-03-05".into()),
        ("other", 1.into()),
    ]);
    let sent = record([("ssn", "123-45-6789".into()), ("cvxcvxc", "208".into()), ("date", "2026-03-05".into())]);
    assert_eq!(mapping.apply(&event).unwrap(), sent);
    let columns = ["patientId", "vaccineCode", "dateAdministered"].map(str::to_owned).to_vec();
    assert_eq!(mapping.sources(), Sources::Columns(columns));
}

#[test]
fn system_names_stay_when_not_every_source_has_one() {
    let mapping = compile([entry("hms.a", "cdc.x"), entry("b", "cdc.y")]);
    let event = inserted([("hms", Value::Map(record([("a", 1.into())]))), ("b", 2.into())]);
    let cdc = Value::Map(record([("x", 1.into()), ("y", 2.into())]));
    assert_eq!(mapping.apply(&event).unwrap(), record([("cdc", cdc)]));

    let constant = Entry { value: Some("OF042".into()), ..entry("office", "cdc.office") };
    let mapping = compile([entry("hms.a", "cdc.x"), constant, entry("$event.id", "cdc.id"), entry("hms.b", "cdc.n.y")]);
    let sent = mapping.apply(&inserted([("a", 1.into()), ("b", 2.into())])).unwrap();
    let nested = Value::Map(record([("y", 2.into())]));
    let id = "00000001-17-00000002".into();
    assert_eq!(sent, record([("x", 1.into()), ("office", "OF042".into()), ("id", id), ("n", nested)]));

    let mapping = compile([entry("hms.a", "cdc.x"), entry("hms.b", "dmv.y")]);
    let names: Vec<_> =
        mapping.apply(&inserted([("a", 1.into()), ("b", 2.into())])).unwrap().iter().map(|f| f.0.to_string()).collect();
    assert_eq!(names, ["cdc", "dmv"]);
}

#[test]
fn paths_nest_on_both_sides_and_reach_into_lists() {
    let item = |code: i64| Value::Map(record([("code", code.into())]));
    let event = inserted([
        ("items", Value::List(vec![item(1), item(2)])),
        ("a.b", "dotted".into()),
        ("a", Value::Map(record([("b", "nested".into()), ("c.d", "inner".into())]))),
        ("nothing", Value::Null),
    ]);
    let mapping = compile([
        entry("items.1.code", "list.1.v"),
        entry("items.0.code", "list.0.v"),
        entry("a.b", "x.y"),
        entry("a.c.d", r"x.@odata\.type"),
        entry("nothing.at.all", ""),
    ]);
    let v = |code: i64| Value::Map(record([("v", code.into())]));
    let all = Value::Map(record([("all", Value::Null)]));
    assert_eq!(
        mapping.apply(&event).unwrap(),
        record([
            ("list", Value::List(vec![v(1), v(2)])),
            ("x", Value::Map(record([("y", "dotted".into()), ("@odata.type", "inner".into())]))),
            ("nothing", Value::Map(record([("at", all)]))),
        ])
    );
}

#[test]
fn the_rest_of_the_event_is_reached_by_its_roots() {
    let event =
        change(Op::Update, Some(record([("start", "08:00".into())])), Some(record([("start", "09:00".into())])));
    let mapping = compile([
        entry("$key.id", ""),
        entry("$before.start", "from"),
        entry("$after.start", "until"),
        entry("$event.seq", ""),
        entry("$event.op", "op"),
        entry("$event.at", "at"),
        entry("$event.origin", "origin"),
        entry("$key", "key"),
    ]);
    assert_eq!(
        mapping.apply(&event).unwrap(),
        record([
            ("id", 42.into()),
            ("from", "08:00".into()),
            ("until", "09:00".into()),
            ("seq", 17.into()),
            ("op", "update".into()),
            ("at", "1970-01-01T00:00:00.000Z".into()),
            ("origin", Value::Null),
            ("key", Value::Map(record([("id", 42.into())]))),
        ])
    );
    assert_eq!(mapping.sources(), Sources::All);
    let before = compile([entry("$before.start", "from")]);
    let sent = before.apply(&inserted([("start", "x".into())])).unwrap();
    assert_eq!(sent, record([("from", Value::Null)]), "an insert has no image before");
    assert_eq!(lookup(&event, "$key.id").as_deref(), Some(&Value::Integer(42)));
    assert_eq!(lookup(&event, "start").as_deref(), Some(&"09:00".into()));
    assert_eq!(lookup(&event, "$nonsense.id"), None);
}

#[test]
fn a_missing_field_holds_the_event_and_says_what_was_meant() {
    let reason = compile([entry("patient_id", "x")]).apply(&inserted([("patientId", "secret".into())])).unwrap_err();
    assert_eq!(reason.to_string(), "mapping: field `patient_id` is missing: did you mean `patientId`?");
    let reason = compile([entry("zzz", "x")]).apply(&inserted([("a", 1.into())])).unwrap_err();
    assert_eq!(reason.to_string(), "mapping: field `zzz` is missing");
}

#[test]
fn a_delete_of_which_only_the_key_is_known_leaves_the_rest_out() {
    let mapping = compile([entry("id", "ruleId"), entry("duration", "slot.len"), entry("x", "l.0")]);
    for before in [None, Some(record([("id", 42.into())]))] {
        let sent = mapping.apply(&change(Op::Delete, before, None)).unwrap();
        assert_eq!(sent, record([("ruleId", 42.into())]));
    }
    let known = Some(record([("id", 42.into()), ("duration", 20.into())]));
    assert_eq!(mapping.apply(&change(Op::Delete, known, None)).unwrap_err().class, "mapping");
}

#[test]
fn null_stays_null_and_default_stands_in_for_null_and_missing() {
    let plain = compile([entry("a", "x")]);
    assert_eq!(plain.apply(&inserted([("a", Value::Null)])).unwrap(), record([("x", Value::Null)]));
    let with = compile([Entry { default: Some("-".into()), ..entry("a", "x") }]);
    assert_eq!(with.apply(&inserted([("a", Value::Null)])).unwrap(), record([("x", "-".into())]));
    assert_eq!(with.apply(&inserted([("b", 1.into())])).unwrap(), record([("x", "-".into())]));
    assert_eq!(with.apply(&inserted([("a", 1.into())])).unwrap(), record([("x", 1.into())]));
}

#[test]
fn a_code_table_compares_by_text_and_holds_what_it_does_not_list() {
    let codes = vec![("1".to_owned(), "one".into()), ("true".to_owned(), "yes".into()), ("M".to_owned(), 7.into())];
    let strict = Entry { lookup: Some(codes), ..entry("a", "x") };
    let lenient = Entry { default: Some(Value::Null), ..strict.clone() };
    let strict = compile([strict]);
    for (value, code) in [
        (Value::Integer(1), "one".into()),
        (Value::Real(1.0), "one".into()),
        ("1".into(), "one".into()),
        (Value::Bool(true), "yes".into()),
        ("M".into(), Value::Integer(7)),
        (Value::Null, Value::Null),
    ] {
        assert_eq!(strict.apply(&inserted([("a", value)])).unwrap(), record([("x", code)]));
    }
    for value in ["m".into(), Value::Blob(vec![49]), Value::List(Vec::new())] {
        let reason = strict.apply(&inserted([("a", value.clone())])).unwrap_err();
        assert!(reason.text.contains("`a` holds a code"), "{reason}");
        assert_eq!(compile([lenient.clone()]).apply(&inserted([("a", value)])).unwrap(), record([("x", Value::Null)]));
    }
}

#[test]
fn converters_run_in_order_and_their_failure_names_the_field_not_the_value() {
    let steps = ["trim", "integer", "minutes -> seconds"];
    let convert = steps.map(|step| Convert::parse(step, None).unwrap()).to_vec();
    let mapping = compile([Entry { convert: convert.clone(), ..entry("duration", "slotLen") }]);
    let sent = mapping.apply(&inserted([("duration", " 20 ".into())])).unwrap();
    assert_eq!(sent, record([("slotLen", 1200.into())]));
    let reason = mapping.apply(&inserted([("duration", "secret".into())])).unwrap_err();
    assert_eq!(reason.class, "mapping");
    assert!(reason.text.contains("`duration`") && !reason.text.contains("secret"), "{reason}");
    let constant = Entry { value: Some(" 20".into()), convert, ..entry("any", "x") };
    assert_eq!(compile([constant.clone()]).apply(&inserted([])).unwrap(), record([("x", 1200.into())]));
    assert!(errors([Entry { value: Some(Value::Bool(true)), ..constant }])[0].1.contains("`value`"));
}

#[test]
fn a_mapping_that_contradicts_itself_is_refused_entry_by_entry() {
    let said = errors([
        entry("a", "x"),
        entry("b", "x"),
        entry("c", "x.y"),
        entry("d", "p.q"),
        entry("e", "p"),
        entry("", "z"),
        entry("f..g", "z"),
        entry("h", "z..z"),
        entry("$evnt.id", "i"),
        entry("$event.sequence", "j"),
        entry("$key", ""),
        Entry { value: Some(1.into()), default: Some(2.into()), ..entry("k", "k") },
        Entry { lookup: Some(vec![("1".into(), 1.into()), ("1".into(), 2.into())]), ..entry("l", "l") },
    ]);
    let parts = [
        (1, "`x` has two sources"),
        (2, "`x.y` lies inside `x`"),
        (4, "`p` is also the parent"),
        (5, "the path is empty"),
        (6, "`f..g` has an empty part"),
        (7, "`z..z` has an empty part"),
        (8, "did you mean `$event`?"),
        (9, "`$event.sequence` is none of id, log, seq"),
        (10, "`$key` has no target"),
        (11, "no effect beside `value`"),
        (12, "lists a code twice"),
    ];
    assert_eq!(said.len(), parts.len(), "{said:#?}");
    for ((at, text), (index, part)) in said.iter().zip(parts) {
        assert_eq!(*at, index, "{text}");
        assert!(text.contains(part), "{text}");
    }
    let [(1, gap)] = &errors([entry("z", "z"), entry("a", "l.1"), entry("b", "l.2")])[..] else { unreachable!() };
    assert!(gap.contains("no target `l.0`"), "{gap}");
}

#[test]
fn without_a_mapping_the_record_goes_out_as_it_is() {
    let event = inserted([("b", 1.into()), ("a", Value::Null)]);
    assert_eq!(Mapping::whole().apply(&event).unwrap(), event.after.clone().unwrap());
    assert_eq!(Mapping::whole().sources(), Sources::All);
    assert_eq!(Mapping::whole().apply(&change(Op::Delete, None, None)).unwrap(), record([("id", 42.into())]));
    let payload = change(Op::Event, None, Some(record([("x", 1.into())])));
    assert_eq!(compile([entry("x", "y")]).apply(&payload).unwrap(), record([("y", 1.into())]));
}
