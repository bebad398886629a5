//! The route table, and the order in which a request is looked at: size, host and origin, path, method, handler.

mod admin;
mod answer;
mod audit;
mod health;
mod oauth2;
mod openapi;
mod page;
mod token;

use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use hyper::body::Body;
use hyper::header::{HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::{HeaderMap, Method, Request, StatusCode};
use tokio::time::Instant;

use self::admin::Admin;
use crate::access::{Access, Cors, Ends, Rules, Shares};
use crate::problem::Problem;
use crate::telemetry::audit::{Event, RequestId};
use crate::telemetry::{OpenConnection, Telemetry};

pub(crate) use self::answer::Answer;
pub use self::page::Page;

/// Longer than any sensible path and query. (A head longer than the connection's buffer does not get here.)
const MAX_URI: usize = 8 * 1024;
/// A head may have this many fields. hyper takes no more over HTTP/1.1; of HTTP/2 it bounds their length alone, and an empty
/// field is one byte on the wire and a hundred in memory.
const MAX_FIELDS: usize = 100;
/// A request id that a proxy in front made is kept up to this length.
const MAX_REQUEST_ID: usize = 128;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What every request is answered from.
#[derive(Debug)]
pub struct App {
    access: Arc<Access>,
    page: Page,
    telemetry: Arc<Telemetry>,
    bodies: Arc<Shares>,
    /// What there is instead of all else, where this is the application of the admin listener.
    admin: Option<Admin>,
}

impl App {
    /// Puts the application together.
    pub fn new(access: Access, page: Page) -> Self {
        Self {
            access: Arc::new(access),
            page,
            telemetry: Arc::default(),
            bodies: oauth2::bodies(),
            admin: None,
        }
    }

    /// Has the application tell what it does.
    #[must_use]
    pub fn with_telemetry(self, telemetry: Telemetry) -> Self {
        Self { telemetry: Arc::new(telemetry), ..self }
    }

    /// Returns the application of the admin listener, which looks at this one. Needs a Tokio runtime.
    #[must_use]
    pub fn admin(&self) -> Self {
        let (access, telemetry) = (Arc::clone(&self.access), Arc::clone(&self.telemetry));
        let admin = Some(Admin::start(&access, &telemetry));
        Self { access, page: self.page.clone(), telemetry, bodies: Arc::clone(&self.bodies), admin }
    }

    /// Returns the figures of this application, and its audit trail.
    pub fn telemetry(&self) -> &Arc<Telemetry> {
        &self.telemetry
    }

    /// Counts a connection as open; those to the admin listener are not counted.
    pub fn connection(&self) -> Option<OpenConnection> {
        (!self.is_admin()).then(|| self.telemetry.connection())
    }

    /// Returns whether this is the application of the admin listener.
    pub fn is_admin(&self) -> bool {
        self.admin.is_some()
    }

    /// Returns the access rules, and the tokens behind them.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Answers one request.
    pub async fn answer<B>(&self, request: Request<B>, ends: &Ends) -> Answer
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>,
    {
        let (mut request, body) = request.into_parts();
        let started = Instant::now();
        let (id, made) = request_id(&request);
        let mut cors = Cors::None;
        let mut event = Event { trace: audit::trace(&request.headers), ..Event::default() };
        let result = AssertUnwindSafe(self.route(&mut request, body, ends, &mut cors, &mut event))
            .catch_unwind()
            .await;
        let id_text = id.to_str().unwrap_or_default();
        let result = result.unwrap_or_else(|_panic| {
            // What it was about is in the lines before, by the panic hook; this one says whose request it was.
            tracing::error!(request.id = id_text, http.path = request.uri.path(), "a handler panicked");
            Err(Problem::internal())
        });
        event.took = started.elapsed();
        event.request_id = made.map_or_else(|| RequestId::Given(id_text.into()), RequestId::Made);
        let problem = result.as_ref().err();
        if let Some(problem) = problem {
            audit::note_problem(&mut event, problem);
        }
        let status = result.as_ref().map_or_else(Problem::status, Answer::status);
        audit::log(&event, id_text, &request, status);
        self.note(event, &request, ends, problem);
        let mut answer = result.unwrap_or_else(|problem| problem.into_response(id_text));
        let headers = answer.headers_mut();
        cors.apply(headers);
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REQUEST_ID, id);
        answer
    }

    async fn route<B>(
        &self,
        request: &mut Parts,
        body: B,
        ends: &Ends,
        cors: &mut Cors,
        event: &mut Event,
    ) -> Result<Answer, Problem>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>,
    {
        if request.extensions.get::<TooManyFields>().is_some() {
            return Err(Problem::too_many_fields());
        }
        let target = &request.uri;
        let rules = self.access.rules();
        // Before the page is looked at: one that may ask can read why it was refused.
        let listed = || if self.is_admin() { Cors::None } else { rules.cors_of_refusal(&request.headers) };
        if target.path_and_query().is_some_and(|target| target.as_str().len() > MAX_URI) {
            *cors = listed();
            return Err(Problem::uri_too_long());
        }
        let authority = target.authority().map(Authority::as_str);
        let host = match rules.admit_host(&request.headers, authority, ends) {
            Ok(host) => host,
            Err(_) if health::is_probe(request) => {
                return health::probe(&self.access, request);
            }
            Err(problem) => {
                *cors = listed();
                return Err(problem);
            }
        };
        if let Some(admin) = &self.admin {
            drop(body);
            return admin.answer(self, request, host, ends).await;
        }
        let own_origin = || own_origin(&rules, request, host, ends);
        if let Some(file) = self.page.file(target.path(), &request.headers, own_origin) {
            // A link from elsewhere may lead to the page: it gives nothing away.
            return allow(&request.method, PAGE).map(|()| file);
        }
        *cors = rules.admit_page(&request.headers, host, ends)?;
        let route = Route::of(target.path()).ok_or_else(Problem::not_found)?;
        if route.uses_token() {
            Rules::refuse_prefetch(&request.headers)?;
        }
        if request.method == Method::OPTIONS {
            return Ok(preflight(&rules, request));
        }
        allow(&request.method, route.methods())?;
        match route {
            Route::Token => {
                // Nobody reads it, and while the issuer is waited for, HTTP/2 would keep what comes of it.
                drop(body);
                token::answer(&self.access, &rules, request, ends, event).await
            }
            Route::OAuth2 => {
                let (access, bodies) = (&self.access, &self.bodies);
                oauth2::answer(access, &rules, request, body, bodies, ends, event).await
            }
            Route::Metadata => Ok(oauth2::metadata(&rules, request, host, ends)),
            Route::Live => Ok(health::live()),
            Route::Ready => {
                drop(body);
                health::ready(&self.access).await
            }
            Route::OpenApi => Ok(openapi::document()),
            Route::Client => Ok(page::client(&request.headers)),
        }
    }
}

