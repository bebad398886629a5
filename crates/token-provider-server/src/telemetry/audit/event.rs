//! What an audit line is made from: put together while a request is answered, without making text of anything.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use token_provider::{Fingerprint, Scope};

use crate::reason::{Method, Outcome, Rule};
use crate::telemetry::TraceParent;

/// What a stranger wrote is kept up to this length.
const MAX_FOREIGN: usize = 256;

/// The name of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestId {
    /// Made here.
    Made(u128),
    /// Brought along by the request.
    Given(Box<str>),
}

/// One handout or refusal. Holds no secret: there is no field for one.
#[derive(Debug)]
pub struct Event {
    /// When, since the epoch.
    pub time: Duration,
    /// How it ended.
    pub outcome: Outcome,
    /// The rule that said no.
    pub rule: Option<Rule>,
    /// More closely, why: what was wrong with a token of the identity provider.
    pub reason: Option<&'static str>,
    /// The `error` that the caller was told.
    pub error: Option<&'static str>,
    /// The HTTP status.
    pub status: u16,
    /// How long the answer took.
    pub took: Duration,
    /// How the caller has shown who it is; `None` for one that has not been let in.
    pub method: Option<Method>,
    /// Who it is, if it has a name.
    pub caller: Option<Arc<str>>,
    /// Where the request came from.
    pub address: Option<IpAddr>,
    /// The page that asked, as its browser says.
    pub origin: Option<Box<str>>,
    /// The host that the request names, where none of the server's names is that.
    pub host: Option<Box<str>>,
    /// The profile, by its number.
    pub profile: Option<usize>,
    /// The scope that the token has; where there is none, the one asked for.
    pub scope: Option<Scope>,
    /// The token's lifetime in seconds.
    pub lifetime: Option<u64>,
    /// How many seconds of it were left.
    pub left: Option<u64>,
    /// The token's fingerprint.
    pub fingerprint: Option<Fingerprint>,
    /// The request.
    pub request_id: RequestId,
    /// The caller's trace.
    pub trace: Option<TraceParent>,
}

impl Default for Event {
    fn default() -> Self {
        Self {
            time: Duration::ZERO,
            outcome: Outcome::Refused,
            rule: None,
            reason: None,
            error: None,
            status: 0,
            took: Duration::ZERO,
            method: None,
            caller: None,
            address: None,
            origin: None,
            host: None,
            profile: None,
            scope: None,
            lifetime: None,
            left: None,
            fingerprint: None,
            request_id: RequestId::Made(0),
            trace: None,
        }
    }
}

/// Copies what a stranger wrote, up to a length: as part of the request it would keep all of that in memory.
pub fn foreign(text: &[u8]) -> Box<str> {
    let text = String::from_utf8_lossy(text.get(..MAX_FOREIGN).unwrap_or(text));
    // What is no UTF-8 takes three times the room.
    let is_within = |(at, character): &(usize, char)| at + character.len_utf8() <= MAX_FOREIGN;
    text.char_indices().take_while(is_within).map(|(_, character)| character).collect()
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Made(number) => write!(f, "{number:032x}"),
            Self::Given(text) => f.write_str(text),
        }
    }
}
