//! A folder or a file -> [`Config`], or everything that is wrong with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::config::adapter;
use crate::config::conflict::ConflictRules;
use crate::config::connector::ConnectorSpec;
use crate::config::fields::{Fields, camel};
use crate::config::fixture;
use crate::config::found::Found;
use crate::config::instead::Instead;
use crate::config::problem::{Place, Problem, Problems, Severity, verdict};
use crate::config::settings::{Scope, Settings};
use crate::config::source::{Source, Unread};
use crate::config::tree::{Node, Notation, Value};
use crate::engine::overview::{Configured, Timing};

/// A configuration without errors.
#[derive(Debug)]
pub struct Config {
    /// What holds for the whole agent.
    pub settings: Settings,
    /// The connectors that make calls, in the order of their folders and files.
    pub connectors: Vec<ConnectorSpec>,
    /// The connectors whose way out is a file.
    pub drops: Vec<ConnectorSpec>,
    /// Conflict rules by table.
    pub conflicts: Vec<ConflictRules>,
    /// What a person should know.
    pub warnings: Vec<Problem>,
}

impl Config {
    /// Its connectors and drops as `status` tells of them.
    pub fn configured(&self) -> Vec<Configured> {
        configured(self.connectors.iter().chain(&self.drops))
    }
}

impl Config {
    /// The connectors that read, with the type of the table that each reads into.
    pub fn reading(&self) -> Vec<(String, String)> {
        let reads = |spec: &ConnectorSpec| Some((spec.name.to_string(), spec.pull.as_ref()?.table.clone()));
        self.connectors.iter().filter_map(reads).collect()
    }
}

/// The same of any connectors.
pub fn configured<'s>(specs: impl Iterator<Item = &'s ConnectorSpec>) -> Vec<Configured> {
    let of = |spec: &ConnectorSpec| {
        let timing = match spec.drop() {
            Some(drop) => Timing::CutOffs(Box::new(drop.timing.clone())),
            None => Timing::Pace(spec.pace.clone()),
        };
        Configured { name: spec.name.clone(), timing, pulls: spec.pull.as_ref().map(|pull| pull.table.clone()) }
    };
    specs.map(of).collect()
}

/// What could be read of a configuration, and everything that is wrong with it: what is there can be looked at
/// further although the whole cannot be used.
#[derive(Debug)]
pub struct Survey {
    /// The settings; none = they could not be read.
    pub settings: Option<Settings>,
    /// The connectors that make calls, without errors of their own.
    pub connectors: Vec<ConnectorSpec>,
    /// The connectors whose way out is a file, without errors of their own.
    pub drops: Vec<ConnectorSpec>,
    /// Conflict rules without errors of their own.
    pub conflicts: Vec<ConflictRules>,
    /// Errors and warnings, in order of file and place.
    pub problems: Vec<Problem>,
}

impl Config {
    /// SHA-256 over all that it says: another one has another.
    pub fn hash(&self) -> [u8; 32] {
        let mut text = format!("{:?}", self.settings);
        let specs = self.connectors.iter().chain(&self.drops);
        specs.for_each(|spec| text.push_str(&format!("\n{}", spec.config)));
        self.conflicts.iter().for_each(|rules| {
            // Not where it stands: a comment more makes no other rules.
            text.push_str(&format!("\n{:?}{:?}", rules.policy, rules.key));
        });
        crate::config::canonical::hash(&text)
    }
}

/// Names that the file of the settings has in a folder.
pub const SETTINGS: [&str; 3] = ["sync.yaml", "sync.yml", "sync.json"];
const CONNECTORS: [&str; 3] = ["connectors", "sync-config", "mappings"];
const CONFLICTS: &str = "conflicts";
const ADAPTERS: &str = "adapters";

/// Reads the configuration at `path`, a folder or a file.
pub fn load(path: &Path) -> Result<Config, Problems> {
    let Survey { settings, connectors, drops, conflicts, problems } = survey(path);
    let warnings = verdict(problems)?;
    Ok(Config { settings: settings.unwrap_or_default(), connectors, drops, conflicts, warnings })
}

