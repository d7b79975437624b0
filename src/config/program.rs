//! `endpoint:` of a connector whose adapter runs a program.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use crate::adapter::secret::{SecretRef, SecretSource};
use crate::adapter::spec::exec::Program;
use crate::config::credential;
use crate::config::found::Found;
use crate::config::problem::Place;
use crate::config::settings::SecretPlace;

/// A program, as its section describes it.
#[derive(Clone, Debug)]
pub struct ProgramSpec {
    /// Absolute path.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Where it runs; default `/`.
    pub directory: PathBuf,
    /// Its environment: names, where the secrets are, and where that stands.
    pub environment: Vec<(String, SecretRef, Place)>,
    /// How long a run may take; default [`Program::TIMEOUT`].
    pub timeout: Duration,
}

/// Longest time for a run.
const LONGEST: Duration = Duration::from_secs(3600);

/// What belongs to an address.
const ADDRESS: [&str; 10] =
    ["url", "method", "headers", "delete", "authType", "credentialsId", "proxy", "tls", "plainHttp", "plainMllp"];

/// Reads it: `exec` (path and arguments), `env` (names of variables, each a reference to a secret), `directory`, `timeout`.
pub(crate) fn read(found: &Found<'_>) -> Option<ProgramSpec> {
    let fields = found.fields()?;
    let command = fields.need("exec").map(|found| command(&found));
    let environment = fields.take("env").map(|found| environment(&found)).unwrap_or_default();
    let directory = match fields.take("directory") {
        None => Some(PathBuf::from("/")),
        Some(found) => found.text().and_then(|text| {
            let path = PathBuf::from(text);
            if !path.is_absolute() {
                found.error_hint("is not a full path", "write for example /var/lib/registry");
                return None;
            }
            if !found.source.is_kept() && !path.is_dir() {
                found.warn("there is no such folder here", Some("the program cannot be started without it"));
            }
            Some(path)
        }),
    };
    let timeout = match fields.take("timeout") {
        None => Some(Program::TIMEOUT),
        Some(found) => found.duration().and_then(|length| {
            if length > LONGEST {
                found.error("is longer than an hour");
            }
            (length <= LONGEST).then_some(length)
        }),
    };
    for key in ADDRESS {
        if let Some(found) = fields.take(key) {
            found.error_hint("is for an address, and this adapter runs a program", "leave it out");
        }
    }
    fields.done();
    let (path, arguments) = command??;
    Some(ProgramSpec { path, arguments, directory: directory?, environment, timeout: timeout? })
}

fn command(found: &Found<'_>) -> Option<(PathBuf, Vec<String>)> {
    let mut words = found.texts()?;
    let path = PathBuf::from(words.remove(0));
    if !path.is_absolute() {
        found.error_hint(
            "does not begin with the full path of a program",
            "write for example [/usr/local/bin/registry]; no shell looks for it",
        );
        return None;
    }
    if words.iter().any(|word| word.contains('\0')) {
        found.error("has an argument with a zero byte");
        return None;
    }
    if !found.source.is_kept() {
        look_at(found, &path);
        let named = |word: &String| {
            let word = word.to_ascii_lowercase();
            ["token=", "password=", "secret=", "key=", "passwd="].iter().any(|name| word.contains(name))
        };
        if words.iter().any(named) {
            found.warn("seems to hold a secret, and arguments stand in the process list", Some("put it into `env`"));
        }
    }
    Some((path, words))
}

/// What is wrong with the program, as far as it is seen here.
fn look_at(found: &Found<'_>, path: &std::path::Path) {
    let shown = path.display();
    match std::fs::metadata(path) {
        Err(error) => found.warn(format!("{shown} cannot be run here: {}", error.kind()), None),
        Ok(about) if !about.is_file() => found.warn(format!("{shown} is no program"), None),
        Ok(about) if about.permissions().mode() & 0o111 == 0 => {
            found.warn(format!("{shown} may not be run"), Some(&format!("`chmod +x {shown}`")));
        }
        Ok(about) if about.permissions().mode() & 0o002 != 0 => {
            let hint = format!("`chmod o-w {shown}`");
            found.warn(format!("{shown} can be changed by everybody, and is given records and secrets"), Some(&hint));
        }
        Ok(_) => {}
    }
}

/// `env: {NAME: {credential: ...}}`: nothing but references, so that no secret stands in the file.
fn environment(found: &Found<'_>) -> Vec<(String, SecretRef, Place)> {
    let mut environment: Vec<(String, SecretRef, Place)> = Vec::new();
    for (name, found) in found.entries().unwrap_or_default() {
        let sound = name.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !sound {
            found.error_hint("cannot name a variable", "letters, digits and _");
        } else if name == "PATH" {
            found.error_hint("is given by the agent", "leave it out");
        } else if environment.iter().any(|(known, ..)| known == name) {
            found.error("is given twice");
        } else if let Some(from) = credential::secret(&found) {
            environment.push((name.to_owned(), from, found.place));
        }
    }
    environment
}

impl ProgramSpec {
    /// Ready to be run. No secret is read yet.
    pub fn make(self) -> Program {
        let source = |(name, from, _)| (name, SecretSource::new(from));
        Program {
            path: self.path,
            arguments: self.arguments,
            directory: self.directory,
            environment: self.environment.into_iter().map(source).collect(),
            timeout: self.timeout,
        }
    }

    /// Where its secrets are.
    pub fn secrets(&self) -> Vec<SecretPlace> {
        let place = |(name, from, place): &(String, SecretRef, Place)| SecretPlace {
            credential: format!("env {name}"),
            key: format!("endpoint.env.{name}"),
            place: *place,
            from: from.clone(),
            lines: false,
        };
        self.environment.iter().map(place).collect()
    }
}
