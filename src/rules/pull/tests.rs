#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;

use std::time::Duration;

use super::clock::{Belief, Offsets, Trust};
use super::course::{Course, EMPTY, Going, MOST_EMPTY, Shown, Step};
use super::cursor::{Cursor, From, Kind, Moved, time};
use super::item::{Pick, Shape, at};
use super::link::{Elsewhere, follow, linked};
use super::{Feed, Items, Next, Pull, Until, may_go};
use crate::clock::Timestamp;
use crate::event::{Record, Value};
use crate::rules::expression::Text;
use crate::rules::operation::{Body, Call};
use crate::rules::verdict::Extract;

const MINUTES: Kind = Kind::Timestamp(Pull::OVERLAP);

fn pull(next: Next, feeds: usize) -> Pull {
    let feed = || Feed {
        request: Call {
            method: "GET".into(),
            url: Text::parse("").unwrap(),
            on_base: true,
            headers: Vec::new(),
            body: Body::Empty,
        },
        query: Vec::new(),
        items: Items { place: Extract::Json(String::new()), optional: false },
        next: next.clone(),
        item: Shape::default(),
        tombstones: None,
        deletions: false,
    };
    let cursor = Cursor { kind: MINUTES, from: From::Updated, sorted: true, is_url: false };
    Pull {
        feeds: (0..feeds).map(|_| feed()).collect(),
        cursor: Some(cursor),
        tells_deletions: true,
        expired: Vec::new(),
        rules: Vec::new(),
        one: None,
        wait: None,
    }
}

fn on(going: Going) -> Course {
    match going {
        Going::On(course) => *course,
        other => panic!("{other:?}"),
    }
}

/// A page with these items; its mark is theirs.
fn shown(items: &[u64]) -> Shown {
    let mark = items.iter().fold(7_u64, |mark, item| mark.rotate_left(5) ^ item);
    Shown {
        items: items.len() as u64,
        sum: items.iter().fold(0, |sum, item| sum.wrapping_add(*item)),
        mark,
        ..Shown::default()
    }
}

#[test]
fn a_cursor_is_asked_for_with_its_overlap_and_stored_without() {
    assert_eq!(MINUTES.asked("2026-03-05T18:05:00Z"), "2026-03-05T17:55:00.000Z");
    assert_eq!(Kind::Sequence(10).asked("42"), "32");
    assert_eq!(Kind::Sequence(10).asked("4"), "0");
    assert_eq!(Kind::Opaque.asked("x=1"), "x=1");
    let moved = MINUTES.advance(Some("2026-03-05T18:05:00Z"), "2026-03-05T19:05:00.5+01:00", None);
    assert_eq!(moved, Moved::To("2026-03-05T18:05:00.500Z".into()));
}

#[test]
fn a_time_beyond_the_clock_of_the_source_does_not_count() {
    let ceiling = time("2026-03-05T18:05:00Z");
    assert_eq!(MINUTES.advance(None, "2027-03-05T18:05:00Z", ceiling), Moved::To("2026-03-05T18:05:00.000Z".into()));
}

#[test]
fn what_is_no_cursor_is_told() {
    for (kind, odd) in [(MINUTES, "yesterday"), (Kind::Sequence(0), "x"), (Kind::Opaque, " "), (MINUTES, "")] {
        assert_eq!(kind.advance(None, odd, None), Moved::Odd, "{odd}");
    }
    assert!(!MINUTES.fits("4711") && !Kind::Sequence(0).fits("2026-03-05T18:05:00Z") && !Kind::Opaque.fits(""));
}

