//! What is known of one record at a connector that is read: what both sides agreed on, what came since, and what stands aside.

use serde::Serialize;

use crate::store::state::connector::Remembered;
use crate::store::state::pull::{base, change, get, item, sent};
use crate::store::state::{Db, Sql};

/// A record at a connector that is read. No value of it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PulledRecord {
    /// Which connector.
    pub connector: String,
    /// `agreed`, `deleted` (on both sides), `changed` (here, since they agreed), `aside`, or `sent` (and not agreed on yet).
    pub state: &'static str,
    /// When both sides agreed last, by our clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreed: Option<String>,
    /// When it was changed there last, by the clock there, as far as that side says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed_there: Option<String>,
    /// The fields that were changed here since.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed_here: Vec<String>,
    /// When it was deleted here since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted_here: Option<String>,
    /// Changes that were sent there and not seen again yet.
    #[serde(skip_serializing_if = "is_zero")]
    pub sent: u64,
    /// Why what came in stands aside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aside: Option<AsideRecord>,
}

/// Why what came in of a record stands aside.
#[derive(Clone, Debug, Serialize)]
pub struct AsideRecord {
    /// `again`, `refused` (by the application's rules), `held` (a person decides) or `bad` (it cannot be mapped).
    pub state: &'static str,
    /// Why, in words.
    pub reason: String,
    /// Since when.
    pub since: String,
    /// How often it was tried again.
    pub tries: u32,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl PulledRecord {
    /// In plain words, without the connector's name.
    pub fn words(&self) -> String {
        let mut words = Vec::new();
        words.extend(match (self.state, &self.agreed) {
            ("deleted", Some(at)) => Some(format!("deleted on both sides, as of {at}")),
            (_, Some(at)) => Some(format!("both sides agreed on it at {at}")),
            (_, None) => Some("both sides have not agreed on it yet".to_owned()),
        });
        words.extend(self.changed_there.as_ref().map(|at| format!("changed there at {at}")));
        words.extend(self.deleted_here.as_ref().map(|at| format!("deleted here since, at {at}")));
        if !self.changed_here.is_empty() {
            words.push(format!("changed here since: {}", self.changed_here.join(", ")));
        }
        match self.sent {
            0 => {}
            1 => words.push("one change was sent there and not seen again yet".to_owned()),
            n => words.push(format!("{n} changes were sent there and not seen again yet")),
        }
        if let Some(AsideRecord { state, reason, since, tries }) = &self.aside {
            let again = match tries {
                0 => String::new(),
                1 => ", tried again once".to_owned(),
                n => format!(", tried again {n} times"),
            };
            words.push(format!("what came in stands aside since {since} ({state}{again}): {reason}"));
        }
        words.join("; ")
    }
}

/// What is known of the record with this key, as JSON, at a connector; none = it is not read, or has never had this record.
pub fn pulled_record(db: &Db, known: &Remembered, kind: &str, key: &str) -> Sql<Option<PulledRecord>> {
    if get(db, known.id)?.is_none() {
        return Ok(None);
    }
    let base = base::get(db, known.id, kind, key)?;
    let changes = change::of(db, known.id, kind, key)?;
    let sent = sent::of(db, known.id, kind, key)?.len() as u64;
    let aside = item::get(db, known.id, key)?;
    if base.is_none() && sent == 0 && aside.is_none() {
        return Ok(None);
    }
    let changed_here: Vec<String> = changes.fields.keys().map(ToString::to_string).collect();
    let state = match &base {
        _ if aside.is_some() => "aside",
        _ if changes.deleted.is_some() || !changed_here.is_empty() => "changed",
        Some(base) if base.held.is_none() => "deleted",
        Some(_) => "agreed",
        None => "sent",
    };
    Ok(Some(PulledRecord {
        connector: known.name.clone(),
        state,
        agreed: base.as_ref().map(|base| base.at.to_string()),
        changed_there: base.and_then(|base| base.updated).map(|at| at.to_string()),
        changed_here,
        deleted_here: changes.deleted.map(|at| at.to_string()),
        sent,
        aside: aside.map(|item| AsideRecord {
            state: item.state.as_str(),
            reason: item.reason.to_string(),
            since: item.since.to_string(),
            tries: item.tries,
        }),
    }))
}
