//! One life of a fleet: who asks for what, and what goes wrong.

mod scenes;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use token_provider::{AccessToken, ReportOutcome, TokenError, TokenKey};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::store::Weather;
use super::{Judge, Keys, Machine, Report, Sky, World, locked, start};

const LIFETIMES: [u64; 6] = [60, 100, 300, 1800, 3600, 86_400];
/// When all trouble is over, tokens flow again after the longest pause.
const RECOVERY: Duration = Duration::from_secs(345);

pub(super) struct Life {
    world: Arc<World>,
    rng: Rng,
    kinds: Vec<TokenKey>,
    /// In some lives nothing goes wrong with the store, so that economy is judged to the end.
    is_calm: bool,
}

type Visit = (usize, JoinHandle<()>);

impl Life {
    pub(super) fn new(seed: u64, max_servers: usize) -> Self {
        let mut rng = Rng::with_seed(seed ^ 0x464c_4545);
        let lifetimes: Vec<_> =
            (0..rng.usize(1..=2)).map(|_| LIFETIMES[rng.usize(..LIFETIMES.len())]).collect();
        let kind = |seconds: &u64| TokenKey::new(Duration::from_secs(*seconds)).expect("is in range");
        let world = Arc::new(World {
            start: Instant::now(),
            sky: Mutex::new((Sky::Fair, Duration::ZERO)),
            rng: Mutex::new(rng.fork()),
            machines: (0..rng.usize(1..=max_servers)).map(Machine::new).collect(),
            shelf: Mutex::default(),
            judge: Mutex::new(Judge::default()),
        });
        for machine in &world.machines {
            start(&world, machine, rng.u64(..));
        }
        let is_calm = rng.u8(..3) == 0;
        Self { world, kinds: lifetimes.iter().map(kind).collect(), is_calm, rng }
    }

    pub(super) async fn live(mut self, seed: u64) -> Report {
        let longest = self.kinds.iter().map(TokenKey::lifetime).max().expect("there is one");
        let horizon = longest * self.rng.u32(2..=6);
        let calls = self.rng.u32(20..150);
        for _ in 0..calls {
            sleep(horizon.mul_f64(self.rng.f64() * 2.0 / f64::from(calls))).await;
            let key = self.kinds[self.rng.usize(..self.kinds.len())].clone();
            if self.rng.u8(..6) == 0 {
                self.happen(&key).await;
            }
            let visits = if self.rng.u8(..4) == 0 { self.all_ask(&key) } else { self.one_asks(&key) };
            self.end(visits).await;
            if self.rng.u8(..30) == 0 {
                self.refuse(&key);
                // Others may have none yet.
                sleep(Duration::from_millis(15)).await;
                self.end(self.all_ask(&key)).await;
            }
        }
        self.make_good();
        sleep(RECOVERY).await;
        for machine in &self.world.machines {
            for key in &self.kinds {
                let answer = machine.provider().token_for(key).await;
                self.world.judge().must_recover(machine, answer.as_ref().err());
            }
        }
        for machine in &self.world.machines {
            *locked(&machine.process) = None;
        }
        let (servers, simulated) = (self.world.machines.len(), self.world.now());
        self.world.judge().report(seed, servers, simulated)
    }

    fn one(&mut self) -> Arc<Machine> {
        Arc::clone(&self.world.machines[self.rng.usize(..self.world.machines.len())])
    }

    fn one_asks(&mut self, key: &TokenKey) -> Vec<Visit> {
        let machine = self.one();
        self.ask(&machine, key).into_iter().collect()
    }

    fn all_ask(&self, key: &TokenKey) -> Vec<Visit> {
        self.world.machines.iter().filter_map(|machine| self.ask(machine, key)).collect()
    }

    fn ask(&self, machine: &Arc<Machine>, key: &TokenKey) -> Option<Visit> {
        let (world, machine, key) = (Arc::clone(&self.world), Arc::clone(machine), key.clone());
        let number = machine.number;
        (!machine.is_stopped(&world)).then(|| (number, tokio::spawn(visit(world, machine, key))))
    }

