#![allow(clippy::unwrap_used)]

use super::explain::Line;
use super::*;
use crate::clock::Timestamp;
use crate::event::{EventId, Op};
use crate::rules::convert::Convert;
use crate::rules::mapping::Entry;
use proptest::prelude::*;

const SECRET: [u8; 32] = [7; 32];

fn record<const N: usize>(fields: [(&str, Value); N]) -> Record {
    fields.into_iter().collect()
}

fn patient() -> Event {
    let image = |city: &str| {
        record([
            ("mrn", 42.into()),
            ("ssn", "123-45-6789".into()),
            ("city", city.into()),
            ("note", Value::Null),
            ("visits", Value::List(vec![Value::Map(record([("code", "A".into()), ("day", "mon".into())]))])),
        ])
    };
    Event {
        id: EventId { epoch: 1, seq: 17, nonce: 2 },
        log: "office".into(),
        kind: "patients".into(),
        op: Op::Update,
        key: record([("mrn", 42.into())]),
        old_key: None,
        before: Some(image("Ames")),
        after: Some(image("Boone")),
        changed: vec!["city".into()],
        at: Timestamp(0),
        origin: None,
        dest: None,
        push: None,
        lane: 0,
        old_lane: None,
        synthetic: false,
    }
}

fn classes(listed: &[(&str, &str)], default: Option<&str>) -> Classes {
    let columns = listed.iter().map(|(column, class)| ((*column).to_owned(), (*class).to_owned())).collect();
    let classify = BTreeMap::from([("patients".to_owned(), columns)]);
    Classes { classify, default: default.map(str::to_owned), ..Classes::default() }
}

fn gate(listed: &[(&str, &str)], default: Option<&str>, allow: Option<&[&str]>, redact: &[(&str, Redact)]) -> Gate {
    let allow: Option<Vec<String>> = allow.map(|allow| allow.iter().map(|class| (*class).to_owned()).collect());
    Gate::new(&classes(listed, default), allow.as_deref(), &redacting(redact), SECRET)
}

fn redacting(redact: &[(&str, Redact)]) -> BTreeMap<String, Redact> {
    redact.iter().map(|(field, how)| ((*field).to_owned(), *how)).collect()
}

fn mapping<const N: usize>(pairs: [(&str, &str); N]) -> Mapping {
    let entry =
        |(source, to): (&str, &str)| Entry { source: source.to_owned(), to: Some(to.to_owned()), ..Entry::default() };
    Mapping::compile(pairs.into_iter().map(entry).collect()).unwrap()
}

fn fields<const N: usize>(fields: [&str; N]) -> Vec<String> {
    fields.map(str::to_owned).to_vec()
}

fn refusal(gate: &Gate, mapping: &Mapping, named: &[String]) -> String {
    gate.clear(&patient(), mapping, named).unwrap_err().to_string()
}

#[test]
fn without_a_governance_section_everything_leaves() {
    let cleared = Gate::open().clear(&patient(), &Mapping::whole(), &fields(["ssn", "$event.id", "nothing"])).unwrap();
    assert_eq!(cleared.record(), patient().image());
    assert_eq!(cleared.field("ssn"), Some(&"123-45-6789".into()));
    assert_eq!(cleared.field("$event.id"), Some(&"00000001-17-00000002".into()));
    assert_eq!(cleared.field("nothing"), None);
}

#[test]
fn a_class_that_is_not_allowed_holds_the_event_and_names_rule_and_field_never_the_value() {
    let gate = gate(&[("ssn", "phi"), ("city", "internal")], Some("internal"), Some(&["internal"]), &[]);
    let said = refusal(&gate, &mapping([("ssn", "id")]), &[]);
    assert_eq!(said, "gate: rule `phi`: field `ssn` of `patients` may not leave by this connector");
    assert!(gate.clear(&patient(), &mapping([("city", "town"), ("mrn", "m")]), &[]).is_ok());
    assert!(refusal(&gate, &Mapping::whole(), &[]).contains("`phi`"));
    for path in ["$before.ssn", "$after.ssn", "$before", "$after"] {
        assert!(refusal(&gate, &mapping([(path, "x")]), &[]).contains("`ssn`"), "{path}");
    }
}

