//! File drops: what was captured leaves as files, one for each cut-off, that a mainframe can take.
//!
//! A drop is a connector whose way out is a file. Its worker gathers changes up to the moment of a cut-off, cuts (one
//! transaction freezes lines, payloads and number), renders what was frozen, and publishes that at each of its outlets.
//! Each step ends in a durable commit, so that a crash repeats a step and never changes what it makes.

pub mod acknowledge;
mod ask;
mod carried;
mod cut;
mod deliver;
mod entry;
mod gather;
mod keys;
mod late;
pub mod outlet;
mod preview;
pub mod progress;
pub mod publish;
mod render;
mod report;
pub mod request;
mod scale;
mod seal;
pub mod sequence;
mod snapshot;
pub mod staged;
mod staging;
mod step;
mod tidy;
pub mod told;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Time;

pub use carried::{Carried, CarriedLine, carried, stands};
pub use gather::{ledger_key, shown_record};
pub use preview::{Preview, Previewed, preview, regenerate};
pub use report::{
    AckLine, DropStatus, FileLine, MemberLine, OutletLine, ack_lines, ago, drop_status, file_line, has_bytes,
    member_lines, needs, next_cut_of,
};
pub use worker::{Parts, Rebuild, StepError, Worker};

use crate::adapter::hook::Hook;
use crate::adapter::pgp::Seal;
use crate::adapter::place::Trouble;
use crate::engine::drop::acknowledge::Ack;
use crate::engine::drop::outlet::Outlet;
use crate::engine::subscription::Subscription;
use crate::format::feed::Feed;
use crate::rules::coalesce::Coalesce;
use crate::rules::cutoff::{CATCH_UP, CutOffs, Missed, Window};
use crate::rules::naming::{Pattern, Rerun, Sequence};
use crate::rules::retry::RetryPolicy;

/// A drop, ready to run.
#[derive(Debug)]
pub struct Drop {
    /// What it hears, and what of it may leave.
    pub subscription: Subscription,
    /// Who else is asked about each record; none = nobody.
    pub hook: Option<Arc<Hook>>,
    /// What its files look like.
    pub feed: Feed,
    /// What goes into a file.
    pub content: Content,
    /// When a file is cut, and when it may leave.
    pub timing: Timing,
    /// How files are called and counted.
    pub naming: Naming,
    /// How files are encrypted; none = they leave as they were rendered.
    pub pgp: Option<Seal>,
    /// Files that go with each data file, before the trigger.
    pub controls: Vec<Beside>,
    /// Where rendered files and the archive lie: a folder of the drop's own beside the state file.
    pub folder: PathBuf,
    /// Where files are published.
    pub outlets: Vec<Outlet>,
    /// The answers of the receiver; none = it gives none.
    pub ack: Option<Ack>,
    /// Back-off of outlets that cannot be reached.
    pub retry: RetryPolicy,
    /// `start: beginning` = a new drop begins with the oldest event that is kept, not now.
    pub from_beginning: bool,
    /// How long published files and what they are made of are kept.
    pub keep: Keep,
    /// SHA-256 of [`Drop::config`].
    pub config_hash: [u8; 32],
    /// The connector's configuration in canonical form, with the text of its copybooks and of its calendar, from which it
    /// can be built again.
    pub config: String,
    /// File it came from, for messages.
    pub file: String,
}

impl Drop {
    /// Reaches every place without changing anything there; what came of it, by the place's name.
    pub fn probe(&self) -> Vec<(String, Result<(), Trouble>)> {
        let outlets = self.outlets.iter().map(|outlet| (outlet.name.clone(), outlet.probe()));
        let answers = self.ack.iter().map(|ack| (format!("answers from {}", ack.outlet), ack.probe()));
        outlets.chain(answers).collect()
    }

    /// Whether the host answers for each file.
    pub fn awaits_answer(&self) -> bool {
        self.ack.is_some()
    }
}

/// How long published files are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// `retain`: for so long after they were published, or answered.
    For(Duration),
    /// `count`: the newest so many.
    Newest(u64),
}

impl Default for Keep {
    /// 400 days.
    fn default() -> Keep {
        Keep::For(Duration::from_secs(400 * 86_400))
    }
}

/// What goes into a file.
#[derive(Clone, Debug, Default)]
pub struct Content {
    /// `extract`: what has changed, or every record.
    pub extract: Extract,
    /// `coalesce`: how several changes of a record become lines.
    pub coalesce: Coalesce,
    /// `when_empty`: what becomes of a cut without a line.
    pub when_empty: WhenEmpty,
    /// `skipped_takes_number: true` = a cut that gives no file uses a number all the same.
    pub skipped_takes_number: bool,
    /// `on_row_error`: what becomes of a row that cannot be encoded.
    pub on_row_error: RowError,
    /// `max_row_errors`: with more such rows than this the whole file is held; none = no limit.
    pub max_row_errors: Option<u64>,
    /// `max_records`: detail records of one file; more become several files. None = no limit.
    pub max_records: Option<u64>,
    /// `max_bytes`: bytes of one file, header and trailer too; more become several files. None = no limit.
    pub max_bytes: Option<u64>,
}

/// Which records a file has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extract {
    /// Those that changed since the last cut.
    #[default]
    Changes,
    /// All that stand in the tables at the cut.
    Snapshot,
}

/// What becomes of a cut without a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenEmpty {
    /// A file without details.
    #[default]
    Send,
    /// No file.
    Skip,
    /// One such file a business date at most.
    SendOncePerDay,
}

/// What becomes of a row that cannot be encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RowError {
    /// It is held, the others go.
    #[default]
    Hold,
    /// The whole file is held.
    FailFile,
}

/// When a file is cut, and when it may leave.
#[derive(Clone, Debug)]
pub struct Timing {
    /// The cut-offs.
    pub cut_offs: CutOffs,
    /// What is done about cuts that were missed.
    pub missed: Missed,
    /// How many missed cuts are made up without asking; default [`CATCH_UP`].
    pub catch_up: usize,
    /// The part of each day in which a connection may be made; none = any time.
    pub window: Option<Window>,
    /// By when a file must be published, for the alarm.
    pub deadline: Option<Time>,
}

impl Timing {
    /// At these cut-offs, with what holds unless the drop says otherwise.
    pub fn at(cut_offs: CutOffs) -> Timing {
        Timing { cut_offs, missed: Missed::default(), catch_up: CATCH_UP, window: None, deadline: None }
    }
}

/// How files are called and counted.
#[derive(Clone, Debug)]
pub struct Naming {
    /// The data file.
    pub name: Pattern,
    /// A file that is made anew from lines of an older one.
    pub rerun: Rerun,
    /// The numbers.
    pub sequence: Sequence,
    /// This installation.
    pub office: String,
    /// What stands behind the name of a file, also behind that of a rerun: `.pgp`.
    pub extension: String,
}

/// A small file that goes with a data file.
#[derive(Clone, Debug)]
pub struct Beside {
    /// Its name.
    pub name: Pattern,
    /// What stands in it.
    pub text: Pattern,
}
