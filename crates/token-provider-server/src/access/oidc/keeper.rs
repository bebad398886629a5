//! Keeps the identity provider's keys at hand: one task asks for them, ahead of their end, again after a failure, and
//! when a token names a key that is not among them.
//!
//! Callers look at the keys without a lock. Nobody waits while usable keys are held, except the caller whose token names
//! an unknown key; and however many tokens name unknown keys, the provider is asked once in a while only.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use futures_util::FutureExt as _;
use token_provider::{Clock, Moment};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::key_set::KeySet;
use super::provider::{FetchError, Fetched};

/// Keys are asked for again when this much of their time has passed, in percent; give or take [`JITTER`], so that the
/// servers of a fleet, started together, do not ask together.
const DUE_AT: u32 = 80;
const JITTER: u32 = 5;
/// Keys go on being used for so long after their end while the provider cannot be asked: time to notice and mend it.
/// (Whoever has to sign in there cannot, meanwhile; this is for tokens given before, and for a provider that only this
/// server cannot reach.)
const STALE_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// Tokens with an unknown key have the provider asked once in this time, at most: such a token costs its sender nothing.
pub(super) const COOL_DOWN: Duration = Duration::from_secs(30);
/// A caller waits this long for keys, as for a token.
pub(super) const CALLER_PATIENCE: Duration = Duration::from_secs(10);
/// The net under the provider's own time-outs, of 10 s for each of two requests.
const LONGEST_FETCH: Duration = Duration::from_secs(30);
/// After a first failure: it may have been the network.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// After many.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Timers stand still while the machine is suspended: the clock is looked at again at least this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// The keys, and the task that keeps them. Dropping it ends the task.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    task: AbortHandle,
}

/// Keys that were received; before any were, none, and not usable.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) set: KeySet,
    usable_until: Option<Moment>,
    /// When they were asked for.
    sent_at: Option<Moment>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    held: ArcSwap<Held>,
    flight: Mutex<Flight>,
    wake: Notify,
    /// Whether the last fetch brought keys.
    is_up: AtomicBool,
    /// How many fetches have come to an end.
    ended: watch::Sender<u64>,
}

/// The one request that may be under way. Times are by the boot clock.
struct Flight {
    /// From the moment somebody wants it: who comes later waits for the same one.
    is_under_way: bool,
    /// After a failure, nobody without keys has the provider asked before this.
    retry_at: Duration,
    /// The next time that an unknown key may have it asked.
    unknown_key_at: Duration,
}

/// Why the provider will not be asked now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotNow {
    /// When it makes sense to come again.
    pub(super) retry_after: Duration,
}

/// What a caller lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lack {
    /// Usable keys.
    Keys,
    /// The key that its token names.
    ThisKey,
}

impl Keeper {
    /// Starts asking. Needs a Tokio runtime.
    pub(super) fn start<F, A>(fetch: F, clock: Arc<dyn Clock>) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = Result<Fetched, FetchError>> + Send + 'static,
    {
        let shared = Arc::new(Shared {
            clock,
            held: ArcSwap::default(),
            // The first request is made at once.
            flight: Mutex::new(Flight {
                is_under_way: true,
                retry_at: Duration::ZERO,
                unknown_key_at: Duration::ZERO,
            }),
            wake: Notify::new(),
            is_up: AtomicBool::new(false),
            ended: watch::Sender::new(0),
        });
        let task = tokio::spawn(keep(Arc::clone(&shared), fetch)).abort_handle();
        Self { shared, task }
    }

    /// Returns the keys, unless there are none that may be used any more.
    pub(super) fn usable(&self, now: Moment) -> Option<Guard<Arc<Held>>> {
        let held = self.shared.held.load();
        let is_usable = held.usable_until.is_some_and(|until| !until.left_at(now).is_zero());
        is_usable.then_some(held)
    }

    /// Returns whether the provider, when it was last asked, had keys that can be used.
    pub(super) fn is_up(&self) -> bool {
        self.shared.is_up.load(Ordering::Relaxed)
    }

    /// Says whether the keys were asked for after a token was signed, or after it came in: then its key would be among
    /// them. Of a token that does not say when it was signed it is assumed.
    pub(super) fn would_have_key(&self, issued_at: Option<Duration>, came_in: Moment) -> bool {
        self.shared.held.load().sent_at.is_some_and(|sent_at| {
            sent_at.boot >= came_in.boot || issued_at.is_none_or(|issued_at| issued_at < sent_at.wall)
        })
    }

