//! The account itself: its keys, its memory, its clock, and the decision on a token request.

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::TcpListener;

use crate::access_key::{self, AccessKeyError, AccessKeys};
use crate::base_url::BaseUrl;
use crate::clock::Clock;
use crate::config::SandboxConfig;
use crate::fault::{Applied, FaultControl};
use crate::grant::{Grant, TokenRequestBody};
use crate::nonce::NonceMemory;
use crate::oauth::{Authorization, Malformed};
use crate::problem::Refusal;
use crate::random;
use crate::signature::{self, Mismatch, SignatureForm, SignedRequest};
use crate::stats::Stats;
use crate::token::{Mint, TokenClaims, TokenRefusal};

/// An offline HERE account. Clones share everything.
#[derive(Clone)]
pub struct Sandbox {
    inner: Arc<Inner>,
}

struct Inner {
    app_id: String,
    keys: AccessKeys,
    allowed_scopes: Option<Vec<String>>,
    window_seconds: i64,
    default_lifetime: i64,
    max_lifetime: i64,
    public_base_url: Option<BaseUrl>,
    clock: Clock,
    mint: Mint,
    nonces: Mutex<NonceMemory>,
    faults: FaultControl,
    stats: Mutex<Stats>,
}

/// A token request that was granted.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) token: String,
    pub(crate) expires_in: i64,
    pub(crate) scope: Option<String>,
    /// Whether the request, and so the answer, spells its fields in camel case.
    pub(crate) camel_case: bool,
}

