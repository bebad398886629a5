//! The admin listener: where it is bound, and what its connections may take.

use std::time::Duration;

use crate::commands::failure::Failure;
use crate::config::Config;
use crate::listen::{self, Limits, Listener};

/// A monitoring system and some people have no need for more. All of them fit into the descriptors that connections of callers
/// leave; and silent ones, of whomever, are not to keep the others out.
const MAX_CONNECTIONS: usize = 32;
const MAX_CONNECTIONS_EACH: usize = 16;
const HEAD: Duration = Duration::from_secs(2);
/// Shorter than the usual intervals between scrapes, so that no scrape meets a connection that is just being closed.
const IDLE: Duration = Duration::from_secs(7);

/// Binds the listener, where one is configured.
pub(super) fn bind(config: &Config) -> Result<Vec<Listener>, Failure> {
    let Some(place) = &config.admin else { return Ok(Vec::new()) };
    let listeners = listen::bind(place, "admin.listen").map_err(Failure::Bind)?;
    if listeners.iter().any(|listener| !listener.is_local()) {
        tracing::warn!(
            "the admin listener can be reached from outside this machine: see to it that only those can who may"
        );
    }
    Ok(listeners)
}

/// Returns what its connections may take.
pub(super) fn limits() -> Limits {
    Limits {
        connections: MAX_CONNECTIONS,
        connections_per_peer: MAX_CONNECTIONS_EACH,
        counts_loopback: true,
        head: HEAD,
        idle: IDLE,
        ..Limits::default()
    }
}
