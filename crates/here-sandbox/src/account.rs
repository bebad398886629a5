//! The decision on a token request: who is asking, is it recent and new, and what do they get.

use std::sync::PoisonError;

use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use secrecy::ExposeSecret as _;

use super::Sandbox;
use crate::base_url::BaseUrl;
use crate::fault::Applied;
use crate::grant::{Grant, TokenRequestBody};
use crate::oauth::{Authorization, Malformed};
use crate::percent;
use crate::problem::Refusal;
use crate::signature::{self, Mismatch, SignatureForm, SignedRequest};
use crate::token::TokenClaims;

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

    /// Establishes that the request comes from the holder of an access key, is recent and was not seen
    /// before.
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
                self.stats_mut().note_mismatch(base_string);
                Refusal::signature_mismatch(
                    "GET /sandbox/stats shows the base string that should have been signed: last_mismatch",
                )
            }
            Mismatch::Query => Refusal::signature_mismatch("the query has a broken percent-escape"),
        })
    }

    pub(crate) fn base_url(&self, headers: &HeaderMap) -> Result<BaseUrl, Refusal> {
        if let Some(public) = &self.inner.public_base_url {
            return Ok(public.clone());
        }
        let mut hosts = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return Err(Refusal::host_invalid());
        };
        host.to_str().ok().and_then(BaseUrl::from_host_header).ok_or_else(Refusal::host_invalid)
    }

    fn issue(&self, grant: Grant, camel_case: bool, applied: &Applied) -> Granted {
        let fault = &applied.fault;
        let asked = grant
            .lifetime
            .map_or(self.inner.default_lifetime, |seconds| i64::try_from(seconds).unwrap_or(i64::MAX));
        let usual = asked.min(self.inner.max_lifetime);
        // HERE says one second less than the token lives: 3599 for 3600.
        let (lifetime, expires_in) = match fault.lifetime_s.map(i64::from) {
            Some(lifetime) => (lifetime, lifetime),
            None => (usual, usual.saturating_sub(1)),
        };
        let age = if fault.expired { lifetime.saturating_add(1) } else { 0 };
        let issued_at = self.now(applied.skew).saturating_sub(age);
        let claims = TokenClaims {
            app_id: self.inner.app_id.clone(),
            scope: grant.scope.clone(),
            issued_at,
            expires_at: issued_at.saturating_add(lifetime),
        };
        Granted { token: self.inner.mint.issue(&claims), expires_in, scope: grant.scope, camel_case }
    }
}

fn read_authorization(headers: &HeaderMap) -> Result<Authorization, Refusal> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or_else(Refusal::authorization_missing)?;
    if values.next().is_some() {
        return Err(Refusal::header_malformed("there is more than one Authorization header".into()));
    }
    let text = value.to_str().map_err(|_| Refusal::header_malformed("the header is not ASCII".into()))?;
    Authorization::parse(text).map_err(|Malformed(why)| Refusal::header_malformed(why))
}

/// RFC 5849 §3.5 lets OAuth parameters travel in one place only, here the header.
fn repeats_oauth_parameter(request: &SignedRequest<'_>) -> bool {
    let query = percent::form_pairs(request.query.unwrap_or_default().as_bytes()).unwrap_or_default();
    request.form.iter().chain(&query).any(|(name, _)| name.starts_with(b"oauth_"))
}
