//! The `Host` rule, which stops DNS rebinding: a foreign page whose name was re-pointed at this machine still sends
//! that name.

use hyper::HeaderMap;
use hyper::header::HOST;

use super::Ends;
use crate::config::{Config, PublicHost};
use crate::problem::Problem;

#[derive(Debug)]
pub(super) struct HostRules {
    public: Vec<PublicHost>,
}

impl HostRules {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            public: config.public_hosts.clone(),
        }
    }

    /// Returns the host that the request names, if it is one of ours: a loopback name, the address that the connection
    /// came in on, or a public host.
    ///
    /// `authority` is HTTP/2's `:authority`, or the host of an absolute request target (RFC 9112 §3.2.2), which both
    /// take the place of `Host`.
    pub(super) fn admit(
        &self,
        headers: &HeaderMap,
        authority: Option<&str>,
        ends: &Ends,
    ) -> Result<PublicHost, Problem> {
        let mut named = headers.get_all(HOST).iter();
        let header = named.next();
        if named.next().is_some() {
            return Err(Problem::invalid_request("Host: given twice"));
        }
        let text = authority.or_else(|| header?.to_str().ok());
        let Some(host) = text.and_then(PublicHost::parse) else {
            return Err(Problem::invalid_request(
                "Host: expected one host name, with a port where it is not the usual one",
            ));
        };
        if self.is_ours(&host, ends) {
            return Ok(host);
        }
        Err(Problem::access_denied(
            "host",
            "this server does not go by that name; add it to public_hosts in the configuration if it should",
        ))
    }

    fn is_ours(&self, host: &PublicHost, ends: &Ends) -> bool {
        // No web page reaches a Unix socket, so no page can rebind a name to one.
        let Some(local) = ends.local else { return true };
        host.is_loopback()
            || host.is_address(local.ip())
            || self.public.iter().any(|public| {
                public.name == host.name && public.port.is_none_or(|port| Some(port) == host.port)
            })
    }
}
