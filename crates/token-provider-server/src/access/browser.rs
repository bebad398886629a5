//! The rules for web pages: which origins may ask, and what their browsers are told (CORS).
//!
//! A page that may not ask gets a refusal, not just an answer without headers: the point is that nothing happens.

use hyper::HeaderMap;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, HeaderName,
    HeaderValue, ORIGIN, VARY,
};
use token_provider::is_loopback_address;

use super::connection::ConnectionInfo;
use super::proxy::is_of_proxy;
use super::rules::Rules;
use crate::config::{Origin, OriginPattern, PublicHost};
use crate::problem::Problem;
use crate::reason::Rule;

/// How long a browser may remember a preflight's answer. Short: an origin that is taken off the list should be off.
const PREFLIGHT_MAX_AGE: &str = "600";
/// What a page may read beside the body.
const EXPOSED: &str = "Token-Expires-In, Retry-After, X-Request-ID";
/// What a page may send, and whatever else it names, such as a tracing library's headers.
const ALLOWED_HEADERS: &str =
    "Accept, Authorization, Content-Type, X-API-Key, X-Request-ID, traceparent, tracestate";
const ALLOWED_METHODS: &str = "GET, HEAD, POST";

/// Tells whether a page of another site asks (W3C Fetch Metadata).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The headers of a prefetch: today's, the one before it, Firefox's old one, and that of old `WebKit`.
const PURPOSE: [&str; 4] = ["x-purpose", "sec-purpose", "purpose", "x-moz"];

/// What the answer says to a browser. Credentials (cookies) are never allowed: this server has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cors {
    /// No page asked, or one of our own.
    None,
    /// Every page may read the answer.
    Any,
    /// This page's origin may, as the browser wrote it.
    Origin(HeaderValue),
}

impl Rules {
    /// Judges the web page that a request comes from, if any. Returns the CORS headers that the answer gets. `is_tls` says
    /// whether the request came over TLS.
    ///
    /// # Errors
    ///
    /// 403 for a page that may not ask.
    pub fn admit_page(&self, headers: &HeaderMap, host: &str, is_tls: bool) -> Result<Cors, Problem> {
        admit(&self.config.origins, headers, host, is_tls)
    }

    /// Returns the CORS headers of a refusal made before the page was checked, for its `Host` or its length: a page
    /// that the configuration lists may read it. (Whether a page is our own cannot be said where the host is not.)
    pub fn cors_of_refusal(&self, headers: &HeaderMap) -> Cors {
        let mut given = headers.get_all(ORIGIN).iter();
        let (Some(header), None) = (given.next(), given.next()) else { return Cors::None };
        cors(&self.config.origins, header, |_| false).unwrap_or(Cors::None)
    }

    /// Writes the headers of a preflight's answer (Fetch standard, "CORS-preflight fetch").
    pub fn apply_preflight(&self, request: &HeaderMap, headers: &mut HeaderMap) {
        // By these a trusted proxy says who is asking.
        let of_proxy =
            self.trusted_proxy.iter().flat_map(|proxy| [&proxy.config.header, &proxy.config.groups_header]);
        let of_proxy: Vec<&HeaderName> = of_proxy.flatten().collect();
        let allowed = HeaderValue::try_from(allowed_headers(request, &of_proxy));
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed.expect("names of headers are plain characters"));
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(ALLOWED_METHODS));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(PREFLIGHT_MAX_AGE));
        // Private Network Access: a page on a public address asks before it calls one on loopback.
        if request.get("access-control-request-private-network").is_some_and(|value| value == "true") {
            headers.insert("access-control-allow-private-network", HeaderValue::from_static("true"));
        }
    }
}

/// Judges a page where no other page than the server's own may ask, whatever the configuration allows elsewhere.
///
/// # Errors
///
/// 403 for any other page, and for a prefetch.
pub(crate) fn admit_own_page(
    headers: &HeaderMap,
    host: &str,
    connection: &ConnectionInfo,
) -> Result<(), Problem> {
    let own = admit(&[], headers, host, connection.is_tls);
    own.map_err(|_| Problem::access_denied(Rule::Origin, "only pages from this listener are allowed"))?;
    refuse_prefetch(headers)
}

/// Refuses what has not come from this machine itself: by its network, or through a proxy on it.
///
/// # Errors
///
/// 403.
pub(crate) fn admit_local(headers: &HeaderMap, connection: &ConnectionInfo) -> Result<(), Problem> {
    let is_forwarded = headers.keys().any(|name| is_of_proxy(name.as_str()));
    if connection.address().is_none_or(is_loopback_address) && !is_forwarded {
        return Ok(());
    }
    Err(Problem::access_denied(Rule::Origin, "only this machine itself may ask, and through no proxy"))
}

