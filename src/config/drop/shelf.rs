//! Copybooks and calendars: found beside the configuration, or in a configuration that was kept.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::config::fields::Fields;
use crate::config::found::Found;
use crate::config::library::{self, Library};
use crate::config::source::Unread;
use crate::config::tree::Value;

/// The key of `drop:` under which the texts of other files are kept. No person writes it.
pub(crate) const EMBEDDED: &str = "embedded";

/// The texts of the files that a drop was made from, by the names that it has for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Embedded {
    /// Copybooks, those that others copy too.
    pub copybooks: BTreeMap<String, String>,
    /// The calendar.
    pub calendars: BTreeMap<String, String>,
}

/// Where a drop finds its files.
#[derive(Debug)]
pub(crate) struct Shelf {
    folder: PathBuf,
    /// What was kept; then nothing is looked for on disk.
    kept: Option<Embedded>,
    used: RefCell<Embedded>,
}

impl Shelf {
    pub(crate) fn of(fields: &Fields<'_>) -> Shelf {
        let source = fields.section().source;
        let kept = if source.is_kept() { fields.take(EMBEDDED).map(|found| kept(&found)) } else { None };
        Shelf { folder: source.folder.clone(), kept, used: RefCell::default() }
    }

    /// What was used.
    pub(crate) fn into_embedded(self) -> Embedded {
        self.used.into_inner()
    }

    /// The folders of that name: beside the file, and beside the folder that the file is in.
    fn folders(&self, name: &str) -> Vec<PathBuf> {
        vec![self.folder.join(name), self.folder.join("..").join(name), self.folder.clone()]
    }

    /// The text of a copybook, by its name in one of the folders or by its path.
    pub(crate) fn copybook(&self, name: &str, folders: &[PathBuf]) -> Result<String, Unread> {
        self.copied(name, folders)?.ok_or_else(|| Unread::from(format!("there is no copybook `{name}`")))
    }

    /// The same of one that another copies; none = there is none.
    pub(crate) fn copied(&self, name: &str, folders: &[PathBuf]) -> Result<Option<String>, Unread> {
        let found = match &self.kept {
            Some(kept) => kept.copybooks.get(name).cloned(),
            None if name.contains('/') => {
                let path = self.folder.join(name);
                Some(read(&path)?)
            }
            None => {
                let mut all = folders.to_vec();
                all.extend(self.folders("copybooks"));
                Library::new(all).find(name).map_err(|(file, error)| Unread::new(&file, &error))?
            }
        };
        if let Some(text) = &found {
            self.used.borrow_mut().copybooks.insert(name.to_owned(), text.clone());
        }
        Ok(found)
    }

    /// The text of a calendar, by its name in a folder `calendars` or by its path.
    pub(crate) fn calendar(&self, name: &str) -> Result<String, Unread> {
        let text = match &self.kept {
            Some(kept) => kept.calendars.get(name).cloned().ok_or_else(|| format!("there is no calendar `{name}`"))?,
            None => {
                let beside = self.folders("calendars").into_iter().map(|folder| folder.join(name));
                let path = beside.into_iter().find(|path| path.is_file());
                let path = path.ok_or_else(|| format!("there is no calendar `{name}`"))?;
                read(&path)?
            }
        };
        self.used.borrow_mut().calendars.insert(name.to_owned(), text.clone());
        Ok(text)
    }
}

fn read(path: &Path) -> Result<String, Unread> {
    library::read(path).map_err(|error| Unread::new(&path.display().to_string(), &error))
}

fn kept(found: &Found<'_>) -> Embedded {
    let texts = |name: &str| -> BTreeMap<String, String> {
        let Value::Map(kinds) = &found.node.value else { return BTreeMap::new() };
        let texts = kinds.iter().find(|(key, _)| key.name == name).map(|(_, node)| &node.value);
        let Some(Value::Map(texts)) = texts else { return BTreeMap::new() };
        let text = |(key, node): &(crate::config::tree::Key, crate::config::tree::Node)| match &node.value {
            Value::Text(text) => Some((key.name.clone(), text.clone())),
            _ => None,
        };
        texts.iter().filter_map(text).collect()
    };
    Embedded { copybooks: texts("copybooks"), calendars: texts("calendars") }
}
