//! The decision table, row by row: base start = 09:00, tolerance 5 s. Each is decided by both sides, and gives the same.

use super::*;

#[test]
fn row_1_changed_here_only_is_pushed() {
    for winner in [Winner::EarliestChange, Winner::LatestChange, Winner::Remote, Winner::Manual] {
        let case = Case::agreed().rule("start", winner).here("start", "10:00", "12:00:00");
        let verdict = case.decide();
        assert_eq!(verdict.to_remote, Some(Write::Update(record(&[("start", "10:00")]))));
        assert_eq!((verdict.to_local, verdict.decided.len(), verdict.held.len()), (None, 0, 0));
        assert_eq!(case.both("start"), "10:00".into());
    }
}

#[test]
fn row_2_changed_there_only_is_applied() {
    for winner in [Winner::EarliestChange, Winner::LatestChange, Winner::Local, Winner::Manual] {
        let case = Case::agreed().rule("start", winner).there("start", "11:00", "12:00:00");
        let verdict = case.decide();
        assert_eq!(verdict.to_local, Some(Write::Update(record(&[("start", "11:00")]))));
        assert_eq!((verdict.to_remote, verdict.decided.len(), verdict.held.len()), (None, 0, 0));
        assert_eq!(case.both("start"), "11:00".into());
    }
}

#[test]
fn row_3_the_same_change_on_both_sides_is_agreement_and_writes_nothing() {
    for winner in [Winner::EarliestChange, Winner::LatestChange, Winner::Remote, Winner::Manual] {
        let case =
            Case::agreed().rule("start", winner).here("start", "10:00", "12:00:00").there("start", "10:00", "12:30:00");
        let verdict = case.decide();
        assert_eq!((verdict.to_local, verdict.to_remote), (None, None));
        assert_eq!((verdict.decided.len(), verdict.held.len()), (0, 0));
        let Next::Base { local, .. } = verdict.next else { unreachable!("a new base") };
        assert_eq!(local.get("start"), Some(&"10:00".into()));
    }
}

fn four() -> Case {
    Case::agreed().here("start", "10:00", "12:00:00").there("start", "11:00", "12:01:00")
}

#[test]
fn row_4_the_earliest_change_wins() {
    let case = four().rule("start", Winner::EarliestChange);
    assert_eq!(case.both("start"), "10:00".into());
    let decided = case.only_decided();
    assert_eq!(decided.winner, Won::Side(Which::Local));
    assert_eq!(decided.because, Because::Rule(Winner::EarliestChange));
    assert_eq!(decided.dispute.remote.values, Some(record(&[("start", "11:00")])), "the loser's value is kept");
    assert_eq!(case.decide().to_local, None);
}

#[test]
fn row_5_the_latest_change_wins() {
    let case = four().rule("start", Winner::LatestChange);
    assert_eq!(case.both("start"), "11:00".into());
    let decided = case.only_decided();
    assert_eq!(decided.winner, Won::Side(Which::Remote));
    assert!(decided.dispute.remote.by_record && !decided.dispute.local.by_record);
    assert!(decided.dispute.precision().contains("whole record"), "{}", decided.dispute.precision());
}

fn six() -> Case {
    Case::agreed().here("start", "10:00", "11:00").here("start", "10:30", "13:00").there("start", "11:00", "12:00")
}

#[test]
fn row_6_the_first_of_several_changes_counts_for_the_earliest() {
    assert_eq!(six().rule("start", Winner::EarliestChange).both("start"), "10:30".into());
}

#[test]
fn row_7_the_last_of_several_changes_counts_for_the_latest() {
    assert_eq!(six().rule("start", Winner::LatestChange).both("start"), "10:30".into());
}

