//! Arguments that stand in an expression as they are: they are tried out before any record comes, by the very filters that
//! will meet them, so that what is checked and what runs cannot differ.

use std::collections::BTreeMap;

use minijinja::{Environment, Error, ErrorKind, Value};

use super::environment::{FILTERS, MORE};
use super::scan::{group, token};
use crate::rules::convert;

/// What the filters and tests are tried out with.
const SAMPLE: &str = "_sample";

/// A filter or a test, and what stands in brackets behind it.
#[derive(Debug, PartialEq, Eq)]
struct Use<'e> {
    is_test: bool,
    name: &'e str,
    /// With the brackets; empty = there are none.
    arguments: &'e str,
}

/// What is wrong with the first filter or test whose arguments fit no value at all; none = nothing.
pub fn misused(environment: &Environment<'_>, expression: &str) -> Option<String> {
    // What stands in its arguments is more likely meant.
    let inner = |used: &Use<'_>, said: String| misused(environment, used.arguments).unwrap_or(said);
    uses(expression).iter().find_map(|used| judge(environment, used).map(|said| inner(used, said)))
}

fn judge(environment: &Environment<'_>, used: &Use<'_>) -> Option<String> {
    let Use { is_test, name, arguments } = used;
    let text =
        if *is_test { format!("{SAMPLE} is {name}{arguments}") } else { format!("{SAMPLE} | {name}{arguments}") };
    let compiled = environment.compile_expression(&text).ok()?;
    if compiled.undeclared_variables(false).iter().any(|variable| variable != SAMPLE) {
        // What a record says is known when there is one.
        return None;
    }
    let mut wrong: Option<Error> = None;
    for sample in samples() {
        match compiled.eval(Value::from(BTreeMap::from([(SAMPLE, sample)]))) {
            Ok(_) => return None,
            Err(error) if is_of_arguments(&error) => drop(wrong.get_or_insert(error)),
            // It wants another value.
            Err(_) => {}
        }
    }
    wrong.map(|error| said(used, &error))
}

fn is_of_arguments(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidOperation | ErrorKind::MissingArgument | ErrorKind::TooManyArguments)
}

/// Values of every kind; what takes none of these takes nothing.
fn samples() -> [Value; 8] {
    [
        Value::from("1"),
        Value::from(1),
        Value::from(2.5),
        Value::from(true),
        Value::from(()),
        Value::from(vec!["1"]),
        Value::from(BTreeMap::from([("a", "1")])),
        Value::from_bytes(b"1".to_vec()),
    ]
}

fn said(used: &Use<'_>, error: &Error) -> String {
    let Use { is_test, name, arguments } = used;
    let what = if *is_test { "test" } else { "filter" };
    let why = match (error.kind(), error.detail()) {
        (ErrorKind::MissingArgument, _) => "an argument is missing".to_owned(),
        (ErrorKind::TooManyArguments, _) => "it takes no such argument".to_owned(),
        (_, Some(detail)) => detail.to_owned(),
        (kind, None) => kind.to_string(),
    };
    let taken = usage(name).filter(|usage| !why.contains(usage.as_str())).map(|usage| format!("; it is {usage}"));
    let taken = taken.unwrap_or_default();
    // A converter names itself.
    if why.starts_with('`') {
        return format!("{why}{taken}");
    }
    format!("the {what} `{name}{arguments}` fits no value: {why}{taken}")
}

/// What is said of a filter where the documentation lists it.
fn usage(name: &str) -> Option<String> {
    let listed = FILTERS.iter().chain(&MORE).find(|(known, _)| *known == name);
    if let Some((known, what)) = listed {
        return Some(if what.contains(known) { (*what).to_owned() } else { format!("`{known}`: {what}") });
    }
    let word = convert::words().find(|(word, _)| word.split('(').next() == Some(name));
    word.map(|(word, what)| format!("`{word}`: {what}"))
}

/// Every filter, and every test with brackets.
fn uses(expression: &str) -> Vec<Use<'_>> {
    let mut found = Vec::new();
    let (mut at, mut before) = (0, ["", ""]);
    while let Some(rest) = expression.get(at..).filter(|rest| !rest.is_empty()) {
        let word = rest.get(..token(rest)).unwrap_or(rest);
        let behind = rest.get(word.len()..).unwrap_or_default();
        let is_name = word.starts_with(|char: char| char.is_alphabetic() || char == '_');
        let is_test = before[1] == "is" || before == ["is", "not"];
        if is_name && (before[1] == "|" || is_test) {
            let arguments = arguments(behind.trim_start());
            if !(is_test && (arguments.is_empty() || word == "not")) {
                found.push(Use { is_test, name: word, arguments });
            }
        }
        if !word.trim().is_empty() {
            before = [before[1], word];
        }
        at += word.len();
    }
    found
}

/// What stands in brackets at the beginning of a text, with them.
fn arguments(text: &str) -> &str {
    text.get(..group(text)).filter(|_| text.starts_with('(')).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::environment::{FULL, plain};
    use super::*;

    #[test]
    fn arguments_that_fit_no_value_are_found_before_there_is_one() {
        for (text, names) in [
            ("title | pad_left(999999999)", "pad_left"),
            ("title | pad_left", "pad_left(width, char)"),
            ("title | substr('a')", "substr"),
            ("title | scale('x')", "scale"),
            ("title | uuid5('nowhere')", "nowhere"),
            ("title | escape('html')", "html"),
            ("title | decimals(-1)", "decimals"),
            ("title | replace('a')", "an argument is missing"),
            ("title | upper('x')", "it takes no such argument"),
            ("title | convert(5)", "convert"),
            ("title | convert('minutes -> metres')", "metres"),
            ("title | lookup('x')", "lookup({'booked': 'B'})"),
            ("title | merge('x')", "merge"),
            ("a ~ (b | default('x' | lower(1)))", "`lower(1)`"),
            ("title is startingwith(1, 2)", "the test `startingwith(1, 2)`"),
        ] {
            let said = misused(&FULL, text).unwrap_or_default();
            assert!(said.contains(names), "{text}: {said}");
        }
    }

    #[test]
    fn arguments_that_fit_some_value_and_those_that_a_record_brings_are_left_alone() {
        for text in [
            "title | pad_left(9, 0)",
            "title | pad_left(width)",
            "title | lookup({'booked': 'B'})",
            "title | lookup({'booked': b}, 'U') | default(none)",
            "record | without('id') | with('x', id) | merge({'a': 1}) | compact",
            "record | elements('m') | raw",
            "title | convert('rfc3339 -> hl7', 'America/New_York')",
            "title | convert(form)",
            "amount | abs | round(2) | string",
            "items | join(', ') | split(', ') | first | length",
            "title | replace('(', ')') | sha256bytes | base32hex | lower",
            "title | uuid5('url') | upper | required",
            "'| upper(1)' ~ title",
            "x is not none and y is startingwith('(') and z is defined",
        ] {
            assert_eq!(misused(&FULL, text), None, "{text}");
        }
        assert_eq!(misused(&plain(), "x | default(0) | int > 2 and y|replace('a', 'b') == 'c'"), None);
        assert!(misused(&plain(), "y|replace('a') == 'c'").is_some());
    }
}
