//! Schemas: held against the released versions, registered under their record names with FULL_TRANSITIVE compatibility,
//! and released.

mod release;

use crate::output::{self, Done, Failure, Format};
use schemas::released::{Verdict, verdicts};
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Set FULL_TRANSITIVE for each subject and register every schema; exit 1 when one is refused
    #[command(after_help = "\
Example:
  MALLBOTS_REGISTRY=http://127.0.0.1:8081 mallctl schemas register")]
    Register,
    /// Is every schema compatible, both ways, with all released versions? Exit 1 when one is not
    #[command(after_help = "\
Examples:
  mallctl schemas check --offline    against the versions under schemas/released, which are compiled in
  mallctl schemas check              also against what the registry at MALLBOTS_REGISTRY has")]
    Check {
        /// Ask no registry
        #[arg(long)]
        offline: bool,
    },
    /// Keep the present schemas as a released version, which later ones must be compatible with
    #[command(after_help = "\
Example, in the folder of the repository:
  mallctl schemas release 0.2.0      writes schemas/released/0.2.0; commit it with the release")]
    Release {
        /// Three numbers, higher than every version before
        version: String,
        /// The folder of released versions
        #[arg(long, default_value = "schemas/released")]
        into: PathBuf,
    },
}

const CONTENT: &str = "application/vnd.schemaregistry.v1+json";

pub async fn run(command: Command, format: Format) -> Done {
    match command {
        Command::Register => register(format).await,
        Command::Check { offline: true } => conclude(format, &["subject", "released"], offline(), "refused"),
        Command::Check { offline: false } => check(format).await,
        Command::Release { version, into } => release::write(&version, &into, format),
    }
}

/// A line of the answer, and whether it is a refusal.
type Line = (Vec<String>, bool);

fn conclude(format: Format, headers: &[&str], lines: Vec<Line>, what: &str) -> Done {
    let refused: Vec<_> = lines.iter().filter(|(_, refused)| *refused).map(|(row, _)| row.join("  ")).collect();
    let rows: Vec<_> = lines.into_iter().map(|(row, _)| row).collect();
    output::print(format, headers, &rows);
    if refused.is_empty() {
        return Ok(());
    }
    // Once more behind the table, which is long.
    Err(Failure::Check(format!("{} of {} schemas {what}:\n{}", refused.len(), rows.len(), refused.join("\n"))))
}

fn offline() -> Vec<Line> {
    let line = |(name, verdict): (&str, Verdict)| {
        let (said, refused) = match verdict {
            Verdict::New => ("new".to_owned(), false),
            Verdict::Compatible(versions) => (format!("compatible with {}", versions.join(", ")), false),
            Verdict::Refused(why) => (format!("REFUSED {}", why.join("; ")), true),
        };
        (vec![name.to_owned(), said], refused)
    };
    verdicts().into_iter().map(line).collect()
}

/// Both verdicts side by side: the versions kept here, and what the registry has.
async fn check(format: Format) -> Done {
    let registry = Registry::from_env()?;
    let mut lines = offline();
    for (row, refused) in &mut lines {
        let said = match schemas::find(&row[0]) {
            Some(schema) => registry.check(schema).await?,
            None => Ok("not in this build".to_owned()),
        };
        *refused |= said.is_err();
        row.push(said.unwrap_or_else(|why| format!("REFUSED {why}")));
    }
    conclude(format, &["subject", "released", "registry"], lines, "refused")
}

async fn register(format: Format) -> Done {
    let registry = Registry::from_env()?;
    let mut lines = Vec::new();
    for schema in schemas::all() {
        let said = registry.register(schema).await?;
        let refused = said.is_err();
        lines.push((vec![schema.name.to_owned(), said.unwrap_or_else(|why| format!("REFUSED {why}"))], refused));
    }
    conclude(format, &["subject", "registry"], lines, "refused by the registry")
}

/// A Confluent-compatible registry. Of its two errors the outer one says that it cannot be reached, the inner one is what
/// it said instead of yes.
struct Registry {
    base: String,
    http: reqwest::Client,
}

/// Two that set a subject's rule at once may meet: the second finds it there when it asks again.
const RACES: usize = 20;

impl Registry {
    fn from_env() -> Result<Self, Failure> {
        let base =
            service_kit::env_required("MALLBOTS_REGISTRY", "the schema registry's base URL").map_err(output::usage)?;
        Ok(Self { base: base.trim_end_matches('/').to_owned(), http: reqwest::Client::new() })
    }

    async fn register(&self, schema: &schemas::Schema) -> Result<Result<String, String>, Failure> {
        if let Err(why) = self.configure(schema.name).await? {
            return Ok(Err(why));
        }
        let url = format!("{}/subjects/{}/versions", self.base, schema.name);
        let answer = ask(self.http.post(url), &json!({ "schema": schema.avsc })).await?;
        Ok(answer.map(|v| format!("id {}", v["id"])))
    }

    async fn configure(&self, subject: &str) -> Result<Result<Value, String>, Failure> {
        let url = format!("{}/config/{subject}", self.base);
        let config = json!({ "compatibility": "FULL_TRANSITIVE" });
        let mut answer = ask(self.http.put(&url), &config).await?;
        for _ in 0..RACES {
            if answer.is_ok() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            answer = ask(self.http.put(&url), &config).await?;
        }
        Ok(answer)
    }

    async fn check(&self, schema: &schemas::Schema) -> Result<Result<String, String>, Failure> {
        let url = format!("{}/compatibility/subjects/{}/versions", self.base, schema.name);
        let answer = ask(self.http.post(url), &json!({ "schema": schema.avsc })).await?;
        Ok(answer.and_then(|v| match v["is_compatible"].as_bool() {
            Some(true) => Ok("compatible".into()),
            _ => Err(v.to_string()),
        }))
    }
}

async fn ask(request: reqwest::RequestBuilder, body: &Value) -> Result<Result<Value, String>, Failure> {
    let sent = request.header("Content-Type", CONTENT).body(body.to_string()).send().await;
    let failed = |e: reqwest::Error| Failure::Unreachable(format!("schema registry: {e} (MALLBOTS_REGISTRY names it)"));
    let answer = sent.map_err(failed)?;
    let status = answer.status();
    let text = answer.text().await.map_err(failed)?;
    Ok(if status.is_success() {
        Ok(serde_json::from_str(&text).unwrap_or_default())
    } else {
        Err(format!("{status} {text}"))
    })
}
