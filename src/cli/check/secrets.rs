//! `check` against the secrets: is each where the configuration says?

use crate::adapter::secret::{SecretRef, SecretSource};
use crate::config::{Problem, SecretPlace, Settings, Severity};

/// Tries every secret that can be tried here, and notes those that cannot be had; never what they are. Programs are
/// run only when `online`. The agent may run as another user and with another environment: what depends on that is a
/// warning.
pub fn look(settings: &Settings, online: bool, problems: &mut Vec<Problem>) {
    look_at(&settings.file, &settings.secrets, online, problems);
}

/// The same of what another file names.
pub fn look_at(file: &str, secrets: &[SecretPlace], online: bool, problems: &mut Vec<Problem>) {
    for SecretPlace { credential, key, place, from, lines } in secrets {
        if matches!(from, SecretRef::Exec(_)) && !online {
            continue;
        }
        let source = if *lines { SecretSource::with_lines } else { SecretSource::new };
        let Err(why) = source(from.clone()).get() else { continue };
        let (severity, hint) = match from {
            SecretRef::Env(_) => (Severity::Warning, Some("the agent's own environment may differ from this one")),
            SecretRef::Credential(_) if std::env::var_os("CREDENTIALS_DIRECTORY").is_none() => {
                (Severity::Warning, Some("it is tried only where the service manager runs this"))
            }
            _ => (Severity::Error, None),
        };
        problems.push(Problem {
            severity,
            file: file.to_owned(),
            line: place.line,
            column: place.column,
            key: key.clone(),
            message: format!("the secret of `{credential}` cannot be had: {why}"),
            hint: hint.map(str::to_owned),
            disk: false,
        });
    }
}
