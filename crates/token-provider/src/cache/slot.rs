//! What callers and refreshers share: the table of slots, the token that each holds, and what its refresher is doing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::runtime;
use tokio::sync::{Notify, Semaphore};
use tokio::task::AbortHandle;
use tracing::Span;

use super::reports::{Early, Reports};
use crate::clock::{Clock, Moment};
use crate::error::{TokenError, TokenErrorKind};
use crate::issuer::AnyIssuer;
use crate::schedule::{self, Freshness};
use crate::token::{AccessToken, TokenKey};

/// An owner may cause at most one in `SHARE` slots.
const SHARE: usize = 4;
/// One in `RESERVE` slots (at least one) is reserved for callers without an owner.
const RESERVE: usize = 64;
/// A token that nobody has asked for again so long after it was requested gives way to another of the same owner's.
const IDLE: Duration = Duration::from_secs(60);

/// What the slots and their refreshers share.
pub(super) struct Shared {
    pub(super) issuer: AnyIssuer,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) slots: ArcSwap<Slots>,
    /// Held while the table of slots is replaced; never across an await.
    pub(super) table_write: Mutex<()>,
    pub(super) max_slots: usize,
    pub(super) jitter: Mutex<fastrand::Rng>,
    /// How often the credential has changed. After a change, refused requests are repeated at once.
    pub(super) credential_changes: AtomicU64,
    pub(super) early: Mutex<Early>,
    /// Held by a refresher that replaces its token while all are replaced: one request after the other.
    pub(super) turn: Arc<Semaphore>,
    /// Around everything that refreshers log.
    pub(super) span: Span,
}

/// Sorted, so that they are visited in the same order each time: a simulation can be repeated.
pub(super) type Slots = BTreeMap<TokenKey, Arc<Slot>>;

/// Where one kind of token is held.
#[derive(Default)]
pub(super) struct Slot {
    pub(super) key: TokenKey,
    /// Who caused it, where that is known; the slot counts towards that owner's share.
    owner: Option<Box<str>>,
    /// Written by the refresher alone.
    pub(super) state: ArcSwap<SlotState>,
    /// Wakes callers that wait: the state has changed, or the refresher has ended.
    pub(super) changed: Notify,
    /// Whether anyone has asked since the issuer's last answer.
    pub(super) is_asked: AtomicBool,
    /// Held for moments by reports and the refresher, never by those who hand tokens out.
    pub(super) reports: Mutex<Reports>,
    /// Whether the token is to be replaced by one whose request begins from here on.
    pub(super) is_replaced: AtomicBool,
    /// The one that keeps the slot's token fresh, or the last that did.
    pub(super) refresher: ArcSwapOption<RefresherHandle>,
}

/// What callers know of a refresher. It is a task of the runtime on which a caller first waited for the token, and that
/// runtime may be gone by now, or not be driven.
pub(super) struct RefresherHandle {
    pub(super) runtime: runtime::Id,
    /// Wakes it: a caller found no usable token, or a due one.
    wanted: Notify,
    /// Incremented each time it is woken and polled, as a sign of life.
    pub(super) answers: AtomicU64,
    pub(super) has_ended: AtomicBool,
    pub(super) task: OnceLock<AbortHandle>,
}

/// What a slot holds, and what its refresher is doing.
#[derive(Clone, Default)]
pub(super) struct SlotState {
    pub(super) held: Option<Held>,
    pub(super) phase: Phase,
    /// How many requests in a row have failed, and why the last one has.
    pub(super) failures: u32,
    pub(super) last_error: Option<TokenError>,
}

#[derive(Clone)]
pub(super) struct Held {
    pub(super) token: AccessToken,
    /// How long the token has left when its successor is due.
    pub(super) remaining_when_due: Duration,
}

/// What the refresher is doing; callers without a usable token follow it. Times are readings of the boot clock, so that
/// setting the wall clock neither ends a pause nor prolongs it.
#[derive(Clone, Default)]
pub(super) enum Phase {
    /// A request to the issuer is in flight, or about to be. If its runtime ends first, the next caller that waits has it made.
    #[default]
    Requesting,
    /// The last request, sent at `sent_at`, brought a token. No other is sent before `until` as long as that is usable.
    Holding { sent_at: Duration, until: Duration },
    /// The last request failed. No other is sent before `until`, unless it was a refusal: `refused` is how often the
    /// credential had changed then, and one more change ends the pause.
    BackingOff { until: Duration, refused: Option<u64> },
}

