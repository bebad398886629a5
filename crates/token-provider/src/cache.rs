//! One slot per kind of token: who asks gets what is held, and a task of the slot's own keeps it fresh.
//!
//! Readers take no lock: a held token is behind an [`ArcSwapOption`], the table of slots behind an [`ArcSwap`]. Only a caller
//! that finds no usable token waits, for the keeper's next step. All requests to the issuer for a slot are made by its one
//! *keeper* task, so there is never more than one in flight, and a caller that goes away ends nothing.

mod keeper;
mod signal;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::Notify;
use tracing::{Instrument as _, Span};

use self::keeper::Keeper;
use self::signal::Signal;
use crate::clock::{Clock, Moment};
use crate::error::{Error, ErrorKind};
use crate::issuer::Issue;
use crate::schedule::{self, State};
use crate::token::{AccessToken, TokenKey};

/// All tokens of a provider. When it is dropped, their keepers end.
pub(crate) struct Cache(Arc<Shared>);

/// What the slots and their keepers share.
struct Shared {
    issuer: Arc<dyn Issue>,
    clock: Arc<dyn Clock>,
    slots: ArcSwap<HashMap<TokenKey, Arc<Slot>>>,
    /// Held while the table of slots is exchanged; never across an await, nor while a task is started.
    exchange: Mutex<()>,
    max_slots: usize,
    chance: Mutex<fastrand::Rng>,
    /// Changes of the credential; keepers that wait after a refusal try again at once.
    credential_changes: Signal,
    closed: Signal,
    /// Around everything that keepers log.
    span: Span,
}

/// Where one kind of token is held.
struct Slot {
    key: TokenKey,
    /// Who was the first to ask for it, where that is told; the slot counts towards its share.
    owner: Option<Box<str>>,
    held: ArcSwapOption<Held>,
    /// Whether anyone has asked since the last answer from the issuer.
    asked: AtomicBool,
    /// From when on a caller that finds the token due should wake the keeper, in milliseconds of the boot clock;
    /// [`AWAKE`] while it does not sleep.
    wake_from: AtomicU64,
    phase: ArcSwap<Phase>,
    /// Changes of the phase.
    turns: Signal,
    /// Wakes the keeper: a caller found no usable token, or one that was due before the keeper knew.
    wanted: Notify,
}

/// One owner may have made this part of all slots.
const SHARE: usize = 4;
/// This part of all slots, one at least, is for those who are no owner.
const RESERVE: usize = 64;
/// By then some slot may be free: idle ones are dropped at their token's due point.
const RETRY_FOR_ROOM: Duration = Duration::from_secs(60);

