//! `governance:`, the class of each column; `allow:` and `redact:` of a connector.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::found::Found;
use crate::rules::governance::{Classes, Redact};
use crate::rules::nearest::nearest;

/// The class that may leave by every connector.
const PUBLIC: &str = "public";

/// Reads `governance:`. `kinds` are the types of the watched tables.
pub(crate) fn classes(found: &Found<'_>, kinds: &[&str]) -> Option<Classes> {
    let fields = found.fields()?;
    let mut classes = Classes { default: fields.text("default"), ..Classes::default() };
    for (kind, columns) in fields.take("classify").and_then(|found| found.entries()).unwrap_or_default() {
        // A posted event may have any type, so an unknown one is only suspicious when it looks like a known one.
        if !kinds.contains(&kind)
            && let Some(meant) = nearest(kind, kinds.iter().copied())
        {
            let hint = format!("did you mean `{meant}`?");
            columns.warn(format!("no watched table has the type `{kind}`: this classifies nothing"), Some(&hint));
        }
        let listed = columns.entries().unwrap_or_default().into_iter();
        let listed = listed.filter_map(|(column, class)| Some((column.to_owned(), class.text()?.to_owned())));
        classes.classify.insert(kind.to_owned(), listed.collect());
    }
    fields.done();
    Some(classes)
}

/// Every class that `governance:` names.
pub(crate) fn known(classes: &Classes) -> BTreeSet<&str> {
    let listed = classes.classify.values().flat_map(|columns| columns.values());
    listed.chain(&classes.default).map(String::as_str).chain([PUBLIC]).collect()
}

/// Reads `allow:`.
pub(crate) fn allow(found: &Found<'_>, classes: Option<&Classes>) -> Option<Vec<String>> {
    // `allow: []` is `allow: [public]` in other words.
    let mut allowed = Vec::new();
    if classes.is_none() {
        found.warn("has no effect without a `governance:` section: nothing is classified", None);
    }
    for item in found.one_or_many() {
        let Some(class) = item.text() else { continue };
        match classes.map(known) {
            Some(known) if !known.contains(class) => item.unknown("class", class, known),
            _ => allowed.push(class.to_owned()),
        }
    }
    Some(allowed)
}

/// Reads `redact:`, column -> what is done to it.
pub(crate) fn redact(found: &Found<'_>) -> BTreeMap<String, Redact> {
    const WORDS: [(&str, Redact); 3] = [("hash", Redact::Hash), ("mask", Redact::Mask), ("drop", Redact::Drop)];
    let entries = found.entries().unwrap_or_default().into_iter();
    entries.filter_map(|(column, how)| Some((column.to_owned(), how.choice("way to redact", &WORDS)?))).collect()
}
