//! What of a pull stands aside, as it is listed: which record, why, and since when.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::engine::report::shown;
use crate::event::{Record, Value};
use crate::format::json;
use crate::rules::governance::Gate;
use crate::store::state::connector;
use crate::store::state::parked::Selection;
use crate::store::state::pull::item::{self, Aside, Item};
use crate::store::state::{StateError, StateReader};

/// Items that are read at once.
const SOME: usize = 500;

/// The states in which an item waits for a person, or for something that a person mends.
pub const STATES: [Aside; 3] = [Aside::Refused, Aside::Held, Aside::Bad];

/// An item of a pull that stands aside.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StandsAside {
    /// At which connector.
    pub connector: String,
    /// `inbound`: it comes in, and is no delivery.
    pub direction: &'static str,
    /// The record's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The record's key; of what has none its name there, or its hash, as `there`.
    pub key: Box<RawValue>,
    /// The same, to be shown in another form.
    #[serde(skip)]
    pub record: Record,
    /// `refused` (by the application's rules), `held` (a person decides) or `bad` (it cannot be read or mapped).
    pub state: &'static str,
    /// Since when.
    pub since: String,
    /// The same, to be counted from.
    #[serde(skip)]
    pub at: crate::clock::Timestamp,
    /// How often it was tried again.
    pub tries: u32,
    /// Why, as a word.
    pub class: String,
    /// Why, in words. No value.
    pub reason: String,
}

/// Those of a selection, by connector and state; `reading` = the connectors that read, with the type that they read into. What is
/// chosen by ids of deliveries is none of these.
pub fn stands_aside(
    state: &mut StateReader,
    reading: &[(String, String)],
    which: &Selection,
    view: &Gate,
) -> Result<Vec<StandsAside>, StateError> {
    let most = which.limit.map_or(usize::MAX, |limit| limit as usize);
    let fits = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
    let mut found = Vec::new();
    if !which.ids.is_empty() {
        return Ok(found);
    }
    for (name, kind) in reading.iter().filter(|(name, kind)| fits(&which.connector, name) && fits(&which.kind, kind)) {
        let Some(known) = state.read(|db| connector::find(db, name))? else { continue };
        for aside in STATES.into_iter().filter(|aside| fits(&which.state, aside.as_str())) {
            let mut after = String::new();
            loop {
                let some = state.read(|db| item::list(db, known.id, aside, &after, SOME))?;
                let Some(last) = some.last() else { break };
                after.clone_from(&last.id);
                let some = some.into_iter().filter(|item| fits(&which.class, &item.reason.class));
                found.extend(some.map(|item| one(name, kind, item, view)));
                if found.len() >= most {
                    found.truncate(most);
                    return Ok(found);
                }
            }
        }
    }
    Ok(found)
}

fn one(connector: &str, kind: &str, item: Item, view: &Gate) -> StandsAside {
    let record = view.veil_record(kind, &key_of(&item.id)).into_owned();
    StandsAside {
        connector: connector.to_owned(),
        direction: "inbound",
        kind: kind.to_owned(),
        key: shown(&record),
        record,
        state: item.state.as_str(),
        since: item.since.to_string(),
        at: item.since,
        tries: item.tries,
        class: item.reason.class.to_string(),
        reason: item.reason.text.to_string(),
    }
}

/// A record's key from its text; of what has none its name there, as `there`.
pub(super) fn key_of(name: &str) -> Record {
    match json::decode(name.as_bytes()) {
        Ok(Value::Map(key)) => key,
        _ if name.is_empty() => Record::new(),
        _ => [("there", Value::from(name))].into_iter().collect(),
    }
}
