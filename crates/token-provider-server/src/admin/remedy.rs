//! What to do about a failure at the issuer, for the status page: the error's own text says what happened.

use token_provider::TokenErrorKind;

/// Returns a sentence for people.
pub(super) fn remedy(kind: TokenErrorKind) -> &'static str {
    match kind {
        TokenErrorKind::NotLoaded => {
            "Fix the credential file that the message names; it is read again when it changes."
        }
        TokenErrorKind::Rejected { .. } => {
            "Check the access key at the HERE portal, or download a new credentials.properties; the server \
             uses it when the file changes. Run `token-provider check` for more."
        }
        TokenErrorKind::ClockSkew => "Set this machine's clock, and keep it right with NTP.",
        TokenErrorKind::InvalidRequest => "Ask for another scope or lifetime.",
        TokenErrorKind::Throttled => {
            "Nothing: the server waits for as long as HERE says. Use fewer different scopes and lifetimes."
        }
        TokenErrorKind::Unavailable { .. } => "Nothing: HERE or a gateway before it is failing; retrying.",
        TokenErrorKind::Unreachable | TokenErrorKind::TimedOut => {
            "Check the network, name resolution, and HTTPS_PROXY; `token-provider check` tries each step."
        }
        TokenErrorKind::InvalidAnswer { .. } => {
            "Check here.token.endpoint.url, and whether a proxy on the way answers with its own page."
        }
        TokenErrorKind::ExpiresTooSoon => "Set this machine's clock, or ask for a longer lifetime.",
        TokenErrorKind::TooManyTokens => "Let callers use fewer different scopes and lifetimes.",
        _ => "Run `token-provider check` for more.",
    }
}
