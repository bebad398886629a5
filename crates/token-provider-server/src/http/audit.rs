//! What the log and the audit trail are told of a request: an [`Event`], where it is one for the trail.

use super::request::{RequestInfo, Route};
use super::token::Served;
use crate::problem::{Problem, Subject};
use crate::telemetry::Telemetry;
use crate::telemetry::audit::Event;

/// Of a path that a stranger wrote, so much is logged.
const MAX_PATH: usize = 256;

/// Logs what came of a request, for looking closer. The audit trail is told of a request for a token, of a report of one, and of any
/// that an access rule refused.
pub(super) fn record(telemetry: &Telemetry, info: &RequestInfo<'_>, result: &mut Result<Served, Problem>) {
    let (status, problem) = match result {
        Ok((answer, _)) => (answer.status(), None),
        Err(problem) => (problem.status, Some(&*problem)),
    };
    let path = info.head.uri.path();
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
    let event = match result {
        // Without a trail there is no admin listener either, which would show the counts.
        Ok((_, done)) => done.take().filter(|_| telemetry.audit.is_some()).map(|done| *done),
        Err(problem) => {
            let is_recorded = problem.rule.is_some() || info.route.is_some_and(Route::is_for_callers);
            is_recorded.then(|| Event::problem(problem))
        }
    };
    let Some(event) = event else { return };
    let address = event.subject.address.or_else(|| info.connection.address());
    telemetry.note(Event {
        status: status.as_u16(),
        subject: Subject { address, ..event.subject },
        origin: info.origin.clone(),
        request_id: info.id().into(),
        trace_id: info.trace_id.clone(),
        took: info.started.elapsed(),
        ..event
    });
}
