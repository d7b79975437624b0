//! `check`: everything that is wrong with a configuration, at once.

pub(super) mod conflicts;
pub(super) mod drops;
mod names;
mod reading;
pub(super) mod secrets;
pub(super) mod tables;

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cli::failure::{Code, Failure};
use crate::cli::place::Place;
use crate::cli::{Outcome, output};
use crate::config::channels::channels;
use crate::config::{self, Problem, Settings, Severity, Survey, Way, build, problem};
use crate::engine::connector::{Connector, Pace};
use crate::rules::nearest::hint;
use crate::store::capture::{Access, CapturedLog};
use crate::store::state::{StateReader, connector, cursor};

/// Finds everything that is wrong with a configuration
#[derive(Debug, clap::Args)]
pub struct Check {
    /// Also reaches each target (without changing anything there) and looks at the databases
    #[arg(long)]
    online: bool,
    /// Single files instead of the whole configuration
    files: Vec<PathBuf>,
}

/// Runs `check`: 0 when nothing is wrong (warnings are printed), else 78, or 74 when the disk fails under a file; 69 when only
/// a target cannot be reached.
pub fn check(place: &Place, check: Check) -> Outcome {
    let (mut problems, mut reached, mut plans) = (Vec::new(), Vec::new(), Vec::new());
    if check.files.is_empty() {
        let path = place.config_path()?;
        whole(place, &path, check.online, &mut problems, &mut reached, &mut plans);
    } else {
        let settings = beside(place, &mut problems);
        for file in &check.files {
            match config::check_file(file, settings.as_ref()) {
                Ok(warnings) => problems.extend(warnings),
                Err(wrong) => problems.extend(wrong.list().iter().cloned()),
            }
        }
    }
    problems.sort_by(|a, b| (&a.file, a.line, a.column, &a.message).cmp(&(&b.file, b.line, b.column, &b.message)));
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    let unreached = reached.iter().filter(|(_, result)| result.is_err()).count();
    if place.json() {
        let targets: Vec<_> = reached
            .iter()
            .map(|(name, result)| match result {
                Ok(text) => serde_json::json!({ "target": name, "reached": true, "text": text }),
                Err(text) => serde_json::json!({ "target": name, "reached": false, "text": text }),
            })
            .collect();
        output::json(
            &serde_json::json!({ "ok": errors == 0 && unreached == 0, "problems": problems, "targets": targets, "connectors": plans }),
        )?;
    } else {
        for problem in &problems {
            output::line(&problem.to_string())?;
        }
        for (name, result) in &reached {
            match result {
                Ok(_) if place.quiet() => {}
                Ok(text) => output::line(&format!("{name}: {text}"))?,
                Err(text) => output::line(&format!("{name}: cannot be reached: {text}"))?,
            }
        }
        if errors == 0 && !place.quiet() {
            plans.iter().try_for_each(|plan| output::line(&plan.line()))?;
        }
        if errors == 0 && unreached == 0 && !place.quiet() {
            output::line("ok")?;
        }
    }
    if errors > 0 {
        let text = if errors == 1 { "1 error".to_owned() } else { format!("{errors} errors") };
        let disk = problems.iter().any(|problem| problem.disk);
        return Err(Failure::new(if disk { Code::Disk } else { Code::Config }, text));
    }
    Ok(if unreached > 0 { Code::Unavailable } else { Code::Ok })
}

/// What a connector will do, in words.
#[derive(Serialize)]
struct Plan {
    connector: String,
    listen: Vec<String>,
    target: String,
    when: String,
    /// `now` or `beginning` for one that never ran, else `on`.
    start: &'static str,
    /// A drop's next cut-off.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl Plan {
    fn of(connector: &Connector) -> Plan {
        Plan {
            connector: connector.name.to_string(),
            listen: connector.subscription.listen.patterns().to_vec(),
            target: connector.adapter.origin().to_owned(),
            when: match &connector.pace {
                Pace::Stream => "when the application commits".to_owned(),
                Pace::Schedule(schedule) => schedule.describe(),
            },
            start: if connector.from_beginning { "beginning" } else { "now" },
            next: None,
        }
    }

