//! Where the agent's unix socket is.

use std::path::{Path, PathBuf};

/// Longest path of a unix socket that every system takes (sun_path less its NUL).
const LONGEST: usize = 100;

/// The socket of an agent with this state file when `api.listen` names none: the runtime folder that systemd made,
/// else `$XDG_RUNTIME_DIR`, else beside the state file. The agent writes it down beside its lock, and the command
/// line finds it there.
pub fn default_path(state: &Path) -> PathBuf {
    if let Some(folder) = std::env::var_os("RUNTIME_DIRECTORY").filter(|folder| !folder.is_empty()) {
        let first = folder.to_string_lossy().split(':').next().unwrap_or_default().to_owned();
        return Path::new(&first).join("api.sock");
    }
    let beside = state.with_extension("sock");
    match std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|folder| folder.is_dir()) {
        // Several agents of one user: each socket is named after its state file.
        Some(folder) => folder.join(format!("hms-sync-{:016x}.sock", name_of(state))),
        None if beside.as_os_str().len() > LONGEST => {
            std::env::temp_dir().join(format!("hms-sync-{:016x}.sock", name_of(state)))
        }
        None => beside,
    }
}

fn name_of(state: &Path) -> u64 {
    let path = std::path::absolute(state).unwrap_or_else(|_| state.to_owned());
    let key = [("path", crate::event::Value::from(&*path.to_string_lossy()))].into_iter().collect();
    crate::rules::lane::lane("state", "socket", &key, &[])
}
