//! A reverse proxy that says where a request comes from, and, where it knows, who the caller is. Believed from the
//! configured addresses alone: anybody else could write the same headers.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hyper::HeaderMap;
use hyper::header::HeaderName;
use serde_json::json;

use super::caller::Caller;
use super::connection::ConnectionInfo;
use super::policy::Way;
use super::rules::Rules;
use crate::config::TrustedProxyConfig;
use crate::problem::Problem;
use crate::reason::Method;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// A name longer than this is no user's.
const MAX_NAME: usize = 256;

/// Returns whether proxies set this header, in lower case, to say where a request comes from.
pub(super) fn is_of_proxy(header: &str) -> bool {
    matches!(header, "forwarded" | "via" | "x-real-ip") || header.starts_with("x-forwarded-")
}

impl Rules {
    /// Returns the header that callers without a credential have to send, if this request lacks it: it is not there exactly once
    /// with a value, or somebody who is not the trusted proxy has passed the request on.
    ///
    /// It shows that they choose their headers. A program that was tricked into fetching a URL does not (SSRF).
    pub(crate) fn missing_header(&self, headers: &HeaderMap, from: &ConnectionInfo) -> Option<&HeaderName> {
        let required = self.config.access.require_header.as_ref()?;
        let mut given = headers.get_all(required).iter();
        let is_given = given.next().is_some_and(|value| !value.is_empty()) && given.next().is_none();
        let is_mark = |name: &HeaderName| is_of_proxy(name.as_str()) && *name != "x-real-ip";
        let is_trusted = |peer| self.trusted_proxy.as_ref().is_some_and(|proxy| proxy.is_trusted(peer));
        let is_direct = from.address().is_some_and(is_trusted) || !headers.keys().any(is_mark);
        Some(required).filter(|_| !(is_given && is_direct))
    }
}

impl Way<TrustedProxyConfig> {
    /// An IPv4 peer of a dual-stack socket counts as IPv4.
    fn is_trusted(&self, address: IpAddr) -> bool {
        self.config.from.iter().any(|net| net.contains(&address.to_canonical()))
    }

    /// Returns the caller that the proxy names, if this is the proxy. A header that is there twice names nobody: one of
    /// them may be the caller's own, which a careless proxy let through.
    pub(super) fn authenticate(
        &self,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
    ) -> Option<Result<Caller<'_>, Problem>> {
        let header = self.config.header.as_ref()?;
        if !peer.is_some_and(|peer| self.is_trusted(peer)) {
            return None;
        }
        let mut named = headers.get_all(header).iter();
        let name = named.next()?.to_str().ok()?.trim();
        // Where proxies know nobody they write nothing, nginx and Apache also `-`, Apache `(null)`.
        let is_name = (2..=MAX_NAME).contains(&name.len()) && name != "(null)";
        if named.next().is_some() || !is_name {
            return None;
        }
        let name: Arc<str> = name.into();
        let identities = || {
            let groups = self.groups(headers).into_iter();
            groups.map(|groups| (Arc::clone(&name), json!({ "users": *name, "groups": groups }))).collect()
        };
        Some(self.policy.caller(Method::TrustedProxy, Some(Arc::clone(&name)), identities))
    }

    /// Returns the groups that the proxy says the caller is in. `None` if that is unclear: with the header there twice, one of them
    /// may be the caller's own.
    fn groups<'h>(&self, headers: &'h HeaderMap) -> Option<Vec<&'h str>> {
        let given = self.config.groups_header.as_ref().map(|header| headers.get_all(header));
        let mut given = given.into_iter().flatten();
        let groups = given.next().map_or(Ok(""), |groups| str::from_utf8(groups.as_bytes())).ok()?;
        let is_clear = given.next().is_none();
        is_clear.then(|| groups.split(',').map(|group| group.trim_matches([' ', '\t'])).collect())
    }

    /// Returns the address that the request came from, as the proxies of ours saw it: the last one in
    /// `X-Forwarded-For` that is not a proxy of ours. What stands before it was written by strangers.
    pub(super) fn origin_of(&self, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
        if !self.is_trusted(peer) {
            return peer;
        }
        let texts: Vec<&str> =
            headers.get_all(X_FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).collect();
        let hops = texts.iter().flat_map(|text| text.split(',')).map(|hop| address_in(hop.trim()));
        let mut origin = peer;
        for address in hops.rev().map_while(|hop| hop) {
            origin = address;
            if !self.is_trusted(address) {
                break;
            }
        }
        origin
    }

    /// Returns whether a proxy of ours says that the caller came to it over TLS.
    pub(super) fn says_tls(&self, headers: &HeaderMap, peer: IpAddr) -> bool {
        let mut schemes = headers.get_all(X_FORWARDED_PROTO).iter();
        let is_https = schemes.next().is_some_and(|scheme| scheme.as_bytes().eq_ignore_ascii_case(b"https"));
        is_https && schemes.next().is_none() && self.is_trusted(peer)
    }
}

