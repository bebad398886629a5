//! `/metrics`: every name in one place. Values of labels come from the configuration and from code, never from callers,
//! so that there are only so many of them.

use std::sync::Arc;

use token_provider::Scope;

use crate::access::ProfileStatus;
use crate::http::App;
use crate::telemetry::audit::Audit;
use crate::telemetry::{self, Exposition, Format, Kind, Process};

/// Labels of one token.
type TokenLabels<'a> = [(&'static str, &'a str); 3];

/// Returns the page.
pub(super) fn page(app: &Arc<App>, format: Format, process: Option<Process>) -> String {
    let app = Arc::clone(app);
    format.page(move |page| write(page, &app, process))
}

fn write(page: &mut Exposition<'_>, app: &App, process: Option<Process>) {
    let profiles: Vec<ProfileStatus<'_>> = app.access().handout().status().collect();
    build(page);
    config(page, app);
    handouts(page, &profiles);
    requests(page, app);
    if let Some((provider, is_up)) = app.access().rules().identity_provider() {
        page.family(
            "token_provider_oidc_up",
            Kind::Gauge,
            "Whether the identity provider, when it was last asked, had keys that can be used: 1, else 0.",
        )
        .sample(&[("provider", provider)], u64::from(is_up));
    }
    issuers(page, &profiles);
    tokens(page, &profiles);
    if let Some(audit) = app.telemetry().audit() {
        trail(page, audit);
    }
    page.family(
        "token_provider_log_lines_lost_total",
        Kind::Counter,
        "Log lines lost, because too many waited for their reader or because they could not be written.",
    )
    .count(&[], telemetry::lines_lost());
    if let Some(end) = app.telemetry().certificate_expiry() {
        page.family(
            "token_provider_certificate_expiry_timestamp_seconds",
            Kind::Gauge,
            "When the certificate of the listeners ends, since the Unix epoch.",
        )
        .sample(&[], end.as_secs());
    }
    if let Some(process) = process {
        process.write(page);
    }
}

fn build(page: &mut Exposition<'_>) {
    page.family("token_provider_build_info", Kind::Info, "The version that runs; always 1.")
        .info(&[("version", env!("CARGO_PKG_VERSION"))]);
}

fn config(page: &mut Exposition<'_>, app: &App) {
    page.family(
        "token_provider_config_last_reload_successful",
        Kind::Gauge,
        "Whether the server does what the configuration file said when it was last read: 1, else 0.",
    )
    .sample(&[], u64::from(app.telemetry().config.load().is_reloaded()));
}

fn handouts(page: &mut Exposition<'_>, profiles: &[ProfileStatus<'_>]) {
    let mut handouts = page.family(
        "token_provider_handouts_total",
        Kind::Counter,
        "Permitted requests for tokens: with one that was held, with one that was waited for, or with none.",
    );
    for profile in profiles {
        let outcomes = [("held", profile.held), ("waited", profile.waited), ("failed", profile.failed)];
        for (outcome, count) in outcomes {
            handouts.count(&[("profile", profile.name), ("outcome", outcome)], count);
        }
    }
    let mut ready = page.family(
        "token_provider_profile_ready",
        Kind::Gauge,
        "Whether tokens that callers ask for can be handed out: 1, else 0.",
    );
    for profile in profiles {
        ready.sample(&[("profile", profile.name)], u64::from(profile.is_ready));
    }
    let mut rotated = page.family(
        "token_provider_credential_last_rotation_successful",
        Kind::Gauge,
        "Whether the credential in use is the one that its file holds: 1, else 0.",
    );
    for profile in profiles {
        rotated.sample(&[("profile", profile.name)], u64::from(profile.rotation_problem.is_none()));
    }
}

fn requests(page: &mut Exposition<'_>, app: &App) {
    let telemetry = app.telemetry();
    let mut refusals =
        page.family("token_provider_refusals_total", Kind::Counter, "Requests that a rule refused.");
    for (rule, count) in telemetry.refusals() {
        refusals.count(&[("rule", rule.as_str())], count);
    }
    let mut limited = page.family(
        "token_provider_callers_limited_total",
        Kind::Counter,
        "Requests refused for coming too often, by how the caller had shown who it is.",
    );
    for (method, count) in telemetry.limited() {
        limited.count(&[("method", method.as_str())], count);
    }
    page.family("token_provider_connections_open", Kind::Gauge, "Connections of callers that are open.")
        .sample(&[], telemetry.connections());
}

