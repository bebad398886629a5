//! The account: its keys, nonces, faults and counts, and the decision on a token request.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::header;
use axum::http::request::Parts;
use jsonwebtoken::jwk::Jwk;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use crate::assertion;
use crate::base_url::BaseUrl;
use crate::clock;
use crate::config::SandboxConfig;
use crate::fault::{Applied, FaultControl};
use crate::grant::{self, TokenRequestBody};
use crate::nonce::NonceMemory;
use crate::oauth::Authorization;
use crate::percent;
use crate::problem::Refusal;
use crate::signature::{self, SignedRequest};
use crate::stats::Stats;
use crate::token::{APP_ID, Mint, TokenClaims, TokenRefusal};

/// How far a timestamp may lie from the sandbox's clock. An assumption: HERE refuses 30 minutes and does
/// not publish its window; 300 s is what comparable services use.
const TIMESTAMP_WINDOW: i64 = 300;

/// How much of a base string is kept: more than any honest one, and a bound for the others.
const MAX_BASE_STRING: usize = 4096;

/// An offline HERE account. Clones share everything.
#[derive(Clone)]
pub struct Sandbox(Arc<Account>);

struct Account {
    config: SandboxConfig,
    faults: FaultControl,
    mint: Mint,
    memory: Mutex<Memory>,
}

/// What requests and the owner change.
pub(crate) struct Memory {
    /// Secrets by access key id.
    keys: HashMap<String, SecretString>,
    public_keys: Vec<Jwk>,
    nonces: NonceMemory,
    assertions: NonceMemory,
    pub(crate) stats: Stats,
}

impl Sandbox {
    /// Opens an account.
    pub fn new(config: SandboxConfig) -> Self {
        let memory = Memory {
            keys: [(config.access_key_id.clone(), config.access_key_secret.clone())].into(),
            public_keys: Vec::new(),
            // A timestamp may lie as far ahead, and is then good for twice as long.
            nonces: NonceMemory::new(TIMESTAMP_WINDOW * 2),
            assertions: NonceMemory::new(assertion::KEPT_FOR),
            stats: Stats::default(),
        };
        let mint = Mint::new(&config.access_key_secret);
        let memory = Mutex::new(memory);
        Self(Arc::new(Account { config, faults: FaultControl::default(), mint, memory }))
    }

    /// Writes the credential file that HERE's portal would offer for download: user, client, the first access key and
    /// token endpoint. The text holds the secret.
    pub fn credentials_properties(&self, token_endpoint_url: &str) -> String {
        let SandboxConfig { access_key_id, access_key_secret, .. } = &self.0.config;
        format!(
            "here.user.id = HERE-5cb6f3a8-27a4-4b5c-9a35-0f9d2c1e7b60\nhere.client.id = {APP_ID}\n\
             here.access.key.id = {access_key_id}\nhere.access.key.secret = {}\n\
             here.token.endpoint.url = {token_endpoint_url}\n",
            access_key_secret.expose_secret(),
        )
    }

    /// Makes another access key valid, to rotate to.
    pub fn add_access_key(&self, id: impl Into<String>, secret: impl Into<SecretString>) {
        self.memory().keys.insert(id.into(), secret.into());
    }

    /// Makes an access key invalid; returns whether there was one with this id. Tokens that it got stay
    /// valid, as is assumed of HERE's, which documents nothing about it.
    pub fn remove_access_key(&self, id: &str) -> bool {
        self.memory().keys.remove(id).is_some()
    }

    /// Registers public keys with the app, from a JWK or a JWK Set: client assertions signed with their private halves are accepted.
    ///
    /// # Errors
    ///
    /// Says why they cannot be registered; then none is.
    pub fn register_jwks(&self, text: &str) -> serde_json::Result<()> {
        let keys = assertion::read_jwks(text)?;
        self.memory().public_keys.extend(keys);
        Ok(())
    }

