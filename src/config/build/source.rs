//! From a checked description to a system that can be read.

use std::sync::Arc;

use super::{Credentials, options, problem};
use crate::adapter::http::Options;
use crate::adapter::pull::Source;
use crate::adapter::spec::{PullSettings, PullSource};
use crate::config::connector::{ConnectorSpec, Origin, PullSpec, Target, Way};
use crate::config::problem::Problems;
use crate::config::settings::Settings;
use crate::event::{Record, Value};

/// Makes the source of a connector ready to be asked; none = the connector only sends. `credentials` are those of
/// [`super::credentials`].
pub fn source_of(
    spec: &ConnectorSpec,
    settings: &Settings,
    credentials: &Credentials,
) -> Result<Option<Arc<dyn Source>>, Problems> {
    if let Some(PullSpec { from: Origin::Files(files), .. }) = &spec.pull {
        let wrong = |messages: Vec<String>| {
            Problems::new(messages.into_iter().map(|message| problem(&spec.file, "pull.format", message)).collect())
        };
        return Ok(Some(Arc::new(files.inbox().map_err(wrong)?)));
    }
    Ok(asked_source_of(spec, settings, credentials)?.map(|source| Arc::new(source) as Arc<dyn Source>))
}

/// The same of one that is asked by requests, as it can be rehearsed.
pub fn asked_source_of(
    spec: &ConnectorSpec,
    settings: &Settings,
    credentials: &Credentials,
) -> Result<Option<PullSource>, Problems> {
    let Some(reading) = &spec.pull else { return Ok(None) };
    let wrong = |key: &str, message: String| Problems::new(vec![problem(&spec.file, key, message)]);
    let (endpoint, base, vars, rules) = match &spec.way {
        Way::Rest(endpoint) => {
            // A request of its own host has no placeholder left; what is filled in here is not sent.
            let filled = endpoint.url.url(|_| Some(&Value::Integer(1)));
            let base = filled.map_err(|reason| wrong("endpoint.url", reason.text.into_owned()))?;
            (endpoint.as_ref(), base, Record::new(), Vec::new())
        }
        Way::Spec(described) => {
            let rules = described.spec.rules.clone();
            let Target::Address { endpoint, base } = &described.target else {
                return Err(wrong("pull", "a program cannot be read".to_owned()));
            };
            (&**endpoint, base.clone(), described.vars.clone(), rules)
        }
        Way::Drop(_) | Way::Inbox => return Err(wrong("pull", "has files, and cannot be asked".to_owned())),
    };
    let Origin::Requests { pull, largest } = &reading.from else { return Ok(None) };
    let credential = match &endpoint.credential {
        None => None,
        Some(name) => {
            let known = credentials.get(name).map(Arc::clone);
            Some(known.ok_or_else(|| wrong("endpoint.credentialsId", format!("there is no credential `{name}`")))?)
        }
    };
    let http = options(&endpoint.tls, endpoint.proxy.as_ref(), settings)
        .map_err(|(key, message)| wrong(&format!("endpoint.{key}"), message))?;
    let source = PullSource::new(PullSettings {
        pull: Arc::clone(pull),
        rules,
        base,
        vars,
        office: settings.office.clone(),
        headers: endpoint.headers.clone(),
        overlap: reading.overlap,
        largest: *largest,
        versions: reading.conditional,
        http: Options { plain: endpoint.plain, timeout: endpoint.timeout, ..http },
        credential,
    });
    source.map(Some).map_err(|wrongs| {
        Problems::new(wrongs.into_iter().map(|message| problem(&spec.file, "endpoint", message)).collect())
    })
}
