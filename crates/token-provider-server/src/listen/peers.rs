//! How many connections each address has open, so that one machine cannot take all places.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// The connections open, by address.
#[derive(Debug)]
pub(super) struct Peers {
    limit: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// Leave to have one connection more; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    counted: Option<(Arc<Peers>, IpAddr)>,
}

impl Peers {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, open: Mutex::default() })
    }

    /// Gives a place to a connection from an address, unless it has its share.
    pub(super) fn admit(self: &Arc<Self>, address: Option<IpAddr>) -> Option<Place> {
        let Some(network) = address.and_then(counted_as) else {
            return Some(Place { counted: None });
        };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(network).or_insert(0);
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        drop(open);
        Some(Place { counted: Some((Arc::clone(self), network)) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((peers, network)) = self.counted.take() else {
            return;
        };
        let mut open = peers.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = open.entry(network) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// What an address is counted as. An IPv6 customer has a /64 at least, and could come from another address of it each
/// time; loopback is not counted.
fn counted_as(address: IpAddr) -> Option<IpAddr> {
    match address.to_canonical() {
        address if address.is_loopback() => None,
        IpAddr::V4(address) => Some(address.into()),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Some(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(peers: &Arc<Peers>, address: &str) -> Option<Place> {
        peers.admit(Some(address.parse().expect("is an address")))
    }

    #[test]
    fn each_network_has_its_share() {
        let peers = Peers::new(1);
        let table = [
            ("192.0.2.1", true),
            ("192.0.2.1", false),
            ("::ffff:192.0.2.1", false),
            ("192.0.2.2", true),
            ("2001:db8:0:1::1", true),
            ("2001:db8:0:1:ffff::2", false),
            ("2001:db8:0:2::1", true),
        ];
        let mut held = Vec::new();
        for (peer, admitted) in table {
            let place = admit(&peers, peer);
            assert_eq!(place.is_some(), admitted, "{peer}");
            held.extend(place);
        }
    }

    #[test]
    fn loopback_and_unix_sockets_are_not_counted() {
        let peers = Peers::new(0);
        for peer in ["127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!(admit(&peers, peer).is_some(), "{peer}");
        }
        assert!(peers.admit(None).is_some());
        assert!(admit(&peers, "192.0.2.1").is_none());
    }

    #[test]
    fn closed_connections_give_their_places_back() {
        let peers = Peers::new(2);
        let first = admit(&peers, "192.0.2.1");
        let second = admit(&peers, "192.0.2.1");
        assert!(admit(&peers, "192.0.2.1").is_none());
        drop(first);
        let third = admit(&peers, "192.0.2.1");
        assert!(third.is_some());
        drop((second, third));
        let open = peers.open.lock().expect("is not poisoned");
        assert!(open.is_empty(), "addresses without connections are forgotten: {open:?}");
    }
}
