//! The table that is pulled into: its type, its columns, how its records are named.

use std::sync::Arc;

use super::{Inlet, PullError};
use crate::event::{Record, Value};
use crate::format::json;
use crate::store::capture::{CapturedLog, Fitting};

/// The table that is pulled into.
#[derive(Clone, Debug)]
pub(super) struct Site {
    /// Its event type.
    pub(super) kind: Arc<str>,
    /// What its columns take.
    pub(super) fitting: Fitting,
    /// The columns that both sides may have, without those of the key.
    pub(super) columns: Vec<Arc<str>>,
}

impl Site {
    pub(super) fn of(inlet: &Inlet, log: &mut CapturedLog) -> Result<Site, PullError> {
        let (kind, fitting) = (log.kind_of(&inlet.table)?, log.fitting(&inlet.table)?);
        let mapped = inlet.back.columns();
        let is_mapped = |name: &str| mapped.as_ref().is_none_or(|mapped| mapped.contains(&name));
        let of_key = |name: &Arc<str>| fitting.key().contains(name);
        let columns = fitting.columns().filter(|name| !of_key(name) && is_mapped(name)).cloned().collect();
        Ok(Site { kind, fitting, columns })
    }

    /// A record's key as JSON, as links and conflicts name it.
    pub(super) fn identity(&self, key: &[Value]) -> String {
        let key: Record = self.fitting.key().iter().cloned().zip(key.iter().cloned()).collect();
        String::from_utf8_lossy(&json::value(&Value::Map(key))).into_owned()
    }

    /// The key of such a text; none = it is of another table.
    pub(super) fn key_of(&self, identity: &str) -> Option<Vec<Value>> {
        let Ok(Value::Map(key)) = json::decode(identity.as_bytes()) else { return None };
        self.fitting.key_of(&self.fitting.record(&key).ok()?)
    }
}
