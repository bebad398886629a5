//! The task that keeps one slot's token fresh: asks, waits until the token is due or the pause after a failure is
//! over, and asks again, as long as somebody wants the token.
//!
//! The only code that makes requests to the issuer, and the only one with timers.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt as _;

use super::{AWAKE, Held, Phase, Shared, Slot};
use crate::clock::Moment;
use crate::error::{Error, ErrorKind};
use crate::issuer::Issued;
use crate::schedule::{self, State};
use crate::token::{AccessToken, EXPIRY_MARGIN, Scope};

/// Timers stand still while the machine is suspended, and know nothing of a wall clock that was set: the clocks are
/// looked at again at least this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// An issuer bounds its own attempts (at 10 s, HERE's at up to three requests of 10 s). One that forgets to would end
/// a slot for good; this is the net under it.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(60);
/// After a failure the request is repeated this often with nobody asking: callers that went away come back, and a
/// server that has just started wants to be ready for the first.
const PATIENCE: u32 = 10;
/// A slot whose last request failed, and that nobody asks for any more, is kept this long for the sake of its failure
/// count: a caller that comes back must not find the backoff forgotten.
const FAILURE_MEMORY: Duration = Duration::from_secs(300);

/// Keeps one slot's token fresh.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    slot: Arc<Slot>,
    /// How many changes of the credential there had been when the last request was sent.
    credential_changes: u64,
    failures: u32,
    /// How many of the last failures nobody asked through.
    unasked_failures: u32,
}

/// How long to leave the issuer alone after a failure.
#[derive(Clone, Copy, Debug)]
struct Pause {
    /// By the boot clock.
    until: Duration,
    /// Whether a change of the credential ends the pause.
    is_refusal: bool,
}

/// A request that brought a token.
#[derive(Clone, Copy, Debug)]
struct Success {
    sent_at: Moment,
    /// How long after it the issuer is left alone, whatever the token's state, as long as it is usable.
    rest: Duration,
}

/// What a wait ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Ask,
    LetGo,
}

impl Keeper {
    pub(super) fn new(shared: Arc<Shared>, slot: Arc<Slot>) -> Self {
        let credential_changes = shared.credential_changes.count();
        Self { shared, slot, credential_changes, failures: 0, unasked_failures: 0 }
    }

