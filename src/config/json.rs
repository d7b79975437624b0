//! JSON with comments and trailing commas, made plain JSON of the same length.

/// Blanks `//` and `/* */` comments, trailing commas and tabs between values with spaces, so that every character
/// that is left keeps its line and column. Texts are left alone; what is wrong otherwise stays wrong.
pub(crate) fn blank(text: &str) -> String {
    let mut out: Vec<char> = Vec::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    // Where the last comma stands, as long as only blanks came after it.
    let mut comma = None;
    while let Some(c) = rest.next() {
        match (c, rest.peek()) {
            ('/', Some('/')) => {
                out.push(' ');
                while let Some(c) = rest.next_if(|c| *c != '\n') {
                    out.push(if c == '\r' { c } else { ' ' });
                }
            }
            ('/', Some('*')) => {
                let open = out.len();
                out.push(c);
                out.extend(rest.next());
                let mut star = false;
                for c in rest.by_ref() {
                    out.push(c);
                    if star && c == '/' {
                        // A comment without an end stays, and JSON says where it begins.
                        let comment = out.iter_mut().skip(open).filter(|c| **c != '\n' && **c != '\r');
                        comment.for_each(|c| *c = ' ');
                        break;
                    }
                    star = c == '*';
                }
            }
            ('"', _) => {
                comma = None;
                out.push(c);
                let mut escaped = false;
                for c in rest.by_ref() {
                    out.push(c);
                    match c {
                        '"' if !escaped => break,
                        _ => escaped = c == '\\' && !escaped,
                    }
                }
            }
            (',', _) => {
                comma = Some(out.len());
                out.push(c);
            }
            ('}' | ']', _) => {
                if let Some(slot) = comma.take().and_then(|at: usize| out.get_mut(at)) {
                    *slot = ' ';
                }
                out.push(c);
            }
            // YAML, which reads it next, has its own opinion of tabs.
            ('\t', _) => out.push(' '),
            _ => {
                if !c.is_ascii_whitespace() {
                    comma = None;
                }
                out.push(c);
            }
        }
    }
    out.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_trailing_commas_become_spaces_and_offsets_stay() {
        let text = "{\"a\": 1, // \"x\", }\n \"b\": [1,2, /* , \n ] */ ],\t}";
        let plain = blank(text);
        assert_eq!(plain.split_whitespace().collect::<Vec<_>>().join(" "), "{\"a\": 1, \"b\": [1,2 ] }");
        assert_eq!(plain.chars().count(), text.chars().count());
        assert!(text.chars().zip(plain.chars()).all(|(was, is)| was == is || is == ' '));
    }

    #[test]
    fn texts_are_left_alone() {
        for text in [r#"{"a": "// no, ]", "b": "/* no */", "c": "\"//\\"}"#, r#"["tab	stays"]"#, r#""\\" "#] {
            assert_eq!(blank(text), text);
        }
    }

    #[test]
    fn a_comma_that_stands_alone_is_still_an_error() {
        assert!(serde_json::from_str::<serde_json::Value>(&blank("[,,1]")).is_err());
        assert!(serde_json::from_str::<serde_json::Value>(&blank("[1,,]")).is_err());
    }
}
