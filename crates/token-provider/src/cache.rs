//! One slot per kind of token: callers get what is held, and a task of the slot keeps it fresh.
//!
//! Readers take no lock: the state of a slot is behind an [`ArcSwap`], and so is the table of slots. Only a caller that finds
//! no usable token waits, for the refresher's next step. All requests to the issuer for a slot are made by its one
//! [`Refresher`] task, so there is never more than one in flight, and a caller that goes away ends nothing.
//!
//! A refresher is a task of the runtime on which a caller waited first. Where that runtime has ended, or is not driven, the next
//! caller that waits starts another on its own. What the slot holds outlives them all.

mod refresher;
mod reports;
mod slot;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::runtime;
use tokio::sync::Semaphore;
use tracing::{Instrument as _, Span};

use self::refresher::Refresher;
use self::slot::{Phase, RefresherHandle, Shared, Slot, locked};
use crate::clock::{Clock, Moment};
use crate::error::TokenError;
use crate::issuer::AnyIssuer;
use crate::token::{AccessToken, Fingerprint, TokenKey};

pub use self::reports::ReportOutcome;
pub use self::slot::SlotStatus;

/// A refresher that is polled answers within microseconds. One of another runtime that takes longer is replaced; if it was late
/// after all, the price is one request too many.
const ANSWER_WITHIN: Duration = Duration::from_millis(100);

/// All tokens of a provider. Dropping it ends their refreshers.
pub(crate) struct Cache(Arc<Shared>);

