//! What is noted durably of a publication, so that a later run knows what an earlier one may have done.
//!
//! As text, for a ledger: `data:us control-1:usp trigger:`, with `u` for uploaded, `s` for sent, `p` for published.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::rules::publish::Memory;

/// One file of a publication. They are published in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The data.
    Data,
    /// A control file, counted from 1.
    Control(u16),
    /// The trigger file, strictly last.
    Trigger,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Data => f.write_str("data"),
            Part::Control(number) => write!(f, "control-{number}"),
            Part::Trigger => f.write_str("trigger"),
        }
    }
}

impl FromStr for Part {
    type Err = NotNoted;

    fn from_str(text: &str) -> Result<Part, NotNoted> {
        match text {
            "data" => Ok(Part::Data),
            "trigger" => Ok(Part::Trigger),
            text => {
                let number = text.strip_prefix("control-").and_then(|number| number.parse().ok());
                number.map(Part::Control).ok_or(NotNoted)
            }
        }
    }
}

/// What happened, or is about to happen, to one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mark {
    /// It was written, closed without an error, and verified.
    Uploaded,
    /// The request that makes the final name appear is about to leave. Noted before it does.
    Sent,
    /// The destination refused that request, and it was seen that nothing came of it: as if never sent.
    Refused,
    /// It is published.
    Published,
}

/// One thing to note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Step {
    /// Of which file.
    pub part: Part,
    /// What.
    pub mark: Mark,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.mark {
            Mark::Uploaded => "uploaded",
            Mark::Sent => "about to be sent",
            Mark::Refused => "refused",
            Mark::Published => "published",
        };
        write!(f, "{} {mark}", self.part)
    }
}

/// What was noted of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct File {
    /// For [`super::next`].
    pub memory: Memory,
    /// Nothing more is to be done.
    pub published: bool,
}

/// Everything that was noted of one publication at one destination.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Noted(BTreeMap<Part, File>);

impl Noted {
    /// What was noted of a file.
    pub fn of(&self, part: Part) -> File {
        self.0.get(&part).copied().unwrap_or_default()
    }

    /// Adds a step.
    pub fn add(&mut self, step: Step) {
        let file = self.0.entry(step.part).or_default();
        match step.mark {
            Mark::Uploaded => file.memory.uploaded = true,
            Mark::Sent => file.memory.sent = true,
            Mark::Refused => file.memory.sent = false,
            Mark::Published => file.published = true,
        }
    }
}

impl FromIterator<Step> for Noted {
    fn from_iter<I: IntoIterator<Item = Step>>(steps: I) -> Noted {
        let mut noted = Noted::default();
        steps.into_iter().for_each(|step| noted.add(step));
        noted
    }
}

impl fmt::Display for Noted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (part, file)) in self.0.iter().enumerate() {
            let space = if at == 0 { "" } else { " " };
            write!(f, "{space}{part}:")?;
            for (set, letter) in [(file.memory.uploaded, 'u'), (file.memory.sent, 's'), (file.published, 'p')] {
                if set {
                    write!(f, "{letter}")?;
                }
            }
        }
        Ok(())
    }
}

/// A text that no [`Noted`] wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotNoted;

impl fmt::Display for NotNoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the notes of a publication cannot be read")
    }
}

impl std::error::Error for NotNoted {}

impl FromStr for Noted {
    type Err = NotNoted;

    fn from_str(text: &str) -> Result<Noted, NotNoted> {
        let mut noted = Noted::default();
        for word in text.split_whitespace() {
            let (part, letters) = word.split_once(':').ok_or(NotNoted)?;
            let mut file = File::default();
            for letter in letters.chars() {
                match letter {
                    'u' => file.memory.uploaded = true,
                    's' => file.memory.sent = true,
                    'p' => file.published = true,
                    _ => return Err(NotNoted),
                }
            }
            noted.0.insert(part.parse()?, file);
        }
        Ok(noted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_read_as_they_were_written() {
        let step = |part, mark| Step { part, mark };
        let mut noted: Noted = [
            step(Part::Data, Mark::Uploaded),
            step(Part::Data, Mark::Sent),
            step(Part::Control(1), Mark::Sent),
            step(Part::Control(1), Mark::Refused),
            step(Part::Trigger, Mark::Published),
        ]
        .into_iter()
        .collect();
        assert_eq!(noted.to_string(), "data:us control-1: trigger:p");
        assert_eq!(noted.to_string().parse(), Ok(noted.clone()));
        noted.add(step(Part::Data, Mark::Published));
        assert_eq!(noted.to_string().parse(), Ok(noted));
        assert_eq!("".parse(), Ok(Noted::default()));
        for text in ["data", "data:x", "other:u", "control-:u", "control-x:"] {
            assert_eq!(text.parse::<Noted>(), Err(NotNoted), "{text}");
        }
    }

    #[test]
    fn the_trigger_comes_after_everything_else() {
        let mut parts = [Part::Trigger, Part::Control(10), Part::Data, Part::Control(9)];
        parts.sort();
        assert_eq!(parts, [Part::Data, Part::Control(9), Part::Control(10), Part::Trigger]);
    }
}