    /// Waits for the provider to be asked, where that may be done. Afterwards there may be other keys.
    pub(super) async fn refresh(&self, lack: Lack, deadline: Instant) -> Result<(), NotNow> {
        let mut ended = {
            let mut flight = self.shared.flight();
            if !flight.is_under_way {
                let now = self.shared.clock.now().boot;
                let may_ask_at = match lack {
                    Lack::Keys => flight.retry_at,
                    Lack::ThisKey => flight.unknown_key_at,
                };
                let retry_after = may_ask_at.saturating_sub(now);
                if !retry_after.is_zero() {
                    return Err(NotNow { retry_after });
                }
                if lack == Lack::ThisKey {
                    flight.unknown_key_at = now.saturating_add(COOL_DOWN);
                }
                flight.is_under_way = true;
                self.shared.wake.notify_one();
            }
            // Before the lock is given back, so that the end is not missed.
            self.shared.ended.subscribe()
        };
        match tokio::time::timeout_at(deadline, ended.changed()).await {
            Ok(_) => Ok(()),
            Err(_elapsed) => Err(NotNow { retry_after: FIRST_PAUSE }),
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("held", &self.shared.held.load()).finish_non_exhaustive()
    }
}

impl Shared {
    fn flight(&self) -> MutexGuard<'_, Flight> {
        self.flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes new keys into use. What they say counts, even if they say that there are none.
    fn take(&self, fetched: Fetched, sent_at: Moment) {
        let Fetched { keys, age } = fetched;
        let old = self.held.load();
        let (new, gone) = (keys.count_not_in(&old.set), old.set.count_not_in(&keys));
        if keys.len() == 0 {
            tracing::warn!(
                "the identity provider has no key that can be used: none of its tokens is accepted"
            );
        } else if new + gone > 0 {
            tracing::info!(keys = keys.len(), new, gone, "the identity provider's keys were received");
        }
        let usable_until = sent_at.after(age).after(STALE_FOR);
        self.held.store(Arc::new(Held {
            set: keys,
            usable_until: Some(usable_until),
            sent_at: Some(sent_at),
        }));
    }

    fn end(&self, retry_at: Duration) {
        let mut flight = self.flight();
        flight.is_under_way = false;
        flight.retry_at = retry_at;
        self.ended.send_modify(|ended| *ended += 1);
    }

    /// Sleeps until that time, or until somebody wants the provider asked.
    async fn sleep_until(&self, boot: Duration) {
        loop {
            let left = boot.saturating_sub(self.clock.now().boot);
            if left.is_zero() || self.flight().is_under_way {
                return;
            }
            tokio::select! {
                () = self.wake.notified() => {}
                () = tokio::time::sleep(left.min(LONGEST_SLEEP)) => {}
            }
        }
    }
}

async fn keep<F, A>(shared: Arc<Shared>, fetch: F)
where
    F: Fn() -> A,
    A: Future<Output = Result<Fetched, FetchError>>,
{
    let mut failures = 0;
    loop {
        shared.flight().is_under_way = true;
        // Before the request, so that the time on the way counts against the keys.
        let sent_at = shared.clock.now();
        let attempt = AssertUnwindSafe(async { fetch().await }).catch_unwind();
        let result = match tokio::time::timeout(LONGEST_FETCH, attempt).await {
            Ok(result) => result.unwrap_or(Err(FetchError::Panicked)),
            Err(_elapsed) => Err(FetchError::Endless),
        };
        let has_keys = result.as_ref().is_ok_and(|fetched| fetched.keys.len() > 0);
        shared.is_up.store(has_keys, Ordering::Relaxed);
        let next_at = match result {
            Ok(fetched) => {
                failures = 0;
                let due_in = due_in(fetched.age, fastrand::f64());
                shared.take(fetched, sent_at);
                shared.end(Duration::ZERO);
                sent_at.boot.saturating_add(due_in)
            }
            Err(error) => {
                failures += 1;
                let pause = pause(failures, fastrand::f64());
                tracing::warn!(
                    %error,
                    cause = error.causes(),
                    failures,
                    retry_in = pause.as_secs_f64(),
                    "no keys from the identity provider"
                );
                let retry_at = shared.clock.now().boot.saturating_add(pause);
                shared.end(retry_at);
                retry_at
            }
        };
        shared.sleep_until(next_at).await;
    }
}

/// When keys of that age are asked for again. `chance` is from 0 to 1.
fn due_in(age: Duration, chance: f64) -> Duration {
    let percent = f64::from(DUE_AT) + f64::from(JITTER) * (2.0 * chance - 1.0);
    age.mul_f64(percent / 100.0)
}

/// How long to leave the provider alone after so many failures: twice as long each time, and somewhere in the upper half
/// of that.
fn pause(failures: u32, chance: f64) -> Duration {
    let longest =
        FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1))).min(LONGEST_PAUSE);
    longest.mul_f64(0.5 + chance / 2.0)
}
