//! `alerts:` and `alertAfter:`: who is told when something needs a person, and from when on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use crate::adapter::channel::exec;
use crate::adapter::secret::SecretRef;
use crate::adapter::tls::TlsFiles;
use crate::config::credential;
use crate::config::fields::Fields;
use crate::config::found::Found;
use crate::config::tls;
use crate::config::url::{self, Use};
use crate::rules::alert::{Condition, Limits, matches};

/// A channel: a way to tell somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Its name, unique: under it is remembered what it must still be told. Default: its type and where it leads.
    pub name: String,
    /// Conditions that it is told of, with `*`; empty = all.
    pub on: Vec<String>,
    /// Which way.
    pub way: Way,
}

/// The way of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// A POST to an address.
    Webhook {
        /// The address.
        url: String,
        /// Credential to show.
        credential: Option<String>,
        /// Signs the body.
        secret: Option<SecretRef>,
        /// Proxy; none = straight.
        proxy: Option<String>,
        /// TLS beyond the system's trust store.
        tls: TlsFiles,
    },
    /// Mail.
    Email {
        /// The server.
        smtp: String,
        /// Recipients.
        to: Vec<String>,
        /// Sender; none = made from office and host.
        from: Option<String>,
        /// Credential to show, of type `basic`.
        credential: Option<String>,
        /// Authorities beyond the system's.
        ca: Vec<PathBuf>,
    },
    /// A program that reads the notice.
    Exec {
        /// Program and arguments.
        command: Vec<String>,
        /// How long it may take.
        timeout: Duration,
    },
    /// A line in a file.
    File {
        /// The file.
        path: PathBuf,
    },
}

/// From when on something is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertAfter {
    /// What holds for all.
    pub limits: Limits,
    /// What holds for a connector, by its name.
    pub connectors: BTreeMap<String, Limits>,
}

#[derive(Clone, Copy)]
enum Type {
    Webhook,
    Email,
    Exec,
    File,
}

const TYPES: [(&str, Type); 4] =
    [("webhook", Type::Webhook), ("email", Type::Email), ("exec", Type::Exec), ("file", Type::File)];

/// Reads `alerts:`; `credential` checks a credential's name.
pub(crate) fn alerts(found: &Found<'_>, credential: impl Fn(&Found<'_>) -> Option<String>) -> Vec<Alert> {
    let mut alerts: Vec<Alert> = Vec::new();
    let mut names = BTreeSet::new();
    for item in found.items().unwrap_or_default() {
        let Some(alert) = channel(&item, &credential) else { continue };
        if !names.insert(alert.name.clone()) {
            let text = format!("is another channel of the name `{}`", alert.name);
            item.error_hint(text, "give each a `name:` of its own, or one of them an `on:` for both");
        }
        alerts.push(alert);
    }
    alerts
}

fn channel(item: &Found<'_>, credential: &impl Fn(&Found<'_>) -> Option<String>) -> Option<Alert> {
    let fields = item.fields()?;
    let kind = fields.need("type").and_then(|kind| kind.choice("alert type", &TYPES))?;
    let named = fields.take("name").map(|found| name(&found));
    let on = fields.take("on").map(|found| patterns(&found)).unwrap_or_default();
    let way = match kind {
        Type::Webhook => webhook(&fields, credential),
        Type::Email => email(&fields, credential),
        Type::Exec => program(&fields),
        Type::File => fields.need("path").and_then(|found| found.path()).map(|path| Way::File { path }),
    };
    fields.done();
    let way = way?;
    let name = named.unwrap_or_else(|| Some(usual_name(&way)))?;
    Some(Alert { name, on, way })
}

fn webhook(fields: &Fields<'_>, credential: &impl Fn(&Found<'_>) -> Option<String>) -> Option<Way> {
    let url = fields.need("url").and_then(|found| url::check(&found, Use::Https));
    let credential = fields.take("credentialsId").and_then(|found| credential(&found));
    let secret = fields.take("secret").and_then(|found| credential::secret(&found));
    let proxy = fields.take("proxy").and_then(|found| url::check(&found, Use::Proxy));
    let tls = fields.take("tls").and_then(|found| tls::files(&found)).unwrap_or_default();
    Some(Way::Webhook { url: url?, credential, secret, proxy, tls })
}

fn email(fields: &Fields<'_>, credential: &impl Fn(&Found<'_>) -> Option<String>) -> Option<Way> {
    let smtp = fields.need("smtp").and_then(|found| url::check(&found, Use::Mail));
    let to = fields.need("to").and_then(|found| addresses(&found));
    let from = fields.take("from").map(|found| address(&found));
    let credential = fields.take("credentialsId").and_then(|found| credential(&found));
    let tls = fields.take("tls").and_then(|found| {
        let files = tls::files(&found)?;
        if files.client.is_some() {
            found.error_hint("names a client certificate", "mail servers are shown `credentialsId`, of type basic");
        }
        Some(files)
    });
    let ca = tls.unwrap_or_default().ca;
    Some(Way::Email { smtp: smtp?, to: to?, from: from.map_or(Some(None), |from| from.map(Some))?, credential, ca })
}

