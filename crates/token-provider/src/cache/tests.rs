//! The cache with a scripted issuer, in paused time: what callers get, and how many requests that takes.

mod clocks;
mod failures;
mod flight;
mod reports;
mod runtimes;

use tokio::time::{Instant, advance, sleep};

use super::*;
use crate::error::TokenErrorKind;
use crate::issuer::{Issue, Issued};
use crate::testing::TestClock;

const HOUR: Duration = Duration::from_secs(3600);

/// What the scripted issuer does with one request.
enum Step {
    /// Answers after a while.
    Answer(Duration, Result<Issued, TokenError>),
    Panic,
    PanicBeforeTheFuture,
    Hang,
}

/// Answers the `n`th request (from 1) as its script says.
struct Scripted {
    script: Box<dyn Fn(usize) -> Step + Send + Sync>,
    log: Mutex<Vec<Instant>>,
}

impl Scripted {
    fn count(&self) -> usize {
        self.log.lock().expect("no test panics with it").len()
    }

    /// Seconds between one request and the next.
    fn gaps(&self) -> Vec<f64> {
        let log = self.log.lock().expect("no test panics with it");
        log.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect()
    }
}

impl Issue for Scripted {
    fn issue(&self, _key: &TokenKey) -> impl Future<Output = Result<Issued, TokenError>> + Send {
        self.log.lock().expect("no test panics with it").push(Instant::now());
        let step = (self.script)(self.count());
        assert!(!matches!(step, Step::PanicBeforeTheFuture), "planted panic");
        async move {
            match step {
                Step::Answer(after, answer) => {
                    sleep(after).await;
                    answer
                }
                Step::Hang => std::future::pending().await,
                Step::Panic | Step::PanicBeforeTheFuture => panic!("planted panic"),
            }
        }
    }
}

/// A cache, and what a test turns it with.
struct Bench {
    cache: Arc<Cache>,
    clock: TestClock,
    issuer: Arc<Scripted>,
}

impl Bench {
    fn new(script: impl Fn(usize) -> Step + Send + Sync + 'static) -> Self {
        Self::with_slots(512, script)
    }

    fn with_slots(max_slots: usize, script: impl Fn(usize) -> Step + Send + Sync + 'static) -> Self {
        let issuer = Arc::new(Scripted { script: Box::new(script), log: Mutex::default() });
        let clock = TestClock::new();
        let shared = AnyIssuer::new(Arc::clone(&issuer));
        let cache = Arc::new(Cache::new(shared, Arc::new(clock.clone()), max_slots, Some(1)));
        Self { cache, clock, issuer }
    }

    /// Asks as a caller of the provider does.
    async fn ask(&self, key: &TokenKey) -> Result<AccessToken, TokenError> {
        match self.cache.held(key, self.cache.now()) {
            Some(token) => Ok(token),
            None => self.cache.wait(key, None).await,
        }
    }

    /// Asks, and expects the answer without any wait.
    async fn ask_at_once(&self, key: &TokenKey) -> Result<AccessToken, TokenError> {
        let asked_at = Instant::now();
        let answer = self.ask(key).await;
        assert_eq!(Instant::now(), asked_at, "the caller had to wait");
        answer
    }

    fn slots(&self) -> usize {
        self.cache.status().len()
    }
}

fn hour() -> TokenKey {
    TokenKey::default()
}

fn key(seconds: u64) -> TokenKey {
    TokenKey::new(Duration::from_secs(seconds)).expect("is in range")
}

fn token(expires_in: u64) -> Step {
    token_after(0.0, expires_in)
}

/// A token of its own text, answered after so many seconds.
fn token_after(seconds: f64, expires_in: u64) -> Step {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let text = format!("planted.{}", MADE.fetch_add(1, Ordering::Relaxed));
    Step::Answer(Duration::from_secs_f64(seconds), Ok(Issued::new(text, Duration::from_secs(expires_in))))
}

fn failure(kind: TokenErrorKind) -> Step {
    failure_after(0.0, kind)
}

fn failure_after(seconds: f64, kind: TokenErrorKind) -> Step {
    Step::Answer(Duration::from_secs_f64(seconds), Err(TokenError::new(kind, "planted failure")))
}

const DOWN: TokenErrorKind = TokenErrorKind::Unreachable;
const REFUSED: TokenErrorKind = TokenErrorKind::Rejected { status: 401, code: Some(401_300) };

/// Lets tasks run that are ready, without time passing.
async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

/// Lets time pass in steps, so that timers fire at their own time.
async fn pass(span: Duration) {
    sleep(span).await;
    settle().await;
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}
