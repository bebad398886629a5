//! The task that keeps one slot's token fresh: asks, waits until the token is due or the pause after a failure is
//! over, and asks again, as long as somebody wants the token.
//!
//! The only code that makes requests to the issuer, and the only one with timers.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt as _;

use super::{Cache, Held, Phase, Slot};
use crate::clock::Moment;
use crate::error::{Error, ErrorKind};
use crate::schedule::{self, State};
use crate::token::{AccessToken, EXPIRY_MARGIN};

/// Timers stand still while the machine is suspended, and know nothing of a wall clock that was set: the clocks are
/// looked at again at least this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// After a failure the request is repeated this often with nobody asking: callers that went away come back, and a
/// server that has just started wants to be ready for the first.
const PATIENCE: u32 = 10;
/// A slot whose last request failed, and that nobody asks for any more, is kept this long for the sake of its failure count: a
/// caller that comes back must not find the backoff forgotten.
const FAILURE_MEMORY: Duration = Duration::from_secs(300);

pub(super) struct Keeper {
    cache: Arc<Cache>,
    slot: Arc<Slot>,
    failures: u32,
    /// How many of the last failures nobody asked through.
    unasked_failures: u32,
}

/// What a wait ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Ask,
    LetGo,
}

impl Keeper {
    pub(super) fn new(cache: Arc<Cache>, slot: Arc<Slot>) -> Self {
        Self {
            cache,
            slot,
            failures: 0,
            unasked_failures: 0,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            let next = match self.ask().await {
                Ok(sent_at) => self.while_holding(sent_at).await,
                Err(until) => self.while_backing_off(until).await,
            };
            if next == Next::LetGo {
                tracing::debug!(
                    token.lifetime = self.slot.key.lifetime().as_secs(),
                    "token let go: nobody asks for it"
                );
                return;
            }
        }
    }

    /// Makes one request. Returns when it was sent; after a failure, when the next may be.
    async fn ask(&mut self) -> Result<Moment, Moment> {
        self.slot.phase.send_replace(Phase::Fetching);
        let sent_at = self.cache.clock.now();
        // An issuer that panics has failed like any other: what follows is a pause, not a keeper that is gone.
        let attempt = AssertUnwindSafe(self.cache.issuer.issue(&self.slot.key))
            .catch_unwind()
            .await;
        let answer =
            attempt.unwrap_or_else(|_panic| Err(Error::new(ErrorKind::Unreachable, "the issuer panicked")));
        match answer.and_then(|issued| self.take(issued, sent_at)) {
            Ok(()) => Ok(sent_at),
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Puts a new token where callers find it.
    fn take(&mut self, issued: crate::Issued, sent_at: Moment) -> Result<(), Error> {
        let lifetime = issued.expires_in;
        let token = AccessToken::new(issued.access_token, issued.scope, lifetime, sent_at);
        if !token.is_usable_at(self.cache.clock.now()) {
            return Err(Error::new(
                ErrorKind::ExpiresTooSoon,
                format!(
                    "the issuer's token expires within {} s of its issue, too soon to be handed out",
                    EXPIRY_MARGIN.as_secs()
                ),
            ));
        }
        let refresh_after = schedule::refresh_after(lifetime, self.cache.chance());
        tracing::info!(
            token.fingerprint = %token.fingerprint(),
            token.lifetime = lifetime.as_secs(),
            token.refresh_in = refresh_after.as_secs(),
            token.scope = self.slot.key.scope().map(crate::Scope::as_str),
            "token received"
        );
        self.failures = 0;
        self.slot.held.store(Some(Arc::new(Held {
            token,
            left_when_due: lifetime.saturating_sub(refresh_after),
        })));
        self.slot.asked.store(false, Ordering::Relaxed);
        self.slot.phase.send_replace(Phase::Holding);
        Ok(())
    }

    /// Notes a failure, and returns when the next request may be sent.
    fn fail(&mut self, error: Error) -> Moment {
        self.failures = self.failures.saturating_add(1);
        let now = self.cache.clock.now();
        let pause = schedule::retry_after(&error, self.failures, self.cache.chance());
        let still_held = self.slot.usable(now).map(|token| token.left_at(now).as_secs());
        tracing::warn!(
            %error,
            cause = error.causes(),
            failures = self.failures,
            retry_in = pause.as_secs_f64(),
            token.expires_in = still_held,
            "no token received"
        );
        let until = now.after(pause);
        let is_asked = self.slot.asked.swap(false, Ordering::Relaxed);
        self.unasked_failures = if is_asked {
            0
        } else {
            self.unasked_failures.saturating_add(1)
        };
        self.slot.phase.send_replace(Phase::BackingOff {
            error,
            failures: self.failures,
            until,
        });
        until
    }

    /// Waits until the held token is due.
    async fn while_holding(&self, sent_at: Moment) -> Next {
        let earliest = sent_at.after(schedule::SHORTEST_REFRESH);
        loop {
            let now = self.cache.clock.now();
            let pause = earliest.left_at(now);
            let state = self.slot.state(now);
            if state != State::Fresh && pause.is_zero() {
                let is_asked = self.slot.asked.load(Ordering::Relaxed);
                return if is_asked { Next::Ask } else { Next::LetGo };
            }
            self.sleep(pause.max(self.until_due(now))).await;
        }
    }

    /// Waits until the pause after a failure is over and somebody wants the token.
    async fn while_backing_off(&self, until: Moment) -> Next {
        let mut credential_changes = self.cache.credential_changes.subscribe();
        loop {
            let now = self.cache.clock.now();
            let pause = until.left_at(now);
            if pause.is_zero() {
                let is_asked = self.slot.asked.load(Ordering::Relaxed);
                if is_asked || self.unasked_failures < PATIENCE || self.slot.usable(now).is_some() {
                    return Next::Ask;
                }
                if until.after(FAILURE_MEMORY).left_at(now).is_zero() {
                    return Next::LetGo;
                }
            }
            tokio::select! {
                biased;
                changed = credential_changes.changed() => if changed.is_ok() { return Next::Ask },
                () = self.sleep(if pause.is_zero() { LONGEST_SLEEP } else { pause }) => {}
            }
        }
    }

    fn until_due(&self, now: Moment) -> Duration {
        self.slot.held.load().as_ref().map_or(Duration::ZERO, |held| {
            held.token.left_at(now).saturating_sub(held.left_when_due)
        })
    }

    /// Sleeps, but not so long that a clock that was set or a suspended machine would go unnoticed, and not while a
    /// caller waits without a token.
    async fn sleep(&self, span: Duration) {
        tokio::select! {
            biased;
            () = self.slot.wanted.notified() => {}
            () = tokio::time::sleep(span.min(LONGEST_SLEEP)) => {}
        }
    }
}

impl Drop for Keeper {
    /// However the task ends (let go, provider dropped, a panic in the issuer): nobody goes on waiting for it.
    fn drop(&mut self) {
        self.cache.remove(&self.slot);
        self.slot.phase.send_replace(Phase::Closed);
    }
}
