//! Converters: units, dates, case, types.

use crate::event::Value;
use crate::rules::outcome::Reason;

/// One conversion step of a mapping.
#[derive(Clone, Debug)]
pub struct Convert;

impl Convert {
    /// Parses `minutes -> seconds`, `rfc3339 -> %Y%m%d`, `upper`...; `zone` is the IANA zone for local times.
    /// Errors name the nearest known converter.
    pub fn parse(text: &str, zone: Option<&str>) -> Result<Convert, String> {
        let _ = (text, zone);
        todo!()
    }

    /// Converts one value; the reason names the converter, never the value.
    pub fn apply(&self, value: Value) -> Result<Value, Reason> {
        let _ = value;
        todo!()
    }
}
