//! What the log and the audit trail are told of a request: the one place that makes an [`Event`].

use hyper::StatusCode;
use token_provider::{Clock as _, SystemClock};

use super::answer::Answer;
use super::request::{RequestInfo, Route};
use super::token::HandedOut;
use crate::access::Ends;
use crate::problem::{Problem, Subject};
use crate::reason::{Outcome, Rule};
use crate::telemetry::audit::{Event, foreign};
use crate::telemetry::{Telemetry, TraceParent};

/// Of a path that a stranger wrote, so much is logged.
const MAX_PATH: usize = 256;

/// Logs what came of a request. The audit trail is told of a request for a token, and of any that an access rule refused.
pub(super) fn record(
    telemetry: &Telemetry,
    info: &RequestInfo,
    ends: &Ends,
    result: &Result<Answer, Problem>,
    handed_out: Option<HandedOut>,
) {
    let is_handout = handed_out.is_some();
    let problem = result.as_ref().err();
    let event = event(info, ends, problem, handed_out);
    log(&event, info, result.as_ref().map_or_else(Problem::status, Answer::status));
    let is_recorded = match problem {
        Some(problem) => problem.rule().is_some() || info.route.is_some_and(Route::hands_out_tokens),
        None => is_handout && telemetry.audit().is_some(),
    };
    if is_recorded {
        telemetry.note(event);
    }
}

fn event(info: &RequestInfo, ends: &Ends, problem: Option<&Problem>, handed_out: Option<HandedOut>) -> Event {
    let mut event = Event {
        took: info.started.elapsed(),
        origin: info.origin.clone(),
        request_id: info.id().into(),
        trace: info.trace,
        ..Event::default()
    };
    let mut subject = Subject::default();
    if let Some(problem) = problem {
        event.time = SystemClock.now().wall;
        event.status = problem.status().as_u16();
        event.error = Some(problem.code());
        event.host = problem.host().map(|host| foreign(host.as_bytes()));
        subject = problem.subject().clone();
        if problem.is_failure() {
            event.outcome = Outcome::Failed;
        } else {
            event.outcome = Outcome::Refused;
            let usual = if problem.code() == "invalid_scope" { Rule::Scope } else { Rule::Request };
            event.rule = Some(problem.rule().unwrap_or(usual));
            event.reason = problem.reason();
        }
    } else if let Some(handed_out) = handed_out {
        event.time = handed_out.now.wall;
        event.status = StatusCode::OK.as_u16();
        event.outcome = Outcome::HandedOut;
        event.left = Some(handed_out.left());
        event.fingerprint = Some(handed_out.token.fingerprint());
        subject = handed_out.subject;
    }
    Event {
        method: subject.method,
        caller: subject.caller,
        address: subject.address.or_else(|| ends.peer.map(|peer| peer.ip().to_canonical())),
        profile: subject.profile,
        scope: subject.scope,
        lifetime: subject.lifetime.map(|lifetime| lifetime.as_secs()),
        ..event
    }
}

/// Logs a request. One that gets a token has a line in the audit trail; this one is for looking closer.
fn log(event: &Event, info: &RequestInfo, status: StatusCode) {
    let path = info.uri.path();
    tracing::debug!(
        request.id = info.id(),
        trace.id = event.trace.as_ref().map(TraceParent::trace_id),
        caller.id = event.caller.as_deref(),
        http.method = %info.method,
        http.path = path.get(..MAX_PATH).unwrap_or(path),
        http.status = status.as_u16(),
        duration_us = u64::try_from(event.took.as_micros()).unwrap_or(u64::MAX),
        error = event.error,
        rule = event.rule.map(Rule::as_str),
        reason = event.reason,
        "request answered"
    );
}
