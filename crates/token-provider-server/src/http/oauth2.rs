//! `POST /oauth2/token`: the client credentials grant (RFC 6749 §4.4), so that any OAuth 2.0 library gets HERE tokens
//! without knowing HERE's signature, and the same for HERE's own SDKs (`here.rs`); the metadata by which a library finds its way
//! (RFC 8414); and `POST /oauth2/revoke`: a caller reports that a service refused its token, in the form of RFC 7009.

use std::borrow::Cow;
use std::pin::pin;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Body;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, PRAGMA};
use hyper::http::uri::PathAndQuery;
use hyper::{HeaderMap, StatusCode};
use serde_json::json;
use token_provider::{Clock as _, SystemClock};
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::answer::{self, Answer, JSON, NO_CACHE, NO_STORE, TEXT};
use super::here;
use super::parameters::{Given, Value, has_content_type, is_credential, parameters};
use super::request::{Call, RequestInfo, Route};
use super::token::{self, HERE_FORM, HERE_JSON, STANDARD, Served};
use crate::access::{Caller, Client, Nonce, Rules, Signature, SignedRequest, X_API_KEY, is_signed};
use crate::problem::{Problem, Subject};
use crate::reason::{Method, Outcome, Rule};
use crate::telemetry::audit::Event;

const FORM: &str = "application/x-www-form-urlencoded";
/// A token request has some hundred bytes.
const MAX_BODY: usize = 16 * 1024;
/// The body of a request must be there in this time.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// So many bodies are waited for at once, of callers whom the head of their request does not name: in all, and from one
/// address.
pub(super) const MAX_BODIES: usize = 256;
pub(super) const MAX_BODIES_EACH: usize = 32;

/// The fields of a token request (RFC 6749 §4.4.2, and `expires_in` and `profile` as extensions); and their names in HERE's JSON.
const IN_FORM: [&str; 6] = ["grant_type", "expires_in", "scope", "profile", "client_id", "client_secret"];
const IN_JSON: [&str; 6] = ["grantType", "expiresIn", "scope", "profile", "clientId", "clientSecret"];

