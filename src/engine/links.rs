//! What earlier deliveries of a record left behind, for an adapter that needs it.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use crate::adapter::Links;
use crate::store::state::{ConnectorId, StateReader, link};

/// The links of one connector. What a delivery left is committed before the next one of its record is sent.
pub struct Kept {
    connector: ConnectorId,
    reader: Mutex<StateReader>,
}

impl Kept {
    /// Reads by a connection of its own.
    pub fn new(connector: ConnectorId, reader: StateReader) -> Kept {
        Kept { connector, reader: Mutex::new(reader) }
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kept({})", self.connector.0)
    }
}

impl Links for Kept {
    fn of(&self, kind: &str, key: &str) -> Result<Vec<(String, String)>, String> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        reader.read(|db| link::of(db, self.connector, kind, key)).map_err(|error| error.to_string())
    }
}
