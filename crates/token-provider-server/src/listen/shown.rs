//! The certificate that a client showed when its connection began. The connection may outlive it, or its authority's place in
//! `tls.client_ca`, so it is judged at every request.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

use super::tls::{Authorities, Current, Tls, unix_time};
use super::validity::validity;
use crate::access::{ClientCertificate, ClientNames};

/// It is kept as long as its connection, in what a connection may take. Usual chains have 2 to 6 KiB; TLS allows for 64 KiB.
const MAX_CHAIN: usize = 16 * 1024;

pub(super) struct Shown {
    tls: Arc<Tls>,
    chain: Vec<CertificateDer<'static>>,
    names: Arc<ClientNames>,
    verified: Mutex<Verified>,
}

/// By whom a chain was verified, and until when it need not be verified again.
struct Verified {
    by: Arc<Authorities>,
    until: SystemTime,
}

impl Shown {
    /// Takes the chain that was verified in the handshake, by the authorities of that time, which began at `began`.
    pub(super) fn new(
        chain: Option<&[CertificateDer<'static>]>,
        tls: &Arc<Tls>,
        handshake: &Current,
        began: SystemTime,
    ) -> Option<Self> {
        let chain = chain?.to_vec();
        let leaf = EndEntityCert::try_from(chain.first()?).ok()?;
        let names = Arc::new(ClientNames {
            dns: leaf.valid_dns_names().map(str::to_owned).collect(),
            uri: leaf.valid_uri_names().map(str::to_owned).collect(),
        });
        let until = next_expiry(&chain, began);
        let verified = Mutex::new(Verified { by: Arc::clone(&handshake.authorities), until });
        Some(Self { tls: Arc::clone(tls), chain, names, verified })
    }

    /// Judges the certificate as of now. The chain is verified again when one of its certificates expires and when
    /// `tls.client_ca` changes; for all other requests this costs a look at the clock.
    pub(super) fn judge(&self) -> ClientCertificate {
        let (authorities, now) = (self.tls.authorities(), self.tls.now());
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if now >= verified.until || !Arc::ptr_eq(&authorities, &verified.by) {
            if !self.is_good(&authorities, now) {
                return ClientCertificate::Rejected;
            }
            *verified = Verified { by: authorities, until: next_expiry(&self.chain, now) };
        }
        ClientCertificate::Verified(Arc::clone(&self.names))
    }

    fn is_good(&self, authorities: &Authorities, now: SystemTime) -> bool {
        let (Some(verifier), [leaf, intermediates @ ..]) = (&authorities.verifier, &*self.chain) else {
            return false;
        };
        verifier.verify_client_cert(leaf, intermediates, unix_time(now)).is_ok()
    }
}

/// Says whether a chain is longer than any that is meant well.
pub(super) fn is_too_long(chain: Option<&[CertificateDer<'_>]>) -> bool {
    chain.is_some_and(|chain| chain.iter().map(|certificate| certificate.len()).sum::<usize>() > MAX_CHAIN)
}

/// Returns when the next certificate expires: of those that came along, not all need be in use. At once where that
/// cannot be told.
fn next_expiry(chain: &[CertificateDer<'_>], now: SystemTime) -> SystemTime {
    let ends =
        chain.iter().map(|certificate| validity(certificate).map_or(now, |validity| validity.not_after));
    ends.filter(|end| *end >= now).min().unwrap_or(now)
}
