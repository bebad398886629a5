//! What the judge knows of one kind of token.

use std::time::Duration;

use super::{IDLE, LONGEST_PAUSE, MARGIN, MEMORY, PAUSE, REFRESHERS_SLEEP, RESET, SHORTEST, TICK, UNASKED};
use crate::world::clocks::Now;

/// What the judge knows of one kind of token.
#[derive(Default)]
pub(super) struct File {
    pub(super) flight: Option<Flight>,
    pub(super) last_begun: Option<Now>,
    pub(super) last_failed: Option<Now>,
    /// The newest token that could be handed out when it came.
    pub(super) token: Option<usize>,
    /// When it came, in timer time.
    came: Option<Duration>,
    pub(super) newest_handed_out: usize,
    /// In boot time: before this a request would follow a successful one too closely.
    pub(super) shortest_until: Duration,
    /// How the last request ended, if it failed.
    failure: Option<Failure>,
    /// Whether anyone has asked since the last token came.
    is_asked: bool,
    /// Whether the provider may have let the token go, or found it expired.
    may_be_gone: bool,
    was_asked_for: bool,
    failures_since_asked: u32,
    /// When a clock last jumped, which a sleeping refresher does not see.
    jumped: Option<Duration>,
    /// When a caller was the first to find the token due after that, and no pause kept the refresher from asking.
    noticed: Option<Duration>,
    /// The newest token that was reported while it was held, and since when, in timer time.
    refused: Option<(usize, Duration)>,
    /// When the last report came, in boot time.
    reported: Duration,
    /// When the last request was made that a report led to, in boot time, and the pause after it.
    after_report: Option<(Duration, Duration)>,
    /// Since when a token that was requested before is to be replaced, in timer time. Until a request begins.
    replaces: Option<Duration>,
}

/// A request in flight.
#[derive(Clone, Copy)]
pub(super) struct Flight {
    pub(super) begun: Now,
    pub(super) credential: u64,
    /// Made before the token that is held is due.
    pub(super) is_early: bool,
    /// … because all tokens are replaced, and for no other reason.
    pub(super) is_replacement: bool,
}

/// A request that failed, and the pause after it.
#[derive(Clone, Copy)]
pub(super) struct Failure {
    pub(super) at: Now,
    /// How many have failed in a row: at least, for all that may have been forgotten, and at most.
    at_least: u32,
    at_most: u32,
    is_refusal: bool,
    asked: Duration,
    /// When the credential changed, after the request was sent.
    changed: Option<Duration>,
    /// Whether it had changed by the time of the answer.
    passes_waiters_by: bool,
}

/// A token as issued.
#[derive(Clone, Copy)]
pub(super) struct Token {
    pub(super) key: usize,
    pub(super) lifetime: Duration,
    expires: Duration,
    sent: Now,
    came: Now,
}

impl Token {
    pub(super) fn new(key: usize, counted_from: Duration, expires_in: u64, sent: Now, came: Now) -> Self {
        // More than 30 days are not believed.
        let lifetime = Duration::from_secs(expires_in.min(30 * 86_400));
        Self { key, lifetime, expires: counted_from + lifetime, sent, came }
    }

    /// One that must never be seen.
    pub(super) fn nobodys(now: Now) -> Self {
        Self::new(usize::MAX, now.truth, 0, now, now)
    }

    /// How long it will really be accepted.
    pub(super) fn true_left(&self, now: Now) -> Duration {
        self.expires.saturating_sub(now.truth)
    }

    /// How long a careful reader of both clocks takes it to live.
    pub(super) fn left_by_clocks(&self, now: Now) -> Duration {
        let boot = (self.sent.boot + self.lifetime).saturating_sub(now.boot);
        let lifetime = i64::try_from(self.lifetime.as_millis()).unwrap_or(i64::MAX);
        let wall = self.sent.wall.saturating_add(lifetime).saturating_sub(now.wall);
        boot.min(Duration::from_millis(u64::try_from(wall).unwrap_or(0)))
    }

    /// How much is left when the successor is asked for at the earliest: at 70 % less 5 % of that; for a short life at
    /// 85 % of what can be handed out, less 5 % of that.
    fn most_left_when_due(&self) -> Duration {
        let usable = self.lifetime.saturating_sub(MARGIN);
        let age = self.lifetime.mul_f64(0.70 * 0.95).min(usable.mul_f64(0.85 * 0.95)).max(SHORTEST);
        // A thousandth of the life covers rounding.
        self.lifetime.saturating_sub(age) + self.lifetime.mul_f64(0.001)
    }

    /// Whether the refresher, at its slowest, has seen by now that the token is due.
    pub(super) fn is_overdue(&self, now: Now) -> bool {
        let age = self.lifetime.mul_f64(0.70 * 1.05).max(SHORTEST) + REFRESHERS_SLEEP;
        self.left_by_clocks(now) + age <= self.lifetime
    }