fn admit(origins: &[OriginPattern], headers: &HeaderMap, host: &str, is_tls: bool) -> Result<Cors, Problem> {
    let mut given = headers.get_all(ORIGIN).iter();
    let Some(header) = given.next() else {
        return admit_without_origin(origins, headers);
    };
    if given.next().is_some() {
        return Err(Problem::access_denied(Rule::Origin, "given twice"));
    }
    // Over TLS a page that came over plain http is not our own: somebody on its way may have written it.
    let is_own = |origin: &Origin| {
        (!is_tls || origin.is_https()) && PublicHost::parse(host).is_some_and(|host| origin.is_at(&host))
    };
    cors(origins, header, is_own).ok_or_else(refused)
}

/// Browsers leave `Origin` out of what a page embeds (images, scripts, `no-cors` fetches) and of links, but say where it
/// comes from. Programs send neither.
fn admit_without_origin(origins: &[OriginPattern], headers: &HeaderMap) -> Result<Cors, Problem> {
    match headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes) {
        _ if origins.contains(&OriginPattern::Any) => Ok(Cors::Any),
        None | Some(b"none" | b"same-origin") => Ok(Cors::None),
        Some(_) => Err(refused()),
    }
}

/// Returns the headers for a page of this origin; `None` if it may not ask.
fn cors(origins: &[OriginPattern], header: &HeaderValue, is_own: impl Fn(&Origin) -> bool) -> Option<Cors> {
    if origins.contains(&OriginPattern::Any) {
        return Some(Cors::Any);
    }
    // `null` is the origin of sandboxed frames and local files, so any page can have it. It parses as none.
    let origin = header.to_str().ok().and_then(Origin::parse)?;
    let is_listed = || origins.iter().any(|allowed| allowed.matches(&origin));
    (is_own(&origin) || is_listed()).then(|| Cors::Origin(header.clone()))
}

/// Refuses a browser's prefetch, for paths that request a token or hand one out. For a foreign page's speculation rules
/// Chromium sends one as if the user had typed the address: without an origin, and with `Sec-Fetch-Site: none`.
pub(crate) fn refuse_prefetch(headers: &HeaderMap) -> Result<(), Problem> {
    let is_prefetch = |value: &HeaderValue| {
        let value = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        ["prefetch", "prerender", "preview"].iter().any(|word| value.contains(word))
    };
    if headers.iter().any(|(name, value)| PURPOSE.contains(&name.as_str()) && is_prefetch(value)) {
        return Err(Problem::access_denied(
            Rule::Prefetch,
            "tokens must not be prefetched; request one when it is needed",
        ));
    }
    Ok(())
}

fn refused() -> Problem {
    Problem::access_denied(
        Rule::Origin,
        "web pages from this origin are not allowed; add it with --allow-origin or to cors.origins",
    )
}

impl Cors {
    /// Writes the headers of an answer. One that varies with more says so itself.
    pub(crate) fn apply(&self, headers: &mut HeaderMap) {
        headers.entry(VARY).or_insert(HeaderValue::from_static("Origin, Accept"));
        let allow = match self {
            Self::None => return,
            Self::Any => HeaderValue::from_static("*"),
            Self::Origin(origin) => origin.clone(),
        };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allow);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    }
}

/// No page names more. A head has room for 4,000 names, and comparing each with all others would take 30 ms of the server's time.
const MAX_NAMED_HEADERS: usize = 100;

fn allowed_headers(request: &HeaderMap, of_proxy: &[&HeaderName]) -> String {
    // In the answer `*` would be every header, and pages can give one that name.
    let is_refused = |name: &str| {
        // Some proxies and frameworks take `_` for `-`.
        let name = name.to_ascii_lowercase().replace('_', "-");
        name == "*" || is_of_proxy(&name) || of_proxy.iter().any(|own| own.as_str().replace('_', "-") == name)
    };
    let asked =
        request.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter().filter_map(|names| names.to_str().ok());
    let asked = asked
        .flat_map(|names| names.split(','))
        .map(str::trim)
        .filter(|name| HeaderName::try_from(*name).is_ok())
        .take(MAX_NAMED_HEADERS);
    let mut allowed: Vec<&str> = Vec::new();
    for name in ALLOWED_HEADERS.split(", ").chain(asked) {
        if !is_refused(name) && !allowed.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            allowed.push(name);
        }
    }
    allowed.join(", ")
}
