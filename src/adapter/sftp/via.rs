//! Ways to a server that is not reached straight: SOCKS5 (RFC 1928), HTTP CONNECT (RFC 9110 9.3.6), another SSH server.

use std::net::IpAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::adapter::place::{Class, Trouble, quoted};
use crate::adapter::sftp::ssh::{Stream, enter, tcp};
use crate::adapter::sftp::target::{Target, Times, Via};

/// Longest head of an answer to CONNECT, in bytes.
const HEAD: usize = 8192;

/// A connection to the target's host and port, by its way.
pub(super) async fn stream(target: &Target) -> Result<Box<dyn Stream>, Trouble> {
    let (host, port, times) = (target.host.as_str(), target.port, &target.times);
    match &target.via {
        Via::Nothing => tcp(host, port, times).await,
        Via::Socks(proxy, at) => {
            let mut stream = tcp(proxy, *at, times).await?;
            within(times, proxy, socks(&mut *stream, proxy, host, port)).await?;
            Ok(stream)
        }
        Via::Connect(proxy, at) => {
            let mut stream = tcp(proxy, *at, times).await?;
            within(times, proxy, connect(&mut *stream, proxy, host, port)).await?;
            Ok(stream)
        }
        Via::Jump(between) => {
            let handle = enter(between).await?;
            let opening = handle.channel_open_direct_tcpip(host, u32::from(port), "127.0.0.1", 0);
            let channel = within(times, &between.host, async {
                opening.await.map_err(|error| {
                    let why = quoted(error.to_string().as_bytes());
                    refusal(&between.host, host, port, &why)
                })
            });
            Ok(Box::new(channel.await?.into_stream()))
        }
    }
}

async fn within<T>(times: &Times, proxy: &str, work: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    let late =
        || Trouble::new(Class::Connection, format!("{proxy} did not answer within {} s", times.connect.as_secs()));
    timeout(times.connect, work).await.unwrap_or_else(|_| Err(late()))
}

async fn socks(stream: &mut dyn Stream, proxy: &str, host: &str, port: u16) -> Result<(), Trouble> {
    let broke = |error: std::io::Error| refusal(proxy, host, port, &error.to_string());
    stream.write_all(&[5, 1, 0]).await.map_err(broke)?;
    let mut greeting = [0; 2];
    stream.read_exact(&mut greeting).await.map_err(broke)?;
    if greeting != [5, 0] {
        return Err(refusal(proxy, host, port, "it wants a password, or is no SOCKS5 proxy"));
    }
    let mut request = vec![5, 1, 0];
    match host.parse() {
        Ok(IpAddr::V4(address)) => request.extend([&[1][..], &address.octets()].concat()),
        Ok(IpAddr::V6(address)) => request.extend([&[4][..], &address.octets()].concat()),
        // Names are for the proxy to resolve.
        Err(_) => {
            let length = u8::try_from(host.len()).map_err(|_| refusal(proxy, host, port, "the name is too long"))?;
            request.extend([&[3, length][..], host.as_bytes()].concat());
        }
    }
    request.extend(port.to_be_bytes());
    stream.write_all(&request).await.map_err(broke)?;
    let mut head = [0; 4];
    stream.read_exact(&mut head).await.map_err(broke)?;
    let [version, code, _, kind] = head;
    if version != 5 || code != 0 {
        return Err(refusal(proxy, host, port, &format!("it answers {code}")));
    }
    // Where it speaks from: of no use, but in the way.
    let length = match kind {
        1 => 4,
        4 => 16,
        3 => usize::from(stream.read_u8().await.map_err(broke)?),
        _ => return Err(refusal(proxy, host, port, "it answers with an unknown kind of address")),
    };
    let mut rest = vec![0; length + 2];
    stream.read_exact(&mut rest).await.map_err(broke).map(drop)
}

async fn connect(stream: &mut dyn Stream, proxy: &str, host: &str, port: u16) -> Result<(), Trouble> {
    let broke = |error: std::io::Error| refusal(proxy, host, port, &error.to_string());
    let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(broke)?;
    // Byte by byte: what comes behind the head is the server's greeting already.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > HEAD {
            return Err(refusal(proxy, host, port, "the head of its answer has no end"));
        }
        head.push(stream.read_u8().await.map_err(broke)?);
    }
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    match (words.next(), words.next()) {
        (Some(version), Some([b'2', _, _])) if version.starts_with(b"HTTP/1.") => Ok(()),
        _ => Err(refusal(proxy, host, port, &format!("it answers `{}`", quoted(line)))),
    }
}

fn refusal(proxy: &str, host: &str, port: u16, why: &str) -> Trouble {
    Trouble::new(Class::Connection, format!("{proxy} does not lead to {host} port {port}: {why}"))
}
