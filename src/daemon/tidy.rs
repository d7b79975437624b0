//! The thread that prunes the intake log.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use crate::daemon::trouble::Trouble;
use crate::engine::intake::Tidy;

/// Between two blocks: posts and deliveries go first, and a log that grows by thousands a second is still kept up with.
const BETWEEN: Duration = Duration::from_millis(50);
/// How often is looked when nothing was due.
const SELDOM: Duration = Duration::from_secs(60);

/// Prunes until the other end of `stop` is gone, or a sync has failed.
pub(super) fn tidy(mut tidy: Tidy, stop: &Receiver<()>, trouble: &Trouble) {
    let mut said = String::new();
    loop {
        let pause = match tidy.turn() {
            Ok(more) => {
                said.clear();
                if more { BETWEEN } else { SELDOM }
            }
            Err(error) => {
                if error.is_broken() {
                    trouble.meet();
                    return;
                }
                let text = error.to_string();
                if said != text {
                    log::warn!("the intake log is not pruned: {text}");
                    said = text;
                }
                SELDOM
            }
        };
        match stop.recv_timeout(pause) {
            Err(RecvTimeoutError::Timeout) if !trouble.is_met() => {}
            _ => return,
        }
    }
}
