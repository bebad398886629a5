//! Hosts and ports in one spelling: lower case, ASCII (IDNA), no trailing dot, IPv6 in brackets. Two names of one
//! host must compare equal, or an access rule can be walked around.

use std::fmt;
use std::net::IpAddr;

use token_provider::{is_loopback_address, is_loopback_url};
use url::{Host, Position, Url};

use super::duration::digits;

/// A host, and a port where it was given: what a `Host` header may say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicHost {
    /// A name is in lower case, without a trailing dot.
    pub name: Host,
    /// Any port will do where there is none.
    pub port: Option<u16>,
}

impl PublicHost {
    /// Reads `tokens.example.com` or `tokens.example.com:8443`, from the configuration or a `Host` header.
    pub fn parse(text: &str) -> Option<Self> {
        // An IPv6 address must stand in brackets.
        let end =
            if text.starts_with('[') { text.find(']')? + 1 } else { text.find(':').unwrap_or(text.len()) };
        let (name, rest) = text.split_at_checked(end)?;
        let port = match rest.strip_prefix(':') {
            Some(port) => Some(digits(port)?),
            None if rest.is_empty() => None,
            None => return None,
        };
        Some(Self { name: normal(name)?, port })
    }

    /// Returns whether the name can only be this machine.
    pub fn is_loopback(&self) -> bool {
        self.name == Host::Domain("localhost") || self.address().is_some_and(is_loopback_address)
    }

    /// Returns whether the name is this address, written out.
    pub fn is_address(&self, address: IpAddr) -> bool {
        self.address().is_some_and(|named| named.to_canonical() == address.to_canonical())
    }

    fn address(&self) -> Option<IpAddr> {
        match self.name {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
        }
    }
}

impl fmt::Display for PublicHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.name),
            None => self.name.fmt(f),
        }
    }
}

/// Reads an entry of `public_hosts`.
pub(crate) fn public_host(text: &str) -> Result<PublicHost, &'static str> {
    if text.contains("://") {
        return Err("expected a host name alone, without `https://`");
    }
    PublicHost::parse(text)
        .ok_or("expected a host name such as \"tokens.example.com\" or \"tokens.example.com:8443\"")
}

/// Brings a host to its one spelling, the way browsers do. `None` for what is not one whole host, such as `*.a.b`.
pub(crate) fn normal(host: &str) -> Option<Host> {
    let parsed = match host.parse() {
        // `Host::parse` would take half a microsecond of each handout to find these as they are.
        Ok(address) => Host::Ipv4(address),
        Err(_) if is_normal(host) => Host::Domain(host.to_owned()),
        // It would decode percent signs, which no host has.
        Err(_) if host.contains('%') => return None,
        Err(_) => Host::parse(host).ok()?,
    };
    let Host::Domain(name) = &parsed else { return Some(parsed) };
    let name = name.strip_suffix('.').unwrap_or(name);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    (name.len() <= 253 && name.split('.').all(label)).then(|| Host::Domain(name.to_owned()))
}

/// Returns whether IDNA leaves a name as it is: lower-case ASCII that encodes nothing and whose end is no number, so that it is
/// no IPv4 address either.
fn is_normal(name: &str) -> bool {
    let is_plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
    name.bytes().all(is_plain)
        && !name.contains("xn--")
        && name
            .rsplit('.')
            .next()
            .is_some_and(|last| last.starts_with(|first: char| first.is_ascii_lowercase()))
}

