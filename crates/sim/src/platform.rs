//! The contexts' processes, started and stopped: each the production workers on simulated ports.

use crate::{acquirer::SimAcquirer, log::SimLog, process::Process, store::SimStore, world::World};
use anyhow::Context as _;
use depot::{Depot, DepotConfig};
use notifications::{Notifications, sender::LogSender};
use orchestrator::{Orchestrator, sagas};
use orders::Orders;
use payments::{Payments, acquirer::MemoryAcquirer};
use schemas::grpc::{depot::depot_server::DepotServer, robots::robot_gateway_server::RobotGatewayServer};
use search::Search;
use service_kit::Workers;
use std::{
    collections::BTreeMap,
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context as TaskContext, Poll},
    time::Duration,
};
use stores::Stores;
use tokio::task::JoinSet;
use tonic::{Status, body::Body};
use transport::{
    Context, Shell, ShellConfig,
    codec::Codec,
    memory::{MemoryLog, MemoryStore},
    relay::RelayConfig,
    timers::Always,
};

/// Partitions of each topic.
const PARTITIONS: i32 = 2;

/// How long sagas wait in simulations: short, so that many waits end before what they wait for has come.
pub const DEADLINES: sagas::Deadlines = sagas::Deadlines { command_s: 5, shopping_s: 15, pickup_s: 20 };
const DEPOT: DepotConfig = DepotConfig { bay_wait_ms: 3_000, bot_lost_ms: 8_000, auto_check: false };

type OrdersApi = orders::api::Api<SimStore>;
type PaymentsApi = payments::api::Api<SimStore>;
type StoresApi = stores::api::Api<SimStore>;
type DepotApi = DepotServer<depot::api::Api<SimStore>>;

/// What a process answers to.
#[derive(Clone)]
enum Api {
    Stores(Arc<StoresApi>),
    Orders(Arc<OrdersApi>),
    Payments(Arc<PaymentsApi>),
    Depot(DepotApi),
    None,
}

struct Instance {
    process: Arc<Process>,
    api: Api,
    /// Dropped, all its tasks end where they are.
    _workers: JoinSet<()>,
}

#[derive(Default)]
struct Running {
    started: BTreeMap<&'static str, u64>,
    instances: BTreeMap<&'static str, Vec<Instance>>,
    calls: u64,
}

/// See the module's documentation.
pub struct Platform {
    pub world: Arc<World>,
    pub log: MemoryLog,
    pub acquirer: MemoryAcquirer,
    stores: BTreeMap<&'static str, MemoryStore>,
    /// Who reads which topics.
    readers: BTreeMap<&'static str, Vec<&'static str>>,
    codec: Arc<Codec>,
    running: Mutex<Running>,
}

/// The contexts with their kinds.
pub const CONTEXTS: [(&str, transport::Kinds); 7] = [
    (Stores::NAME, Stores::KINDS),
    (Orders::NAME, Orders::KINDS),
    (Payments::NAME, Payments::KINDS),
    (Depot::NAME, Depot::KINDS),
    (Notifications::NAME, Notifications::KINDS),
    (Search::NAME, Search::KINDS),
    (Orchestrator::NAME, Orchestrator::KINDS),
];

impl Platform {
    pub fn new(world: Arc<World>, codec: Arc<Codec>) -> Arc<Self> {
        let stores =
            CONTEXTS.iter().map(|(name, kinds)| (*name, MemoryStore::with_clock(kinds, world.clock.clone()))).collect();
        let (log, acquirer) = (MemoryLog::new(PARTITIONS), MemoryAcquirer::new());
        let readers = BTreeMap::from([
            (Stores::NAME, Stores::routes().topics()),
            (Orders::NAME, Orders::routes().topics()),
            (Payments::NAME, Payments::routes().topics()),
            (Depot::NAME, Depot::routes().topics()),
            (Notifications::NAME, Notifications::routes().topics()),
            (Search::NAME, Search::routes().topics()),
            (Orchestrator::NAME, Orchestrator::routes().topics()),
        ]);
        Arc::new(Self { world, log, acquirer, stores, readers, codec, running: Mutex::default() })
    }

