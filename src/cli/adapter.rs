//! `adapter`: the systems that can be reached, and whether their files do what their fixtures say.

use serde_json::json;

use crate::cli::failure::{Code, Failure};
use crate::cli::place::Place;
use crate::cli::{Outcome, output, test};
use crate::config::adapter;
use crate::config::fixture::{self, PLAIN, Subject};

/// Lists, shows and tests adapters
#[derive(Debug, clap::Args)]
pub struct Adapter {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Lists the adapters, with a line each
    List,
    /// Shows an adapter's file
    Show {
        /// Its name
        name: String,
    },
    /// Lists the adapters whose name or line holds these words
    Search {
        /// Words, in any case
        #[arg(required = true)]
        words: Vec<String>,
    },
    /// Goes through the fixtures of adapters, offline
    ///
    /// Each fixture is a record, the requests that it must make byte for byte, the answers, and what must come of it. No
    /// connection is opened and nothing is written. Ends with 1 when a fixture does not hold. Without a name: all.
    Test {
        /// Names of adapters
        names: Vec<String>,
    },
}

/// The adapters that no file describes.
const BUILT_IN: [(&str, &str); 3] = [
    ("rest", "JSON over https, one record a request or several: the default"),
    ("sftp", "files on a server, by SFTP"),
    ("directory", "files in a folder of this machine"),
];

/// Runs `adapter`.
pub fn adapter(place: &Place, verb: Adapter) -> Outcome {
    match verb.verb {
        Verb::List => list(place, &[]),
        Verb::Search { words } => list(place, &words),
        Verb::Show { name } => show(place, &name),
        Verb::Test { names } => test(place, &names),
    }
}

struct Known {
    name: String,
    about: String,
    place: String,
}

fn known(place: &Place) -> Vec<Known> {
    let folder = place.config_path().ok().filter(|path| path.is_dir());
    let built_in = BUILT_IN.map(|(name, about)| Known {
        name: name.to_owned(),
        about: about.to_owned(),
        place: "built in".to_owned(),
    });
    let described = adapter::all(folder.as_deref()).into_iter().map(|(name, place)| {
        let about = match adapter::text_of(folder.as_deref(), &name).map(|(text, at)| adapter::parse(&text, &at)) {
            Some(Ok(spec)) => spec.about,
            _ => "its file has errors: `adapter test` names them".to_owned(),
        };
        Known { name, about, place }
    });
    built_in.into_iter().chain(described).collect()
}

fn list(place: &Place, words: &[String]) -> Outcome {
    let fits = |known: &Known| {
        let text = format!("{} {}", known.name, known.about).to_lowercase();
        words.iter().all(|word| text.contains(&word.to_lowercase()))
    };
    let found: Vec<Known> = known(place).into_iter().filter(fits).collect();
    if place.json() {
        let each = |known: &Known| json!({"name": known.name, "about": known.about, "from": known.place});
        output::json(&found.iter().map(each).collect::<Vec<_>>())?;
    } else {
        let rows = found.iter().map(|known| vec![known.name.clone(), known.about.clone(), known.place.clone()]);
        output::table(&["NAME", "FOR", "FROM"], rows.collect())?;
    }
    if found.is_empty() {
        let text = format!("no adapter has to do with `{}`: `adapter list` names all", words.join(" "));
        return Err(Failure::new(Code::Failed, text));
    }
    Ok(Code::Ok)
}

fn show(place: &Place, name: &str) -> Outcome {
    let folder = place.config_path().ok().filter(|path| path.is_dir());
    if let Some((_, about)) = BUILT_IN.iter().find(|(known, _)| *known == name) {
        if place.json() {
            output::json(&json!({"name": name, "about": about, "from": "built in"}))?;
        } else {
            output::line(&format!(
                "{name}: {about}; no file describes it: its keys are those of a connector, see `hms-sync scaffold connector NAME` and docs/CONNECTORS.md"
            ))?;
        }
        return Ok(Code::Ok);
    }
    let Some((text, from)) = adapter::text_of(folder.as_deref(), name) else { return Err(unknown(place, name)) };
    if place.json() {
        output::json(&json!({"name": name, "from": from, "file": text}))?;
    } else {
        output::line(text.trim_end())?;
    }
    Ok(Code::Ok)
}

fn unknown(place: &Place, name: &str) -> Failure {
    let names = known(place);
    let hint = crate::rules::nearest::hint(name, names.iter().map(|known| known.name.as_str()));
    Failure::new(Code::Data, format!("there is no adapter `{name}`{hint}"))
}

fn test(place: &Place, names: &[String]) -> Outcome {
    let folder = place.config_path().ok().filter(|path| path.is_dir());
    let all = adapter::all(folder.as_deref());
    if let Some(name) = names.iter().find(|name| *name != PLAIN && all.iter().all(|(known, _)| known != *name)) {
        if BUILT_IN.iter().any(|(known, _)| known == name) {
            let text =
                format!("`{name}` sends files: it has no fixtures (`hms-sync drop preview` shows what would leave)");
            return Err(Failure::new(Code::Data, text));
        }
        return Err(unknown(place, name));
    }
    let wanted = |name: &str| names.is_empty() || names.iter().any(|known| known == name);
    let mut suites = Vec::new();
    if let Some(fixtures) = fixture::of_preset(PLAIN).filter(|_| wanted(PLAIN)) {
        suites.push(fixtures.map_err(Failure::from)?);
    }
    let mut bare = Vec::new();
    for (name, _) in all.iter().filter(|(name, _)| wanted(name)) {
        let Some((text, from)) = adapter::text_of(folder.as_deref(), name) else { continue };
        adapter::parse(&text, &from).map_err(Failure::from)?;
        let own = folder.as_deref().map(fixture::files).unwrap_or_default();
        let mut any = false;
        for file in own {
            let fixtures = fixture::of_file(&file).map_err(Failure::from)?;
            if fixtures.subject == Subject::Adapter(name.clone()) {
                any = true;
                suites.push(fixtures);
            }
        }
        if !any
            && from == "in the program"
            && let Some(fixtures) = fixture::of_preset(name)
        {
            any = true;
            suites.push(fixtures.map_err(Failure::from)?);
        }
        if !any {
            bare.push(name.clone());
        }
    }
    test::go(place, suites, &bare)
}
