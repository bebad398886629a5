//! The server's certificate, and the authorities whose client certificates it takes: read from files, and read again
//! when these change.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{self, SHA256};
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::{RootCertStore, ServerConfig};
use thiserror::Error;
use token_provider::{Clock, SystemClock};
use tokio_rustls::TlsAcceptor;
use webpki::EndEntityCert;
use zeroize::Zeroizing;

use super::validity::{OutOfDate, Validity, validity};
use crate::config::TlsConfig;

/// Preferred first (RFC 7301 §3.2).
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The certificate that TLS listeners show, the same for all of them.
///
/// A new certificate counts for new connections; those that are open go on. New authorities for client certificates count
/// for both.
pub struct Tls {
    files: TlsConfig,
    clock: Arc<dyn Clock>,
    current: ArcSwap<Current>,
    /// What was last found wrong, so that it is reported once and not at every look.
    reported: Mutex<Option<String>>,
}

/// What new connections are made with.
pub(super) struct Current {
    config: Arc<ServerConfig>,
    identity: Identity,
    pub(super) authorities: Arc<Authorities>,
}

/// The server's certificate with its key.
#[derive(Clone)]
struct Identity {
    key: Arc<CertifiedKey>,
    validity: Option<Validity>,
    /// Of the files' contents.
    digest: digest::Digest,
}

/// Who may vouch for clients.
#[derive(Default)]
pub(super) struct Authorities {
    /// What the file holds.
    pem: Vec<u8>,
    /// `None` where no file is configured, or all in it have expired.
    pub(super) verifier: Option<Arc<dyn ClientCertVerifier>>,
    /// When the file was read, and when the next of them expires.
    since: Option<SystemTime>,
    until: Option<SystemTime>,
    expired: usize,
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
    /// A new certificate has expired, or is not valid yet.
    #[error("tls.cert: {}: {reason}", cert.display())]
    OutOfDate {
        /// The certificate's file.
        cert: PathBuf,
        /// Since when, or from when on.
        reason: OutOfDate,
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
    /// The first file that cannot be used, and why. A certificate that is out of date is used, with a warning: at a start
    /// this machine's clock may be wrong, and there is no better certificate.
    pub fn load(files: &TlsConfig) -> Result<Self, TlsError> {
        Self::load_with(files, Arc::new(SystemClock))
    }

    /// Reads the files, and goes by this clock.
    ///
    /// # Errors
    ///
    /// As for [`load`](Self::load).
    pub fn load_with(files: &TlsConfig, clock: Arc<dyn Clock>) -> Result<Self, TlsError> {
        let now = clock.now().system_time();
        let identity = IdentityFiles::read(files)?.parse(files)?;
        identity.log(files);
        if let Some(reason) = identity.out_of_date(now) {
            tracing::warn!(tls.cert = %files.cert.display(), "{reason}; clients will refuse it");
        }
        let authorities = match &files.client_ca {
            Some(file) => Authorities::parse(file, read("client_ca", file)?, now)?,
            None => Authorities::default(),
        };
        let current = ArcSwap::from_pointee(Current::new(files, &clock, identity, Arc::new(authorities))?);
        Ok(Self { files: files.clone(), clock, current, reported: Mutex::default() })
    }

    /// Reads the files again. Returns whether what is in use has changed.
    ///
    /// # Errors
    ///
    /// As for [`load`](Self::load), or that a new certificate is out of date. What was in use stays, as it does between the
    /// two steps in which certificate and key are replaced.
    pub fn reload(&self) -> Result<bool, TlsError> {
        // Both, whatever becomes of the other: a bad certificate must not keep an authority in use that was removed.
        let (identity, authorities) = (self.reload_identity(), self.reload_authorities());
        Ok(identity? | authorities?)
    }

    fn reload_identity(&self) -> Result<bool, TlsError> {
        let current = self.current.load();
        let contents = IdentityFiles::read(&self.files)?;
        if contents.digest().as_ref() == current.identity.digest.as_ref() {
            return Ok(false);
        }
        let identity = contents.parse(&self.files)?;
        if let Some(reason) = identity.out_of_date(self.now()) {
            return Err(TlsError::OutOfDate { cert: self.files.cert.clone(), reason });
        }
        let next =
            Arc::new(Current::new(&self.files, &self.clock, identity, Arc::clone(&current.authorities))?);
        self.current.store(Arc::clone(&next));
        // Only now: whoever reads it may rely on it.
        next.identity.log(&self.files);
        Ok(true)
    }

    fn reload_authorities(&self) -> Result<bool, TlsError> {
        let Some(file) = &self.files.client_ca else { return Ok(false) };
        let (current, now) = (self.current.load(), self.now());
        let authorities = &current.authorities;
        let is_stale = authorities.is_stale(now);
        let parsed = read("client_ca", file).and_then(|pem| {
            let has_changed = is_stale || pem != authorities.pem;
            has_changed.then(|| Authorities::parse(file, pem, now)).transpose()
        });
        let (next, result) = match parsed {
            Ok(None) => return Ok(false),
            Ok(Some(next)) => (next, Ok(true)),
            // What stays in use expires all the same.
            Err(error) if is_stale => (Authorities::parse(file, authorities.pem.clone(), now)?, Err(error)),
            Err(error) => return Err(error),
        };
        let next = Current::new(&self.files, &self.clock, current.identity.clone(), Arc::new(next))?;
        self.current.store(Arc::new(next));
        result
    }

    /// Returns when the certificate's validity ends.
    pub fn not_after(&self) -> Option<SystemTime> {
        self.current.load().identity.validity.map(|validity| validity.not_after)
    }

    /// Returns why clients would refuse the certificate now.
    pub fn out_of_date(&self) -> Option<OutOfDate> {
        self.current.load().identity.out_of_date(self.now())
    }

    /// Returns whether the certificate is for this name or address.
    pub fn is_for(&self, name: &str) -> bool {
        let current = self.current.load();
        let Ok(name) = ServerName::try_from(name) else { return false };
        let leaf = current.identity.key.end_entity_cert().map(EndEntityCert::try_from);
        matches!(leaf, Ok(Ok(leaf)) if leaf.verify_is_valid_for_subject_name(&name).is_ok())
    }

    /// Returns how many authorities of `client_ca` have expired, and whether any is left.
    pub fn expired_authorities(&self) -> (usize, bool) {
        let authorities = &self.current.load().authorities;
        (authorities.expired, authorities.verifier.is_some())
    }

    /// Reads the files again and logs what comes of it; the same failure once. Reading them is as cheap as asking when
    /// they were changed, and also sees a change that keeps the time, or one behind a symbolic link.
    pub fn look(&self) {
        let wrong = self.reload().err().map(|error| causes(&error));
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wrong) = wrong.as_ref().filter(|wrong| reported.as_ref() != Some(*wrong)) {
            tracing::error!(error = wrong, "the new certificate was rejected; keeping the previous one");
        }
        *reported = wrong;
    }

