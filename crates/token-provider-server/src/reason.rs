//! Names of rules, methods and outcomes: one list each, for answers, audit lines, metrics and the log alike.

use std::fmt;

/// An enum without data whose variants have a name each.
macro_rules! names {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident => $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// All of them, in the order of their numbers.
            pub const ALL: [Self; [$($text),*].len()] = [$(Self::$variant),*];

            /// Returns the name.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

names! {
    /// An access rule that can refuse a request.
    Rule {
        /// Callers authenticate, and with a valid credential.
        Authenticate => "authenticate",
        /// A token of the identity provider has the required claims.
        Claims => "claims",
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
        /// The caller may have this scope.
        Scope => "scope",
    }
}

names! {
    /// How a caller has shown who it is.
    Method {
        /// An API key of the configuration.
        ApiKey => "api_key",
        /// A token of the company's identity provider.
        Oidc => "oidc",
        /// A client certificate.
        Mtls => "mtls",
        /// A header that a trusted reverse proxy set.
        TrustedProxy => "trusted_proxy",
        /// Not at all.
        Anonymous => "anonymous",
    }
}

names! {
    /// How a request for a token ended.
    Outcome {
        /// With a token.
        HandedOut => "handed_out",
        /// A rule refused it.
        Refused => "refused",
        /// No token was available.
        Failed => "failed",
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
        /// The issuer reported a failure of its own.
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