/// What a body says: a client; and what is wanted, or why nobody can have that.
type Said<T> = (Option<Client<'static>>, Result<T, Problem>);

/// Answers `POST /oauth2/token`, in the spelling of the request.
pub(super) async fn post(
    call: Call<'_>,
    headers: HeaderMap,
    body: impl Body<Data = Bytes>,
) -> Result<Served, Problem> {
    let (is_here, is_form) = (call.info.is_here(), has_content_type(&headers, FORM));
    admit_head(call.info, &headers, is_form)?;
    let client = client_of(&headers)?;
    let (names @ [_, lifetime_name, ..], spelling) = match (is_here, is_form) {
        (false, _) => (IN_FORM, STANDARD),
        (true, true) => (IN_FORM, HERE_FORM),
        (true, false) => (IN_JSON, HERE_JSON),
    };
    let parse = |body: &[u8]| parse(body, names, is_form, is_here);
    let (caller, nonce, wanted) = authenticate(call, client, headers, body, parse).await?;
    let (mut answer, done) = token::hand_out(call, &caller, lifetime_name, wanted, Some(spelling)).await?;
    if let Some(nonce) = nonce {
        nonce.note();
    }
    // RFC 6749 §5.1 wants both, for caches of the last century.
    answer.headers_mut().insert(PRAGMA, HeaderValue::from_static("no-cache"));
    Ok((answer, done))
}

/// Answers `POST /oauth2/revoke`: a service refused a token. The answer is the same whether that is held or not.
pub(super) async fn revoke(
    call: Call<'_>,
    headers: HeaderMap,
    body: impl Body<Data = Bytes>,
) -> Result<Served, Problem> {
    admit_head(call.info, &headers, has_content_type(&headers, FORM))?;
    let shown = call.rules.identify(&headers, call.info.connection).await;
    let client = match (shown, client_of(&headers)) {
        (shown @ Ok(Some(_)), _) | (shown, Ok(Client::Unnamed)) | (shown @ Err(_), Err(_)) => {
            Client::Shown(shown)
        }
        // Neither `Basic` nor signed.
        (shown, Err(problem)) if problem.status == StatusCode::UNAUTHORIZED => Client::Shown(shown),
        (_, client) => client?,
    };
    let is_signed = matches!(client, Client::Signed(_));
    let parse = |body: &[u8]| parse_report(body, is_signed);
    let (caller, nonce, token) = authenticate(call, client, headers, body, parse).await?;
    let token = token.map_err(|problem| problem.with_subject(caller.subject()))?;
    let (profile, reported) = call.access.handout().report(&caller, &token);
    if let Some(nonce) = nonce {
        nonce.note();
    }
    let (time, subject) = (SystemClock.now().wall, Subject { profile: Some(profile), ..caller.subject() });
    let (outcome, reason) = (Outcome::Reported, Some(reported.as_str()));
    let done = Some(Box::new(Event { time, outcome, reason, subject, ..Event::default() }));
    Ok((answer::answer(TEXT, NO_STORE, ""), done))
}

/// Finds out who has sent a request, by its head and its body, and what the body says. Whom the head names is judged before the body
/// is waited for; of all others few bodies are on their way at once.
async fn authenticate<'r, T>(
    call: Call<'r>,
    client: Client<'r>,
    headers: HeaderMap,
    body: impl Body<Data = Bytes>,
    parse: impl FnOnce(&[u8]) -> Result<Said<T>, Problem>,
) -> Result<(Caller<'r>, Option<Nonce>, Result<T, Problem>), Problem> {
    let Call { rules, info, host, .. } = call;
    let connection = info.connection;
    let (address, is_form) = (rules.address(&headers, connection), has_content_type(&headers, FORM));
    let missing = rules.missing_header(&headers, connection);
    // A body may take ten seconds, in which a head of a hundred fields would keep some 40 KiB.
    drop(headers);
    let target = info.head.uri.path_and_query().map_or("", PathAndQuery::as_str);
    let judge = |client, form: &[u8]| {
        let request = SignedRequest { host, target, form };
        rules.authenticate_client(client, &request, address, missing, connection)
    };
    let (needs_body, is_named) = match &client {
        Client::Unnamed => (!info.is_here() && !matches!(rules.certified(connection), Some(Ok(_))), false),
        Client::Shown(Ok(None)) => (true, false),
        Client::Shown(Ok(Some(caller))) => (false, caller.subject().method != Some(Method::Mtls)),
        // The body may name a client that is let in.
        Client::Shown(Err(problem)) => (problem.rule == Some(Rule::Rules), false),
        Client::Secret { .. } => (false, true),
        // Only a form is covered by a signature.
        Client::Signed(signature) => (is_form && rules.needs_form(signature), false),
    };
    let is_here = info.is_here() || matches!(client, Client::Signed(_));
    let (judged, unjudged) =
        if needs_body { (None, Some(client)) } else { (Some(judge(client, b"")?), None) };
    let unknown = Subject { address, ..Subject::default() };
    let subject = judged.as_ref().map_or(unknown, |(caller, _)| caller.subject());
    let noted = |problem: Problem| problem.with_subject(subject.clone());
    let take = || call.bodies.take(address).ok_or_else(|| noted(Problem::too_many_bodies()));
    let share = if subject.caller.is_some() { None } else { Some(take()?) };
    let body = read(body).await.map_err(noted)?;
    drop(share);
    let (client, said) = match parse(&body) {
        // Told when the signature was judged, so that the audit trail has the caller, or the address is charged.
        Err(problem) if is_here => (None, Err(problem)),
        said => said.map_err(noted)?,
    };
    let judged = match client.or(unjudged) {
        None => Ok(judged.expect("without a client that is yet to be judged, the head's was")),
        // RFC 6749 §2.3: no more than one way at once.
        Some(_) if is_named => {
            Err(Problem::invalid_request("the client authenticates in two ways; use only one"))
        }
        Some(client) => judge(client, &body),
    };
    let (caller, nonce) = judged.map_err(noted)?;
    Ok((caller, nonce, said))
}