    /// The contexts that read this topic.
    pub fn readers(&self, topic: &str) -> impl Iterator<Item = &'static str> {
        self.readers.iter().filter(move |(_, topics)| topics.contains(&topic)).map(|(context, _)| *context)
    }

    /// The context's database, without the way there.
    pub fn store(&self, context: &str) -> &MemoryStore {
        &self.stores[context]
    }

    /// Starts one more process of the context.
    pub fn start(&self, context: &'static str) -> anyhow::Result<()> {
        let number = {
            let mut running = self.running();
            let started = running.started.entry(context).or_default();
            *started += 1;
            *started
        };
        let process = Process::new(self.world.clone(), context, number);
        self.world.note(process.name(), "starts");
        let instance = match context {
            Stores::NAME => {
                let workers = self.workers(Stores, &process);
                let api = Api::Stores(Arc::new(stores::api::Api { shell: workers.shell() }));
                started(process, workers, Always, api)
            }
            Orders::NAME => {
                let workers = self.workers(Orders::default(), &process);
                let api = Api::Orders(Arc::new(orders::api::Api { shell: workers.shell() }));
                started(process, workers, Always, api)
            }
            Payments::NAME => {
                let mut workers = self.workers(Payments::default(), &process);
                payments::start_worker(&mut workers, SimAcquirer::new(self.acquirer.clone(), process.clone()))?;
                let api = Api::Payments(Arc::new(payments::api::Api { shell: workers.shell() }));
                started(process, workers, Always, api)
            }
            Depot::NAME => {
                let mut workers = self.workers(Depot { config: DEPOT }, &process);
                let board = depot::start_dispatcher(&mut workers)?;
                let api = Api::Depot(DepotServer::new(depot::api::Api { shell: workers.shell(), board }));
                started(process, workers, Always, api)
            }
            Notifications::NAME => {
                let mut workers = self.workers(Notifications, &process);
                notifications::start_sender(&mut workers, LogSender);
                started(process, workers, Always, Api::None)
            }
            Search::NAME => started(process.clone(), self.workers(Search, &process), Always, Api::None),
            Orchestrator::NAME => {
                let mut workers = self.workers(Orchestrator::new(sagas::definitions(&DEADLINES)), &process);
                let gate = orchestrator::start_helpers(&mut workers);
                started(process, workers, gate, Api::None)
            }
            other => anyhow::bail!("no context `{other}`"),
        };
        self.running().instances.entry(context).or_default().push(instance);
        Ok(())
    }

    fn workers<C: Context>(&self, context: C, process: &Arc<Process>) -> Workers<C, SimStore, SimLog> {
        let store = SimStore::new(self.stores[C::NAME].clone(), process.clone());
        let log = SimLog::new(self.log.clone(), process.clone());
        let id_seed = self.world.dice.roll(&[crate::dice::number_of(process.name())]).next();
        let config = ShellConfig { id_seed: Some(id_seed), ..ShellConfig::default() };
        let shell = Shell::new(context, store, self.codec.clone(), config);
        Workers::new(shell, log, None, RelayConfig::default())
    }

    /// Removes the processes that died by themselves; answers the contexts that have none left.
    pub fn bury(&self) -> Vec<&'static str> {
        let mut running = self.running();
        running.instances.values_mut().for_each(|i| i.retain(|instance| !instance.process.is_dead()));
        running.instances.iter().filter(|(_, left)| left.is_empty()).map(|(context, _)| *context).collect()
    }

    /// Kills the context's process at this place among those that run; answers its name.
    pub fn kill(&self, context: &str, place: u64) -> Option<String> {
        let instance = {
            let mut running = self.running();
            let instances = running.instances.get_mut(context).filter(|i| !i.is_empty())?;
            let place = (place % instances.len() as u64) as usize;
            instances.remove(place)
        };
        instance.process.kill();
        self.world.note(instance.process.name(), "is killed");
        Some(instance.process.name().to_owned())
    }

    pub fn count(&self, context: &str) -> usize {
        self.running().instances.get(context).map_or(0, Vec::len)
    }

    pub fn pause(&self, context: &str, place: u64, time: Duration) -> Option<String> {
        let running = self.running();
        let instances = running.instances.get(context).filter(|i| !i.is_empty())?;
        let process = &instances[(place % instances.len() as u64) as usize].process;
        process.pause(time);
        Some(process.name().to_owned())
    }

    /// Every process goes on, and each context has so many.
    pub fn heal(&self, processes: usize) -> anyhow::Result<()> {
        self.bury();
        for (context, _) in CONTEXTS {
            while self.count(context) > processes {
                self.kill(context, 0);
            }
            while self.count(context) < processes {
                self.start(context)?;
            }
            self.running().instances.values().flatten().for_each(|instance| instance.process.resume());
        }
        Ok(())
    }

    pub fn orders(&self) -> Result<Arc<OrdersApi>, Status> {
        self.api("orders", |api| if let Api::Orders(api) = api { Some(api.clone()) } else { None })
    }

    pub fn payments(&self) -> Result<Arc<PaymentsApi>, Status> {
        self.api("payments", |api| if let Api::Payments(api) = api { Some(api.clone()) } else { None })
    }

    pub fn stores(&self) -> Result<Arc<StoresApi>, Status> {
        self.api("stores", |api| if let Api::Stores(api) = api { Some(api.clone()) } else { None })
    }

    fn depot(&self) -> Result<DepotApi, Status> {
        self.api("depot", |api| if let Api::Depot(api) = api { Some(api.clone()) } else { None })
    }

    /// One of the processes that answer for the context, in turn.
    fn api<T>(&self, context: &str, pick: impl Fn(&Api) -> Option<T>) -> Result<T, Status> {
        let mut running = self.running();
        running.calls += 1;
        let turn = running.calls;
        let instances = running.instances.get(context).filter(|i| !i.is_empty());
        let instance = instances.map(|i| &i[(turn % i.len() as u64) as usize]);
        instance.and_then(|i| pick(&i.api)).ok_or_else(|| Status::unavailable(format!("{context} is not there")))
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn started<C: Context>(
    process: Arc<Process>,
    mut workers: Workers<C, SimStore, SimLog>,
    gate: impl transport::timers::Gate,
    api: Api,
) -> Instance {
    workers.start(gate);
    let mut owner = JoinSet::new();
    let failed = process.clone();
    owner.spawn(async move {
        let why = workers.failed().await;
        failed.world.wrong(format!("{}: a worker stopped: {why}", failed.name()));
    });
    Instance { process, api, _workers: owner }
}

/// Where a connection leads: to whichever process answers just now.
pub trait Reach: Clone + Send + 'static {
    type Server: tower::Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible, Future: Send>
        + Send;

    fn server(&self) -> Result<Self::Server, Status>;
}