impl Cache {
    pub(crate) fn new(issuer: AnyIssuer, clock: Arc<dyn Clock>, max_slots: usize, seed: Option<u64>) -> Self {
        Self(Arc::new(Shared {
            issuer,
            clock,
            slots: ArcSwap::default(),
            table_write: Mutex::default(),
            max_slots,
            jitter: Mutex::new(seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed)),
            credential_changes: AtomicU64::new(0),
            early: Mutex::default(),
            turn: Arc::new(Semaphore::new(1)),
            span: Span::current(),
        }))
    }

    /// Returns the held token if it may be handed out. Takes no lock and never waits.
    pub(crate) fn held(&self, key: &TokenKey, now: Moment) -> Option<AccessToken> {
        let slots = self.0.slots.load();
        let slot = slots.get(key)?;
        slot.note_asked();
        let state = slot.state.load();
        if state.is_overdue(now) {
            self.wake(slot);
        }
        state.usable(now)
    }

    /// Returns the failure that a caller without a token is told at once, while the provider pauses after it.
    pub(crate) fn failure(&self, key: &TokenKey) -> Option<TokenError> {
        let slot = self.0.find(key)?;
        slot.state.load().failure(self.now(), self.0.credential_changes())
    }

    /// Returns whether nothing is known to stand against handing out such a token: one is held, or nobody has asked for
    /// one lately. Looking is not asking.
    pub(crate) fn is_ready(&self, key: &TokenKey) -> bool {
        self.0.slots.load().get(key).is_none_or(|slot| slot.state.load().usable(self.now()).is_some())
    }

    /// Requests a token, and waits for nothing.
    pub(crate) fn want(&self, key: &TokenKey) -> Result<(), TokenError> {
        let slot = self.0.slot(key, None)?;
        if self.held(key, self.now()).is_none() {
            self.wake(&slot);
        }
        Ok(())
    }

    /// Returns a token as soon as one is held, or the failure of the request that was to bring it.
    /// `owner` is charged with the slot where it has to be made.
    pub(crate) async fn wait(&self, key: &TokenKey, owner: Option<&str>) -> Result<AccessToken, TokenError> {
        loop {
            let slot = self.0.slot(key, owner)?;
            if let Some(answer) = self.follow(&slot).await {
                return answer;
            }
            // The refresher ended just now; a new one is started. On a runtime that is shutting down that one ends at
            // once, too: without a pause this task could not be ended.
            tokio::task::yield_now().await;
        }
    }

    /// Follows what a slot's refresher does, until there is an answer; `None` when the refresher ended, or was replaced.
    async fn follow(&self, slot: &Arc<Slot>) -> Option<Result<AccessToken, TokenError>> {
        slot.note_asked();
        let refresher = self.attend(slot);
        let is_ours = refresher.runtime == runtime::Handle::current().id();
        loop {
            // Before the look: from here on a change is not missed.
            let changed = slot.changed.notified();
            let state = slot.state.load_full();
            let now = self.now();
            // Not as one who asks again: this caller is why the token was requested.
            if let Some(token) = state.usable(now) {
                return Some(Ok(token));
            }
            if let Some(error) = state.failure(now, self.0.credential_changes()) {
                return Some(Err(error));
            }
            if refresher.has_ended.load(Ordering::Acquire) {
                return None;
            }
            // Counted before the wake-up: others wake it, too, and a mark that is set and cleared would be theirs as well.
            let answers = refresher.answers.load(Ordering::Acquire);
            refresher.wake();
            if is_ours {
                changed.await;
            } else if tokio::time::timeout(ANSWER_WITHIN, changed).await.is_err()
                && refresher.answers.load(Ordering::Acquire) == answers
            {
                self.start(slot, Some(refresher));
                return None;
            }
        }
    }

    /// Wakes a slot's refresher. Outside a runtime, none is started where there is none.
    fn wake(&self, slot: &Arc<Slot>) {
        if runtime::Handle::try_current().is_ok() {
            self.attend(slot).wake();
        } else if let Some(last) = &*slot.refresher.load() {
            last.wake();
        }
    }

    /// Returns a slot's refresher; starts one on this runtime where there is none any more.
    fn attend(&self, slot: &Arc<Slot>) -> Arc<RefresherHandle> {
        match slot.refresher.load_full() {
            Some(refresher) if !refresher.has_ended.load(Ordering::Acquire) => refresher,
            // Dropped just now: the caller makes another slot.
            Some(ended) if !self.0.find(&slot.key).is_some_and(|it| Arc::ptr_eq(&it, slot)) => ended,
            ended => self.start(slot, ended),
        }
    }

    /// Starts a refresher on this runtime in the place of `before`, unless another caller has just done so. A request that
    /// `before` may have in flight is given up: its connection belongs to a runtime that nobody drives.
    fn start(&self, slot: &Arc<Slot>, before: Option<Arc<RefresherHandle>>) -> Arc<RefresherHandle> {
        let handle = Arc::new(RefresherHandle::new());
        let refresher = Refresher::new(Arc::clone(&self.0), Arc::clone(slot), Arc::clone(&handle));
        let found = slot.refresher.compare_and_swap(&before, Some(Arc::clone(&handle)));
        if let Some(other) =
            found.as_ref().filter(|found| !before.as_ref().is_some_and(|it| Arc::ptr_eq(it, found)))
        {
            return Arc::clone(other);
        }
        if let Some(before) = before {
            before.abort();
        }
        let task = tokio::spawn(refresher.run().instrument(self.0.span.clone()));
        handle.task.set(task.abort_handle()).expect("it is set here alone");
        handle
    }

    /// Repeats refused requests at once: the credential is another one now.
    pub(crate) fn credential_changed(&self) {
        self.0.credential_changes.fetch_add(1, Ordering::Release);
        let mut early = locked(&self.0.early);
        early.away_until = early.away_until.min(self.now().boot);
        drop(early);
        for slot in self.0.slots.load().values() {
            self.wake(slot);
        }
    }

    /// Has the successor of a token requested, since a service refused it. Until that is there it goes on being handed out.
    pub(crate) fn report(&self, token: Fingerprint) -> ReportOutcome {
        let (now, mut outcome) = (self.now(), ReportOutcome::Unknown);
        for slot in self.0.slots.load().values() {
            let state = slot.state.load();
            if state.usable(now).is_none_or(|held| held.fingerprint() != token) {
                continue;
            }
            let mut reports = locked(&slot.reports);
            reports.report(token, now.boot);
            let is_at_once = match state.phase {
                Phase::Requesting => true,
                Phase::BackingOff { .. } => false,
                Phase::Holding { .. } => reports.until_request(&locked(&self.0.early), now.boot).is_zero(),
            };
            drop(reports);
            self.wake(slot);
            outcome = outcome.max(if is_at_once { ReportOutcome::Accepted } else { ReportOutcome::Limited });
        }
        outcome
    }

    /// Has all tokens replaced, one after the other.
    pub(crate) fn replace_all(&self) {
        for slot in self.0.slots.load().values() {
            slot.is_replaced.store(true, Ordering::Release);
            self.wake(slot);
        }
    }

    /// Drops the tokens that nobody has asked for since their last refresh. The issuer learns of it behind the caller, one token
    /// after the other: one that holds them, too, would bring them back.
    pub(crate) fn drop_unused(&self) {
        let (now, mut dropped) = (self.now(), Vec::new());
        for slot in self.0.slots.load_full().values() {
            let state = slot.state.load();
            let is_holding = matches!(state.phase, Phase::Holding { .. });
            if is_holding && !slot.is_asked.load(Ordering::Relaxed) {
                self.0.remove(slot);
                slot.end();
                dropped.extend(state.usable(now));
            }
        }
        let Ok(runtime) = runtime::Handle::try_current() else { return };
        let issuer = self.0.issuer.clone();
        let reports = async move {
            for token in &dropped {
                refresher::report(&issuer, token).await;
            }
        };
        runtime.spawn(reports.instrument(self.0.span.clone()));
    }

    /// Returns the status of every slot, in order.
    pub(crate) fn status(&self) -> Vec<SlotStatus> {
        let now = self.now();
        self.0.slots.load().values().map(|slot| slot.status(now)).collect()
    }

    pub(crate) fn now(&self) -> Moment {
        self.0.clock.now()
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.0.slots.load().values().for_each(|slot| slot.end());
    }
}

#[cfg(test)]
mod tests;
