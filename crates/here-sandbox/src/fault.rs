//! Faults: what the sandbox can be told to do wrong, in memory and as JSON.

mod control;

use axum::http::HeaderValue;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use serde_json::Value;

use crate::app::App;
use crate::problem::{NumberSpelling, without_nulls};
use crate::scope;

pub(crate) use control::Applied;
pub use control::FaultControl;

/// The longest delay, in milliseconds.
const MAX_DELAY_MS: u64 = 600_000;

/// The largest clock skew, ten years: any date it leads to can still be written.
const MAX_SKEW_SECONDS: i64 = 315_360_000;

/// One way in which the sandbox misbehaves. Its parts can be combined.
///
/// A fault with a [count](Self::count) applies to that many requests and is then gone; such faults are used up one
/// after the other, in the order in which they were made. A fault without a count stays in force until it is cleared.
/// If faults conflict for a request, a later one overrides an earlier one, and a counted one overrides one without a
/// count.
///
/// As JSON, for `PUT /sandbox/faults` (one object, or an array of them):
///
/// ```
/// use here_sandbox::Fault;
///
/// let fault: Fault = serde_json::from_str(r#"{ "status": 429, "retry_after": "2", "count": 3 }"#).unwrap();
/// assert_eq!(fault, Fault { status: Some(429), retry_after: Some("2".to_owned()), count: Some(3), ..Fault::default() });
/// assert!(serde_json::from_str::<Fault>(r#"{ "statuss": 429 }"#).is_err());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
// `remote` derives inherent functions, so that the impls below can validate.
#[serde(default, deny_unknown_fields, remote = "Self")]
#[must_use = "a fault does nothing before it is injected"]
pub struct Fault {
    /// Which requests it applies to.
    pub target: Target,
    /// Answers with this status, from 200 to 599. From 300 on nothing is verified and the body is HERE's for that status;
    /// below, the request is handled as usual and only the status replaced.
    pub status: Option<u16>,
    /// The number in the body of an error answer, instead of the one that HERE uses most with the status.
    pub error_code: Option<u32>,
    /// Spells the number of every error answer like this, whether the fault or the account refuses.
    pub spelling: Option<NumberSpelling>,
    /// Adds `Retry-After`, with a number of seconds or an HTTP date, sent as it is. In JSON, seconds may be a number.
    #[serde(deserialize_with = "text_or_seconds")]
    pub retry_after: Option<String>,
    /// Replaces the body. The status is 200 unless the fault sets one.
    pub body: Option<FaultBody>,
    /// Waits this many milliseconds before anything else, at most ten minutes.
    pub delay_ms: Option<u64>,
    /// Never answers. The connection stays open until the other side closes it or the sandbox is shut down.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hang: bool,
    /// Breaks off the connection at this point.
    pub hang_up: Option<HangUp>,
    /// Sets the sandbox's clock off by this many seconds for every route, whatever the target, for as long as the fault is
    /// there: timestamp window, `Date`, `GET /timestamp`, `iat` and `exp`. At most ten years.
    pub clock_skew_s: Option<i64>,
    /// Issues tokens with exactly this lifetime, and says so in the answer, whatever was asked for.
    pub lifetime_s: Option<u32>,
    /// Issues tokens that have expired already, while the answer promises the usual lifetime.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub expired: bool,
    /// Gives the app other settings.
    pub app: Option<App>,
    /// Applies to this many requests only.
    pub count: Option<u32>,
    /// Ends by itself after this many seconds: a browser that is killed cannot end it.
    pub for_s: Option<u32>,
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

impl Fault {
    /// Checks the values.
    fn check(&self) -> Result<(), &'static str> {
        let Self { status, retry_after, delay_ms, clock_skew_s, app, count, .. } = self;
        let default_scope = app.as_ref().and_then(|app| app.default_scope.as_deref());
        let rules = [
            (status.is_none_or(|status| (200..=599).contains(&status)), "status must be from 200 to 599"),
            (
                retry_after.as_ref().is_none_or(|value| HeaderValue::try_from(value).is_ok()),
                "retry_after must be the value of a header: visible characters",
            ),
            (delay_ms.is_none_or(|delay| delay <= MAX_DELAY_MS), "delay_ms must be at most 600000"),
            (
                clock_skew_s.is_none_or(|skew| (-MAX_SKEW_SECONDS..=MAX_SKEW_SECONDS).contains(&skew)),
                "clock_skew_s must be from -315360000 to 315360000",
            ),
            (
                default_scope.is_none_or(scope::is_well_formed),
                "default_scope must be openid or the HRN of a project",
            ),
            (*count != Some(0), "count must be 1 or more; leave it out for a fault that stays"),
        ];
        rules.into_iter().try_for_each(|(holds, rule)| if holds { Ok(()) } else { Err(rule) })
    }
}

