//! HERE's token endpoint: one signed request, and one more when only the clock was wrong.
//!
//! Every attempt is signed anew, with a nonce and timestamp of its own. Redirects are not followed: a signature is for
//! one URL.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER};
use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

use super::{Issue, IssueFuture, Issued, answer};
use crate::clock::{Clock, SystemClock};
use crate::credential::{Credential, is_loopback};
use crate::error::{Error, ErrorKind};
use crate::sign::{self, Parameters};
use crate::token::{Scope, TokenKey};

/// Token answers have about 1 KiB; more than this is something else.
const MAX_BODY: usize = 64 * 1024;
/// The end of every published token endpoint URL; `/timestamp` stands beside it.
const TOKEN_PATH: &str = "/oauth2/token";
const CORRELATION_ID: &str = "x-correlation-id";

/// What a [`HereIssuer`] is made from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HereIssuerConfig {
    /// The access key and its endpoint.
    pub credential: Credential,
    /// PEM certificates to trust beside the system's, for a proxy that breaks TLS open.
    pub extra_ca_pem: Option<Vec<u8>>,
    /// What tells the time.
    pub clock: Arc<dyn Clock>,
    /// How long a connection may take. Default: 3 s; within a region it takes milliseconds.
    pub connect_timeout: Duration,
    /// How long one request may take in all. Default: 10 s; HERE's own SDKs take 5 s (Java) and 60 s (C++).
    pub attempt_timeout: Duration,
}

impl HereIssuerConfig {
    /// Takes a credential; everything else is as most would have it.
    pub fn new(credential: Credential) -> Self {
        Self {
            credential,
            extra_ca_pem: None,
            clock: Arc::new(SystemClock),
            connect_timeout: Duration::from_secs(3),
            attempt_timeout: Duration::from_secs(10),
        }
    }
}

/// Gets tokens from HERE with OAuth 1.0a-signed requests.
///
/// Connections are kept open between requests; `HTTPS_PROXY` and `NO_PROXY` are honoured, except for an endpoint on a
/// loopback address.
pub struct HereIssuer {
    http: reqwest::Client,
    /// The same without a proxy, for an endpoint on this very machine.
    direct: reqwest::Client,
    credential: ArcSwap<Credential>,
    clock: Arc<dyn Clock>,
    /// The issuer's clock less ours, in seconds; learned from a refused timestamp.
    clock_offset: AtomicI64,
    connect_timeout: Duration,
    attempt_timeout: Duration,
}

/// RFC 6749 §4.4.2 in HERE's JSON spelling. A JSON body takes no part in the signature.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    grant_type: &'static str,
    expires_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
}

/// What `/timestamp` answers.
#[derive(Deserialize)]
struct Timestamp {
    timestamp: u64,
}

/// What one exchange brought, before it is known whether it is good.
struct Exchange {
    status: u16,
    headers: HeaderMap,
    body: Zeroizing<Vec<u8>>,
}

impl HereIssuer {
    /// Prepares the connection; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::CredentialInvalid`] when the extra CA file holds no certificate;
    /// [`ErrorKind::Unreachable`] when TLS cannot be set up at all.
    pub fn new(config: HereIssuerConfig) -> Result<Self, Error> {
        Ok(Self {
            http: client(&config)?.build().map_err(no_tls)?,
            direct: client(&config)?.no_proxy().build().map_err(no_tls)?,
            credential: ArcSwap::from_pointee(config.credential),
            clock: config.clock,
            clock_offset: AtomicI64::new(0),
            connect_timeout: config.connect_timeout,
            attempt_timeout: config.attempt_timeout,
        })
    }

    /// Returns the credential in use.
    pub fn credential(&self) -> Arc<Credential> {
        self.credential.load_full()
    }

    /// Returns by how many seconds HERE's clock was last seen to be ahead of ours (negative: behind); zero until HERE
    /// has refused a timestamp.
    pub fn clock_offset(&self) -> i64 {
        self.clock_offset.load(Ordering::Relaxed)
    }

    /// Tries a new credential with a real request, and uses it from then on if HERE accepts it.
    ///
    /// # Errors
    ///
    /// Why HERE did not accept it; the old credential then stays in use.
    pub async fn rotate(&self, credential: Credential, key: &TokenKey) -> Result<Issued, Error> {
        let issued = self.issue_with(&credential, key).await?;
        self.credential.store(Arc::new(credential));
        Ok(issued)
    }

