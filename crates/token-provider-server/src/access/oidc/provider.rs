//! Asks the identity provider for its keys: the document in which it describes itself (`OpenID` Connect Discovery 1.0 §4),
//! and the key set that this names.
//!
//! Both are read on every occasion, so that a key set that moves is followed and an issuer that changes its name is
//! noticed. No redirect is followed: where a document is, the configuration and the document before it have said.

use std::error::Error;
use std::time::Duration;

use reqwest::header::{ACCEPT, AGE, CACHE_CONTROL, HeaderMap};
use serde::Deserialize;
use token_provider::{Proxies, connection_problem};
use url::{Host, Url};

use super::key_set::KeySet;
use crate::printable::excerpt;

/// As for HERE: within a region a connection takes milliseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// One request in all.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Key sets have a few KiB, with certificate chains some tens.
const MAX_BODY: usize = 256 * 1024;

/// How long keys are good when the provider does not say.
const USUAL_AGE: Duration = Duration::from_secs(10 * 60);
/// Some say "now" (`no-cache`), but nothing is lost by waiting: a new key is asked for when it is first seen.
const SHORTEST_AGE: Duration = Duration::from_secs(5 * 60);
/// Some say days. It is also how long a key that was withdrawn goes on being believed.
const LONGEST_AGE: Duration = Duration::from_secs(60 * 60);

/// The identity provider, as far as its keys go.
#[derive(Debug)]
pub(super) struct Provider {
    pub(super) issuer: String,
    discovery: Url,
}

/// What the provider answered.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) keys: KeySet,
    /// How long they are good.
    pub(super) age: Duration,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("TLS could not be set up; are the system's CA certificates installed?")]
    NoTls(#[source] reqwest::Error),
    #[error("no answer to the request for the {what}; check access.oidc.issuer, the network and HTTPS_PROXY")]
    NoAnswer { what: &'static str, source: reqwest::Error },
    #[error("no answer to the request for the {what}: {problem}")]
    NoConnection { what: &'static str, problem: &'static str, source: reqwest::Error },
    #[error(transparent)]
    Proxy(#[from] token_provider::Error),
    #[error("the request for the {what} was answered with status {status}")]
    Status { what: &'static str, status: u16 },
    #[error("the {what} is larger than 256 KiB")]
    TooLarge { what: &'static str },
    /// The place, and not the parser's words, which repeat what stands there.
    #[error("the {what} is not what it should be, at line {line}, column {column}")]
    Malformed { what: &'static str, line: usize, column: usize },
    #[error(
        "the discovery document is of another issuer; access.oidc.issuer must be exactly what it says, final slash and all"
    )]
    OtherIssuer,
    #[error("the discovery document names a key set that is not at an https URL")]
    KeysUrl,
    #[error("the request did not come to an end")]
    Endless,
    #[error("the request panicked")]
    Panicked,
}

/// `OpenID` Connect Discovery 1.0 §3, the part that matters here.
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl FetchError {
    /// Returns what lies under it, for the log.
    pub(super) fn causes(&self) -> String {
        let mut causes = Vec::new();
        let mut cause = self.source();
        while let Some(error) = cause {
            causes.push(excerpt(error));
            cause = error.source();
        }
        causes.join(": ")
    }
}

impl Provider {
    pub(super) fn new(issuer: String, discovery: Url) -> Self {
        Self { issuer, discovery }
    }

    /// Says whether it is this one.
    pub(super) fn is(&self, issuer: &str, discovery: &Url) -> bool {
        self.issuer == issuer && self.discovery == *discovery
    }

    /// Asks for the keys.
    pub(super) async fn fetch(&self) -> Result<Fetched, FetchError> {
        let what = "discovery document";
        let (_, body) = self.get(what, self.discovery.clone()).await?;
        let document: Discovery = serde_json::from_slice(&body).map_err(malformed(what))?;
        // Discovery §4.3: or one issuer could speak for another.
        if document.issuer != self.issuer {
            return Err(FetchError::OtherIssuer);
        }
        let what = "key set";
        let (headers, body) = self.get(what, self.keys_url(&document.jwks_uri)?).await?;
        let keys = KeySet::parse(&body).map_err(malformed(what))?;
        Ok(Fetched { keys, age: age(&headers) })
    }

    /// Some have their keys on another host. But keys that came in the clear are anybody's, except on this machine, and
    /// nobody from elsewhere sends us to a port of this machine.
    fn keys_url(&self, text: &str) -> Result<Url, FetchError> {
        let url = Url::parse(text).map_err(|_| FetchError::KeysUrl)?;
        let is_good = url.scheme() == "https" || url.scheme() == "http" && is_loopback(&url);
        if is_good && (!is_loopback(&url) || is_loopback(&self.discovery)) {
            return Ok(url);
        }
        Err(FetchError::KeysUrl)
    }

    async fn get(&self, what: &'static str, url: Url) -> Result<(HeaderMap, Vec<u8>), FetchError> {
        // A URL may have anything in its query, and errors go to the log.
        let no_answer = |source: reqwest::Error| {
            let source = source.without_url();
            match connection_problem(&source) {
                Some(problem) => FetchError::NoConnection { what, problem, source },
                None => FetchError::NoAnswer { what, source },
            }
        };
        let request = client(&url)?.get(url).header(ACCEPT, "application/json");
        let mut response = request.send().await.map_err(no_answer)?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(FetchError::Status { what, status: response.status().as_u16() });
        }
        let headers = std::mem::take(response.headers_mut());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(no_answer)? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(FetchError::TooLarge { what });
            }
            body.extend_from_slice(&chunk);
        }
        Ok((headers, body))
    }
}

