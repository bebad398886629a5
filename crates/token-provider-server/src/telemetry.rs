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
mod trace;
mod writer;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;

use crate::reason::{Method, Outcome, Rule};

use self::audit::{Audit, Event};
use self::flood::Flood;

pub use self::config::ConfigStatus;
pub use self::exposition::{Exposition, Format, Kind};
pub use self::issuer::{MeteredIssuer, place_of};
pub use self::log::{LastLines, init, lines_lost, report_panics, set_level};
pub use self::process::Process;
pub use self::trace::{TraceParent, Waiting};

/// Says when the certificate of the listeners ends.
type Expiry = Box<dyn Fn() -> Option<SystemTime> + Send + Sync>;

/// The figures of a running server that belong to no profile, and its audit trail.
#[derive(Default)]
pub struct Telemetry {
    audit: Option<Audit>,
    refusals: [Refusals; Rule::ALL.len()],
    failures: Refusals,
    limited: [AtomicU64; Method::ALL.len()],
    connections: AtomicU64,
    certificate: OnceLock<Expiry>,
    config: ArcSwap<ConfigStatus>,
}

/// Refusals of one kind.
#[derive(Debug, Default)]
struct Refusals {
    count: AtomicU64,
    flood: Flood,
}

/// A connection that is counted as open until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct OpenConnection(Arc<Telemetry>);

impl Telemetry {
    /// Begins with an audit trail, or without one.
    pub fn new(audit: Option<Audit>) -> Self {
        Self { audit, ..Self::default() }
    }

    /// Returns the audit trail, if there is one.
    pub fn audit(&self) -> Option<&Audit> {
        self.audit.as_ref()
    }

    /// Takes note of how a request for a token ended.
    pub fn note(&self, event: Event) {
        if event.outcome != Outcome::HandedOut {
            self.note_refusal(&event);
        }
        if let Some(audit) = &self.audit {
            audit.record(event);
        }
    }

    #[expect(clippy::indexing_slicing, reason = "each array has a place for every variant")]
    fn note_refusal(&self, event: &Event) {
        let refusals = match event.rule {
            Some(rule) => &self.refusals[rule as usize],
            None => &self.failures,
        };
        refusals.count.fetch_add(1, Ordering::Relaxed);
        if event.rule == Some(Rule::Rate) {
            let method = event.method.unwrap_or(Method::Anonymous);
            self.limited[method as usize].fetch_add(1, Ordering::Relaxed);
        }
        // Where the audit trail goes into the log, the line is there already.
        if self.audit.as_ref().is_some_and(Audit::is_in_log) {
            return;
        }
        if let Some(unsaid) = refusals.flood.admit(event.time) {
            log_refusal(event, unsaid);
        }
    }

    /// Returns how many requests each rule has refused.
    pub fn refusals(&self) -> impl Iterator<Item = (Rule, u64)> {
        let counts = self.refusals.iter().map(|refusals| refusals.count.load(Ordering::Relaxed));
        Rule::ALL.into_iter().zip(counts)
    }

    /// Returns how many requests were refused because their caller, or its address, asked too often; by how the caller
    /// had shown who it is.
    pub fn limited(&self) -> impl Iterator<Item = (Method, u64)> {
        Method::ALL.into_iter().zip(self.limited.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    /// Counts a connection as open.
    pub fn connection(self: &Arc<Self>) -> OpenConnection {
        self.connections.fetch_add(1, Ordering::Relaxed);
        OpenConnection(Arc::clone(self))
    }

    /// Returns how many connections are open.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Takes how the configuration file stands.
    pub fn set_config(&self, status: ConfigStatus) {
        self.config.store(Arc::new(status));
    }

    /// Returns how the configuration file stands.
    pub fn config(&self) -> Arc<ConfigStatus> {
        self.config.load_full()
    }

    /// Takes what says when the certificate ends. Counts the first time.
    pub fn watch_certificate(&self, expiry: impl Fn() -> Option<SystemTime> + Send + Sync + 'static) {
        // There is one certificate, set up once.
        let _ = self.certificate.set(Box::new(expiry));
    }

    /// Returns when the certificate ends, since the epoch.
    pub fn certificate_expiry(&self) -> Option<Duration> {
        self.certificate.get()?()?.duration_since(SystemTime::UNIX_EPOCH).ok()
    }
}

/// Logs a request that got no token. `unsaid` were left out before it.
fn log_refusal(event: &Event, unsaid: u64) {
    let caller = event.caller.as_deref();
    let address = event.address.map(tracing::field::display);
    let id = tracing::field::display(&event.request_id);
    let unsaid = (unsaid > 0).then_some(unsaid);
    let trace = event.trace.as_ref().map(TraceParent::trace_id);
    if event.outcome == Outcome::Refused {
        tracing::info!(
            request.id = id,
            trace.id = trace,
            caller.id = caller,
            caller.method = event.method.map(Method::as_str),
            caller.address = address,
            http.status = event.status,
            error = event.error,
            rule = event.rule.map(Rule::as_str),
            reason = event.reason,
            http.host = event.host.as_deref(),
            not_logged = unsaid,
            "request refused"
        );
    } else {
        tracing::warn!(
            request.id = id,
            trace.id = trace,
            caller.id = caller,
            caller.method = event.method.map(Method::as_str),
            caller.address = address,
            http.status = event.status,
            error = event.error,
            not_logged = unsaid,
            "no token for a caller"
        );
    }
}

/// Returns a time since the epoch as text: RFC 3339, in UTC, with milliseconds.
pub fn rfc_3339(time: Duration) -> String {
    humantime::format_rfc3339_millis(SystemTime::UNIX_EPOCH + time).to_string()
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Telemetry").field("audit", &self.audit).finish_non_exhaustive()
    }
}
