//! A notice: what a channel is told of an alert, as JSON for programs and as text for people. Counts, names and classes;
//! nothing of a record.

use serde::{Deserialize, Serialize};

use crate::rules::alert::{Severity, Step};

/// Version of the JSON: fields may be added to it, none is taken away or changes its meaning.
pub const VERSION: u32 = 1;

/// What a channel is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// [`VERSION`].
    pub version: u32,
    /// Of this notice: the same when it is sent again.
    pub id: String,
    /// Of its alert: the same from its opening to its end.
    pub alert: String,
    /// `opened`, `reminded`, `cleared`; `test` when somebody tries the channel.
    pub event: Step,
    /// The condition's word.
    pub condition: String,
    /// `warning` or `critical`.
    pub severity: Severity,
    /// Name of the installation.
    pub office: String,
    /// What it is about: a connector, a log, a folder.
    pub subject: String,
    /// How many, where there is something to count.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub count: Option<u64>,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub mend: String,
    /// Since when.
    pub since: String,
    /// When the alert was opened.
    pub opened: String,
    /// When this was written.
    pub at: String,
    /// The how manieth notice of its alert, from 1.
    pub nth: u32,
    /// Which program says so.
    pub agent: String,
}

impl Notice {
    /// The JSON.
    pub fn json(&self) -> String {
        // Texts and numbers: this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// One line that says the most: installation, what happened, condition, subject.
    pub fn subject(&self) -> String {
        let count = self.count.filter(|n| *n > 1).map(|n| format!(" ({n})")).unwrap_or_default();
        let word = match self.event {
            Step::Opened | Step::Test => "",
            Step::Reminded => "still: ",
            Step::Cleared => "over: ",
        };
        plain(&format!("[{}] {word}{}: {}{count}", self.office, self.condition, self.subject))
    }

    /// All of it for people.
    pub fn text(&self) -> String {
        let Notice { office, condition, subject, what, mend, since, opened, at, nth, agent, id, .. } = self;
        let (event, severity) = (self.event.as_str(), self.severity.as_str());
        let head = match self.event {
            Step::Cleared => format!("It is over. It was: {}", plain(what)),
            _ => plain(what),
        };
        let mend = if self.event == Step::Cleared { String::new() } else { format!("What to do: {}\n", plain(mend)) };
        let count = self.count.map(|n| format!("Count:     {n}\n")).unwrap_or_default();
        format!(
            "{head}\n{mend}\nOffice:    {}\nCondition: {condition}\nSubject:   {}\n{count}Severity:  {severity}\nEvent:     {event}, notice {nth}\nSince:     {since}\nOpened:    {opened}\nWritten:   {at}\n\n{agent}, {id}\n",
            plain(office),
            plain(subject),
        )
    }
}

/// Names may hold anything: what would break a line or move a cursor becomes a space.
fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A notice of a connector with such a name.
    pub fn of(subject: &str, event: Step) -> Notice {
        Notice {
            version: VERSION,
            id: "OF042-7".to_owned(),
            alert: "OF042/dead-letters/x/1".to_owned(),
            event,
            condition: "dead-letters".to_owned(),
            severity: Severity::Critical,
            office: "OF042".to_owned(),
            subject: subject.to_owned(),
            count: Some(3),
            what: "3 deliveries were refused or given up".to_owned(),
            mend: "look".to_owned(),
            since: "2026-03-05T18:05:00.000Z".to_owned(),
            opened: "2026-03-05T18:05:00.000Z".to_owned(),
            at: "2026-03-05T18:05:00.000Z".to_owned(),
            nth: 1,
            agent: "hms-sync 0.1.0".to_owned(),
        }
    }

    #[test]
    fn a_notice_is_read_as_it_was_written_and_its_subject_names_installation_condition_and_connector() {
        let notice = of("legacy", Step::Opened);
        assert_eq!(serde_json::from_str::<Notice>(&notice.json()).ok().as_ref(), Some(&notice));
        assert_eq!(notice.subject(), "[OF042] dead-letters: legacy (3)");
        assert_eq!(of("legacy", Step::Cleared).subject(), "[OF042] over: dead-letters: legacy (3)");
    }

    #[test]
    fn no_name_breaks_a_line_of_it() {
        let notice = of("a\r\nBcc: x@y\u{1b}[2J", Step::Reminded);
        assert!(!notice.subject().chars().any(char::is_control));
        assert_eq!(notice.text().lines().count(), of("a", Step::Reminded).text().lines().count());
    }
}
