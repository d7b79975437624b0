#![allow(clippy::unwrap_used)]

use super::*;
use crate::event::Record;

fn scope() -> Scope {
    let record: Record = [
        ("id", Value::Integer(9_007_199_254_740_993)),
        ("name", "O'Hara & <Söhne>".into()),
        ("start", "2026-03-05T18:05:00Z".into()),
        ("amount", Value::Number("12345678901234567890.12".into())),
        ("minutes", Value::Integer(20)),
        ("none", Value::Null),
        ("blob", Value::Blob(vec![1, 2])),
        ("inner", Value::Map([("a", Value::from("x"))].into_iter().collect())),
    ]
    .into_iter()
    .collect();
    let link: Record = [("etag", Value::from("W/\"3\""))].into_iter().collect();
    let roots = [("link", Value::Map(link)), ("idempotency", "e-1-n".into())].into_iter().collect();
    Scope { record, roots }
}

fn value(text: &str) -> Result<Option<Value>, Reason> {
    Text::parse(text).unwrap().value(&scope())
}

#[test]
fn an_expression_alone_keeps_its_type_and_every_digit() {
    assert_eq!(value("{id}").unwrap(), Some(Value::Integer(9_007_199_254_740_993)));
    assert_eq!(value("{amount}").unwrap(), Some(Value::Number("12345678901234567890.12".into())));
    assert_eq!(value("{minutes * 60}").unwrap(), Some(Value::Integer(1200)));
    assert_eq!(value("{minutes | convert('minutes -> seconds')}").unwrap(), Some(Value::Integer(1200)));
    assert_eq!(value("{none}").unwrap(), Some(Value::Null));
    assert_eq!(value("{inner.a}").unwrap(), Some("x".into()));
    assert_eq!(value("{record['inner']['a']}").unwrap(), Some("x".into()));
    assert_eq!(value("{blob}").unwrap(), Some(Value::Blob(vec![1, 2])));
    assert_eq!(value("{blob | base64}").unwrap(), Some("AQI=".into()));
    assert_eq!(value("no. {minutes}").unwrap(), Some("no. 20".into()));
    assert_eq!(value("{omit if none is none else id}").unwrap(), None);
    assert_eq!(value("{none | coalesce(minutes)}").unwrap(), Some(Value::Integer(20)));
    assert_eq!(value("{link.etag}").unwrap(), Some("W/\"3\"".into()));
    assert_eq!(value("{link.href | default('*')}").unwrap(), Some("*".into()));
    assert_eq!(value("{'a' | lookup({'a': 1, 'b': 2})}").unwrap(), Some(Value::Integer(1)));
    assert_eq!(value("{minutes | lookup({'20': 'short'}, 'other')}").unwrap(), Some("short".into()));
    assert_eq!(value("{{{minutes}}}").unwrap(), Some("{20}".into()));
    assert_eq!(value("{start | convert('rfc3339 -> odata2')}").unwrap(), Some("/Date(1772733900000)/".into()));
    assert_eq!(value("{inner | json}").unwrap(), Some("{\"a\":\"x\"}".into()));
}

#[test]
fn a_value_is_escaped_for_where_it_stands() {
    let write = |text: &str, how| Text::parse(text).unwrap().write(&scope(), how).unwrap();
    assert_eq!(write("/A('{name | odata}')", Escape::Url), "/A('O%27%27Hara%20%26%20%3CS%C3%B6hne%3E')");
    assert_eq!(write("<n>{name}</n>", Escape::Xml), "<n>O&apos;Hara &amp; &lt;Söhne&gt;</n>");
    assert_eq!(write("PID|{name}", Escape::Hl7), "PID|O'Hara \\T\\ <Söhne>");
    assert_eq!(write("{name | url}", Escape::Xml), "O%27Hara%20%26%20%3CS%C3%B6hne%3E");
    let refused = |text: &str, how| Text::parse(text).unwrap().write(&scope(), how).unwrap_err();
    assert!(refused("/{none}", Escape::Url).text.contains("is empty"));
    assert!(refused("{name}", Escape::Header).text.contains("visible ASCII"));
    assert!(refused("{inner}", Escape::Plain).text.contains("not a single value"));
}

#[test]
fn what_is_wrong_is_said_without_the_value() {
    for (text, what) in [
        ("{nmae}", "the adapter needs `nmae`, which the record does not have"),
        ("{link.href}", "`link.href`"),
        ("{name | integer}", "wants"),
        ("{name | lookup({'a': 'b'})}", "wants a value that its table has"),
        ("{inner.b.c}", "needs `b`"),
    ] {
        let reason = value(text).unwrap_err();
        assert!(reason.text.contains(what), "{text}: {reason}");
        assert!(!reason.text.contains("Hara"), "{text}: {reason}");
    }
}

