//! The `Host` rule, which stops DNS rebinding: a foreign page whose name was re-pointed at this machine still sends
//! that name.

use hyper::HeaderMap;
use hyper::header::{HOST, HeaderName, ORIGIN};

use super::connection::ConnectionInfo;
use super::proxy::is_of_proxy;
use super::rules::Rules;
use crate::config::PublicHost;
use crate::problem::Problem;
use crate::reason::Rule;

impl Rules {
    /// Returns the host that the request names, if it is one of ours: a loopback name, the address that the connection came
    /// in on, or a public host. At a Unix socket, programs may make up a name. This comes before anything else is done for
    /// the request.
    ///
    /// `authority` is HTTP/2's `:authority`, or the host of an absolute request target (RFC 9112 §3.2.2), which both
    /// take the place of `Host`.
    ///
    /// # Errors
    ///
    /// 400 without a `Host`; 403 for one that is not ours (DNS rebinding).
    pub fn admit_host<'r>(
        &self,
        headers: &'r HeaderMap,
        authority: Option<&'r str>,
        connection: &ConnectionInfo,
    ) -> Result<&'r str, Problem> {
        let mut named = headers.get_all(HOST).iter();
        let header = named.next();
        if named.next().is_some() {
            return Err(Problem::invalid_request("Host: given twice"));
        }
        let text = authority.or_else(|| header?.to_str().ok());
        let Some((text, host)) = text.and_then(|text| Some((text, PublicHost::parse(text)?))) else {
            return Err(Problem::invalid_request(
                "Host: expected one host name, with a port unless it is the default",
            ));
        };
        if self.is_ours(&host, connection)
            || connection.local.is_none() && self.config.public_hosts.is_empty() && is_made_up(&host, headers)
        {
            return Ok(text);
        }
        Err(Problem::access_denied(
            Rule::Host,
            "this server is not known by that name; if it should be, add the name to public_hosts",
        )
        .with(|it| it.host = Some(text.into())))
    }

    fn is_ours(&self, host: &PublicHost, connection: &ConnectionInfo) -> bool {
        host.is_loopback()
            || connection.local.is_some_and(|local| host.is_address(local.ip()))
            || self.config.public_hosts.iter().any(|public| {
                public.name == host.name && public.port.is_none_or(|port| Some(port) == host.port)
            })
    }
}

/// Returns whether a name is one that only the caller of a Unix socket gives it, as in `http://token-provider/`: without a dot,
/// since a name that is pointed at a machine has one. (Where a proxy's hosts are configured there is none: a page reaches the
/// socket through such a proxy, by whatever name the page has.)
fn is_made_up(host: &PublicHost, headers: &HeaderMap) -> bool {
    let url::Host::Domain(name) = &host.name else { return false };
    let is_word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    // A web page, or a proxy. (Not every browser says the first two, and not every proxy the others.)
    let is_of_other =
        |name: &HeaderName| *name == ORIGIN || *name == "sec-fetch-site" || is_of_proxy(name.as_str());
    is_word && !headers.keys().any(is_of_other)
}