#[test]
fn what_is_not_listed_is_denied_without_a_default_and_only_public_leaves_without_allow() {
    let strict = gate(&[("city", "public"), ("ssn", "phi")], None, None, &[]);
    assert!(strict.clear(&patient(), &mapping([("city", "x")]), &[]).is_ok());
    assert!(refusal(&strict, &mapping([("mrn", "x")]), &[]).contains("rule `unclassified`: field `mrn`"));
    assert!(refusal(&strict, &mapping([("ssn", "x")]), &[]).contains("rule `phi`"));
    assert!(refusal(&gate(&[], Some("internal"), None, &[]), &mapping([("mrn", "x")]), &[]).contains("`internal`"));
    let mut other = patient();
    other.kind = "elsewhere".into();
    assert!(strict.clear(&other, &mapping([("city", "x")]), &[]).is_err(), "classes belong to their type");
}

#[test]
fn a_field_that_a_template_names_passes_the_gate_too() {
    let gate = gate(&[("ssn", "phi"), ("mrn", "pii")], Some("public"), Some(&["public"]), &[]);
    let city = mapping([("city", "town")]);
    assert!(refusal(&gate, &city, &fields(["ssn"])).contains("`ssn`"));
    assert!(refusal(&gate, &city, &fields(["$key.mrn"])).contains("`mrn`"));
    let mut posted = patient();
    posted.after = Some(record([("city", "Boone".into())]));
    let reason = gate.clear(&posted, &city, &fields(["mrn"])).unwrap_err();
    assert!(reason.text.contains("`mrn`"), "a name that only the key has: {reason}");
    let cleared = gate.clear(&patient(), &city, &fields(["town", "$event.seq", "city"])).unwrap();
    assert_eq!(cleared.field("town"), Some(&"Boone".into()));
    assert_eq!(cleared.field("$event.seq"), Some(&17.into()));
}

#[test]
fn what_lies_inside_a_payload_counts_by_its_column_or_its_own_path() {
    let by_column = gate(&[("visits", "phi")], Some("public"), None, &[]);
    assert!(refusal(&by_column, &mapping([("visits.0.code", "x")]), &[]).contains("`visits.0.code`"));
    let by_path = gate(&[("visits", "public"), ("visits.code", "phi")], Some("public"), None, &[]);
    assert!(by_path.clear(&patient(), &mapping([("visits.0.day", "x")]), &[]).is_ok());
    assert!(refusal(&by_path, &mapping([("visits.0.code", "x")]), &[]).contains("`phi`"));
    for whole in [mapping([("visits", "x")]), mapping([("visits.0", "x")]), Mapping::whole()] {
        assert!(refusal(&by_path, &whole, &[]).contains("`visits.code`"), "a whole takes its inside with it");
    }
    // A column whose own name has a dot is not inside another.
    let mut odd = patient();
    odd.after = Some(record([("a.b", 1.into())]));
    let gate = gate(&[("a", "public")], None, None, &[]);
    assert!(gate.clear(&odd, &mapping([("a.b", "x")]), &[]).is_err());
}

