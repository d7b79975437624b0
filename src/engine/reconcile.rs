//! The net under capture: keeps the shadow in step with the log, and sends again what the log never told.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::clock;
use crate::engine::need::{self, Need};
use crate::store::capture::{Access, CaptureError, CapturedLog, State};
use crate::store::shadow::{self, Reconcile, Report, ShadowError};
use crate::store::state::ask::{self, Ask};
use crate::store::state::leftover::{self, Leftover};
use crate::store::state::{SideState, StateError};

/// Records compared, or rows taken into the shadow, in one step.
const STEP: usize = 500;
/// Least pause after a step that wrote into the application's file: its own writes and checkpoints go on in between.
const PAUSE: Duration = Duration::from_millis(50);
/// And so many times as long as the step took, where a write is slow: the file is ours for a tenth of the time at most.
const SHARE: u32 = 9;
/// The end of a file that was replaced is tried to be read for so long.
const LAST_READ: Duration = Duration::from_secs(2);

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The shadow, or the application's file.
    #[error(transparent)]
    Shadow(#[from] ShadowError),
    /// The application's file.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The state file.
    #[error(transparent)]
    State(#[from] StateError),
}

impl ReconcileError {
    /// Whether a sync has failed: the agent must end.
    pub fn is_broken(&self) -> bool {
        match self {
            ReconcileError::Capture(error) | ReconcileError::Shadow(ShadowError::Capture(error)) => error.is_broken(),
            ReconcileError::State(error) => error.is_broken(),
            // The shadow is written without syncs.
            ReconcileError::Shadow(_) => false,
        }
    }

    /// As a line of `status`.
    pub fn need(&self, log: &str) -> Need {
        let error = self.to_string();
        match self {
            ReconcileError::State(_) | ReconcileError::Shadow(ShadowError::State(_)) => Need::of(need::STATE, &error),
            _ => Need::of(log, &error),
        }
    }

    /// What the application's file said, if it was that.
    pub fn capture(&self) -> Option<&CaptureError> {
        match self {
            ReconcileError::Capture(error) | ReconcileError::Shadow(ShadowError::Capture(error)) => Some(error),
            _ => None,
        }
    }
}

/// Reconciles the tables of one log. Holds connections of its own: it may take its time.
#[derive(Debug)]
pub struct Reconciler {
    log: CapturedLog,
    side: SideState,
    /// Another file was opened in the task that is under way: whether it is the same log is not known yet.
    moved: bool,
}

impl Reconciler {
    /// Opens its connections.
    pub fn open(name: &str, database: &Path, state: &Path) -> Result<Reconciler, ReconcileError> {
        Ok(Reconciler {
            log: CapturedLog::open(name, database, Access::Write)?,
            side: SideState::open(state)?,
            moved: false,
        })
    }

    /// Follows a file that was put in the place of the one that is open.
    fn follow(&mut self) -> Result<(), ReconcileError> {
        self.let_go()?;
        self.moved |= self.log.follow()?;
        Ok(())
    }

    /// Closes a file that was replaced. What it still tells is taken down first: nobody else can read it any more, and
    /// without it the comparison would miss what was told last. One that was copied over tells a mixture.
    pub fn let_go(&mut self) -> Result<(), ReconcileError> {
        if !self.log.is_current()?
            && self.log.is_readable_still()
            && let Err(error) = self.read_end()
        {
            log::warn!(log:% = self.log.name(); "{}: the end of the file that was replaced could not be read: {error}", self.log.name());
        }
        Ok(self.log.yield_file()?)
    }

    /// Beside the new file's journal SQLite does not read the old one: between two transactions it does.
    fn read_end(&mut self) -> Result<(), ShadowError> {
        let until = clock::steady().plus(LAST_READ);
        loop {
            match shadow::catch_up(self.side.db(), &mut self.log) {
                Err(ShadowError::Capture(CaptureError::HotJournal { .. })) if clock::steady() < until => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                read => return read.map(drop),
            }
        }
    }

    /// Takes tables that are newly watched into the shadow. Nothing is sent for them.
    pub fn fill(&mut self) -> Result<(), ReconcileError> {
        self.follow()?;
        let (db, name) = (self.side.db(), self.log.name().to_owned());
        for watched in self.log.watched()? {
            if matches!(watched.state, State::Dropped | State::Refused(_))
                || shadow::is_filled(db, &name, &watched.kind)?
            {
                continue;
            }
            let rows = shadow::fill(db, &mut self.log, &watched.table, STEP)?;
            log::info!(log:% = name; "{name}: {rows} rows of {} are known", watched.table);
        }
        Ok(())
    }

    /// The tables that are watched.
    pub fn tables(&mut self) -> Result<Vec<String>, ReconcileError> {
        Ok(self.log.watched()?.into_iter().map(|watched| watched.table).collect())
    }

    /// How long until every table is to be compared again: `every` after the last time, which outlives this process. Counts
    /// from now on where it was never noted.
    pub fn next_round(&mut self, every: Duration) -> Result<Duration, ReconcileError> {
        match ask::compared(self.side.db(), self.log.name()).map_err(ShadowError::State)? {
            Some(last) => Ok(every.saturating_sub(clock::now().since(last))),
            None => self.note_round().map(|()| every),
        }
    }

    /// Notes that every table is compared now.
    pub fn note_round(&mut self) -> Result<(), ReconcileError> {
        Ok(ask::set_compared(self.side.db(), self.log.name(), clock::now()).map_err(ShadowError::State)?)
    }

    /// Brings the shadow up to the end of the log.
    pub fn catch_up(&mut self) -> Result<(), ReconcileError> {
        self.follow()?;
        shadow::catch_up(self.side.db(), &mut self.log)?;
        if !std::mem::take(&mut self.moved) {
            let floor = self.log.lowest_seq()?.saturating_sub(1);
            shadow::settle(self.side.db(), self.log.name(), floor)?;
        }
        Ok(())
    }

    /// The file is not the one that was read last: what its log holds up to now is no news to the shadow, which
    /// stays as the picture of what was told. `told` = the highest event of the old log that a target may have had: what
    /// the shadow has not seen of that cannot be read any more, and every record is sent again. `passed` = up to where every
    /// connector had settled it: what the shadow has seen beyond that is owed to some of them, and sent again too.
    pub fn begin_anew(&mut self, told: i64, passed: i64) -> Result<(), ReconcileError> {
        self.follow()?;
        let at = shadow::position(self.side.db(), self.log.name())?;
        shadow::recall(self.side.db(), self.log.name(), passed)?;
        if at < told {
            let (db, name) = (self.side.db(), self.log.name().to_owned());
            for watched in self.log.watched()? {
                let left = Leftover { kind: watched.kind.to_string(), after: at, told };
                leftover::set(db, &name, &left).map_err(ShadowError::State)?;
            }
            log::error!(
                "{}: what was sent between {at} and {told} is not known any more; every record is sent again, but one \
                 that was new then and is not in the file now stays at the targets",
                self.log.name()
            );
            shadow::doubt(self.side.db(), self.log.name())?;
        }
        let highest = self.log.highest_seq()?;
        shadow::set_position(self.side.db(), self.log.name(), highest)?;
        Ok(())
    }

    /// Compares a table with the shadow and sends again what differs. `force` = a person says so: also when very many
    /// records are gone, and what a restore may have left at the targets was looked after.
    ///
    /// # Errors
    /// [`CaptureError::TooManyDeletes`] before anything was written, unless forced: then a note is left that a person
    /// is asked, until a comparison of the table comes to its end.
    pub fn reconcile(&mut self, table: &str, force: bool) -> Result<Report, ReconcileError> {
        self.follow()?;
        let kind = self.log.kind_of(table)?.to_string();
        let compared = self.compare(table, force);
        let (db, name) = (self.side.db(), self.log.name());
        match &compared {
            Ok(_) => {
                ask::clear(db, name, &kind).map_err(ShadowError::State)?;
                if force {
                    leftover::clear(db, name, &kind).map_err(ShadowError::State)?;
                }
            }
            Err(error) => {
                if let Some(&CaptureError::TooManyDeletes { deletes, limit, .. }) = error.capture() {
                    ask::set(db, name, &Ask { kind, deletes, limit }).map_err(ShadowError::State)?;
                }
            }
        }
        compared
    }

    fn compare(&mut self, table: &str, force: bool) -> Result<Report, ReconcileError> {
        let mut run = Reconcile::new(&mut self.log, table, force)?;
        loop {
            let written = run.report().images + run.report().deletes;
            let began = Instant::now();
            if !self.log.is_current()? {
                return Err(CaptureError::Replaced { path: self.log.path().to_path_buf() }.into());
            }
            if run.step(self.side.db(), &mut self.log, STEP)? {
                return Ok(run.report());
            }
            if run.report().images + run.report().deletes > written {
                std::thread::sleep(PAUSE.max(began.elapsed() * SHARE));
            }
        }
    }
}
