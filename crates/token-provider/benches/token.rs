//! What a held token costs to get, alone and from two threads, how much of that is reading the clocks, and what one
//! signature costs.
//!
//! `cargo bench --package token-provider`

/// The source itself: signing is no part of what the library shows.
#[allow(dead_code, unused_imports, reason = "a part of it is measured")]
#[path = "../src/sign.rs"]
mod sign;

use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use futures_util::FutureExt as _;
use secrecy::SecretString;
use token_provider::{
    Clock as _, DEFAULT_TOKEN_ENDPOINT_URL, Issue, IssueFuture, Issued, SystemClock, TokenKey, TokenProvider,
};
use url::Url;

/// Hands out the same token each time, for a day.
#[derive(Debug)]
struct AtOnce;

impl Issue for AtOnce {
    fn issue<'a>(&'a self, _: &'a TokenKey) -> IssueFuture<'a> {
        let issued = Issued::new("x".repeat(800), Duration::from_secs(86_400));
        Box::pin(std::future::ready(Ok(issued)))
    }
}

/// Takes a held token: the future is ready when it is first looked at.
fn take(provider: &TokenProvider) {
    let token = provider.token().now_or_never().expect("is held").expect("is a token");
    black_box(token);
}

/// Takes the time, as each handout has to.
fn take_time() {
    black_box(SystemClock.now());
}

fn held_token(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("can be made");
    let provider = TokenProvider::new(AtOnce);
    runtime.block_on(provider.token()).expect("is a token");
    criterion.bench_function("provider.token()", |bencher| bencher.iter(|| take(&provider)));
    criterion.bench_function("provider.token(), two threads", |bencher| {
        bencher.iter_custom(|count| {
            let provider = provider.clone();
            from_two_threads(count, move || take(&provider))
        });
    });
    criterion.bench_function("clocks", |bencher| bencher.iter(take_time));
    criterion.bench_function("clocks, two threads", |bencher| {
        bencher.iter_custom(|count| from_two_threads(count, take_time));
    });
}

/// Has two threads do a thing `count` times each, at the same time. Returns how long the slower one took.
fn from_two_threads(count: u64, thing: impl Fn() + Clone + Send + 'static) -> Duration {
    let start = Arc::new(Barrier::new(2));
    let threads = [thing.clone(), thing].map(|thing| {
        let start = Arc::clone(&start);
        thread::spawn(move || {
            start.wait();
            #[expect(clippy::disallowed_methods, reason = "measures")]
            let began = Instant::now();
            (0..count).for_each(|_| thing());
            began.elapsed()
        })
    });
    threads.map(|thread| thread.join().expect("has ended well")).into_iter().max().unwrap_or_default()
}

fn signature(criterion: &mut Criterion) {
    let url = Url::parse(DEFAULT_TOKEN_ENDPOINT_URL).expect("is well-formed");
    let secret = SecretString::from("not-a-real-secret-".repeat(5));
    let sign = || {
        let nonce = sign::nonce().expect("randomness is there");
        let parameters =
            sign::Parameters { access_key_id: "not-a-real-id", nonce: &nonce, timestamp: 1_767_225_600 };
        sign::authorization("POST", &url, &[], &parameters, &secret)
    };
    criterion.bench_function("signature", |bencher| bencher.iter(|| black_box(sign())));
}

criterion_group!(benches, held_token, signature);
criterion_main!(benches);
