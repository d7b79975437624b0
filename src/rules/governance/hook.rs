//! An outside hook of the gate: what it is asked, and what its answers mean.
//!
//! A hook is asked once about each payload, after the gate has cleared it. It can make the gate narrower, never wider:
//! what the gate refuses is not shown to it.

use crate::event::{Op, Record, Value};
use crate::rules::mapping::path::descend;
use crate::rules::outcome::Reason;

/// Class of the reason of an event that waits because its hook gave no answer that can be used.
pub const NO_ANSWER: &str = "hook";

/// Most bytes of a rule or a field's name in an answer.
const LONGEST: usize = 200;

/// Values up to this length (a sex, a flag, a day) may stand in a rule's words by chance.
const SHORT: usize = 2;

/// What a hook is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Question<'q> {
    /// Number of the question; an answer on a pipe repeats it.
    pub number: u64,
    /// The connector.
    pub connector: &'q str,
    /// Event id, with `-a`/`-b` for the two parts of a key change.
    pub id: &'q str,
    /// Event type.
    pub kind: &'q str,
    /// What happened to the record.
    pub op: Op,
    /// The mapped record, as the gate has cleared it.
    pub payload: &'q Record,
    /// Fields of the record that leave outside of the payload: in the URL, in `Idem-Key`.
    pub fields: &'q Record,
    /// Class of each source that the payload was made of; empty without classes.
    pub classes: &'q [(String, String)],
}

/// What a hook says of a payload.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It leaves as it is.
    Allow,
    /// This leaves in its place.
    Change(Record),
    /// The event is held; class `gate`.
    Refuse(Reason),
}

/// What an answer means; `number` is that of the question where the answer has to repeat it.
///
/// # Errors
/// It is no answer: class [`NO_ANSWER`], without a word of what stands in it.
pub fn verdict(mut answer: Record, asked: &Question<'_>, number: Option<u64>) -> Result<Verdict, Reason> {
    let none = |text: &'static str| Err(Reason::new(NO_ANSWER, text));
    if let Some(number) = number {
        let repeated = matches!(answer.get("number"), Some(Value::Integer(n)) if u64::try_from(*n) == Ok(number));
        if !repeated {
            return none("the answer does not repeat the `number` that it was asked under");
        }
    }
    match answer.get("verdict").and_then(Value::as_text).as_deref() {
        Some("allow") if answer.get("payload").is_some() => {
            none("the answer is `allow` and has a `payload`: to send another one it must say `change`")
        }
        Some("allow") => Ok(Verdict::Allow),
        Some("change") => match answer.remove("payload") {
            Some(Value::Map(payload)) => Ok(Verdict::Change(payload)),
            _ => none("the answer is `change` without a `payload` that is an object"),
        },
        Some("refuse") => Ok(Verdict::Refuse(refusal(&answer, asked))),
        _ => none("the answer has no `verdict` of allow, change, refuse"),
    }
}

/// Why a hook refuses: its rule and the field. The reason is shown and logged, so a field counts only when it is one of
/// the payload, and a rule only when no value of the payload stands in it.
fn refusal(answer: &Record, asked: &Question<'_>) -> Reason {
    let word = |key: &str| {
        let text = answer.get(key).and_then(Value::as_text)?;
        let fits = !text.is_empty() && text.len() <= LONGEST && !text.chars().any(|c| c.is_control() || c == '`');
        fits.then(|| text.into_owned())
    };
    let of_payload = |field: &String| {
        [asked.payload, asked.fields].into_iter().any(|record| descend(record, field).is_some())
            || asked.classes.iter().any(|(name, _)| name == field)
    };
    let tells = |rule: &String| [asked.payload, asked.fields].into_iter().any(|record| stands_in(record, rule));
    let rule = word("rule").filter(|rule| !tells(rule)).unwrap_or_else(|| "hook".to_owned());
    let field = word("field").filter(of_payload);
    let field = field.map_or_else(|| "the payload".to_owned(), |field| format!("field `{field}`"));
    let kind = asked.kind;
    Reason::new("gate", format!("rule `{rule}` of the hook: {field} of `{kind}` may not leave by this connector"))
}

