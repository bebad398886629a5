//! Holds the provider to its promises. Every rule is written down here once more, from the contract and not from the
//! library's code, and every moment is judged by the world's own clocks.

use std::time::Duration;

use token_provider::{AccessToken, ReportOutcome, SlotStatus, TokenError, TokenErrorKind};

use super::clocks::Now;
use super::trace::{Step, Trace};
use super::{Counts, Report};

mod file;

use self::file::{File, Flight, Token};

/// No token within this time of its true expiry is handed out.
const MARGIN: Duration = Duration::from_secs(10);
/// Timers fire on whole milliseconds, the next at the latest.
const TICK: Duration = Duration::from_millis(2);
/// How long a caller waits.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// Two successful requests for one key are this far apart.
const SHORTEST: Duration = Duration::from_secs(1);
/// A failing request is repeated this often with nobody asking.
const UNASKED: u32 = 10;
/// After this long a failure may be forgotten.
const MEMORY: Duration = Duration::from_secs(300);
/// After this long at most a refresher looks at the clocks.
const REFRESHERS_SLEEP: Duration = Duration::from_secs(31);
/// A token that nobody has asked for again so long after its request may give way to another kind.
const IDLE: Duration = Duration::from_secs(60);
/// After reports there is one request in this time for a kind of token, and each doubles it up to …
const PAUSE: Duration = Duration::from_secs(10);
/// … so long.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// So long without a report and it is the first one again.
const RESET: Duration = Duration::from_secs(600);
/// So many requests after reports may be made in a minute.
const A_MINUTE: usize = 10;
/// While requests fail, one in this time is made before its token is due.
const PROBE: Duration = Duration::from_secs(60);
/// If no request fails for so long, a reported token has been replaced: the pause after the last failure, the pause after
/// reports, and a slow request for each kind.
const REPLACED_WITHIN: Duration = Duration::from_secs(345 + 300 + 75);
/// More violations than this say nothing new.
const ENOUGH: usize = 5;

pub(crate) struct Judge {
    files: Vec<File>,
    tokens: Vec<Token>,
    /// The lifetimes that are asked for.
    lifetimes: Vec<Duration>,
    max_slots: usize,
    /// Which access key is in use, counted from 1.
    credential: u64,
    /// When the last requests were made that reports led to, in boot time.
    after_reports: Vec<Duration>,
    /// When a request failed last, or a clock changed.
    troubled: Duration,
    /// Since a request failed, and until one succeeds: when the next may be made before its token is due, in boot time.
    failing_until: Option<Duration>,
    counts: Counts,
    trace: Trace,
    violations: Vec<String>,
}

/// How a request ended.
#[derive(Clone, Copy)]
pub(crate) enum Answer {
    Token { counted_from: Duration, expires_in: u64 },
    Failure { is_refusal: bool, retry_after: Option<u64> },
}

/// A caller, from asking to the answer.
pub(crate) struct Call {
    key: usize,
    begun: Now,
    /// Whether the provider must hold a usable token at this moment.
    must_be_held: bool,
}

impl Judge {
    pub(crate) fn new(lifetimes: Vec<Duration>, max_slots: usize) -> Self {
        Self {
            files: lifetimes.iter().map(|_| File::default()).collect(),
            lifetimes,
            tokens: Vec::new(),
            max_slots,
            credential: 1,
            after_reports: Vec::new(),
            troubled: Duration::ZERO,
            failing_until: None,
            counts: Counts::default(),
            trace: Trace::new(),
            violations: Vec::new(),
        }
    }

    /// How many tokens were issued.
    pub(crate) fn issued(&self) -> usize {
        self.tokens.len()
    }

    pub(crate) fn credential(&self) -> u64 {
        self.credential
    }

    pub(crate) fn report(&self, seed: u64, simulated: Duration) -> Report {
        Report {
            seed,
            simulated,
            counts: self.counts,
            trace: self.trace.hash(),
            violations: self.violations.clone(),
        }
    }

    #[track_caller]
    fn check(&mut self, is_kept: bool, key: usize, now: Now, promise: &str) {
        if is_kept || self.violations.len() >= ENOUGH {
            return;
        }
        let before = if self.violations.is_empty() { self.trace.told() } else { String::new() };
        let at = now.timer.as_secs_f64();
        self.violations.push(format!("{promise} (key {key}, at {at:.3} s)\n{before}"));
    }

    // ---- the world ----

    pub(crate) fn happened(&mut self, is_fault: bool, now: Now) {
        self.counts.faults += u64::from(is_fault);
        self.trace.note(now, Step::Event);
    }

