//! Targets echo what they were sent in what they say of it: those words are taken out.

use crate::adapter::Request;

/// Shorter words say nothing of a record.
const SHORTEST: usize = 3;

/// A target's words without those that the request held as values.
pub fn hide(text: &str, request: &Request) -> String {
    let body = String::from_utf8_lossy(&request.body);
    let sent = format!("{}\r{body}\r{}", request.url, plain(&body)).to_lowercase();
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(char) = rest.chars().next() {
        let is_word = char.is_alphanumeric();
        let end = rest.find(|char: char| char.is_alphanumeric() != is_word).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let number = word.bytes().all(|byte| byte.is_ascii_digit()) && word.len() > 1;
        let echoed = is_word && (number || word.chars().count() >= SHORTEST) && is_value(&word.to_lowercase(), &sent);
        out.push_str(if echoed { "***" } else { word });
        rest = after;
    }
    out
}

/// A form as text; other texts have few percent signs and are hardly changed.
fn plain(body: &str) -> String {
    let bytes = body.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.filter(|_| *byte == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(decoded) => {
                out.push(decoded);
                at += 3;
            }
            None => {
                out.push(if *byte == b'+' { b' ' } else { *byte });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Whether a word stands in what was sent, other than as the name of a field or of a segment of HL7 v2.
fn is_value(word: &str, sent: &str) -> bool {
    let is_hl7 = sent.contains("msh|^~\\&");
    sent.match_indices(word).any(|(at, _)| {
        let (before, after) = (sent.get(..at).unwrap_or_default(), sent.get(at + word.len()..).unwrap_or_default());
        let within = before.ends_with(char::is_alphanumeric) || after.starts_with(char::is_alphanumeric);
        let key =
            before.ends_with('"') && after.strip_prefix('"').is_some_and(|rest| rest.trim_start().starts_with(':'));
        let tag = before.ends_with('<') || before.ends_with("</") || (before.ends_with(':') && after.starts_with('>'));
        let field = (before.ends_with('&') || before.ends_with('\r')) && after.starts_with('=');
        let line = before.ends_with('\r') || before.ends_with("&#xd;");
        let segment = is_hl7 && word.len() == 3 && line && after.starts_with('|');
        !(within || key || tag || field || segment)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, body: &str) -> String {
        let request = Request {
            method: "POST".into(),
            url: "https://a.example/p/4711".into(),
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
        };
        hide(text, &request)
    }

    #[test]
    fn values_are_taken_out_and_names_stay() {
        let body = "{\"name\":\"García\",\"ssn\": \"123-45-6789\",\"city\":\"x\"}";
        assert_eq!(
            said("name GARCÍA, ssn 123-45-6789, key 4711: x too short", body),
            "name ***, ssn ***-***-***, key ***: x too short"
        );
        assert_eq!(said("<given> is Ada", "<a:given>Ada</a:given>"), "<given> is ***");
        assert_eq!(said("site Elm Hill", "adds=%5B%7B%22site%22%3A%22Elm+Hill%22%7D%5D"), "site *** ***");
        assert_eq!(
            said("PID-3 missing for Smith", "MSH|^~\\&|A\rPID|1||77^^^OF042^MR||Smith^A"),
            "PID-3 missing for ***"
        );
        assert_eq!(said("Ada missing", "note\rAda|x"), "*** missing", "only a message has segments");
    }
}