    async fn end(&self, visits: Vec<Visit>) {
        for (_, visit) in visits {
            if let Err(error) = visit.await {
                assert!(error.is_cancelled(), "a caller does not panic: {error}");
            }
        }
    }

    /// Something changes.
    async fn happen(&mut self, key: &TokenKey) {
        let (now, was_fair) = (self.world.now(), self.world.is_store_fair());
        let event = self.rng.u8(..if self.is_calm { 8 } else { 26 });
        let is_trouble = event >= 8 || !was_fair;
        self.world.judge().happens(now, event);
        if is_trouble {
            self.world.judge().trouble(now);
        }
        match event {
            0 | 1 => *locked(&self.world.sky) = (Sky::Fair, now),
            2..=4 => self.cloud_over(now),
            5 => self.rotate_credential(),
            6 => self.rotate_key(),
            7 => self.replace_all(now),
            8 | 9 => locked(&self.world.shelf).weather = Weather::Fair,
            10 => {
                let foul = [Weather::Away, Weather::Slow, Weather::Flaky][self.rng.usize(..3)];
                locked(&self.world.shelf).weather = foul;
            }
            11 => locked(&self.world.shelf).restart_empty(),
            // A replica that was behind becomes the one that answers.
            12 => self.fail_over(),
            13 => self.crash(),
            14 => self.stop(now),
            15 => self.set_clock(),
            16 => self.rotate_key_in_the_wrong_order(),
            17 => self.put_keys_right(),
            18 => self.meddle(),
            19 => self.replay(key).await,
            20..=24 => self.start_cold_and_lose_one(key).await,
            _ => self.be_due_while_the_store_is_away(key).await,
        }
        let stopped = self
            .world
            .machines
            .iter()
            .map(|machine| *locked(&machine.stopped_until))
            .max()
            .unwrap_or_default();
        if is_trouble {
            self.world.judge().trouble(self.world.now().max(stopped));
        }
    }

    fn cloud_over(&mut self, now: Duration) {
        let asked = self.rng.bool().then(|| self.rng.u64(1..120));
        let skies =
            [Sky::Slow, Sky::Slow, Sky::Unreachable, Sky::Failing(asked), Sky::FailingSlowly, Sky::Refusing];
        let until = now + Duration::from_secs(self.rng.u64(1..2400));
        *locked(&self.world.sky) = (skies[self.rng.usize(..skies.len())], until);
    }

    /// Reaches one server after the other.
    fn rotate_credential(&mut self) {
        let machine = self.one();
        let newest = self.world.machines.iter().map(|machine| machine.generation()).max();
        let newest = newest.expect("there is one");
        let next = if machine.generation() == newest { newest + 1 } else { newest };
        *locked(&machine.generation) = next;
        machine.provider().credential_changed();
    }

    /// The next step, at one server: the new key is added below everywhere, before any moves it to the top.
    fn rotate_key(&mut self) {
        let all: Vec<Keys> = self.world.machines.iter().map(|machine| *locked(&machine.keys)).collect();
        let newest = all.iter().map(|keys| keys.newest).max().expect("there is one");
        let is_everywhere = all.iter().all(|keys| keys.newest == newest);
        let is_on_top = all.iter().all(|keys| keys.writes == newest);
        let behind = self.world.machines.iter().find(|machine| {
            let keys = *locked(&machine.keys);
            keys.newest < newest || is_everywhere && keys.writes < newest
        });
        match behind {
            Some(machine) if !is_everywhere => locked(&machine.keys).newest = newest,
            Some(machine) => locked(&machine.keys).writes = newest,
            None if is_on_top => locked(&self.one().keys).newest = newest + 1,
            None => {}
        }
    }

    /// One server encrypts with a key that the others do not have, and cannot read what they write.
    fn rotate_key_in_the_wrong_order(&mut self) {
        let keys = self.world.machines.iter().map(|machine| locked(&machine.keys).newest);
        let next = keys.max().expect("there is one") + 1;
        *locked(&self.one().keys) = Keys { writes: next, oldest: next, newest: next };
    }

