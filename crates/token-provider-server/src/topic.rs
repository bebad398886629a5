//! The errors that docs/troubleshooting.md explains.

use token_provider::{LoadErrorKind, TokenErrorKind};

use crate::reason::names;

names! {
    /// What an error is about, by the anchor of its heading in docs/troubleshooting.md. For an answer to a caller, this is also
    /// the `error` in it. The compiler warns of a topic that no error has, and `ci/check` takes warnings for errors.
    #[derive(Default)]
    Topic (#[cfg(test)]) {
        CredentialNotFound => "no-here-credential-found",
        CredentialInvalid => "the-credential-cannot-be-used",
        Rejected => "here-refused-the-access-key",
        Throttled => "too-many-requests-to-here",
        ClockSkew => "here-refused-the-timestamp",
        ExpiresTooSoon => "the-token-expires-too-soon-to-be-handed-out",
        Unreachable => "no-connection-to-the-token-endpoint",
        TimedOut => "no-answer-from-the-token-endpoint",
        Unavailable => "the-token-endpoint-is-failing",
        InvalidAnswer => "the-token-endpoints-answer-is-not-a-token",
        TooManyTokens => "too-many-different-tokens-are-held",
        Configuration => "the-configuration-cannot-be-used",
        UnknownProfile => "there-is-no-such-profile",
        Exposed => "no-access-rule-is-configured",
        ProfileFile => "a-profiles-file-cannot-be-read",
        SecretFile => "an-access-keys-secret-cannot-be-used",
        Certificate => "the-certificate-cannot-be-used",
        AuditTrail => "the-audit-trail-cannot-be-opened",
        Output => "an-output-cannot-be-written",
        Store => "the-store-cannot-be-used",
        Usage => "an-option-has-a-value-that-cannot-be-used",
        Bind => "cannot-listen",
        System => "the-system-refused",
        CutOff => "requests-in-flight-were-cut-off",
        Unanswered => "no-server-answers",
        NotReady => "the-server-is-not-ready",
        InvalidRequest => "invalid_request",
        InvalidScope => "invalid_scope",
        UnsupportedGrantType => "unsupported_grant_type",
        InvalidToken => "invalid_token",
        InvalidClient => "invalid_client",
        AccessDenied => "access_denied",
        NotFound => "not_found",
        SlowDown => "slow_down",
        #[default]
        ServerError => "server_error",
        TemporarilyUnavailable => "temporarily_unavailable",
        IssuerRejected => "issuer_rejected",
        IssuerTimeout => "issuer_timeout",
    }
}

impl From<LoadErrorKind> for Topic {
    fn from(kind: LoadErrorKind) -> Self {
        match kind {
            LoadErrorKind::NotFound => Self::CredentialNotFound,
            LoadErrorKind::Tls => Self::Unreachable,
            _ => Self::CredentialInvalid,
        }
    }
}

impl From<TokenErrorKind> for Topic {
    fn from(kind: TokenErrorKind) -> Self {
        match kind {
            TokenErrorKind::NotLoaded => Self::CredentialInvalid,
            TokenErrorKind::InvalidRequest => Self::InvalidRequest,
            TokenErrorKind::Rejected { .. } => Self::Rejected,
            TokenErrorKind::ClockSkew => Self::ClockSkew,
            TokenErrorKind::Throttled => Self::Throttled,
            TokenErrorKind::Unavailable { .. } => Self::Unavailable,
            TokenErrorKind::Unreachable | TokenErrorKind::IssuerPanicked => Self::Unreachable,
            TokenErrorKind::TimedOut => Self::TimedOut,
            TokenErrorKind::InvalidAnswer { .. } => Self::InvalidAnswer,
            TokenErrorKind::ExpiresTooSoon => Self::ExpiresTooSoon,
            TokenErrorKind::TooManyTokens => Self::TooManyTokens,
            // `WaitedTooLong`, and what the library adds later.
            _ => Self::IssuerTimeout,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The anchors of the headings that are for one error each, as GitHub and mdBook make them.
    fn explained(page: &str) -> Vec<String> {
        let is_kept = |c: &char| c.is_alphanumeric() || matches!(c, '-' | '_');
        let anchor = |line: &str| {
            let heading = line.strip_prefix("### ")?;
            Some(heading.to_lowercase().replace(' ', "-").chars().filter(is_kept).collect())
        };
        page.lines().filter_map(anchor).collect()
    }

    #[test]
    fn troubleshooting_explains_every_error_and_no_other() {
        let page = include_str!("../../../docs/troubleshooting.md");
        let explained = explained(page);
        let anchors: BTreeSet<_> = explained.iter().map(String::as_str).collect();
        assert_eq!(explained.len(), anchors.len(), "one heading for each: {explained:?}");
        let errors: BTreeSet<_> = Topic::ALL.iter().map(|topic| topic.as_str()).collect();
        let (missing, left): (Vec<_>, Vec<_>) =
            (errors.difference(&anchors).collect(), anchors.difference(&errors).collect());
        assert!(missing.is_empty(), "docs/troubleshooting.md has no `###` for {missing:?}");
        assert!(left.is_empty(), "no error has the topic {left:?}: docs/troubleshooting.md, `###`");
    }
}
