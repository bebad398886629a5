//! What the server tells those who run it: the log, the audit trail, and the figures behind metrics and status.
//!
//! A handout costs two things here: additions to counters, and one line put into a queue. Lines are written elsewhere, by
//! threads that may wait for a disk or a reader.

pub mod audit;
mod exposition;
mod issuer;
pub(crate) mod log;
mod process;
mod sink;
mod status;
mod system;
mod time;
mod trace;
mod writer;

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use token_provider::{Clock as _, SystemClock};

use crate::reason::{Method, Outcome, Rule};

use self::audit::{Audit, Event};

pub use self::exposition::{CONTENT_TYPE, Page, page};
pub use self::issuer::{BUCKETS, MeteredIssuer, endpoint_of, is_cut};
pub use self::log::{LastLines, init, lines_lost, report_panics, set_level};
pub use self::process::Process;
pub use self::status::{ConfigStatus, OutputStatus, StoreStatus};
pub use self::time::rfc_3339;
pub use self::trace::trace_id;

/// How many requests from a caller ended in each way. One that the configuration names has its own count, an API key, an access
/// key, the name in a client certificate or an output; others have one for each method, as there are as many as their issuers make.
pub type Callers = BTreeMap<(Method, Arc<str>, Outcome), u64>;

/// How often each variant of an enum has come up; one that has not may be missing.
pub type Tally<E> = Mutex<BTreeMap<E, u64>>;

/// Returns how often each variant has come up, of all that there are: a metric is to be there before anything has happened.
pub fn each<E: Copy + Ord, const N: usize>(all: [E; N], tally: &Tally<E>) -> [(E, u64); N] {
    let tally = tally.lock();
    all.map(|variant| (variant, tally.get(&variant).copied().unwrap_or_default()))
}

/// The figures of a running server that belong to no profile, and its audit trail.
#[derive(Debug, Default)]
pub struct Telemetry {
    /// When the process was started, since the epoch.
    pub started: Duration,
    /// The audit trail, if there is one.
    pub audit: Option<Audit>,
    /// The state of the configuration file.
    pub config: ArcSwap<ConfigStatus>,
    /// How each file that holds a fresh token stands, by its path.
    pub outputs: Mutex<BTreeMap<Arc<str>, OutputStatus>>,
    /// How the store stands, if there is one.
    pub store: Option<Arc<StoreStatus>>,
    /// How many requests each rule has refused.
    pub refusals: Tally<Rule>,
    /// How many requests were refused because their caller, or its address, sent too many; by how the caller authenticated.
    pub limited: Tally<Method>,
    /// How many requests of each caller ended in each way.
    pub callers: Mutex<Callers>,
    /// How many reports that a service refused a token came to what, for each profile.
    pub reports: Mutex<BTreeMap<(Arc<str>, &'static str), u64>>,
    /// How many handouts each rule has made whose handouts are marked.
    pub audited: Mutex<BTreeMap<Arc<str>, u64>>,
    /// Each connection that is open holds it.
    connections: Arc<()>,
    /// When the certificate of the listeners expires, since the epoch.
    pub certificate_expiry: Mutex<Option<Duration>>,
}

impl Telemetry {
    /// Starts with an audit trail, if there is one.
    pub fn new(audit: Option<Audit>) -> Self {
        Self { started: SystemClock.now().wall, audit, ..Self::default() }
    }

    /// Counts how a request for a token ended, and writes it to the audit trail. A refusal or failure is in the log wherever the
    /// trail is.
    pub fn note(&self, event: Event) {
        self.count(&event);
        if event.outcome != Outcome::HandedOut && !self.audit.as_ref().is_some_and(Audit::is_in_log) {
            audit::log(&event);
        }
        if let Some(audit) = &self.audit {
            audit.record(event);
        }
    }

    fn count(&self, event: &Event) {
        if let Some(method) = event.subject.method {
            let name =
                event.subject.caller.clone().filter(|_| event.subject.is_configured).unwrap_or_default();
            *self.callers.lock().entry((method, name, event.outcome)).or_default() += 1;
        }
        if let (Outcome::Reported, Some(profile), Some(outcome)) =
            (event.outcome, event.subject.profile.clone(), event.reason)
        {
            *self.reports.lock().entry((profile, outcome)).or_default() += 1;
        }
        if let Some(rule) = event.subject.audit_rule.as_ref().filter(|_| event.outcome == Outcome::HandedOut)
        {
            *self.audited.lock().entry(Arc::clone(rule)).or_default() += 1;
        }
        let Some(rule) = event.rule else { return };
        *self.refusals.lock().entry(rule).or_default() += 1;
        if rule == Rule::Rate {
            let method = event.subject.method.unwrap_or(Method::Anonymous);
            *self.limited.lock().entry(method).or_default() += 1;
        }
    }

    /// Returns what each connection is to hold that counts as open.
    pub fn open(&self) -> Weak<()> {
        Arc::downgrade(&self.connections)
    }

    /// Returns how many connections are open.
    pub fn connections(&self) -> usize {
        // One reference is that of the count itself.
        Arc::strong_count(&self.connections) - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Subject;

    #[test]
    fn callers_that_the_configuration_names_are_counted_by_name() {
        let telemetry = Telemetry::default();
        for (name, is_configured) in [("a", true), ("b", false), ("c", false)] {
            let (method, caller) = (Some(Method::Mtls), Some(name.into()));
            let subject = Subject { method, caller, is_configured, ..Subject::default() };
            telemetry.note(Event { subject, ..Event::default() });
        }
        let counts: Vec<_> = telemetry.callers.lock().clone().into_iter().collect();
        let counts: Vec<_> = counts.iter().map(|((_, name, _), count)| (&**name, *count)).collect();
        assert_eq!(counts, [("", 2), ("a", 1)]);
    }

    #[test]
    fn handout_by_an_audited_rule_is_counted_and_a_refusal_is_not() {
        let telemetry = Telemetry::default();
        for outcome in Outcome::ALL {
            let subject = Subject { audit_rule: Some("access.mtls.rules[0]".into()), ..Subject::default() };
            telemetry.note(Event { outcome, subject, ..Event::default() });
        }
        let counts: Vec<_> = telemetry.audited.lock().clone().into_iter().collect();
        assert_eq!(counts, [("access.mtls.rules[0]".into(), 1)]);
    }
}