    /// To be called before clocks change and after.
    pub(crate) fn clocks_change(&mut self, now: Now) {
        self.trace.note(now, Step::Clocks);
        self.troubled = now.timer;
        let is_crowded = self.is_crowded();
        for file in &mut self.files {
            file.grow_old(&self.tokens, is_crowded, now);
            file.clocks_change(now);
        }
    }

    pub(crate) fn credential_changes(&mut self, now: Now) {
        self.trace.note(now, Step::Rotation);
        self.credential += 1;
        self.failing_until = self.failing_until.map(|until| until.min(now.boot));
        for file in &mut self.files {
            file.credential_changes(now);
        }
    }

    // ---- requests ----

    pub(crate) fn request_begins(&mut self, key: usize, now: Now) {
        self.counts.requests += 1;
        self.trace.note(now, Step::Request { key });
        let file = &self.files[key];
        let is_alone = file.flight.is_none();
        let is_early = file.earliest_request(&self.tokens, now).is_some_and(|earliest| now.boot < earliest);
        let is_replacement = file.is_replacement();
        let is_after_report = !is_replacement && file.is_refused() && is_early;
        let is_wanted = file.is_wanted(&self.tokens, now) || file.is_refused() || is_replacement;
        // A pause after a failure is kept whatever was reported.
        let is_in_time = !is_early || file.failure().is_none() && (is_replacement || is_after_report);
        let is_turn = !is_replacement
            || !is_early
            || file.is_refused()
            || !self.files.iter().any(|file| file.flight.is_some_and(|flight| flight.is_replacement));
        self.check(is_alone, key, now, "one request at a time is in flight for a key");
        self.check(is_wanted, key, now, "no request is made for a token that nobody asks for");
        self.check(is_in_time, key, now, "the issuer is left alone until a token is due or a pause is over");
        self.check(is_turn, key, now, "all tokens are replaced one after the other");
        if is_after_report {
            self.request_after_report(key, now);
        }
        if let Some(until) = self.failing_until.filter(|_| is_early) {
            self.failing_until = Some(now.boot + PROBE);
            self.check(until <= now.boot, key, now, "while requests fail, one in a minute is made early");
        }
        self.counts.replacements += u64::from(is_early);
        let credential = self.credential;
        let is_replacement = is_replacement && is_early && !self.files[key].is_refused();
        self.files[key].begin(Flight { begun: now, credential, is_early, is_replacement });
    }

    /// A request that nothing but a report is the reason for.
    fn request_after_report(&mut self, key: usize, now: Now) {
        self.after_reports.retain(|at| *at + Duration::from_secs(60) > now.boot);
        self.after_reports.push(now.boot);
        let is_paused = self.files[key].request_after_report(now);
        self.check(is_paused, key, now, "requests after reports are further and further apart");
        let count = self.after_reports.len();
        self.check(count <= A_MINUTE, key, now, "reports lead to ten requests a minute at most");
    }

    /// Returns the token's number.
    pub(crate) fn request_ends(&mut self, key: usize, answer: Answer, now: Now) -> usize {
        let number = self.tokens.len();
        let flight = self.files[key].flight.take();
        let Some(flight) = flight else {
            // The second of two at a time, which is a violation already.
            self.tokens.push(Token::nobodys(now));
            return number;
        };
        match answer {
            Answer::Token { counted_from, expires_in } => {
                self.trace.note(now, Step::Token { key, token: number, expires_in });
                let token = Token::new(key, counted_from, expires_in, flight.begun, now);
                let is_usable = token.left_by_clocks(now) > MARGIN;
                self.tokens.push(token);
                if is_usable {
                    self.failing_until = None;
                    self.files[key].accept(number, flight.begun, now);
                } else {
                    // Cannot be handed out: a failure, by the contract.
                    self.request_fails(key, flight, false, None, now);
                }
            }
            Answer::Failure { is_refusal, retry_after } => {
                self.trace.note(now, Step::Failure { key, is_refusal, retry_after });
                self.request_fails(key, flight, is_refusal, retry_after, now);
            }
        }
        number
    }

    fn request_fails(&mut self, key: usize, flight: Flight, is_refusal: bool, asked: Option<u64>, now: Now) {
        self.counts.faults += 1;
        self.troubled = now.timer;
        self.files[key].fail(flight, is_refusal, asked, now, self.credential);
        let retry = self.files[key].failure().map(|failure| failure.earliest_retry());
        self.failing_until = self.failing_until.or(retry);
    }