fn text_or_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        Value::Number(seconds) if seconds.is_u64() => Ok(Some(seconds.to_string())),
        _ => Err(de::Error::custom("retry_after must be a number of seconds or text")),
    }
}

impl Serialize for Fault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // What is not set is left out.
        let fault = Self::serialize(self, serde_json::value::Serializer).map_err(ser::Error::custom)?;
        without_nulls(fault).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Fault {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fault = Self::deserialize(deserializer)?;
        fault.check().map_err(de::Error::custom)?;
        Ok(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Fault, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn every_key_is_read_and_written_back() {
        let json = serde_json::json!({
            "target": "all", "status": 503, "error_code": 1, "spelling": "wrapped", "retry_after": "7", "body": "html", "delay_ms": 5, "hang": true,
            "hang_up": "mid_body", "clock_skew_s": -600, "lifetime_s": 0, "expired": true, "count": 2,
            "for_s": 20, "app": {
                "token_duration_s": 3600, "default_scope": "openid", "restricted_scope": true,
                "always_project_scope": true, "refusal": "key_disabled"
            }
        });
        let fault: Fault = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(serde_json::to_value(fault).unwrap(), json);
        assert_eq!(serde_json::to_value(Fault::default()).unwrap(), serde_json::json!({ "target": "token" }));
    }

    #[test]
    fn retry_after_is_seconds_or_any_text() {
        let header = |json: &str| parse(json).unwrap().retry_after.unwrap();
        assert_eq!(header(r#"{"retry_after": 120}"#), "120");
        assert_eq!(
            header(r#"{"retry_after": "Wed, 21 Oct 2026 07:28:00 GMT"}"#),
            "Wed, 21 Oct 2026 07:28:00 GMT"
        );
        assert_eq!(header(r#"{"retry_after": "soon"}"#), "soon");
    }

    #[test]
    fn nonsense_is_refused_in_words() {
        let cases = [
            (r#"{"statuss": 500}"#, "unknown field `statuss`, expected one of `target`, `status`"),
            (r#"{"status": 600}"#, "status must be from 200 to 599"),
            (r#"{"status": 100}"#, "status must be from 200 to 599"),
            (r#"{"status": "500"}"#, "invalid type: string"),
            (r#"{"retry_after": -1}"#, "retry_after must be a number of seconds or text"),
            (r#"{"retry_after": "a\nb"}"#, "retry_after must be the value of a header"),
            (r#"{"delay_ms": 600001}"#, "delay_ms must be at most 600000"),
            (r#"{"clock_skew_s": 315360001}"#, "clock_skew_s must be from"),
            (r#"{"clock_skew_s": -9223372036854775808}"#, "clock_skew_s must be from"),
            (r#"{"count": 0}"#, "count must be 1 or more"),
            (r#"{"body": "pdf"}"#, "unknown variant `pdf`, expected one of `html`"),
            (r#"{"hang_up": "now"}"#, "unknown variant `now`, expected one of `before_header`"),
            (r#"{"target": "tokens"}"#, "unknown variant `tokens`"),
            (r#"{"spelling": "rot13"}"#, "unknown variant `rot13`, expected one of `quoted`"),
            (
                r#"{"app": {"tokenDuration": 1}}"#,
                "unknown field `tokenDuration`, expected one of `token_duration_s`",
            ),
            (r#"{"app": {"refusal": "mood"}}"#, "unknown variant `mood`, expected one of `key_disabled`"),
            (r#"{"app": {"default_scope": "x"}}"#, "default_scope must be openid or the HRN of a project"),
        ];
        for (json, expected) in cases {
            let error = parse(json).expect_err(json);
            assert!(error.contains(expected), "{json}: {error}");
        }
    }
}
