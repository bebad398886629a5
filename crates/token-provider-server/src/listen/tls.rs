//! The server's certificate, and the authorities whose client certificates it takes: read from files, and read again
//! when these change.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, TrustAnchor, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::{RootCertStore, ServerConfig};
use token_provider::Clock;
use tokio::net::TcpStream;
use tokio_rustls::{Accept, TlsAcceptor};
use webpki::{EndEntityCert, Error as CertificateError, KeyUsage, anchor_from_trusted_cert};
use zeroize::Zeroizing;

use super::limits::MAX_NAME;
use crate::access::ClientCertificate;
use crate::config::TlsConfig;
use crate::failure::Failure;
use crate::printable::one_line;
use crate::topic::Topic;
use crate::values::name::is_plain;

/// Preferred first (RFC 7301 §3.2).
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

const NOT_PEM: &str = "damaged PEM: expected base64 between BEGIN and END lines";

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
struct Current {
    config: Arc<ServerConfig>,
    /// The server's certificate with its key.
    identity: Arc<CertifiedKey>,
    authorities: Authorities,
    /// So many of them have expired.
    expired: usize,
    /// `None` where no file is configured, or all in it have expired.
    verifier: Option<Arc<dyn ClientCertVerifier>>,
}

/// The authorities that vouch for clients, and when each one's validity ends.
type Authorities = Vec<(TrustAnchor<'static>, SystemTime)>;

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// The first file that cannot be used, and why. A certificate that is out of date is used, with a warning: at a start
    /// this machine's clock may be wrong, and there is no better certificate.
    pub fn load(files: &TlsConfig, clock: Arc<dyn Clock>) -> Result<Self, Failure> {
        let identity = Arc::new(read_identity(files)?);
        let current = Current::new(files, &clock, identity, read_authorities(files)?);
        current.log(files, true, true);
        if let Some(reason) = out_of_date(leaf(&current.identity), clock.now().system_time()) {
            tracing::warn!(tls.cert = %files.cert.display(), "{reason}; clients will reject it");
        }
        let current = ArcSwap::from_pointee(current);
        Ok(Self { files: files.clone(), clock, current, reported: Mutex::default() })
    }

    /// Reads the files again. Returns whether what is in use has changed.
    ///
    /// # Errors
    ///
    /// As for [`load`](Self::load), or that a new certificate is out of date. What was in use stays, as it does between the
    /// two steps in which certificate and key are replaced.
    pub fn reload(&self) -> Result<bool, Failure> {
        let (held, now) = (self.current.load(), self.now());
        // Both, whatever becomes of the other: a bad certificate must not keep an authority in use that was removed.
        let authorities = read_authorities(&self.files);
        let identity =
            read_identity(&self.files).and_then(|identity| match out_of_date(leaf(&identity), now) {
                _ if identity.cert == held.identity.cert => Ok(Arc::clone(&held.identity)),
                Some(reason) => Err(wrong("cert", &self.files.cert, reason)),
                None => Ok(Arc::new(identity)),
            });
        let next_identity = identity.as_ref().unwrap_or(&held.identity);
        let is_new = !Arc::ptr_eq(next_identity, &held.identity);
        // What stays in use expires all the same.
        let next = authorities.as_ref().unwrap_or(&held.authorities);
        let expired = next.iter().filter(|(_, until)| *until < now).count();
        let are_new = *next != held.authorities || expired != held.expired;
        if is_new || are_new {
            let identity = Arc::clone(next_identity);
            let current = Arc::new(Current::new(&self.files, &self.clock, identity, next.clone()));
            self.current.store(Arc::clone(&current));
            // Only now: what is logged may be relied on.
            current.log(&self.files, is_new, are_new);
        }
        identity.and(authorities).map(|_| is_new || are_new)
    }

    /// Returns when the certificate's validity ends, since the epoch.
    pub fn not_after(&self) -> Option<Duration> {
        not_after(leaf(&self.current.load().identity))?.duration_since(SystemTime::UNIX_EPOCH).ok()
    }

    /// Returns why clients would refuse the certificate now.
    pub fn out_of_date(&self) -> Option<String> {
        out_of_date(leaf(&self.current.load().identity), self.now())
    }

    /// Returns whether the certificate is for this name or address.
    pub fn is_for(&self, name: &str) -> bool {
        let current = self.current.load();
        let Ok(name) = ServerName::try_from(name) else { return false };
        EndEntityCert::try_from(leaf(&current.identity))
            .is_ok_and(|leaf| leaf.verify_is_valid_for_subject_name(&name).is_ok())
    }

    /// Returns how many authorities of `client_ca` have expired, and whether any is left.
    pub fn expired_authorities(&self) -> (usize, bool) {
        let current = self.current.load();
        (current.expired, current.verifier.is_some())
    }

    /// Reads the files again and logs what comes of it; the same failure once. Reading them is as cheap as asking when
    /// they were changed, and also sees a change that keeps the time, or one behind a symbolic link.
    pub fn look(&self) {
        let wrong = self.reload().err().map(|error| one_line(&error));
        let mut reported = self.reported.lock();
        if let Some(wrong) = wrong.as_ref().filter(|wrong| reported.as_ref() != Some(*wrong)) {
            tracing::error!(error = wrong, "the new certificate was rejected; keeping the previous one");
        }
        *reported = wrong;
    }

    /// Returns why the files are not used as they are now.
    pub fn rejected(&self) -> Option<String> {
        self.reported.lock().clone()
    }

    pub(super) fn accept(&self, stream: TcpStream) -> Accept<TcpStream> {
        TlsAcceptor::from(Arc::clone(&self.current.load().config)).accept(stream)
    }

    fn now(&self) -> SystemTime {
        self.clock.now().system_time()
    }
}

