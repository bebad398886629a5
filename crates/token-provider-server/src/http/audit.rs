//! What the log and the audit trail are told of a request: the one place that makes an [`Event`].

use token_provider::{AccessToken, Clock as _, SystemClock};

use super::answer::Answer;
use super::request::{RequestInfo, Route};
use super::token::HandedOut;
use crate::access::ConnectionInfo;
use crate::problem::{Problem, Subject};
use crate::reason::{Outcome, Rule};
use crate::telemetry::Telemetry;
use crate::telemetry::audit::{Event, foreign};

/// Of a path that a stranger wrote, so much is logged.
const MAX_PATH: usize = 256;

/// Logs what came of a request, for looking closer. The audit trail is told of a request for a token, and of any that an access
/// rule refused.
pub(super) fn record(
    telemetry: &Telemetry,
    info: &RequestInfo,
    connection: &ConnectionInfo,
    result: &Result<Answer, Problem>,
    handed_out: Option<HandedOut>,
) {
    let path = info.head.uri.path();
    tracing::debug!(
        request.id = info.id(),
        trace.id = info.trace_id.as_deref(),
        http.method = %info.head.method,
        http.path = path.get(..MAX_PATH).unwrap_or(path),
        http.status = status(result),
        duration_us = u64::try_from(info.started.elapsed().as_micros()).unwrap_or(u64::MAX),
        error = result.as_ref().err().map(|problem| problem.code()),
        "request answered"
    );
    // Without a trail there is no admin listener either, which would show the counts.
    let is_recorded = match result {
        Ok(_) => handed_out.is_some() && telemetry.audit.is_some(),
        Err(problem) => problem.rule.is_some() || info.route.is_some_and(Route::hands_out_tokens),
    };
    if is_recorded {
        telemetry.note(event(info, connection, result, handed_out));
    }
}

fn event(
    info: &RequestInfo,
    connection: &ConnectionInfo,
    result: &Result<Answer, Problem>,
    handed_out: Option<HandedOut>,
) -> Event {
    let problem = result.as_ref().err();
    let refusal = problem.filter(|problem| !problem.is_failure());
    let token = handed_out.as_ref().map(|handed_out| &handed_out.token);
    let (fingerprint, left) = (token.map(AccessToken::fingerprint), handed_out.as_ref().map(HandedOut::left));
    let time = handed_out.as_ref().map_or_else(|| SystemClock.now().wall, |handed_out| handed_out.now.wall);
    let subject = handed_out.map(|handed_out| handed_out.subject);
    let subject = subject.or_else(|| Some(problem?.subject.clone())).unwrap_or_default();
    Event {
        time,
        outcome: match problem {
            None => Outcome::HandedOut,
            Some(_) if refusal.is_some() => Outcome::Refused,
            Some(_) => Outcome::Failed,
        },
        rule: refusal.map(|problem| problem.rule.unwrap_or(Rule::Request)),
        reason: refusal.and_then(|problem| problem.reason),
        error: problem.map(|problem| problem.code()),
        status: status(result),
        subject: Subject { address: subject.address.or_else(|| connection.address()), ..subject },
        origin: info.origin.clone(),
        host: problem.and_then(|problem| Some(foreign(problem.host.as_ref()?.as_bytes()))),
        left,
        fingerprint,
        request_id: info.id().into(),
        trace_id: info.trace_id.clone(),
        took: info.started.elapsed(),
    }
}

fn status(result: &Result<Answer, Problem>) -> u16 {
    result.as_ref().map_or_else(|problem| problem.status, Answer::status).as_u16()
}
