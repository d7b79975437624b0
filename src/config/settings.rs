//! `sync.yaml`: what holds for the whole agent.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::adapter::secret::SecretRef;
use crate::config::alerts::{self, Alert, AlertAfter};
use crate::config::api::Api;
use crate::config::audit::Audit;
use crate::config::credential::{AuthType, Credential, Reading};
use crate::config::events::{self, EventSource};
use crate::config::fields::Fields;
use crate::config::found::Found;
use crate::config::governance;
use crate::config::hook::HookSpec;
use crate::config::locate;
use crate::config::problem::Place;
use crate::config::retention::{Capture, Retention};
use crate::config::watch::{self, Database, Watch};
use crate::rules::governance::Classes;

/// Where a credential's secret is, and where that is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretPlace {
    /// Name of the credential.
    pub credential: String,
    /// Path of the key: `credentials.vista.token`.
    pub key: String,
    /// Place of the reference in the settings' file.
    pub place: Place,
    /// Where the secret is.
    pub from: SecretRef,
    /// It may have several lines: a private key.
    pub lines: bool,
}

/// What holds for the whole agent.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The file, for messages.
    pub file: String,
    /// The applications' files; none = the agent only forwards events.
    pub databases: Vec<Database>,
    /// The agent's own file.
    pub state: PathBuf,
    /// This installation's name; default: the host's.
    pub office: String,
    /// Tables to capture.
    pub watch: Vec<Watch>,
    /// Credentials by their name.
    pub credentials: BTreeMap<String, Credential>,
    /// The secret of each credential.
    pub secrets: Vec<SecretPlace>,
    /// Event sources besides the watched tables.
    pub events: Vec<EventSource>,
    /// The loopback API.
    pub api: Api,
    /// Class of each column; none = nothing is classified.
    pub governance: Option<Classes>,
    /// Who else is asked about each payload, where a connector names nobody itself.
    pub hook: Option<HookSpec>,
    /// Who is told when something needs a person.
    pub alerts: Vec<Alert>,
    /// From when on something is told.
    pub alert_after: AlertAfter,
    /// How long things are kept.
    pub retention: Retention,
    /// The overflow valve.
    pub capture: Capture,
    /// The audit.
    pub audit: Audit,
}

impl Default for Settings {
    /// What holds without a `sync.yaml`.
    fn default() -> Settings {
        Settings {
            file: "sync.yaml".to_owned(),
            databases: Vec::new(),
            state: locate::default_state(),
            office: locate::default_office(),
            watch: Vec::new(),
            credentials: BTreeMap::new(),
            secrets: Vec::new(),
            events: Vec::new(),
            api: Api::default(),
            governance: None,
            hook: None,
            alerts: Vec::new(),
            alert_after: AlertAfter::default(),
            retention: Retention::default(),
            capture: Capture::default(),
            audit: Audit::default(),
        }
    }
}

/// What the readers of connectors need to know of the settings.
pub(crate) struct Scope {
    /// Known credentials; a type that could not be read is none. None at all = the settings could not be read, so
    /// no name can be called unknown.
    credentials: Option<BTreeMap<String, Option<AuthType>>>,
    /// Those that go into the body of a request.
    in_body: BTreeSet<String>,
    /// The names under which they do.
    body_names: BTreeMap<String, Vec<String>>,
    /// As in [`Settings::governance`].
    pub(crate) governance: Option<Classes>,
    /// Event types of the watched tables.
    pub(crate) kinds: Vec<String>,
    /// This installation; none = the settings could not be read.
    pub(crate) office: Option<String>,
}

impl Scope {
    /// A scope in which everything is possible, for when the settings could not be read.
    pub(crate) fn unknown() -> Scope {
        Scope {
            credentials: None,
            in_body: BTreeSet::new(),
            body_names: BTreeMap::new(),
            governance: None,
            kinds: Vec::new(),
            office: None,
        }
    }

    /// The same, of an installation of this name.
    pub(crate) fn unknown_at(office: &str) -> Scope {
        Scope { office: Some(office.to_owned()), ..Scope::unknown() }
    }

    /// The scope of settings that were read before.
    pub(crate) fn of(settings: &Settings) -> Scope {
        let credentials = settings.credentials.iter();
        Scope {
            credentials: Some(credentials.map(|(name, known)| (name.clone(), Some(known.auth_type()))).collect()),
            in_body: in_body(&settings.credentials),
            body_names: body_names(&settings.credentials),
            governance: settings.governance.clone(),
            kinds: settings.watch.iter().map(|watch| watch.kind.clone()).collect(),
            office: Some(settings.office.clone()),
        }
    }

    /// Whether the settings could be read.
    pub(crate) fn is_known(&self) -> bool {
        self.credentials.is_some()
    }

    /// Whether a credential goes into the body of a request.
    pub(crate) fn is_in_body(&self, name: &str) -> bool {
        self.in_body.contains(name)
    }

    /// The names under which a credential goes into the body of a request.
    pub(crate) fn body_names(&self, name: &str) -> &[String] {
        self.body_names.get(name).map_or(&[], Vec::as_slice)
    }

