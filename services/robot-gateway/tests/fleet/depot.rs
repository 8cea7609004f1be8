//! A depot as its contract says, in memory, behind real gRPC: epochs, report numbers, one list a robot, long waits. It
//! counts what it had to refuse, and can lose answers.

use schemas::grpc::depot::{self as pb, assignment::Kind, bot_report::What, depot_server};
use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};
use uuid::Uuid;

#[derive(Debug, Default)]
pub struct World {
    pub bots: BTreeMap<String, Bot>,
    pub lists: BTreeMap<String, List>,
    pub waiting: VecDeque<String>,
    /// Codes of refusals given.
    pub refused: Vec<String>,
    /// Every n-th answer to reports gets lost; 0 for none.
    pub lose_every: u64,
    /// The next registration is never answered.
    pub mute: bool,
    pub registrations: u64,
    /// Reports that ask what was taken.
    pub looks: u64,
    /// Reports are not answered.
    pub deaf: bool,
    pub requests: u64,
    pub most_reports: usize,
}

#[derive(Debug, Default, Clone)]
pub struct Bot {
    pub epoch: i64,
    pub last_report: i64,
    pub order: Option<String>,
    pub online: bool,
}

#[derive(Debug, Default, Clone)]
pub struct List {
    pub status: &'static str,
    /// Product ids with names, one store each.
    pub items: Vec<(String, String)>,
    pub visited: Vec<String>,
    pub missing: Vec<String>,
    pub returning: bool,
    pub bot: Option<String>,
}

/// Clones share the world.
#[derive(Debug, Clone)]
pub struct FakeDepot {
    world: Arc<Mutex<World>>,
    changes: Arc<watch::Sender<u64>>,
}

impl FakeDepot {
    pub fn new() -> Self {
        Self { world: Arc::default(), changes: Arc::new(watch::channel(0).0) }
    }

    pub async fn serve(&self, at: SocketAddr) -> (SocketAddr, JoinHandle<()>) {
        let listener = TcpListener::bind(at).await.unwrap();
        let (address, service) = (listener.local_addr().unwrap(), depot_server::DepotServer::new(self.clone()));
        let incoming = TcpListenerStream::new(listener);
        // Dropped it ends its connections, too, which a server without an end of its own leaves to their tasks.
        let served =
            Server::builder().add_service(service).serve_with_incoming_shutdown(incoming, std::future::pending());
        (address, tokio::spawn(async move { served.await.unwrap() }))
    }

    /// Looks at the world, and may change it.
    pub fn with<T>(&self, f: impl FnOnce(&mut World) -> T) -> T {
        let seen = f(&mut self.world.lock().unwrap());
        self.changes.send_modify(|n| *n += 1);
        seen
    }

    /// Waits until the world is as wanted.
    pub async fn until(&self, what: &str, wanted: impl Fn(&World) -> bool) {
        let mut changes = self.changes.subscribe();
        let reached = async {
            while !wanted(&self.world.lock().unwrap()) {
                changes.changed().await.unwrap();
            }
        };
        let reached = tokio::time::timeout(Duration::from_secs(60), reached).await;
        assert!(reached.is_ok(), "{what}: {:?}", self.world.lock().unwrap());
    }
}

impl World {
    /// A list that waits for a robot; answers its order.
    pub fn order(&mut self, names: &[&str]) -> String {
        let items = names.iter().map(|name| (product(name), (*name).to_owned())).collect();
        let order = Uuid::from_u128(1_000 + self.lists.len() as u128).to_string();
        self.lists.insert(order.clone(), List { status: "planned", items, ..List::default() });
        self.waiting.push_back(order.clone());
        self.match_waiting();
        order
    }

    /// Takes the list from its robot: dropped, or to be returned.
    pub fn cancel(&mut self, order: &str) {
        let list = self.lists.get_mut(order).unwrap();
        let bot = self.bots.get_mut(list.bot.as_ref().unwrap()).unwrap();
        bot.epoch += 1;
        if list.visited.is_empty() {
            (list.status, bot.order) = ("cancelled", None);
        } else {
            (list.status, list.returning) = ("returning", true);
        }
    }

    /// The robot of the list is given up, and the list waits for nobody.
    pub fn forget(&mut self, order: &str) {
        let list = self.lists.get_mut(order).unwrap();
        list.status = "planned";
        self.bots.remove(&list.bot.take().unwrap());
    }

