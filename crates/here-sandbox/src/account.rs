//! The account: its keys, nonces, faults and counts, and the decision on a token request.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use jsonwebtoken::jwk::Jwk;
use secrecy::{ExposeSecret as _, SecretString};

use crate::assertion;
use crate::base_url::BaseUrl;
use crate::config::SandboxConfig;
use crate::fault::{Applied, FaultControl};
use crate::grant::{Grant, Spelling, TokenRequestBody};
use crate::nonce::NonceMemory;
use crate::oauth::{Authorization, Malformed};
use crate::percent;
use crate::problem::Refusal;
use crate::signature::{self, Mismatch, SignatureForm, SignedRequest};
use crate::stats::Stats;
use crate::token::{APP_ID, Mint, TokenClaims, TokenRefusal};

/// How far a timestamp may lie from the sandbox's clock. An assumption: HERE refuses 30 minutes and does
/// not publish its window; 300 s is what comparable services use.
const TIMESTAMP_WINDOW: i64 = 300;

/// The lifetime of a token when none is requested, and the longest one, as HERE documents them.
const DAY: i64 = 86_400;

/// What all requests share.
pub(crate) struct Account {
    pub(crate) config: SandboxConfig,
    keys: Mutex<HashMap<String, SecretString>>,
    public_keys: Mutex<Vec<Jwk>>,
    pub(crate) faults: FaultControl,
    mint: Mint,
    nonces: Mutex<NonceMemory>,
    assertions: Mutex<NonceMemory>,
    stats: Mutex<Stats>,
}

/// A token request that was granted.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) token: String,
    pub(crate) expires_in: i64,
    pub(crate) scope: Option<String>,
    /// As the request spells its fields.
    pub(crate) spelling: &'static Spelling,
}

impl Account {
    pub(crate) fn new(config: SandboxConfig) -> Self {
        Self {
            keys: Mutex::new([(config.access_key_id.clone(), config.access_key_secret.clone())].into()),
            faults: FaultControl::default(),
            mint: Mint::new(&config.access_key_secret),
            public_keys: Mutex::default(),
            // A timestamp may lie as far ahead, and is then good for twice as long.
            nonces: Mutex::new(NonceMemory::new(TIMESTAMP_WINDOW * 2)),
            assertions: Mutex::new(NonceMemory::new(assertion::KEPT_FOR)),
            stats: Mutex::default(),
            config,
        }
    }

    /// Returns the valid access keys: secrets by id.
    pub(crate) fn keys(&self) -> MutexGuard<'_, HashMap<String, SecretString>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the registered public keys.
    pub(crate) fn public_keys(&self) -> MutexGuard<'_, Vec<Jwk>> {
        self.public_keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stats(&self) -> MutexGuard<'_, Stats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns epoch seconds on a clock that is off by `skew`.
    pub(crate) fn now(&self, skew: i64) -> i64 {
        self.config.clock.unix_seconds().saturating_add(skew)
    }

    pub(crate) fn verify_token_at(&self, now: i64, token: &str) -> Result<TokenClaims, TokenRefusal> {
        self.mint.verify_at(now, token)
    }

    /// Decides on a token request, and counts the outcome.
    pub(crate) fn grant_token(
        &self,
        request: &Parts,
        body: Bytes,
        applied: &Applied,
    ) -> Result<Granted, Refusal> {
        let result = self.authenticate(request, body, applied).and_then(|body| {
            let app = applied.fault.app.clone().unwrap_or_default();
            Ok(self.issue(app.grant(body.grant()?)?, body.spelling(), applied))
        });
        let mut stats = self.stats();
        match &result {
            Ok(_) => stats.tokens_issued += 1,
            Err(refusal) => *stats.refused.entry(refusal.code.unwrap_or_default()).or_default() += 1,
        }
        result
    }

    /// Establishes that the request comes from the holder of a key, is recent and was not seen before.
    fn authenticate(
        &self,
        request: &Parts,
        body: Bytes,
        applied: &Applied,
    ) -> Result<TokenRequestBody, Refusal> {
        let base_url = BaseUrl::from_headers(&request.headers).ok_or(Refusal::HOST_INVALID)?;
        if request.headers.contains_key(header::AUTHORIZATION) {
            return self.check_signature(request, &base_url, body, applied);
        }
        let body =
            TokenRequestBody::read(&request.headers, body).map_err(|_| Refusal::AUTHORIZATION_MISSING)?;
        let assertion = body.assertion().ok_or(Refusal::AUTHORIZATION_MISSING)?;
        let audience = format!("{base_url}{}", request.uri.path());
        let (claims, key_id) =
            assertion::verify(&assertion, &self.public_keys(), &audience, self.now(applied.skew))?;
        let mut used = self.assertions.lock().unwrap_or_else(PoisonError::into_inner);
        if !used.consume_at(self.now(0), APP_ID, 0, &claims.jti) {
            return Err(Refusal::ASSERTION_CONSUMED);
        }
        self.stats().last_assertion_key_id = key_id;
        Ok(body)
    }

