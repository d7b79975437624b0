//! Reading XML answers: no DOCTYPE (so no entities of anybody's making), bounded depth, names without their namespaces.

use roxmltree::{Document, Node, ParsingOptions};

use crate::event::{Record, Value};
use crate::rules::verdict::XmlPath;

/// Deepest nesting that is read.
pub const DEPTH: usize = 64;
/// Most nodes that are read.
const NODES: u32 = 20_000;
/// Most nodes of a page of items.
const PAGE: u32 = 2_000_000;

/// An XML text, read.
#[derive(Debug)]
pub struct Xml<'t> {
    document: Document<'t>,
}

impl<'t> Xml<'t> {
    /// Reads; none = it is no XML, has a DOCTYPE, or is too deep or too large.
    pub fn read(text: &'t str) -> Option<Xml<'t>> {
        Xml::limited(text, NODES)
    }

    /// The same of a page of items, which may be as large as its bytes.
    pub fn page(text: &'t str) -> Option<Xml<'t>> {
        Xml::limited(text, PAGE)
    }

    fn limited(text: &'t str, nodes_limit: u32) -> Option<Xml<'t>> {
        if nesting(text) > DEPTH {
            return None;
        }
        let options = ParsingOptions { allow_dtd: false, nodes_limit, ..ParsingOptions::default() };
        Document::parse_with_options(text.trim_start_matches('\u{feff}'), options).ok().map(|document| Xml { document })
    }

    /// Whether the outermost element is the one that a path begins with.
    pub fn begins(&self, path: &XmlPath) -> bool {
        let root = self.document.root_element().tag_name().name();
        path.steps.first().is_some_and(|(deep, name)| *deep || name == "*" || name == root)
    }

    /// The elements at a path as values: an element with only text is that text; any other an object of its children by
    /// their names, `@name` of its attributes and `#text` of its own text. Several children of one name are a list.
    pub fn values(&self, path: &XmlPath) -> Vec<Value> {
        self.elements(path).iter().map(value).collect()
    }

    /// The texts at a path, in order.
    pub fn find(&self, path: &XmlPath) -> Vec<String> {
        let at = self.elements(path);
        match &path.attribute {
            Some(name) => {
                let of = |node: &Node<'_, '_>| {
                    node.attributes().find(|found| found.name() == name).map(|found| found.value().to_owned())
                };
                at.iter().filter_map(of).collect()
            }
            None => at.iter().map(text_of).collect(),
        }
    }

    fn elements(&self, path: &XmlPath) -> Vec<Node<'_, '_>> {
        let mut at: Vec<Node<'_, '_>> = vec![self.document.root()];
        for (deep, name) in &path.steps {
            let fits = |node: &Node<'_, '_>| node.is_element() && (name == "*" || node.tag_name().name() == name);
            at = match deep {
                true => at.iter().flat_map(|node| node.descendants().skip(1).filter(fits)).collect(),
                false => at.iter().flat_map(|node| node.children().filter(fits)).collect(),
            };
        }
        at
    }
}

/// An element as a value.
fn value(node: &Node<'_, '_>) -> Value {
    let mut record = Record::new();
    for attribute in node.attributes() {
        record.push(format!("@{}", attribute.name()), Value::from(attribute.value()));
    }
    let children: Vec<Node<'_, '_>> = node.children().filter(Node::is_element).collect();
    if children.is_empty() {
        let text = Value::from(text_of(node).as_str());
        if record.is_empty() {
            return text;
        }
        record.push("#text", text);
        return Value::Map(record);
    }
    for child in children {
        let (name, value) = (child.tag_name().name(), value(&child));
        match record.get_mut(name) {
            None => record.push(name, value),
            Some(Value::List(items)) => items.push(value),
            Some(first) => *first = Value::List(vec![std::mem::replace(first, Value::Null), value]),
        }
    }
    Value::Map(record)
}

/// All text inside an element, without the space around it.
fn text_of(node: &Node<'_, '_>) -> String {
    let texts = node.descendants().filter(Node::is_text).filter_map(|node| node.text());
    texts.collect::<String>().trim_matches([' ', '\t', '\n']).to_owned()
}

/// How deep the tags of a text nest, at most; a rough count that is never too low for well-formed XML.
fn nesting(text: &str) -> usize {
    let (mut depth, mut most) = (0usize, 0usize);
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        rest = rest.get(at + 1..).unwrap_or_default();
        if rest.starts_with('/') {
            depth = depth.saturating_sub(1);
        } else if let Some(after) = rest.strip_prefix("![CDATA[") {
            rest = after.split_once("]]>").map_or("", |(_, after)| after);
        } else if let Some(after) = rest.strip_prefix("!--") {
            rest = after.split_once("-->").map_or("", |(_, after)| after);
        } else if !rest.starts_with(['!', '?']) {
            let end = rest.find('>').unwrap_or(rest.len());
            if !rest.get(..end).is_some_and(|tag| tag.ends_with('/')) {
                depth += 1;
                most = most.max(depth);
            }
        }
    }
    most
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn find(text: &str, path: &str) -> Vec<String> {
        Xml::read(text).unwrap().find(&XmlPath::parse(path).unwrap())
    }

    const ANSWER: &str = "<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\"><s:Body>\
        <r xmlns=\"urn:cdc:iisb:2011\"><return>MSH|^~\\&amp;|A&#xD;MSA|AA|1&#xD;</return><b id=\"7\">x<i>y</i></b></r></s:Body></s:Envelope>";

    #[test]
    fn names_are_found_without_their_namespaces() {
        assert_eq!(find(ANSWER, "//return"), ["MSH|^~\\&|A\rMSA|AA|1\r"]);
        assert_eq!(find(ANSWER, "/Envelope/Body/r/b"), ["xy"]);
        assert_eq!(find(ANSWER, "/s:Envelope/*/r/b/@id"), ["7"]);
        assert_eq!(find(ANSWER, "/Envelope//i"), ["y"]);
        assert!(find(ANSWER, "//Fault").is_empty());
    }

    #[test]
    fn bombs_and_foreign_entities_are_no_answer() {
        assert!(Xml::read("<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a>&x;</a>").is_none());
        assert!(Xml::read("<!DOCTYPE a [<!ENTITY x \"ha\"><!ENTITY y \"&x;&x;\">]><a>&y;</a>").is_none());
        assert!(Xml::read(&("<a>".repeat(65) + &"</a>".repeat(65))).is_none());
        assert!(Xml::read(&("<a>".repeat(30_000))).is_none());
        assert!(Xml::read(&format!("<r>{}</r>", "<a/>".repeat(30_000))).is_none());
        assert!(Xml::read("<a><b></a>").is_none() && Xml::read("hello").is_none() && Xml::read("").is_none());
        assert!(Xml::read(&("<a>".repeat(60) + &"</a>".repeat(60))).is_some());
    }
}