/// Where the caller has found this server.
fn own_origin(rules: &Rules, request: &Parts, host: &str, ends: &Ends) -> String {
    let scheme = if rules.is_tls(&request.headers, ends) { "https" } else { "http" };
    format!("{scheme}://{host}")
}

/// Marks a request whose fields were dropped.
#[derive(Clone, Debug)]
struct TooManyFields;

/// Drops the fields of a head that has too many; the request is then refused. For the moment in which HTTP/2 has read it: the
/// heads of many connections may wait for their turn to be answered.
pub(crate) fn shed_fields<B>(request: &mut Request<B>) {
    if request.headers().len() > MAX_FIELDS {
        *request.headers_mut() = HeaderMap::new();
        request.extensions_mut().insert(TooManyFields);
    }
}

/// What there is beside the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Token,
    OAuth2,
    Metadata,
    Live,
    Ready,
    OpenApi,
    Client,
}

const PAGE: &str = "GET, HEAD";
const READ: &str = "GET, HEAD, OPTIONS";
const POST: &str = "POST, OPTIONS";

impl Route {
    fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/getToken" => Self::Token,
            "/oauth2/token" => Self::OAuth2,
            "/.well-known/oauth-authorization-server" => Self::Metadata,
            "/livez" => Self::Live,
            "/readyz" => Self::Ready,
            "/openapi.json" => Self::OpenApi,
            "/client.js" => Self::Client,
            _ => return None,
        })
    }

    /// Says whether tokens are handed out here.
    fn is_door(self) -> bool {
        matches!(self, Self::Token | Self::OAuth2)
    }

    /// Returns whether a request here can cause one to the issuer.
    fn uses_token(self) -> bool {
        self.is_door() || self == Self::Ready
    }

    fn methods(self) -> &'static str {
        if self == Self::OAuth2 { POST } else { READ }
    }
}

fn allow(method: &Method, allowed: &'static str) -> Result<(), Problem> {
    if allowed.split(", ").any(|allowed| allowed == method.as_str()) {
        return Ok(());
    }
    Err(Problem::method_not_allowed(allowed))
}

fn preflight(rules: &Rules, request: &Parts) -> Answer {
    let mut answer = Answer::default();
    *answer.status_mut() = StatusCode::NO_CONTENT;
    rules.apply_preflight(&request.headers, answer.headers_mut());
    answer
}

/// Takes the id that a proxy in front gave the request, where it is well-formed, else makes one, and returns that as a
/// number, too.
fn request_id(request: &Parts) -> (HeaderValue, Option<u128>) {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~:/+=@".contains(byte);
    if let Some(given) = request.headers.get(REQUEST_ID) {
        let bytes = given.as_bytes();
        if !bytes.is_empty() && bytes.len() <= MAX_REQUEST_ID && bytes.iter().all(is_plain) {
            return (given.clone(), None);
        }
    }
    // Tells requests apart in logs; it need not be hard to guess.
    let made = fastrand::u128(..);
    let id = HeaderValue::try_from(format!("{made:032x}")).expect("hexadecimal digits may stand in a header");
    (id, Some(made))
}
