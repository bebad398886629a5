//! The memory of nonces: each may be used once for an access key and a timestamp (RFC 5849 §3.3). And of the ids of client
//! assertions (RFC 7523 §3), of one client and without a timestamp.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

/// How many nonces are remembered before the oldest are forgotten early: some 50 MB with HERE's SDKs. HERE's own
/// limit of 25,000 requests in 15 minutes stays far below; only a load test gets here.
const MAX_NONCES: usize = 250_000;

/// Remembers who used which nonce until the timestamp that came with it is too old to be accepted anyway.
#[derive(Debug)]
pub(crate) struct NonceMemory {
    seen: HashSet<Arc<str>>,
    /// In the order of use, with the second of use.
    order: VecDeque<(i64, Arc<str>)>,
    keep_seconds: i64,
    max: usize,
}

impl NonceMemory {
    pub(crate) fn new(keep_seconds: i64) -> Self {
        Self { seen: HashSet::new(), order: VecDeque::new(), keep_seconds, max: MAX_NONCES }
    }

    /// Notes the use of a nonce; `false` if it was used before.
    ///
    /// `now` is the clock without any skew that a fault adds, so that skewing the sandbox forth and back
    /// forgets nothing.
    pub(crate) fn consume_at(&mut self, now: i64, key_id: &str, timestamp: i64, nonce: &str) -> bool {
        self.forget_old(now);
        // A nonce has no blank in it, so that no two uses look the same.
        let usage: Arc<str> = format!("{nonce} {timestamp} {key_id}").into();
        if !self.seen.insert(Arc::clone(&usage)) {
            return false;
        }
        self.order.push_back((now, usage));
        true
    }

    fn forget_old(&mut self, now: i64) {
        while let Some((used_at, usage)) = self.order.front() {
            let is_old = used_at.saturating_add(self.keep_seconds) < now;
            if !is_old && self.order.len() < self.max {
                return;
            }
            self.seen.remove(usage);
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonce_works_once_for_each_key_and_timestamp() {
        let mut memory = NonceMemory::new(600);
        assert!(memory.consume_at(0, "key", 10, "n"));
        assert!(!memory.consume_at(0, "key", 10, "n"));
        assert!(memory.consume_at(0, "kez", 10, "n"));
        assert!(memory.consume_at(0, "key", 11, "n"));
        assert!(memory.consume_at(0, "key", 10, "m"));
        assert!(memory.consume_at(0, "key1", 0, "n"));
    }

    #[test]
    fn nonce_is_remembered_as_long_as_its_timestamp_can_be_accepted() {
        let mut memory = NonceMemory::new(600);
        assert!(memory.consume_at(1000, "key", 1300, "n"));
        assert!(!memory.consume_at(1600, "key", 1300, "n"), "1300 is accepted until 1600");
        assert!(memory.consume_at(1601, "key", 1300, "n"));
        assert_eq!(memory.order.len(), 1);
    }

    #[test]
    fn oldest_nonce_goes_first_when_memory_is_full() {
        let mut memory = NonceMemory { max: 2, ..NonceMemory::new(600) };
        assert!(memory.consume_at(0, "key", 0, "a") && memory.consume_at(0, "key", 0, "b"));
        assert!(memory.consume_at(0, "key", 0, "c"));
        assert!(!memory.consume_at(0, "key", 0, "c"));
        assert!(memory.consume_at(0, "key", 0, "a"));
        assert!(memory.seen.len() <= 2 && memory.order.len() <= 2);
    }
}
