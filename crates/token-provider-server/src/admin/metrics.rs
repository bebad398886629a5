//! `/metrics`. Values of labels come from the configuration and from code, never from callers, so that there are only so many of
//! them. What a metric is about, its line in `metrics.txt` says.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use token_provider::{Scope, SlotStatus};

use crate::access::ProfileStatus;
use crate::http::App;
use crate::reason::{Flaw, IssuerOutcome, Method, Rule};
use crate::telemetry::{self, MeteredIssuer, Page, Process, Telemetry, each};

/// What the metrics are read from.
#[derive(Debug)]
pub(super) struct Metrics {
    pub(super) app: Arc<App>,
    pub(super) process: Option<Process>,
}

impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let page = &mut Page { encoder, help: include_str!("metrics.txt") };
        let telemetry = &self.app.telemetry;
        let profiles: Vec<_> = self.app.access.handout().status().collect();
        page.one("token_provider_build_info", Info::new([("version", env!("CARGO_PKG_VERSION"))]))?;
        let is_reloaded = telemetry.config.load().is_reloaded();
        page.one("token_provider_config_last_reload_successful", is(is_reloaded))?;
        handouts(page, &profiles)?;
        requests(page, telemetry)?;
        let (rules, counts) = (self.app.access.rules(), telemetry.audited.lock().clone());
        let ends = rules.config.access.api_keys.iter().filter_map(|key| Some((&*key.id, key.expires?)));
        let ends = ends.map(|(id, end)| ([("caller", id)], ConstGauge::new(end.as_secs())));
        page.write("token_provider_api_key_expiry_timestamp_seconds", ends)?;
        let audited = rules.config.access.audited().map(|rule| {
            ([("rule", &**rule)], ConstCounter::new(counts.get(rule).copied().unwrap_or_default()))
        });
        page.write("token_provider_audit_rule_total", audited)?;
        let providers = rules.identity_providers();
        let up = providers.map(|(provider, problem)| ([("provider", provider)], is(problem.is_none())));
        page.write("token_provider_oidc_up", up)?;
        issuers(page, &profiles)?;
        tokens(page, &profiles)?;
        outputs(page, telemetry)?;
        store(page, telemetry)?;
        lines(page, telemetry)?;
        let end = *telemetry.certificate_expiry.lock();
        if let Some(end) = end {
            let end = ConstGauge::new(end.as_secs());
            page.one("token_provider_certificate_expiry_timestamp_seconds", end)?;
        }
        self.process.map_or(Ok(()), |process| of_process(page, process, telemetry))
    }
}

fn is(state: bool) -> ConstGauge<u64> {
    ConstGauge::new(state.into())
}

fn handouts(page: &mut Page<'_>, profiles: &[ProfileStatus<'_>]) -> fmt::Result {
    let labelled = || profiles.iter().map(|profile| (("profile", profile.name), profile));
    let counts = labelled().flat_map(|(label, profile)| {
        profile.handouts.map(|(outcome, count)| ([label, ("outcome", outcome)], ConstCounter::new(count)))
    });
    page.write("token_provider_handouts_total", counts)?;
    let waits = labelled().map(|(label, profile)| ([label], profile.waits.clone()));
    page.write("token_provider_handout_wait_seconds", waits)?;
    let ready = labelled().map(|(label, profile)| ([label], is(profile.is_ready)));
    page.write("token_provider_profile_ready", ready)?;
    let rotated = labelled().map(|(label, profile)| ([label], is(profile.rotation_problem.is_none())));
    page.write("token_provider_credential_last_rotation_successful", rotated)
}

fn requests(page: &mut Page<'_>, telemetry: &Telemetry) -> fmt::Result {
    let refusals = each(Rule::ALL, &telemetry.refusals);
    let refusals = refusals.map(|(rule, count)| ([("rule", rule.as_str())], ConstCounter::new(count)));
    page.write("token_provider_refusals_total", refusals)?;
    // An output has no rate limit.
    let limited =
        each(Method::ALL, &telemetry.limited).into_iter().filter(|(method, _)| *method != Method::Output);
    let limited = limited.map(|(method, count)| ([("method", method.as_str())], ConstCounter::new(count)));
    page.write("token_provider_callers_limited_total", limited)?;
    let callers = telemetry.callers.lock().clone().into_iter().map(|((method, name, outcome), count)| {
        let labels = [("method", method.as_str()), ("caller", &name), ("outcome", outcome.as_str())];
        (labels.map(|(label, value)| (label, value.to_owned())), ConstCounter::new(count))
    });
    page.write("token_provider_caller_requests_total", callers)?;
    let reports = telemetry.reports.lock().clone().into_iter().map(|((profile, outcome), count)| {
        ([("profile", profile.to_string()), ("outcome", outcome.to_owned())], ConstCounter::new(count))
    });
    page.write("token_provider_reports_total", reports)?;
    page.one("token_provider_connections_open", ConstGauge::new(telemetry.connections()))
}

