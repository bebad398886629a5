//! One slot per kind of token: callers get what is held, and a task of the slot keeps it fresh.
//!
//! Readers take no lock: the state of a slot is behind an [`ArcSwap`], and so is the table of slots. Only a caller that finds
//! no usable token waits, for the refresher's next step. All requests to the issuer for a slot are made by its one
//! [`Refresher`] task, so there is never more than one in flight, and a caller that goes away ends nothing.

mod refresher;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tracing::{Instrument as _, Span};

use self::refresher::Refresher;
use crate::clock::{Clock, Moment};
use crate::error::{Error, ErrorKind};
use crate::issuer::Issue;
use crate::schedule::{self, Freshness};
use crate::token::{AccessToken, TokenKey};

/// One owner may have made this part of all slots.
const SHARE: usize = 4;
/// This part of all slots, one at least, is kept for callers without an owner.
const RESERVE: usize = 64;
/// By then some slot may be free: idle ones are dropped at their token's due point.
const RETRY_FOR_ROOM: Duration = Duration::from_secs(60);

/// All tokens of a provider. Dropping it ends their refreshers.
pub(crate) struct Cache(Arc<Shared>);

/// What the slots and their refreshers share.
struct Shared {
    issuer: Arc<dyn Issue>,
    clock: Arc<dyn Clock>,
    slots: ArcSwap<Slots>,
    /// Held while the table of slots is replaced; never across an await, nor while a task is started.
    table_write: Mutex<()>,
    max_slots: usize,
    jitter: Mutex<fastrand::Rng>,
    /// How often the credential has changed. After a change, refused requests are repeated at once.
    credential_changes: AtomicU64,
    /// Around everything that refreshers log.
    span: Span,
}

/// In order, so that whoever goes through them does so in the same way each time: a simulation can be repeated.
type Slots = BTreeMap<TokenKey, Arc<Slot>>;

/// Where one kind of token is held.
struct Slot {
    key: TokenKey,
    /// Who caused it, where that is known; the slot counts towards that owner's share.
    owner: Option<Box<str>>,
    /// Written by the refresher alone.
    state: ArcSwap<SlotState>,
    /// Wakes callers that wait: the state has changed.
    changed: Notify,
    /// Wakes the refresher: a caller found no usable token, or a due one.
    wanted: Notify,
    /// Whether anyone has asked since the issuer's last answer.
    is_asked: AtomicBool,
    task: OnceLock<AbortHandle>,
}

/// What a slot holds, and what its refresher is doing.
#[derive(Clone)]
struct SlotState {
    held: Option<Held>,
    phase: Phase,
}

#[derive(Clone)]
struct Held {
    token: AccessToken,
    /// How long the token has left when its successor is due.
    remaining_when_due: Duration,
}

/// What the refresher is doing; callers without a usable token follow it. Times are readings of the boot clock, so that
/// setting the wall clock neither ends a pause nor prolongs it.
#[derive(Clone)]
enum Phase {
    /// A request to the issuer is in flight, or about to be.
    Requesting,
    /// The last request brought a token. No other is sent before `until`.
    Holding { until: Duration },
    /// The last request failed. No other is sent before `until`, unless it was a refusal: `refused` is how often the
    /// credential had changed then, and one more change ends the pause.
    BackingOff { error: Error, failures: u32, until: Duration, refused: Option<u64> },
    /// The refresher has ended; the slot is no longer in the table.
    Closed,
}

/// The status of one slot, for status pages and metrics.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SlotStatus {
    /// What the token is for.
    pub key: TokenKey,
    /// The token held, if it is usable.
    pub token: Option<AccessToken>,
    /// How long it has left to live.
    pub remaining: Duration,
    /// Whether its successor is due.
    pub is_due: bool,
    /// How many requests in a row have failed.
    pub failures: u32,
    /// Why the last one failed.
    pub last_error: Option<Error>,
    /// How long until the next try, after a failure.
    pub retry_in: Option<Duration>,
}

