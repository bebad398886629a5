//! What the server tells those who run it: the log, the audit trail, and the figures behind metrics and status.
//!
//! A handout costs two things here: one addition to a counter that its thread has to itself, and one event put into its
//! thread's queue. Lines are made and written elsewhere, by the audit trail's own thread.

pub mod audit;
mod config;
mod counter;
mod exposition;
mod flood;
mod issuer;
pub(crate) mod log;
#[cfg(feature = "otlp")]
pub mod otlp;
mod output;
mod process;
mod stamp;
mod trace;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;

use self::audit::{Audit, Event, Outcome};
use self::flood::Flood;

pub use self::config::ConfigStatus;
pub use self::counter::{Counter, Histogram};
pub use self::exposition::{Exposition, Format, Kind};
pub use self::issuer::{ISSUER_OUTCOMES, MeteredIssuer, place_of};
pub use self::log::{LastLines, init, lines_lost, report_panics, set_level};
pub use self::process::Process;
pub use self::stamp::rfc_3339;
pub use self::trace::{TraceParent, Waiting};

/// Every access rule that can say no, as it is called in answers, audit lines and metrics.
pub const RULES: [&str; 9] =
    ["authenticate", "claims", "host", "origin", "prefetch", "profile", "rate", "request", "scope"];

/// What [`RULES`] does not list is counted as this one. (A test sees to it that nothing is.)
const OTHER_RULE: &str = "request";

/// How a caller can have shown who it is, as metrics have it; the last one is for callers that have not.
pub const METHODS: [&str; 5] = ["api_key", "oidc", "mtls", "trusted_proxy", "anonymous"];

/// Says when the certificate of the listeners ends.
type Expiry = Box<dyn Fn() -> Option<SystemTime> + Send + Sync>;

/// The figures of a running server that belong to no profile, and its audit trail.
#[derive(Default)]
pub struct Telemetry {
    audit: Option<Audit>,
    refusals: [Refusals; RULES.len()],
    failures: Refusals,
    limited: [AtomicU64; METHODS.len()],
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
            audit.push(event);
        }
    }

    fn note_refusal(&self, event: &Event) {
        let refusals = match event.rule {
            Some(rule) => self.refusals_by(rule),
            None => &self.failures,
        };
        refusals.count.fetch_add(1, Ordering::Relaxed);
        if event.rule == Some("rate") {
            let method = METHODS.iter().position(|method| Some(*method) == event.method);
            if let Some(limited) = self.limited.get(method.unwrap_or(METHODS.len() - 1)) {
                limited.fetch_add(1, Ordering::Relaxed);
            }
        }
        // Where the audit trail goes into the log, the line is there already.
        if self.audit.as_ref().is_some_and(Audit::is_in_log) {
            return;
        }
        if let Some(unsaid) = refusals.flood.admit(event.time) {
            log::refusal(event, unsaid);
        }
    }

    fn refusals_by(&self, rule: &str) -> &Refusals {
        let place = |rule| self.refusals.get(RULES.iter().position(|listed| *listed == rule)?);
        place(rule).or_else(|| place(OTHER_RULE)).unwrap_or(&self.failures)
    }

    /// Returns how many requests each rule has refused.
    pub fn refusals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        RULES.into_iter().map(|rule| (rule, self.refusals_by(rule).count.load(Ordering::Relaxed)))
    }

    /// Returns how many requests were refused because their caller, or its address, asked too often; by how the caller
    /// had shown who it is.
    pub fn limited(&self) -> impl Iterator<Item = (&'static str, u64)> {
        METHODS.into_iter().zip(self.limited.iter().map(|count| count.load(Ordering::Relaxed)))
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
