//! Another token provider as the issuer: a Rust service gets its tokens from a running server through the same cache,
//! single flight and refresh as HERE's own, and one server can stand in front of another.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use reqwest::RequestBuilder;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::Url;
use url::form_urlencoded::byte_serialize;

use super::answer;
use super::http::{Exchange, Http, Network};
use super::{Issue, Issued};
use crate::clock::{Clock as _, SystemClock};
use crate::credential::parse_endpoint;
use crate::error::{LoadError, TokenError, TokenErrorKind};
use crate::token::{AccessToken, TokenKey};

/// The time that the other server has for its own request after a report: HERE answers within half a second.
const ITS_OWN_REQUEST: Duration = Duration::from_secs(1);
/// Shorter ones are the rest of a damaged file, and no secret. (Ours have 46.)
const MIN_BEARER: usize = 8;

/// What a [`RemoteIssuer`] is made from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RemoteIssuerConfig {
    /// The other server's `…/getToken`.
    pub url: Url,
    /// What to authenticate with (RFC 6750 §2.1): an API key, or a token of the company's identity provider. Eight
    /// characters or more.
    pub bearer: Option<SecretString>,
    /// The other server's profile; its default one when not set.
    pub profile: Option<String>,
    /// The header that the other server requires of callers without a credential (its `access.require_header`).
    pub required_header: Option<HeaderName>,
    /// The way there.
    pub network: Network,
}

/// Gets tokens from another token provider: `GET /getToken`, answered as JSON (RFC 6749 §5.1 and §5.2). A token may
/// have been held there for a while; see [`Issued::marked_as_cached`]. That a service refused one is passed on
/// (`POST …/oauth2/revoke`, beside `…/getToken`).
#[derive(Debug)]
pub struct RemoteIssuer {
    http: Http,
    url: Url,
    /// Those of every request.
    headers: HeaderMap,
    authorization: ArcSwapOption<HeaderValue>,
}

/// RFC 6749 §5.2; the description is left unread.
#[derive(Deserialize)]
struct Refusal {
    error: String,
}

impl RemoteIssuerConfig {
    /// Creates a configuration from the URL of the other server's `/getToken`: 3 s to connect, 12 s per request.
    ///
    /// # Errors
    ///
    /// [`LoadErrorKind::Invalid`](crate::LoadErrorKind::Invalid) unless it is an `https://` URL, or `http://` on a
    /// loopback address.
    pub fn new(url: &str) -> Result<Self, LoadError> {
        Ok(Self {
            url: parse_endpoint(url)?,
            bearer: None,
            profile: None,
            required_header: None,
            network: Network::new(Duration::from_secs(12)),
        })
    }

    /// Creates a configuration from the path of the other server's Unix socket, which is opened for each connection.
    pub fn from_unix_socket(path: impl Into<PathBuf>) -> Self {
        let mut config = Self::new("http://localhost/getToken").expect("it is a URL on loopback");
        config.network.unix_socket = Some(path.into());
        config
    }
}

impl RemoteIssuer {
    /// Prepares the connection; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`LoadErrorKind::Invalid`](crate::LoadErrorKind::Invalid) when the bearer token cannot stand in a header, or the
    /// extra CA file holds no certificate; [`LoadErrorKind::Tls`](crate::LoadErrorKind::Tls) when TLS cannot be set up at
    /// all.
    pub fn new(config: RemoteIssuerConfig) -> Result<Self, LoadError> {
        let authorization = config.bearer.as_ref().map(header).transpose()?;
        let mut headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
        headers.extend(config.required_header.map(|name| (name, HeaderValue::from_static("1"))));
        let mut url = config.url;
        if let Some(profile) = &config.profile {
            url.query_pairs_mut().append_pair("profile", profile);
        }
        let setting = "the URL of the other token provider (remote)";
        let http = Http::new(config.network, setting, &url)?;
        Ok(Self { http, url, headers, authorization: ArcSwapOption::from_pointee(authorization) })
    }

    /// Returns whether this is the API key in use; takes the same time wherever the two differ.
    pub fn uses(&self, bearer: &SecretString) -> bool {
        let (used, header) = (self.authorization.load(), header(bearer));
        let (Some(used), Ok(header)) = (used.as_deref(), header) else { return false };
        aws_lc_rs::constant_time::verify_slices_are_equal(used.as_bytes(), header.as_bytes()).is_ok()
    }

    /// Tries a new API key with a real request for a token of this kind, and uses it from then on if the other server
    /// knows it.
    ///
    /// # Errors
    ///
    /// Returns an error if no token came; the old API key then stays in use.
    pub async fn rotate(&self, bearer: &SecretString, key: &TokenKey) -> Result<Issued, TokenError> {
        let authorization = header(bearer)?;
        let issued = self.ask(Some(&authorization), key).await?;
        self.authorization.store(Some(Arc::new(authorization)));
        Ok(issued)
    }