#[test]
fn a_star_beside_a_text_is_an_error_and_never_a_longer_text() {
    for text in ["{name * 2}", "{2 * name}", "{minutes * name}", "{(name | trim) * 2 ~ 's'}", "{1 + name * 2}"] {
        let reason = value(text).unwrap_err();
        assert!(reason.text.contains("wants numbers on both sides of `*`"), "{text}: {reason}");
    }
    assert_eq!(value("{minutes * 3}").unwrap(), Some(Value::Integer(60)));
    assert_eq!(value("{'20' | int * 3}").unwrap(), Some(Value::Integer(60)));
    assert_eq!(value("{name * 2 if name is number else minutes * 2}").unwrap(), Some(Value::Integer(40)));
    assert_eq!(value("{(minutes * minutes * 2 - 1) ~ '*'}").unwrap(), Some("799*".into()));
    let reason = value("{name + 1}").unwrap_err();
    assert!(reason.text.contains("makes a number of a text") && !reason.text.contains("Hara"), "{reason}");
}

#[test]
fn a_mistake_is_found_before_any_record_comes() {
    for (text, what) in [
        ("{name | uper}", "there is no filter `uper`: did you mean `upper`?"),
        ("{name is defned}", "did you mean `defined`?"),
        ("{range(9)}", "is a call"),
        ("{a && b}", "and"),
        ("{a", "character 1 is not closed"),
        ("a}", "without `{` at character 2"),
        ("{'a' * 100000000}", "does not repeat"),
        ("{100000000 * [note]}", "does not repeat"),
        ("{name | convert('minutes -> metres')}", "`minutes` measures time"),
        ("{ }", "is empty"),
    ] {
        let error = Text::parse(text).unwrap_err();
        assert!(error.contains(what), "{text}: {error}");
    }
}

#[test]
fn no_expression_hangs_or_eats_the_memory() {
    let long = format!("{{{}}}", vec!["1"; 600].join("+"));
    assert!(Text::parse(&long).unwrap_err().contains("too long"));
    assert!(Text::parse("{name | pad_left(100000)}").unwrap_err().contains("not a number from 1 to"));
    let wide = value("{name | pad_left(name | length * 100000)}");
    assert!(wide.is_err(), "{wide:?}");
    let nested = format!("{{{}1{}}}", "(".repeat(300), ")".repeat(300));
    assert!(Text::parse(&nested).is_err());
    // A field of a megabyte, put in place of each of its own letters, would be a terabyte.
    let much = Scope {
        record: [("note", Value::from("a".repeat(1 << 20).as_str()))].into_iter().collect(),
        ..Scope::default()
    };
    for (text, what) in [
        ("{note | replace('a', note)}", "16 MiB"),
        ("{note | replace('', note)}", "16 MiB"),
        (&format!("{{{}}}", vec!["note"; 40].join("~")), "more than 16 MiB"),
    ] {
        let reason = Text::parse(text).unwrap().value(&much).unwrap_err();
        assert!(reason.text.contains(what), "{text}: {}", reason.class);
    }
    // More steps than an expression may take.
    let steps = format!("{{{}}}", vec!["note | length | string | int"; 120].join(" + "));
    assert!(Text::parse(&steps).is_err() || Text::parse(&steps).unwrap().value(&much).is_ok());
}

#[test]
fn a_setting_that_stands_in_an_address_as_it_is_may_be_nothing_and_a_value_may_not() {
    let mut scope = scope();
    let vars: Record = [("prefix", Value::from("")), ("folder", "a/b".into())].into_iter().collect();
    scope.roots.push("vars", Value::Map(vars));
    scope.record.push("empty", Value::from(""));
    let url = |text: &str| Text::parse(text).unwrap().write(&scope, Escape::Url);
    assert_eq!(url("/{vars.prefix | raw}{name}").unwrap(), "/O%27Hara%20%26%20%3CS%C3%B6hne%3E");
    assert_eq!(url("/{vars.folder | raw}/x").unwrap(), "/a/b/x");
    for text in ["/{vars.prefix}", "/{empty}", "/{empty | url}", "/{none | raw}"] {
        assert!(url(text).unwrap_err().text.contains("is empty"), "{text}");
    }
}

#[test]
fn it_is_known_where_an_expression_wants_all_of_a_root() {
    let wants = |text: &str| Expression::compile(text).unwrap().wants_whole("key");
    for text in ["key", "key['odd name']", "{'a': key}", "key | json", "key.id ~ (key | length)"] {
        assert!(wants(text), "{text}");
    }
    for text in ["key.id", "record.key", "record['key']", "'key'", "keys"] {
        assert!(!wants(text), "{text}");
    }
}
