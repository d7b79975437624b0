//! Opening a WebSocket: resolve, connect, through a proxy if one is configured, TLS, the upgrade with the credential.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Uri, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, error::CapacityError};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::line::Line;
use super::{Door, Ended, MOST};
use crate::adapter::Request as Asked;
use crate::adapter::auth::{Refused, Sealed};
use crate::adapter::http::{self, Manner, Proxy, To, Trouble, USER_AGENT, socks, trouble_of};
use crate::rules::outcome::{Outcome, Reason};
use crate::rules::reconnect::Refusal;

/// Limit for connecting, TLS included; the upgrade has as long again.
const CONNECT: Duration = http::Options::CONNECT;
/// Bytes read at once; more of a flood stays with the source.
const READ: usize = 32 * 1024;
/// Longest answer of a proxy to CONNECT.
const PROXY_HEAD: usize = 16 * 1024;

/// An open WebSocket.
pub type Socket = WebSocketStream<Line>;

/// What was opened.
pub struct Opened {
    /// It.
    pub socket: Socket,
    /// Set whenever bytes come in.
    pub heard: Arc<AtomicBool>,
    /// What was found, for people.
    pub found: String,
    /// The credential as it was shown.
    pub shown: Option<Sealed>,
}

impl Door {
    /// Opens a connection. A credential that is not accepted is tried once more when there is a newer one.
    ///
    /// # Errors
    /// It cannot be opened: why, and whether it passes.
    pub async fn open(&self) -> Result<Opened, Ended> {
        let sealed = self.seal().await?;
        match self.open_as(sealed.as_ref()).await {
            Ok(opened) => Ok(Opened { shown: sealed, ..opened }),
            Err(refused) if refused.refusal == Refusal::Credentials => {
                if !self.renewed(sealed).await {
                    return Err(refused);
                }
                let sealed = self.seal().await?;
                let opened = self.open_as(sealed.as_ref()).await?;
                Ok(Opened { shown: sealed, ..opened })
            }
            Err(ended) => Err(ended),
        }
    }

    /// The source has not accepted what it was shown, or no longer does: whether there is something newer.
    pub async fn renewed(&self, shown: Option<Sealed>) -> bool {
        let (Some(credential), Some(shown)) = (self.options.credential.clone(), shown) else { return false };
        matches!(spawn_blocking(move || credential.refused(&shown, Refused::ALL)).await, Ok(Ok(true)))
    }