    pub(super) fn current(&self) -> Arc<Current> {
        self.current.load_full()
    }

    pub(super) fn authorities(&self) -> Arc<Authorities> {
        Arc::clone(&self.current.load().authorities)
    }

    pub(super) fn now(&self) -> SystemTime {
        self.clock.now().system_time()
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
    fn new(
        files: &TlsConfig,
        clock: &Arc<dyn Clock>,
        identity: Identity,
        authorities: Arc<Authorities>,
    ) -> Result<Self, TlsError> {
        // TLS 1.2 and 1.3; there is nothing older in rustls.
        let builder = ServerConfig::builder_with_details(
            Arc::new(default_provider()),
            Arc::new(Time(Arc::clone(clock))),
        )
        .with_safe_default_protocol_versions()
        .map_err(|source| unusable(files, source))?;
        let builder = match &authorities.verifier {
            Some(verifier) => builder.with_client_cert_verifier(Arc::clone(verifier)),
            None => builder.with_no_client_auth(),
        };
        let resolver = SingleCertAndKey::from(Arc::clone(&identity.key));
        let mut config = builder.with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
        // All suites are good ones, and an answer has a kilobyte: what a phone would save by choosing is not worth the
        // question of every scanner's reader.
        config.ignore_client_order = true;
        if files.client_ca.is_some() {
            // A session that is resumed brings its certificate along, unchecked: it may have expired, or its authority may
            // have been removed.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        } else {
            // The key changes every six hours, so that who learns it reads no more than that.
            config.ticketer = Ticketer::new().map_err(|source| unusable(files, source))?;
        }
        Ok(Self { config: Arc::new(config), identity, authorities })
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }
}

/// Has rustls go by the same clock.
#[derive(Debug)]
struct Time(Arc<dyn Clock>);

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        Some(unix_time(self.0.now().system_time()))
    }
}

