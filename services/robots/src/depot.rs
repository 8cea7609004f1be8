//! The depot as robots and staff see it. Wire values become the robots' own here, and nowhere deeper.

use crate::{
    Config, Shelves,
    brain::{Answer, Assignment, Instruction, Job, Report, Stop, What},
    stock::Stock,
};
use message::Refusal;
use schemas::{
    grpc::{
        common::{self, Page},
        depot::{self as pb, bot_report, depot_client::DepotClient},
    },
    ids::{BotId, OrderId, ProductId, StoreId},
    lines::LineCount,
};
use std::{future::Future, sync::Arc, time::Duration};
use tonic::{
    Request, Response, Status,
    client::GrpcService,
    codegen::{Body, Bytes, StdError},
    transport::{Channel, Endpoint},
};

/// Most reports of one request, by the depot's contract.
pub const MAX_REPORTS: usize = 500;
/// How long an unanswered call is waited for; then its outcome is unknown.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How long the depot holds a call of robots that wait for an assignment.
const LISTEN: Duration = Duration::from_secs(15);
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// How often an idle connection is proved alive.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Bytes on their way: a few hundred assignments are more than the usual 64 KiB.
const WINDOW: u32 = 2 * 1024 * 1024;

/// What the depot can be reached by: a network channel, or a server in the same process.
pub trait Connection:
    GrpcService<
        tonic::body::Body,
        ResponseBody: Body<Data = Bytes, Error: Into<StdError> + Send> + Send + 'static,
        Future: Send,
    > + Clone
    + Send
    + Sync
    + 'static
{
}

impl<T> Connection for T
where
    T: GrpcService<tonic::body::Body> + Clone + Send + Sync + 'static,
    T::ResponseBody: Body<Data = Bytes> + Send + 'static,
    <T::ResponseBody as Body>::Error: Into<StdError> + Send,
    T::Future: Send,
{
}

/// Cheap to clone; clones share one connection.
#[derive(Debug, Clone)]
pub struct Depot<T> {
    client: DepotClient<T>,
    stock: Arc<Stock>,
}

impl Depot<Channel> {
    /// Over the network: connects on first use, and again when the connection is lost. Must be called within a tokio runtime.
    pub fn new(config: &Config) -> anyhow::Result<Self> {
        let channel = Endpoint::from(config.depot_url.clone())
            .connect_timeout(CONNECT_WITHIN)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .tcp_nodelay(true)
            .connect_lazy();
        Ok(Self::over(channel, config))
    }
}

impl<T: Connection> Depot<T> {
    pub fn over(connection: T, config: &Config) -> Self {
        let shelves = Shelves { missing_rate: config.missing_rate, seed: config.seed };
        Self { client: DepotClient::new(connection), stock: Arc::new(Stock::new(shelves)) }
    }

    /// A robot comes online; answers its epoch.
    pub async fn register(&self, bot: BotId, name: String) -> Result<i64, Status> {
        let request = pb::RegisterBotRequest { bot_id: bot.to_string(), name, location: None };
        let call = |mut depot: DepotClient<T>, request| async move { depot.register_bot(request).await };
        Ok(self.ask(request, ANSWER_WITHIN, call).await?.epoch)
    }

    /// Answers robot by robot, in the order of the reports.
    pub async fn report(&self, reports: Vec<(BotId, Vec<Report>)>) -> Result<Vec<(BotId, Answer)>, Status> {
        let asked: Vec<_> = reports.iter().map(|(bot, said)| (*bot, said.len())).collect();
        let request =
            pb::ReportRequest { reports: reports.into_iter().flat_map(|(bot, said)| wire(bot, said)).collect() };
        let call = |mut depot: DepotClient<T>, request| async move { depot.report(request).await };
        let response = self.ask(request, ANSWER_WITHIN, call).await?;
        let mut told = response.instructions.into_iter();
        let mut answers = Vec::with_capacity(asked.len());
        for (bot, count) in asked {
            let (own, id): (Vec<_>, _) = (told.by_ref().take(count).collect(), bot.to_string());
            if own.len() != count || own.iter().any(|i| i.bot_id != id) {
                return Err(Status::internal("the depot's instructions do not fit the reports"));
            }
            answers.push((bot, self.answer(own).await?));
        }
        Ok(answers)
    }

    /// Waits until one of these robots has something to do; answers those that have, or none when the time is over.
    pub async fn listen(&self, bots: &[BotId]) -> Result<Vec<(BotId, Instruction)>, Status> {
        let bot_ids = bots.iter().map(BotId::to_string).collect();
        let request = pb::AwaitAssignmentsRequest { bot_ids, wait_ms: LISTEN.as_millis() as u32 };
        let call = |mut depot: DepotClient<T>, request| async move { depot.await_assignments(request).await };
        let response = self.ask(request, LISTEN + ANSWER_WITHIN, call).await?;
        let mut told = Vec::new();
        for instruction in response.instructions {
            let bot = BotId::parse(&instruction.bot_id).map_err(odd)?;
            told.push((bot, self.instruction(instruction.epoch, instruction.assignment).await?));
        }
        Ok(told)
    }

    /// The inventory of a delivered list: everything the robot reported is there.
    pub async fn check(&self, order: OrderId, by: &str) -> Result<(), Status> {
        let request = pb::CheckListRequest { order_id: order.to_string(), missing: Vec::new(), by: by.to_owned() };
        let call = |mut depot: DepotClient<T>, request| async move { depot.check_list(request).await };
        self.ask(request, ANSWER_WITHIN, call).await.map(|_| ())
    }

