//! Plain REST/JSON: one record, one request.

pub mod version;

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use ureq::http::header::{HeaderName, HeaderValue};

use crate::adapter::auth::Credential;
use crate::adapter::http::{Caller, Client, Each, Next, Options, Rehearsed, Reply, rehearse};
use crate::adapter::{Adapter, Fleet, Left, Links, Parcel, Request, Shown, Text};
use crate::clock;
use crate::event::{Op, Value};
use crate::format::json;
use crate::rules::classify::{Asked, classify, items};
use crate::rules::governance::Cleared;
use crate::rules::outcome::Reason;
use crate::rules::template::Template;
use version::Version;

/// What a deleted record does at the target.
#[derive(Clone, Debug)]
pub enum Delete {
    /// A request without a body; the default, with `DELETE` and the endpoint's URL, where that names a record.
    Request {
        /// Method.
        method: String,
        /// URL; none = the endpoint's.
        url: Option<Template>,
    },
    /// The endpoint's method with the record as it was and `Sync-Op: delete`; the default where the URL names a
    /// collection.
    Body,
    /// Deletes are not sent.
    Skip,
    /// A person decides: the event is held.
    Hold,
}

impl Delete {
    /// What a delete does when the configuration does not say.
    pub fn default_for(url: &Template) -> Delete {
        if url.paths().is_empty() { Delete::Body } else { Delete::Request { method: "DELETE".to_owned(), url: None } }
    }
}

/// What a REST adapter is made of.
#[derive(Debug)]
pub struct RestSpec {
    /// URL, with placeholders in path and query.
    pub url: Template,
    /// `POST`, `PUT`, `PATCH` or `DELETE`, for inserts, updates and events.
    pub method: String,
    /// Further header fields.
    pub headers: Vec<(String, String)>,
    /// What a deleted record does.
    pub delete: Delete,
    /// Value of `Idem-Key`, as the target expects it.
    pub idem_key: Option<Template>,
    /// Further statuses that are retried.
    pub retry_on: Vec<u16>,
    /// What is written names the version that was last seen there, where that is known.
    pub conditional: bool,
    /// Client settings.
    pub http: Options,
    /// Who it comes from.
    pub credential: Option<Arc<Credential>>,
}

/// A plain REST/JSON target.
#[derive(Debug)]
pub struct RestAdapter {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    url: Template,
    /// The URL, when it is the same for every record.
    fixed: Option<Arc<str>>,
    method: String,
    headers: Vec<(String, String)>,
    delete: Delete,
    idem_key: Option<Template>,
    retry_on: Vec<u16>,
    conditional: bool,
    links: OnceLock<Arc<dyn Links>>,
    credential: Option<Arc<Credential>>,
    client: Client,
    plain: bool,
    origin: String,
    /// `scheme://host[:port]` as the URL spells it.
    base: String,
    fields: Vec<String>,
}

/// Header fields that the adapter sets itself, and those that would hold a secret.
pub const RESERVED: [&str; 14] = [
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "cookie",
    "expect",
    "host",
    "idem-key",
    "idempotency-key",
    "proxy-authorization",
    "sync-op",
    "te",
    "transfer-encoding",
];

