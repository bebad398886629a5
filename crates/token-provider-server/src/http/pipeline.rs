//! A request from top to bottom, as a list of steps. Each returns a value, or the [`Problem`] that ends the request:
//!
//! 1. size: the number of header fields (431), the length of the URL (414);
//! 2. `Host` is one of ours (400, 403); health probes by any other name get one word;
//! 3. the server's own page, before any rule about origins: a link from anywhere may lead there, and it gives nothing away;
//! 4. the page that the request comes from may ask (403), which decides the CORS headers;
//! 5. path (404), prefetch (403), method (405); a preflight ends here;
//! 6. the handler: who is it (401, 429), what may it have (400, 403), and the token (502 to 504).
//!
//! Whatever came of it goes to the log, the audit trail and the caller in [`App::conclude`]. The admin listener's service
//! shares steps 1 and 2 and that end; there, no page but its own may ask, and the page itself comes before that rule.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use hyper::body::Body;
use hyper::header::{CONNECTION, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{HeaderMap, Method, Request, StatusCode, Version};

use super::answer::{self, Answer, JSON, NO_CACHE};
use super::page::Page;
use super::request::{CORRELATION_ID, Call, PAGE, REQUEST_ID, RequestInfo, Route, allow};
use super::token::Served;
use super::{audit, health, here, oauth2, page, token};
use crate::access::{Access, ClientCertificate, ConnectionInfo, Cors, Shares};
use crate::problem::Problem;
use crate::telemetry::Telemetry;

/// What a listener has its requests answered by: an [`App`], or the service of the admin listener.
pub trait Service: Send + Sync + 'static {
    /// Answers one request.
    fn answer<B: Body<Data = Bytes> + Send>(
        &self,
        request: Request<B>,
        connection: &ConnectionInfo,
    ) -> impl Future<Output = Answer> + Send;
}

/// What every request is answered from.
#[derive(Debug)]
pub struct App {
    /// The access rules, and the tokens behind them.
    pub access: Access,
    page: Page,
    /// The figures of this application, and its audit trail.
    pub telemetry: Arc<Telemetry>,
    bodies: Arc<Shares>,
}

impl App {
    /// Puts the application together. It reports what it does to `telemetry`.
    pub fn new(access: Access, page: Page, telemetry: Telemetry) -> Self {
        // Loopback is limited, too: everybody on the machine is there.
        let bodies = Arc::new(Shares::new(oauth2::MAX_BODIES, oauth2::MAX_BODIES_EACH, true));
        Self { access, page, telemetry: Arc::new(telemetry), bodies }
    }
}

impl Service for App {
    fn answer<B: Body<Data = Bytes> + Send>(
        &self,
        request: Request<B>,
        connection: &ConnectionInfo,
    ) -> impl Future<Output = Answer> + Send {
        let route = Route::of(request.uri().path());
        // Not in the future, which would have room for the whole request twice.
        let (info, headers, body) = RequestInfo::take(request, connection, route);
        async move {
            let handled = catch_panic(&info, self.handle(&info, headers, body)).await;
            let (cors, result) = handled.unwrap_or_else(|problem| (Cors::None, Err(problem)));
            self.conclude(info, &cors, result)
        }
    }
}

