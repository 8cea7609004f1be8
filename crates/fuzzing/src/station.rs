//! A context as strangers meet it: the production shell, relay, timers and gRPC service, in memory and under a clock that
//! nobody waits for. A new one for each input, so that an input does the same each time.

use crate::sample::ID;
use axum::http::{Request, Response};
use depot::{Board, Depot};
use http_body_util::BodyExt;
use kiosk_gateway::{Live, live::Follower};
use notifications::Notifications;
use orchestrator::{Orchestrator, sagas};
use orders::Orders;
use payments::Payments;
use schemas::{
    grpc::{
        depot::depot_server::DepotServer, notifications::notifications_server::NotificationsServer,
        orchestrator::orchestrator_server::OrchestratorServer, orders::orders_server::OrdersServer,
        payments::payments_server::PaymentsServer, search::search_server::SearchServer,
        stores::stores_server::StoresServer,
    },
    ids::OrderId,
};
use search::Search;
use std::{convert::Infallible, future::Future, time::Duration};
use stores::Stores;
use testkit::{MemoryShell, memory_shell};
use tokio::runtime::{Builder, Runtime};
use tonic::{Status, body::Body, server::NamedService, service::Routes};
use tower::{Service, ServiceExt};
use transport::{Context, Shell, memory::MemoryStore, ports::Record};
use uuid::Uuid;

/// How long anything may take by the clock that nobody waits for: longer than any deadline of a call, shorter than for ever.
const AT_MOST: Duration = Duration::from_secs(3_600);

/// What a context does with bytes from outside.
pub trait Station {
    fn topics(&self) -> Vec<&'static str>;
    /// Takes the record and does everything that follows; answers whether anything was committed for it.
    fn deliver(&self, record: Record) -> bool;
    /// The status of the answer to this request.
    fn call(&self, request: Request<Body>) -> Status;
    /// Lets time pass and wakes who is due then.
    fn pass(&self, ms: i64);
    /// The ids of what it keeps of this kind.
    fn ids(&self, kind: &str) -> Vec<Uuid>;
}

/// The contexts that have topics and a gRPC service, by name.
pub const CONTEXTS: &[&str] =
    &[Stores::NAME, Orders::NAME, Payments::NAME, Depot::NAME, Notifications::NAME, Search::NAME, Orchestrator::NAME];

/// A new, empty one. Panics for a name that is not in [`CONTEXTS`].
pub fn open(context: &str) -> Box<dyn Station> {
    match context {
        Stores::NAME => boxed(Stores, |shell| StoresServer::new(stores::api::Api { shell })),
        Orders::NAME => boxed(Orders::default(), |shell| OrdersServer::new(orders::api::Api { shell })),
        Payments::NAME => boxed(Payments::default(), |shell| PaymentsServer::new(payments::api::Api { shell })),
        Depot::NAME => {
            boxed(Depot::default(), |shell| DepotServer::new(depot::api::Api { shell, board: Board::default() }))
        }
        Notifications::NAME => {
            boxed(Notifications, |shell| NotificationsServer::new(notifications::api::Api { shell }))
        }
        Search::NAME => boxed(Search, |shell| SearchServer::new(search::api::Api { shell })),
        Orchestrator::NAME => {
            let context = Orchestrator::new(sagas::definitions(&sagas::Deadlines::default()));
            boxed(context, |shell| OrchestratorServer::new(orchestrator::admin::Api { shell }))
        }
        other => panic!("no context {other}"),
    }
}

fn boxed<C: Context, S>(context: C, serve: impl FnOnce(Shell<C, MemoryStore>) -> S) -> Box<dyn Station>
where
    S: Service<Request<Body>, Error = Infallible> + NamedService + Clone + Send + Sync + 'static,
    S::Response: axum::response::IntoResponse,
    S::Future: Send + 'static,
{
    let runtime = runtime();
    let (shell, routes) = {
        let _entered = runtime.enter();
        let shell = memory_shell(context);
        let routes = Routes::new(serve(shell.shell.clone()));
        (shell, routes)
    };
    Box::new(InMemory { shell, routes, runtime })
}

/// One thread, and a clock that goes to the next thing that is due.
pub fn runtime() -> Runtime {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap_or_else(|e| panic!("a runtime: {e}"))
}

struct InMemory<C: Context> {
    shell: MemoryShell<C>,
    routes: Routes,
    runtime: Runtime,
}

impl<C: Context> InMemory<C> {
    fn within<T>(&self, what: &str, work: impl Future<Output = T>) -> T {
        let done = self.runtime.block_on(async { tokio::time::timeout(AT_MOST, work).await });
        done.unwrap_or_else(|_| panic!("{}: {what} does not end", C::NAME))
    }
}

impl<C: Context> Station for InMemory<C> {
    fn topics(&self) -> Vec<&'static str> {
        self.shell.shell.topics()
    }

    fn deliver(&self, record: Record) -> bool {
        let mut commits = self.shell.shell.commits();
        commits.mark_unchanged();
        self.within("a record", async {
            self.shell.shell.deliver(record).await.unwrap_or_else(|e| panic!("{}: {e}", C::NAME));
            self.shell.settle().await;
        });
        commits.has_changed().unwrap_or_default()
    }

    fn call(&self, request: Request<Body>) -> Status {
        self.within("a call", async {
            let answered = self.shell.drive(async {
                let Ok(response) = self.routes.clone().oneshot(request).await;
                status(response).await
            });
            answered.await
        })
    }

    fn pass(&self, ms: i64) {
        self.within("a pause", self.shell.pass(ms));
    }

    fn ids(&self, kind: &str) -> Vec<Uuid> {
        self.shell.store.rows(kind).iter().map(|row| row.id).collect()
    }
}

/// Reads the answer to its end, where its status is unless it is at its beginning.
async fn status(response: Response<Body>) -> Status {
    assert_eq!(response.status(), 200);
    if let Some(status) = Status::from_header_map(response.headers()) {
        return status;
    }
    let body = response.into_body().collect().await;
    let trailers = body.map(|body| body.trailers().cloned().unwrap_or_default());
    match trailers {
        Ok(trailers) => Status::from_header_map(&trailers).unwrap_or_else(|| panic!("an answer without a status")),
        Err(status) => status,
    }
}

/// The kiosk gateway's live view, with somebody who watches the order that samples are about.
pub struct Watched {
    follower: Follower,
    _view: kiosk_gateway::live::View,
}

impl Watched {
    pub fn new() -> Self {
        let (live, order) = (Live::new(1), OrderId::parse(ID).unwrap_or_else(|e| panic!("{e}")));
        let view = live.watch(order, None).unwrap_or_else(|e| panic!("{e}"));
        Self { follower: Follower::new(live, crate::avro::codec().clone()), _view: view }
    }

    pub fn see(&self, record: &Record) {
        let _ = self.follower.on_record(record);
    }
}
