//! The admin listener: `/metrics` for Prometheus, `/status` for programs and people. It asks nobody who they are, and
//! shows no token and no secret.
//!
//! The page has a strict Content-Security-Policy, and nobody else's page may ask: what this server does is no business of
//! theirs.

mod history;
mod metrics;
mod remedy;
mod status;

use std::sync::Arc;

use hyper::HeaderMap;
use hyper::header::ACCEPT;
use hyper::http::request::Parts;

use self::history::History;
use super::answer::{self, Answer, CSS, HTML, JAVASCRIPT, JSON, NO_STORE, answer};
use super::{App, allow, health};
use crate::access::{Access, Ends, Rules};
use crate::problem::Problem;
use crate::telemetry::{Format, Process, Telemetry};

const PAGE: &str = include_str!("admin/status.html");
const SCRIPT: &str = include_str!("admin/status.js");
const STYLE: &str = include_str!("admin/status.css");

const READ: &str = "GET, HEAD";

/// What the admin listener keeps of its own.
#[derive(Debug)]
pub(super) struct Admin {
    history: Arc<History>,
    /// Stops when this is dropped.
    _sampling: history::Sampling,
}

impl Admin {
    pub(super) fn start(access: &Arc<Access>, telemetry: &Arc<Telemetry>) -> Self {
        let history = Arc::new(History::default());
        let sampling = history.sample(Arc::clone(access), Arc::clone(telemetry));
        Self { history, _sampling: sampling }
    }

    pub(super) async fn answer(
        &self,
        app: &App,
        request: &Parts,
        host: &str,
        ends: &Ends,
    ) -> Result<Answer, Problem> {
        let headers = &request.headers;
        match request.uri.path() {
            // A link from elsewhere may lead to the page, which gives nothing away by itself.
            "/" => file(request, HTML, PAGE),
            "/status" if prefers(headers, "text/html", JSON) => file(request, HTML, PAGE),
            "/status.js" => file(request, JAVASCRIPT, SCRIPT),
            "/status.css" => file(request, CSS, STYLE),
            path @ ("/status" | "/metrics" | "/livez" | "/readyz") => {
                Rules::admit_own_page(headers, host, ends)?;
                allow(&request.method, READ)?;
                match path {
                    "/status" => Ok(answer(JSON, NO_STORE, status::json(app, &self.history, look().await))),
                    "/metrics" => {
                        let is_open = prefers(headers, "application/openmetrics-text", "text/plain");
                        let format = if is_open { Format::OpenMetrics } else { Format::Prometheus };
                        let page = metrics::page(app, format, look().await);
                        Ok(answer(format.content_type(), NO_STORE, page))
                    }
                    "/livez" => Ok(health::live()),
                    _ => health::ready(&app.access).await,
                }
            }
            _ => Err(Problem::not_found()),
        }
    }
}

/// Looks at the process. Lists a folder with an entry for each connection, so not in a thread that answers requests.
async fn look() -> Option<Process> {
    tokio::task::spawn_blocking(Process::look).await.ok().flatten()
}

/// Returns whether one type is preferred to another. Only their names count: programs that name neither send `*/*`.
fn prefers(headers: &HeaderMap, wanted: &str, other: &str) -> bool {
    let weight = |name| answer::weight(headers, &ACCEPT, &[name]);
    weight(wanted) > weight(other)
}

/// A part of the page, which gets its figures from this server.
fn file(request: &Parts, content_type: &'static str, content: &'static str) -> Result<Answer, Problem> {
    allow(&request.method, READ)?;
    Ok(answer::page(content_type, "'self'", "", content))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn form_is_chosen_by_what_is_named() {
        let named = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            let open = prefers(&headers, "application/openmetrics-text", "text/plain");
            (open, prefers(&headers, "text/html", "application/json"))
        };
        for (accept, expected) in [
            ("*/*", (false, false)),
            ("text/plain", (false, false)),
            // Prometheus 2.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                (true, false),
            ),
            ("application/openmetrics-text;q=0.3,text/plain;q=0.5", (false, false)),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", (false, true)),
            ("application/json", (false, false)),
        ] {
            assert_eq!(named(accept), expected, "{accept}");
        }
    }

    #[test]
    fn page_has_nothing_that_its_policy_forbids() {
        for inline in
            ["<style", "style=", " onclick", " onload", "javascript:", "https://", "http://", "onerror"]
        {
            assert!(!PAGE.contains(inline), "{inline}");
        }
        assert_eq!(PAGE.matches("<script").count(), 1);
        assert!(PAGE.contains(r#"<script type="module" src="/status.js"></script>"#));
        assert!(!SCRIPT.contains("innerHTML"), "what callers are called could be markup");
    }
}
