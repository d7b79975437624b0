//! TLS: the one constructor of every client's [`rustls::ClientConfig`], and what its failures mean.

mod fresh;
mod pins;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore};

use crate::clock::Timestamp;
use crate::format::certificate::{self, Validity};
use crate::rules::outcome::Reason;
pub use fresh::Tls;
pub use pins::Pin;

/// `tls:` of an endpoint: files in PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Further authorities, beside those of the system.
    pub ca: Vec<PathBuf>,
    /// The only authorities that count: those of the system do not then.
    pub roots: Vec<PathBuf>,
    /// The only keys that the target may show; none = any that an authority has certified.
    pub pins: Vec<Pin>,
    /// Client certificate with its chain, and its private key.
    pub client: Option<ClientFiles>,
}

impl TlsFiles {
    /// All files.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let client = self.client.iter().flat_map(|client| [&client.cert, &client.key]);
        self.ca.iter().chain(&self.roots).chain(client).map(PathBuf::as_path)
    }
}

/// A client certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientFiles {
    /// The certificate, followed by its chain.
    pub cert: PathBuf,
    /// Its private key, not encrypted.
    pub key: PathBuf,
}

/// Makes the TLS settings of one target: TLS 1.2 or newer, the system's authorities (the bundled ones where the
/// system has none) and the configured ones, an optional client certificate, sessions that can be resumed.
///
/// The cryptography is passed explicitly, so no process-wide default is needed. There is no switch that turns
/// verification off. Errors name the file and what to do.
#[allow(clippy::disallowed_methods)]
pub fn client_config(files: &TlsFiles) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let unset = |error: &dyn std::fmt::Display| format!("TLS cannot be set up: {error}");
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| unset(&error))?;
    let roots = roots(files)?;
    let builder = match files.pins.as_slice() {
        [] => builder.with_root_certificates(roots),
        pins => {
            let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
            let verifier = verifier.map_err(|error| unset(&error))?;
            let pinned = pins::Pinned { verifier, pins: pins.to_vec() };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(pinned))
        }
    };
    let config = match &files.client {
        None => builder.with_no_client_auth(),
        Some(client) => {
            let chain = certificates(&client.cert)?;
            let key = private_key(&client.key)?;
            builder.with_client_auth_cert(chain, key).map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => {
                    format!(
                        "{}: the key does not belong to the certificate in {}",
                        show(&client.key),
                        show(&client.cert)
                    )
                }
                other => format!("{}: cannot be used as a client certificate: {other}", show(&client.cert)),
            })?
        }
    };
    Ok(Arc::new(config))
}

/// The entropy of a start, being gathered. Dropping it waits for it: the cryptography aborts a process that ends meanwhile.
#[derive(Debug)]
#[must_use = "a process that ends before the entropy is there is aborted"]
pub struct WarmUp(Option<std::thread::JoinHandle<()>>);

impl Drop for WarmUp {
    fn drop(&mut self) {
        // It gives nothing: whatever became of it, it has ended.
        let _ = self.0.take().map(std::thread::JoinHandle::join);
    }
}

/// Has the cryptography gather the entropy that its first use waits for (some 20 ms), beside whatever else a start does.
pub fn warm_up() -> WarmUp {
    // Where there is no thread for it, the first connection waits.
    let gather = std::thread::Builder::new().name("entropy".into()).stack_size(128 * 1024).spawn(|| {
        let _ = aws_lc_rs::rand::fill(&mut [0; 32]);
    });
    WarmUp(gather.ok())
}

/// How long the system's authorities are kept in memory: many connectors start at once and share them, a reload
/// later reads them anew.
const SYSTEM_MEMORY: Duration = Duration::from_secs(10);

static SYSTEM: Mutex<Option<(Instant, Arc<RootCertStore>)>> = Mutex::new(None);

fn roots(files: &TlsFiles) -> Result<Arc<RootCertStore>, String> {
    if files.ca.is_empty() && files.roots.is_empty() {
        return Ok(system());
    }
    let mut store = if files.roots.is_empty() { RootCertStore::clone(&system()) } else { RootCertStore::empty() };
    for file in files.ca.iter().chain(&files.roots) {
        for certificate in certificates(file)? {
            store
                .add(certificate)
                .map_err(|error| format!("{}: not a certificate of an authority: {error}", show(file)))?;
        }
    }
    Ok(Arc::new(store))
}

fn system() -> Arc<RootCertStore> {
    let mut held = SYSTEM.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((at, store)) = held.as_ref()
        && at.elapsed() < SYSTEM_MEMORY
    {
        return Arc::clone(store);
    }
    let mut store = RootCertStore::empty();
    // What the system's store cannot read of itself is not ours to report: the rest of it still counts.
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if store.is_empty() {
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    let store = Arc::new(store);
    *held = Some((Instant::now(), Arc::clone(&store)));
    store
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = read(file)?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("{}: not PEM: {error}", show(file)))?;
    if found.is_empty() {
        return Err(format!("{}: holds no certificate (expected -----BEGIN CERTIFICATE-----)", show(file)));
    }
    Ok(found)
}

