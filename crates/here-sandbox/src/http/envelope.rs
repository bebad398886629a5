//! Adds what every answer carries (`Date`, `X-Correlation-ID`), counts requests, and applies faults.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::Response;

use super::misbehave;
use crate::clock;
use crate::fault::Target;
use crate::random;
use crate::sandbox::Sandbox;

const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

/// The longest correlation id that is taken over from a request.
const MAX_CORRELATION_ID: usize = 128;

/// Which faults apply to the routes inside is said by `target`; `None` where faults are made and cleared: there nothing
/// misbehaves.
pub(super) async fn envelope(
    State((sandbox, target)): State<(Sandbox, Option<Target>)>,
    mut request: Request,
    next: Next,
) -> Response {
    let correlation_id = correlation_id(request.headers());
    // A browser's preflight is not the request that a fault was asked for; it would use up the count.
    let target = target.filter(|_| request.method() != Method::OPTIONS);
    let applied = sandbox.faults().take(target);
    let is_faulty = !applied.faults.is_empty();
    if target == Some(Target::Token) {
        let stats = &mut sandbox.memory().stats;
        stats.token_requests += 1;
        stats.faults_applied += u64::from(is_faulty);
    }
    tracing::debug!(
        method = %request.method(),
        path = request.uri().path(),
        correlation_id = ?correlation_id,
        fault = is_faulty,
        "request"
    );
    request.extensions_mut().insert(applied.clone());
    let mut response = misbehave::respond(&applied, request, next).await;

    if target == Some(Target::Data) {
        let stats = &mut sandbox.memory().stats;
        stats.data_requests += 1;
        stats.data_failures += u64::from(!response.status().is_success());
    }

    let date = HeaderValue::from_str(&clock::http_date(sandbox.now(applied.skew))).expect("a date is ASCII");
    response.headers_mut().insert(header::DATE, date);
    response.headers_mut().insert(CORRELATION_ID, correlation_id);
    response
}

/// The request's own id where it is plain text of a sensible length, else a new one.
fn correlation_id(headers: &HeaderMap) -> HeaderValue {
    let given = headers.get(CORRELATION_ID).filter(|value| {
        let bytes = value.as_bytes();
        !bytes.is_empty() && bytes.len() <= MAX_CORRELATION_ID && bytes.iter().all(u8::is_ascii_graphic)
    });
    given.cloned().unwrap_or_else(|| HeaderValue::from_str(&random::uuid()).expect("a UUID is ASCII"))
}
