//! Names of headers that the configuration gives a meaning.

use hyper::header::HeaderName;

/// Headers that hold a secret or belong to the connection: the caller's name, which is logged, is in none of them.
const NO_CALLER_IN: &str = "authorization cookie host origin proxy-authorization x-api-key";
/// Headers that programs send by themselves, proxies write, or this server reads: to require one would say nothing, or something else.
const NOT_REQUIRED: &str = "accept* b3 baggage cache-control connection content-* date dnt forwarded from if-* keep-alive \
                            pragma priority proxy-* purpose range referer save-data sec-* te traceparent tracestate \
                            transfer-encoding upgrade* user-agent via x-b3-* x-correlation-id x-forwarded-* x-moz \
                            x-purpose x-real-ip x-request-id x-requested-with";

/// Reads the name of a header in which a proxy names the caller.
pub(crate) fn callers_header(text: &str) -> Result<HeaderName, &'static str> {
    let expected = "expected the name of a header that only the proxy sets, such as \"X-Forwarded-User\"";
    name_other_than(NO_CALLER_IN, text).ok_or(expected)
}

/// Reads the name of a header that callers without a credential have to send.
pub(crate) fn required_header(text: &str) -> Result<HeaderName, &'static str> {
    let expected = "expected the name of a header that has no other meaning, such as \"X-Token-Provider\"";
    name_other_than(NO_CALLER_IN, text).and_then(|_| name_other_than(NOT_REQUIRED, text)).ok_or(expected)
}

/// Reads the name of a header that is none of these, some of which are the beginning of several.
fn name_other_than(names: &str, text: &str) -> Option<HeaderName> {
    let header = HeaderName::try_from(text).ok()?;
    let is = |name: &str| match name.strip_suffix('*') {
        Some(start) => header.as_str().starts_with(start),
        None => header == name,
    };
    (!names.split_whitespace().any(is)).then_some(header)
}
