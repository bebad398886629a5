//! Those who ask for tokens: steadily, in bursts, with long silences, and with short deadlines.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use token_provider::{AccessToken, ReportOutcome, TokenKey, TokenProvider};

use super::World;
use super::plan::Caller;

/// Comes and goes until the horizon.
pub(crate) async fn live(world: Arc<World>, provider: TokenProvider, caller: Caller, horizon: Duration) {
    let mut rng = Rng::with_seed(caller.seed);
    let mut moods = Rng::with_seed(caller.seed ^ 0x4d4f_4f44);
    let mut visits = 0_u32;
    loop {
        let mut pause = Duration::from_secs_f64(rng.f64() * caller.every);
        if let Some(silence) = caller.silence.filter(|_| visits == 0) {
            visits = rng.u32(1..100);
            pause += Duration::from_secs(rng.u64(..=silence));
        }
        // Some come back at once, as programs do that try again.
        if rng.u8(..8) == 0 {
            pause = Duration::from_secs_f64(rng.f64());
        }
        visits = visits.saturating_sub(1);
        let until = world.clocks.now().timer + pause;
        if until >= horizon {
            return;
        }
        world.clocks.until(until).await;
        let first = rng.usize(..caller.keys.len());
        let (index, key) = &caller.keys[first];
        if caller.burst > 1 && rng.u8(..4) == 0 {
            let burst: Vec<_> = (0..rng.u32(1..=caller.burst))
                .map(|_| {
                    let (world, provider, key, index) =
                        (Arc::clone(&world), provider.clone(), key.clone(), *index);
                    let deadline = deadline(&mut rng, &caller);
                    tokio::spawn(async move { call(&world, &provider, index, &key, deadline, false).await })
                })
                .collect();
            for one in burst {
                one.await.expect("a caller does not panic");
            }
        } else {
            let deadline = deadline(&mut rng, &caller);
            let lies = caller.false_reports.is_some_and(|one_in| moods.u32(..one_in) == 0);
            let calls = if lies { moods.usize(1..=caller.flood) } else { 1 };
            for (index, key) in caller.keys.iter().cycle().skip(first).take(calls) {
                call(&world, &provider, *index, key, deadline, lies).await;
                if calls > 1 {
                    tokio::time::sleep(Duration::from_millis(moods.u64(..2000))).await;
                }
            }
        }
        if rng.u8(..16) == 0 {
            world.judge().slots_are(provider.status().len(), world.clocks.now());
        }
    }
}

fn deadline(rng: &mut Rng, caller: &Caller) -> Option<Duration> {
    (rng.u32(..caller.impatient) == 0).then(|| Duration::from_millis(rng.u64(..3000)))
}

/// Asks once, and has the judge look at the answer.
async fn call(
    world: &World,
    provider: &TokenProvider,
    index: usize,
    key: &TokenKey,
    deadline: Option<Duration>,
    lies: bool,
) -> bool {
    let call = world.judge().call_begins(index, world.clocks.now());
    let answer = match deadline {
        Some(deadline) => tokio::time::timeout(deadline, provider.token_for(key)).await.ok(),
        None => Some(provider.token_for(key).await),
    };
    let now = world.clocks.now();
    match answer {
        Some(Ok(token)) => {
            let number = world.judge().handed_out(&call, &token, now);
            if let Some(number) = number.filter(|number| lies || *number < world.sky().refused) {
                report(world, provider, index, number, &token).await;
            }
            true
        }
        Some(Err(error)) => {
            world.judge().told(&call, &error, now);
            false
        }
        None => {
            world.judge().gave_up(&call, now);
            false
        }
    }
}

/// Reports a token, and has the judge look at what comes of that.
async fn report(world: &World, provider: &TokenProvider, index: usize, number: usize, token: &AccessToken) {
    let outcome = provider.report(token);
    world.judge().reported(index, number, outcome, world.clocks.now());
    if outcome == ReportOutcome::Accepted {
        let jumps = world.clocks.now().jumps;
        tokio::time::sleep(Duration::from_millis(2)).await;
        if world.clocks.now().jumps == jumps {
            world.judge().successor_must_be_under_way(index, number, world.clocks.now());
        }
    }
}

/// Asks when nothing is wrong with the world any more.
pub(crate) async fn call_and_succeed(world: &World, provider: &TokenProvider, index: usize, key: &TokenKey) {
    if !call(world, provider, index, key, None, false).await {
        world.judge().must_have_room(index, world.clocks.now());
    }
}
