//! `/status`: how the server is doing, as JSON. The page shows the same.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use token_provider::{Clock as _, Scope, SlotStatus, SystemClock};

use super::history::{History, Rates};
use super::remedy::remedy;
use crate::access::ProfileStatus;
use crate::http::App;
use crate::telemetry::audit::Audit;
use crate::telemetry::{MeteredIssuer, Process, rfc_3339};

#[derive(Serialize)]
struct Status<'a> {
    version: &'static str,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uptime_seconds: Option<u64>,
    /// Whether the default profile's token can be handed out, as `/readyz` has it.
    ready: bool,
    profiles: Vec<ProfileEntry<'a>>,
    refusals: BTreeMap<&'static str, u64>,
    rates: Rates,
    connections_open: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_expires_at: Option<String>,
    configuration: Configuration<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audit: Option<Trail>,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<Figures>,
    /// The newest first, as in the audit trail.
    recent: Vec<Value>,
}

#[derive(Serialize)]
struct ProfileEntry<'a> {
    name: &'a str,
    default: bool,
    ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_offset_seconds: Option<i64>,
    /// Why the credential in use is not the one in its file.
    #[serde(skip_serializing_if = "Option::is_none")]
    rotation_problem: Option<&'a str>,
    handouts: Handouts,
    issuer_requests: BTreeMap<&'static str, u64>,
    tokens: Vec<TokenEntry<'a>>,
}

#[derive(Serialize)]
struct Handouts {
    held: u64,
    waited: u64,
    failed: u64,
}

#[derive(Serialize)]
struct TokenEntry<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    lifetime: u64,
    /// `fresh`, `due` or `none`.
    state: &'static str,
    seconds_left: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    failures: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_in_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<LastError>,
}

#[derive(Serialize)]
struct LastError {
    message: String,
    remedy: &'static str,
}

/// How the configuration file stands.
#[derive(Serialize)]
struct Configuration<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    last_reload_successful: bool,
    /// Why its last change is not used.
    problems: &'a [String],
    /// Nobody is let in.
    locked: bool,
    waiting_for_restart: &'a [&'static str],
}

#[derive(Serialize)]
struct Trail {
    lines_written: u64,
    lines_lost: BTreeMap<&'static str, u64>,
}

#[derive(Serialize)]
struct Figures {
    resident_memory_bytes: u64,
    cpu_seconds: f64,
    threads: u64,
    open_files: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_files: Option<u64>,
}

/// Returns the status as a JSON object.
pub(super) fn json(app: &App, history: &History, process: Option<Process>) -> String {
    let now = SystemClock.now().wall;
    let telemetry = app.telemetry();
    let profiles: Vec<ProfileStatus<'_>> = app.access().handout().status().collect();
    let config = telemetry.config();
    let status = Status {
        version: env!("CARGO_PKG_VERSION"),
        time: rfc_3339(now),
        started_at: process.map(|process| rfc_3339(process.start)),
        uptime_seconds: process.map(|process| now.saturating_sub(process.start).as_secs()),
        ready: !app.access().is_draining()
            && profiles.iter().any(|profile| profile.is_default && profile.is_ready),
        profiles: profiles.iter().map(ProfileEntry::of).collect(),
        refusals: telemetry.refusals().map(|(rule, count)| (rule.as_str(), count)).collect(),
        rates: history.rates(),
        connections_open: telemetry.connections(),
        certificate_expires_at: telemetry.certificate_expiry().map(rfc_3339),
        configuration: Configuration {
            file: config.file.as_deref(),
            last_reload_successful: config.is_reloaded(),
            problems: &config.problems,
            locked: config.is_locked,
            waiting_for_restart: &config.waiting,
        },
        audit: telemetry.audit().map(|audit| Trail {
            lines_written: audit.written(),
            lines_lost: audit.lost().into_iter().collect(),
        }),
        process: process.map(|process| Figures {
            resident_memory_bytes: process.resident_bytes,
            cpu_seconds: process.cpu.as_secs_f64(),
            threads: process.threads,
            open_files: process.open_files,
            max_files: process.max_files,
        }),
        recent: telemetry.audit().map(Audit::recent).unwrap_or_default(),
    };
    // Strings and numbers always have a JSON form.
    serde_json::to_string(&status).unwrap_or_default()
}

impl<'a> ProfileEntry<'a> {
    fn of(profile: &'a ProfileStatus<'_>) -> Self {
        let ended = profile.issuer.iter().flat_map(|issuer| issuer.ended());
        Self {
            name: profile.name,
            default: profile.is_default,
            ready: profile.is_ready,
            issuer: profile.issuer.map(MeteredIssuer::place),
            clock_offset_seconds: profile.issuer.and_then(MeteredIssuer::clock_offset),
            rotation_problem: profile.rotation_problem.as_ref().map(|problem| problem.as_str()),
            handouts: Handouts { held: profile.held, waited: profile.waited, failed: profile.failed },
            issuer_requests: ended
                .filter(|(_, count)| *count > 0)
                .map(|(outcome, count)| (outcome.as_str(), count))
                .collect(),
            tokens: profile.tokens.iter().map(TokenEntry::of).collect(),
        }
    }
}

impl<'a> TokenEntry<'a> {
    fn of(slot: &'a SlotStatus) -> Self {
        Self {
            scope: slot.key.scope().map(Scope::as_str),
            lifetime: slot.key.lifetime().as_secs(),
            state: match (&slot.token, slot.is_due) {
                (None, _) => "none",
                (Some(_), true) => "due",
                (Some(_), false) => "fresh",
            },
            seconds_left: slot.remaining.as_secs(),
            fingerprint: slot.token.as_ref().map(|token| token.fingerprint().to_string()),
            failures: slot.failures,
            retry_in_seconds: slot.retry_in.map(|span: Duration| span.as_secs()),
            last_error: slot
                .last_error
                .as_ref()
                .map(|error| LastError { message: error.to_string(), remedy: remedy(error.kind()) }),
        }
    }
}
