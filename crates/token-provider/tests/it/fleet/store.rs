//! The store that the fleet shares, with its weather. What a real one does with what it reads (who can read it, where it belongs,
//! time left by three clocks, one name for each credential) is done here as well.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use token_provider::{
    Clock as _, Fingerprint, Issued, Lease, Leased, Moment, NotedFailure, Store, Stored, StoredToken,
    TokenKey,
};
use tokio::time::sleep;

use super::{Machine, World, locked};

const LEASE: Duration = Duration::from_secs(4);
/// A server waits so long for the store …
const TIMEOUT: Duration = Duration::from_millis(150);
/// … which does in so much what it is told where it is slow.
const SLOW: Duration = Duration::from_secs(1);
/// A token is gone from the store so long before it expires.
const GONE_BEFORE: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Weather {
    #[default]
    Fair,
    Away,
    /// Answers too late, and does what it was told only then.
    Slow,
    /// Every third call is too late, or never arrives.
    Flaky,
}

/// What the store holds.
#[derive(Clone, Default)]
pub(super) struct Shelf {
    pub(super) weather: Weather,
    /// Sorted, so that a life can be repeated.
    kinds: BTreeMap<String, Slot>,
    /// When a report was stored, and with which key.
    reported: HashMap<Fingerprint, (Duration, u64)>,
    /// As a replica has it that is behind.
    behind: Option<Box<Self>>,
    /// What somebody who can write to the store has kept of it.
    kept: Vec<(String, Record)>,
}

#[derive(Clone, Default)]
struct Slot {
    token: Option<Record>,
    failure: Option<Failure>,
    lease: Option<Holder>,
    fence: u64,
}

#[derive(Clone, Copy)]
struct Holder {
    server: usize,
    fence: u64,
    until: Duration,
}

#[derive(Clone, Copy)]
struct Failure {
    noted: NotedFailure,
    until: Duration,
    key: u64,
}

#[derive(Clone)]
struct Record {
    fence: u64,
    text: String,
    lifetime: Duration,
    /// By the clock of the server that wrote it.
    expires_at_wall: Duration,
    /// By the store's own.
    gone_at: Duration,
    /// What it is encrypted with, and the name that it is bound to.
    key: u64,
    name: String,
}

impl Shelf {
    pub(super) fn restart_empty(&mut self) {
        *self = Self { weather: self.weather, kept: std::mem::take(&mut self.kept), ..Self::default() };
    }

    /// Takes what the replica has; the next replica is as of now.
    pub(super) fn go_back(&mut self) {
        let now = Self { behind: None, ..self.clone() };
        if let Some(behind) = self.behind.take() {
            *self = Self { weather: self.weather, ..*behind };
        }
        self.behind = Some(Box::new(now));
    }

    pub(super) fn remember_records(&mut self) {
        let records = self.kinds.iter().filter_map(|(id, slot)| Some((id.clone(), slot.token.clone()?)));
        self.kept = records.collect();
    }

    /// Puts old records back, some under another name, with their reports and the failures deleted.
    pub(super) fn tamper(&mut self, rng: &mut Rng) {
        let mut names: Vec<_> = self.kept.iter().map(|(id, _)| id.clone()).collect();
        if rng.bool() {
            rng.shuffle(&mut names);
        }
        for (name, (_, record)) in names.into_iter().zip(self.kept.clone()) {
            let slot = self.slot(&name);
            slot.token = Some(record);
            slot.failure = None;
        }
        self.reported.clear();
    }

    /// Returns who has a lease, if anybody has.
    pub(super) fn holder(&self, now: Duration) -> Option<usize> {
        let held = self.kinds.values().filter_map(|slot| slot.lease_at(now));
        held.map(|lease| lease.server).min()
    }

    /// Returns the text and the fence of a stored token that a server can use, and that is not due for long.
    pub(super) fn fresh(&self, machine: &Machine, key: &TokenKey, now: Duration) -> Option<(String, u64)> {
        let slot = self.kinds.get(&id(machine, key.lifetime()))?;
        let record =
            slot.token_at(now).filter(|record| record.can_be_read(&id(machine, key.lifetime()), machine))?;
        (record.left(machine, now) > record.lifetime / 2).then(|| (record.text.clone(), record.fence))
    }

    fn slot(&mut self, id: &str) -> &mut Slot {
        self.kinds.entry(id.to_owned()).or_default()
    }

    /// Returns what leases and tokens there are.
    fn overview(&self, now: Duration) -> Vec<Line> {
        let line = |(id, slot): (&String, &Slot)| {
            let lease = slot.lease_at(now).map(|lease| (lease.server, lease.fence));
            (id.clone(), lease, slot.token_at(now).map(|record| record.fence))
        };
        self.kinds.iter().map(line).collect()
    }
}

