//! The connection under a session: algorithms, key exchange, host key.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};

use russh::client::{self, Handle};
use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use russh::{Preferred, cipher, kex, mac};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::adapter::place::{Class, Trouble, quoted};
use crate::adapter::sftp::guard::{Guard, Pins, Shown, stranger};
use crate::adapter::sftp::target::{Target, Times};
use crate::adapter::sftp::{identity, via};

/// Something to speak SSH over.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Host key algorithms in the order in which they are asked for.
pub(super) const HOST_KEYS: [Algorithm; 6] = [
    Algorithm::Ed25519,
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
    Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
    Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
];

const KEX: [kex::Name; 12] = [
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::ECDH_SHA2_NISTP521,
    kex::DH_GEX_SHA256,
    kex::DH_G18_SHA512,
    kex::DH_G16_SHA512,
    kex::DH_G14_SHA256,
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
];
const OLD_KEX: [kex::Name; 3] = [kex::DH_GEX_SHA1, kex::DH_G14_SHA1, kex::DH_G1_SHA1];

// GCM first: done by the processor, it costs a fraction of the others.
const CIPHERS: [cipher::Name; 6] = [
    cipher::AES_256_GCM,
    cipher::AES_128_GCM,
    cipher::CHACHA20_POLY1305,
    cipher::AES_256_CTR,
    cipher::AES_192_CTR,
    cipher::AES_128_CTR,
];
const OLD_CIPHERS: [cipher::Name; 3] = [cipher::AES_256_CBC, cipher::AES_192_CBC, cipher::AES_128_CBC];

const MACS: [mac::Name; 4] = [mac::HMAC_SHA512_ETM, mac::HMAC_SHA256_ETM, mac::HMAC_SHA512, mac::HMAC_SHA256];
const OLD_MACS: [mac::Name; 2] = [mac::HMAC_SHA1_ETM, mac::HMAC_SHA1];

/// Connects to a server that is known, and shows who we are.
pub(super) fn enter(target: &Target) -> Pin<Box<dyn Future<Output = Result<Handle<Guard>, Trouble>> + Send + '_>> {
    Box::pin(async move {
        let pins = Pins::of(target)?;
        let mut handle = meet(target, &pins).await?;
        let shown = identity::show(&mut handle, target);
        timeout(target.times.operation, shown).await.unwrap_or_else(|_| Err(late(target, target.times.operation)))?;
        Ok(handle)
    })
}

/// Connects and checks the host key. A server has keys of several kinds and shows one: when that is not known, the
/// other kinds are asked for, each in a connection of its own.
async fn meet(target: &Target, pins: &Pins) -> Result<Handle<Guard>, Trouble> {
    let mut kinds = host_keys(target.legacy);
    let mut strangers = Vec::new();
    loop {
        let stream = via::stream(target).await?;
        match handshake(stream, target, kinds.clone(), pins.clone()).await {
            Ok((handle, _)) => return Ok(handle),
            Err((_, Some(shown))) if !shown.known => {
                kinds.retain(|kind| !same_kind(kind, &shown.algorithm));
                strangers.push(shown.key);
                if kinds.is_empty() {
                    return Err(stranger(target, pins, &strangers));
                }
            }
            // It has no key of the kinds that are left.
            Err(_) if !strangers.is_empty() => return Err(stranger(target, pins, &strangers)),
            Err((trouble, _)) => return Err(trouble),
        }
    }
}

/// The host key algorithms that are asked for.
pub(super) fn host_keys(legacy: bool) -> Vec<Algorithm> {
    let mut kinds = HOST_KEYS.to_vec();
    if legacy {
        kinds.push(Algorithm::Rsa { hash: None });
    }
    kinds
}

/// Whether two algorithms are for the same key.
pub(super) fn same_kind(one: &Algorithm, other: &Algorithm) -> bool {
    matches!((one, other), (Algorithm::Rsa { .. }, Algorithm::Rsa { .. })) || one == other
}

/// One key exchange; with what the server showed, also when it failed.
pub(super) async fn handshake(
    stream: Box<dyn Stream>,
    target: &Target,
    kinds: Vec<Algorithm>,
    pins: Pins,
) -> Result<(Handle<Guard>, Option<Shown>), (Trouble, Option<Shown>)> {
    let (guard, shown) = Guard::new(pins);
    let connecting = client::connect_stream(config(&target.times, target.legacy, kinds), stream, guard);
    let connected = timeout(target.times.connect, connecting).await;
    let shown = shown.lock().unwrap_or_else(PoisonError::into_inner).take();
    match connected {
        Ok(Ok(handle)) => Ok((handle, shown)),
        Ok(Err(error)) => Err((failed(target, &error), shown)),
        Err(_) => Err((late(target, target.times.connect), shown)),
    }
}

fn config(times: &Times, legacy: bool, kinds: Vec<Algorithm>) -> Arc<client::Config> {
    let old = usize::from(legacy);
    let preferred = Preferred {
        kex: Cow::Owned([&KEX[..], &OLD_KEX[..old * OLD_KEX.len()]].concat()),
        key: Cow::Owned(kinds),
        host_key_certificates: Cow::Borrowed(&[]),
        cipher: Cow::Owned([&CIPHERS[..], &OLD_CIPHERS[..old * OLD_CIPHERS.len()]].concat()),
        mac: Cow::Owned([&MACS[..], &OLD_MACS[..old * OLD_MACS.len()]].concat()),
        ..Preferred::DEFAULT
    };
    Arc::new(client::Config {
        preferred,
        keepalive_interval: Some(times.keep_alive),
        keepalive_max: 3,
        inactivity_timeout: Some(times.idle),
        nodelay: true,
        ..client::Config::default()
    })
}

/// A connection to a host and port.
pub(super) async fn tcp(host: &str, port: u16, times: &Times) -> Result<Box<dyn Stream>, Trouble> {
    let cannot = |why: String| Trouble::new(Class::Connection, format!("cannot connect to {host} port {port}: {why}"));
    let connecting = tokio::net::TcpStream::connect((host, port));
    match timeout(times.connect, connecting).await {
        Ok(Ok(stream)) => {
            stream.set_nodelay(true).map_err(|error| cannot(error.to_string()))?;
            Ok(Box::new(stream))
        }
        Ok(Err(error)) => Err(cannot(error.to_string())),
        Err(_) => Err(cannot(format!("no answer within {} s", times.connect.as_secs()))),
    }
}

fn late(target: &Target, patience: std::time::Duration) -> Trouble {
    let text = format!("{} port {} did not answer within {} s", target.host, target.port, patience.as_secs());
    Trouble::new(Class::Connection, text)
}

fn failed(target: &Target, error: &russh::Error) -> Trouble {
    let here = format!("{} port {}", target.host, target.port);
    match error {
        russh::Error::NoCommonAlgo { kind, theirs, .. } => {
            let theirs = quoted(theirs.join(", ").as_bytes());
            let hint = if target.legacy { "" } else { "; `legacy: true` accepts old ones too" };
            let text = format!("{here} has no {kind:?} algorithm in common with us, it offers {theirs}{hint}");
            Trouble::new(Class::Unsupported, text)
        }
        error => {
            let why = quoted(error.to_string().as_bytes());
            Trouble::new(Class::Connection, format!("the connection to {here} broke: {why}"))
        }
    }
}
