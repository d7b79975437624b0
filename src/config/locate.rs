//! Where things lie when nobody says: the configuration, the state file, the office's name.

use std::path::{Path, PathBuf};

use directories::ProjectDirs;

const SYSTEM: &str = "/etc/hms-sync";
/// Where `systemd/hms-sync.service` keeps the state of that one.
const SYSTEM_STATE: &str = "/var/lib/hms-sync";

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

/// The state file of this `sync.yaml` when `state:` is absent: in the folder that systemd gave (`$STATE_DIRECTORY`); else, of
/// a configuration in `/etc/hms-sync`, where the service keeps it, so that a verb that is typed finds it; else in the
/// platform's state folder + `hms-sync`.
pub(crate) fn state_of(settings: &Path) -> PathBuf {
    let folder = settings.parent().and_then(|folder| folder.strip_prefix(SYSTEM).ok());
    match folder.filter(|folder| folder.components().count() <= 1) {
        Some(instance) if given_state().is_none() => Path::new(SYSTEM_STATE).join(instance).join("state.db"),
        _ => default_state(),
    }
}

/// The folder that systemd gave. A unit may have several, parted by colons.
fn given_state() -> Option<PathBuf> {
    let given = std::env::var_os("STATE_DIRECTORY").and_then(|folders| std::env::split_paths(&folders).next());
    given.filter(|folder| folder.is_absolute())
}

/// The state file when there is no `sync.yaml`.
pub(crate) fn default_state() -> PathBuf {
    let given = given_state();
    let folder =
        given.or_else(|| project().map(|dirs| dirs.state_dir().unwrap_or_else(|| dirs.data_local_dir()).to_owned()));
    folder.unwrap_or_else(|| PathBuf::from(SYSTEM_STATE)).join("state.db")
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
    fn a_verb_that_is_typed_finds_the_state_of_the_service_and_of_each_instance() {
        for (settings, state) in [
            ("/etc/hms-sync/sync.yaml", "/var/lib/hms-sync/state.db"),
            ("/etc/hms-sync/registry/sync.yaml", "/var/lib/hms-sync/registry/state.db"),
        ] {
            assert_eq!(state_of(Path::new(settings)), Path::new(state));
        }
        for elsewhere in ["/etc/hms-sync/a/b/sync.yaml", "/etc/hms-sync.yaml", "/srv/hms/sync.yaml", "sync.yaml"] {
            assert_eq!(state_of(Path::new(elsewhere)), default_state());
        }
    }

    #[test]
    fn an_office_name_is_fit_for_file_names() {
        assert!(is_office("OF042") && is_office(&default_office()));
        for bad in ["", "a b", "../x", ".x", "ä", &"x".repeat(65)] {
            assert!(!is_office(bad), "{bad}");
        }
    }
}
