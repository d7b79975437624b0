//! Proxies: http ones that are asked by CONNECT, and SOCKS5.

use zeroize::Zeroizing;

use super::open::basic;
use super::trouble::Trouble;
use crate::adapter::secret::SecretSource;

/// Who we are to a proxy.
#[derive(Debug)]
pub struct Login {
    /// User name; no colon.
    pub user: String,
    /// Password.
    pub password: SecretSource,
}

/// How a proxy is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// `http://`: CONNECT, for http and https targets alike (RFC 9110 §9.3.6).
    Connect,
    /// `socks5://`: SOCKS5 (RFC 1928) with the address that we looked up and checked.
    Socks,
    /// `socks5h://`: SOCKS5 with the name, which the proxy looks up.
    SocksByName,
}

/// A proxy.
#[derive(Debug)]
pub struct Proxy {
    manner: Manner,
    host: String,
    port: u16,
    login: Option<Login>,
}

impl Proxy {
    /// From `http://host:port`, `socks5://host:port` or `socks5h://host:port`; who we are never stands in the URL.
    pub fn parse(url: &str, login: Option<Login>) -> Result<Proxy, String> {
        let uri: ureq::http::Uri = url.parse().map_err(|_| "proxy: not a URL; expected http://host:port".to_owned())?;
        let authority = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
        if authority.contains('@') {
            return Err("proxy: credentials do not belong into the URL; give them as a secret".to_owned());
        }
        let (manner, port) = match uri.scheme_str() {
            Some("http") => (Manner::Connect, 3128),
            Some("socks5") => (Manner::Socks, 1080),
            Some("socks5h") => (Manner::SocksByName, 1080),
            _ => {
                return Err(
                    "proxy: only http, socks5 and socks5h proxies are supported; expected http://host:port".to_owned()
                );
            }
        };
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err("proxy: only host and port belong into the URL; expected http://host:port".to_owned());
        }
        let host = uri.host().unwrap_or_default().to_owned();
        Ok(Proxy { manner, host, port: uri.port_u16().unwrap_or(port), login })
    }

    /// Its host and port.
    pub(in crate::adapter) fn place(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// How it is asked.
    pub(in crate::adapter) fn manner(&self) -> Manner {
        self.manner
    }

    /// What an http proxy is shown, if anything.
    pub(in crate::adapter) fn authorization(&self) -> Result<Option<Zeroizing<String>>, Trouble> {
        let Some((user, password)) = self.login()? else { return Ok(None) };
        Ok(Some(basic(&Zeroizing::new(format!("{user}:{}", password.expose())))))
    }

    /// User name and password, if there are any.
    pub(in crate::adapter) fn login(
        &self,
    ) -> Result<Option<(&str, std::sync::Arc<crate::adapter::secret::Secret>)>, Trouble> {
        let Some(login) = &self.login else { return Ok(None) };
        let secret = login.password.get();
        let secret = secret.map_err(|why| Trouble::halt("credential", format!("the proxy's {why}")))?;
        Ok(Some((&login.user, secret)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_url_holds_no_credentials() {
        assert!(Proxy::parse("http://proxy.example:8080", None).is_ok());
        assert!(Proxy::parse("http://u:p@proxy.example:8080", None).unwrap_err().contains("as a secret"));
        assert!(Proxy::parse("ftp://proxy.example", None).unwrap_err().contains("only http, socks5"));
        assert!(Proxy::parse("http://proxy.example/x", None).unwrap_err().contains("only host and port"));
        assert!(Proxy::parse("not a url", None).unwrap_err().contains("not a URL"));
        let socks = Proxy::parse("socks5h://proxy.example", None).unwrap();
        assert_eq!((socks.place(), socks.manner()), (("proxy.example", 1080), Manner::SocksByName));
        assert_eq!(Proxy::parse("socks5://[::1]:9050", None).unwrap().place(), ("[::1]", 9050));
    }
}