fn issuers(page: &mut Exposition<'_>, profiles: &[ProfileStatus<'_>]) {
    let issuers = || profiles.iter().filter_map(|profile| Some((profile.name, profile.issuer?)));
    let mut requests = page.family(
        "token_provider_issuer_requests_total",
        Kind::Counter,
        "Requests to the issuer that have come to an end.",
    );
    for (profile, issuer) in issuers() {
        for (outcome, count) in issuer.ended() {
            requests.count(&[("profile", profile), ("outcome", outcome.as_str())], count);
        }
    }
    let mut failures = page.family(
        "token_provider_refresh_failures_total",
        Kind::Counter,
        "Requests to the issuer that brought no token, whatever the reason.",
    );
    for (profile, issuer) in issuers() {
        failures.count(&[("profile", profile)], issuer.failures());
    }
    let mut durations = page.family(
        "token_provider_issuer_request_duration_seconds",
        Kind::Histogram,
        "How long requests to the issuer took.",
    );
    for (profile, issuer) in issuers() {
        durations.histogram(&[("profile", profile)], &issuer.durations);
    }
    let mut offset = page.family(
        "token_provider_clock_offset_seconds",
        Kind::Gauge,
        "By how much HERE's clock was last seen to be ahead of ours; 0 until HERE has refused a timestamp.",
    );
    for (profile, issuer) in issuers() {
        if let Some(seconds) = issuer.clock_offset() {
            offset.sample(&[("profile", profile)], seconds);
        }
    }
}

fn token_labels<'a>(profile: &'a str, scope: &'a str, lifetime: &'a str) -> TokenLabels<'a> {
    [("profile", profile), ("scope", scope), ("lifetime", lifetime)]
}

fn tokens(page: &mut Exposition<'_>, profiles: &[ProfileStatus<'_>]) {
    let mut slots = Vec::new();
    for profile in profiles {
        for slot in &profile.tokens {
            let scope = slot.key.scope().map_or("", Scope::as_str);
            slots.push((profile.name, scope, slot.key.lifetime().as_secs().to_string(), slot));
        }
    }
    let mut left = page.family(
        "token_provider_token_left_seconds",
        Kind::Gauge,
        "How long the held token lives on; 0 when none can be handed out.",
    );
    for (profile, scope, lifetime, slot) in &slots {
        left.seconds(&token_labels(profile, scope, lifetime), slot.remaining);
    }
    let mut due = page.family(
        "token_provider_token_due",
        Kind::Gauge,
        "Whether the held token's successor is due: 1, else 0.",
    );
    for (profile, scope, lifetime, slot) in &slots {
        due.sample(&token_labels(profile, scope, lifetime), u64::from(slot.is_due));
    }
    let mut failures = page.family(
        "token_provider_token_failures",
        Kind::Gauge,
        "Requests for this token in a row that have failed; 0 when the last one was good.",
    );
    for (profile, scope, lifetime, slot) in &slots {
        failures.sample(&token_labels(profile, scope, lifetime), slot.failures);
    }
    let mut backoff = page.family(
        "token_provider_token_backoff_seconds",
        Kind::Gauge,
        "How long the issuer is left alone after a failure; 0 when it is not.",
    );
    for (profile, scope, lifetime, slot) in &slots {
        backoff.seconds(&token_labels(profile, scope, lifetime), slot.retry_in.unwrap_or_default());
    }
}

fn trail(page: &mut Exposition<'_>, audit: &Audit) {
    page.family("token_provider_audit_lines_total", Kind::Counter, "Audit lines written.")
        .count(&[], audit.written());
    let mut lost = page.family(
        "token_provider_audit_lines_lost_total",
        Kind::Counter,
        "Audit lines lost, because too many waited or because they could not be written.",
    );
    for (reason, count) in audit.lost() {
        lost.count(&[("reason", reason)], count);
    }
}
