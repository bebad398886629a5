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

use bytes::Bytes;
use http_body_util::Full;
use hyper::HeaderMap;
use hyper::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
};
use hyper::http::request::Parts;

use self::history::History;
use super::{Answer, App, allow, health, token};
use crate::access::{Access, Ends, Rules};
use crate::problem::Problem;
use crate::telemetry::{Format, Process, Telemetry};

const PAGE: &str = include_str!("admin/status.html");
const SCRIPT: &str = include_str!("admin/status.js");
const STYLE: &str = include_str!("admin/status.css");

const X_FRAME_OPTIONS: HeaderName = HeaderName::from_static("x-frame-options");

const READ: &str = "GET, HEAD";

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

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
        let wants_page = weight(headers, "text/html") > weight(headers, "application/json");
        match request.uri.path() {
            // A link from elsewhere may lead to the page, which gives nothing away by itself.
            "/" => allow(&request.method, READ).map(|()| file("text/html; charset=utf-8", PAGE)),
            "/status" if wants_page => {
                allow(&request.method, READ).map(|()| file("text/html; charset=utf-8", PAGE))
            }
            "/status.js" => {
                allow(&request.method, READ).map(|()| file("text/javascript; charset=utf-8", SCRIPT))
            }
            "/status.css" => allow(&request.method, READ).map(|()| file("text/css; charset=utf-8", STYLE)),
            "/status" => {
                Rules::admit_own_page(headers, host, ends)?;
                allow(&request.method, READ)?;
                let json = status::json(app, &self.history, look().await);
                Ok(text("application/json", json))
            }
            "/metrics" => {
                Rules::admit_own_page(headers, host, ends)?;
                allow(&request.method, READ)?;
                let is_open = weight(headers, "application/openmetrics-text") > weight(headers, "text/plain");
                let format = if is_open { Format::OpenMetrics } else { Format::Prometheus };
                Ok(text(format.content_type(), metrics::page(app, format, look().await)))
            }
            path @ ("/livez" | "/readyz") => {
                Rules::admit_own_page(headers, host, ends)?;
                allow(&request.method, READ)?;
                if path == "/livez" { Ok(health::live()) } else { health::ready(&app.access).await }
            }
            _ => Err(Problem::not_found()),
        }
    }
}

/// Looks at the process. Lists a folder with an entry for each connection, so not in a thread that answers requests.
async fn look() -> Option<Process> {
    tokio::task::spawn_blocking(Process::look).await.ok().flatten()
}

/// How much a media type is wanted, in thousandths, where it is named; for ranges like `*/*` there are defaults.
fn weight(headers: &HeaderMap, media_type: &str) -> u16 {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges = values.flat_map(|value| value.split(',')).map(token::quality);
    ranges.filter(|(name, _)| name == media_type).map(|(_, weight)| weight).max().unwrap_or(0)
}

fn file(content_type: &'static str, content: &'static str) -> Answer {
    let mut answer = Answer::new(Full::new(Bytes::from_static(content.as_bytes())));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    answer
}

fn text(content_type: &'static str, content: String) -> Answer {
    let mut answer = Answer::new(Full::from(content));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_is_chosen_by_what_is_named() {
        let named = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            let open = weight(&headers, "application/openmetrics-text") > weight(&headers, "text/plain");
            (open, weight(&headers, "text/html") > weight(&headers, "application/json"))
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