pub(super) fn unix_time(time: SystemTime) -> UnixTime {
    UnixTime::since_unix_epoch(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

impl Identity {
    fn log(&self, files: &TlsConfig) {
        let until = self.validity.map(|validity| httpdate::fmt_http_date(validity.not_after));
        tracing::info!(
            tls.cert = %files.cert.display(),
            tls.not_after = until.as_deref().unwrap_or("unknown"),
            "certificate read"
        );
    }

    fn out_of_date(&self, now: SystemTime) -> Option<OutOfDate> {
        self.validity?.out_of_date(now)
    }
}

impl Authorities {
    /// Returns whether one of them has expired meanwhile, or had only by a clock that was set back since.
    fn is_stale(&self, now: SystemTime) -> bool {
        self.until.is_some_and(|until| now > until)
            || self.expired > 0 && self.since.is_some_and(|since| now < since)
    }

    /// An authority that has expired vouches for nobody, although rustls would let it.
    fn parse(file: &Path, pem: Vec<u8>, now: SystemTime) -> Result<Self, TlsError> {
        let (mut roots, mut until, mut expired) = (RootCertStore::empty(), None, 0);
        for authority in certificates("client_ca", file, &pem)? {
            let end = validity(&authority).map(|validity| validity.not_after);
            if end.is_some_and(|end| now > end) {
                expired += 1;
                continue;
            }
            until = until.into_iter().chain(end).min();
            roots.add(authority).map_err(|_| TlsError::Pem {
                key: "client_ca",
                file: file.to_owned(),
                expected: "expected certificates of authorities",
            })?;
        }
        if expired > 0 {
            let left = roots.len();
            tracing::warn!(tls.client_ca = %file.display(), expired, left, "expired authorities are not used");
        }
        let verifier = if roots.is_empty() {
            None
        } else {
            let builder =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider()));
            // Others have an API key, or a token; the access rules say who needs what.
            let verifier = builder.allow_unauthenticated().build();
            Some(verifier.map_err(|source| TlsError::ClientCa { file: file.to_owned(), source })?)
        };
        Ok(Self { pem, verifier, since: Some(now), until, expired })
    }
}

/// What is in the files of the server's certificate.
struct IdentityFiles {
    cert: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

impl IdentityFiles {
    fn read(files: &TlsConfig) -> Result<Self, TlsError> {
        Ok(Self { cert: read("cert", &files.cert)?, key: Zeroizing::new(read("key", &files.key)?) })
    }

    fn digest(&self) -> digest::Digest {
        let mut context = digest::Context::new(&SHA256);
        for part in [&self.cert, &*self.key] {
            context.update(&part.len().to_be_bytes());
            context.update(part);
        }
        context.finish()
    }

    fn parse(self, files: &TlsConfig) -> Result<Identity, TlsError> {
        let chain = certificates("cert", &files.cert, &self.cert)?;
        let validity = chain.first().and_then(|certificate| validity(certificate));
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| TlsError::Pem {
            key: "key",
            file: files.key.clone(),
            expected: match error {
                pem::Error::NoItemsFound => "expected a private key in PEM form, and not an encrypted one",
                _ => NOT_PEM,
            },
        })?;
        let key = CertifiedKey::from_der(chain, key, &default_provider())
            .map_err(|source| unusable(files, source))?;
        Ok(Identity { key: Arc::new(key), validity, digest: self.digest() })
    }
}

fn read(key: &'static str, file: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(file).map_err(|source| TlsError::Read { key, file: file.to_owned(), source })
}

fn unusable(files: &TlsConfig, source: rustls::Error) -> TlsError {
    TlsError::Unusable { cert: files.cert.clone(), key: files.key.clone(), source }
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
