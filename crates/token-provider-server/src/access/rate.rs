//! Token buckets: one for each name that a way of authenticating vouches for, and one for each address of those without a
//! name.

use std::hash::Hash;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use governor::clock::Clock as _;
use governor::{DefaultKeyedRateLimiter, Quota};
use ipnet::Ipv6Net;

use crate::problem::Problem;

/// After so many requests, the buckets of those who have been quiet are forgotten: memory stays bounded by traffic.
const SWEEP_EVERY: u32 = 4096;

/// A bucket for each key.
#[derive(Debug)]
pub(super) struct Limiter<K: Hash + Eq + Clone> {
    buckets: DefaultKeyedRateLimiter<K>,
    taken: AtomicU32,
}

impl<K: Hash + Eq + Clone> Limiter<K> {
    pub(super) fn new(quota: Quota) -> Self {
        Self { buckets: DefaultKeyedRateLimiter::keyed(quota), taken: AtomicU32::new(0) }
    }

    /// Takes one from a bucket.
    pub(super) fn take(&self, key: &K) -> Result<(), Problem> {
        if self.taken.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            self.buckets.retain_recent();
            self.buckets.shrink_to_fit();
        }
        let taken = self.buckets.check_key(key);
        taken.map_err(|until| Problem::slow_down(until.wait_time_from(self.buckets.clock().now())))
    }
}

/// An IPv6 customer has a /64 at least, and could come from another address of it each time.
pub(super) fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Net::new_assert(address, 64).network().into(),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::*;

    fn rate(count: u32, per: Duration, burst: u32) -> Quota {
        let burst = NonZeroU32::new(burst).expect("is not zero");
        Quota::with_period(per / count).expect("is not zero").allow_burst(burst)
    }

    #[test]
    fn bucket_holds_its_burst_and_then_says_how_long() {
        let limiter = Limiter::new(rate(1, Duration::from_secs(3600), 3));
        for _ in 0..3 {
            assert!(limiter.take(&"a").is_ok());
        }
        let problem = limiter.take(&"a").expect_err("the bucket is empty");
        assert_eq!((problem.status.as_u16(), problem.code()), (429, "slow_down"));
        let retry_after = problem.retry_after.expect("it is known when");
        assert!(retry_after > Duration::from_secs(3590) && retry_after <= Duration::from_secs(3600));
    }

    #[test]
    fn each_name_has_its_own_bucket() {
        let limiter = Limiter::new(rate(1, Duration::from_secs(3600), 1));
        for (name, admitted) in
            [("alice", true), ("alice", false), ("bob", true), ("bob", false), ("Bob", true)]
        {
            assert_eq!(limiter.take(&name).is_ok(), admitted, "{name}");
        }
    }

    #[test]
    fn networks_are_addresses_and_in_ipv6_half_of_them() {
        for (address, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:0:1::1", "2001:db8:0:1::"),
            ("2001:db8:0:1:ffff::2", "2001:db8:0:1::"),
            ("2001:db8:0:2::1", "2001:db8:0:2::"),
        ] {
            let network = network_of(address.parse().expect("is an address"));
            assert_eq!(network.to_string(), expected, "{address}");
        }
    }

    #[test]
    fn quiet_callers_are_forgotten() {
        let limiter = Limiter::new(rate(1_000_000, Duration::from_millis(1), 1));
        for number in 0..3 * SWEEP_EVERY {
            let _ = limiter.take(&number);
        }
        let held = limiter.buckets.len();
        assert!(held < 2 * SWEEP_EVERY as usize, "{held} held");
    }
}
