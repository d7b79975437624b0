//! An event source and how it stands: a line of `status`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::adapter::websocket::Door;
use crate::clock::{Timestamp, now};
use crate::engine::need::Need;
use crate::format::message::Shape;

/// How long a source may be away before a person is told.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// An event source, ready to be followed.
#[derive(Clone, Debug)]
pub struct Inflow {
    /// Its name, unique among the sources: ids of messages and positions are kept under it.
    pub name: String,
    /// The way there.
    pub door: Door,
    /// How its messages are read.
    pub shape: Shape,
    /// How often it is asked whether it is there; silent for twice as long, it counts as dead.
    pub ping: Duration,
}

impl Inflow {
    /// Beat of the pings unless configured.
    pub const PING: Duration = Duration::from_secs(30);
}

/// How it stands with a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// Nobody follows it: the agent does not run.
    #[default]
    Stopped,
    /// It is being connected to for the first time.
    Connecting,
    /// Events come in.
    Connected,
    /// It is away, and connected to again and again.
    Down,
    /// It wants another credential, or its address or certificate is wrong: asked slowly.
    Refused,
}

impl Standing {
    /// The word for people.
    pub fn word(self) -> &'static str {
        match self {
            Standing::Stopped => "stopped",
            Standing::Connecting => "connecting",
            Standing::Connected => "connected",
            Standing::Down => "down",
            Standing::Refused => "refused",
        }
    }
}

/// A source at a glance; the counts are those since the agent started or was reloaded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InflowStatus {
    /// Its name.
    pub source: String,
    /// Its address, without a query.
    pub url: String,
    /// Event types that are asked for.
    pub listen: Vec<String>,
    /// How it stands.
    pub state: Standing,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub since: Option<String>,
    /// Why it is not connected.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// Events that were stored.
    pub received: u64,
    /// Messages that were there already.
    pub duplicates: u64,
    /// Messages that could not be used.
    pub rejected: u64,
    /// When the last event was stored.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last: Option<String>,
}

impl InflowStatus {
    /// Of a source that was not heard from yet.
    pub fn of(source: &Inflow, state: Standing) -> InflowStatus {
        let since = (state != Standing::Stopped).then(|| now().to_string());
        InflowStatus {
            source: source.name.clone(),
            url: source.door.shown().to_owned(),
            listen: source.shape.patterns().to_vec(),
            state,
            since,
            ..InflowStatus::default()
        }
    }

    /// Whether it is followed and not connected.
    pub fn is_away(&self) -> bool {
        !matches!(self.state, Standing::Connected | Standing::Stopped)
    }

    /// What a person must do about it, if anything.
    pub fn need(&self, at: Timestamp) -> Option<Need> {
        let since = self.since.as_deref().and_then(|at| at.parse().ok()).map(Timestamp::from_jiff)?;
        let reason = self.reason.as_deref().unwrap_or("no reason is known");
        let mend = match self.state {
            Standing::Refused => "mend what it names in `events:` or `credentials:` of sync.yaml and reload the agent",
            Standing::Down if at.since(since) >= PATIENCE => {
                "see that the source runs and can be reached: `hms-sync check --online`"
            }
            _ => return None,
        };
        let what = format!("event source {} since {since}: {reason}", self.state.word());
        Some(Need { subject: self.source.clone(), what, mend: mend.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_needs_a_person_at_once_and_an_outage_after_a_quarter_of_an_hour() {
        let minute = |n: u64| Timestamp(0).plus(Duration::from_secs(60 * n));
        let status = |state| InflowStatus {
            source: "ops".to_owned(),
            state,
            since: Some(minute(0).to_string()),
            reason: Some("http-401: no".to_owned()),
            ..InflowStatus::default()
        };
        let need = status(Standing::Refused).need(minute(0));
        assert!(need.is_some_and(|need| need.subject == "ops" && need.what.contains("http-401")));
        assert_eq!(status(Standing::Down).need(minute(14)), None);
        assert!(status(Standing::Down).need(minute(15)).is_some());
        assert_eq!(status(Standing::Connected).need(minute(99)), None);
    }
}