/// How long the certificates of a PEM file are valid, in the file's order. Errors name the file.
pub fn validities(file: &Path) -> Result<Vec<Validity>, String> {
    let unreadable = || format!("{}: holds a certificate that cannot be read", show(file));
    certificates(file)?.iter().map(|der| certificate::validity(der).ok_or_else(unreadable)).collect()
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let pem = zeroize::Zeroizing::new(read(file)?);
    let text = String::from_utf8_lossy(&pem);
    if text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(format!(
            "{}: the private key is encrypted; decrypt it (openssl pkey -in KEY -out NEW) and protect the file by its \
             mode 0600",
            show(file)
        ));
    }
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => {
            format!("{}: holds no private key (expected -----BEGIN PRIVATE KEY-----)", show(file))
        }
        other => format!("{}: not PEM: {other}", show(file)),
    })
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(file).map_err(|error| format!("{}: cannot be read: {error}", show(file)))
}

fn show(file: &Path) -> std::path::Display<'_> {
    file.display()
}

/// When a TLS failure is one that only a person can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasting {
    /// Certificates: always.
    Always,
    /// Versions and the like: when the handshake fails. Later it is a broken connection.
    InHandshake,
    /// It passes.
    Never,
}

/// What a TLS failure means: how lasting it is, and why.
pub fn explain(error: &rustls::Error) -> (Lasting, Reason) {
    use rustls::Error::{AlertReceived, InvalidCertificate, InvalidMessage, PeerIncompatible, PeerMisbehaved};
    let (lasting, text) = match error {
        InvalidCertificate(problem) => (Lasting::Always, certificate_text(problem)),
        AlertReceived(AlertDescription::CertificateRequired) => {
            (Lasting::Always, "the target wants a client certificate; configure tls: {cert, key}".to_owned())
        }
        AlertReceived(
            alert @ (AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied),
        ) => (Lasting::Always, format!("the target refuses our client certificate ({alert:?})")),
        AlertReceived(AlertDescription::ProtocolVersion) => {
            (Lasting::InHandshake, "the target speaks only TLS older than 1.2, which is not safe".to_owned())
        }
        AlertReceived(alert @ (AlertDescription::InternalError | AlertDescription::UserCanceled)) => {
            (Lasting::Never, format!("the target broke off TLS ({alert:?})"))
        }
        AlertReceived(alert) => (Lasting::InHandshake, format!("the target refuses TLS as we offer it ({alert:?})")),
        PeerIncompatible(why) => (Lasting::InHandshake, format!("no TLS in common with the target ({why:?})")),
        InvalidMessage(_) => {
            (Lasting::InHandshake, "the target does not speak TLS on this port; is it plain http?".to_owned())
        }
        PeerMisbehaved(why) => (Lasting::InHandshake, format!("the target breaks the rules of TLS ({why:?})")),
        other => (Lasting::Never, format!("TLS failed: {other}")),
    };
    (lasting, Reason::new("tls", text))
}

fn certificate_text(problem: &CertificateError) -> String {
    match problem {
        CertificateError::ExpiredContext { time, not_after } => {
            format!("the target's certificate expired on {} (it is {} here)", date(*not_after), date(*time))
        }
        CertificateError::Expired => "the target's certificate has expired".to_owned(),
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "the target's certificate is not valid before {} and it is {} here, {} s earlier; check this machine's \
             clock first",
            date(*not_before),
            date(*time),
            not_before.as_secs().saturating_sub(time.as_secs())
        ),
        CertificateError::NotValidYet => {
            "the target's certificate is not valid yet; check this machine's clock first".to_owned()
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names = presented.iter().take(5).map(|name| plain(name)).collect::<Vec<_>>().join(", ");
            format!("the target's certificate is not for {} but for {names}", expected.to_str())
        }
        CertificateError::NotValidForName => "the target's certificate is for another name".to_owned(),
        CertificateError::UnknownIssuer => {
            "the target's certificate was issued by an authority that is not known here; for a private one configure \
             tls: {ca: FILE}"
                .to_owned()
        }
        CertificateError::BadSignature => {
            "the target's certificate does not match the authority of that name here; was the authority made anew? \
             configure its new certificate"
                .to_owned()
        }
        CertificateError::Other(other) if other.0.downcast_ref::<pins::OtherKey>().is_some() => {
            "the target's key is none of those in `pins`: it has a new one that was not announced, or somebody stands in \
             between"
                .to_owned()
        }
        CertificateError::Revoked => "the target's certificate was revoked".to_owned(),
        other => format!("the target's certificate is refused: {other:?}"),
    }
}

