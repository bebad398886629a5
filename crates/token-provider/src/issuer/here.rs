//! HERE's token endpoint: one signed request, and one more when only the clock was wrong.
//!
//! Every attempt is signed again, with its own nonce (or assertion) and timestamp. Redirects are not followed: a signature
//! is for one URL.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use serde_json::{Value, json};
use url::Url;

use super::answer;
use super::assertion::{ASSERTION_TYPE, assertion};
use super::http::{Exchange, Http, Network};
use super::{Issue, Issued};
use crate::clock::{Clock, SystemClock};
use crate::credential::{Credential, Key};
use crate::error::{LoadError, TokenError, TokenErrorKind};
use crate::sign::{self, Parameters};
use crate::token::{Scope, TokenKey};

/// The end of every published token endpoint URL; `/timestamp` stands beside it.
const TOKEN_PATH: &str = "/oauth2/token";
/// `Date` has whole seconds, and an answer takes its time: clocks that differ by so many seconds may be the same.
const SAME_CLOCK: i64 = 2;
const CLIENT_CREDENTIALS: &str = "client_credentials";
const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
/// A longer one is not HERE's.
const MAX_CORRELATION_ID: usize = 128;

/// What a [`HereIssuer`] is made from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HereIssuerConfig {
    /// The access key or private key, and its endpoint.
    pub credential: Credential,
    /// The network settings.
    pub network: Network,
    /// The clock that requests are signed by. A provider has its own:
    /// [`TokenProviderBuilder::clock`](crate::TokenProviderBuilder::clock).
    pub clock: Arc<dyn Clock>,
}

impl HereIssuerConfig {
    /// Creates a configuration with defaults: 3 s to connect, 10 s per request.
    pub fn new(credential: Credential) -> Self {
        Self { credential, network: Network::new(Duration::from_secs(10)), clock: Arc::new(SystemClock) }
    }
}

/// Gets tokens from HERE with signed requests (OAuth 1.0a, RFC 5849, with HMAC-SHA256; the body is JSON, as in HERE's
/// SDKs), or with assertions if the credential is a private key (RFC 7523, `private_key_jwt`; a form, as in HERE's Java
/// SDK).
///
/// Where HERE refuses the timestamp (401204, 401933), it learns HERE's time from `Date`, or from `/timestamp` beside
/// the token endpoint, and makes one more request. Redirects are not followed. Connections are kept open between
/// requests; `HTTPS_PROXY` and `NO_PROXY` are honoured, except for an endpoint on a loopback address.
#[derive(Debug)]
pub struct HereIssuer {
    http: Http,
    in_use: ArcSwap<Signer>,
    clock: Arc<dyn Clock>,
}

/// What requests are signed with. A new credential brings its own offset: what its token endpoint says about time
/// must not change how the old one signs while it is only tried.
#[derive(Debug)]
struct Signer {
    credential: Arc<Credential>,
    /// The issuer's clock less ours, in seconds, as requests are signed: learned from a refused timestamp.
    clock_offset: AtomicI64,
    /// The same by the `Date` of the last answer, to be shown: a gateway that answers may have a clock of its own.
    seen_offset: AtomicI64,
}

impl HereIssuer {
    /// Prepares the connection; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`LoadErrorKind::Invalid`](crate::LoadErrorKind::Invalid) when the extra CA file holds no certificate;
    /// [`LoadErrorKind::Tls`](crate::LoadErrorKind::Tls) when TLS cannot be set up at all.
    pub fn new(config: HereIssuerConfig) -> Result<Self, LoadError> {
        let url = config.credential.token_endpoint_url();
        Ok(Self {
            http: Http::new(config.network, "here.token.endpoint.url", url)?,
            in_use: ArcSwap::from_pointee(Signer::new(config.credential, 0)),
            clock: config.clock,
        })
    }

    /// Returns the credential in use.
    pub fn credential(&self) -> Arc<Credential> {
        Arc::clone(&self.in_use.load().credential)
    }

