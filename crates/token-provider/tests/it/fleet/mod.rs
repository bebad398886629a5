//! A simulated fleet: servers that share a store, an issuer with moods, callers, and a judge who holds the fleet to its promises.
//! As in `world`, everything follows from a seed, and time is Tokio's paused time. See README.md.

#![expect(
    clippy::indexing_slicing,
    reason = "a test's own tables; an index that is wrong should panic, in the example as in the tests"
)]

mod judge;
mod life;
mod store;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use token_provider::{
    Issue, Issued, ReportOutcome, SharedIssuer, Store as _, TestClock, TokenError, TokenErrorKind, TokenKey,
    TokenProvider,
};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use self::judge::{Flight, Judge};
use self::life::Life;
use self::store::{Handle, Shelf, Weather};

/// A server looks at the reports in the store at most this often, however many notices there are.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// What one life of a fleet came to.
pub(crate) struct Report {
    pub(crate) seed: u64,
    /// How much time went by.
    pub(crate) simulated: Duration,
    pub(crate) counts: Counts,
    /// Stands for everything that happened, in order; equal for equal seeds.
    pub(crate) trace: u64,
    /// Broken promises, with what went before the first of them.
    pub(crate) violations: Vec<String>,
}

#[derive(Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) servers: u64,
    pub(crate) handouts: u64,
    /// Handouts of a token that another server requested.
    pub(crate) shared: u64,
    pub(crate) requests: u64,
    /// Requests that brought a token.
    pub(crate) tokens: u64,
    pub(crate) reports: u64,
    pub(crate) faults: u64,
}

/// How the issuer behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sky {
    Fair,
    /// Takes seconds.
    Slow,
    Unreachable,
    Failing(Option<u64>),
    /// After seconds.
    FailingSlowly,
    /// Refuses the credential, with a number.
    Refusing,
}

/// What all servers share.
struct World {
    start: Instant,
    /// And until when. It is fair then.
    sky: Mutex<(Sky, Duration)>,
    rng: Mutex<Rng>,
    machines: Vec<Arc<Machine>>,
    shelf: Mutex<Shelf>,
    judge: Mutex<Judge>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn judge(&self) -> MutexGuard<'_, Judge> {
        locked(&self.judge)
    }

    fn sky(&self) -> Sky {
        let (sky, until) = *locked(&self.sky);
        if until <= self.now() { Sky::Fair } else { sky }
    }

    /// Since when the issuer has answered everybody within 0.4 s.
    fn fair_since(&self) -> Option<Duration> {
        let (_, until) = *locked(&self.sky);
        (until <= self.now()).then_some(until)
    }

    /// Whether the store answers, and each server can read what the others write.
    fn is_store_fair(&self) -> bool {
        let written: Vec<_> = self.machines.iter().map(|machine| locked(&machine.keys).writes).collect();
        let reads_all =
            |machine: &Arc<Machine>| written.iter().all(|key| locked(&machine.keys).can_read(*key));
        locked(&self.shelf).weather == Weather::Fair && self.machines.iter().all(reads_all)
    }
}

/// What a server is, apart from its process: it outlives a crash.
pub(crate) struct Machine {
    number: usize,
    clock: TestClock,
    /// By how much its wall clock is off, in seconds.
    is_off_by: Mutex<i64>,
    /// Which credential it has, counted from 1.
    generation: Mutex<u64>,
    keys: Mutex<Keys>,
    /// While the process is stopped it neither hears nor says anything.
    stopped_until: Mutex<Duration>,
    /// Somebody said that there is a report.
    notice: Notify,
    process: Mutex<Option<Process>>,
}

/// The key file of a server's store, counted by generations of keys.
#[derive(Clone, Copy)]
struct Keys {
    writes: u64,
    oldest: u64,
    newest: u64,
}

impl Keys {
    fn can_read(self, key: u64) -> bool {
        (self.oldest..=self.newest).contains(&key)
    }
}

struct Process {
    provider: TokenProvider,
    /// Heeds notices.
    task: AbortHandle,
}

