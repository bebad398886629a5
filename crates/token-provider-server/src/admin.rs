//! The admin listener: `/metrics` for Prometheus, `/status` for programs and people, `/revoke` for callers on this machine. It asks
//! nobody who they are, and shows no token and no secret.
//!
//! The page has a strict Content-Security-Policy, and nobody else's page may ask: what this server does is no business of
//! theirs.

mod metrics;
mod status;

use std::sync::Arc;

use bytes::Bytes;
use hyper::body::Body;
use hyper::header::ACCEPT;
use hyper::{HeaderMap, Request};

use self::metrics::Metrics;
use crate::access::{self, ConnectionInfo, Cors};
use crate::http::answer::{self, Answer, CSS, HTML, JAVASCRIPT, JSON, NO_STORE, TEXT, answer};
use crate::http::parameters::has_content_type;
use crate::http::pipeline::catch_panic;
use crate::http::request::{PAGE, RequestInfo, allow};
use crate::http::{App, Service, health};
use crate::problem::Problem;
use crate::telemetry::{self, Process};

const STATUS_PAGE: &str = include_str!("admin/status.html");
const SCRIPT: &str = include_str!("admin/status.js");
const STYLE: &str = include_str!("admin/status.css");

/// The service of the admin listener, which looks at an application.
#[derive(Debug)]
pub struct Admin(pub Arc<App>);

impl Admin {
    async fn handle(&self, info: &RequestInfo<'_>, headers: &HeaderMap) -> Result<Answer, Problem> {
        info.admit_size()?;
        let Self(app) = self;
        let access = &app.access;
        let rules = access.rules();
        let host = match rules.admit_host(headers, info.authority(), info.connection) {
            Err(_) if health::is_probe(info, headers) => return health::probe(access, info),
            host => host?,
        };
        let path = info.head.uri.path();
        // A link from elsewhere may lead to the page, which gives nothing away by itself.
        let file = match path {
            "/" => Some((HTML, STATUS_PAGE)),
            "/status" if prefers_page(headers) => Some((HTML, STATUS_PAGE)),
            "/status.js" => Some((JAVASCRIPT, SCRIPT)),
            "/status.css" => Some((CSS, STYLE)),
            "/status" | "/metrics" | "/livez" | "/readyz" | "/revoke" => None,
            _ => return Err(Problem::not_found()),
        };
        if file.is_none() {
            access::admit_own_page(headers, host, info.connection)?;
        }
        if path == "/revoke" {
            return revoke(app, info, headers);
        }
        allow(&info.head.method, PAGE)?;
        if let Some((content_type, content)) = file {
            return Ok(answer::page(content_type, "connect-src 'self'; img-src data:", content));
        }
        match path {
            "/status" => Ok(answer::json(NO_STORE, &status::json(app, look().await))),
            "/metrics" => {
                let metrics = Metrics { app: Arc::clone(app), process: look().await };
                Ok(answer(telemetry::CONTENT_TYPE, NO_STORE, telemetry::page(metrics)))
            }
            "/livez" => Ok(health::live()),
            _ => health::ready(access, info).await,
        }
    }
}

impl Service for Admin {
    async fn answer<B>(&self, request: Request<B>, connection: &ConnectionInfo) -> Answer
    where
        B: Body<Data = Bytes> + Send,
    {
        let (info, headers, body) = RequestInfo::take(request, connection, None);
        // Nobody reads it, and while a token is waited for, HTTP/2 would keep what comes of it.
        drop(body);
        let answer = catch_panic(&info, self.handle(&info, &headers)).await;
        self.0.conclude(info, &Cors::None, answer.map(|answer| (answer, None)))
    }
}

/// Replaces all tokens of a profile. A page cannot send this content type to somebody else without asking first, which gets 405.
fn revoke(app: &App, info: &RequestInfo<'_>, headers: &HeaderMap) -> Result<Answer, Problem> {
    access::admit_local(headers, info.connection)?;
    allow(&info.head.method, "POST")?;
    if !has_content_type(headers, JSON) {
        return Err(Problem::invalid_request(format!("Content-Type: expected {JSON}")));
    }
    let missing =
        || Problem::invalid_request("profile: missing; name the one whose tokens are to be replaced");
    let profile = health::profile_of(info)?.ok_or_else(missing)?;
    app.access.handout().replace_all(&profile, "POST /revoke")?;
    Ok(answer(TEXT, NO_STORE, "replacing all tokens of this profile\n"))
}

/// Looks at the process. Lists a folder with an entry for each connection, so not in a thread that answers requests.
async fn look() -> Option<Process> {
    tokio::task::spawn_blocking(Process::look).await.ok().flatten()
}

/// Returns whether the page is preferred to JSON. Only the two names count: programs that name neither send `*/*`.
fn prefers_page(headers: &HeaderMap) -> bool {
    let weight = |name| answer::weight(headers, &ACCEPT, &[name]);
    weight("text/html") > weight(JSON)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn page_is_for_those_who_name_it() {
        for (accept, expected) in [
            ("*/*", false),
            ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", false),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true),
            ("application/json", false),
            ("text/html;q=0.5,application/json", false),
        ] {
            let headers = [(ACCEPT, HeaderValue::from_static(accept))].into_iter().collect();
            assert_eq!(prefers_page(&headers), expected, "{accept}");
        }
    }

    #[test]
    fn page_has_nothing_that_its_policy_forbids() {
        for inline in
            ["<style", "style=", " onclick", " onload", "javascript:", "https://", "http://", "onerror"]
        {
            assert!(!STATUS_PAGE.contains(inline), "{inline}");
        }
        assert_eq!(STATUS_PAGE.matches("<script").count(), 1);
        assert!(STATUS_PAGE.contains(r#"<script type="module" src="/status.js"></script>"#));
        assert!(!SCRIPT.contains("innerHTML"), "what callers are called could be markup");
    }
}