/// Without the key.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.files).finish_non_exhaustive()
    }
}

/// Makes rustls use the same clock.
#[derive(Debug)]
struct Time(Arc<dyn Clock>);

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        Some(unix_time(self.0.now().system_time()))
    }
}

impl Current {
    fn new(
        files: &TlsConfig,
        clock: &Arc<dyn Clock>,
        identity: Arc<CertifiedKey>,
        authorities: Authorities,
    ) -> Self {
        let now = clock.now().system_time();
        // An authority that has expired vouches for nobody, although rustls would let it.
        let valid = authorities.iter().filter(|(_, until)| *until >= now);
        let roots: RootCertStore = valid.map(|(authority, _)| authority.clone()).collect();
        let expired = authorities.len() - roots.len();
        let verifier = (!roots.is_empty()).then(|| {
            let builder =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider()));
            // Others have an API key, or a token; the access rules say who needs what.
            let verifier = builder.allow_unauthenticated().build();
            verifier.expect("there is an authority, and no revocation list")
        });
        let time = Arc::new(Time(Arc::clone(clock)));
        let builder = ServerConfig::builder_with_details(Arc::new(default_provider()), time)
            // TLS 1.2 and 1.3; there is nothing older in rustls.
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for both");
        let builder = match &verifier {
            Some(verifier) => builder.with_client_cert_verifier(Arc::clone(verifier)),
            None => builder.with_no_client_auth(),
        };
        let resolver = SingleCertAndKey::from(Arc::clone(&identity));
        let mut config = builder.with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
        // All suites are good ones, and an answer has a kilobyte: the little that a phone would save by choosing is not
        // worth the questions that TLS scanners raise.
        config.ignore_client_order = true;
        if files.client_ca.is_some() {
            // A session that is resumed brings its certificate along, unchecked: it may have expired, or its authority may
            // have been removed.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        } else {
            // The key changes every six hours, so that a leaked key exposes no more than that.
            config.ticketer = Ticketer::new().expect("the system has randomness");
        }
        Self { config: Arc::new(config), identity, authorities, expired, verifier }
    }

    /// Logs what is new of it.
    fn log(&self, files: &TlsConfig, is_new: bool, are_new: bool) {
        if is_new {
            let until = not_after(leaf(&self.identity)).map(httpdate::fmt_http_date);
            tracing::info!(
                tls.cert = %files.cert.display(),
                tls.not_after = until.as_deref().unwrap_or("unknown"),
                "certificate read"
            );
        }
        if are_new && let (Some(file), expired @ 1..) = (&files.client_ca, self.expired) {
            let left = self.authorities.len() - expired;
            tracing::warn!(tls.client_ca = %file.display(), expired, left, "ignoring expired certificate authorities");
        }
    }
}