#[test]
fn row_8_a_tie_goes_by_authority_else_by_hash() {
    let eight = || Case::agreed().here("start", "10:00", "12:00:00").there("start", "11:00", "12:00:03");
    let named = |order: &[&str]| eight().ordered("start", Winner::LatestChange, order);
    assert_eq!(named(&["hms", "lotus"]).both("start"), "10:00".into());
    assert_eq!(named(&["OF042", "lotus"]).both("start"), "10:00".into());
    assert_eq!(named(&["lotus_notes", "hms"]).both("start"), "11:00".into());
    assert_eq!(named(&["hms"]).only_decided().because, Because::TieByOrder(Winner::LatestChange));

    let by_hash = eight().rule("start", Winner::LatestChange);
    let decided = by_hash.only_decided();
    assert_eq!(decided.because, Because::TieByHash(Winner::LatestChange));
    let smaller = if decided.dispute.local.seen < decided.dispute.remote.seen { "10:00" } else { "11:00" };
    assert_eq!(by_hash.both("start"), smaller.into());
    // The same two values on the other sides, and the other rule: the same winner.
    let swapped = Case::agreed().here("start", "11:00", "12:00:03").there("start", "10:00", "12:00:00");
    for winner in [Winner::EarliestChange, Winner::LatestChange] {
        assert_eq!(swapped.clone().rule("start", winner).both("start"), smaller.into());
    }
    // Five seconds are a tie still, more are none.
    let apart = |time| Case::agreed().here("start", "10:00", "12:00:00").there("start", "11:00", time);
    let because = |time| apart(time).rule("start", Winner::EarliestChange).only_decided().because;
    assert_eq!(because("12:00:05"), Because::TieByHash(Winner::EarliestChange));
    assert_eq!(because("12:00:06"), Because::Rule(Winner::EarliestChange));
}

#[test]
fn row_9_a_missing_time_never_decides() {
    let mut case = four().rule("start", Winner::LatestChange);
    case.remote_at = None;
    assert_eq!(case.only_held().why, Why::Untrusted(Winner::LatestChange, Doubt::Missing(Which::Remote)));
    assert_eq!(case.carried_out(), (case.local.clone(), case.remote.clone()), "nothing is written");
    case.policy.untrusted = Rule::of(Winner::Local);
    assert_eq!(case.carried_out().1, case.local);
    assert!(case.only_decided().because.reason(&Won::Side(Which::Local)).contains("times.untrusted, local"));
}

#[test]
fn row_10_a_time_in_the_future_never_decides() {
    let mut case = four().rule("start", Winner::LatestChange);
    case.remote_at = Some(Timestamp(at("12:00").0 + 365 * 86_400_000));
    assert_eq!(case.only_held().why, Why::Untrusted(Winner::LatestChange, Doubt::Future(Which::Remote)));
    // Within the tolerance it is no future.
    case.remote_at = Some(case.now.plus(Duration::from_secs(5)));
    assert_eq!(case.only_decided().winner, Won::Side(Which::Remote));
    case.remote_at = Some(case.now.plus(Duration::from_secs(6)));
    assert_eq!(case.only_held().why, Why::Untrusted(Winner::LatestChange, Doubt::Future(Which::Remote)));
    // A clock that runs as it likes.
    case.remote_at = Some(at("12:01"));
    case.remote_trusted = false;
    assert_eq!(case.only_held().why, Why::Untrusted(Winner::LatestChange, Doubt::Clock(Which::Remote)));
}

#[test]
fn row_11_a_group_is_of_one_side_never_a_mixture() {
    let eleven = |winner| {
        Case::agreed()
            .group("slot", &["start", "end"])
            .rule("slot", winner)
            .here("start", "10:00", "12:00")
            .there("end", "11:30", "12:30")
    };
    let here = eleven(Winner::EarliestChange);
    assert_eq!((here.both("start"), here.both("end")), ("10:00".into(), "09:30".into()));
    let there = eleven(Winner::LatestChange);
    assert_eq!((there.both("start"), there.both("end")), ("09:00".into(), "11:30".into()));
    assert_eq!(there.only_decided().dispute.unit, Unit::Group("slot".into()));
    let held = eleven(Winner::Manual);
    assert_eq!(held.only_held().dispute.fields, names(&["start", "end"]));
}

#[test]
fn row_12_different_fields_are_both_kept() {
    let case = Case::agreed().here("start", "10:00", "12:00").there("subject", "x", "12:00");
    assert_eq!((case.both("start"), case.both("subject")), ("10:00".into(), "x".into()));
    let verdict = case.decide();
    assert_eq!((verdict.decided.len(), verdict.held.len()), (0, 0));
}