/// The status of one slot, for status pages and metrics.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SlotStatus {
    /// What the token is for.
    pub key: TokenKey,
    /// The token held, if it is usable.
    pub token: Option<AccessToken>,
    /// How long it has left to live; zero where none is held.
    pub remaining: Duration,
    /// Whether its successor is due.
    pub is_due: bool,
    /// How many requests in a row have failed, also while the next is under way.
    pub failures: u32,
    /// Why the last one failed.
    pub last_error: Option<TokenError>,
    /// How long until the next try, after a failure.
    pub retry_in: Option<Duration>,
}

impl Shared {
    /// Returns the slot for a key; makes it when there is none.
    pub(super) fn slot(&self, key: &TokenKey, owner: Option<&str>) -> Result<Arc<Slot>, TokenError> {
        if let Some(slot) = self.find(key) {
            return Ok(slot);
        }
        let _writing = locked(&self.table_write);
        // Another caller may have made it between the look and the lock.
        if let Some(slot) = self.find(key) {
            return Ok(slot);
        }
        let (mut slots, now) = (self.slots.load_full(), self.clock.now());
        let mut idle = None;
        if self.admit(&slots, owner).is_err() {
            let slots = Arc::make_mut(&mut slots);
            slots.retain(|_, slot| !slot.is_abandoned(now));
            if self.admit(slots, owner).is_err() {
                idle = longest_idle(slots, owner, now).and_then(|key| slots.remove(&key));
                self.admit(slots, owner)?;
            }
        }
        let slot = Arc::new(Slot::new(key.clone(), owner));
        Arc::make_mut(&mut slots).insert(key.clone(), Arc::clone(&slot));
        self.slots.store(slots);
        // Now that no caller finds its slot any more, who would start another.
        if let Some(idle) = idle {
            idle.end();
        }
        Ok(slot)
    }

    /// Decides whether there is room for one more slot, of this owner if there is one. Counts all slots each time: they end
    /// by themselves, and there are few.
    fn admit(&self, slots: &Slots, owner: Option<&str>) -> Result<(), TokenError> {
        let mut room = self.max_slots;
        if let Some(owner) = owner {
            room = room.saturating_sub((self.max_slots / RESERVE).max(1));
            let own = slots.values().filter(|slot| slot.owner.as_deref() == Some(owner)).count();
            if own >= (self.max_slots / SHARE).max(1) {
                return Err(no_room(&format!(
                    "this caller already holds its share of {own} different tokens"
                )));
            }
        }
        if slots.len() >= room {
            return Err(no_room(&format!("{} different tokens are held, the maximum", slots.len())));
        }
        Ok(())
    }

    pub(super) fn find(&self, key: &TokenKey) -> Option<Arc<Slot>> {
        self.slots.load().get(key).map(Arc::clone)
    }

    /// Takes a slot out of the table. The next caller makes a new one.
    pub(super) fn remove(&self, slot: &Arc<Slot>) {
        let _writing = locked(&self.table_write);
        let slots = self.slots.load();
        if slots.get(&slot.key).is_some_and(|current| Arc::ptr_eq(current, slot)) {
            let mut shrunk = Slots::clone(&slots);
            shrunk.remove(&slot.key);
            self.slots.store(Arc::new(shrunk));
        }
    }

    pub(super) fn credential_changes(&self) -> u64 {
        self.credential_changes.load(Ordering::Acquire)
    }

    /// Draws a number from 0 up to 1.
    pub(super) fn chance(&self) -> f64 {
        locked(&self.jitter).f64()
    }
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns which token of an owner has been idle for longest. Of its own alone: no caller takes another's, nor the default one.
fn longest_idle(slots: &Slots, owner: Option<&str>, now: Moment) -> Option<TokenKey> {
    let own = slots.values().filter(|slot| slot.owner.as_deref() == owner);
    let idle = own.filter_map(|slot| Some((slot.idle_since(now)?, slot)));
    idle.min_by_key(|(since, _)| *since).map(|(_, slot)| slot.key.clone())
}

fn no_room(what: &str) -> TokenError {
    TokenError::new(TokenErrorKind::TooManyTokens, format!("{what}; request fewer scopes and lifetimes"))
        .with_retry_after(Some(IDLE))
}

impl Slot {
    fn new(key: TokenKey, owner: Option<&str>) -> Self {
        let (owner, is_asked) = (owner.map(Into::into), AtomicBool::new(true));
        Self { key, owner, is_asked, ..Self::default() }
    }

