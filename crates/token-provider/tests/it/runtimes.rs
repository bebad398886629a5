//! Programs with several Tokio runtimes: one that is kept and not driven, one for each blocking call, two side by side.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use token_provider::{Issue, Issued, TestClock, TokenError, TokenErrorKind, TokenKey, TokenProvider};
use tokio::runtime::{Builder, Runtime};

use crate::wire::{Endpoint, Reply, TOKEN, token};

/// One that runs only while something blocks on it.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("can be built")
}

/// An endpoint that runs all the time, with what keeps it running.
fn endpoint(reply: impl Fn(usize) -> Reply + Send + Sync + 'static) -> (Endpoint, Runtime) {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("can be built");
    (runtime.block_on(Endpoint::start(move |number, _| reply(number))), runtime)
}

/// A provider, and a clock that can be moved on with no runtime running.
fn provider(issuer: impl Issue) -> (TokenProvider, TestClock) {
    let clock = TestClock::new();
    (TokenProvider::builder(issuer).clock(clock.clone()).build(), clock)
}

const HALF_EXPIRED: Duration = Duration::from_secs(1800);
const DUE: Duration = Duration::from_secs(3000);
const EXPIRED: Duration = Duration::from_secs(4000);

#[test]
fn caller_makes_the_request_where_the_runtime_of_the_refresher_is_not_driven() {
    let (endpoint, _running) = endpoint(|_| Reply::Keep(token(3600)));
    let (provider, clock) = provider(endpoint.issuer());
    let setup = runtime();
    setup.block_on(provider.token()).expect("is handed out");
    let program = runtime();
    program.block_on(provider.token()).expect("is held");
    assert_eq!(endpoint.requests().len(), 1);
    clock.suspend(EXPIRED);
    let token = program.block_on(provider.token()).expect("the kept connection is of the other runtime");
    assert_eq!((token.expose_secret(), endpoint.requests().len()), (TOKEN, 2));
    // From now on this runtime has the refresher, and the other's is no more.
    clock.suspend(EXPIRED);
    program.block_on(provider.token()).expect("is handed out");
    setup.block_on(provider.token()).expect("is held");
    assert_eq!(endpoint.requests().len(), 3);
}

#[test]
fn request_of_a_runtime_that_is_no_longer_driven_is_made_again() {
    let (endpoint, _running) =
        endpoint(|number| if number == 1 { Reply::Stall(String::new()) } else { Reply::Keep(token(3600)) });
    let (provider, _clock) = provider(endpoint.issuer());
    let setup = runtime();
    setup.block_on(async {
        let asked = tokio::spawn({
            let provider = provider.clone();
            async move { provider.token().await }
        });
        while endpoint.requests().is_empty() {
            tokio::task::yield_now().await;
        }
        asked.abort();
    });
    runtime().block_on(provider.token()).expect("does not wait for the other runtime");
    assert_eq!(endpoint.requests().len(), 2);
}

#[test]
fn runtime_for_each_call_makes_one_request_in_all() {
    let (endpoint, _running) = endpoint(|_| Reply::Keep(token(3600)));
    let (provider, clock) = provider(endpoint.issuer());
    let call = || runtime().block_on(provider.token()).map(|token| token.fingerprint());
    for _ in 0..20 {
        call().expect("is handed out");
    }
    clock.suspend(HALF_EXPIRED);
    call().expect("is held");
    assert_eq!(endpoint.requests().len(), 1);
    // Behind the callers there is no time to refresh it: the first attempt ends with its runtime, and none follows.
    clock.suspend(DUE.saturating_sub(HALF_EXPIRED));
    for _ in 0..20 {
        call().expect("is held");
    }
    let attempts = endpoint.requests().len();
    assert!(attempts <= 2, "{attempts} requests");
    clock.suspend(EXPIRED);
    for _ in 0..20 {
        call().expect("is handed out");
    }
    assert_eq!(endpoint.requests().len(), attempts + 1);
}

#[test]
fn expired_token_of_a_runtime_that_has_ended_makes_room() {
    let (endpoint, _running) = endpoint(|_| Reply::Keep(token(3600)));
    let clock = TestClock::new();
    let provider = TokenProvider::builder(endpoint.issuer()).clock(clock.clone()).max_tokens(2).build();
    let call = |seconds| {
        let key = TokenKey::new(Duration::from_secs(seconds)).expect("is in range");
        runtime().block_on(provider.token_for(&key)).map_err(|error| error.kind())
    };
    assert!(call(3600).is_ok() && call(3599).is_ok());
    assert_eq!(call(3598).expect_err("is one too many"), TokenErrorKind::TooManyTokens);
    clock.suspend(EXPIRED);
    assert!(call(3598).is_ok() && call(3597).is_ok());
    assert_eq!(provider.status().len(), 2);
}

#[test]
fn pause_after_a_failure_outlives_the_runtime() {
    #[derive(Default)]
    struct Down(Arc<AtomicUsize>);
    impl Issue for Down {
        async fn issue(&self, _key: &TokenKey) -> Result<Issued, TokenError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Err(TokenError::new(TokenErrorKind::Rejected { status: 401, code: None }, "no"))
        }
    }
    let issuer = Down::default();
    let requests = Arc::clone(&issuer.0);
    let (provider, clock) = provider(issuer);
    for expected in 1..=3 {
        for _ in 0..10 {
            let error = runtime().block_on(provider.token()).expect_err("is refused");
            assert!(matches!(error.kind(), TokenErrorKind::Rejected { .. }), "{error}");
        }
        assert_eq!(
            (requests.load(Ordering::Relaxed), provider.status()[0].failures),
            (expected, u32::try_from(expected).expect("is small"))
        );
        clock.suspend(Duration::from_secs(67));
    }
}