    /// Whether the token is due, whatever chance made of the moment.
    fn is_past_due(&self, now: Now) -> bool {
        let usable = self.lifetime.saturating_sub(MARGIN);
        let age = self.lifetime.mul_f64(0.70 * 1.05).min(usable.mul_f64(0.85 * 1.05)).max(SHORTEST);
        self.left_by_clocks(now) + age <= self.lifetime
    }
}

impl Failure {
    /// The exponential part of a pause, without chance: 0.2 s doubled up to 20 s; a minute after a refusal.
    fn step(&self, failures: u32) -> Duration {
        if self.is_refusal {
            return Duration::from_secs(60);
        }
        let doubled = Duration::from_millis(200) * 2_u32.pow(failures.saturating_sub(1).min(10));
        doubled.min(Duration::from_secs(20))
    }

    /// The earliest that the request may be repeated, in boot time.
    pub(super) fn earliest_retry(&self) -> Duration {
        let pause = self.at.boot + self.step(self.at_least).max(self.asked);
        self.changed.map_or(pause, |changed| changed.min(pause))
    }

    /// The latest that it is repeated if anyone wants it, in boot time.
    pub(super) fn latest_retry(&self) -> Duration {
        let chance = if self.is_refusal { 1.1 } else { 1.5 };
        let pause = self.at.boot + self.step(self.at_most).mul_f64(chance).max(self.asked.mul_f64(1.1));
        self.changed.map_or(pause, |changed| changed.min(pause))
    }
}

impl File {
    pub(super) fn failure(&self) -> Option<Failure> {
        self.failure
    }

    pub(super) fn was_asked_for(&self) -> bool {
        self.was_asked_for
    }

    /// Notes what the provider may have done with a token on its own since the last look. Where more kinds are asked for than
    /// there is room for, one that nobody asks for gives way.
    pub(super) fn grow_old(&mut self, tokens: &[Token], is_crowded: bool, now: Now) {
        let Some(token) = self.token.and_then(|number| tokens.get(number)) else {
            return;
        };
        let left = token.left_by_clocks(now);
        let may_be_let_go = !self.is_asked && left <= token.most_left_when_due();
        let gives_way = is_crowded && !self.is_asked && token.sent.boot + IDLE <= now.boot;
        self.may_be_gone |= left <= MARGIN || may_be_let_go || gives_way;
    }

    pub(super) fn clocks_change(&mut self, now: Now) {
        self.jumped = Some(now.timer);
        self.noticed = None;
    }

    pub(super) fn ask(&mut self, tokens: &[Token], now: Now) {
        self.is_asked = true;
        self.was_asked_for = true;
        self.failures_since_asked = 0;
        let token = self.token.and_then(|number| tokens.get(number));
        if self.noticed.is_none()
            && !self.is_pausing(now)
            && token.is_some_and(|token| token.is_past_due(now))
        {
            self.noticed = Some(now.timer);
        }
    }

    /// Whether a pause after a failure may last.
    pub(super) fn is_pausing(&self, now: Now) -> bool {
        self.failure.is_some_and(|failure| now.boot <= failure.latest_retry() + TICK)
    }

    pub(super) fn must_be_held(&self) -> bool {
        self.token.is_some() && !self.may_be_gone
    }

    pub(super) fn credential_changes(&mut self, now: Now) {
        if let Some(failure) = self.failure.as_mut().filter(|failure| failure.is_refusal) {
            failure.changed = Some(now.boot);
        }
    }

    /// Whether anyone can want a request now.
    pub(super) fn is_wanted(&self, tokens: &[Token], now: Now) -> bool {
        let Some(failure) = self.failure else {
            return self.is_asked;
        };
        let token = self.token.and_then(|number| tokens.get(number));
        let holds_one = token.is_some_and(|token| token.left_by_clocks(now) > MARGIN);
        self.failures_since_asked <= UNASKED || holds_one || failure.changed.is_some()
    }

    /// The earliest that a request may be made, in boot time.
    pub(super) fn earliest_request(&self, tokens: &[Token], now: Now) -> Option<Duration> {
        if let Some(failure) = &self.failure {
            return Some(failure.earliest_retry());
        }
        let token = tokens.get(self.token?)?;
        if self.may_be_gone {
            // A clock was set forward, which made the token look old, and back again.
            return Some(self.shortest_until);
        }
        let until_due = token.left_by_clocks(now).saturating_sub(token.most_left_when_due());
        Some(self.shortest_until.max(now.boot + until_due))
    }