impl RestAdapter {
    /// An adapter. Errors name the setting and what is wrong, all at once.
    pub fn new(spec: RestSpec) -> Result<RestAdapter, Vec<String>> {
        let RestSpec { url, method, headers, delete, idem_key, retry_on, conditional, http, credential } = spec;
        let mut wrong = Vec::new();
        let mut keep = |result: Result<String, String>| result.map_err(|error| wrong.push(error)).unwrap_or_default();
        let origin = keep(origin_of(&url, http.plain).map_err(|error| format!("url: {error}")));
        keep(known_method(&method).map(str::to_owned));
        if let Delete::Request { method, url } = &delete {
            keep(known_method(method).map(str::to_owned).map_err(|error| format!("delete: {error}")));
            if let Some(url) = url {
                let elsewhere = keep(origin_of(url, http.plain).map_err(|error| format!("delete: url: {error}")));
                if !elsewhere.is_empty() && elsewhere != origin {
                    keep(Err("delete: url: names another host than the endpoint's url".to_owned()));
                }
            }
        }
        for (name, value) in &headers {
            keep(header(name, value));
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let mut fields = url.paths().to_vec();
        fields.extend(idem_key.iter().flat_map(|template| template.paths().iter().cloned()));
        if let Delete::Request { url: Some(url), .. } = &delete {
            fields.extend_from_slice(url.paths());
        }
        fields.sort();
        fields.dedup();
        let plain = http.plain;
        let base = filled(&url, "a1").map(|url| base_of(&url).to_owned()).unwrap_or_default();
        let client = Client::new(http);
        let fixed = if url.paths().is_empty() { url.url(|_| None).ok().map(Arc::from) } else { None };
        let shared = Shared {
            url,
            fixed,
            method,
            headers,
            delete,
            idem_key,
            retry_on,
            conditional,
            links: OnceLock::new(),
            credential,
            client,
            plain,
            origin,
            base,
            fields,
        };
        Ok(RestAdapter { shared: Arc::new(shared) })
    }
}

fn known_method(method: &str) -> Result<&'static str, String> {
    const KNOWN: [&str; 4] = ["POST", "PUT", "PATCH", "DELETE"];
    let known = KNOWN.into_iter().find(|known| *known == method);
    known.ok_or_else(|| format!("method: {method} is not one of POST, PUT, PATCH, DELETE"))
}

fn header(name: &str, value: &str) -> Result<String, String> {
    let lower = name.to_ascii_lowercase();
    if RESERVED.contains(&lower.as_str()) {
        return Err(format!("headers: {name}: is set by the agent; secrets belong into credentials"));
    }
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("headers: {name:?} is not the name of a header"))?;
    match HeaderValue::from_str(value) {
        Ok(value) if value.to_str().is_ok() => Ok(String::new()),
        _ => Err(format!("headers: {name}: the value holds characters that a header cannot carry")),
    }
}

/// `scheme://host:port`. A host never comes from data: filled with different values, it must stay the same.
fn origin_of(url: &Template, plain: bool) -> Result<String, String> {
    let one = filled(url, "a1").and_then(|url| origin_of_text(&url, plain))?;
    let other = filled(url, "b2").and_then(|url| origin_of_text(&url, plain))?;
    if one == other {
        Ok(one)
    } else {
        Err("a placeholder stands in the host: a host never comes from data".to_owned())
    }
}

fn filled(url: &Template, with: &str) -> Result<String, String> {
    let value = Value::from(with);
    url.url(|_| Some(&value)).map_err(|reason| reason.text.into_owned())
}

/// Scheme, host and port of an address without placeholders.
pub fn origin_of_text(url: &str, plain: bool) -> Result<String, String> {
    let uri: ureq::http::Uri = url.parse().map_err(|_| "is not a URL; expected https://host/path".to_owned())?;
    let authority = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
    if authority.contains('@') {
        return Err("credentials do not belong into a URL; use credentialsId".to_owned());
    }
    let (scheme, port) = match uri.scheme_str() {
        Some("https") => ("https", 443),
        Some("http") if plain => ("http", 80),
        Some("http") => return Err("plain http is not allowed; use https, or say plainHttp: true".to_owned()),
        _ => return Err("is not a URL; expected https://host/path".to_owned()),
    };
    let host = uri.host().filter(|host| !host.is_empty()).ok_or("names no host")?;
    if uri.port_u16().is_none() && authority.len() > host.len() {
        return Err("the port is not a number below 65536".to_owned());
    }
    Ok(format!("{scheme}://{}:{}", host.to_ascii_lowercase(), uri.port_u16().unwrap_or(port)))
}

/// What stands before the path of a URL.
fn base_of(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url[host..].find(['/', '?', '#']).map_or(url.len(), |at| host + at);
    &url[..end]
}

