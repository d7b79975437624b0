//! `check`: everything that is wrong with a configuration, at once.

mod tables;

use std::path::PathBuf;

use crate::cli::failure::{Code, Failure};
use crate::cli::place::Place;
use crate::cli::{Outcome, output};
use crate::config::{self, Problem, Severity, build};
use crate::store::capture::Access;

/// Finds everything that is wrong with a configuration
#[derive(Debug, clap::Args)]
pub struct Check {
    /// Also reaches each target (without changing anything there) and looks at the databases
    #[arg(long)]
    online: bool,
    /// Single files instead of the whole configuration
    files: Vec<PathBuf>,
}

/// Runs `check`: 0 when nothing is wrong (warnings are printed), else 78; 69 when only a target cannot be reached.
pub fn check(place: &Place, check: Check) -> Outcome {
    let mut problems: Vec<Problem> = Vec::new();
    let mut reached = Vec::new();
    if check.files.is_empty() {
        match config::load(&place.config_path()?) {
            Ok(mut loaded) => {
                place.apply_database(&mut loaded.settings);
                problems.append(&mut loaded.warnings);
                let credentials = match build::credentials(&loaded.settings) {
                    Ok(credentials) => credentials,
                    Err(wrong) => {
                        problems.extend(wrong.list().iter().cloned());
                        build::Credentials::new()
                    }
                };
                if check.online {
                    for database in &loaded.settings.databases {
                        let opened =
                            crate::store::capture::CapturedLog::open(&database.name, &database.path, Access::Write);
                        reached.push((
                            database.path.display().to_string(),
                            opened.map(|_| "can be read and written".to_owned()).map_err(|error| error.to_string()),
                        ));
                    }
                }
                let columns = tables::look(&loaded.settings, &mut problems);
                for spec in loaded.connectors {
                    let (name, at) = (spec.name.to_string(), spec.mapping_place);
                    match build::connector(spec, &loaded.settings, &credentials, [0; 32]) {
                        Ok(connector) => {
                            tables::compare(&connector, at, &columns, &mut problems);
                            if check.online {
                                reached.push((name, connector.adapter.probe().map_err(|reason| reason.to_string())));
                            }
                        }
                        Err(wrong) => problems.extend(wrong.list().iter().cloned()),
                    }
                }
            }
            Err(wrong) => problems.extend(wrong.list().iter().cloned()),
        }
    } else {
        let settings = match config::locate(None).ok().filter(|path| path.exists()).map(|path| config::load(&path)) {
            Some(Ok(config)) => config.settings,
            _ => config::Settings::default(),
        };
        for file in &check.files {
            match config::check_file(file, &settings) {
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
            &serde_json::json!({ "ok": errors == 0 && unreached == 0, "problems": problems, "targets": targets }),
        )?;
    } else {
        for problem in &problems {
            output::line(&problem.to_string())?;
        }
        for (name, result) in &reached {
            match result {
                Ok(text) => output::line(&format!("{name}: {text}"))?,
                Err(text) => output::line(&format!("{name}: cannot be reached: {text}"))?,
            }
        }
        if errors == 0 && unreached == 0 {
            output::line("ok")?;
        }
    }
    if errors > 0 {
        let text = if errors == 1 { "1 error".to_owned() } else { format!("{errors} errors") };
        return Err(Failure::new(Code::Config, text));
    }
    Ok(if unreached > 0 { Code::Unavailable } else { Code::Ok })
}
