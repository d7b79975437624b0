//! The canonical form of a connector's section. An attempt whose outcome is unknown is encoded again under the
//! configuration that encoded it, so a configuration is kept by its hash and must say everything.

use std::collections::BTreeMap;
use std::path::Path;

use aws_lc_rs::digest;

use crate::config::drop::shelf::{EMBEDDED, Embedded};
use crate::config::fields::camel;
use crate::config::found::Found;
use crate::config::tree::{Key, Node, Value};

/// What a connector was made from beside its own section.
#[derive(Clone, Copy)]
pub(crate) enum Beside<'a> {
    /// Nothing.
    Nothing,
    /// The files of a drop.
    Drop(&'a Embedded),
    /// The file of its adapter.
    Adapter(&'a str),
}

/// One line of JSON: keys in camelCase (but for the user's own names) and sorted, one name for keys that have two,
/// the connector's name filled in, paths absolute, defaults left out. A mapping keeps its order, because its fields
/// leave in that order. What a drop found in other files stands in it as well, under [`EMBEDDED`].
pub(crate) fn text(connector: &Found<'_>, name: &str, beside: Beside<'_>) -> String {
    let place = connector.node.place;
    let mut root = connector.node.clone();
    if let Value::Map(entries) = &mut root.value {
        entries.retain(|(key, _)| key.name != "name");
        let name = Node { place, value: Value::Text(name.to_owned()) };
        entries.push((Key { place, name: "name".into() }, name));
    }
    normalise(&mut root, &connector.source.folder);
    match beside {
        Beside::Nothing => {}
        Beside::Drop(embedded) => embed(&mut root, embedded),
        Beside::Adapter(text) => {
            if let Value::Map(entries) = &mut root.value {
                let text = Node { place, value: Value::Text(text.to_owned()) };
                entries.push((Key { place, name: "adapterFile".into() }, text));
                entries.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
            }
        }
    }
    let mut out = String::new();
    write(&root, &mut out);
    out
}

/// SHA-256 of a canonical form.
pub(crate) fn hash(canonical: &str) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, canonical.as_bytes());
    digest.as_ref().try_into().unwrap_or([0; 32])
}

/// Puts the texts of other files into the section of the drop.
fn embed(root: &mut Node, embedded: &Embedded) {
    let place = root.place;
    let text = |text: &String| Node { place, value: Value::Text(text.clone()) };
    let texts = |texts: &BTreeMap<String, String>| {
        let entry = |(name, own): (&String, &String)| (Key { place, name: name.clone() }, text(own));
        Node { place, value: Value::Map(texts.iter().map(entry).collect()) }
    };
    let Value::Map(entries) = &mut root.value else { return };
    let drop = entries.iter_mut().find(|(key, _)| key.name == "drop");
    if let Some((_, Node { value: Value::Map(entries), .. })) = drop {
        entries.retain(|(key, _)| key.name != EMBEDDED);
        let kinds = [("calendars", texts(&embedded.calendars)), ("copybooks", texts(&embedded.copybooks))];
        let kinds = kinds.map(|(name, node)| (Key { place, name: name.to_owned() }, node));
        let node = Node { place, value: Value::Map(kinds.into()) };
        entries.push((Key { place, name: EMBEDDED.to_owned() }, node));
        entries.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    }
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
                    // Names of the user's own, or in an order that counts.
                    ("mapping" | "set" | "vars" | "pull" | "items" | "redefines" | "replacing" | EMBEDDED, _) => {}
                    ("deliver" | "ack", _) => {
                        normalise(value, folder);
                        places(value, folder, false);
                    }
                    ("pgp", _) => {
                        normalise(value, folder);
                        places(value, folder, true);
                    }
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

/// Paths of a drop: those of folders on this machine, of known hosts, of keys and of secrets. Paths of a server stay as they are.
fn places(node: &mut Node, folder: &Path, secret: bool) {
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| places(item, folder, secret)),
        Value::Map(entries) => {
            for (key, value) in entries {
                match key.name.as_str() {
                    "knownHosts" | "directory" => absolute(value, folder),
                    "file" if secret => absolute(value, folder),
                    "key" | "passphrase" | "password" | "pgp" => places(value, folder, true),
                    _ => places(value, folder, secret),
                }
            }
        }
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
