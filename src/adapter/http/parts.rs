//! The answers within an answer that is `multipart/mixed`, each an `application/http` part: what is said of each of several
//! requests (OData `$batch`, batches of Google's APIs).

use super::{Reply, reply};
use crate::format::multipart::{boundary, split};

/// Most header fields of a part, and of the answer in it.
const FIELDS: usize = 128;

/// The answers, in order, those of a changeset in its place, each with the `Content-ID` of its part among its fields; none =
/// it is no answer in parts, or a broken one.
pub fn parts(answer: &Reply) -> Option<Vec<Reply>> {
    let media = answer.content_type.as_deref()?;
    let mut found = Vec::new();
    gather(&answer.body, boundary(media)?, true, &mut found)?;
    Some(found)
}

fn gather(body: &[u8], boundary_of: &str, nests: bool, found: &mut Vec<Reply>) -> Option<()> {
    for part in split(body, boundary_of)? {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let Ok(httparse::Status::Complete((length, fields))) = httparse::parse_headers(part, &mut fields) else {
            return None;
        };
        let rest = part.get(length..)?;
        let field = |name: &str| {
            let field = fields.iter().find(|field| field.name.eq_ignore_ascii_case(name));
            field.and_then(|field| std::str::from_utf8(field.value).ok())
        };
        let media = field("Content-Type").unwrap_or_default();
        match boundary(media) {
            Some(inner) if nests => gather(rest, inner, false, found)?,
            Some(_) => return None,
            None if media.to_ascii_lowercase().trim_start().starts_with("application/http") => {
                let mut one = one(rest)?;
                if let Some(id) = field("Content-ID").filter(|_| one.fields.one("Content-ID").is_none()) {
                    one.fields.add("Content-ID", id.as_bytes());
                }
                found.push(one);
            }
            None => return None,
        }
    }
    Some(())
}

/// An answer as it stands in a part.
fn one(part: &[u8]) -> Option<Reply> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut head = httparse::Response::new(&mut fields);
    let Ok(httparse::Status::Complete(length)) = head.parse(part) else { return None };
    let named: Vec<(String, String)> = head
        .headers
        .iter()
        .map(|field| (field.name.to_owned(), String::from_utf8_lossy(field.value).into_owned()))
        .collect();
    let body = part.get(length..).unwrap_or_default();
    // What stands behind the length that it states is white space.
    let stated = named.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let stated = stated.and_then(|(_, length)| length.trim().parse::<usize>().ok());
    let body = stated.and_then(|length| body.get(..length)).unwrap_or(body);
    let status = head.code?;
    let body = if matches!(status, 204 | 304) { &[] } else { body };
    Some(reply(status, &named, body.to_vec()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn answer(body: &str) -> Reply {
        reply(202, &[("Content-Type".to_owned(), "multipart/mixed; boundary=b".to_owned())], body.as_bytes().to_vec())
    }

    const OK: &str =
        "Content-Type: application/http\r\nContent-ID: 2\r\n\r\nHTTP/1.1 204 No Content\r\nETag: W/\"1\"\r\n\r\n\r\n";
    const NO: &str = "Content-Type: application/http\r\n\r\nHTTP/1.1 422 No\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"a\":1}\r\n";

    #[test]
    fn each_part_is_an_answer_and_those_of_a_changeset_stand_in_its_place() {
        let nested = format!(
            "--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n{OK}\r\n--c\r\n{NO}\r\n--c--\r\n\r\n--b\r\n{NO}\r\n--b--\r\n"
        );
        let found = parts(&answer(&nested)).unwrap();
        let said: Vec<(u16, &str)> =
            found.iter().map(|one| (one.status, std::str::from_utf8(&one.body).unwrap())).collect();
        assert_eq!(said, [(204, ""), (422, "{\"a\":1}"), (422, "{\"a\":1}")]);
        assert_eq!((found[0].fields.one("etag"), found[0].fields.one("content-id")), (Some("W/\"1\""), Some("2")));
    }

    #[test]
    fn what_is_cut_or_no_answer_is_none() {
        for broken in [
            format!("--b\r\n{OK}\r\n"),
            "--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b--\r\n".to_owned(),
            "--b\r\nContent-Type: application/http\r\n\r\nhello\r\n--b--\r\n".to_owned(),
            "--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\nContent-Type: multipart/mixed; boundary=d\r\n\r\n--d--\r\n--c--\r\n--b--\r\n".to_owned(),
        ] {
            assert!(parts(&answer(&broken)).is_none(), "{broken}");
        }
        assert!(parts(&reply(200, &[], Vec::new())).is_none());
    }
}
