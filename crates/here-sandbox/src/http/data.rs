//! The resources that need a token, open to web pages of any origin, since the token protects them: `/hello`, and the
//! part of HERE's Data API that reading a versioned layer takes.

mod request;
mod services;

use axum::Router;
use axum::extract::{Extension, Request, State};
use axum::http::HeaderValue;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use serde_json::json;

use super::bearer;
use super::cors;
use crate::fault::Applied;
use crate::problem::uncached;
use crate::sandbox::Sandbox;
use crate::token::{APP_ID, TokenClaims};

pub(super) fn routes(sandbox: &Sandbox) -> Router<Sandbox> {
    Router::new()
        .route("/hello", get(hello))
        .merge(services::routes())
        .route_layer(middleware::from_fn_with_state(sandbox.clone(), bearer::require_token))
}

/// `GET /hello`.
async fn hello(
    State(sandbox): State<Sandbox>,
    Extension(applied): Extension<Applied>,
    Extension(claims): Extension<TokenClaims>,
) -> Response {
    uncached(json!({
        "greeting": "Hello from the HERE sandbox",
        "appId": APP_ID,
        "scope": claims.scope,
        "secondsLeft": claims.expires_at.saturating_sub(sandbox.now(applied.skew)),
    }))
}

/// The outermost layer: a preflight carries no token, and a page must be able to read why it was refused, or what a
/// fault made of the answer.
pub(super) async fn cors(request: Request, next: Next) -> Response {
    let allowed = ("GET, HEAD", "Authorization, Content-Type, X-Correlation-ID");
    cors::answer(HeaderValue::from_static("*"), allowed, request, next).await
}
