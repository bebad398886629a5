//! What HERE's error numbers mean for whoever has to act. docs/troubleshooting.md explains each; a test compares the two.

use crate::error::{TokenError, TokenErrorKind};

/// Lines of numbers, what HERE did, and what to do about it.
const REMEDIES: &str = include_str!("remedies.txt");

/// For 429, with or without a number.
pub(super) const TOO_MANY: &str = "HERE returned 429 (too many requests); use fewer scopes and lifetimes, or fewer token \
                                   providers per app";

/// What messages call a credential, and the place that it is from.
#[derive(Clone, Copy)]
pub(in crate::issuer) struct Named<'a> {
    pub(in crate::issuer) place: &'a str,
    pub(in crate::issuer) parts: &'static Parts,
}

/// What messages call the parts of a kind of credential, by the names in the lines of [`REMEDIES`].
pub(in crate::issuer) type Parts = [(&'static str, &'static str); 6];

pub(in crate::issuer) const ACCESS_KEY: Parts = [
    ("{credential}", "access key"),
    ("{id}", "here.access.key.id"),
    ("{all}", "here.access.key.id and here.access.key.secret"),
    ("{together}", "both must belong to the same key"),
    ("{changes}", "changes the Authorization header"),
    ("{replaces}", "replaces the Authorization header"),
];

pub(in crate::issuer) const PRIVATE_KEY: Parts = [
    ("{credential}", "private key"),
    ("{id}", "here.client.id"),
    ("{all}", "here.client.id, here.private.key and here.key.id"),
    ("{together}", "all must belong to the same app"),
    ("{changes}", "changes the body of the request"),
    // None is sent.
    ("{replaces}", "adds an Authorization header"),
];

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
    let message = code.and_then(|code| message(code, &number, named)).unwrap_or_else(|| {
        // A number that HERE does not document, or none.
        let (what, remedy) = match status {
            401 | 403 => ("refused the {credential}", "check {all} in {place}"),
            _ => ("refused the request", "check here.token.endpoint.url and the scope"),
        };
        filled(what, &number, remedy, named)
    });
    TokenError::new(kind, message)
}

/// Says what HERE refused, and what to do about it.
pub(super) fn message(code: u32, number: &str, named: Named<'_>) -> Option<String> {
    if matches!(code, 429_002 | 429_003) {
        return Some(TOO_MANY.to_owned());
    }
    // All have six digits, so texts are in the same order as numbers.
    let code = code.to_string();
    let has_code = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        (first..=last).contains(&code.as_str())
    };
    let (what, remedy) = REMEDIES.lines().find_map(|line| {
        let (numbers, rest) = line.split_once(" | ")?;
        numbers.split(' ').any(has_code).then(|| rest.split_once(" | "))?
    })?;
    Some(filled(what, number, remedy, named))
}

fn filled(what: &str, number: &str, remedy: &str, Named { place, parts }: Named<'_>) -> String {
    let text = format!("HERE {what} ({number}): {remedy}");
    let text = parts.iter().fold(text, |text, (name, part)| text.replace(name, part));
    // The place last: a path may hold anything.
    text.replace("{place}", place)
}
