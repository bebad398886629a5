//! What HERE's error numbers mean for whoever has to act.
//!
//! From HERE's description of its API ("OAuth 2.0 Access Token", 1.2.0), its page of error messages, and the tests of its Java SDK.
//! docs/troubleshooting.md explains each number; a test compares the two.

use crate::error::{TokenError, TokenErrorKind};

/// What messages call a credential, and the place that it is from.
#[derive(Clone, Copy)]
pub(in crate::issuer) struct Named<'a> {
    pub(in crate::issuer) place: &'a str,
    pub(in crate::issuer) parts: &'static Parts,
}

/// What messages call the parts of a kind of credential.
pub(in crate::issuer) struct Parts {
    credential: &'static str,
    id: &'static str,
    all: &'static str,
    /// What they must have in common.
    together: &'static str,
}

pub(in crate::issuer) const ACCESS_KEY: Parts = Parts {
    credential: "access key",
    id: "here.access.key.id",
    all: "here.access.key.id and here.access.key.secret",
    together: "both must belong to the same key",
};

pub(in crate::issuer) const PRIVATE_KEY: Parts = Parts {
    credential: "private key",
    id: "here.client.id",
    all: "here.client.id, here.private.key and here.key.id",
    together: "all must belong to the same app",
};

/// Makes the error for a refusal by HERE.
pub(super) fn refusal(status: u16, code: Option<u32>, named: Named<'_>) -> TokenError {
    let kind = match code {
        Some(401_204 | 401_933) => TokenErrorKind::ClockSkew,
        // Worth repeating, with the new nonce or `jti` that every attempt has.
        Some(401_207 | 401_934) => TokenErrorKind::Unavailable { status },
        Some(429_002 | 429_003) => TokenErrorKind::Throttled,
        _ => TokenErrorKind::Rejected { status, code },
    };
    let number = code.map_or_else(|| format!("status {status}"), |code| code.to_string());
    let message = code.and_then(|code| message(code, &number, named));
    TokenError::new(kind, message.unwrap_or_else(|| message_by_status(status, &number, named)))
}

/// For a number that HERE does not document, or none.
fn message_by_status(status: u16, number: &str, Named { place, parts }: Named<'_>) -> String {
    let Parts { credential, all, .. } = parts;
    if matches!(status, 401 | 403) {
        return format!("HERE refused the {credential} ({number}): check {all} in {place}");
    }
    format!("HERE refused the request ({number}): check here.token.endpoint.url and the scope")
}

/// Says what was refused, and what to do about it.
pub(super) fn message(code: u32, number: &str, named: Named<'_>) -> Option<String> {
    about_the_way(code, number)
        .or_else(|| about_the_credential(code, number, named))
        .or_else(|| about_the_app(code, number, named.place, named.parts.id))
        .or_else(|| about_the_scope(code, number))
}

fn about_the_way(code: u32, number: &str) -> Option<String> {
    let message = match code {
        401_204 | 401_933 => {
            format!("HERE refused the timestamp ({number}): set this machine's clock, preferably with NTP")
        }
        401_207 | 401_934 => {
            format!("HERE has seen this request before ({number}): something in between sends requests twice")
        }
        429_002 | 429_003 => TOO_MANY.to_owned(),
        400_002..=400_004 => format!(
            "HERE could not read the request ({number}): something in between, most likely a proxy, changes it"
        ),
        401_200..=401_206 => format!(
            "HERE could not read the signature ({number}): something in between, most likely a proxy, \
             changes the Authorization header"
        ),
        400_300 | 400_600 | 400_601 | 401_303 | 401_701 => format!(
            "HERE found an access token instead of a signature ({number}): something in between, most \
             likely a proxy, replaces the Authorization header"
        ),
        404_000 | 409_100 | 409_400 | 412_001..=412_003 => format!(
            "HERE took the request for one about a user ({number}): check here.token.endpoint.url, which \
             must end in /oauth2/token"
        ),
        _ => return None,
    };
    Some(message)
}

fn about_the_credential(code: u32, number: &str, Named { place, parts }: Named<'_>) -> Option<String> {
    let Parts { credential, id, all, together } = parts;
    let message = match code {
        401_300 => {
            format!("HERE refused the {credential} ({number}): check {all} in {place}; {together}")
        }
        401_310 => format!(
            "HERE refused the access key id ({number}): here.access.key.id in {place} holds the client id; \
             put the access key id there"
        ),
        401_424 => format!(
            "HERE refused the access key ({number}): it is disabled; enable it in the HERE portal, or put \
             another one into {place}"
        ),
        401_600 => format!(
            "HERE does not know this {credential} ({number}): check {id} in {place}; the key may have been \
             deleted"
        ),
        401_932 => format!(
            "HERE refused the audience of the client assertion ({number}): here.token.endpoint.url in {place} \
             must be the URL of HERE's token endpoint, letter for letter"
        ),
        401_952 => format!(
            "HERE refused the signature of the client assertion ({number}): here.private.key in {place} does \
             not belong to the public key that is registered as here.key.id"
        ),
        401_953 => format!(
            "HERE does not know the key of the client assertion ({number}): register the public key with the \
             app, and check here.key.id in {place}"
        ),
        401_930..=401_959 => {
            format!("HERE refused the client assertion ({number}): check {} in {place}", PRIVATE_KEY.all)
        }
        _ => return None,
    };
    Some(message)
}

fn about_the_app(code: u32, number: &str, place: &str, id: &str) -> Option<String> {
    let message = match code {
        401_311 => {
            format!("HERE refused the app ({number}): it is not active; activate it in the HERE portal")
        }
        404_660 => format!(
            "HERE knows no app with this id ({number}): check {id} in {place}; the app may have been deleted"
        ),
        401_500 | 401_510 => format!(
            "HERE refused the account ({number}): it has expired or is not enabled; check it in the HERE portal"
        ),
        401_302 => format!(
            "HERE does not let this app use the endpoint ({number}): check the app's permissions in the \
             HERE portal, and here.token.endpoint.url"
        ),
        403_109 => format!(
            "HERE refused the project ({number}): the app is not a member of it; add the app to the project \
             in the HERE portal, or check the scope"
        ),
        _ => return None,
    };
    Some(message)
}

fn about_the_scope(code: u32, number: &str) -> Option<String> {
    let (what, remedy) = match code {
        400_208 | 400_209 | 400_216 | 400_218 => ("the lifetime", "request one of 60 to 86400 s"),
        400_255 => ("the realm", "check the HRN in the scope"),
        400_290 => {
            ("the grant type", "check here.token.endpoint.url, and whether this program has a newer version")
        }
        400_907 => ("the scope", "it lacks openid; request the HRN of a project, which needs none"),
        400_909 => ("the scope", "it has a character that is not allowed; copy the project's HRN again"),
        400_917 => ("the size of the request", "check the length of the scope"),
        400_927 => ("the scope", "check the project's HRN, and which scope the app is restricted to"),
        400_981 => ("the scope", "a token can have only one project; request a single HRN"),
        400_200..=400_299 => ("the scope or the lifetime", "check both"),
        _ => return None,
    };
    Some(format!("HERE refused {what} ({number}): {remedy}"))
}

/// For 429, with or without a number.
pub(super) const TOO_MANY: &str = "HERE returned 429 (too many requests); use fewer scopes and lifetimes, or fewer token \
                                   providers per app";
