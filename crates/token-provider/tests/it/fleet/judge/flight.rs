//! A request under way.

use std::sync::Arc;
use std::time::Duration;

use token_provider::{AccessToken, Issued, TokenError, TokenErrorKind, TokenKey};

use super::super::{Machine, World, locked};
use super::{Kind, Token};

pub(in super::super) struct Flight<'w> {
    world: &'w Arc<World>,
    kind: Kind,
    server: usize,
    sent_at: Duration,
}

impl<'w> Flight<'w> {
    pub(in super::super) fn begin(world: &'w Arc<World>, machine: &Machine, key: &TokenKey) -> Self {
        let (kind, now, is_fair) = (machine.kind(key), world.now(), world.is_store_fair());
        let stored = locked(&world.shelf).fresh(machine, key, now);
        let held = held_and_fresh(machine, key);
        let mut judge = world.judge();
        judge.counts.requests += 1;
        let ours = (machine.number, kind);
        let refused = judge.refused.remove(&(machine.number, kind.1));
        let has_lease = judge.leases.contains(&ours);
        let flying = judge.flying.entry(kind).or_default();
        let is_alone = flying.is_empty();
        if has_lease {
            flying.push(now);
        }
        let who = format!("{kind:?} of server {}", machine.number);
        judge.note(now, &format!("{who} makes a request, lease: {has_lease}"));
        if let Some(held) = held
            && !judge.is_to_be_replaced(machine, held.expose_secret())
            && !judge.is_troubled(now)
        {
            judge.check(
                false,
                now,
                &format!("no request is made that a server without a store would not make: {who}"),
            );
        }
        if judge.is_calm(now, is_fair) {
            if has_lease {
                let told = format!("one request is in flight for a kind of token, in the whole fleet: {who}");
                judge.check(is_alone, now, &told);
                let until = judge.paused.get(&kind).map_or(Duration::ZERO, |(_, until)| *until);
                judge.check(now >= until, now, &format!("the fleet waits out what the issuer said: {who}"));
                let is_fresh = stored.is_some_and(|(text, fence)| judge.is_takeable(machine, &text, fence));
                judge.check(!is_fresh, now, &format!("no request is made for what the store has: {who}"));
            } else {
                let has_waited = refused.is_some_and(|(since, _)| since + Duration::from_secs(2) <= now);
                let told = format!("who has no lease has waited for two seconds: {who}");
                judge.check(has_waited, now, &told);
            }
        }
        Self { world, kind, server: machine.number, sent_at: now }
    }

    pub(in super::super) fn grant(self) -> String {
        let mut judge = self.world.judge();
        judge.counts.tokens += 1;
        let number = judge.tokens.len();
        let text = format!("t{number}");
        judge.note(self.world.now(), &format!("{text} for server {}", self.server));
        // The issuer's count begins at the latest now; it is judged as if it had begun at once.
        let expires_at = self.sent_at + Duration::from_secs(self.kind.1);
        let fingerprint = Issued::new(text.clone(), Duration::ZERO).fingerprint();
        let token = Token { kind: self.kind, fingerprint, server: self.server, expires_at, fence: None };
        judge.had.insert((self.server, fingerprint));
        judge.tokens.insert(text.clone(), token);
        judge.paused.remove(&self.kind);
        text
    }

    pub(in super::super) fn fail(self, error: &TokenError) {
        let (now, is_fair) = (self.world.now(), self.world.is_store_fair());
        let mut judge = self.world.judge();
        judge.note(now, &format!("{:?} for server {}", error.kind(), self.server));
        // Who has no lease has nothing to tell.
        if error.kind() == TokenErrorKind::Unreachable || !judge.leases.contains(&(self.server, self.kind)) {
            return;
        }
        if !judge.is_calm(now, is_fair) {
            judge.paused.clear();
            return;
        }
        let failures = judge.paused.get(&self.kind).map_or(1, |(failures, _)| failures + 1);
        let step = match error.kind() {
            TokenErrorKind::Rejected { .. } => Duration::from_secs(60),
            _ => Duration::from_millis(200 << (failures - 1).min(16)).min(Duration::from_secs(20)),
        };
        let until = now + step.max(error.retry_after().unwrap_or_default());
        judge.paused.insert(self.kind, (failures, until));
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        if let Some(flying) = self.world.judge().flying.get_mut(&self.kind) {
            flying.retain(|sent_at| *sent_at != self.sent_at);
        }
    }
}

/// Returns the token that a server holds and that is not due, if there is one: then only a report is a reason for a request.
fn held_and_fresh(machine: &Machine, key: &TokenKey) -> Option<AccessToken> {
    let statuses = machine.provider().status();
    let status = statuses.into_iter().find(|status| status.key == *key && !status.is_due)?;
    status.token
}
