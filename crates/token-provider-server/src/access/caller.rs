//! Who is asking: a name, how it was shown, and the rules that go with it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::policy::Policy;
use super::rate::network_of;
use crate::problem::{Problem, Subject};
use crate::reason::Method;

/// Who is asking, for as long as the rules by which it was let in are at hand. Made by this room alone.
#[derive(Clone, Debug)]
pub struct Caller<'r> {
    pub(super) method: Method,
    /// A key's id, a certificate's name, a subject.
    pub(super) name: Option<Arc<str>>,
    /// Which of its two API keys it has shown.
    pub(super) key: Option<Arc<str>>,
    /// Where its request came from.
    pub(super) address: Option<IpAddr>,
    pub(super) policy: &'r Policy,
}

impl<'r> Caller<'r> {
    pub(super) fn new(method: Method, name: Option<Arc<str>>, policy: &'r Policy) -> Self {
        Self { method, name, key: None, address: None, policy }
    }

    /// Takes one from the caller's bucket. One without a name has none: what counts for it is its address.
    pub(super) fn admit_rate(&self) -> Result<(), Problem> {
        let Some((name, limiter)) = self.name.as_ref().zip(self.policy.limiter.as_ref()) else {
            return Ok(());
        };
        limiter.take(name).map_err(|problem| problem.with_subject(self.subject()))
    }

    /// Returns the profile that it gets if it names none: for an access key, whose holder cannot name one, its first.
    pub(crate) fn usual_profile(&self) -> Option<&'r str> {
        let first = self.policy.config.profiles.first().filter(|_| self.method == Method::HereKey);
        first.map(String::as_str)
    }

    /// Returns how long it waits for a token, if the provider lets it. HERE's Java SDK waits for 5 s, and then sends the same
    /// request again: a token that came later would have used up its nonce.
    pub(super) fn max_wait(&self) -> Duration {
        if self.method == Method::HereKey { Duration::from_secs(4) } else { Duration::MAX }
    }

    /// Returns who it is, for the audit trail.
    pub fn subject(&self) -> Subject {
        let (policy, address) = (self.policy, self.address);
        let is_named =
            matches!(self.method, Method::ApiKey | Method::HereKey | Method::Mtls | Method::Output);
        let is_configured = is_named && policy.config.path.is_empty() && policy.rules.is_empty();
        let audit_rule = policy.config.is_audit.then(|| Arc::clone(&policy.config.path));
        let (method, caller, key) = (Some(self.method), self.name.clone(), self.key.clone());
        Subject { method, caller, key, is_configured, audit_rule, address, ..Subject::default() }
    }

    /// Returns who is charged with what is held for this caller: its name, else its network. Who has the same name by another policy
    /// is somebody else.
    pub(super) fn owner(&self) -> String {
        match (&self.name, self.address) {
            (Some(name), _) => format!("{} {} {name}", self.method, self.policy.config.path),
            (None, Some(address)) => network_of(address).to_string(),
            (None, None) => self.method.to_string(),
        }
    }
}