/// Reads the URL of a service that requests are sent to: `https`, or plain `http` on loopback only.
pub(crate) fn service_url(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "expected a URL such as \"https://login.example.com\"")?;
    // Logs and error messages name the URL, so nothing in it may be a secret.
    let has_user = !url[Position::BeforeUsername..Position::BeforeHost].is_empty();
    if has_user || !url[Position::AfterPath..].is_empty() {
        return Err("expected a URL without user name, password, query or fragment");
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback_url(&url) => Ok(url),
        "http" => Err("expected https: plain http is accepted on a loopback address only"),
        _ => Err("expected a URL that begins with https://"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use token_provider::RemoteIssuerConfig;

    use super::*;

    #[test]
    fn spellings_of_one_host_are_one() {
        for (text, name, port) in [
            ("tokens.example.com", "tokens.example.com", None),
            ("TOKENS.Example.com.", "tokens.example.com", None),
            ("tokens.example.com:8443", "tokens.example.com", Some(8443)),
            ("tokens.example.com.:443", "tokens.example.com", Some(443)),
            ("Bücher.example", "xn--bcher-kva.example", None),
            ("token_provider", "token_provider", None),
            ("127.0.0.1:3000", "127.0.0.1", Some(3000)),
            ("127.1", "127.0.0.1", None),
            ("[::1]:3000", "[::1]", Some(3000)),
            ("[0:0:0:0:0:0:0:1]", "[::1]", None),
        ] {
            let read = PublicHost::parse(text).map(|host| (host.name.to_string(), host.port));
            assert_eq!(read, Some((name.to_owned(), port)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn name_that_is_normal_is_what_a_browser_makes_of_it(name in "[a-z0-9.-]{1,12}|(xn--|0x)?[a-z0-9.-]{0,9}") {
            prop_assume!(is_normal(&name));
            prop_assert_eq!(Host::parse(&name).ok(), Some(Host::Domain(name)));
        }
    }

    #[test]
    fn what_is_not_a_host_is_refused() {
        let texts = [
            "",
            ".",
            "a..b",
            "*",
            "*.example.com",
            "a b",
            "a/b",
            "a@b",
            "a:",
            "a:b",
            "a:1:2",
            "a:+1",
            "a:65536",
            "::1",
            "[::1",
            "[::1]x",
            "[::1]:",
            "%61",
            "a?b",
            "a#b",
            "-:",
            "a,b",
            "https://a",
        ];
        for text in texts {
            assert_eq!(PublicHost::parse(text), None, "{text}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (host, expected) in [
            ("localhost", true),
            ("127.0.0.1", true),
            ("127.255.0.9", true),
            ("[::1]", true),
            ("[::ffff:127.0.0.1]", true),
            ("localhost.example.com", false),
            ("a.localhost", false),
            ("128.0.0.1", false),
            ("[::2]", false),
            ("0.0.0.0", false),
            ("", false),
        ] {
            assert_eq!(PublicHost::parse(host).is_some_and(|host| host.is_loopback()), expected, "{host}");
        }
    }

    #[test]
    fn a_host_is_an_address_when_it_spells_it() {
        for (host, address, expected) in [
            ("10.0.0.1:80", "10.0.0.1", true),
            ("10.0.0.1", "::ffff:10.0.0.1", true),
            ("[::ffff:10.0.0.1]", "10.0.0.1", true),
            ("[fd00::1]", "fd00:0::1", true),
            ("10.0.0.1", "10.0.0.2", false),
            ("example.com", "10.0.0.1", false),
        ] {
            let host = PublicHost::parse(host).unwrap();
            assert_eq!(host.is_address(address.parse().unwrap()), expected, "{host} {address}");
        }
    }

    #[test]
    fn services_are_asked_over_https() {
        for (text, good) in [
            ("https://login.example.com", true),
            ("https://login.example.com/tenant/v2.0", true),
            ("http://localhost:8080/x", true),
            ("http://127.0.0.1", true),
            ("http://[::1]:1", true),
            ("http://[::ffff:127.0.0.1]/getToken", true),
            ("http://LOCALHOST/getToken", true),
            ("http://[::ffff:10.0.0.1]/", false),
            ("http://login.example.com", false),
            ("http://localhost.example.com", false),
            ("https://a:b@login.example.com", false),
            ("https://a@login.example.com", false),
            ("https://login.example.com?x=1", false),
            ("https://login.example.com#x", false),
            ("ftp://login.example.com", false),
            ("login.example.com", false),
            ("", false),
        ] {
            let url = service_url(text);
            assert_eq!(url.is_ok(), good, "{text}");
            // What the configuration takes for another token provider's URL, the library does too.
            assert!(url.is_err() || RemoteIssuerConfig::new(text).is_ok(), "{text}");
        }
    }
}