#[test]
fn row_13_a_delete_against_an_update_is_held_and_nothing_is_deleted() {
    let mut case = Case::agreed().there("start", "11:00", "12:01");
    case.local = None;
    case.local_deleted = Some(at("12:00"));
    let held = case.only_held();
    assert_eq!((&held.why, &held.dispute.unit), (&Why::Delete, &Unit::Record));
    assert_eq!(held.dispute.local.values, None);
    assert_eq!(held.dispute.local.first, Some(at("12:00")));
    assert_eq!(case.decide().next, Next::Same);

    case.policy.delete = DeleteRule::DeleteWins;
    assert_eq!(case.carried_out(), (None, None));
    assert_eq!(case.decide().next, Next::Gone);
    case.policy.delete = DeleteRule::UpdateWins;
    assert_eq!(case.carried_out(), (case.remote.clone(), case.remote.clone()));

    // Deleted there, changed here.
    let mut case = Case::agreed().here("start", "10:00", "12:01");
    (case.remote, case.remote_at) = (None, Some(at("12:00")));
    assert_eq!(case.only_held().why, Why::Delete);
    case.policy.delete = DeleteRule::UpdateWins;
    assert_eq!(case.carried_out(), (case.local.clone(), case.local.clone()));
}

#[test]
fn row_14_deleted_on_both_sides_is_agreement() {
    let mut case = Case::agreed();
    (case.local, case.remote) = (None, None);
    let verdict = case.decide();
    assert_eq!(verdict, Verdict { next: Next::Gone, ..Verdict::default() });
    case.base = None;
    assert!(case.decide().is_quiet());
}

#[test]
fn row_15_changed_and_changed_back_is_no_change() {
    for winner in [Winner::EarliestChange, Winner::LatestChange, Winner::Local, Winner::Manual] {
        let case = Case::agreed()
            .rule("start", winner)
            .here("start", "10:00", "11:00")
            .here("start", "09:00", "13:00")
            .there("start", "11:00", "12:00");
        assert_eq!(case.both("start"), "11:00".into());
        assert_eq!(case.decide().to_remote, None);
    }
}

#[test]
fn row_16_what_was_pushed_and_comes_back_in_other_clothes_is_no_change() {
    let mut case = Case::agreed().here("start", "10:00", "12:00").there("start", "10:00:00Z", "12:00:01");
    let verdict = case.decide();
    assert_eq!((verdict.to_local, verdict.to_remote), (None, None));
    // Seen again when the push is the base already.
    if let Some(base) = &mut case.base {
        base.set("start", "10:00".into());
    }
    assert!(case.decide().is_quiet());
}

#[test]
fn row_17_after_a_412_the_record_is_decided_again_as_it_is_there_now() {
    let pushed = Case::agreed().rule("start", Winner::EarliestChange).here("start", "10:00", "12:00");
    assert_eq!(pushed.decide().to_remote, Some(Write::Update(record(&[("start", "10:00")]))));
    let again = pushed.there("start", "11:00", "11:59");
    assert_eq!(again.both("start"), "11:00".into());
}

#[test]
fn row_18_the_order_of_arrival_changes_nothing() {
    // What arrives first is known first, and is compared again with all that is known when the other arrives: later, after both.
    for winner in [Winner::EarliestChange, Winner::LatestChange] {
        let early = Case { now: at("12:01:00"), ..four().rule("start", winner) };
        let late = Case { now: at("22:00"), ..early.clone() };
        let reversed = Case { now: at("12:01:00"), ..Case::agreed() }
            .rule("start", winner)
            .there("start", "11:00", "12:01:00")
            .here("start", "10:00", "12:00:00");
        assert_eq!(early.decide(), late.decide());
        assert_eq!(early.decide(), reversed.decide());
        assert_eq!(early.both("start"), reversed.both("start"));
    }
}

#[test]
fn what_no_rule_decides_is_held_and_the_rest_goes_on() {
    let case = four().here("subject", "mine", "12:00");
    let held = case.only_held();
    assert_eq!((&held.why, held.dispute.unit.name()), (&Why::NoRule, "start"));
    let verdict = case.decide();
    assert_eq!(verdict.to_remote, Some(Write::Update(record(&[("subject", "mine")]))));
    let Next::Base { local, .. } = verdict.next else { unreachable!("a new base") };
    assert_eq!(local.get("start"), Some(&"09:00".into()), "what is held keeps its base");
    assert_eq!(local.get("subject"), Some(&"mine".into()));
}

