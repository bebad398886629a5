//! A token that many threads hand out at once: each has a copy of its own, so that the count of its holders does not go
//! from core to core with every handout.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::token::AccessToken;

/// With more threads than there are copies, some share one. A copy takes about 1 KiB.
const MAX_COPIES: usize = 16;

thread_local! {
    static NUMBER: usize = {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        THREADS.fetch_add(1, Ordering::Relaxed)
    };
}

/// The copies of one token; never empty.
#[derive(Debug)]
pub(super) struct Copies {
    first: AccessToken,
    others: Box<[AccessToken]>,
}

impl Copies {
    pub(super) fn of(token: AccessToken) -> Self {
        // Twice as many as there are processors: a thread that asks but once must not make two busy ones share.
        let count = thread::available_parallelism().map_or(1, |processors| 2 * processors.get());
        let others = (1..count.min(MAX_COPIES)).map(|_| token.copy()).collect();
        Self { first: token, others }
    }

    /// Returns this thread's copy.
    pub(super) fn own(&self) -> &AccessToken {
        let number = NUMBER.with(|number| *number) % (self.others.len() + 1);
        number.checked_sub(1).and_then(|other| self.others.get(other)).unwrap_or(&self.first)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use zeroize::Zeroizing;

    use super::*;
    use crate::clock::{Clock as _, SystemClock};

    #[test]
    fn threads_side_by_side_have_copies_of_their_own_of_the_same_token() {
        let text = Zeroizing::new("not-a-token".to_owned());
        let copies = Copies::of(AccessToken::new(text, None, Duration::from_secs(60), SystemClock.now()));
        let own = || {
            let token = copies.own();
            assert_eq!(token.expose_secret(), "not-a-token");
            assert_eq!(token.fingerprint(), copies.first.fingerprint());
            token.expose_secret().as_ptr().addr()
        };
        assert_eq!(own(), own(), "a thread keeps to its copy");
        let mut seen = HashSet::new();
        for _ in 0..1000 {
            seen.insert(thread::scope(|scope| scope.spawn(own).join().expect("has ended well")));
        }
        assert_eq!(seen.len(), copies.others.len() + 1, "all are used");
    }
}
