//! The account's own routes: tokens, their verification, and the time.

use axum::extract::rejection::BytesRejection;
use axum::extract::{Extension, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, extract::FromRequestParts};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::bearer;
use crate::fault::Applied;
use crate::problem::Refusal;
use crate::sandbox::{Granted, Sandbox};

/// The answer to a JSON request.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CamelCaseAnswer<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
}

/// The answer to a form request, as RFC 6749 §5.1 spells it.
#[derive(Serialize)]
struct SnakeCaseAnswer<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
}

#[derive(Serialize)]
struct Timestamp {
    timestamp: i64,
}

#[derive(Deserialize)]
struct VerifyRequest {
    token: String,
}

/// The head of a request, for a handler that also takes the body.
pub(super) struct Head(Parts);

/// `POST /oauth2/token`.
pub(super) async fn token(
    State(sandbox): State<Sandbox>,
    Extension(applied): Extension<Applied>,
    Head(head): Head,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let granted = sandbox.grant_token(&head, read(body)?, &applied)?;
    let Granted { token, expires_in, scope, camel_case } = &granted;
    let (access_token, token_type, expires_in, scope) =
        (token.as_str(), "bearer", *expires_in, scope.as_deref());
    let answer = if *camel_case {
        Json(CamelCaseAnswer { access_token, token_type, expires_in, scope }).into_response()
    } else {
        Json(SnakeCaseAnswer { access_token, token_type, expires_in, scope }).into_response()
    };
    Ok(([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], answer).into_response())
}

/// `GET /timestamp`.
pub(super) async fn timestamp(
    State(sandbox): State<Sandbox>,
    Extension(applied): Extension<Applied>,
) -> Response {
    Json(Timestamp { timestamp: sandbox.now(applied.skew) }).into_response()
}

/// `POST /verify/accessToken`: both the token that authorizes the request and the one in its body must hold.
pub(super) async fn verify(
    State(sandbox): State<Sandbox>,
    Extension(applied): Extension<Applied>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Refusal> {
    let now = sandbox.now(applied.skew);
    let bearer = bearer::token_of(&headers).ok_or_else(Refusal::authorization_missing)?;
    let request: VerifyRequest = serde_json::from_slice(&read(body)?).map_err(|_| Refusal::json_invalid())?;
    for token in [bearer, &request.token] {
        sandbox
            .verify_token_at(now, token)
            .map_err(|reason| Refusal::access_token_invalid(reason.to_string()))?;
    }
    Ok(StatusCode::NO_CONTENT)
}

fn read(body: Result<Bytes, BytesRejection>) -> Result<Bytes, Refusal> {
    body.map_err(|rejection| match rejection.into_response().status() {
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::body_too_large(),
        _ => Refusal::body_unreadable(),
    })
}

impl<S: Sync> FromRequestParts<S> for Head {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(parts.clone()))
    }
}
