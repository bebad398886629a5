//! What goes on at a connection, and by when something has to.
//!
//! A slow or silent other side must not hold a place for ever: a head, an answer, an idle connection and a farewell
//! each have their time. hyper has one limit for the first and the third (a head's time there runs from the moment
//! that the server is ready for it, which on a connection kept alive is the end of the answer before) and none for the
//! rest; and it sets a timer anew for each request. Here the way of the bytes leaves marks, a few stores for each
//! request, and the connection's timer looks at them when it fires.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::limits::Limits;

/// A mark that is not set.
const NEVER: u64 = u64::MAX;

/// The marks of one connection, in milliseconds since its opening. Of an HTTP/2 connection several tasks set them; they
/// order nothing else, so they are relaxed.
#[derive(Debug)]
pub(super) struct Activity {
    opened: Instant,
    reading: Reading,
    /// Requests whose answers have not been handed on in full.
    exchanges: AtomicU32,
    /// Over HTTP/2, when each of them began.
    begun: Mutex<Vec<u64>>,
    /// When something last moved: the beginning or the end of an exchange, and over HTTP/1.1 bytes.
    moved: AtomicU64,
    /// When the head now being read began.
    head: AtomicU64,
    /// Whether the connection ends when what is under way has been answered.
    is_ending: AtomicBool,
    /// When the server said its last word.
    closing: AtomicU64,
}

/// What bytes mean that come in between exchanges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// HTTP/1.1: the next head has begun.
    Heads,
    /// HTTP/2: some frame, which need not belong to a request. Neither it nor what answers it (of a PING, say) keeps the
    /// connection open, nor an answer that nobody takes in.
    Frames,
}

/// One request and its answer, under way until dropped, and when it began.
#[derive(Debug)]
pub(super) struct Exchange(Arc<Activity>, u64);

/// An answer's body, which is under way until the protocol has taken it, and what is held for as long.
#[derive(Debug)]
pub(super) struct Tracked<H> {
    body: Full<Bytes>,
    _held: (Exchange, H),
}

impl Activity {
    pub(super) fn new(reading: Reading) -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            reading,
            exchanges: AtomicU32::new(0),
            begun: Mutex::default(),
            moved: AtomicU64::new(0),
            // Whoever opens a connection has something to say.
            head: AtomicU64::new(0),
            is_ending: AtomicBool::new(false),
            closing: AtomicU64::new(NEVER),
        })
    }

    pub(super) fn begin(self: &Arc<Self>) -> Exchange {
        self.exchanges.fetch_add(1, Relaxed);
        match self.head.swap(NEVER, Relaxed) {
            NEVER => self.mark(&self.moved),
            // Saves a look at the clock. The time that a head took counts as the answer's.
            head => self.moved.store(head, Relaxed),
        }
        let began = self.moved.load(Relaxed);
        if self.reading == Reading::Frames {
            self.begun.lock().unwrap_or_else(PoisonError::into_inner).push(began);
        }
        Exchange(Arc::clone(self), began)
    }

    pub(super) fn has_read(&self) {
        if self.reading == Reading::Frames {
            return;
        }
        if self.exchanges.load(Relaxed) > 0 {
            self.mark(&self.moved);
        } else if self.head.load(Relaxed) == NEVER {
            self.mark(&self.head);
        }
    }

    pub(super) fn has_written(&self) {
        if self.reading == Reading::Heads {
            self.mark(&self.moved);
        }
    }

    pub(super) fn is_ending(&self) -> bool {
        self.is_ending.load(Relaxed)
    }

    /// Notes that the server has no more to say; the first time counts.
    pub(super) fn close(&self) {
        if !self.is_closing() {
            self.mark(&self.closing);
        }
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Relaxed) != NEVER
    }

    pub(super) fn is_idle(&self) -> bool {
        self.exchanges.load(Relaxed) == 0 && self.head.load(Relaxed) == NEVER
    }

    /// Returns when the other side's time is over, if nothing happens until then.
    pub(super) fn due(&self, limits: &Limits) -> Instant {
        let moved = self.moved.load(Relaxed);
        if self.exchanges.load(Relaxed) > 0 {
            // The handler ends within `answer`; what is left is that nobody takes in the answer. Of several the oldest
            // counts: others that come and go do not keep it.
            let oldest = self.begun.lock().unwrap_or_else(PoisonError::into_inner).iter().min().copied();
            return self.at(oldest.unwrap_or(moved)) + limits.answer + limits.idle;
        }
        let closing = self.closing.load(Relaxed);
        if closing != NEVER {
            return self.at(closing.max(moved)) + limits.linger;
        }
        match self.head.load(Relaxed) {
            NEVER => self.at(moved) + limits.idle,
            head => self.at(head) + limits.head,
        }
    }

    fn at(&self, mark: u64) -> Instant {
        self.opened + Duration::from_millis(mark)
    }

    fn mark(&self, mark: &AtomicU64) {
        let now = self.opened.elapsed().as_millis();
        mark.store(u64::try_from(now).unwrap_or(NEVER - 1), Relaxed);
    }
}

