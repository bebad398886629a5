//! What is remembered of verified tokens, and for how long.

use std::time::Duration;

use token_provider::Moment;

use super::support::{Bench, Key, claims, header};
use crate::access::oidc::memory::{Memory, Remembered, hash};

fn at(seconds: u64) -> Moment {
    Moment { wall: Duration::from_secs(1_000_000 + seconds), boot: Duration::from_secs(seconds) }
}

fn until(seconds: u64) -> Remembered {
    Remembered { subject: "somebody".into(), key: [7; 32], missing: None, until: at(seconds) }
}

#[test]
fn token_is_known_until_its_time_on_either_clock() {
    let memory = Memory::new();
    let token = hash(b"a");
    memory.remember(token, until(10), at(0));
    assert_eq!(memory.recall(&token, at(9)), Some(until(10)));
    assert_eq!(memory.recall(&hash(b"b"), at(9)), None);
    assert_eq!(memory.recall(&token, at(10)), None);
    let wall_set_back = Moment { wall: Duration::ZERO, ..at(10) };
    assert_eq!(memory.recall(&token, wall_set_back), None);
    memory.forget(&token);
    assert_eq!(memory.recall(&token, at(0)), None);
}

#[test]
fn only_so_many_tokens_are_kept_and_those_of_most_use() {
    let memory = Memory::new();
    let hashes: Vec<_> = (0..40_000_u64).map(|number| hash(&number.to_be_bytes())).collect();
    // The later, the longer they hold; none has expired.
    for (number, token) in (0..).zip(&hashes) {
        memory.remember(*token, until(1000 + number), at(0));
    }
    let kept: Vec<bool> = hashes.iter().map(|token| memory.recall(token, at(0)).is_some()).collect();
    let count = kept.iter().filter(|kept| **kept).count();
    assert_eq!(count, 16 * 1024);
    assert!(kept[39_000..].iter().all(|kept| *kept), "the newest are kept");
    // Expired ones make room first.
    let new = hash(b"new");
    memory.remember(new, until(50_000), at(41_000));
    assert!(memory.recall(&new, at(41_000)).is_some());
}

#[tokio::test(start_paused = true)]
async fn token_itself_is_not_kept() {
    let key = Key::p256();
    let bench = Bench::new(vec![key.jwk("a")]);
    let token = key.token(&header("ES256", "a"), &claims());
    assert!(bench.judge(&token).await.is_ok());
    let debug = format!("{:?}", bench.oidc);
    assert!(debug.contains("subject"), "something is remembered: {debug}");
    for part in token.split('.') {
        assert!(!debug.contains(part), "{part}");
    }
}
