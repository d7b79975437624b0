//! Places in an answer: `header:ETag`, `json:/d/ApptId`, `xml://return`, `hl7:ERR-4`, `body`, `status`.

use std::fmt;

/// Where something stands in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extract {
    /// The status.
    Status,
    /// A header field.
    Header(String),
    /// A JSON pointer (RFC 6901) in the body; `*` is every item of a list or object.
    Json(String),
    /// A path in an XML body.
    Xml(XmlPath),
    /// A field of the HL7 v2 message in the answer.
    Hl7(Hl7Path),
    /// The body as text.
    Body,
}

/// A path in XML: `/Envelope/Body/x`, `//return`, `//item/@id`, names without their namespaces;
/// `*[local-name()='return']` is `return`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XmlPath {
    /// Names from the top, each with whether it may stand any deeper.
    pub steps: Vec<(bool, String)>,
    /// An attribute of the last.
    pub attribute: Option<String>,
}

/// A field of an HL7 v2 message: `MSA-1`, `ERR-3.1`; of every segment of that name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hl7Path {
    /// Segment.
    pub segment: String,
    /// Field, from 1.
    pub field: usize,
    /// Component, from 1; none = the whole field.
    pub component: Option<usize>,
}

impl Extract {
    /// Parses; errors say what is wrong.
    pub fn parse(text: &str) -> Result<Extract, String> {
        let text = text.trim();
        let Some((kind, place)) = text.split_once(':') else {
            return match text {
                "status" => Ok(Extract::Status),
                "body" => Ok(Extract::Body),
                _ => Err(format!(
                    "`{text}` is no place in an answer: write header:NAME, json:/POINTER, xml://NAME, hl7:MSA-1, body or status"
                )),
            };
        };
        match kind.trim() {
            "header" if place.is_empty() => Err("`header:` names no header".to_owned()),
            "header" => Ok(Extract::Header(place.trim().to_owned())),
            "json" => pointer(place).map(Extract::Json),
            "xml" | "xpath" => XmlPath::parse(place).map(Extract::Xml),
            "hl7" => Hl7Path::parse(place).map(Extract::Hl7),
            _ => Err(format!("`{kind}:` is no kind of place: header, json, xml or hl7")),
        }
    }
}

/// A JSON pointer.
pub fn pointer(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.starts_with('/') {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is no JSON pointer: it begins with `/`"))
    }
}

impl XmlPath {
    /// Parses; errors say what is wrong.
    pub fn parse(text: &str) -> Result<XmlPath, String> {
        let wrong = |what: &str| format!("`{text}` is no path in XML: {what}");
        let (mut steps, mut attribute, mut rest) = (Vec::new(), None, text.trim());
        if !rest.starts_with('/') {
            return Err(wrong("it begins with `/` or `//`"));
        }
        while let Some(after) = rest.strip_prefix('/') {
            let (deep, after) = after.strip_prefix('/').map_or((false, after), |after| (true, after));
            let local = after.strip_prefix("*[local-name()=").and_then(|after| {
                let quote = after.chars().next().filter(|char| matches!(char, '\'' | '"'))?;
                let (name, after) = after.get(1..)?.split_once(quote)?;
                Some((name, after.strip_prefix(']')?))
            });
            let (name, after) = local.unwrap_or_else(|| after.split_at(after.find('/').unwrap_or(after.len())));
            let name = name.rsplit(':').next().unwrap_or(name);
            rest = after;
            if let Some(name) = name.strip_prefix('@') {
                if steps.is_empty() || !rest.is_empty() || name.is_empty() {
                    return Err(wrong("an attribute is the last part"));
                }
                attribute = Some(name.to_owned());
            } else if name.is_empty() || name.contains(['[', ']', '(', ')', ' ']) {
                return Err(wrong("only names, `*`, `//`, `@name` and `*[local-name()='name']` are known"));
            } else {
                steps.push((deep, name.to_owned()));
            }
        }
        if rest.is_empty() { Ok(XmlPath { steps, attribute }) } else { Err(wrong("only names after `/`")) }
    }
}

impl Hl7Path {
    /// Parses; errors say what is wrong.
    pub fn parse(text: &str) -> Result<Hl7Path, String> {
        let wrong = || format!("`{text}` is no field of HL7: write MSA-1 or ERR-3.1");
        let (segment, place) = text.trim().split_once('-').ok_or_else(wrong)?;
        let number = |text: &str| text.parse::<usize>().ok().filter(|number| (1..=999).contains(number));
        let (field, component) = match place.split_once('.') {
            Some((field, component)) => (field, Some(number(component).ok_or_else(wrong)?)),
            None => (place, None),
        };
        let sound =
            segment.len() == 3 && segment.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        if !sound {
            return Err(wrong());
        }
        Ok(Hl7Path { segment: segment.to_owned(), field: number(field).ok_or_else(wrong)?, component })
    }
}

impl fmt::Display for Extract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Extract::Status => f.write_str("status"),
            Extract::Body => f.write_str("body"),
            Extract::Header(name) => write!(f, "header:{name}"),
            Extract::Json(pointer) => write!(f, "json:{pointer}"),
            Extract::Xml(path) => {
                f.write_str("xml:")?;
                for (deep, name) in &path.steps {
                    write!(f, "{}{name}", if *deep { "//" } else { "/" })?;
                }
                path.attribute.as_ref().map_or(Ok(()), |name| write!(f, "/@{name}"))
            }
            Extract::Hl7(path) => {
                write!(f, "hl7:{}-{}", path.segment, path.field)?;
                path.component.map_or(Ok(()), |component| write!(f, ".{component}"))
            }
        }
    }
}