    /// Opens a connection and closes it again; the text says what was found.
    ///
    /// # Errors
    /// It cannot be opened, and why.
    pub fn probe(&self) -> Result<String, Reason> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Reason::new("io", format!("it cannot be waited for: {error}")))?;
        runtime.block_on(async {
            let mut opened = self.open().await.map_err(|ended| ended.reason)?;
            // Whether it says good-bye in return is its own affair.
            let _ = timeout(CONNECT, opened.socket.close(None)).await;
            Ok(opened.found)
        })
    }

    /// The credential's envelope; reading it may take a file, a program or a token endpoint.
    async fn seal(&self) -> Result<Option<Sealed>, Ended> {
        let Some(credential) = self.options.credential.clone() else { return Ok(None) };
        // What signs or goes into a body has nothing to hold on to here but the address.
        let url = self.options.url.replacen("ws", "http", 1);
        let asked = Asked { method: "GET".into(), url: url.into(), headers: Vec::new(), body: Vec::new() };
        match spawn_blocking(move || credential.seal(&asked)).await {
            Ok(Ok(sealed)) => Ok(Some(sealed)),
            Ok(Err(outcome)) => Err(no_credential(&outcome)),
            Err(_) => Err(Ended::passing("credential", "the credential could not be read")),
        }
    }

    async fn open_as(&self, sealed: Option<&Sealed>) -> Result<Opened, Ended> {
        let options = &self.options;
        let request = request(&options.url, sealed, options.subprotocol.as_deref())?;
        let uri = request.uri().clone();
        let secure = uri.scheme_str() == Some("wss");
        if !secure && !options.plain {
            let text = "plain ws is not allowed here; use wss, or say plainHttp: true";
            return Err(Ended { refusal: Refusal::Lasting, reason: Reason::new("plain-http", text) });
        }
        let heard = Arc::new(AtomicBool::new(true));
        let connecting = self.connect(&uri, secure, &heard);
        let (line, how) = timeout(CONNECT, connecting)
            .await
            .unwrap_or_else(|_| Err(Ended::passing("timeout", "the connection was not made in time")))?;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ)
            .write_buffer_size(0)
            .max_write_buffer_size(READ)
            .max_message_size(Some(MOST))
            .max_frame_size(Some(MOST));
        let upgrading = client_async_with_config(request, line, Some(config));
        let upgraded = timeout(CONNECT, upgrading)
            .await
            .map_err(|_| Ended::passing("timeout", "the source did not answer the upgrade in time"))?;
        let (socket, _) = upgraded.map_err(|error| ended(&error, true))?;
        let place = uri.authority().map_or("", |authority| authority.as_str());
        Ok(Opened { socket, heard, found: format!("{place} is reached by WebSocket{how}"), shown: None })
    }

    async fn connect(&self, uri: &Uri, secure: bool, heard: &Arc<AtomicBool>) -> Result<(Line, &'static str), Ended> {
        let host = uri.host().unwrap_or_default();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let proxy = self.options.proxy.as_ref();
        if proxy.is_some() && bare.parse::<IpAddr>().is_ok() {
            // The proxy resolves names; an address we can judge ourselves.
            self.resolve(host, port).await?;
        }
        let (via_host, via_port) = proxy.map_or((host, port), Proxy::place);
        let addresses = self.resolve(via_host, via_port).await?;
        let mut stream = connect(&addresses).await.map_err(|error| {
            self.resolver.forget(via_host, via_port);
            let mut ended = Ended::from(trouble_of(&error, true));
            ended.reason.text = format!("{via_host}:{via_port}: {}", ended.reason.text).into();
            ended
        })?;
        match proxy.map(Proxy::manner) {
            None => {}
            Some(Manner::Connect) => {
                if let Some(proxy) = proxy {
                    tunnel(&mut stream, proxy, host, port).await?;
                }
            }
            Some(Manner::Socks) => {
                let address = self.resolve(host, port).await?.first().copied();
                let address = address.ok_or_else(|| Ended::passing("dns", "the name has no address"))?;
                stream = self.socks(stream, address.ip().to_string(), address.port()).await?;
            }
            Some(Manner::SocksByName) => stream = self.socks(stream, host.to_owned(), port).await?,
        }
        if !secure {
            return Ok((Line::new(stream, heard.clone()), ", without encryption"));
        }
        let name = ServerName::try_from(bare.to_owned()).map_err(|_| Ended {
            refusal: Refusal::Lasting,
            reason: Reason::new("tls", format!("{bare} is no name that a certificate can be for")),
        })?;
        let connector = TlsConnector::from(self.options.tls.config());
        let stream = connector.connect(name, stream).await.map_err(|error| Ended::from(trouble_of(&error, true)))?;
        let how = match stream.get_ref().1.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => ", TLS 1.3",
            _ => ", TLS 1.2",
        };
        Ok((Line::new(stream, heard.clone()), how))
    }

    /// Has a SOCKS proxy make the way; the few words with it are waited for on a thread.
    async fn socks(&self, stream: TcpStream, host: String, port: u16) -> Result<TcpStream, Ended> {
        let failed = |error: std::io::Error| Ended::from(trouble_of(&error, true));
        let mut stream = stream.into_std().map_err(failed)?;
        let options = self.options.clone();
        let talk = move || {
            let Some(proxy) = &options.proxy else { return Ok(stream) };
            let broke = |error: std::io::Error| trouble_of(&error, true);
            stream.set_nonblocking(false).map_err(broke)?;
            stream.set_read_timeout(Some(CONNECT)).map_err(broke)?;
            socks(&mut stream, proxy, To::Name(&host, port))?;
            stream.set_read_timeout(None).map_err(broke)?;
            stream.set_nonblocking(true).map_err(broke)?;
            Ok::<_, Trouble>(stream)
        };
        match spawn_blocking(talk).await {
            Ok(stream) => TcpStream::from_std(stream?).map_err(failed),
            Err(_) => Err(Ended::passing("proxy", "the proxy could not be asked")),
        }
    }

    async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Ended> {
        let (resolver, host) = (self.resolver.clone(), host.to_owned());
        let until = Instant::now() + http::Options::RESOLVE;
        match spawn_blocking(move || resolver.resolve(&host, port, until)).await {
            Ok(resolved) => Ok(resolved?),
            Err(_) => Err(Ended::passing("dns", "the name could not be looked up")),
        }
    }
}

