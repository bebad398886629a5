//! What is this machine by its very name, with no resolver to be trusted: where plain `http` is safe.

use std::net::{IpAddr, Ipv4Addr};

use url::{Host, Url};

/// Returns whether an address is a loopback address: 127.0.0.0/8 (RFC 1122 §3.2.1.3) or `::1` (RFC 4291 §2.5.3). An IPv4
/// address that is mapped to IPv6 (`::ffff:127.0.0.1`), as a dual-stack socket has it, is one like any other.
pub fn is_loopback_address(address: impl Into<IpAddr>) -> bool {
    address.into().to_canonical().is_loopback()
}

/// Returns whether a URL's host is `localhost` (RFC 6761 §6.3) or a loopback address.
pub fn is_loopback_url(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => is_loopback_address(address),
        Some(Host::Ipv6(address)) => is_loopback_address(address),
        // Of a scheme that nobody knows, an IPv4 address is a name.
        Some(Host::Domain(name)) => name
            .parse::<Ipv4Addr>()
            .map_or_else(|_| name.eq_ignore_ascii_case("localhost"), is_loopback_address),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_told_in_every_spelling() {
        for (host, expected) in [
            ("localhost", true),
            ("LocalHost", true),
            ("127.0.0.1", true),
            ("127.255.0.9", true),
            ("127.1", true),
            ("[::1]", true),
            ("[::ffff:127.0.0.1]", true),
            ("[::ffff:7f00:1]", true),
            ("localhost.example.com", false),
            ("a.localhost", false),
            ("0.0.0.0", false),
            ("128.0.0.1", false),
            ("[::]", false),
            ("[::2]", false),
            ("[::ffff:10.0.0.1]", false),
        ] {
            let url = format!("http://{host}:8080/getToken").parse().expect("is a URL");
            assert_eq!(is_loopback_url(&url), expected, "{host}");
            if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
                assert_eq!(is_loopback_address(address), expected, "{host}");
            }
        }
        // In the URL of a scheme that nobody knows, a host may be in capitals.
        assert!(is_loopback_url(&"x://LOCALHOST".parse().expect("is a URL")));
        assert!(is_loopback_url(&"x://127.0.0.2:1".parse().expect("is a URL")));
        assert!(!is_loopback_url(&"data:localhost".parse().expect("is a URL")));
    }
}
