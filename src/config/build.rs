//! From a connector's description to a connector that runs.

use std::sync::Arc;
use std::time::Duration;

use crate::adapter::Adapter;
use crate::config::connector::ConnectorSpec;
use crate::config::credential::Credential;
use crate::config::endpoint::{DeleteRule, Tls};
use crate::config::settings::Settings;
use crate::engine::connector::Connector;
use crate::rules::governance::Gate;
use crate::rules::template::Template;

/// What the REST adapter is made of.
#[derive(Debug)]
pub struct RestInput {
    /// The connector's name, for messages.
    pub connector: Arc<str>,
    /// URL.
    pub url: Template,
    /// Method of inserts, updates and events.
    pub method: &'static str,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// What a deleted record does.
    pub delete: DeleteRule,
    /// Value of the `Idem-Key` header.
    pub idem_key: Option<Template>,
    /// For a whole call.
    pub timeout: Duration,
    /// Proxy; none = straight.
    pub proxy: Option<String>,
    /// TLS files.
    pub tls: Tls,
    /// How it shows who it is; none = not at all.
    pub credential: Option<Credential>,
    /// Further statuses that are retried.
    pub retry_on: Vec<u16>,
}

/// Makes a connector ready to run. `secret` keys the hashes of redacted fields; `adapter` makes the way out.
pub fn build<E>(
    spec: ConnectorSpec,
    settings: &Settings,
    secret: [u8; 32],
    adapter: impl FnOnce(RestInput) -> Result<Arc<dyn Adapter>, E>,
) -> Result<Connector, E> {
    let gate = match &settings.governance {
        Some(classes) => Gate::new(classes, spec.allow.as_deref(), &spec.redact, secret),
        None if spec.redact.is_empty() => Gate::open(),
        None => Gate::redacting(&spec.redact, secret),
    };
    let endpoint = spec.endpoint;
    let credential = endpoint.credential.and_then(|name| settings.credentials.get(&name)).cloned();
    let adapter = adapter(RestInput {
        connector: Arc::clone(&spec.name),
        url: endpoint.url,
        method: endpoint.method,
        headers: endpoint.headers,
        delete: endpoint.delete,
        idem_key: spec.idempotency_key,
        timeout: endpoint.timeout,
        proxy: endpoint.proxy,
        tls: endpoint.tls,
        credential,
        retry_on: spec.retry.retry_on.clone(),
    })?;
    Ok(Connector {
        name: spec.name,
        listen: spec.listen,
        filter: spec.filter,
        mapping: spec.mapping,
        gate,
        adapter,
        pace: spec.pace,
        retry: spec.retry,
        concurrency: spec.concurrency,
        rate: spec.rate,
        continue_on_dead: spec.continue_on_dead,
        ignore_leave: spec.ignore_leave,
        skip_unchanged: spec.skip_unchanged,
        serial: spec.serial,
        from_beginning: spec.from_beginning,
        config_hash: spec.config_hash,
        config: spec.config,
        file: spec.file,
    })
}
