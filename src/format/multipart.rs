//! `multipart/form-data` (RFC 7578) and `multipart/related` (RFC 2387).

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

/// As browsers write names (WHATWG HTML, multipart form data): quotes and line ends percent-encoded.
fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

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
