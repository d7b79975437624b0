//! `multipart/form-data` (RFC 7578), `multipart/related` (RFC 2387), and `multipart/mixed` of requests and answers.

use aws_lc_rs::digest;

/// A part of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Field name.
    pub name: String,
    /// File name.
    pub filename: Option<String>,
    /// Media type.
    pub media: Option<String>,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// The body of these parts. The boundary comes of `seed` alone and must stand in no part: none = it does.
pub fn encode(parts: &[Part], seed: &str) -> Option<(String, Vec<u8>)> {
    let boundary =
        format!("hms-sync-{}", seed.bytes().filter(u8::is_ascii_alphanumeric).map(char::from).collect::<String>());
    let boundary = boundary.get(..boundary.len().min(70))?.to_owned();
    let mut out = Vec::with_capacity(parts.iter().map(|part| part.bytes.len() + 200).sum());
    for part in parts {
        let within = part.bytes.windows(boundary.len()).any(|window| window == boundary.as_bytes());
        if within {
            return None;
        }
        out.extend_from_slice(
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"", quoted(&part.name)).as_bytes(),
        );
        if let Some(name) = &part.filename {
            out.extend_from_slice(format!("; filename=\"{}\"", quoted(name)).as_bytes());
        }
        if let Some(media) = &part.media {
            out.extend_from_slice(format!("\r\nContent-Type: {media}").as_bytes());
        }
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(&part.bytes);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    Some((boundary, out))
}

/// Requests as `multipart/mixed` (RFC 2046 §5.1.3), each an `application/http` part (RFC 9112 §10.2) whose `Content-ID` is its
/// number from 1: side by side, each in a `multipart/mixed` of its own, or all in one. The boundary is made of what is in it.
pub fn mixed(requests: &[&[u8]], nested: Option<bool>) -> (String, Vec<u8>) {
    let mut hash = digest::Context::new(&digest::SHA256);
    for request in requests {
        hash.update(&(request.len() as u64).to_le_bytes());
        hash.update(request);
    }
    let hash: String = hash.finish().as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let (outer, inner) = (format!("batch_{hash}"), format!("changeset_{hash}"));
    let mut out = Vec::with_capacity(requests.iter().map(|request| request.len() + 300).sum());
    let mut write = |text: &str| out.extend_from_slice(text.as_bytes());
    let begin = |boundary: &str| format!("--{boundary}\r\nContent-Type: multipart/mixed; boundary={inner}\r\n\r\n");
    if nested == Some(false) {
        write(&begin(&outer));
    }
    for (number, request) in (1..).zip(requests) {
        if nested == Some(true) {
            write(&begin(&outer));
        }
        write(&format!(
            "--{}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\nContent-ID: {number}\r\n\r\n",
            if nested.is_some() { &inner } else { &outer }
        ));
        write(&String::from_utf8_lossy(request));
        write("\r\n");
        if nested == Some(true) {
            write(&format!("--{inner}--\r\n\r\n"));
        }
    }
    if nested == Some(false) {
        write(&format!("--{inner}--\r\n\r\n"));
    }
    write(&format!("--{outer}--\r\n"));
    (outer, out)
}

/// The boundary that a media type `multipart/mixed` names.
pub fn boundary(media: &str) -> Option<&str> {
    let (kind, parameters) = media.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/mixed") {
        return None;
    }
    let named = parameters.split(';').filter_map(|parameter| parameter.split_once('='));
    let (_, boundary) =
        named.map(|(name, value)| (name.trim(), value)).find(|(name, _)| name.eq_ignore_ascii_case("boundary"))?;
    let boundary = boundary.trim().trim_matches('"');
    (!boundary.is_empty() && boundary.len() <= 70).then_some(boundary)
}

/// The parts between boundaries, heads and all; none = the last boundary is missing.
pub fn split<'b>(body: &'b [u8], boundary: &str) -> Option<Vec<&'b [u8]>> {
    let delimiter = format!("--{boundary}");
    let (mut parts, mut start, mut at) = (Vec::new(), None, 0);
    while at < body.len() {
        let line = body.get(at..).unwrap_or_default();
        let end = line.iter().position(|byte| *byte == b'\n').map_or(line.len(), |end| end + 1);
        let text = line.get(..end).unwrap_or_default().trim_ascii_end();
        if let Some(rest) = text.strip_prefix(delimiter.as_bytes()).filter(|rest| rest.is_empty() || *rest == b"--") {
            if let Some(start) = start {
                // The line end before a boundary belongs to it.
                let part: &[u8] = body.get(start..at).unwrap_or_default();
                let part = part.strip_suffix(b"\n").unwrap_or(part);
                parts.push(part.strip_suffix(b"\r").unwrap_or(part));
            }
            if rest == b"--" {
                return Some(parts);
            }
            start = Some(at + end);
        }
        at += end;
    }
    None
}

/// As browsers write names (WHATWG HTML, multipart form data): quotes and line ends percent-encoded.
fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn requests_side_by_side_or_in_changesets_come_apart_again_and_a_body_that_is_cut_does_not() {
        let requests: [&[u8]; 2] = [b"PUT a HTTP/1.1\r\n\r\n{}", b"PUT b HTTP/1.1\r\n\r\n--batch"];
        for (nested, outer, inner) in [(None, 2, 0), (Some(true), 2, 1), (Some(false), 1, 2)] {
            let (boundary, body) = mixed(&requests, nested);
            let parts = split(&body, &boundary).unwrap();
            assert_eq!(parts.len(), outer, "{nested:?}");
            let text = String::from_utf8(parts[0].to_vec()).unwrap();
            if inner > 0 {
                let (head, rest) = text.split_once("\r\n\r\n").unwrap();
                let own = super::boundary(head.trim_start_matches("Content-Type: ")).unwrap();
                assert_eq!(split(rest.as_bytes(), own).unwrap().len(), inner, "{nested:?}");
            } else {
                assert!(text.ends_with("Content-ID: 1\r\n\r\nPUT a HTTP/1.1\r\n\r\n{}"), "{text}");
            }
            assert!(split(&body[..body.len() - 6], &boundary).is_none(), "{nested:?}");
            assert_eq!(mixed(&requests, nested), (boundary, body), "the same records make the same bytes");
        }
        assert_eq!(boundary("Multipart/Mixed; charset=x; Boundary=\"a b\""), Some("a b"));
        assert!(boundary("multipart/form-data; boundary=a").is_none() && boundary("multipart/mixed").is_none());
    }

    #[test]
    fn parts_stand_between_boundaries_and_no_name_ends_its_line() {
        let part =
            |name: &str, bytes: &[u8]| Part { name: name.into(), filename: None, media: None, bytes: bytes.into() };
        let file = Part { filename: Some("a\"b\r\n.txt".into()), media: Some("text/plain".into()), ..part("f", b"x") };
        let (boundary, body) = encode(&[part("a", b"1"), file], "e-1-n").unwrap();
        assert_eq!(boundary, "hms-sync-e1n");
        assert_eq!(
            String::from_utf8(body).unwrap(),
            "--hms-sync-e1n\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--hms-sync-e1n\r\nContent-Disposition: \
             form-data; name=\"f\"; filename=\"a%22b%0D%0A.txt\"\r\nContent-Type: text/plain\r\n\r\nx\r\n--hms-sync-e1n--\r\n"
        );
        assert!(encode(&[part("a", b"-- hms-sync-e1n")], "e-1-n").is_none());
    }
}
