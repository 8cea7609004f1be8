//! Parked records: looked at, released in order, or given up with a reason.

use crate::{
    db,
    output::{self, Done, Failure, Format},
};
use std::time::Duration;

#[derive(clap::Subcommand)]
pub enum Command {
    /// What is parked, oldest first
    #[command(after_help = "Examples:\n  mallctl parked list\n  mallctl parked list --context payments -o json")]
    List {
        /// Only this context
        #[arg(long, value_parser = db::known_context)]
        context: Option<String>,
    },
    /// One parked record with its headers
    #[command(after_help = "Example:\n  mallctl parked show orders 7")]
    Show {
        #[arg(value_parser = db::known_context)]
        context: String,
        /// As `parked list` prints it
        id: i64,
    },
    /// Process it again; exit 1 when it is parked again
    #[command(after_help = "Example:\n  mallctl parked release orders 7 --reason 'the schema is registered now'")]
    Release(Verb),
    /// Give it up: its stream goes on without it, a command is refused to its saga
    #[command(after_help = "Example:\n  mallctl parked skip orders 7 --reason 'sent by a broken tool'")]
    Skip(Verb),
}

#[derive(clap::Args)]
pub struct Verb {
    #[arg(value_parser = db::known_context)]
    context: String,
    /// As `parked list` prints it
    id: i64,
    /// Why you do this; kept in the audit
    #[arg(long)]
    reason: String,
    /// Your name; kept in the audit
    #[arg(long, env = "USER", default_value = "operator")]
    by: String,
    /// How long to wait until the service has done it
    #[arg(long, value_parser = crate::sagas::duration_ms, default_value = "10s")]
    wait: i64,
}

pub async fn run(command: Command, format: Format) -> Done {
    match command {
        Command::List { context } => list(context, format).await,
        Command::Show { context, id } => show(&context, id).await,
        Command::Release(verb) => act(verb, "release").await,
        Command::Skip(verb) => act(verb, "skip").await,
    }
}

fn failed(error: tokio_postgres::Error) -> Failure {
    Failure::Unreachable(format!("PostgreSQL: {error}"))
}

async fn list(only: Option<String>, format: Format) -> Done {
    let mut rows = Vec::new();
    for (context, ..) in db::contexts() {
        if only.as_ref().is_some_and(|c| c != context) {
            continue;
        }
        let client = db::connect(context).await?;
        let sql = r#"SELECT id, coalesce(stream, ''), coalesce(seq, 0), topic, partition, "offset", gap, reason, coalesce(action, '')
                     FROM parked ORDER BY since_ms, id LIMIT 1000"#;
        for row in client.query(sql, &[]).await.map_err(failed)? {
            let place = format!("{}/{}@{}", row.get::<_, &str>(3), row.get::<_, i32>(4), row.get::<_, i64>(5));
            let waits = if row.get(6) { "predecessor" } else { "operator" };
            rows.push(vec![
                context.to_owned(),
                row.get::<_, i64>(0).to_string(),
                row.get(1),
                row.get::<_, i64>(2).to_string(),
                place,
                waits.to_owned(),
                row.get(7),
                row.get(8),
            ]);
        }
    }
    output::print(format, &["context", "id", "stream", "seq", "place", "waits_for", "reason", "asked"], &rows);
    Ok(())
}

async fn show(context: &str, id: i64) -> Done {
    let client = db::connect(context).await?;
    let row = client.query_opt("SELECT record, reason FROM parked WHERE id = $1", &[&id]).await.map_err(failed)?;
    let row = row.ok_or_else(|| Failure::Refused(format!("{context} has no parked record {id}")))?;
    let tokio_postgres::types::Json(record) = row.get::<_, tokio_postgres::types::Json<transport::ports::Record>>(0);
    println!("{:<14} {}", "reason", row.get::<_, &str>(1));
    println!("{:<14} {}/{}@{}", "place", record.topic, record.partition, record.offset);
    println!("{:<14} {}", "key", String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()));
    for (name, value) in &record.headers {
        println!("{name:<14} {}", String::from_utf8_lossy(value));
    }
    println!("{:<14} {} bytes", "value", record.value.as_ref().map_or(0, Vec::len));
    Ok(())
}

async fn act(verb: Verb, action: &str) -> Done {
    if verb.reason.trim().is_empty() {
        return Err(Failure::Usage("--reason must say why".into()));
    }
    let client = db::connect(&verb.context).await?;
    let sql = r#"WITH asked AS (
            UPDATE parked SET action = $2, action_by = $3, action_reason = $4, action_at = now() WHERE id = $1
            RETURNING id, topic, partition, "offset"
        ), audited AS (
            INSERT INTO parked_audit (parked_id, action, by, reason, place)
            SELECT id, $2, $3, $4, topic || '/' || partition || '@' || "offset" FROM asked
        ) SELECT topic, partition, "offset" FROM asked"#;
    let asked = client.query_opt(sql, &[&verb.id, &action, &verb.by, &verb.reason]).await.map_err(failed)?;
    let asked = asked.ok_or_else(|| Failure::Refused(format!("{} has no parked record {}", verb.context, verb.id)))?;
    let (topic, partition, offset): (String, i32, i64) = (asked.get(0), asked.get(1), asked.get(2));
    let until = std::time::Instant::now() + Duration::from_millis(verb.wait.max(0) as u64);
    loop {
        // The same record under another number was tried, and parked again in the same transaction.
        let sql = r#"SELECT id, reason FROM parked WHERE topic = $1 AND partition = $2 AND "offset" = $3"#;
        let left = client.query_opt(sql, &[&topic, &partition, &offset]).await.map_err(failed)?;
        match left.map(|row| (row.get::<_, i64>(0), row.get::<_, String>(1))) {
            None => {
                println!("done");
                return Ok(());
            }
            Some((id, reason)) if id != verb.id => {
                return Err(Failure::Check(format!("it was tried and is parked again, as {id}: {reason}")));
            }
            Some(_) if std::time::Instant::now() > until => {
                let context = &verb.context;
                let why = format!("asked for, and not done yet: is `{context}` running? It will do it when it is");
                return Err(Failure::Unreachable(why));
            }
            Some(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}
