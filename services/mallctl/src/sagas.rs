//! Sagas as operators see and steer them, over the orchestrator's API.

use crate::output::{self, Done, Failure, Format};
use schemas::grpc::{common::Page, orchestrator as wire, orchestrator::orchestrator_client::OrchestratorClient};
use tonic::transport::Channel;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Sagas, newest first
    #[command(after_help = "\
Examples:
  mallctl sagas list --state stuck               what waits for a person
  mallctl sagas list --order 0197…               what became of an order
  mallctl sagas list --state running --older-than 2h -o json")]
    List {
        /// Only those in this state
        #[arg(long, value_parser = ["running", "compensating", "stuck", "completed", "compensated"])]
        state: Option<String>,
        /// Only those of this type: order-fulfilment, return-refund
        #[arg(long = "type", value_parser = known_type)]
        saga_type: Option<String>,
        /// Started at least this long ago: 90s, 5m, 2h
        #[arg(long, value_parser = duration_ms, default_value = "0s")]
        older_than: i64,
        /// The order it is about
        #[arg(long, default_value = "", hide_default_value = true)]
        order: String,
        /// At most this many
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// One saga's timeline: each step, attempt, reply, wait, who and why
    #[command(after_help = "Example:\n  mallctl sagas show 0197…")]
    Show { saga_id: String },
    /// A definition: steps, undos, deadlines
    #[command(after_help = "Example:\n  mallctl sagas outline order-fulfilment")]
    Outline { saga_type: String },
    /// Try again what a stuck saga is stuck at
    #[command(after_help = "Example:\n  mallctl sagas retry 0197… --reason 'the bay is free again'")]
    Retry(Verb),
    /// Undo a running saga; exit 4 when its pivot was sent: then it only goes forward
    #[command(after_help = "Example:\n  mallctl sagas cancel 0197… --reason 'the customer left'")]
    Cancel(Verb),
    /// Leave the stuck step out
    #[command(
        after_help = "Example:\n  mallctl sagas skip 0197… --step release-items --reason 'nothing was in the bay'"
    )]
    Skip(StepVerb),
    /// The stuck step was carried out by hand
    #[command(
        after_help = "Example:\n  mallctl sagas mark-done 0197… --step release-items --reason 'handed over by hand'"
    )]
    MarkDone(StepVerb),
}

#[derive(clap::Args)]
pub struct Verb {
    saga_id: String,
    /// Why you do this; kept in the history
    #[arg(long)]
    reason: String,
    /// Your name; kept in the history
    #[arg(long, env = "USER", default_value = "operator")]
    by: String,
}

#[derive(clap::Args)]
pub struct StepVerb {
    #[command(flatten)]
    verb: Verb,
    /// The step's name, as `show` prints it
    #[arg(long)]
    step: String,
}

/// `90s`, `5m`, `2h`, `1d` in milliseconds.
pub fn duration_ms(text: &str) -> Result<i64, String> {
    let (number, unit) = text.split_at(text.len() - text.chars().next_back().map_or(0, char::len_utf8));
    let unit = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err("give a number with s, m, h or d, for example 5m".into()),
    };
    let number: i64 = number.parse().map_err(|_| "give a number with s, m, h or d, for example 5m".to_owned())?;
    number.checked_mul(unit).ok_or_else(|| "that is too long".into())
}

async fn client() -> Result<OrchestratorClient<Channel>, Failure> {
    let url = service_kit::env_or("MALLBOTS_ORCHESTRATOR_URL", "http://127.0.0.1:7107");
    let connected = OrchestratorClient::connect(url.clone()).await;
    connected.map_err(|_| {
        Failure::Unreachable(format!("the orchestrator does not answer at {url} (MALLBOTS_ORCHESTRATOR_URL)"))
    })
}

pub async fn run(command: Command, format: Format) -> Done {
    match command {
        Command::List { state, saga_type, older_than, order, limit } => {
            let (state, saga_type) = (state.unwrap_or_default(), saga_type.unwrap_or_default());
            let page = Some(Page { page_size: limit, page_token: String::new() });
            let request = wire::ListSagasRequest { saga_type, state, older_than_ms: older_than, order_id: order, page };
            let found = client().await?.list_sagas(request).await?.into_inner();
            list(format, &found.sagas);
        }
        Command::Show { saga_id } => {
            let found = client().await?.get_saga(wire::GetSagaRequest { saga_id }).await?.into_inner();
            show(format, &found);
        }
        Command::Outline { saga_type } => outline(&saga_type, format)?,
        Command::Retry(verb) => one(format, &client().await?.retry_saga(request(verb)).await?.into_inner()),
        Command::Cancel(verb) => cancelled(format, &client().await?.cancel_saga(request(verb)).await?.into_inner())?,
        Command::Skip(verb) => one(format, &client().await?.skip_step(step_request(verb)).await?.into_inner()),
        Command::MarkDone(verb) => one(format, &client().await?.mark_done(step_request(verb)).await?.into_inner()),
    }
    Ok(())
}

