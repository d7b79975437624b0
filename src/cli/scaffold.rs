//! `scaffold connector NAME`, `scaffold adapter NAME`: a commented file to begin with.

use crate::cli::failure::{Code, Failure};
use crate::cli::init::create;
use crate::cli::place::Place;
use crate::cli::{Outcome, output};
use crate::config::template::{self, Subject};
use crate::config::{self, Config};
use crate::store::capture::{Access, CapturedLog};

/// Writes a commented file to begin with
#[derive(Debug, clap::Args)]
pub struct Scaffold {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Writes connectors/NAME.yaml, for the first watched table; never overwrites a file
    Connector {
        /// Its name, of letters, digits, `-`, `_` and `.` only
        #[arg(value_parser = name)]
        name: String,
    },
    /// Writes adapters/NAME.yaml and its fixtures; never overwrites a file
    Adapter {
        /// Its name, of small letters, digits, `-` and `_` only
        #[arg(value_parser = adapter_name)]
        name: String,
    },
}

fn adapter_name(text: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    let fit = (1..=63).contains(&text.len()) && text.chars().all(good) && !text.starts_with(['-', '_']);
    fit.then(|| text.to_owned()).ok_or_else(|| "small letters, digits, - and _, at most 63 of them".to_owned())
}

fn name(text: &str) -> Result<String, String> {
    let good = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    let fit = (1..=64).contains(&text.len()) && text.chars().all(good) && !text.starts_with(['.', '-']);
    fit.then(|| text.to_owned())
        .ok_or_else(|| "it names a file: letters, digits, - _ . and at most 64 of them".to_owned())
}

/// Runs `scaffold`.
pub fn scaffold(place: &Place, scaffold: Scaffold) -> Outcome {
    let path = place.config_path()?;
    if path.is_file() {
        let text = format!(
            "{}: this configuration is one file: a connector stands there under `connectors:`; or give a folder with --config",
            path.display()
        );
        return Err(Failure::new(Code::CannotWrite, text));
    }
    let name = match scaffold.what {
        What::Connector { name } => name,
        What::Adapter { name } => return adapter(place, &path, &name),
    };
    let config = config::load(&path).ok();
    let taken = config
        .iter()
        .flat_map(|config| config.connectors.iter().chain(&config.drops))
        .find(|known| *known.name == *name);
    if let Some(taken) = taken {
        let text = format!("{}: has a connector `{name}` already, which is not overwritten", taken.file);
        return Err(Failure::new(Code::CannotWrite, text));
    }
    let subject = config.as_ref().and_then(subject);
    let written =
        create(&path.join("connectors").join(format!("{name}.yaml")), &template::connector(&name, subject.as_ref()))?;
    if place.json() {
        output::json(&serde_json::json!({ "written": [written] }))?;
    } else if !place.quiet() {
        output::line(&format!("wrote {}", written.display()))?;
        output::line(
            "next: put in its address and what to send, then `hms-sync check` and `hms-sync simulate --since 1h`",
        )?;
    }
    Ok(Code::Ok)
}

fn adapter(place: &Place, folder: &std::path::Path, name: &str) -> Outcome {
    let folder = folder.join("adapters");
    let (file, fixtures) = template::adapter(name);
    let beside = folder.join(format!("{name}{}", config::fixture::BESIDE));
    if beside.exists() {
        return Err(Failure::new(
            Code::CannotWrite,
            format!("{}: is there already, and is not overwritten", beside.display()),
        ));
    }
    let written = [create(&folder.join(format!("{name}.yaml")), &file)?, create(&beside, &fixtures)?];
    if place.json() {
        output::json(&serde_json::json!({ "written": written }))?;
    } else if !place.quiet() {
        written.iter().try_for_each(|path| output::line(&format!("wrote {}", path.display())))?;
        output::line(&format!("next: fill in what says TODO, then `hms-sync adapter test {name}`"))?;
    }
    Ok(Code::Ok)
}

/// The first watched table, with its key as far as the database can be looked at.
fn subject(config: &Config) -> Option<Subject> {
    let watch = config.settings.watch.first()?;
    let database =
        config.settings.databases.iter().find(|known| watch.database.as_ref().is_none_or(|name| *name == known.name));
    let primary = || {
        let database = database?;
        let mut log = CapturedLog::open(&database.name, &database.path, Access::Read).ok()?;
        let found = log.candidates().ok()?.into_iter().find(|found| found.table.eq_ignore_ascii_case(&watch.table))?;
        Some(found.key)
    };
    let key = watch.key.clone().or_else(primary).unwrap_or_default();
    Some(Subject { kind: watch.kind.clone(), key })
}
