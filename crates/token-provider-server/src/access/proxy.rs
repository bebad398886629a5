//! A reverse proxy that says who the caller is, in a header. Believed from the configured addresses alone: anybody
//! else could write the same header.

use std::net::IpAddr;
use std::sync::Arc;

use hyper::HeaderMap;
use hyper::header::HeaderName;

use super::policy::Policy;
use super::{Caller, Method};
use crate::config::{IpNet, TrustedProxyConfig};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// A name longer than this is no user's.
const MAX_NAME: usize = 256;

#[derive(Debug)]
pub(super) struct TrustedProxy {
    from: Vec<IpNet>,
    header: String,
    policy: Arc<Policy>,
}

impl TrustedProxy {
    pub(super) fn new(config: &TrustedProxyConfig) -> Self {
        Self {
            from: config.from.clone(),
            header: config.header.clone(),
            policy: Arc::new(Policy::new(&config.policy)),
        }
    }

    fn is_trusted(&self, address: IpAddr) -> bool {
        self.from.iter().any(|net| net.contains(address))
    }

    /// Returns the caller that the proxy names, if this is the proxy. A header that is there twice names nobody: one of
    /// them may be the caller's own, which a careless proxy let through.
    pub(super) fn authenticate(&self, headers: &HeaderMap, peer: Option<IpAddr>) -> Option<Caller> {
        if !peer.is_some_and(|peer| self.is_trusted(peer)) {
            return None;
        }
        let mut named = headers.get_all(self.header.as_str()).iter();
        let name = named.next()?.to_str().ok()?.trim();
        if named.next().is_some() || name.is_empty() || name.len() > MAX_NAME {
            return None;
        }
        Some(Caller::named(Method::TrustedProxy, name.into(), Arc::clone(&self.policy)))
    }

    /// Returns the address that the request came from, as the proxies of ours saw it: the last one in
    /// `X-Forwarded-For` that is not a proxy of ours. What stands before it was written by strangers.
    pub(super) fn origin_of(&self, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
        if !self.is_trusted(peer) {
            return peer;
        }
        let texts: Vec<&str> =
            headers.get_all(X_FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).collect();
        let hops = texts.iter().flat_map(|text| text.split(',')).map(|hop| hop.trim().parse().ok());
        let mut origin = peer;
        for hop in hops.rev() {
            let Some(address) = hop else { break };
            origin = address;
            if !self.is_trusted(address) {
                break;
            }
        }
        origin
    }
}
