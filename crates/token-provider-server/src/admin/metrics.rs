//! `/metrics`: every name in one place. Values of labels come from the configuration and from code, never from callers,
//! so that there are only so many of them.

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
use crate::reason::{IssuerOutcome, Method};
use crate::telemetry::{self, MeteredIssuer, NO_LABELS, Page, Process, Telemetry};

/// What the metrics are read from.
#[derive(Debug)]
pub(super) struct Metrics {
    pub(super) app: Arc<App>,
    pub(super) process: Option<Process>,
}

impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (page, telemetry) = (&mut Page(encoder), &self.app.telemetry);
        let profiles: Vec<_> = self.app.access.handout().status().collect();
        page.write(
            "token_provider_build_info",
            "The running version; always 1.",
            [(NO_LABELS, Info::new([("version", env!("CARGO_PKG_VERSION"))]))],
        )?;
        page.write(
            "token_provider_config_last_reload_successful",
            "Whether the configuration file was in use after it was last read: 1, else 0.",
            [(NO_LABELS, is(telemetry.config.load().is_reloaded()))],
        )?;
        handouts(page, &profiles)?;
        requests(page, telemetry)?;
        if let Some((provider, is_up)) = self.app.access.rules().identity_provider() {
            page.write(
                "token_provider_oidc_up",
                "Whether the identity provider had usable keys when it was last asked: 1, else 0.",
                [([("provider", provider)], is(is_up))],
            )?;
        }
        issuers(page, &profiles)?;
        tokens(page, &profiles)?;
        outputs(page, telemetry)?;
        lines(page, telemetry)?;
        if let Some(end) = telemetry.certificate_expiry() {
            page.write(
                "token_provider_certificate_expiry_timestamp_seconds",
                "When the listeners' certificate expires, since the Unix epoch.",
                [(NO_LABELS, ConstGauge::new(end.as_secs()))],
            )?;
        }
        self.process.map_or(Ok(()), |process| of_process(page, process, telemetry))
    }
}

fn is(state: bool) -> ConstGauge<u64> {
    ConstGauge::new(state.into())
}

fn handouts(page: &mut Page<'_>, profiles: &[ProfileStatus<'_>]) -> fmt::Result {
    page.write(
        "token_provider_handouts_total",
        "Permitted requests for tokens: a held token, one that was waited for, or none.",
        profiles.iter().flat_map(|profile| {
            let labels = |outcome| [("profile", profile.name), ("outcome", outcome)];
            profile.handouts.map(|(outcome, count)| (labels(outcome), ConstCounter::new(count)))
        }),
    )?;
    page.write(
        "token_provider_handout_wait_seconds",
        "How long callers waited for a token that was not held.",
        profiles.iter().map(|profile| ([("profile", profile.name)], profile.waits.clone())),
    )?;
    page.write(
        "token_provider_profile_ready",
        "Whether tokens that callers ask for can be handed out: 1, else 0.",
        profiles.iter().map(|profile| ([("profile", profile.name)], is(profile.is_ready))),
    )?;
    page.write(
        "token_provider_credential_last_rotation_successful",
        "Whether the credential in use is the one in its file: 1, else 0.",
        profiles.iter().map(|profile| ([("profile", profile.name)], is(profile.rotation_problem.is_none()))),
    )
}

fn requests(page: &mut Page<'_>, telemetry: &Telemetry) -> fmt::Result {
    page.write(
        "token_provider_refusals_total",
        "Requests that a rule refused.",
        telemetry.refusals().map(|(rule, count)| ([("rule", rule.as_str())], ConstCounter::new(count))),
    )?;
    page.write(
        "token_provider_callers_limited_total",
        "Requests refused by the rate limit, by how the caller authenticated.",
        // An output has no rate limit.
        telemetry
            .limited()
            .filter(|(method, _)| *method != Method::Output)
            .map(|(method, count)| ([("method", method.as_str())], ConstCounter::new(count))),
    )?;
    let callers = telemetry.callers().into_iter().map(|((method, name, outcome), count)| {
        let labels = [("method", method.as_str()), ("caller", &name), ("outcome", outcome.as_str())];
        (labels.map(|(label, value)| (label, value.to_owned())), ConstCounter::new(count))
    });
    page.write(
        "token_provider_caller_requests_total",
        "Requests for tokens by caller: the id of an API key or access key, the name in a client certificate, or the path of an output; empty for others.",
        callers,
    )?;
    page.write(
        "token_provider_connections_open",
        "Connections of callers that are open.",
        [(NO_LABELS, ConstGauge::new(telemetry.connections()))],
    )
}