    // ---- callers ----

    pub(crate) fn call_begins(&mut self, key: usize, now: Now) -> Call {
        self.counts.calls += 1;
        self.trace.note(now, Step::Call { key });
        let is_crowded = self.is_crowded();
        let file = &mut self.files[key];
        file.grow_old(&self.tokens, is_crowded, now);
        file.ask(&self.tokens, now);
        Call { key, begun: now, must_be_held: file.must_be_held() }
    }

    /// Returns the token's number.
    pub(crate) fn handed_out(&mut self, call: &Call, token: &AccessToken, now: Now) -> Option<usize> {
        self.counts.handouts += 1;
        let key = call.key;
        let number = token.expose_secret().strip_prefix('t').and_then(|number| number.parse().ok());
        let Some((number, token)) =
            number.and_then(|number: usize| Some((number, *self.tokens.get(number)?)))
        else {
            self.check(false, key, now, "a token that is handed out was issued");
            return None;
        };
        self.trace.note(now, Step::HandOut { key, token: number });
        let file = &self.files[key];
        let left = token.true_left(now);
        let is_newest = number >= file.newest_handed_out;
        let has_quarter = 4 * left.as_millis() >= token.lifetime.as_millis()
            || left > Duration::from_secs(365 * 86_400)
            || file.excuses_an_old_token(&token, now);
        self.check(token.key == key, key, now, "a token is handed out to those who asked for its kind");
        self.check(left > MARGIN, key, now, "no token within 10 s of its expiry is handed out");
        self.check(is_newest, key, now, "no token is handed out after a newer one");
        self.check(has_quarter, key, now, "a quarter of the lifetime is left while the issuer answers");
        let is_reported_one = self.files[key].is_replaced(number, &self.tokens, now);
        self.check(!is_reported_one, key, now, "no caller gets a reported token once its successor is there");
        let since = self.files[key].to_be_replaced_since(number).map(|since| since.max(self.troubled));
        let is_late = since.is_some_and(|since| now.timer > since + REPLACED_WITHIN);
        self.check(!is_late, key, now, "a token that is to be replaced is replaced");
        self.judge_wait(call, now);
        self.files[key].newest_handed_out = number;
        Some(number)
    }

    // ---- reports ----

    pub(crate) fn reported(&mut self, key: usize, number: usize, outcome: ReportOutcome, now: Now) {
        self.counts.reports += 1;
        self.trace.note(now, Step::Report { key, token: number, outcome });
        let is_crowded = self.is_crowded();
        let file = &mut self.files[key];
        file.grow_old(&self.tokens, is_crowded, now);
        let is_known = outcome != ReportOutcome::Unknown;
        let is_held = file.must_be_held() && file.token == Some(number);
        if is_known {
            file.report(number, now);
        }
        self.check(is_known || !is_held, key, now, "a report against a held token is taken");
    }

    /// To be called a moment after a report that was accepted.
    pub(crate) fn successor_must_be_under_way(&mut self, key: usize, number: usize, now: Now) {
        let is_crowded = self.is_crowded();
        let is_just_early = |flight: Flight| flight.is_early && now.timer <= flight.begun.timer + 2 * TICK;
        let is_overtaken = self.failing_until.is_some()
            && self.files.iter().any(|file| file.flight.is_some_and(is_just_early));
        let file = &mut self.files[key];
        file.grow_old(&self.tokens, is_crowded, now);
        let is_under_way = file.flight.is_some() || file.failure().is_some() || file.token != Some(number);
        // Of two kinds that are reported in the same moment, one may have been the tenth; in the moment of the report another kind's
        // request may have failed; and a kind that waited for that moment may have made the one request that finds out whether they
        // still do (seeds 46903 and 92766).
        let is_away = now.timer <= self.troubled + 2 * TICK;
        let is_excused =
            !file.must_be_held() || self.after_reports.len() >= A_MINUTE || is_away || is_overtaken;
        self.check(
            is_under_way || is_excused,
            key,
            now,
            "the successor of a reported token is requested at once",
        );
    }

    /// All tokens are replaced, and those that nobody has asked for are dropped or not.
    pub(crate) fn all_are_replaced(&mut self, drops: bool, now: Now) {
        self.trace.note(now, Step::ReplaceAll);
        let is_crowded = self.is_crowded();
        for file in &mut self.files {
            file.grow_old(&self.tokens, is_crowded, now);
            file.replace(drops, now);
        }
    }

