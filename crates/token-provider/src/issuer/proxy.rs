//! The proxy that requests to the network go through, as the environment names it.
//!
//! One reader for every request of a program, and a strict one: what cannot be read is an error where a request would
//! go through it. Taken for "no proxy", it would send requests past the place that is there to see them.

use std::fmt;

use hyper_util::client::proxy::matcher::Matcher;
use url::{Position, Url};

use crate::credential::{is_loopback_url, trim_value};
use crate::error::LoadError;

const EXPECTED: &str = "expected http://HOST:PORT, or http://USER:PASSWORD@HOST:PORT if the proxy needs it \
                        (percent-encode special characters, such as %5C for a backslash)";

/// What `HTTPS_PROXY` (or `ALL_PROXY`) and `NO_PROXY` say, in capitals or small letters.
///
/// Quotes and blanks around a value do no harm. `NO_PROXY` lists hosts, domains (`example.com`, `.example.com` and
/// `*.example.com` are the same), addresses and networks, each with a port if it is for that port alone, separated by
/// commas or blanks; `*` is every host. Plain `http://` is for loopback only, which no proxy can reach.
#[derive(Clone, Default)]
pub struct Proxies {
    /// The proxy, or what is wrong with its variable.
    https: Option<Result<Url, String>>,
    exempt: String,
}

impl Proxies {
    /// Reads the environment of this process.
    pub fn from_env() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the one reader of these variables")]
        Self::from_variables(|name| {
            // What is not text cannot be a URL, and is reported as such.
            std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
        })
    }

    /// Reads variables from a function that returns the value of the one that it is given the name of.
    pub fn from_variables(variable: impl Fn(&'static str) -> Option<String>) -> Self {
        let first = |names: [&'static str; 2]| {
            names.into_iter().find_map(|name| {
                let value = trim_value(&variable(name)?).to_owned();
                (!value.is_empty()).then_some((name, value))
            })
        };
        let https = first(["HTTPS_PROXY", "https_proxy"]).or_else(|| first(["ALL_PROXY", "all_proxy"]));
        let parse = |(name, value): (&str, String)| {
            parse(&value).ok_or_else(|| format!("{name} cannot be used: {EXPECTED}"))
        };
        Self {
            https: https.map(parse),
            exempt: first(["NO_PROXY", "no_proxy"]).map(|(_, value)| value).unwrap_or_default(),
        }
    }

    /// Returns the proxy that a request for this URL goes through; `None` for none.
    ///
    /// # Errors
    ///
    /// [`LoadErrorKind::Invalid`](crate::LoadErrorKind::Invalid) where there is one and its variable cannot be read.
    /// The value is not shown: it may hold a password.
    pub fn for_url(&self, url: &Url) -> Result<Option<&Url>, LoadError> {
        let Some(proxy) = &self.https else { return Ok(None) };
        if url.scheme() != "https" || is_loopback_url(url) || self.exempts(url) {
            return Ok(None);
        }
        proxy.as_ref().map(Some).map_err(|problem| LoadError::invalid(problem.clone()))
    }

    /// Returns what is wrong with the variables, whether or not a request needs them.
    pub fn problem(&self) -> Option<String> {
        self.https.as_ref()?.as_ref().err().cloned()
    }

    /// Returns a proxy's address without its user and password.
    pub fn describe(proxy: &Url) -> String {
        format!("{}://{}", proxy.scheme(), &proxy[Position::BeforeHost..Position::AfterPort])
    }

    fn exempts(&self, url: &Url) -> bool {
        let port = url.port_or_known_default();
        let entries = self.exempt.split(|character: char| character == ',' || character.is_whitespace());
        let hosts: Vec<&str> = entries
            .filter_map(|entry| {
                let (host, only) = split_port(entry);
                let host = host.trim_start_matches('[').trim_end_matches(']');
                let is_meant = only.is_none_or(|only| Some(only) == port);
                is_meant.then(|| if host == "*" { host } else { host.trim_start_matches('*') })
            })
            .collect();
        // Any proxy will do to learn whether there would be one.
        let matcher = Matcher::builder().https("http://proxy.invalid").no(hosts.join(",")).build();
        url.as_str().parse().is_ok_and(|uri| matcher.intercept(&uri).is_none())
    }
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let https = self.https.as_ref().map(|proxy| proxy.as_ref().map(Self::describe));
        f.debug_struct("Proxies").field("https", &https).field("exempt", &self.exempt).finish()
    }
}

/// `host:8443` is for one port. An IPv6 address has more colons than that.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    let split = entry.rsplit_once(':').filter(|(host, _)| !host.contains(':') || host.ends_with(']'));
    match split.map(|(host, port)| (host, port.parse())) {
        Some((host, Ok(port))) => (host, Some(port)),
        _ => (entry, None),
    }
}

