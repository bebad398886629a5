//! Spans of requests for a token, and of the requests to issuers, for an OpenTelemetry collector (OTLP over HTTP).
//!
//! Configured by the standard's own variables (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_TRACES_SAMPLER` …), which the SDK
//! reads. A span that ends is put into a bounded queue, which a thread of the SDK's empties: a collector that is slow
//! or away holds nobody up. What does not fit is dropped, counted, and reported at the end. No token is in a span.

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId,
    TraceState, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, Key, KeyValue};
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span};
use tokio::runtime::Handle;

use super::TraceParent;

/// How long one attempt to reach the collector may take; the SDK has no say in a client that is not its own.
const ATTEMPT: Duration = Duration::from_secs(10);
/// At the end, a collector that is stuck is waited for no longer than this.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// An answer of the collector's is not read beyond this: a few words at most are in it.
const MAX_ANSWER: usize = 64 * 1024;
/// The name under which spans are made, and the service's where the environment has none.
const NAME: &str = "token-provider";

static EXPORT: OnceLock<Export> = OnceLock::new();

/// Why spans cannot be exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// A variable has a value that the SDK does not take.
    #[error("{0}")]
    Variable(String),
    /// TLS cannot be set up.
    #[error("TLS could not be set up; are the system's CA certificates installed?")]
    NoTls(#[from] reqwest::Error),
}

#[derive(Debug)]
struct Export {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

/// Sends requests on the server's own runtime: the SDK's thread has none.
struct Client {
    runtime: Handle,
    http: reqwest::Client,
}

/// Begins to export spans; from here on there are some. Needs a Tokio runtime. Does nothing the second time.
///
/// # Errors
///
/// What the SDK says to the variables, or TLS.
pub fn start() -> Result<(), ExportError> {
    let http = reqwest::Client::builder()
        .timeout(ATTEMPT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("token-provider/", env!("CARGO_PKG_VERSION")))
        .build()?;
    let client = Client { runtime: Handle::current(), http };
    let exporter = SpanExporter::builder().with_http().with_http_client(client).build();
    let exporter = exporter.map_err(|error| ExportError::Variable(without_values(&error.to_string())))?;
    // Queue, batches and sampler are as the variables say: parent-based where they say nothing.
    let provider =
        SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource()).build();
    let tracer = provider.tracer(NAME);
    // An error means that spans are exported already, as in tests.
    let _ = EXPORT.set(Export { provider, tracer });
    Ok(())
}

/// Sends the last spans. Waits for the collector, but not long.
pub async fn stop() {
    let stop = || EXPORT.get().map_or(Ok(()), |export| export.provider.shutdown_with_timeout(LAST_WORDS));
    if let Ok(Err(error)) = tokio::task::spawn_blocking(stop).await {
        tracing::warn!(%error, "the last spans could not be sent in time");
    }
}

/// The SDK quotes what it does not like; the address of a collector can hold a password.
fn without_values(text: &str) -> String {
    let parts = text.split('\'').enumerate();
    parts.map(|(place, part)| if place % 2 == 0 { part } else { "'…'" }).collect()
}

fn resource() -> Resource {
    let resource = Resource::builder().build();
    let named = resource.get(&Key::from_static_str("service.name"));
    if named.is_some_and(|name| !name.as_str().starts_with("unknown_service")) {
        return resource;
    }
    Resource::builder().with_service_name(NAME).build()
}

/// Begins a span under `trace`, if it is to be recorded, and puts it in the trace's place: what follows is its child.
pub fn begin(name: impl Into<String>, kind: SpanKind, trace: &mut Option<TraceParent>) -> Option<Span> {
    let tracer = &EXPORT.get()?.tracer;
    let context = trace
        .as_ref()
        .and_then(context)
        .map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent));
    let builder = SpanBuilder::from_name(name.into()).with_kind(kind);
    let span = tracer.build_with_context(builder, &context);
    if !span.is_recording() {
        return None;
    }
    *trace = parent_of_more(span.span_context());
    Some(span)
}

/// Ends a span. `failure` says what went wrong, where that was not the caller's doing.
pub fn end(mut span: Span, attributes: impl IntoIterator<Item = KeyValue>, failure: Option<&'static str>) {
    span.set_attributes(attributes);
    if let Some(failure) = failure {
        span.set_attribute(KeyValue::new("error.type", failure));
        span.set_status(Status::error(failure));
    }
    span.end();
}

fn context(trace: &TraceParent) -> Option<SpanContext> {
    let text = trace.as_str();
    let trace_id = TraceId::from_hex(trace.trace_id()).ok()?;
    let span_id = SpanId::from_hex(text.get(36..52)?).ok()?;
    let flags = TraceFlags::new(u8::from_str_radix(text.get(53..55)?, 16).ok()?);
    Some(SpanContext::new(trace_id, span_id, flags, true, TraceState::NONE))
}

fn parent_of_more(context: &SpanContext) -> Option<TraceParent> {
    let (trace, span, flags) = (context.trace_id(), context.span_id(), context.trace_flags().to_u8());
    TraceParent::parse(format!("00-{trace}-{span}-{flags:02x}").as_bytes())
}

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (http, request) = (self.http.clone(), reqwest::Request::try_from(request)?);
        let exchange = async move {
            let mut answer = http.execute(request).await?;
            let mut body = Vec::new();
            while let Some(chunk) = answer.chunk().await? {
                if body.len() + chunk.len() > MAX_ANSWER {
                    return Err("the collector's answer is too long".into());
                }
                body.extend_from_slice(&chunk);
            }
            Ok::<_, HttpError>(Response::builder().status(answer.status()).body(body.into())?)
        };
        self.runtime.spawn(exchange).await?
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_value_is_left_out_of_an_error() {
        let text = "OTEL_EXPORTER_OTLP_ENDPOINT: invalid endpoint 'http//user:planted@x': invalid format";
        let expected = "OTEL_EXPORTER_OTLP_ENDPOINT: invalid endpoint '…': invalid format";
        assert_eq!(without_values(text), expected);
        assert_eq!(without_values("x 'planted"), "x '…'");
    }

    #[test]
    fn trace_of_a_caller_survives_the_way_there_and_back() {
        for flags in ["00", "01"] {
            let text = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}");
            let trace = TraceParent::parse(text.as_bytes()).expect("is well-formed");
            let context = context(&trace).expect("is one");
            assert!(context.is_remote());
            assert_eq!(context.is_sampled(), flags == "01");
            assert_eq!(parent_of_more(&context), Some(trace));
        }
    }
}