/// Why a path may not be pushed to: another reader of it may see another place in it than is meant.
fn odd_path(url: &str) -> Option<&'static str> {
    if url.len() > LONGEST {
        return Some("is longer than 8 KiB");
    }
    if !url.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\\"<>^`{|}#".contains(&byte)) {
        return Some("holds a character that must be percent-encoded, or a fragment");
    }
    let path = url[base_of(url).len()..].split('?').next().unwrap_or_default();
    let dots = |segment: &str| matches!(&*segment.to_ascii_lowercase().replace("%2e", "."), "." | "..");
    if path.contains("//") || path.split('/').any(dots) {
        return Some("has an empty segment, a `.` or a `..` in its path");
    }
    None
}

/// Longest URL that is pushed to, in bytes.
const LONGEST: usize = 8 << 10;

impl Shared {
    /// See [`Adapter::pushed`].
    fn pushed(&self, url: &str) -> Result<String, Reason> {
        let wrong = |why: &str| Reason::new("push", format!("the URL that is pushed to {why}"));
        let whole = if url.starts_with('/') { format!("{}{url}", self.base) } else { url.to_owned() };
        if let Some(why) = odd_path(&whole) {
            return Err(wrong(why));
        }
        let origin = origin_of_text(&whole, self.plain).map_err(|why| wrong(&why))?;
        if origin != self.origin {
            let own = &self.origin;
            let text = format!("is of {origin}, and the connector's endpoint is {own}: make a connector for that host");
            return Err(wrong(&text));
        }
        Ok(whole)
    }

    fn render(&self, parcel: &Parcel, record: &Cleared) -> Result<Option<Request>, Reason> {
        let lookup = |path: &str| record.field(path);
        let (method, url, with_body) = match (parcel.op(), &self.delete) {
            (Op::Delete, Delete::Skip) => return Ok(None),
            (Op::Delete, Delete::Hold) => {
                return Err(Reason::new("delete-rule", "the connector holds deletes (delete: hold)"));
            }
            (Op::Delete, Delete::Request { method, url: Some(url) }) => (method, url.url(lookup)?.into(), false),
            (Op::Delete, Delete::Request { method, url: None }) => (method, self.fill(lookup)?, false),
            (Op::Delete, Delete::Body) | (Op::Insert | Op::Update | Op::Event, _) => {
                let url = match parcel.to() {
                    Some(url) => self.pushed(url)?.into(),
                    None => self.fill(lookup)?,
                };
                (&self.method, url, self.method != "DELETE")
            }
        };
        let mut headers = Vec::with_capacity(self.headers.len() + 4);
        if parcel.op() == Op::Delete && with_body && record.record().is_empty() {
            let text = "only the deleted record's key is known and the mapping sends none of it, so the target could not tell what to delete: map the key, or set `delete:` to {method, url}, skip or hold";
            return Err(Reason::new("delete-rule", text));
        }
        let body = if with_body { json::encode(record.record())? } else { Vec::new() };
        if with_body && !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            headers.push(("Content-Type".into(), "application/json".into()));
        }
        headers.push(("Idempotency-Key".into(), parcel.key().to_owned().into()));
        if let Some(template) = &self.idem_key {
            headers.push(("Idem-Key".into(), template.header(lookup)?.into()));
        }
        headers.push(("Sync-Op".into(), parcel.op().as_str().into()));
        headers.extend(self.headers.iter().map(|(name, value)| (name.clone().into(), value.clone().into())));
        Ok(Some(Request {
            method: known_method(method).map_or_else(|_| method.clone().into(), Text::Borrowed),
            url,
            headers,
            body,
        }))
    }

    /// The endpoint's URL for a record.
    fn fill<'v>(&self, lookup: impl Fn(&str) -> Option<&'v Value>) -> Result<Arc<str>, Reason> {
        match &self.fixed {
            Some(url) => Ok(Arc::clone(url)),
            None => Ok(self.url.url(lookup)?.into()),
        }
    }

    fn asked(&self, parcel: &Parcel, request: &Request) -> Asked<'_> {
        let delete = parcel.op() == Op::Delete;
        let url = match &self.delete {
            Delete::Request { url: Some(url), .. } if delete => url,
            _ => &self.url,
        };
        // What a handler pushed elsewhere names its place itself.
        let pushed = !delete && self.fixed.as_ref().is_some_and(|fixed| *fixed != request.url);
        Asked {
            delete: delete || request.method == "DELETE",
            record_url: pushed || !url.paths().is_empty(),
            retry_on: &self.retry_on,
        }
    }
}

