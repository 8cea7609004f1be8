//! Whole fleets behind gateways, in front of a depot that keeps its contract: over real connections that break, and over none.

mod depot;
mod rules;

use depot::{FakeDepot, World, product};
use robot_gateway::Config as GatewayConfig;
use robots::{Config, FaultOptions};
use schemas::grpc::depot::depot_server::DepotServer;
use service_kit::health::Ready;
use std::{net::SocketAddr, time::Duration};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use uuid::Uuid;

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

fn config(at: Addresses, count: usize) -> Config {
    Config {
        count,
        pace: Duration::ZERO,
        beat: Duration::from_millis(200),
        missing_rate: 0.0,
        seed: 0,
        check: true,
        staff: "inventory".to_owned(),
        mall_url: format!("http://{}", at.gateway).parse().unwrap(),
        depot_url: format!("http://{}", at.depot).parse().unwrap(),
        faults: FaultOptions::default(),
        base: Uuid::from_u128(42),
    }
}

#[derive(Debug, Clone, Copy)]
struct Addresses {
    depot: SocketAddr,
    gateway: SocketAddr,
}

/// Something at work; `stop` ends it in order.
struct Running {
    stop: oneshot::Sender<()>,
    ended: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    fn of<F>(work: impl FnOnce(oneshot::Receiver<()>) -> F) -> Self
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let (stop, stopped) = oneshot::channel();
        Self { stop, ended: tokio::spawn(work(stopped)) }
    }

    fn start(config: Config) -> Self {
        Self::of(|stopped| robots::run(config, async { drop(stopped.await) }))
    }

    fn gateway(at: Addresses, robots: usize) -> Self {
        let depot = format!("http://{}", at.depot).parse().unwrap();
        let config = GatewayConfig { listen: at.gateway, http: None, depot, robots, ready: Ready::default() };
        Self::of(|stopped| robot_gateway::run(config, async { drop(stopped.await) }))
    }

    /// Without a network.
    fn beside(depot: &FakeDepot, config: Config) -> Self {
        let depot = DepotServer::new(depot.clone());
        let (gateway, desk) = robot_gateway::gateway(depot.clone(), 100, std::future::pending());
        Self::of(|stopped| async {
            tokio::select! {
                ended = desk => ended,
                ended = robots::run_over(config, gateway, depot, async { drop(stopped.await) }) => ended,
            }
        })
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.ended.await.unwrap().unwrap();
    }

    /// Without a word.
    async fn abort(self) {
        self.ended.abort();
        let _ = self.ended.await;
    }
}

/// An address that is free just now.
async fn free() -> SocketAddr {
    TcpListener::bind(ANY_PORT).await.unwrap().local_addr().unwrap()
}

/// A depot with a gateway in front of it.
async fn mall() -> (FakeDepot, Addresses, Running) {
    let depot = FakeDepot::new();
    let (address, _) = depot.serve(ANY_PORT).await;
    let at = Addresses { depot: address, gateway: free().await };
    (depot, at, Running::gateway(at, 10_000))
}

