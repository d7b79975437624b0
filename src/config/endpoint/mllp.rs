//! `endpoint:` of a connector whose adapter speaks MLLP.

use super::Endpoint;
use crate::adapter::http::Options;
use crate::adapter::rest::Delete;
use crate::config::found::Found;
use crate::config::proxy;
use crate::config::settings::Scope;
use crate::config::tls;
use crate::config::url::{self, Use};
use crate::rules::template::Template;

/// What belongs to HTTP.
const CALLS: [(&str, &str); 6] = [
    ("method", "leave it out: MLLP carries messages only"),
    ("headers", "leave it out: what the receiver is to know stands in the message"),
    ("delete", "the adapter's file says what becomes of deletes"),
    ("authType", "a receiver of MLLP knows who sends by a client certificate: `tls: {cert: ..., key: ...}`"),
    ("credentialsId", "a receiver of MLLP knows who sends by a client certificate: `tls: {cert: ..., key: ...}`"),
    ("plainHttp", "write `plainMllp: true`"),
];

/// Reads it: `url` (`mllps://host:port`, or `mllp` where that is allowed), `plainMllp`, `timeout`, `tls`, `proxy`.
pub(crate) fn read(found: &Found<'_>, scope: &Scope) -> Option<Endpoint> {
    let fields = found.fields()?;
    let allowed = fields.flag("plainMllp");
    let place = fields.need("url");
    let plain =
        place.as_ref().and_then(Found::node_text).is_some_and(|url| url.to_ascii_lowercase().starts_with("mllp:"));
    let url = place.and_then(|found| {
        let text = url::check(&found, Use::Mllp { plain: allowed })?;
        Template::parse_url(&text).map_err(|message| found.error(message)).ok()
    });
    let own = fields.duration("timeout");
    let (timeout, timed) = (own.unwrap_or(Options::TIMEOUT), own.is_some());
    let proxy = fields.take("proxy").and_then(|found| proxy::read(&found, |found| scope.credential(found)));
    let tls = fields.take("tls").and_then(|found| tls::files(&found)).unwrap_or_default();
    for (key, hint) in CALLS {
        if let Some(found) = fields.take(key) {
            found.error_hint("is for calls of HTTP, and this adapter speaks MLLP", hint);
        }
    }
    fields.done();
    Some(Endpoint {
        url: url?,
        method: "SEND".to_owned(),
        headers: Vec::new(),
        credential: None,
        in_body: false,
        timeout,
        timed,
        proxy,
        tls,
        plain,
        delete: Delete::Hold,
    })
}