proptest! {
    #[test]
    fn no_cursor_goes_back_whatever_comes(seen in prop::collection::vec(-4_000_000_000_000_i64..4_000_000_000_000, 1..30), ceiling in prop::option::of(0_i64..4_000_000_000_000)) {
        let mut now: Option<String> = None;
        let mut highest = i64::MIN;
        for ms in seen {
            if let Moved::To(to) = MINUTES.advance(now.as_deref(), &Timestamp(ms).to_string(), ceiling.map(Timestamp)) {
                let stands = time(&to).unwrap().0;
                prop_assert!(stands > highest || now.is_none());
                prop_assert!(ceiling.is_none_or(|ceiling| stands <= ceiling));
                highest = stands;
                now = Some(to);
            }
        }
    }

    #[test]
    fn a_sequence_never_goes_back_either(seen in prop::collection::vec(any::<u64>(), 1..30)) {
        let mut now: Option<String> = None;
        for number in &seen {
            if let Moved::To(to) = Kind::Sequence(3).advance(now.as_deref(), &number.to_string(), None) {
                now = Some(to);
            }
        }
        prop_assert_eq!(now, seen.iter().max().map(u64::to_string));
    }

    #[test]
    fn a_course_reads_back_as_it_was_written(items in prop::collection::vec(any::<u64>(), 0..9), next in "[ -~]{0,20}") {
        let shown = Shown { next: Some(next), ..shown(&items) };
        let course = on(Course::default().proceed(&pull(Next::Token(select()), 1), &shown));
        prop_assert_eq!(Course::parse(&course.text()), Some(course));
    }

    #[test]
    fn numbered_pages_of_what_stands_still_are_read_twice_and_then_done(count in 0_usize..40, size in 1_usize..7) {
        let all: Vec<u64> = (1..=count as u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
        let definition = pull(Next::Offset(Until::default()), 1);
        let (mut course, mut asked) = (Course::default(), 0);
        loop {
            let mut roots = Record::new();
            course.roots(&definition.feeds[0].next, &mut roots);
            let Some(Value::Integer(offset)) = roots.get("offset") else { panic!("an offset") };
            let page: Vec<u64> = all.iter().skip(usize::try_from(*offset).unwrap()).take(size).copied().collect();
            asked += 1;
            match course.proceed(&definition, &shown(&page)) {
                Going::On(next) => course = *next,
                Going::End => break,
                Going::Stop(reason, _) => panic!("{reason}"),
            }
        }
        let pass = count.div_ceil(size) + 1;
        prop_assert_eq!(asked, if count == 0 { 1 } else { 2 * pass });
    }

    #[test]
    fn any_answer_of_a_link_is_parsed_or_passed_over(field in "[ -~]{0,60}") {
        linked([field.as_str()], "next");
    }

    #[test]
    fn no_address_leads_to_another_origin(target in "[ -~]{0,40}") {
        if let Ok(url) = follow("https://a.example/x/y?z", &target, &[]) {
            prop_assert!(url == "https://a.example" || url.starts_with("https://a.example/") || url.starts_with("https://a.example?"), "{}", url);
        }
    }
}

fn select() -> super::Select {
    super::Select { from: Extract::Json("/next".into()), choice: None }
}

#[test]
fn some_empty_pages_are_passed_over_and_endless_ones_end_with_a_reason() {
    let pull = pull(Next::Token(select()), 1);
    let empty = |n: u32| Shown { mark: n.into(), next: Some(format!("t{n}")), ..Shown::default() };
    let mut course = Course::at(0);
    for n in 1..MOST_EMPTY {
        course = on(course.proceed(&pull, &empty(n)));
    }
    let full = Shown { next: Some("full".to_owned()), ..shown(&[1]) };
    let mut course = on(course.proceed(&pull, &full));
    for n in 1001..1000 + MOST_EMPTY {
        course = on(course.proceed(&pull, &empty(n)));
    }
    let Going::Stop(reason, person) = course.proceed(&pull, &empty(5000)) else { panic!("it goes on") };
    assert_eq!((&*reason.class, person), (EMPTY, false));
}

#[test]
fn a_small_share_of_what_is_known_may_go_unasked_and_one_record_but_never_all_of_several() {
    for (missing, known, share, goes) in [
        (0, 0, 5.0, true),
        (1, 1, 5.0, true),
        (1, 2, 5.0, true),
        (2, 2, 5.0, false),
        (2, 2, 100.0, false),
        (2, 39, 5.0, false),
        (2, 40, 5.0, true),
        (99, 99, 1.0, false),
        (50, 1000, 5.0, true),
        (51, 1000, 5.0, false),
        (999, 1000, 100.0, true),
        (1, 1000, 0.0, false),
    ] {
        assert_eq!(may_go(missing, known, share), goes, "{missing} of {known}, {share} %");
    }
}

#[test]
fn pages_that_never_agree_end_with_a_reason_and_not_for_ever() {
    let definition = pull(Next::Page(Until::default()), 1);
    let mut course = Course::default();
    for round in 1.. {
        let page = if round % 2 == 1 { shown(&[round]) } else { shown(&[]) };
        match course.proceed(&definition, &page) {
            Going::On(next) => course = *next,
            Going::Stop(reason, person) => {
                assert!(!person && reason.class == "pages-change", "{reason}");
                assert_eq!(round, 20);
                return;
            }
            Going::End => panic!("it did not agree"),
        }
    }
}

#[test]
fn one_page_of_which_the_source_says_that_it_is_all_is_believed() {
    let until = Until { more: Some(Extract::Json("/more".into())) };
    let page = Shown { more: Some(false), ..shown(&[1, 2]) };
    assert_eq!(Course::default().proceed(&pull(Next::Offset(until), 1), &page), Going::End);
}

#[test]
fn the_feeds_of_a_run_follow_one_another() {
    let definition = pull(Next::One, 2);
    let course = on(Course::default().proceed(&definition, &shown(&[1])));
    assert_eq!((course.feed, &course.step), (1, &Step::First));
    assert!(!course.is_first() && course.moves(&definition));
    assert_eq!(course.proceed(&definition, &shown(&[1])), Going::End);
}

#[test]
fn what_was_deleted_moves_the_cursor_only_at_the_end_of_the_run() {
    let definition = pull(Next::Link, 2);
    let cursor = definition.cursor.as_ref().unwrap();
    let mut course = Course::default();
    course.hold(cursor, "2026-03-05T18:00:00Z");
    let mut course = on(course.proceed(&definition, &shown(&[])));
    course.see(cursor, Some("2026-03-05T16:00:00Z"), "2026-03-05T17:00:00Z").unwrap();
    assert!(course.moves(&definition));
    assert_eq!(course.top.as_deref(), Some("2026-03-05T17:00:00.000Z"));
    assert_eq!(course.end(cursor, Some("2026-03-05T16:00:00Z")).as_deref(), Some("2026-03-05T18:00:00.000Z"));
    assert_eq!(Course::default().end(cursor, Some("2026-03-05T16:00:00Z")), None);
}

#[test]
fn a_link_is_found_by_its_relation() {
    let field = "<https://a/?p=1>; rel=\"prev\"; title=\"a, \\\"b\", </next?x=1,2>; foo; REL=\"last Next\"; rel=x";
    assert_eq!(linked([field], "next").as_deref(), Some("/next?x=1,2"));
    assert_eq!(linked(["<a>; rel=last", "<b>; rel=next"], "next").as_deref(), Some("b"));
    assert_eq!(linked(["<a>; rel=prev; rel=next", "", "<", "<a", "a; rel=next"], "next"), None);
}

#[test]
fn an_address_is_followed_on_its_own_origin_only() {
    let from = "https://a.example/api/items?page=1#x";
    for (target, url) in [
        ("https://A.example:443/next", "https://a.example/next"),
        ("/next?x=1#y", "https://a.example/next?x=1"),
        ("?page=2", "https://a.example/api/items?page=2"),
        ("items2", "https://a.example/api/items2"),
    ] {
        assert_eq!(follow(from, target, &[]).as_deref(), Ok(url), "{target}");
    }
    for target in
        ["http://a.example/x", "https://a.example:444/x", "https://a.example.evil/x", "https://a.example@evil/x"]
    {
        assert!(matches!(follow(from, target, &[]), Err(Elsewhere::Origin(_))), "{target}");
    }
    for target in ["//evil/x", "javascript:x", "file:/x", "", "a b", "https:\\\\evil"] {
        assert_eq!(follow(from, target, &[]), Err(Elsewhere::Odd), "{target}");
    }
    // The token endpoint said that calls go there.
    let led = follow("https://login.example/x", "https://eu1.example/next", &["https://eu1.example"]);
    assert_eq!(led.as_deref(), Ok("https://login.example/next"));
}

#[test]
fn the_clock_is_the_median_of_the_last_five() {
    let mut offsets = Offsets::default();
    assert_eq!((offsets.median(), offsets.told()), (None, None));
    for ahead in [1_000, 9_000, 2_000] {
        assert_eq!(offsets.add(ahead), None);
    }
    assert_eq!((offsets.median(), offsets.told()), (Some(2_000), None));
    offsets = Offsets::new(&[-120_000, -120_000]);
    assert_eq!((offsets.median(), offsets.told()), (Some(-120_000), None));
    assert_eq!(Offsets::new(&[1, 2, 3, 4, 5, 6]).kept(), [2, 3, 4, 5, 6]);
}

#[test]
fn a_clock_that_was_set_is_measured_anew_and_what_was_told_before_decides_nothing() {
    let mut offsets = Offsets::new(&[1_000, 2_000, 1_500]);
    assert_eq!(offsets.add(3_601_500), Some(Duration::from_secs(3600)));
    assert_eq!((offsets.kept(), offsets.told()), (&[3_601_500][..], Some(3_601_500)));
    let now = Timestamp(10_000_000);
    let doubted = Some(Belief::doubt(now, Duration::from_secs(3600)));
    let belief = Belief { trust: Trust::Measured, ahead_ms: offsets.median(), doubted, ours: true };
    // Set forward: what was told just before looks an hour older. Set back: an hour younger.
    for at in [now.0 - 3_600_000, now.0, now.0 + 3_600_000] {
        assert!(!belief.trusts(Some(Timestamp(at)), None) && !belief.trusts(None, Some(Timestamp(at))));
    }
    let later = Some(Timestamp(now.0 + 3_600_001));
    assert!(belief.trusts(later, later));
    assert!(Belief { trust: Trust::Same, ..belief }.trusts(Some(now), Some(now)));
}

#[test]
fn a_clock_that_was_never_measured_or_runs_free_decides_nothing() {
    let measured = Belief { trust: Trust::Measured, ahead_ms: Some(60_000), doubted: None, ours: true };
    let at = Some(Timestamp(0));
    assert!(measured.trusts(at, at) && measured.by_ours(Timestamp(60_000)) == Timestamp(0));
    assert!(!Belief { ahead_ms: None, ..measured }.trusts(at, at));
    assert!(!Belief { trust: Trust::Free, ..measured }.trusts(at, at));
    let same = Belief { trust: Trust::Same, ahead_ms: None, ..measured };
    assert!(same.trusts(at, at) && same.by_ours(Timestamp(60_000)) == Timestamp(60_000));
}

#[test]
fn a_place_in_an_item_is_found_through_lists_and_by_what_stands_beside_it() {
    let map = |fields: Vec<(&str, Value)>| Value::Map(fields.into_iter().collect());
    let entry = |system: &str, value: &str| map(vec![("system", system.into()), ("value", value.into())]);
    let list = Value::List(vec![map(vec![("system", "a".into())]), entry("a", "x"), entry("b", "y")]);
    let item = map(vec![
        ("a/b", Value::List(vec![Value::Integer(1), Value::Integer(2)])),
        ("list", list),
        ("nothing", Value::Null),
    ]);
    assert_eq!(at(&item, "/a~1b/1"), Some(&Value::Integer(2)));
    assert_eq!(at(&item, "/list/value"), Some(&Value::from("x")));
    assert_eq!((at(&item, "/none"), at(&item, "/nothing/x"), at(&item, "")), (None, None, Some(&item)));
    let pick = Pick {
        at: Text::parse("/list").unwrap(),
        choice: Some(("/system".into(), Text::parse("{vars.system}").unwrap(), "/value".into())),
        then: None,
    };
    let vars: Record = [("system", Value::from("b"))].into_iter().collect();
    let roots = [("vars", Value::Map(vars))].into_iter().collect();
    assert_eq!(pick.of(&item, &roots).unwrap(), Some(Value::from("y")));
}
