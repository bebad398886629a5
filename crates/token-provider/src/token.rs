//! What is requested ([`TokenKey`]) and what comes back ([`AccessToken`]).
//!
//! The token's text is wiped from memory when its last holder drops it, and shown only by the one method whose name
//! says so.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::clock::Moment;
use crate::error::{TokenError, TokenErrorKind};

/// The lifetime of a token where none is asked for: an hour, as in HERE's SDKs.
pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(3600);

/// The longest lifetime that HERE grants: a day. It silently grants less where more is requested.
pub const MAX_LIFETIME: Duration = Duration::from_secs(86_400);

/// A token is never handed out when it expires within this time, ten seconds: it has to survive the way to the service that it is
/// for, and that service's clock.
pub const EXPIRY_MARGIN: Duration = Duration::from_secs(10);

/// Longer than any project HRN, and short enough to be no burden as a key.
const MAX_SCOPE_LENGTH: usize = 1024;

const BEARER: &str = "Bearer ";

/// What a token is for: RFC 6749 §3.3; at HERE, `openid` or the HRN of a project.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope(Arc<str>);

impl Scope {
    /// Parses a scope; it is kept as written.
    ///
    /// # Errors
    ///
    /// [`TokenErrorKind::InvalidRequest`] when it is empty, longer than 1,024 bytes, or has a character outside
    /// RFC 6749 §3.3 (printable ASCII without `"` and `\`).
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let allowed = |byte: u8| matches!(byte, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~');
        if text.trim().is_empty() || text.len() > MAX_SCOPE_LENGTH || !text.bytes().all(allowed) {
            return Err(TokenError::new(
                TokenErrorKind::InvalidRequest,
                "the scope is not well-formed: expected printable ASCII without quotes and backslashes (RFC 6749 \
                 §3.3), such as hrn:here:authorization::myrealm:project/my-project",
            ));
        }
        Ok(Self(text.into()))
    }

    /// Returns the scope as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A kind of token; equal keys share one token.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenKey {
    scope: Option<Scope>,
    lifetime: Duration,
}

impl TokenKey {
    /// Asks for a token of this lifetime, from 1 to 86,400 seconds, with the credential's own scope. Fractions of a second are
    /// dropped.
    ///
    /// # Errors
    ///
    /// [`TokenErrorKind::InvalidRequest`] when the lifetime is out of range.
    pub fn new(lifetime: Duration) -> Result<Self, TokenError> {
        let lifetime = Duration::from_secs(lifetime.as_secs());
        if lifetime.is_zero() || lifetime > MAX_LIFETIME {
            return Err(TokenError::new(
                TokenErrorKind::InvalidRequest,
                "the lifetime is not between 1 and 86400 seconds",
            ));
        }
        Ok(Self { scope: None, lifetime })
    }

    /// Asks for another scope than the credential's own; `None` asks for that one.
    #[must_use]
    pub fn with_scope(self, scope: Option<Scope>) -> Self {
        Self { scope, ..self }
    }

    /// Returns the scope asked for; `None` leaves it to the credential.
    pub fn scope(&self) -> Option<&Scope> {
        self.scope.as_ref()
    }

    /// Returns the lifetime asked for.
    pub fn lifetime(&self) -> Duration {
        self.lifetime
    }
}

impl Default for TokenKey {
    /// [`DEFAULT_LIFETIME`], with the credential's own scope.
    fn default() -> Self {
        Self { scope: None, lifetime: DEFAULT_LIFETIME }
    }
}

/// A bearer token (RFC 6750) and how long it lives. Cheap to clone.
#[derive(Clone)]
pub struct AccessToken(Arc<Inner>);

struct Inner {
    /// A part of the header's value.
    text: Bytes,
    header: HeaderValue,
    scope: Option<Scope>,
    lifetime: Duration,
    expires_at: Moment,
    fingerprint: Fingerprint,
}

/// The first 12 hex digits of a token's SHA-256: names a token in logs without giving it away.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 12]);