impl Slot {
    fn lease_at(&self, now: Duration) -> Option<Holder> {
        self.lease.filter(|lease| lease.until > now)
    }

    fn token_at(&self, now: Duration) -> Option<&Record> {
        self.token.as_ref().filter(|record| record.gone_at > now)
    }

    fn is_held_by(&self, server: usize, fence: u64, now: Duration) -> bool {
        self.lease_at(now).is_some_and(|lease| (lease.server, lease.fence) == (server, fence))
    }
}

impl Record {
    fn can_be_read(&self, id: &str, machine: &Machine) -> bool {
        self.name == id && locked(&machine.keys).can_read(self.key)
    }

    /// The least of what the writer's clock, the store's and the lifetime say.
    fn left(&self, machine: &Machine, now: Duration) -> Duration {
        let by_wall = self.expires_at_wall.saturating_sub(machine.clock.now().wall);
        by_wall.min(self.gone_at.saturating_sub(now) + GONE_BEFORE).min(self.lifetime)
    }
}

/// The name of a kind; who has the lease, with its fence; and the fence of the token.
type Line = (String, Option<(usize, u64)>, Option<u64>);

/// The store, as one server reaches it.
pub(super) struct Handle {
    pub(super) world: Arc<World>,
    pub(super) machine: Arc<Machine>,
}

/// The name of a kind of token, and of the credential that it is requested with.
fn id(machine: &Machine, lifetime: Duration) -> String {
    let (generation, lifetime) = (machine.generation(), lifetime.as_secs());
    format!("{generation} {lifetime}")
}

impl Handle {
    /// Calls the store: `None` where no answer comes in time.
    async fn call<T, W>(&self, work: W) -> Option<T>
    where
        T: Send + 'static,
        W: FnOnce(&mut Shelf, Duration) -> T + Send + 'static,
    {
        self.machine.runs(&self.world).await;
        let (weather, dice, millis) = {
            let mut rng = locked(&self.world.rng);
            (locked(&self.world.shelf).weather, rng.u8(..6), rng.u64(0..5))
        };
        let (world, server) = (Arc::clone(&self.world), self.machine.number);
        let result = match (weather, dice) {
            (Weather::Away, _) => None,
            (Weather::Flaky, 0) => {
                sleep(TIMEOUT).await;
                None
            }
            (Weather::Slow, _) | (Weather::Flaky, 1) => {
                let late = async move {
                    sleep(SLOW).await;
                    work_at(&world, server, work);
                };
                drop(tokio::spawn(late));
                sleep(TIMEOUT).await;
                None
            }
            _ => {
                sleep(Duration::from_millis(millis)).await;
                Some(work_at(&world, server, work))
            }
        };
        self.machine.runs(&self.world).await;
        result
    }

    /// Tells all servers of a report, this one, too. Some do not hear of it.
    fn announce(&self, token: Fingerprint, is_there: bool, now: Duration) {
        let is_fair = self.world.is_store_fair();
        self.world.judge().stores_report(&self.machine, token, is_there, (now, is_fair));
        for machine in &self.world.machines {
            if locked(&self.world.rng).u8(..4) > 0 {
                machine.notice.notify_one();
            } else {
                self.world.judge().acts_later(machine, token, now);
            }
        }
    }
}

/// Does what a server told the store, and sees to it that it does no harm.
fn work_at<T>(world: &Arc<World>, server: usize, work: impl FnOnce(&mut Shelf, Duration) -> T) -> T {
    let (now, mut shelf) = (world.now(), locked(&world.shelf));
    let before = shelf.overview(now);
    let result = work(&mut shelf, now);
    let after = shelf.overview(now);
    let mut judge = world.judge();
    if before != after {
        judge.note(now, &format!("server {server} turns {before:?} into {after:?}"));
    }
    for (id, lease, fence) in before {
        let slot = shelf.slot(&id);
        let is_anothers = lease.is_some_and(|(holder, _)| holder != server);
        let is_there = slot.lease_at(now).map(|lease| (lease.server, lease.fence)) == lease;
        judge.check(!is_anothers || is_there, now, "nobody ends another's lease");
        let is_replaced =
            slot.token_at(now).is_none_or(|record| fence.is_some_and(|fence| record.fence < fence));
        judge.check(fence.is_none() || !is_replaced, now, "no token takes the place of a newer one");
    }
    result
}

impl Store for Handle {
    fn id(&self, key: &TokenKey) -> String {
        id(&self.machine, key.lifetime())
    }