    async fn issue_with(&self, credential: &Credential, key: &TokenKey) -> Result<Issued, Error> {
        let exchange = self.exchange(credential, key).await?;
        let result = exchange.read(self.wall_clock());
        if result
            .as_ref()
            .is_err_and(|error| error.kind() == ErrorKind::ClockSkew)
        {
            let Some(server_time) = self.server_time(credential, &exchange).await else {
                return result;
            };
            self.note_server_time(server_time);
            return self.exchange(credential, key).await?.read(self.wall_clock());
        }
        result
    }

    /// Sends one signed request and reads the answer to its end.
    async fn exchange(&self, credential: &Credential, key: &TokenKey) -> Result<Exchange, Error> {
        let url = credential.token_endpoint_url();
        let nonce = sign::nonce().map_err(|error| {
            Error::new(ErrorKind::Unreachable, "the operating system gave no randomness").with_source(error)
        })?;
        let parameters = Parameters {
            access_key_id: credential.access_key_id(),
            nonce: &nonce,
            timestamp: self.timestamp(),
        };
        let authorization =
            sign::authorization("POST", url, &[], &parameters, credential.access_key_secret());
        let body = Request {
            grant_type: "client_credentials",
            expires_in: key.lifetime().as_secs(),
            scope: key.scope().or_else(|| credential.scope()).map(Scope::as_str),
        };
        let body = serde_json::to_vec(&body).map_err(|error| {
            Error::new(ErrorKind::InvalidRequest, "the request has no JSON form").with_source(error)
        })?;
        let request = self
            .http(url)
            .post(url.clone())
            .header(AUTHORIZATION, authorization)
            .header(CONTENT_TYPE, "application/json")
            // HERE logs and returns it: the thread that joins our log to HERE's support.
            .header(CORRELATION_ID, &nonce)
            .body(body);
        let exchange = self.receive(request).await;
        match &exchange {
            Ok(exchange) => {
                tracing::debug!(correlation_id = %exchange.correlation_id(&nonce), status = exchange.status, "HERE answered");
            }
            Err(error) => tracing::debug!(correlation_id = %nonce, %error, "HERE did not answer"),
        }
        exchange
    }

    /// Sends a request and reads the answer to its end.
    async fn receive(&self, request: reqwest::RequestBuilder) -> Result<Exchange, Error> {
        let mut response = request.send().await.map_err(|error| self.network_error(error))?;
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        // Room for all that is read, so that growing leaves no copy of a token behind.
        let mut body = Zeroizing::new(Vec::with_capacity(MAX_BODY));
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| self.network_error(error))?
        {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(Error::new(
                    ErrorKind::InvalidAnswer { status },
                    "the answer is larger than 64 KiB, so it is no token; check here.token.endpoint.url",
                ));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Exchange {
            status,
            headers,
            body,
        })
    }

    fn network_error(&self, error: reqwest::Error) -> Error {
        // The URL is left out: an endpoint of one's own may carry a key in its query.
        let error = error.without_url();
        let (kind, message) = if error.is_timeout() && error.is_connect() {
            let limit = self.connect_timeout.as_secs_f64();
            let message = format!(
                "no connection to the token endpoint within {limit} s; check the network and HTTPS_PROXY"
            );
            (ErrorKind::TimedOut, message.into())
        } else if error.is_timeout() {
            let limit = self.attempt_timeout.as_secs_f64();
            (
                ErrorKind::TimedOut,
                format!("no answer from the token endpoint within {limit} s").into(),
            )
        } else if error.is_connect() {
            let message = "no connection to the token endpoint; check here.token.endpoint.url, the network and HTTPS_PROXY";
            (ErrorKind::Unreachable, Cow::from(message))
        } else {
            (
                ErrorKind::Unreachable,
                "the connection to the token endpoint broke off".into(),
            )
        };
        Error::new(kind, message).with_source(error)
    }

    fn http(&self, url: &Url) -> &reqwest::Client {
        if is_loopback(url) {
            &self.direct
        } else {
            &self.http
        }
    }

    /// The time by the issuer's clock: the `Date` of its refusal, else what `/timestamp` says.
    async fn server_time(&self, credential: &Credential, refusal: &Exchange) -> Option<SystemTime> {
        if let Some(date) = refusal.date() {
            return Some(date);
        }
        let mut url: Url = credential.token_endpoint_url().clone();
        let path = format!("{}/timestamp", url.path().strip_suffix(TOKEN_PATH)?);
        url.set_path(&path);
        url.set_query(None);
        let exchange = self.receive(self.http(&url).get(url)).await.ok()?;
        if !(200..=299).contains(&exchange.status) {
            return None;
        }
        let timestamp: Timestamp = serde_json::from_slice(&exchange.body).ok()?;
        UNIX_EPOCH.checked_add(Duration::from_secs(timestamp.timestamp))
    }

    fn note_server_time(&self, server_time: SystemTime) {
        let server = server_time
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let offset = server
            .cast_signed()
            .saturating_sub(self.clock.now().wall.as_secs().cast_signed());
        self.clock_offset.store(offset, Ordering::Relaxed);
        tracing::warn!(
            clock.offset_seconds = offset,
            "this machine's clock differs from HERE's; signing with HERE's time from now on"
        );
    }

    /// Seconds since the epoch, by the issuer's clock as far as it is known.
    fn timestamp(&self) -> u64 {
        self.clock
            .now()
            .wall
            .as_secs()
            .saturating_add_signed(self.clock_offset())
    }

    fn wall_clock(&self) -> SystemTime {
        self.clock.now().system_time()
    }
}

