//! Which policy a caller has: that of the first rule of its section that matches it, or, where the section has no rules, the
//! section's own.

use std::sync::Arc;

use serde_json::Value;

use super::caller::Caller;
use super::policy::Policy;
use crate::config::RuleConfig;
use crate::problem::Problem;
use crate::reason::{Method, Rule};
use crate::values::Pattern;
use crate::values::claim::texts;

/// A name of a caller, and what is known of it: the claims of its token, or in the same form what else has shown who it is.
pub(super) type Identity = (Arc<str>, Value);

impl Policy {
    /// Returns the caller with the policy of the first rule that matches one of its identities. Without rules, it has its own name
    /// and this policy.
    ///
    /// # Errors
    ///
    /// 403 if there are rules and none matches. What they are is not said: the caller may be a stranger.
    pub(super) fn caller(
        &self,
        method: Method,
        name: Option<Arc<str>>,
        identities: impl FnOnce() -> Vec<Identity>,
    ) -> Result<Caller<'_>, Problem> {
        let own = Caller::new(method, name, self);
        if self.rules.is_empty() {
            return Ok(own);
        }
        let identities = identities();
        for (rule, policy) in &self.rules {
            if let Some(name) = identities.iter().find_map(|identity| name_by(rule, identity)) {
                return Ok(Caller::new(method, Some(name), policy));
            }
        }
        Err(Problem::access_denied(Rule::Rules, "no rule lets this caller in").with_subject(own.subject()))
    }
}

/// Returns the name that a caller has by a rule, if that matches it.
fn name_by(rule: &RuleConfig, (name, facts): &Identity) -> Option<Arc<str>> {
    let has = |(claim, patterns): &(String, Vec<Pattern>)| {
        texts(facts.pointer(claim)).any(|text| patterns.iter().any(|pattern| pattern.matches(text)))
    };
    if rule.claims.is_empty() || !rule.claims.iter().all(has) {
        return None;
    }
    rule.name.as_ref().map_or_else(|| Some(Arc::clone(name)), |name| Some(name.fill(facts)?.into()))
}
