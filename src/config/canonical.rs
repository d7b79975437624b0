//! The canonical form of a connector's section. An attempt whose outcome is unknown is encoded again under the
//! configuration that encoded it, so a configuration is kept by its hash and must say everything.

use std::path::Path;

use aws_lc_rs::digest;

use crate::config::fields::camel;
use crate::config::found::Found;
use crate::config::tree::{Key, Node, Value};

/// One line of JSON: keys in camelCase (but for the user's own names) and sorted, one name for keys that have two,
/// the connector's name filled in, paths absolute, defaults left out. A mapping keeps its order, because its fields
/// leave in that order.
pub(crate) fn text(connector: &Found<'_>, name: &str) -> String {
    let place = connector.node.place;
    let mut root = connector.node.clone();
    if let Value::Map(entries) = &mut root.value {
        entries.retain(|(key, _)| key.name != "name");
        let name = Node { place, value: Value::Text(name.to_owned()) };
        entries.push((Key { place, name: "name".into() }, name));
    }
    normalise(&mut root, &connector.source.folder);
    let mut out = String::new();
    write(&root, &mut out);
    out
}

/// SHA-256 of a canonical form.
pub(crate) fn hash(canonical: &str) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, canonical.as_bytes());
    digest.as_ref().try_into().unwrap_or([0; 32])
}

fn normalise(node: &mut Node, folder: &Path) {
    match &mut node.value {
        Value::Map(entries) => {
            for (key, value) in entries.iter_mut() {
                key.name = match camel(&key.name).as_str() {
                    "target" => "endpoint".into(),
                    "map" => "mapping".into(),
                    name => name.to_owned(),
                };
                if key.name == "tls" {
                    absolute(value, folder);
                }
                match (key.name.as_str(), &mut value.value) {
                    ("mapping", _) => {}
                    ("headers" | "redact", Value::Map(names)) => names.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name)),
                    _ => normalise(value, folder),
                }
            }
            entries.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
        }
        Value::List(items) => items.iter_mut().for_each(|item| normalise(item, folder)),
        _ => {}
    }
}

/// Paths start at the file's folder, which is not known when the canonical form is read.
fn absolute(tls: &mut Node, folder: &Path) {
    match &mut tls.value {
        Value::Map(entries) => entries.iter_mut().for_each(|(_, node)| absolute(node, folder)),
        Value::List(items) => items.iter_mut().for_each(|node| absolute(node, folder)),
        Value::Text(path) => {
            let full = folder.join(&*path);
            *path = std::path::absolute(&full).unwrap_or(full).to_string_lossy().into_owned();
        }
        _ => {}
    }
}

fn write(node: &Node, out: &mut String) {
    match &node.value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Integer(number) => out.push_str(&number.to_string()),
        Value::Real(number) => out.push_str(&serde_json::Value::from(*number).to_string()),
        Value::Text(text) => quote(text, out),
        Value::List(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Map(entries) => {
            out.push('{');
            for (at, (key, value)) in entries.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                quote(&key.name, out);
                out.push(':');
                write(value, out);
            }
            out.push('}');
        }
    }
}

fn quote(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}