/// Refuses what nothing good can follow: another kind of body, or a credential that is not for this path. Who sends one must not be
/// let in as anonymous.
fn admit_head(info: &RequestInfo<'_>, headers: &HeaderMap, is_form: bool) -> Result<(), Problem> {
    let query = info.head.uri.query().unwrap_or_default();
    let mut names = form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name);
    // For tokens, an API key in a header of its own is for `/getToken`; for signatures see RFC 5849 §3.5.3.
    let has_key =
        headers.contains_key(X_API_KEY) && (info.route == Some(Route::OAuth2) || is_signed(headers));
    if has_key || names.clone().any(|name| name.starts_with("oauth_")) {
        return Err(Problem::unsupported_client_authentication());
    }
    if !(is_form || info.is_here() && has_content_type(headers, JSON)) {
        let number = if headers.contains_key(CONTENT_TYPE) { 400_004 } else { 400_003 };
        let json = if info.is_here() { "application/json or " } else { "" };
        let problem = format!("Content-Type: expected {json}{FORM}");
        return Err(Problem::invalid_request(problem).with_number(number));
    }
    // A signature does not tell the two apart, and a signed form could be sent as a query, with another body.
    let is_field = |name: &Cow<'_, str>| matches!(&**name, "grant_type" | "scope" | "expires_in");
    match names.find(is_field).filter(|_| info.is_here()) {
        Some(name) => Err(Problem::invalid_request(format!("{name}: expected in the body"))),
        None => Ok(()),
    }
}

/// Answers `GET /.well-known/oauth-authorization-server` (RFC 8414 §2).
pub(super) fn metadata(rules: &Rules, issuer: &str) -> Answer {
    let metadata = json!({
        "issuer": issuer,
        "token_endpoint": format!("{issuer}/oauth2/token"),
        "grant_types_supported": ["client_credentials"],
        // Required, and empty: there is no authorization endpoint.
        "response_types_supported": [],
        // There even where it is empty: left out, it would mean client_secret_basic.
        "token_endpoint_auth_methods_supported": rules.client_auth_methods(),
    });
    answer::json(NO_CACHE, &metadata)
}

/// Reads a body into one piece: however small the frames that it comes in, it takes no more room than it may have.
async fn read(body: impl Body<Data = Bytes>) -> Result<Zeroizing<Vec<u8>>, Problem> {
    let broken = || Problem::invalid_request("the request body is incomplete");
    let mut body = pin!(body);
    let read = async {
        // All at once, so that growing leaves no copy of a secret behind.
        let mut whole = Zeroizing::new(Vec::with_capacity(MAX_BODY));
        while let Some(frame) = body.frame().await {
            // Trailers say nothing here.
            let Ok(data) = frame.map_err(|_| broken())?.into_data() else { continue };
            if data.len() > MAX_BODY - whole.len() {
                let description = "the body is larger than 16 KiB";
                return Err(Problem::too_large(StatusCode::PAYLOAD_TOO_LARGE, description));
            }
            whole.extend_from_slice(&data);
        }
        Ok(whole)
    };
    tokio::time::timeout(BODY_TIMEOUT, read).await.unwrap_or_else(|_elapsed| Err(broken()))
}