fn no_credential(outcome: &Outcome) -> Ended {
    let reason = outcome.reason().cloned();
    let reason = reason.unwrap_or_else(|| Reason::new("credential", "the credential could not be read"));
    let refusal = match outcome {
        Outcome::Retry { .. } | Outcome::Unknown { .. } => Refusal::Passing,
        _ => Refusal::Credentials,
    };
    Ended { refusal, reason }
}

fn request(url: &str, sealed: Option<&Sealed>, subprotocol: Option<&str>) -> Result<Request, Ended> {
    let odd = || Ended { refusal: Refusal::Lasting, reason: Reason::new("url", "the address cannot be asked for") };
    let with_query = sealed.and_then(|sealed| sealed.envelope.query()).map(|query| {
        let mark = if url.contains('?') { '&' } else { '?' };
        zeroize::Zeroizing::new(format!("{url}{mark}{query}"))
    });
    let url = with_query.as_ref().map_or(url, |url| url.as_str());
    let mut request = url.into_client_request().map_err(|_| odd())?;
    let headers = request.headers_mut();
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    for (name, value) in sealed.iter().flat_map(|sealed| sealed.envelope.fields()) {
        headers.insert(name.clone(), value.clone());
    }
    if let Some(name) = subprotocol {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_str(name).map_err(|_| odd())?);
    }
    Ok(request)
}

/// Tries each address; an early one leaves at least half of the time to those after it.
async fn connect(addresses: &[SocketAddr]) -> std::io::Result<TcpStream> {
    let mut failure = std::io::Error::from(std::io::ErrorKind::TimedOut);
    for address in addresses {
        match timeout(CONNECT / 2, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) => failure = error,
            Err(_) => {}
        }
    }
    Err(failure)
}

/// CONNECT (RFC 9110 9.3.6).
async fn tunnel(stream: &mut TcpStream, proxy: &Proxy, host: &str, port: u16) -> Result<(), Ended> {
    let failed = |error: std::io::Error| Ended {
        refusal: Refusal::Passing,
        reason: Reason::new("proxy", format!("through the proxy: {}", trouble_of(&error, true).reason.text)),
    };
    let shown = proxy.authorization()?;
    let shown = shown.as_ref().map_or(String::new(), |text| format!("Proxy-Authorization: {}\r\n", text.as_str()));
    let head =
        format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: {USER_AGENT}\r\n{shown}\r\n");
    stream.write_all(zeroize::Zeroizing::new(head).as_bytes()).await.map_err(failed)?;
    let mut answer = Vec::new();
    // One byte at a time: what follows the head is the source's.
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() == PROXY_HEAD {
            return Err(Ended::passing("proxy", "the proxy's answer has no end"));
        }
        answer.push(stream.read_u8().await.map_err(failed)?);
    }
    let status = answer.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..5)).map(String::from_utf8_lossy);
    match status.and_then(|digits| digits.parse::<u16>().ok()) {
        Some(200..=299) => Ok(()),
        Some(407) => Err(Ended {
            refusal: Refusal::Lasting,
            reason: Reason::new("proxy", "the proxy wants credentials (407), or other ones"),
        }),
        Some(status) => Err(Ended::passing("proxy", format!("the proxy does not let us through ({status})"))),
        None => Err(Ended::passing("proxy", "the proxy does not answer with HTTP; is it an http proxy?")),
    }
}

/// What an error of a WebSocket means; `opening` = it was not open yet. Never shows what the source said.
pub fn ended(error: &Error, opening: bool) -> Ended {
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed => Ended::passing("closed", "the source closed the connection"),
        Error::Io(error) => trouble_of(error, opening).into(),
        Error::Http(response) => {
            let status = response.status().as_u16();
            let text = match status {
                401 | 403 => format!("the source does not accept the credential ({status})"),
                300..=399 => {
                    format!("the source redirects ({status}), which is not followed; configure where it moved to")
                }
                200 => "the address answers with a page (200): it is no event source".to_owned(),
                _ => format!("the source answers {status} in place of a WebSocket"),
            };
            Ended { refusal: Refusal::of_status(status), reason: Reason::new(format!("http-{status}"), text) }
        }
        Error::Capacity(CapacityError::MessageTooLong { .. }) => {
            Ended::passing("too-large", format!("a message is longer than {MOST} bytes"))
        }
        Error::Utf8(_) => Ended::passing("protocol", "a text message is not UTF-8"),
        Error::Protocol(_) | Error::Capacity(_) | Error::AttackAttempt if opening => {
            Ended::passing("bad-answer", "what answers there is no WebSocket")
        }
        _ => Ended::passing("protocol", "the source breaks the rules of WebSockets, or was cut off"),
    }
}
