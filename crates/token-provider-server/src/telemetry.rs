//! Logs: where they go and in what form.

use std::io::{self, IsTerminal as _};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;

use crate::config::{LogConfig, LogFormat, LogLevel};

/// Sends logs to stderr from here on; stdout is for data. Does nothing the second time.
///
/// Of the libraries below only warnings are let through, whatever the level: nobody has looked at what they say
/// at `trace` with a secret in mind.
pub fn init(config: LogConfig, no_color: bool) {
    let level = match config.level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let targets = Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("token_provider", level)
        .with_target("token_provider_server", level)
        .with_target("here_sandbox", level);
    let registry = tracing_subscriber::registry().with(targets);
    let as_text = match config.format {
        LogFormat::Text => true,
        LogFormat::Json => false,
        LogFormat::Auto => io::stderr().is_terminal(),
    };
    // An error means that a log is set up already, as in tests: that one goes on.
    let _ = if as_text {
        let ansi = io::stderr().is_terminal() && !no_color;
        registry.with(fmt::layer().with_writer(io::stderr).with_ansi(ansi).with_target(false)).try_init()
    } else {
        registry.with(fmt::layer().json().flatten_event(true).with_writer(io::stderr)).try_init()
    };
}
