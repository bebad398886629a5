//! The account's own routes: tokens, their verification, and the time.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Extension, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::bearer;
use crate::account::Account;
use crate::fault::Applied;
use crate::problem::{Refusal, uncached};

#[derive(Deserialize)]
struct VerifyRequest {
    token: String,
}

/// `POST /oauth2/token`.
pub(super) async fn token(
    State(account): State<Arc<Account>>,
    Extension(applied): Extension<Applied>,
    head: Parts,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let granted = account.grant_token(&head, read(body)?, &applied)?;
    let names = granted.spelling;
    Ok(uncached(json!({
        (names.access_token): granted.token,
        (names.token_type): "bearer",
        (names.expires_in): granted.expires_in,
        (names.scope): granted.scope,
    })))
}

/// `GET /timestamp`.
pub(super) async fn timestamp(
    State(account): State<Arc<Account>>,
    Extension(applied): Extension<Applied>,
) -> Json<Value> {
    Json(json!({ "timestamp": account.now(applied.skew) }))
}

/// `POST /verify/accessToken`: both the token that authorizes the request and the one in its body must hold.
pub(super) async fn verify(
    State(account): State<Arc<Account>>,
    Extension(applied): Extension<Applied>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Refusal> {
    let now = account.now(applied.skew);
    let bearer = bearer::token_of(&headers).ok_or(Refusal::AUTHORIZATION_MISSING)?;
    let request: VerifyRequest = serde_json::from_slice(&read(body)?).map_err(|_| Refusal::JSON_INVALID)?;
    for token in [bearer, &request.token] {
        account
            .verify_token_at(now, token)
            .map_err(|reason| Refusal::access_token_invalid(reason.to_string()))?;
    }
    Ok(StatusCode::NO_CONTENT)
}

fn read(body: Result<Bytes, BytesRejection>) -> Result<Bytes, Refusal> {
    body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::BODY_TOO_LARGE,
        _ => Refusal::BODY_UNREADABLE,
    })
}
