//! Certificates for the tests, and the files that the server reads them from.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use token_provider_server::parts::config::TlsConfig;

/// An authority that signs what the tests need.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// The files of section `tls`.
#[derive(Debug)]
pub(super) struct Files {
    folder: TempDir,
    has_client_ca: bool,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Authority").finish_non_exhaustive()
    }
}

impl Authority {
    pub(super) fn new() -> Self {
        Self::until(2099)
    }

    /// An authority that is good until the beginning of this year.
    pub(super) fn until(year: i32) -> Self {
        let key = KeyPair::generate().expect("makes a key");
        Self(CertifiedIssuer::self_signed(authority("root", year), key).expect("signs"))
    }

    /// An authority below this one, good until the beginning of this year.
    pub(super) fn intermediate(&self, year: i32) -> Self {
        let key = KeyPair::generate().expect("makes a key");
        Self(CertifiedIssuer::signed_by(authority("intermediate", year), key, &self.0).expect("signs"))
    }

    pub(super) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(super) fn certificate(&self) -> reqwest::Certificate {
        reqwest::Certificate::from_pem(self.pem().as_bytes()).expect("is a certificate")
    }

    pub(super) fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).expect("is an authority");
        Arc::new(roots)
    }

    /// A certificate for `localhost`.
    pub(super) fn server(&self) -> Leaf {
        self.server_for("localhost", 2019, 2099)
    }

    /// A certificate for this name, good from the beginning of one year until that of another.
    pub(super) fn server_for(&self, name: &str, from: i32, until: i32) -> Leaf {
        self.sign(&[name], ExtendedKeyUsagePurpose::ServerAuth, from, until)
    }

    /// A client's certificate with these names: a URI where there is a colon.
    pub(super) fn client(&self, names: &[&str]) -> Leaf {
        self.sign(names, ExtendedKeyUsagePurpose::ClientAuth, 2019, 2099)
    }

    /// A client's certificate that was good until 2020.
    pub(super) fn expired_client(&self, names: &[&str]) -> Leaf {
        self.sign(names, ExtendedKeyUsagePurpose::ClientAuth, 2019, 2020)
    }

    fn sign(&self, names: &[&str], purpose: ExtendedKeyUsagePurpose, from: i32, until: i32) -> Leaf {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names.iter().map(|name| alt_name(name)).collect();
        params.extended_key_usages = vec![purpose];
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().expect("makes a key");
        let certificate = params.signed_by(&key, &self.0).expect("signs").pem();
        Leaf { certificate, key: key.serialize_pem() }
    }
}

fn authority(name: &str, until: i32) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_after = date_time_ymd(until, 1, 1);
    params
}

fn alt_name(name: &str) -> SanType {
    let text = name.try_into().expect("is ASCII");
    if name.contains(':') { SanType::URI(text) } else { SanType::DnsName(text) }
}

impl Leaf {
    /// Sends another certificate along.
    pub(super) fn with(mut self, authority: &Authority) -> Self {
        self.certificate.push_str(&authority.pem());
        self
    }

    /// For reqwest.
    pub(super) fn identity(&self) -> reqwest::Identity {
        let pem = format!("{}{}", self.certificate, self.key);
        reqwest::Identity::from_pem(pem.as_bytes()).expect("is an identity")
    }

    pub(super) fn chain(&self) -> Vec<CertificateDer<'static>> {
        let chain = CertificateDer::pem_slice_iter(self.certificate.as_bytes());
        chain.map(|certificate| certificate.expect("is a certificate")).collect()
    }

    pub(super) fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("is a key")
    }
}

impl Files {
    pub(super) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("can be made"), has_client_ca: false }
    }

    /// Has the server take client certificates of this authority.
    pub(super) fn with_client_ca(authority: &Authority) -> Self {
        let files = Self { has_client_ca: true, ..Self::new() };
        files.write("clients.pem", &authority.pem());
        files
    }

    pub(super) fn config(&self) -> TlsConfig {
        TlsConfig {
            cert: self.path("tls.crt"),
            key: self.path("tls.key"),
            client_ca: self.has_client_ca.then(|| self.path("clients.pem")),
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("can be written");
    }

    pub(super) fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).expect("can be removed");
    }

    /// Writes a new certificate for the server.
    pub(super) fn write_server(&self, authority: &Authority) -> Leaf {
        let leaf = authority.server();
        self.write("tls.crt", &leaf.certificate);
        self.write("tls.key", &leaf.key);
        leaf
    }
}