    /// A request is made.
    pub(super) fn begin(&mut self, flight: Flight) {
        let now = flight.begun;
        // Repeated at once after a refusal that was about another credential, it is the same to those who wait.
        let is_same =
            self.failure.is_some_and(|failure| failure.passes_waiters_by && failure.at.timer == now.timer);
        // Nobody waits for one that is made while a token is held, as those do not that follow one at once.
        let follows = self.came == Some(now.timer);
        if !is_same && !flight.is_early && !follows {
            self.last_begun = Some(now);
        }
        self.flight = Some(flight);
        self.replaces = None;
        // If the last failure is long ago, it may have been forgotten.
        if let Some(failure) = &mut self.failure
            && now.boot >= failure.earliest_retry() + MEMORY
        {
            failure.at_least = 0;
        }
    }

    pub(super) fn accept(&mut self, number: usize, sent: Now, came: Now) {
        if self.may_be_gone {
            // With it went what was known of reports.
            self.after_report = None;
        }
        self.token = Some(number);
        self.came = Some(came.timer);
        self.failure = None;
        self.is_asked = false;
        self.may_be_gone = false;
        self.failures_since_asked = 0;
        self.shortest_until = sent.boot + SHORTEST;
    }

    pub(super) fn fail(
        &mut self,
        flight: Flight,
        is_refusal: bool,
        asked: Option<u64>,
        now: Now,
        credential: u64,
    ) {
        let before = self.failure;
        let passes_waiters_by = is_refusal && flight.credential != credential;
        self.failure = Some(Failure {
            at: now,
            at_least: before.map_or(0, |failure| failure.at_least) + 1,
            at_most: before.map_or(0, |failure| failure.at_most) + 1,
            is_refusal,
            // More than five minutes are not believed.
            asked: Duration::from_secs(asked.unwrap_or(0).min(300)),
            // Refused with an access key that is out of use meanwhile: no reason to wait.
            changed: passes_waiters_by.then_some(now.boot),
            passes_waiters_by,
        });
        // Such a request is repeated at once, and its waiters are told of that one's end.
        self.last_failed = (!passes_waiters_by).then_some(now);
        self.failures_since_asked += 1;
    }

    /// Whether the token that is held was reported.
    pub(super) fn is_refused(&self) -> bool {
        self.refused.is_some_and(|(number, _)| self.token == Some(number))
    }

    /// Whether this is a reported token although a newer one has come.
    pub(super) fn is_replaced(&self, number: usize, tokens: &[Token], now: Now) -> bool {
        let newest = self.token.filter(|newest| *newest > number).and_then(|newest| tokens.get(newest));
        let was_reported = self.refused.is_some_and(|(refused, _)| refused >= number);
        was_reported && newest.is_some_and(|newest| newest.came.timer < now.timer)
    }

    /// Since when a token is to be replaced, in timer time, if no request is under way.
    pub(super) fn to_be_replaced_since(&self, number: usize) -> Option<Duration> {
        let refused = self.refused.filter(|(refused, _)| *refused == number).map(|(_, since)| since);
        refused.or(self.replaces).filter(|_| self.flight.is_none())
    }

    /// A report against a token that is held.
    pub(super) fn report(&mut self, number: usize, now: Now) {
        if self.refused.is_none_or(|(refused, _)| refused != number) {
            self.refused = Some((number, now.timer));
        }
        if self.reported + RESET <= now.boot {
            self.after_report = None;
        }
        self.reported = now.boot;
    }

    /// A request is made that a report led to. Returns whether the pause after the last one is over.
    pub(super) fn request_after_report(&mut self, now: Now) -> bool {
        let last = self.after_report;
        let pause = last.map_or(PAUSE, |(_, pause)| (2 * pause).min(LONGEST_PAUSE));
        self.after_report = Some((now.boot, pause));
        last.is_none_or(|(at, pause)| now.boot >= at + pause)
    }

    /// All tokens are replaced, or dropped if that is wanted where nobody has asked for one.
    pub(super) fn replace(&mut self, drops: bool, now: Now) {
        self.replaces = Some(now.timer);
        if drops && !self.is_asked && self.token.is_some() {
            self.may_be_gone = true;
            // Who asks now gets another, however new this one was.
            self.shortest_until = Duration::ZERO;
        }
    }

    /// Whether the token is to be replaced because all are.
    pub(super) fn is_replacement(&self) -> bool {
        self.replaces.is_some()
    }

    /// Whether there is a reason for a token with less than a quarter of its lifetime left.
    pub(super) fn excuses_an_old_token(&self, token: &Token, now: Now) -> bool {
        // The issuer is at it, or has just failed.
        let is_under_way = self.flight.is_some();
        let is_pausing = self.is_pausing(now);
        // After a jump of the clocks the first who finds the token due gets it as it is, and has it refreshed.
        let is_jump_recent = self.jumped.is_some_and(|jumped| now.timer <= jumped + REFRESHERS_SLEEP);
        let is_first = is_jump_recent && self.noticed.is_some_and(|noticed| now.timer <= noticed + TICK);
        // It was that old when it came; those who waited for it get it all the same.
        let has_just_come = token.came.timer == now.timer;
        is_under_way || is_pausing || is_first || has_just_come
    }
}
