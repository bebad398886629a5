//! Callers of another runtime than the refresher's, whose time passes when the test says so.

use tokio::runtime::Builder;
use tokio::sync::Notify;
use tokio::task::{JoinSet, yield_now};

use super::*;

/// Brings a token once it is told to.
#[derive(Default)]
struct Gated {
    gate: Notify,
    requests: AtomicU64,
}

impl Issue for Gated {
    async fn issue(&self, _key: &TokenKey) -> Result<Issued, TokenError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.gate.notified().await;
        Ok(Issued::new("token", HOUR))
    }
}

#[test]
fn refresher_that_answers_is_not_replaced_however_many_callers_wake_it() {
    let issuer = Arc::new(Gated::default());
    let clock = Arc::new(TestClock::new());
    let cache = Arc::new(Cache::new(AnyIssuer::new(Arc::clone(&issuer)), clock, 512, Some(1)));
    let one = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("can be built");
    one.block_on(async {
        cache.want(&hour()).expect("there is room");
        while issuer.requests.load(Ordering::Relaxed) == 0 {
            yield_now().await;
        }
    });
    let slot = cache.0.find(&hour()).expect("is there");
    let refresher = slot.refresher.load_full().expect("is started");
    let is_replaced = || !Arc::ptr_eq(&slot.refresher.load_full().expect("is there"), &refresher);

    let other = Builder::new_current_thread().enable_all().start_paused(true).build().expect("can be built");
    other.block_on(async {
        let mut callers = JoinSet::new();
        for _ in 0..3 {
            let cache = Arc::clone(&cache);
            callers.spawn(async move { cache.wait(&hour(), None).await });
        }
        for round in 0..5 {
            if round > 0 {
                advance(ANSWER_WITHIN).await;
            }
            // All of them have counted, and woken it. Its next answer is one to each.
            settle().await;
            let answers = refresher.answers.load(Ordering::Acquire);
            refresher.wake();
            while refresher.answers.load(Ordering::Acquire) == answers {
                assert!(!is_replaced(), "by a caller that it has answered");
                yield_now().await;
            }
        }
        issuer.gate.notify_one();
        while cache.held(&hour(), cache.now()).is_none() {
            yield_now().await;
        }
        while let Some(token) = callers.join_next().await {
            assert!(token.expect("did not panic").is_ok());
        }
    });
    assert_eq!(issuer.requests.load(Ordering::Relaxed), 1);
    assert!(!is_replaced());
}
