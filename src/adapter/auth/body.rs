//! Secrets in the body of a request. What is rendered, hashed and kept holds a slot at most; the secret takes its place
//! in the copy that is sent.

use zeroize::Zeroizing;

use crate::adapter::Request;
use crate::adapter::http::percent;
use crate::format::markup;

/// A slot: between these two stands its name. No JSON, form or XML that was encoded can hold them otherwise: JSON escapes
/// them, a form percent-encodes them, XML cannot have them. So no record can bring a secret into a field of its own.
const OPEN: u8 = 0x02;
const CLOSE: u8 = 0x03;

/// What an adapter writes into a body where the secret of this name goes.
pub fn slot(name: &str) -> String {
    format!("{}{name}{}", char::from(OPEN), char::from(CLOSE))
}

/// How a body is written, and so how a secret in it is escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Json,
    Form,
    Xml,
}

impl Kind {
    /// By the type that the request declares.
    fn of(request: &Request) -> Option<Kind> {
        let declared = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"))?;
        let essence = declared.1.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/x-www-form-urlencoded" => Some(Kind::Form),
            "application/xml" | "text/xml" => Some(Kind::Xml),
            "application/json" | "text/json" => Some(Kind::Json),
            _ if essence.ends_with("+xml") => Some(Kind::Xml),
            _ if essence.ends_with("+json") => Some(Kind::Json),
            _ => None,
        }
    }
}

/// The body with the secret in it: in each slot of its name, else as one more member of a JSON object, or one more field
/// of a form. The error says why it has no place; it holds neither the secret nor anything of the body.
pub fn with_key(request: &Request, body: &[u8], name: &str, secret: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    let kind = Kind::of(request).ok_or_else(|| {
        format!("`{name}` goes into a body of JSON, XML or form fields, and Content-Type names none of these")
    })?;
    let escaped = match kind {
        Kind::Json => json(secret),
        Kind::Form => percent(secret),
        Kind::Xml => markup::escaped(secret).ok_or_else(|| format!("`{name}` holds what XML cannot have"))?,
    };
    if let Some(filled) = filled(body, slot(name).as_bytes(), escaped.as_bytes()) {
        return Ok(filled);
    }
    let mut out = Zeroizing::new(Vec::with_capacity(body.len() + name.len() + escaped.len() + 8));
    match kind {
        Kind::Json => {
            let object = body.trim_ascii_end().strip_suffix(b"}").filter(|_| body.trim_ascii_start().starts_with(b"{"));
            let Some(object) = object.map(<[u8]>::trim_ascii_end) else {
                return Err(format!("`{name}` goes into a JSON object, and the body is none"));
            };
            out.extend_from_slice(object);
            if object.trim_ascii() != b"{" {
                out.push(b',');
            }
            for part in [b"\"", json(name).as_bytes(), b"\":\"", escaped.as_bytes(), b"\"}"] {
                out.extend_from_slice(part);
            }
        }
        Kind::Form => {
            out.extend_from_slice(body);
            if !body.is_empty() {
                out.push(b'&');
            }
            for part in [percent(name).as_bytes(), b"=", escaped.as_bytes()] {
                out.extend_from_slice(part);
            }
        }
        Kind::Xml => return Err(format!("`{name}` goes into XML, and the body has no slot of this name")),
    }
    Ok(out)
}

/// The body with every slot filled; none when it has none.
fn filled(body: &[u8], slot: &[u8], with: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut out: Option<Zeroizing<Vec<u8>>> = None;
    let mut rest = body;
    while let Some(at) = rest.windows(slot.len()).position(|window| window == slot) {
        let out = out.get_or_insert_with(|| Zeroizing::new(Vec::with_capacity(body.len() + with.len())));
        out.extend_from_slice(rest.get(..at).unwrap_or_default());
        out.extend_from_slice(with);
        rest = rest.get(at + slot.len()..).unwrap_or_default();
    }
    let mut out = out?;
    out.extend_from_slice(rest);
    Some(out)
}

/// Inside the quotes of a JSON string (RFC 8259 §7).
pub(super) fn json(text: &str) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(text.len() + 8));
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if u32::from(c) < 0x20 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn with(kind: &str, body: &str, secret: &str) -> Result<String, String> {
        let headers = vec![("content-type".into(), kind.to_owned().into())];
        let request = Request { method: "POST".into(), url: "https://a/".into(), headers, body: body.into() };
        with_key(&request, &request.body, "token", secret).map(|body| String::from_utf8(body.to_vec()).unwrap())
    }

    #[test]
    fn a_key_becomes_the_last_member_of_an_object_or_field_of_a_form() {
        let json = "application/json; charset=utf-8";
        assert_eq!(with(json, "{\"a\":1}", "s\"\\\u{1}é").unwrap(), r#"{"a":1,"token":"s\"\\\u0001é"}"#);
        assert_eq!(with("application/fhir+json", " { } \n", "s").unwrap(), r#" {"token":"s"}"#);
        let form = "application/x-www-form-urlencoded";
        assert_eq!(with(form, "f=json&adds=%5B%5D", "a&b=c").unwrap(), "f=json&adds=%5B%5D&token=a%26b%3Dc");
        assert_eq!(with(form, "", "s").unwrap(), "token=s");
    }

    #[test]
    fn a_slot_is_filled_as_its_body_wants_it() {
        let slot = slot("token");
        assert_eq!(
            with("text/xml", &format!("<p>{slot}</p>"), "a<&>\"'").unwrap(),
            "<p>a&lt;&amp;&gt;&quot;&apos;</p>"
        );
        let json = format!("{{\"t\":\"{slot}\",\"again\":\"{slot}\"}}");
        assert_eq!(with("application/json", &json, "a\"b").unwrap(), r#"{"t":"a\"b","again":"a\"b"}"#);
        let form = format!("f=json&t={slot}&x=1");
        assert_eq!(with("application/x-www-form-urlencoded", &form, "a b").unwrap(), "f=json&t=a%20b&x=1");
    }

    #[test]
    fn a_body_without_a_place_is_told_without_the_secret() {
        for (kind, body, why) in [
            ("application/json", "[{},{}]", "the body is none"),
            ("application/json", "", "the body is none"),
            ("text/xml", "<a/>", "no slot"),
            ("text/plain", "{}", "Content-Type names none"),
        ] {
            let error = with(kind, body, "c4nary").unwrap_err();
            assert!(error.contains(why) && !error.contains("c4nary"), "{error}");
        }
    }

    #[test]
    fn what_a_record_can_bring_about_is_no_slot() {
        use crate::event::{Record, Value};
        let name = slot("token");
        let record: Record = [("a", Value::from(name.as_str()))].into_iter().collect();
        let body = crate::format::json::encode(&record).unwrap();
        assert!(!body.windows(name.len()).any(|window| window == name.as_bytes()));
        assert!(!percent(&name).contains(&name));
        assert_eq!(markup::escaped(&name), None);
    }
}
