//! `endpoint:` or `target:` of a connector: where, how, as whom.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::credential::{AuthType, is_header_name};
use crate::config::fields::Fields;
use crate::config::found::Found;
use crate::config::settings::Scope;
use crate::config::url::{self, Use};
use crate::rules::template::Template;

/// Where a connector delivers to.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// URL, with placeholders in path and query.
    pub url: Template,
    /// Method of inserts, updates and events; default POST.
    pub method: &'static str,
    /// Further headers, sorted by name.
    pub headers: Vec<(String, String)>,
    /// How it shows who it is.
    pub auth: AuthType,
    /// The credential in `credentials:`.
    pub credential: Option<String>,
    /// For a whole call; default [`Endpoint::TIMEOUT`].
    pub timeout: Duration,
    /// Proxy; none = straight (the environment is not asked).
    pub proxy: Option<String>,
    /// TLS beyond the system's trust store.
    pub tls: Tls,
    /// Plain http to another machine is allowed.
    pub plain_http: bool,
    /// What a deleted record does.
    pub delete: DeleteRule,
}

/// `tls:`, PEM files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Further certificate authorities.
    pub ca: Vec<PathBuf>,
    /// Client certificate, with its chain.
    pub cert: Option<PathBuf>,
    /// Key of the client certificate.
    pub key: Option<PathBuf>,
}

/// What a deleted record does at a plain REST target.
#[derive(Clone, Debug)]
pub enum DeleteRule {
    /// A request without a body: by default `DELETE` to the same URL, when that names a record.
    Request {
        /// Method.
        method: &'static str,
        /// URL; none = the endpoint's.
        url: Option<Template>,
    },
    /// The endpoint's method with the record as it was and the header `Sync-Op: delete`: the default when the URL
    /// names a collection.
    Body,
    /// Nothing: deletes are not sent (`delete: skip`).
    Skip,
    /// A person decides (`delete: hold`).
    Hold,
}

const METHODS: [(&str, &str); 4] = [("POST", "POST"), ("PUT", "PUT"), ("PATCH", "PATCH"), ("DELETE", "DELETE")];

/// Headers that the agent sets itself.
const OURS: [&str; 15] = [
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "connection",
    "accept-encoding",
    "idempotency-key",
    "idem-key",
    "sync-op",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
];
/// Headers that hold a secret.
const SECRET: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];

impl Endpoint {
    /// For a whole call when the endpoint does not say.
    pub const TIMEOUT: Duration = Duration::from_secs(30);

    /// Reads an endpoint. `deletes` = whether the connector hears deletes, as far as known.
    pub(crate) fn read(found: &Found<'_>, scope: &Scope, deletes: bool) -> Option<Endpoint> {
        let fields = found.fields()?;
        let plain_http = fields.flag("plainHttp");
        let usage = Use::Target { plain: plain_http, key: "plainHttp" };
        let place = fields.need("url");
        let url = place.as_ref().and_then(|found| template(found, usage));
        let origin = place.as_ref().and_then(Found::text).map(url::origin);
        let method = fields.take("method").map_or(Some("POST"), |found| found.choice("method", &METHODS));
        let (auth, credential) = identity(&fields, scope);
        let headers = fields.take("headers").map(|found| headers(&found)).unwrap_or_default();
        let timeout = fields.duration("timeout").unwrap_or(Endpoint::TIMEOUT);
        let proxy = fields.take("proxy").and_then(|found| url::check(&found, Use::Proxy));
        let tls = fields.take("tls").and_then(|found| Tls::read(&found)).unwrap_or_default();
        let delete = match fields.take("delete") {
            Some(found) => delete(&found, usage, origin.as_deref()),
            None => url.as_ref().map(|url| default_delete(url, place.as_ref(), deletes)),
        };
        fields.done();
        Some(Endpoint {
            url: url?,
            method: method?,
            headers,
            auth,
            credential,
            timeout,
            proxy,
            tls,
            plain_http,
            delete: delete?,
        })
    }

    /// Whether the URL names a record, not a collection.
    pub fn is_record_url(&self) -> bool {
        !self.url.paths().is_empty()
    }
}

fn template(found: &Found<'_>, usage: Use<'_>) -> Option<Template> {
    let text = url::check(found, usage)?;
    Template::parse_url(&text).map_err(|message| found.error(message)).ok()
}

fn default_delete(url: &Template, place: Option<&Found<'_>>, deletes: bool) -> DeleteRule {
    if !url.paths().is_empty() {
        return DeleteRule::Request { method: "DELETE", url: None };
    }
    if let Some(place) = place.filter(|_| deletes) {
        place.warn(
            "names a collection: a deleted record is sent there like any other, with the header `Sync-Op: delete`",
            Some("if the target does not read that header, set `delete:` to {method, url}, skip or hold"),
        );
    }
    DeleteRule::Body
}

fn delete(found: &Found<'_>, usage: Use<'_>, origin: Option<&str>) -> Option<DeleteRule> {
    if found.is_text() {
        let hold = found.choice("delete rule", &[("skip", false), ("hold", true)])?;
        return Some(if hold { DeleteRule::Hold } else { DeleteRule::Skip });
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
    Some(DeleteRule::Request { method: method?, url: url.map_or(Some(None), |url| url.map(Some))? })
}

/// `authType` and `credentialsId`, which must agree.
fn identity(fields: &Fields<'_>, scope: &Scope) -> (AuthType, Option<String>) {
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
    {
        place.error(format!("is {} but the credential `{name}` is of type {}", wanted.word(), kind.word()));
    }
    let kind = credential.as_ref().and_then(|(_, kind)| *kind).or(wanted).unwrap_or(AuthType::None);
    (kind, credential.map(|(name, _)| name))
}

fn headers(found: &Found<'_>) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for (name, found) in found.entries().unwrap_or_default() {
        let lower = name.to_ascii_lowercase();
        if !is_header_name(name) {
            found.error("is not a header name");
        } else if OURS.contains(&lower.as_str()) {
            found.error("is set by the agent itself");
        } else if SECRET.contains(&lower.as_str()) {
            found.error_hint("holds a secret, which never stands in the file", "use a credential and `credentialsId`");
        } else if headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            found.error("is given twice");
        } else {
            if ["key", "token", "secret", "password"].iter().any(|word| lower.contains(word)) {
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

impl Tls {
    fn read(found: &Found<'_>) -> Option<Tls> {
        let fields = found.fields()?;
        let tls = Tls { ca: fields.paths("ca"), cert: fields.path("cert"), key: fields.path("key") };
        fields.done();
        if tls.cert.is_some() != tls.key.is_some() {
            found.error("needs `cert` and `key` together");
        }
        Some(tls)
    }
}
