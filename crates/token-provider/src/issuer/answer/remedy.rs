//! What HERE's error numbers mean for the person who has to act. docs/troubleshooting.md explains each; a test compares the two.

use crate::credential::Credential;
use crate::error::{TokenError, TokenErrorKind};

/// Lines of numbers, what HERE did, and what to do about it.
const REMEDIES: &str = include_str!("remedies.txt");

/// What messages call the parts of an access key, by the names in the lines of [`REMEDIES`].
const ACCESS_KEY: [(&str, &str); 6] = [
    ("{credential}", "access key"),
    ("{id}", "here.access.key.id"),
    ("{all}", "here.access.key.id and here.access.key.secret"),
    ("{together}", "both must belong to the same key"),
    ("{changes}", "changes the Authorization header"),
    ("{replaces}", "replaces the Authorization header"),
];

const PRIVATE_KEY: [(&str, &str); 6] = [
    ("{credential}", "private key"),
    ("{id}", "here.client.id"),
    ("{all}", "here.client.id, here.private.key and here.key.id"),
    ("{together}", "all must belong to the same app"),
    ("{changes}", "changes the body of the request"),
    // None is sent.
    ("{replaces}", "adds an Authorization header"),
];

/// Makes the error for a refusal by HERE.
pub(super) fn refusal(status: u16, code: Option<u32>, credential: &Credential) -> TokenError {
    let kind = match code {
        Some(401_204 | 401_933) => TokenErrorKind::ClockSkew,
        // Worth repeating, with the new nonce or `jti` that every attempt has.
        Some(401_207 | 401_934) => TokenErrorKind::Unavailable { status },
        _ => TokenErrorKind::Rejected { status, code },
    };
    let number = code.map_or_else(|| format!("status {status}"), |code| code.to_string());
    // A number that HERE does not document, or none.
    let (what, remedy) = code.and_then(remedy).unwrap_or(match status {
        401 | 403 => ("refused the {credential}", "check {all} in {place}"),
        _ => ("refused the request", "check here.token.endpoint.url and the scope"),
    });
    let parts = if credential.private_key().is_some() { PRIVATE_KEY } else { ACCESS_KEY };
    let text = format!("HERE {what} ({number}): {remedy}");
    let text = parts.iter().fold(text, |text, (name, part)| text.replace(name, part));
    // The place last: a path may hold anything.
    TokenError::new(kind, text.replace("{place}", &credential.place))
}

/// Returns what HERE refused, and what to do about it.
pub(super) fn remedy(code: u32) -> Option<(&'static str, &'static str)> {
    // All have six digits, so texts are in the same order as numbers.
    let code = code.to_string();
    let has_code = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        (first..=last).contains(&code.as_str())
    };
    REMEDIES.lines().find_map(|line| {
        let (numbers, rest) = line.split_once(" | ")?;
        numbers.split(' ').any(has_code).then(|| rest.split_once(" | "))?
    })
}
