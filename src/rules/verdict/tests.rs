#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use super::*;

struct Answer(u16, BTreeMap<String, Vec<String>>);

impl Reading for Answer {
    fn status(&self) -> u16 {
        self.0
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.1.get(&format!("header:{name}")).and_then(|values| values.first()).map(String::as_str)
    }

    fn read(&self, what: &Extract) -> Option<Vec<String>> {
        match self.1.get("long") {
            Some(_) => None,
            None => Some(self.1.get(&what.to_string()).cloned().unwrap_or_default()),
        }
    }
}

fn answer(status: u16, places: &[(&str, &[&str])]) -> Answer {
    let values = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
    Answer(status, places.iter().map(|(place, found)| ((*place).to_owned(), values(found))).collect())
}

fn rule(statuses: &[&str], tests: &[(&str, Test)], is: Word) -> Rule {
    Rule {
        status: (!statuses.is_empty()).then(|| Statuses::parse(statuses.iter().copied()).unwrap()),
        tests: tests.iter().map(|(place, test)| (Extract::parse(place).unwrap(), test.clone())).collect(),
        is,
        after: Some(After::Header("Retry-After".to_owned())),
        code: Some(Extract::parse("json:/code").unwrap()),
        message: Some(Extract::parse("json:/text").unwrap()),
        note: None,
    }
}

fn word(rules: &[Rule], answer: &Answer) -> Option<Word> {
    judge(rules, answer, "K", Timestamp(0), &Visit).map(|verdict| verdict.word)
}

#[test]
fn the_first_rule_that_fits_decides() {
    let these = |texts: &[&str]| Test::OneOf(texts.iter().map(|text| (*text).to_owned()).collect());
    let rules = [
        rule(&["400"], &[("json:/error/code", these(&["SY/530"]))], Word::Duplicate),
        rule(
            &[],
            &[("hl7:MSA-1", these(&["AE"])), ("hl7:ERR-4", Test::All(vec!["W".into(), "I".into()]))],
            Word::Remarks,
        ),
        rule(&[], &[("hl7:MSA-1", these(&["AE"]))], Word::Reject),
        rule(&[], &[("hl7:MSA-2", Test::Not(Box::new(Test::Key))), ("hl7:MSA-1", Test::Exists(true))], Word::Unknown),
        rule(&["2xx"], &[], Word::Success),
        rule(&[">=500", "429"], &[], Word::Retry),
    ];
    assert_eq!(word(&rules, &answer(400, &[("json:/error/code", &["SY/530"])])), Some(Word::Duplicate));
    assert_eq!(word(&rules, &answer(400, &[])), None);
    assert_eq!(word(&rules, &answer(200, &[("hl7:MSA-1", &["AE"]), ("hl7:ERR-4", &["W", "I"])])), Some(Word::Remarks));
    assert_eq!(word(&rules, &answer(200, &[("hl7:MSA-1", &["AE"]), ("hl7:ERR-4", &["W", "E"])])), Some(Word::Reject));
    assert_eq!(word(&rules, &answer(200, &[("hl7:MSA-1", &["AE"])])), Some(Word::Reject));
    assert_eq!(word(&rules, &answer(200, &[("hl7:MSA-1", &["AA"]), ("hl7:MSA-2", &["X"])])), Some(Word::Unknown));
    assert_eq!(word(&rules, &answer(200, &[("hl7:MSA-1", &["AA"]), ("hl7:MSA-2", &["K"])])), Some(Word::Success));
    assert_eq!(word(&rules, &answer(503, &[])), Some(Word::Retry));
    assert_eq!(word(&rules, &answer(400, &[("long", &[])])), Some(Word::Unknown));
    assert_eq!(word(&rules[4..], &answer(204, &[("long", &[])])), Some(Word::Success));
}

/// A request of Ada's.
struct Visit;

impl Sent for Visit {
    fn hide(&self, text: &str) -> String {
        text.replace("Ada", "***")
    }

    fn holds(&self, code: &str) -> bool {
        code == "Ada"
    }
}

#[test]
fn a_targets_words_are_one_short_line_without_the_records_values() {
    let rules = [rule(&["422"], &[], Word::Reject)];
    let said = |code: &str, text: &str| {
        let answer = answer(422, &[("json:/code", &[code]), ("json:/text", &[text])]);
        judge(&rules, &answer, "K", Timestamp(0), &Visit).unwrap().outcome.reason().unwrap().to_string()
    };
    assert_eq!(said("E-17", "no Ada\n here"), "http-422: the target refuses this record, code E-17: no *** here");
    assert!(said("a b", "").contains("code (not shown)"));
    assert!(said("Ada", "").contains("code (not shown)"));
    assert!(said("E", &"x".repeat(9000)).len() < 300);
}

#[test]
fn a_rule_that_an_earlier_one_covers_is_known() {
    let all = rule(&["4xx"], &[], Word::Reject);
    assert!(all.covers(&rule(&["404", "410"], &[], Word::Success)));
    assert!(!all.covers(&rule(&["404", "500"], &[], Word::Success)));
    assert!(!all.covers(&rule(&[], &[], Word::Success)));
    assert!(rule(&[], &[], Word::Reject).covers(&all));
}

#[test]
fn places_and_statuses_are_checked() {
    for good in [
        "header:ETag",
        "json:/a/*/b",
        "xml://return",
        "xml:/E/B/@id",
        "xpath://*[local-name()='return']/a",
        "hl7:ERR-3.1",
    ] {
        assert!(Extract::parse(good).is_ok(), "{good}");
    }
    assert_eq!(Extract::parse("xpath://*[local-name()='return']").unwrap().to_string(), "xml://return");
    assert_eq!(Extract::parse("xml://s:Body").unwrap().to_string(), "xml://Body");
    for bad in
        ["etag", "json:a", "xml:return", "xml://a[1]", "hl7:MSA", "hl7:msa-1", "hl7:MSA-0", "foo:bar", "xml://@a"]
    {
        assert!(Extract::parse(bad).is_err(), "{bad}");
    }
    for bad in ["", "20", "9xx", "500-400", "abc"] {
        assert!(Statuses::parse([bad]).is_err(), "{bad}");
    }
}
