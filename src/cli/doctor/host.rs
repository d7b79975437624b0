//! Clock, disk, certificates, secrets: what the agent stands on.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::finding::Findings;
use crate::adapter::pgp;
use crate::adapter::tls::{TlsFiles, validities};
use crate::cli::check::{drops as drop_check, secrets};
use crate::cli::failure::Code;
use crate::clock::{self, Timestamp};
use crate::config::connector::ConnectorSpec;
use crate::config::{Settings, Severity, Way, build};
use crate::rules::clock::{Known, doubt, is_far_ahead};
use crate::rules::room::{Room, room};
use crate::store::state::{StateReader, belief};

/// A certificate that ends within this time should be renewed.
const SOON: Duration = Duration::from_secs(30 * 86_400);

/// Can the clock be believed?
pub fn clock(state: Option<&mut StateReader>, findings: &mut Findings) {
    let known = state.and_then(|state| state.read(belief::known).ok());
    let known = known.unwrap_or(Known { built: clock::BUILT, ..Known::default() });
    let now = clock::now();
    match doubt(now, &known) {
        Some(doubt) => {
            let mend = "set it (NTP); until then nothing is deleted by age, and certificates may look expired";
            findings.bad("clock", "host", doubt.to_string(), mend);
        }
        None if is_far_ahead(now, &known) => {
            let what =
                format!("{now}, far ahead of all that is known; nothing is deleted by age until it is confirmed");
            let mend = "set it if it is wrong; else an answer of a target confirms it, or three days";
            findings.warn("clock", "host", what, mend);
        }
        None => findings.ok("clock", "host", now.to_string()),
    }
}

/// Is there room where the files lie?
pub fn disk(settings: &Settings, findings: &mut Findings) {
    let mut folders: BTreeSet<PathBuf> = BTreeSet::new();
    let files = settings.databases.iter().map(|database| &database.path).chain([&settings.state]);
    folders.extend(files.filter_map(|file| file.parent()).map(|folder| match folder.as_os_str().is_empty() {
        true => PathBuf::from("."),
        false => folder.to_path_buf(),
    }));
    for folder in folders.into_iter().filter(|folder| folder.is_dir()) {
        let name = folder.display().to_string();
        match rustix::fs::statvfs(&folder) {
            Ok(disk) => {
                let (free, all) = (disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize);
                let what = format!("{} MB free of {}", free / 1_000_000, all / 1_000_000);
                match room(free, all) {
                    Room::Enough => findings.ok("disk", &name, what),
                    Room::Little => findings.warn("disk", &name, what, "free space on it before it is full"),
                    Room::TooLittle => {
                        let mend =
                            "free space on it: what cannot be recorded is not sent, and the application cannot write";
                        findings.bad("disk", &name, what, mend);
                        findings.with_code(Code::Disk);
                    }
                }
            }
            Err(error) => findings.bad("disk", &name, format!("cannot be asked: {error}"), "check the mount"),
        }
    }
}

/// Are the certificates valid that the configuration names?
pub fn certificates(settings: &Settings, connectors: &[ConnectorSpec], findings: &mut Findings) {
    for connector in connectors {
        if let Some(endpoint) = connector.endpoint() {
            look_at(&connector.name, &endpoint.tls, findings);
        }
    }
    for (name, credential) in &settings.credentials {
        credential.tls().into_iter().for_each(|tls| look_at(name, tls, findings));
    }
}

fn look_at(owner: &str, tls: &TlsFiles, findings: &mut Findings) {
    let client = tls.client.as_ref();
    for file in tls.ca.iter().chain(&tls.roots).chain(client.map(|client| &client.cert)) {
        match validities(file) {
            // A chain is as good as what ends first.
            Ok(found) => {
                let from = found.iter().map(|validity| validity.from).max();
                let until = found.iter().map(|validity| validity.until).min();
                from.zip(until).into_iter().for_each(|(from, until)| judge(owner, file, from, until, findings));
            }
            Err(error) => {
                findings.bad("certificate", owner, error, "put the file where `tls:` says");
                findings.with_code(Code::Config);
            }
        }
    }
    if let Some(key) = client.map(|client| &client.key)
        && let Ok(metadata) = std::fs::metadata(key)
        && metadata.mode() & 0o077 != 0
    {
        let what = format!("{}: mode {:03o}: others can use this key", key.display(), metadata.mode() & 0o777);
        findings.warn("certificate", owner, what, format!("`chmod 600 {}`", key.display()));
    }
}