/// Names in a certificate come from the target: only what can stand in a log line is shown.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(100).collect()
}

fn date(time: UnixTime) -> Timestamp {
    Timestamp(i64::try_from(time.as_secs().saturating_mul(1000)).unwrap_or(i64::MAX))
}

/// `notAfter` of an X.509 certificate (RFC 5280 §4.1), for warnings before it is too late. None when the bytes are
/// not what they should be.
pub fn not_after(certificate: &CertificateDer<'_>) -> Option<Timestamp> {
    const SEQUENCE: u8 = 0x30;
    let (_, certificate, _) = element(certificate)?;
    let (_, tbs, _) = element(certificate)?;
    let mut rest = tbs;
    // version [0] (absent in version 1), serialNumber, signature, issuer, then validity.
    let (tag, _, after) = element(rest)?;
    if tag == 0xa0 {
        rest = after;
    }
    for _ in 0..3 {
        rest = element(rest)?.2;
    }
    let (tag, validity, _) = element(rest)?;
    if tag != SEQUENCE {
        return None;
    }
    let (_, _, rest) = element(validity)?;
    let (tag, text, _) = element(rest)?;
    let text = std::str::from_utf8(text).ok()?;
    let (year, rest) = match tag {
        // UTCTime: two digits, 1950 to 2049.
        0x17 => {
            let year: i16 = text.get(..2)?.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, text.get(2..)?)
        }
        // GeneralizedTime.
        0x18 => (text.get(..4)?.parse().ok()?, text.get(4..)?),
        _ => return None,
    };
    let part = |at: usize| rest.get(at..at + 2)?.parse::<i8>().ok();
    let time = jiff::civil::DateTime::new(year, part(0)?, part(2)?, part(4)?, part(6)?, part(8)?, 0).ok()?;
    Some(Timestamp::from_jiff(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp()))
}

/// One DER element: tag, content, what follows.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, bytes) = bytes.split_first()?;
    let (first, bytes) = bytes.split_first()?;
    let (length, bytes) = if *first < 0x80 {
        (usize::from(*first), bytes)
    } else {
        let count = usize::from(first & 0x7f);
        if count > 4 {
            return None;
        }
        let (digits, bytes) = bytes.split_at_checked(count)?;
        (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), bytes)
    };
    let (content, rest) = bytes.split_at_checked(length)?;
    Some((*tag, content, rest))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn pair() -> (rcgen::Certificate, rcgen::KeyPair) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2061, 2, 3);
        (params.self_signed(&key).unwrap(), key)
    }

    fn files(cert: &str, key: &str) -> (tempfile::TempDir, TlsFiles) {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let client = Some(ClientFiles { cert: at("cert.pem", cert), key: at("key.pem", key) });
        (folder, TlsFiles { client, ..TlsFiles::default() })
    }

    #[test]
    fn the_end_of_a_certificate_is_read_and_garbage_has_none() {
        let (cert, _) = pair();
        assert_eq!(not_after(cert.der()).unwrap().to_string(), "2061-02-03T00:00:00.000Z");
        let whole = cert.der().to_vec();
        for end in 0..whole.len().min(200) {
            assert_eq!(not_after(&CertificateDer::from(whole[..end].to_vec())), None);
        }
    }

    #[test]
    fn a_private_authority_and_a_client_certificate_are_accepted() {
        let (cert, key) = pair();
        let (folder, mut files) = files(&cert.pem(), &key.serialize_pem());
        assert!(client_config(&files).is_ok());
        let mut authority = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, authority.self_signed(&key).unwrap().pem()).unwrap();
        files.ca = vec![ca];
        assert!(client_config(&files).is_ok());
    }

    #[test]
    fn each_mistake_in_the_files_has_a_message_of_its_own() {
        let (cert, key) = pair();
        let (_, other) = pair();
        let (cert, key) = (cert.pem(), key.serialize_pem());
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n";
        for (cert, key, expected) in [
            (cert.as_str(), other.serialize_pem(), "does not belong to the certificate"),
            (&cert, encrypted.to_owned(), "is encrypted"),
            (&cert, String::new(), "holds no private key"),
            (&cert, "garbage".to_owned(), "holds no private key"),
            ("", key.clone(), "holds no certificate"),
            ("-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n", key, "not PEM"),
        ] {
            let (_folder, files) = files(cert, &key);
            let error = client_config(&files).unwrap_err();
            assert!(error.contains(expected), "expected {expected:?} in {error:?}");
        }
        let missing = TlsFiles { ca: vec![PathBuf::from("/no/such/ca.pem")], ..TlsFiles::default() };
        assert!(client_config(&missing).unwrap_err().contains("/no/such/ca.pem: cannot be read"));
    }
}
