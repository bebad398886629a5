//! Why a token lets nobody in, in words that say nothing of what is in the token.

use crate::problem::Problem;

/// What is wrong with a token. One word group for each: the caller, who may be a stranger, learns what kind of thing to
/// look at and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    TooLong,
    Malformed,
    /// Another kind of JWT, such as a logout token.
    Type,
    /// None at all, a shared secret, or one that the key is not for.
    Algorithm,
    CriticalHeader,
    Issuer,
    Audience,
    Expired,
    NotYetValid,
    IssuedInFuture,
    Subject,
    Bound,
    NoKeyId,
    UnknownKey,
    Signature,
}

impl Fault {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::TooLong => "the token is too long",
            Self::Malformed => "the token is not a well-formed JWT",
            Self::Type => "the token is of a type that is not for access",
            Self::Algorithm => "the token's signature algorithm is not accepted",
            Self::CriticalHeader => "the token asks for an extension that is not known here",
            Self::Issuer => "the token is from another issuer",
            Self::Audience => "the token is for another audience",
            Self::Expired => "the token has expired",
            Self::NotYetValid => "the token is not valid yet",
            Self::IssuedInFuture => "the token was issued in the future",
            Self::Subject => "the token's subject is missing or not well-formed",
            Self::Bound => "the token is bound to a key of the caller, which cannot be checked here",
            Self::NoKeyId => "the token does not say which key signed it",
            Self::UnknownKey => "the token's key is unknown",
            Self::Signature => "the token's signature is wrong",
        }
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Self::rejected_token(fault.as_str())
    }
}