/// Reads as much as can be read of the configuration at `path`, a folder or a file.
pub fn survey(path: &Path) -> Survey {
    let mut loading = Loading { path: path.to_owned(), ..Loading::default() };
    if matches!(path.try_exists(), Ok(false)) {
        let source = Source::new(path);
        source.whole(
            "there is no such file or folder",
            Some("write one with `hms-sync init`, or name another with --config"),
        );
        loading.problems.extend(source.into_problems());
    } else if path.is_dir() {
        loading.folder(path);
    } else {
        loading.settings(path);
    }
    loading.finish()
}

/// Reads one connector's file (`run --connector FILE`, `--mapping FILE`) beside settings that were read before.
/// The warnings come with it.
pub fn load_connector_file(path: &Path, settings: &Settings) -> Result<(ConnectorSpec, Vec<Problem>), Problems> {
    load_mapping(path, settings, &Instead::default())
}

/// The same, with other words in place of some of the file's.
pub fn load_mapping(
    path: &Path,
    settings: &Settings,
    instead: &Instead,
) -> Result<(ConnectorSpec, Vec<Problem>), Problems> {
    let source = Source::new(path);
    let mut node = source.read(path);
    node.iter_mut().for_each(|node| instead.apply(node));
    let spec = node.and_then(|node| connector(&source.root(&node), stem(path).as_deref(), &Scope::of(settings)));
    single(source, spec)
}

/// Makes a connector again from [`ConnectorSpec::config`]. It was checked when it was new; that a credential or a
/// class which it names is gone shows when it is built.
pub fn from_canonical(json: &str) -> Result<ConnectorSpec, Problems> {
    kept(json, Scope::unknown())
}

/// The same for a drop: whether its texts fit depends on the name of the installation.
pub fn from_canonical_of(json: &str, office: &str) -> Result<ConnectorSpec, Problems> {
    kept(json, Scope::unknown_at(office))
}

fn kept(json: &str, scope: Scope) -> Result<ConnectorSpec, Problems> {
    let source = Source::kept();
    let node = source.parse(json, Notation::Json);
    let spec = node.and_then(|node| connector(&source.root(&node), None, &scope));
    single(source, spec).map(|(spec, _)| spec)
}

/// Reads any one file, by what stands in it: settings, a connector or conflict rules. The warnings, or what is wrong.
///
/// Without settings, no credential and no class that it names can be called unknown.
pub fn check_file(path: &Path, settings: Option<&Settings>) -> Result<Vec<Problem>, Problems> {
    let source = Source::new(path);
    let Some(node) = source.read(path) else { return verdict(source.into_problems()) };
    match part(&node) {
        Part::Connector => {
            let scope = settings.map_or_else(Scope::unknown, Scope::of);
            let spec = connector(&source.root(&node), stem(path).as_deref(), &scope);
            single(source, spec).map(|(_, warnings)| warnings)
        }
        Part::Conflicts => {
            ConflictRules::read_file(&source.root(&node));
            verdict(source.into_problems())
        }
        Part::Adapter => {
            adapter::read(&source.root(&node));
            verdict(source.into_problems())
        }
        Part::Fixtures => fixture::of_file(path).map(|_| Vec::new()),
        Part::Settings => load(path).map(|config| config.warnings),
    }
}

fn single(source: Source, spec: Option<ConnectorSpec>) -> Result<(ConnectorSpec, Vec<Problem>), Problems> {
    match spec {
        Some(spec) => verdict(source.into_problems()).map(|warnings| (spec, warnings)),
        None => Err(Problems::new(source.into_problems())),
    }
}

fn connector(found: &Found<'_>, stem: Option<&str>, scope: &Scope) -> Option<ConnectorSpec> {
    let spec = ConnectorSpec::read(found, stem, scope);
    if spec.is_none() && !found.source.failed() {
        // Every reader notes why it gave nothing; should one forget, the connector must not vanish in silence.
        found.error("cannot be used");
    }
    spec
}

fn stem(path: &Path) -> Option<String> {
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned())
}

/// What a file is about.
#[derive(PartialEq, Eq)]
enum Part {
    Settings,
    Connector,
    Conflicts,
    Adapter,
    Fixtures,
}