impl Fingerprint {
    pub(crate) fn of(text: &[u8]) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text);
        let first = digest.as_ref().first_chunk().expect("SHA-256 has 32 bytes");
        let digits = format!("{:012x}", u64::from_be_bytes(*first) >> 16);
        Self(*digits.as_bytes().first_chunk().expect("these are 12 digits"))
    }

    /// Returns the digits.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("digits are ASCII")
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl AccessToken {
    /// Makes a token that lives for `lifetime` from `sent_at`, the moment the request for it was sent: the issuer's
    /// count starts at some unknown time between sending and answering, so the earliest is taken.
    ///
    /// # Errors
    ///
    /// [`TokenErrorKind::InvalidAnswer`] where the text is no token.
    pub(crate) fn new(
        text: &SecretString,
        scope: Option<Scope>,
        lifetime: Duration,
        sent_at: Moment,
    ) -> Result<Self, TokenError> {
        let text = text.expose_secret();
        if !is_b64token(text) {
            return Err(TokenError::new(
                TokenErrorKind::InvalidAnswer { status: None },
                "the issuer's token is not well-formed (RFC 6750 §2.1)",
            ));
        }
        // In one go: a string that grows leaves copies behind.
        let header = Zeroizing::new([BEARER, text].concat());
        let header = Bytes::from_owner(header);
        let text = header.slice(BEARER.len()..);
        let mut header = HeaderValue::from_maybe_shared(header).expect("a token has only printable ASCII");
        header.set_sensitive(true);
        let (fingerprint, expires_at) = (Fingerprint::of(&text), sent_at.after(lifetime));
        Ok(Self(Arc::new(Inner { text, header, scope, lifetime, expires_at, fingerprint })))
    }

    /// Shows the token. Give it to the service it is for, and to nothing else: not to a log, an error or a file.
    pub fn expose_secret(&self) -> &str {
        std::str::from_utf8(&self.0.text).expect("it was made from a String")
    }

    /// Shows the token as shared bytes, for the body of an HTTP answer. Nothing is copied.
    pub fn expose_secret_bytes(&self) -> Bytes {
        self.0.text.clone()
    }

    /// Returns `Bearer …` as the value of an `Authorization` header: made once for each token, and marked as sensitive.
    /// Nothing is copied.
    pub fn header_value(&self) -> HeaderValue {
        self.0.header.clone()
    }

    /// Returns the scope that the issuer named in its answer, or else the one asked for (RFC 6749 §5.1).
    pub fn scope(&self) -> Option<&Scope> {
        self.0.scope.as_ref()
    }

    /// Returns the lifetime that the issuer granted, often a second less than asked for.
    pub fn lifetime(&self) -> Duration {
        self.0.lifetime
    }

    /// Returns when it expires, on both clocks.
    pub fn expires_at(&self) -> Moment {
        self.0.expires_at
    }

    /// Returns how long it is good for, from `now`; zero once it has expired on either clock.
    pub fn remaining(&self, now: Moment) -> Duration {
        self.0.expires_at.remaining(now)
    }

    /// Returns whether it may still be handed out: more than [`EXPIRY_MARGIN`] is left on both clocks.
    pub fn is_usable_at(&self, now: Moment) -> bool {
        self.remaining(now) > EXPIRY_MARGIN
    }

    /// Returns the name by which logs may call it.
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken")
            .field("fingerprint", &self.0.fingerprint)
            .field("scope", &self.0.scope)
            .field("lifetime", &self.0.lifetime)
            .field("expires_at", &self.0.expires_at)
            .finish_non_exhaustive()
    }
}

/// RFC 6750 §2.1. Whatever else came would have to be quoted by every service, or could split a header.
pub(crate) fn is_b64token(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    !body.is_empty()
        && body.bytes().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str, lifetime: u64) -> (AccessToken, Moment) {
        let sent_at = Moment { wall: Duration::from_secs(1000), boot: Duration::from_secs(50) };
        let lifetime = Duration::from_secs(lifetime);
        (AccessToken::new(&text.into(), None, lifetime, sent_at).expect("is one"), sent_at)
    }

    #[test]
    fn debug_hides_the_token_and_shows_its_fingerprint() {
        let (token, _) = token("planted-token-text", 60);
        let shown = format!("{token:?} {:#?}", token.clone());
        assert!(!shown.contains("planted"), "{shown}");
        // `printf planted-token-text | sha256sum`
        assert_eq!(token.fingerprint().to_string(), "54742b3e3dc8");
        assert!(shown.contains("54742b3e3dc8"));
        let header = token.header_value();
        assert_eq!(header.as_bytes(), b"Bearer planted-token-text");
        assert!(!format!("{header:?}").contains("planted"), "{header:?}");
    }

    #[test]
    fn usable_until_the_margin_on_the_stricter_clock() {
        let (token, sent_at) = token("t", 60);
        assert!(token.is_usable_at(sent_at));
        assert!(token.is_usable_at(sent_at.after(Duration::from_millis(49_999))));
        assert!(!token.is_usable_at(sent_at.after(Duration::from_secs(50))));
        let wall_forward = Moment { wall: sent_at.wall + Duration::from_secs(3600), boot: sent_at.boot };
        assert!(!token.is_usable_at(wall_forward));
        let wall_back = Moment { wall: Duration::ZERO, boot: sent_at.boot + Duration::from_secs(55) };
        assert!(!token.is_usable_at(wall_back));
    }

    #[test]
    fn scope_takes_what_rfc_6749_allows() {
        for good in ["openid", "openid sdp:GROUP-1,GROUP-2", "hrn:here:authorization::rlm:project/p1"] {
            let scope = Scope::new(good).expect("is well-formed");
            assert_eq!((scope.as_str(), scope.to_string()), (good, good.to_owned()));
        }
        let long = "x".repeat(1025);
        for bad in ["", " ", "a\"b", "a\\b", "a\nb", "ü", "\u{fffd}", long.as_str()] {
            assert_eq!(Scope::new(bad).expect_err("is malformed").kind(), TokenErrorKind::InvalidRequest);
        }
    }

    #[test]
    fn key_takes_lifetimes_from_a_second_to_a_day() {
        assert!(TokenKey::new(Duration::from_millis(999)).is_err());
        assert!(TokenKey::new(Duration::from_secs(86_401)).is_err());
        let key = TokenKey::new(Duration::from_millis(60_900)).expect("is in range");
        assert_eq!(key.lifetime(), Duration::from_secs(60));
    }
}
