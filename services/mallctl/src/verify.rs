//! `verify`: databases, topics and the acquirer's ledger, compared.

mod ledger;
mod load;

use crate::output::{self, Done, Failure, Format};
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

#[derive(clap::Args)]
#[command(after_help = "\
The ledger of payments is always read in its documented form: Payments.ListLedger of schemas/proto/payments.proto, at
MALLBOTS_PAYMENTS_URL, whoever implements payments. The acquirer's is read at MALLBOTS_ACQUIRER_URL; when that is not set,
I1 rests on the ledger of payments alone, and a row says so. Where another program takes the place of one of our services,
name the context as foreign: its topics are checked like all others, its tables are not looked for.

Examples:
  mallctl verify --wait 60s                       let what runs end first
  mallctl verify --client-log told.jsonl          also what clients were told
  mallctl verify --foreign payments               payments is somebody else's program
  mallctl verify -o json | jq '.[] | select(.verdict != \"ok\")'

Exit codes: 0 all hold, 1 one is broken and its offending ids are printed, 2 wrong usage, 3 a server cannot be reached.")]
pub struct Command {
    /// First wait until every saga has ended and every outbox is empty, at most this long
    #[arg(long, value_parser = crate::sagas::duration_ms, default_value = "0s")]
    wait: i64,
    /// What clients were told, JSON lines {order_id, answered}: checks I3
    #[arg(long)]
    client_log: Option<PathBuf>,
    /// Contexts that are not ours: their fences, outbox and inbox are left out
    #[arg(long, env = "MALLBOTS_FOREIGN", value_delimiter = ',', value_parser = REPLACEABLE)]
    foreign: Vec<String>,
}

/// What the rules need no tables of: orders, depot and orchestrator are what the others are judged against.
const REPLACEABLE: [&str; 4] = ["payments", "stores", "notifications", "search"];

/// Offending ids that are printed for each invariant.
const SHOWN: usize = 20;

pub async fn run(command: Command, format: Format) -> Done {
    let until = Instant::now() + Duration::from_millis(command.wait.max(0) as u64);
    while !load::quiet(&command.foreign).await? && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let facts = load::load(command.client_log.as_deref(), &command.foreign).await?;
    let verdicts = ::verify::all(&facts);
    let mut rows: Vec<_> = verdicts
        .iter()
        .map(|v| {
            let verdict = if v.broken.is_empty() { "ok".to_owned() } else { format!("BROKEN {}", v.broken.len()) };
            let ids: Vec<_> = v.broken.iter().take(SHOWN).cloned().collect();
            vec![v.name.to_owned(), v.checked.clone(), verdict, ids.join("; ")]
        })
        .collect();
    if facts.acquirer.is_none() {
        let unchecked = ["I1 ledgers", "", "not checked: MALLBOTS_ACQUIRER_URL is not set", ""];
        // Where its verdict would stand, behind that on the money.
        rows.insert(1, unchecked.map(str::to_owned).to_vec());
    }
    output::print(format, &["invariant", "checked", "verdict", "offending"], &rows);
    for context in &command.foreign {
        let left_out = "is foreign: its fences, outbox and inbox are not read, so I6, I7 and I10 rest on its topics";
        match format {
            Format::Table => output::line(format_args!("{context} {left_out}")),
            Format::Json => eprintln!("{context} {left_out}"),
        }
    }
    let broken = verdicts.iter().filter(|v| !v.broken.is_empty()).count();
    match broken {
        0 => Ok(()),
        1 => Err(Failure::Check("an invariant is broken".into())),
        _ => Err(Failure::Check(format!("{broken} invariants are broken"))),
    }
}