    /// Ends a rotation of either kind. What was written with older keys cannot be read any more.
    fn put_keys_right(&self) {
        let keys = self.world.machines.iter().map(|machine| locked(&machine.keys).newest);
        let newest = keys.max().expect("there is one");
        for machine in &self.world.machines {
            *locked(&machine.keys) = Keys { writes: newest, oldest: newest, newest };
        }
    }

    /// Somebody at one server has all its tokens replaced.
    fn replace_all(&mut self, now: Duration) {
        let machine = self.one();
        let provider = machine.provider();
        for token in provider.status().into_iter().filter_map(|status| status.token) {
            self.is_reported(&token, now);
        }
        self.world.judge().replaces_all(&machine, now);
        provider.drop_unused();
        provider.replace_all();
    }

    fn fail_over(&self) {
        locked(&self.world.shelf).go_back();
        self.world.judge().store_went_back();
    }

    fn crash(&mut self) {
        let machine = self.one();
        self.restart(&machine);
    }

    fn restart(&mut self, machine: &Arc<Machine>) {
        self.world.judge().crashed(machine);
        start(&self.world, machine, self.rng.u64(..));
    }

    /// For longer than its lease, in most cases.
    fn stop(&mut self, now: Duration) {
        let (machine, until) = (self.one(), now + Duration::from_secs(self.rng.u64(1..40)));
        let mut stopped_until = locked(&machine.stopped_until);
        *stopped_until = until.max(*stopped_until);
    }

    fn set_clock(&mut self) {
        let (machine, by) = (self.one(), [-3600, 3600, 30, -30][self.rng.usize(..4)]);
        let mut is_off_by = locked(&machine.is_off_by);
        // A clock is wrong once, and then set right.
        let by = if *is_off_by == 0 { by } else { -*is_off_by };
        machine.clock.set_wall(by);
        *is_off_by += by;
        self.world.judge().has_clock_set(&machine, *is_off_by == 0);
    }

    /// Services refuse what a server holds. That reaches the others by a notice, or when they look next.
    fn refuse(&mut self, key: &TokenKey) {
        let (machine, now) = (self.one(), self.world.now());
        let provider = machine.provider();
        let Some(token) = provider.held(key) else { return };
        if machine.is_stopped(&self.world) {
            return;
        }
        if provider.report(&token) == ReportOutcome::Accepted {
            self.is_reported(&token, now);
        } else {
            self.world.judge().reported_too_soon(&token);
        }
    }

    fn is_reported(&self, token: &AccessToken, now: Duration) {
        let mut judge = self.world.judge();
        judge.reported(token, now);
        for machine in &self.world.machines {
            for held in machine.provider().status().into_iter().filter_map(|status| status.token) {
                judge.holds(machine, &held);
            }
        }
    }

    /// Ends all trouble.
    fn make_good(&self) {
        let now = self.world.now();
        self.world.judge().trouble(now);
        *locked(&self.world.sky) = (Sky::Fair, now);
        locked(&self.world.shelf).weather = Weather::Fair;
        self.put_keys_right();
        for machine in &self.world.machines {
            *locked(&machine.stopped_until) = Duration::ZERO;
            machine.provider().credential_changed();
        }
    }
}

/// One caller at one server.
async fn visit(world: Arc<World>, machine: Arc<Machine>, key: TokenKey) {
    let provider = machine.provider();
    let was_held = provider.held(&key).is_some();
    let (began, fair_since) = (world.now(), world.fair_since());
    let answer = timeout(Duration::from_secs(60), provider.token_for(&key)).await.expect("waits are bounded");
    let (now, is_fair, is_store_fair) = (world.now(), world.fair_since().is_some(), world.is_store_fair());
    let fair_since = fair_since.filter(|_| is_fair);
    let mut judge = world.judge();
    let told = answer.as_ref().map(AccessToken::expose_secret).map_err(TokenError::kind);
    judge.note(now, &format!("server {} answers {told:?}", machine.number));
    judge.answered(&machine, &key, was_held, is_store_fair, fair_since, (began, now), &answer);
    if let Ok(token) = &answer {
        judge.handed_out(&machine, &key, token, (now, fair_since, is_store_fair));
    }
}