    /// Lists that wait for their inventory, as many as one page has.
    pub async fn delivered(&self) -> Result<Vec<OrderId>, Status> {
        let page = Some(Page { page_size: 500, page_token: String::new() });
        let request = pb::ListListsRequest { status: "delivered".to_owned(), page };
        let call = |mut depot: DepotClient<T>, request| async move { depot.list_lists(request).await };
        let response = self.ask(request, ANSWER_WITHIN, call).await?;
        response.lists.iter().map(|list| OrderId::parse(&list.order_id).map_err(odd)).collect()
    }

    /// The depot is told how long it has, and not waited for longer: not every connection gives up by itself.
    async fn ask<M, A, F>(
        &self,
        message: M,
        time: Duration,
        call: impl FnOnce(DepotClient<T>, Request<M>) -> F,
    ) -> Result<A, Status>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let mut request = Request::new(message);
        request.set_timeout(time);
        match tokio::time::timeout(time, call(self.client.clone(), request)).await {
            Ok(answer) => answer.map(Response::into_inner),
            Err(_elapsed) => Err(Status::deadline_exceeded("no answer in time")),
        }
    }

    /// One robot's answers; all of them say the same about what it is to do now.
    async fn answer(&self, mut own: Vec<pb::BotInstruction>) -> Result<Answer, Status> {
        let refusals: Vec<_> = own.iter_mut().map(refusal).collect();
        let Some(last) = own.pop() else { return Err(Status::internal("a robot without an answer")) };
        // Epochs begin at 1: without one the reports were not judged.
        if last.epoch > 0 {
            let now = self.instruction(last.epoch, last.assignment).await?;
            return Ok(Answer::Judged { refusals, now });
        }
        Ok(match refusals.into_iter().flatten().next() {
            Some(refusal) if refusal.code != "depot.unknown_bot" => Answer::Later(refusal),
            _ => Answer::Unknown,
        })
    }

    async fn instruction(&self, epoch: i64, assignment: Option<pb::Assignment>) -> Result<Instruction, Status> {
        let Some(assignment) = assignment else { return Ok(Instruction { epoch, assignment: None }) };
        let order = OrderId::parse(&assignment.order_id).map_err(odd)?;
        let job = match assignment.kind() {
            pb::assignment::Kind::Return => Job::Return,
            pb::assignment::Kind::Collect | pb::assignment::Kind::Unspecified => Job::Collect,
        };
        if job == Job::Collect {
            self.learn(order, &assignment).await?;
        }
        let stops = assignment.stops.into_iter().map(|stop| self.stop(order, stop)).collect::<Result<_, _>>()?;
        Ok(Instruction { epoch, assignment: Some(Assignment { order, job, stops }) })
    }

    /// Asks for the names of an order's products, where one is not known yet.
    async fn learn(&self, order: OrderId, assignment: &pb::Assignment) -> Result<(), Status> {
        for item in assignment.stops.iter().flat_map(|stop| &stop.items) {
            if self.stock.holds(order, ProductId::parse(&item.product_id).map_err(odd)?).is_some() {
                continue;
            }
            let request = pb::GetListRequest { order_id: order.to_string() };
            let call = |mut depot: DepotClient<T>, request| async move { depot.get_list(request).await };
            let list = self.ask(request, ANSWER_WITHIN, call).await?;
            let items = list.stops.iter().flat_map(|stop| &stop.items);
            let names = items.map(|i| Ok((ProductId::parse(&i.product_id).map_err(odd)?, i.name.as_str())));
            self.stock.learn(names.collect::<Result<Vec<_>, Status>>()?);
            return Ok(());
        }
        Ok(())
    }

    fn stop(&self, order: OrderId, stop: pb::Stop) -> Result<Stop, Status> {
        let store = StoreId::parse(&stop.store_id).map_err(odd)?;
        let items = stop.items.into_iter().map(LineCount::try_from).collect::<Result<Vec<_>, _>>().map_err(odd)?;
        // A product that even the list has no name for is there.
        let found = |item: &LineCount| self.stock.holds(order, item.product_id).unwrap_or(true);
        let (picked, missing) = items.into_iter().partition(found);
        Ok(Stop { store, picked, missing })
    }
}

fn odd(error: impl std::fmt::Display) -> Status {
    Status::internal(format!("the depot's answer cannot be read: {error}"))
}

fn refusal(instruction: &mut pb::BotInstruction) -> Option<Refusal> {
    let code = std::mem::take(&mut instruction.refusal_code);
    let message = std::mem::take(&mut instruction.refusal_message);
    (!code.is_empty()).then(|| Refusal::new(code, message))
}

fn wire(bot: BotId, said: Vec<Report>) -> impl Iterator<Item = pb::BotReport> {
    let bot_id = bot.to_string();
    said.into_iter().map(move |report| pb::BotReport {
        bot_id: bot_id.clone(),
        epoch: report.epoch,
        report_no: report.number,
        what: Some(what(report.what)),
    })
}

fn what(what: What) -> bot_report::What {
    match what {
        What::Visited { order, stop } => bot_report::What::StopVisited(bot_report::StopVisited {
            order_id: order.to_string(),
            store_id: stop.store.to_string(),
            picked: stop.picked.into_iter().map(common::LineCount::from).collect(),
            missing: stop.missing.into_iter().map(common::LineCount::from).collect(),
        }),
        What::Delivered(order) => bot_report::What::Delivered(bot_report::Delivered { order_id: order.to_string() }),
        What::Returned(order) => bot_report::What::Returned(bot_report::Returned { order_id: order.to_string() }),
        What::Heartbeat => bot_report::What::Heartbeat(bot_report::Heartbeat {}),
        What::GoOffline => bot_report::What::GoOffline(bot_report::GoOffline {}),
    }
}