impl Cache {
    pub(crate) fn new(
        issuer: Arc<dyn Issue>,
        clock: Arc<dyn Clock>,
        max_slots: usize,
        seed: Option<u64>,
    ) -> Self {
        Self(Arc::new(Shared {
            issuer,
            clock,
            slots: ArcSwap::default(),
            table_write: Mutex::default(),
            max_slots,
            jitter: Mutex::new(seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed)),
            credential_changes: AtomicU64::new(0),
            span: Span::current(),
        }))
    }

    /// Returns the held token if it may be handed out. Takes no lock and never waits.
    pub(crate) fn held(&self, key: &TokenKey, now: Moment) -> Option<AccessToken> {
        self.0.slots.load().get(key)?.ask(now)
    }

    /// Returns whether nothing is known to stand against handing out such a token: one is held, or nobody has asked for
    /// one lately. Looking is not asking.
    pub(crate) fn is_ready(&self, key: &TokenKey) -> bool {
        self.0.slots.load().get(key).is_none_or(|slot| slot.state.load().usable(self.now()).is_some())
    }

    /// Requests a token, and waits for nothing.
    pub(crate) fn want(&self, key: &TokenKey) -> Result<(), Error> {
        let slot = self.0.slot(key, None)?;
        if slot.ask(self.now()).is_none() {
            slot.wanted.notify_one();
        }
        Ok(())
    }

    /// Returns a token as soon as one is held, or the failure of the request that was to bring it.
    /// `owner` is charged with the slot where it has to be made.
    pub(crate) async fn wait(&self, key: &TokenKey, owner: Option<&str>) -> Result<AccessToken, Error> {
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

    /// Follows what a slot's refresher does, until there is an answer; `None` when the refresher ended.
    async fn follow(&self, slot: &Slot) -> Option<Result<AccessToken, Error>> {
        slot.note_asked();
        loop {
            // Before the look: from here on a change is not missed.
            let changed = slot.changed.notified();
            let state = slot.state.load_full();
            let now = self.now();
            // Not as one who asks again: this caller is why the token was requested.
            if let Some(token) = state.usable(now) {
                return Some(Ok(token));
            }
            match &state.phase {
                Phase::BackingOff { error, until, refused, .. }
                    if *until > now.boot
                        && refused.is_none_or(|changes| changes == self.0.credential_changes()) =>
                {
                    let left = until.saturating_sub(now.boot);
                    return Some(Err(error.clone().with_retry_after(Some(left))));
                }
                Phase::Closed => return None,
                Phase::BackingOff { .. } | Phase::Requesting | Phase::Holding { .. } => {}
            }
            slot.wanted.notify_one();
            changed.await;
        }
    }

    /// Repeats refused requests at once: the credential is another one now.
    pub(crate) fn credential_changed(&self) {
        self.0.credential_changes.fetch_add(1, Ordering::Release);
        for slot in self.0.slots.load().values() {
            slot.wanted.notify_one();
        }
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
        for task in self.0.slots.load().values().filter_map(|slot| slot.task.get()) {
            task.abort();
        }
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the issuer: one written elsewhere may derive `Debug`, with a secret in it.
        f.debug_struct("Cache").field("slots", &self.status()).finish_non_exhaustive()
    }
}

impl Shared {
    /// Returns the slot for a key; makes it, and starts its refresher, when there is none.
    fn slot(self: &Arc<Self>, key: &TokenKey, owner: Option<&str>) -> Result<Arc<Slot>, Error> {
        if let Some(slot) = self.find(key) {
            return Ok(slot);
        }
        let slot = {
            let _writing = self.table_write.lock().unwrap_or_else(PoisonError::into_inner);
            // Another caller may have made it between the look and the lock.
            if let Some(slot) = self.find(key) {
                return Ok(slot);
            }
            let slots = self.slots.load();
            self.admit(&slots, owner)?;
            let slot = Arc::new(Slot::new(key.clone(), owner));
            let mut grown = Slots::clone(&slots);
            grown.insert(key.clone(), Arc::clone(&slot));
            self.slots.store(Arc::new(grown));
            slot
        };
        // Not under the lock: where the task cannot be started the refresher is dropped on the spot, and takes the slot
        // out of the table again.
        let refresher = Refresher::new(Arc::clone(self), Arc::clone(&slot));
        let task = tokio::spawn(refresher.run().instrument(self.span.clone()));
        slot.task.set(task.abort_handle()).expect("a slot is given to its first refresher, and has no other");
        Ok(slot)
    }

    /// Decides whether there is room for one more slot, of this owner if there is one. Counts all slots each time: they end
    /// by themselves, and there are few.
    fn admit(&self, slots: &Slots, owner: Option<&str>) -> Result<(), Error> {
        let mut room = self.max_slots;
        if let Some(owner) = owner {
            room = room.saturating_sub((self.max_slots / RESERVE).max(1));
            let own = slots.values().filter(|slot| slot.owner.as_deref() == Some(owner)).count();
            if own >= (self.max_slots / SHARE).max(1) {
                return Err(no_room(&format!("this caller has {own} different tokens held, its share")));
            }
        }
        if slots.len() >= room {
            return Err(no_room(&format!("{} different tokens are held, the most allowed", slots.len())));
        }
        Ok(())
    }