    async fn ask(&self, authorization: Option<&HeaderValue>, key: &TokenKey) -> Result<Issued, TokenError> {
        let mut url = self.url.clone();
        url.query_pairs_mut().append_pair("ttl", &key.lifetime().as_secs().to_string());
        if let Some(scope) = key.scope() {
            url.query_pairs_mut().append_pair("scope", scope.as_str());
        }
        let request = self.http.client(&url)?.get(url);
        let exchange = self.send(request, authorization).await?;
        read(&exchange, SystemClock.now().system_time())
    }

    /// Reports a token, in the form of RFC 7009, beside `/getToken`. Returns the status of the response.
    async fn revoke(&self, token: &AccessToken) -> Result<u16, TokenError> {
        let url = self.url.join("oauth2/revoke").expect("a path can be joined");
        let form = ["token="].into_iter().chain(byte_serialize(token.expose_secret().as_bytes()));
        let form: String = form.collect();
        let request =
            self.http.client(&url)?.post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let authorization = self.authorization.load_full();
        Ok(self.send(request.body(form), authorization.as_deref()).await?.status)
    }

    async fn send(
        &self,
        request: RequestBuilder,
        authorization: Option<&HeaderValue>,
    ) -> Result<Exchange, TokenError> {
        let mut request = request.headers(self.headers.clone());
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        self.http.receive(request).await
    }
}

/// The other server's tokens are the standard's, so HERE's reader reads them. What is no token is told in our own
/// words: HERE has no part in it.
fn read(exchange: &Exchange, now: SystemTime) -> Result<Issued, TokenError> {
    let status = exchange.status;
    if (200..300).contains(&status)
        && let Ok(issued) = answer::token(exchange)
    {
        return Ok(issued.marked_as_cached());
    }
    let refusal: Option<Refusal> = serde_json::from_slice(&exchange.body).ok();
    let rejected = TokenErrorKind::Rejected { status, code: None };
    let unavailable = TokenErrorKind::Unavailable { status };
    let (kind, message) = match (status, refusal.as_ref().map(|refusal| refusal.error.as_str())) {
        (401, Some(_)) => {
            (rejected, "the other token provider does not know this caller (401): check the API key")
        }
        (403, Some(_)) => (
            rejected,
            "the other token provider refused this caller (403): check its rules for host, header, profile and scope",
        ),
        (400, Some(_)) => (
            rejected,
            "the other token provider refused the request (400): check lifetime, profile and scope",
        ),
        (429, _) => (TokenErrorKind::Throttled, "the other token provider returned 429 (too many requests)"),
        (502, Some("issuer_rejected")) => {
            (rejected, "HERE refused the other token provider's credential (502): see that server's log")
        }
        (408 | 500..=599, Some(_)) => (
            unavailable,
            "the other token provider has no token to hand out ({status}); see that server's log",
        ),
        (408 | 500..=599, None) => (
            unavailable,
            "the other token provider, or a proxy in front of it, is failing ({status}); retrying",
        ),
        // A path that is not `/getToken`, or something else at the address.
        _ => (
            TokenErrorKind::InvalidAnswer { status: Some(status) },
            "the response ({status}) is not from a token provider's /getToken; check the URL (remote), which \
             must end in /getToken without a trailing slash, and whether a proxy responds in its place",
        ),
    };
    let message = message.replace("{status}", &status.to_string());
    Err(TokenError::new(kind, message).with_retry_after(exchange.retry_after(now)))
}

fn header(bearer: &SecretString) -> Result<HeaderValue, LoadError> {
    if bearer.expose_secret().len() < MIN_BEARER {
        let message = format!("the API key is empty or shorter than {MIN_BEARER} characters; copy it again");
        return Err(LoadError::invalid(message));
    }
    let text = zeroize::Zeroizing::new(format!("Bearer {}", bearer.expose_secret()));
    let mut header = HeaderValue::from_str(&text).map_err(|_| {
        LoadError::invalid("the API key contains characters that are not allowed in a header; copy it again")
    })?;
    header.set_sensitive(true);
    Ok(header)
}

impl Issue for RemoteIssuer {
    async fn issue(&self, key: &TokenKey) -> Result<Issued, TokenError> {
        let authorization = self.authorization.load_full();
        self.ask(authorization.as_deref(), key).await
    }

