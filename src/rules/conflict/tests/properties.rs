//! What holds for all records and rules.

use proptest::prelude::*;

use super::*;

const FIELDS: [&str; 4] = ["start", "end", "subject", "note"];

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        (0..4_i64).prop_map(Value::Integer),
        (0..4_i64).prop_map(|number| Value::Real(number as f64)),
        prop::sample::select(vec!["", "a", "a ", "b", "2", "10:00", "10:00:00Z", "11:00"]).prop_map(Value::from),
    ]
}

fn image() -> impl Strategy<Value = Record> {
    prop::collection::vec(value(), FIELDS.len()).prop_map(|values| FIELDS.into_iter().zip(values).collect())
}

fn winner() -> impl Strategy<Value = Winner> {
    prop::sample::select(WINNERS.map(|(_, winner)| winner).to_vec())
}

fn rule() -> impl Strategy<Value = Rule> {
    let order = prop::sample::subsequence(vec!["lotus", "sap", "hms"], 0..=3).prop_shuffle();
    (winner(), order).prop_map(|(winner, order)| Rule { winner, order: order.into_iter().map(str::to_owned).collect() })
}

prop_compose! {
    fn policy()(
        slot in any::<bool>(),
        rules in prop::collection::vec(prop::option::of(rule()), 5),
        otherwise in prop::option::of(rule()),
        delete in prop::sample::select(DELETES.map(|(_, rule)| rule).to_vec()),
        untrusted in rule(),
        tolerance in 0..10_u64,
    ) -> Policy {
        let units = ["start", "end", "subject", "note", "slot"];
        Policy {
            groups: slot.then(|| Group { name: "slot".into(), fields: names(&["start", "end"]) }).into_iter().collect(),
            rules: units.iter().zip(rules).filter_map(|(unit, rule)| Some((Arc::from(*unit), rule?))).collect(),
            otherwise,
            delete,
            untrusted,
            tolerance: Duration::from_secs(tolerance),
            ..Policy::none("t")
        }
    }
}

fn time() -> impl Strategy<Value = Timestamp> {
    (0..40_i64).prop_map(|seconds| Timestamp(at("12:00").0 + seconds * 1000))
}

prop_compose! {
    fn span()(first in time(), last in time()) -> Span {
        Span { first: first.min(last), last: first.max(last) }
    }
}

prop_compose! {
    fn case()(
        policy in policy(),
        base in prop::option::weighted(0.8, image()),
        local in prop::option::weighted(0.9, image()),
        remote in prop::option::weighted(0.9, image()),
        spans in prop::collection::vec(prop::option::weighted(0.9, span()), FIELDS.len()),
        local_deleted in prop::option::of(time()),
        remote_at in prop::option::weighted(0.9, time()),
        remote_trusted in prop::bool::weighted(0.9),
        like_base in prop::collection::vec(any::<bool>(), 2 * FIELDS.len()),
        now in time(),
    ) -> Case {
        let (mut local, mut remote) = (local, remote);
        // Else nearly all would be conflicts.
        for (at, like) in like_base.iter().enumerate().filter(|(_, like)| **like) {
            let (image, field) = if at < FIELDS.len() { (&mut local, at) } else { (&mut remote, at - FIELDS.len()) };
            if let (Some(image), Some(base), Some(field), true) = (image, &base, FIELDS.get(field), *like) {
                image.set(field, base.get(field).cloned().unwrap_or(Value::Null));
            }
        }
        Case {
            policy, base, local, remote, local_deleted, remote_at, remote_trusted, now,
            local_times: FIELDS.iter().zip(spans).filter_map(|(field, span)| Some((Arc::from(*field), span?))).collect(),
            fields: names(&FIELDS),
            resolved: Vec::new(),
            barred: false,
            round: false,
        }
    }
}

fn like(one: &Option<Record>, other: &Option<Record>, field: &str) -> bool {
    let of = |image: &Option<Record>| image.as_ref().and_then(|image| image.get(field).cloned());
    same::same(of(one).as_ref(), of(other).as_ref())
}

