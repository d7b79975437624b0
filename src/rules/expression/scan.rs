//! The text of an expression, before anybody compiles it.

use minijinja::Error;

/// What went wrong and at which character (counted from 1).
pub fn explain(expression: &str, error: &Error, detail: Option<&str>) -> String {
    let what = match detail {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    match error.range().and_then(|range| expression.get(..range.start)) {
        Some(before) => format!("{what}, at character {}", before.chars().count() + 1),
        None => what,
    }
}

/// The names, operators and brackets of an expression; not its strings, numbers and commas, which do not nest.
pub fn words(expression: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = expression;
    while let Some(char) = rest.chars().next() {
        let is_word = |char: char| char.is_alphanumeric() || char == '_';
        let length = match char {
            '\'' | '"' => quoted(rest, char),
            char if is_word(char) => rest.find(|char| !is_word(char)).unwrap_or(rest.len()),
            char => char.len_utf8(),
        };
        let (word, after) = rest.split_at(length);
        if !char.is_whitespace() && !char.is_numeric() && !matches!(char, '\'' | '"' | ',') {
            words.push(word);
        }
        rest = after;
    }
    words
}

/// The word for a sign that other languages have and this one has not; empty when there is none.
pub fn foreign(words: &[&str]) -> &'static str {
    const SIGNS: [([&str; 2], &str); 2] =
        [(["&", "&"], "; write `and` for `&&`"), (["|", "|"], "; write `or` for `||`")];
    let has = |sign: &[&str; 2]| words.windows(2).any(|pair| pair == sign);
    match SIGNS.iter().find(|(sign, _)| has(sign)) {
        Some((_, hint)) => hint,
        // `!a`, not `a != b`.
        None if words.windows(2).any(|pair| matches!(pair, ["!", next] if *next != "=")) => "; write `not` for `!`",
        None => "",
    }
}

/// The first name that is called, other than a filter or test with arguments.
pub fn called<'w>(words: &[&'w str]) -> Option<&'w str> {
    const KEYWORDS: [&str; 7] = ["and", "or", "not", "in", "if", "else", "is"];
    words.windows(2).enumerate().find_map(|(at, pair)| {
        let &[name, "("] = pair else { return None };
        let before = |back: usize| at.checked_sub(back).and_then(|at| words.get(at)).copied().unwrap_or_default();
        let is_name = name.starts_with(|char: char| char.is_alphabetic() || char == '_') && !KEYWORDS.contains(&name);
        let is_test = before(1) == "is" || (before(1) == "not" && before(2) == "is");
        (is_name && !is_test && before(1) != "|").then_some(name)
    })
}

/// Whether a `*` stands beside a text or a list.
pub fn repeats(expression: &str) -> bool {
    let mut before = String::new();
    let mut rest = expression;
    while let Some(char) = rest.chars().next() {
        let length = if matches!(char, '\'' | '"') { quoted(rest, char) } else { char.len_utf8() };
        let (word, after) = rest.split_at(length);
        rest = after;
        if char.is_whitespace() {
            continue;
        }
        let is_many = |word: &str| word.starts_with(['\'', '"', ']', '[']);
        if (char == '*' && is_many(&before)) || (before == "*" && is_many(word)) {
            return true;
        }
        before = word.chars().take(1).collect();
    }
    false
}

/// The converters that `convert('A -> B', 'ZONE')` names, as far as they stand there as texts.
pub fn conversions(expression: &str) -> Vec<(String, Option<String>)> {
    let mut found = Vec::new();
    let mut rest = expression;
    // What was read last: `|`, `convert`, `(`.
    let mut before = ["", "", ""];
    while let Some(char) = rest.chars().next() {
        let is_word = |char: char| char.is_alphanumeric() || char == '_';
        let length = match char {
            '\'' | '"' => quoted(rest, char),
            char if is_word(char) => rest.find(|char| !is_word(char)).unwrap_or(rest.len()),
            char => char.len_utf8(),
        };
        let (word, after) = rest.split_at(length);
        rest = after;
        if char.is_whitespace() {
            continue;
        }
        if before == ["|", "convert", "("] && matches!(char, '\'' | '"') {
            let inner = |word: &str| word.get(1..word.len().saturating_sub(1)).unwrap_or_default().to_owned();
            let zone = after.trim_start().strip_prefix(',').map(str::trim_start).and_then(|rest| {
                let quote = rest.chars().next().filter(|char| matches!(char, '\'' | '"'))?;
                rest.get(..quoted(rest, quote)).map(inner)
            });
            found.push((inner(word), zone));
        }
        before = [before[1], before[2], word];
    }
    found
}

/// The length of a string literal with its quotes.
pub fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, char) in text.char_indices().skip(1) {
        match char {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            char if char == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of the next text, name, number or sign.
pub(super) fn token(rest: &str) -> usize {
    let is_word = |char: char| char.is_alphanumeric() || char == '_';
    match rest.chars().next() {
        Some(char @ ('\'' | '"')) => quoted(rest, char),
        Some(char) if is_word(char) => rest.find(|char| !is_word(char)).unwrap_or(rest.len()),
        Some(char) => char.len_utf8(),
        None => 0,
    }
}

/// The length of a token, or of what stands in brackets.
pub(super) fn group(rest: &str) -> usize {
    if !rest.starts_with(['(', '[', '{']) {
        return token(rest);
    }
    let (mut depth, mut at) = (0usize, 0);
    while let Some(left) = rest.get(at..).filter(|left| !left.is_empty()) {
        match left.chars().next() {
            Some('(' | '[' | '{') => depth += 1,
            Some(')' | ']' | '}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += token(left);
        if depth == 0 {
            break;
        }
    }
    at
}
