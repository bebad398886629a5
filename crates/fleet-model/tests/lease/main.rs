//! Three servers that share a store, in every order in which things can happen: no promise is broken, and without any one rule
//! of the protocol one is. See README.md.

#![expect(clippy::indexing_slicing, reason = "what a test relies on and does not find ends the test")]
#![expect(clippy::print_stdout, reason = "how much was checked, and how a promise is broken")]

mod protocol;
mod state;

use std::collections::HashSet;
use std::thread::available_parallelism;

use stateright::{Checker as _, HasDiscoveries, Model, Property, Representative as _};

use crate::protocol::{Action, Protocol, Rule};
use crate::state::{State, Wrong};

const PUBLISH: &str = "no publish replaces a newer record";
const HISTORY: &str = "no publish is older than one before it, even if the store was emptied between them";
const ORDER: &str = "of two fences, the later one is higher";
const TAKE: &str = "no server takes an older record than it has seen";
const RELEASE: &str = "nobody releases another's lease";
const IN_FLIGHT: &str = "undisturbed, at most one request is in flight";
const REQUESTS: &str = "undisturbed, one request is made for a due point, and one after each pause";
const OUTCOME: &str = "in the end every server has a current token";
const LEASES: &str = "in the end no lease is left";
const WAITING: &str = "a server with callers and no token depends on no other";

/// What is checked, and how much goes wrong meanwhile.
#[derive(Clone, Debug)]
struct Fleet {
    protocol: Protocol,
    faults: u8,
    failures: u8,
}

impl Fleet {
    fn new() -> Self {
        Self { protocol: Protocol { left_out: &[] }, faults: 2, failures: 1 }
    }

    fn without(left_out: &'static [Rule]) -> Self {
        Self { protocol: Protocol { left_out }, ..Self::new() }
    }

    /// Nothing more will happen, but for what need not.
    fn is_at_rest(&self, state: &State) -> bool {
        state.ghost.wrong.is_none() && self.protocol.ordinary(state).is_empty()
    }

    /// Where callers wait for a token, their server has something to do. (While a failure is noted, they are told.)
    fn is_nobody_stuck(&self, state: &State) -> bool {
        (0..state.servers.len()).all(|place| {
            state.servers[place].token.is_some()
                || state.store.has_note
                || !self.protocol.steps(state, place).is_empty()
        })
    }
}

impl Model for Fleet {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(self.faults, self.failures)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.ghost.wrong.is_none() {
            actions.extend(self.protocol.ordinary(state));
            actions.extend(self.protocol.extraordinary(state));
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut state = state.clone();
        self.protocol.apply(&mut state, action);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(PUBLISH, |_, state: &State| !state.has_broken(Wrong::PublishedOverNewer)),
            Property::always(HISTORY, |_, state: &State| !state.has_broken(Wrong::PublishedOlder)),
            Property::always(ORDER, |_, state: &State| state.are_fences_in_order()),
            Property::always(TAKE, |_, state: &State| !state.has_broken(Wrong::TookOlder)),
            Property::always(RELEASE, |_, state: &State| !state.has_broken(Wrong::ReleasedAnothers)),
            Property::always(IN_FLIGHT, |_, state: &State| !state.has_broken(Wrong::TwoInFlight)),
            Property::always(REQUESTS, |_, state: &State| !state.has_broken(Wrong::RequestedAgain)),
            Property::always(OUTCOME, |fleet: &Self, state| {
                !fleet.is_at_rest(state) || state.is_all_served()
            }),
            Property::always(LEASES, |fleet: &Self, state| {
                !fleet.is_at_rest(state) || state.store.lease.is_none()
            }),
            Property::always(WAITING, Self::is_nobody_stuck),
        ]
    }
}

/// Goes through everything that can happen, and returns how many states there are. No promise is broken in any.
fn exhaust(fleet: Fleet) -> usize {
    let threads = available_parallelism().map_or(1, Into::into);
    let checker = fleet.checker().threads(threads).symmetry().spawn_dfs().join();
    let broken = checker.discoveries().into_iter().map(|(promise, path)| (promise, path.into_actions()));
    let broken: Vec<_> = broken.collect();
    assert!(broken.is_empty(), "broken: {broken:#?}");
    assert!(checker.is_done(), "it was cut off");
    let (states, steps) = (checker.unique_state_count(), checker.state_count());
    println!("{states} states and {steps} steps between them, at most {} in a row", checker.max_depth());
    states
}

