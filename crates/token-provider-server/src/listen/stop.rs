//! The word that the server stops, said once to thousands of connections that look for it all the time.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// Asking the token itself takes locks that all connections share; the flag says for next to nothing that there is no
/// need to.
#[derive(Debug, Default)]
pub(super) struct Stop {
    is_said: AtomicBool,
    token: CancellationToken,
}

impl Stop {
    /// Says it, for good.
    pub(super) fn say(&self) {
        // First the flag: who is woken by the token finds it set.
        self.is_said.store(true, Ordering::Release);
        self.token.cancel();
    }

    /// Says whether it has been said.
    pub(super) fn is_said(&self) -> bool {
        self.is_said.load(Ordering::Acquire)
    }

    /// Waits until it is said.
    pub(super) fn heard(&self) -> WaitForCancellationFuture<'_> {
        self.token.cancelled()
    }
}
