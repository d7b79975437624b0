//! `endpoint:` or `target:` of a connector: where, how, as whom.

pub(crate) mod mllp;

use std::time::Duration;

use crate::adapter::http::Options;
use crate::adapter::rest::{Delete, RESERVED};
use crate::adapter::tls::TlsFiles;
use crate::config::credential::{AuthType, is_header_name};
use crate::config::fields::Fields;
use crate::config::found::Found;
use crate::config::proxy::{self, ProxySpec};
use crate::config::secrecy;
use crate::config::settings::Scope;
use crate::config::tls;
use crate::config::url::{self, Use};
use crate::rules::template::Template;

/// Where a connector delivers to.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// URL, with placeholders in path and query.
    pub url: Template,
    /// Method of inserts, updates and events; default POST.
    pub method: String,
    /// Further headers, sorted by name.
    pub headers: Vec<(String, String)>,
    /// How it shows who it is: a name in `credentials:`.
    pub credential: Option<String>,
    /// That goes into the body of its requests.
    pub in_body: bool,
    /// For a whole call; default [`Options::TIMEOUT`].
    pub timeout: Duration,
    /// Whether the connector says so itself.
    pub timed: bool,
    /// Proxy; none = straight (the environment is not asked).
    pub proxy: Option<ProxySpec>,
    /// TLS beyond the system's trust store.
    pub tls: TlsFiles,
    /// The URL is plain http, to this machine or allowed by `plainHttp: true`.
    pub plain: bool,
    /// What a deleted record does.
    pub delete: Delete,
}

const METHODS: [(&str, &str); 4] = [("POST", "POST"), ("PUT", "PUT"), ("PATCH", "PATCH"), ("DELETE", "DELETE")];

/// Headers that hold a secret.
const SECRET: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];

impl Endpoint {
    /// Reads an endpoint. `deletes` = whether the connector hears deletes, as far as known.
    pub(crate) fn read(found: &Found<'_>, scope: &Scope, deletes: bool) -> Option<Endpoint> {
        let fields = found.fields()?;
        let plain_http = fields.flag("plainHttp");
        let usage = Use::Target { plain: plain_http, key: "plainHttp" };
        let place = fields.need("url");
        let url = place.as_ref().and_then(|found| template(found, usage));
        let plain =
            place.as_ref().and_then(Found::text).is_some_and(|url| url.to_ascii_lowercase().starts_with("http:"));
        let origin = place.as_ref().and_then(Found::text).map(url::origin);
        let method = fields.take("method").map_or(Some("POST"), |found| found.choice("method", &METHODS));
        let credential = identity(&fields, scope);
        let headers = fields.take("headers").map(|found| headers(&found)).unwrap_or_default();
        let own = fields.duration("timeout");
        let (timeout, timed) = (own.unwrap_or(Options::TIMEOUT), own.is_some());
        let proxy = fields.take("proxy").and_then(|found| proxy::read(&found, |found| scope.credential(found)));
        let tls = fields.take("tls").and_then(|found| tls::files(&found)).unwrap_or_default();
        let delete = match fields.take("delete") {
            Some(found) => delete(&found, usage, origin.as_deref()),
            None => url.as_ref().map(|url| default_delete(url, place.as_ref(), deletes)),
        };
        let in_body = credential.as_ref().is_some_and(|name| scope.is_in_body(name));
        if in_body && deletes && matches!(delete, Some(Delete::Request { .. })) {
            let place = fields.take("credentialsId").unwrap_or_else(|| found.clone());
            place.error_hint(
                "goes into the body, and a deleted record has a request without one",
                "set `delete: skip` or `hold`, or listen to inserts and updates only",
            );
        }
        fields.done();
        Some(Endpoint {
            url: url?,
            method: method?.to_owned(),
            headers,
            credential,
            in_body,
            timeout,
            timed,
            proxy,
            tls,
            plain,
            delete: delete?,
        })
    }
}

fn template(found: &Found<'_>, usage: Use<'_>) -> Option<Template> {
    let text = url::check(found, usage)?;
    Template::parse_url(&text).map_err(|message| found.error(message)).ok()
}

fn default_delete(url: &Template, place: Option<&Found<'_>>, deletes: bool) -> Delete {
    let rule = Delete::default_for(url);
    if let Some(place) = place.filter(|_| deletes && matches!(rule, Delete::Body)) {
        place.warn(
            "names a collection: a deleted record is sent there like any other, with the header `Sync-Op: delete`",
            Some("if the target does not read that header, set `delete:` to {method, url}, skip or hold"),
        );
    }
    rule
}

fn delete(found: &Found<'_>, usage: Use<'_>, origin: Option<&str>) -> Option<Delete> {
    if found.is_text() {
        let hold = found.choice("delete rule", &[("skip", false), ("hold", true)])?;
        return Some(if hold { Delete::Hold } else { Delete::Skip });
    }
    let fields = found.fields()?;
    let method = fields.take("method").map_or(Some("DELETE"), |found| found.choice("method", &METHODS));
    let url = fields.take("url").map(|found| {
        let template = template(&found, usage)?;
        if origin != found.text().map(url::origin).as_deref() {
            found.error_hint("is on another host than the endpoint's `url`", "that needs a connector of its own");
        }
        Some(template)
    });
    fields.done();
    Some(Delete::Request { method: method?.to_owned(), url: url.map_or(Some(None), |url| url.map(Some))? })
}

/// `authType` and `credentialsId`, which must agree; the credential's name.
fn identity(fields: &Fields<'_>, scope: &Scope) -> Option<String> {
    let place = fields.take("authType");
    let wanted = place.as_ref().and_then(|found| found.choice("authType", &AuthType::WORDS));
    let id = fields.take("credentialsId");
    let credential = id.as_ref().and_then(|found| scope.credential(found));
    match (&place, &id, wanted) {
        (Some(place), None, Some(wanted)) if wanted != AuthType::None => {
            place.error_hint("needs a `credentialsId` beside it", "name one of the `credentials:` in sync.yaml");
        }
        (_, Some(id), Some(AuthType::None)) => id.error("stands beside `authType: none`"),
        _ => {}
    }
    if let (Some(place), Some(wanted), Some((name, Some(kind)))) = (&place, wanted, &credential)
        && wanted != AuthType::None
        && wanted != *kind
        && *kind != AuthType::Several
    {
        place.error(format!("is {} but the credential `{name}` is of type {}", wanted.word(), kind.word()));
    }
    credential.map(|(name, _)| name)
}

fn headers(found: &Found<'_>) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for (name, found) in found.entries().unwrap_or_default() {
        let lower = name.to_ascii_lowercase();
        if !is_header_name(name) {
            found.error("is not a header name");
        } else if SECRET.contains(&lower.as_str()) {
            found.error_hint("holds a secret, which never stands in the file", "use a credential and `credentialsId`");
        } else if RESERVED.contains(&lower.as_str()) {
            found.error("is set by the agent itself");
        } else if headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            found.error("is given twice");
        } else {
            let named = ["key", "token", "secret", "password"].iter().any(|word| lower.contains(word));
            if named || found.node_text().is_some_and(secrecy::is_in) {
                found.warn("seems to hold a secret", Some("use a credential of type apiKey with `header:`"));
            }
            let Some(value) = found.text() else { continue };
            if !value.chars().all(|c| c == ' ' || c.is_ascii_graphic()) || value.trim() != value {
                found.error("has a value that no header can hold: visible ASCII only");
                continue;
            }
            headers.push((name.to_owned(), value.to_owned()));
        }
    }
    headers.sort();
    headers
}
