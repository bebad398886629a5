//! Every number that bounds what a connection may take, in one place.

use std::time::Duration;

/// A request's head may be this long, over HTTP/1.1 and HTTP/2 alike. Node and nginx have 8 to 32 KiB.
pub(super) const MAX_HEAD: u16 = 16 * 1024;

/// How many connections there may be, and how long each step on one may take.
///
/// The defaults are right for a server on the open network. Tests make them small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at once, over all listeners; one of HTTP/2 counts by its open streams. Each costs some KiB; more wait
    /// in the accept queue. Default 16,384.
    pub connections: usize,
    /// Of these, from one address (IPv6: from one /64), so that one machine cannot take all places. Those that come in through
    /// Unix sockets share one count. Default 4,096: an office behind one address fits in.
    pub connections_per_peer: usize,
    /// Whether loopback counts as an address, where a reverse proxy may well sit. Default `false`.
    pub counts_loopback: bool,
    /// The TLS handshake. Default 10 s; a slow mobile connection takes two.
    pub handshake: Duration,
    /// A request's head, from its first byte; on a new connection from its opening. Default 20 s.
    pub head: Duration,
    /// From a request's head to its answer, body included: a net under the handlers, which have closer limits of their
    /// own (10 s for a body, 10 s for the issuer). The caller then gets 503. Default 30 s.
    pub answer: Duration,
    /// How long a connection is kept open on which nothing happens, or whose other side takes in nothing. Default
    /// 75 s, as nginx has it: longer than the 60 s for which load balancers keep theirs, so that it is they who close.
    pub idle: Duration,
    /// After the server's last word, how long it goes on reading what the other side still sends. Closing at once
    /// would make the system send a reset, at which many clients throw away an answer that they have not read yet.
    /// Default 5 s.
    pub linger: Duration,
    /// After the signal to stop, how long answers under way may take. Default 12 s: a caller's own wait (10 s) and a
    /// little.
    pub grace: Duration,
    /// Requests under way at once on one HTTP/2 connection. Default 20: RFC 9113 §6.5.2 recommends 100 at least, for pages of
    /// many parts, but a client of this server needs few tokens at once, and each request may hold a head of 16 KiB.
    pub streams: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            connections_per_peer: 4_096,
            counts_loopback: false,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(20),
            answer: Duration::from_secs(30),
            idle: Duration::from_secs(75),
            linger: Duration::from_secs(5),
            grace: Duration::from_secs(12),
            streams: 20,
        }
    }
}
