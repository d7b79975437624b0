//! Where a worker reads events: the captured log of a database, or the agent's own intake.

use crate::clock::Timestamp;
use crate::event::Event;
use crate::store::capture::{CaptureError, CapturedLog};
use crate::store::state::{LogId, StateError, StateReader, intake};

/// Why a log could not be read or made durable. The worker waits and tries again; the text says what and where.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct SourceError {
    text: String,
    /// A sync has failed: the agent must end.
    pub broken: bool,
    /// The file is another, and not open yet.
    pub replaced: bool,
}

/// A log, read in order.
pub trait Source: Send {
    /// The events after a position, oldest first: at most `limit`, and about `max_bytes` of values.
    fn read(&mut self, after: i64, limit: usize, max_bytes: usize) -> Result<Vec<Event>, SourceError>;

    /// The highest position in the log.
    fn highest(&mut self) -> Result<i64, SourceError>;

    /// The position below which nothing is kept any more.
    fn floor(&mut self) -> Result<i64, SourceError>;

    /// The position of the first event captured at or after a time.
    fn first_since(&mut self, at: Timestamp) -> Result<Option<i64>, SourceError>;

    /// Makes sure that what was read, up to this position, cannot vanish in a power cut, before it is sent (R-DUR-2).
    ///
    /// # Errors
    /// Also when another file was opened since this was last asked: what was read before was of the old one.
    fn make_durable(&mut self, upto: i64) -> Result<(), SourceError>;

    /// Closes a file that was replaced, so that the new one can be opened.
    fn let_go(&mut self);

    /// What is read next need not follow what was read.
    fn forget(&mut self);
}

/// Every log that a worker reads.
pub type Sources = Vec<(LogId, Box<dyn Source>)>;

/// The intake log in the state file. It is durable when it is stored.
#[derive(Debug)]
pub struct Intake {
    state: StateReader,
}

impl Intake {
    /// Reads the intake log through its own connection.
    pub fn new(state: StateReader) -> Intake {
        Intake { state }
    }
}

impl Source for Intake {
    fn read(&mut self, after: i64, limit: usize, max_bytes: usize) -> Result<Vec<Event>, SourceError> {
        self.state.read(|db| intake::read_some(db, after, limit, max_bytes)).map_err(unread)
    }

    fn highest(&mut self) -> Result<i64, SourceError> {
        self.state.read(intake::highest).map_err(unread)
    }

    fn floor(&mut self) -> Result<i64, SourceError> {
        let lowest = self.state.read(intake::lowest).map_err(unread)?;
        Ok(lowest.map_or(0, |lowest| lowest - 1).max(0))
    }

    fn first_since(&mut self, at: Timestamp) -> Result<Option<i64>, SourceError> {
        self.state.read(|db| intake::first_since(db, at)).map_err(unread)
    }

    fn make_durable(&mut self, _upto: i64) -> Result<(), SourceError> {
        Ok(())
    }

    fn let_go(&mut self) {}

    fn forget(&mut self) {}
}

/// A database's captured log, through a connection of the worker's own. A file that was put in its place is followed
/// before anything is read.
impl Source for CapturedLog {
    fn read(&mut self, after: i64, limit: usize, max_bytes: usize) -> Result<Vec<Event>, SourceError> {
        self.follow().and_then(|_| self.read_on(after, limit, max_bytes)).map_err(told)
    }

    fn highest(&mut self) -> Result<i64, SourceError> {
        self.follow().and_then(|_| self.highest_seq()).map_err(told)
    }

    fn floor(&mut self) -> Result<i64, SourceError> {
        let lowest = self.follow().and_then(|_| self.lowest_seq()).map_err(told)?;
        Ok(lowest.saturating_sub(1).max(0))
    }

    fn first_since(&mut self, at: Timestamp) -> Result<Option<i64>, SourceError> {
        CapturedLog::first_since(self, at).map_err(told)
    }

    fn make_durable(&mut self, upto: i64) -> Result<(), SourceError> {
        self.follow().map_err(told)?;
        if self.has_moved() {
            return Err(told(CaptureError::Replaced { path: self.path().to_path_buf() }));
        }
        self.sync_to(upto).map_err(told)
    }

    fn let_go(&mut self) {
        if let Err(error) = self.yield_file() {
            log::debug!("{}: {error}", self.name());
        }
    }

    fn forget(&mut self) {
        self.forget_read();
    }
}

fn told(error: CaptureError) -> SourceError {
    let replaced = matches!(error, CaptureError::Replaced { .. });
    SourceError { text: error.to_string(), broken: error.is_broken(), replaced }
}

/// Reading syncs nothing.
fn unread(error: StateError) -> SourceError {
    SourceError { text: error.to_string(), broken: false, replaced: false }
}