/// The certificate that a client showed when its connection began. The connection may outlive it, or its authority's place in
/// `tls.client_ca`, so it is verified again at every request, which takes 0.1 ms for each ECDSA signature of the chain.
pub(super) struct ShownCertificate {
    tls: Arc<Tls>,
    chain: Vec<CertificateDer<'static>>,
    names: Arc<[String]>,
}

impl ShownCertificate {
    /// Takes the chain that was verified in the handshake.
    pub(super) fn new(tls: Arc<Tls>, chain: &[CertificateDer<'static>]) -> Option<Self> {
        let leaf = EndEntityCert::try_from(chain.first()?).ok()?;
        let dns = leaf.valid_dns_names().map(str::to_ascii_lowercase);
        // Without `://` it could pass for a DNS name.
        let uri = leaf.valid_uri_names().filter(|name| name.contains("://") && is_plain(name, MAX_NAME));
        Some(Self { tls, chain: chain.to_vec(), names: dns.chain(uri.map(str::to_owned)).collect() })
    }

    /// Judges the certificate as of now.
    pub(super) fn judge(&self) -> ClientCertificate {
        let (current, now) = (self.tls.current.load(), unix_time(self.tls.now()));
        if let (Some(verifier), [leaf, intermediates @ ..]) = (&current.verifier, &*self.chain)
            && verifier.verify_client_cert(leaf, intermediates, now).is_ok()
        {
            ClientCertificate::Verified(Arc::clone(&self.names))
        } else {
            ClientCertificate::Rejected
        }
    }
}

fn read_identity(files: &TlsConfig) -> Result<CertifiedKey, Failure> {
    let chain = certificates("cert", &files.cert)?;
    let key = Zeroizing::new(read("key", &files.key)?);
    let expected = |error| match error {
        pem::Error::NoItemsFound => "expected an unencrypted private key in PEM format",
        _ => NOT_PEM,
    };
    let key =
        PrivateKeyDer::from_pem_slice(&key).map_err(|error| wrong("key", &files.key, expected(error)))?;
    CertifiedKey::from_der(chain, key, &default_provider()).map_err(|error| {
        let (cert, key) = (files.cert.display(), files.key.display());
        let both = format!("tls.cert and tls.key: {cert} cannot be used with {key}");
        Failure::new(Topic::Certificate, both).caused_by(error)
    })
}

/// Reads the authorities that vouch for clients, if there is a file for them.
fn read_authorities(files: &TlsConfig) -> Result<Authorities, Failure> {
    let Some(file) = &files.client_ca else { return Ok(Vec::new()) };
    let authorities = certificates("client_ca", file)?;
    // `None` before version 3: its expiry would go unnoticed.
    let usable =
        |authority| Some((anchor_from_trusted_cert(authority).ok()?.to_owned(), not_after(authority)?));
    let usable: Option<Authorities> = authorities.iter().map(usable).collect();
    usable.ok_or_else(|| wrong("client_ca", file, "expected CA certificates (X.509 version 3)"))
}

fn leaf(identity: &CertifiedKey) -> &CertificateDer<'static> {
    identity.cert.first().expect("its file had one at least")
}

