//! Tokens that are to be replaced before they are due, since a service refused them: which, and when.
//!
//! A report may be false, by mistake or by intent. So it takes no token away before its successor is there, and leads to few
//! requests, however many reports there are.

use std::collections::VecDeque;
use std::time::Duration;

use crate::token::Fingerprint;

/// The pause between requests caused by reports, for one kind of token: at first …
const FIRST_PAUSE: Duration = Duration::from_secs(10);
/// … and at most. Each request doubles it: a service that refuses successors, too, refuses them for another reason.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// So long after the last report the pause is the first one again.
const RESET: Duration = Duration::from_secs(600);
/// For all kinds of token together, reports cause at most this many requests per `SPAN`.
const REQUESTS: usize = 10;
const SPAN: Duration = Duration::from_secs(60);
/// While requests fail, one in this time is made early: it finds out for another kind of token whether they still do.
const PROBE: Duration = Duration::from_secs(60);
/// Several servers at one address may each have a token; so many refused ones of a kind are not taken again.
const MAX_TOKENS: usize = 8;

/// What became of a report that a service refused a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "a report is for a held token or not, and in time or not")]
pub enum ReportOutcome {
    /// The token is not held (any more): nothing happens.
    Unknown,
    /// The token is held. There were too many reports, or requests fail: its successor is requested once that is over.
    Limited,
    /// The token is held. Its successor is being requested, and replaces it on arrival.
    Accepted,
}

impl ReportOutcome {
    /// Returns the name for metrics: `unknown`, `limited` or `accepted`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Limited => "limited",
            Self::Accepted => "accepted",
        }
    }
}

/// What was reported of one kind of token. Times are readings of the boot clock.
#[derive(Default)]
pub(super) struct Reports {
    /// The newest first.
    tokens: VecDeque<Fingerprint>,
    reported_at: Duration,
    /// When a report last caused a request, and the pause after it.
    requested_at: Duration,
    pause: Duration,
}

impl Reports {
    /// Notes that a service refused this token, which is held.
    pub(super) fn report(&mut self, token: Fingerprint, now: Duration) {
        if self.reported_at.saturating_add(RESET) <= now {
            self.pause = Duration::ZERO;
        }
        self.reported_at = now;
        self.add(token);
    }

    /// Notes that this token is to be replaced, and not to be taken again.
    pub(super) fn add(&mut self, token: Fingerprint) {
        if !self.has(token) {
            self.tokens.push_front(token);
            self.tokens.truncate(MAX_TOKENS);
        }
    }

    pub(super) fn has(&self, token: Fingerprint) -> bool {
        self.tokens.contains(&token)
    }

    /// Returns how long the request for a successor has to wait.
    pub(super) fn until_request(&self, early: &Early, now: Duration) -> Duration {
        let of_kind = self.requested_at.saturating_add(self.pause);
        let of_all = early.requests.iter().nth_back(REQUESTS - 1).map(|at| at.saturating_add(SPAN));
        of_kind.max(of_all.unwrap_or_default()).max(early.away_until).saturating_sub(now)
    }

    /// Returns the same. If that is not at all, the request counts as made.
    pub(super) fn request(&mut self, early: &mut Early, now: Duration) -> Duration {
        let wait = self.until_request(early, now);
        if wait.is_zero() {
            self.pause = self.pause.saturating_mul(2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
            self.requested_at = now;
            early.requests.retain(|at| at.saturating_add(SPAN) > now);
            early.requests.push(now);
            early.request(now);
        }
        wait
    }
}

/// What all kinds of token have in common about requests before a token is due. Times are readings of the boot clock.
#[derive(Default)]
pub(super) struct Early {
    /// When those were made lately that reports led to.
    requests: Vec<Duration>,
    /// Until when there are none, since a request of any kind failed; zero where the last one succeeded.
    pub(super) away_until: Duration,
}

impl Early {
    /// Returns how long such a request has to wait because others failed. If that is not at all, it counts as made.
    pub(super) fn request(&mut self, now: Duration) -> Duration {
        let wait = self.away_until.saturating_sub(now);
        if wait.is_zero() && !self.away_until.is_zero() {
            self.away_until = now.saturating_add(PROBE);
        }
        wait
    }
}
