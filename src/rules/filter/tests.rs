#![allow(clippy::unwrap_used)]

use super::*;
use crate::clock::Timestamp;
use crate::event::{EventId, Value};

fn record<const N: usize>(fields: [(&str, Value); N]) -> Record {
    fields.into_iter().collect()
}

fn event(op: Op, before: Option<Record>, after: Option<Record>) -> Event {
    Event {
        id: EventId { epoch: 1, seq: 17, nonce: 2 },
        log: "office".into(),
        kind: "appointments".into(),
        op,
        key: record([("id", 42.into())]),
        old_key: None,
        before,
        after,
        changed: vec!["status".into()],
        at: Timestamp(0),
        origin: Some("lotus".into()),
        dest: None,
        push: None,
        lane: 0,
        old_lane: None,
        synthetic: false,
    }
}

fn open(status: &str) -> Record {
    record([
        ("id", 42.into()),
        ("status", status.into()),
        ("big", Value::Integer(9_007_199_254_740_993)),
        ("huge", Value::Number("18446744073709551616".into())),
        ("note", Value::Null),
        ("photo", Value::Blob(vec![0, 255])),
        ("bad", Value::BadText(vec![255])),
        ("first name", "Ana".into()),
        ("type", "column".into()),
        ("tags", Value::List(vec!["a".into(), "b".into()])),
        ("place", Value::Map(record([("city", "Ames".into())]))),
    ])
}

fn inserted(expression: &str) -> Result<Route, Reason> {
    Filter::compile(expression).unwrap().route(&event(Op::Insert, None, Some(open("open"))))
}

#[test]
fn an_expression_sees_columns_and_the_rest_of_the_event() {
    for yes in [
        "status == 'open'",
        "status in ['open', 'new'] and not note",
        "note is none",
        "big == 9007199254740993 and big != 9007199254740992 and big > 9007199254740992",
        "huge == 18446744073709551616",
        "photo and photo is not none and photo != 'x' and bad != ''",
        "after['first name'] == 'Ana'",
        "type == 'appointments' and after.type == 'column'",
        "op == 'insert' and event.op == op and event.seq == 17 and event.origin == 'lotus'",
        "event.id == '00000001-17-00000002' and event.at < '1971' and event.type == type",
        "key.id == 42 and before is none",
        "'status' in changed and 'city' in place and 'nothing' not in after",
        "'a' in tags and tags[1] == 'b' and tags|length == 2 and place.city|upper == 'AMES'",
        "status is startingwith('o') and status is not startingwith ('x') and not (status|length < 3)",
        "status",
        "(nothing|default('x')) == 'x' and nothing is undefined",
    ] {
        assert_eq!(inserted(yes), Ok(Route::Send), "{yes}");
    }
    for no in ["status != 'open'", "note", "photo == 'x'", "false", "nothing is defined", "after.nothing is defined"] {
        assert_eq!(inserted(no), Ok(Route::Skip), "{no}");
    }
}

#[test]
fn a_missing_name_holds_the_event_and_is_named() {
    for missing in
        ["missing == 1", "missing", "not missing", "missing is none", "missing in ['x']", "op == 'insert' and missing"]
    {
        let reason = inserted(missing).unwrap_err();
        assert_eq!(reason.class, "where");
        assert!(reason.text.contains("`missing`"), "{missing}: {reason}");
    }
    for inside in ["after.missing == 1", "after.missing is none", "key.missing"] {
        assert!(inserted(inside).unwrap_err().text.contains("missing`"), "{inside}");
    }
    assert_eq!(inserted("op == 'delete' and missing == 1"), Ok(Route::Skip), "what is not reached is not missed");
}

#[test]
fn a_failure_never_shows_a_value() {
    for failing in ["status + 1", "status|int", "big / 0 > 1", "status.upper", "place + 1", "note.city == 'x'"] {
        let reason = inserted(failing).unwrap_err();
        assert_eq!(reason.class, "where");
        assert!(!reason.text.contains("open") && !reason.text.contains("9007"), "{failing}: {reason}");
    }
}