    fn find(&self, key: &TokenKey) -> Option<Arc<Slot>> {
        self.slots.load().get(key).map(Arc::clone)
    }

    /// Takes a slot out of the table. The next caller makes a new one.
    fn remove(&self, slot: &Arc<Slot>) {
        let _writing = self.table_write.lock().unwrap_or_else(PoisonError::into_inner);
        let slots = self.slots.load();
        if slots.get(&slot.key).is_some_and(|current| Arc::ptr_eq(current, slot)) {
            let mut shrunk = Slots::clone(&slots);
            shrunk.remove(&slot.key);
            self.slots.store(Arc::new(shrunk));
        }
    }

    fn credential_changes(&self) -> u64 {
        self.credential_changes.load(Ordering::Acquire)
    }

    /// Draws a number from 0 up to 1.
    fn chance(&self) -> f64 {
        self.jitter.lock().unwrap_or_else(PoisonError::into_inner).f64()
    }
}

fn no_room(what: &str) -> Error {
    Error::new(ErrorKind::TooManyTokens, format!("{what}; ask for fewer scopes and lifetimes"))
        .with_retry_after(Some(RETRY_FOR_ROOM))
}

impl Slot {
    fn new(key: TokenKey, owner: Option<&str>) -> Self {
        Self {
            key,
            owner: owner.map(Into::into),
            state: ArcSwap::from_pointee(SlotState { held: None, phase: Phase::Requesting }),
            changed: Notify::new(),
            wanted: Notify::new(),
            is_asked: AtomicBool::new(true),
            task: OnceLock::new(),
        }
    }

    /// Goes on to the refresher's next phase, with what is held.
    fn enter(&self, phase: Phase) {
        let held = self.state.load().held.clone();
        self.set(SlotState { held, phase });
    }

    fn set(&self, state: SlotState) {
        self.state.store(Arc::new(state));
        self.changed.notify_waiters();
    }

    fn note_asked(&self) {
        // Read before writing: a store by every reader would send the cache line from core to core.
        if !self.is_asked.load(Ordering::Relaxed) {
            self.is_asked.store(true, Ordering::Relaxed);
        }
    }

    /// A caller asks: notes it, and returns the token if it may be handed out.
    fn ask(&self, now: Moment) -> Option<AccessToken> {
        self.note_asked();
        let state = self.state.load();
        if state.is_overdue(now) {
            self.wanted.notify_one();
        }
        state.usable(now)
    }

    fn status(&self, now: Moment) -> SlotStatus {
        let state = self.state.load();
        let token = state.usable(now);
        let (failures, last_error, retry_in) = match &state.phase {
            Phase::BackingOff { error, failures, until, .. } => {
                (*failures, Some(error.clone()), Some(until.saturating_sub(now.boot)))
            }
            _ => (0, None, None),
        };
        SlotStatus {
            key: self.key.clone(),
            remaining: token.as_ref().map_or(Duration::ZERO, |token| token.remaining(now)),
            token,
            is_due: state.freshness(now) == Freshness::Due,
            failures,
            last_error,
            retry_in,
        }
    }
}

impl SlotState {
    fn freshness(&self, now: Moment) -> Freshness {
        self.held.as_ref().map_or(Freshness::Expired, |held| held.freshness(now))
    }

    /// Returns the held token if it may be handed out.
    fn usable(&self, now: Moment) -> Option<AccessToken> {
        let held = self.held.as_ref()?;
        match held.freshness(now) {
            Freshness::Fresh | Freshness::Due => Some(held.token.clone()),
            Freshness::Expired => None,
        }
    }

    /// Returns whether the token is due and the refresher could request its successor, but sleeps. Its timer stands still while
    /// the machine is suspended, so a caller may be the first to see that it is time.
    fn is_overdue(&self, now: Moment) -> bool {
        let is_time = match &self.phase {
            Phase::Holding { until } | Phase::BackingOff { until, .. } => *until <= now.boot,
            Phase::Requesting | Phase::Closed => false,
        };
        is_time && self.freshness(now) == Freshness::Due
    }
}

impl Held {
    fn freshness(&self, now: Moment) -> Freshness {
        schedule::freshness(self.token.remaining(now), self.remaining_when_due)
    }
}

#[cfg(test)]
mod tests;
