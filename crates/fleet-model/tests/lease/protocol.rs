//! The protocol: what a server does next, and what the store makes of it.
//!
//! A step is one message that arrives and is answered, or one thing that happens by itself. What a server does between an answer
//! and its next message nobody else can see, so it belongs to the answer.

use crate::state::{Fence, Late, Phase, ROUNDS, Record, SERVERS, Server, State, Store, Wrong};

/// What a test may leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A release deletes the lease only if it is still the server's own.
    ReleaseCompares,
    /// A record is published only by the one who has the lease …
    PublishComparesLease,
    /// … and only over one with a lower fence.
    PublishComparesFence,
    /// Fences are not just counted, but also no lower than the store's time.
    FenceFollowsTime,
    /// A server that has won the lease loads once more before it makes a request.
    WinnerLoadsAgain,
    /// … and minds a failure that was noted meanwhile.
    WinnerMindsNote,
    /// A failure is noted by the message that releases the lease, not after it.
    NoteWithRelease,
    /// A lease is renewed while the request is in flight.
    LeaseIsRenewed,
    /// A lease that nobody renews expires.
    LeaseExpires,
    /// A record with a lower fence than the highest seen is not taken.
    OlderIsRefused,
    /// A server with callers and no token stops waiting for a lease, and makes a request itself.
    WaitEnds,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// By a server's place.
    Server(usize, Step),
    LeaseExpires,
    PauseEnds,
    NextRound,
    /// By a message's place in [`State::late`].
    Arrives(usize),
    Fault(Fault),
}

/// What a server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    BecomeDue,
    Load,
    TakeLease,
    LookAgain,
    StopWaiting,
    GetToken,
    GetFailure,
    Publish,
    Note,
    Release,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A server starts again at once, having forgotten everything. (One that is gone for good is one that takes its time.)
    Crash(usize),
    /// A server hears nothing of its message, which arrives later, or never. (Where only the answer is lost, it arrives at once.)
    TimeOut(usize),
    /// The lease expires under its holder, which was stopped or cut off from the store for as long as a lease lasts.
    LeaseIsLost,
    /// The store restarts without its data.
    RestartEmpty,
}

/// The protocol, less the rules that are left out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Protocol {
    pub(crate) left_out: &'static [Rule],
}

impl Protocol {
    fn keeps(self, rule: Rule) -> bool {
        !self.left_out.contains(&rule)
    }

    /// What will happen in the end, if nothing else happens before.
    pub(crate) fn ordinary(self, state: &State) -> Vec<Action> {
        let mut actions = Vec::new();
        for place in 0..SERVERS {
            actions.extend(self.steps(state, place).into_iter().map(|step| Action::Server(place, step)));
        }
        if state.store.lease.is_some_and(|lease| self.is_left_to_expire(state, lease)) {
            actions.push(Action::LeaseExpires);
        }
        if state.store.has_note {
            actions.push(Action::PauseEnds);
        }
        // A round is most of a lifetime: nobody waits for so long.
        if state.round < ROUNDS && state.servers.iter().all(|server| server.token.is_some()) {
            actions.push(Action::NextRound);
        }
        actions
    }

    /// What may happen, but need not.
    pub(crate) fn extraordinary(self, state: &State) -> Vec<Action> {
        let mut actions: Vec<_> = (0..state.late.len()).map(Action::Arrives).collect();
        if state.faults_left == 0 {
            return actions;
        }
        for (place, server) in state.servers.iter().enumerate() {
            if *server != Server::new() {
                actions.push(Action::Fault(Fault::Crash(place)));
            }
            if !matches!(server.phase, Phase::Rest | Phase::Request { .. } | Phase::RequestAlone { .. }) {
                actions.push(Action::Fault(Fault::TimeOut(place)));
            }
        }
        let can_be_lost = |lease| self.keeps(Rule::LeaseExpires) && !self.is_left_to_expire(state, lease);
        if state.store.lease.is_some_and(can_be_lost) {
            actions.push(Action::Fault(Fault::LeaseIsLost));
        }
        actions.push(Action::Fault(Fault::RestartEmpty));
        actions
    }

    /// What this server may do next.
    pub(crate) fn steps(self, state: &State, place: usize) -> Vec<Step> {
        let (server, store) = (&state.servers[place], &state.store);
        let finds_record = store.record.is_some_and(|record| self.is_newer(record, server));
        let mut steps = Vec::new();
        match server.phase {
            Phase::Rest if server.token < Some(state.round) => steps.push(Step::BecomeDue),
            // A noted failure is waited out.
            Phase::Look if finds_record || !store.has_note => steps.push(Step::Load),
            Phase::Rest | Phase::Look => {}
            Phase::Want => {
                let is_free = store.lease.is_none();
                if is_free {
                    steps.push(Step::TakeLease);
                }
                // It looks again and again. Where it would find nothing, nothing changes: no step.
                if finds_record || store.has_note {
                    steps.push(Step::LookAgain);
                }
                if !is_free && server.token.is_none() && !store.has_note && self.keeps(Rule::WaitEnds) {
                    steps.push(Step::StopWaiting);
                }
            }
            Phase::Won { .. } => steps.push(Step::Load),
            Phase::Request { .. } | Phase::RequestAlone { .. } => {
                steps.push(Step::GetToken);
                if state.failures_left > 0 {
                    steps.push(Step::GetFailure);
                }
            }
            Phase::Publish { .. } => steps.push(Step::Publish),
            Phase::Note { .. } => steps.push(Step::Note),
            Phase::Release { .. } => steps.push(Step::Release),
        }
        steps
    }

