//! The server's certificate, and the authorities whose client certificates it takes: read from files, and read again
//! when these change.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{self, SHA256};
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use thiserror::Error;
use token_provider::{Clock as _, SystemClock};
use tokio_rustls::TlsAcceptor;
use webpki::EndEntityCert;
use zeroize::Zeroizing;

use super::expiry;
use crate::access::ClientNames;
use crate::config::TlsConfig;

/// Preferred first (RFC 7301 §3.2).
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The certificate that TLS listeners show, the same for all of them.
///
/// New files are taken as a whole or not at all, and count for new connections; those that are open go on.
pub struct Tls {
    files: TlsConfig,
    current: ArcSwap<Current>,
    /// What was last found wrong, so that it is reported once and not at every look.
    reported: Mutex<Option<String>>,
}

struct Current {
    config: Arc<ServerConfig>,
    not_after: Option<SystemTime>,
    /// Of the files' contents.
    digest: digest::Digest,
}

/// What is wrong with the files of section `tls`.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("tls.{key}: cannot read {}", file.display())]
    Read {
        /// The key of the configuration.
        key: &'static str,
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file is damaged, or does not hold what it should.
    #[error("tls.{key}: {}: {expected}", file.display())]
    Pem {
        /// The key of the configuration.
        key: &'static str,
        /// The file.
        file: PathBuf,
        /// What should be there.
        expected: &'static str,
    },
    /// Certificate and key do not belong together, or are of a kind that is not supported.
    #[error("tls.cert and tls.key: {} with {}", cert.display(), key.display())]
    Unusable {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What TLS says.
        source: rustls::Error,
    },
    /// The authorities for client certificates are of no use.
    #[error("tls.client_ca: {}", file.display())]
    ClientCa {
        /// The file.
        file: PathBuf,
        /// What TLS says.
        source: VerifierBuilderError,
    },
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// The first file that cannot be used, and why.
    pub fn load(files: &TlsConfig) -> Result<Self, TlsError> {
        let current = Contents::read(files)?.into_current(files)?;
        current.log(files);
        Ok(Self { files: files.clone(), current: ArcSwap::from_pointee(current), reported: Mutex::default() })
    }

    /// Reads the files again. Returns whether they have changed; then new connections are made with them.
    ///
    /// # Errors
    ///
    /// As for [`load`](Self::load); the certificate of before then stays. So it does between the two steps in which
    /// certificate and key are replaced, as they do not fit meanwhile.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let contents = Contents::read(&self.files)?;
        if contents.digest().as_ref() == self.current.load().digest.as_ref() {
            return Ok(false);
        }
        let current = contents.into_current(&self.files)?;
        current.log(&self.files);
        self.current.store(Arc::new(current));
        Ok(true)
    }

    /// Returns when the certificate's validity ends.
    pub fn not_after(&self) -> Option<SystemTime> {
        self.current.load().not_after
    }

    /// Reads the files again and logs what comes of it; the same failure once. Reading them is as cheap as asking when
    /// they were changed, and also sees a change that keeps the time, or one behind a symbolic link.
    pub fn look(&self) {
        let wrong = self.reload().err().map(|error| causes(&error));
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wrong) = wrong.as_ref().filter(|wrong| reported.as_ref() != Some(*wrong)) {
            tracing::error!(error = wrong, "the changed certificate is not used; the one of before stays");
        }
        *reported = wrong;
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.current.load().config))
    }
}

/// Without the key.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("files", &self.files)
            .field("not_after", &self.not_after())
            .finish_non_exhaustive()
    }
}

impl Current {
    fn log(&self, files: &TlsConfig) {
        let until = self.not_after.map(httpdate::fmt_http_date);
        tracing::info!(
            tls.cert = %files.cert.display(),
            tls.not_after = until.as_deref().unwrap_or("unknown"),
            "certificate read"
        );
        // Taken all the same: whose clock is wrong, the others can say better.
        if self.not_after.is_some_and(|end| end <= SystemClock.now().system_time()) {
            tracing::warn!(tls.cert = %files.cert.display(), "the certificate has run out; clients will refuse it");
        }
    }
}