fn judge(owner: &str, file: &Path, from: Timestamp, until: Timestamp, findings: &mut Findings) {
    let (file, now) = (file.display(), clock::now());
    if now < from {
        let mend = "check this machine's clock first";
        findings.bad("certificate", owner, format!("{file}: not valid before {from}"), mend);
    } else if until < now {
        findings.bad(
            "certificate",
            owner,
            format!("{file}: expired on {until}"),
            "put a new one in its place, then reload",
        );
    } else if until < now.plus(SOON) {
        findings.warn(
            "certificate",
            owner,
            format!("{file}: ends on {until}"),
            "put a new one in its place, then reload",
        );
    } else {
        findings.ok("certificate", owner, format!("{file}: valid until {until}"));
    }
}

/// Can the keys be used by which files are encrypted?
pub fn keys(connectors: &[ConnectorSpec], online: bool, findings: &mut Findings) {
    let now = clock::now();
    for connector in connectors {
        let Way::Drop(files) = &connector.way else { continue };
        for (_, standing) in drop_check::standings(files, online, now) {
            let (name, called) = (connector.name.to_string(), standing.called());
            let mend = "put one that is valid for longer in its place";
            match &standing.ends {
                // The agent may run as another user, whose secrets these are.
                Err(pgp::Unusable::Secret(why)) => {
                    findings.warn("key", &name, format!("{called} cannot be had here: {why}"), "look at the secret");
                }
                Err(pgp::Unusable::Key(why)) => {
                    findings.bad("key", &name, format!("{called} cannot be used: {why}"), mend);
                    findings.with_code(Code::Config);
                }
                Ok(Some(ends)) if *ends < now.plus(pgp::SOON) => {
                    findings.warn("key", &name, format!("{called} ends at {ends}"), mend);
                }
                Ok(Some(ends)) => findings.ok("key", &name, format!("{called} is valid until {ends}")),
                Ok(None) => findings.ok("key", &name, format!("{called} is valid")),
            }
        }
    }
}

/// Can every secret be had? Programs that print one are run only when `online`.
pub fn secrets(settings: &Settings, online: bool, findings: &mut Findings) {
    let mut problems = Vec::new();
    secrets::look(settings, online, &mut problems);
    if problems.is_empty() && !settings.secrets.is_empty() {
        findings.ok("secrets", &settings.file, format!("{} can be had", settings.secrets.len()));
    }
    for problem in problems {
        let mend = problem.hint.unwrap_or_else(|| "put it where the configuration says".to_owned());
        match problem.severity {
            Severity::Error => {
                findings.bad("secrets", &problem.key, problem.message, mend);
                findings.with_code(Code::Config);
            }
            Severity::Warning => findings.warn("secrets", &problem.key, problem.message, mend),
        }
    }
}

/// Asks every target, without changing anything there.
pub fn targets(settings: &Settings, connectors: Vec<ConnectorSpec>, findings: &mut Findings) {
    // What is wrong with a credential was said.
    let credentials = build::credentials(settings).unwrap_or_default();
    for spec in connectors.into_iter().filter(|spec| spec.strategy.pushes()) {
        let name = spec.name.to_string();
        let credential = spec.endpoint().and_then(|endpoint| endpoint.credential.as_ref());
        if credential.is_some_and(|credential| !credentials.contains_key(credential)) {
            continue;
        }
        match build::connector(spec, settings, &credentials, [0; 32]) {
            Ok(connector) => match connector.adapter.probe() {
                Ok(text) => findings.ok("target", &name, text),
                Err(reason) => {
                    findings.bad(
                        "target",
                        &name,
                        reason.to_string(),
                        "nothing is lost meanwhile: it is tried again by itself",
                    );
                    findings.with_code(Code::Unavailable);
                }
            },
            Err(problems) => findings.failed("target", &name, problems),
        }
    }
}

/// Asks every place where files are published, or answered, without changing anything there.
pub fn places(settings: &Settings, drops: Vec<ConnectorSpec>, findings: &mut Findings) {
    for spec in drops {
        let name = spec.name.to_string();
        match build::drop(spec, settings, [0; 32]) {
            Ok(drop) => {
                for (name, reached) in drop_check::reach(&drop) {
                    match reached {
                        Ok(text) => findings.ok("target", &name, text),
                        Err(text) => {
                            findings.bad(
                                "target",
                                &name,
                                text,
                                "nothing is lost meanwhile: it is tried again by itself",
                            );
                            findings.with_code(Code::Unavailable);
                        }
                    }
                }
            }
            Err(problems) => findings.failed("target", &name, problems),
        }
    }
}