impl Sandbox {
    /// Opens an account.
    pub fn new(config: SandboxConfig) -> Self {
        let max_lifetime = whole_seconds(config.max_lifetime);
        let window_seconds = whole_seconds(config.timestamp_window);
        let inner = Inner {
            mint: Mint::new(&config.access_key_secret),
            keys: AccessKeys::new(config.access_key_id, config.access_key_secret),
            app_id: config.app_id,
            allowed_scopes: config.allowed_scopes,
            window_seconds,
            default_lifetime: whole_seconds(config.default_lifetime).min(max_lifetime),
            max_lifetime,
            public_base_url: config.public_base_url,
            clock: config.clock,
            nonces: Mutex::new(NonceMemory::new(window_seconds)),
            faults: FaultControl::default(),
            stats: Mutex::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Returns the whole HTTP face, to be served by other means than [`serve`](Self::serve).
    ///
    /// Two things need what only `serve` knows of a connection. The control endpoint answers only where it finds the peer's address, as
    /// `into_make_service_with_connect_info::<SocketAddr>` provides it. And a hang-up before or within the header becomes a broken body.
    pub fn router(&self) -> axum::Router {
        crate::http::router(self)
    }

    /// Serves the account over plain HTTP/1.1 until `shutdown` ends, then lets running requests finish for up to five seconds. Dropping
    /// the future closes every connection at once.
    ///
    /// # Errors
    ///
    /// Returns an error if the listener is not usable.
    pub async fn serve(&self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        crate::serve::serve(self.router(), listener, shutdown).await
    }

    /// Writes the credential file that HERE's portal would offer for download: user, client, access key and token endpoint.
    ///
    /// The access key is the oldest one that is not removed. The text holds the secret.
    pub fn credentials_properties(&self, token_endpoint_url: &str) -> String {
        let app_id = &self.inner.app_id;
        let hash = digest::digest(
            &digest::SHA256,
            format!("here-sandbox user id\n{app_id}").as_bytes(),
        );
        let user_id = random::format_uuid(hash.as_ref().first_chunk().copied().unwrap_or_default());
        format!(
            "here.user.id = HERE-{user_id}\nhere.client.id = {}\n{}here.token.endpoint.url = {}\n",
            access_key::escape_property(app_id),
            self.inner.keys.properties_lines(),
            access_key::escape_property(token_endpoint_url)
        )
    }

    /// Makes a second access key valid, to rotate to.
    ///
    /// # Errors
    ///
    /// Returns an error if there are two keys already, HERE's limit, or one with this id.
    pub fn add_access_key(
        &self,
        id: impl Into<String>,
        secret: impl Into<SecretString>,
    ) -> Result<(), AccessKeyError> {
        self.inner.keys.add(id.into(), secret.into())
    }

    /// Makes an access key invalid; returns whether there was one with this id. Tokens that it got stay valid, as at HERE.
    pub fn remove_access_key(&self, id: &str) -> bool {
        self.inner.keys.remove(id)
    }

    /// Verifies an access token: issued here, not changed, not expired.
    ///
    /// # Errors
    ///
    /// Says why the token is not accepted.
    pub fn verify_token(&self, token: &str) -> Result<TokenClaims, TokenRefusal> {
        self.inner
            .mint
            .verify_at(self.now(self.inner.faults.skew()), token)
    }

    /// Makes the account misbehave.
    pub fn faults(&self) -> &FaultControl {
        &self.inner.faults
    }

    /// Tells what has been asked so far.
    pub fn stats(&self) -> Stats {
        self.stats_mut().clone()
    }

    /// The app's id, as in tokens and in `here.client.id`.
    pub fn app_id(&self) -> &str {
        &self.inner.app_id
    }

    pub(crate) fn stats_mut(&self) -> MutexGuard<'_, Stats> {
        self.inner.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Epoch seconds on a clock that is off by `skew`.
    pub(crate) fn now(&self, skew: i64) -> i64 {
        self.inner.clock.unix_seconds().saturating_add(skew)
    }

    pub(crate) fn verify_token_at(&self, now: i64, token: &str) -> Result<TokenClaims, TokenRefusal> {
        self.inner.mint.verify_at(now, token)
    }

    /// Decides on a token request, and notes the outcome.
    pub(crate) fn grant_token(
        &self,
        request: &Parts,
        body: Bytes,
        applied: &Applied,
    ) -> Result<Granted, Refusal> {
        let result = self.authenticate(request, body, applied).and_then(|body| {
            let grant = body.grant(self.inner.allowed_scopes.as_deref())?;
            Ok(self.issue(grant, matches!(body, TokenRequestBody::Json(_)), applied))
        });
        let mut stats = self.stats_mut();
        match &result {
            Ok(_) => stats.tokens_issued += 1,
            Err(refusal) => *stats.refused.entry(refusal.code.unwrap_or_default()).or_default() += 1,
        }
        result
    }

    /// Establishes that the request comes from the holder of an access key, is recent and was not seen before.
    ///
    /// The nonce comes last: only a request whose signature is right may use one up.
    fn authenticate(
        &self,
        request: &Parts,
        body: Bytes,
        applied: &Applied,
    ) -> Result<TokenRequestBody, Refusal> {
        let base_url = self.base_url(&request.headers)?;
        let header = read_authorization(&request.headers)?;
        self.stats_mut().last_access_key_id = Some(header.consumer_key.clone());
        if header.signature_method != signature::METHOD {
            return Err(Refusal::signature_method_unsupported());
        }
        if header.version != "1.0" {
            return Err(Refusal::version_unsupported());
        }
        let offset = header.timestamp.saturating_sub(self.now(applied.skew));
        if offset.saturating_abs() > self.inner.window_seconds {
            return Err(Refusal::timestamp_outside(offset));
        }
        if header.consumer_key == self.inner.app_id {
            return Err(Refusal::client_id_as_key_id());
        }
        let body = TokenRequestBody::read(&request.headers, body)?;
        let signed = SignedRequest {
            method: request.method.as_str(),
            base_url: &base_url,
            path: request.uri.path(),
            query: request.uri.query(),
            form: body.signed_fields(),
        };
        let form = self.verify_signature(&signed, &header)?;
        let mut nonces = self.inner.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        if !nonces.consume_at(self.now(0), &header.consumer_key, header.timestamp, &header.nonce) {
            return Err(Refusal::nonce_consumed());
        }
        self.stats_mut().last_signature_form = Some(form);
        Ok(body)
    }

    fn verify_signature(
        &self,
        request: &SignedRequest<'_>,
        header: &Authorization,
    ) -> Result<SignatureForm, Refusal> {
        if repeats_oauth_parameter(request) {
            return Err(Refusal::header_malformed(
                "an oauth_ parameter is given outside the header as well".into(),
            ));
        }
        let secret = self.inner.keys.secret(&header.consumer_key);
        let secret = secret.ok_or_else(|| Refusal::signature_mismatch("there is no such access key id"))?;
        signature::verify(request, header, secret.expose_secret()).map_err(|mismatch| match mismatch {
            Mismatch::Signature { base_string } => {
                tracing::debug!(base_string, "signature mismatch");
                self.stats_mut().note_mismatch(base_string);
                Refusal::signature_mismatch(
                    "GET /sandbox/stats shows the base string that should have been signed: last_mismatch",
                )
            }
            Mismatch::Query => Refusal::signature_mismatch("the query has a broken percent-escape"),
        })
    }

    fn base_url(&self, headers: &HeaderMap) -> Result<BaseUrl, Refusal> {
        if let Some(public) = &self.inner.public_base_url {
            return Ok(public.clone());
        }
        let mut hosts = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return Err(Refusal::host_invalid());
        };
        host.to_str()
            .ok()
            .and_then(BaseUrl::from_host_header)
            .ok_or_else(Refusal::host_invalid)
    }

    fn issue(&self, grant: Grant, camel_case: bool, applied: &Applied) -> Granted {
        let fault = &applied.fault;
        let asked = grant.lifetime.map_or(self.inner.default_lifetime, |seconds| {
            i64::try_from(seconds).unwrap_or(i64::MAX)
        });
        let usual = asked.min(self.inner.max_lifetime);
        // HERE says one second less than the token lives: 3599 for 3600.
        let (lifetime, expires_in) = match fault.lifetime_s.map(i64::from) {
            Some(lifetime) => (lifetime, lifetime),
            None => (usual, usual.saturating_sub(1)),
        };
        let age = if fault.expired {
            lifetime.saturating_add(1)
        } else {
            0
        };
        let issued_at = self.now(applied.skew).saturating_sub(age);
        let claims = TokenClaims {
            app_id: self.inner.app_id.clone(),
            scope: grant.scope.clone(),
            issued_at,
            expires_at: issued_at.saturating_add(lifetime),
        };
        Granted {
            token: self.inner.mint.issue(&claims),
            expires_in,
            scope: grant.scope,
            camel_case,
        }
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox")
            .field("app_id", &self.inner.app_id)
            .field("keys", &self.inner.keys)
            .finish_non_exhaustive()
    }
}

fn read_authorization(headers: &HeaderMap) -> Result<Authorization, Refusal> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or_else(Refusal::authorization_missing)?;
    if values.next().is_some() {
        return Err(Refusal::header_malformed(
            "there is more than one Authorization header".into(),
        ));
    }
    let text = value
        .to_str()
        .map_err(|_| Refusal::header_malformed("the header is not ASCII".into()))?;
    Authorization::parse(text).map_err(|Malformed(why)| Refusal::header_malformed(why))
}

