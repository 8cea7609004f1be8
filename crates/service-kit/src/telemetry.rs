//! Logs (structured, to standard error), traces (OTLP) and metrics (Prometheus) of one process.

use anyhow::Context as _;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry::{
    KeyValue,
    global::BoxedTracer,
    trace::{SpanId, TraceId, TracerProvider as _},
};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{IdGenerator, RandomIdGenerator, Sampler, SdkTracerProvider},
};
use std::{collections::HashMap, sync::OnceLock};
use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();

/// Seconds, for histograms of time: from a quarter of a millisecond to a minute.
const BUCKETS: &[f64] =
    &[0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Keeps the exporters alive; spans still in memory are sent when it is dropped by [`Telemetry::shutdown`].
pub struct Telemetry {
    providers: Vec<SdkTracerProvider>,
}

/// Starts logs and metrics, and traces for each of `services` when `MALLBOTS_OTLP` is set.
///
/// `MALLBOTS_LOG` filters logs (by default warnings of all, and more of our own crates, as `LOG` lists),
/// `MALLBOTS_LOG_FORMAT` is `json` (default) or `text`, `MALLBOTS_TRACE_RATIO` samples at the head (default 1).
pub fn start(services: &[&'static str]) -> anyhow::Result<Telemetry> {
    logs()?;
    prometheus()?;
    let mut providers = Vec::new();
    if let Ok(endpoint) = std::env::var("MALLBOTS_OTLP")
        && !endpoint.is_empty()
    {
        let ratio: f64 = crate::env_parse("MALLBOTS_TRACE_RATIO", 1.0)?;
        let mut tracers = HashMap::new();
        for service in services {
            let provider = provider(service, &endpoint, ratio).context("MALLBOTS_OTLP")?;
            tracers.insert(*service, BoxedTracer::new(Box::new(provider.tracer("mallbots"))));
            providers.push(provider);
        }
        transport::spans::install(tracers);
    }
    Ok(Telemetry { providers })
}

impl Telemetry {
    /// Sends what is still in memory. Blocks for at most some seconds.
    pub fn shutdown(self) {
        for provider in self.providers {
            let _ = provider.shutdown();
        }
    }
}

fn provider(service: &'static str, endpoint: &str, ratio: f64) -> anyhow::Result<SdkTracerProvider> {
    let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
    let resource = Resource::builder()
        .with_service_name(service)
        .with_attribute(KeyValue::new("service.namespace", "mallbots"))
        .build();
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource)
        .with_id_generator(Ids::default())
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio))))
        .build())
}

/// Random ids, but for roots whose trace is that of an order.
#[derive(Debug, Default)]
struct Ids(RandomIdGenerator);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        match transport::spans::wanted_trace_id() {
            Some(id) => TraceId::from_bytes(id.to_be_bytes()),
            None => self.0.new_trace_id(),
        }
    }

    fn new_span_id(&self) -> SpanId {
        self.0.new_span_id()
    }
}

/// What is logged when nothing is said.
const LOG: &str = "warn,mallbots=info,transport=info,orchestrator=info,payments=info,depot=info";

fn logs() -> anyhow::Result<()> {
    let filter = crate::env_or("MALLBOTS_LOG", LOG);
    let filter = EnvFilter::try_new(&filter).with_context(|| format!("MALLBOTS_LOG={filter}"))?;
    let registry = tracing_subscriber::registry().with(filter);
    let started = if crate::env_or("MALLBOTS_LOG_FORMAT", "json") == "text" {
        registry.with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr)).try_init()
    } else {
        let layer = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(std::io::stderr);
        registry.with(layer).try_init()
    };
    // A second start in one process (tests) keeps the first subscriber.
    drop(started);
    Ok(())
}

fn prometheus() -> anyhow::Result<()> {
    if METRICS.get().is_none() {
        let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".into()), BUCKETS)?;
        if let Ok(handle) = builder.install_recorder() {
            let _ = METRICS.set(handle);
        }
    }
    Ok(())
}

/// The metrics of this process in Prometheus' text format.
pub fn render() -> String {
    METRICS.get().map(PrometheusHandle::render).unwrap_or_default()
}