impl Exchange {
    /// Has the connection end when this and what else is under way has been answered.
    pub(super) fn end_connection(&self) {
        self.0.is_ending.store(true, Relaxed);
    }

    pub(super) fn track<H>(self, body: Full<Bytes>, held: H) -> Tracked<H> {
        Tracked { body, _held: (self, held) }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let Self(activity, began) = self;
        // Over HTTP/1.1 no mark of the time: the protocol writes the answer that it has taken, and that leaves one.
        if activity.reading == Reading::Frames {
            activity.mark(&activity.moved);
            let mut begun = activity.begun.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(at) = begun.iter().position(|other| other == began) {
                begun.swap_remove(at);
            }
        }
        activity.exchanges.fetch_sub(1, Relaxed);
    }
}

impl<H: Unpin> Body for Tracked<H> {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const LIMITS: Limits = Limits {
        connections: 1,
        connections_per_peer: 1,
        counts_loopback: false,
        handshake: Duration::from_secs(1),
        head: Duration::from_secs(20),
        answer: Duration::from_secs(30),
        idle: Duration::from_secs(75),
        linger: Duration::from_secs(5),
        grace: Duration::from_secs(12),
        streams: 1,
    };

    fn left(activity: &Activity) -> u64 {
        (activity.due(&LIMITS) - Instant::now()).as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn each_phase_has_its_own_time() {
        let activity = Activity::new(Reading::Heads);
        assert_eq!(left(&activity), 20, "a new connection owes a head");
        advance(Duration::from_secs(5)).await;
        activity.has_read();
        assert_eq!(left(&activity), 15, "its first byte does not start the time again");

        let exchange = activity.begin();
        assert!(!activity.is_idle());
        assert_eq!(left(&activity), 100, "the time that the head took is not given twice");
        advance(Duration::from_secs(8)).await;
        drop(exchange.track(Full::default(), ()));
        activity.has_written();
        assert!(activity.is_idle());
        assert_eq!(left(&activity), 75, "an idle connection is kept from the end of its last answer");

        advance(Duration::from_secs(74)).await;
        activity.has_read();
        assert_eq!(left(&activity), 20, "the second head has as long as the first");
        advance(Duration::from_secs(19)).await;
        activity.has_read();
        assert_eq!(left(&activity), 1, "however it trickles");
    }

    #[tokio::test(start_paused = true)]
    async fn oldest_exchange_under_way_has_no_more_time_than_the_first() {
        let activity = Activity::new(Reading::Frames);
        let first = activity.begin();
        advance(Duration::from_secs(90)).await;
        let second = activity.begin();
        activity.has_read();
        activity.has_written();
        assert_eq!(left(&activity), 15, "neither frames nor another request are progress");
        drop(first);
        assert_eq!(left(&activity), 105);
        drop(second);
        assert_eq!(left(&activity), 75);
    }

    #[tokio::test(start_paused = true)]
    async fn frames_without_a_request_do_not_keep_a_connection_open() {
        let activity = Activity::new(Reading::Frames);
        drop(activity.begin());
        advance(Duration::from_secs(70)).await;
        activity.has_read();
        activity.has_written();
        assert_eq!(left(&activity), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn farewell_is_short_and_follows_the_last_byte_written() {
        let activity = Activity::new(Reading::Heads);
        let exchange = activity.begin();
        activity.close();
        assert_eq!(left(&activity), 105, "the answer comes first");
        advance(Duration::from_secs(10)).await;
        drop(exchange);
        activity.has_written();
        assert_eq!(left(&activity), 5);
        advance(Duration::from_secs(3)).await;
        activity.close();
        activity.has_read();
        assert_eq!(left(&activity), 2, "nothing read any more makes it longer");
    }
}
