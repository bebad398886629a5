//! Rules of a way to authenticate: whom each matches, and what it gives them in place of what the section says.

use super::policy::{self, Known, PolicyConfig, RuleConfig};
use crate::settings::{List, Section, word};
use crate::values::Pattern;
use crate::values::claim::claim_pointer;

/// Whether a rule's handouts are marked.
const MODES: [(&str, bool); 2] = [("enforce", false), ("audit", true)];

/// Reads a section's policy with its `rules`. A rule inherits what it does not set. `matching` reads the keys that say whom a rule
/// matches, and reports it if there are none.
pub(super) fn read(
    section: &mut Section<'_>,
    known: &Known<'_>,
    matching: impl Fn(&mut Section<'_>) -> RuleConfig,
) -> PolicyConfig {
    let own = policy::read(section, "", known);
    let known = Known { usual: &own, ..*known };
    let read = |mut rule: Section<'_>| {
        let matching = matching(&mut rule);
        let mut policy = policy::read(&mut rule, "", &known);
        policy.is_audit = rule.text("mode", |text: &str| word(text, &MODES, None)).unwrap_or_default();
        policy.path = rule.dotted().into();
        (matching, policy)
    };
    let rules = section.tables("rules", List::NotEmpty).into_iter().map(read).collect();
    PolicyConfig { rules, ..own }
}

/// Reads lists of patterns, one at least, for what is known of a caller by the same names.
pub(super) fn listed(
    rule: &mut Section<'_>,
    keys: &[&str],
    pattern: fn(&str) -> Result<Pattern, &'static str>,
) -> RuleConfig {
    let read = |key: &&str| {
        let claim = claim_pointer(key).expect("a key is the name of a claim");
        Some((claim, rule.list(key, List::NotEmpty, pattern)?))
    };
    let claims = keys.iter().filter_map(read).collect();
    if !keys.iter().any(|key| rule.is_set(key)) {
        rule.error_here(format!("matches nobody; expected {}, a list of names", keys.join(" or ")));
    }
    RuleConfig { claims, name: None }
}