    async fn report(&self, token: &AccessToken) {
        let status = self.revoke(token).await;
        if matches!(status, Ok(200..300)) {
            return tokio::time::sleep(ITS_OWN_REQUEST).await;
        }
        let error = status.as_ref().err().map(tracing::field::display);
        let status = status.as_ref().ok();
        tracing::warn!(error, status, "the other token provider did not take the report of a refused token");
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::RETRY_AFTER;
    use zeroize::Zeroizing;

    use super::*;
    use crate::error::LoadErrorKind;
    use crate::token::Scope;

    fn answered(status: u16, retry_after: Option<&'static str>, body: &str) -> Result<Issued, TokenError> {
        let mut headers = HeaderMap::new();
        if let Some(value) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(value));
        }
        let body = Zeroizing::new(body.as_bytes().to_vec());
        read(&Exchange { status, headers, body }, SystemTime::UNIX_EPOCH)
    }

    fn with_bearer(config: RemoteIssuerConfig, bearer: &str) -> Result<RemoteIssuer, LoadError> {
        RemoteIssuer::new(RemoteIssuerConfig { bearer: Some(bearer.into()), ..config })
    }

    #[test]
    fn token_is_read_with_the_time_it_has_left() {
        let body = r#"{"access_token":"abc","token_type":"Bearer","expires_in":1234,"scope":"openid"}"#;
        let issued = answered(200, None, body).expect("is a token");
        assert_eq!(issued.expires_in(), Duration::from_secs(1234));
        assert!(issued.is_from_cache, "it may be of any age");
        assert_eq!(issued.scope.as_ref().map(Scope::as_str), Some("openid"));
    }

    #[test]
    fn key_in_use_is_told_from_others() {
        let config = RemoteIssuerConfig::new("http://localhost:3000/getToken").expect("is on this machine");
        assert!(
            !RemoteIssuer::new(config.clone()).expect("can be made").uses(&"planted-key".into()),
            "none is"
        );
        let issuer = with_bearer(config, "planted-key").expect("can be made");
        assert!(issuer.uses(&"planted-key".into()));
        for other in ["planted-kez", "planted-key2", "", "planted\nkey"] {
            assert!(!issuer.uses(&other.into()), "{other:?}");
        }
    }

    #[test]
    fn refusals_are_sorted_by_what_to_do() {
        let table = [
            (401, "invalid_token", TokenErrorKind::Rejected { status: 401, code: None }),
            (403, "access_denied", TokenErrorKind::Rejected { status: 403, code: None }),
            (400, "invalid_request", TokenErrorKind::Rejected { status: 400, code: None }),
            (429, "slow_down", TokenErrorKind::Throttled),
            (502, "issuer_rejected", TokenErrorKind::Rejected { status: 502, code: None }),
            (503, "temporarily_unavailable", TokenErrorKind::Unavailable { status: 503 }),
            (504, "issuer_timeout", TokenErrorKind::Unavailable { status: 504 }),
        ];
        for (status, code, kind) in table {
            let body = format!(r#"{{"error":"{code}","error_description":"planted-text"}}"#);
            let error = answered(status, Some("7"), &body).expect_err("is a refusal");
            assert_eq!(error.kind(), kind, "{status} {code}");
            assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
            assert!(!format!("{error} {error:?}").contains("planted"), "{error:?}");
        }
    }

    #[test]
    fn answer_of_something_else_names_the_url_and_not_here() {
        for (status, body) in [
            (200, "<html>planted</html>"),
            (200, r#"{"planted":1}"#),
            (204, ""),
            (301, ""),
            (302, "<html>planted</html>"),
            (403, "<html>planted</html>"),
            (404, "<html>planted</html>"),
            // Our own server's words for another path, and for `/oauth2/token`.
            (404, r#"{"error":"not_found"}"#),
            (405, r#"{"error":"method_not_allowed"}"#),
            (410, ""),
        ] {
            let error = answered(status, None, body).expect_err("is no token");
            assert_eq!(error.kind(), TokenErrorKind::InvalidAnswer { status: Some(status) }, "{body}");
            let text = error.to_string();
            assert!(text.contains("check the URL (remote), which must end in /getToken"), "{text}");
            assert!(!text.contains("HERE") && !text.contains("here.") && !text.contains("planted"), "{text}");
        }
        let error = answered(503, Some("7"), "<html>planted</html>").expect_err("is no token");
        assert_eq!(error.kind(), TokenErrorKind::Unavailable { status: 503 });
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
        assert!(!error.to_string().contains("here."), "{error}");
    }

    #[test]
    fn key_shorter_than_eight_characters_is_refused() {
        for key in ["", "x", "tp_1234"] {
            let config = RemoteIssuerConfig::new("https://tokens.example.com/getToken").expect("is a URL");
            let error = with_bearer(config, key).expect_err("is too short");
            assert_eq!(error.kind(), LoadErrorKind::Invalid, "{key:?}");
            assert!(error.to_string().contains("shorter than 8 characters"), "{error}");
        }
    }

    #[test]
    fn key_is_in_no_debug() {
        let config = RemoteIssuerConfig::new("https://tokens.example.com/getToken").expect("is a URL");
        let config = RemoteIssuerConfig { bearer: Some("tp_planted".into()), ..config };
        let shown = format!("{config:?} {:?}", RemoteIssuer::new(config.clone()));
        assert!(!shown.contains("planted"), "{shown}");
    }
}
