//! Header fields of an answer, for those who look for one by its name.

use std::fmt;

/// Names and values as sent. They may hold a session: `Debug` shows names only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Fields(Vec<(String, String)>);

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Fields {
    /// Adds one; a value that is no visible ASCII is as good as absent.
    pub(in crate::adapter) fn add(&mut self, name: &str, value: &[u8]) {
        let visible = value.iter().all(|byte| (0x20..0x7f).contains(byte) || *byte == b'\t');
        if let Ok(value) = std::str::from_utf8(value)
            && visible
        {
            self.0.push((name.to_owned(), value.to_owned()));
        }
    }

    /// The values of a field, in order.
    pub fn all<'f>(&'f self, name: &'f str) -> impl Iterator<Item = &'f str> {
        self.0.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The first value of a field.
    pub fn one(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}