#[test]
fn authority_goes_to_the_first_named_side_and_to_nobody_else() {
    let named = |order: &[&str]| four().ordered("start", Winner::Authority, order);
    assert_eq!(named(&["lotus_notes", "hms"]).both("start"), "11:00".into());
    assert_eq!(named(&["sap", "hms", "lotus"]).both("start"), "10:00".into());
    assert_eq!(named(&["sap"]).only_held().why, Why::NoAuthority);
    let mut sentence = four();
    sentence.policy.otherwise = Some(Rule { winner: Winner::Authority, order: vec!["lotus".to_owned()] });
    assert_eq!(sentence.both("start"), "11:00".into());
    // A rule of its own comes before the one for all.
    assert_eq!(sentence.rule("start", Winner::EarliestChange).both("start"), "10:00".into());
}

#[test]
fn two_inserts_of_one_key_are_decided_by_the_same_rules() {
    let mut case =
        four().rule("start", Winner::EarliestChange).here("end", "10:30", "12:00").there("end", "10:30", "12:01");
    case.base = None;
    case.local_times.insert("subject".into(), Span { first: at("12:00"), last: at("12:00") });
    assert_eq!(case.both("start"), "10:00".into());
    assert_eq!(case.decide().decided.len(), 1, "what is alike is agreed");
    // A field that only one of them fills in is no conflict.
    case.local.as_mut().unwrap().set("subject", Value::Null);
    assert_eq!(case.both("subject"), "visit".into());
    let Next::Base { local, remote } = case.decide().next else { unreachable!("a first base") };
    assert_eq!((local.get("start"), remote.get("start")), (Some(&"10:00".into()), Some(&"10:00".into())));
}

#[test]
fn a_record_that_is_created_again_begins_anew() {
    let mut case = Case::agreed();
    (case.base, case.local) = (None, None);
    assert_eq!(case.decide().to_local, case.remote.clone().map(Write::Insert));
    let mut case = Case::agreed();
    (case.base, case.remote) = (None, None);
    assert_eq!(case.decide().to_remote, case.local.clone().map(Write::Insert));
    assert!(case.decide().decided.is_empty());
}

#[test]
fn an_unchanged_record_is_deleted_where_the_other_side_deleted_it() {
    let mut case = Case::agreed();
    case.remote = None;
    assert_eq!(case.decide(), Verdict { to_local: Some(Write::Delete), next: Next::Gone, ..Verdict::default() });
    let mut case = Case::agreed();
    case.local = None;
    assert_eq!(case.decide(), Verdict { to_remote: Some(Write::Delete), next: Next::Gone, ..Verdict::default() });
}

fn person(case: &Case, take: Take) -> Case {
    let held = case.only_held();
    let (local, remote) = (held.dispute.local.seen, held.dispute.remote.seen);
    let unit = held.dispute.unit.name().into();
    Case { resolved: vec![Resolution { unit, take, local, remote }], ..case.clone() }
}

fn after(case: &Case) -> (Option<Record>, Option<Record>) {
    assert_eq!(case.only_decided().because, Because::Person);
    case.carried_out()
}

#[test]
fn what_a_person_decides_is_done_and_a_newer_change_opens_it_again() {
    let case = four();
    let start = |taken: (Option<Record>, Option<Record>)| {
        let shown = |image: Option<Record>| image.and_then(|image| image.get("start").cloned());
        (shown(taken.0), shown(taken.1))
    };
    let both = |value: &str| (Some(value.into()), Some(value.into()));
    assert_eq!(start(after(&person(&case, Take::Local))), both("10:00"));
    assert_eq!(start(after(&person(&case, Take::Remote))), both("11:00"));
    assert_eq!(start(after(&person(&case, Take::Values(record(&[("start", "12:00")]))))), both("12:00"));

    let resolved = person(&case, Take::Local);
    assert_eq!(resolved.clone().there("start", "11:15", "14:00").only_held().why, Why::NoRule);
    assert_eq!(resolved.clone().here("start", "10:45", "14:00").only_held().why, Why::NoRule);
    // Another field is another matter.
    assert_eq!(start(after(&resolved.there("subject", "x", "14:00"))), both("10:00"));
}

#[test]
fn values_for_a_part_of_a_group_are_no_decision() {
    let case =
        Case::agreed().group("slot", &["start", "end"]).here("start", "10:00", "12:00").there("end", "11:30", "12:30");
    let part = person(&case, Take::Values(record(&[("start", "10:15")])));
    assert_eq!(part.only_held().why, Why::NoRule);
    let whole = person(&case, Take::Values(record(&[("start", "10:15"), ("end", "10:45")])));
    let (local, remote) = after(&whole);
    assert_eq!(local, remote);
    assert_eq!(local.unwrap_or_default().get("end"), Some(&"10:45".into()));
}