    /// Reads the name of a credential, which must exist; with its type as far as known.
    pub(crate) fn credential(&self, found: &Found<'_>) -> Option<(String, Option<AuthType>)> {
        let name = found.text()?;
        let Some(known) = &self.credentials else { return Some((name.to_owned(), None)) };
        match known.get(name) {
            Some(kind) => Some((name.to_owned(), *kind)),
            None if known.is_empty() => {
                found.error_hint(
                    format!("there is no credential `{name}`"),
                    format!("add to sync.yaml: credentials: {{{name}: {{type: ...}}}}"),
                );
                None
            }
            None => {
                found.unknown("credential", name, known.keys().map(String::as_str));
                None
            }
        }
    }
}

impl Settings {
    /// Puts one file in the place of all configured databases (`--database FILE`); every `watch` is about it then.
    pub fn use_database(&mut self, path: PathBuf) {
        let database = Database::at(path);
        for watch in &mut self.watch {
            watch.database = Some(database.name.clone());
        }
        self.databases = vec![database];
    }

    /// Takes the settings' keys out of a section.
    pub(crate) fn read(fields: &Fields<'_>) -> (Settings, Scope) {
        let default = Settings::default();
        let databases = watch::databases(fields);
        let state = fields.path("state").unwrap_or_else(|| locate::state_of(Path::new(&fields.section().source.name)));
        if databases.iter().any(|database| database.path == state) {
            fields.section().error_hint("`state` is the application's file", "the agent's own file lies elsewhere");
        }
        let office = fields.take("office").and_then(|found| office(&found)).unwrap_or(default.office);
        let watched = fields.take("watch");
        if let Some(found) = watched.as_ref().filter(|_| databases.is_empty()) {
            found.warn("has no database to watch", Some("add `database: FILE`, or give one with --database"));
        }
        let watch = watched.map(|found| watch::watch(&found, &databases)).unwrap_or_default();

        let mut credentials = BTreeMap::new();
        let mut secrets = Vec::new();
        let mut known = BTreeMap::new();
        let entries = fields.take("credentials").and_then(|found| found.entries()).unwrap_or_default();
        let names: Vec<&str> = entries.iter().map(|(name, _)| *name).collect();
        for (name, found) in &entries {
            let reading = Reading::of(name, &names);
            let credential = Credential::read(found, &reading);
            if credential.is_some() {
                secrets.extend(reading.into_secrets());
            }
            known.insert((*name).to_owned(), credential.as_ref().map(Credential::auth_type));
            credentials.extend(credential.map(|credential| ((*name).to_owned(), credential)));
        }
        let kinds: Vec<String> = watch.iter().map(|watch| watch.kind.clone()).collect();
        let scope = Scope {
            credentials: Some(known),
            in_body: in_body(&credentials),
            body_names: body_names(&credentials),
            governance: None,
            kinds,
            office: Some(office.clone()),
        };
        let read = fields.take("governance").and_then(|found| governance::read(&found, &watch, &scope));
        let (governance, hook) = read.map_or((None, None), |(classes, hook)| (Some(classes), hook));
        let scope = Scope { governance: governance.clone(), ..scope };
        let credential = |found: &Found<'_>| scope.credential(found).map(|(name, _)| name);

        let audit = fields.take("audit").and_then(|found| Audit::read(&found, &mut secrets)).unwrap_or_default();
        let settings = Settings {
            file: fields.section().source.name.clone(),
            databases,
            state,
            office,
            watch,
            credentials,
            secrets,
            events: fields
                .take("events")
                .map(|found| events::events(&found, |found| scope.credential(found)))
                .unwrap_or_default(),
            api: fields.take("api").and_then(|found| Api::read(&found)).unwrap_or_default(),
            governance,
            hook,
            alerts: fields.take("alerts").map(|found| alerts::alerts(&found, credential)).unwrap_or_default(),
            alert_after: fields.take("alertAfter").and_then(|found| AlertAfter::read(&found)).unwrap_or_default(),
            retention: fields.take("retention").and_then(|found| Retention::read(&found)).unwrap_or_default(),
            capture: fields.take("capture").and_then(|found| Capture::read(&found)).unwrap_or_default(),
            audit,
        };
        (settings, scope)
    }
}

fn office(found: &Found<'_>) -> Option<String> {
    let name = found.text()?;
    if !locate::is_office(name) {
        found.error_hint("cannot name an office", "letters, digits, - _ . and at most 64 of them");
        return None;
    }
    Some(name.to_owned())
}

/// The names under which each goes into the body of a request.
fn body_names(credentials: &BTreeMap<String, Credential>) -> BTreeMap<String, Vec<String>> {
    let owned = |known: &Credential| known.body_names().into_iter().map(str::to_owned).collect();
    credentials.iter().map(|(name, known)| (name.clone(), owned(known))).collect()
}

fn in_body(credentials: &BTreeMap<String, Credential>) -> BTreeSet<String> {
    credentials.iter().filter(|(_, credential)| credential.is_in_body()).map(|(name, _)| name.clone()).collect()
}
