//! A little XML: what a text becomes in it, and where in a SOAP message its header is.

use zeroize::Zeroizing;

/// A text as it stands in an element or an attribute; none when it holds characters that XML 1.0 cannot have (§2.2).
/// A carriage return is written as `&#xD;`: every parser turns a bare one into a line feed (§2.11).
pub fn escaped(text: &str) -> Option<Zeroizing<String>> {
    let mut out = Zeroizing::new(String::with_capacity(text.len() + 16));
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\r' => out.push_str("&#xD;"),
            '\t' | '\n' => out.push(c),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => return None,
            c => out.push(c),
        }
    }
    Some(out)
}

/// Where a block of the header goes in a SOAP message: put `before`, the block and `after` in the place of the bytes
/// from `from` to `to`.
#[derive(Debug, PartialEq, Eq)]
pub struct HeaderPlace {
    /// First byte that is replaced.
    pub from: usize,
    /// First byte behind.
    pub to: usize,
    /// What opens the header.
    pub before: String,
    /// What closes it.
    pub after: String,
    /// The envelope's prefix with its colon; empty = none.
    pub prefix: String,
}

/// A start tag or an empty element, and where it stands.
struct Tag<'x> {
    name: &'x str,
    from: usize,
    to: usize,
    is_empty: bool,
}

/// Where the header of a SOAP envelope (1.1 or 1.2) is, or would be. None when the text is no such envelope.
pub fn soap_header(text: &str) -> Option<HeaderPlace> {
    let envelope = next_tag(text, 0)?;
    if local(envelope.name) != "Envelope" || envelope.is_empty {
        return None;
    }
    let prefix = envelope.name.strip_suffix("Envelope")?.to_owned();
    let own = |tag: &Tag<'_>, name: &str| tag.name.strip_suffix(name) == Some(prefix.as_str());
    let first = next_tag(text, envelope.to)?;
    let (open, close) = (format!("<{prefix}Header>"), format!("</{prefix}Header>"));
    Some(match &first {
        tag if own(tag, "Header") && tag.is_empty => {
            // What stands in the tag (attributes, namespaces) stays.
            let inside = text.get(tag.from..tag.to)?.strip_suffix("/>")?.trim_end();
            HeaderPlace { from: tag.from, to: tag.to, before: format!("{inside}>"), after: close, prefix }
        }
        tag if own(tag, "Header") => {
            HeaderPlace { from: tag.to, to: tag.to, before: String::new(), after: String::new(), prefix }
        }
        tag if own(tag, "Body") => HeaderPlace { from: tag.from, to: tag.from, before: open, after: close, prefix },
        _ => return None,
    })
}

fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

/// The next start tag from a place on, past declarations, comments and text. None at an end tag or in what is no XML.
fn next_tag(text: &str, from: usize) -> Option<Tag<'_>> {
    let mut at = from;
    loop {
        at += text.get(at..)?.find('<')?;
        let rest = text.get(at..)?;
        let skip = |end: &str| rest.find(end).map(|found| at + found + end.len());
        if rest.starts_with("<?") {
            at = skip("?>")?;
        } else if rest.starts_with("<!--") {
            at = skip("-->")?;
        } else if rest.starts_with("<!") || rest.starts_with("</") {
            return None;
        } else {
            let mut quote = None;
            let end = rest.char_indices().skip(1).find_map(|(place, c)| {
                match (quote, c) {
                    (Some(open), _) if open == c => quote = None,
                    (None, '"' | '\'') => quote = Some(c),
                    (None, '>') => return Some(place),
                    _ => {}
                }
                None
            })?;
            let inside = rest.get(1..end)?;
            let name = inside.split(|c: char| c.is_ascii_whitespace() || c == '/').next()?;
            return Some(Tag { name, from: at, to: at + end + 1, is_empty: inside.ends_with('/') });
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn put(text: &str) -> Option<String> {
        let place = soap_header(text)?;
        let (before, after) = (text.get(..place.from)?, text.get(place.to..)?);
        Some(format!("{before}{}[{}]{}{after}", place.before, place.prefix, place.after))
    }

    #[test]
    fn a_block_goes_into_the_header_that_is_there_or_a_new_one() {
        let prolog = "<?xml version=\"1.0\"?>\n<!-- <a> -->\n";
        for (text, expected) in [
            (
                "<s:Envelope xmlns:s=\"x>y\"><s:Header/><s:Body/></s:Envelope>",
                "<s:Envelope xmlns:s=\"x>y\"><s:Header>[s:]</s:Header><s:Body/></s:Envelope>",
            ),
            (
                "<s:Envelope><s:Header a='1' /><s:Body/></s:Envelope>",
                "<s:Envelope><s:Header a='1'>[s:]</s:Header><s:Body/></s:Envelope>",
            ),
            (
                "<s:Envelope>\n <s:Header><w/></s:Header><s:Body/></s:Envelope>",
                "<s:Envelope>\n <s:Header>[s:]<w/></s:Header><s:Body/></s:Envelope>",
            ),
            ("<Envelope><Body>x</Body></Envelope>", "<Envelope><Header>[]</Header><Body>x</Body></Envelope>"),
        ] {
            assert_eq!(put(text).as_deref(), Some(expected));
            assert_eq!(put(&format!("{prolog}{text}")).unwrap(), format!("{prolog}{expected}"));
        }
    }

    #[test]
    fn what_is_no_envelope_has_no_place() {
        for text in [
            "",
            "text",
            "<a/>",
            "<s:Envelope/>",
            "<s:Envelope></s:Envelope>",
            "<s:Envelope><t:Body/></s:Envelope>",
            "<!DOCTYPE a><s:Envelope><s:Body/></s:Envelope>",
            "<s:Envelope a=\"",
            "<?xml",
        ] {
            assert_eq!(put(text), None, "{text}");
        }
    }

    #[test]
    fn a_text_is_escaped_and_one_that_xml_cannot_have_is_none() {
        assert_eq!(escaped("a&b\r\n<é>").unwrap().as_str(), "a&amp;b&#xD;\n&lt;é&gt;");
        for odd in ["\0", "\u{2}", "\u{ffff}"] {
            assert_eq!(escaped(odd), None);
        }
    }
}
