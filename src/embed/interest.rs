//! What a handler wants to hear.

use crate::rules::listen::Listen;

/// Which events a handler hears, under which name it is remembered, and where it begins. A text is the short form: that type,
/// under its own name, from now on.
///
/// ```
/// use hms_sync::Interest;
///
/// let short: Interest = "appointments".into();
/// let long = Interest::in_types(["appointments.insert", "visits.*"]).named("mailer").from_beginning();
/// ```
#[derive(Clone, Debug)]
pub struct Interest {
    patterns: Vec<String>,
    name: Option<String>,
    pub(super) from_beginning: bool,
}

impl Interest {
    /// Event types as in a connector's `listen`: a watched table (or its `as`), `TABLE.insert`, `TABLE.update`,
    /// `TABLE.delete`, the type of a posted event; `*` stands for any text. None = everything.
    pub fn in_types<T: Into<String>>(types: impl IntoIterator<Item = T>) -> Interest {
        Interest { patterns: types.into_iter().map(Into::into).collect(), name: None, from_beginning: false }
    }

    /// The name under which its position is remembered, and which `hms-sync status` shows as `on_change:NAME`. Default: the
    /// types, joined by commas. Under another name it is another handler, which begins anew.
    pub fn named(self, name: impl Into<String>) -> Interest {
        Interest { name: Some(name.into()), ..self }
    }

    /// A new handler begins with the oldest event that is kept, not with what happens from now on.
    pub fn from_beginning(self) -> Interest {
        Interest { from_beginning: true, ..self }
    }

    /// Its name.
    pub(super) fn name(&self) -> String {
        let types = || if self.patterns.is_empty() { "*".to_owned() } else { self.patterns.join(",") };
        self.name.clone().unwrap_or_else(types)
    }

    /// What it hears; the error says which pattern is none.
    pub(super) fn listen(&self) -> Result<Listen, String> {
        let name = self.name();
        if name.trim().is_empty() || name.chars().any(char::is_control) {
            return Err("a name is some text without control characters".to_owned());
        }
        Listen::parse(&self.patterns)
    }
}

impl From<&str> for Interest {
    fn from(kind: &str) -> Interest {
        Interest::in_types([kind])
    }
}

impl From<String> for Interest {
    fn from(kind: String) -> Interest {
        Interest::in_types([kind])
    }
}