/// The shortest way in which this fleet breaks this promise.
fn assert_breaks(fleet: Fleet, promise: &'static str) {
    let when = HasDiscoveries::AnyOf([promise].into());
    let checker = fleet.checker().finish_when(when).spawn_bfs().join();
    let path = checker.discovery(promise).expect("a broken promise is found");
    println!("broken: {promise}, by\n{:#?}", path.into_actions());
}

#[test]
fn no_promise_is_broken_by_two_faults_and_a_failed_request() {
    let states = exhaust(Fleet::new());
    assert!(states > 1_000_000, "only {states} states");
}

#[test]
fn no_promise_is_broken_by_three_faults() {
    let states = exhaust(Fleet { faults: 3, failures: 0, ..Fleet::new() });
    assert!(states > 1_000_000, "only {states} states");
}

/// So everything that happens comes to an end, and what is true at every end will be true whatever happens.
#[test]
fn nothing_goes_round_in_circles() {
    fn visit(fleet: &Fleet, state: State, above: &mut HashSet<State>, done: &mut HashSet<State>) {
        if done.contains(&state) {
            return;
        }
        assert!(above.insert(state.clone()), "it comes back to {state:#?}");
        for next in fleet.next_states(&state) {
            visit(fleet, next.representative(), above, done);
        }
        above.remove(&state);
        done.insert(state);
    }
    let mut done = HashSet::new();
    for (faults, failures) in [(2, 0), (1, 1)] {
        let fleet = Fleet { faults, failures, ..Fleet::new() };
        visit(&fleet, State::new(faults, failures), &mut HashSet::new(), &mut done);
    }
    assert!(done.len() > 200_000, "only {} states", done.len());
}

#[test]
fn release_without_compare_is_noticed() {
    assert_breaks(Fleet::without(&[Rule::ReleaseCompares]), RELEASE);
}

/// In a store that was emptied no fence is left to compare with.
#[test]
fn publish_without_lease_is_noticed() {
    assert_breaks(Fleet::without(&[Rule::PublishComparesLease]), HISTORY);
}

/// It is the second line of defence.
#[test]
fn publish_with_neither_lease_nor_fence_is_noticed() {
    assert_breaks(Fleet::without(&[Rule::PublishComparesLease, Rule::PublishComparesFence]), PUBLISH);
}

#[test]
fn fence_that_starts_again_after_an_empty_restart_is_noticed() {
    assert_breaks(Fleet::without(&[Rule::FenceFollowsTime]), ORDER);
}

#[test]
fn winner_that_does_not_load_again_is_noticed() {
    assert_breaks(Fleet::without(&[Rule::WinnerLoadsAgain]), REQUESTS);
}

#[test]
fn winner_that_does_not_mind_a_failure_is_noticed() {
    assert_breaks(Fleet::without(&[Rule::WinnerMindsNote]), REQUESTS);
}

#[test]
fn failure_noted_after_the_release_is_noticed() {
    assert_breaks(Fleet::without(&[Rule::NoteWithRelease]), REQUESTS);
}

#[test]
fn lease_without_renewal_is_noticed() {
    assert_breaks(Fleet::without(&[Rule::LeaseIsRenewed]), IN_FLIGHT);
}

#[test]
fn lease_that_never_expires_is_noticed() {
    assert_breaks(Fleet::without(&[Rule::LeaseExpires]), OUTCOME);
    assert_breaks(Fleet::without(&[Rule::LeaseExpires]), LEASES);
}

#[test]
fn taking_an_older_record_is_noticed() {
    assert_breaks(Fleet::without(&[Rule::OlderIsRefused]), TAKE);
}

#[test]
fn waiting_without_end_is_noticed() {
    assert_breaks(Fleet::without(&[Rule::WaitEnds]), WAITING);
}