    pub(crate) fn apply(self, state: &mut State, action: Action) {
        match action {
            Action::Server(place, step) => {
                let next = self.take_step(state, place, step);
                state.servers[place].phase = next;
            }
            Action::LeaseExpires => state.store.lease = None,
            Action::PauseEnds => {
                state.store.has_note = false;
                state.ghost.may_request = state.ghost.is_calm;
            }
            Action::NextRound => {
                state.round += 1;
                state.ghost.may_request = state.ghost.is_calm;
            }
            Action::Arrives(place) => match state.late.remove(place) {
                // Nobody knows that it was won.
                Late::Lease => drop(self.lease(state)),
                Late::Publish(record) => self.publish(state, record),
                Late::Note(lease) => self.note(state, lease),
                Late::Release(lease) => self.release(state, lease),
            },
            Action::Fault(fault) => {
                state.faults_left -= 1;
                state.ghost.disturb();
                self.break_down(state, fault);
            }
        }
    }

    /// Returns the phase that follows.
    fn take_step(self, state: &mut State, place: usize, step: Step) -> Phase {
        match (state.servers[place].phase, step) {
            (Phase::Rest, Step::BecomeDue) | (Phase::Want, Step::LookAgain) => Phase::Look,
            (Phase::Look, Step::Load) if self.take_record(state, place) => Phase::Rest,
            (Phase::Look, Step::Load) => Phase::Want,
            (Phase::Want, Step::TakeLease) => {
                let lease = self.lease(state).expect("it is free");
                if self.keeps(Rule::WinnerLoadsAgain) {
                    Phase::Won { lease }
                } else {
                    request(state, Some(lease))
                }
            }
            (Phase::Want, Step::StopWaiting) => {
                // HERE is slow, or its holder is.
                state.ghost.disturb();
                request(state, None)
            }
            (Phase::Won { lease }, Step::Load) if self.take_record(state, place) => {
                Phase::Release { lease, needs_token: false }
            }
            (Phase::Won { lease }, Step::Load)
                if state.store.has_note && self.keeps(Rule::WinnerMindsNote) =>
            {
                Phase::Release { lease, needs_token: true }
            }
            (Phase::Won { lease }, Step::Load) => request(state, Some(lease)),
            (Phase::Request { lease, round }, Step::GetToken) => {
                let server = &mut state.servers[place];
                server.token = Some(round);
                server.seen = server.seen.max(lease);
                Phase::Publish { lease, round }
            }
            (Phase::RequestAlone { round }, Step::GetToken) => {
                state.servers[place].token = Some(round);
                Phase::Rest
            }
            (Phase::Request { lease, .. }, Step::GetFailure) => {
                state.failures_left -= 1;
                self.after_failure(lease)
            }
            (Phase::RequestAlone { .. }, Step::GetFailure) => {
                state.failures_left -= 1;
                Phase::Look
            }
            (Phase::Publish { lease, round }, Step::Publish) => {
                self.publish(state, Record { fence: lease, round });
                Phase::Rest
            }
            (Phase::Note { lease }, Step::Note) => {
                self.note(state, lease);
                Phase::Look
            }
            (Phase::Release { lease, needs_token }, Step::Release) => {
                self.release(state, lease);
                self.after_release(lease, needs_token)
            }
            (phase, step) => unreachable!("{step:?} in {phase:?}"),
        }
    }

    fn break_down(self, state: &mut State, fault: Fault) {
        match fault {
            Fault::Crash(place) => state.servers[place] = Server::new(),
            Fault::TimeOut(place) => {
                let next = self.time_out(state, place);
                state.servers[place].phase = next;
                state.late.sort_unstable();
            }
            Fault::LeaseIsLost => state.store.lease = None,
            Fault::RestartEmpty => {
                // A restart takes longer than fences can be ahead of the time: a millisecond for each lease.
                let time = state.store.time.max(state.store.counter) + 1;
                state.store = Store { time, ..Store::new() };
            }
        }
    }

