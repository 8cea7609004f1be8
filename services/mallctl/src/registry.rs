//! Schemas: registered under their record names with FULL_TRANSITIVE compatibility, and checked.

use crate::output::{self, Done, Failure, Format};
use serde_json::{Value, json};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Set FULL_TRANSITIVE for each subject and register every schema
    Register,
    /// Ask the registry whether every schema is compatible with all released versions; exit 1 when one is not
    Check,
}

const CONTENT: &str = "application/vnd.schemaregistry.v1+json";

pub async fn run(command: Command, format: Format) -> Done {
    let base =
        service_kit::env_required("MALLBOTS_REGISTRY", "the schema registry's base URL").map_err(output::usage)?;
    let base = base.trim_end_matches('/').to_owned();
    let http = reqwest::Client::new();
    let (mut rows, mut refused) = (Vec::new(), 0);
    for schema in schemas::all() {
        let body = json!({ "schema": schema.avsc });
        let verdict = match command {
            Command::Register => {
                let config = json!({ "compatibility": "FULL_TRANSITIVE" });
                let configured = configure(&http, &format!("{base}/config/{}", schema.name), &config).await?;
                let answer = ask(http.post(format!("{base}/subjects/{}/versions", schema.name)), &body).await?;
                configured.and(answer).map(|v| format!("id {}", v["id"]))
            }
            Command::Check => {
                let url = format!("{base}/compatibility/subjects/{}/versions", schema.name);
                let answer = ask(http.post(url), &body).await?;
                answer.and_then(|v| match v["is_compatible"].as_bool() {
                    Some(true) => Ok("compatible".into()),
                    _ => Err(v.to_string()),
                })
            }
        };
        refused += usize::from(verdict.is_err());
        rows.push(vec![schema.name.to_owned(), verdict.unwrap_or_else(|why| format!("REFUSED {why}"))]);
    }
    output::print(format, &["subject", "verdict"], &rows);
    if refused == 0 { Ok(()) } else { Err(Failure::Check(format!("{refused} schemas were refused"))) }
}

/// Two that set a subject's rule at once may meet: the second finds it there when it asks again.
async fn configure(http: &reqwest::Client, url: &str, config: &Value) -> Result<Result<Value, String>, Failure> {
    let mut answer = ask(http.put(url), config).await?;
    for _ in 0..RACES {
        if answer.is_ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        answer = ask(http.put(url), config).await?;
    }
    Ok(answer)
}

const RACES: usize = 20;

/// The outer error: the registry cannot be reached; the inner one is what it said instead of yes.
async fn ask(request: reqwest::RequestBuilder, body: &Value) -> Result<Result<Value, String>, Failure> {
    let sent = request.header("Content-Type", CONTENT).body(body.to_string()).send().await;
    let answer = sent.map_err(|e| Failure::Unreachable(format!("schema registry: {e}")))?;
    let status = answer.status();
    let text = answer.text().await.map_err(|e| Failure::Unreachable(format!("schema registry: {e}")))?;
    Ok(if status.is_success() {
        Ok(serde_json::from_str(&text).unwrap_or_default())
    } else {
        Err(format!("{status} {text}"))
    })
}