impl Adapter for RestAdapter {
    fn origin(&self) -> &str {
        &self.shared.origin
    }

    fn render(&self, parcel: &Parcel) -> Result<Option<Request>, Reason> {
        Ok(parcel.request(|record| self.shared.render(parcel, record))?.map(Cow::into_owned))
    }

    fn pushed(&self, url: &str) -> Result<String, Reason> {
        self.shared.pushed(url)
    }

    fn rehearse(
        &self,
        parcel: &Parcel,
        answer: &mut dyn FnMut(&Request) -> Option<Reply>,
    ) -> Result<Rehearsed, Reason> {
        rehearse(&*self.shared, parcel, answer)
    }

    fn fields(&self) -> &[String] {
        &self.shared.fields
    }

    fn identifies(&self) -> bool {
        self.shared.conditional
    }

    fn attach(&self, links: Arc<dyn Links>) {
        // Given once, when the connector begins; later ones would be the same.
        let _ = self.shared.links.set(links);
    }

    fn fleet(&self, most: usize) -> std::io::Result<Box<dyn Fleet>> {
        Ok(Box::new(self.shared.client.fleet(Arc::clone(&self.shared), most)?))
    }

    fn probe(&self) -> Result<String, Reason> {
        let Some(credential) = &self.shared.credential else { return self.shared.client.probe(&self.shared.origin) };
        // Where calls go may be known only by who has a token.
        let ready = if credential.leads() { credential.ready() } else { Ok(()) };
        let base = credential.base();
        let reached = self.shared.client.probe(base.as_deref().unwrap_or(&self.shared.origin))?;
        match ready.and_then(|()| credential.ready()) {
            Ok(()) => Ok(format!("{reached}, credential {} is ready", credential.name())),
            Err(outcome) => {
                Err(outcome.reason().cloned().unwrap_or_else(|| Reason::new("credential", "cannot be had")))
            }
        }
    }

    fn shown(&self) -> Shown {
        self.shared.client.shown()
    }

    fn masked_headers(&self) -> Vec<(String, String)> {
        self.shared.credential.as_ref().map(|credential| credential.masked()).unwrap_or_default()
    }
}

impl Caller for Shared {
    type Course = Version;

    fn render(&self, parcel: &Parcel) -> Result<Option<Request>, Reason> {
        Ok(parcel.request(|record| Shared::render(self, parcel, record))?.map(Cow::into_owned))
    }

    fn set_out(&self, parcel: &Parcel, request: &Request) -> Result<Option<(Request, Version)>, Reason> {
        let Some(links) = self.links.get().filter(|_| self.conditional && parcel.items() == 0) else { return Ok(None) };
        if parcel.identity().is_empty() {
            return Ok(None);
        }
        // What a delete of its own address means there is not known.
        let elsewhere = parcel.op() == Op::Delete && matches!(&self.delete, Delete::Request { url: Some(_), .. });
        let named = !self.url.paths().is_empty() && parcel.to().is_none() && !elsewhere;
        Version::set_out(&**links, parcel, request, named).map(Some)
    }

    fn wants_fields(&self) -> bool {
        self.conditional
    }

    fn leave(&self, parcel: &Parcel, course: Version) -> Vec<Left> {
        course.leave(parcel)
    }

    fn judge(&self, parcel: &Parcel, request: &Request, reply: &Reply, course: Option<&mut Version>) -> Next {
        reply.vouch(&self.origin);
        self.client.note_date(reply);
        if let Some(course) = course {
            course.take(reply);
        }
        Next::End(classify(&reply.answer(), self.asked(parcel, request), clock::now()))
    }

    fn judge_items(&self, parcel: &Parcel, _: &Request, reply: &Reply, _: Option<&mut Version>) -> Each {
        if reply.status != 207 {
            return Each::Unsaid;
        }
        let delete = parcel.op() == Op::Delete;
        items(&reply.body, parcel.items(), delete, &self.retry_on).map_or(Each::Unsaid, Each::Items)
    }

    fn credential(&self) -> Option<&Arc<Credential>> {
        self.credential.as_ref()
    }
}
