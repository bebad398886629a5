//! Who is asking: a name, how it was shown, and the rules that go with it.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::policy::Policy;
use super::rate::network_of;
use crate::problem::Problem;

/// How a caller has shown who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// Not at all.
    Anonymous,
    /// An API key of the configuration.
    ApiKey,
    /// A token of the company's identity provider.
    Oidc,
    /// A client certificate.
    Mtls,
    /// A header that a trusted reverse proxy set.
    TrustedProxy,
}

/// Who is asking, for as long as the rules by which it was let in are at hand. Made by this room alone.
///
/// The rules are lent, and not shared: a count of holders would go from core to core with every request.
#[derive(Clone, Debug)]
pub struct Caller<'r> {
    method: Method,
    name: Option<Arc<str>>,
    address: Option<IpAddr>,
    pub(super) policy: &'r Policy,
}

impl Method {
    /// Returns the word for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::ApiKey => "api_key",
            Self::Oidc => "oidc",
            Self::Mtls => "mtls",
            Self::TrustedProxy => "trusted_proxy",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<'r> Caller<'r> {
    pub(super) fn named(method: Method, name: Arc<str>, policy: &'r Policy) -> Self {
        Self { method, name: Some(name), address: None, policy }
    }

    pub(super) fn anonymous(policy: &'r Policy) -> Self {
        Self { method: Method::Anonymous, name: None, address: None, policy }
    }

    pub(super) fn at(self, address: Option<IpAddr>) -> Self {
        Self { address, ..self }
    }

    /// Takes one from the caller's bucket. One without a name has none: what counts for it is its address.
    pub(super) fn admit_rate(&self) -> Result<(), Problem> {
        let Some(name) = &self.name else { return Ok(()) };
        self.policy
            .admit_rate(name)
            .map_err(|problem| problem.of_caller(self.method.as_str(), Arc::clone(name)))
    }

    /// Returns how the caller has shown who it is.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Returns the caller's name: a key's id, a certificate's name, a subject. Empty for one without a name.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// Returns the name to be kept; `None` for a caller without one.
    pub fn into_name(self) -> Option<Arc<str>> {
        self.name
    }

    /// Returns who is charged with what is held for this caller: its name, else its network.
    pub(super) fn owner(&self) -> String {
        match (&self.name, self.address) {
            (Some(name), _) => format!("{} {name}", self.method),
            (None, Some(address)) => network_of(address).to_string(),
            (None, None) => self.method.to_string(),
        }
    }

    /// Returns where the request came from; nowhere, through a Unix socket.
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }
}
