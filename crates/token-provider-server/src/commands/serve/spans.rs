//! Whether spans are exported, and where to.

use crate::config::Environment;

/// The variables of OpenTelemetry that say where a collector is. Without one nothing is sent.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// Begins to export spans where the environment names a collector. A server without them is better than none.
#[cfg(feature = "otlp")]
pub(super) fn start(environment: &Environment) {
    let Some(variable) = named(environment) else { return };
    match crate::telemetry::otlp::start() {
        Ok(()) => tracing::info!("spans go to the collector that {variable} names"),
        Err(error) => tracing::error!(%error, "spans are not exported"),
    }
}

/// Sends the last ones.
#[cfg(feature = "otlp")]
pub(super) async fn stop() {
    crate::telemetry::otlp::stop().await;
}

/// Says so where the environment names a collector, and this program has nothing to send to it.
#[cfg(not(feature = "otlp"))]
pub(super) fn start(environment: &Environment) {
    if let Some(variable) = named(environment) {
        tracing::warn!(
            "{variable} is set, and this program was built without the feature otlp: no spans are exported"
        );
    }
}

#[cfg(not(feature = "otlp"))]
pub(super) fn stop() -> std::future::Ready<()> {
    std::future::ready(())
}

fn named(environment: &Environment) -> Option<&'static str> {
    ENDPOINTS.into_iter().find(|variable| environment.variable(variable).is_some())
}
