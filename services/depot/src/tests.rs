//! The depot on the production shell, with the store in memory and a stepped clock: commands and reports in, replies and
//! events out.

mod cancel;
mod lists;
mod overlap;
mod returns;
mod robots;
mod staff;

use crate::{
    Board, Depot, DepotConfig,
    api::Api,
    domain::{Bay, Bot, ShoppingList, bay::BayState, samples},
    worker::{Dispatcher, Outcome},
};
use message::{Command, Direction, EffectKey, Envelope, Outgoing, SagaRef, Stream};
use schemas::{
    depot as wire,
    grpc::depot::{self as pb, bot_report as what, depot_server::Depot as _},
    ids::{BotId, OrderId, ReturnId},
};
use serde_json::Value;
use std::{collections::HashMap, sync::Arc};
use tonic::Request;
use transport::{
    Aggregate, Call, Context, Shell, ShellConfig,
    codec::{Codec, Wire},
    memory::MemoryStore,
    ports::{NewRecord, Query, Record, Store},
    timers::{Always, Timers},
};
use uuid::Uuid;

const SHARDS: [i16; 4] = [0, 1, 2, 3];
const DO: Direction = Direction::Do;
const UNDO: Direction = Direction::Undo;

/// The depot as it runs, but for the log: records are delivered by hand and read from the outbox.
struct Hall {
    shell: Shell<Depot, MemoryStore>,
    dispatcher: Dispatcher<MemoryStore>,
    board: Board,
    /// Commands sent by saga: each saga's are one stream.
    sent: HashMap<Uuid, u64>,
    offset: i64,
    read: usize,
    reports: HashMap<BotId, i64>,
    ran: Option<tokio::task::JoinHandle<()>>,
}

impl Drop for Hall {
    fn drop(&mut self) {
        self.ran.take().inspect(|ran| ran.abort());
    }
}

fn order(n: u128) -> OrderId {
    samples::order(n)
}

fn bot_id(n: u128) -> BotId {
    BotId::from(Uuid::from_u128(0xb0_0000 + n))
}

/// Two of product 1 at store 1, one of product 2 at store 2.
fn plan(n: u128, volume_ml: i32) -> wire::PlanShopping {
    wire::PlanShopping { order_id: order(n), lines: vec![samples::line(1, 1, 2), samples::line(2, 2, 1)], volume_ml }
}

fn start(n: u128) -> wire::StartShopping {
    wire::StartShopping { order_id: order(n) }
}

fn cancel(n: u128) -> wire::CancelShopping {
    wire::CancelShopping { order_id: order(n), reason: "changed my mind".into() }
}

fn release(n: u128) -> wire::ReleaseItems {
    wire::ReleaseItems { order_id: order(n) }
}

impl Hall {
    /// With `bays` bays of 100 ml, numbered from 1.
    async fn with_bays(bays: i32) -> Self {
        Self::with(bays, DepotConfig::default()).await
    }

    async fn with(bays: i32, config: DepotConfig) -> Self {
        let mut hall = Self::stopped(config);
        let running = hall.shell.clone();
        hall.ran = Some(tokio::spawn(async move { running.run().await }));
        for number in 1..=bays {
            hall.api().add_bay(Request::new(pb::AddBayRequest { number, volume_ml: 100 })).await.unwrap();
        }
        hall
    }

    /// Batches are made by the test.
    fn stopped(config: DepotConfig) -> Self {
        let codec = Arc::new(Codec::offline().unwrap());
        let config = (Depot { config }, ShellConfig { id_seed: Some(7), ..ShellConfig::default() });
        let shell = Shell::new(config.0, MemoryStore::new(Depot::KINDS), codec, config.1);
        let board = Board::default();
        let dispatcher = Dispatcher::new(shell.clone(), board.clone()).unwrap();
        let (sent, reports) = (HashMap::new(), HashMap::new());
        Self { shell, dispatcher, board, sent, offset: 0, read: 0, reports, ran: None }
    }

