//! The depot, asked for many robots at once.

use schemas::{
    grpc::{
        Connection,
        depot::{self as pb, depot_client::DepotClient},
        robots::{Instruction, Refused},
    },
    ids::BotId,
};
use service_kit::grpc::ask;
use std::time::Duration;
use tonic::Status;

/// Most reports, or robots, of one request, by the depot's contract.
pub const MAX_REPORTS: usize = 500;
/// How long an unanswered call is waited for; then its outcome is unknown.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How long the depot holds a call of robots that wait for an assignment.
const LISTEN: Duration = Duration::from_secs(15);

/// Bytes of an answer: as many assignments as robots fit one request, each of a long list.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// The depot's answer to one robot's reports.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// Each has changed something, or is among `refused`.
    Judged { now: Instruction, acknowledged: i64, refused: Vec<Refused> },
    /// The depot does not know the robot, or has given it up: it has to come online anew.
    Unknown,
    /// The depot could not judge them; the same reports may be sent again. Says why.
    Later(String),
}

/// Cheap to clone; clones share one connection.
#[derive(Debug, Clone)]
pub struct Depot<T> {
    client: DepotClient<T>,
}

impl<T: Connection> Depot<T> {
    pub fn over(connection: T) -> Self {
        Self { client: DepotClient::new(connection).max_decoding_message_size(MAX_ANSWER) }
    }

    /// A robot comes online; what it was told before is void.
    pub async fn register(&self, request: pb::RegisterBotRequest) -> Result<(), Status> {
        let mut depot = self.client.clone();
        ask(request, ANSWER_WITHIN, async |request| depot.register_bot(request).await).await.map(drop)
    }

    /// Answers robot by robot, in the order of the reports.
    pub async fn report(&self, reports: Vec<(BotId, Vec<pb::BotReport>)>) -> Result<Vec<Told>, Status> {
        let asked: Vec<_> = reports.iter().map(|(bot, said)| (bot.to_string(), numbers(said))).collect();
        let request = pb::ReportRequest { reports: reports.into_iter().flat_map(|(_, said)| said).collect() };
        let mut depot = self.client.clone();
        let told = ask(request, ANSWER_WITHIN, async |request| depot.report(request).await).await?;
        let mut told = told.instructions.into_iter();
        let answers = asked.into_iter().map(|(bot, numbers)| {
            let own: Vec<_> = told.by_ref().take(numbers.len()).collect();
            if own.len() != numbers.len() || own.iter().any(|i| i.bot_id != bot) {
                return Err(Status::internal("the depot's instructions do not fit the reports"));
            }
            Ok(answer(own, &numbers))
        });
        answers.collect()
    }

    /// Waits until one of these robots has something to do; answers those that have, or none when the time is over.
    pub async fn listen(&self, bots: &[BotId]) -> Result<Vec<(BotId, Instruction)>, Status> {
        let bot_ids = bots.iter().map(BotId::to_string).collect();
        let request = pb::AwaitAssignmentsRequest { bot_ids, wait_ms: LISTEN.as_millis() as u32 };
        let (mut depot, within) = (self.client.clone(), LISTEN + ANSWER_WITHIN);
        let response = ask(request, within, async |request| depot.await_assignments(request).await).await?;
        let told = response.instructions.into_iter().map(|told| {
            let bot = BotId::parse(&told.bot_id)
                .map_err(|e| Status::internal(format!("the depot's answer cannot be read: {e}")))?;
            Ok((bot, Instruction { epoch: told.epoch, assignment: told.assignment }))
        });
        told.collect()
    }
}

fn numbers(said: &[pb::BotReport]) -> Vec<i64> {
    said.iter().map(|report| report.report_no).collect()
}

/// One robot's answers; all of them say the same about what it is to do now.
fn answer(own: Vec<pb::BotInstruction>, numbers: &[i64]) -> Told {
    let refusals = own.iter().zip(numbers).filter(|(i, _)| !i.refusal_code.is_empty());
    let refused: Vec<_> = refusals
        .map(|(i, number)| Refused {
            report_no: *number,
            code: i.refusal_code.clone(),
            message: i.refusal_message.clone(),
        })
        .collect();
    match own.into_iter().next_back() {
        // Epochs begin at 1: without one the reports were not judged.
        Some(last) if last.epoch > 0 => Told::Judged {
            now: Instruction { epoch: last.epoch, assignment: last.assignment },
            acknowledged: last.acknowledged.max(numbers.iter().copied().max().unwrap_or_default()),
            refused,
        },
        _ => match refused.into_iter().next() {
            Some(refusal) if refusal.code != "depot.unknown_bot" => Told::Later(refusal.message),
            _ => Told::Unknown,
        },
    }
}
