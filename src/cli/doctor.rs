//! `doctor`: proves that capture is complete and that what it stands on is sound; `--fix` mends what can be mended.

mod capture;
mod finding;
mod host;
mod mend;
mod queue;

use crate::cli::failure::{Code, Failure};
use crate::cli::place::Place;
use crate::cli::{Outcome, output};
use crate::config::connector::ConnectorSpec;
use crate::config::{self, Settings, Severity, Survey};
use finding::{Findings, Level};

/// Proves that capture is complete and that files, clock, disk and certificates are in order
///
/// Each watched table is compared with what the log has told of it, each connector's sums are added up; nothing is
/// changed. Ends with 0 when nothing is bad. Works while the agent runs and when it does not.
#[derive(Debug, clap::Args)]
pub struct Doctor {
    /// Puts back what is missing of capture, sends what was missed, and closes files that others can read
    #[arg(long)]
    fix: bool,
    /// Also lets SQLite check the whole of both files; in rollback-journal mode the application waits meanwhile
    #[arg(long)]
    deep: bool,
    /// Also reaches each target, without changing anything there, and runs programs that print secrets
    #[arg(long)]
    online: bool,
}

impl Doctor {
    /// `doctor --fix`, which `capture repair` is too.
    pub fn fix() -> Doctor {
        Doctor { fix: true, deep: false, online: false }
    }
}

/// Runs `doctor`: 0 when nothing is bad; else the exit code that all that is bad calls for, or 1.
pub fn doctor(place: &Place, doctor: Doctor) -> Outcome {
    let mut findings = Findings::default();
    let (settings, connectors, drops) = configured(place, &mut findings)?;
    let told = findings.0.len();
    examine(&settings, (&connectors, &drops), &doctor, &mut findings);
    let mut mended = Vec::new();
    if doctor.fix {
        let cures = findings.cures();
        let left = || {
            let mut again = Findings::default();
            examine(&settings, (&connectors, &drops), &Doctor { deep: false, ..doctor }, &mut again);
            again.cures()
        };
        let done = mend::mend(&settings, &cures, &left);
        mended = done.done;
        if !mended.is_empty() {
            findings.0.truncate(told);
            examine(&settings, (&connectors, &drops), &doctor, &mut findings);
        }
        done.failed.into_iter().for_each(|failure| findings.failed("fix", "doctor", failure));
    }
    if doctor.online {
        host::targets(&settings, connectors, &mut findings);
        host::places(&settings, drops, &mut findings);
    }
    let code = findings.code();
    if place.json() {
        output::json(&serde_json::json!({ "ok": code == Code::Ok, "findings": findings.0, "mended": mended }))?;
        return Ok(code);
    }
    for what in mended.iter().filter(|_| !place.quiet()) {
        output::line(&format!("done {what}"))?;
    }
    for finding in findings.0.iter().filter(|finding| !place.quiet() || finding.level != Level::Ok) {
        output::line(&finding.line())?;
    }
    Ok(code)
}

/// The settings, the connectors that make calls and the drops.
type Configured = (Settings, Vec<ConnectorSpec>, Vec<ConnectorSpec>);

/// The configuration, as far as it can be read: what is wrong with it keeps nothing else from being looked at.
fn configured(place: &Place, findings: &mut Findings) -> Result<Configured, Failure> {
    let path = match place.config_path() {
        Ok(path) if path.exists() || place.database().is_none() => path,
        Err(failure) if place.database().is_none() => return Err(failure),
        _ => {
            let mut settings = Settings::default();
            place.apply_database(&mut settings);
            return Ok((settings, Vec::new(), Vec::new()));
        }
    };
    let Survey { settings, connectors, drops, problems, .. } = config::survey(&path);
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    let name = path.display().to_string();
    if errors == 0 {
        findings.ok("configuration", &name, format!("{} connectors", connectors.len()));
    } else {
        let what = if errors == 1 { "1 error".to_owned() } else { format!("{errors} errors") };
        findings.bad("configuration", &name, what, "`hms-sync check` names file and line");
        findings.with_code(Code::Config);
    }
    let Some(mut settings) = settings else {
        return Err(Failure::new(
            Code::Config,
            format!("{name}: cannot be read; `hms-sync check` names file and line"),
        ));
    };
    place.apply_database(&mut settings);
    Ok((settings, connectors, drops))
}

/// What it finds on this machine, a line for each finding.
pub(super) fn told(settings: &Settings, connectors: &[ConnectorSpec], drops: &[ConnectorSpec]) -> String {
    let mut findings = Findings::default();
    examine(settings, (connectors, drops), &Doctor { fix: false, deep: false, online: false }, &mut findings);
    findings.0.iter().map(|finding| finding.line() + "\n").collect()
}

/// Looks at everything on this machine, changes nothing.
fn examine(
    settings: &Settings,
    (connectors, drops): (&[ConnectorSpec], &[ConnectorSpec]),
    doctor: &Doctor,
    findings: &mut Findings,
) {
    let mut state = queue::look(settings, doctor.deep, findings);
    for database in &settings.databases {
        capture::look(database, state.as_mut(), doctor.deep, findings);
    }
    host::clock(state.as_mut(), findings);
    host::disk(settings, findings);
    host::certificates(settings, connectors, findings);
    host::keys(drops, doctor.online, findings);
    host::secrets(settings, doctor.online, findings);
}
