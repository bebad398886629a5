//! One slot per kind of token: who asks gets what is held, and a task of the slot's own keeps it fresh.
//!
//! Readers take no lock: a held token is behind an [`ArcSwapOption`], the table of slots behind an [`ArcSwap`]. Only a
//! caller that finds no usable token waits, on a `watch` channel. All requests to the issuer for a slot are made by its
//! one *keeper* task, so there is never more than one in flight, and a caller that goes away ends nothing.

mod keeper;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use self::keeper::Keeper;
use crate::clock::{Clock, Moment};
use crate::error::{Error, ErrorKind};
use crate::issuer::Issue;
use crate::schedule::{self, State};
use crate::token::{AccessToken, TokenKey};

/// What all slots of a provider share.
pub(crate) struct Cache {
    issuer: Arc<dyn Issue>,
    clock: Arc<dyn Clock>,
    slots: ArcSwap<HashMap<TokenKey, Arc<Slot>>>,
    /// The keepers' tasks. Held while the table of slots is exchanged, never across an await.
    table: Mutex<HashMap<TokenKey, AbortHandle>>,
    max_slots: usize,
    chance: Mutex<fastrand::Rng>,
    /// Counts changes of the credential; keepers that wait after a failure try again at once.
    credential_changes: watch::Sender<u64>,
}

/// Where one kind of token is held.
struct Slot {
    key: TokenKey,
    held: ArcSwapOption<Held>,
    /// Whether anyone has asked since the last successful refresh.
    asked: AtomicBool,
    phase: watch::Sender<Phase>,
    /// Wakes the keeper: a caller found no usable token.
    wanted: Notify,
}

struct Held {
    token: AccessToken,
    /// How long the token has left when its successor is due.
    left_when_due: Duration,
}

/// What the keeper is doing; callers without a usable token follow it.
#[derive(Clone, Debug)]
enum Phase {
    /// A request to the issuer is in flight, or about to be.
    Fetching,
    /// The last request brought a token.
    Holding,
    /// The last request failed. No other is sent before `until`.
    BackingOff {
        error: Error,
        failures: u32,
        until: Moment,
    },
    /// The keeper has ended; the slot is no longer in the table.
    Closed,
}

