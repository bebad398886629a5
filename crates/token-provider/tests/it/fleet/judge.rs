//! Holds the fleet to its promises, by the time that it is in truth.

mod flight;

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt::Write as _;
use std::time::Duration;

use token_provider::{AccessToken, Fingerprint, TokenError, TokenKey};

use super::{Counts, Machine, Report, locked};

pub(super) use self::flight::Flight;

/// Of the ten seconds before a token's end in which it is not handed out, this much is left where all clocks are wrong that may be.
const MARGIN: Duration = Duration::from_secs(5);
/// So long after the last trouble with the store, its servers and their clocks, its economy is judged: until every lease has lapsed
/// and every request has ended that began before.
const CALM: Duration = Duration::from_secs(90);
/// The longest wait of a caller without a token while the issuer answers within 0.4 s: whatever becomes of the store …
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// … and while it answers, where another server has the lease: two seconds, half a one to the next look, and the request.
const LONGEST_WAIT_FOR_ANOTHER: Duration = Duration::from_millis(3200);
/// The longest request; those that are slow have ended so long after the sky has cleared up.
const LONGEST_REQUEST: Duration = Duration::from_secs(10);
/// After the issuer's last failure, servers may pause for so long.
const LONGEST_PAUSE: Duration = Duration::from_secs(345);
/// An operation of the store, and what follows it, takes less than this.
const ONE_LOOK: Duration = Duration::from_millis(12);
/// A notice of a report and the look at its successor take less than this.
const ON_THE_WAY: Duration = Duration::from_secs(5);
const ENOUGH: usize = 5;
/// How much of what went before a violation is told with it.
const TOLD: usize = 60;

/// A credential and a lifetime.
pub(super) type Kind = (u64, u64);

#[derive(Default)]
pub(super) struct Judge {
    tokens: HashMap<String, Token>,
    /// When the requests in flight were sent.
    flying: HashMap<Kind, Vec<Duration>>,
    /// Until when no other request may be made after what the issuer said.
    paused: HashMap<Kind, (u32, Duration)>,
    /// Which servers have the lease.
    leases: HashSet<(usize, Kind)>,
    /// Since when a server has been refused the lease for a lifetime, with whatever credential, and when it was last.
    refused: HashMap<(usize, u64), (Duration, Duration)>,
    /// When something last went wrong with the store or a server.
    troubled: Duration,
    /// Of each kind, the token in the store that expires last, and since when it has been there.
    published: HashMap<Kind, (String, Duration)>,
    /// The highest fence of each kind that was ever stored.
    fences: HashMap<Kind, u64>,
    /// The same, as a server has seen it.
    seen: HashMap<(usize, Kind), (String, Duration)>,
    /// When a token was reported.
    reported: HashMap<Fingerprint, Duration>,
    /// Since when the store knows.
    stored: HashMap<Fingerprint, Duration>,
    /// Reports that came too soon after others: they are acted on, and reach the store, at some time.
    limited: HashSet<String>,
    /// Servers that have not heard of a report, or have to wait before they act on it.
    late: HashSet<(usize, Fingerprint)>,
    /// When a server last found no report of a token in the store.
    missed: HashMap<(usize, Fingerprint), Duration>,
    /// Which server has handed out which tokens, and the highest fence of them.
    had: HashSet<(usize, Fingerprint)>,
    newest: HashMap<(usize, Kind), u64>,
    /// The highest fence that a server knows of.
    known: HashMap<(usize, Kind), u64>,
    /// When somebody last had all tokens of a server replaced.
    replaced: HashMap<usize, Duration>,
    wrong_clocks: HashSet<usize>,
    counts: Counts,
    violations: Vec<String>,
    /// What happened last.
    last: VecDeque<String>,
    trace: u64,
}

struct Token {
    kind: Kind,
    fingerprint: Fingerprint,
    server: usize,
    expires_at: Duration,
    fence: Option<u64>,
}

impl Judge {
    pub(super) fn report(&self, seed: u64, servers: usize, simulated: Duration) -> Report {
        let counts = Counts { servers: servers as u64, ..self.counts };
        Report { seed, simulated, counts, trace: self.trace, violations: self.violations.clone() }
    }