impl Drop for Process {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Machine {
    fn new(number: usize) -> Arc<Self> {
        Arc::new(Self {
            number,
            clock: TestClock::new(),
            is_off_by: Mutex::default(),
            generation: Mutex::new(1),
            keys: Mutex::new(Keys { writes: 1, oldest: 1, newest: 1 }),
            stopped_until: Mutex::default(),
            notice: Notify::new(),
            process: Mutex::default(),
        })
    }

    fn generation(&self) -> u64 {
        *locked(&self.generation)
    }

    fn kind(&self, key: &TokenKey) -> (u64, u64) {
        (self.generation(), key.lifetime().as_secs())
    }

    fn provider(&self) -> TokenProvider {
        locked(&self.process).as_ref().expect("it has been started").provider.clone()
    }

    fn is_stopped(&self, world: &World) -> bool {
        *locked(&self.stopped_until) > world.now()
    }

    /// Waits while the process is stopped.
    async fn runs(&self, world: &World) {
        loop {
            let left = locked(&self.stopped_until).saturating_sub(world.now());
            if left.is_zero() {
                return;
            }
            sleep(left).await;
        }
    }
}

/// The issuer, as one server reaches it.
struct Here {
    world: Arc<World>,
    machine: Arc<Machine>,
}

impl Issue for Here {
    async fn issue(&self, key: &TokenKey) -> Result<Issued, TokenError> {
        let flight = Flight::begin(&self.world, &self.machine, key);
        let (sky, millis) = (self.world.sky(), locked(&self.world.rng).u64(20..400));
        sleep(Duration::from_millis(if matches!(sky, Sky::Slow | Sky::FailingSlowly) {
            millis * 24
        } else {
            millis
        }))
        .await;
        self.machine.runs(&self.world).await;
        let error = |kind, retry_after: Option<u64>| {
            TokenError::new(kind, "the sky").with_retry_after(retry_after.map(Duration::from_secs))
        };
        let error = match sky {
            Sky::Fair | Sky::Slow => return Ok(Issued::new(flight.grant(), key.lifetime())),
            Sky::Unreachable => error(TokenErrorKind::Unreachable, None),
            Sky::Failing(asked) => error(TokenErrorKind::Unavailable { status: 503 }, asked),
            Sky::FailingSlowly => error(TokenErrorKind::Unavailable { status: 504 }, None),
            Sky::Refusing => error(TokenErrorKind::Rejected { status: 401, code: Some(401_300) }, None),
        };
        flight.fail(&error);
        Err(error)
    }
}

/// Starts a server's process, in place of the one before.
fn start(world: &Arc<World>, machine: &Arc<Machine>, seed: u64) {
    let store = || Handle { world: Arc::clone(world), machine: Arc::clone(machine) };
    let here = Here { world: Arc::clone(world), machine: Arc::clone(machine) };
    let shared = SharedIssuer::new(here, store()).clock(machine.clock.clone());
    let provider = TokenProvider::builder(shared).clock(machine.clock.clone()).jitter_seed(seed).build();
    let task = tokio::spawn(heed(store(), provider.clone())).abort_handle();
    *locked(&machine.process) = Some(Process { provider, task });
}

/// Passes on what was reported at other servers, as the server's own task does. Never returns.
async fn heed(store: Handle, provider: TokenProvider) {
    loop {
        store.machine.notice.notified().await;
        for token in provider.status().into_iter().filter_map(|status| status.token) {
            let fingerprint = token.fingerprint();
            if !store.is_reported(fingerprint).await {
                continue;
            }
            if provider.report(&token) == ReportOutcome::Limited {
                store.world.judge().acts_later(&store.machine, fingerprint, store.world.now());
            }
        }
        sleep(BETWEEN_LOOKS).await;
    }
}

/// Lives one life of a fleet of at most so many servers.
pub(crate) fn run(seed: u64, max_servers: usize) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime without input and output needs nothing");
    runtime.block_on(async { Life::new(seed, max_servers).live(seed).await })
}
