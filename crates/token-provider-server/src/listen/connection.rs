//! One connection: HTTP over a stream, within its limits, until either side has had enough.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Buf as _;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1::Parts;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};

use super::activity::{Activity, Reading};
use super::limits::{Limits, MAX_HEAD};
use super::rest::{Next, rest};
use super::stop::Stop;
use super::watched::Watched;
use crate::http::Answer;

/// How much of a request body may be on its way unasked for, on each stream and over all of them. Token requests have
/// some hundred bytes; the second is the least that HTTP/2 knows (RFC 9113 §6.9.2).
const STREAM_WINDOW: u32 = 16 * 1024;
const CONNECTION_WINDOW: u32 = 65_535;
/// Answers to one stream that wait for the other side to take them in.
const SEND_BUFFER: usize = 64 * 1024;
/// Requests that were reset before they were looked at, and streams that we had to reset for an error: with more of
/// either, the connection is closed (`ENHANCE_YOUR_CALM`). The first is h2's default, CVE-2023-44487; the second is far
/// below its own, as no decent client sends even one such stream (RUSTSEC-2024-0003).
const RESET_EARLY: usize = 20;
const RESET_FOR_ERRORS: usize = 32;

/// Why a connection came to its end, when it was not the protocol's usual one.
#[derive(Debug)]
pub(super) enum Ended {
    /// Bad syntax, a head too large, a connection broken off.
    Protocol(hyper::Error),
    /// A connection broken off while nothing happened on it.
    Broken(io::Error),
    /// The other side was too slow.
    Slow,
    /// The server stops, and could not wait any longer.
    CutOff,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(error) => error.fmt(f),
            Self::Broken(error) => error.fmt(f),
            Self::Slow => f.write_str("the other side was too slow"),
            Self::CutOff => f.write_str("cut off, as the server stops"),
        }
    }
}

/// Serves HTTP/1.1.
pub(super) async fn http1<S, A, F>(stream: S, answer: A, limits: &Limits, stop: &Stop) -> Result<(), Ended>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Answer>,
{
    let activity = Activity::new(Reading::Heads);
    let mut stream = Watched::new(stream, Arc::clone(&activity));
    loop {
        let service = service_fn(|request| {
            let exchange = activity.begin();
            let answer = answer(request);
            async move { Ok::<_, Infallible>(answer.await.map(|body| exchange.track(body))) }
        });
        let connection = http1::Builder::new()
            // The activity's timer sees to it.
            .header_read_timeout(None::<Duration>)
            .max_buf_size(usize::from(MAX_HEAD))
            .serve_connection(TokioIo::new(stream), service);
        // In a box, which a resting connection gives back.
        let mut connection = Box::new(connection);
        if drive(Pin::new(&mut *connection), &activity, limits, stop).await? == Left::Closed {
            return Ok(());
        }
        let Parts { io, mut read_buf, .. } = connection.into_parts();
        stream = io.into_inner();
        // Blank lines in front of a request are ignored (RFC 9112 §2.2).
        let blank = read_buf.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        read_buf.advance(blank);
        if !read_buf.is_empty() {
            // A head that began right behind the last request.
            activity.has_read();
            stream.unread(read_buf);
            continue;
        }
        // Empty, it still has its room.
        drop(read_buf);
        if rest(&mut stream, &activity, limits, stop).await.map_err(Ended::Broken)? == Next::End {
            return Ok(());
        }
    }
}

/// Serves HTTP/2.
pub(super) async fn http2<S, A, F>(stream: S, answer: A, limits: &Limits, stop: &Stop) -> Result<(), Ended>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Answer> + Send + 'static,
{
    let activity = Activity::new(Reading::Frames);
    let service = service_fn(|request| {
        let exchange = activity.begin();
        let answer = answer(request);
        async move { Ok::<_, Infallible>(answer.await.map(|body| exchange.track(body))) }
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
    drive(pin!(connection), &activity, limits, stop).await.map(|_closed| ())
}

/// What a connection was left like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Closed,
    /// Open, and quiet for now: of HTTP/1.1 alone.
    Resting,
}

/// Runs a connection to its rest or its end: its own, the server's, or the other side's patience with us or ours with it.
async fn drive<C>(
    mut connection: Pin<&mut C>,
    activity: &Activity,
    limits: &Limits,
    stop: &Stop,
) -> Result<Left, Ended>
where
    C: GracefulConnection<Error = hyper::Error>,
{
    let mut stopped = pin!(stop.heard());
    // The first look has this task woken when it is said.
    let mut has_looked = false;
    let mut stop_at = None;
    let mut timer = pin!(sleep_until(activity.due(limits)));
    std::future::poll_fn(|cx| {
        let looks = stop_at.is_none() && (!has_looked || stop.is_said());
        has_looked = true;
        if looks && stopped.as_mut().poll(cx).is_ready() {
            stop_at = Some(Instant::now() + limits.grace);
            activity.close();
            connection.as_mut().graceful_shutdown();
        }
        loop {
            if let Poll::Ready(result) = connection.as_mut().poll(cx) {
                return Poll::Ready(result.map(|()| Left::Closed).map_err(Ended::Protocol));
            }
            // The timer is set back only when it fires: most requests do not touch it. An earlier end, as of a head
            // that has begun on an idle connection, does.
            let rests_at = activity.rests_at();
            let ends_at =
                stop_at.map_or_else(|| activity.due(limits), |at: Instant| at.min(activity.due(limits)));
            let due = rests_at.map_or(ends_at, |at| at.min(ends_at));
            if due < timer.deadline() {
                timer.as_mut().reset(due);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if due > Instant::now() {
                timer.as_mut().reset(due);
            } else if rests_at == Some(due) {
                if let Poll::Ready(result) = let_rest(connection.as_mut(), activity, cx) {
                    return Poll::Ready(result.map_err(Ended::Protocol));
                }
            } else if stop_at.is_some_and(|at| at <= due) {
                return Poll::Ready(Err(Ended::CutOff));
            } else if activity.is_idle() && !activity.is_closing() {
                // Nobody did anything wrong: says good-bye as the protocol has it.
                activity.close();
                connection.as_mut().graceful_shutdown();
                timer.as_mut().reset(activity.due(limits));
            } else if activity.is_closing() && activity.is_idle() {
                return Poll::Ready(Ok(Left::Closed));
            } else {
                return Poll::Ready(Err(Ended::Slow));
            }
        }
    })
    .await
}

/// Takes the protocol off a connection that seems idle, or sees what it has to do yet.
///
/// Told to end while it is idle, hyper is done at once, and does not close the stream, as that is told not to be closed. (It
/// has `poll_without_shutdown` for this, which wants futures that can be moved.)
fn let_rest<C>(
    mut connection: Pin<&mut C>,
    activity: &Activity,
    cx: &mut Context<'_>,
) -> Poll<Result<Left, hyper::Error>>
where
    C: GracefulConnection<Error = hyper::Error>,
{
    let rests_at = activity.rests_at();
    // Idle by the marks it may still have something to do, as with a body that nobody read: that is seen to first, or it
    // would be taken for the next request.
    if let Poll::Ready(result) = connection.as_mut().poll(cx) {
        return Poll::Ready(result.map(|()| Left::Closed));
    }
    if activity.rests_at() != rests_at {
        return Poll::Pending;
    }
    activity.set_resting(true);
    connection.as_mut().graceful_shutdown();
    let end = connection.as_mut().poll(cx);
    activity.set_resting(false);
    if end.is_pending() {
        // It was not idle after all, and ends when it is.
        activity.close();
    }
    end.map_ok(|()| Left::Resting)
}

#[cfg(test)]
mod tests;
