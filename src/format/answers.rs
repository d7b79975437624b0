//! What a program says of the records that it was given: a line of JSON for each, with the `id` that the record came with.

use std::collections::HashMap;

use serde_json::Value;

/// Longest answer to one record, in bytes.
pub const LONGEST: usize = 64 * 1024;

/// What was said of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said<'o> {
    /// This line.
    Line(&'o [u8]),
    /// Nothing.
    Nothing,
    /// Two things that are not the same.
    Twice,
}

/// An output, read.
#[derive(Debug, PartialEq, Eq)]
pub struct Answers<'o> {
    /// What was said of each record, in their order.
    pub said: Vec<Said<'o>>,
    /// Lines that are no answer to any of them.
    pub strange: usize,
}

/// Reads an output. What stands behind its last line feed is a line only when it is a whole answer.
pub fn read<'o>(output: &'o [u8], ids: &[&str]) -> Answers<'o> {
    let places: HashMap<&str, usize> = ids.iter().enumerate().map(|(at, id)| (*id, at)).collect();
    let mut answers = Answers { said: vec![Said::Nothing; ids.len()], strange: 0 };
    let lines = output.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    for line in lines {
        let known = id(line).and_then(|id| places.get(id.as_str()).copied());
        match known.and_then(|at| answers.said.get_mut(at)) {
            None => answers.strange += 1,
            Some(said @ Said::Nothing) => *said = Said::Line(line),
            Some(Said::Line(before)) if *before == line => {}
            Some(said) => *said = Said::Twice,
        }
    }
    answers
}

/// The `id` of a line; none = it is no answer.
fn id(line: &[u8]) -> Option<String> {
    if line.len() > LONGEST {
        return None;
    }
    match serde_json::from_slice(line).ok()? {
        Value::Object(mut fields) => match fields.remove("id")? {
            Value::String(id) => Some(id),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_find_their_records_in_any_order() {
        let output = b"{\"id\":\"b\",\"outcome\":\"success\"}\r\n\n  {\"outcome\":\"retry\",\"id\":\"a\"}";
        let answers = read(output, &["a", "b", "c"]);
        let expected = [
            Said::Line(b"{\"outcome\":\"retry\",\"id\":\"a\"}"),
            Said::Line(b"{\"id\":\"b\",\"outcome\":\"success\"}"),
            Said::Nothing,
        ];
        assert_eq!((answers.said.as_slice(), answers.strange), (expected.as_slice(), 0));
    }

    #[test]
    fn what_is_no_answer_is_counted_and_changes_nothing() {
        let long = format!("{{\"id\":\"a\",\"x\":\"{}\"}}", "y".repeat(LONGEST));
        let lines = ["hello", "[1]", "{\"id\":7}", "{\"id\":\"z\"}", "{}", "{\"id\":\"a\"", "\u{1b}[2J", &long];
        let output = lines.join("\n");
        let answers = read(output.as_bytes(), &["a"]);
        assert_eq!((answers.said.as_slice(), answers.strange), ([Said::Nothing].as_slice(), lines.len()));
        assert_eq!(read(b"\xff\xfe\n", &["a"]).strange, 1);
        assert_eq!(read(b"", &["a"]).said, [Said::Nothing]);
    }

    #[test]
    fn two_answers_to_one_record_are_none_unless_they_are_the_same() {
        let (one, two) = ("{\"id\":\"a\",\"n\":1}", "{\"id\":\"a\",\"n\":2}");
        assert_eq!(read(format!("{one}\n{one}\n").as_bytes(), &["a"]).said, [Said::Line(one.as_bytes())]);
        assert_eq!(read(format!("{one}\n{two}\n{one}\n").as_bytes(), &["a"]).said, [Said::Twice]);
    }
}
