//! `*` is for numbers. minijinja repeats a text as often as the number beside it says, so that a column of digits that is
//! stored as text would become another number; here that is an error, where and when it is evaluated.

use super::scan::{group, token};

/// The filter that both sides of a `*` go through. Nobody writes it: it is not among the known ones.
pub const TIMES: &str = "_times";

/// The expression with [`TIMES`] behind both sides of every `*`.
pub fn guarded(expression: &str) -> String {
    let mut out = String::with_capacity(expression.len() + 32);
    // Where the right sides of `*` end.
    let mut ends: Vec<usize> = Vec::new();
    let mut at = 0;
    while let Some(rest) = expression.get(at..).filter(|rest| !rest.is_empty()) {
        let length = token(rest);
        let is_times = rest.starts_with('*')
            && !rest.starts_with("**")
            && !expression.get(..at).unwrap_or_default().ends_with('*');
        close(&mut out, &mut ends, at);
        if is_times {
            let blank = out.len() - out.trim_end().len();
            out.truncate(out.len() - blank);
            out.push_str(&format!("|{TIMES} "));
            ends.push(at + 1 + operand(expression.get(at + 1..).unwrap_or_default()));
        }
        out.push_str(rest.get(..length).unwrap_or(rest));
        at += length;
    }
    close(&mut out, &mut ends, at);
    out
}

fn close(out: &mut String, ends: &mut Vec<usize>, at: usize) {
    while ends.last().is_some_and(|end| *end <= at) {
        ends.pop();
        out.push_str(&format!("|{TIMES} "));
    }
}

/// The length of an operand at the beginning of a text: a value with its paths and filters.
fn operand(text: &str) -> usize {
    let blank = |at: usize| {
        let rest = text.get(at..).unwrap_or_default();
        at + rest.len() - rest.trim_start().len()
    };
    let mut at = blank(0);
    while text.get(at..).is_some_and(|rest| rest.starts_with('-')) {
        at = blank(at + 1);
    }
    at += group(text.get(at..).unwrap_or_default());
    loop {
        let next = blank(at);
        let rest = text.get(next..).unwrap_or_default();
        at = match rest.chars().next() {
            Some('.') => next + 1 + token(rest.get(1..).unwrap_or_default()),
            Some('[' | '(') => next + group(rest),
            Some('|') => {
                let name = blank(next + 1);
                name + token(text.get(name..).unwrap_or_default())
            }
            _ => return at,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_of_a_star_are_looked_at_and_nothing_else() {
        let said = |text: &str| guarded(text).replace("_times", "n").split_whitespace().collect::<Vec<_>>().join(" ");
        for (text, expected) in [
            ("minutes * 60", "minutes|n * 60|n"),
            ("a*b*c", "a|n *b|n|n *c|n"),
            ("(a + b) * c.d[0] | int + 1", "(a + b)|n * c.d[0] | int|n + 1"),
            ("2 * -x | round(2) ~ '*'", "2|n * -x | round(2)|n ~ '*'"),
            ("2 ** 3", "2 ** 3"),
            ("a * (b * c)", "a|n * (b|n * c|n )|n"),
            ("x if y else 'a * b'", "x if y else 'a * b'"),
        ] {
            assert_eq!(said(text), expected, "{text}");
        }
    }
}