    fn line(&self) -> String {
        let listen = if self.listen.is_empty() { "everything".to_owned() } else { self.listen.join(", ") };
        let start = match self.start {
            "on" => "it goes on where it stands",
            "now" => "new, it begins now",
            _ => "new, it begins with the oldest event that is kept",
        };
        let next = self.next.as_ref().map(|next| format!(", the next at {next}")).unwrap_or_default();
        format!("{}: {listen} -> {}, {}{next}; {start}", self.connector, self.target, self.when)
    }
}

/// Of connectors that have run before, the state file says where they go on. One that cannot be read is for `doctor`.
fn go_on(state: &Path, plans: &mut [Plan]) {
    let Ok(mut state) = StateReader::open(state) else { return };
    for plan in plans {
        let begun = state.read(|db| match connector::find(db, &plan.connector)? {
            Some(known) => Ok(!cursor::of(db, known.id)?.is_empty()),
            None => Ok(false),
        });
        if begun.unwrap_or(false) {
            plan.start = "on";
        }
    }
}

/// What a target or a database says, by name.
type Reached = Vec<(String, Result<String, String>)>;

/// Checks the whole configuration: what could be read of it is compared with tables and secrets although other parts
/// are wrong.
fn whole(
    place: &Place,
    path: &Path,
    online: bool,
    problems: &mut Vec<Problem>,
    reached: &mut Reached,
    plans: &mut Vec<Plan>,
) {
    let Survey { settings, connectors, drops, conflicts: rules, problems: found } = config::survey(path);
    let sound = found.iter().all(|problem| problem.severity != Severity::Error);
    problems.extend(found);
    let Some(mut settings) = settings else { return };
    place.apply_database(&mut settings);
    if sound && connectors.is_empty() && drops.is_empty() {
        problems.push(nothing_to_run(&settings));
    }
    secrets::look(&settings, online, problems);
    let credentials = build::credentials(&settings).unwrap_or_else(|wrong| {
        problems.extend(wrong.list().iter().cloned());
        build::Credentials::new()
    });
    if online {
        for database in &settings.databases {
            let opened = CapturedLog::open(&database.name, &database.path, Access::Write);
            reached.push((
                database.path.display().to_string(),
                opened.map(|_| "can be read and written".to_owned()).map_err(|error| error.to_string()),
            ));
        }
    }
    match build::sources(&settings, &credentials) {
        Ok(sources) if online => reached.extend(sources.iter().map(|source| {
            let probed = source.door.probe().map_err(|reason| reason.to_string());
            (format!("event source {}", source.name), probed)
        })),
        Ok(_) => {}
        // A credential that could not be made was told of.
        Err(_) if credentials.len() < settings.credentials.len() => {}
        Err(wrong) => problems.extend(wrong.list().iter().cloned()),
    }
    match channels(&settings, &credentials) {
        Err(wrong) if credentials.len() == settings.credentials.len() => problems.extend(wrong.list().iter().cloned()),
        _ => {}
    }
    let names = || connectors.iter().chain(&drops).map(|spec| &*spec.name);
    problems.extend(strangers(&settings, names));
    let (columns, keys) = tables::look(&settings, problems);
    conflicts::look(&rules, &settings, &conflicts::Callers::of(connectors.iter().chain(&drops)), problems);
    for mut spec in connectors {
        let (name, lines) = (spec.name.to_string(), std::mem::take(&mut spec.mapping_lines));
        secrets::look_at(&spec.file, &spec.secrets(), online, problems);
        let at = spec.mapping_place;
        reading::look(&spec, &settings, &keys, problems);
        names::look(&spec, &columns, &keys, problems);
        let places = std::mem::take(&mut spec.endpoint_places);
        let url = places.iter().find(|(key, _)| key == "url").map_or(at, |(_, place)| *place);
        let placed = |problem: &Problem| at_key(problem, &places);
        // What is wrong with its credential was said; the rest of the connector can be looked at without one.
        let nameless = match &mut spec.way {
            Way::Rest(endpoint) => endpoint.credential.take_if(|name| !credentials.contains_key(name)).is_some(),
            Way::Spec(described) => match &mut described.target {
                config::connector::Target::Address { endpoint, .. } => {
                    endpoint.credential.take_if(|name| !credentials.contains_key(name)).is_some()
                }
                config::connector::Target::Program(_) => false,
            },
            Way::Drop(_) | Way::Inbox => false,
        };
        if let Err(wrong) = build::source_of(&spec, &settings, &credentials) {
            problems.extend(wrong.list().iter().map(placed));
            continue;
        }
        if matches!(spec.way, Way::Inbox) {
            continue;
        }
        match build::connector(spec, &settings, &credentials, [0; 32]) {
            Ok(connector) => {
                plans.push(Plan::of(&connector));
                let reads = connector.adapter.fields();
                tables::compare(&connector.file, &connector.subscription, reads, (at, &lines, url), &columns, problems);
                if let (true, Some(hook)) = (online, &connector.hook) {
                    reached.push((format!("hook of {name}"), hook.probe().map_err(|reason| reason.to_string())));
                }
                if online && !nameless {
                    reached.push((name, connector.adapter.probe().map_err(|reason| reason.to_string())));
                }
            }
            Err(wrong) => problems.extend(wrong.list().iter().map(placed)),
        }
    }
    for spec in drops {
        names::look(&spec, &columns, &keys, problems);
        let drop = drops::look(spec, &settings, &columns, online.then_some(&mut *reached), problems);
        if online && let Some((_, drop)) = &drop {
            reached.extend(drops::reach(drop));
        }
        plans.extend(drop.map(|(plan, _)| plan));
    }
    go_on(&settings.state, plans);
}

