//! The task that keeps one slot's token fresh: makes a request, waits until the token is due or the pause after a failure
//! is over, and makes the next one, as long as somebody wants the token.
//!
//! The only code that makes requests to the issuer, and the only one with timers.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::OwnedSemaphorePermit;

use super::slot::{Held, Phase, RefresherHandle, Shared, Slot, SlotState, locked};
use crate::clock::Moment;
use crate::error::{TokenError, TokenErrorKind};
use crate::issuer::{AnyIssuer, Issue as _, Issued};
use crate::schedule::{self, Freshness};
use crate::token::{AccessToken, EXPIRY_MARGIN, Fingerprint, Scope};

/// Timers stand still while the machine is suspended, and know nothing of a wall clock that was set: the clocks are
/// read again at least this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// An issuer bounds its own attempts (at 10 s, HERE's at up to three requests of 10 s). One that forgets to would end
/// a slot for good; this is the net under it.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(60);
/// After a failure the request is repeated this often with nobody asking: callers that went away come back, and a
/// server that has just started wants to be ready for the first.
const UNASKED_RETRIES: u32 = 10;
/// A slot whose last request failed, and that nobody asks for any more, is kept this long for the sake of its failure
/// count: a caller that comes back must not find the backoff forgotten.
const FAILURE_MEMORY: Duration = Duration::from_secs(300);

/// Limit for what an issuer does with a report. A successor is requested in any case.
const LONGEST_REPORT: Duration = Duration::from_secs(3);

/// Keeps one slot's token fresh. It continues where its predecessor ended: all its state is in the slot.
pub(super) struct Refresher {
    shared: Arc<Shared>,
    slot: Arc<Slot>,
    handle: Arc<RefresherHandle>,
    /// How many failures in a row happened without a caller asking in between.
    unasked_failures: u32,
    /// The token that the issuer was last told of.
    told: Option<Fingerprint>,
    /// While all tokens are replaced: the right to be the one whose token is.
    turn: Option<OwnedSemaphorePermit>,
}

/// What a wait ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Request,
    Drop,
}

/// Reports a token to the issuer.
pub(super) async fn report(issuer: &AnyIssuer, token: &AccessToken) {
    let report = AssertUnwindSafe(async { issuer.report(token).await }).catch_unwind();
    if tokio::time::timeout(LONGEST_REPORT, report).await.is_err() {
        let seconds = LONGEST_REPORT.as_secs();
        tracing::warn!("the issuer did not take the report of a refused token within {seconds} s");
    }
}

impl Refresher {
    pub(super) fn new(shared: Arc<Shared>, slot: Arc<Slot>, handle: Arc<RefresherHandle>) -> Self {
        Self { shared, slot, handle, unasked_failures: 0, told: None, turn: None }
    }

    pub(super) async fn run(mut self) {
        loop {
            let phase = self.slot.state.load().phase.clone();
            let next = match phase {
                Phase::Requesting => Next::Request,
                Phase::Holding { sent_at, until } => self.while_holding(sent_at, until).await,
                Phase::BackingOff { until, refused } => self.while_backing_off(until, refused).await,
            };
            if next == Next::Drop {
                let lifetime = self.slot.key.lifetime().as_secs();
                tracing::debug!(token.lifetime = lifetime, "token dropped: no longer requested");
                self.shared.remove(&self.slot);
                return;
            }
            self.request().await;
        }
    }

    /// Makes one request.
    async fn request(&mut self) {
        let state = SlotState::clone(&self.slot.state.load());
        let held = state.usable(self.shared.clock.now());
        if self.slot.is_replaced.swap(false, Ordering::Acquire)
            && let Some(held) = &held
        {
            locked(&self.slot.reports).add(held.fingerprint());
        }
        let is_first = state.failures == 0;
        self.slot.set(SlotState { phase: Phase::Requesting, ..state });
        if let Some(token) = &held {
            self.tell(token, is_first).await;
        }
        // As of now: if the credential changes while the request is in flight, the request was made with the old
        // one, and a refusal says nothing about the new one.
        let credential_changes = self.shared.credential_changes();
        // Before the request, so that the time on the way counts against the token.
        let sent_at = self.shared.clock.now();
        let answer = self.attempt().await;
        let result = answer.and_then(|issued| self.accept(issued, sent_at));
        match (result, &held) {
            (Err(error), _) => self.back_off(error, credential_changes),
            // It may have been reported while the request was in flight.
            (Ok(()), Some(token)) => self.tell(token, false).await,
            (Ok(()), None) => {}
        }
        // Not before: after a failure the next one has to wait.
        self.turn = None;
    }

    /// Tells the issuer, which may hold it, too, of a token that a service refused. For each series of requests once is enough.
    async fn tell(&mut self, token: &AccessToken, is_first: bool) {
        let refused = Some(token.fingerprint()).filter(|_| self.is_refused(token));
        if refused.is_some() && (is_first || self.told != refused) {
            self.told = refused;
            report(&self.shared.issuer, token).await;
        }
    }