    /// The nonce comes last: only a request whose signature is right may use one up.
    fn check_signature(
        &self,
        request: &Parts,
        base_url: &BaseUrl,
        body: Bytes,
        applied: &Applied,
    ) -> Result<TokenRequestBody, Refusal> {
        let header = read_authorization(&request.headers)?;
        self.stats().last_access_key_id = Some(header.consumer_key.clone());
        if header.signature_method != signature::METHOD {
            return Err(Refusal::SIGNATURE_METHOD);
        }
        if header.version != "1.0" {
            return Err(Refusal::VERSION);
        }
        let offset = header.timestamp.saturating_sub(self.now(applied.skew));
        if offset.saturating_abs() > TIMESTAMP_WINDOW {
            return Err(Refusal::timestamp_outside(offset));
        }
        if header.consumer_key == APP_ID {
            return Err(Refusal::CLIENT_ID_AS_KEY_ID);
        }
        let body = TokenRequestBody::read(&request.headers, body)?;
        if body.assertion().is_some() {
            // RFC 6749 §2.3: one way in each request.
            return Err(Refusal::assertion_malformed("the request has an Authorization header, too"));
        }
        let signed = SignedRequest {
            method: request.method.as_str(),
            base_url,
            path: request.uri.path(),
            query: request.uri.query(),
            form: body.signed_fields(),
        };
        let form = self.verify_signature(&signed, &header)?;
        let mut nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        if !nonces.consume_at(self.now(0), &header.consumer_key, header.timestamp, &header.nonce) {
            return Err(Refusal::NONCE_CONSUMED);
        }
        self.stats().last_signature_form = Some(form);
        Ok(body)
    }

    fn verify_signature(
        &self,
        request: &SignedRequest<'_>,
        header: &Authorization,
    ) -> Result<SignatureForm, Refusal> {
        if repeats_oauth_parameter(request) {
            return Err(Refusal::header_malformed("an oauth_ parameter is given outside the header as well"));
        }
        let secret = self.keys().get(&header.consumer_key).cloned();
        let secret = secret.ok_or_else(|| Refusal::signature_mismatch("there is no such access key id"))?;
        signature::verify(request, header, secret.expose_secret()).map_err(|mismatch| match mismatch {
            Mismatch::Signature { base_string } => {
                self.stats().note_mismatch(base_string);
                Refusal::signature_mismatch(
                    "GET /sandbox/stats shows the base string that should have been signed: last_mismatch",
                )
            }
            Mismatch::Query => Refusal::signature_mismatch("the query has a broken percent-escape"),
        })
    }

    fn issue(&self, grant: Grant, spelling: &'static Spelling, applied: &Applied) -> Granted {
        let fault = &applied.fault;
        let requested = grant.lifetime.and_then(|seconds| i64::try_from(seconds).ok());
        let usual = requested.map_or(DAY, |seconds| seconds.min(DAY));
        // HERE says one second less than the token lives: 3599 for 3600.
        let (lifetime, expires_in) = match fault.lifetime_s.map(i64::from) {
            Some(lifetime) => (lifetime, lifetime),
            None => (usual, usual.saturating_sub(1)),
        };
        let age = if fault.expired { lifetime.saturating_add(1) } else { 0 };
        let issued_at = self.now(applied.skew).saturating_sub(age);
        let claims = TokenClaims {
            scope: grant.scope.clone(),
            issued_at,
            expires_at: issued_at.saturating_add(lifetime),
        };
        Granted { token: self.mint.issue(&claims), expires_in, scope: grant.scope, spelling }
    }
}

fn read_authorization(headers: &HeaderMap) -> Result<Authorization, Refusal> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(Refusal::AUTHORIZATION_MISSING)?;
    if values.next().is_some() {
        return Err(Refusal::header_malformed("there is more than one Authorization header"));
    }
    let text = value.to_str().map_err(|_| Refusal::header_malformed("the header is not ASCII"))?;
    Authorization::parse(text).map_err(|Malformed(why)| Refusal::header_malformed(why))
}

/// RFC 5849 §3.5 lets OAuth parameters travel in one place only, here the header.
fn repeats_oauth_parameter(request: &SignedRequest<'_>) -> bool {
    let query = percent::form_pairs(request.query.unwrap_or_default().as_bytes()).unwrap_or_default();
    request.form.iter().chain(&query).any(|(name, _)| name.starts_with(b"oauth_"))
}