/// A problem of an endpoint that came up when it was made, at the place of its key.
fn at_key(problem: &Problem, places: &[(String, problem::Place)]) -> Problem {
    let key = problem.key.strip_prefix("endpoint.").and_then(|rest| rest.split('.').next());
    let place = places.iter().find(|(known, _)| Some(known.as_str()) == key).map(|(_, place)| *place);
    match place.filter(|_| problem.line == 0) {
        Some(place) => Problem { line: place.line, column: place.column, ..problem.clone() },
        None => problem.clone(),
    }
}

/// Names in `alertAfter` that no connector has: what they say holds for nobody.
fn strangers<'n, N: Iterator<Item = &'n str>>(settings: &Settings, names: impl Fn() -> N) -> Vec<Problem> {
    let unknown = settings.alert_after.connectors.keys().filter(|name| !names().any(|known| known == *name));
    let problem = |name: &String| Problem {
        severity: Severity::Warning,
        file: settings.file.clone(),
        line: 0,
        column: 0,
        key: format!("alertAfter.connectors.{name}"),
        message: format!("there is no connector `{name}`{}", hint(name, names())),
        hint: None,
        disk: false,
    };
    unknown.map(problem).collect()
}

/// An empty configuration is no mistake, but nothing happens with it.
fn nothing_to_run(settings: &Settings) -> Problem {
    let what = if settings.databases.is_empty() { "names no database and no connector" } else { "has no connector" };
    Problem {
        severity: Severity::Warning,
        file: settings.file.clone(),
        line: 0,
        column: 0,
        key: String::new(),
        message: format!("{what} yet: there is nothing to run"),
        hint: Some("`hms-sync scaffold connector NAME` writes one".to_owned()),
        disk: false,
    }
}

/// The settings that single files stand beside: those of the configuration that is named or lies at the usual place.
/// None when they cannot be read.
fn beside(place: &Place, problems: &mut Vec<Problem>) -> Option<Settings> {
    let path = place.config_path().ok()?;
    if !path.exists() && (!place.is_named() || place.database().is_some()) {
        return Some(Settings::default());
    }
    let Survey { settings, problems: found, .. } = config::survey(&path);
    if settings.is_none() {
        problems.extend(found.into_iter().filter(|problem| problem.severity == Severity::Error));
    }
    settings
}