impl App {
    /// Returns which pages may read the answer, and what came of the request.
    async fn handle(
        &self,
        info: &RequestInfo<'_>,
        headers: HeaderMap,
        body: impl Body<Data = Bytes>,
    ) -> Result<(Cors, Result<Served, Problem>), Problem> {
        let rules = self.access.rules();
        // A page that may ask can read why it was refused, whatever the reason.
        let refused = |problem| Ok((rules.cors_of_refusal(&headers), Err(problem)));
        if let Err(problem) = info.admit_size() {
            return refused(problem);
        }
        let host = match rules.admit_host(&headers, info.authority(), info.connection) {
            Ok(host) => host.to_owned(),
            Err(_) if health::is_probe(info, &headers) => {
                return Ok((Cors::None, health::probe(&self.access, info).map(|answer| (answer, None))));
            }
            Err(problem) => return refused(problem),
        };
        let is_tls = rules.is_tls(&headers, info.connection);
        let own_origin = || format!("{}://{host}", if is_tls { "https" } else { "http" });
        if let Some(file) = self.page.file(info.head.uri.path(), &headers, own_origin) {
            allow(&info.head.method, PAGE)?;
            return Ok((Cors::None, Ok((file, None))));
        }
        let cors = rules.admit_page(&headers, &host, is_tls)?;
        let (access, bodies) = (&self.access, &self.bodies);
        let call = Call { access, bodies, rules: &rules, info, host: &host };
        let answered = async {
            let route = info.admit_route(&headers)?;
            if info.head.method == Method::OPTIONS {
                let mut preflight = Answer::default();
                *preflight.status_mut() = StatusCode::NO_CONTENT;
                rules.apply_preflight(&headers, preflight.headers_mut());
                return Ok((preflight, None));
            }
            match route {
                Route::Token => {
                    // Nobody reads it, and while the issuer is waited for, HTTP/2 would keep what comes of it.
                    drop(body);
                    token::get(call, &headers).await
                }
                // In a box, as all that waits for somebody else: the others would be as large.
                Route::OAuth2 => Box::pin(oauth2::post(call, headers, body)).await,
                Route::Revoke => Box::pin(oauth2::revoke(call, headers, body)).await,
                Route::Timestamp => Ok((here::timestamp(), None)),
                Route::Metadata => Ok((oauth2::metadata(&rules, &own_origin()), None)),
                Route::Live => Ok((health::live(), None)),
                Route::Ready => {
                    drop(body);
                    health::ready(access, info).await.map(|answer| (answer, None))
                }
                Route::OpenApi => Ok((answer::answer(JSON, NO_CACHE, page::OPENAPI), None)),
                Route::Client => Ok((page::client(&headers), None)),
            }
        };
        Ok((cors, catch_panic(info, answered).await))
    }

    /// Records what came of a request, and completes the answer. The connection ends with it when its client certificate is no
    /// longer accepted: the client may have a newer one, which it can only show on another connection. So it does, over HTTP/1.1,
    /// when the server is shutting down: a request that comes in just when a kept connection is closed would be lost. HTTP/2 says
    /// at the end which requests were not processed; to end a connection before that would cost a handshake for each request until
    /// the balancer has noticed.
    pub(crate) fn conclude(
        &self,
        info: RequestInfo<'_>,
        cors: &Cors,
        mut result: Result<Served, Problem>,
    ) -> Answer {
        audit::record(&self.telemetry, &info, &mut result);
        let problem_answer = if info.is_here() { here::problem } else { answer::problem };
        let mut answer =
            result.map_or_else(|problem| problem_answer(&problem, info.id()), |(answer, _done)| answer);
        cors.apply(answer.headers_mut());
        let headers = answer.headers_mut();
        if let Some(id) = info.correlation_id {
            headers.insert(CORRELATION_ID, id);
        }
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REQUEST_ID, info.id);
        let is_last = self.access.is_draining() && info.head.version != Version::HTTP_2;
        if is_last || info.connection.client == ClientCertificate::Rejected {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }
}

/// Turns a panic into a 500. What it was about is in the log by the panic hook; this line says whose request it was.
///
/// Not an `async fn`, which would have room for the steps twice: a connection keeps that room for as long as it lives.
pub(crate) fn catch_panic<T>(
    info: &RequestInfo<'_>,
    steps: impl Future<Output = Result<T, Problem>>,
) -> impl Future<Output = Result<T, Problem>> {
    AssertUnwindSafe(steps).catch_unwind().map(|caught| {
        caught.unwrap_or_else(|_panic| {
            tracing::error!(request.id = info.id(), http.path = info.head.uri.path(), "a handler panicked");
            Err(Problem::internal())
        })
    })
}
