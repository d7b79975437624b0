//! What a configuration says of what is to be looked at beside its files.

use crate::adapter::tls::TlsFiles;
use crate::clock::Timestamp;
use crate::config::Config;
use crate::config::connector::{ConnectorSpec, Way};
use crate::config::credential::Credential;
use crate::engine::connector::Pace;
use crate::engine::lookout::{Lookout, Watched};
use crate::rules::calendar::Calendar;

/// What is to be looked at. The ways out are put in once they are built.
pub fn lookout(config: &Config) -> Lookout {
    let settings = &config.settings;
    let mut certificates = Vec::new();
    let mut take = |owner: &str, tls: &TlsFiles| {
        let files = tls.ca.iter().chain(tls.client.iter().map(|client| &client.cert));
        certificates.extend(files.map(|file| (owner.to_owned(), file.clone())));
    };
    for spec in &config.connectors {
        spec.endpoint().iter().for_each(|endpoint| take(&spec.name, &endpoint.tls));
    }
    for (name, credential) in &settings.credentials {
        if let Credential::OAuth2(oauth) = credential {
            take(name, &oauth.way.tls);
        }
    }
    settings.events.iter().for_each(|source| take(&source.name, &source.tls));
    let only = settings.databases.first().filter(|_| settings.databases.len() == 1);
    let tables = settings.watch.iter().filter_map(|watch| {
        let log = watch.database.as_ref().or(only.map(|only| &only.name))?;
        Some((log.clone(), watch.table.clone()))
    });
    let files = settings.databases.iter().map(|database| database.path.as_path()).chain([settings.state.as_path()]);
    Lookout {
        office: settings.office.clone(),
        connectors: config.connectors.iter().chain(&config.drops).map(watched).collect(),
        tables: tables.collect(),
        several: settings.databases.len() > 1,
        folders: Lookout::folders_of(files),
        certificates,
        limits: settings.alert_after.limits.clone(),
        own_limits: settings.alert_after.connectors.clone(),
        ..Lookout::default()
    }
}

fn watched(spec: &ConnectorSpec) -> Watched {
    let calendar = match &spec.way {
        Way::Drop(files) => files.calendar.as_ref(),
        Way::Rest(_) | Way::Spec(_) | Way::Inbox => None,
    };
    Watched {
        name: spec.name.clone(),
        schedule: match &spec.pace {
            Pace::Schedule(schedule) => Some(schedule.clone()),
            Pace::Stream => None,
        },
        calendar_until: calendar.and_then(end),
        drop: matches!(spec.way, Way::Drop(_)),
        adapter: None,
    }
}

/// The end of the last year that a calendar covers.
fn end(calendar: &Calendar) -> Option<Timestamp> {
    let (_, last) = calendar.years();
    let next = jiff::civil::Date::new(last.checked_add(1)?, 1, 1).ok()?;
    Some(Timestamp::from_jiff(next.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp()))
}
