//! Gets an identity provider's keys: from a file or a URL of the configuration, or from where the document says in which the
//! provider describes itself (`OpenID` Connect Discovery 1.0 §4).
//!
//! Everything is read each time, files included, so that a key set that moves is followed, an issuer that changes its name is
//! noticed, and a token that has been replaced is the one that is sent. No redirect is followed: where a document is, the
//! configuration and the document before it have said.

use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use reqwest::header::ACCEPT;
use reqwest::{Certificate, RequestBuilder, StatusCode};
use serde::Deserialize;
use token_provider::{Proxies, connection_problem, is_loopback_url, trim_value};
use url::Url;
use zeroize::Zeroizing;

use super::keys::KeySet;
use crate::config::KeySource;
use crate::file_work::{FileWork, MAX_SECRET, STUCK, read_small_file};
use crate::outbound;

/// As for HERE: within a region a connection takes milliseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// One request in all.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Key sets have a few KiB, with certificate chains some tens.
const MAX_BODY: usize = 256 * 1024;

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct FetchError(String, #[source] Option<reqwest::Error>);

/// `OpenID` Connect Discovery 1.0 §3, the part that matters here.
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl FetchError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self(message.into(), None)
    }

    fn in_file(key: &str, file: &Path, problem: impl Display) -> Self {
        Self::new(format!("access.oidc.{key}: {}: {problem}", file.display()))
    }
}

/// Fetches an issuer's keys.
#[derive(Debug)]
pub(super) struct Fetcher {
    source: KeySource,
    /// If a file hangs, only this provider's keys are held up.
    files: FileWork,
}

impl Fetcher {
    pub(super) fn new(source: &KeySource) -> Self {
        Self { source: source.clone(), files: FileWork::new(Path::new("access.oidc")) }
    }

    /// Reads the keys where they are.
    pub(super) async fn fetch(&mut self) -> Result<KeySet, FetchError> {
        let KeySource { issuer, file, url, is_discovery, .. } = self.source.clone();
        if let Some(file) = file {
            let text = self.read("jwks_file", &file, MAX_BODY).await?;
            return parsed("key set in access.oidc.jwks_file", KeySet::parse(text.as_bytes()));
        }
        let mut url = url.expect("the configuration has a URL where it has no file");
        if is_discovery {
            let what = "discovery document";
            let body = self.get(what, url.clone()).await?;
            let document: Discovery = parsed(what, serde_json::from_slice(&body))?;
            // Discovery §4.3: or one issuer could speak for another.
            if document.issuer != issuer {
                return Err(FetchError::new(
                    "the discovery document is for another issuer; access.oidc.issuer must match it exactly, \
                     including any trailing slash",
                ));
            }
            url = keys_url(&url, &document.jwks_uri)?;
        }
        parsed("key set", KeySet::parse(&self.get("key set", url).await?))
    }

    async fn get(&mut self, what: &str, url: Url) -> Result<Vec<u8>, FetchError> {
        // A URL may have anything in its query, and errors go to the log.
        let no_answer = |source: reqwest::Error| {
            let source = source.without_url();
            let problem = connection_problem(&source).map(|problem| format!(": {problem}"));
            let problem =
                problem.unwrap_or_else(|| "; check its URL, the network and HTTPS_PROXY".to_owned());
            FetchError(format!("no answer to the request for the {what}{problem}"), Some(source))
        };
        let response = self.request(url).await?.send().await.map_err(no_answer)?;
        if response.status() != StatusCode::OK {
            let status = response.status().as_u16();
            return Err(FetchError::new(format!("the request for the {what} returned status {status}")));
        }
        let body = outbound::body(response, MAX_BODY).await.map_err(no_answer)?;
        body.ok_or_else(|| FetchError::new(format!("the {what} is larger than 256 KiB")))
    }

    /// The client is made for each request, as there are two in ten minutes: a certificate that the system has trusted since
    /// counts, and so does one that `ca` has now.
    async fn request(&mut self, url: Url) -> Result<RequestBuilder, FetchError> {
        let no_tls = |source| {
            let message = "TLS could not be set up; are the system's CA certificates installed, and those in access.oidc.ca whole?";
            FetchError(message.to_owned(), Some(source))
        };
        let mut builder = outbound::client(REQUEST_TIMEOUT).connect_timeout(CONNECT_TIMEOUT);
        let proxy = Proxies::from_env().for_url(&url).map(|proxy| proxy.map(Url::to_string));
        if let Some(proxy) = proxy.map_err(|error| FetchError::new(error.to_string()))? {
            builder = builder.proxy(reqwest::Proxy::all(proxy).map_err(no_tls)?);
        }
        if url.scheme() == "http" {
            // Without TLS, as on this machine, no certificates are needed.
            builder = builder.tls_certs_only([]);
        } else if let Some(ca) = self.source.ca.clone() {
            let pem = self.read("ca", &ca, MAX_BODY).await?;
            let certificates = Certificate::from_pem_bundle(pem.as_bytes()).unwrap_or_default();
            if certificates.is_empty() {
                return Err(FetchError::in_file("ca", &ca, "there is no PEM certificate in it"));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        let request = builder.build().map_err(no_tls)?.get(url).header(ACCEPT, "application/json");
        let Some(file) = self.source.token_file.clone() else { return Ok(request) };
        let text = self.read("jwks_token_file", &file, MAX_SECRET).await?;
        let token = trim_value(&text);
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(FetchError::in_file("jwks_token_file", &file, "expected a token, and nothing else"));
        }
        Ok(request.bearer_auth(token))
    }

    async fn read(&mut self, key: &str, file: &Path, max: usize) -> Result<Zeroizing<String>, FetchError> {
        let path = file.to_owned();
        let read = self.files.run(move || read_small_file(&path, max)).await;
        let read = read.ok_or_else(|| FetchError::in_file(key, file, STUCK))?;
        read.map_err(|error| FetchError::in_file(key, file, format_args!("cannot be read: {error}")))
    }
}

/// Some have their keys on another host. But keys that came in the clear may have been changed on their way, except on this
/// machine, and an issuer elsewhere must not send us to a port of this machine.
fn keys_url(discovery: &Url, text: &str) -> Result<Url, FetchError> {
    let is_good = |url: &Url| {
        let is_private = url.scheme() == "https" || url.scheme() == "http" && is_loopback_url(url);
        is_private && (!is_loopback_url(url) || is_loopback_url(discovery))
    };
    let no_url = || FetchError::new("the discovery document names a key set that is not at an https URL");
    Url::parse(text).ok().filter(is_good).ok_or_else(no_url)
}

/// Says where a document is not well-formed, and not in the parser's words, which repeat what stands there.
fn parsed<T>(what: &str, result: serde_json::Result<T>) -> Result<T, FetchError> {
    result.map_err(|error| {
        let (line, column) = (error.line(), error.column());
        FetchError::new(format!("the {what} is malformed at line {line}, column {column}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let discovery = Url::parse(issuer).expect("is a URL");
            assert_eq!(keys_url(&discovery, keys).is_ok(), expected, "{issuer} {keys}");
        }
    }
}
