//! Client certificates. The connection has checked the chain against `tls.client_ca`; here the name decides.

use super::caller::Caller;
use super::connection::ClientCertificate;
use super::policy::Way;
use crate::config::{MtlsConfig, SubjectName};
use crate::reason::Method;

impl Way<MtlsConfig> {
    /// Returns the caller whose certificate carries an allowed name; the name on the list is the caller's.
    pub(super) fn authenticate(&self, client: &ClientCertificate) -> Option<Caller<'_>> {
        let ClientCertificate::Verified(names) = client else { return None };
        let fits = |allowed: &&SubjectName| match allowed {
            SubjectName::Dns(name) => names.dns.iter().any(|dns| dns.eq_ignore_ascii_case(name)),
            SubjectName::Uri(name) => names.uri.iter().any(|uri| uri == name),
        };
        let name = match self.config.allow.iter().find(fits)? {
            SubjectName::Dns(name) | SubjectName::Uri(name) => name.as_str(),
        };
        Some(Caller::new(Method::Mtls, Some(name.into()), &self.policy))
    }
}