fn each_stop_was_visited_once(world: &World) {
    for (order, list) in &world.lists {
        let mut visited = list.visited.clone();
        visited.sort();
        visited.dedup();
        assert_eq!((visited.len(), list.visited.len()), (list.items.len(), list.items.len()), "{order}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_is_collected_and_checked_and_only_what_is_out_of_stock_is_missing() {
    let (depot, at, _gateway) = mall().await;
    depot.with(|w| (0..300).for_each(|_| drop(w.order(&["Tea", "Rare find (out of stock)", "Soap"]))));
    let fleet = Running::start(config(at, 8));
    depot.until("all checked", |w| w.all("checked")).await;
    fleet.stop().await;
    depot.with(|w| {
        each_stop_was_visited_once(w);
        assert!(w.lists.values().all(|list| list.missing == [product("Rare find (out of stock)")]));
        // A report may cross the instruction that raised its epoch; nothing else is ever refused.
        assert!(w.refused.iter().all(|code| code == "depot.stale_epoch"), "{:?}", w.refused);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_fleet_reports_together_and_within_the_limit() {
    let (depot, at, _gateway) = mall().await;
    depot.with(|w| (0..2_400).for_each(|_| drop(w.order(&["Tea", "Soap"]))));
    let fleet = Running::start(Config { beat: Duration::from_secs(30), ..config(at, 600) });
    depot.until("all checked", |w| w.all("checked")).await;
    fleet.stop().await;
    depot.with(|w| {
        each_stop_was_visited_once(w);
        assert!(w.most_reports <= 500, "{}", w.most_reports);
        assert!(w.requests < 2_400, "{} requests", w.requests);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_robots_hear_of_new_lists_and_leave_when_they_are_stopped() {
    let (depot, at, _gateway) = mall().await;
    let fleet = Running::start(config(at, 40));
    depot.until("all online", |w| w.online() == 40).await;
    for _ in 0..50 {
        let order = depot.with(|w| w.order(&["Tea"]));
        depot.until("checked", |w| w.lists[&order].status == "checked").await;
    }
    fleet.stop().await;
    assert_eq!(depot.with(|w| w.online()), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_neither_lose_nor_repeat_anything() {
    let (depot, at, _gateway) = mall().await;
    depot.with(|w| {
        w.lose_every = 3;
        (0..40).for_each(|_| drop(w.order(&["Tea", "Soap"])));
    });
    let fleet = Running::start(config(at, 8));
    depot.until("all checked", |w| w.all("checked")).await;
    fleet.stop().await;
    depot.with(|w| {
        each_stop_was_visited_once(w);
        assert!(w.refused.iter().all(|code| code == "depot.stale_epoch"), "{:?}", w.refused);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_that_is_started_again_finishes_what_it_had_begun() {
    let (depot, at, _gateway) = mall().await;
    depot.with(|w| (0..2).for_each(|_| drop(w.order(&["Tea", "Soap"]))));
    let fleet = Running::start(Config { pace: Duration::from_secs(3_600), ..config(at, 2) });
    depot.until("all assigned", |w| w.all("assigned")).await;
    fleet.stop().await;
    assert_eq!(depot.with(|w| w.online()), 2, "busy robots do not leave");
    let fleet = Running::start(config(at, 2));
    depot.until("all checked", |w| w.all("checked")).await;
    fleet.stop().await;
    depot.with(|w| each_stop_was_visited_once(w));
}

#[tokio::test(flavor = "multi_thread")]
async fn robots_wait_for_a_depot_that_is_away_and_come_online_at_one_that_forgot_them() {
    let depot = FakeDepot::new();
    let (address, server) = depot.serve(ANY_PORT).await;
    let at = Addresses { depot: address, gateway: free().await };
    let _gateway = Running::gateway(at, 10);
    let fleet = Running::start(config(at, 4));
    depot.until("all online", |w| w.online() == 4).await;
    server.abort();
    let _ = server.await;
    let other = FakeDepot::new();
    other.with(|w| (0..20).for_each(|_| drop(w.order(&["Tea"]))));
    let (_, _server) = other.serve(address).await;
    other.until("the other one is served", |w| w.all("checked")).await;
    fleet.stop().await;
    assert_eq!(other.with(|w| w.registrations), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn robots_whose_gateway_goes_go_on_where_they_stopped_when_there_is_one() {
    let (depot, at, gateway) = mall().await;
    depot.with(|w| (0..60).for_each(|_| drop(w.order(&["Tea", "Soap"]))));
    let fleet = Running::start(Config { pace: Duration::from_millis(20), ..config(at, 6) });
    depot.until("some are under way", |w| w.lists.values().any(|list| list.status == "checked")).await;
    gateway.stop().await;
    let gateway = Running::gateway(at, 10_000);
    depot.until("more", |w| w.lists.values().filter(|list| list.status == "checked").count() > 20).await;
    gateway.abort().await;
    let _gateway = Running::gateway(at, 10_000);
    depot.until("all checked", |w| w.all("checked")).await;
    fleet.stop().await;
    depot.with(|w| {
        each_stop_was_visited_once(w);
        // Nobody came online anew: each went on under the epoch it knew.
        assert!(w.registrations == 6, "{} registrations", w.registrations);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn robots_that_drop_their_lines_and_answer_late_lose_and_repeat_nothing() {
    let (depot, at, _gateway) = mall().await;
    depot.with(|w| (0..60).for_each(|_| drop(w.order(&["Tea", "Soap"]))));
    let faults = FaultOptions { drop_rate: 0.3, late_ms: 20, ..FaultOptions::default() };
    let fleet = Running::start(Config { faults, ..config(at, 6) });
    depot.until("all checked", |w| w.all("checked")).await;
    fleet.stop().await;
    depot.with(|w| {
        each_stop_was_visited_once(w);
        assert_eq!(w.registrations, 6, "each went on where it stopped");
        // Whoever opens a line looks first what was taken.
        assert!(w.looks > 12, "{} lines", w.looks);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_robot_that_falls_silent_says_nothing_until_its_time_has_come() {
    let (depot, at, _gateway) = mall().await;
    let order = depot.with(|w| w.order(&["Tea"]));
    let faults = FaultOptions { silent_rate: 1.0, silent_ms: 3_600_000, ..FaultOptions::default() };
    let silent = Running::start(Config { faults, ..config(at, 1) });
    depot.until("assigned", |w| w.lists[&order].status == "assigned").await;
    // Another robot beats twenty times; this one not once.
    let other = Running::start(Config { base: Uuid::from_u128(43), ..config(at, 1) });
    depot.until("beats", |w| w.bots.values().any(|bot| bot.last_report > 20)).await;
    depot.with(|w| {
        let robot = w.bots.values().find(|bot| bot.order.as_ref() == Some(&order)).unwrap();
        assert_eq!((robot.last_report, w.lists[&order].status), (0, "assigned"));
    });
    other.stop().await;
    silent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_list_is_dropped_and_its_robot_takes_the_next() {
    let (depot, at, _gateway) = mall().await;
    let first = depot.with(|w| w.order(&["Tea"]));
    let slow = Running::start(Config { pace: Duration::from_secs(3_600), ..config(at, 1) });
    depot.until("the robot has begun", |w| w.bots.values().any(|bot| bot.last_report > 0)).await;
    depot.with(|w| w.cancel(&first));
    let next = depot.with(|w| w.order(&["Soap"]));
    depot.until("the robot has heard of it", |w| w.refused == ["depot.stale_epoch"]).await;
    slow.stop().await;
    let fleet = Running::start(config(at, 1));
    depot.until("checked", |w| w.lists[&next].status == "checked").await;
    fleet.stop().await;
    depot.with(|w| assert!(w.lists[&first].visited.is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_robot_that_is_turned_round_brings_everything_back() {
    let (depot, at, _gateway) = mall().await;
    let order = depot.with(|w| {
        let order = w.order(&["Tea", "Soap"]);
        w.lists.get_mut(&order).unwrap().visited.push(product("Tea"));
        order
    });
    let slow = Running::start(Config { pace: Duration::from_secs(3_600), ..config(at, 1) });
    depot.until("the robot has begun", |w| w.bots.values().any(|bot| bot.last_report > 0)).await;
    depot.with(|w| w.cancel(&order));
    depot.until("the robot has heard of it", |w| w.refused == ["depot.stale_epoch"]).await;
    slow.stop().await;
    let fleet = Running::start(config(at, 1));
    depot.until("returned", |w| w.lists[&order].status == "returned").await;
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_find_what_a_stopped_process_had_delivered() {
    let (depot, at, _gateway) = mall().await;
    let order = depot.with(|w| {
        let order = w.order(&["Tea"]);
        w.waiting.clear();
        w.lists.get_mut(&order).unwrap().status = "delivered";
        order
    });
    let fleet = Running::start(config(at, 1));
    depot.until("checked", |w| w.lists[&order].status == "checked").await;
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_staff_delivered_lists_stay_delivered() {
    let (depot, at, _gateway) = mall().await;
    depot.with(|w| drop(w.order(&["Tea"])));
    let fleet = Running::start(Config { check: false, ..config(at, 1) });
    depot.until("delivered", |w| w.all("delivered")).await;
    fleet.stop().await;
    assert!(depot.with(|w| w.all("delivered")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mall_in_the_same_process_is_served_like_one_behind_a_network() {
    let depot = FakeDepot::new();
    depot.with(|w| (0..40).for_each(|_| drop(w.order(&["Tea", "Soap"]))));
    let nowhere = Addresses { depot: ANY_PORT, gateway: ANY_PORT };
    let fleet = Running::beside(&depot, config(nowhere, 8));
    depot.until("all checked", |w| w.all("checked")).await;
    fleet.stop().await;
    depot.with(|w| each_stop_was_visited_once(w));
}

/// Nothing but the gateway's own patience ends a call that stays in the process.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_never_answered_is_given_up() {
    let depot = FakeDepot::new();
    depot.with(|w| {
        w.mute = true;
        drop(w.order(&["Tea"]));
    });
    let nowhere = Addresses { depot: ANY_PORT, gateway: ANY_PORT };
    let fleet = Running::beside(&depot, config(nowhere, 1));
    depot.until("all checked", |w| w.all("checked")).await;
    fleet.stop().await;
}