    /// Forgets the public key of this name; returns whether there was one.
    pub fn remove_jwk(&self, key_id: &str) -> bool {
        let keys = &mut self.memory().public_keys;
        let before = keys.len();
        keys.retain(|key| key.common.key_id.as_deref() != Some(key_id));
        keys.len() < before
    }

    /// Verifies an access token: issued here, not changed, not expired.
    ///
    /// # Errors
    ///
    /// Says why the token is not accepted.
    pub fn verify_token(&self, token: &str) -> Result<TokenClaims, TokenRefusal> {
        self.verify_token_at(self.now(self.0.faults.take(None).skew), token)
    }

    /// Makes the account misbehave.
    pub fn faults(&self) -> &FaultControl {
        &self.0.faults
    }

    /// Returns what has been requested so far.
    pub fn stats(&self) -> Stats {
        self.memory().stats.clone()
    }

    pub(crate) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns epoch seconds on a clock that is off by `skew`.
    pub(crate) fn now(&self, skew: i64) -> i64 {
        let set = self.0.config.clock.as_ref().map(|clock| clock.load(Ordering::Relaxed));
        set.unwrap_or_else(clock::unix_seconds).saturating_add(skew)
    }

    pub(crate) fn verify_token_at(&self, now: i64, token: &str) -> Result<TokenClaims, TokenRefusal> {
        self.0.mint.verify_at(now, token)
    }

    /// Decides on a token request, and counts the outcome. Returns the answer's body.
    pub(crate) fn grant_token(
        &self,
        request: &Parts,
        body: &[u8],
        applied: &Applied,
    ) -> Result<Value, Refusal> {
        let result = self.authenticate(request, body, applied).and_then(|body| {
            let app = applied.find(|fault| fault.app.clone()).unwrap_or_default();
            let (lifetime, scope) = app.grant(body.grant()?)?;
            Ok(self.issue(lifetime, scope, &body, applied))
        });
        let stats = &mut self.memory().stats;
        match &result {
            Ok(_) => stats.tokens_issued += 1,
            Err(refusal) => *stats.refused.entry(refusal.code).or_default() += 1,
        }
        result
    }

    /// Establishes that the request comes from the holder of a key, is recent and was not seen before.
    fn authenticate(
        &self,
        request: &Parts,
        body: &[u8],
        applied: &Applied,
    ) -> Result<TokenRequestBody, Refusal> {
        let base_url = BaseUrl::from_headers(&request.headers).ok_or(Refusal::HOST_INVALID)?;
        let now = self.now(applied.skew);
        if request.headers.contains_key(header::AUTHORIZATION) {
            return self.check_signature(request, &base_url, body, now);
        }
        let body =
            TokenRequestBody::read(&request.headers, body).map_err(|_| Refusal::AUTHORIZATION_MISSING)?;
        let assertion = body.assertion().ok_or(Refusal::AUTHORIZATION_MISSING)?;
        let audience = format!("{base_url}{}", request.uri.path());
        let unskewed = self.now(0);
        let mut memory = self.memory();
        let (claims, key_id) = assertion::verify(assertion, &memory.public_keys, &audience, now)?;
        if !memory.assertions.consume_at(unskewed, APP_ID, 0, &claims.jti) {
            return Err(Refusal::ASSERTION_CONSUMED);
        }
        memory.stats.last_assertion_key_id = key_id;
        Ok(body)
    }