    /// Returns by how many seconds HERE's clock was last seen to be ahead of ours (negative: behind), by the `Date` of
    /// its answers; zero until it has answered, and where the two differ by no more than 2 s.
    pub fn clock_offset(&self) -> i64 {
        self.in_use.load().seen_offset.load(Ordering::Relaxed)
    }

    /// Tries a new credential with a real request for a token of this kind, and uses it from then on if HERE accepts
    /// it.
    ///
    /// # Errors
    ///
    /// Returns an error if HERE did not accept it; the old credential then stays in use.
    pub async fn rotate(&self, credential: Credential, key: &TokenKey) -> Result<Issued, TokenError> {
        let signer = Signer::new(credential, self.in_use.load().clock_offset());
        let issued = self.issue_with(&signer, key).await?;
        self.in_use.store(Arc::new(signer));
        Ok(issued)
    }

    async fn issue_with(&self, signer: &Signer, key: &TokenKey) -> Result<Issued, TokenError> {
        let credential = &*signer.credential;
        let exchange = self.exchange(signer, key).await?;
        let result = self.read(&exchange, credential);
        if !result.as_ref().is_err_and(|error| error.kind() == TokenErrorKind::ClockSkew) {
            return result;
        }
        let Some(server_time) = self.server_time(credential, &exchange).await else { return result };
        signer.note_server_time(server_time, self.clock.now().wall);
        self.read(&self.exchange(signer, key).await?, credential)
    }

    /// Sends one signed request and reads the answer to its end.
    async fn exchange(&self, signer: &Signer, key: &TokenKey) -> Result<Exchange, TokenError> {
        let credential = &*signer.credential;
        let url = credential.token_endpoint_url();
        // HERE logs and returns it: the thread that joins our log to HERE's support.
        let nonce = sign::nonce().map_err(|error| {
            TokenError::new(TokenErrorKind::Unreachable, "the operating system provided no random data")
                .with_source(error)
        })?;
        let request = self.http.client(url)?.post(url.clone()).header(CORRELATION_ID, &nonce);
        let scope = key.scope().or_else(|| credential.scope()).map(Scope::as_str);
        let expires_in = key.lifetime().as_secs();
        // By the issuer's clock as far as it is known.
        let timestamp = self.clock.now().wall.as_secs().saturating_add_signed(signer.clock_offset());
        let request = match &credential.key {
            Key::Access { id, secret } => {
                let parameters = Parameters { access_key_id: id, nonce: &nonce, timestamp };
                let authorization = sign::authorization("POST", url, &[], &parameters, secret);
                // RFC 6749 §4.4.2 in HERE's spelling. A JSON body takes no part in the signature.
                let body = match scope {
                    Some(scope) => {
                        json!({ "grantType": CLIENT_CREDENTIALS, "expiresIn": expires_in, "scope": scope })
                    }
                    None => json!({ "grantType": CLIENT_CREDENTIALS, "expiresIn": expires_in }),
                };
                let request = request.header(AUTHORIZATION, authorization);
                request.header(CONTENT_TYPE, "application/json").body(body.to_string())
            }
            Key::Private { client_id, key } => {
                let assertion = assertion(client_id, url, &nonce, timestamp, key)?;
                let body = assertion_form(&assertion, expires_in, scope);
                request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body)
            }
        };
        let mut exchange = self.http.receive(request).await.map_err(|error| {
            tracing::debug!(correlation_id = %nonce, %error, "HERE did not answer");
            error.with_correlation_id(Some(&nonce))
        })?;
        if let Some(date) = exchange.date() {
            signer.see(date, self.clock.now().wall);
        }
        if correlation_id(&exchange).is_none() {
            let nonce = HeaderValue::from_str(&nonce).expect("it is alphanumeric");
            exchange.headers.insert(CORRELATION_ID, nonce);
        }
        let id = correlation_id(&exchange);
        tracing::debug!(correlation_id = id, status = exchange.status, "HERE answered");
        Ok(exchange)
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
        let request = self.http.client(&url).ok()?.get(url);
        let exchange = self.http.receive(request).await.ok()?;
        if !(200..=299).contains(&exchange.status) {
            return None;
        }
        let answer: Value = serde_json::from_slice(&exchange.body).ok()?;
        UNIX_EPOCH.checked_add(Duration::from_secs(answer.get("timestamp")?.as_u64()?))
    }

    fn read(&self, exchange: &Exchange, credential: &Credential) -> Result<Issued, TokenError> {
        let result = answer::read(exchange, self.clock.now().system_time(), credential);
        result.map_err(|error| error.with_correlation_id(correlation_id(exchange)))
    }
}