/// Made for each request, as there are two in some minutes: a certificate that the system has trusted since counts.
fn client(url: &Url) -> Result<reqwest::Client, FetchError> {
    let mut builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(REQUEST_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("token-provider/", env!("CARGO_PKG_VERSION")));
    builder = match Proxies::from_env().for_url(url)? {
        Some(proxy) => builder.proxy(reqwest::Proxy::all(proxy.as_str()).map_err(FetchError::NoTls)?),
        None => builder.no_proxy(),
    };
    if url.scheme() == "http" {
        // Without TLS, as on this machine, no certificates are needed.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(FetchError::NoTls)
}

fn malformed(what: &'static str) -> impl Fn(serde_json::Error) -> FetchError {
    move |error| FetchError::Malformed { what, line: error.line(), column: error.column() }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        None => false,
    }
}

/// How long an answer is good (RFC 9111 §5.2.2), within bounds.
fn age(headers: &HeaderMap) -> Duration {
    let texts = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut said = None;
    for directive in texts.flat_map(|text| text.split(',')) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "no-store" | "no-cache" => return SHORTEST_AGE,
            "max-age" => said = seconds(value.trim().trim_matches('"')),
            _ => {}
        }
    }
    let Some(said) = said else { return USUAL_AGE };
    // It has been in a cache on the way for a while.
    let passed = headers.get(AGE).and_then(|age| seconds(age.to_str().ok()?.trim())).unwrap_or_default();
    said.saturating_sub(passed).clamp(SHORTEST_AGE, LONGEST_AGE)
}

/// Digits that do not fit are a long time all the same.
fn seconds(text: &str) -> Option<Duration> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| Duration::from_secs(text.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn age_is_what_the_provider_says_within_bounds() {
        for (cache_control, passed, expected) in [
            (None, None, 600),
            (Some("public"), None, 600),
            (Some("max-age=900"), None, 900),
            (Some("public, Max-Age=\"900\", must-revalidate"), None, 900),
            (Some("max-age=900"), Some("300"), 600),
            (Some("max-age=900"), Some("899"), 300),
            (Some("max-age=900"), Some("soon"), 900),
            (Some("max-age=0"), None, 300),
            (Some("max-age=15"), None, 300),
            (Some("max-age=86400"), None, 3600),
            (Some("max-age=99999999999999999999999"), None, 3600),
            (Some("max-age=-1"), None, 600),
            (Some("max-age="), None, 600),
            (Some("max-age=1200, no-cache"), None, 300),
            (Some("no-store"), None, 300),
            (Some("s-maxage=1200"), None, 600),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [(CACHE_CONTROL, cache_control), (AGE, passed)] {
                value.map(|value| headers.insert(name, HeaderValue::from_static(value)));
            }
            assert_eq!(age(&headers), Duration::from_secs(expected), "{cache_control:?} {passed:?}");
        }
    }

    #[test]
    fn keys_come_over_https_and_a_stranger_does_not_send_us_to_this_machine() {
        let table = [
            ("https://login.example.com", "https://login.example.com/keys", true),
            ("https://login.example.com", "https://keys.example.net/v3/certs?x=1", true),
            ("https://login.example.com", "http://login.example.com/keys", false),
            ("https://login.example.com", "http://127.0.0.1:9000/keys", false),
            ("https://login.example.com", "https://localhost/keys", false),
            ("https://login.example.com", "https://[::ffff:127.0.0.1]/keys", false),
            ("https://login.example.com", "file:///etc/keys", false),
            ("https://login.example.com", "/keys", false),
            ("https://login.example.com", "", false),
            ("http://127.0.0.1:9000", "http://localhost:9001/keys", true),
            ("http://127.0.0.1:9000", "https://login.example.com/keys", true),
            ("http://127.0.0.1:9000", "http://login.example.com/keys", false),
        ];
        for (issuer, keys, expected) in table {
            let provider = Provider::new(issuer.to_owned(), Url::parse(issuer).expect("is a URL"));
            assert_eq!(provider.keys_url(keys).is_ok(), expected, "{issuer} {keys}");
        }
    }
}
