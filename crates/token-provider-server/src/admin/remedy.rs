//! What to do about a failure at the issuer, for the status page: the error's own text says what happened.

use token_provider::ErrorKind;

/// Returns a sentence for people.
pub(super) fn remedy(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::CredentialNotFound | ErrorKind::CredentialInvalid => {
            "Fix the credential file that the message names; it is read again when it changes."
        }
        ErrorKind::Rejected { .. } => {
            "Check the access key at the HERE portal, or download a new credentials.properties; it is taken into use \
             when the file changes. `token-provider check` says more."
        }
        ErrorKind::ClockSkew => "Set this machine's clock, and keep it right with NTP.",
        ErrorKind::InvalidRequest => "Ask for another scope or lifetime.",
        ErrorKind::Throttled => {
            "Nothing: the server waits as long as HERE asks for. Fewer different scopes and lifetimes help."
        }
        ErrorKind::Unavailable { .. } => "Nothing: HERE or a gateway before it is failing; retrying.",
        ErrorKind::Unreachable | ErrorKind::TimedOut => {
            "Check the network, name resolution, and HTTPS_PROXY; `token-provider check` tries each step."
        }
        ErrorKind::InvalidAnswer { .. } => {
            "Check here.token.endpoint.url, and whether a proxy on the way answers with a page of its own."
        }
        ErrorKind::ExpiresTooSoon => "Set this machine's clock, or ask for a longer lifetime.",
        ErrorKind::TooManyTokens => "Have callers ask for fewer different scopes and lifetimes.",
        _ => "`token-provider check` finds out more.",
    }
}