    pub fn all(&self, status: &str) -> bool {
        self.lists.values().all(|list| list.status == status)
    }

    pub fn online(&self) -> usize {
        self.bots.values().filter(|bot| bot.online).count()
    }

    fn match_waiting(&mut self) {
        for (id, bot) in self.bots.iter_mut().filter(|(_, bot)| bot.online && bot.order.is_none()) {
            let Some(order) = self.waiting.pop_front() else { return };
            let list = self.lists.get_mut(&order).unwrap();
            (list.status, list.bot) = ("assigned", Some(id.clone()));
            (bot.order, bot.epoch) = (Some(order), bot.epoch + 1);
        }
    }

    fn instruction(&self, id: &str, refusal: Option<&str>) -> pb::BotInstruction {
        let bot = self.bots.get(id).cloned().unwrap_or_default();
        pb::BotInstruction {
            bot_id: id.to_owned(),
            epoch: bot.epoch,
            assignment: bot.order.map(|order| self.assignment(&order)),
            refusal_code: refusal.unwrap_or_default().to_owned(),
            refusal_message: refusal.unwrap_or_default().to_owned(),
            acknowledged: bot.last_report,
        }
    }

    fn assignment(&self, order: &str) -> pb::Assignment {
        let list = &self.lists[order];
        let left = list.items.iter().filter(|(product, _)| list.returning || !list.visited.contains(product));
        let stops = left.map(|(product, name)| pb::Stop {
            store_id: product.clone(),
            location: None,
            items: vec![pb::StopItem { product_id: product.clone(), quantity: 1, name: name.clone() }],
            store_name: String::new(),
        });
        let kind = if list.returning { Kind::Return } else { Kind::Collect };
        pb::Assignment { order_id: order.to_owned(), kind: kind.into(), stops: stops.collect(), bay: 1 }
    }

    fn take(&mut self, report: &pb::BotReport) -> Result<(), &'static str> {
        let Some(bot) = self.bots.get_mut(&report.bot_id) else { return Err("depot.unknown_bot") };
        if report.report_no <= bot.last_report && report.epoch <= bot.epoch {
            return Ok(());
        }
        if report.epoch != bot.epoch {
            return Err("depot.stale_epoch");
        }
        bot.last_report = report.report_no;
        match report.what.as_ref().unwrap() {
            What::Idle(_) | What::Heartbeat(_) => Ok(()),
            What::GoOffline(_) => {
                bot.online = false;
                Ok(())
            }
            What::StopVisited(stop) => self.visited(&report.bot_id, stop),
            What::Delivered(done) => self.finished(&report.bot_id, &done.order_id, "delivered"),
            What::Returned(done) => self.finished(&report.bot_id, &done.order_id, "returned"),
        }
    }

    fn own(&mut self, bot: &str, order: &str) -> Result<&mut List, &'static str> {
        let own = self.bots[bot].order.as_deref() == Some(order);
        self.lists.get_mut(order).filter(|_| own).ok_or("depot.wrong_state")
    }

    fn visited(&mut self, bot: &str, stop: &pb::bot_report::StopVisited) -> Result<(), &'static str> {
        let list = self.own(bot, &stop.order_id)?;
        if list.returning || list.visited.contains(&stop.store_id) {
            return Err("depot.wrong_state");
        }
        list.status = "collecting";
        list.visited.push(stop.store_id.clone());
        list.missing.extend(stop.missing.iter().map(|line| line.product_id.clone()));
        Ok(())
    }

    fn finished(&mut self, bot: &str, order: &str, status: &'static str) -> Result<(), &'static str> {
        let list = self.own(bot, order)?;
        let done = if list.returning { status == "returned" } else { list.visited.len() == list.items.len() };
        if !done || list.returning != (status == "returned") {
            return Err("depot.stops_left");
        }
        list.status = status;
        self.bots.get_mut(bot).unwrap().order = None;
        self.match_waiting();
        Ok(())
    }
}