/// See [`Slot::wake_from`].
const AWAKE: u64 = u64::MAX;

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
    /// The last request failed. No other is sent before `until`, a reading of the boot clock: setting the wall clock
    /// neither ends a pause nor prolongs it. A refusal was of the credential after so many changes; another ends the pause.
    BackingOff { error: Error, failures: u32, until: Duration, refused: Option<u64> },
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
        Self(Arc::new(Shared {
            issuer,
            clock,
            slots: ArcSwap::default(),
            exchange: Mutex::default(),
            max_slots,
            chance: Mutex::new(seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed)),
            credential_changes: Signal::default(),
            closed: Signal::default(),
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
        self.0.slots.load().get(key).is_none_or(|slot| slot.usable(self.now()).is_some())
    }

    /// Has a token fetched, and waits for nothing.
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
            // The keeper ended just now; a new one is started. On a runtime that is shutting down that one ends at
            // once, too: without a pause this task could not be ended.
            tokio::task::yield_now().await;
        }
    }

    /// Follows what a slot's keeper does, until there is an answer; `None` when the keeper ended.
    async fn follow(&self, slot: &Slot) -> Option<Result<AccessToken, Error>> {
        slot.note_asked();
        loop {
            let turns = slot.turns.count();
            let phase = slot.phase.load_full();
            let now = self.now();
            // Not as one who asks again: this caller's wish is what the token was fetched for.
            if let Some(token) = slot.usable(now) {
                return Some(Ok(token));
            }
            match &*phase {
                Phase::BackingOff { error, until, refused, .. }
                    if *until > now.boot
                        && refused.is_none_or(|changes| changes == self.0.credential_changes.count()) =>
                {
                    let left = until.saturating_sub(now.boot);
                    return Some(Err(error.clone().with_retry_after(Some(left))));
                }
                Phase::Closed => return None,
                Phase::BackingOff { .. } | Phase::Fetching | Phase::Holding => {}
            }
            slot.wanted.notify_one();
            slot.turns.after(turns).await;
        }
    }

    /// Has keepers whose request was refused try again at once: the credential is another one now.
    pub(crate) fn credential_changed(&self) {
        self.0.credential_changes.raise();
    }

    /// Returns a look at every slot, sorted.
    pub(crate) fn status(&self) -> Vec<SlotStatus> {
        let now = self.now();
        let mut status: Vec<SlotStatus> = self.0.slots.load().values().map(|slot| slot.status(now)).collect();
        let order = |key: &TokenKey| (key.scope().map(ToString::to_string), key.lifetime());
        status.sort_by_cached_key(|slot| order(&slot.key));
        status
    }

    pub(crate) fn now(&self) -> Moment {
        self.0.clock.now()
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.0.closed.raise();
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("issuer", &self.0.issuer)
            .field("slots", &self.status())
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Returns the slot for a key; makes it, and starts its keeper, when there is none.
    fn slot(self: &Arc<Self>, key: &TokenKey, owner: Option<&str>) -> Result<Arc<Slot>, Error> {
        if let Some(slot) = self.find(key) {
            return Ok(slot);
        }
        let slot = {
            let _exchanging = self.exchange.lock().unwrap_or_else(PoisonError::into_inner);
            // Another caller may have made it between the look and the lock.
            if let Some(slot) = self.find(key) {
                return Ok(slot);
            }
            let slots = self.slots.load();
            self.admit(&slots, owner)?;
            let slot = Arc::new(Slot::new(key.clone(), owner));
            let mut grown = HashMap::clone(&slots);
            grown.insert(key.clone(), Arc::clone(&slot));
            self.slots.store(Arc::new(grown));
            slot
        };
        // Not under the lock: where the task cannot be started the keeper is dropped on the spot, and takes the slot
        // out of the table again.
        let keeper = Keeper::new(Arc::clone(self), Arc::clone(&slot));
        drop(tokio::spawn(keeper.run().instrument(self.span.clone())));
        Ok(slot)
    }

    /// Decides whether there is room for one more slot, of this owner if there is one. Counted anew each time: slots end by
    /// themselves, and there are few.
    fn admit(&self, slots: &HashMap<TokenKey, Arc<Slot>>, owner: Option<&str>) -> Result<(), Error> {
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

    /// Takes a slot out of the table. The next caller starts anew.
    fn remove(&self, slot: &Arc<Slot>) {
        let _exchanging = self.exchange.lock().unwrap_or_else(PoisonError::into_inner);
        let slots = self.slots.load();
        if slots.get(&slot.key).is_some_and(|current| Arc::ptr_eq(current, slot)) {
            let mut shrunk = HashMap::clone(&slots);
            shrunk.remove(&slot.key);
            self.slots.store(Arc::new(shrunk));
        }
    }

    /// Draws a number from 0 up to 1.
    fn chance(&self) -> f64 {
        self.chance.lock().unwrap_or_else(PoisonError::into_inner).f64()
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
            held: ArcSwapOption::empty(),
            asked: AtomicBool::new(true),
            wake_from: AtomicU64::new(AWAKE),
            phase: ArcSwap::from_pointee(Phase::Fetching),
            turns: Signal::default(),
            wanted: Notify::new(),
        }
    }

    /// The keeper's next step, which all who wait are told of.
    fn turn(&self, phase: Phase) {
        self.phase.store(Arc::new(phase));
        self.turns.raise();
    }

    fn note_asked(&self) {
        // Read before writing: a store by every reader would send the cache line from core to core.
        if !self.asked.load(Ordering::Relaxed) {
            self.asked.store(true, Ordering::Relaxed);
        }
    }

    /// A caller asks: notes it, and returns the token if it may be handed out.
    fn ask(&self, now: Moment) -> Option<AccessToken> {
        self.note_asked();
        let held = self.held.load();
        let held = held.as_ref()?;
        let state = held.state(now);
        if state == State::Due {
            self.wake_keeper(now);
        }
        held.token_at(now)
    }

    /// A due token is about to be refreshed, unless the keeper does not know: its timer stands still while the machine
    /// is suspended, so a caller may be the first to see that it is time. One caller wakes the keeper; the others pass
    /// by.
    fn wake_keeper(&self, now: Moment) {
        let is_time = |wake_from| now.boot.as_millis() >= u128::from(wake_from);
        if is_time(self.wake_from.load(Ordering::Relaxed))
            && is_time(self.wake_from.swap(AWAKE, Ordering::Relaxed))
        {
            self.wanted.notify_one();
        }
    }

    /// Returns the held token if it may be handed out, for those who do not ask for it.
    fn usable(&self, now: Moment) -> Option<AccessToken> {
        self.held.load().as_ref()?.token_at(now)
    }

    fn state(&self, now: Moment) -> State {
        self.held.load().as_ref().map_or(State::Expired, |held| held.state(now))
    }

    fn status(&self, now: Moment) -> SlotStatus {
        let token = self.usable(now);
        let (failures, last_error, retry_in) = match &**self.phase.load() {
            Phase::BackingOff { error, failures, until, .. } => {
                (*failures, Some(error.clone()), Some(until.saturating_sub(now.boot)))
            }
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

impl Held {
    fn state(&self, now: Moment) -> State {
        schedule::state(self.token.left_at(now), self.left_when_due)
    }

    /// Returns the token if it may be handed out.
    fn token_at(&self, now: Moment) -> Option<AccessToken> {
        match self.state(now) {
            State::Fresh | State::Due => Some(self.token.clone()),
            State::Expired => None,
        }
    }
}

#[cfg(test)]
mod tests;
