//! What the server tells those who run it: the log, the audit trail, and the figures behind metrics and status.
//!
//! A handout costs two things here: one addition to a counter, and one line put into a queue. Lines are written elsewhere, by
//! threads that may wait for a disk or a reader.

pub mod audit;
mod config;
mod exposition;
mod flood;
mod issuer;
pub(crate) mod log;
mod process;
mod sink;
mod time;
mod trace;
mod writer;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;

use token_provider::{Clock as _, SystemClock};

use crate::reason::{Method, Outcome, Rule};

use self::audit::{Audit, Event};
use self::flood::Flood;

pub use self::config::ConfigStatus;
pub use self::exposition::{CONTENT_TYPE, NO_LABELS, Page, page};
pub use self::issuer::{MeteredIssuer, endpoint_of};
pub use self::log::{LastLines, init, lines_lost, report_panics, set_level};
pub use self::process::Process;
pub use self::time::rfc_3339;
pub use self::trace::trace_id;

/// Returns when the certificate of the listeners expires.
pub type Expiry = Box<dyn Fn() -> Option<SystemTime> + Send + Sync>;

/// A connection that counts as open until it is dropped.
pub type OpenConnection = Arc<()>;

/// The figures of a running server that belong to no profile, and its audit trail.
#[derive(Default)]
pub struct Telemetry {
    /// When the process was started, since the epoch.
    pub started: Duration,
    /// The audit trail, if there is one.
    pub audit: Option<Audit>,
    /// The state of the configuration file.
    pub config: ArcSwap<ConfigStatus>,
    refusals: [Refusals; Rule::ALL.len()],
    failures: Refusals,
    limited: [AtomicU64; Method::ALL.len()],
    connections: OpenConnection,
    certificate: Option<Expiry>,
}

/// Refusals of one kind.
#[derive(Debug, Default)]
struct Refusals {
    count: AtomicU64,
    flood: Flood,
}

impl Telemetry {
    /// Starts with an audit trail and a certificate, if there are any.
    pub fn new(audit: Option<Audit>, certificate: Option<Expiry>) -> Self {
        Self { started: SystemClock.now().wall, audit, certificate, ..Self::default() }
    }

    /// Counts how a request for a token ended, and writes it to the audit trail. A refusal or failure is in the log, too: as the
    /// line of the audit trail where that goes into the log, else as another line.
    pub fn note(&self, event: Event) {
        if event.outcome != Outcome::HandedOut {
            let refusals = self.count_refusal(&event);
            if !self.audit.as_ref().is_some_and(Audit::is_in_log) {
                refusals.log(&event);
            }
        }
        if let Some(audit) = &self.audit {
            audit.record(event);
        }
    }

    #[expect(clippy::indexing_slicing, reason = "each array has an element for every variant")]
    fn count_refusal(&self, event: &Event) -> &Refusals {
        let refusals = match event.rule {
            Some(rule) => &self.refusals[rule as usize],
            None => &self.failures,
        };
        refusals.count.fetch_add(1, Ordering::Relaxed);
        if event.rule == Some(Rule::Rate) {
            let method = event.method.unwrap_or(Method::Anonymous);
            self.limited[method as usize].fetch_add(1, Ordering::Relaxed);
        }
        refusals
    }

    /// Returns how many requests each rule has refused.
    pub fn refusals(&self) -> impl Iterator<Item = (Rule, u64)> {
        let counts = self.refusals.iter().map(|refusals| refusals.count.load(Ordering::Relaxed));
        Rule::ALL.into_iter().zip(counts)
    }

    /// Returns how many requests were refused because their caller, or its address, sent too many; by how the caller
    /// authenticated.
    pub fn limited(&self) -> impl Iterator<Item = (Method, u64)> {
        Method::ALL.into_iter().zip(self.limited.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    /// Counts a connection as open.
    pub fn connection(&self) -> OpenConnection {
        Arc::clone(&self.connections)
    }

    /// Returns how many connections are open.
    pub fn connections(&self) -> usize {
        // One reference is that of the count itself.
        Arc::strong_count(&self.connections) - 1
    }

    /// Returns when the certificate expires, since the epoch.
    pub fn certificate_expiry(&self) -> Option<Duration> {
        self.certificate.as_ref()?()?.duration_since(SystemTime::UNIX_EPOCH).ok()
    }
}

impl Refusals {
    /// Logs a request that got no token, unless too many were logged just now.
    fn log(&self, event: &Event) {
        let Some(not_logged) = self.flood.admit(event.time) else { return };
        macro_rules! log {
            ($level:ident, $message:literal) => {
                tracing::$level!(
                    request.id = %event.request_id,
                    trace.id = event.trace_id.as_deref(),
                    caller.id = event.caller.as_deref(),
                    caller.method = event.method.map(Method::as_str),
                    caller.address = event.address.map(tracing::field::display),
                    http.status = event.status,
                    error = event.error,
                    rule = event.rule.map(Rule::as_str),
                    reason = event.reason,
                    http.host = event.host.as_deref(),
                    http.origin = event.origin.as_deref(),
                    not_logged = (not_logged > 0).then_some(not_logged),
                    $message
                )
            };
        }
        if event.outcome == Outcome::Failed {
            log!(warn, "no token for a caller");
        } else {
            log!(info, "request refused");
        }
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").field("audit", &self.audit).finish_non_exhaustive()
    }
}
