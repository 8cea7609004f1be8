//! An order's trace as a waterfall in the terminal, from Jaeger's query API.

use crate::output::{self, Done, Failure, Format};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  mallctl trace 0197…               when, how long, where and what; `!` marks compensation
  mallctl trace 0197… --width 100   finer bars
  mallctl trace 0197… -o json       the whole trace as Jaeger has it")]
pub struct Command {
    /// The order
    order_id: String,
    /// Columns of the bars
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u16).range(10..=400))]
    width: u16,
}

struct Span {
    id: String,
    parent: Option<String>,
    start_us: i64,
    duration_us: i64,
    service: String,
    name: String,
    undo: bool,
    /// Written by one transaction and sent together, spans of one parent become one line.
    sent: bool,
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
        let order = command.order_id;
        let why = "a trace is there some seconds after the order, if it was sampled (MALLBOTS_TRACE_RATIO)";
        return Err(Failure::Check(format!("Jaeger has no trace with order.id={order}: {why}")));
    };
    match format {
        Format::Json => output::line(trace),
        Format::Table => output::write(waterfall(&id, spans(&trace), command.width.into())),
    }
    Ok(())
}

async fn get(http: &reqwest::Client, url: String) -> Result<Value, Failure> {
    let failed = |e: reqwest::Error| Failure::Unreachable(format!("Jaeger: {e} (MALLBOTS_JAEGER names it)"));
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
    trace["spans"].as_array().into_iter().flatten().map(|s| span(s, &processes)).collect()
}

fn span(span: &Value, processes: &HashMap<&str, &str>) -> Span {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let tag = |name: &str| {
        let found = span["tags"].as_array()?.iter().find(|t| t["key"] == name)?;
        Some(found["value"].as_str().map_or_else(|| found["value"].to_string(), str::to_owned))
    };
    let mut marks = Vec::new();
    marks.extend(tag("mallbots.outbox.dwell_ms").map(|ms| format!("outbox {ms} ms")));
    marks.extend(tag("mallbots.refused").map(|code| format!("refused {code}")));
    marks.extend(tag("error").filter(|e| e == "true").map(|_| "ERROR".to_owned()));
    let service = processes.get(span["processID"].as_str().unwrap_or_default()).copied().unwrap_or_default();
    let operation = text(&span["operationName"]);
    let name = operation.strip_prefix(&format!("{service} ")).unwrap_or(&operation);
    let parent = span["references"].as_array().into_iter().flatten().find(|r| r["refType"] == "CHILD_OF");
    Span {
        id: text(&span["spanID"]),
        parent: parent.map(|r| text(&r["spanID"])),
        start_us: span["startTime"].as_i64().unwrap_or_default(),
        duration_us: span["duration"].as_i64().unwrap_or_default(),
        sent: name.starts_with(SENT),
        name: name.to_owned(),
        service: service.to_owned(),
        undo: tag("saga.direction").as_deref() == Some("undo"),
        marks,
    }
}

const SENT: &str = "publish ";

/// Causes before what they caused: the clocks of two processes, and the milliseconds of an outbox row, may say otherwise.
fn in_order(mut spans: Vec<Span>) -> Vec<Span> {
    let by_id: HashMap<&str, &Span> = spans.iter().map(|s| (s.id.as_str(), s)).collect();
    let mut keys: HashMap<String, (i64, usize)> = HashMap::new();
    for span in &spans {
        let (mut at, mut depth, mut next) = (span.start_us, 0, span.parent.as_deref());
        while let Some(parent) = next.and_then(|id| by_id.get(id))
            && depth < by_id.len()
        {
            (at, depth, next) = (at.max(parent.start_us), depth + 1, parent.parent.as_deref());
        }
        keys.insert(span.id.clone(), (at, depth));
    }
    spans.sort_by_key(|span| keys.get(&span.id).copied());
    spans
}

/// What one transaction sent becomes one line.
fn together(spans: Vec<Span>) -> Vec<Span> {
    let mut lines: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        let joins = |line: &&mut Span| {
            (line.sent, &line.parent, &line.service, line.undo) == (span.sent, &span.parent, &span.service, span.undo)
        };
        match lines.iter_mut().rev().take(8).find(joins).filter(|_| span.sent && span.parent.is_some()) {
            Some(line) => {
                let end = (line.start_us + line.duration_us).max(span.start_us + span.duration_us);
                line.start_us = line.start_us.min(span.start_us);
                line.duration_us = end - line.start_us;
                line.name.push_str(", ");
                line.name.push_str(span.name.strip_prefix(SENT).unwrap_or(&span.name));
            }
            None => lines.push(span),
        }
    }
    lines
}

fn waterfall(id: &str, spans: Vec<Span>, width: usize) -> String {
    let count = spans.len();
    let start = spans.iter().map(|s| s.start_us).min().unwrap_or_default();
    let end = spans.iter().map(|s| s.start_us + s.duration_us).max().unwrap_or(start);
    let total = (end - start).max(1);
    let mut text = format!("trace {id}: {count} spans in {:.1} ms\n", total as f64 / 1000.0);
    text += &format!("{:>9} {:>8}  {:<width$}  {:<14} what\n", "at ms", "took", "", "where");
    for line in together(in_order(spans)) {
        let column = |us: i64| ((us * width as i64) / total).clamp(0, width as i64 - 1) as usize;
        let (from, to) = (column(line.start_us - start), column(line.start_us - start + line.duration_us));
        let bar = format!("{}{}", " ".repeat(from), "█".repeat((to - from).max(1)));
        let (at, took) = ((line.start_us - start) as f64 / 1000.0, line.duration_us as f64 / 1000.0);
        let marks = if line.marks.is_empty() { String::new() } else { format!("  [{}]", line.marks.join(", ")) };
        let (service, name, undo) = (&line.service, &line.name, if line.undo { "!" } else { " " });
        text += &format!("{at:>9.1} {took:>8.1}  {bar:<width$} {undo}{service:<14} {name}{marks}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn raw(id: &str, parent: &str, start: i64, name: &str) -> Value {
        let references = if parent.is_empty() { json!([]) } else { json!([{"refType": "CHILD_OF", "spanID": parent}]) };
        json!({"spanID": id, "references": references, "startTime": start, "duration": 1000, "operationName": name,
               "processID": "p", "tags": []})
    }

    fn drawn(spans: Vec<Value>) -> Vec<String> {
        let trace = json!({"processes": {"p": {"serviceName": "depot"}}, "spans": spans});
        waterfall("t", super::spans(&trace), 10).lines().skip(2).map(str::to_owned).collect()
    }

    #[test]
    fn a_cause_stands_before_what_it_caused_whatever_the_clocks_say() {
        let lines = drawn(vec![raw("b", "a", 900, "depot later"), raw("a", "", 1000, "depot sooner")]);
        assert!(lines[0].ends_with("sooner") && lines[1].ends_with("later"), "{lines:#?}");
    }

    #[test]
    fn what_one_transaction_sent_is_one_line() {
        let lines = drawn(vec![
            raw("a", "", 0, "process X"),
            raw("b", "a", 1, "depot publish Y"),
            raw("c", "a", 2, "depot publish Z"),
            raw("d", "c", 3, "publish W"),
        ]);
        assert_eq!(lines.len(), 3, "{lines:#?}");
        assert!(lines[1].ends_with("publish Y, Z"), "{lines:#?}");
    }
}
