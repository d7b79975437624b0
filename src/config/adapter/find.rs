//! Where adapters are found: in `adapters/` beside the configuration, in the program, or in a configuration that was kept.

use std::path::{Path, PathBuf};

use super::presets::PRESETS;
use crate::config::found::Found;
use crate::config::library;
use crate::config::source::{Source, Unread};
use crate::config::tree::Notation;
use crate::rules::operation::Spec;

/// The extensions of adapters' files.
const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];

/// An adapter that was found.
#[derive(Debug)]
pub(crate) struct Finding {
    /// What its file says.
    pub(crate) spec: Spec,
    /// The text of its file.
    pub(crate) text: String,
}

/// The text of an adapter's file: of one in the folder of a configuration, else of one in the program; with its place.
pub fn text_of(folder: Option<&Path>, name: &str) -> Option<(String, String)> {
    let own = folder
        .into_iter()
        .flat_map(|folder| EXTENSIONS.map(|extension| folder.join("adapters").join(format!("{name}.{extension}"))));
    for path in own {
        if let Ok(text) = library::read(&path) {
            return Some((text, path.display().to_string()));
        }
    }
    let preset = PRESETS.iter().find(|(known, _)| *known == name)?;
    Some((preset.1.to_owned(), "in the program".to_owned()))
}

/// Every adapter that a file describes: the site's own, then those in the program, each with its place.
pub fn all(folder: Option<&Path>) -> Vec<(String, String)> {
    let entries =
        folder.into_iter().flat_map(|folder| folder.join("adapters").read_dir().into_iter().flatten().flatten());
    let own = entries.map(|entry| entry.path()).filter(|path| {
        let name = path.to_string_lossy();
        EXTENSIONS.iter().any(|extension| name.ends_with(&format!(".{extension}")))
            && !name.ends_with(super::super::fixture::BESIDE)
    });
    let mut own: Vec<(String, String)> =
        own.filter_map(|path| Some((path.file_stem()?.to_str()?.to_owned(), path.display().to_string()))).collect();
    own.sort();
    let presets = PRESETS.iter().map(|(name, _)| ((*name).to_owned(), "in the program".to_owned()));
    let presets: Vec<_> = presets.filter(|(name, _)| own.iter().all(|(known, _)| known != name)).collect();
    own.extend(presets);
    own
}

/// What an adapter's file says, or everything that is wrong with it.
pub fn parse(text: &str, place: &str) -> Result<Spec, crate::config::Problems> {
    let source = Source::new(Path::new(place));
    let node = source.parse(text, Notation::of(None, text));
    let spec = node.and_then(|node| super::read(&source.root(&node)));
    let problems = source.into_problems();
    match spec {
        Some(spec) => crate::config::problem::verdict(problems).map(|_| spec),
        None => Err(crate::config::Problems::new(problems)),
    }
}

/// The adapter of a name; what is wrong with its file is noted with the connector's.
pub(crate) fn find(found: &Found<'_>, name: &str, kept: Option<&str>) -> Option<Finding> {
    let (text, source) = match kept {
        Some(text) => (text.to_owned(), Source::kept()),
        None => locate(found, name)?,
    };
    let node = source.parse(&text, Notation::of(None, &text));
    let spec = node.and_then(|node| super::read(&source.root(&node)));
    let failed = source.failed();
    if let Some(spec) = spec.as_ref().filter(|spec| spec.name != name && kept.is_none()) {
        found.warn(format!("the file of `{name}` calls itself `{}`", spec.name), Some("give both one name"));
    }
    found.source.adopt(source.into_problems());
    spec.filter(|_| !failed).map(|spec| Finding { spec, text })
}

fn locate(found: &Found<'_>, name: &str) -> Option<(String, Source)> {
    if name.contains(['/', '\\']) || name.starts_with('.') {
        found.error_hint("is no adapter's name", "put its file into adapters/ and write its name");
        return None;
    }
    let folder = &found.source.folder;
    // Beside the file, and beside the folder that the file is in.
    let above = folder.parent().map_or_else(|| folder.join(".."), Path::to_path_buf);
    let folders = [folder.join("adapters"), above.join("adapters")];
    for path in folders.iter().flat_map(|folder| EXTENSIONS.map(|extension| folder.join(format!("{name}.{extension}"))))
    {
        if !path.is_file() {
            continue;
        }
        return match library::read(&path) {
            Ok(text) => Some((text, Source::new(&path))),
            Err(error) => {
                found.unread(&Unread::new(&path.display().to_string(), &error));
                None
            }
        };
    }
    if let Some((_, text)) = PRESETS.iter().find(|(known, _)| *known == name) {
        return Some(((*text).to_owned(), Source::new(&PathBuf::from(format!("(adapter {name})")))));
    }
    let mut known: Vec<String> = PRESETS.iter().map(|(known, _)| (*known).to_owned()).collect();
    known.extend(["rest", "sftp", "directory"].map(str::to_owned));
    for folder in folders {
        let files = folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
        known.extend(files.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())));
    }
    found.unknown("adapter", name, known.iter().map(String::as_str));
    None
}