#[test]
fn redacted_fields_leave_without_their_value_whatever_their_class() {
    let redact = [("ssn", Redact::Hash), ("city", Redact::Mask), ("mrn", Redact::Drop), ("note", Redact::Hash)];
    let gate = gate(&[("ssn", "phi")], Some("public"), None, &redact);
    let map = mapping([
        ("ssn", "id"),
        ("city", "town"),
        ("mrn", "number"),
        ("note", "note"),
        ("$before.city", "from"),
        ("$key.mrn", "key"),
    ]);
    let cleared = gate.clear(&patient(), &map, &fields(["mrn", "ssn", "$before.ssn"])).unwrap();
    // HMAC-SHA256 of the text with 32 bytes of 7, by another library.
    let hash = "68fff8937a009d1dad34299678fc8d2419874e5e7308f75cf4295c0ac47122ba";
    let rest = record([("id", hash.into()), ("town", "***".into()), ("note", Value::Null), ("from", "***".into())]);
    assert_eq!(*cleared.record(), rest);
    assert_eq!(cleared.field("mrn"), None);
    assert_eq!(cleared.field("ssn"), cleared.record().get("id"));
    assert_eq!(cleared.field("$before.ssn"), cleared.record().get("id"));
    let whole = gate.clear(&patient(), &Mapping::whole(), &[]).unwrap();
    assert_eq!(whole.record().get("mrn"), None);
    assert_eq!(whole.record().get("city"), Some(&"***".into()));
}

#[test]
fn what_was_redacted_is_not_converted() {
    let entry = |source: &str| Entry {
        source: source.to_owned(),
        convert: vec![Convert::parse("date -> julian", None).unwrap()],
        lookup: Some(Vec::new()),
        ..Entry::default()
    };
    let mapping = Mapping::compile(vec![entry("city")]).unwrap();
    let gate = Gate::redacting(&redacting(&[("city", Redact::Mask)]), SECRET);
    assert_eq!(*gate.clear(&patient(), &mapping, &[]).unwrap().record(), record([("city", "***".into())]));
}

#[test]
fn redaction_reaches_into_payloads_and_lists() {
    let gate = Gate::redacting(&redacting(&[("visits.code", Redact::Mask), ("visits.0.day", Redact::Drop)]), SECRET);
    let visits = |cleared: &Cleared| cleared.record().get("visits").cloned();
    let masked = Value::List(vec![Value::Map(record([("code", "***".into())]))]);
    assert_eq!(visits(&gate.clear(&patient(), &Mapping::whole(), &[]).unwrap()), Some(masked));
    let map = mapping([("visits.0.code", "c"), ("visits.0.day", "d")]);
    assert_eq!(*gate.clear(&patient(), &map, &[]).unwrap().record(), record([("c", "***".into())]));
    let hashed = Gate::redacting(&redacting(&[("visits", Redact::Hash)]), SECRET);
    let cleared = hashed.clear(&patient(), &mapping([("visits.0.code", "c")]), &[]).unwrap();
    assert_eq!(
        cleared.record().get("c"),
        Some(&"b46919273ce6f1d78f9b05c22a281e3c44bf299bb11dad07128cf8f987c9d112".into())
    );
}

#[test]
fn check_and_explain_say_what_would_be_refused() {
    let redact = [("note", Redact::Mask)];
    let gate = gate(&[("ssn", "phi"), ("note", "phi"), ("city", "public")], None, Some(&["public"]), &redact);
    let columns = fields(["mrn", "ssn", "city", "note"]);
    let lines = |gate: &Gate, mapping: &Mapping, named: &[String]| -> Vec<String> {
        let line = |line: Line| {
            let class = line.class.unwrap_or_else(|| "-".to_owned());
            format!("{} {class} {} -> {} ({})", line.field, line.verdict.word(), line.to.join("+"), line.rule)
        };
        gate.explain("patients", &columns, mapping, named).into_iter().map(line).collect()
    };
    assert_eq!(
        lines(&gate, &Mapping::whole(), &[]),
        [
            "mrn - refused -> mrn (unclassified: it is not listed, and there is no default)",
            "ssn phi refused -> ssn (class phi is not in allow)",
            "city public leaves -> city (class public is in allow)",
            "note phi masked -> note (redact: mask)",
        ]
    );
    let mapped = mapping([("city", "a.town"), ("city", "b"), ("$before.ssn", "was"), ("$event.id", "id")]);
    assert_eq!(
        lines(&gate, &mapped, &fields(["mrn", "b"])),
        [
            "mrn - refused -> URL or Idem-Key (unclassified: it is not listed, and there is no default)",
            "ssn phi not mapped ->  (nothing reads it)",
            "city public leaves -> a.town+b (class public is in allow)",
            "note phi not mapped ->  (nothing reads it)",
            "$before.ssn phi refused -> was (class phi is not in allow)",
            "$event.id - leaves -> id (known of the event itself)",
        ]
    );
    assert_eq!(lines(&Gate::open(), &mapping([("city", "x")]), &[])[2], "city - leaves -> x (nothing is classified)");
    let refused = |mapping: &Mapping, named: &[String]| {
        let refused = gate.refused("patients", &columns, mapping, named);
        refused.into_iter().map(|(column, rule)| format!("{column}:{rule}")).collect::<Vec<_>>()
    };
    assert_eq!(refused(&Mapping::whole(), &[]), ["mrn:unclassified", "ssn:phi"]);
    assert_eq!(refused(&mapping([("city", "x"), ("note", "y"), ("$event.id", "z")]), &[]), Vec::<String>::new());
    assert_eq!(refused(&mapping([("$before.ssn", "x")]), &fields(["x", "mrn"])), ["mrn:unclassified", "ssn:phi"]);
    assert_eq!(Gate::open().refused("patients", &columns, &Mapping::whole(), &[]), []);
}

