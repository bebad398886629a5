//! Web pages: the answer to a preflight, and what lets a page read any other answer.

use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Answers pages of this origin, or of any for `*`, which may send these methods and headers.
pub(super) async fn answer(
    origin: HeaderValue,
    (methods, allowed_headers): (&'static str, &'static str),
    request: Request,
    next: Next,
) -> Response {
    let is_preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response =
        if is_preflight { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    let mut set = |name: &'static str, value| headers.insert(name, HeaderValue::from_static(value));
    set("vary", "Origin");
    if is_preflight {
        set("access-control-allow-methods", methods);
        set("access-control-allow-headers", allowed_headers);
        set("access-control-allow-private-network", "true");
        set("access-control-max-age", "600");
    } else {
        set("access-control-expose-headers", "WWW-Authenticate, X-Correlation-ID, Retry-After, Date");
    }
    response
}
