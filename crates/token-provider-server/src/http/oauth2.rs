//! `POST /oauth2/token`: the client credentials grant (RFC 6749 §4.4), so that any OAuth 2.0 library gets HERE tokens
//! without knowing HERE's signature; and the metadata by which it finds its way (RFC 8414).

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::HeaderMap;
use hyper::body::Body;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, PRAGMA};
use serde_json::json;
use zeroize::Zeroizing;

use super::answer::{self, Answer, NO_CACHE};
use super::parameters::{Value, has_signature, parameters};
use super::token::{self, HandedOut, STANDARD, Served, Spelling};
use crate::access::api_key::ClientSecret;
use crate::access::{Access, Caller, ConnectionInfo, Rules, Share, Shares};
use crate::problem::{Problem, Subject};

pub(super) const FORM: &str = "application/x-www-form-urlencoded";
/// A token request has some hundred bytes.
const MAX_BODY: usize = 16 * 1024;
/// The body of a request must be there in this time.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// So many bodies are waited for at once, of callers whom the head of their request does not name: in all, and from one
/// address.
const MAX_BODIES: usize = 256;
const MAX_BODIES_EACH: usize = 32;

/// The fields of the form (RFC 6749 §4.4.2).
struct Form {
    grant_type: Option<Value>,
    client: Option<ClientSecret>,
    scope: Option<Value>,
    /// Extension: the lifetime, as HERE's own endpoint takes it.
    expires_in: Option<Value>,
    /// Extension: the profile.
    profile: Option<Value>,
}

/// Returns the shares of the bodies that are waited for. Loopback is limited, too: everybody on the machine is there.
pub(super) fn bodies() -> Arc<Shares> {
    Arc::new(Shares::new(MAX_BODIES, MAX_BODIES_EACH, true))
}

/// Takes a share for a body from this address.
pub(super) fn share(bodies: &Arc<Shares>, address: Option<IpAddr>) -> Result<Share, Problem> {
    bodies.take(address).ok_or_else(|| Problem::too_many_bodies().with_address(address))
}

/// Answers `POST /oauth2/token`.
pub(super) async fn post(
    access: &Access,
    bodies: &Arc<Shares>,
    rules: &Rules,
    headers: HeaderMap,
    body: impl Body<Data = Bytes>,
    connection: &ConnectionInfo,
) -> Result<Served, Problem> {
    if !has_content_type(&headers, FORM) {
        return Err(Problem::invalid_request(format!("Content-Type: expected {FORM}")));
    }
    let client = client_of(&headers)?;
    let address = rules.address(&headers, connection);
    // A body may take ten seconds, in which a head of a hundred fields would keep some 40 KiB.
    drop(headers);
    // Whom the head names is judged before the body is waited for; of all others few bodies are on their way at once.
    let (known, share) = if client.is_some() || rules.certified(connection).is_some() {
        (Some(rules.authenticate_client(client.as_ref(), address, connection)?), None)
    } else {
        (None, Some(share(bodies, address)?))
    };
    let unknown = Subject { address, ..Subject::default() };
    let subject = known.as_ref().map_or(unknown, Caller::subject);
    let form = read(body).await.and_then(|body| Form::parse(&body, client.is_some()));
    drop(share);
    let form = form.map_err(|problem| problem.with_subject(subject.clone()))?;
    let caller = match (known, &form.client) {
        (Some(caller), None) => caller,
        (_, client) => rules
            .authenticate_client(client.as_ref(), address, connection)
            .map_err(|problem| problem.with_subject(subject))?,
    };
    form.admit_grant_type().map_err(|problem| problem.with_subject(caller.subject()))?;
    let (lifetime, names) = (("expires_in", form.expires_in), [form.profile, form.scope]);
    let handed_out = token::hand_out(access, rules, &caller, lifetime, names).await?;
    Ok(into_grant(handed_out, STANDARD))
}

/// Makes the answer of an OAuth 2.0 endpoint.
pub(super) fn into_grant(handed_out: HandedOut, spelling: Spelling) -> Served {
    let mut served = handed_out.into_answer(Some(spelling));
    // RFC 6749 §5.1 wants both, for caches of the last century.
    served.answer.headers_mut().insert(PRAGMA, HeaderValue::from_static("no-cache"));
    served
}

/// Returns whether the body is of this type, whatever its parameters.
pub(super) fn has_content_type(headers: &HeaderMap, expected: &str) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split_once(';').map_or(content_type, |(essence, _)| essence);
    essence.trim().eq_ignore_ascii_case(expected)
}