#[test]
fn a_redaction_is_read_and_a_slip_is_explained() {
    assert_eq!(Redact::parse("mask"), Ok(Redact::Mask));
    assert_eq!(Redact::parse("hsah").unwrap_err(), "`hsah` is none of hash, mask, drop: did you mean `hash`?");
}

/// Marks every value of a column that may not leave.
const CANARY: &str = "CANARY";

proptest! {
    #[test]
    fn no_mapping_lets_out_what_may_not_leave(
        classes in prop::collection::vec(prop::option::of(0..3_usize), 6),
        default in prop::option::of(0..3_usize),
        allow in prop::collection::vec(0..3_usize, 0..3),
        redact in prop::collection::vec((0..6_usize, 0..3_usize), 0..3),
        reads in prop::option::of(prop::collection::vec((0..8_usize, 0..6_usize), 1..5)),
        named in prop::collection::vec((0..8_usize, 0..6_usize), 0..3),
    ) {
        const WORDS: [&str; 3] = ["public", "internal", "phi"];
        const COLUMNS: [&str; 6] = ["a", "b", "a.b", "m", "m.a", "l.a"];
        let how = [Redact::Hash, Redact::Mask, Redact::Drop];
        let listed: Vec<_> = COLUMNS.iter().zip(&classes).filter_map(|(c, class)| Some((*c, WORDS[(*class)?]))).collect();
        let default = default.map(|class| WORDS[class]);
        let allowed: Vec<&str> = allow.iter().map(|class| WORDS[*class]).collect();
        let redact: Vec<_> = redact.into_iter().map(|(column, by)| (COLUMNS[column], how[by])).collect();
        let gate = gate(&listed, default, Some(&allowed), &redact);

        // The class of a path is that of its longest listed name, else the default.
        let leaves = |names: &[&str]| {
            let class = names.iter().find_map(|name| listed.iter().find(|(column, _)| column == name));
            let class = class.map(|(_, class)| *class).or(default);
            class.is_some_and(|class| allowed.contains(&class))
                || names.iter().any(|name| redact.iter().any(|(column, _)| column == name))
        };
        let value = |names: &[&str]| Value::from(if leaves(names) { "fine" } else { CANARY });
        let inner = |of: &str| Value::Map(record([("a", value(&[&format!("{of}.a"), of])), ("z", value(&[of]))]));
        let image = record([
            ("a", value(&["a"])),
            ("b", value(&["b"])),
            ("a.b", value(&["a.b"])),
            ("m", inner("m")),
            ("l", Value::List(vec![inner("l"), inner("l")])),
        ]);
        let mut event = patient();
        (event.key, event.before, event.after) = (image.clone(), Some(image.clone()), Some(image));

        let path = |(root, at): &(usize, usize)| {
            let root = ["", "", "", "$key.", "$before.", "$after.", "m.", "l.0."][*root];
            format!("{root}{}", ["a", "b", "a.b", "m", "l", "z"][*at])
        };
        let mapping = match &reads {
            Some(reads) => {
                let entry = |(at, read): (usize, &(usize, usize))| Entry {
                    source: path(read),
                    to: Some(format!("t{at}")),
                    default: Some(Value::Null),
                    ..Entry::default()
                };
                Mapping::compile(reads.iter().enumerate().map(entry).collect()).unwrap()
            }
            None => Mapping::whole(),
        };
        let named: Vec<String> = named.iter().map(path).collect();
        if let Ok(cleared) = gate.clear(&event, &mapping, &named) {
            prop_assert!(!format!("{cleared:?}").contains(CANARY), "{:?}", cleared);
        }
    }
}

