//! Past events: which logs there are, and where in them to begin.

use crate::cli::failure::{Code, Failure};
use crate::cli::place::Place;
use crate::cli::since;
use crate::clock::Timestamp;
use crate::config::Settings;
use crate::engine::source::{Intake, Source};
use crate::store::capture::{Access, Kind};
use crate::store::state::StateReader;
use crate::store::state::log as logs;

/// From where on.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Past {
    /// Events since then: a time span back from now (1h, 30m, 7d) or a time (2026-03-05T18:00:00Z)
    #[arg(long, value_parser = since::parse, value_name = "TIME", conflicts_with = "from")]
    since: Option<Timestamp>,
    /// Events from this position on; LOG:SEQ when there is more than one database
    #[arg(long, value_parser = position, value_name = "SEQ")]
    from: Option<Position>,
}

/// A position, in a log when it is named.
#[derive(Clone, Debug)]
pub struct Position {
    /// The log; none = the only one.
    pub log: Option<String>,
    /// The position.
    pub seq: i64,
}

/// Reads `SEQ` or `LOG:SEQ`.
pub fn position(text: &str) -> Result<Position, String> {
    let (log, seq) = text.rsplit_once(':').map_or((None, text), |(log, seq)| (Some(log.to_owned()), seq));
    let seq = seq.parse().map_err(|_| format!("`{text}` is no position: write a whole number, or LOG:SEQ"))?;
    Ok(Position { log, seq })
}

/// A log that can be read, without writing anything.
pub struct Log {
    /// Its name.
    pub name: String,
    /// The file it lies in.
    pub file: std::path::PathBuf,
    /// The types of events it knows.
    pub kinds: Vec<Kind>,
    /// Its events.
    pub source: Box<dyn Source>,
}

/// Every log there is: the databases in which something is captured, and the intake once the agent has run.
pub fn open(place: &Place, settings: &Settings) -> Result<Vec<Log>, Failure> {
    let mut found = Vec::new();
    if !settings.databases.is_empty() {
        for mut log in place.logs(settings, Access::Read)? {
            if log.installed()? {
                let (name, file) = (log.name().to_owned(), log.path().to_owned());
                found.push(Log { name, file, kinds: log.kinds()?, source: Box::new(log) });
            } else {
                log::warn!("{}: nothing is captured here yet: `hms-sync watch TABLE`", log.path().display());
            }
        }
    }
    match StateReader::open(&settings.state) {
        Ok(state) => {
            let (name, file) = (logs::INTAKE.to_owned(), settings.state.clone());
            found.push(Log { name, file, kinds: Vec::new(), source: Box::new(Intake::new(state)) });
        }
        Err(crate::store::state::StateError::Absent(_)) => {}
        Err(error) => return Err(error.into()),
    }
    if found.is_empty() {
        let text = "there are no events yet: `hms-sync watch TABLE`, or `hms-sync run`, captures changes";
        return Err(Failure::new(Code::Unavailable, text));
    }
    Ok(found)
}

impl Past {
    /// Whether a place was named.
    pub fn is_named(&self) -> bool {
        self.since.is_some() || self.from.is_some()
    }

    /// The position in a log after which to begin: none when nothing of it is meant. Without a place, its beginning.
    pub fn after(&self, log: &mut Log, settings: &Settings) -> Result<Option<i64>, Failure> {
        let told = |error: crate::engine::source::SourceError| Failure::new(Code::Failed, error.to_string());
        if let Some(since) = self.since {
            return Ok(log.source.first_since(since).map_err(told)?.map(|first| first - 1));
        }
        let Some(from) = &self.from else { return Ok(Some(0)) };
        let here = match (&from.log, settings.databases.as_slice()) {
            (Some(name), _) => *name == log.name,
            (None, [only]) => only.name == log.name,
            (None, []) => true,
            (None, several) => {
                let names: Vec<&str> = several.iter().map(|database| database.name.as_str()).collect();
                let text =
                    format!("--from {}: in which log? Write LOG:{0}; the logs are {}", from.seq, names.join(", "));
                return Err(Failure::new(Code::Usage, text));
            }
        };
        Ok(here.then(|| from.seq.saturating_sub(1)))
    }
}
