//! A simulated world for a provider to live in: an issuer with moods, clocks that are set and machines that sleep,
//! callers of all kinds, and a judge who holds the provider to its promises.
//!
//! Everything follows from a seed: the plan, each answer of the issuer, the provider's own jitter. Time is Tokio's
//! paused time, so a day takes milliseconds, and nothing depends on the machine that this runs on.

#![expect(
    clippy::indexing_slicing,
    reason = "a test's own tables; an index that is wrong should panic, in the example as in the tests"
)]

mod callers;
mod clocks;
mod issuer;
mod judge;
mod plan;
mod trace;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use token_provider::{TokenKey, TokenProvider};

use self::clocks::Clocks;
use self::issuer::{Issuer, Sky};
use self::judge::Judge;
use self::plan::{Event, Plan};

/// After the longest pause that any failure can bring (330 s) and one request, tokens must flow again.
const RECOVERY: Duration = Duration::from_secs(345);

/// What one simulated life came to.
pub(crate) struct Report {
    pub(crate) seed: u64,
    /// How much time went by, sleep included.
    pub(crate) simulated: Duration,
    pub(crate) counts: Counts,
    /// Stands for everything that happened, in order; equal for equal seeds.
    pub(crate) trace: u64,
    /// Broken promises, with what went before the first of them.
    pub(crate) violations: Vec<String>,
}

/// How much happened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) calls: u64,
    pub(crate) handouts: u64,
    pub(crate) requests: u64,
    pub(crate) reports: u64,
    /// Requests that reports and replacements led to.
    pub(crate) replacements: u64,
    /// Requests that brought no good token, and clocks, machines and credentials that were meddled with.
    pub(crate) faults: u64,
}

/// What the parts of the world share.
struct World {
    clocks: Clocks,
    sky: Mutex<Sky>,
    judge: Mutex<Judge>,
}

impl World {
    fn judge(&self) -> MutexGuard<'_, Judge> {
        self.judge.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sky(&self) -> MutexGuard<'_, Sky> {
        self.sky.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lives one life from beginning to end.
pub(crate) fn run(seed: u64) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without input and output needs nothing").block_on(live(seed))
}

async fn live(seed: u64) -> Report {
    let plan = Plan::new(seed);
    let world = Arc::new(World {
        clocks: Clocks::new(),
        sky: Mutex::new(Sky::new(seed)),
        judge: Mutex::new(Judge::new(plan.keys.iter().map(TokenKey::lifetime).collect(), plan.max_tokens)),
    });
    let issuer = Arc::new(Issuer::new(Arc::clone(&world), plan.keys.clone()));
    let provider = TokenProvider::builder(Arc::clone(&issuer))
        .clock(world.clocks.test_clock())
        .max_tokens(plan.max_tokens)
        .jitter_seed(seed)
        .build();

    let callers: Vec<_> = plan
        .callers
        .iter()
        .map(|caller| {
            tokio::spawn(callers::live(Arc::clone(&world), provider.clone(), caller.clone(), plan.horizon))
        })
        .collect();
    for (at, event) in &plan.events {
        world.clocks.until(*at).await;
        happen(&world, &provider, event, plan.replaces);
    }
    world.clocks.until(plan.horizon).await;
    for caller in callers {
        caller.await.expect("a caller does not panic");
    }

    make_good(&world, &provider);
    tokio::time::sleep(RECOVERY).await;
    for key in 0..plan.keys.len() {
        callers::call_and_succeed(&world, &provider, key, &plan.keys[key]).await;
    }
    if plan.ends_idle {
        let longest = world.judge().longest_keep();
        tokio::time::sleep(longest).await;
        world.judge().slots_must_be_gone(&provider.status(), world.clocks.now());
    }
    drop(provider);
    settle().await;
    // The issuer is held here and by nobody else once the provider's tasks have ended.
    let tasks = Arc::strong_count(&issuer) - 1;
    world.judge().tasks_must_have_ended(tasks, world.clocks.now());
    let simulated = world.clocks.now().truth;
    world.judge().report(seed, simulated)
}

/// Lets tasks run that are ready, without time passing.
async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

fn happen(world: &World, provider: &TokenProvider, event: &Event, replaces: bool) {
    if event.is_about_clocks() {
        // Tokens may come of age, or be gone, by the clocks as they stand before the change and after it.
        world.judge().clocks_change(world.clocks.now());
        match *event {
            Event::SetWall(by) => world.clocks.set_wall_by(by),
            Event::SetWallRight => world.clocks.set_wall_right(),
            Event::Suspend(span) => world.clocks.suspend(span),
            Event::Freeze(span) => world.clocks.freeze(span),
            _ => {}
        }
        world.judge().clocks_change(world.clocks.now());
    }
    match event {
        Event::Weather(weather) => world.sky().weather = weather.clone(),
        Event::Revoke => {
            let credential = world.judge().credential();
            world.sky().revoked = Some(credential);
        }
        Event::Rotate => {
            world.judge().credential_changes(world.clocks.now());
            provider.credential_changed();
        }
        Event::Refuse => {
            let issued = world.judge().issued();
            world.sky().refused = issued;
        }
        _ => {}
    }
    let is_rotation = matches!(event, Event::Rotate) && replaces;
    if is_rotation || matches!(event, Event::ReplaceAll) {
        world.judge().all_are_replaced(!is_rotation, world.clocks.now());
        if !is_rotation {
            provider.drop_unused();
        }
        provider.replace_all();
    }
    world.judge().happened(event.is_fault(), world.clocks.now());
    world.judge().slots_are(provider.status().len(), world.clocks.now());
}

/// Ends all trouble: from here on the provider has no excuse.
fn make_good(world: &World, provider: &TokenProvider) {
    for event in [Event::SetWallRight, Event::Weather(plan::Weather::Fair), Event::Rotate] {
        happen(world, provider, &event, false);
    }
}
