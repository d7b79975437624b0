//! Opening a connection: resolve, connect, through a proxy if one is configured, TLS.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use base64::Engine;
use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver as UreqResolver};
use ureq::unversioned::transport::{ConnectionDetails, Connector, NextTimeout};

use super::Settings;
use super::proxy::Manner;
use super::resolver::is_inside;
use super::socks::{self, To};
use super::trouble::Trouble;
use super::wire::{Channel, Connection, Socket, Wire, trouble};

/// Longest answer of a proxy to CONNECT.
const PROXY_HEAD: usize = 16 * 1024;

/// Opens the connections of one exchange.
#[derive(Debug)]
pub struct Opener {
    pub settings: Arc<Settings>,
    pub wire: Arc<Wire>,
    /// The host was named by an answer, not by the configuration.
    pub wary: bool,
}

impl Connector<()> for Opener {
    type Out = Connection;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<Connection>, ureq::Error> {
        let host = details.uri.host().unwrap_or_default();
        let tls = details.needs_tls();
        let port = details.uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let channel = self.open(host, port, tls).map_err(|trouble| self.wire.fail(trouble))?;
        Ok(Some(Connection::new(channel, Arc::clone(&self.wire))))
    }
}

/// ureq asks for addresses before every request, also when it has a connection: the real look-up is the opener's.
#[derive(Debug)]
pub struct Later;

impl UreqResolver for Later {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        Ok(self.empty())
    }
}

impl Opener {
    /// A way to a host, within the connect limit and the deadline of the call.
    pub fn open(&self, host: &str, port: u16, tls: bool) -> Result<Channel, Trouble> {
        // The limit for connecting covers all of it: a stalled proxy or handshake must not eat the whole call.
        let call = self.wire.deadline();
        let settings = &self.settings;
        let (via_host, via_port) = match &settings.proxy {
            Some(proxy) => {
                // The proxy resolves the name; an address we can judge ourselves.
                if host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok() {
                    settings.resolver.resolve(host, port, call)?;
                }
                proxy.place()
            }
            None => (host, port),
        };
        let resolve_by = call.min(Instant::now() + settings.resolve);
        let addresses = settings.resolver.resolve(via_host, via_port, resolve_by)?;
        if self.wary && settings.proxy.is_none() && addresses.iter().any(|address| is_inside(address.ip())) {
            let text = format!("{host} leads into a private network, and only the configuration may name hosts there");
            return Err(Trouble::halt("address", text));
        }
        let connect_by = call.min(Instant::now() + settings.connect);
        let stream = connect(&addresses, connect_by).map_err(|error| {
            settings.resolver.forget(via_host, via_port);
            connect_trouble(&error, via_host, via_port, settings.proxy.is_some())
        })?;
        let mut socket = Socket::new(stream, Arc::clone(&self.wire)).map_err(|error| trouble(&error, true))?;
        socket.limit(Some(connect_by));
        match settings.proxy.as_ref().map(|proxy| (proxy, proxy.manner())) {
            None => {}
            Some((proxy, Manner::Connect)) => {
                let authorization = proxy.authorization()?;
                tunnel(&mut socket, host, port, authorization.as_ref().map(|text| text.as_str()))?;
            }
            Some((proxy, Manner::SocksByName)) => socks::tunnel(&mut socket, proxy, To::Name(host, port))?,
            Some((proxy, Manner::Socks)) => {
                let found = settings.resolver.resolve(host, port, resolve_by)?;
                let address = found.first().ok_or_else(|| Trouble::passing("dns", "the name has no address"))?;
                socks::tunnel(&mut socket, proxy, To::Address(*address))?;
            }
        }
        let session = if tls { Some(handshake(settings.tls.config(), host, &mut socket)?) } else { None };
        socket.limit(None);
        session.iter().for_each(|session| settings.sight.certificates(session.peer_certificates().unwrap_or_default()));
        Ok(match session {
            Some(session) => Channel::Tls(Box::new(session), socket),
            None => Channel::Plain(socket),
        })
    }
}