pub fn product(name: &str) -> String {
    Uuid::new_v5(&Uuid::nil(), name.as_bytes()).to_string()
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl depot_server::Depot for FakeDepot {
    async fn register_bot(&self, request: Request<pb::RegisterBotRequest>) -> Answer<pb::RegisterBotResponse> {
        let id = request.into_inner().bot_id;
        if self.with(|world| std::mem::take(&mut world.mute)) {
            std::future::pending::<()>().await;
        }
        let epoch = self.with(|world| {
            world.registrations += 1;
            let bot = world.bots.entry(id).or_default();
            (bot.epoch, bot.last_report, bot.online) = (bot.epoch + 1, 0, true);
            let epoch = bot.epoch;
            world.match_waiting();
            epoch
        });
        Ok(Response::new(pb::RegisterBotResponse { epoch }))
    }

    async fn report(&self, request: Request<pb::ReportRequest>) -> Answer<pb::ReportResponse> {
        let reports = request.into_inner().reports;
        if self.with(|world| world.deaf) {
            std::future::pending::<()>().await;
        }
        self.with(|world| {
            world.looks += reports.iter().filter(|report| report.report_no == 0).count() as u64;
            (world.requests, world.most_reports) = (world.requests + 1, world.most_reports.max(reports.len()));
            let refusals: Vec<_> = reports.iter().map(|report| world.take(report).err()).collect();
            world.refused.extend(refusals.iter().flatten().map(|code| (*code).to_owned()));
            if world.lose_every > 0 && world.requests.is_multiple_of(world.lose_every) {
                return Err(Status::unavailable("the answer got lost"));
            }
            let told = reports.iter().zip(refusals).map(|(report, refusal)| world.instruction(&report.bot_id, refusal));
            Ok(Response::new(pb::ReportResponse { instructions: told.collect() }))
        })
    }

    async fn await_assignments(
        &self,
        request: Request<pb::AwaitAssignmentsRequest>,
    ) -> Answer<pb::AwaitAssignmentsResponse> {
        let pb::AwaitAssignmentsRequest { bot_ids, wait_ms } = request.into_inner();
        let mut changes = self.changes.subscribe();
        let busy = async {
            loop {
                let told: Vec<_> = {
                    let world = self.world.lock().unwrap();
                    let told = bot_ids.iter().map(|id| world.instruction(id, None));
                    told.filter(|instruction| instruction.assignment.is_some()).collect()
                };
                if !told.is_empty() || changes.changed().await.is_err() {
                    return told;
                }
            }
        };
        let instructions = tokio::time::timeout(Duration::from_millis(wait_ms.into()), busy).await.unwrap_or_default();
        Ok(Response::new(pb::AwaitAssignmentsResponse { instructions }))
    }

    async fn list_lists(&self, request: Request<pb::ListListsRequest>) -> Answer<pb::ListListsResponse> {
        let status = request.into_inner().status;
        let world = self.world.lock().unwrap();
        let found = world.lists.iter().filter(|(_, list)| list.status == status);
        let lists = found.map(|(order, _)| pb::ShoppingList { order_id: order.clone(), ..pb::ShoppingList::default() });
        Ok(Response::new(pb::ListListsResponse { lists: lists.collect(), next_page_token: String::new() }))
    }

    async fn check_list(&self, request: Request<pb::CheckListRequest>) -> Answer<pb::ShoppingList> {
        let order = request.into_inner().order_id;
        let checked = self.with(|world| {
            let list = world.lists.get_mut(&order).filter(|list| list.status == "delivered");
            list.map(|list| list.status = "checked").is_some()
        });
        if checked {
            Ok(Response::new(Default::default()))
        } else {
            Err(Status::failed_precondition("depot.wrong_state"))
        }
    }

    async fn get_list(&self, _: Request<pb::GetListRequest>) -> Answer<pb::ShoppingList> {
        Err(Status::unimplemented("robots are told their lists"))
    }

    async fn add_bay(&self, _: Request<pb::AddBayRequest>) -> Answer<pb::Bay> {
        Err(Status::unimplemented("robots add no bays"))
    }

    async fn list_bays(&self, _: Request<pb::ListBaysRequest>) -> Answer<pb::ListBaysResponse> {
        Err(Status::unimplemented("robots do not ask for bays"))
    }

    async fn list_bots(&self, _: Request<pb::ListBotsRequest>) -> Answer<pb::ListBotsResponse> {
        Err(Status::unimplemented("robots do not ask for robots"))
    }

    async fn hand_over(&self, _: Request<pb::HandOverRequest>) -> Answer<pb::HandOverResponse> {
        Err(Status::unimplemented("robots hand nothing over"))
    }
}
