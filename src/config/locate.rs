//! Where things lie when nobody says: the configuration, the state file, the office's name.

use std::path::{Path, PathBuf};

use directories::ProjectDirs;

const SYSTEM: &str = "/etc/hms-sync";

/// Nothing says where the configuration is.
#[derive(Debug, thiserror::Error)]
#[error("no configuration: give one with --config, or set HMS_SYNC_CONFIG, or write one with `hms-sync init`")]
pub struct Nowhere;

/// Where the configuration is: the flag, `$HMS_SYNC_CONFIG`, `/etc/hms-sync` when it exists, else the platform's
/// configuration folder + `hms-sync`. What it names need not exist.
pub fn locate(flag: Option<&Path>) -> Result<PathBuf, Nowhere> {
    if let Some(path) = flag {
        return Ok(path.to_owned());
    }
    if let Some(path) = std::env::var_os("HMS_SYNC_CONFIG").filter(|path| !path.is_empty()) {
        return Ok(path.into());
    }
    if Path::new(SYSTEM).exists() {
        return Ok(SYSTEM.into());
    }
    project().map(|dirs| dirs.config_dir().to_owned()).ok_or(Nowhere)
}

/// The state file when `state:` is absent: in the folder that systemd gave (`$STATE_DIRECTORY`), else in the
/// platform's state folder + `hms-sync`.
pub(crate) fn default_state() -> PathBuf {
    // A unit may have several, parted by colons.
    let given = std::env::var_os("STATE_DIRECTORY").and_then(|folders| std::env::split_paths(&folders).next());
    let given = given.filter(|folder| folder.is_absolute());
    let folder =
        given.or_else(|| project().map(|dirs| dirs.state_dir().unwrap_or_else(|| dirs.data_local_dir()).to_owned()));
    folder.unwrap_or_else(|| PathBuf::from("/var/lib/hms-sync")).join("state.db")
}

/// The office's name when `office:` is absent: the host's name as far as it may stand in ids and file names, else
/// `office`.
pub(crate) fn default_office() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let host = host.split('.').next().unwrap_or_default();
    if is_office(host) { host.to_owned() } else { "office".to_owned() }
}

/// This machine's name.
pub(crate) fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Whether a text may name an office: it stands in ids and file names.
pub(crate) fn is_office(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    (1..=64).contains(&name.len()) && name.chars().all(good) && !name.starts_with('.')
}

fn project() -> Option<ProjectDirs> {
    ProjectDirs::from("", "", "hms-sync")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_wins_over_everything() {
        assert_eq!(locate(Some(Path::new("x.yaml"))).unwrap(), Path::new("x.yaml"));
    }

    #[test]
    fn an_office_name_is_fit_for_file_names() {
        assert!(is_office("OF042") && is_office(&default_office()));
        for bad in ["", "a b", "../x", ".x", "ä", &"x".repeat(65)] {
            assert!(!is_office(bad), "{bad}");
        }
    }
}