/// Sets up all that the two clients have in common.
fn client(config: &HereIssuerConfig) -> Result<reqwest::ClientBuilder, Error> {
    let builder = reqwest::Client::builder()
        .connect_timeout(config.connect_timeout)
        .timeout(config.attempt_timeout)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("token-provider/", env!("CARGO_PKG_VERSION")));
    let Some(pem) = &config.extra_ca_pem else {
        return Ok(builder);
    };
    match reqwest::Certificate::from_pem_bundle(pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(builder.tls_certs_merge(certificates)),
        _ => Err(Error::new(
            ErrorKind::CredentialInvalid,
            "the extra CA file holds no PEM certificate",
        )),
    }
}

fn no_tls(error: reqwest::Error) -> Error {
    Error::new(
        ErrorKind::Unreachable,
        "TLS could not be set up; are the system's CA certificates installed?",
    )
    .with_source(error)
}

impl Issue for HereIssuer {
    fn issue<'a>(&'a self, key: &'a TokenKey) -> IssueFuture<'a> {
        Box::pin(async move {
            let credential = self.credential();
            self.issue_with(&credential, key).await
        })
    }
}

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
impl HereIssuer {
    /// Reads an answer as if the network had brought it, and shows the token in it.
    pub fn read_answer(
        status: u16,
        headers: HeaderMap,
        body: &[u8],
        now: SystemTime,
    ) -> Result<(String, Issued), Error> {
        let body = Zeroizing::new(body.to_vec());
        let issued = Exchange {
            status,
            headers,
            body,
        }
        .read(now)?;
        Ok((issued.access_token.to_string(), issued))
    }
}

impl fmt::Debug for HereIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HereIssuer")
            .field("credential", &self.credential.load())
            .field("clock_offset", &self.clock_offset())
            .finish_non_exhaustive()
    }
}

impl Exchange {
    fn read(&self, now: SystemTime) -> Result<Issued, Error> {
        answer::read(self.status, self.retry_after(now), &self.body)
    }

    fn date(&self) -> Option<SystemTime> {
        httpdate::parse_http_date(self.headers.get(DATE)?.to_str().ok()?).ok()
    }

    /// RFC 9110 §10.2.3: seconds, or a date, which is taken against the answer's own `Date` where it has one.
    fn retry_after(&self, now: SystemTime) -> Option<Duration> {
        let value = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        if value.bytes().all(|byte| byte.is_ascii_digit()) {
            // A number that does not fit is a long time all the same.
            return (!value.is_empty()).then(|| Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
        }
        let until = httpdate::parse_http_date(value).ok()?;
        Some(
            until
                .duration_since(self.date().unwrap_or(now))
                .unwrap_or_default(),
        )
    }

    fn correlation_id<'a>(&'a self, sent: &'a str) -> &'a str {
        self.headers
            .get(CORRELATION_ID)
            .and_then(|id| id.to_str().ok())
            .unwrap_or(sent)
    }
}
