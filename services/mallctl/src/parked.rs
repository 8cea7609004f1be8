//! Parked records: looked at, released in order, or given up with a reason.

use crate::{
    db::{self, failed},
    output::{self, Done, Failure, Format},
};
use std::time::{Duration, Instant};
use tokio_postgres::{Client, types::Json};
use transport::{codec::Wire, ports::Record, registry::Registry};

#[derive(clap::Subcommand)]
pub enum Command {
    /// What is parked, oldest first
    #[command(after_help = "Examples:\n  mallctl parked list\n  mallctl parked list --context payments -o json")]
    List {
        /// Only this context
        #[arg(long, value_parser = db::known_context)]
        context: Option<String>,
        /// At most this many of each context
        #[arg(long, default_value_t = 1_000)]
        limit: u32,
    },
    /// One parked record: headers, and its body decoded as far as that is possible
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
        Command::List { context, limit } => list(context, limit, format).await,
        Command::Show { context, id } => show(&context, id, format).await,
        Command::Release(verb) => act(verb, "release", format).await,
        Command::Skip(verb) => act(verb, "skip", format).await,
    }
}

async fn list(only: Option<String>, limit: u32, format: Format) -> Done {
    let mut rows = Vec::new();
    for (context, ..) in db::contexts() {
        if only.as_ref().is_some_and(|c| c != context) {
            continue;
        }
        let client = db::connect(context).await?;
        let sql = r#"SELECT id, coalesce(stream, ''), coalesce(seq, 0), topic, partition, "offset", gap, reason, coalesce(action, '')
                     FROM parked ORDER BY since_ms, id LIMIT $1"#;
        for row in client.query(sql, &[&i64::from(limit)]).await.map_err(failed)? {
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

async fn show(context: &str, id: i64, format: Format) -> Done {
    let client = db::connect(context).await?;
    let row = client.query_opt("SELECT record, reason FROM parked WHERE id = $1", &[&id]).await.map_err(failed)?;
    let row = row.ok_or_else(|| unknown(context, id))?;
    let Json(record) = row.get::<_, Json<Record>>(0);
    let body = decoded(&record).await.unwrap_or_else(|why| format!("not decoded: {why}"));
    let bytes = record.value.as_deref().unwrap_or_default();
    let mut rows = vec![
        ("reason".to_owned(), row.get::<_, String>(1)),
        ("place".to_owned(), place(&record)),
        ("key".to_owned(), text(record.key.as_deref().unwrap_or_default())),
    ];
    rows.extend(record.headers.iter().map(|(name, value)| (name.to_owned(), text(value))));
    rows.extend([("bytes".to_owned(), format!("{}: {}", bytes.len(), text(bytes))), ("body".to_owned(), body)]);
    let rows: Vec<_> = rows.into_iter().map(|(name, value)| vec![name, value]).collect();
    output::print(format, &["field", "value"], &rows);
    Ok(())
}

fn unknown(context: &str, id: i64) -> Failure {
    Failure::Refused(format!("{context} has no parked record {id}"))
}

fn place(record: &Record) -> String {
    format!("{}/{}@{}", record.topic, record.partition, record.offset)
}

/// Longest piece of a key, header or value that is shown.
const SHOWN_BYTES: usize = 64;

/// As text where it is text, else as a terminal can bear it.
fn text(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(SHOWN_BYTES)];
    let more = if bytes.len() > SHOWN_BYTES { "…" } else { "" };
    match std::str::from_utf8(shown) {
        Ok(text) if !text.chars().any(char::is_control) => format!("{text}{more}"),
        _ => format!("{}{more}", shown.escape_ascii()),
    }
}

/// The body as JSON; the error says why there is none.
async fn decoded(record: &Record) -> Result<String, String> {
    let bytes = record.whole()?.ok_or("it has no value, which means a deletion")?;
    let wire = Wire::parse(bytes).map_err(|e| e.to_string())?;
    let url = service_kit::env_required("MALLBOTS_REGISTRY", "the schema registry's base URL");
    let registry = Registry::new(&url.map_err(|e| e.to_string())?).map_err(|e| e.to_string())?;
    let codec = registry.codec().await.map_err(|e| e.to_string())?;
    if !codec.knows(wire.schema_id) {
        registry.teach(&codec, wire.schema_id).await.map_err(|e| e.to_string())?;
    }
    codec.decode_json(&wire).map(|json| json.to_string()).map_err(|e| e.to_string())
}

async fn act(verb: Verb, action: &str, format: Format) -> Done {
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
    let asked = asked.ok_or_else(|| unknown(&verb.context, verb.id))?;
    let (topic, partition, offset): (String, i32, i64) = (asked.get(0), asked.get(1), asked.get(2));
    let until = Instant::now() + Duration::from_millis(verb.wait.max(0) as u64);
    loop {
        // The same record under another number was tried, and parked again in the same transaction.
        let sql = r#"SELECT id, reason FROM parked WHERE topic = $1 AND partition = $2 AND "offset" = $3"#;
        let left = client.query_opt(sql, &[&topic, &partition, &offset]).await.map_err(failed)?;
        match left.map(|row| (row.get::<_, i64>(0), row.get::<_, String>(1))) {
            None => {
                let (context, id) = (verb.context.as_str(), verb.id.to_string());
                let fields = [("context", context), ("id", &id), ("asked", action), ("result", "done")];
                output::say(format, "done\n", &fields);
                return Ok(());
            }
            Some((id, reason)) if id != verb.id => {
                return Err(Failure::Check(format!("it was tried and is parked again, as {id}: {reason}")));
            }
            Some(_) if Instant::now() > until => {
                let why = why_not_yet(&client, &verb).await?;
                return Err(Failure::Unreachable(format!("asked for, and not done yet: {why}")));
            }
            Some(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Records of a stream go one after the other.
async fn why_not_yet(client: &Client, verb: &Verb) -> Result<String, Failure> {
    let sql = "SELECT p.id FROM parked p JOIN parked mine USING (consumer, stream)
               WHERE mine.id = $1 AND p.seq < mine.seq ORDER BY p.seq LIMIT 1";
    let earlier = client.query_opt(sql, &[&verb.id]).await.map_err(failed)?;
    Ok(match earlier {
        Some(row) => format!("record {} of the same stream is before it; decide about that one", row.get::<_, i64>(0)),
        None => format!("is `{}` running? It will do it when it is", verb.context),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_as_text_or_escaped_and_never_in_full_length() {
        assert_eq!(text("Tür".as_bytes()), "Tür");
        assert_eq!(text(b"\x1b[2J\0"), "\\x1b[2J\\x00");
        assert_eq!(text(&[b'a'; 100]).chars().count(), SHOWN_BYTES + 1);
    }
}