    async fn attempt(&self) -> Result<Issued, TokenError> {
        // An issuer that panics has failed like any other: what follows is a pause, not a slot without its task.
        let attempt =
            AssertUnwindSafe(async { self.shared.issuer.issue(&self.slot.key).await }).catch_unwind();
        let mut attempt = pin!(tokio::time::timeout(LONGEST_ATTEMPT, attempt));
        loop {
            tokio::select! {
                biased;
                answer = &mut attempt => return match answer {
                    Ok(Ok(answer)) => answer,
                    Ok(Err(_panic)) => Err(TokenError::new(TokenErrorKind::IssuerPanicked, "the issuer panicked")),
                    Err(_elapsed) => Err(TokenError::new(TokenErrorKind::TimedOut, "the issuer did not finish in time")),
                },
                // Callers of other runtimes see by this that the request goes on.
                () = self.handle.woken() => {}
            }
        }
    }

    /// Puts a new token where callers find it.
    fn accept(&mut self, issued: Issued, sent_at: Moment) -> Result<(), TokenError> {
        let (left, is_from_cache) = (issued.expires_in, issued.is_from_cache);
        // RFC 6749 §5.1: an issuer need not name the scope if it is the one asked for.
        let scope = issued.scope.or_else(|| self.slot.key.scope().cloned());
        let token = AccessToken::new(&issued.access_token, scope, left, sent_at)?;
        let now = self.shared.clock.now();
        if !token.is_usable_at(now) {
            let seconds = EXPIRY_MARGIN.as_secs();
            let message = format!(
                "the issuer's token expires within {seconds} s of being issued, too soon to be handed out"
            );
            return Err(TokenError::new(TokenErrorKind::ExpiresTooSoon, message));
        }
        let is_no_newer = self.is_no_newer(&token, is_from_cache, now);
        let rest = if is_from_cache || is_no_newer {
            schedule::ask_again_after(left, self.shared.chance())
        } else {
            schedule::SHORTEST_REFRESH
        };
        let until = sent_at.boot.saturating_add(rest);
        let phase = Phase::Holding { sent_at: sent_at.boot, until };
        self.unasked_failures = 0;
        locked(&self.shared.early).away_until = Duration::ZERO;
        if is_no_newer {
            let state = SlotState::clone(&self.slot.state.load());
            self.slot.set(SlotState { phase, failures: 0, last_error: None, ..state });
            return Ok(());
        }
        // Nobody knows how old a token out of a cache is. It was requested as one that lives for so long, so that is
        // what a quarter is a quarter of.
        let lifetime = if is_from_cache { left.max(self.slot.key.lifetime()) } else { left };
        let remaining_when_due =
            lifetime.saturating_sub(schedule::refresh_after(lifetime, self.shared.chance()));
        tracing::info!(
            token.fingerprint = %token.fingerprint(),
            token.lifetime = self.slot.key.lifetime().as_secs(),
            token.expires_in = left.as_secs(),
            token.refresh_in = left.saturating_sub(remaining_when_due).as_secs(),
            token.scope = self.slot.key.scope().map(Scope::as_str),
            "token received"
        );
        if self.slot.is_replaced.load(Ordering::Acquire)
            && let Some(before) = self.slot.state.load().usable(now)
        {
            // As the new one will be: both were requested before all were to be replaced.
            locked(&self.slot.reports).add(before.fingerprint());
        }
        // In this order, so that a caller who gets the new token counts as having asked for it.
        self.slot.is_asked.store(false, Ordering::Relaxed);
        let held = Some(Held { token, remaining_when_due });
        self.slot.set(SlotState { held, phase, failures: 0, last_error: None });
        Ok(())
    }

    /// Returns whether a token leaves everything as it is: a refused one came again, or one out of the issuer's cache that is
    /// the held one or lives no longer (of several servers at one address, each has its own token).
    fn is_no_newer(&self, token: &AccessToken, is_from_cache: bool, now: Moment) -> bool {
        let Some(held) = self.slot.state.load().usable(now) else { return false };
        let is_same = held.fingerprint() == token.fingerprint();
        let is_older = is_same || token.remaining(now) <= held.remaining(now);
        if !self.is_refused(token) && (!is_from_cache || !is_older || self.is_refused(&held)) {
            return false;
        }
        tracing::debug!(
            token.fingerprint = %token.fingerprint(),
            token.expires_in = token.remaining(now).as_secs(),
            "the issuer has no newer token yet"
        );
        true
    }

    fn is_refused(&self, token: &AccessToken) -> bool {
        locked(&self.slot.reports).has(token.fingerprint())
    }

    /// Notes a failure, and begins the pause after it.
    fn back_off(&mut self, error: TokenError, credential_changes: u64) {
        let state = SlotState::clone(&self.slot.state.load());
        let failures = state.failures.saturating_add(1);
        let is_asked = self.slot.is_asked.swap(false, Ordering::Relaxed);
        self.unasked_failures = if is_asked { 0 } else { self.unasked_failures.saturating_add(1) };
        let now = self.shared.clock.now();
        let pause = schedule::retry_after(&error, failures, self.shared.chance());
        self.log_failure(&error, failures, pause, now);
        let refused = (!error.is_transient()).then_some(credential_changes);
        let until = now.boot.saturating_add(pause);
        let mut early = locked(&self.shared.early);
        // A wait is not prolonged: where several kinds always fail, there would always be one that prolongs it.
        if early.away_until <= now.boot {
            early.away_until = until;
        }
        drop(early);
        let phase = Phase::BackingOff { until, refused };
        self.slot.set(SlotState { phase, failures, last_error: Some(error), ..state });
    }

