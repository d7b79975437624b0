//! The application beside the agent goes first: its commits do not wait for a processor that a drain keeps busy.

use rustix::process::{getpriority_process, setpriority_process};

/// How far behind the application the agent stands: with a value of 10 it gets a tenth of a processor that both want
/// all the time, and all of one that nobody wants. `Nice=` of the unit says the same.
pub const NICE: i32 = 10;

/// Stands back, with all threads that are begun after this. Whoever has set a priority of his own (`nice`, `Nice=`)
/// keeps it; where a filter of system calls forbids it, everything goes on as it is.
pub fn stand_back() {
    if getpriority_process(None) == Ok(0)
        && let Err(error) = setpriority_process(None, NICE)
    {
        log::debug!("the agent's priority cannot be lowered: {error}");
    }
}
