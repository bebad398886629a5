//! What is noted of a handout or a refusal.

use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;
use token_provider::{AccessToken, Clock as _, Fingerprint, Moment, Scope, SystemClock};

use crate::problem::{Problem, Subject};
use crate::reason::{Method, Outcome, Rule};

/// What a stranger wrote is kept up to this length.
const MAX_FOREIGN: usize = 256;

/// One handout or refusal. Holds no secret: there is no field for one.
#[derive(Debug, Default)]
pub struct Event {
    /// When, since the epoch.
    pub time: Duration,
    /// How it ended.
    pub outcome: Outcome,
    /// The rule that refused it.
    pub rule: Option<Rule>,
    /// More closely, why: what was wrong with a token of the identity provider.
    pub reason: Option<&'static str>,
    /// The `error` that the caller was told.
    pub error: Option<&'static str>,
    /// The HTTP status; 0 if it was no request over HTTP.
    pub status: u16,
    /// Whose request it was, and for which token: the scope that it has; where there is none, the one asked for.
    pub subject: Subject,
    /// The page that asked, as its browser says.
    pub origin: Option<Box<str>>,
    /// The host that the request names, where none of the server's names is that.
    pub host: Option<Box<str>>,
    /// How many seconds of its lifetime the token had left.
    pub left: Option<u64>,
    /// The token's fingerprint.
    pub fingerprint: Option<Fingerprint>,
    /// The request; empty if it was none over HTTP.
    pub request_id: Box<str>,
    /// The caller's trace.
    pub trace_id: Option<Box<str>>,
    /// How long the answer took.
    pub took: Duration,
}

/// What stands in a field of a line.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Field<'a> {
    Text(&'a str),
    Address(IpAddr),
    Number(u64),
}

impl Event {
    /// A token is handed out.
    pub fn handout(token: &AccessToken, now: Moment, subject: Subject) -> Self {
        Self {
            time: now.wall,
            outcome: Outcome::HandedOut,
            // The scope that it has: where none was asked for, the credential's own.
            subject: Subject { scope: token.scope().cloned(), ..subject },
            left: Some(token.remaining(now).as_secs()),
            fingerprint: Some(token.fingerprint()),
            ..Self::default()
        }
    }

    /// None is: a rule says no, or the server or its issuer fails.
    pub fn problem(problem: &Problem) -> Self {
        let is_failure = problem.is_failure();
        Self {
            time: SystemClock.now().wall,
            outcome: if is_failure { Outcome::Failed } else { Outcome::Refused },
            rule: (!is_failure).then_some(problem.rule.unwrap_or(Rule::Request)),
            reason: problem.reason.filter(|_| !is_failure),
            error: Some(problem.code()),
            subject: problem.subject.clone(),
            host: problem.host.as_ref().map(|host| foreign(host.as_bytes())),
            ..Self::default()
        }
    }

    /// Returns the fields of the line but the time, in their order. What is not known has no value.
    pub(super) fn fields(&self) -> [(&'static str, Option<Field<'_>>); 20] {
        let text = |text| Some(Field::Text(text));
        let took = self.took.as_micros().try_into().expect("nothing takes 500,000 years");
        let (subject, is_handout) = (&self.subject, self.outcome == Outcome::HandedOut);
        [
            ("outcome", text(self.outcome.as_str())),
            ("rule", self.rule.map(Rule::as_str).and_then(text)),
            ("reason", self.reason.and_then(text)),
            ("error", self.error.and_then(text)),
            ("status", (self.status != 0).then_some(Field::Number(self.status.into()))),
            ("method", subject.method.map(Method::as_str).and_then(text)),
            ("caller", subject.caller.as_deref().and_then(text)),
            ("key", subject.key.as_deref().and_then(text)),
            ("address", subject.address.map(Field::Address)),
            ("origin", self.origin.as_deref().and_then(text)),
            ("host", self.host.as_deref().and_then(text)),
            ("would_refuse", subject.audit_rule.as_deref().filter(|_| is_handout).and_then(text)),
            ("profile", subject.profile.as_deref().and_then(text)),
            ("scope", subject.scope.as_ref().map(Scope::as_str).and_then(text)),
            ("lifetime", subject.lifetime.map(|lifetime| Field::Number(lifetime.as_secs()))),
            ("seconds_left", self.left.map(Field::Number)),
            ("fingerprint", self.fingerprint.as_ref().map(Fingerprint::as_str).and_then(text)),
            ("request_id", text(&self.request_id).filter(|_| !self.request_id.is_empty())),
            ("trace_id", self.trace_id.as_deref().and_then(text)),
            ("duration_us", Some(Field::Number(took))),
        ]
    }
}

/// Copies what a stranger wrote, up to a length: as part of the request it would keep all of that in memory.
pub fn foreign(text: &[u8]) -> Box<str> {
    let text = String::from_utf8_lossy(text.get(..MAX_FOREIGN).unwrap_or(text));
    // What is no UTF-8 takes three times the room.
    let is_within = |(at, character): &(usize, char)| at + character.len_utf8() <= MAX_FOREIGN;
    text.char_indices().take_while(is_within).map(|(_, character)| character).collect()
}
