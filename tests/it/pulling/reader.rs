//! The smallest engine: asks page by page, keeps a copy and what it has seen, and moves its cursor with the pages.

use std::collections::BTreeMap;
use std::sync::Arc;

use hms_sync::adapter::pull::{Ask, Fetched, Page, Source};
use hms_sync::clock::Timestamp;
use hms_sync::config::{self, Settings, build};
use hms_sync::event::Value;
use hms_sync::format::json;
use hms_sync::rules::pull::clock::Offsets;

use crate::support::world::{Paging, World};

/// A source, and what is kept of what it has told.
pub struct Reader {
    pub source: Arc<dyn Source>,
    pub cursor: Option<String>,
    pub validator: Option<String>,
    pub copy: BTreeMap<String, String>,
    pub seen: BTreeMap<String, Seen>,
    pub offsets: Offsets,
    pub bad: Vec<String>,
    /// Cursors in the order in which they were told.
    pub cursors: Vec<String>,
}

/// The source of a connector's file.
pub fn source(yaml: &str) -> Arc<dyn Source> {
    try_source(yaml).unwrap_or_else(|problems| panic!("{yaml}\n{problems}"))
}

/// The same, or what is wrong.
pub fn try_source(yaml: &str) -> Result<Arc<dyn Source>, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("there.yaml");
    std::fs::write(&path, yaml).unwrap();
    let settings = Settings { office: "OF042".into(), ..Settings::default() };
    let (spec, _) = config::load_connector_file(&path, &settings).map_err(|problems| problems.to_string())?;
    let again = config::from_canonical(&spec.config).map_err(|problems| problems.to_string())?;
    assert_eq!(again.config, spec.config, "a configuration that is kept says the same");
    let credentials = build::credentials(&settings).map_err(|problems| problems.to_string())?;
    let source = build::source_of(&spec, &settings, &credentials).map_err(|problems| problems.to_string())?;
    Ok(source.expect("it reads"))
}

/// The connector's file for a world that pages in a way.
pub fn connector(world: &World, paging: Paging, cursor: &str, more: &str) -> String {
    let (query, next) = match paging {
        Paging::Link => ("", "link"),
        Paging::Url => ("", "\"json:/next\""),
        Paging::Token => (", token: \"{next}\"", "\"json:/next\""),
        Paging::Offset => (", offset: \"{offset}\"", "offset"),
        Paging::Page => (", page: \"{page}\"", "page"),
        Paging::Keyset => (", after: \"{next.updated}\", key: \"{next.key}\"", "keyset"),
    };
    format!(
        "strategy: pull\nendpoint: {{url: \"{}\"}}\npull:\n  table: things\n  query: {{since: \"{{cursor}}\"{query}}}\n  \
         items: json:/items\n  next: {next}\n  key: /id\n  version: /version\n  updated: /updated\n  deleted: /deleted\n  \
         cursor: {{kind: timestamp{cursor}}}\n  one: {{request: {{url: \"{{base}}/{{key.id}}\"}}}}\n{more}",
        world.url("/items")
    )
}

impl Reader {
    pub fn of(world: &World, paging: Paging, cursor: &str) -> Reader {
        Reader::from(source(&connector(world, paging, cursor, "")))
    }

    pub fn from(source: Arc<dyn Source>) -> Reader {
        Reader {
            source,
            cursor: None,
            validator: None,
            copy: BTreeMap::new(),
            seen: BTreeMap::new(),
            offsets: Offsets::default(),
            bad: Vec::new(),
            cursors: Vec::new(),
        }
    }

    /// A run; how many items were new.
    pub fn run(&mut self) -> usize {
        self.try_run().unwrap_or_else(|fetched| panic!("{fetched:?}"))
    }

    /// A run, or what came in place of a page.
    #[allow(clippy::result_large_err)]
    pub fn try_run(&mut self) -> Result<usize, Fetched> {
        let (cursor, validator) = (self.cursor.clone(), self.validator.clone());
        let mut ask = Ask { cursor, validator, ..Ask::default() };
        let mut fresh = 0;
        loop {
            let page = match self.source.fetch(&ask) {
                Fetched::Page(page) => page,
                Fetched::Unchanged => return Ok(fresh),
                other => return Err(other),
            };
            self.offsets.add(page.ahead_ms.unwrap_or_default());
            if ask.next.is_none() {
                self.validator = page.validator.clone();
            }
            let (next, cursor) = (page.next.clone(), page.cursor.clone());
            fresh += self.apply(page);
            if let Some(cursor) = cursor {
                self.cursors.push(cursor.clone());
                self.cursor = Some(cursor);
            }
            match next {
                None => return Ok(fresh),
                next => ask.next = next,
            }
        }
    }

    fn apply(&mut self, page: Page) -> usize {
        self.bad.extend(page.bad.iter().map(|bad| bad.reason.to_string()));
        let mut fresh = 0;
        for item in page.items {
            let id = item.id.clone().expect("it has a key");
            let now = Seen {
                version: item.version.clone(),
                hash: hms_sync::adapter::sha256(&json::value(&Value::Map(item.body.clone()))),
                updated: item.updated,
                deleted: item.deleted,
            };
            if sight(self.seen.get(&id), &now) != Sight::New {
                continue;
            }
            fresh += 1;
            self.seen.insert(id.clone(), now);
            match (item.deleted, item.body.get("title").and_then(Value::as_text)) {
                (true, _) => drop(self.copy.remove(&id)),
                (false, title) => drop(self.copy.insert(id, title.unwrap_or_default().into_owned())),
            }
        }
        fresh
    }
}

/// What is known of a record as it was seen there last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Its version there.
    pub version: Option<String>,
    /// SHA-256 of its content.
    pub hash: [u8; 32],
    /// When it was changed, by the clock there.
    pub updated: Option<Timestamp>,
    /// It was deleted.
    pub deleted: bool,
}

/// What a sight of a record is, beside what is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    /// It was not seen in this state yet.
    New,
    /// It is as it was.
    Known,
    /// It is an earlier state than the one that is known: an overlap that was answered from a copy, or a deletion that was
    /// taken back since.
    Stale,
}

/// Compares a sight with what is known. Where both have a version, that decides; content decides otherwise. The time only
/// tells an earlier state, and only where both have one.
fn sight(known: Option<&Seen>, now: &Seen) -> Sight {
    let Some(known) = known else { return Sight::New };
    let same = match (&known.version, &now.version) {
        (Some(known), Some(now)) => known == now,
        _ => known.hash == now.hash,
    };
    if same && known.deleted == now.deleted {
        return Sight::Known;
    }
    match (known.updated, now.updated) {
        (Some(known), Some(now)) if now < known => Sight::Stale,
        _ => Sight::New,
    }
}