#[test]
fn a_veil_hides_what_may_not_leave_in_every_image_and_in_the_key() {
    let gate =
        gate(&[("city", "public"), ("mrn", "pii"), ("visits.code", "phi"), ("visits", "public")], None, None, &[]);
    let patient = patient();
    let veiled = gate.veil(&patient);
    for image in [veiled.before.as_ref(), veiled.after.as_ref(), Some(&veiled.key)].into_iter().flatten() {
        for (column, value) in image.iter() {
            assert_eq!(**column == *"city", *value != Value::from("***"), "{column}: {value:?}");
        }
    }
    assert_eq!(veiled.changed, patient.changed);
    assert!(matches!(Gate::open().veil(&patient), Cow::Borrowed(_)));
}

#[test]
fn views_show_their_classes_and_an_entrance_lets_in_its_own() {
    let listed = [("ssn", "phi"), ("city", "internal"), ("mrn", "public")];
    let mut classes = classes(&listed, Some("public"));
    assert_eq!(Gate::of_views(Some(&classes)).veil(&patient()).image().get("city"), Some(&"***".into()));
    classes.views = Some(vec!["internal".to_owned()]);
    let view = Gate::of_views(Some(&classes));
    let key = record([("mrn", 42.into()), ("city", "Ames".into())]);
    assert_eq!(*view.veil_record("patients", &key), record([("mrn", "***".into()), ("city", "Ames".into())]));
    assert!(matches!(Gate::of_views(None).veil_record("patients", &key), Cow::Borrowed(_)));

    assert_eq!(Gate::of_entrance(Some(&classes)).admit("patients", patient().image()), Ok(()), "nothing is said of it");
    classes.inbound = Some(vec!["internal".to_owned(), "public".to_owned()]);
    let entrance = Gate::of_entrance(Some(&classes));
    let refused = entrance.admit("patients", patient().image()).unwrap_err().to_string();
    assert_eq!(refused, "gate: rule `phi`: field `ssn` of `patients` may not come in");
    assert_eq!(entrance.admit("other", patient().image()), Ok(()), "classes belong to their type");
}

#[test]
fn what_comes_in_is_looked_at_inside_and_only_for_what_is_there() {
    let mut classes = classes(&[("visits.note", "phi"), ("visits.code", "phi")], Some("public"));
    classes.inbound = Some(vec!["public".to_owned()]);
    let entrance = Gate::of_entrance(Some(&classes));
    let visit = |name: &str| {
        let inner = Value::List(vec![Value::Null, Value::Map(record([(name, "x".into())]))]);
        record([("visits", inner)])
    };
    assert_eq!(entrance.admit("patients", &visit("day")), Ok(()));
    for name in ["note", "code"] {
        let refused = entrance.admit("patients", &visit(name)).unwrap_err();
        assert!(refused.text.contains(&format!("`visits.{name}`")), "{refused}");
    }
    assert!(
        entrance.admit("patients", &record([("visits.note", "x".into())])).is_err(),
        "a name that has the dot itself"
    );
}
