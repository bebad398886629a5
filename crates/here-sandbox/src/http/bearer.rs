//! Protects routes by a token: `Authorization: Bearer` (RFC 6750).

use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::fault::Applied;
use crate::problem::Refusal;
use crate::sandbox::Sandbox;

/// Refuses a request without a valid token; gives the [`TokenClaims`](crate::TokenClaims) to the handler as an extension.
pub(super) async fn require_token(
    State(sandbox): State<Sandbox>,
    Extension(applied): Extension<Applied>,
    mut request: Request,
    next: Next,
) -> Response {
    let challenge = |error: &str, refusal: Refusal| {
        let challenge = format!("Bearer realm=\"here-sandbox\"{error}");
        ([(header::WWW_AUTHENTICATE, challenge)], refusal).into_response()
    };
    let Some(token) = token_of(request.headers()) else {
        // RFC 6750 §3: a request without a token is told what is needed, without an error code.
        return challenge("", Refusal::AUTHORIZATION_MISSING);
    };
    match sandbox.verify_token_at(sandbox.now(applied.skew), token) {
        Ok(claims) => {
            request.extensions_mut().insert(claims);
            next.run(request).await
        }
        Err(reason) => challenge(
            &format!(", error=\"invalid_token\", error_description=\"{reason}\""),
            Refusal::ACCESS_TOKEN_INVALID.with_hint(reason.to_string()),
        ),
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