    pub(super) fn check(&mut self, is_kept: bool, now: Duration, promise: &str) {
        if !is_kept && self.violations.len() < ENOUGH {
            let mut told = format!("{promise} (at {:.3} s)", now.as_secs_f64());
            if self.violations.is_empty() {
                self.last.iter().for_each(|line| write!(told, "\n    {line}").expect("a string takes all"));
            }
            self.violations.push(told);
        }
    }

    /// Notes what happens, to be told with a violation.
    pub(super) fn note(&mut self, now: Duration, what: &str) {
        if self.last.len() == TOLD {
            self.last.pop_front();
        }
        let line = format!("{:>10.3} s {what}", now.as_secs_f64());
        for byte in line.bytes() {
            // In the manner of FNV-1a: the same on every machine and with every compiler.
            self.trace = (self.trace ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.last.push_back(line);
    }

    pub(super) fn happens(&mut self, now: Duration, event: u8) {
        self.counts.faults += 1;
        self.note(now, &format!("event {event}"));
    }

    fn is_troubled(&self, now: Duration) -> bool {
        !self.troubled.is_zero() && now < self.troubled + CALM
    }

    /// Whether nothing has been wrong with the store and the servers for so long that its economy counts.
    fn is_calm(&self, now: Duration, is_fair: bool) -> bool {
        is_fair && !self.is_troubled(now)
    }

    /// Something happens to the store or a server, and lasts until then.
    pub(super) fn trouble(&mut self, until: Duration) {
        self.troubled = self.troubled.max(until);
        // What was noted of a failure may be gone, and so may a token, or some may not be able to read it.
        self.paused.clear();
        self.published.clear();
        self.seen.clear();
    }

    /// A server asked for the lease, or gave it back.
    pub(super) fn lease(&mut self, machine: &Machine, kind: Kind, has_won: bool, now: Duration) {
        let ours = (machine.number, kind);
        self.leases.remove(&ours);
        if has_won {
            self.leases.insert(ours);
            self.refused.remove(&(machine.number, kind.1));
        } else {
            let (since, last) = self.refused.entry((machine.number, kind.1)).or_insert((now, now));
            // It looks again after half a second at the latest.
            if *last + Duration::from_secs(1) < now {
                *since = now;
            }
            *last = now;
        }
    }

    /// A server's token was requested with this fence.
    pub(super) fn fenced(&mut self, machine: &Machine, text: &str, fence: u64) {
        if let Some(token) = self.tokens.get_mut(text) {
            token.fence = Some(fence);
            let known = self.known.entry((machine.number, token.kind)).or_default();
            *known = fence.max(*known);
        }
    }

    /// A token was stored.
    pub(super) fn published(&mut self, text: &str, fence: u64, now: Duration) {
        let Some(token) = self.tokens.get(text) else { return };
        let (kind, expires_at) = (token.kind, token.expires_at);
        if self.published.get(&kind).is_none_or(|(last, _)| self.tokens[last].expires_at < expires_at) {
            self.published.insert(kind, (text.to_owned(), now));
        }
        let newest = self.fences.entry(kind).or_default();
        let is_newest = *newest <= fence;
        *newest = fence.max(*newest);
        self.check(is_newest, now, "no token is stored after one that was requested later");
    }

    /// What was stored last is gone, and leases are as they were.
    pub(super) fn store_went_back(&mut self) {
        self.fences.clear();
    }

    pub(super) fn has_clock_set(&mut self, machine: &Machine, is_right: bool) {
        if is_right {
            self.wrong_clocks.remove(&machine.number);
        } else {
            self.wrong_clocks.insert(machine.number);
        }
    }

    pub(super) fn replaces_all(&mut self, machine: &Machine, now: Duration) {
        self.replaced.insert(machine.number, now);
    }

    /// A server read a token in the store.
    pub(super) fn saw(&mut self, machine: &Machine, text: &str, fence: u64, now: Duration) {
        let Some(token) = self.tokens.get(text) else { return };
        if self.stored.get(&token.fingerprint).is_none_or(|at| now <= *at) {
            self.had.insert((machine.number, token.fingerprint));
        }
        let known = self.known.entry((machine.number, token.kind)).or_default();
        *known = fence.max(*known);
        let (seen, expires_at) = ((machine.number, token.kind), token.expires_at);
        if self.seen.get(&seen).is_none_or(|(last, _)| self.tokens[last].expires_at < expires_at) {
            self.seen.insert(seen, (text.to_owned(), now));
        }
    }

    /// A process that has just started holds nothing.
    pub(super) fn crashed(&mut self, machine: &Machine) {
        self.had.retain(|(server, _)| *server != machine.number);
        self.newest.retain(|(server, _), _| *server != machine.number);
        self.known.retain(|(server, _), _| *server != machine.number);
        self.leases.retain(|(server, _)| *server != machine.number);
    }

    pub(super) fn holds(&mut self, machine: &Machine, token: &AccessToken) {
        self.had.insert((machine.number, token.fingerprint()));
    }

    pub(super) fn reported(&mut self, token: &AccessToken, now: Duration) {
        self.counts.reports += 1;
        self.note(now, &format!("{} is reported, {}", token.expose_secret(), token.fingerprint()));
        self.reported.entry(token.fingerprint()).or_insert(now);
    }

    pub(super) fn reported_too_soon(&mut self, token: &AccessToken) {
        self.limited.insert(token.expose_secret().to_owned());
    }

    /// A server did not hear of a report, or acts on it later.
    pub(super) fn acts_later(&mut self, machine: &Machine, token: Fingerprint, now: Duration) {
        self.late.insert((machine.number, token));
        self.note(now, &format!("server {} acts later on {token}", machine.number));
    }

    /// A server found no report in the store.
    pub(super) fn missed(&mut self, machine: &Machine, token: Fingerprint, now: Duration) {
        self.missed.insert((machine.number, token), now);
    }

    /// A report is stored, for the first time or not.
    pub(super) fn stores_report(
        &mut self,
        machine: &Machine,
        token: Fingerprint,
        is_there: bool,
        (now, is_fair): (Duration, bool),
    ) {
        self.note(now, &format!("server {} stores a report of {token}", machine.number));
        self.reported.entry(token).or_insert(now);
        self.stored.entry(token).or_insert(now);
        let looked = self.missed.get(&(machine.number, token));
        let is_echo = is_there && looked.is_none_or(|looked| *looked + ONE_LOOK < now);
        let is_judged = self.is_calm(now, is_fair);
        self.check(!is_echo || !is_judged, now, "a report that is in the store is not stored again");
    }

    /// Whether a server may take this token out of the store.
    fn is_takeable(&self, machine: &Machine, text: &str, fence: u64) -> bool {
        let known = self.tokens.get(text).and_then(|token| self.known.get(&(machine.number, token.kind)));
        !self.is_to_be_replaced(machine, text) && known.is_none_or(|known| *known <= fence)
    }

    /// Whether a token that is not due is to be replaced, since it was reported or somebody has all replaced.
    fn is_to_be_replaced(&self, machine: &Machine, text: &str) -> bool {
        let Some(issued) = self.tokens.get(text) else { return false };
        let sent_at = issued.expires_at.saturating_sub(Duration::from_secs(issued.kind.1));
        let is_replaced =
            self.replaced.get(&machine.number).is_some_and(|at| sent_at <= *at + LONGEST_REQUEST);
        is_replaced || self.reported.contains_key(&issued.fingerprint) || self.limited.contains(text)
    }

    #[expect(clippy::too_many_arguments, reason = "all that is known of a visit")]
    pub(super) fn answered(
        &mut self,
        machine: &Machine,
        key: &TokenKey,
        was_held: bool,
        is_store_fair: bool,
        fair_since: Option<Duration>,
        (began, now): (Duration, Duration),
        answer: &Result<AccessToken, TokenError>,
    ) {
        let who = format!("server {} and {} s", machine.number, key.lifetime().as_secs());
        let waited = now.saturating_sub(began);
        if was_held {
            let promise = format!("nobody waits for the store while a token is held: {who}");
            self.check(waited.is_zero() && answer.is_ok(), now, &promise);
        }
        let Some(fair_since) = fair_since.filter(|_| *locked(&machine.stopped_until) <= began) else {
            return;
        };
        if fair_since + LONGEST_REQUEST <= began {
            let longest = if is_store_fair { LONGEST_WAIT_FOR_ANOTHER } else { LONGEST_WAIT };
            let promise = format!(
                "no caller waits for longer than {longest:?} because of the store: {who}, {waited:?}"
            );
            self.check(waited <= longest, now, &promise);
        }
        if fair_since + LONGEST_PAUSE <= began {
            let promise = format!(
                "every caller gets a token while the issuer answers: {who}, {:?}",
                answer.as_ref().err()
            );
            self.check(answer.is_ok(), now, &promise);
        }
    }

    pub(super) fn handed_out(
        &mut self,
        machine: &Machine,
        key: &TokenKey,
        token: &AccessToken,
        (now, fair_since, is_store_fair): (Duration, Option<Duration>, bool),
    ) {
        self.counts.handouts += 1;
        let Some(issued) = self.tokens.get(token.expose_secret()) else {
            return self.check(false, now, "only tokens that were issued are handed out");
        };
        let (kind, expires_at, fence) = (issued.kind, issued.expires_at, issued.fence);
        self.counts.shared += u64::from(issued.server != machine.number);
        let (generation, lifetime) = kind;
        self.check(expires_at > now + MARGIN, now, "no expired token is handed out");
        self.check(lifetime == key.lifetime().as_secs(), now, "no token of another kind is handed out");
        let is_own = generation <= machine.generation();
        self.check(is_own, now, "no token of a credential is handed out that the server does not have");
        if let Some(fence) = fence {
            let newest = self.newest.entry((machine.number, kind)).or_default();
            let is_newest = *newest <= fence;
            *newest = fence.max(*newest);
            self.check(is_newest, now, "no server goes back to an older token");
        }
        let is_new = self.had.insert((machine.number, token.fingerprint()));
        let reported_at = self.reported.get(&token.fingerprint()).copied();
        if let Some(at) = reported_at.filter(|at| !self.is_troubled(*at) && self.is_calm(now, is_store_fair))
        {
            let is_stored = self.stored.contains_key(&token.fingerprint());
            self.check(!is_new || !is_stored, now, "no server takes a token that was reported as refused");
            // While the issuer fails, it may take long until a server acts on what it was told.
            if fair_since.is_some_and(|since| since + LONGEST_PAUSE <= at) {
                self.check_successor(machine, key, token, (at, now));
            }
        }
    }

    /// A reported token is replaced wherever its successor can be seen: at once where the report was heard of, else with the next
    /// look at the store.
    fn check_successor(
        &mut self,
        machine: &Machine,
        key: &TokenKey,
        token: &AccessToken,
        (at, now): (Duration, Duration),
    ) {
        let (kind, fingerprint) = (machine.kind(key), token.fingerprint());
        let Some(reported) = self.tokens.get(token.expose_secret()) else { return };
        let is_successor = |(text, _): &&(String, Duration)| {
            self.tokens[text].expires_at > reported.expires_at
                && !self.reported.contains_key(&self.tokens[text].fingerprint)
        };
        let published = self.published.get(&kind).filter(is_successor).map(|(_, since)| *since);
        let seen = self.seen.get(&(machine.number, kind)).filter(is_successor).map(|(_, since)| *since);
        let has_heard = !self.late.contains(&(machine.number, fingerprint));
        let since = if has_heard { published } else { seen.filter(|_| self.wrong_clocks.is_empty()) };
        let is_kept = since.is_none_or(|since| now <= since.max(at) + ON_THE_WAY);
        let told = format!(
            "no server hands out a reported token once it can see the successor: server {}, {}, reported at {at:?}",
            machine.number,
            if has_heard { "which has heard of it" } else { "which has looked" },
        );
        self.check(is_kept, now, &told);
    }

    pub(super) fn must_recover(&mut self, machine: &Machine, error: Option<&TokenError>) {
        let promise =
            format!("tokens flow again once the trouble is over: server {}, {error:?}", machine.number);
        self.check(error.is_none(), Duration::ZERO, &promise);
    }
}