impl Signer {
    fn new(credential: Credential, clock_offset: i64) -> Self {
        Self {
            credential: Arc::new(credential),
            clock_offset: AtomicI64::new(clock_offset),
            seen_offset: AtomicI64::new(clock_offset),
        }
    }

    fn clock_offset(&self) -> i64 {
        self.clock_offset.load(Ordering::Relaxed)
    }

    /// Notes how far the issuer's clock is ahead, and returns it.
    fn see(&self, server_time: SystemTime, ours: Duration) -> i64 {
        let server = server_time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let offset = server.cast_signed().saturating_sub(ours.as_secs().cast_signed());
        let offset = if offset.abs() <= SAME_CLOCK { 0 } else { offset };
        self.seen_offset.store(offset, Ordering::Relaxed);
        offset
    }

    /// Makes requests be signed with the issuer's time.
    fn note_server_time(&self, server_time: SystemTime, ours: Duration) {
        let offset = self.see(server_time, ours);
        self.clock_offset.store(offset, Ordering::Relaxed);
        tracing::warn!(
            clock.offset_seconds = offset,
            "this machine's clock differs from HERE's; signing with HERE's time from now on"
        );
    }
}

impl Issue for HereIssuer {
    async fn issue(&self, key: &TokenKey) -> Result<Issued, TokenError> {
        let signer = self.in_use.load_full();
        self.issue_with(&signer, key).await
    }
}

/// Writes the body of a request with an assertion, as RFC 7523 §2.2 has it. HERE documents JSON, too; a form is what
/// the one SDK of HERE's sends that has assertions (Java), so it is what HERE itself tests.
fn assertion_form(assertion: &str, expires_in: u64, scope: Option<&str>) -> String {
    let fields = [
        ("grant_type", CLIENT_CREDENTIALS),
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", assertion),
        ("expires_in", &expires_in.to_string()),
    ];
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(fields).extend_pairs(scope.map(|scope| ("scope", scope))).finish()
}

/// Returns the id under which HERE finds the request, if it is fit to be shown.
fn correlation_id(exchange: &Exchange) -> Option<&str> {
    let is_fit = |id: &&str| {
        (1..=MAX_CORRELATION_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
    };
    exchange.header(&CORRELATION_ID).filter(is_fit)
}

#[cfg(any(test, fuzzing))]
mod fuzzing {
    use secrecy::ExposeSecret as _;
    use zeroize::Zeroizing;

    use super::*;

    #[doc(hidden)]
    impl HereIssuer {
        /// Reads an answer as if the network had brought it, and shows the token in it.
        pub fn read_answer(
            status: u16,
            headers: reqwest::header::HeaderMap,
            body: &[u8],
            now: SystemTime,
        ) -> Result<(String, Issued), TokenError> {
            let body = Zeroizing::new(body.to_vec());
            let credential = Credential::new("an-id", "a-secret".into()).expect("is well-formed");
            let issued = answer::read(&Exchange { status, headers, body }, now, &credential)?;
            Ok((issued.access_token.expose_secret().to_owned(), issued))
        }
    }
}
