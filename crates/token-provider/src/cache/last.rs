//! What a thread handed out last, and is most often asked for next: then there is nothing to look up, and nothing to count
//! that other threads count, too.
//!
//! It stays with the thread until that hands out another token, so a token may outlive its provider there.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use super::Slot;
use crate::clock::Moment;
use crate::schedule::{self, State};
use crate::token::{AccessToken, TokenKey};

thread_local! {
    static LAST: RefCell<Option<Last>> = const { RefCell::new(None) };
}

pub(super) struct Last {
    slot: Arc<Slot>,
    /// How many turns the slot had taken. With another there may be another token, or the slot is no longer in the table.
    turns: u64,
    token: AccessToken,
    left_when_due: Duration,
}

impl Last {
    /// Returns the last token, if that is what is asked for and there is nothing to be done about it.
    pub(super) fn fresh(cache: u64, key: &TokenKey, now: Moment) -> Option<AccessToken> {
        // There is none any more while a thread ends.
        let find = |last: &RefCell<Option<Self>>| {
            let last = last.try_borrow().ok()?;
            let Self { slot, turns, token, left_when_due } = last.as_ref()?;
            let is_asked_for = slot.cache == cache && slot.key == *key && slot.turns.count() == *turns;
            let is_fresh = || schedule::state(token.left_at(now), *left_when_due) == State::Fresh;
            (is_asked_for && is_fresh()).then(|| {
                slot.note_asked();
                token.clone()
            })
        };
        LAST.try_with(find).ok().flatten()
    }

    /// Remembers what a slot holds.
    pub(super) fn keep(slot: &Arc<Slot>) {
        // Counted before the look: what comes in between is then looked at again.
        let turns = slot.turns.count();
        let last = slot.held.load().as_ref().map(|held| Self {
            slot: Arc::clone(slot),
            turns,
            token: held.token.own().clone(),
            left_when_due: held.left_when_due,
        });
        let _ = LAST.try_with(|cell| cell.replace(last));
    }
}
