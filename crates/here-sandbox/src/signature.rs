//! Verifies an HMAC-SHA256 signature (RFC 5849 §3.4): request + header + secret → which form it was signed
//! in, or a mismatch. Pure.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::base_url::BaseUrl;
use crate::oauth::Authorization;
use crate::percent::{self, Pair};

/// The one signature method that is accepted.
pub(crate) const METHOD: &str = "HMAC-SHA256";

/// The parameter that HERE's JavaScript SDK adds to every URL.
const SENT_WITH: &str = "sentWith=";

/// How a request with an accepted signature was signed.
///
/// The forms differ only for a URL that has a query. HERE's C++ and JavaScript SDKs leave such a
/// query inside the base URL, where RFC 5849 moves it to the parameters; the JavaScript SDK's own
/// `sentWith` is a parameter in both. As these SDKs are in use as they are, their form is accepted, too.
/// [`Stats`](crate::Stats) tell which one was used, so that a test of a new signer can insist on the RFC's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SignatureForm {
    /// As RFC 5849 §3.4.1 says.
    Rfc5849,
    /// The query is left in the base URL as sent, except for a trailing `sentWith`.
    QueryInBaseUrl,
}

/// What a signature covers besides the `Authorization` header.
#[derive(Debug)]
pub(crate) struct SignedRequest<'a> {
    pub(crate) method: &'a str,
    pub(crate) base_url: &'a BaseUrl,
    /// As sent, still encoded.
    pub(crate) path: &'a str,
    /// As sent, still encoded.
    pub(crate) query: Option<&'a str>,
    pub(crate) query_fields: Vec<Pair>,
    /// The fields of a form body; none for a JSON body, which is not signed.
    pub(crate) form: &'a [Pair],
}

/// Compares in constant time. Where the signature is not the one that the secret makes, returns the base string that it should
/// be over, which holds no secret.
pub(crate) fn verify(
    request: &SignedRequest<'_>,
    header: &Authorization,
    secret: &str,
) -> Result<SignatureForm, String> {
    let base_string = base_string(request, header);
    let key = hmac::Key::new(hmac::HMAC_SHA256, format!("{}&", percent::encode(secret)).as_bytes());
    let signature = STANDARD.decode(&header.signature).unwrap_or_default();
    let signs = |text: &str| hmac::verify(&key, text.as_bytes(), &signature).is_ok();
    if signs(&base_string) {
        return Ok(SignatureForm::Rfc5849);
    }
    if query_in_base_url(request, header).iter().any(|text| signs(text)) {
        return Ok(SignatureForm::QueryInBaseUrl);
    }
    Err(base_string)
}

/// The signature base string of RFC 5849 §3.4.1.1.
fn base_string(request: &SignedRequest<'_>, header: &Authorization) -> String {
    let sent = request.query_fields.iter().chain(request.form);
    let parameters = sent.map(|(name, value)| (percent::encode(name), percent::encode(value)));
    let base_url = format!("{}{}", request.base_url, request.path);
    join(request.method, &base_url, &normalize(parameters.chain(header_parameters(header))))
}

/// The base strings that the C++ and the JavaScript SDK make for a URL with a query. Neither sends a form
/// body.
fn query_in_base_url(request: &SignedRequest<'_>, header: &Authorization) -> Vec<String> {
    let Some(query) = request.query.filter(|_| request.form.is_empty()) else {
        return Vec::new();
    };
    let parameters = normalize(header_parameters(header));
    let base_url = format!("{}{}?", request.base_url, request.path);
    let mut forms = vec![join(request.method, &format!("{base_url}{query}"), &parameters)];
    if let Some((own, sent_with)) = query.rsplit_once('&').filter(|(_, last)| last.starts_with(SENT_WITH)) {
        forms.push(join(request.method, &format!("{base_url}{own}"), &format!("{parameters}&{sent_with}")));
    }
    forms
}

fn header_parameters(header: &Authorization) -> impl Iterator<Item = (String, String)> {
    header.signed.iter().map(|(name, value)| (percent::encode(name), percent::encode(value)))
}

/// RFC 5849 §3.4.1.3.2: sorted by encoded name, then by encoded value, in byte order.
fn normalize(parameters: impl Iterator<Item = (String, String)>) -> String {
    let mut sorted: Vec<_> = parameters.collect();
    sorted.sort_unstable();
    let joined: Vec<_> = sorted.iter().map(|(name, value)| format!("{name}={value}")).collect();
    joined.join("&")
}

fn join(method: &str, base_url: &str, parameters: &str) -> String {
    format!(
        "{}&{}&{}",
        percent::encode(method.to_ascii_uppercase()),
        percent::encode(base_url),
        percent::encode(parameters)
    )
}

#[cfg(test)]
mod tests;
