//! A command that sees another clock, by libfaketime.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

/// The command under a clock that is not set yet: `FAKETIME` or `FAKETIME_TIMESTAMP_FILE` says which. What measures
/// spans of time sees the real one.
pub fn under(plain: &Command) -> Command {
    static LIBRARY: LazyLock<String> = LazyLock::new(|| {
        // The wrapper would stand between us and the command: it only says where its library is.
        let wrapper = Command::new("faketime").args(["-f", "+0", "printenv", "LD_PRELOAD"]).output();
        let library = wrapper.expect("install the package `faketime`, or use tests/run, which does").stdout;
        String::from_utf8(library).unwrap().trim().to_owned()
    });
    sweep();
    let mut command = Command::new(plain.get_program());
    command.args(plain.get_args());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env("LD_PRELOAD", &*LIBRARY).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    command
}

/// Removes what processes that were killed have left in shared memory: under a number that is given again the library
/// finds it, and fakes nothing.
fn sweep() {
    for entry in fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let left = ["faketime_shm_", "sem.faketime_sem_"].iter().find_map(|begin| name.strip_prefix(begin));
        if left.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            // Another test may have been faster.
            let _ = fs::remove_file(entry.path());
        }
    }
}
