//! Turns a fault into what happens on the wire.

use std::io;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};

use crate::fault::{Applied, FaultBody, HangUp};
use crate::problem::Refusal;
use crate::serve::Connection;

/// The largest request body. A token request has a few hundred bytes.
pub(super) const MAX_BODY: usize = 64 * 1024;

/// The size of [`FaultBody::Huge`]: far more than a client should be willing to read as an answer of some
/// 900 bytes.
const HUGE: usize = 16 * 1024 * 1024;
const CHUNK: usize = 64 * 1024;

const HTML: &str = "<!DOCTYPE html>\n<html><head><title>Network sign-in</title></head>\
                    <body><h1>Please sign in to use this network</h1></body></html>\n";
const GARBAGE: &[u8] = b"{x\\}\xff\xfe{\"accessToken\":";

/// Answers a request, as wrongly as its faults say.
pub(super) async fn respond(applied: &Applied, mut request: Request, next: Next) -> Response {
    let connection = request.extensions().get::<Connection>().expect("every request has one").clone();
    // Nobody gets the response.
    let break_off = |last_words: &str| {
        connection.break_off(last_words);
        Response::default()
    };
    if let Some(milliseconds) = applied.find(|fault| fault.delay_ms) {
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    }
    if applied.faults.iter().any(|fault| fault.hang) {
        // Ends with the connection.
        return std::future::pending().await;
    }
    let (hang_up, replacement) = (applied.find(|fault| fault.hang_up), replacement(applied));
    if replacement.is_some() || hang_up == Some(HangUp::BeforeHeader) {
        // Read what the client has to say before misbehaving: closing over unread bytes resets the
        // connection, and the client might not even see what was answered.
        let _ = to_bytes(std::mem::take(request.body_mut()), MAX_BODY).await;
    }
    if hang_up == Some(HangUp::BeforeHeader) {
        return break_off("");
    }

    let mut response = if let Some(made) = replacement { made } else { next.run(request).await };
    let refusal = response.extensions_mut().remove::<Refusal>();
    if let (Some(spelling), Some(refusal)) = (applied.find(|fault| fault.spelling), refusal) {
        *response.body_mut() = refusal.spelled(spelling).into_body();
    }
    if let Some(status) = applied.status().filter(|_| response.status().is_success()) {
        *response.status_mut() = status;
    }
    if let Some(value) = applied.find(|fault| HeaderValue::try_from(fault.retry_after.as_ref()?).ok()) {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    match hang_up {
        Some(HangUp::MidHeader) => break_off(&format!("HTTP/1.1 {}\r\ncontent-ty", response.status())),
        Some(HangUp::MidBody) => half(response).await,
        Some(HangUp::BeforeHeader) | None => response,
    }
}

/// The answer of faults that leave nothing to be handled: a body, or a status that is no success.
fn replacement(applied: &Applied) -> Option<Response> {
    let status = applied.status();
    let (content_type, body) = match applied.find(|fault| fault.body) {
        None => {
            let status = status.filter(|status| status.as_u16() >= 300)?;
            return Some(Refusal::from_fault(status, applied.find(|fault| fault.error_code)).into_response());
        }
        Some(FaultBody::Html) => ("text/html; charset=utf-8", HTML.into()),
        Some(FaultBody::Garbage) => ("application/json", GARBAGE.into()),
        Some(FaultBody::Empty) => ("application/json", Body::empty()),
        Some(FaultBody::Huge) => ("application/json", huge()),
    };
    Some((status.unwrap_or_default(), [(header::CONTENT_TYPE, content_type)], body).into_response())
}

/// A JSON object whose one value does not end for a long time. Made while it is sent: a client that stops
/// reading costs nothing.
fn huge() -> Body {
    let filling = Bytes::from(vec![b'a'; CHUNK]);
    let start = std::iter::once(Bytes::from_static(b"{\"accessToken\":\""));
    let end = std::iter::once(Bytes::from_static(b"\",\"tokenType\":\"bearer\",\"expiresIn\":3599}"));
    let chunks = start.chain(std::iter::repeat_n(filling, HUGE / CHUNK)).chain(end);
    Body::from_stream(stream::iter(chunks.map(Ok::<_, io::Error>)))
}

/// Keeps the header, which announces the whole body, and breaks off after half of that.
async fn half(response: Response) -> Response {
    let (mut head, body) = response.into_parts();
    // A body that fails is half of one already.
    let whole = to_bytes(body, usize::MAX).await.unwrap_or_default();
    head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(whole.len()));
    let first_half = whole.slice(..whole.len() / 2);
    let end = async {
        // The error ends the connection at once. Yielding first lets the half that was produced reach the
        // socket.
        tokio::task::yield_now().await;
        Err(io::Error::from(io::ErrorKind::ConnectionAborted))
    };
    let body = stream::iter([Ok(first_half)]).chain(stream::once(end));
    Response::from_parts(head, Body::from_stream(body))
}
