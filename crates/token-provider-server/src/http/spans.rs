//! The span of a request for a token.

use hyper::Method;
use hyper::http::request::Parts;
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use opentelemetry_sdk::trace::Span;

use super::{Answer, App, Route};
use crate::problem::Problem;
use crate::telemetry::audit::{Event, Outcome};
use crate::telemetry::otlp;

impl App {
    /// Begins the span of a request, if it is for a token: health probes and pages make none.
    pub(super) fn begin_span(&self, request: &Parts, event: &mut Event) -> Option<Span> {
        let path = request.uri.path();
        if self.is_admin() || !Route::of(path)?.is_door() {
            return None;
        }
        let name = format!("{} {path}", method(&request.method).unwrap_or("HTTP"));
        otlp::begin(name, SpanKind::Server, &mut event.trace)
    }

    /// Ends it, with what the audit trail is told, too.
    pub(super) fn end_span(
        &self,
        span: Span,
        event: &Event,
        id: &str,
        request: &Parts,
        result: &Result<Answer, Problem>,
    ) {
        let problem = result.as_ref().err();
        let status = result.as_ref().map_or_else(Problem::status, Answer::status);
        let caller = problem.and_then(Problem::caller);
        let caller_id = event.caller.as_deref().or_else(|| caller.map(|(_, name)| &**name));
        let shown_by = event.method.or_else(|| caller.map(|(method, _)| method));
        let profile = event.profile.and_then(|number| self.access.handout().names().nth(number));
        let failure = problem.filter(|problem| problem.is_failure());
        let outcome = match problem {
            None => event.outcome,
            Some(_) if failure.is_some() => Outcome::Failed,
            Some(_) => Outcome::Refused,
        };
        let text = |name: &'static str, value: Option<&str>| {
            value.filter(|value| !value.is_empty()).map(|value| KeyValue::new(name, value.to_owned()))
        };
        let attributes = [
            text("http.route", Some(request.uri.path())),
            text("http.request.method", Some(method(&request.method).unwrap_or("_OTHER"))),
            Some(KeyValue::new("http.response.status_code", i64::from(status.as_u16()))),
            text("request.id", Some(id)),
            text("outcome", Some(outcome.as_str())),
            text("error", problem.map(Problem::code)),
            text("rule", problem.and_then(Problem::rule)),
            text("profile", profile),
            text("caller.id", caller_id),
            text("caller.method", shown_by),
        ];
        otlp::end(span, attributes.into_iter().flatten(), failure.map(Problem::code));
    }
}

/// Returns a method of the standard's: a span takes no word of a stranger's for one.
fn method(method: &Method) -> Option<&str> {
    let known = [Method::GET, Method::HEAD, Method::POST, Method::OPTIONS, Method::PUT, Method::DELETE];
    known.contains(method).then(|| method.as_str())
}
