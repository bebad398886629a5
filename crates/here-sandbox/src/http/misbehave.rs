//! Turns a fault into what happens on the wire.

use std::io;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};

use crate::fault::{Fault, FaultBody, HangUp};
use crate::problem::Refusal;
use crate::serve::Connection;

/// The largest request body. A token request has a few hundred bytes.
pub(super) const MAX_BODY: usize = 64 * 1024;

/// The size of [`FaultBody::Huge`]: far more than a client should be willing to read as an answer of some
/// 900 bytes.
const HUGE: usize = 16 * 1024 * 1024;
const CHUNK: usize = 64 * 1024;

/// How much of an answer passes before [`HangUp::MidHeader`]: the longest usual status line and a part of
/// the first header.
const MID_HEADER: usize = 48;

const HTML: &str = "<!DOCTYPE html>\n<html><head><title>Network sign-in</title></head>\
                    <body><h1>Please sign in to use this network</h1></body></html>\n";
const GARBAGE: &[u8] = b"{x\\}\xff\xfe{\"accessToken\":";

/// Answers a request, as wrongly as the fault says.
pub(super) async fn respond(fault: &Fault, mut request: Request, next: Next) -> Response {
    let connection = request.extensions().get::<Connection>().cloned();
    if let Some(delay) = fault.delay() {
        tokio::time::sleep(delay).await;
    }
    if fault.hang {
        hang(connection.as_ref()).await;
        return broken_off(connection.as_ref(), 0);
    }
    if fault.replaces_answer() || fault.hang_up == Some(HangUp::BeforeHeader) {
        // Read what the client has to say before misbehaving: closing over unread bytes resets the
        // connection, and the client might not even see what was answered.
        let _ = to_bytes(std::mem::take(request.body_mut()), MAX_BODY).await;
    }
    if fault.hang_up == Some(HangUp::BeforeHeader) {
        return broken_off(connection.as_ref(), 0);
    }

    let mut response = if fault.replaces_answer() { replacement(fault) } else { next.run(request).await };
    if let Some(status) = fault.status().filter(|_| response.status().is_success()) {
        *response.status_mut() = status;
    }
    if let Some(value) = fault.retry_after() {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    match fault.hang_up {
        Some(HangUp::MidHeader) => {
            if let Some(connection) = &connection {
                connection.cut_after(MID_HEADER);
                return response;
            }
            broken_off(None, 0)
        }
        Some(HangUp::MidBody) => half(response).await,
        Some(HangUp::BeforeHeader) | None => response,
    }
}

/// Waits until the sandbox is shut down. If the client closes the connection before, this future is dropped.
async fn hang(connection: Option<&Connection>) {
    match connection {
        Some(connection) => connection.closing().await,
        None => std::future::pending().await,
    }
}

fn replacement(fault: &Fault) -> Response {
    let status = fault.status().unwrap_or(StatusCode::OK);
    let with_type = |content_type: &'static str, body: Body| {
        let content_type = HeaderValue::from_static(content_type);
        (status, [(header::CONTENT_TYPE, content_type)], body).into_response()
    };
    match fault.body {
        None => Refusal::from_fault(status, fault.error_code).into_response(),
        Some(FaultBody::Html) => with_type("text/html; charset=utf-8", HTML.into()),
        Some(FaultBody::Garbage) => with_type("application/json", GARBAGE.into()),
        Some(FaultBody::Empty) => with_type("application/json", Body::empty()),
        Some(FaultBody::Huge) => with_type("application/json", huge()),
    }
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
    let Ok(whole) = to_bytes(body, usize::MAX).await else {
        return broken_off(None, 0);
    };
    head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(whole.len()));
    let first_half = whole.slice(..whole.len() / 2);
    let broken_off = async {
        // The error ends the connection at once. Yielding first lets the half that was produced reach the
        // socket.
        tokio::task::yield_now().await;
        Err(io::Error::from(io::ErrorKind::ConnectionAborted))
    };
    let body = stream::iter([Ok(first_half)]).chain(stream::once(broken_off));
    Response::from_parts(head, Body::from_stream(body))
}

/// Lets `bytes` bytes of an answer through and then ends the connection.
fn broken_off(connection: Option<&Connection>, bytes: usize) -> Response {
    if let Some(connection) = connection {
        connection.cut_after(bytes);
    }
    // Without a connection to cut, a body that fails at once is the next best thing.
    let error = stream::iter([Err::<Bytes, _>(io::Error::from(io::ErrorKind::ConnectionAborted))]);
    Body::from_stream(error).into_response()
}
