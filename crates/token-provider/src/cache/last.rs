//! What a thread handed out last, and is most often asked for next: then there is nothing to look up, and nothing to count
//! that other threads count, too.
//!
//! It stays with the thread until that hands out other tokens, so a token may outlive its provider there.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use super::Slot;
use crate::clock::Moment;
use crate::schedule::{self, State};
use crate::token::{AccessToken, TokenKey};

/// How many tokens a thread remembers: most programs hand out one or two kinds. With more in turns, each is looked up.
const REMEMBERED: usize = 4;

thread_local! {
    static LAST: RefCell<Vec<Last>> = const { RefCell::new(Vec::new()) };
}

pub(super) struct Last {
    slot: Arc<Slot>,
    /// How many turns the slot had taken. With another there may be another token, or the slot is no longer in the table.
    turns: u64,
    token: AccessToken,
    left_when_due: Duration,
}

impl Last {
    /// Returns a token that this thread remembers, if it is the one asked for and there is nothing to be done about it.
    pub(super) fn fresh(cache: u64, key: &TokenKey, now: Moment) -> Option<AccessToken> {
        let find = |remembered: &RefCell<Vec<Self>>| {
            let remembered = remembered.borrow();
            let last = remembered.iter().find(|last| last.is_of(cache, key))?;
            (last.slot.turns.count() == last.turns && last.is_fresh(now)).then(|| {
                last.slot.note_asked();
                last.token.clone()
            })
        };
        // While a thread ends it remembers nothing.
        LAST.try_with(find).ok().flatten()
    }

    /// Remembers what a slot holds, if it is fresh.
    pub(super) fn keep(slot: &Arc<Slot>, now: Moment) {
        // Counted before the look: what comes in between is then looked at again.
        let turns = slot.turns.count();
        let last = slot.held.load().as_ref().map(|held| Self {
            slot: Arc::clone(slot),
            turns,
            token: held.token.own().clone(),
            left_when_due: held.left_when_due,
        });
        let Some(last) = last.filter(|last| last.is_fresh(now)) else {
            return;
        };
        let _ = LAST.try_with(|remembered| {
            let mut remembered = remembered.borrow_mut();
            remembered.retain(|other| !other.is_of(slot.cache, &slot.key));
            remembered.truncate(REMEMBERED - 1);
            remembered.insert(0, last);
        });
    }

    fn is_of(&self, cache: u64, key: &TokenKey) -> bool {
        self.slot.cache == cache && self.slot.key == *key
    }

    fn is_fresh(&self, now: Moment) -> bool {
        schedule::state(self.token.left_at(now), self.left_when_due) == State::Fresh
    }
}
