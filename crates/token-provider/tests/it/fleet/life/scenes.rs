//! What takes several steps to go wrong.

use std::sync::Arc;
use std::time::Duration;

use token_provider::TokenKey;
use tokio::time::sleep;

use super::super::{Machine, locked};
use super::{Life, Sky, Visit, Weather};

impl Life {
    /// All servers and the store start with nothing, half of them have callers, and the one that has the lease crashes, or is
    /// stopped until after the others, whose callers come when the lease has lapsed, have a token. The store may forget that one.
    pub(super) async fn start_cold_and_lose_one(&mut self, key: &TokenKey) {
        locked(&self.world.shelf).restart_empty();
        let machines = self.world.machines.clone();
        for machine in &machines {
            self.restart(machine);
        }
        let (early, late) = machines.split_at(machines.len().div_ceil(2));
        let (sky, stopped_for) = match self.rng.u8(..4) {
            0 => (Sky::FailingSlowly, self.rng.u64(4500..12_000)),
            1 => (Sky::Slow, self.rng.u64(16_000..30_000)),
            _ => (Sky::Fair, self.rng.u64(16_000..30_000)),
        };
        if sky != Sky::Fair {
            *locked(&self.world.sky) = (sky, self.world.now() + Duration::from_secs(15));
        }
        let visits = self.all_of(early, key);
        sleep(Duration::from_millis(self.rng.u64(5..300))).await;
        let anyone = self.one();
        let holder = locked(&self.world.shelf).holder(self.world.now());
        let victim = holder.map_or(anyone, |number| Arc::clone(&machines[number]));
        if self.rng.u8(..3) == 0 {
            visits.iter().filter(|(server, _)| *server == victim.number).for_each(|(_, visit)| visit.abort());
            self.restart(&victim);
        } else {
            let mut stopped_until = locked(&victim.stopped_until);
            *stopped_until = stopped_until.max(self.world.now() + Duration::from_millis(stopped_for));
        }
        sleep(Duration::from_millis(self.rng.u64(4000..4500))).await;
        self.end(self.all_of(late, key)).await;
        if self.rng.bool() {
            locked(&self.world.shelf).restart_empty();
        }
        self.end(visits).await;
    }

    fn all_of(&self, machines: &[Arc<Machine>], key: &TokenKey) -> Vec<Visit> {
        machines.iter().filter_map(|machine| self.ask(machine, key)).collect()
    }

    pub(super) async fn be_due_while_the_store_is_away(&mut self, key: &TokenKey) {
        self.end(self.all_ask(key)).await;
        locked(&self.world.shelf).weather = Weather::Away;
        sleep(key.lifetime().mul_f64(0.75)).await;
        self.end(self.all_ask(key)).await;
    }

    /// Somebody who can write to the store keeps what is there, or puts it back.
    pub(super) fn meddle(&mut self) {
        let mut shelf = locked(&self.world.shelf);
        if self.rng.bool() {
            shelf.remember_records();
        } else {
            shelf.tamper(&mut self.rng);
        }
    }

    /// Somebody puts a token back that is older than the one that two servers have from the store, and services refuse that one.
    pub(super) async fn replay(&mut self, key: &TokenKey) {
        self.end(self.all_ask(key)).await;
        locked(&self.world.shelf).remember_records();
        locked(&self.world.shelf).restart_empty();
        for _ in 0..2 {
            let machine = self.one();
            self.restart(&machine);
            self.end(self.ask(&machine, key).into_iter().collect()).await;
            locked(&self.world.shelf).tamper(&mut self.rng);
            let Some(token) = machine.provider().held(key) else { continue };
            machine.provider().report(&token);
            self.is_reported(&token, self.world.now());
            sleep(Duration::from_secs(2)).await;
            self.end(self.ask(&machine, key).into_iter().collect()).await;
        }
    }
}