/// The policy as the other side would have written it: only `local` and `remote` change places.
fn turned(policy: &Policy) -> Policy {
    let turn = |rule: &Rule| Rule {
        winner: match rule.winner {
            Winner::Local => Winner::Remote,
            Winner::Remote => Winner::Local,
            winner => winner,
        },
        order: rule.order.clone(),
    };
    Policy {
        rules: policy.rules.iter().map(|(unit, rule)| (Arc::clone(unit), turn(rule))).collect(),
        otherwise: policy.otherwise.as_ref().map(turn),
        untrusted: turn(&policy.untrusted),
        ..policy.clone()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn both_sides_are_equal_afterwards_but_for_what_is_held(case in case()) {
        let verdict = case.decide();
        let (local, remote) = case.carried_out();
        let held = |field: &Arc<str>| verdict.held.iter().any(|held| held.dispute.fields.contains(field));
        for field in &case.fields {
            if held(field) {
                prop_assert!(like(&local, &case.local, field) && like(&remote, &case.remote, field), "{field} is held");
            } else {
                prop_assert!(like(&local, &remote, field), "{field}: {verdict:?}");
            }
        }
        if !verdict.held.iter().any(|held| held.dispute.unit == Unit::Record) {
            prop_assert_eq!(local.is_some(), remote.is_some());
        }
    }

    #[test]
    fn what_was_carried_out_needs_nothing_more(case in case()) {
        let verdict = case.decide();
        let (local, remote) = case.carried_out();
        let base = match &verdict.next {
            Next::Same => case.base.clone(),
            Next::Gone => None,
            Next::Base { local, remote } => {
                for field in &case.fields {
                    prop_assert!(like(&Some(local.clone()), &Some(remote.clone()), field));
                }
                Some(local.clone())
            }
        };
        let again = Case { base, local, remote, ..case.clone() }.decide();
        prop_assert_eq!((&again.to_local, &again.to_remote, &again.decided), (&None, &None, &Vec::new()));
        let held = |verdict: &Verdict| -> Vec<(Unit, Why, [u8; 32], [u8; 32])> {
            let of = |held: &Held| (held.dispute.unit.clone(), held.why, held.dispute.local.seen, held.dispute.remote.seen);
            verdict.held.iter().map(of).collect()
        };
        prop_assert_eq!(held(&again), held(&verdict));
        prop_assert_eq!(again.next, Next::Same);
    }

    #[test]
    fn the_other_side_decides_the_same(case in case()) {
        let verdict = case.decide();
        let other = Case { policy: turned(&case.policy), ..case.clone() }.mirrored();
        prop_assert_eq!((&verdict.to_local, &verdict.to_remote), (&other.to_remote, &other.to_local));
        prop_assert_eq!(verdict.held.len(), other.held.len());
        for (one, other) in verdict.decided.iter().zip(&other.decided) {
            let Won::Side(one) = one.winner else { return Err(TestCaseError::fail("nobody gave values")) };
            prop_assert_eq!(Won::Side(one.other()), other.winner.clone());
        }
    }

    #[test]
    fn the_same_sides_give_the_same_verdict_at_any_time_after(case in case(), later in 0..1_000_000_u64) {
        prop_assert_eq!(case.decide(), case.decide());
        let then = Case { now: at("13:00"), ..case.clone() };
        let later = Case { now: then.now.plus(Duration::from_secs(later)), ..case };
        prop_assert_eq!(then.decide(), later.decide());
    }

    #[test]
    fn a_group_is_never_mixed(case in case()) {
        let case = Case { policy: Policy { groups: vec![Group { name: "slot".into(), fields: names(&["start", "end"]) }], ..case.policy.clone() }, ..case };
        let (local, remote) = case.carried_out();
        for shown in [&local, &remote] {
            let of = |source: &Option<Record>| like(shown, source, "start") && like(shown, source, "end");
            prop_assert!(shown.is_none() || of(&case.local) || of(&case.remote), "{shown:?}");
        }
    }

    #[test]
    fn sides_that_agree_write_nothing(case in case()) {
        let case = Case { remote: case.local.clone(), ..case };
        let verdict = case.decide();
        prop_assert_eq!((&verdict.to_local, &verdict.to_remote), (&None, &None));
        prop_assert!(verdict.decided.is_empty() && verdict.held.is_empty());
    }

    #[test]
    fn a_person_settles_whatever_is_held(case in case(), local in any::<bool>()) {
        let take = || if local { Take::Local } else { Take::Remote };
        let resolved = case.decide().held.iter().map(|held| Resolution {
            unit: held.dispute.unit.name().into(),
            take: take(),
            local: held.dispute.local.seen,
            remote: held.dispute.remote.seen,
        }).collect();
        let case = Case { resolved, ..case };
        prop_assert!(case.decide().held.is_empty());
        let (local, remote) = case.carried_out();
        for field in &case.fields {
            prop_assert!(like(&local, &remote, field));
        }
    }
}
