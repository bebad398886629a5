//! Keeps the identity provider's keys fresh: one task requests them every ten minutes, again after a failure, and when a
//! token names a key that is not among them.
//!
//! Nobody waits while usable keys are held, except the caller whose token names an unknown key; and however many tokens
//! name unknown keys, they cause one request in [`COOL_DOWN`].

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use token_provider::{Clock, Moment};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use super::keys::KeySet;
use super::provider::FetchError;
use crate::printable::causes;

/// How often the keys are requested; give or take a tenth, so that the servers of a fleet, started together, do not all ask
/// at once. While the provider answers, a withdrawn key is accepted for eleven minutes at most; while it does not, for
/// [`USABLE_FOR`].
pub(super) const REFRESH_EVERY: Duration = Duration::from_secs(10 * 60);
/// How often keys in a file are read.
pub(super) const FILE_EVERY: Duration = Duration::from_secs(2);
/// Keys are used for so long while the provider is away: time to notice and fix it. (Those who have to sign in there cannot,
/// meanwhile; this is for tokens issued before, and for a provider that only this server cannot reach.)
pub(super) const USABLE_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// Tokens with an unknown key cause one request in this time, at most: such a token costs its sender nothing.
pub(super) const COOL_DOWN: Duration = Duration::from_secs(30);
/// A caller waits this long for keys, as for a token.
pub(super) const CALLER_TIMEOUT: Duration = Duration::from_secs(10);
/// A request that takes longer has failed. The provider's own time-outs, 10 s for each of two requests, should end it before.
const LONGEST_FETCH: Duration = Duration::from_secs(30);
/// After a first failure: it may have been the network.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// After many.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Timers stop while the machine is suspended, so the clock is read at least this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

const NO_KEY: &str = "the identity provider has no usable key; none of its tokens are accepted";

/// One request for the keys.
pub(super) type Fetch = Box<dyn Fn() -> BoxFuture<'static, Result<KeySet, FetchError>> + Send + Sync>;

/// The keys, and the task that refreshes them. Dropping it ends the task.
#[derive(Debug)]
pub(super) struct KeyRefresher {
    state: Arc<watch::Sender<State>>,
    clock: Arc<dyn Clock>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Debug, Default)]
struct State {
    keys: Arc<KeySet>,
    /// When the keys were requested; `None` before any were received.
    sent_at: Option<Moment>,
    /// Why the last answer brought none.
    problem: Option<String>,
    /// From the moment that a caller wants it: those that come later wait for the same request.
    is_fetching: bool,
    /// Before this, by the boot clock, callers cause no request.
    may_fetch_at: Duration,
}

impl KeyRefresher {
    /// Spawns the task, which requests keys at once. Needs a Tokio runtime.
    pub(super) fn spawn(fetch: Fetch, every: Duration, clock: Arc<dyn Clock>) -> Self {
        let problem = Some("the identity provider has not answered yet".to_owned());
        let state = Arc::new(watch::Sender::new(State { is_fetching: true, problem, ..State::default() }));
        let task =
            tokio::spawn(keep_fresh(Arc::clone(&state), Arc::clone(&clock), fetch, every).in_current_span());
        Self { state, clock, _task: AbortOnDropHandle::new(task) }
    }

    /// Returns the keys, unless there are none that may still be used.
    pub(super) fn usable(&self) -> Option<Arc<KeySet>> {
        let state = self.state.borrow();
        let until = state.sent_at?.after(USABLE_FOR);
        (!until.remaining(self.clock.now()).is_zero()).then(|| Arc::clone(&state.keys))
    }

    /// Returns why the provider's last answer brought no keys that can be used.
    pub(super) fn problem(&self) -> Option<String> {
        self.state.borrow().problem.clone()
    }

    /// Returns whether the keys were requested after a token was signed, or after it came in: then its key would be among
    /// them. A token that does not say when it was signed is taken for older.
    pub(super) fn are_newer_than(&self, issued_at: Option<Duration>, came_in: Moment) -> bool {
        self.state.borrow().sent_at.is_some_and(|sent_at| {
            sent_at.boot >= came_in.boot || issued_at.is_none_or(|issued_at| issued_at < sent_at.wall)
        })
    }