/// Reads what the body of a token request says.
fn parse(
    body: &[u8],
    names: [&str; 6],
    is_form: bool,
    is_here: bool,
) -> Result<Said<[Option<Value>; 3]>, Problem> {
    let fields: Box<dyn Iterator<Item = Given<'_>> + '_> =
        if is_form { Box::new(form_urlencoded::parse(body)) } else { here::fields(body)? };
    let mut has_more = false;
    let fields = fields
        .inspect(|(name, _)| has_more |= matches!(&**name, "token_format" | "tokenFormat" | "resource"));
    let [grant_type, lifetime, scope, profile, id, secret] = values(fields, names, is_here)?;
    let scope = scope.filter(|scope| !scope.is_empty());
    let wanted = admit_grant_type(names[0], grant_type.as_deref()).and_then(|()| {
        if is_here { here::wanted(lifetime, scope, has_more) } else { Ok([lifetime, profile, scope]) }
    });
    Ok((secret_of(id, secret)?, wanted))
}

/// Reads what the body of a report says. One that is signed has no other credential.
fn parse_report(body: &[u8], is_signed: bool) -> Result<Said<Value>, Problem> {
    let names = ["token", "client_id", "client_secret"];
    let [token, id, secret] = values(form_urlencoded::parse(body), names, is_signed)?;
    let token = token.filter(|token| !token.is_empty());
    let missing = || Problem::invalid_request("token: missing; expected the token that a service refused");
    Ok((secret_of(id, secret)?, token.ok_or_else(missing)))
}

/// Reads the fields of a body, one after the other: there may be 8,192, and any may be a secret. None may be for a way to
/// authenticate that there is not.
fn values<'a, const N: usize>(
    fields: impl Iterator<Item = Given<'a>>,
    names: [&str; N],
    is_here: bool,
) -> Result<[Option<Value>; N], Problem> {
    let mut has_credential = false;
    let values =
        parameters(fields.inspect(|(name, _)| has_credential |= is_credential(name, is_here)), names);
    if has_credential { Err(Problem::unsupported_client_authentication()) } else { values }
}

fn secret_of(id: Option<Value>, secret: Option<Value>) -> Result<Option<Client<'static>>, Problem> {
    let missing = || Problem::invalid_request("client_id: required with client_secret");
    let with_id = |secret| id.ok_or_else(missing).map(|id| Client::Secret { id, secret });
    secret.map(with_id).transpose()
}

fn admit_grant_type(name: &str, grant_type: Option<&String>) -> Result<(), Problem> {
    match grant_type.map(String::as_str) {
        Some("client_credentials") => Ok(()),
        Some(_) => Err(Problem::unsupported_grant_type(format!("{name}: expected client_credentials"))),
        None => {
            let problem = format!("{name}: missing; expected client_credentials");
            Err(Problem::invalid_request(problem).with_number(400_201))
        }
    }
}

/// Reads the client that the head names: by a signature, or by id and secret (RFC 7617), both in form encoding (RFC 6749 §2.3.1).
fn client_of(headers: &HeaderMap) -> Result<Client<'static>, Problem> {
    if let Some(signature) = Signature::of(headers) {
        return Ok(Client::Signed(signature));
    }
    let Some(value) = headers.get(AUTHORIZATION) else { return Ok(Client::Unnamed) };
    let malformed = || Problem::invalid_request("Authorization: expected Basic with a client id and secret");
    let (scheme, encoded) =
        value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or_else(malformed)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(Problem::unsupported_client_authentication());
    }
    let decoded = Zeroizing::new(BASE64.decode(encoded.trim()).map_err(|_| malformed())?);
    let text = std::str::from_utf8(&decoded).map_err(|_| malformed())?;
    let (id, secret) = text.split_once(':').ok_or_else(malformed)?;
    Ok(Client::Secret { id: form_decoded(id), secret: form_decoded(secret) })
}

/// Decodes one value, in which `&` and `=` mean nothing.
fn form_decoded(text: &str) -> Value {
    let spaces = Zeroizing::new(text.replace('+', " "));
    Zeroizing::new(percent_encoding::percent_decode_str(&spaces).decode_utf8_lossy().into_owned())
}
