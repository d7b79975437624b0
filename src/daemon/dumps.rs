//! An agent that holds secrets leaves none of them in a core file.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// No core file from now on, and nobody but root may look into the memory of this process. The unit says the same by
/// `LimitCORE=0`; this is for whoever runs the agent in another way.
pub fn refuse() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let limited = setrlimit(Resource::Core, none);
    let closed = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    // Either is enough; a filter of system calls may know only one of them.
    if let (Err(error), Err(_)) = (closed, limited) {
        log::warn!("a core file of this process could show secrets: it cannot be forbidden ({error})");
    }
}
