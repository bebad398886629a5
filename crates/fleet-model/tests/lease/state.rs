//! The fleet at one moment: its servers, the store, and the messages that are still on their way.

use stateright::Representative;

pub(crate) const SERVERS: usize = 3;
/// In the first round no server has a token; when the second begins, all tokens are due.
pub(crate) const ROUNDS: u8 = 2;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) servers: [Server; SERVERS],
    pub(crate) store: Store,
    /// Sorted, since they arrive in any order.
    pub(crate) late: Vec<Late>,
    pub(crate) round: u8,
    /// How much may still go wrong with servers, messages and store.
    pub(crate) faults_left: u8,
    /// … and how many requests to HERE may fail.
    pub(crate) failures_left: u8,
    pub(crate) ghost: Ghost,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Server {
    pub(crate) phase: Phase,
    /// The round in which its token was requested. Where there is none, callers wait for it.
    pub(crate) token: Option<u8>,
    /// The highest fence that it has seen.
    pub(crate) seen: Fence,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Phase {
    /// Needs nothing.
    Rest,
    /// About to load record and failure note.
    Look,
    /// Has found nothing newer: about to take the lease, or waiting for it.
    Want,
    /// Has the lease, and is about to load once more.
    Won { lease: Fence },
    /// Has a request to HERE in flight, and renews the lease.
    Request { lease: Fence, round: u8 },
    /// Has got a token, which it is about to publish.
    Publish { lease: Fence, round: u8 },
    /// Has got none, and is about to release the lease with a note of the failure.
    Note { lease: Fence },
    /// About to release the lease without one. If it still needs a token, it looks again then.
    Release { lease: Fence, needs_token: bool },
    /// Has a request to HERE in flight of which the store knows nothing.
    RequestAlone { round: u8 },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Store {
    pub(crate) record: Option<Record>,
    pub(crate) lease: Option<Fence>,
    /// A request has failed, and the pause after it is not over.
    pub(crate) has_note: bool,
    /// The last fence.
    pub(crate) counter: u8,
    pub(crate) time: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Record {
    pub(crate) fence: Fence,
    /// As [`Server::token`].
    pub(crate) round: u8,
}

/// The number that comes with a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Fence {
    /// What servers and store compare.
    pub(crate) number: u8,
    /// When it was really drawn, by a count of all draws. That is what the promises are about. The protocol uses it for one
    /// thing, to tell whose a lease is: a lease has its server's name in it, and no other can be taken for it.
    pub(crate) drawn: u8,
}

/// A message to the store for whose answer nobody waits any more. It may arrive at any time, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Late {
    Lease,
    Publish(Record),
    Note(Fence),
    Release(Fence),
}

/// What no server knows, for the promises alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ghost {
    pub(crate) drawn: u8,
    /// When the fence of the last record was drawn, over restarts of the store.
    pub(crate) newest_published: u8,
    /// There was no fault, and nobody had to stop waiting. (Requests to HERE may have failed.)
    pub(crate) is_calm: bool,
    /// While it is calm: no request was made since the round began, or since the last pause ended.
    pub(crate) may_request: bool,
    /// The first promise that was broken.
    pub(crate) wrong: Option<Wrong>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Wrong {
    PublishedOverNewer,
    PublishedOlder,
    TookOlder,
    ReleasedAnothers,
    TwoInFlight,
    RequestedAgain,
}

impl State {
    pub(crate) fn new(faults: u8, failures: u8) -> Self {
        Self {
            servers: [const { Server::new() }; SERVERS],
            store: Store::new(),
            late: Vec::new(),
            round: 1,
            faults_left: faults,
            failures_left: failures,
            ghost: Ghost { drawn: 0, newest_published: 0, is_calm: true, may_request: true, wrong: None },
        }
    }

    pub(crate) fn has_broken(&self, promise: Wrong) -> bool {
        self.ghost.wrong == Some(promise)
    }

    /// Of two fences, servers and store know which was drawn later.
    pub(crate) fn are_fences_in_order(&self) -> bool {
        let mut fences: Vec<_> = self.servers.iter().map(|server| server.seen).collect();
        fences.extend(self.store.record.map(|record| record.fence));
        fences.extend(self.store.lease);
        fences.sort_unstable_by_key(|fence| fence.drawn);
        fences.dedup();
        fences.is_sorted_by(|earlier, later| earlier.number < later.number)
    }

    /// Every server holds a token of the last round.
    pub(crate) fn is_all_served(&self) -> bool {
        self.servers.iter().all(|server| server.phase == Phase::Rest && server.token == Some(ROUNDS))
    }
}

/// Servers differ by what they do, not by their place.
impl Representative for State {
    fn representative(&self) -> Self {
        let mut state = self.clone();
        state.servers.sort_unstable();
        state
    }
}

impl Server {
    /// As it starts, with callers that wait.
    pub(crate) const fn new() -> Self {
        Self { phase: Phase::Look, token: None, seen: Fence::NONE }
    }

    pub(crate) fn lease(&self) -> Option<Fence> {
        match self.phase {
            Phase::Won { lease }
            | Phase::Request { lease, .. }
            | Phase::Publish { lease, .. }
            | Phase::Note { lease }
            | Phase::Release { lease, .. } => Some(lease),
            Phase::Rest | Phase::Look | Phase::Want | Phase::RequestAlone { .. } => None,
        }
    }

    pub(crate) fn has_request_in_flight(&self) -> bool {
        matches!(self.phase, Phase::Request { .. } | Phase::RequestAlone { .. })
    }
}

impl Store {
    pub(crate) const fn new() -> Self {
        Self { record: None, lease: None, has_note: false, counter: 0, time: 1 }
    }
}

impl Fence {
    pub(crate) const NONE: Self = Self { number: 0, drawn: 0 };
}

impl Ghost {
    /// From now on, more requests may be made than are needed.
    pub(crate) fn disturb(&mut self) {
        self.is_calm = false;
        self.may_request = false;
    }
}