/// A look at one slot, for status pages and metrics.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SlotStatus {
    /// What the token is for.
    pub key: TokenKey,
    /// The token held, if it is usable.
    pub token: Option<AccessToken>,
    /// How long it has left to live.
    pub left: Duration,
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
        Self {
            issuer,
            clock,
            slots: ArcSwap::default(),
            table: Mutex::default(),
            max_slots,
            chance: Mutex::new(seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed)),
            credential_changes: watch::Sender::new(0),
        }
    }

    /// Returns the held token if it may be handed out. Takes no lock and never waits.
    pub(crate) fn held(&self, key: &TokenKey) -> Option<AccessToken> {
        let slots = self.slots.load();
        slots.get(key)?.ask(self.clock.now())
    }

    /// Returns a token as soon as one is held, or the failure of the request that was to bring it.
    pub(crate) async fn wait(self: &Arc<Self>, key: &TokenKey) -> Result<AccessToken, Error> {
        loop {
            let slot = self.slot(key)?;
            slot.asked.store(true, Ordering::Relaxed);
            let mut phase = slot.phase.subscribe();
            loop {
                let seen = phase.borrow_and_update().clone();
                let now = self.clock.now();
                if let Some(token) = slot.usable(now) {
                    return Ok(token);
                }
                match seen {
                    Phase::BackingOff { error, until, .. } => {
                        let left = until.left_at(now);
                        if !left.is_zero() {
                            return Err(error.with_retry_after(Some(left)));
                        }
                    }
                    Phase::Closed => break,
                    Phase::Fetching | Phase::Holding => {}
                }
                slot.wanted.notify_one();
                if phase.changed().await.is_err() {
                    break;
                }
            }
        }
    }

    /// Has keepers that wait after a failure try again at once: the credential is another one now.
    pub(crate) fn credential_changed(&self) {
        self.credential_changes.send_modify(|changes| *changes += 1);
    }

    /// Returns a look at every slot, sorted.
    pub(crate) fn status(&self) -> Vec<SlotStatus> {
        let now = self.clock.now();
        let mut status: Vec<SlotStatus> = self.slots.load().values().map(|slot| slot.status(now)).collect();
        status.sort_by(|a, b| {
            let order = |status: &SlotStatus| (status.key.scope().cloned(), status.key.lifetime());
            order(a).cmp(&order(b))
        });
        status
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Ends all keepers. Callers that wait are told.
    pub(crate) fn close(&self) {
        let keepers = std::mem::take(&mut *self.lock_table());
        for keeper in keepers.into_values() {
            keeper.abort();
        }
    }

    /// Returns the slot for a key; makes it, and starts its keeper, when there is none.
    fn slot(self: &Arc<Self>, key: &TokenKey) -> Result<Arc<Slot>, Error> {
        if let Some(slot) = self.slots.load().get(key) {
            return Ok(Arc::clone(slot));
        }
        let mut table = self.lock_table();
        let slots = self.slots.load();
        // Another caller may have made it between the look and the lock.
        if let Some(slot) = slots.get(key) {
            return Ok(Arc::clone(slot));
        }
        if slots.len() >= self.max_slots {
            return Err(Error::new(
                ErrorKind::TooManyTokens,
                format!(
                    "{} different tokens are held, the most allowed; ask for fewer scopes and lifetimes",
                    slots.len()
                ),
            ));
        }
        let slot = Arc::new(Slot::new(key.clone()));
        let mut grown = HashMap::clone(&slots);
        grown.insert(key.clone(), Arc::clone(&slot));
        self.slots.store(Arc::new(grown));
        let keeper = tokio::spawn(Keeper::new(Arc::clone(self), Arc::clone(&slot)).run());
        table.insert(key.clone(), keeper.abort_handle());
        Ok(slot)
    }

    /// Takes a slot out of the table. The next caller starts anew.
    fn remove(&self, slot: &Arc<Slot>) {
        let mut table = self.lock_table();
        let slots = self.slots.load();
        if slots
            .get(&slot.key)
            .is_some_and(|current| Arc::ptr_eq(current, slot))
        {
            let mut shrunk = HashMap::clone(&slots);
            shrunk.remove(&slot.key);
            self.slots.store(Arc::new(shrunk));
            table.remove(&slot.key);
        }
    }

    fn chance(&self) -> f64 {
        self.chance.lock().unwrap_or_else(PoisonError::into_inner).f64()
    }

    fn lock_table(&self) -> std::sync::MutexGuard<'_, HashMap<TokenKey, AbortHandle>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("issuer", &self.issuer)
            .field("slots", &self.status())
            .finish_non_exhaustive()
    }
}

impl Slot {
    fn new(key: TokenKey) -> Self {
        Self {
            key,
            held: ArcSwapOption::empty(),
            asked: AtomicBool::new(true),
            phase: watch::Sender::new(Phase::Fetching),
            wanted: Notify::new(),
        }
    }

    /// A caller asks: notes it, and returns the token if it may be handed out.
    fn ask(&self, now: Moment) -> Option<AccessToken> {
        // Read before writing: a store by every reader would send the cache line from core to core.
        if !self.asked.load(Ordering::Relaxed) {
            self.asked.store(true, Ordering::Relaxed);
        }
        self.usable(now)
    }

    fn usable(&self, now: Moment) -> Option<AccessToken> {
        let held = self.held.load();
        let token = &held.as_ref()?.token;
        token.is_usable_at(now).then(|| token.clone())
    }

    fn state(&self, now: Moment) -> State {
        self.held.load().as_ref().map_or(State::Expired, |held| {
            schedule::state(held.token.left_at(now), held.left_when_due)
        })
    }

    fn status(&self, now: Moment) -> SlotStatus {
        let token = self.usable(now);
        let (failures, last_error, retry_in) = match &*self.phase.borrow() {
            Phase::BackingOff {
                error,
                failures,
                until,
            } => (*failures, Some(error.clone()), Some(until.left_at(now))),
            _ => (0, None, None),
        };
        SlotStatus {
            key: self.key.clone(),
            left: token.as_ref().map_or(Duration::ZERO, |token| token.left_at(now)),
            token,
            is_due: self.state(now) == State::Due,
            failures,
            last_error,
            retry_in,
        }
    }
}

#[cfg(test)]
mod tests;
