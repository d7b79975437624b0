//! `governance:`, the class of each column; `allow:` and `redact:` of a connector.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::found::Found;
use crate::config::hook::{self, HookSpec};
use crate::config::settings::Scope;
use crate::config::watch::Watch;
use crate::rules::governance::{Classes, Redact};
use crate::rules::nearest::nearest;

/// The class that may leave by every connector.
const PUBLIC: &str = "public";

/// Reads `governance:`. A table may be named by its own name or by its event type; the gate asks by type.
pub(crate) fn read(found: &Found<'_>, watched: &[Watch], scope: &Scope) -> Option<(Classes, Option<HookSpec>)> {
    let fields = found.fields()?;
    let mut classes = Classes { default: fields.text("default"), ..Classes::default() };
    for (name, columns) in fields.take("classify").and_then(|found| found.entries()).unwrap_or_default() {
        let kinds = kinds(name, watched);
        // A posted event may have any type, so an unknown one is only suspicious when it looks like a known one.
        let known = watched.iter().flat_map(|watch| [watch.kind.as_str(), watch.table.as_str()]);
        if kinds.is_empty()
            && let Some(meant) = nearest(name, known)
        {
            let hint = format!("did you mean `{meant}`?");
            columns.warn(format!("there is no watched table or type `{name}`: this classifies nothing"), Some(&hint));
        }
        let listed = columns.entries().unwrap_or_default().into_iter();
        let listed = listed.filter_map(|(column, class)| Some((column.to_owned(), class.text()?.to_owned())));
        let listed: BTreeMap<String, String> = listed.collect();
        let kinds = if kinds.is_empty() { vec![name] } else { kinds };
        for kind in kinds {
            classes.classify.entry(kind.to_owned()).or_default().extend(listed.clone());
        }
    }
    let side = |name: &'static str| {
        let fields = fields.take(name)?.fields()?;
        let allowed = fields.need("allow").and_then(|found| allow(&found, Some(&classes)));
        fields.done();
        allowed
    };
    let (views, inbound) = (side("views"), side("inbound"));
    let hook = fields.take("hook").and_then(|found| hook::hook(&found, scope));
    fields.done();
    Some((Classes { views, inbound, ..classes }, hook))
}

/// The event types that a name in `classify:` means: those of the watched tables that have it as their type, as
/// their name or, with several databases, as `database.table`.
fn kinds<'w>(name: &str, watched: &'w [Watch]) -> Vec<&'w str> {
    let by_kind = watched.iter().filter(|watch| watch.kind == name);
    let by_table = watched.iter().filter(|watch| {
        let path = watch.database.iter().map(|database| format!("{database}.{}", watch.table));
        watch.kind != name && (watch.table == name || path.into_iter().any(|path| path == name))
    });
    by_kind.chain(by_table).map(|watch| watch.kind.as_str()).collect()
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
