//! How much of one kind each address has at once, so that one machine cannot take all of it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use token_provider::is_loopback_address;

use super::rate::network_of;

/// Shares, and who has them. Callers without an address, who come through Unix sockets, share one count.
#[derive(Debug)]
pub struct Shares {
    all: usize,
    each: usize,
    limits_loopback: bool,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_network: HashMap<Option<IpAddr>, usize>,
}

/// One of them, released on drop.
#[derive(Debug)]
pub struct Share {
    shares: Arc<Shares>,
    network: Option<IpAddr>,
}

impl Shares {
    /// `all` in all, and `each` for each address (IPv6: for each /64). A loopback address is limited only where that is said:
    /// a reverse proxy may well sit there.
    pub fn new(all: usize, each: usize, limits_loopback: bool) -> Self {
        Self { all, each, limits_loopback, taken: Mutex::default() }
    }

    /// Takes one for an address, unless it has its share or all are taken.
    pub fn take(self: &Arc<Self>, address: Option<IpAddr>) -> Option<Share> {
        let is_limited = self.limits_loopback || !address.is_some_and(is_loopback_address);
        let network = address.map(network_of);
        let mut taken = self.taken.lock();
        let count = taken.by_network.get(&network).copied().unwrap_or(0);
        if taken.all >= self.all || is_limited && count >= self.each {
            return None;
        }
        taken.all += 1;
        taken.by_network.insert(network, count + 1);
        drop(taken);
        Some(Share { shares: Arc::clone(self), network })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.shares.taken.lock();
        taken.all -= 1;
        let count = taken.by_network.get_mut(&self.network).expect("each share is counted");
        *count -= 1;
        if *count == 0 {
            taken.by_network.remove(&self.network);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(shares: &Arc<Shares>, address: &str) -> Option<Share> {
        shares.take(Some(address.parse().expect("is an address")))
    }

    #[test]
    fn each_network_has_its_share() {
        let shares = Arc::new(Shares::new(usize::MAX, 1, true));
        let table = [
            ("192.0.2.1", true),
            ("192.0.2.1", false),
            ("::ffff:192.0.2.1", false),
            ("192.0.2.2", true),
            ("2001:db8:0:1::1", true),
            ("2001:db8:0:1:ffff::2", false),
            ("2001:db8:0:2::1", true),
            ("127.0.0.1", true),
            ("127.0.0.1", false),
            ("::1", true),
            ("::1", false),
        ];
        let mut held = Vec::new();
        for (peer, admitted) in table {
            let share = take(&shares, peer);
            assert_eq!(share.is_some(), admitted, "{peer}");
            held.extend(share);
        }
    }

    #[test]
    fn callers_without_an_address_share_one_count() {
        let shares = Arc::new(Shares::new(usize::MAX, 2, false));
        let held = [shares.take(None), shares.take(None)];
        assert!(held.iter().all(Option::is_some));
        assert!(shares.take(None).is_none());
    }

    #[test]
    fn loopback_is_not_limited_where_proxies_sit() {
        let shares = Arc::new(Shares::new(usize::MAX, 1, false));
        let mut held = Vec::new();
        for peer in ["127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1", "127.0.0.1", "192.0.2.1"] {
            let share = take(&shares, peer);
            assert!(share.is_some(), "{peer}");
            held.extend(share);
        }
        assert!(take(&shares, "192.0.2.1").is_none());
    }

    #[test]
    fn all_addresses_together_have_no_more_than_there_is() {
        let shares = Arc::new(Shares::new(3, 2, true));
        let mut held = Vec::new();
        for (peer, admitted) in
            [("192.0.2.1", true), ("192.0.2.1", true), ("::1", true), ("192.0.2.2", false)]
        {
            let share = take(&shares, peer);
            assert_eq!(share.is_some(), admitted, "{peer}");
            held.extend(share);
        }
        held.pop();
        assert!(take(&shares, "192.0.2.2").is_some());
    }

    #[test]
    fn shares_are_released() {
        let shares = Arc::new(Shares::new(2, 2, true));
        let first = take(&shares, "192.0.2.1");
        let second = take(&shares, "192.0.2.1");
        assert!(take(&shares, "192.0.2.1").is_none());
        drop(first);
        let third = take(&shares, "192.0.2.1");
        assert!(third.is_some());
        drop((second, third));
        let taken = shares.taken.lock();
        assert_eq!(taken.all, 0);
        assert!(taken.by_network.is_empty(), "addresses that have none are forgotten: {taken:?}");
    }
}
