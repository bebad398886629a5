//! The base URL that a signature covers: scheme, host and port (RFC 5849 §3.4.1.2), and what counts as a
//! loopback host.

use std::fmt;
use std::net::IpAddr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, header};

/// Scheme, host and port, without a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BaseUrl {
    scheme: &'static str,
    /// Lower case; an IPv6 address is in brackets.
    host: String,
    /// `None` for the scheme's default port, which a signature leaves out.
    port: Option<u16>,
}

impl BaseUrl {
    /// Reads the one `Host` header. The sandbox speaks plain HTTP, so the scheme is `http`: a header that a
    /// proxy may or may not have set, such as `X-Forwarded-Proto`, is nothing to verify a signature against.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let host = hosts.next().filter(|_| hosts.next().is_none())?;
        Self::new("http", 80, host.to_str().ok()?)
    }

    /// Reads the origin of a web page.
    pub(crate) fn from_origin(origin: &str) -> Option<Self> {
        match origin.split_once("://")? {
            ("http", host) => Self::new("http", 80, host),
            ("https", host) => Self::new("https", 443, host),
            _ => None,
        }
    }

    /// Returns whether the host is this machine: `localhost`, a name below it, or a loopback address.
    pub(crate) fn is_loopback(&self) -> bool {
        if self.host == "localhost" || self.host.ends_with(".localhost") {
            return true;
        }
        let address = self.host.trim_start_matches('[').trim_end_matches(']');
        address.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
    }

    fn new(scheme: &'static str, default_port: u16, authority: &str) -> Option<Self> {
        let parsed: Authority = authority.parse().ok()?;
        let url = Self { scheme, host: parsed.host().to_ascii_lowercase(), port: parsed.port_u16() };
        // Refuses what the parser lets pass: user information, an empty port, a port that is no number.
        let is_all = url.to_string().eq_ignore_ascii_case(&format!("{scheme}://{authority}"));
        let is_proper = is_all && !url.host.is_empty();
        is_proper.then(|| Self { port: url.port.filter(|port| *port != default_port), ..url })
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_is_lower_cased_and_the_default_port_left_out() {
        let cases = [
            ("http://Example.COM:80", "http://example.com"),
            ("https://example.com:443", "https://example.com"),
            ("http://example.com:443", "http://example.com:443"),
            ("https://example.com:80", "https://example.com:80"),
            ("http://[::1]:8080", "http://[::1]:8080"),
        ];
        for (text, expected) in cases {
            let url = BaseUrl::from_origin(text).expect("is one");
            assert_eq!(url.to_string(), expected, "{text}");
        }
    }

    #[test]
    fn anything_but_scheme_host_and_port_is_refused() {
        let refused = [
            "",
            "example.com",
            "ftp://example.com",
            "http://",
            "http://a@example.com",
            "http://example.com/x",
            "http://example.com?x",
            "http://example.com#x",
            "http://example.com:",
            "http://example.com:99999",
            "http://example.com:080",
        ];
        for text in refused {
            assert_eq!(BaseUrl::from_origin(text), None, "{text}");
        }
    }

    #[test]
    fn loopback_is_decided_by_the_whole_host() {
        let is_loopback = |host| BaseUrl::new("http", 80, host).is_some_and(|url| url.is_loopback());
        for host in ["localhost", "LocalHost:1", "app.localhost", "127.0.0.1:3000", "127.9.9.9", "[::1]:1"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            "example.com",
            "localhost.example.com",
            "notlocalhost",
            "128.0.0.1",
            "[::2]",
            "127.0.0.1.example.com",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
