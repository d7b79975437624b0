//! What a hook of the gate is asked, and what it answers, as JSON.

use std::io::Write as _;

use super::json;
use crate::event::Value;
use crate::rules::governance::hook::{NO_ANSWER, Question, Verdict, verdict};
use crate::rules::outcome::Reason;

/// A question as one line of JSON, without a line end. Never fails: what JSON cannot hold is written as in events.
pub fn question(asked: &Question<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    let text = |text: &str| json::value(&Value::from(text));
    let whole = |record| json::value(&Value::Map(Clone::clone(record)));
    let classes = asked.classes.iter().map(|(name, class)| (name.as_str(), Value::from(class.as_str()))).collect();
    // Writing to a Vec cannot fail.
    let _ = write!(out, r#"{{"number":{},"connector":"#, asked.number);
    out.extend(text(asked.connector));
    for (name, value) in [
        ("id", text(asked.id)),
        ("type", text(asked.kind)),
        ("op", text(asked.op.as_str())),
        ("payload", whole(asked.payload)),
        ("fields", whole(asked.fields)),
        ("classes", whole(&classes)),
    ] {
        let _ = write!(out, r#","{name}":"#);
        out.extend(value);
    }
    out.push(b'}');
    out
}

/// What an answer means.
///
/// # Errors
/// It is none; class [`NO_ANSWER`].
pub fn answer(bytes: &[u8], asked: &Question<'_>, number: Option<u64>) -> Result<Verdict, Reason> {
    match json::decode(bytes) {
        Ok(Value::Map(fields)) => verdict(fields, asked, number),
        Ok(_) | Err(_) => Err(Reason::new(NO_ANSWER, "the answer is no JSON object")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::event::{Op, Record};

    #[test]
    fn a_question_is_one_line_that_says_everything_and_an_answer_is_read_back() {
        let payload: Record =
            [("city", Value::from("A\nB")), ("photo", Value::Blob(vec![0, 255]))].into_iter().collect();
        let fields: Record = [("mrn", Value::Integer(i64::MAX))].into_iter().collect();
        let classes = [("city".to_owned(), "internal".to_owned())];
        let asked = Question {
            number: 3,
            connector: "va\"ista",
            id: "6f-1-2-a",
            kind: "patients",
            op: Op::Update,
            payload: &payload,
            fields: &fields,
            classes: &classes,
        };
        let line = r#"{"number":3,"connector":"va\"ista","id":"6f-1-2-a","type":"patients","op":"update","payload":{"city":"A\nB","photo":{"$base64":"AP8="}},"fields":{"mrn":9223372036854775807},"classes":{"city":"internal"}}"#;
        assert_eq!(String::from_utf8(question(&asked)).unwrap(), line);
        assert_eq!(answer(br#"{"number":3,"verdict":"allow"}"#, &asked, Some(3)), Ok(Verdict::Allow));
        let big = answer(br#"{"verdict":"change","payload":{"n":9007199254740993}}"#, &asked, None);
        assert_eq!(big, Ok(Verdict::Change([("n", Value::Integer(9_007_199_254_740_993))].into_iter().collect())));
        for bad in ["", "yes", "[]", "null", "{\"verdict\":\"allow\"", "{\"verdict\":\"allow\"}x"] {
            assert_eq!(answer(bad.as_bytes(), &asked, None).unwrap_err().text, "the answer is no JSON object", "{bad}");
        }
    }
}
