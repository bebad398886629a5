//! Names of rules, methods and outcomes: one list each, for answers, audit lines, metrics and the log alike.

/// An enum without data whose variants have a name each. An attribute in parentheses is one of the list of all.
macro_rules! names {
    ($(#[$doc:meta])* $name:ident $((#[$all:meta]))? { $($(#[$variant_doc:meta])* $variant:ident => $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// All of them, in the order of their numbers.
            $(#[$all])?
            pub const ALL: [Self; [$($text),*].len()] = [$(Self::$variant),*];

            /// Returns the name.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

pub(crate) use names;

names! {
    /// An access rule that can refuse a request.
    Rule {
        /// Callers authenticate, and with a valid credential.
        Authenticate => "authenticate",
        /// A token of the identity provider has the required claims.
        Claims => "claims",
        /// Callers without a credential show that they choose their headers.
        Header => "header",
        /// `Host` is one of the server's names.
        Host => "host",
        /// Only allowed web pages ask.
        Origin => "origin",
        /// Browsers don't prefetch tokens.
        Prefetch => "prefetch",
        /// The caller may use this profile.
        Profile => "profile",
        /// A caller, or an address, asks only so often.
        Rate => "rate",
        /// The request is well-formed.
        Request => "request",
        /// One of the rules for callers of this kind matches.
        Rules => "rules",
        /// The caller may have this scope.
        Scope => "scope",
    }
}

names! {
    /// Why a record in the store is not used.
    Flaw {
        /// It was changed, or stored under another name, or its key is another one with the same id.
        BadTag => "bad_tag",
        /// Across a boot of the machine, and the clock is behind one that records were written by.
        ClockSetBack => "clock_set_back",
        /// It is from the future.
        Future => "future",
        /// It is no record.
        Malformed => "malformed",
        /// A later program wrote it, or none.
        OtherFormat => "other_format",
        /// It is older than one that was seen in its place.
        Replayed => "replayed",
        /// Its key is not in the key file.
        UnknownKey => "unknown_key",
    }
}

names! {
    /// How a caller has shown who it is.
    Method {
        /// An API key of the configuration.
        ApiKey => "api_key",
        /// A request signed with an access key of the configuration.
        HereKey => "here_key",
        /// A token of the company's identity provider.
        Oidc => "oidc",
        /// A client certificate.
        Mtls => "mtls",
        /// A header that a trusted reverse proxy set.
        TrustedProxy => "trusted_proxy",
        /// It is a file that the configuration has a token written to.
        Output => "output",
        /// Not at all.
        Anonymous => "anonymous",
    }
}

names! {
    /// Why an API key, a client certificate, or a token of the identity provider lets nobody in, in words that say nothing of what
    /// is in it: its bearer may be a stranger. With several providers of one issuer the last of their reasons counts: that one has
    /// come the furthest.
    Rejection {
        /// The API key is right, and its `expires` is over.
        KeyExpired => "the API key has expired",
        /// The client certificate that the connection began with is no longer valid.
        Certificate => "the client certificate is no longer accepted; open a new connection with a valid one",
        /// `iss` is another.
        Issuer => "the token is from another issuer",
        /// `aud` is another.
        Audience => "the token is for another audience",
        /// Longer than a request's head may be.
        TooLong => "the token is too long",
        /// Not three parts of base64url, or not JSON, or a member that is missing, given twice, or of another type.
        Malformed => "the token is not a well-formed JWT",
        /// Another kind of JWT, such as a logout token.
        Type => "the token's type is not accepted",
        /// None at all, a shared secret, or one that the key is not for.
        Algorithm => "the token's signature algorithm is not accepted",
        /// `crit` names one.
        CriticalHeader => "the token requires an unsupported extension",
        /// `exp` is over.
        Expired => "the token has expired",
        /// `nbf` is yet to come.
        NotYetValid => "the token is not valid yet",
        /// `iat` is yet to come.
        IssuedInFuture => "the token was issued in the future",
        /// `sub` is missing, or not fit for a log.
        Subject => "the token's subject is missing or not well-formed",
        /// `cnf` binds it to a certificate or a `DPoP` key.
        Bound => "the token is bound to a key of the caller, which cannot be verified here",
        /// It names no key, and several could have signed it.
        NoKeyId => "the token does not identify its signing key",
        /// The identity provider has no key of this name.
        UnknownKey => "the token's key is unknown",
        /// The key did not sign it.
        Signature => "the token's signature is wrong",
    }
}

names! {
    /// How a request for a token ended. Nothing is handed out until something has said so.
    #[derive(Default)]
    Outcome {
        /// With a token.
        HandedOut => "handed_out",
        /// A rule refused it.
        #[default]
        Refused => "refused",
        /// No token was available.
        Failed => "failed",
        /// It was no such request, but a report that a service refused one.
        Reported => "reported",
    }
}

names! {
    /// How a request to an issuer ended.
    IssuerOutcome {
        /// With a token.
        Issued => "issued",
        /// The credential was refused, or cannot be used.
        Rejected => "rejected",
        /// The issuer refused the timestamp.
        ClockSkew => "clock_skew",
        /// The issuer asked for fewer requests.
        Throttled => "throttled",
        /// The issuer failed.
        Unavailable => "unavailable",
        /// No connection.
        Unreachable => "unreachable",
        /// No answer in time.
        TimedOut => "timed_out",
        /// The answer was not a token.
        InvalidAnswer => "invalid_answer",
        /// Anything else.
        Other => "other",
    }
}