fn connect_trouble(error: &io::Error, host: &str, port: u16, proxy: bool) -> Trouble {
    let mut trouble = trouble(error, true);
    let who = if proxy { "the proxy " } else { "" };
    let what = match error.kind() {
        io::ErrorKind::TimedOut => "does not answer",
        io::ErrorKind::ConnectionRefused => "refuses the connection",
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "cannot be reached",
        _ => "cannot be connected to",
    };
    trouble.reason = crate::rules::outcome::Reason::new("connect", format!("{who}{host}:{port} {what}"));
    trouble
}

/// Tries each address; an early one leaves at least half of the time to those after it.
fn connect(addresses: &[SocketAddr], deadline: Instant) -> io::Result<TcpStream> {
    let mut failure = io::Error::from(io::ErrorKind::TimedOut);
    for (at, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        let share = if at + 1 == addresses.len() { left } else { left / 2 };
        match TcpStream::connect_timeout(address, share) {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// CONNECT (RFC 9110 §9.3.6).
fn tunnel(socket: &mut Socket, host: &str, port: u16, authorization: Option<&str>) -> Result<(), Trouble> {
    let failed = |error: &io::Error| {
        let mut trouble = trouble(error, true);
        trouble.reason.class = "proxy".into();
        trouble.reason.text = format!("through the proxy: {}", trouble.reason.text).into();
        trouble
    };
    let mut head =
        format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: {}\r\n", super::USER_AGENT);
    if let Some(authorization) = authorization {
        head.push_str(&format!("Proxy-Authorization: {authorization}\r\n"));
    }
    head.push_str("\r\n");
    let head = zeroize::Zeroizing::new(head);
    socket.write_all(head.as_bytes()).map_err(|error| failed(&error))?;
    let mut answer = Vec::new();
    let mut part = [0; 1024];
    while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
        let count = socket.read(&mut part).map_err(|error| failed(&error))?;
        if count == 0 || answer.len() > PROXY_HEAD {
            return Err(Trouble::passing("proxy", "the proxy closed the connection or its answer has no end"));
        }
        answer.extend_from_slice(part.get(..count).unwrap_or_default());
    }
    if !answer.ends_with(b"\r\n\r\n") {
        return Err(Trouble::passing("proxy", "the proxy sent more than the head of an answer"));
    }
    let status = answer
        .strip_prefix(b"HTTP/1.")
        .and_then(|rest| rest.get(2..5))
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| digits.parse::<u16>().ok());
    match status {
        Some(200..=299) => Ok(()),
        Some(407) => Err(Trouble::halt("proxy", "the proxy wants credentials (407), or other ones")),
        Some(status @ 300..=499) if status != 408 && status != 429 => {
            Err(Trouble::halt("proxy", format!("the proxy does not let us through ({status})")))
        }
        Some(status) => Err(Trouble::passing("proxy", format!("the proxy cannot reach the target ({status})"))),
        None => Err(Trouble::halt("proxy", "the proxy does not answer with HTTP; is it an http proxy?")),
    }
}

/// The `Proxy-Authorization` value for `user:password`.
pub fn basic(userpass: &str) -> zeroize::Zeroizing<String> {
    let encoded = zeroize::Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(userpass));
    zeroize::Zeroizing::new(format!("Basic {}", encoded.as_str()))
}

fn handshake(config: Arc<rustls::ClientConfig>, host: &str, socket: &mut Socket) -> Result<ClientConnection, Trouble> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let name = ServerName::try_from(bare.to_owned())
        .map_err(|_| Trouble::halt("tls", format!("{bare} is no name that a certificate can be for")))?;
    let mut session = ClientConnection::new(config, name)
        .map_err(|error| Trouble::halt("tls", format!("TLS cannot be set up: {error}")))?;
    while session.is_handshaking() {
        session.complete_io(socket).map_err(|error| {
            let mut trouble = trouble(&error, true);
            if trouble.reason.class != "tls" {
                trouble.reason.text = format!("in the TLS handshake: {}", trouble.reason.text).into();
            }
            trouble
        })?;
    }
    Ok(session)
}
