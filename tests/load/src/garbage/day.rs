//! A day in the mall during which garbage pours into its topics.

use super::make::{Kind, Maker, TOPICS};
use crate::{
    Crowd, Mall, Plan, Platform, Told, Ways,
    kiosk::PATIENCE,
    memory::Memory,
    sender::{Place, Sender, Stray},
};
use anyhow::{Context as _, Result, bail, ensure};
use rdkafka::error::RDKafkaErrorCode;
use schemas::grpc::{
    common::Page,
    orders::{ListOrdersRequest, orders_client::OrdersClient},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};
use tokio::sync::watch;
use uuid::Uuid;

/// How the day goes.
#[derive(Debug, Clone)]
pub struct Day {
    pub seed: u64,
    pub orders: usize,
    /// Pieces of garbage to each topic.
    pub records: usize,
    /// How many customers are in the mall at once.
    pub at_once: usize,
}

/// What was seen.
#[derive(Debug)]
pub struct Report {
    /// Orders that ended otherwise than predicted, with the timelines of their sagas.
    pub surprises: Vec<String>,
    pub topics: BTreeMap<&'static str, TopicReport>,
    /// Before the first piece, while orders ran; and after the last order.
    pub before: Memory,
    pub after: Memory,
    /// Invariants that hold, as `mallctl verify` prints them.
    pub verdict: String,
}

#[derive(Debug, Default, Clone)]
pub struct TopicReport {
    pub sent: usize,
    /// Of those sent: under keys of orders that were live.
    pub under_live_keys: usize,
    pub refused_by_broker: usize,
    /// By kind: how many are parked, and one of the reasons.
    pub parked: BTreeMap<Kind, (usize, String)>,
    /// Pieces in the log that are parked nowhere, and parked records that are no garbage.
    pub lost: Vec<Place>,
    pub extra: Vec<Place>,
}

impl TopicReport {
    pub fn parked(&self) -> usize {
        self.parked.values().map(|(count, _)| count).sum()
    }
}

/// In how many portions the garbage comes, spread over the middle three fifths of the day.
const PORTIONS: usize = 20;
const POLL: Duration = Duration::from_millis(100);

impl Day {
    /// Runs the day on `platform`, which is all in one process. What is wrong is in the report; an error is a day that
    /// did not come to its end.
    pub async fn run(&self, platform: &Platform, seen: impl Fn(usize)) -> Result<Report> {
        let mall = Mall::open(platform.url("stores"), platform.url("depot"), 3, 200).await.context("open the mall")?;
        let plan = Plan::draw(self.seed, self.orders, mall.ordinary.len());
        let crowd = Crowd {
            kiosk: platform.url("kiosk-gateway"),
            mall,
            at_once: self.at_once,
            patience: Duration::from_secs(120),
            run: format!("garbage{}", self.seed),
            ways: Ways::default(),
        };
        let (ended, progress) = watch::channel(0_usize);
        let shopping = crowd.shop(&plan, |_| {
            ended.send_modify(|n| *n += 1);
            seen(*ended.borrow());
        });
        let (told, pouring) = tokio::join!(shopping, self.pour(platform, progress));
        let (told, (before, pieces)) = (told?, pouring?);
        let topics = account(platform, pieces).await?;
        let surprises = surprises(platform, &told).await?;
        let verdict = platform.ctl(&["verify", "--wait", "60s"]).await?;
        let after = memory(platform)?;
        Ok(Report { surprises, topics, before, after, verdict })
    }

    async fn pour(
        &self,
        platform: &Platform,
        mut progress: watch::Receiver<usize>,
    ) -> Result<(Memory, Vec<(Piece, Result<Place, RDKafkaErrorCode>)>)> {
        let (mut maker, sender) = (Maker::new(self.seed).await?, Sender::new(platform.env())?);
        let mut orders = OrdersClient::connect(platform.url("orders")).await.context("orders")?;
        let fifth = self.orders / 5;
        progress.wait_for(|ended| *ended >= fifth).await?;
        let before = memory(platform)?;
        let mut poured = Vec::with_capacity(self.records * TOPICS.len());
        for portion in 0..PORTIONS {
            let due = fifth + portion * 3 * fifth / PORTIONS;
            progress.wait_for(|ended| *ended >= due).await?;
            let live = live(&mut orders).await?;
            let numbers = portion * self.records / PORTIONS..(portion + 1) * self.records / PORTIONS;
            let pieces: Vec<_> = numbers.flat_map(|n| TOPICS.map(|topic| (n, topic))).collect();
            let pieces: Vec<_> =
                pieces.into_iter().map(|(n, topic)| Piece::new(&mut maker, topic, n, &live)).collect::<Result<_>>()?;
            let strays: Vec<_> = pieces.iter().map(|piece| piece.stray.clone()).collect();
            poured.extend(pieces.into_iter().map(Piece::lighter).zip(sender.send(&strays).await?));
        }
        Ok((before, poured))
    }
}

/// What is remembered of a piece.
struct Piece {
    kind: Kind,
    live: bool,
    stray: Stray,
}

impl Piece {
    /// The `n`th piece for `topic`: half of each kind under keys of live orders.
    fn new(maker: &mut Maker, topic: &'static str, n: usize, live: &[Uuid]) -> Result<Self> {
        let is_live = (n + n / 10).is_multiple_of(2);
        let key = if is_live { live[n % live.len()] } else { Uuid::now_v7() };
        let kind = Kind::nth(n);
        Ok(Self { kind, live: is_live, stray: maker.make(topic, kind, key)? })
    }

    /// Without its body, which would be this process's memory.
    fn lighter(mut self) -> Self {
        self.stray.value = Vec::new();
        self
    }
}