fn issuers(page: &mut Page<'_>, profiles: &[ProfileStatus<'_>]) -> fmt::Result {
    let issuers: Vec<([(&str, &str); 1], &MeteredIssuer)> =
        profiles.iter().filter_map(|profile| Some(([("profile", profile.name)], profile.issuer?))).collect();
    page.write(
        "token_provider_issuer_requests_total",
        "Finished requests to the issuer.",
        issuers.iter().flat_map(|([profile], issuer)| {
            let labels = |outcome: IssuerOutcome| [*profile, ("outcome", outcome.as_str())];
            issuer.ended().map(move |(outcome, count)| (labels(outcome), ConstCounter::new(count)))
        }),
    )?;
    page.write(
        "token_provider_refresh_failures_total",
        "Requests to the issuer that brought no token, whatever the reason.",
        issuers.iter().map(|(profile, issuer)| (*profile, ConstCounter::new(issuer.failures()))),
    )?;
    page.write(
        "token_provider_issuer_request_duration_seconds",
        "How long requests to the issuer took.",
        issuers.iter().map(|(profile, issuer)| (*profile, issuer.durations.clone())),
    )?;
    page.write(
        "token_provider_clock_offset_seconds",
        "How far HERE's clock was ahead of ours by the Date of its last answer.",
        issuers
            .iter()
            .filter_map(|(profile, issuer)| Some((*profile, ConstGauge::new(issuer.clock_offset()?)))),
    )
}

fn tokens(page: &mut Page<'_>, profiles: &[ProfileStatus<'_>]) -> fmt::Result {
    let slots: Vec<([(&str, String); 3], &SlotStatus)> = profiles
        .iter()
        .flat_map(|profile| profile.tokens.iter().map(|slot| (labels(profile.name, slot), slot)))
        .collect();
    page.write(
        "token_provider_token_left_seconds",
        "Remaining lifetime of the held token; 0 when none can be handed out.",
        slots.iter().map(|(labels, slot)| (&labels[..], ConstGauge::new(slot.remaining.as_secs_f64()))),
    )?;
    page.write(
        "token_provider_token_due",
        "Whether the held token's successor is due: 1, else 0.",
        slots.iter().map(|(labels, slot)| (&labels[..], is(slot.is_due))),
    )?;
    page.write(
        "token_provider_token_failures",
        "Failed requests for this token in a row; 0 after a success.",
        slots.iter().map(|(labels, slot)| (&labels[..], ConstGauge::new(slot.failures))),
    )?;
    let backoff = |slot: &SlotStatus| slot.retry_in.unwrap_or_default().as_secs_f64();
    page.write(
        "token_provider_token_backoff_seconds",
        "Pause before the next request to the issuer after a failure; 0 when there is none.",
        slots.iter().map(|(labels, slot)| (&labels[..], ConstGauge::new(backoff(slot)))),
    )
}

fn labels(profile: &str, slot: &SlotStatus) -> [(&'static str, String); 3] {
    let scope = slot.key.scope().map_or("", Scope::as_str).to_owned();
    let lifetime = slot.key.lifetime().as_secs().to_string();
    [("profile", profile.to_owned()), ("scope", scope), ("lifetime", lifetime)]
}

fn outputs(page: &mut Page<'_>, telemetry: &Telemetry) -> fmt::Result {
    let outputs = telemetry.outputs.lock().clone();
    page.write(
        "token_provider_output_up",
        "Whether the file holds a token and the last attempt to keep it fresh succeeded: 1, else 0.",
        outputs.iter().map(|(path, output)| ([("output", &**path)], is(output.is_up()))),
    )?;
    page.write(
        "token_provider_output_errors_total",
        "Attempts to keep the file fresh that failed.",
        outputs.iter().map(|(path, output)| ([("output", &**path)], ConstCounter::new(output.errors))),
    )
}

fn lines(page: &mut Page<'_>, telemetry: &Telemetry) -> fmt::Result {
    if let Some(audit) = &telemetry.audit {
        let counts = audit.counts();
        let written = ConstCounter::new(counts.written);
        page.write("token_provider_audit_lines_total", "Audit lines written.", [(NO_LABELS, written)])?;
        page.write(
            "token_provider_audit_lines_lost_total",
            "Audit lines lost because too many waited or because they could not be written.",
            counts.lost_by_reason().map(|(reason, count)| ([("reason", reason)], ConstCounter::new(count))),
        )?;
    }
    page.write(
        "token_provider_log_lines_lost_total",
        "Log lines lost because too many waited or because they could not be written.",
        [(NO_LABELS, ConstCounter::new(telemetry::lines_lost()))],
    )
}

/// Under the names that all Prometheus clients use.
fn of_process(page: &mut Page<'_>, process: Process, telemetry: &Telemetry) -> fmt::Result {
    let cpu = ConstCounter::new(process.cpu.as_secs_f64());
    page.write(
        "process_cpu_seconds_total",
        "Time spent on processors, user and system.",
        [(NO_LABELS, cpu)],
    )?;
    let mut gauge = |name, help, value| page.write(name, help, [(NO_LABELS, ConstGauge::new(value))]);
    gauge("process_resident_memory_bytes", "Memory in use.", process.resident_bytes)?;
    gauge("process_virtual_memory_bytes", "Address space in use.", process.virtual_bytes)?;
    gauge("process_threads", "Threads.", process.threads)?;
    gauge("process_open_fds", "Open file descriptors.", process.open_files)?;
    if let Some(limit) = process.max_files {
        gauge("process_max_fds", "Limit of open file descriptors.", limit)?;
    }
    let started = ConstGauge::new(telemetry.started.as_secs_f64());
    let help = "Start of the process, since the Unix epoch.";
    page.write("process_start_time_seconds", help, [(NO_LABELS, started)])
}
