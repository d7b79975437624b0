//! `tls:` of an endpoint or a token address: PEM files, read when the connector is built.

use crate::adapter::tls::{ClientFiles, TlsFiles};
use crate::config::found::Found;

/// Reads `tls: {ca, cert, key}`; `ca` may be a list.
pub(crate) fn files(found: &Found<'_>) -> Option<TlsFiles> {
    let fields = found.fields()?;
    let ca = fields.paths("ca");
    let (cert, key) = (fields.take("cert"), fields.take("key"));
    if cert.is_some() != key.is_some() {
        found.error("needs `cert` and `key` together");
    }
    let paths = cert.and_then(|found| found.path()).zip(key.and_then(|found| found.path()));
    fields.done();
    Some(TlsFiles { ca, client: paths.map(|(cert, key)| ClientFiles { cert, key }) })
}