fn certificates(key: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let chain = CertificateDer::pem_slice_iter(&read(key, file)?).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|_| wrong(key, file, NOT_PEM))?;
    if chain.is_empty() {
        return Err(wrong(key, file, "expected a certificate in PEM form"));
    }
    Ok(chain)
}

fn read(key: &str, file: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(file).map_err(|error| {
        Failure::new(Topic::Certificate, format!("tls.{key}: cannot read {}", file.display()))
            .caused_by(error)
    })
}

fn wrong(key: &str, file: &Path, what: impl fmt::Display) -> Failure {
    Failure::new(Topic::Certificate, format!("tls.{key}: {}: {what}", file.display()))
}

/// Returns when a certificate's validity ends. `None` when that cannot be told. Asks webpki to verify it at the end of
/// time; the `CertExpired` error carries `not_after`. This avoids writing a parser for untrusted bytes, or a second
/// library for one field.
fn not_after(certificate: &CertificateDer<'_>) -> Option<SystemTime> {
    match judge(certificate, UnixTime::since_unix_epoch(Duration::MAX))? {
        CertificateError::CertExpired { not_after, .. } => Some(system_time(not_after)),
        _ => None,
    }
}

/// Returns in words why a certificate is not valid now.
fn out_of_date(certificate: &CertificateDer<'_>, now: SystemTime) -> Option<String> {
    let date = |time| httpdate::fmt_http_date(system_time(time));
    Some(match judge(certificate, unix_time(now))? {
        CertificateError::CertExpired { not_after, .. } => {
            format!("the certificate expired on {}", date(not_after))
        }
        CertificateError::CertNotValidYet { not_before, .. } => {
            format!("the certificate is not valid before {}", date(not_before))
        }
        _ => return None,
    })
}

/// Returns what webpki finds wrong with a certificate: first of all its validity, for which it needs no authority.
fn judge(certificate: &CertificateDer<'_>, now: UnixTime) -> Option<CertificateError> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    certificate.verify_for_usage(&[], &[], &[], now, KeyUsage::client_auth(), None, None).err()
}

fn unix_time(time: SystemTime) -> UnixTime {
    UnixTime::since_unix_epoch(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn system_time(time: UnixTime) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(time.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn certificate(from: i32, until: i32) -> CertificateDer<'static> {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("is a name");
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = rcgen::KeyPair::generate().expect("makes a key");
        params.self_signed(&key).expect("signs").der().clone()
    }

    #[test]
    fn validity_of_a_certificate_is_found() {
        // From 2050 on, years are written in another form (RFC 5280 §4.1.2.5).
        for (from, start, until, end) in [
            (2024, "Mon, 01 Jan 2024", 2031, "Wed, 01 Jan 2031"),
            (1999, "Fri, 01 Jan 1999", 2055, "Fri, 01 Jan 2055"),
            (2051, "Sun, 01 Jan 2051", 9999, "Fri, 01 Jan 9999"),
        ] {
            let certificate = certificate(from, until);
            let not_after = not_after(&certificate).expect("is a certificate");
            assert_eq!(out_of_date(&certificate, not_after), None);
            let late = out_of_date(&certificate, not_after + SECOND).expect("is over");
            assert_eq!(late, format!("the certificate expired on {end} 00:00:00 GMT"));
            let not_before = httpdate::parse_http_date(&format!("{start} 00:00:00 GMT")).expect("is a date");
            assert_eq!(out_of_date(&certificate, not_before), None);
            let early = out_of_date(&certificate, not_before - SECOND).expect("has not begun");
            assert_eq!(early, format!("the certificate is not valid before {start} 00:00:00 GMT"));
        }
    }

    #[test]
    fn other_bytes_have_no_validity() {
        let whole = certificate(2024, 2031);
        for end in 0..whole.len() {
            assert_eq!(not_after(&CertificateDer::from(&whole[..end])), None, "{end}");
        }
        assert_eq!(not_after(&CertificateDer::from(&b"-----BEGIN CERTIFICATE-----"[..])), None);
    }
}
