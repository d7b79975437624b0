//! What the command line or the environment says in place of a connector's file.

use crate::config::fields::camel;
use crate::config::problem::Place;
use crate::config::tree::{Key, Node, Value};

/// What stands in place of a connector's own words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instead {
    /// For its `listen`.
    pub listen: Option<Vec<String>>,
    /// For the `url` of its target.
    pub url: Option<String>,
}

impl Instead {
    /// Puts it into the tree of a file, where the file's own words stand or would stand.
    pub(crate) fn apply(&self, node: &mut Node) {
        if let Some(types) = &self.listen {
            let place = node.place;
            let item = |name: &String| Node { place, value: Value::Text(name.clone()) };
            set(node, &["listen"], Value::List(types.iter().map(item).collect()));
        }
        if let Some(url) = &self.url {
            let target = entry(node, &["target", "endpoint"], Value::Map(Vec::new()));
            target.into_iter().for_each(|target| set(target, &["url"], Value::Text(url.clone())));
        }
    }
}

fn set(node: &mut Node, names: &[&str], value: Value) {
    if let Some(node) = entry(node, names, Value::Null) {
        node.value = value;
    }
}

/// The entry of one of these names, made when there is none; none when the node is no section.
fn entry<'n>(node: &'n mut Node, names: &[&str], absent: Value) -> Option<&'n mut Node> {
    let place: Place = node.place;
    let Value::Map(entries) = &mut node.value else { return None };
    let at = entries.iter().position(|(key, _)| names.contains(&camel(&key.name).as_str()));
    let at = at.unwrap_or_else(|| {
        let name = names.first().copied().unwrap_or_default().to_owned();
        entries.push((Key { place, name }, Node { place, value: absent }));
        entries.len() - 1
    });
    entries.get_mut(at).map(|(_, node)| node)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::canonical;
    use crate::config::source::Source;
    use crate::config::tree::{Notation, parse};

    fn applied(yaml: &str) -> String {
        let mut node = parse(yaml, Notation::Yaml).unwrap();
        let source = Source::new(Path::new("x.yaml"));
        let instead = Instead { listen: Some(vec!["a".into(), "b".into()]), url: Some("https://t.test/".into()) };
        instead.apply(&mut node);
        canonical::text(&source.root(&node), "x", canonical::Beside::Nothing)
    }

    #[test]
    fn it_takes_the_place_of_what_the_file_says_and_of_what_it_leaves_out() {
        for file in ["listen: x\nendpoint: {url: http://old.test/, method: PUT}\n", "target: {method: PUT}\n"] {
            let text = applied(file);
            assert!(text.contains(r#""listen":["a","b"]"#) && text.contains(r#""url":"https://t.test/""#), "{text}");
            assert!(text.contains("PUT") && !text.contains("old.test"), "{text}");
        }
        assert!(applied("map: {a: b}\n").contains("https://t.test/"));
    }
}