    /// Returns the phase that follows.
    fn time_out(self, state: &mut State, place: usize) -> Phase {
        match state.servers[place].phase {
            // Without an answer, it does what it would do without a store.
            Phase::Look => request(state, None),
            Phase::Want => {
                state.late.push(Late::Lease);
                request(state, None)
            }
            Phase::Won { lease } => request(state, Some(lease)),
            Phase::Publish { lease, round } => {
                state.late.push(Late::Publish(Record { fence: lease, round }));
                Phase::Rest
            }
            Phase::Note { lease } => {
                state.late.push(Late::Note(lease));
                Phase::Look
            }
            Phase::Release { lease, needs_token } => {
                state.late.push(Late::Release(lease));
                self.after_release(lease, needs_token)
            }
            phase @ (Phase::Rest | Phase::Request { .. } | Phase::RequestAlone { .. }) => {
                unreachable!("nothing is sent to the store in {phase:?}")
            }
        }
    }

    // What follows a failure: a note that releases the lease, or a release and then a note.

    fn after_failure(self, lease: Fence) -> Phase {
        if self.keeps(Rule::NoteWithRelease) {
            Phase::Note { lease }
        } else {
            Phase::Release { lease, needs_token: true }
        }
    }

    fn after_release(self, lease: Fence, needs_token: bool) -> Phase {
        match needs_token {
            false => Phase::Rest,
            true if self.keeps(Rule::NoteWithRelease) => Phase::Look,
            true => Phase::Note { lease },
        }
    }

    fn is_newer(self, record: Record, server: &Server) -> bool {
        if self.keeps(Rule::OlderIsRefused) {
            record.fence.number > server.seen.number
        } else {
            record.fence.number != server.seen.number
        }
    }

    /// Takes the store's record if it is newer, and returns whether it was.
    fn take_record(self, state: &mut State, place: usize) -> bool {
        let server = &mut state.servers[place];
        let Some(record) = state.store.record.filter(|record| self.is_newer(*record, server)) else {
            return false;
        };
        if record.fence.drawn < server.seen.drawn {
            state.ghost.wrong = Some(Wrong::TookOlder);
        }
        server.token = Some(record.round);
        server.seen = record.fence;
        true
    }

    // The store's scripts.

    /// Takes the lease if it is free, and draws its fence.
    fn lease(self, state: &mut State) -> Option<Fence> {
        let store = &mut state.store;
        if store.lease.is_some() {
            return None;
        }
        store.counter += 1;
        if self.keeps(Rule::FenceFollowsTime) {
            store.counter = store.counter.max(store.time);
        }
        state.ghost.drawn += 1;
        store.lease = Some(Fence { number: store.counter, drawn: state.ghost.drawn });
        store.lease
    }

    /// Stores a record, and ends the lease and the pause.
    fn publish(self, state: &mut State, record: Record) {
        let (store, ghost) = (&mut state.store, &mut state.ghost);
        let has_lease = store.lease == Some(record.fence);
        if !has_lease && self.keeps(Rule::PublishComparesLease) {
            return;
        }
        let held = store.record.map_or(Fence::NONE, |held| held.fence);
        if self.keeps(Rule::PublishComparesFence) && record.fence.number <= held.number {
            return;
        }
        if record.fence.drawn < held.drawn {
            ghost.wrong = Some(Wrong::PublishedOverNewer);
        } else if record.fence.drawn < ghost.newest_published {
            ghost.wrong = Some(Wrong::PublishedOlder);
        }
        ghost.newest_published = record.fence.drawn;
        store.record = Some(record);
        store.has_note = false;
        if has_lease {
            store.lease = None;
        }
    }

    fn note(self, state: &mut State, lease: Fence) {
        if !self.keeps(Rule::NoteWithRelease) {
            state.store.has_note = true;
        } else if state.store.lease == Some(lease) {
            state.store.has_note = true;
            state.store.lease = None;
        }
    }

    fn release(self, state: &mut State, lease: Fence) {
        let Some(held) = state.store.lease else { return };
        if held != lease {
            if self.keeps(Rule::ReleaseCompares) {
                return;
            }
            state.ghost.wrong = Some(Wrong::ReleasedAnothers);
        }
        state.store.lease = None;
    }

    /// Whether the lease expires by itself, since nobody makes anything of it.
    fn is_left_to_expire(self, state: &State, lease: Fence) -> bool {
        let holder = state.servers.iter().find(|server| server.lease() == Some(lease));
        match holder.map(|holder| holder.phase) {
            None => self.keeps(Rule::LeaseExpires),
            Some(Phase::Request { .. }) => !self.keeps(Rule::LeaseIsRenewed),
            // It lasts for many messages.
            Some(_) => false,
        }
    }
}

/// Makes a request to HERE, with the lease or without. Returns the phase that follows.
fn request(state: &mut State, lease: Option<Fence>) -> Phase {
    let is_another_in_flight = state.servers.iter().any(Server::has_request_in_flight);
    let ghost = &mut state.ghost;
    if ghost.is_calm && is_another_in_flight {
        ghost.wrong = Some(Wrong::TwoInFlight);
    } else if ghost.is_calm && !ghost.may_request {
        ghost.wrong = Some(Wrong::RequestedAgain);
    }
    ghost.may_request = false;
    let round = state.round;
    match lease {
        Some(lease) => Phase::Request { lease, round },
        None => Phase::RequestAlone { round },
    }
}
