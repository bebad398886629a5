//! One connection: HTTP over a stream, within its limits, until either side has had enough.

use std::convert::Infallible;
use std::fmt;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use h2::Reason;
use hyper::Request;
use hyper::body::Incoming;
use hyper::header::CONNECTION;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::activity::{Activity, Reading};
use super::limits::{Limits, MAX_HEAD};
use super::watched::Watched;
use crate::http::Answer;
use crate::problem::Problem;

/// How much of a request body may be on its way unasked for, on each stream and over all of them. Token requests have
/// some hundred bytes; the second is the least that HTTP/2 knows (RFC 9113 §6.9.2).
const STREAM_WINDOW: u32 = 16 * 1024;
const CONNECTION_WINDOW: u32 = 65_535;
/// Answers to one stream that wait for the other side to take them in.
const SEND_BUFFER: usize = 64 * 1024;
/// Requests that were reset before they were looked at, and streams that we had to reset for an error: with more of
/// either, the connection is closed (`ENHANCE_YOUR_CALM`). The first is h2's default, CVE-2023-44487; the second is far
/// below its own (RUSTSEC-2024-0003): the only such streams of a decent client are those above the limit that it sends before
/// it knows that, and browsers send a hundred.
const RESET_EARLY: usize = 20;
const RESET_FOR_ERRORS: usize = 100;

/// Why a connection came to its end, when it was not the protocol's usual one.
#[derive(Debug)]
pub(super) enum Ended {
    /// Bad syntax, a head too large, a connection broken off.
    Protocol(hyper::Error),
    /// The other side was too slow.
    Slow,
    /// The server stops, and could not wait any longer.
    CutOff,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(error) => error.fmt(f),
            Self::Slow => f.write_str("the other side was too slow"),
            Self::CutOff => f.write_str("cut off, as the server stops"),
        }
    }
}

/// Serves HTTP/1.1.
pub(super) async fn http1<S, A, F>(
    stream: S,
    answer: A,
    limits: &Limits,
    stop: &CancellationToken,
) -> Result<(), Ended>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Answer>,
{
    let activity = Activity::new(Reading::Heads);
    let service = service_fn(|request| {
        let exchange = activity.begin();
        let answer = within(limits.answer, answer(request));
        async move { Ok::<_, Infallible>(answer.await.map(|body| exchange.track(body, ()))) }
    });
    let connection = http1::Builder::new()
        // The activity's timer sees to it.
        .header_read_timeout(None::<Duration>)
        .max_buf_size(usize::from(MAX_HEAD))
        // A client may close its side right behind a request, and waits for the answer. hyper reads no further until it has
        // answered; on an idle connection it sees the end at once.
        .half_close(true)
        .serve_connection(TokioIo::new(Watched::new(stream, Arc::clone(&activity))), service);
    drive(pin!(connection), &activity, limits, stop).await
}

/// Serves HTTP/2. Each request needs a place, which it has until the other side has taken its answer; one that gets none is
/// refused in the protocol's own way, and may be sent again.
pub(super) async fn http2<S, A, F, P>(
    stream: S,
    place: impl Fn() -> Option<P>,
    answer: A,
    limits: &Limits,
    stop: &CancellationToken,
) -> Result<(), Ended>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Answer> + Send + 'static,
    P: Send + Unpin + 'static,
{
    // It counts twice from the start: a head that has begun may be held in a map of 76 KiB, with a frame and a TLS record
    // that have not come to their end, and takes no stream's place.
    let Some(_second) = place() else { return Ok(()) };
    let activity = Activity::new(Reading::Frames);
    let limit = limits.answer;
    let service = service_fn(|request| {
        let (exchange, place) = (activity.begin(), place());
        let answer = place.map(|place| (within(limit, answer(request)), place));
        async move {
            let Some((answer, place)) = answer else { return Err(h2::Error::from(Reason::REFUSED_STREAM)) };
            let mut answer = answer.await;
            // HTTP/2 has a frame for what this says in HTTP/1.1.
            if answer.headers_mut().remove(CONNECTION).is_some() {
                exchange.end_connection();
            }
            Ok(answer.map(|body| exchange.track(body, place)))
        }
    });
    let io = TokioIo::new(Watched::new(stream, Arc::clone(&activity)));
    // No pings of our own: an idle connection is closed soon enough, dead or alive.
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_header_list_size(u32::from(MAX_HEAD))
        .max_concurrent_streams(limits.streams)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(RESET_EARLY)
        .max_local_error_reset_streams(RESET_FOR_ERRORS)
        .serve_connection(io, service);
    drive(pin!(connection), &activity, limits, stop).await
}

/// Bounds the time in which a request is answered, whatever may be stuck.
async fn within(limit: Duration, answer: impl Future<Output = Answer>) -> Answer {
    let too_long = || Problem::not_ready("the answer took too long").into_response("");
    timeout(limit, answer).await.unwrap_or_else(|_elapsed| too_long())
}

/// Drives a connection until it closes, is told to stop, or exceeds a time limit.
async fn drive<C>(
    mut connection: Pin<&mut C>,
    activity: &Activity,
    limits: &Limits,
    stop: &CancellationToken,
) -> Result<(), Ended>
where
    C: GracefulConnection<Error = hyper::Error>,
{
    let mut stopped = pin!(stop.cancelled());
    let mut stop_at = None;
    let mut timer = pin!(sleep_until(activity.due(limits)));
    std::future::poll_fn(|cx| {
        if stop_at.is_none() && stopped.as_mut().poll(cx).is_ready() {
            stop_at = Some(Instant::now() + limits.grace);
            activity.close();
            connection.as_mut().graceful_shutdown();
        }
        loop {
            if let Poll::Ready(result) = connection.as_mut().poll(cx) {
                return Poll::Ready(result.map_err(Ended::Protocol));
            }
            if activity.is_ending() && !activity.is_closing() {
                activity.close();
                connection.as_mut().graceful_shutdown();
                continue;
            }
            // The timer is set back only when it fires: most requests do not touch it. An earlier end, as of a head
            // that has begun on an idle connection, does.
            let due =
                stop_at.map_or_else(|| activity.due(limits), |at: Instant| at.min(activity.due(limits)));
            if due < timer.deadline() {
                timer.as_mut().reset(due);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if due > Instant::now() {
                timer.as_mut().reset(due);
            } else if stop_at.is_some_and(|at| at <= due) {
                return Poll::Ready(Err(Ended::CutOff));
            } else if activity.is_idle() && !activity.is_closing() {
                // Nobody did anything wrong: says good-bye as the protocol has it.
                activity.close();
                connection.as_mut().graceful_shutdown();
                timer.as_mut().reset(activity.due(limits));
            } else if activity.is_closing() && activity.is_idle() {
                return Poll::Ready(Ok(()));
            } else {
                return Poll::Ready(Err(Ended::Slow));
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests;