/// Reads an entry of `X-Forwarded-For`: some proxies (Azure's Application Gateway) write the port as well.
fn address_in(hop: &str) -> Option<IpAddr> {
    let bare = || hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    let address = hop.parse().ok().or_else(|| Some(hop.parse::<SocketAddr>().ok()?.ip())).or_else(bare)?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use hyper::header::HeaderValue;

    use super::*;
    use crate::config::{Config, Environment, Overrides};

    fn proxy() -> Way<TrustedProxyConfig> {
        let text =
            "[access.trusted_proxy]\nfrom = [\"10.0.0.0/8\", \"fd00::/8\"]\nheader = \"X-Forwarded-User\"\n";
        let file = Some((Path::new("c.toml"), text));
        let config = Config::parse(file, &Environment::default(), &Overrides::default());
        let proxy = config.expect("is well-formed").access.trusted_proxy.expect("is there");
        Way::new(proxy.clone(), &proxy.policy)
    }

    fn headers(name: &'static str, values: &[&str]) -> HeaderMap {
        let value = |value: &&str| HeaderValue::from_bytes(value.as_bytes()).expect("is a value");
        values.iter().map(|text| (HeaderName::from_static(name), value(text))).collect()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("is an address")
    }

    #[test]
    fn name_is_believed_from_the_proxy_alone() {
        let (proxy, long) = (proxy(), "x".repeat(MAX_NAME + 1));
        for (peer, values, expected) in [
            (Some("10.1.2.3"), &["alice"][..], Some("alice")),
            (Some("fd00::1"), &[" alice "], Some("alice")),
            // At a dual-stack socket.
            (Some("::ffff:10.1.2.3"), &["alice"], Some("alice")),
            (Some("11.0.0.1"), &["alice"], None),
            (Some("127.0.0.1"), &["alice"], None),
            (Some("::1"), &["alice"], None),
            // A Unix socket has no address that could be on the list.
            (None, &["alice"], None),
            // One of them may be the caller's own.
            (Some("10.1.2.3"), &["alice", "mallory"], None),
            (Some("10.1.2.3"), &["alice", "alice"], None),
            (Some("10.1.2.3"), &[""], None),
            (Some("10.1.2.3"), &[" "], None),
            // What a proxy writes that knows nobody.
            (Some("10.1.2.3"), &["-"], None),
            (Some("10.1.2.3"), &["x"], None),
            (Some("10.1.2.3"), &["(null)"], None),
            (Some("10.1.2.3"), &["b\u{fc}"], None),
            (Some("10.1.2.3"), &[&long], None),
            (Some("10.1.2.3"), &[], None),
        ] {
            let caller = proxy.authenticate(&headers("x-forwarded-user", values), peer.map(address));
            let caller = caller.map(|caller| caller.expect("there are no rules"));
            assert_eq!(
                caller.as_ref().and_then(|caller| caller.name.as_deref()),
                expected,
                "{peer:?} {values:?}"
            );
        }
        let other = proxy.authenticate(&headers("x-user", &["alice"]), Some(address("10.1.2.3")));
        assert!(other.is_none());
    }

    #[test]
    fn address_is_the_last_that_a_proxy_of_ours_has_seen() {
        let proxy = proxy();
        for (peer, values, expected) in [
            ("10.0.0.1", &["192.0.2.7"][..], "192.0.2.7"),
            ("::ffff:10.0.0.1", &["192.0.2.7"], "192.0.2.7"),
            // Entries further to the left may be forged by the client.
            ("10.0.0.1", &["203.0.113.1, 192.0.2.7"], "192.0.2.7"),
            ("10.0.0.1", &["203.0.113.1", "192.0.2.7"], "192.0.2.7"),
            ("10.0.0.1", &["203.0.113.1, 192.0.2.7, 10.9.9.9"], "192.0.2.7"),
            ("10.0.0.1", &["2001:db8::7"], "2001:db8::7"),
            // With a port, as some proxies write it.
            ("10.0.0.1", &["198.51.100.8:1234"], "198.51.100.8"),
            ("10.0.0.1", &["[2001:db8::1]:1234"], "2001:db8::1"),
            ("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
            ("10.0.0.1", &["203.0.113.1, 198.51.100.8:1234, 10.9.9.9:80"], "198.51.100.8"),
            ("10.0.0.1", &["::ffff:10.9.9.9, ::ffff:198.51.100.8"], "198.51.100.8"),
            ("10.0.0.1", &["198.51.100.8:"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.8:65536"], "10.0.0.1"),
            ("10.0.0.1", &["[198.51.100.8]"], "10.0.0.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["unknown"], "10.0.0.1"),
            ("10.0.0.1", &["192.0.2.7, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["192.0.2.7, unknown, 10.9.9.9"], "10.9.9.9"),
            ("10.0.0.1", &["10.9.9.9"], "10.9.9.9"),
            ("192.0.2.9", &["192.0.2.7"], "192.0.2.9"),
            ("127.0.0.1", &["192.0.2.7"], "127.0.0.1"),
        ] {
            let origin = proxy.origin_of(&headers("x-forwarded-for", values), address(peer));
            assert_eq!(origin, address(expected), "{peer} {values:?}");
        }
    }

    #[test]
    fn tls_is_believed_from_the_proxy_alone() {
        let proxy = proxy();
        for (peer, values, expected) in [
            ("10.0.0.1", &["https"][..], true),
            ("10.0.0.1", &["HTTPS"], true),
            ("10.0.0.1", &["http"], false),
            ("10.0.0.1", &["https", "http"], false),
            ("10.0.0.1", &["https,http"], false),
            ("10.0.0.1", &[], false),
            ("192.0.2.9", &["https"], false),
        ] {
            let says = proxy.says_tls(&headers("x-forwarded-proto", values), address(peer));
            assert_eq!(says, expected, "{peer} {values:?}");
        }
    }
}