    fn log_failure(&self, error: &TokenError, failures: u32, pause: Duration, now: Moment) {
        let held = self.slot.state.load().usable(now);
        macro_rules! log {
            ($level:ident) => {
                tracing::$level!(
                    %error,
                    cause = error.causes(),
                    error_id = error.error_id(),
                    correlation_id = error.correlation_id(),
                    failures,
                    retry_in = pause.as_secs_f64(),
                    token.lifetime = self.slot.key.lifetime().as_secs(),
                    token.scope = self.slot.key.scope().map(Scope::as_str),
                    token.expires_in = held.map(|token| token.remaining(now).as_secs()),
                    "no token received"
                )
            };
        }
        match error.kind() {
            // Nothing but another credential helps.
            TokenErrorKind::Rejected { .. } | TokenErrorKind::NotLoaded => {
                log!(error);
            }
            _ => log!(warn),
        }
    }

    /// Waits until the held token is due.
    async fn while_holding(&mut self, sent_at: Duration, until: Duration) -> Next {
        loop {
            let now = self.shared.clock.now();
            let freshness = self.slot.state.load().freshness(now);
            // With nothing to hand out there is nothing to wait for.
            let is_expired = freshness == Freshness::Expired;
            let until = if is_expired { sent_at.saturating_add(schedule::SHORTEST_REFRESH) } else { until };
            let pause = until.saturating_sub(now.boot);
            if freshness != Freshness::Fresh && pause.is_zero() {
                // Drop an unwanted token now, although it is still usable: the next caller should get one with more of
                // its lifetime left.
                let is_asked = self.slot.is_asked.load(Ordering::Relaxed);
                return if is_asked { Next::Request } else { Next::Drop };
            }
            let until_due = pause.max(self.until_due(now));
            let until_replaced = self.until_replaced(now);
            if until_replaced.is_zero() {
                return Next::Request;
            }
            let wants_turn = self.turn.is_none() && self.slot.is_replaced.load(Ordering::Acquire);
            tokio::select! {
                biased;
                turn = Arc::clone(&self.shared.turn).acquire_owned(), if wants_turn => self.turn = turn.ok(),
                () = self.sleep(until_due.min(until_replaced)) => {}
            }
        }
    }

    /// Waits until the pause after a failure is over and somebody wants the token.
    async fn while_backing_off(&self, until: Duration, refused: Option<u64>) -> Next {
        loop {
            if refused.is_some_and(|changes| changes != self.shared.credential_changes()) {
                return Next::Request;
            }
            let now = self.shared.clock.now();
            let left = until.saturating_sub(now.boot);
            if left.is_zero() {
                let is_asked = self.slot.is_asked.load(Ordering::Relaxed);
                let goes_on = self.unasked_failures < UNASKED_RETRIES;
                if is_asked || goes_on || self.slot.state.load().usable(now).is_some() {
                    return Next::Request;
                }
                if now.boot >= until.saturating_add(FAILURE_MEMORY) {
                    return Next::Drop;
                }
            }
            self.sleep(if left.is_zero() { LONGEST_SLEEP } else { left }).await;
        }
    }

    /// Returns how long until the successor of a token that is not due may be requested. If that is now, it counts as requested.
    fn until_replaced(&self, now: Moment) -> Duration {
        // In this order, as for a report.
        let mut reports = locked(&self.slot.reports);
        let mut early = locked(&self.shared.early);
        if self.turn.is_some() {
            return early.request(now.boot);
        }
        let held = self.slot.state.load().usable(now);
        let is_refused = held.is_some_and(|held| reports.has(held.fingerprint()));
        if is_refused { reports.request(&mut early, now.boot) } else { Duration::MAX }
    }

    fn until_due(&self, now: Moment) -> Duration {
        let state = self.slot.state.load();
        let held = state.held.as_ref();
        held.map_or(Duration::ZERO, |held| held.token.remaining(now).saturating_sub(held.remaining_when_due))
    }

    /// Sleeps, but not so long that a clock that was set or a suspended machine would go unnoticed, and not while a
    /// caller waits without a token.
    async fn sleep(&self, span: Duration) {
        tokio::select! {
            biased;
            () = self.handle.woken() => {}
            () = tokio::time::sleep(span.min(LONGEST_SLEEP)) => {}
        }
    }
}

impl Drop for Refresher {
    /// However the task ends (token dropped, provider dropped, runtime shut down): nobody goes on waiting for it.
    fn drop(&mut self) {
        // What the slot holds stays: callers who waited for just this token may not have taken it yet.
        self.handle.has_ended.store(true, Ordering::Release);
        self.slot.changed.notify_waiters();
    }
}