/// Orders that have not come to an end; waits until there are some.
pub(crate) async fn live(orders: &mut OrdersClient<tonic::transport::Channel>) -> Result<Vec<Uuid>> {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        let mut found = Vec::new();
        for status in ["pending", "approved", "shopping", "ready"] {
            let page = Some(Page { page_size: 500, page_token: String::new() });
            let request = ListOrdersRequest { status: status.into(), page };
            let orders = orders.list_orders(request).await?.into_inner().orders;
            found.extend(orders.iter().filter_map(|order| order.order_id.parse::<Uuid>().ok()));
        }
        if !found.is_empty() {
            return Ok(found);
        }
        tokio::time::sleep(POLL).await;
    }
    bail!("no order is live any more: give the day more orders")
}

fn memory(platform: &Platform) -> Result<Memory> {
    Memory::of(platform.pid("all").context("the platform has ended")?)
}

/// Waits until everything that came to lie in a topic is parked, and tells what became of each piece.
async fn account(
    platform: &Platform,
    pieces: Vec<(Piece, Result<Place, RDKafkaErrorCode>)>,
) -> Result<BTreeMap<&'static str, TopicReport>> {
    let expected = pieces.iter().filter(|(_, sent)| sent.is_ok()).count();
    let started = Instant::now();
    let mut parked = parked(platform).await?;
    while parked.len() < expected && started.elapsed() < PATIENCE {
        tokio::time::sleep(POLL).await;
        parked = self::parked(platform).await?;
    }
    let mut reasons: HashMap<Place, String> = parked
        .iter()
        .map(|row| {
            (row["place"].as_str().unwrap_or_default().into(), row["reason"].as_str().unwrap_or_default().into())
        })
        .collect();
    let mut topics: BTreeMap<&'static str, TopicReport> = BTreeMap::new();
    for (piece, sent) in pieces {
        let report = topics.entry(piece.stray.topic).or_default();
        report.sent += 1;
        report.under_live_keys += usize::from(piece.live);
        match sent.map(|place| (reasons.remove(&place), place)) {
            Err(RDKafkaErrorCode::MessageSizeTooLarge) if piece.kind == Kind::OverTheBrokersLimit => {
                report.refused_by_broker += 1;
            }
            Err(code) => bail!("{} was refused: {code}", piece.kind.name()),
            Ok((Some(reason), _)) if !reason.is_empty() => {
                report.parked.entry(piece.kind).or_insert((0, reason)).0 += 1;
            }
            Ok((_, place)) => report.lost.push(place),
        }
    }
    for (place, _) in reasons {
        let topic = TOPICS.into_iter().find(|topic| place.starts_with(&format!("{topic}/"))).unwrap_or("elsewhere");
        topics.entry(topic).or_default().extra.push(place);
    }
    Ok(topics)
}

async fn surprises(platform: &Platform, told: &[Told]) -> Result<Vec<String>> {
    let mut surprises = Vec::new();
    for told in told {
        let Some(scenario) = told.scenario.filter(|_| !told.as_predicted()) else { continue };
        let saga = timeline(platform, &told.order_id).await?;
        surprises.push(format!("order {} ({}) is {}:\n{saga}", told.order_id, scenario.name(), told.end));
    }
    Ok(surprises)
}

/// What `mallctl sagas show` tells of an order's saga.
pub(crate) async fn timeline(platform: &Platform, order: &str) -> Result<String> {
    let list = platform.ctl(&["sagas", "list", "--order", order, "-o", "json"]).await?;
    let sagas: Value = serde_json::from_str(&list)?;
    match sagas[0]["saga_id"].as_str() {
        Some(id) => platform.ctl(&["sagas", "show", id]).await,
        None => Ok("it has no saga".into()),
    }
}

/// All parked records of the platform, as `mallctl parked list` tells them.
pub async fn parked(platform: &Platform) -> Result<Vec<Value>> {
    let text = platform.ctl(&["parked", "list", "--limit", "100000", "-o", "json"]).await?;
    Ok(serde_json::from_str(&text)?)
}

/// How much a process may have grown over a day of garbage, MiB: below what the garbage weighs, above what an allocator
/// and the orders of the second half of the day explain.
pub const GROWTH_MIB: f64 = 64.0;

impl Report {
    /// The error says what is not as it must be.
    pub fn check(&self, day: &Day) -> Result<()> {
        ensure!(self.surprises.is_empty(), "{} orders: {}", self.surprises.len(), self.surprises.join("\n"));
        for (topic, report) in &self.topics {
            ensure!(report.lost.is_empty(), "{topic}: nothing became of {:?}", report.lost);
            ensure!(report.extra.is_empty(), "{topic}: parked, and no garbage: {:?}", report.extra);
            ensure!(report.sent == day.records, "{topic}: {} were sent", report.sent);
            ensure!(report.under_live_keys * 2 == report.sent, "{topic}: {} live keys", report.under_live_keys);
            ensure!(report.refused_by_broker * 10 == report.sent, "{topic}: {} refused", report.refused_by_broker);
            ensure!(report.parked() + report.refused_by_broker == report.sent, "{topic}: {} parked", report.parked());
        }
        let grown = self.after.resident_mib - self.before.resident_mib;
        ensure!(grown < GROWTH_MIB, "the platform grew by {grown:.0} MiB, more than {GROWTH_MIB} MiB");
        let peak = self.after.peak_mib - self.before.resident_mib;
        ensure!(peak < 2.0 * GROWTH_MIB, "the platform grew by {peak:.0} MiB at its peak");
        Ok(())
    }
}
