//! What the log and the audit trail are told of a request: the one place that makes an [`Event`] of it.

use hyper::StatusCode;
use token_provider::{Clock as _, SystemClock};

use super::request::{RequestInfo, Route};
use super::token::Served;
use crate::problem::{Problem, Subject};
use crate::reason::{Outcome, Rule};
use crate::telemetry::Telemetry;
use crate::telemetry::audit::{Event, foreign};

/// Of a path that a stranger wrote, so much is logged.
const MAX_PATH: usize = 256;

/// Logs what came of a request, for looking closer. The audit trail is told of a request for a token, of a report of one, and of any
/// that an access rule refused.
pub(super) fn record(telemetry: &Telemetry, info: &RequestInfo<'_>, result: &mut Result<Served, Problem>) {
    let (status, done) = match result {
        Ok(served) => (served.answer.status(), served.done.take()),
        Err(problem) => (problem.status, None),
    };
    let (path, problem) = (info.head.uri.path(), result.as_ref().err());
    tracing::debug!(
        request.id = info.id(),
        trace.id = info.trace_id.as_deref(),
        http.method = %info.head.method,
        http.path = path.get(..MAX_PATH).unwrap_or(path),
        http.status = status.as_u16(),
        duration_us = u64::try_from(info.started.elapsed().as_micros()).unwrap_or(u64::MAX),
        error = problem.map(|problem| problem.code()),
        "request answered"
    );
    // Without a trail there is no admin listener either, which would show the counts.
    let is_recorded = match problem {
        None => done.is_some() && telemetry.audit.is_some(),
        Some(problem) => problem.rule.is_some() || info.route.is_some_and(Route::is_for_callers),
    };
    if is_recorded {
        telemetry.note(event(info, status, problem, done.map(|done| *done)));
    }
}

fn event(
    info: &RequestInfo<'_>,
    status: StatusCode,
    problem: Option<&Problem>,
    done: Option<Event>,
) -> Event {
    let refusal = problem.filter(|problem| !problem.is_failure());
    let done = done.unwrap_or_else(|| Event {
        time: SystemClock.now().wall,
        outcome: if refusal.is_some() { Outcome::Refused } else { Outcome::Failed },
        reason: refusal.and_then(|problem| problem.reason),
        subject: problem.map(|problem| problem.subject.clone()).unwrap_or_default(),
        ..Event::default()
    });
    let address = done.subject.address.or_else(|| info.connection.address());
    Event {
        rule: refusal.map(|problem| problem.rule.unwrap_or(Rule::Request)),
        error: problem.map(|problem| problem.code()),
        status: status.as_u16(),
        subject: Subject { address, ..done.subject },
        origin: info.origin.clone(),
        host: problem.and_then(|problem| Some(foreign(problem.host.as_ref()?.as_bytes()))),
        request_id: info.id().into(),
        trace_id: info.trace_id.clone(),
        took: info.started.elapsed(),
        ..done
    }
}
