//! A connector, ready to run: the validated parts that the configuration builds.

use std::path::PathBuf;
use std::sync::Arc;

use crate::adapter::Adapter;
use crate::adapter::hook::Hook;
use crate::engine::subscription::Subscription;
use crate::rules::batch::{Batch, Shape};
use crate::rules::rate::Rate;
use crate::rules::retry::RetryPolicy;
use crate::rules::schedule::Schedule;

/// Everything that one connector needs to deliver.
#[derive(Debug)]
pub struct Connector {
    /// Unique name.
    pub name: Arc<str>,
    /// What it hears, and what of it may leave.
    pub subscription: Subscription,
    /// Who else is asked about each payload; none = nobody.
    pub hook: Option<Arc<Hook>>,
    /// The way out.
    pub adapter: Arc<dyn Adapter>,
    /// Files of its credential and of its TLS settings: when one changes, a halt may be over.
    pub keys: Vec<PathBuf>,
    /// When it runs.
    pub pace: Pace,
    /// Back-off and limits.
    pub retry: RetryPolicy,
    /// Requests in flight; default [`Connector::CONCURRENCY`].
    pub concurrency: usize,
    /// Several events in one request; none = one event, one request.
    pub batch: Option<Batch>,
    /// At most so many sends.
    pub rate: Option<Rate>,
    /// `onDead: continue` = later changes of a record do not wait behind its dead letter.
    pub continue_on_dead: bool,
    /// `serial: true` = the whole log in order, one at a time.
    pub serial: bool,
    /// `start: beginning` = a new connector begins with the oldest event that is kept, not now.
    pub from_beginning: bool,
    /// SHA-256 of [`Connector::config`]: which configuration encoded an attempt.
    pub config_hash: [u8; 32],
    /// The connector's configuration in canonical form, from which it can be built again.
    pub config: String,
    /// File it came from, for messages.
    pub file: String,
}

impl Connector {
    /// Requests in flight when the connector does not say.
    pub const CONCURRENCY: usize = 4;

    /// How its records stand in a request.
    pub fn shape(&self) -> Shape {
        self.batch.map_or(Shape::Alone, |batch| batch.shape)
    }
}

/// When a connector delivers.
#[derive(Clone, Debug)]
pub enum Pace {
    /// As soon as the application commits.
    Stream,
    /// At the times of a schedule, everything that waits.
    Schedule(Schedule),
}