/// Whether a value of a record, longer than [`SHORT`], stands in a text.
fn stands_in(record: &Record, text: &str) -> bool {
    fn inside(value: &Value, text: &str) -> bool {
        match value {
            Value::Map(fields) => stands_in(fields, text),
            Value::List(items) => items.iter().any(|item| inside(item, text)),
            value => value.as_text().is_some_and(|value| value.len() > SHORT && text.contains(&*value)),
        }
    }
    record.iter().any(|(_, value)| inside(value, text))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn answer(fields: &[(&str, Value)]) -> Record {
        fields.iter().map(|(name, value)| (*name, value.clone())).collect()
    }

    fn judged(said: Record, number: Option<u64>) -> Result<Verdict, Reason> {
        let inner = answer(&[("ssn", "123-45-6789".into())]);
        let payload = answer(&[("city", "Ames".into()), ("who", Value::Map(inner)), ("n", 7.into())]);
        let (fields, classes) = (answer(&[("mrn", 4711.into())]), [("name".to_owned(), "phi".to_owned())]);
        let asked = Question {
            number: 7,
            connector: "vista",
            id: "1",
            kind: "patients",
            op: Op::Insert,
            payload: &payload,
            fields: &fields,
            classes: &classes,
        };
        verdict(said, &asked, number)
    }

    fn refused(rule: &str, field: &str) -> String {
        let said = answer(&[("verdict", "refuse".into()), ("rule", rule.into()), ("field", field.into())]);
        let Ok(Verdict::Refuse(reason)) = judged(said, None) else { unreachable!() };
        reason.to_string()
    }

    #[test]
    fn the_three_verdicts_are_read() {
        assert_eq!(judged(answer(&[("verdict", "allow".into())]), None), Ok(Verdict::Allow));
        let payload = answer(&[("city", "Boone".into())]);
        let change = answer(&[("verdict", "change".into()), ("payload", Value::Map(payload.clone()))]);
        assert_eq!(judged(change, None), Ok(Verdict::Change(payload)));
        let said = refused("no-minors, 7 of 9", "who.ssn");
        let whole =
            "gate: rule `no-minors, 7 of 9` of the hook: field `who.ssn` of `patients` may not leave by this connector";
        assert_eq!(said, whole);
        assert!(refused("r", "mrn").contains("field `mrn`") && refused("r", "name").contains("field `name`"));
        let Ok(Verdict::Refuse(bare)) = judged(answer(&[("verdict", "refuse".into())]), None) else { unreachable!() };
        assert_eq!(bare.text, "rule `hook` of the hook: the payload of `patients` may not leave by this connector");
    }

    #[test]
    fn a_refusal_carries_no_value_into_a_log() {
        for (rule, field) in [("ssn 123-45-6789", "city"), ("r", "123-45-6789"), ("for 4711", "n"), ("a\nb", "Ames")] {
            let said = refused(rule, field);
            let values = ["123-45-6789", "4711", "Ames", "\n"];
            assert!(values.iter().all(|value| !said.contains(value)), "{said}");
        }
        assert!(refused(&"x".repeat(999), "city").contains("rule `hook`"));
    }

    #[test]
    fn what_is_no_answer_lets_nothing_leave_and_is_not_repeated_in_words() {
        let object = Value::Map(Record::default());
        let bad = [
            answer(&[]),
            answer(&[("verdict", "s3cret".into())]),
            answer(&[("verdict", Value::Bool(true))]),
            answer(&[("verdict", "change".into())]),
            answer(&[("verdict", "change".into()), ("payload", "s3cret".into())]),
            answer(&[("verdict", "allow".into()), ("payload", object)]),
        ];
        for bad in bad {
            let reason = judged(bad.clone(), None).unwrap_err();
            assert!(reason.class == NO_ANSWER && !reason.text.contains("s3cret"), "{bad:?}: {reason}");
        }
    }

    #[test]
    fn an_answer_on_a_pipe_is_that_of_its_question() {
        let allow = |number: Value| answer(&[("verdict", "allow".into()), ("number", number)]);
        assert_eq!(judged(allow(7.into()), Some(7)), Ok(Verdict::Allow));
        for other in [allow(6.into()), allow("7".into()), answer(&[("verdict", "allow".into())])] {
            assert!(judged(other, Some(7)).is_err());
        }
    }
}
