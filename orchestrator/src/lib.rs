//! The orchestrator: drives every saga from its start event to its end, over commands, replies, timers and operators.
//!
//! What a saga does is decided in the pure crate `saga`; here its decisions are stored, sent and timed, in one transaction
//! with the message that caused them.

pub mod admin;
mod audit;
mod config;
mod gate;
mod handlers;
mod instance;
mod metric_names;
mod notice;
pub mod sagas;

pub use config::Config;
pub use instance::{Instance, saga_id};

use gate::Health;
use saga::Definition;
use schemas::grpc::orchestrator::orchestrator_server::OrchestratorServer;
use service_kit::{Role, ServiceConfig, Workers};
use std::{future::Future, sync::Arc};
use transport::{
    Context, Router,
    ports::{Log, Store},
    timers::Gate,
};

/// Database migrations of this context.
pub mod migrations {
    refinery::embed_migrations!("migrations");
}

/// The context: the definitions it runs.
pub struct Orchestrator {
    definitions: Vec<Arc<Definition>>,
    health: Arc<Health>,
}

impl Orchestrator {
    pub fn new(definitions: Vec<Arc<Definition>>) -> Self {
        Self { definitions, health: Arc::default() }
    }

    /// The definition with this type and version; in-flight sagas keep theirs.
    pub fn definition(&self, saga_type: &str, version: u32) -> Option<&Arc<Definition>> {
        self.definitions.iter().find(|d| d.saga_type() == saga_type && d.version() == version)
    }

    /// The newest definition of this type: what new sagas run by.
    pub fn newest(&self, saga_type: &str) -> Option<&Arc<Definition>> {
        self.definitions.iter().filter(|d| d.saga_type() == saga_type).max_by_key(|d| d.version())
    }

    /// Every type, each with its newest definition.
    fn newest_of_each(&self) -> impl Iterator<Item = &Arc<Definition>> {
        self.definitions.iter().filter(|d| self.newest(d.saga_type()).is_some_and(|n| n.version() == d.version()))
    }
}

impl Context for Orchestrator {
    const NAME: &'static str = "orchestrator";
    const KINDS: transport::Kinds = &["saga"];

    fn routes() -> Router<Self> {
        handlers::routes()
    }
}

/// Runs the role until `shutdown`.
pub async fn run(service: ServiceConfig, shutdown: impl Future<Output = ()> + Send + 'static) -> anyhow::Result<()> {
    let config = Config::from_env()?;
    let context = Orchestrator::new(sagas::definitions(&config.deadlines));
    let mut role = Role::start(context, service).await?;
    let gate = start_helpers(role.workers());
    let api = admin::Api { shell: role.shell() };
    role.serve_gated(tonic::service::Routes::new(OrchestratorServer::new(api)), gate, shutdown).await
}

/// Reports what folds notice, audits, and watches the log; answers the gate of the timers, which rests on that.
pub fn start_helpers<S: Store, L: Log>(workers: &mut Workers<Orchestrator, S, L>) -> impl Gate + use<S, L> {
    let (shell, log) = (workers.shell(), workers.log());
    let health = shell.context().health.clone();
    if let Some(notices) = shell.outside() {
        workers.spawn(|stop| notice::report(notices, stop.wait()));
    }
    shell.context().newest_of_each().for_each(|definition| notice::from_the_start(definition.saga_type()));
    let auditor = audit::Auditor::new(shell.clone());
    workers.spawn(|stop| auditor.run(stop.wait()));
    let (probed, probe_log, clock) = (health.clone(), log.clone(), shell.store().clone());
    workers.spawn(|stop| async move { probed.probe(probe_log, clock, stop.wait()).await });
    gate::RepliesRead::new(shell, log, health)
}