/// A connection that stays in the process, with a way of its own.
#[derive(Clone, Default)]
pub struct Line<R>(pub R);

impl<R: Reach> tower::Service<http::Request<Body>> for Line<R> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let there = self.0.clone();
        Box::pin(async move {
            tokio::time::sleep(Duration::from_micros(300)).await;
            match there.server() {
                Ok(mut server) => server.call(request).await,
                Err(status) => Ok(status.into_http()),
            }
        })
    }
}

/// The depot.
impl Reach for Arc<Platform> {
    type Server = DepotApi;

    fn server(&self) -> Result<DepotApi, Status> {
        self.depot()
    }
}

/// The mall as robots reach it: whichever gateway is there just now.
#[derive(Clone, Default)]
pub struct Mall(Arc<Mutex<Option<RobotGatewayServer<robot_gateway::Api>>>>);

impl Mall {
    /// A gateway, until this is dropped: then every line is cut.
    pub async fn serve(&self, platform: Arc<Platform>, robots: usize) -> anyhow::Result<()> {
        struct Gone(Mall);
        impl Drop for Gone {
            fn drop(&mut self) {
                *self.0.gateway() = None;
            }
        }
        let depot = Line(platform);
        let (gateway, desk) = robot_gateway::gateway(depot, robots, std::future::pending());
        *self.gateway() = Some(gateway);
        let _gone = Gone(self.clone());
        desk.await
    }

    fn gateway(&self) -> MutexGuard<'_, Option<RobotGatewayServer<robot_gateway::Api>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reach for Mall {
    type Server = RobotGatewayServer<robot_gateway::Api>;

    fn server(&self) -> Result<Self::Server, Status> {
        self.gateway().clone().ok_or_else(|| Status::unavailable("no gateway"))
    }
}

/// The robots of a mall, and the staff that count what they bring.
pub async fn robots(platform: Arc<Platform>, mall: Mall, count: usize, seed: u64) -> anyhow::Result<()> {
    let config = robots::Config {
        count,
        pace: Duration::from_millis(300),
        beat: Duration::from_secs(2),
        missing_rate: 0.0,
        seed,
        check: true,
        staff: "inventory".into(),
        mall_url: "http://mall.invalid".parse().context("the gateway's address")?,
        depot_url: "http://depot.invalid".parse().context("the depot's address")?,
        faults: robots::FaultOptions::default(),
        base: uuid::Uuid::from_u128(0x6f0b_1d0e_5b0c_4c39_9d55_0a6f_2f1b_7c11),
    };
    robots::run_over(config, Line(mall), Line(platform), std::future::pending()).await
}