    async fn load(&self, key: &TokenKey) -> Stored {
        let id = id(&self.machine, key.lifetime());
        let name = id.clone();
        let found = self.call(move |shelf, now| {
            let slot = shelf.slot(&name);
            (slot.token_at(now).cloned(), slot.failure, now)
        });
        let Some((record, failure, now)) = found.await else { return Stored::default() };
        let record = record.filter(|record| record.can_be_read(&id, &self.machine));
        if let Some(record) = &record {
            self.world.judge().saw(&self.machine, &record.text, record.fence, self.world.now());
        }
        let token = record.map(|record| StoredToken {
            fence: record.fence,
            lifetime: record.lifetime,
            issued: Issued::new(record.text.clone(), record.left(&self.machine, now)),
        });
        let failure = failure.filter(|failure| locked(&self.machine.keys).can_read(failure.key));
        let failure = failure
            .map(|Failure { noted, until, .. }| NotedFailure { wait: until.saturating_sub(now), ..noted });
        Stored { token, failure }
    }

    async fn lease(&self, key: &TokenKey) -> Leased {
        let (id, kind, server) =
            (id(&self.machine, key.lifetime()), self.machine.kind(key), self.machine.number);
        let name = id.clone();
        let answer = self.call(move |shelf, now| {
            let slot = shelf.slot(&name);
            if slot.lease_at(now).is_some() {
                return None;
            }
            // The store's own time, so that fences rise through an empty restart.
            slot.fence = (slot.fence + 1).max(u64::try_from(now.as_millis()).expect("is no eternity"));
            slot.lease = Some(Holder { server, fence: slot.fence, until: now + LEASE });
            Some(slot.fence)
        });
        let answer = answer.await;
        if let Some(fence) = answer {
            self.world.judge().lease(&self.machine, kind, fence.is_some(), self.world.now());
        }
        match answer {
            Some(Some(fence)) => Leased::Won(Lease { id, fence }),
            Some(None) => Leased::Lost,
            None => Leased::Away,
        }
    }

    async fn renew(&self, lease: &Lease) -> bool {
        let (server, Lease { id, fence }) = (self.machine.number, lease.clone());
        let answer = self.call(move |shelf, now| {
            let slot = shelf.slot(&id);
            let is_ours = slot.is_held_by(server, fence, now);
            if is_ours {
                slot.lease = Some(Holder { server, fence, until: now + LEASE });
            }
            is_ours
        });
        answer.await.unwrap_or(false)
    }

    async fn publish(&self, key: &TokenKey, lease: &Lease, issued: &Issued, sent_at: Moment) {
        let (clock, expires_in) = (self.machine.clock.now(), issued.expires_in());
        // A token of another credential does not belong under this name.
        if lease.id != id(&self.machine, key.lifetime()) {
            return;
        }
        let age = clock.boot.saturating_sub(sent_at.boot);
        let (server, Lease { id, fence }) = (self.machine.number, lease.clone());
        self.world.judge().fenced(&self.machine, issued.expose_secret(), fence);
        let record = Record {
            fence,
            text: issued.expose_secret().to_owned(),
            lifetime: expires_in,
            expires_at_wall: sent_at.wall + expires_in,
            gone_at: expires_in.saturating_sub(age).saturating_sub(GONE_BEFORE),
            key: locked(&self.machine.keys).writes,
            name: id.clone(),
        };
        let world = Arc::clone(&self.world);
        let written = self.call(move |shelf, now| {
            let slot = shelf.slot(&id);
            let is_newest = slot.token_at(now).is_none_or(|record| record.fence < fence);
            if slot.is_held_by(server, fence, now) && is_newest {
                world.judge().published(&record.text, fence, now);
                slot.token = Some(Record { gone_at: now + record.gone_at, ..record });
                (slot.failure, slot.lease) = (None, None);
            }
        });
        written.await;
    }

    async fn release(&self, lease: &Lease, failure: Option<NotedFailure>) {
        let (server, key) = (self.machine.number, locked(&self.machine.keys).writes);
        let Lease { id, fence } = lease.clone();
        let released = self.call(move |shelf, now| {
            let slot = shelf.slot(&id);
            if let Some(noted) = failure {
                slot.failure = Some(Failure { noted, until: now + noted.wait, key });
            }
            if slot.is_held_by(server, fence, now) {
                slot.lease = None;
            }
        });
        released.await;
    }

    async fn report(&self, token: Fingerprint) {
        let key = locked(&self.machine.keys).writes;
        let stored = self.call(move |shelf, now| (shelf.reported.insert(token, (now, key)), now));
        if let Some((before, now)) = stored.await {
            let before = before.filter(|(_, key)| locked(&self.machine.keys).can_read(*key));
            self.announce(token, before.is_some(), now);
        }
    }

    async fn is_reported(&self, token: Fingerprint) -> bool {
        let found = self.call(move |shelf, _| shelf.reported.get(&token).copied()).await.flatten();
        let is_reported = found.is_some_and(|(_, key)| locked(&self.machine.keys).can_read(key));
        if !is_reported {
            self.world.judge().missed(&self.machine, token, self.world.now());
        }
        is_reported
    }

    fn replayed(&self, _key: &TokenKey) {}
}