    fn store(&self) -> &MemoryStore {
        self.shell.store()
    }

    fn api(&self) -> Api<MemoryStore> {
        Api { shell: self.shell.clone(), board: self.board.clone() }
    }

    /// Delivers a command of the order's saga, and waits until it is committed.
    async fn send<C: Command>(&mut self, n: u128, direction: Direction, round: u32, command: C) {
        self.post(n, direction, round, command).await;
        self.settled().await;
    }

    /// Delivers without waiting. The step's name is the command's for a do, and "plan-shopping" for an undo.
    async fn post<C: Command>(&mut self, n: u128, direction: Direction, round: u32, command: C) {
        let step = match C::NAME.rsplit('.').next().unwrap() {
            "CancelShopping" => "PlanShopping",
            "CancelReturn" => "ReturnItems",
            name => name,
        };
        let effect = EffectKey { saga_id: Uuid::from_u128(0x5a_0000 + n), step: step.into(), direction, round };
        let record = self.record(order(n), effect, Outgoing::new(command));
        self.shell.deliver(record).await.unwrap();
    }

    fn record(&mut self, order: OrderId, effect: EffectKey, command: Outgoing) -> Record {
        let seq = self.sent.entry(effect.saga_id).and_modify(|n| *n += 1).or_insert(1);
        self.offset += 1;
        let stream = Stream::new("orchestrator", "saga", &effect.saga_id.to_string(), command.topic);
        let (reply_to, key) = ("mallbots.orchestrator.replies".into(), order.to_string());
        let saga = SagaRef { saga_type: "order-fulfilment".into(), effect, attempt: 1, reply_to, key: key.clone() };
        let envelope = Envelope {
            id: Uuid::from_u128(self.offset as u128),
            name: command.name.into(),
            stream,
            seq: *seq,
            time_ms: 0,
            trace: None,
            correlation_id: None,
            causation_id: None,
            saga: Some(saga),
            outcome: None,
        };
        let headers = envelope.to_headers();
        let value = Some(self.shell.codec().encode(&command).unwrap());
        let topic = command.topic.to_owned();
        Record { topic, partition: 0, offset: self.offset, key: Some(key.into_bytes()), headers, value }
    }

    /// A call goes through the same queue, so what came before it is committed when it is answered.
    async fn settled(&self) {
        self.shell.call(Call::new("barrier"), |_, _| Ok(())).await.unwrap();
    }

    /// Steps the clock and fires what is due then.
    async fn later(&mut self, ms: i64) -> usize {
        self.store().clock().step(ms);
        let woken = Timers::new(self.shell.clone(), Always).run_once().await.unwrap();
        self.settled().await;
        woken
    }

    /// A robot comes online at the depot.
    async fn online(&mut self, n: u128) -> i64 {
        let request = pb::RegisterBotRequest { bot_id: bot_id(n).to_string(), name: format!("R{n}"), location: None };
        self.reports.insert(bot_id(n), 0);
        self.api().register_bot(Request::new(request)).await.unwrap().into_inner().epoch
    }

    /// Reports of one robot under its present epoch, numbered on; its last instruction.
    async fn report(&mut self, n: u128, all: Vec<what::What>) -> pb::BotInstruction {
        let epoch = self.bot(n).await.epoch;
        let mut reports = Vec::new();
        for what in all {
            let number = self.reports.entry(bot_id(n)).or_default();
            *number += 1;
            reports.push(pb::BotReport { bot_id: bot_id(n).to_string(), epoch, report_no: *number, what: Some(what) });
        }
        self.raw_reports(reports).await.pop().unwrap()
    }

    async fn raw_reports(&self, reports: Vec<pb::BotReport>) -> Vec<pb::BotInstruction> {
        self.api().report(Request::new(pb::ReportRequest { reports })).await.unwrap().into_inner().instructions
    }

    /// Inventory with nothing missing.
    async fn check(&self, n: u128) -> Result<pb::ShoppingList, tonic::Status> {
        let request = pb::CheckListRequest { order_id: order(n).to_string(), missing: vec![], by: "Ada".into() };
        self.api().check_list(Request::new(request)).await.map(tonic::Response::into_inner)
    }

