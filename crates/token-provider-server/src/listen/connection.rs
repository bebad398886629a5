//! One connection: serves HTTP over a stream, within limits.
//!
//! hyper closes a connection as HTTP requires. What it does not know is when the other side's time is over: its own
//! `header_read_timeout` counts from the end of the answer before, so that it would be the limit for an idle
//! connection, too, and it has none for a slow reader. So the connection notes what happens to it, and one timer goes
//! by these notes.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use h2::Reason;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::{Body, Incoming};
use hyper::header::CONNECTION;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::io::{self, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::io::{InspectReader, InspectWriter};
use tokio_util::sync::CancellationToken;

use super::limits::{self, Limits};
use crate::http::{self, Answer};
use crate::problem::Problem;

/// How a connection ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// Normally: the client closed it, the response carried `Connection: close`, or a request was invalid.
    Done(hyper::Result<()>),
    /// The server closed it when nothing was under way.
    Closed,
    /// The other side was too slow.
    Slow,
    /// Before it began: the TLS handshake failed.
    Unshaken(String),
    /// The server stops, and could not wait any longer.
    CutOff,
}

/// What has happened on one connection. Over HTTP/2 several tasks note it.
#[derive(Debug)]
struct Activity {
    notes: Mutex<Notes>,
    /// A request has begun, the first or another.
    begun: Notify,
}

#[derive(Debug)]
struct Notes {
    /// No request has begun.
    is_unused: bool,
    /// When each request under way began.
    requests: Vec<Instant>,
    /// When the head that is being read began.
    head: Option<Instant>,
    /// When a request last ended, or a byte was last written.
    moved: Instant,
}

/// One request and its answer, under way until dropped.
#[derive(Debug)]
struct Exchange {
    activity: Arc<Activity>,
    began: Instant,
}

/// Serves HTTP/1.1.
pub(super) async fn http1<F: Future<Output = Answer>>(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: impl Fn(Request<Incoming>) -> F,
    limits: &Limits,
    stop: &CancellationToken,
) -> Ended {
    let activity = Activity::new();
    let service = service_fn(|request| {
        let exchange = activity.begin();
        let answer = within(limits.answer, answer(request));
        async move { Ok::<_, Infallible>(answer.await.map(|body| exchange.until_taken(body, ()))) }
    });
    let reader = InspectReader::new(&mut stream, |bytes: &[u8]| activity.has_read(bytes));
    let io = InspectWriter::new(reader, |_: &[u8]| activity.notes.lock().moved = Instant::now());
    let connection = http1::Builder::new()
        .header_read_timeout(None::<Duration>)
        .max_buf_size(usize::from(limits::MAX_HEAD))
        // A client may close its side right behind a request, and waits for the answer. hyper reads no further until it has
        // answered; on an idle connection it sees the end at once.
        .half_close(true)
        // Not `writev(false)`: it is no faster, and each connection would keep a buffer as large as its largest answer.
        .serve_connection(TokioIo::new(io), service);
    let shut_down = http1::Connection::graceful_shutdown;
    let ended = drive(connection, shut_down, &activity, limits, stop, stop).await;
    linger(&mut stream, &ended, limits).await;
    ended
}

/// Serves HTTP/2. Each response holds a permit until the client has read it. A request that gets no permit is refused
/// with `REFUSED_STREAM`, so the client may retry it.
pub(super) async fn http2<F, P>(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: impl Fn(Request<Incoming>) -> Option<(F, P)>,
    limits: &Limits,
    stop: &CancellationToken,
) -> Ended
where
    F: Future<Output = Answer> + Send + 'static,
    P: Send + 'static,
{
    let activity = Activity::new();
    let (limit, close) = (limits.answer, stop.child_token());
    let service = service_fn(|request| {
        let (exchange, close) = (activity.begin(), close.clone());
        let answer = answer(request).map(|(answer, permit)| (within(limit, answer), permit));
        async move {
            let Some((answer, permit)) = answer else { return Err(h2::Error::from(Reason::REFUSED_STREAM)) };
            let mut answer = answer.await;
            // HTTP/2 has a frame for what this says in HTTP/1.1.
            if answer.headers_mut().remove(CONNECTION).is_some() {
                close.cancel();
            }
            Ok(answer.map(|body| exchange.until_taken(body, permit)))
        }
    });
    // Bytes are not noted: a frame need not belong to a request, and neither it nor what answers it (of a PING, say) keeps the
    // connection open. There are no pings of our own: an idle connection is closed soon enough, dead or alive.
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_header_list_size(u32::from(limits::MAX_HEAD))
        .max_concurrent_streams(limits.streams)
        .initial_stream_window_size(limits::STREAM_WINDOW)
        .initial_connection_window_size(limits::CONNECTION_WINDOW)
        .max_send_buf_size(limits::SEND_BUFFER)
        .max_local_error_reset_streams(limits::RESET_FOR_ERRORS)
        .serve_connection(TokioIo::new(&mut stream), service);
    let shut_down = http2::Connection::graceful_shutdown;
    let ended = drive(connection, shut_down, &activity, limits, &close, stop).await;
    linger(&mut stream, &ended, limits).await;
    ended
}

/// Bounds the time in which a request is answered, whatever may be stuck. The future is in a box, as hyper keeps room for it, some
/// KiB: over HTTP/1.1 as long as the connection is open, over HTTP/2 for requests that are refused, too.
fn within(limit: Duration, answer: impl Future<Output = Answer>) -> impl Future<Output = Answer> {
    let too_long = || http::answer::problem(&Problem::unavailable("the response took too long"), "");
    timeout(limit, Box::pin(answer)).map(move |answer| answer.unwrap_or_else(|_elapsed| too_long()))
}