    pub(crate) fn told(&mut self, call: &Call, error: &TokenError, now: Now) {
        let key = call.key;
        self.trace.note(now, Step::Tell { key });
        self.check(!call.must_be_held, key, now, "a usable token is handed out to everyone who asks");
        self.judge_wait(call, now);
        let waited = now.timer.saturating_sub(call.begun.timer);
        match error.kind() {
            TokenErrorKind::TooManyTokens => {
                self.check(
                    self.is_crowded(),
                    key,
                    now,
                    "a new kind of token is refused for want of room alone",
                );
                self.check(
                    waited.is_zero(),
                    key,
                    now,
                    "a kind of token for which there is no room is refused at once",
                );
            }
            TokenErrorKind::WaitedTooLong => {
                self.check(waited >= MAX_WAIT, key, now, "a caller waits for ten seconds");
            }
            _ => {
                let last = self.files[key].failure();
                let is_pausing = self.files[key].is_pausing(now);
                self.check(is_pausing, key, now, "a failure is told while its pause lasts and no longer");
                let is_fresh = waited.is_zero() || last.is_some_and(|failure| failure.at.timer == now.timer);
                self.check(is_fresh, key, now, "a failure is told at once");
                let longest = last.map(|failure| failure.latest_retry().saturating_sub(now.boot) + TICK);
                let is_right =
                    error.retry_after().is_some_and(|left| longest.is_some_and(|longest| left <= longest));
                self.check(is_right, key, now, "with a failure it is told when the next request will be");
            }
        }
    }

    pub(crate) fn gave_up(&mut self, call: &Call, now: Now) {
        self.trace.note(now, Step::GiveUp { key: call.key });
        self.judge_wait(call, now);
    }

    /// Judges whether a caller waited for a reason.
    fn judge_wait(&mut self, call: &Call, now: Now) {
        let key = call.key;
        let waited = now.timer.saturating_sub(call.begun.timer);
        if waited.is_zero() {
            return;
        }
        self.check(!call.must_be_held, key, now, "nobody waits while a usable token is held");
        self.check(waited <= MAX_WAIT + TICK, key, now, "nobody waits for longer than ten seconds");
        let file = &self.files[key];
        let is_asked_for = file.last_begun.is_some_and(|begun| {
            begun.timer <= call.begun.timer + TICK || begun.boot <= file.shortest_until + TICK
        });
        let is_told = file
            .last_failed
            .is_none_or(|failed| failed.timer <= call.begun.timer || failed.timer >= now.timer);
        self.check(
            is_asked_for || waited <= TICK,
            key,
            now,
            "a request is under way as soon as a caller waits for it",
        );
        self.check(is_told, key, now, "a failure is told to all who wait");
    }

    // ---- slots and tasks ----

    pub(crate) fn slots_are(&mut self, count: usize, now: Now) {
        self.check(count <= self.max_slots, 0, now, "there is a bound on the tokens held");
    }

    /// A call at the end, in fair weather, brought no token.
    pub(crate) fn must_have_room(&mut self, key: usize, now: Now) {
        self.check(self.is_crowded(), key, now, "when the trouble is over, tokens flow again");
    }

    /// Whether more kinds of tokens have been asked for than there is room for.
    fn is_crowded(&self) -> bool {
        self.files.iter().filter(|file| file.was_asked_for()).count() > self.max_slots
    }

    /// Returns how long until every token has been dropped, if nobody asks.
    pub(crate) fn longest_keep(&self) -> Duration {
        let day = Duration::from_secs(86_400);
        let tokens = self.files.iter().filter_map(|file| file.token).map(|number| self.tokens[number]);
        // One that was asked for is refreshed once more, and kept for as long as its successor. A token of many years
        // is not waited for.
        let spans = tokens.map(|token| (token.lifetime.min(day) + self.lifetimes[token.key]).mul_f64(0.75));
        spans.max().unwrap_or_default() + Duration::from_secs(60)
    }

    pub(crate) fn slots_must_be_gone(&mut self, slots: &[SlotStatus], now: Now) {
        let tokens = self.files.iter().filter_map(|file| file.token).map(|number| self.tokens[number]);
        let kept = tokens.filter(|token| !token.is_overdue(now)).count();
        self.check(slots.len() <= kept, 0, now, "a token that nobody asks for is dropped");
    }

    pub(crate) fn tasks_must_have_ended(&mut self, tasks: usize, now: Now) {
        self.check(tasks == 0, 0, now, "all tasks end with the provider");
    }
}
