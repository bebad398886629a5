//! The resources behind a token, open to web pages of any origin: the token is what protects them. `/hello`, and the
//! part of HERE's Data API that reading a versioned layer takes.

mod request;
mod services;

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use super::bearer;
use crate::account::Account;
use crate::fault::Applied;
use crate::token::TokenClaims;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Hello {
    greeting: &'static str,
    app_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    seconds_left: i64,
}

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
    let answer = Hello {
        greeting: "Hello from the HERE sandbox",
        seconds_left: claims.expires_at.saturating_sub(account.now(applied.skew)),
        app_id: claims.app_id,
        scope: claims.scope,
    };
    ([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(answer)).into_response()
}

/// The outermost layer: a preflight carries no token, and a page must be able to read why it was refused, or what a
/// fault made of the answer.
pub(super) async fn cors(request: Request, next: Next) -> Response {
    let is_preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let asks_private_network = request.headers().contains_key("access-control-request-private-network");
    let mut response =
        if is_preflight { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    let headers = response.headers_mut();
    let mut set =
        |name: &'static str, value: &'static str| headers.insert(name, HeaderValue::from_static(value));
    set("access-control-allow-origin", "*");
    if is_preflight {
        set("access-control-allow-methods", "GET, HEAD");
        set("access-control-allow-headers", "Authorization, Content-Type, X-Correlation-ID");
        set("access-control-max-age", "600");
        if asks_private_network {
            set("access-control-allow-private-network", "true");
        }
    } else {
        set("access-control-expose-headers", "WWW-Authenticate, X-Correlation-ID, Retry-After, Date");
    }
    response
}
