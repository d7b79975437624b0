//! Text inside other texts: URLs, XML, HL7 v2, OData and SOQL.

use std::fmt::Write as _;

use crate::event::Value;

/// Percent-encodes all but the unreserved characters of RFC 3986 §2.3.
pub fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            // Writing to a String cannot fail.
            byte => drop(write!(out, "%{byte:02X}")),
        }
    }
    out
}

/// A text without its percent-encoding (RFC 3986 §2.1); as it is, where that gives no UTF-8.
pub fn unpercent(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.filter(|hex| *byte == b'%' && !hex.starts_with('+')).and_then(|hex| u8::from_str_radix(hex, 16).ok())
        {
            Some(decoded) => {
                out.push(decoded);
                at += 3;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

/// `application/x-www-form-urlencoded` (WHATWG URL §5.2): a space is `+`.
pub fn form(text: &str) -> String {
    percent(text).replace("%20", "+").replace('~', "%7E")
}

/// Escapes for XML 1.0 text and attributes. A carriage return is `&#xD;`: a parser makes a line feed of a raw one, also
/// inside CDATA (XML 1.0 §2.11), and the segments of HL7 end in it. Characters that XML 1.0 cannot hold are refused.
pub fn xml(text: &str) -> Result<String, &'static str> {
    let mut out = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\r' => out.push_str("&#xD;"),
            // In an attribute they would become spaces (XML 1.0 §3.3.3).
            '\n' => out.push_str("&#xA;"),
            '\t' => out.push_str("&#x9;"),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => return Err("text without characters that XML cannot hold"),
            char => out.push(char),
        }
    }
    Ok(out)
}

/// Escapes for a field of HL7 v2 with the usual delimiters `|^~\&` (HL7 v2.5.1 §2.7). Control characters, the ends of
/// segments among them, are written as `\Xhh\`.
pub fn hl7(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for char in text.chars() {
        match char {
            '|' => out.push_str("\\F\\"),
            '^' => out.push_str("\\S\\"),
            '~' => out.push_str("\\R\\"),
            '\\' => out.push_str("\\E\\"),
            '&' => out.push_str("\\T\\"),
            '\r' => out.push_str("\\X0D\\"),
            '\n' => out.push_str("\\.br\\"),
            // Writing to a String cannot fail.
            '\0'..='\u{1f}' | '\u{7f}' => drop(write!(out, "\\X{:02X}\\", u32::from(char))),
            char => out.push(char),
        }
    }
    out
}

/// Inside the quotes of an OData literal a quote is doubled (OData 4.01 URL conventions §5.1.1.6.2).
pub fn odata(text: &str) -> String {
    text.replace('\'', "''")
}

/// Inside the quotes of a SOQL literal (Salesforce, "Quoted String Escape Sequences").
pub fn soql(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for char in text.chars() {
        match char {
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            char => out.push(char),
        }
    }
    out
}

/// The fields of a record as XML elements, `<prefix:name>`; lists are repeated, null is left out. What is wrong is said with the
/// field's name, never with its value.
pub fn elements(record: &Value, prefix: &str) -> Result<String, String> {
    let Value::Map(fields) = record else { return Err("a record".to_owned()) };
    let mut out = String::new();
    for (name, value) in fields.iter() {
        let word = name.starts_with(|char: char| char.is_alphabetic() || char == '_')
            && name.chars().all(|char| char.is_alphanumeric() || matches!(char, '_' | '-' | '.'));
        if !word {
            return Err(format!("fields whose names can name an element: field `{name}`"));
        }
        let tag = if prefix.is_empty() { name.to_string() } else { format!("{prefix}:{name}") };
        let items = match value {
            Value::List(items) => items.as_slice(),
            one => std::slice::from_ref(one),
        };
        for item in items {
            let inside = match item {
                Value::Null => continue,
                Value::Map(_) => elements(item, prefix)?,
                item => {
                    let text = item.as_text().ok_or("fields that are text, numbers or records");
                    text.and_then(|text| xml(&text)).map_err(|wants| format!("{wants}: field `{name}`"))?
                }
            };
            // Writing to a String cannot fail.
            let _ = write!(out, "<{tag}>{inside}</{tag}>");
        }
    }
    Ok(out)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_carriage_return_survives_an_xml_parser() {
        assert_eq!(xml("MSH|^~\\&|\rPID|1\r").unwrap(), "MSH|^~\\&amp;|&#xD;PID|1&#xD;");
        assert_eq!(xml("<a b='\"'>\n").unwrap(), "&lt;a b=&apos;&quot;&apos;&gt;&#xA;");
        assert!(xml("a\0b").is_err() && xml("\u{ffff}").is_err());
    }

    #[test]
    fn a_value_never_ends_an_hl7_field_or_segment() {
        assert_eq!(hl7("a|b^c~d\\e&f\rMSH\n"), "a\\F\\b\\S\\c\\R\\d\\E\\e\\T\\f\\X0D\\MSH\\.br\\");
    }

    #[test]
    fn a_record_becomes_elements() {
        let inner = Value::Map([("b", Value::from("<x>"))].into_iter().collect());
        let fields = [("a", Value::Integer(1)), ("n", Value::Null), ("l", Value::List(vec![1.into(), inner]))];
        let record = Value::Map(fields.into_iter().collect());
        assert_eq!(elements(&record, "m").unwrap(), "<m:a>1</m:a><m:l>1</m:l><m:l><m:b>&lt;x&gt;</m:b></m:l>");
        let broken = Value::Map([("a", Value::from("b")), ("note", "x\u{1}".into())].into_iter().collect());
        let said = elements(&Value::Map([("outer", broken)].into_iter().collect()), "m").unwrap_err();
        assert!(said.ends_with("that XML cannot hold: field `note`"), "{said}");
        assert!(elements(&Value::Map([("a b", Value::Integer(1))].into_iter().collect()), "").is_err());
    }

    #[test]
    fn a_value_never_ends_a_literal() {
        assert_eq!(odata("O'Hara"), "O''Hara");
        assert_eq!(soql("O'Ha\\ra\n"), "O\\'Ha\\\\ra\\n");
        assert_eq!(percent("a b/ü?"), "a%20b%2F%C3%BC%3F");
        assert_eq!(form("a b~+"), "a+b%7E%2B");
    }
}
