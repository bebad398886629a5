//! A fault as JSON: flat, every key optional, unknown keys refused.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

use super::{Fault, FaultBody, FaultError, HangUp, MAX_DELAY, MAX_SKEW_SECONDS, Target};

#[derive(Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Wire {
    target: Target,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<RetryAfter>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<FaultBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_ms: Option<u64>,
    #[serde(skip_serializing_if = "is_false")]
    hang: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    hang_up: Option<HangUp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_skew_s: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lifetime_s: Option<u32>,
    #[serde(skip_serializing_if = "is_false")]
    expired: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    for_s: Option<u32>,
}

/// Seconds may be written as a number; a date, or nonsense, is text.
#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "retry_after must be a number of seconds or text")]
enum RetryAfter {
    Seconds(u64),
    Text(String),
}

/// Accepts the statuses that can end an exchange and that HTTP knows.
pub(super) fn parse_status(status: u16) -> Result<StatusCode, FaultError> {
    let in_range = StatusCode::from_u16(status).ok().filter(|_| (200..=599).contains(&status));
    in_range.ok_or_else(|| FaultError("status must be from 200 to 599".into()))
}

impl TryFrom<Wire> for Fault {
    type Error = FaultError;

    fn try_from(wire: Wire) -> Result<Self, FaultError> {
        let retry_after = wire.retry_after.map(|value| match value {
            RetryAfter::Seconds(seconds) => Ok(HeaderValue::from(seconds)),
            RetryAfter::Text(text) => HeaderValue::from_str(&text).map_err(|_| {
                FaultError("retry_after must be the value of a header: visible characters".into())
            }),
        });
        let delay = wire.delay_ms.map(Duration::from_millis);
        if delay.is_some_and(|delay| delay > MAX_DELAY) {
            return Err(FaultError(format!("delay_ms must be at most {}", MAX_DELAY.as_millis())));
        }
        if wire.clock_skew_s.is_some_and(|skew| skew.unsigned_abs() > MAX_SKEW_SECONDS.unsigned_abs()) {
            return Err(FaultError(format!(
                "clock_skew_s must be from -{MAX_SKEW_SECONDS} to {MAX_SKEW_SECONDS}"
            )));
        }
        if wire.count == Some(0) {
            return Err(FaultError("count must be 1 or more; leave it out for a fault that stays".into()));
        }
        Ok(Self {
            target: wire.target,
            status: wire.status.map(parse_status).transpose()?,
            error_code: wire.error_code,
            retry_after: retry_after.transpose()?,
            body: wire.body,
            delay,
            hang: wire.hang,
            hang_up: wire.hang_up,
            clock_skew_s: wire.clock_skew_s,
            lifetime_s: wire.lifetime_s,
            expired: wire.expired,
            count: wire.count,
            for_s: wire.for_s,
        })
    }
}

impl From<Fault> for Wire {
    fn from(fault: Fault) -> Self {
        let retry_after = fault.retry_after.map(|value| {
            let text = value.to_str().unwrap_or_default();
            text.parse().map_or_else(|_| RetryAfter::Text(text.to_owned()), RetryAfter::Seconds)
        });
        Self {
            target: fault.target,
            status: fault.status.map(|status| status.as_u16()),
            error_code: fault.error_code,
            retry_after,
            body: fault.body,
            delay_ms: fault.delay.map(|delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)),
            hang: fault.hang,
            hang_up: fault.hang_up,
            clock_skew_s: fault.clock_skew_s,
            lifetime_s: fault.lifetime_s,
            expired: fault.expired,
            count: fault.count,
            for_s: fault.for_s,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field by reference")]
fn is_false(flag: &bool) -> bool {
    !flag
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
            "target": "all", "status": 503, "error_code": 1, "retry_after": 7, "body": "html", "delay_ms": 5, "hang": true,
            "hang_up": "mid_body", "clock_skew_s": -600, "lifetime_s": 0, "expired": true, "count": 2,
            "for_s": 20
        });
        let fault: Fault = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(serde_json::to_value(fault).unwrap(), json);
        assert_eq!(serde_json::to_value(Fault::new()).unwrap(), serde_json::json!({ "target": "token" }));
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
        ];
        for (json, expected) in cases {
            let error = parse(json).expect_err(json);
            assert!(error.contains(expected), "{json}: {error}");
        }
    }
}