    /// Waits for the request under way, or causes one. Afterwards there may be other keys.
    ///
    /// # Errors
    ///
    /// How long to wait before retrying, if no request may be made yet or none finished by the deadline.
    pub(super) async fn refresh(&self, deadline: Instant) -> Result<(), Duration> {
        let now = self.clock.now().boot;
        let mut retry_after = Duration::ZERO;
        self.state.send_if_modified(|state| {
            if state.is_fetching {
                return false;
            }
            retry_after = state.may_fetch_at.saturating_sub(now);
            if retry_after.is_zero() {
                state.is_fetching = true;
                state.may_fetch_at = now.saturating_add(COOL_DOWN);
            }
            state.is_fetching
        });
        if !retry_after.is_zero() {
            return Err(retry_after);
        }
        let mut state = self.state.subscribe();
        let ended = timeout_at(deadline, state.wait_for(|state| !state.is_fetching)).await;
        ended.map(drop).map_err(|_elapsed| FIRST_PAUSE)
    }
}

async fn keep_fresh(state: Arc<watch::Sender<State>>, clock: Arc<dyn Clock>, fetch: Fetch, every: Duration) {
    let mut failures = 0;
    loop {
        let sent_at = clock.now();
        let fetched = timeout(LONGEST_FETCH, AssertUnwindSafe(async { fetch().await }).catch_unwind()).await;
        let fetched =
            fetched.unwrap_or_else(|_elapsed| Ok(Err(FetchError::new("no answer within 30 seconds"))));
        let pause = match fetched.unwrap_or_else(|_panic| Err(FetchError::new("the request panicked"))) {
            Ok(keys) => {
                failures = 0;
                log_received(&keys, &state.borrow());
                state.send_modify(|state| {
                    state.problem = (keys.len() == 0).then(|| NO_KEY.to_owned());
                    state.keys = Arc::new(keys);
                    state.sent_at = Some(sent_at);
                    state.is_fetching = false;
                });
                every.mul_f64(0.9 + fastrand::f64() / 5.0)
            }
            Err(error) => {
                failures += 1;
                let pause = pause_after(failures).min(every);
                let problem = Some(error.to_string());
                // A file is read so often that what is wrong with it is said once.
                if every > LONGEST_PAUSE || state.borrow().problem != problem {
                    let cause = Some(causes(&error).join(": ")).filter(|cause| !cause.is_empty());
                    let retry_in = pause.as_secs_f64();
                    tracing::warn!(%error, cause, failures, retry_in, "cannot fetch the identity provider's keys; retrying");
                }
                let retry_at = clock.now().boot.saturating_add(pause);
                state.send_modify(|state| {
                    state.problem = problem;
                    state.is_fetching = false;
                    state.may_fetch_at = state.may_fetch_at.max(retry_at);
                });
                pause
            }
        };
        sleep(pause, &state, &*clock).await;
        state.send_modify(|state| state.is_fetching = true);
    }
}

/// Sleeps for that time, by the boot clock, or until a caller wants keys.
async fn sleep(span: Duration, state: &watch::Sender<State>, clock: &dyn Clock) {
    let until = clock.now().boot.saturating_add(span);
    let mut state = state.subscribe();
    loop {
        let left = until.saturating_sub(clock.now().boot).min(LONGEST_SLEEP);
        if left.is_zero() || timeout(left, state.wait_for(|state| state.is_fetching)).await.is_ok() {
            return;
        }
    }
}

/// Twice as long each time, and somewhere in the upper half of that.
fn pause_after(failures: u32) -> Duration {
    let longest = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(failures - 1)).min(LONGEST_PAUSE);
    longest.mul_f64(0.5 + fastrand::f64() / 2.0)
}

fn log_received(keys: &KeySet, before: &State) {
    let (new, gone) = (keys.count_not_in(&before.keys), before.keys.count_not_in(keys));
    if keys.len() > 0 && (new + gone > 0 || before.problem.is_some()) {
        tracing::info!(keys = keys.len(), new, gone, "the identity provider's keys were received");
    } else if keys.len() == 0 && before.problem.as_deref() != Some(NO_KEY) {
        tracing::warn!("{NO_KEY}");
    }
}
