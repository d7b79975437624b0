//! The connector of a target that an adapter's file describes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::BUILT_IN;
use crate::config::adapter::{self, Finding};
use crate::config::endpoint::{Endpoint, mllp};
use crate::config::fields::Fields;
use crate::config::found::Found;
use crate::config::program::{self, ProgramSpec};
use crate::config::secrecy;
use crate::config::settings::{Scope, SecretPlace};
use crate::event::{Record, Value};
use crate::rules::batch::{Batch, Shape};
use crate::rules::mapping::Mapping;
use crate::rules::operation::Spec;
use crate::rules::transport::Transport;

/// A target that an adapter's file describes.
#[derive(Debug)]
pub struct Described {
    /// Where it is, and as whom.
    pub target: Target,
    /// What the file says.
    pub spec: Arc<Spec>,
    /// The connector's variables, with the file's defaults.
    pub vars: Record,
    /// The text of the file.
    pub text: String,
}

/// Where a described target is, as its transport has it.
#[derive(Debug)]
pub enum Target {
    /// At an address.
    Address {
        /// Where it is, and as whom.
        endpoint: Box<Endpoint>,
        /// The base of its addresses, as written.
        base: String,
    },
    /// Behind a program.
    Program(ProgramSpec),
}

impl Target {
    /// Its endpoint; none for a program.
    pub fn endpoint(&self) -> Option<&Endpoint> {
        match self {
            Target::Address { endpoint, .. } => Some(&**endpoint),
            Target::Program(_) => None,
        }
    }

    /// Where its secrets are, beside its credential.
    pub fn secrets(&self) -> Vec<SecretPlace> {
        match self {
            Target::Address { .. } => Vec::new(),
            Target::Program(program) => program.secrets(),
        }
    }
}

/// `endpoint:` as the transport has it.
pub(super) fn target(found: &Found<'_>, transport: Transport, scope: &Scope) -> Option<Target> {
    let endpoint = match transport {
        Transport::Exec => return program::read(found).map(Target::Program),
        Transport::Mllp => mllp::read(found, scope)?,
        Transport::Http => {
            // The adapter's file says what becomes of deletes.
            let endpoint = Endpoint::read(found, scope, false)?;
            own_words(found);
            endpoint
        }
    };
    let base = endpoint.url.url(|_| None).map_err(|_| {
        found.error("`url` is the base of the adapter's addresses: it has no placeholders");
    });
    Some(Target::Address { base: base.ok()?, endpoint: Box::new(endpoint) })
}

/// Whether an endpoint is one of HTTP by its address.
pub(super) fn is_address(endpoint: &Found<'_>) -> bool {
    let entries = endpoint.entries_quietly();
    let url = entries.iter().find(|(key, _)| *key == "url").and_then(|(_, found)| found.node_text());
    url.is_some_and(|url| url.starts_with("http"))
}

/// What the transport does to `batch`: a message goes alone, and a program is given lines.
pub(super) fn batch(transport: Transport, section: Option<&Found<'_>>, given: Option<Option<Batch>>) -> Option<Batch> {
    match transport {
        Transport::Http => given.flatten(),
        Transport::Mllp => {
            if let Some(found) = section {
                found.error_hint("MLLP carries one message at a time", "leave `batch` out");
            }
            None
        }
        Transport::Exec => {
            let shape = section.and_then(|found| found.entries_quietly().into_iter().find(|(key, _)| *key == "shape"));
            if let Some((_, found)) = shape.filter(|(_, found)| found.node_text() != Some("ndjson")) {
                found.error_hint("a program is given a record a line", "leave `shape` out");
            }
            let usual = Batch { max: Batch::MAX, max_bytes: Batch::MAX_BYTES, shape: Shape::Lines };
            given.map_or(Some(usual), |batch| batch.map(|batch| Batch { shape: Shape::Lines, ..batch }))
        }
    }
}

/// What there is only where answers have a status.
pub(super) fn statuses(transport: Transport, found: &Found<'_>, retry_on: &[u16]) {
    if transport != Transport::Http && !retry_on.is_empty() {
        let what = format!("`retryOn` is for statuses, and the adapter's transport is {}", transport.as_str());
        found.error_hint(what, "leave it out: the rules of the adapter's file say what is retried");
    }
}