fn part(node: &Node) -> Part {
    let Value::Map(entries) = &node.value else { return Part::Settings };
    let has = |names: &[&str]| entries.iter().any(|(key, _)| names.contains(&camel(&key.name).as_str()));
    let settings = [
        "connectors",
        "database",
        "databases",
        "watch",
        "credentials",
        "api",
        "state",
        "office",
        "governance",
        "events",
        "alerts",
        "alertAfter",
        "audit",
        "retention",
        "capture",
    ];
    if has(&["push"]) && has(&["classify", "adapter"]) {
        Part::Adapter
    } else if has(&["cases"]) {
        Part::Fixtures
    } else if has(&settings) {
        Part::Settings
    } else if has(&["endpoint", "target", "mapping", "map", "listen", "adapter", "drop"]) {
        Part::Connector
    } else if has(&["rules", "table", "conflicts"]) {
        Part::Conflicts
    } else {
        Part::Settings
    }
}

/// What was read so far.
#[derive(Default)]
struct Loading {
    settings: Option<Settings>,
    scope: Option<Scope>,
    connectors: Vec<ConnectorSpec>,
    conflicts: Vec<ConflictRules>,
    /// Where each connector's name and each table's rules were seen first.
    names: BTreeMap<(&'static str, String), String>,
    problems: Vec<Problem>,
    /// What was asked for: findings about the whole stand there.
    path: PathBuf,
}

impl Loading {
    fn folder(&mut self, folder: &Path) {
        let present: Vec<PathBuf> =
            SETTINGS.iter().map(|name| folder.join(name)).filter(|path| path.exists()).collect();
        match present.as_slice() {
            [path] => self.settings(path),
            [] => {
                let settings = Settings::default();
                self.scope = Some(Scope::of(&settings));
                self.settings = Some(settings);
            }
            [first, second, ..] => {
                let source = Source::new(second);
                source.whole("stands beside another file of settings", Some(&format!("keep only {}", first.display())));
                self.problems.extend(source.into_problems());
                self.settings(first);
            }
        }
        let mut files = Vec::new();
        for name in CONNECTORS {
            files.extend(self.files(&folder.join(name)));
        }
        if present.is_empty() && files.is_empty() {
            let source = Source::new(folder);
            source.whole("holds neither a sync.yaml nor connectors", Some("write one with `hms-sync init`"));
            self.problems.extend(source.into_problems());
        }
        for path in files {
            let source = Source::new(&path);
            if let Some(node) = source.read(&path) {
                self.connector(&source.root(&node), stem(&path).as_deref());
            }
            self.problems.extend(source.into_problems());
        }
        for path in self.files(&folder.join(ADAPTERS)) {
            if path.to_string_lossy().ends_with(fixture::BESIDE) {
                continue;
            }
            let source = Source::new(&path);
            if let Some(node) = source.read(&path) {
                adapter::read(&source.root(&node));
            }
            // What a connector that uses it has brought already is not said again.
            let news = source.into_problems().into_iter().filter(|problem| !self.problems.contains(problem));
            let news: Vec<Problem> = news.collect();
            self.problems.extend(news);
        }
        for path in self.files(&folder.join(CONFLICTS)) {
            let source = Source::new(&path);
            if let Some(node) = source.read(&path) {
                self.conflict_rules(&source.root(&node));
            }
            self.problems.extend(source.into_problems());
        }
    }

    /// The configuration files in a folder, by name; none when there is no such folder.
    fn files(&mut self, folder: &Path) -> Vec<PathBuf> {
        // The standard library goes on by itself after an interruption everywhere else.
        let interrupted = |error: &std::io::Error| error.kind() == std::io::ErrorKind::Interrupted;
        let mut listed = folder.read_dir();
        while listed.as_ref().is_err_and(interrupted) {
            listed = folder.read_dir();
        }
        // An entry that cannot be read may be a connector: it must not be missing in silence.
        let listed = listed.and_then(|entries| entries.collect::<std::io::Result<Vec<_>>>());
        let entries = match listed {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
            Err(error) => {
                let source = Source::new(folder);
                source.unread(Place::default(), "", &Unread::new("", &error));
                self.problems.extend(source.into_problems());
                return Vec::new();
            }
        };
        let mut files: Vec<PathBuf> = entries.iter().map(std::fs::DirEntry::path).collect();
        files.retain(|path| {
            let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
            !hidden && matches!(extension.as_deref(), Some("yaml" | "yml" | "json")) && !path.is_dir()
        });
        files.sort();
        files
    }

