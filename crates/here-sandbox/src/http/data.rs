//! The resources that need a token, open to web pages of any origin, since the token protects them: `/hello`, and the
//! part of HERE's Data API that reading a versioned layer takes.

mod request;
mod services;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, Request, State};
use axum::http::HeaderValue;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use serde_json::json;

use super::bearer;
use super::cors::{self, Allowed};
use crate::account::Account;
use crate::fault::Applied;
use crate::problem::uncached;
use crate::token::{APP_ID, TokenClaims};

pub(super) fn routes(account: &Arc<Account>) -> Router<Arc<Account>> {
    Router::new()
        .route("/hello", get(hello))
        .merge(services::routes())
        .route_layer(middleware::from_fn_with_state(Arc::clone(account), bearer::require_token))
}

/// `GET /hello`.
async fn hello(
    State(account): State<Arc<Account>>,
    Extension(applied): Extension<Applied>,
    Extension(claims): Extension<TokenClaims>,
) -> Response {
    uncached(json!({
        "greeting": "Hello from the HERE sandbox",
        "appId": APP_ID,
        "scope": claims.scope,
        "secondsLeft": claims.expires_at.saturating_sub(account.now(applied.skew)),
    }))
}

/// The outermost layer: a preflight carries no token, and a page must be able to read why it was refused, or what a
/// fault made of the answer.
pub(super) async fn cors(request: Request, next: Next) -> Response {
    let allowed = Allowed { methods: "GET, HEAD", headers: "Authorization, Content-Type, X-Correlation-ID" };
    cors::answer(HeaderValue::from_static("*"), &allowed, request, next).await
}