#[test]
fn a_person_decides_whether_a_record_is_deleted() {
    let mut case = Case::agreed().there("start", "11:00", "12:01");
    case.local = None;
    assert_eq!(after(&person(&case, Take::Local)), (None, None));
    assert_eq!(after(&person(&case, Take::Remote)), (case.remote.clone(), case.remote.clone()));
    let (local, remote) = after(&person(&case, Take::Values(record(&[("subject", "kept")]))));
    assert_eq!(local, remote);
    let kept = local.unwrap_or_default();
    assert_eq!((kept.get("start"), kept.get("subject")), (Some(&"11:00".into()), Some(&"kept".into())));
}

#[test]
fn a_guard_holds_what_it_guards_and_nothing_else_until_a_person_decides() {
    let mut case =
        Case::agreed().group("slot", &["start", "end"]).there("start", "11:00", "12:00").there("subject", "x", "12:00");
    case.policy.guard = Some(Guard { sql: "SELECT 1".to_owned(), parameters: names(&["start", "end"]) });
    let free = case.decide();
    assert!(case.policy.guards(free.writes_here()));
    case.barred = true;
    let verdict = case.decide();
    assert_eq!(verdict.to_local, Some(Write::Update(record(&[("subject", "x")]))));
    assert_eq!(
        verdict.held.iter().map(|held| (held.dispute.unit.name(), held.why)).collect::<Vec<_>>(),
        [("slot", Why::Guard)]
    );
    assert!(!case.policy.guards(verdict.writes_here()));

    let seen = verdict.held.first().map(|held| (held.dispute.local.seen, held.dispute.remote.seen)).unwrap_or_default();
    let decided = |take| Case {
        resolved: vec![Resolution { unit: "slot".into(), take, local: seen.0, remote: seen.1 }],
        ..case.clone()
    };
    let start = |case: Case| case.carried_out().1.unwrap_or_default().get("start").cloned();
    assert_eq!(start(decided(Take::Local)), Some("09:00".into()));
    assert_eq!(start(decided(Take::Remote)), Some("11:00".into()));
    // The decision stands when the guard finds nothing any more.
    assert_eq!(start(Case { barred: false, ..decided(Take::Local) }), Some("09:00".into()));
}

#[test]
fn a_guard_holds_a_record_that_is_new() {
    let mut case = Case::agreed();
    (case.base, case.local) = (None, None);
    case.policy.guard = Some(Guard { sql: "SELECT 1".to_owned(), parameters: names(&["start"]) });
    assert!(case.policy.guards(case.decide().writes_here()));
    case.barred = true;
    let verdict = case.decide();
    assert_eq!((verdict.to_local, verdict.to_remote, verdict.next), (None, None, Next::Same));
    let Some(held) = verdict.held.first() else { unreachable!("it is held") };
    assert_eq!((held.why, held.dispute.unit.name()), (Why::Guard, "*"));
    let refused = Resolution {
        unit: "*".into(),
        take: Take::Local,
        local: held.dispute.local.seen,
        remote: held.dispute.remote.seen,
    };
    let refused = Case { resolved: vec![refused], barred: false, ..case };
    assert_eq!(refused.carried_out(), (None, None));
}

#[test]
fn each_side_is_compared_with_what_it_held_itself() {
    let (here, there) = (record(&[("subject", "Visit")]), record(&[("subject", "VISIT")]));
    let fields = names(&["subject"]);
    let side = |image| Side { image: Some(image), times: Times::Record(Some(at("12:00"))), trusted: true, names: &[] };
    let sides = Sides {
        base: Some(Base { local: &here, remote: &there }),
        local: side(&here),
        remote: side(&there),
        fields: &fields,
        now: at("13:00"),
        resolved: &[],
        barred: false,
        round: false,
    };
    assert!(decide(&Policy::none("t"), &sides).is_quiet(), "a system that stores in upper case is no editor");
    let changed = record(&[("subject", "Call")]);
    let verdict = decide(&Policy::none("t"), &Sides { local: side(&changed), ..sides });
    assert_eq!(verdict.to_remote, Some(Write::Update(changed)));
    assert!(verdict.held.is_empty());
}
