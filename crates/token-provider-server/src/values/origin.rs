//! Web origins: scheme, host and port (RFC 6454), and rules for them.

use std::fmt;

use super::host::{PublicHost, normal};

/// A web origin in one spelling: lower case, ASCII, no trailing dot, the port written out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    scheme: String,
    /// With the port written out where one is known.
    host: PublicHost,
}

impl Origin {
    /// Reads an origin, from the configuration or an `Origin` header. `null` is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = split_scheme(text)?;
        let host = PublicHost::parse(rest)?;
        let port = host.port.or_else(|| default_port(&scheme));
        Some(Self { scheme, host: PublicHost { port, ..host } })
    }

    /// Returns whether pages of this origin came over TLS.
    pub fn is_https(&self) -> bool {
        self.scheme == "https"
    }

    /// Returns whether the origin is that of pages at this host, as a `Host` header names it.
    pub fn is_at(&self, host: &PublicHost) -> bool {
        self.host.name == host.name && self.host.port == host.port.or_else(|| default_port(&self.scheme))
    }
}

impl fmt::Display for Origin {
    /// Writes it as a browser does: the default port left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.host.port.filter(|port| Some(*port) != default_port(&self.scheme));
        write!(f, "{}://{}", self.scheme, PublicHost { name: self.host.name.clone(), port })
    }
}

/// A rule that an origin can meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginPattern {
    /// `*`: every origin, `null` included. Never goes together with credentials.
    Any,
    /// This one.
    Exact(Origin),
    /// `http://localhost:*`: this host of the machine's own, on every port. It has none itself.
    AnyPort(Origin),
}

impl OriginPattern {
    /// Returns whether an origin meets the rule.
    pub fn matches(&self, origin: &Origin) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact == origin,
            Self::AnyPort(rule) => rule.scheme == origin.scheme && rule.host.name == origin.host.name,
        }
    }
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Exact(origin) => origin.fmt(f),
            Self::AnyPort(rule) => write!(f, "{}://{}:*", rule.scheme, rule.host),
        }
    }
}

/// Reads a rule.
pub(crate) fn pattern(text: &str) -> Result<OriginPattern, &'static str> {
    if text == "*" {
        return Ok(OriginPattern::Any);
    }
    if text == "null" {
        return Err(
            "`null` is the origin of any sandboxed page or local file: it cannot be allowed by itself",
        );
    }
    if let Some(any_port) = text.strip_suffix(":*") {
        let rule = split_scheme(any_port).and_then(|(scheme, host)| {
            Some(Origin { scheme, host: PublicHost { name: normal(host)?, port: None } })
        });
        let rule = rule.filter(|rule| rule.host.is_loopback()).map(OriginPattern::AnyPort);
        return rule.ok_or("`:*` is for loopback hosts only, as in \"http://localhost:*\"");
    }
    if text.contains('*') {
        return Err("expected complete origins: a pattern would also allow pages that others publish there");
    }
    if split_scheme(text).is_some_and(|(_, rest)| rest.contains('/')) {
        return Err("expected an origin without a path or trailing slash");
    }
    Origin::parse(text)
        .map(OriginPattern::Exact)
        .ok_or("expected an origin such as \"https://maps.example.com\" or \"http://localhost:*\"")
}

/// Separates the scheme, which is not only http(s): apps on phones have pages at `capacitor://localhost`.
fn split_scheme(text: &str) -> Option<(String, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let well_formed = scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.bytes().all(plain);
    well_formed.then(|| (scheme.to_ascii_lowercase(), rest))
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_origin_are_one() {
        for (text, shown) in [
            ("https://maps.example.com", "https://maps.example.com"),
            ("HTTPS://Maps.Example.COM:443", "https://maps.example.com"),
            ("https://maps.example.com.", "https://maps.example.com"),
            ("http://maps.example.com:80", "http://maps.example.com"),
            ("http://maps.example.com:443", "http://maps.example.com:443"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
            ("http://[::1]:5173", "http://[::1]:5173"),
            ("capacitor://localhost", "capacitor://localhost"),
        ] {
            assert_eq!(
                Origin::parse(text).map(|origin| origin.to_string()).as_deref(),
                Some(shown),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_not_an_origin_is_none() {
        let texts = [
            "",
            "null",
            "*",
            "https://",
            "https:maps",
            "maps.example.com",
            "https://a/",
            "https://a/b",
            "https://a@b",
            "https://a:x",
            "https://a:",
            "://a",
            "1x://a",
            "https://a b",
            "https://a,https://b",
            "https://*.a",
        ];
        for text in texts {
            assert_eq!(Origin::parse(text), None, "{text}");
        }
    }

    #[test]
    fn rules_let_in_what_they_say() {
        for (rule, origin, expected) in [
            ("*", "https://x.example", true),
            ("https://a.example", "https://a.example", true),
            ("https://a.example", "https://A.example.:443", true),
            ("https://a.example", "http://a.example", false),
            ("https://a.example", "https://a.example:8443", false),
            ("https://a.example", "https://b.a.example", false),
            ("https://a.example", "https://a.example.evil.example", false),
            ("http://localhost:*", "http://localhost", true),
            ("http://localhost:*", "http://localhost:5173", true),
            ("http://localhost:*", "https://localhost:5173", false),
            ("http://localhost:*", "http://localhost.evil.example:5173", false),
            ("http://[::1]:*", "http://[::1]:1", true),
        ] {
            let rule = pattern(rule).unwrap();
            assert_eq!(rule.matches(&Origin::parse(origin).unwrap()), expected, "{rule} {origin}");
        }
    }

    #[test]
    fn own_pages_are_told_by_host_and_port() {
        for (origin, host, expected) in [
            ("http://localhost:3000", "localhost:3000", true),
            ("https://a.example", "a.example", true),
            ("https://a.example", "A.example.:443", true),
            ("http://a.example", "a.example:443", false),
            ("https://a.example", "b.example", false),
            ("http://localhost:3001", "localhost:3000", false),
        ] {
            let host = PublicHost::parse(host).unwrap();
            assert_eq!(Origin::parse(origin).unwrap().is_at(&host), expected, "{origin} {host}");
        }
    }

    #[test]
    fn patterns_are_for_loopback_ports_only() {
        for text in [
            "http://a.example:*",
            "https://*.example.com",
            "http://*:80",
            "http://localhost:3*",
            ":*",
            "null",
        ] {
            assert!(pattern(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shown_rules_read_back() {
        for text in ["*", "https://a.example", "http://127.0.0.1:*", "http://a.example:8080"] {
            assert_eq!(pattern(text).unwrap().to_string(), text);
        }
    }
}
