//! A certificate authority of the test's own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hms_sync::adapter::tls::ClientFiles;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

/// An authority; its certificate lies in a file as long as it lives.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
    folder: tempfile::TempDir,
}

/// What a server shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf {
    /// For localhost, 127.0.0.1 and ::1.
    Good,
    /// Ended in 2020.
    Expired,
    /// Begins in 2090.
    NotYet,
    /// For another host.
    WrongHost,
    /// Signed by itself.
    SelfSigned,
    /// Good, and the server wants a client certificate of this authority.
    WantsClient,
}

impl Ca {
    /// A new authority.
    pub fn new() -> Ca {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let name = format!("hms-sync test authority {:016x}", fastrand::u64(..));
        params.distinguished_name.push(DnType::CommonName, name);
        let root = params.self_signed(&key).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), root.pem()).unwrap();
        Ca { root: root.der().clone(), issuer: Issuer::new(params, key), folder }
    }

    /// Its certificate, for `tls: {ca: ...}`.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Its folder, for further files of a test.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A client certificate signed by this authority.
    pub fn client_files(&self) -> ClientFiles {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["client.test".to_owned()]).unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        let files =
            ClientFiles { cert: self.folder.path().join("client.pem"), key: self.folder.path().join("client.key") };
        std::fs::write(&files.cert, cert.pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }

    /// The settings of a server that shows such a certificate.
    pub fn server(&self, leaf: Leaf) -> Arc<ServerConfig> {
        self.server_of(leaf, rustls::DEFAULT_VERSIONS)
    }

    /// The same, with these versions of TLS only.
    pub fn server_of(&self, leaf: Leaf, versions: &[&'static SupportedProtocolVersion]) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let names = match leaf {
            Leaf::WrongHost => vec!["elsewhere.test".to_owned()],
            _ => vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()],
        };
        let mut params = CertificateParams::new(names).unwrap();
        match leaf {
            Leaf::Expired => {
                params.not_before = date_time_ymd(2019, 1, 1);
                params.not_after = date_time_ymd(2020, 2, 3);
            }
            Leaf::NotYet => {
                params.not_before = date_time_ymd(2090, 1, 1);
                params.not_after = date_time_ymd(2091, 1, 1);
            }
            _ => {}
        }
        let cert = match leaf {
            Leaf::SelfSigned => params.self_signed(&key).unwrap(),
            _ => params.signed_by(&key, &self.issuer).unwrap(),
        };
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions).unwrap();
        let builder = if leaf == Leaf::WantsClient {
            let mut roots = RootCertStore::empty();
            roots.add(self.root.clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        Arc::new(builder.with_single_cert(vec![cert.der().clone()], key).unwrap())
    }
}
