//! What a handler can push to.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::{Push, PushError};
use crate::adapter::Adapter;
use crate::rules::nearest::hint;

/// The ways out, by the names of their connectors; none = it is a file drop.
pub type Outlets = BTreeMap<Arc<str>, Option<Arc<dyn Adapter>>>;

/// The connectors by name; cheap to clone.
#[derive(Clone, Default)]
pub struct Desk {
    connectors: Arc<Outlets>,
}

impl Desk {
    /// One with these connectors.
    pub fn new(connectors: Outlets) -> Desk {
        Desk { connectors: Arc::new(connectors) }
    }

    /// A push of `body` (a JSON object) to a connector: to its own URL when `url` is empty, to a path at its origin when it
    /// begins with `/`, else to `url`, which must be of its origin.
    ///
    /// # Errors
    /// As [`PushError`] says.
    pub fn push(&self, connector: &str, url: &str, body: &[u8]) -> Result<Push, PushError> {
        let Some((name, adapter)) = self.connectors.get_key_value(connector) else {
            let hint = hint(connector, self.connectors.keys().map(|name| &**name));
            return Err(PushError::Unknown { name: connector.to_owned(), hint });
        };
        let adapter = adapter.as_ref().ok_or_else(|| PushError::Drop(connector.to_owned()))?;
        if !url.is_empty() {
            let wrong = |why: &str| PushError::Url { connector: connector.to_owned(), why: why.to_owned() };
            adapter.pushed(url).map_err(|reason| wrong(&reason.text))?;
        }
        Push::new(name.clone(), url, body)
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.connectors.keys()).finish()
    }
}
