//! What is noted of a handout or a refusal.

use std::fmt::Display;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};
use token_provider::{Fingerprint, Scope};

use crate::reason::{Method, Outcome, Rule};
use crate::telemetry::TraceParent;

/// What a stranger wrote is kept up to this length.
const MAX_FOREIGN: usize = 256;

/// One handout or refusal: the fields of an audit line but the time, in their order. Holds no secret: there is no field
/// for one.
#[derive(Debug, Default, Serialize)]
pub struct Event {
    /// When, since the epoch.
    #[serde(skip)]
    pub time: Duration,
    /// How it ended.
    pub outcome: Outcome,
    /// The rule that refused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
    /// More closely, why: what was wrong with a token of the identity provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// The `error` that the caller was told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'static str>,
    /// The HTTP status.
    pub status: u16,
    /// How the caller has shown who it is; `None` for one that has not been let in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// Who it is, if it has a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller: Option<Arc<str>>,
    /// Where the request came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The page that asked, as its browser says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<Box<str>>,
    /// The host that the request names, where none of the server's names is that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<Box<str>>,
    /// The profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<Arc<str>>,
    /// The scope that the token has; where there is none, the one asked for.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text")]
    pub scope: Option<Scope>,
    /// The token's lifetime in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<u64>,
    /// How many seconds of it were left.
    #[serde(skip_serializing_if = "Option::is_none", rename = "seconds_left")]
    pub left: Option<u64>,
    /// The token's fingerprint.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text")]
    pub fingerprint: Option<Fingerprint>,
    /// The request.
    pub request_id: Box<str>,
    /// The caller's trace.
    #[serde(skip_serializing_if = "Option::is_none", rename = "trace_id", serialize_with = "trace_id")]
    pub trace: Option<TraceParent>,
    /// How long the answer took.
    #[serde(rename = "duration_us", serialize_with = "micros")]
    pub took: Duration,
}

#[expect(clippy::ref_option, reason = "serde passes it so")]
fn text<S: Serializer>(value: &Option<impl Display>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

#[expect(clippy::ref_option, reason = "serde passes it so")]
fn trace_id<S: Serializer>(trace: &Option<TraceParent>, serializer: S) -> Result<S::Ok, S::Error> {
    trace.as_ref().map(TraceParent::trace_id).serialize(serializer)
}

fn micros<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    span.as_micros().serialize(serializer)
}

/// Copies what a stranger wrote, up to a length: as part of the request it would keep all of that in memory.
pub fn foreign(text: &[u8]) -> Box<str> {
    let text = String::from_utf8_lossy(text.get(..MAX_FOREIGN).unwrap_or(text));
    // What is no UTF-8 takes three times the room.
    let is_within = |(at, character): &(usize, char)| at + character.len_utf8() <= MAX_FOREIGN;
    text.char_indices().take_while(is_within).map(|(_, character)| character).collect()
}