    async fn list(&self, n: u128) -> ShoppingList {
        self.shell.get::<ShoppingList>(order(n).into()).await.unwrap().unwrap()
    }

    async fn bot(&self, n: u128) -> Bot {
        self.shell.get::<Bot>(bot_id(n).into()).await.unwrap().unwrap()
    }

    async fn bay(&self, number: i32) -> Bay {
        self.shell.get::<Bay>(Bay::id(number)).await.unwrap().unwrap()
    }

    async fn status(&self, n: u128) -> &'static str {
        self.list(n).await.status()
    }

    /// What was published since the last look, sorted by stream: names, and for replies the step and the refusal's code.
    async fn published(&mut self) -> Vec<String> {
        let mut rows = self.store().unsent(&SHARDS, 10_000).await.unwrap();
        rows.sort_by_key(|row| row.id);
        let fresh: Vec<_> = rows.iter().skip(self.read).map(|row| self.describe(&row.record)).collect();
        self.read = rows.len();
        fresh
    }

    /// As [`Hall::published`], only replies.
    async fn replies(&mut self) -> Vec<String> {
        self.published().await.into_iter().filter(|p| p.contains("->")).collect()
    }

    fn describe(&self, record: &NewRecord) -> String {
        let headers = record.headers.iter();
        let envelope = Envelope::from_headers(&record.topic, Some(record.key.as_bytes()), headers).unwrap();
        let body = self.shell.codec().decode_json(&Wire::parse(record.value.as_ref().unwrap()).unwrap()).unwrap();
        let name = message::short_name(&envelope.name).rsplit('.').next().unwrap().to_owned();
        match envelope.saga {
            None => name,
            Some(saga) => {
                let code = body.get("code").and_then(Value::as_str).unwrap_or(&name);
                format!("{}/{} -> {code}", saga.effect.step, saga.effect.direction)
            }
        }
    }
}

/// All is picked at both stops.
fn both_stops(n: u128) -> Vec<what::What> {
    vec![stop(n, 1, &[(1, 2)], &[]), stop(n, 2, &[(2, 1)], &[])]
}

fn stop(n: u128, store: u128, picked: &[(u128, i32)], missing: &[(u128, i32)]) -> what::What {
    let counts = |of: &[(u128, i32)]| of.iter().map(|(p, q)| samples::count(*p, *q).into()).collect();
    what::What::StopVisited(what::StopVisited {
        order_id: order(n).to_string(),
        store_id: samples::store(store).to_string(),
        picked: counts(picked),
        missing: counts(missing),
    })
}

fn delivered(n: u128) -> what::What {
    what::What::Delivered(what::Delivered { order_id: order(n).to_string() })
}

fn returned(n: u128) -> what::What {
    what::What::Returned(what::Returned { order_id: order(n).to_string() })
}

fn heartbeat() -> what::What {
    what::What::Heartbeat(what::Heartbeat {})
}

/// A hall with one bay, one robot and a list that has come so far; nothing of it is left to be read.
async fn at(status: &str) -> Hall {
    let mut hall = Hall::with_bays(1).await;
    hall.online(1).await;
    hall.send(1, DO, 1, plan(1, 30)).await;
    if status != "planned" {
        hall.send(1, DO, 1, start(1)).await;
    }
    if !matches!(status, "planned" | "assigned") {
        hall.report(1, vec![stop(1, 1, &[(1, 2)], &[])]).await;
    }
    if matches!(status, "delivered" | "checked" | "released") {
        hall.report(1, vec![stop(1, 2, &[], &[(2, 1)]), delivered(1)]).await;
    }
    if matches!(status, "checked" | "released") {
        hall.check(1).await.unwrap();
    }
    if status == "released" {
        hall.send(1, DO, 1, release(1)).await;
    } else {
        assert_eq!(hall.status(1).await, status);
    }
    hall.published().await;
    hall
}
