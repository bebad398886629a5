//! The routes: four groups, each in an envelope that says which faults apply to it; and the account's own: tokens, their
//! verification, and the time.

mod bearer;
mod control;
mod cors;
mod data;
mod envelope;
mod misbehave;

use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Extension, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::fault::{Applied, Target};
use crate::problem::{Refusal, uncached};
use crate::sandbox::Sandbox;
use crate::serve;

impl Sandbox {
    /// Serves the account over plain HTTP/1.1 on these listeners until dropped, which closes every connection at once.
    pub async fn serve(&self, listeners: Vec<TcpListener>) {
        let router = router(self);
        let serve = |listener| serve::serve(router.clone(), listener);
        futures_util::future::join_all(listeners.into_iter().map(serve)).await;
    }
}

fn router(sandbox: &Sandbox) -> Router {
    let tokens = Router::new().route("/oauth2/token", post(token));
    let others = Router::new()
        .route("/timestamp", get(timestamp))
        .route("/verify/accessToken", post(verify))
        .fallback(|| async { Refusal::NOT_FOUND });
    let in_envelope = |routes: Router<Sandbox>, target: Option<Target>| {
        let layer = middleware::from_fn_with_state((sandbox.clone(), target), envelope::envelope);
        routes.method_not_allowed_fallback(|| async { Refusal::METHOD_NOT_ALLOWED }).layer(layer)
    };
    let data = in_envelope(data::routes(sandbox), Some(Target::Data));
    in_envelope(tokens, Some(Target::Token))
        .merge(in_envelope(others, Some(Target::All)))
        .merge(data.layer(middleware::from_fn(data::cors)))
        .merge(in_envelope(control::routes(), None))
        .layer(DefaultBodyLimit::max(misbehave::MAX_BODY))
        .with_state(sandbox.clone())
}

/// `POST /oauth2/token`.
async fn token(
    State(sandbox): State<Sandbox>,
    Extension(applied): Extension<Applied>,
    head: Parts,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    Ok(uncached(sandbox.grant_token(&head, &body?, &applied)?))
}

/// `GET /timestamp`.
async fn timestamp(State(sandbox): State<Sandbox>, Extension(applied): Extension<Applied>) -> Json<Value> {
    Json(json!({ "timestamp": sandbox.now(applied.skew) }))
}

/// `POST /verify/accessToken`: both the token that authorizes the request and the one in its body must hold.
async fn verify(
    State(sandbox): State<Sandbox>,
    Extension(applied): Extension<Applied>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Refusal> {
    let bearer = bearer::token_of(&headers).ok_or(Refusal::AUTHORIZATION_MISSING)?;
    let request: Value = serde_json::from_slice(&body?).map_err(|_| Refusal::JSON_INVALID)?;
    let token = request.get("token").and_then(Value::as_str).ok_or(Refusal::JSON_INVALID)?;
    for token in [bearer, token] {
        let verified = sandbox.verify_token_at(sandbox.now(applied.skew), token);
        verified.map_err(|reason| Refusal::ACCESS_TOKEN_INVALID.with_hint(reason.to_string()))?;
    }
    Ok(StatusCode::NO_CONTENT)
}