/// `adapter:` that a file describes; none = it names none, none inside = it is wrong.
pub(super) fn described(fields: &Fields<'_>) -> Option<Option<Finding>> {
    let kept = fields.section().source.is_kept();
    let embedded = if kept { fields.take("adapterFile") } else { None };
    let found = fields.take("adapter")?;
    let name = found.node_text()?;
    let plain = name.to_ascii_lowercase().replace(['_', '-'], "");
    if BUILT_IN.iter().any(|(known, _)| *known == plain) {
        return None;
    }
    let text = embedded.as_ref().and_then(Found::node_text);
    Some(adapter::find(&found, name, text))
}

/// What an adapter's file says, a connector does not say again.
fn own_words(endpoint: &Found<'_>) {
    for (key, found) in endpoint.entries_quietly() {
        if matches!(key, "method" | "delete") {
            found.error_hint("is what the adapter's file says", "leave it out");
        }
    }
}

/// `vars:` of a connector: those of the adapter's file, all that have no default.
pub(super) fn variables(fields: &Fields<'_>, spec: &Spec) -> Option<Record> {
    let section = fields.take("vars");
    let mut given: BTreeMap<&str, Value> = BTreeMap::new();
    let mut whole = true;
    for (name, found) in section.as_ref().and_then(|found| found.entries()).unwrap_or_default() {
        secrecy::look(&found, name, "use a credential; in `xml:` of the adapter its place is `{secret.NAME}`");
        match spec.vars.iter().find(|(known, _)| known == name) {
            None => {
                found.unknown("variable", name, spec.vars.iter().map(|(known, _)| known.as_str()));
                whole = false;
            }
            Some((known, _)) => match found.constant() {
                Some(Value::List(_) | Value::Map(_) | Value::Null) | None => {
                    found.error("a variable is one value");
                    whole = false;
                }
                Some(value) => {
                    given.insert(known, value);
                }
            },
        }
    }
    let mut vars = Record::with_capacity(spec.vars.len());
    for (name, default) in &spec.vars {
        match given.remove(name.as_str()).or_else(|| default.clone()) {
            Some(value) => vars.push(name.as_str(), value),
            None => {
                let place = section.as_ref().unwrap_or(fields.section());
                place.error_hint(
                    format!("the adapter needs the variable `{name}`"),
                    format!("write `vars: {{{name}: ...}}`"),
                );
                whole = false;
            }
        }
    }
    whole.then_some(vars)
}

/// Warns of fields that the adapter cannot do without and the mapping does not give.
pub(super) fn needed(found: &Found<'_>, spec: &Spec, mapping: &Mapping) {
    let Some(targets) = mapping.targets() else { return };
    let given = |name: &String| targets.iter().any(|target| target.split('.').next() == Some(name.as_str()));
    let missing: Vec<String> = spec.wanted().fields.into_iter().filter(|name| !given(name)).collect();
    if !missing.is_empty() {
        let names = missing.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let what = format!("the adapter needs {names}, which the mapping does not give: such events are held");
        found.warn(what, Some("add them to `mapping:`"));
    }
}

/// A credential that goes into the body of requests must be called as the adapter's place for it is.
pub(super) fn placed(found: &Found<'_>, spec: &Spec, endpoint: &Endpoint, scope: &Scope) {
    let Some(credential) = &endpoint.credential else { return };
    let mut places: Vec<&str> = spec.all_expressions().into_iter().filter_map(|one| one.secret()).collect();
    places.sort_unstable();
    places.dedup();
    let Some(place) = places.first().filter(|_| !places.is_empty()) else { return };
    for name in scope.body_names(credential) {
        if !places.contains(&name.as_str()) {
            let written: Vec<String> = places.iter().map(|place| format!("`{{secret.{place}}}`")).collect();
            found.error_hint(
                format!(
                    "the credential `{credential}` goes into the body as `{name}`, and the adapter's place for it is {}",
                    written.join(", ")
                ),
                format!("write `body: {place}` in the credential"),
            );
        }
    }
}
