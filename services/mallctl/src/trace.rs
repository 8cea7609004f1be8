//! An order's trace as a waterfall in the terminal, from Jaeger's query API.

use crate::output::{self, Done, Failure, Format};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

#[derive(clap::Args)]
pub struct Command {
    /// The order
    order_id: String,
    /// Columns of the bars
    #[arg(long, default_value_t = 40)]
    width: usize,
}

struct Span {
    start_us: i64,
    duration_us: i64,
    service: String,
    name: String,
    marks: Vec<String>,
}

pub async fn run(command: Command, format: Format) -> Done {
    let jaeger =
        service_kit::env_required("MALLBOTS_JAEGER", "the base URL of Jaeger's query API").map_err(output::usage)?;
    let http = reqwest::Client::new();
    let services: Value = get(&http, format!("{jaeger}/api/services")).await?;
    let tags = serde_json::json!({ "order.id": command.order_id }).to_string();
    let mut traces: BTreeMap<String, Value> = BTreeMap::new();
    for service in services["data"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let query: String = [("service", service), ("tags", tags.as_str()), ("limit", "20"), ("lookback", "168h")]
            .iter()
            .map(|(k, v)| format!("{k}={}&", encode(v)))
            .collect();
        let found: Value = get(&http, format!("{jaeger}/api/traces?{query}")).await?;
        for trace in found["data"].as_array().into_iter().flatten() {
            traces.insert(trace["traceID"].as_str().unwrap_or_default().to_owned(), trace.clone());
        }
    }
    // The order's own trace is the one with the most spans; kiosk reads of it are traces of their own.
    let largest = traces.into_iter().max_by_key(|(_, t)| t["spans"].as_array().map_or(0, Vec::len));
    let Some((id, trace)) = largest else {
        return Err(Failure::Check(format!("Jaeger has no trace with order.id={}", command.order_id)));
    };
    match format {
        Format::Json => println!("{trace}"),
        Format::Table => waterfall(&id, &spans(&trace), command.width),
    }
    Ok(())
}

async fn get(http: &reqwest::Client, url: String) -> Result<Value, Failure> {
    let failed = |e: reqwest::Error| Failure::Unreachable(format!("Jaeger: {e}"));
    http.get(url).send().await.map_err(failed)?.json().await.map_err(failed)
}

fn encode(text: &str) -> String {
    text.bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}

fn spans(trace: &Value) -> Vec<Span> {
    let processes: HashMap<&str, &str> = trace["processes"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(id, p)| (id.as_str(), p["serviceName"].as_str().unwrap_or_default()))
        .collect();
    let mut spans: Vec<Span> = trace["spans"].as_array().into_iter().flatten().map(|s| span(s, &processes)).collect();
    spans.sort_by_key(|s| s.start_us);
    spans
}

fn span(span: &Value, processes: &HashMap<&str, &str>) -> Span {
    let tag = |name: &str| {
        let tags = span["tags"].as_array()?;
        tags.iter()
            .find(|t| t["key"] == name)
            .map(|t| t["value"].as_str().map_or_else(|| t["value"].to_string(), str::to_owned))
    };
    let mut marks = Vec::new();
    if tag("saga.direction").as_deref() == Some("undo") {
        marks.push("COMPENSATION".to_owned());
    }
    marks.extend(tag("mallbots.outbox.dwell_ms").map(|ms| format!("outbox {ms} ms")));
    marks.extend(tag("mallbots.refused").map(|code| format!("refused {code}")));
    marks.extend(tag("error").filter(|e| e == "true").map(|_| "ERROR".to_owned()));
    Span {
        start_us: span["startTime"].as_i64().unwrap_or_default(),
        duration_us: span["duration"].as_i64().unwrap_or_default(),
        service: processes.get(span["processID"].as_str().unwrap_or_default()).copied().unwrap_or_default().to_owned(),
        name: span["operationName"].as_str().unwrap_or_default().to_owned(),
        marks,
    }
}

fn waterfall(id: &str, spans: &[Span], width: usize) {
    let start = spans.first().map_or(0, |s| s.start_us);
    let end = spans.iter().map(|s| s.start_us + s.duration_us).max().unwrap_or(start);
    let total = (end - start).max(1);
    println!("trace {id}: {} spans in {:.1} ms", spans.len(), total as f64 / 1000.0);
    for span in spans {
        let column = |us: i64| ((us * width as i64) / total).clamp(0, width as i64) as usize;
        let (from, to) = (column(span.start_us - start), column(span.start_us - start + span.duration_us));
        let bar = format!("{}{}", " ".repeat(from), "█".repeat((to - from).max(1)));
        let at = (span.start_us - start) as f64 / 1000.0;
        let name = span.name.strip_prefix(&format!("{} ", span.service)).unwrap_or(&span.name);
        let service = &span.service;
        println!("{at:>9.1} ms {bar:<columns$} {service:<15} {name}  {}", span.marks.join(", "), columns = width + 1);
    }
}