fn program(fields: &Fields<'_>) -> Option<Way> {
    let command = fields.need("command").and_then(|found| found.texts());
    let timeout = fields.take("timeout").and_then(|found| {
        let timeout = found.duration()?;
        if timeout > exec::LONGEST {
            found.error(format!("is more than {} s", exec::LONGEST.as_secs()));
        }
        Some(timeout)
    });
    Some(Way::Exec { command: command?, timeout: timeout.unwrap_or(exec::USUAL) })
}

/// The type, and where it leads: no query, which may hold what nobody should read.
fn usual_name(way: &Way) -> String {
    match way {
        Way::Webhook { url, .. } => format!("webhook {}", url.split(['?', '#']).next().unwrap_or_default()),
        Way::Email { to, .. } => format!("email {}", to.join(",")),
        Way::Exec { command, .. } => format!("exec {}", command.first().map_or("", String::as_str)),
        Way::File { path } => format!("file {}", path.display()),
    }
}

fn name(found: &Found<'_>) -> Option<String> {
    let name = found.text()?;
    if name.len() > 100 || name.trim() != name || name.chars().any(char::is_control) {
        found.error("cannot name a channel: at most 100 characters, no control characters, no space around it");
        return None;
    }
    Some(name.to_owned())
}

fn addresses(found: &Found<'_>) -> Option<Vec<String>> {
    if found.texts()?.is_empty() {
        return None;
    }
    found.one_or_many().iter().map(address).collect()
}

fn address(found: &Found<'_>) -> Option<String> {
    let text = found.text()?;
    match crate::adapter::channel::mail::address(text) {
        Ok(_) => Some(text.to_owned()),
        Err(why) => {
            found.error_hint(format!("is not an address of mail: {why}"), "write for example ops@office.gov");
            None
        }
    }
}

fn patterns(found: &Found<'_>) -> Vec<String> {
    let known = Condition::ALL.map(|(_, word, _)| word);
    let patterns = found.texts().unwrap_or_default();
    for pattern in &patterns {
        if !known.iter().any(|word| matches(pattern, word)) {
            found.unknown("condition", pattern, known);
        }
    }
    patterns
}

impl AlertAfter {
    /// Reads `alertAfter:`.
    pub(crate) fn read(found: &Found<'_>) -> Option<AlertAfter> {
        let fields = found.fields()?;
        let mut limits = Limits::default();
        of_connector(&fields, &mut limits);
        let duration = |name, limit: &mut Duration| {
            *limit = fields.duration(name).unwrap_or(*limit);
        };
        duration("certificate", &mut limits.certificate);
        duration("calendar", &mut limits.calendar);
        duration("clock", &mut limits.clock);
        duration("clear", &mut limits.clear);
        limits.disk_free = fields.take("diskFree").and_then(|found| found.bytes()).unwrap_or(limits.disk_free);
        if let Some(found) = fields.take("check") {
            limits.check = check(&found).unwrap_or(limits.check);
        }
        let mut connectors = BTreeMap::new();
        for (name, found) in fields.take("connectors").and_then(|found| found.entries()).unwrap_or_default() {
            if let Some(fields) = found.fields() {
                let mut own = limits.clone();
                of_connector(&fields, &mut own);
                fields.done();
                connectors.insert(name.to_owned(), own);
            }
        }
        fields.done();
        Some(AlertAfter { limits, connectors })
    }
}

/// What may be another at each connector.
fn of_connector(fields: &Fields<'_>, limits: &mut Limits) {
    let count = |name, limit: &mut u64| {
        let given = fields.take(name).and_then(|found| found.integer(1..=i64::MAX));
        *limit = given.and_then(|n| u64::try_from(n).ok()).unwrap_or(*limit);
    };
    count("deadLetters", &mut limits.dead_letters);
    count("held", &mut limits.held);
    limits.breaker_open = fields.duration("breakerOpen").unwrap_or(limits.breaker_open);
    limits.oldest = fields.duration("oldest").unwrap_or(limits.oldest);
    limits.no_delivery = fields.duration("noDelivery").or(limits.no_delivery);
}

/// How often is looked.
const CHECKS: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(300);

fn check(found: &Found<'_>) -> Option<Duration> {
    let every = found.duration()?;
    if !CHECKS.contains(&every) {
        found.error("is not between 1s and 5m");
        return None;
    }
    Some(every)
}
