//! The nonces that a key has used: a signature brings a token once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use parking_lot::Mutex;
use token_provider::Moment;

use super::header::{Signature, WINDOW};
use crate::problem::Problem;

/// So many are remembered for each key, each for ten minutes at least where there is room: 13 requests a second.
const MAX_NONCES: usize = 8192;

/// The nonces of one key, by the hash of timestamp and nonce, which has the same size whatever a client makes up. `None` for
/// one of a request in flight; for one that is noted, the moment from which its timestamp is too old anyway.
#[derive(Debug, Default)]
pub(crate) struct Nonces(Mutex<HashMap<[u8; 32], Option<Moment>>>);

/// A nonce that nobody else can use. It is released on drop, unless it was noted.
pub(crate) struct Nonce {
    nonces: Arc<Nonces>,
    hash: [u8; 32],
    end: Moment,
}

impl Nonces {
    /// Reserves the nonce of a request that is within its time.
    pub(crate) fn reserve(self: &Arc<Self>, signature: &Signature, now: Moment) -> Result<Nonce, Problem> {
        let text = format!("{} {}", signature.timestamp, signature.nonce);
        let hash = digest(&SHA256, text.as_bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes");
        let mut used = self.0.lock();
        match used.get(&hash) {
            None => {}
            Some(None) => return Err(Problem::nonce_in_flight()),
            Some(Some(_)) => {
                let reason = "the nonce was used before; sign each request with a new one";
                return Err(Problem::rejected_signature(401_207, reason));
            }
        }
        if used.len() >= MAX_NONCES {
            // By both clocks: a wall clock that is set forward and back again makes no signature good again.
            used.retain(|_, end| end.is_none_or(|end| !until(end, now).is_zero()));
        }
        if used.len() >= MAX_NONCES {
            let first = used.values().flatten().map(|end| until(*end, now)).min();
            return Err(Problem::slow_down(first.unwrap_or(Duration::from_secs(1))));
        }
        used.insert(hash, None);
        let left = (signature.timestamp + WINDOW + 1).saturating_sub(now.wall.as_secs());
        Ok(Nonce { nonces: Arc::clone(self), hash, end: now.after(Duration::from_secs(left)) })
    }
}

/// How long it is until both clocks have reached a moment.
fn until(end: Moment, now: Moment) -> Duration {
    end.wall.saturating_sub(now.wall).max(end.boot.saturating_sub(now.boot))
}

impl Nonce {
    /// Notes it: its request has brought a token.
    pub(crate) fn note(self) {
        self.nonces.0.lock().insert(self.hash, Some(self.end));
    }
}

impl Drop for Nonce {
    fn drop(&mut self) {
        let mut used = self.nonces.0.lock();
        if used.get(&self.hash).is_some_and(Option::is_none) {
            used.remove(&self.hash);
        }
    }
}