/// Drives a connection until it ends, and closes it when it is told to `close` or has been idle for too long. Requests under way are
/// answered first; for that they have as long as otherwise, unless the server is told to `stop`.
async fn drive<C: Future<Output = hyper::Result<()>>>(
    connection: C,
    shut_down: impl FnOnce(Pin<&mut C>),
    activity: &Activity,
    limits: &Limits,
    close: &CancellationToken,
    stop: &CancellationToken,
) -> Ended {
    let mut connection = pin!(connection);
    tokio::select! {
        biased;
        served = &mut connection => return Ended::Done(served),
        () = close.cancelled() => {}
        () = activity.overdue(limits, None) => if !activity.is_idle() {
            return Ended::Slow;
        }
    }
    // A client that was let in gets an answer: its first request may be on its way, and hyper would close the connection at once.
    let (closing, is_stopping) = (Instant::now(), stop.is_cancelled());
    tokio::select! {
        biased;
        served = &mut connection => return Ended::Done(served),
        () = activity.begun.notified() => {}
        () = activity.overdue(limits, Some(closing)) => {}
    }
    shut_down(connection.as_mut());
    let grace = async {
        stop.cancelled().await;
        sleep_until(if is_stopping { closing } else { Instant::now() } + limits.grace).await;
    };
    tokio::select! {
        biased;
        _ = &mut connection => Ended::Closed,
        () = activity.overdue(limits, Some(closing)) => Ended::Closed,
        () = grace => Ended::CutOff,
    }
}

/// Reads and discards what the other side still sends (RFC 9112 §9.6). Closing a socket with something unread makes the system
/// send a reset, and the other side may lose an answer for it, such as the one that says that its head is too large.
async fn linger(mut stream: impl AsyncRead + AsyncWrite + Unpin, ended: &Ended, limits: &Limits) {
    match ended {
        Ended::Done(_) => {}
        // Of an idle connection nothing is unread. One that only looks idle has a client that asks ahead and reads slowly.
        Ended::Closed if matches!(stream.read(&mut [0]).now_or_never(), Some(Ok(1))) => {}
        _ => return,
    }
    let discard = async {
        stream.shutdown().await?;
        io::copy(&mut stream.take(limits::MAX_DISCARDED), &mut io::sink()).await
    };
    let _ = timeout(limits.linger, discard).await;
}

impl Activity {
    fn new() -> Arc<Self> {
        let opened = Instant::now();
        // A connection is opened for a request, whose head begins now.
        let notes = Notes { is_unused: true, requests: Vec::new(), head: Some(opened), moved: opened };
        Arc::new(Self { notes: Mutex::new(notes), begun: Notify::new() })
    }

    fn begin(self: &Arc<Self>) -> Exchange {
        let mut notes = self.notes.lock();
        let began = notes.head.take().unwrap_or_else(Instant::now);
        notes.requests.push(began);
        notes.is_unused = false;
        self.begun.notify_one();
        Exchange { activity: Arc::clone(self), began }
    }

    /// Between requests these are bytes of the next head.
    fn has_read(&self, bytes: &[u8]) {
        let mut notes = self.notes.lock();
        if !bytes.is_empty() && notes.requests.is_empty() {
            notes.head.get_or_insert_with(Instant::now);
        }
    }

    fn is_idle(&self) -> bool {
        let notes = self.notes.lock();
        notes.requests.is_empty() && notes.head.is_none()
    }

    /// Completes when the client has run into a time limit.
    async fn overdue(&self, limits: &Limits, closing: Option<Instant>) {
        // What is noted meanwhile may bring the end forward, but no nearer than this: a look now and then is enough.
        let pause = if closing.is_some() { limits.linger } else { limits.head.min(limits.idle) };
        loop {
            let due = self.due(limits, closing);
            if due <= Instant::now() {
                return;
            }
            sleep_until(due.min(Instant::now() + pause)).await;
        }
    }

    fn due(&self, limits: &Limits, closing: Option<Instant>) -> Instant {
        let notes = self.notes.lock();
        match (notes.requests.iter().min(), closing, notes.head) {
            // The handler ends within `answer`; what is left is a client that does not read the answer. The oldest counts:
            // others that come and go do not keep it.
            (Some(oldest), ..) => *oldest + limits.answer + limits.idle,
            (None, Some(closing), _) if notes.is_unused => closing + limits.first,
            (None, Some(closing), _) => closing.max(notes.moved) + limits.linger,
            (None, None, Some(head)) => head + limits.head,
            (None, None, None) => notes.moved + limits.idle,
        }
    }
}

impl Exchange {
    /// Wraps the response body; dropping it ends the exchange and releases `held`.
    fn until_taken<H>(self, body: Full<Bytes>, held: H) -> impl Body<Data = Bytes, Error = Infallible> {
        // An answer's body cannot fail, so this is never called: it is there to be dropped with the body.
        body.map_err(move |never| {
            let _until_dropped = (&self, &held);
            never
        })
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let mut notes = self.activity.notes.lock();
        if let Some(at) = notes.requests.iter().position(|began| *began == self.began) {
            notes.requests.swap_remove(at);
        }
        notes.moved = Instant::now();
    }
}

#[cfg(test)]
mod tests;