/// RFC 5849 §3.5 lets OAuth parameters travel in one place only, here the header.
fn repeats_oauth_parameter(request: &SignedRequest<'_>) -> bool {
    let query = crate::percent::form_pairs(request.query.unwrap_or_default().as_bytes()).unwrap_or_default();
    request
        .form
        .iter()
        .chain(&query)
        .any(|(name, _)| name.starts_with(b"oauth_"))
}

fn whole_seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credential_file_is_laid_out_like_the_portals() {
        let sandbox = Sandbox::new(SandboxConfig::new("key-id", "planted-secret"));
        let url = "http://127.0.0.1:8080/oauth2/token";
        let text = sandbox.credentials_properties(url);
        let keys: Vec<_> = text.lines().map(|line| line.split_once(" = ").unwrap()).collect();
        let names: Vec<_> = keys.iter().map(|(name, _)| *name).collect();
        assert_eq!(
            names,
            [
                "here.user.id",
                "here.client.id",
                "here.access.key.id",
                "here.access.key.secret",
                "here.token.endpoint.url"
            ]
        );
        assert_eq!(keys[1].1, sandbox.app_id());
        assert_eq!(
            (keys[2].1, keys[3].1, keys[4].1),
            ("key-id", "planted-secret", url)
        );
        assert_eq!(text, sandbox.credentials_properties(url));
    }

    #[test]
    fn debug_shows_no_secret() {
        let sandbox = Sandbox::new(SandboxConfig::new("key-id", "planted-secret"));
        let text = format!("{sandbox:?}");
        assert!(text.contains("key-id") && !text.contains("planted"), "{text}");
    }
}
