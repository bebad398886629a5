//! Which web pages are allowed (section `cors`).

use super::overrides::Overrides;
use crate::settings::{List, Section};
use crate::values::OriginPattern;
use crate::values::origin::pattern;

/// The flag that sets `origins`, or adds to it.
const FLAG: &str = "--allow-origin";

/// Allowed by default: pages that this machine serves over plain http, on any port, such as development servers.
const LOOPBACK: [&str; 3] = ["http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*"];

/// Reads the section: the origins whose pages are allowed, those of loopback by default. The flags add to it on a server that only
/// this machine reaches, and take its place on any other. `ambient` names a way to authenticate in which the browser takes part
/// unasked, if one is configured.
pub(super) fn read(
    mut section: Section<'_>,
    flags: &Overrides,
    is_local: bool,
    ambient: Option<&str>,
) -> Vec<OriginPattern> {
    let listed = section.list("origins", List::Any, pattern);
    let given = section.arguments(FLAG, "cors.origins", &flags.allow_origin, pattern).unwrap_or_default();
    check(listed.as_deref().unwrap_or_default(), ambient, |message| section.error("origins", message));
    check(&given, ambient, |message| section.error_of_flag(FLAG, message));

    let mut origins = given.clone();
    if given.is_empty() || is_local {
        let rules = LOOPBACK.map(|rule| pattern(rule).expect("is a rule"));
        let others = listed.unwrap_or_else(|| rules.into());
        origins.extend(others.into_iter().filter(|origin| !given.contains(origin)));
    }
    if origins.contains(&OriginPattern::Any) {
        return vec![OriginPattern::Any];
    }
    origins
}

fn check(origins: &[OriginPattern], ambient: Option<&str>, report: impl Fn(String)) {
    if !origins.contains(&OriginPattern::Any) {
        return;
    }
    if origins.len() > 1 {
        report("`*` allows every origin, so it must be the only entry".to_owned());
    }
    // Fetch lets no page read an answer that is for `*` and was requested with credentials; without this rule
    // people would make the server repeat each page's origin instead, and open it to every page on the web.
    if let Some(ambient) = ambient {
        report(format!(
            "`*` cannot be combined with {ambient}, because browsers then send credentials automatically: \
             list the origins"
        ));
    }
}