    pub(super) async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        tokio::select! {
            biased;
            () = shared.closed.after(0) => {}
            () = self.keep() => {
                let lifetime = self.slot.key.lifetime().as_secs();
                tracing::debug!(token.lifetime = lifetime, "token let go: nobody asks for it");
            }
        }
    }

    async fn keep(&mut self) {
        loop {
            let next = match self.ask().await {
                Ok(success) => self.while_holding(success).await,
                Err(pause) => self.while_backing_off(pause).await,
            };
            if next == Next::LetGo {
                return;
            }
        }
    }

    /// Makes one request. Returns when it was sent, and how long to leave the issuer alone.
    async fn ask(&mut self) -> Result<Success, Pause> {
        self.slot.turn(Phase::Fetching);
        // Seen as of now: if the credential changes while the request is under way, the request was made with the old
        // one, and a refusal says nothing about the new one.
        self.credential_changes = self.shared.credential_changes.count();
        // Before the request, so that the time on the way counts against the token.
        let sent_at = self.shared.clock.now();
        // An issuer that panics has failed like any other: what follows is a pause, not a keeper that is gone.
        let attempt =
            AssertUnwindSafe(async { self.shared.issuer.issue(&self.slot.key).await }).catch_unwind();
        let answer = match tokio::time::timeout(LONGEST_ATTEMPT, attempt).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_panic)) => Err(Error::new(ErrorKind::Unreachable, "the issuer panicked")),
            Err(_elapsed) => Err(Error::new(ErrorKind::TimedOut, "the issuer did not come to an end")),
        };
        match answer.and_then(|issued| self.take(issued, sent_at)) {
            Ok(rest) => Ok(Success { sent_at, rest }),
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Puts a new token where callers find it, and returns how long to leave the issuer alone.
    fn take(&mut self, issued: Issued, sent_at: Moment) -> Result<Duration, Error> {
        let (left, is_from_cache) = (issued.expires_in, issued.is_from_cache);
        // RFC 6749 §5.1: an issuer need not name the scope if it is the one asked for.
        let scope = issued.scope.or_else(|| self.slot.key.scope().cloned());
        let token = AccessToken::new(issued.access_token, scope, left, sent_at);
        let now = self.shared.clock.now();
        if !token.is_usable_at(now) {
            return Err(Error::new(
                ErrorKind::ExpiresTooSoon,
                format!(
                    "the issuer's token expires within {} s of its issue, too soon to be handed out",
                    EXPIRY_MARGIN.as_secs()
                ),
            ));
        }
        self.failures = 0;
        let rest = if is_from_cache {
            schedule::ask_again_after(left, self.shared.chance())
        } else {
            schedule::SHORTEST_REFRESH
        };
        if is_from_cache && self.is_no_successor(&token, now) {
            self.slot.turn(Phase::Holding);
            return Ok(rest);
        }
        // Of one out of a cache nobody knows how old it is. It was asked for as one that lives for so long, so that is
        // what a quarter is a quarter of.
        let lifetime = if is_from_cache { left.max(self.slot.key.lifetime()) } else { left };
        let left_when_due = lifetime.saturating_sub(schedule::refresh_after(lifetime, self.shared.chance()));
        tracing::info!(
            token.fingerprint = %token.fingerprint(),
            token.lifetime = self.slot.key.lifetime().as_secs(),
            token.expires_in = left.as_secs(),
            token.refresh_in = left.saturating_sub(left_when_due).as_secs(),
            token.scope = self.slot.key.scope().map(Scope::as_str),
            "token received"
        );
        // In this order, so that whoever gets the new token has asked for it.
        self.slot.asked.store(false, Ordering::Relaxed);
        self.slot.held.store(Some(Arc::new(Held { token, left_when_due })));
        self.slot.turn(Phase::Holding);
        Ok(rest)
    }

    /// Whether a token out of the issuer's cache leaves everything as it is: the held one came again, or another that
    /// lives no longer (of several servers at one address, each has a token of its own).
    fn is_no_successor(&self, token: &AccessToken, now: Moment) -> bool {
        let held = self.slot.held.load();
        let Some(held) = held.as_ref().filter(|held| held.state(now) != State::Expired) else {
            return false;
        };
        let is_same = held.token.fingerprint() == token.fingerprint();
        if !is_same && token.left_at(now) > held.token.left_at(now) {
            return false;
        }
        tracing::debug!(
            token.fingerprint = %token.fingerprint(),
            token.expires_in = token.left_at(now).as_secs(),
            "the issuer has no newer token yet"
        );
        true
    }

    /// Notes a failure, and returns how long to leave the issuer alone.
    fn fail(&mut self, error: Error) -> Pause {
        self.failures = self.failures.saturating_add(1);
        let is_asked = self.slot.asked.swap(false, Ordering::Relaxed);
        self.unasked_failures = if is_asked { 0 } else { self.unasked_failures.saturating_add(1) };
        let now = self.shared.clock.now();
        let span = schedule::retry_after(&error, self.failures, self.shared.chance());
        let expires_in = self.slot.usable(now).map(|token| token.left_at(now).as_secs());
        macro_rules! log {
            ($level:ident) => {
                tracing::$level!(
                    %error,
                    cause = error.causes(),
                    failures = self.failures,
                    retry_in = span.as_secs_f64(),
                    token.lifetime = self.slot.key.lifetime().as_secs(),
                    token.scope = self.slot.key.scope().map(Scope::as_str),
                    token.expires_in = expires_in,
                    "no token received"
                )
            };
        }
        match error.kind() {
            // Nothing but another credential helps.
            ErrorKind::Rejected { .. } | ErrorKind::CredentialInvalid | ErrorKind::CredentialNotFound => {
                log!(error);
            }
            _ => log!(warn),
        }
        let pause = Pause { until: now.boot.saturating_add(span), is_refusal: !error.is_transient() };
        let refused = pause.is_refusal.then_some(self.credential_changes);
        self.slot.turn(Phase::BackingOff { error, failures: self.failures, until: pause.until, refused });
        pause
    }

    /// Waits until the held token is due.
    async fn while_holding(&self, Success { sent_at, rest }: Success) -> Next {
        loop {
            let now = self.shared.clock.now();
            let state = self.slot.state(now);
            // With nothing to hand out there is nothing to wait for.
            let rest = if state == State::Expired { schedule::SHORTEST_REFRESH } else { rest };
            let earliest = sent_at.boot.saturating_add(rest);
            let pause = earliest.saturating_sub(now.boot);
            if state != State::Fresh && pause.is_zero() {
                // One that nobody asks for goes now, though it can be handed out for a while yet: the caller who
                // comes next should get a token with more than this one's rest before it.
                let is_asked = self.slot.asked.load(Ordering::Relaxed);
                return if is_asked { Next::Ask } else { Next::LetGo };
            }
            sleep(&self.slot, pause.max(self.until_due(now)), earliest).await;
        }
    }

    /// Waits until the pause after a failure is over and somebody wants the token.
    async fn while_backing_off(&self, pause: Pause) -> Next {
        loop {
            let now = self.shared.clock.now();
            let left = pause.until.saturating_sub(now.boot);
            if left.is_zero() {
                let is_asked = self.slot.asked.load(Ordering::Relaxed);
                let is_patient = self.unasked_failures < PATIENCE;
                if is_asked || is_patient || self.slot.usable(now).is_some() {
                    return Next::Ask;
                }
                if now.boot >= pause.until.saturating_add(FAILURE_MEMORY) {
                    return Next::LetGo;
                }
            }
            let span = if left.is_zero() { LONGEST_SLEEP } else { left };
            let changed = self.shared.credential_changes.after(self.credential_changes);
            tokio::select! {
                biased;
                () = changed, if pause.is_refusal => return Next::Ask,
                () = sleep(&self.slot, span, pause.until) => {}
            }
        }
    }

    fn until_due(&self, now: Moment) -> Duration {
        self.slot
            .held
            .load()
            .as_ref()
            .map_or(Duration::ZERO, |held| held.token.left_at(now).saturating_sub(held.left_when_due))
    }
}

/// Sleeps, but not so long that a clock that was set or a suspended machine would go unnoticed, and not while a
/// caller waits without a token. From `wake_from` on, by the boot clock, callers wake it who find the token due.
async fn sleep(slot: &Slot, span: Duration, wake_from: Duration) {
    // Not before its time, so the fraction of a millisecond is rounded up.
    let wake_from = u64::try_from(wake_from.as_millis().saturating_add(1)).unwrap_or(AWAKE);
    slot.wake_from.store(wake_from, Ordering::Relaxed);
    tokio::select! {
        biased;
        () = slot.wanted.notified() => {}
        () = tokio::time::sleep(span.min(LONGEST_SLEEP)) => {}
    }
    slot.wake_from.store(AWAKE, Ordering::Relaxed);
}

impl Drop for Keeper {
    /// However the task ends (let go, provider dropped, runtime shut down): nobody goes on waiting for it.
    fn drop(&mut self) {
        self.shared.remove(&self.slot);
        // What it holds stays: callers who waited for just this token may not have taken it yet.
        self.slot.turn(Phase::Closed);
    }
}