    /// Reads the settings' file, which may hold connectors and conflict rules too.
    fn settings(&mut self, path: &Path) {
        self.path = path.to_owned();
        let source = Source::new(path);
        if let Some(node) = source.read(path) {
            let root = source.root(&node);
            match part(&node) {
                Part::Connector => root.error_hint(
                    "this is a connector, not the agent's settings",
                    "put it into a folder connectors/ beside sync.yaml, or run it with --connector FILE",
                ),
                Part::Conflicts => root.error_hint(
                    "these are conflict rules, not the agent's settings",
                    "put them into a folder conflicts/ beside sync.yaml",
                ),
                _ => {
                    if let Some(fields) = root.fields() {
                        self.everything(fields);
                    }
                }
            }
        }
        self.problems.extend(source.into_problems());
        // What could not be read may have held any credential.
        self.scope.get_or_insert_with(Scope::unknown);
    }

    fn everything(&mut self, fields: Fields<'_>) {
        let (settings, scope) = Settings::read(&fields);
        self.settings = Some(settings);
        self.scope = Some(scope);
        for item in fields.take("connectors").and_then(|found| found.items()).unwrap_or_default() {
            self.connector(&item, None);
        }
        for item in fields.take("conflicts").and_then(|found| found.items()).unwrap_or_default() {
            self.rules_of(&item);
        }
        fields.done();
    }

    fn connector(&mut self, found: &Found<'_>, stem: Option<&str>) {
        let scope = self.scope.get_or_insert_with(Scope::unknown);
        let name = name_of(found).or_else(|| stem.map(str::to_owned));
        let spec = connector(found, stem, scope);
        if let Some(name) = name {
            self.once("connector", name, found);
        }
        self.connectors.extend(spec);
    }

    fn conflict_rules(&mut self, root: &Found<'_>) {
        for rules in ConflictRules::read_file(root) {
            self.once("table", rules.policy.table.to_string(), root);
            self.conflicts.push(rules);
        }
    }

    fn rules_of(&mut self, item: &Found<'_>) {
        if let Some(rules) = ConflictRules::read(item) {
            self.once("table", rules.policy.table.to_string(), item);
            self.conflicts.push(rules);
        }
    }

    /// Notes a name that was seen before.
    fn once(&mut self, what: &'static str, name: String, found: &Found<'_>) {
        let here = format!("{}:{}", found.source.name, found.node.place.line);
        match self.names.get(&(what, name.clone())) {
            Some(first) => found.error(format!("the {what} `{name}` is already in {first}")),
            None => {
                self.names.insert((what, name), here);
            }
        }
    }

    fn finish(mut self) -> Survey {
        // Settings that could not be read may have had one.
        let known = self.scope.is_some_and(|scope| scope.is_known());
        let classified = self.settings.as_ref().is_some_and(|settings| settings.governance.is_some());
        if known && !classified && !self.connectors.is_empty() {
            let source = Source::new(&self.path);
            source.note(
                Severity::Warning,
                Place::default(),
                "",
                "has no `governance:` section: without one nothing is classified and every column may leave",
                Some("once it is there, a column without a class may not".into()),
            );
            self.problems.extend(source.into_problems());
        }
        let (drops, connectors) = self.connectors.into_iter().partition(|spec| spec.drop().is_some());
        Survey {
            settings: self.settings,
            connectors,
            drops,
            conflicts: self.conflicts,
            problems: Problems::new(self.problems).into_list(),
        }
    }
}

/// The name a connector gives itself, even when the rest of it cannot be read.
fn name_of(found: &Found<'_>) -> Option<String> {
    let Value::Map(entries) = &found.node.value else { return None };
    let (_, node) = entries.iter().find(|(key, _)| key.name == "name")?;
    match &node.value {
        Value::Text(name) => Some(name.clone()),
        _ => None,
    }
}
