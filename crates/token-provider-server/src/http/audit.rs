//! What the log and the audit trail are told of a request.

use hyper::header::{HOST, HeaderName, ORIGIN};
use hyper::http::request::Parts;
use hyper::{HeaderMap, StatusCode};
use token_provider::{Clock as _, SystemClock};

use super::{App, Route};
use crate::access::{Caller, Ends};
use crate::problem::Problem;
use crate::reason::{Outcome, Rule};
use crate::telemetry::TraceParent;
use crate::telemetry::audit::Event;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Of a path that a stranger wrote, so much is logged.
const MAX_PATH: usize = 256;

/// Returns the caller's trace, if it names one.
pub(super) fn trace(headers: &HeaderMap) -> Option<TraceParent> {
    TraceParent::parse(headers.get(TRACEPARENT)?.as_bytes())
}

/// Takes down who asked. Takes the caller's name away with it, rather than share it.
pub(super) fn note_caller(event: &mut Event, caller: Caller<'_>) {
    event.method = Some(caller.method());
    event.address = caller.address();
    event.caller = caller.into_name();
}

/// Logs a request. One that gets a token has a line in the audit trail; this one is for looking closer.
pub(super) fn log(event: &Event, id: &str, request: &Parts, status: StatusCode) {
    let path = request.uri.path();
    tracing::debug!(
        request.id = id,
        trace.id = event.trace.as_ref().map(TraceParent::trace_id),
        caller.id = event.caller.as_deref(),
        http.method = %request.method,
        http.path = path.get(..MAX_PATH).unwrap_or(path),
        http.status = status.as_u16(),
        duration_us = u64::try_from(event.took.as_micros()).unwrap_or(u64::MAX),
        error = event.error,
        rule = event.rule.map(Rule::as_str),
        reason = event.reason,
        "request answered"
    );
}

impl App {
    /// Tells the audit trail of a request for a token, and of any that an access rule refused.
    pub(super) fn note(&self, mut event: Event, request: &Parts, ends: &Ends, problem: Option<&Problem>) {
        if let Some(problem) = problem {
            let is_for_token = !self.is_admin() && Route::of(request.uri.path()).is_some_and(Route::is_door);
            if !is_for_token && problem.rule().is_none() {
                return;
            }
        } else if event.outcome != Outcome::HandedOut || self.telemetry.audit().is_none() {
            // Counted already.
            return;
        } else {
            event.status = 200;
        }
        event.address = event.address.or_else(|| ends.peer.map(|peer| peer.ip().to_canonical()));
        if let Some(origin) = request.headers.get(ORIGIN) {
            event.note_origin(origin.as_bytes());
        }
        if event.rule == Some(Rule::Host) {
            let named = request.uri.authority().map(|host| host.as_str().as_bytes());
            if let Some(host) = named.or_else(|| Some(request.headers.get(HOST)?.as_bytes())) {
                event.note_host(host);
            }
        }
        self.telemetry.note(event);
    }
}

/// Takes down why there was no token.
pub(super) fn note_problem(event: &mut Event, problem: &Problem) {
    let status = problem.status();
    event.status = status.as_u16();
    event.error = Some(problem.code());
    event.time = SystemClock.now().wall;
    if problem.is_failure() {
        event.outcome = Outcome::Failed;
    } else {
        event.outcome = Outcome::Refused;
        let usual = if problem.code() == "invalid_scope" { Rule::Scope } else { Rule::Request };
        event.rule = Some(problem.rule().unwrap_or(usual));
        event.reason = problem.reason();
    }
    event.address = event.address.or_else(|| problem.address());
    if let Some((method, name)) = problem.caller() {
        event.method = Some(method);
        event.caller = Some(name.clone()).filter(|name| !name.is_empty());
    }
}