/// Url is lenient: `http//proxy`, `http:host` and `http://DOMAIN\user@…` would become other hosts than those meant.
fn parse(value: &str) -> Option<Url> {
    let is_plain = value.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let text = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
    let url = Url::parse(&text).ok().filter(|_| is_plain)?;
    let is_address = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    (is_address && url.has_host() && matches!(url.scheme(), "http" | "https")).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "https://account.api.here.com/oauth2/token";

    fn proxies(variables: &[(&'static str, &str)]) -> Proxies {
        Proxies::from_variables(|name| {
            variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn way(variables: &[(&'static str, &str)], url: &str) -> Result<Option<String>, String> {
        let proxies = proxies(variables);
        let proxy = proxies.for_url(&Url::parse(url).expect("is a URL"));
        proxy.map(|proxy| proxy.map(Proxies::describe)).map_err(|error| error.to_string())
    }

    #[test]
    fn proxy_is_read_with_what_surrounds_it_taken_off() {
        for value in [
            "http://proxy.example:3128",
            "http://proxy.example:3128/",
            "proxy.example:3128",
            "\"http://proxy.example:3128\"",
            "'proxy.example:3128'",
            "  http://proxy.example:3128 \r\n",
            "\u{a0}http://proxy.example:3128\u{200b}",
            "http://user:planted@proxy.example:3128",
            "user:pl%40nted@proxy.example:3128",
        ] {
            for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
                assert_eq!(
                    way(&[(name, value)], HERE),
                    Ok(Some("http://proxy.example:3128".into())),
                    "{value}"
                );
            }
            assert_eq!(proxies(&[("HTTPS_PROXY", value)]).problem(), None, "{value}");
        }
        assert_eq!(
            way(&[("HTTPS_PROXY", "https://p:1"), ("ALL_PROXY", "q:2")], HERE),
            Ok(Some("https://p:1".into()))
        );
        assert_eq!(way(&[("HTTPS_PROXY", " "), ("https_proxy", "p:1")], HERE), Ok(Some("http://p:1".into())));
        assert_eq!(way(&[("HTTP_PROXY", "p:1")], HERE), Ok(None), "it is for plain http");
        assert_eq!(way(&[], HERE), Ok(None));
    }

    #[test]
    fn proxy_that_cannot_be_read_is_an_error_where_it_is_needed_and_shows_nothing() {
        for value in [
            "http://DOMAIN\\user:planted@proxy.example:3128",
            "http//planted:3128",
            "http:planted",
            "http:planted:3128",
            "ftp://planted",
            "socks5://planted:1080",
            "http://",
            "http://planted:99999",
            "http://planted :3128",
            "http://user:planted#x@proxy.example:3128",
            "http://planted/path",
            "http://planted?x",
            "planted, other",
        ] {
            let variables = [("HTTPS_PROXY", value), ("NO_PROXY", "inside.example")];
            let error = way(&variables, HERE).expect_err(value);
            assert!(error.starts_with("HTTPS_PROXY cannot be used: expected http://HOST:PORT"), "{error}");
            assert!(!error.contains("planted"), "{error}");
            assert!(proxies(&variables).problem().is_some(), "{value}");
            assert!(!format!("{:?}", proxies(&variables)).contains("planted"));
            for direct in ["https://inside.example/", "https://localhost/", "http://127.0.0.1:1/"] {
                assert_eq!(way(&variables, direct), Ok(None), "{direct}");
            }
        }
    }

    #[test]
    fn exempt_hosts_are_read_in_every_form() {
        let table = [
            // NO_PROXY, URL, whether it goes past the proxy
            ("*.example.com", "https://a.example.com/", true),
            ("*.example.com", "https://a.b.example.com/", true),
            (".example.com", "https://a.example.com/", true),
            ("example.com", "https://example.com/", true),
            ("example.com", "https://a.example.com/", true),
            ("example.com", "https://notexample.com/", false),
            ("*.example.com", "https://notexample.com/", false),
            ("EXAMPLE.com", "https://example.com/", true),
            ("example.com:443", "https://example.com/", true),
            ("example.com:8443", "https://example.com/", false),
            ("example.com:8443", "https://example.com:8443/", true),
            ("*.example.com:8443", "https://a.example.com:8443/", true),
            ("a.example b.example", "https://b.example/", true),
            ("a.example,  b.example\tc.example", "https://c.example/", true),
            ("\"a.example, b.example\"", "https://b.example/", true),
            ("10.0.0.0/8", "https://10.1.2.3/", true),
            ("10.0.0.0/8", "https://11.1.2.3/", false),
            ("fd00::/8", "https://[fd00::1]/", true),
            ("[fd00::1]:443", "https://[fd00::1]/", true),
            ("[fd00::1]", "https://[fd00::1]/", true),
            ("fd00::1", "https://[fd00::2]/", false),
            ("*", "https://example.com/", true),
            ("", "https://example.com/", false),
            (",, ,", "https://example.com/", false),
        ];
        for (exempt, url, is_direct) in table {
            for name in ["NO_PROXY", "no_proxy"] {
                let found = way(&[("HTTPS_PROXY", "p:1"), (name, exempt)], url);
                assert_eq!(found.map(|way| way.is_none()), Ok(is_direct), "{exempt} {url}");
            }
        }
    }

    #[test]
    fn debug_shows_no_password() {
        let shown = format!("{:?}", proxies(&[("HTTPS_PROXY", "http://user:planted@p:1")]));
        assert!(shown.contains("http://p:1") && !shown.contains("planted"), "{shown}");
    }
}