    /// The nonce comes last: only a request whose signature is right may use one up.
    fn check_signature(
        &self,
        request: &Parts,
        base_url: &BaseUrl,
        body: &[u8],
        now: i64,
    ) -> Result<TokenRequestBody, Refusal> {
        let header = Authorization::read(&request.headers)?;
        self.memory().stats.last_access_key_id = Some(header.consumer_key.clone());
        if header.signature_method != signature::METHOD {
            return Err(Refusal::SIGNATURE_METHOD);
        }
        if header.version != "1.0" {
            return Err(Refusal::VERSION);
        }
        let offset = header.timestamp.saturating_sub(now);
        if offset.saturating_abs() > TIMESTAMP_WINDOW {
            let hint = format!("the request's offset from the server's clock is {offset} s");
            return Err(Refusal::TIMESTAMP_OUTSIDE.with_hint(hint));
        }
        if header.consumer_key == APP_ID {
            return Err(Refusal::CLIENT_ID_AS_KEY_ID);
        }
        let body = TokenRequestBody::read(&request.headers, body)?;
        if body.assertion().is_some() {
            // RFC 6749 §2.3: one way in each request.
            return Err(
                Refusal::ASSERTION_MALFORMED.with_hint("the request has an Authorization header, too")
            );
        }
        let mismatch = |hint| Refusal::SIGNATURE_MISMATCH.with_hint(hint);
        let query = request.uri.query();
        let query_fields = percent::form_pairs(query.unwrap_or_default().as_bytes())
            .ok_or_else(|| mismatch("the query has a broken percent-escape"))?;
        let form = body.form.as_deref().unwrap_or_default();
        // RFC 5849 §3.5 lets OAuth parameters travel in one place only, here the header.
        if form.iter().chain(&query_fields).any(|(name, _)| name.starts_with(b"oauth_")) {
            let hint = "an oauth_ parameter is given outside the header as well";
            return Err(Refusal::HEADER_MALFORMED.with_hint(hint));
        }
        let secret = self.memory().keys.get(&header.consumer_key).cloned();
        let secret = secret.ok_or_else(|| mismatch("there is no such access key id"))?;
        let (method, path) = (request.method.as_str(), request.uri.path());
        let signed = SignedRequest { method, base_url, path, query, query_fields, form };
        let verified = signature::verify(&signed, &header, secret.expose_secret());
        let unskewed = self.now(0);
        let mut memory = self.memory();
        let signature_form = verified.map_err(|mut base_string| {
            // It is ASCII, so any place is good for a cut.
            base_string.truncate(MAX_BASE_STRING);
            memory.stats.last_mismatch = Some(base_string);
            mismatch("GET /sandbox/stats shows the base string that should have been signed: last_mismatch")
        })?;
        if !memory.nonces.consume_at(unskewed, &header.consumer_key, header.timestamp, &header.nonce) {
            return Err(Refusal::NONCE_CONSUMED);
        }
        memory.stats.last_signature_form = Some(signature_form);
        Ok(body)
    }

    fn issue(
        &self,
        usual_lifetime: u64,
        scope: Option<String>,
        body: &TokenRequestBody,
        applied: &Applied,
    ) -> Value {
        // HERE says one second less than the token lives: 3599 for 3600.
        let (lifetime, expires_in) = match applied.find(|fault| fault.lifetime_s).map(u64::from) {
            Some(lifetime) => (lifetime, lifetime),
            None => (usual_lifetime, usual_lifetime.saturating_sub(1)),
        };
        let age =
            if applied.faults.iter().any(|fault| fault.expired) { lifetime.saturating_add(1) } else { 0 };
        let issued_at = self.now(applied.skew).saturating_sub_unsigned(age);
        let expires_at = issued_at.saturating_add_unsigned(lifetime);
        let claims = TokenClaims { scope, issued_at, expires_at };
        json!({
            (body.name(grant::ACCESS_TOKEN)): self.0.mint.issue(&claims),
            (body.name(grant::TOKEN_TYPE)): "bearer",
            (body.name(grant::EXPIRES_IN)): expires_in,
            (body.name(grant::SCOPE)): claims.scope,
        })
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sandbox").field(&self.0.config).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let sandbox = Sandbox::new(SandboxConfig::new("key-id", "planted-secret"));
        let text = format!("{sandbox:?}");
        assert!(text.contains("key-id") && !text.contains("planted"), "{text}");
    }
}
