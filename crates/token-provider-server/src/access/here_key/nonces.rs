//! The nonces that a key has used: a signature brings a token once.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use parking_lot::Mutex;
use token_provider::Moment;

use super::header::Signature;
use crate::problem::Problem;

/// A request's timestamp may differ from this server's clock by so many seconds.
pub(super) const WINDOW: u64 = 300;
/// So many are remembered for each key, each for ten minutes at most: 13 requests a second.
const MAX_NONCES: usize = 8192;

/// The nonces of one key.
#[derive(Debug, Default)]
pub(super) struct Nonces(Mutex<Used>);

#[derive(Debug, Default)]
struct Used {
    /// Those that are noted, and those of requests in flight; by the hash of timestamp and nonce, which has the same size
    /// whatever a client makes up.
    known: HashSet<[u8; 32]>,
    /// In the order in which they were noted, each with the moment from which its timestamp is too old anyway.
    noted: VecDeque<(Moment, [u8; 32])>,
}

/// A nonce that nobody else can use. It is released on drop, unless it was noted.
pub(crate) struct Nonce {
    nonces: Arc<Nonces>,
    hash: [u8; 32],
    end: Moment,
    is_noted: bool,
}

impl Nonces {
    /// Reserves the nonce of a request that is within its time.
    pub(super) fn reserve(self: &Arc<Self>, signature: &Signature, now: Moment) -> Result<Nonce, Problem> {
        let text = format!("{} {}", signature.timestamp, signature.nonce);
        let hash = digest(&SHA256, text.as_bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes");
        let mut used = self.0.lock();
        used.forget(now);
        if used.known.contains(&hash) {
            let reason = "the nonce was used before; sign each request with a new one";
            return Err(Problem::rejected_signature(401_207, reason));
        }
        if used.known.len() >= MAX_NONCES {
            let first = used.noted.front().map_or(now, |(end, _)| *end);
            return Err(Problem::slow_down(until(first, now).max(Duration::from_secs(1))));
        }
        used.known.insert(hash);
        let left = (signature.timestamp + WINDOW + 1).saturating_sub(now.wall.as_secs());
        let end = now.after(Duration::from_secs(left));
        Ok(Nonce { nonces: Arc::clone(self), hash, end, is_noted: false })
    }
}

impl Used {
    /// Forgets what is too old by both clocks. A wall clock that is set forward and back again makes no signature good again.
    /// (Nor does one that is set back, unless that is further than a nonce is remembered.)
    fn forget(&mut self, now: Moment) {
        while let Some((_, hash)) = self.noted.front().filter(|(end, _)| until(*end, now).is_zero()) {
            self.known.remove(hash);
            self.noted.pop_front();
        }
    }
}

/// How long it is until both clocks have reached a moment.
fn until(end: Moment, now: Moment) -> Duration {
    end.wall.saturating_sub(now.wall).max(end.boot.saturating_sub(now.boot))
}

impl Nonce {
    /// Notes it: its request has brought a token.
    pub(crate) fn note(mut self) {
        self.nonces.0.lock().noted.push_back((self.end, self.hash));
        self.is_noted = true;
    }
}

impl Drop for Nonce {
    fn drop(&mut self) {
        if !self.is_noted {
            self.nonces.0.lock().known.remove(&self.hash);
        }
    }
}
