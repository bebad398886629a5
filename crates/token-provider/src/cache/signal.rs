//! Tells tasks that something has changed.
//!
//! Unlike Tokio's `watch`, which has its waiters woken in an order drawn at random, it wakes them in the order in which
//! they came: a simulation with it can be repeated exactly.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// Counts changes, and wakes all who wait for the next.
#[derive(Default)]
pub(super) struct Signal {
    changes: AtomicU64,
    changed: Notify,
}

impl Signal {
    pub(super) fn raise(&self) {
        // Before the waking, so that whoever is woken sees it; `Release`, so that they see what it is about, too.
        self.changes.fetch_add(1, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// Returns how many changes there have been. Read it before what may change.
    pub(super) fn count(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Waits until there have been more changes than `seen`.
    pub(super) async fn after(&self, seen: u64) {
        let mut changed = pin!(self.changed.notified());
        // Waits from here on, so that a change between the look and the wait is not missed.
        changed.as_mut().enable();
        if self.count() == seen {
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[tokio::test]
    async fn change_since_the_look_is_not_waited_for() {
        let signal = Signal::default();
        let seen = signal.count();
        signal.raise();
        signal.after(seen).await;
        assert_eq!(signal.count(), seen + 1);
    }

    #[tokio::test]
    async fn all_who_wait_are_woken_in_their_order() {
        let signal = Arc::new(Signal::default());
        let (order, waiting) = (Arc::<Mutex<Vec<usize>>>::default(), Arc::<AtomicUsize>::default());
        let waiters: Vec<_> = (0..200)
            .map(|number| {
                let (signal, order, waiting) =
                    (Arc::clone(&signal), Arc::clone(&order), Arc::clone(&waiting));
                tokio::spawn(async move {
                    waiting.fetch_add(1, Ordering::Relaxed);
                    signal.after(0).await;
                    order.lock().expect("no waiter panics").push(number);
                })
            })
            .collect();
        // The runtime starts so many at a time and no more.
        while waiting.load(Ordering::Relaxed) < waiters.len() {
            tokio::task::yield_now().await;
        }
        assert!(order.lock().expect("no waiter panics").is_empty());
        signal.raise();
        for waiter in waiters {
            waiter.await.expect("no waiter panics");
        }
        assert!(order.lock().expect("no waiter panics").iter().copied().eq(0..200));
    }
}
