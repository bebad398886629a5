//! The memory of nonces: each may be used once for an access key and a timestamp (RFC 5849 §3.3). And of the ids of client
//! assertions (RFC 7523 §3), of one client and without a timestamp.

use std::collections::HashSet;
use std::mem;

/// How many nonces are remembered in each of two periods before the older ones are forgotten early: some 50 MB with HERE's SDKs.
/// HERE's own limit of 25,000 requests in 15 minutes stays far below; only a load test gets here.
const MAX_NONCES: usize = 125_000;

/// Remembers who used which nonce, at least until the timestamp that came with it is too old to be accepted anyway.
#[derive(Debug)]
pub(crate) struct NonceMemory {
    /// Those of this period.
    seen: HashSet<String>,
    /// When it began.
    since: i64,
    /// Those of the period before.
    seen_before: HashSet<String>,
    keep_seconds: i64,
    max: usize,
}

impl NonceMemory {
    pub(crate) fn new(keep_seconds: i64) -> Self {
        let (seen, seen_before) = (HashSet::new(), HashSet::new());
        Self { seen, since: i64::MIN, seen_before, keep_seconds, max: MAX_NONCES }
    }

    /// Notes the use of a nonce; `false` if it was used before.
    ///
    /// `now` is the clock without any skew that a fault adds, so that skewing the sandbox forth and back
    /// forgets nothing.
    pub(crate) fn consume_at(&mut self, now: i64, key_id: &str, timestamp: i64, nonce: &str) -> bool {
        if now.saturating_sub(self.since) > self.keep_seconds || self.seen.len() >= self.max {
            self.seen_before = mem::take(&mut self.seen);
            self.since = now;
        }
        // A nonce has no blank in it, so that no two uses look the same.
        let usage = format!("{nonce} {timestamp} {key_id}");
        !self.seen_before.contains(&usage) && self.seen.insert(usage)
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
        for used_at in [1000, 1300, 1600] {
            let mut memory = NonceMemory::new(600);
            assert!(memory.consume_at(1000, "key", 1000, "first"));
            assert!(memory.consume_at(used_at, "key", used_at + 300, "n"));
            assert!(memory.consume_at(used_at + 1, "key", 1, "another"));
            assert!(
                !memory.consume_at(used_at + 600, "key", used_at + 300, "n"),
                "it is accepted until then"
            );
            assert!(memory.consume_at(used_at + 1300, "key", 2, "another"));
            assert!(memory.consume_at(used_at + 2000, "key", used_at + 300, "n"));
            assert!(memory.seen.len() + memory.seen_before.len() <= 2);
        }
    }

    #[test]
    fn oldest_nonces_go_first_when_memory_is_full() {
        let mut memory = NonceMemory { max: 2, ..NonceMemory::new(600) };
        for nonce in ["a", "b", "c", "d", "e"] {
            assert!(memory.consume_at(0, "key", 0, nonce));
        }
        assert!(!memory.consume_at(0, "key", 0, "e") && !memory.consume_at(0, "key", 0, "c"));
        assert!(memory.consume_at(0, "key", 0, "a"));
        assert!(memory.seen.len() <= 2 && memory.seen_before.len() <= 2);
    }
}
