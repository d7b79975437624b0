//! The name of a file that is sent again.

use super::{Pattern, Place, Stamp};
use crate::rules::outcome::Reason;

/// How a rerun is named. Its sequence is that of the file it repeats; `{rerun}` of a header counts the reruns in any case.
#[derive(Clone, Debug, Default)]
pub enum Rerun {
    /// The same name.
    #[default]
    Same,
    /// The next `{modifier}` of the date for each rerun.
    Modifier,
    /// `{rerun}` in the name itself, as in `G{gen:04}V{rerun:02}`.
    Version,
    /// The same name with something behind it, as `.R{rerun:02}`.
    Suffix(Pattern),
}

impl Rerun {
    /// `same`, `modifier`, `version`, or a suffix with `{rerun}`; `name` is the pattern of the file's name, which must have
    /// the placeholder that changes.
    pub fn parse(text: &str, name: &Pattern) -> Result<Rerun, String> {
        let needs = |placeholder| match name.has(placeholder) {
            true => Ok(()),
            false => Err(format!("rerun `{text}` needs `{{{placeholder}}}` in the name `{name}`")),
        };
        match text {
            "same" => Ok(Rerun::Same),
            "modifier" => needs("modifier").map(|()| Rerun::Modifier),
            "version" => needs("rerun").map(|()| Rerun::Version),
            text if text.contains('{') => {
                let suffix = Pattern::parse(text, Place::Name)?;
                match suffix.has("rerun") {
                    true => Ok(Rerun::Suffix(suffix)),
                    false => Err(format!("the suffix `{text}` needs `{{rerun}}`, or two reruns have the same name")),
                }
            }
            other => Err(format!(
                "`{other}` is not known: write `same`, `modifier`, `version` or a suffix like .R{{rerun:02}}"
            )),
        }
    }

    /// The name of the file, or of its rerun when [`Stamp::rerun`] is not 0.
    pub fn name(&self, pattern: &Pattern, stamp: &Stamp) -> Result<String, Reason> {
        let first = Stamp { rerun: 0, ..stamp.clone() };
        match self {
            Rerun::Version => pattern.name(stamp),
            Rerun::Modifier => pattern.name(&Stamp { modifier: stamp.modifier.saturating_add(stamp.rerun), ..first }),
            Rerun::Suffix(suffix) if stamp.rerun > 0 => Ok(pattern.name(&first)? + &suffix.name(stamp)?),
            Rerun::Same | Rerun::Suffix(_) => pattern.name(&first),
        }
    }
}