/// What is in the files.
struct Contents {
    cert: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
    client_ca: Option<Vec<u8>>,
}

impl Contents {
    fn read(files: &TlsConfig) -> Result<Self, TlsError> {
        let read = |key, file: &Path| {
            std::fs::read(file).map_err(|source| TlsError::Read { key, file: file.to_owned(), source })
        };
        Ok(Self {
            cert: read("cert", &files.cert)?,
            key: Zeroizing::new(read("key", &files.key)?),
            client_ca: files.client_ca.as_deref().map(|file| read("client_ca", file)).transpose()?,
        })
    }

    fn digest(&self) -> digest::Digest {
        let mut context = digest::Context::new(&SHA256);
        for part in [&self.cert, &*self.key, self.client_ca.as_deref().unwrap_or_default()] {
            context.update(&part.len().to_be_bytes());
            context.update(part);
        }
        context.finish()
    }

    fn into_current(self, files: &TlsConfig) -> Result<Current, TlsError> {
        let unusable =
            |source| TlsError::Unusable { cert: files.cert.clone(), key: files.key.clone(), source };
        let chain = certificates("cert", &files.cert, &self.cert)?;
        let not_after = chain.first().and_then(|certificate| expiry::not_after(certificate));
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| TlsError::Pem {
            key: "key",
            file: files.key.clone(),
            expected: match error {
                pem::Error::NoItemsFound => "expected a private key in PEM form, and not an encrypted one",
                _ => NOT_PEM,
            },
        })?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        // TLS 1.2 and 1.3; there is nothing older in rustls.
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?;
        let builder = match (&files.client_ca, &self.client_ca) {
            (Some(file), Some(pem)) => {
                let failed = |source| TlsError::ClientCa { file: file.clone(), source };
                let mut roots = RootCertStore::empty();
                for authority in certificates("client_ca", file, pem)? {
                    roots.add(authority).map_err(|_| TlsError::Pem {
                        key: "client_ca",
                        file: file.clone(),
                        expected: "expected certificates of authorities",
                    })?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    // Others have an API key, or a token; the access rules say who needs what.
                    .allow_unauthenticated()
                    .build()
                    .map_err(failed)?;
                builder.with_client_cert_verifier(verifier)
            }
            _ => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(unusable)?;
        config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
        // All suites are good ones, and an answer has a kilobyte: what a phone would save by choosing is not worth the
        // question of every scanner's reader.
        config.ignore_client_order = true;
        if files.client_ca.is_some() {
            // A session that is taken up again brings its certificate along, unchecked: it may have run out, or its
            // authority may have been struck off the list.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        } else {
            // The key changes every six hours, so that who learns it reads no more than that.
            config.ticketer = Ticketer::new().map_err(unusable)?;
        }
        Ok(Current { config: Arc::new(config), not_after, digest: self.digest() })
    }
}

const NOT_PEM: &str = "damaged: expected PEM, base64 between BEGIN and END lines";

fn certificates(
    key: &'static str,
    file: &Path,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |expected| TlsError::Pem { key, file: file.to_owned(), expected };
    let chain =
        CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(|_| wrong(NOT_PEM))?;
    if chain.is_empty() {
        return Err(wrong("expected a certificate in PEM form"));
    }
    Ok(chain)
}

/// Puts an error and what caused it in one line.
fn causes(error: &TlsError) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

/// Returns the names in the certificate of the other side, which the handshake has checked.
pub(super) fn client_names(chain: Option<&[CertificateDer<'_>]>) -> Option<Arc<ClientNames>> {
    let certificate = EndEntityCert::try_from(chain?.first()?).ok()?;
    Some(Arc::new(ClientNames {
        dns: certificate.valid_dns_names().map(str::to_owned).collect(),
        uri: certificate.valid_uri_names().map(str::to_owned).collect(),
    }))
}