    pub(super) fn set(&self, state: SlotState) {
        self.state.store(Arc::new(state));
        self.changed.notify_waiters();
    }

    /// Returns whether nobody refreshes or drops the slot, because the runtime of its refresher has ended, and it holds nothing.
    fn is_abandoned(&self, now: Moment) -> bool {
        let has_ended = |refresher: &Arc<RefresherHandle>| refresher.has_ended.load(Ordering::Acquire);
        self.refresher.load().as_ref().is_some_and(has_ended) && self.state.load().usable(now).is_none()
    }

    /// Returns when the token was requested, if nobody has asked for it since and that is a while ago.
    fn idle_since(&self, now: Moment) -> Option<Duration> {
        let Phase::Holding { sent_at, .. } = self.state.load().phase else { return None };
        let is_old = sent_at.saturating_add(IDLE) <= now.boot;
        (is_old && !self.is_asked.load(Ordering::Relaxed)).then_some(sent_at)
    }

    /// Ends its refresher.
    pub(super) fn end(&self) {
        if let Some(refresher) = self.refresher.load_full() {
            refresher.abort();
        }
    }

    pub(super) fn note_asked(&self) {
        // Read before writing: a store by every reader would send the cache line from core to core.
        if !self.is_asked.load(Ordering::Relaxed) {
            self.is_asked.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn status(&self, now: Moment) -> SlotStatus {
        let state = self.state.load();
        let token = state.usable(now);
        let retry_in = match state.phase {
            Phase::BackingOff { until, .. } => Some(until.saturating_sub(now.boot)),
            Phase::Requesting | Phase::Holding { .. } => None,
        };
        SlotStatus {
            key: self.key.clone(),
            remaining: token.as_ref().map_or(Duration::ZERO, |token| token.remaining(now)),
            token,
            is_due: state.freshness(now) == Freshness::Due,
            failures: state.failures,
            last_error: state.last_error.clone(),
            retry_in,
        }
    }
}

impl SlotState {
    pub(super) fn freshness(&self, now: Moment) -> Freshness {
        self.held.as_ref().map_or(Freshness::Expired, |held| held.freshness(now))
    }

    /// Returns the held token if it may be handed out.
    pub(super) fn usable(&self, now: Moment) -> Option<AccessToken> {
        let held = self.held.as_ref()?;
        (held.freshness(now) != Freshness::Expired).then(|| held.token.clone())
    }

    /// Returns the last failure while its backoff lasts.
    pub(super) fn failure(&self, now: Moment, credential_changes: u64) -> Option<TokenError> {
        let Phase::BackingOff { until, refused } = self.phase else { return None };
        if until <= now.boot || refused.is_some_and(|changes| changes != credential_changes) {
            return None;
        }
        let error = self.last_error.clone().expect("it is set where the backoff begins");
        Some(error.with_retry_after(Some(until.saturating_sub(now.boot))))
    }

    /// Returns whether the token is due and the refresher could request its successor, but sleeps. Its timer stands still while
    /// the machine is suspended, so a caller may be the first to see that it is time.
    pub(super) fn is_overdue(&self, now: Moment) -> bool {
        let (Phase::Holding { until, .. } | Phase::BackingOff { until, .. }) = self.phase else {
            return false;
        };
        until <= now.boot && self.freshness(now) == Freshness::Due
    }
}

impl Held {
    pub(super) fn freshness(&self, now: Moment) -> Freshness {
        schedule::freshness(self.token.remaining(now), self.remaining_when_due)
    }
}

impl RefresherHandle {
    /// For a task of the runtime that this is called on.
    pub(super) fn new() -> Self {
        Self {
            runtime: runtime::Handle::current().id(),
            wanted: Notify::new(),
            answers: AtomicU64::new(0),
            has_ended: AtomicBool::new(false),
            task: OnceLock::new(),
        }
    }

    pub(super) fn wake(&self) {
        self.wanted.notify_one();
    }

    /// Waits until somebody wakes the refresher.
    pub(super) async fn woken(&self) {
        self.wanted.notified().await;
        self.answers.fetch_add(1, Ordering::Release);
    }

    pub(super) fn abort(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}