fn issuers(page: &mut Page<'_>, profiles: &[ProfileStatus<'_>]) -> fmt::Result {
    let issuers: Vec<((&str, &str), &MeteredIssuer)> =
        profiles.iter().filter_map(|profile| Some((("profile", profile.name), profile.issuer?))).collect();
    let ended = issuers.iter().flat_map(|(label, issuer)| {
        let labels = |outcome: IssuerOutcome| [*label, ("outcome", outcome.as_str())];
        issuer.ended().map(move |(outcome, count)| (labels(outcome), ConstCounter::new(count)))
    });
    page.write("token_provider_issuer_requests_total", ended)?;
    let failures = issuers.iter().map(|(label, issuer)| ([*label], ConstCounter::new(issuer.failures())));
    page.write("token_provider_refresh_failures_total", failures)?;
    let durations = issuers.iter().map(|(label, issuer)| ([*label], issuer.durations.clone()));
    page.write("token_provider_issuer_request_duration_seconds", durations)?;
    let offset =
        |(label, issuer): &(_, &MeteredIssuer)| Some(([*label], ConstGauge::new(issuer.clock_offset()?)));
    page.write("token_provider_clock_offset_seconds", issuers.iter().filter_map(offset))
}

fn tokens(page: &mut Page<'_>, profiles: &[ProfileStatus<'_>]) -> fmt::Result {
    let slots: Vec<([(&str, String); 3], &SlotStatus)> = profiles
        .iter()
        .flat_map(|profile| profile.tokens.iter().map(|slot| (labels(profile.name, slot), slot)))
        .collect();
    let labelled = || slots.iter().map(|(labels, slot)| (&labels[..], slot));
    let left = labelled().map(|(labels, slot)| (labels, ConstGauge::new(slot.remaining.as_secs_f64())));
    page.write("token_provider_token_left_seconds", left)?;
    let due = labelled().map(|(labels, slot)| (labels, is(slot.is_due)));
    page.write("token_provider_token_due", due)?;
    let failures = labelled().map(|(labels, slot)| (labels, ConstGauge::new(slot.failures)));
    page.write("token_provider_token_failures", failures)?;
    let backoff = |slot: &SlotStatus| slot.retry_in.unwrap_or_default().as_secs_f64();
    let backoff = labelled().map(|(labels, slot)| (labels, ConstGauge::new(backoff(slot))));
    page.write("token_provider_token_backoff_seconds", backoff)
}

fn labels(profile: &str, slot: &SlotStatus) -> [(&'static str, String); 3] {
    let scope = slot.key.scope().map_or("", Scope::as_str).to_owned();
    let lifetime = slot.key.lifetime().as_secs().to_string();
    [("profile", profile.to_owned()), ("scope", scope), ("lifetime", lifetime)]
}

fn outputs(page: &mut Page<'_>, telemetry: &Telemetry) -> fmt::Result {
    let outputs = telemetry.outputs.lock().clone();
    let labelled = || outputs.iter().map(|(path, output)| ([("output", &**path)], output));
    page.write("token_provider_output_up", labelled().map(|(label, output)| (label, is(output.is_up()))))?;
    let errors = labelled().map(|(label, output)| (label, ConstCounter::new(output.errors)));
    page.write("token_provider_output_errors_total", errors)
}

fn store(page: &mut Page<'_>, telemetry: &Telemetry) -> fmt::Result {
    let Some(store) = &telemetry.store else { return Ok(()) };
    page.one("token_provider_store_up", is(store.problem.lock().is_none()))?;
    let rejected = each(Flaw::ALL, &store.rejected);
    let rejected = rejected.map(|(flaw, count)| ([("reason", flaw.as_str())], ConstCounter::new(count)));
    page.write("token_provider_store_rejected_total", rejected)
}

fn lines(page: &mut Page<'_>, telemetry: &Telemetry) -> fmt::Result {
    if let Some(audit) = &telemetry.audit {
        let counts = audit.counts();
        page.one("token_provider_audit_lines_total", ConstCounter::new(counts.written))?;
        let lost = counts.lost_by_reason();
        let lost = lost.map(|(reason, count)| ([("reason", reason)], ConstCounter::new(count)));
        page.write("token_provider_audit_lines_lost_total", lost)?;
    }
    page.one("token_provider_log_lines_lost_total", ConstCounter::new(telemetry::lines_lost()))
}

/// Under the names that all Prometheus clients use.
fn of_process(page: &mut Page<'_>, process: Process, telemetry: &Telemetry) -> fmt::Result {
    page.one("process_cpu_seconds_total", ConstCounter::new(process.cpu_seconds))?;
    for (name, value) in [
        ("process_resident_memory_bytes", Some(process.resident_memory_bytes)),
        ("process_virtual_memory_bytes", Some(process.virtual_bytes)),
        ("process_threads", Some(process.threads)),
        ("process_open_fds", Some(process.open_files)),
        ("process_max_fds", process.max_files),
    ] {
        let Some(value) = value else { continue };
        page.one(name, ConstGauge::new(value))?;
    }
    page.one("process_start_time_seconds", ConstGauge::new(telemetry.started.as_secs_f64()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_line_of_the_list_is_about_a_metric_that_is_written() {
        let lines: Vec<_> = include_str!("metrics.txt").lines().map(|line| line.split_once(' ')).collect();
        assert!(!lines.is_empty());
        for line in lines {
            let (name, help) = line.expect("is a name and a text");
            assert!(help.ends_with('.'), "{name}: {help}");
            assert_eq!(include_str!("metrics.rs").matches(&format!("\"{name}\"")).count(), 1, "{name}");
        }
        let (code, _) = include_str!("metrics.rs").split_once("#[cfg(test)]").expect("has tests");
        for name in
            code.split('"').filter(|text| text.starts_with("token_provider_") || text.starts_with("process_"))
        {
            let is_of_it = |line: &str| line.split_once(' ').is_some_and(|(of, _)| of == name);
            assert!(include_str!("metrics.txt").lines().any(is_of_it), "{name} has no line");
        }
    }
}
