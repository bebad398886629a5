//! Faults: what the sandbox can be told to do wrong, in memory and as JSON.

mod control;
mod wire;

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

pub use control::FaultControl;
pub(crate) use control::{Applied, Route};

/// The longest delay that can be asked for.
const MAX_DELAY: Duration = Duration::from_secs(600);

/// The largest clock skew, ten years: any date it leads to can still be written.
const MAX_SKEW_SECONDS: i64 = 315_360_000;

/// One way in which the sandbox misbehaves. Its parts can be combined.
///
/// A fault with a [count](Self::with_count) applies to that many requests and is then gone; such faults are
/// used up one after the other, in the order in which they were made. A fault without a count stays until
/// it is cleared, as the background of all others: where two of them, or one of them and a counted fault,
/// say something different about the same request, the later or the counted one is right.
///
/// As JSON, for `PUT /sandbox/faults` (one object, or an array of them):
///
/// ```
/// use here_sandbox::Fault;
///
/// let fault: Fault = serde_json::from_str(r#"{ "status": 429, "retry_after": 2, "count": 3 }"#).unwrap();
/// assert_eq!(fault, Fault::new().with_status(429).with_retry_after("2").with_count(3));
/// assert!(serde_json::from_str::<Fault>(r#"{ "statuss": 429 }"#).is_err());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "wire::Wire", into = "wire::Wire")]
pub struct Fault {
    pub(crate) target: Target,
    pub(crate) status: Option<StatusCode>,
    pub(crate) error_code: Option<u32>,
    pub(crate) retry_after: Option<HeaderValue>,
    pub(crate) body: Option<FaultBody>,
    pub(crate) delay: Option<Duration>,
    pub(crate) hang: bool,
    pub(crate) hang_up: Option<HangUp>,
    pub(crate) clock_skew_s: Option<i64>,
    pub(crate) lifetime_s: Option<u32>,
    pub(crate) expired: bool,
    pub(crate) count: Option<u32>,
    pub(crate) for_s: Option<u32>,
}

/// The requests that a fault applies to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Target {
    /// `POST /oauth2/token`.
    #[default]
    Token,
    /// The resources behind a token, such as `GET /hello`.
    Data,
    /// Both, and the rest of the account (`/timestamp`, `/verify/accessToken`).
    All,
}

/// What comes instead of the proper body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FaultBody {
    /// A web page, as a proxy or a hotel's network answers.
    Html,
    /// Declared as JSON, and neither JSON nor UTF-8.
    Garbage,
    /// Declared as JSON, and nothing.
    Empty,
    /// JSON of 16 MiB, sent in chunks without a `Content-Length`.
    Huge,
}

/// The point of the answer at which the connection breaks off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HangUp {
    /// The request is read, and not one byte is answered.
    BeforeHeader,
    /// Within the header, after the status line.
    MidHeader,
    /// After the header and half of the body.
    MidBody,
}

/// A fault that makes no sense; says what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FaultError(String);

impl Fault {
    /// A fault that does nothing yet, for the token endpoint.
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies to these requests instead of token requests.
    #[must_use]
    pub fn with_target(self, target: Target) -> Self {
        Self { target, ..self }
    }

    /// Answers with this status. From 300 on nothing is verified and the body is HERE's for that status;
    /// below, the request is handled as usual and only the status replaced.
    ///
    /// # Panics
    ///
    /// Panics outside 200 to 599.
    #[must_use]
    pub fn with_status(self, status: u16) -> Self {
        Self { status: Some(wire::parse_status(status).expect("a status from 200 to 599")), ..self }
    }

    /// Puts this number into the body of an error answer, instead of the one that HERE uses most with the
    /// status.
    #[must_use]
    pub fn with_error_code(self, error_code: u32) -> Self {
        Self { error_code: Some(error_code), ..self }
    }

    /// Adds `Retry-After`, with a number of seconds or an HTTP date, sent as it is.
    ///
    /// # Panics
    ///
    /// Panics for text that cannot be a header's value.
    #[must_use]
    pub fn with_retry_after(self, value: &str) -> Self {
        Self { retry_after: Some(HeaderValue::from_str(value).expect("the value of a header")), ..self }
    }

    /// Replaces the body. Without a status of its own the answer is 200.
    #[must_use]
    pub fn with_body(self, body: FaultBody) -> Self {
        Self { body: Some(body), ..self }
    }

    /// Waits before anything else.
    #[must_use]
    pub fn with_delay(self, delay: Duration) -> Self {
        Self { delay: Some(delay.min(MAX_DELAY)), ..self }
    }

    /// Never answers. The connection stays open until the other side closes it or the sandbox is shut down.
    #[must_use]
    pub fn with_hang(self) -> Self {
        Self { hang: true, ..self }
    }

    /// Breaks off the connection at this point.
    #[must_use]
    pub fn with_hang_up(self, hang_up: HangUp) -> Self {
        Self { hang_up: Some(hang_up), ..self }
    }

    /// Sets the sandbox's clock off by this many seconds for every route, whatever the target, for as long
    /// as the fault is there: timestamp window, `Date`, `GET /timestamp`, `iat` and `exp`. At most ten
    /// years.
    #[must_use]
    pub fn with_clock_skew(self, seconds: i64) -> Self {
        Self { clock_skew_s: Some(seconds.clamp(-MAX_SKEW_SECONDS, MAX_SKEW_SECONDS)), ..self }
    }

    /// Issues tokens with exactly this lifetime, and says so in the answer, whatever was asked for.
    #[must_use]
    pub fn with_lifetime(self, seconds: u32) -> Self {
        Self { lifetime_s: Some(seconds), ..self }
    }

    /// Issues tokens that have expired already, while the answer promises the usual lifetime.
    #[must_use]
    pub fn with_expired_token(self) -> Self {
        Self { expired: true, ..self }
    }

    /// Applies to the next `count` requests only. 0 counts as 1.
    #[must_use]
    pub fn with_count(self, count: u32) -> Self {
        Self { count: Some(count.max(1)), ..self }
    }

    /// Is gone after this many seconds, whoever made it: a browser that is killed ends nothing.
    #[must_use]
    pub fn with_end_after(self, seconds: u32) -> Self {
        Self { for_s: Some(seconds), ..self }
    }

    /// Whether the request is not handled at all, but answered by the fault.
    pub(crate) fn replaces_answer(&self) -> bool {
        self.body.is_some() || self.status.is_some_and(|status| status.as_u16() >= 300)
    }

    /// Lets what `other` says prevail over what is here.
    fn overlay(&mut self, other: &Self) {
        self.status = other.status.or(self.status);
        self.error_code = other.error_code.or(self.error_code);
        self.retry_after = other.retry_after.clone().or_else(|| self.retry_after.take());
        self.body = other.body.or(self.body);
        self.delay = other.delay.or(self.delay);
        self.hang |= other.hang;
        self.hang_up = other.hang_up.or(self.hang_up);
        self.lifetime_s = other.lifetime_s.or(self.lifetime_s);
        self.expired |= other.expired;
    }
}