fn request(verb: Verb) -> wire::OperatorRequest {
    let idempotency_key = uuid::Uuid::now_v7().to_string();
    wire::OperatorRequest { saga_id: verb.saga_id, reason: verb.reason, by: verb.by, idempotency_key }
}

fn step_request(verb: StepVerb) -> wire::OperatorStepRequest {
    let wire::OperatorRequest { saga_id, reason, by, idempotency_key } = request(verb.verb);
    wire::OperatorStepRequest { saga_id, step: verb.step, reason, by, idempotency_key }
}

/// A cancel that comes too late is kept in the history and changes nothing else.
fn cancelled(format: Format, saga: &wire::Saga) -> Done {
    one(format, saga);
    if matches!(saga.state.as_str(), "compensating" | "compensated") || !saga.code.is_empty() {
        return Ok(());
    }
    Err(Failure::Refused(format!("too late: the saga is {} at {} and only goes forward", saga.state, saga.step)))
}

fn known_type(text: &str) -> Result<String, String> {
    let definitions = orchestrator::sagas::definitions(&orchestrator::sagas::Deadlines::default());
    let known: Vec<_> = definitions.iter().map(|d| d.saga_type()).collect();
    if known.contains(&text) { Ok(text.to_owned()) } else { Err(format!("there are {}", known.join(", "))) }
}

/// Works without a server: the definitions are compiled in.
fn outline(saga_type: &str, format: Format) -> Done {
    let definitions = orchestrator::sagas::definitions(&orchestrator::sagas::Deadlines::default());
    match definitions.iter().find(|d| d.saga_type() == saga_type) {
        Some(definition) => {
            let text = definition.outline();
            output::say(format, &text, &[("saga_type", saga_type), ("outline", &text)]);
            Ok(())
        }
        None => {
            let known: Vec<_> = definitions.iter().map(|d| d.saga_type()).collect();
            Err(Failure::Usage(format!("there is no saga type `{saga_type}`: there are {}", known.join(", "))))
        }
    }
}

const COLUMNS: [&str; 8] = ["saga_id", "saga_type", "business_key", "state", "step", "code", "lasted_s", "trace_id"];

fn row(saga: &wire::Saga) -> Vec<String> {
    vec![
        saga.saga_id.clone(),
        saga.saga_type.clone(),
        saga.business_key.clone(),
        saga.state.clone(),
        saga.step.clone(),
        saga.code.clone(),
        output::seconds(saga.updated_at_ms - saga.started_at_ms),
        saga.trace_id.clone(),
    ]
}

fn list(format: Format, sagas: &[wire::Saga]) {
    output::print(format, &COLUMNS, &sagas.iter().map(row).collect::<Vec<_>>());
}

fn one(format: Format, saga: &wire::Saga) {
    list(format, std::slice::from_ref(saga));
}

fn show(format: Format, timeline: &wire::SagaTimeline) {
    let Some(saga) = &timeline.saga else { return };
    if format == Format::Table {
        let cause = if saga.code.is_empty() { String::new() } else { format!(", {}: {}", saga.code, saga.reason) };
        let at = if saga.step.is_empty() { String::new() } else { format!(" at {}", saga.step) };
        let (saga_type, id, key, state) = (&saga.saga_type, &saga.saga_id, &saga.business_key, &saga.state);
        output::line(format_args!("{saga_type} {id} of {key}: {state}{at}{cause}\n"));
    }
    let rows: Vec<_> = timeline
        .entries
        .iter()
        .map(|entry| {
            let attempt = if entry.attempt == 0 { String::new() } else { format!("{}/{}", entry.round, entry.attempt) };
            vec![
                output::seconds(entry.at_ms - saga.started_at_ms),
                entry.kind.clone(),
                entry.step.clone(),
                entry.direction.clone(),
                attempt,
                entry.message.clone(),
                entry.who.clone(),
                entry.reason.clone(),
            ]
        })
        .collect();
    output::print(format, &["at_s", "what", "step", "direction", "round/attempt", "message", "who", "why"], &rows);
}

#[cfg(test)]
mod tests {
    use super::duration_ms;

    #[test]
    fn durations_need_a_number_and_a_unit() {
        assert_eq!(duration_ms("5m"), Ok(300_000));
        for bad in ["", "5", "m", "5w", "-", "5é"] {
            assert!(duration_ms(bad).is_err(), "{bad}");
        }
    }
}
