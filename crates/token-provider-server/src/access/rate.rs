//! Token buckets: one for each API key, one for each name that another way of authenticating vouches for, and one for each
//! address of those without a name.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::{Clock as _, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{NotUntil, Quota, RateLimiter};

use crate::config::RateConfig;
use crate::problem::Problem;

type Instant = <MonotonicClock as governor::clock::Clock>::Instant;

/// After so many requests, the buckets of those who have been quiet are forgotten: memory stays bounded by traffic.
const SWEEP_EVERY: u32 = 4096;

/// The buckets of the callers that one policy is for.
#[derive(Debug)]
pub(super) enum Limiter {
    /// There is only one.
    One(Bucket),
    /// Each has its own, by its name.
    Each(Buckets<Arc<str>>),
}

/// One caller's bucket.
#[derive(Debug)]
pub(super) struct Bucket(RateLimiter<NotKeyed, InMemoryState, MonotonicClock, NoOpMiddleware<Instant>>);

/// A bucket for each key.
#[derive(Debug)]
pub(super) struct Buckets<K: Hash + Eq + Clone> {
    buckets: RateLimiter<K, DashMapStateStore<K>, MonotonicClock, NoOpMiddleware<Instant>>,
    taken: AtomicU32,
}

/// A bucket for each address, and one for all callers without an address: those at a Unix socket.
#[derive(Debug)]
pub(super) struct AddressLimiter(Buckets<Option<IpAddr>>);

impl Limiter {
    /// For one caller.
    pub(super) fn one(rate: RateConfig) -> Self {
        Self::One(Bucket(RateLimiter::direct_with_clock(quota(rate), MonotonicClock)))
    }

    /// For callers that are told apart by their names.
    pub(super) fn each(rate: RateConfig) -> Self {
        Self::Each(Buckets::new(rate))
    }

    /// Takes one from the bucket of the caller of this name.
    pub(super) fn take(&self, name: &Arc<str>) -> Result<(), Problem> {
        match self {
            Self::One(bucket) => bucket.0.check().map_err(|until| too_fast(&until)),
            Self::Each(buckets) => buckets.take(name),
        }
    }
}

impl AddressLimiter {
    pub(super) fn new(rate: RateConfig) -> Self {
        Self(Buckets::new(rate))
    }

    /// Takes one from the bucket of an address.
    pub(super) fn take(&self, address: Option<IpAddr>) -> Result<(), Problem> {
        self.0.take(&address.map(network_of))
    }
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    fn new(rate: RateConfig) -> Self {
        let buckets = RateLimiter::new(quota(rate), DashMapStateStore::default(), MonotonicClock);
        Self { buckets, taken: AtomicU32::new(0) }
    }

    fn take(&self, key: &K) -> Result<(), Problem> {
        if self.taken.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            self.buckets.retain_recent();
            self.buckets.shrink_to_fit();
        }
        self.buckets.check_key(key).map_err(|until| too_fast(&until))
    }
}

/// An IPv6 customer has a /64 at least, and could come from another address of it each time.
pub(super) fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

/// `count` in every `per`, and `burst` at once after a quiet time.
fn quota(rate: RateConfig) -> Quota {
    let interval = rate.per / rate.count.get();
    // A rate of more than one each nanosecond is none; the configuration does not allow for it.
    let interval = interval.max(Duration::from_nanos(1));
    Quota::with_period(interval).unwrap_or(Quota::per_second(NonZeroU32::MAX)).allow_burst(rate.burst)
}

fn too_fast(until: &NotUntil<Instant>) -> Problem {
    Problem::slow_down(until.wait_time_from(MonotonicClock.now()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(count: u32, per: Duration, burst: u32) -> RateConfig {
        let non_zero = |number| NonZeroU32::new(number).expect("is not zero");
        RateConfig { count: non_zero(count), per, burst: non_zero(burst) }
    }

    #[test]
    fn bucket_holds_its_burst_and_then_says_how_long() {
        let (limiter, name) = (Limiter::one(rate(1, Duration::from_secs(3600), 3)), Arc::from("a"));
        for _ in 0..3 {
            assert!(limiter.take(&name).is_ok());
        }
        let problem = limiter.take(&name).expect_err("the bucket is empty");
        assert_eq!((problem.status().as_u16(), problem.code()), (429, "slow_down"));
        let retry_after = problem.retry_after().expect("it is known when");
        assert!(retry_after > Duration::from_secs(3590) && retry_after <= Duration::from_secs(3600));
    }

    #[test]
    fn names_have_buckets_of_their_own() {
        let limiter = Limiter::each(rate(1, Duration::from_secs(3600), 1));
        for (name, admitted) in
            [("alice", true), ("alice", false), ("bob", true), ("bob", false), ("Bob", true)]
        {
            assert_eq!(limiter.take(&Arc::from(name)).is_ok(), admitted, "{name}");
        }
    }

    #[test]
    fn addresses_have_buckets_of_their_own_and_ipv6_by_network() {
        let limiter = AddressLimiter::new(rate(1, Duration::from_secs(3600), 1));
        let table = [
            ("192.0.2.1", true),
            ("192.0.2.1", false),
            ("none", true),
            ("none", false),
            ("::ffff:192.0.2.1", false),
            ("192.0.2.2", true),
            ("2001:db8:0:1::1", true),
            ("2001:db8:0:1:ffff::2", false),
            ("2001:db8:0:2::1", true),
        ];
        for (address, admitted) in table {
            assert_eq!(limiter.take(address.parse().ok()).is_ok(), admitted, "{address}");
        }
    }

    #[test]
    fn quiet_addresses_are_forgotten() {
        let limiter = AddressLimiter::new(rate(1_000_000, Duration::from_millis(1), 1));
        for number in 0..3 * SWEEP_EVERY {
            let _ = limiter.take(Some(IpAddr::from(std::net::Ipv4Addr::from(number))));
        }
        let held = limiter.0.buckets.len();
        assert!(held < 2 * SWEEP_EVERY as usize, "{held} held");
    }
}