#[test]
fn a_record_that_stops_matching_leaves() {
    let filter = Filter::compile("status == 'open'").unwrap();
    let update = |before, after| filter.route(&event(Op::Update, before, Some(open(after)))).unwrap();
    assert_eq!(update(Some(open("new")), "open"), Route::Send);
    assert_eq!(update(Some(open("open")), "open"), Route::Send);
    assert_eq!(update(Some(open("open")), "done"), Route::Leave);
    assert_eq!(update(Some(open("new")), "done"), Route::Skip);
    assert_eq!(update(None, "done"), Route::Skip);
    assert_eq!(update(None, "open"), Route::Send);
    let replaced = event(Op::Insert, Some(open("open")), Some(open("done")));
    assert_eq!(filter.route(&replaced), Ok(Route::Leave));
    let by_after = Filter::compile("after.status == 'open'").unwrap();
    assert_eq!(by_after.route(&event(Op::Update, Some(open("open")), Some(open("done")))), Ok(Route::Leave));
}

#[test]
fn a_key_change_is_judged_by_both_images() {
    let filter = Filter::compile("id > 100 and key.id > 100").unwrap();
    let moved = |from: i64, to: i64| {
        let image = |id: i64| record([("id", id.into())]);
        let mut change = event(Op::Update, Some(image(from)), Some(image(to)));
        (change.key, change.old_key) = (image(to), Some(image(from)));
        filter.route(&change).unwrap()
    };
    assert_eq!(moved(5, 200), Route::Send);
    assert_eq!(moved(200, 5), Route::Leave);
    assert_eq!(moved(5, 6), Route::Skip);
}

#[test]
fn a_delete_is_judged_by_its_image_and_passes_with_only_its_key() {
    let route = |expression: &str, before: Option<Record>| {
        Filter::compile(expression).unwrap().route(&event(Op::Delete, before, None)).unwrap()
    };
    assert_eq!(route("status == 'open'", Some(open("open"))), Route::Send);
    assert_eq!(route("status == 'open'", Some(open("done"))), Route::Skip);
    let key_only = Some(record([("id", 42.into())]));
    for expression in ["status == 'open'", "before.status == 'open'", "status is defined", "op == 'delete' and id > 1"]
    {
        assert_eq!(route(expression, None), Route::Send, "{expression}");
        assert_eq!(route(expression, key_only.clone()), Route::Send, "{expression}");
    }
    assert_eq!(route("id > 100", None), Route::Skip, "the key alone says that it was never there");
    assert_eq!(route("op != 'delete'", None), Route::Skip);
}

#[test]
fn a_broken_expression_is_refused_with_its_place() {
    for (bad, part) in [
        ("", "is empty"),
        ("status = 'x'", "at character 8"),
        ("status ==", "unexpected end of input"),
        ("'ä' == 1 and )", "at character 14"),
        ("{{ status }}", "syntax error"),
        ("status | uper", "filter uper is unknown, at character 10"),
        ("status is strnig", "test strnig is unknown"),
        ("range(10)", "`range(` is a call"),
        ("op == 'insert' and not nope(status)", "`nope(` is a call"),
        ("status.upper()", "`upper(` is a call"),
    ] {
        let error = Filter::compile(bad).unwrap_err();
        assert!(error.contains(part), "{bad}: {error}");
    }
}

#[test]
fn no_expression_overflows_the_stack_or_runs_on() {
    for (part, end) in [
        ("not ", "a"),
        ("-", "1"),
        ("a+", "a"),
        ("a.", "a"),
        ("a and ", "a"),
        ("(", ""),
        ("[", ""),
        ("a if a else ", "a"),
    ] {
        for times in [400, 499, 100_000] {
            let _ = Filter::compile(&(part.repeat(times) + end));
        }
        assert!(Filter::compile(&(part.repeat(100_000) + end)).is_err(), "{part}");
    }
    let codes: Vec<String> = (0..2_000).map(|code| format!("'{code}'")).collect();
    assert_eq!(inserted(&format!("status not in [{}]", codes.join(", "))), Ok(Route::Send));
    assert!(inserted("'x' * 1000000000 == status").is_err());
}

#[test]
fn a_filter_can_be_shared_by_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Filter>();
}

#[test]
fn a_sign_of_another_language_is_told_the_word_of_this_one() {
    for (foreign, word) in [
        ("status == 'a' && op == 'insert'", "write `and`"),
        ("status == 'a' || op == 'insert'", "write `or`"),
        ("!note", "write `not`"),
    ] {
        let message = Filter::compile(foreign).unwrap_err();
        assert!(message.contains(word), "{foreign}: {message}");
    }
    // Never is the rest of an expression passed over.
    for cut in
        ["status != 'a' &", "status == 'a' $ 'b'", "status == 'a' 'x", "note ? 1", "status == 'a' # but", "note;"]
    {
        assert!(!Filter::compile(cut).unwrap_err().contains("write `"), "{cut}");
    }
}
