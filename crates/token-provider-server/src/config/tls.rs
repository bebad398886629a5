//! Transport security (section `tls`): files only, read and watched by those who use them.

use std::path::PathBuf;

use super::read::Section;

/// The server's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// PEM file with the certificate and its chain.
    pub cert: PathBuf,
    /// PEM file with the certificate's private key.
    pub key: PathBuf,
    /// PEM file with the authorities whose client certificates are taken; without it none is asked for.
    pub client_ca: Option<PathBuf>,
}

pub(super) fn read(section: &mut Section<'_>) -> TlsConfig {
    section.need(&[
        ("cert", "the path of the certificate chain in PEM form"),
        ("key", "the path of the private key in PEM form"),
    ]);
    TlsConfig {
        cert: section.path("cert").unwrap_or_default(),
        key: section.path("key").unwrap_or_default(),
        client_ca: section.path("client_ca"),
    }
}
