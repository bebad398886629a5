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
        let found = self.config.allow.iter().find(|allowed| names.contains(allowed));
        let (SubjectName::Dns(name) | SubjectName::Uri(name)) = found?;
        Some(Caller::new(Method::Mtls, Some(name.as_str().into()), &self.policy))
    }
}