/// Answers `GET /.well-known/oauth-authorization-server` (RFC 8414 §2).
pub(super) fn metadata(rules: &Rules, issuer: &str) -> Answer {
    let metadata = json!({
        "issuer": issuer,
        "token_endpoint": format!("{issuer}/oauth2/token"),
        "grant_types_supported": ["client_credentials"],
        // Required, and empty: there is no authorization endpoint.
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": rules.client_auth_methods(),
    });
    answer::json(NO_CACHE, &metadata)
}

/// Reads a body into one piece: however small the frames that it comes in, it takes no more room than it may have.
pub(super) async fn read(body: impl Body<Data = Bytes>) -> Result<Zeroizing<Vec<u8>>, Problem> {
    let broken = || Problem::invalid_request("the request body is incomplete");
    let mut body = pin!(body);
    let read = async {
        // All at once, so that growing leaves no copy of a secret behind.
        let mut whole = Zeroizing::new(Vec::with_capacity(MAX_BODY));
        while let Some(frame) = body.frame().await {
            // Trailers say nothing here.
            let Ok(data) = frame.map_err(|_| broken())?.into_data() else { continue };
            if data.len() > MAX_BODY - whole.len() {
                return Err(Problem::content_too_large());
            }
            whole.extend_from_slice(&data);
        }
        Ok(whole)
    };
    tokio::time::timeout(BODY_TIMEOUT, read).await.unwrap_or_else(|_elapsed| Err(broken()))
}

impl Form {
    fn parse(body: &[u8], has_client: bool) -> Result<Self, Problem> {
        let [grant_type, id, secret, scope, expires_in, profile, assertion, assertion_type] = parameters(
            body,
            [
                "grant_type",
                "client_id",
                "client_secret",
                "scope",
                "expires_in",
                "profile",
                "client_assertion",
                "client_assertion_type",
            ],
        )?;
        // A client that sends a JWT instead of a secret (RFC 7523 §2.2), or a signature, means to authenticate: it must not be
        // let in as anonymous.
        if assertion.or(assertion_type).is_some() || has_signature(body) {
            return Err(Problem::unsupported_client_authentication());
        }
        let client = match (secret, id) {
            (None, _) => None,
            // RFC 6749 §2.3: no more than one way at once.
            (Some(_), _) if has_client => {
                let problem = "the client authenticates in two ways; use only one";
                return Err(Problem::invalid_request(problem));
            }
            (Some(_), None) => {
                return Err(Problem::invalid_request("client_id: required with client_secret"));
            }
            (Some(secret), Some(id)) => Some(ClientSecret { id, secret }),
        };
        let scope = scope.filter(|scope| !scope.is_empty());
        Ok(Self { grant_type, client, scope, expires_in, profile })
    }

    fn admit_grant_type(&self) -> Result<(), Problem> {
        match self.grant_type.as_deref().map(String::as_str) {
            Some("client_credentials") => Ok(()),
            Some(_) => Err(Problem::unsupported_grant_type("grant_type: expected client_credentials")),
            None => Err(Problem::invalid_request("grant_type: missing; expected client_credentials")),
        }
    }
}

/// Reads the client that the head names (RFC 7617), with both halves in form encoding (RFC 6749 §2.3.1).
fn client_of(headers: &HeaderMap) -> Result<Option<ClientSecret>, Problem> {
    let Some(value) = headers.get(AUTHORIZATION) else { return Ok(None) };
    let malformed = || Problem::invalid_request("Authorization: expected Basic with a client id and secret");
    let (scheme, encoded) =
        value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or_else(malformed)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(Problem::unsupported_client_authentication());
    }
    let decoded = Zeroizing::new(BASE64.decode(encoded.trim()).map_err(|_| malformed())?);
    let text = std::str::from_utf8(&decoded).map_err(|_| malformed())?;
    let (id, secret) = text.split_once(':').ok_or_else(malformed)?;
    Ok(Some(ClientSecret { id: form_decoded(id), secret: form_decoded(secret) }))
}

/// Decodes one value, in which `&` and `=` mean nothing.
fn form_decoded(text: &str) -> Value {
    let spaces = Zeroizing::new(text.replace('+', " "));
    Zeroizing::new(percent_encoding::percent_decode_str(&spaces).decode_utf8_lossy().into_owned())
}
