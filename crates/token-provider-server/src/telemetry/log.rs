//! The log: where it goes, in what form, and how much of it.

use std::io::{self, IsTerminal as _};
use std::sync::OnceLock;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{Registry, fmt, reload};

use super::audit::{Event, Outcome};
use crate::config::{LogConfig, LogFormat, LogLevel};

/// What audit lines are called in the log, for filters.
pub(super) const AUDIT_TARGET: &str = "audit";

static LEVEL: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();
static FORM: OnceLock<Form> = OnceLock::new();

/// The form of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Text { ansi: bool },
}

/// Sends logs to stderr from here on; stdout is for data. Does nothing the second time.
pub fn init(config: LogConfig, no_color: bool) {
    let (filter, handle) = reload::Layer::new(targets(config.level));
    let registry = tracing_subscriber::registry().with(filter);
    let as_text = match config.format {
        LogFormat::Text => true,
        LogFormat::Json => false,
        LogFormat::Auto => io::stderr().is_terminal(),
    };
    let ansi = io::stderr().is_terminal() && !no_color;
    let set = if as_text {
        registry.with(fmt::layer().with_writer(io::stderr).with_ansi(ansi).with_target(false)).try_init()
    } else {
        registry.with(fmt::layer().json().flatten_event(true).with_writer(io::stderr)).try_init()
    };
    // An error means that a log is set up already, as in tests: that one goes on.
    if set.is_ok() {
        let _ = LEVEL.set(handle);
        let _ = FORM.set(if as_text { Form::Text { ansi } } else { Form::Json });
    }
}

/// Changes how much is logged, from here on.
pub fn set_level(level: LogLevel) {
    if let Some(handle) = LEVEL.get() {
        // Fails only when the log is gone, at the end of the process.
        let _ = handle.modify(|filter| *filter = targets(level));
    }
}

/// Returns the form of the log's lines, for those that are not made here.
pub(super) fn form() -> Form {
    FORM.get().copied().unwrap_or(Form::Json)
}

/// Libraries below are heard from `warn` on, whatever the level: hyper and rustls say at `trace` what went over the
/// wire. Their lines are never let through at that level.
fn targets(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("token_provider", level)
        .with_target("token_provider_server", level)
        .with_target("here_sandbox", level)
        .with_target(AUDIT_TARGET, level)
}

/// Logs a request that got no token. `unsaid` were left out before it.
pub(super) fn refusal(event: &Event, unsaid: u64) {
    let caller = event.caller.as_deref();
    let address = event.address.map(tracing::field::display);
    let id = tracing::field::display(&event.request_id);
    let unsaid = (unsaid > 0).then_some(unsaid);
    let trace = event.trace.as_ref().map(super::TraceParent::trace_id);
    if event.outcome == Outcome::Refused {
        tracing::info!(
            request.id = id,
            trace.id = trace,
            caller.id = caller,
            caller.method = event.method,
            caller.address = address,
            http.status = event.status,
            error = event.error,
            rule = event.rule,
            reason = event.reason,
            not_logged = unsaid,
            "request refused"
        );
    } else {
        tracing::warn!(
            request.id = id,
            trace.id = trace,
            caller.id = caller,
            caller.method = event.method,
            caller.address = address,
            http.status = event.status,
            error = event.error,
            not_logged = unsaid,
            "no token for a caller"
        );
    }
}
