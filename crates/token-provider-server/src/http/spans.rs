//! The span of a request for a token.

use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use opentelemetry_sdk::trace::Span;

use super::{App, Route};
use crate::reason::{self, Outcome, Rule};
use crate::telemetry::audit::Event;
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
    pub(super) fn end_span(&self, span: Span, event: &Event, id: &str, request: &Parts, status: StatusCode) {
        let profile = event.profile.and_then(|number| self.access.handout().names().nth(number));
        // A preflight has none.
        let is_judged = event.outcome == Outcome::HandedOut || event.error.is_some();
        let failure = event.error.filter(|_| event.outcome == Outcome::Failed);
        let text = |name: &'static str, value: Option<&str>| {
            value.filter(|value| !value.is_empty()).map(|value| KeyValue::new(name, value.to_owned()))
        };
        let attributes = [
            text("http.route", Some(request.uri.path())),
            text("http.request.method", Some(method(&request.method).unwrap_or("_OTHER"))),
            Some(KeyValue::new("http.response.status_code", i64::from(status.as_u16()))),
            text("request.id", Some(id)),
            text("outcome", is_judged.then(|| event.outcome.as_str())),
            text("error", event.error),
            text("rule", event.rule.map(Rule::as_str)),
            text("profile", profile),
            text("caller.id", event.caller.as_deref()),
            text("caller.method", event.method.map(reason::Method::as_str)),
        ];
        otlp::end(span, attributes.into_iter().flatten(), failure);
    }
}

/// Returns a method of the standard's: a span takes no word of a stranger's for one.
fn method(method: &Method) -> Option<&str> {
    let known = [Method::GET, Method::HEAD, Method::POST, Method::OPTIONS, Method::PUT, Method::DELETE];
    known.contains(method).then(|| method.as_str())
}
