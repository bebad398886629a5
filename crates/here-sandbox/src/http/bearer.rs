//! Protects routes by a token: `Authorization: Bearer` (RFC 6750).

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::account::Account;
use crate::fault::Applied;
use crate::problem::Refusal;
use crate::token::TokenRefusal;

/// Refuses a request without a valid token; gives the [`TokenClaims`](crate::TokenClaims) to the handler as an extension.
pub(super) async fn require_token(
    State(account): State<Arc<Account>>,
    Extension(applied): Extension<Applied>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(token) = token_of(request.headers()) else {
        return challenge(None);
    };
    match account.verify_token_at(account.now(applied.skew), token) {
        Ok(claims) => {
            request.extensions_mut().insert(claims);
            next.run(request).await
        }
        Err(reason) => challenge(Some(reason)),
    }
}

/// The token of the one `Authorization: Bearer` header.
pub(super) fn token_of(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
}

/// RFC 6750 §3: a request without a token is told what is needed, without an error code.
fn challenge(reason: Option<TokenRefusal>) -> Response {
    let (challenge, refusal) = match reason {
        None => ("Bearer realm=\"here-sandbox\"".to_owned(), Refusal::AUTHORIZATION_MISSING),
        Some(reason) => (
            format!("Bearer realm=\"here-sandbox\", error=\"invalid_token\", error_description=\"{reason}\""),
            Refusal::access_token_invalid(reason.to_string()),
        ),
    };
    let challenge = HeaderValue::from_str(&challenge).expect("the reasons are ASCII");
    ([(header::WWW_AUTHENTICATE, challenge)], refusal).into_response()
}
