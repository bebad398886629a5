//! `/status`: how the server is doing, as JSON. The page shows the same.

use serde_json::{Map, Value, json};
use token_provider::{Clock as _, Credential, Moment, PrivateKey, Scope, SlotStatus, SystemClock};

use crate::access::ProfileStatus;
use crate::http::App;
use crate::reason::{Flaw, Rule};
use crate::telemetry::audit::Audit;
use crate::telemetry::{MeteredIssuer, OutputStatus, Process, each, rfc_3339};

/// Returns the status as a JSON object. What is not known, or not there, is left out.
pub(super) fn json(app: &App, process: Option<Process>) -> Value {
    let now = SystemClock.now();
    let (outputs, now_on_wall) = (app.telemetry.outputs.lock().clone(), now.wall);
    let telemetry = &app.telemetry;
    let profiles: Vec<ProfileStatus<'_>> = app.access.handout().status().collect();
    let is_ready = profiles.iter().any(|profile| profile.is_default && profile.is_ready);
    let config = telemetry.config.load();
    let rules = app.access.rules();
    without_nulls(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "time": rfc_3339(now_on_wall).to_string(),
        "started_at": rfc_3339(telemetry.started).to_string(),
        "uptime_seconds": now_on_wall.saturating_sub(telemetry.started).as_secs(),
        // As `/readyz` has it.
        "ready": is_ready && !app.access.is_draining(),
        "profiles": profiles.iter().map(profile).collect::<Vec<_>>(),
        "outputs": outputs.iter().map(|(path, status)| output(path, status, now)).collect::<Vec<_>>(),
        // With why it is not used.
        "store": telemetry.store.as_ref().map(|store| json!({
            "up": store.problem.lock().is_none(),
            "problem": *store.problem.lock(),
            "rejected": counts(each(Flaw::ALL, &store.rejected).map(|(flaw, count)| (flaw.as_str(), count))),
        })),
        // With why there are no keys, or no new ones.
        "identity_providers": rules.identity_providers().map(|(name, problem)| {
            json!({ "name": name, "up": problem.is_none(), "problem": problem })
        }).collect::<Vec<_>>(),
        "refusals": counts(each(Rule::ALL, &telemetry.refusals).map(|(rule, count)| (rule.as_str(), count))),
        "connections_open": telemetry.connections(),
        "certificate_expires_at": telemetry.certificate_expiry.lock().map(|at| rfc_3339(at).to_string()),
        "configuration": {
            "file": config.file,
            "last_reload_successful": config.is_reloaded(),
            // Why its last change is not used.
            "problems": config.problems,
            // Why the secrets of access keys, and the keys of the store, are not those in their files.
            "secret_problems": config.secret_problems,
            // Nobody is let in.
            "locked": config.is_locked,
            "waiting_for_restart": config.waiting,
        },
        "audit": telemetry.audit.as_ref().map(|audit| json!({
            "lines_written": audit.counts().written,
            "lines_lost": counts(audit.counts().lost_by_reason()),
        })),
        "process": process,
        // The newest first, as in the audit trail.
        "recent": telemetry.audit.as_ref().map(Audit::recent).unwrap_or_default(),
    }))
}

fn profile(profile: &ProfileStatus<'_>) -> Value {
    let ended = profile.issuer.iter().flat_map(|issuer| issuer.ended());
    let ended = ended.filter(|(_, count)| *count > 0).map(|(outcome, count)| (outcome.as_str(), count));
    json!({
        "name": profile.name,
        "default": profile.is_default,
        "ready": profile.is_ready,
        "issuer": profile.issuer.map(MeteredIssuer::endpoint),
        "credential": profile.issuer.and_then(MeteredIssuer::credential).as_deref().map(credential),
        "clock_offset_seconds": profile.issuer.and_then(MeteredIssuer::clock_offset),
        // Why the credential in use is not the one in its file.
        "rotation_problem": profile.rotation_problem.as_deref(),
        "handouts": counts(profile.handouts),
        "issuer_requests": counts(ended),
        "tokens": profile.tokens.iter().map(token).collect::<Vec<_>>(),
    })
}

/// Which key is in use. The id of an access key is left out: it need not be spread.
fn credential(credential: &Credential) -> Value {
    let key = credential.private_key();
    json!({
        "method": key.map_or("access_key", |_| "private_key_jwt"),
        "kid": key.and_then(PrivateKey::key_id),
        "thumbprint": key.map(PrivateKey::thumbprint),
    })
}

fn output(path: &str, output: &OutputStatus, now: Moment) -> Value {
    let token = output.token.as_ref();
    json!({
        "path": path,
        "up": output.is_up(),
        "seconds_left": token.map(|token| token.remaining(now).as_secs()),
        "fingerprint": token.map(|token| token.fingerprint().to_string()),
        "errors": output.errors,
        // Why the last attempt to keep it fresh failed.
        "problem": output.problem,
    })
}

fn token(slot: &SlotStatus) -> Value {
    json!({
        "scope": slot.key.scope().map(Scope::as_str),
        "lifetime": slot.key.lifetime().as_secs(),
        "state": match (&slot.token, slot.is_due) {
            (None, _) => "none",
            (Some(_), true) => "due",
            (Some(_), false) => "fresh",
        },
        "seconds_left": slot.remaining.as_secs(),
        "fingerprint": slot.token.as_ref().map(|token| token.fingerprint().to_string()),
        "failures": slot.failures,
        "retry_in_seconds": slot.retry_in.map(|span| span.as_secs()),
        // What to do is part of it.
        "last_error": slot.last_error.as_ref().map(|error| json!({
            "message": error.to_string(),
            // For HERE's support.
            "error_id": error.error_id(),
            "correlation_id": error.correlation_id(),
        })),
    })
}

fn counts(counts: impl IntoIterator<Item = (&'static str, u64)>) -> Map<String, Value> {
    counts.into_iter().map(|(name, count)| (name.to_owned(), count.into())).collect()
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.into_iter().filter(|(_, member)| !member.is_null());
            members.map(|(name, member)| (name, without_nulls(member))).collect()
        }
        Value::Array(values) => values.into_iter().map(without_nulls).collect(),
        other => other,
    }
}
