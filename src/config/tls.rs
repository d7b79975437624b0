//! `tls:` of an endpoint or a token address: PEM files, read when the connector is built and when they change.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::adapter::tls::{ClientFiles, Pin, TlsFiles};
use crate::config::found::Found;

/// Reads `tls: {ca, roots, pins, cert, key}`; `ca` and `roots` may be lists.
pub(crate) fn files(found: &Found<'_>) -> Option<TlsFiles> {
    let fields = found.fields()?;
    let (ca, roots) = (fields.paths("ca"), fields.paths("roots"));
    if !ca.is_empty() && !roots.is_empty() {
        found.error_hint("has `ca` and `roots`", "`ca` adds to the system's authorities, `roots` replaces them");
    }
    let pins = fields.take("pins").map(|found| pins(&found)).unwrap_or_default();
    let (cert, key) = (fields.take("cert"), fields.take("key"));
    if cert.is_some() != key.is_some() {
        found.error("needs `cert` and `key` together");
    }
    let paths = cert.and_then(|found| found.path()).zip(key.and_then(|found| found.path()));
    fields.done();
    Some(TlsFiles { ca, roots, pins, client: paths.map(|(cert, key)| ClientFiles { cert, key }) })
}

/// `sha256/` and 44 characters of base64, as RFC 7469 and curl write it.
fn pins(found: &Found<'_>) -> Vec<Pin> {
    let items = found.one_or_many();
    if items.len() < 2 {
        found.error_hint("needs two keys at least", "the one in use, and the next one, which is kept elsewhere");
    }
    let pin = |item: &Found<'_>| {
        let bytes = item.text()?.strip_prefix("sha256/").map(|digits| digits.trim_start_matches('/'));
        let pin = bytes.and_then(|digits| STANDARD.decode(digits).ok()).and_then(|bytes| Pin::try_from(bytes).ok());
        if pin.is_none() {
            item.error_hint("is no pin", "write sha256/ and the base64 of the SHA-256 of a public key, 44 characters");
        }
        pin
    };
    items.iter().filter_map(pin).collect()
}
