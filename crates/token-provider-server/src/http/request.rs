//! The head of a request: what it is for, how it is called, and what is told of it. Its header fields are kept apart, to be
//! dropped as soon as nobody needs them.

use std::sync::Arc;

use hyper::header::{HeaderName, HeaderValue, ORIGIN};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::{HeaderMap, Method, Request, StatusCode};
use tokio::time::Instant;

use super::here;
use crate::access::{self, Access, ConnectionInfo, Rules, Shares};
use crate::problem::Problem;
use crate::reason::names;
use crate::telemetry::audit::foreign;
use crate::telemetry::trace_id;

/// Longer than any sensible path and query. (A head longer than the connection's buffer does not get here.)
const MAX_URI: usize = 8 * 1024;
/// A head may have this many fields. hyper takes no more over HTTP/1.1; of HTTP/2 it bounds their length alone, and an empty
/// field is one byte on the wire and a hundred in memory.
const MAX_FIELDS: usize = 100;
/// A request id that a proxy in front made is kept up to this length.
const MAX_REQUEST_ID: usize = 128;

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What HERE's support asks for, and the Java SDK logs.
pub(super) const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The methods of a page.
pub(crate) const PAGE: &str = "GET, HEAD";
const READ: &str = "GET, HEAD, OPTIONS";
const POST: &str = "POST, OPTIONS";

/// What a request says before its header fields, and what of these the log and the audit trail are told. (The fields
/// themselves are dropped as soon as nobody needs them.)
#[derive(Debug)]
pub(crate) struct RequestInfo<'c> {
    /// Without its fields.
    pub(crate) head: Parts,
    /// Where it came in.
    pub(crate) connection: &'c ConnectionInfo,
    /// What it is for, if there is anything at its path.
    pub(super) route: Option<Route>,
    /// The one that a proxy in front gave it, where that is well-formed, else one made here.
    pub(super) id: HeaderValue,
    pub(super) started: Instant,
    pub(super) trace_id: Option<Box<str>>,
    /// The page that it comes from, as its browser says.
    pub(super) origin: Option<Box<str>>,
    /// The id by which one of HERE's SDKs knows the request, which is then answered in HERE's form.
    pub(super) correlation_id: Option<HeaderValue>,
}

impl<'c> RequestInfo<'c> {
    /// Takes a request apart.
    pub(crate) fn take<B>(
        request: Request<B>,
        connection: &'c ConnectionInfo,
        route: Option<Route>,
    ) -> (Self, HeaderMap, B) {
        let (mut head, body) = request.into_parts();
        let headers = std::mem::take(&mut head.headers);
        let is_here = route == Some(Route::OAuth2) && here::is_meant(&headers);
        let info = Self {
            head,
            connection,
            route,
            id: id_of(&headers, &REQUEST_ID),
            started: Instant::now(),
            trace_id: headers.get(TRACEPARENT).and_then(|value| trace_id(value.as_bytes())),
            origin: headers.get(ORIGIN).map(|value| foreign(value.as_bytes())),
            correlation_id: is_here.then(|| id_of(&headers, &CORRELATION_ID)),
        };
        (info, headers, body)
    }

    /// Returns the request's id.
    pub(super) fn id(&self) -> &str {
        self.id.to_str().expect("it has no other characters")
    }

    /// Returns whether it is answered in HERE's form.
    pub(super) fn is_here(&self) -> bool {
        self.correlation_id.is_some()
    }

    /// HTTP/2's `:authority`, or the host of an absolute request target, which both take the place of `Host`.
    pub(crate) fn authority(&self) -> Option<&str> {
        self.head.uri.authority().map(Authority::as_str)
    }

    /// Refuses what is larger than any use of this server needs.
    pub(crate) fn admit_size(&self) -> Result<(), Problem> {
        if self.head.extensions.get::<TooManyFields>().is_some() {
            let description = "the request has more than 100 header fields";
            return Err(Problem::too_large(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, description));
        }
        if self.head.uri.path_and_query().is_some_and(|target| target.as_str().len() > MAX_URI) {
            return Err(Problem::too_large(StatusCode::URI_TOO_LONG, "the URL is longer than 8 KiB"));
        }
        Ok(())
    }

    pub(super) fn admit_route(&self, headers: &HeaderMap) -> Result<Route, Problem> {
        let route = self.route.ok_or_else(Problem::not_found)?;
        // A request to these can cause one to the issuer.
        if route.is_for_callers() || route == Route::Ready {
            access::refuse_prefetch(headers)?;
        }
        allow(&self.head.method, route.methods())?;
        Ok(route)
    }
}

/// A request that was admitted, and what it is answered from.
#[derive(Clone, Copy)]
pub(super) struct Call<'r> {
    pub(super) access: &'r Access,
    /// The shares of the bodies that are waited for.
    pub(super) bodies: &'r Arc<Shares>,
    pub(super) rules: &'r Rules,
    pub(super) info: &'r RequestInfo<'r>,
    /// As the request names it.
    pub(super) host: &'r str,
}

names! {
    /// What there is beside the pages, by its path.
    Route {
        Token => "/getToken",
        OAuth2 => "/oauth2/token",
        Revoke => "/oauth2/revoke",
        Timestamp => "/timestamp",
        Metadata => "/.well-known/oauth-authorization-server",
        Live => "/livez",
        Ready => "/readyz",
        OpenApi => "/openapi.json",
        Client => "/client.js",
    }
}

impl Route {
    pub(super) fn of(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|route| route.as_str() == path)
    }

    /// Returns whether this is for callers: tokens are handed out here, or reported.
    pub(super) fn is_for_callers(self) -> bool {
        matches!(self, Self::Token | Self::OAuth2 | Self::Revoke)
    }

    fn methods(self) -> &'static str {
        if matches!(self, Self::OAuth2 | Self::Revoke) { POST } else { READ }
    }
}

/// Refuses a method that is not in the list.
pub(crate) fn allow(method: &Method, allowed: &'static str) -> Result<(), Problem> {
    if allowed.split([',', ' ']).any(|allowed| allowed == method.as_str()) {
        return Ok(());
    }
    Err(Problem::method_not_allowed(allowed))
}

/// Returns the id that a request has in this header, if it is well-formed, else a new one.
fn id_of(headers: &HeaderMap, header: &HeaderName) -> HeaderValue {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~:/+=@".contains(byte);
    let is_formed = |id: &&HeaderValue| {
        let bytes = id.as_bytes();
        !bytes.is_empty() && bytes.len() <= MAX_REQUEST_ID && bytes.iter().all(is_plain)
    };
    headers.get(header).filter(is_formed).cloned().unwrap_or_else(|| {
        // Tells requests apart in logs; it need not be hard to guess.
        let id = format!("{:032x}", fastrand::u128(..));
        HeaderValue::try_from(id).expect("digits are plain characters")
    })
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
