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
    /// The names that are ours on any port, as browsers write them: the usual header needs no more than a comparison.
    plain: Vec<String>,
}

impl HostRules {
    pub(super) fn new(config: &Config) -> Self {
        let loopback = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned);
        let public =
            config.public_hosts.iter().filter(|host| host.port.is_none()).map(|host| host.name.clone());
        Self { public: config.public_hosts.clone(), plain: loopback.into_iter().chain(public).collect() }
    }

    /// Returns the host that the request names, if it is one of ours: a loopback name, the address that the connection
    /// came in on, or a public host.
    ///
    /// `authority` is HTTP/2's `:authority`, or the host of an absolute request target (RFC 9112 §3.2.2), which both
    /// take the place of `Host`.
    pub(super) fn admit<'r>(
        &self,
        headers: &'r HeaderMap,
        authority: Option<&'r str>,
        ends: &Ends,
    ) -> Result<&'r str, Problem> {
        let mut named = headers.get_all(HOST).iter();
        let header = named.next();
        if named.next().is_some() {
            return Err(Problem::invalid_request("Host: given twice"));
        }
        let text = authority.or_else(|| header?.to_str().ok());
        if let Some(text) = text.filter(|text| self.is_plainly_ours(text)) {
            return Ok(text);
        }
        let Some((text, host)) = text.and_then(|text| Some((text, PublicHost::parse(text)?))) else {
            return Err(Problem::invalid_request(
                "Host: expected one host name, with a port where it is not the usual one",
            ));
        };
        if self.is_ours(&host, ends) {
            return Ok(text);
        }
        Err(Problem::access_denied(
            "host",
            "this server does not go by that name; add it to public_hosts in the configuration if it should",
        ))
    }

    /// Compares without bringing the name to its one spelling: a no says nothing yet.
    fn is_plainly_ours(&self, text: &str) -> bool {
        let is_port =
            |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
        let name = match text.rsplit_once(':') {
            Some((name, port)) if is_port(port) => name,
            _ => text,
        };
        self.plain.iter().any(|plain| plain == name)
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
