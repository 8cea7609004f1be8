//! Jaeger with traces in memory: OTLP over gRPC in, the query API out. The built-in configuration has fixed ports, so ours is given.

use std::path::Path;

use crate::Error;
use crate::error::Doing;
use crate::probe::Probe;
use crate::process::Launch;
use crate::server::Server;

/// Older traces give way beyond this number: some hundred MB at ten spans each.
const MAX_TRACES: u32 = 100_000;

/// The server, its configuration written. Ports: query API, query over gRPC, OTLP.
pub(super) fn server(program: &Path, run: &Path, logs: &Path, ports: [u16; 3]) -> Result<Server, Error> {
    let launch = Launch::new("jaeger", program, run, &logs.join("jaeger.log"));
    std::fs::create_dir_all(&launch.folder).doing(|| format!("make {}", launch.folder.display()))?;
    let file = launch.folder.join("jaeger.yaml");
    std::fs::write(&file, config(ports)).doing(|| format!("write {}", file.display()))?;
    let [query, _, otlp] = ports;
    let launch = launch.args(["--config".to_owned(), file.display().to_string()]);
    Ok(Server::process(launch, Probe::Jaeger { query, otlp }))
}

/// No batch processor: a span can be found as soon as its export is answered. No traces of Jaeger itself: they would go to a fixed
/// port, and its end would wait for them.
fn config([query, query_grpc, otlp]: [u16; 3]) -> String {
    format!(
        "\
service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines:
    traces: {{receivers: [otlp], exporters: [jaeger_storage_exporter]}}
  telemetry:
    metrics: {{level: none}}
    logs: {{level: warn}}
extensions:
  jaeger_storage:
    backends:
      memory: {{memory: {{max_traces: {MAX_TRACES}}}}}
  jaeger_query:
    storage: {{traces: memory}}
    enable_tracing: false
    http: {{endpoint: '127.0.0.1:{query}'}}
    grpc: {{endpoint: '127.0.0.1:{query_grpc}'}}
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: '127.0.0.1:{otlp}'}}
exporters:
  jaeger_storage_exporter: {{trace_storage: memory}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_endpoint_is_on_the_loopback_interface() {
        let text = config([12_001, 12_002, 12_003]);
        let endpoints: Vec<&str> = text.lines().filter(|l| l.contains("endpoint")).collect();
        assert_eq!(endpoints.len(), 3);
        assert!(endpoints.iter().all(|l| l.contains("'127.0.0.1:1200")), "{endpoints:?}");
    }
}
