//! The base URL that a signature covers: scheme, host and port (RFC 5849 §3.4.1.2), and what counts as a
//! loopback host.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use axum::http::Uri;
use axum::http::uri::Authority;

/// Scheme, host and port under which callers know the sandbox, without a path.
///
/// ```
/// use here_sandbox::BaseUrl;
///
/// let url: BaseUrl = "https://Sandbox.example.com:443".parse().unwrap();
/// assert_eq!(url.to_string(), "https://sandbox.example.com");
/// assert!("https://sandbox.example.com/path".parse::<BaseUrl>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    scheme: Scheme,
    /// Lower case; an IPv6 address is in brackets.
    host: String,
    /// `None` for the scheme's default port, which a signature leaves out.
    port: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

/// The text is not an `http://` or `https://` URL of host and port alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a base URL is http:// or https://, a host and perhaps a port, without a path")]
pub struct BaseUrlError;

impl BaseUrl {
    /// Reads the value of a `Host` header. The sandbox speaks plain HTTP, so the scheme is `http`: a header
    /// that a proxy may or may not have set, such as `X-Forwarded-Proto`, is nothing to verify a signature
    /// against.
    pub(crate) fn from_host_header(host: &str) -> Option<Self> {
        Self::new(Scheme::Http, host)
    }

    /// Whether the host is this machine: `localhost`, a name below it, or a loopback address.
    pub(crate) fn is_loopback(&self) -> bool {
        if self.host == "localhost" || self.host.ends_with(".localhost") {
            return true;
        }
        let address = self.host.trim_start_matches('[').trim_end_matches(']');
        address.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
    }

    fn new(scheme: Scheme, authority: &str) -> Option<Self> {
        let parsed: Authority = authority.parse().ok()?;
        let port = parsed.port_u16();
        // Refuses what the parser lets pass: user information, an empty port, a port that is no number.
        let written_back = match port {
            Some(port) => format!("{}:{port}", parsed.host()),
            None => parsed.host().to_owned(),
        };
        if parsed.host().is_empty() || written_back != authority {
            return None;
        }
        Some(Self {
            scheme,
            host: parsed.host().to_ascii_lowercase(),
            port: port.filter(|port| *port != scheme.default_port()),
        })
    }
}

impl FromStr for BaseUrl {
    type Err = BaseUrlError;

    fn from_str(text: &str) -> Result<Self, BaseUrlError> {
        let uri: Uri = text.parse().map_err(|_| BaseUrlError)?;
        let scheme = match uri.scheme_str() {
            Some("http") => Scheme::Http,
            Some("https") => Scheme::Https,
            _ => return Err(BaseUrlError),
        };
        if uri.path() != "/" || uri.query().is_some() || text.contains('#') {
            return Err(BaseUrlError);
        }
        let authority = uri.authority().ok_or(BaseUrlError)?;
        Self::new(scheme, authority.as_str()).ok_or(BaseUrlError)
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        write!(f, "{scheme}://{}", self.host)?;
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

impl Scheme {
    fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_is_lower_cased_and_the_default_port_left_out() {
        let cases = [
            ("http://Example.COM:80", "http://example.com"),
            ("HTTPS://example.com:443/", "https://example.com"),
            ("http://example.com:443", "http://example.com:443"),
            ("https://example.com:80", "https://example.com:80"),
            ("http://[::1]:8080", "http://[::1]:8080"),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<BaseUrl>().map(|url| url.to_string()), Ok(expected.into()), "{text}");
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
            assert_eq!(text.parse::<BaseUrl>(), Err(BaseUrlError), "{text}");
        }
    }

    #[test]
    fn loopback_is_decided_by_the_whole_host() {
        let is_loopback = |host| BaseUrl::from_host_header(host).is_some_and(|url| url.is_loopback());
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
