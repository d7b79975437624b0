//! `proxy:` of an endpoint, an event source or a token address.

use crate::config::credential::AuthType;
use crate::config::found::Found;
use crate::config::url::{self, Use};

/// A proxy, and who we are to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxySpec {
    /// `http://host:port`, `socks5://host:port` or `socks5h://host:port`.
    pub url: String,
    /// A credential of type basic.
    pub login: Option<String>,
}

/// Reads an address, or `{url, credentialsId}`; `known` reads the name of a credential.
pub(crate) fn read(
    found: &Found<'_>,
    known: impl Fn(&Found<'_>) -> Option<(String, Option<AuthType>)>,
) -> Option<ProxySpec> {
    if !found.is_section() {
        return url::check(found, Use::Proxy).map(|url| ProxySpec { url, login: None });
    }
    let fields = found.fields()?;
    let url = fields.need("url").and_then(|found| url::check(&found, Use::Proxy));
    let login = fields.take("credentialsId").map(|found| {
        let (name, kind) = known(&found)?;
        if kind.is_some_and(|kind| kind != AuthType::Basic) {
            found.error("is not a credential of type basic, and a proxy takes a user name and a password");
            return None;
        }
        Some(name)
    });
    fields.done();
    Some(ProxySpec { url: url?, login: login.map_or(Some(None), |name| name.map(Some))? })
}
