//! A whole fleet against a depot that keeps its contract, over real connections that break, and over none.

mod depot;

use depot::{FakeDepot, World, product};
use robots::Config;
use schemas::grpc::depot::depot_server::DepotServer;
use std::{net::SocketAddr, time::Duration};
use tokio::{sync::oneshot, task::JoinHandle};
use uuid::Uuid;

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

fn config(at: SocketAddr, count: usize) -> Config {
    Config {
        count,
        pace: Duration::ZERO,
        beat: Duration::from_millis(200),
        missing_rate: 0.0,
        seed: 0,
        check: true,
        staff: "inventory".to_owned(),
        depot_url: format!("http://{at}").parse().unwrap(),
        base: Uuid::from_u128(42),
    }
}

/// A fleet at work; `stop` ends it in order.
struct Running {
    stop: oneshot::Sender<()>,
    ended: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    fn start(config: Config) -> Self {
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn(robots::run(config, async move {
            let _ = stopped.await;
        }));
        Self { stop, ended }
    }

    /// Without a network.
    fn beside(depot: &FakeDepot, config: Config) -> Self {
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn(robots::run_over(config, DepotServer::new(depot.clone()), async move {
            let _ = stopped.await;
        }));
        Self { stop, ended }
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.ended.await.unwrap().unwrap();
    }
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
    let depot = FakeDepot::new();
    let (at, _server) = depot.serve(ANY_PORT).await;
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
    let depot = FakeDepot::new();
    let (at, _server) = depot.serve(ANY_PORT).await;
    depot.with(|w| (0..2_400).for_each(|_| drop(w.order(&["Tea", "Soap"]))));
    let fleet = Running::start(config(at, 600));
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
    let depot = FakeDepot::new();
    let (at, _server) = depot.serve(ANY_PORT).await;
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
    let depot = FakeDepot::new();
    let (at, _server) = depot.serve(ANY_PORT).await;
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
    let depot = FakeDepot::new();
    let (at, _server) = depot.serve(ANY_PORT).await;
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
async fn robots_wait_for_a_depot_that_is_away_and_register_with_one_that_forgot_them() {
    let depot = FakeDepot::new();
    let (at, server) = depot.serve(ANY_PORT).await;
    let fleet = Running::start(config(at, 4));
    depot.until("all online", |w| w.online() == 4).await;
    server.abort();
    let _ = server.await;
    let other = FakeDepot::new();
    other.with(|w| (0..20).for_each(|_| drop(w.order(&["Tea"]))));
    // Connections of the aborted server live on in their tasks: the old depot forgets its robots, too.
    depot.with(|w| w.bots.clear());
    let (_, _server) = serve_again(&other, at).await;
    depot.with(|w| (0..4).for_each(|_| drop(w.order(&["Tea"]))));
    let (old, new) = (depot.clone(), other.clone());
    tokio::select! {
        () = old.until("the old one is served", |w| w.all("checked")) => {}
        () = new.until("the new one is served", |w| w.all("checked")) => {}
    }
    fleet.stop().await;
}

async fn serve_again(depot: &FakeDepot, at: SocketAddr) -> (SocketAddr, JoinHandle<()>) {
    depot.serve(at).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_list_is_dropped_and_its_robot_takes_the_next() {
    let depot = FakeDepot::new();
    let (at, _server) = depot.serve(ANY_PORT).await;
    let first = depot.with(|w| w.order(&["Tea"]));
    let slow = Running::start(Config { pace: Duration::from_secs(3_600), ..config(at, 1) });
    depot.until("assigned", |w| w.lists[&first].status == "assigned").await;
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
    let depot = FakeDepot::new();
    let (at, _server) = depot.serve(ANY_PORT).await;
    let order = depot.with(|w| {
        let order = w.order(&["Tea", "Soap"]);
        w.lists.get_mut(&order).unwrap().visited.push(product("Tea"));
        order
    });
    let slow = Running::start(Config { pace: Duration::from_secs(3_600), ..config(at, 1) });
    depot.until("assigned", |w| w.lists[&order].status == "assigned").await;
    depot.with(|w| w.cancel(&order));
    depot.until("the robot has heard of it", |w| w.refused == ["depot.stale_epoch"]).await;
    slow.stop().await;
    let fleet = Running::start(config(at, 1));
    depot.until("returned", |w| w.lists[&order].status == "returned").await;
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_find_what_a_stopped_process_had_delivered() {
    let depot = FakeDepot::new();
    let (at, _server) = depot.serve(ANY_PORT).await;
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
    let depot = FakeDepot::new();
    let (at, _server) = depot.serve(ANY_PORT).await;
    depot.with(|w| drop(w.order(&["Tea"])));
    let fleet = Running::start(Config { check: false, ..config(at, 1) });
    depot.until("delivered", |w| w.all("delivered")).await;
    fleet.stop().await;
    assert!(depot.with(|w| w.all("delivered")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_depot_in_the_same_process_is_served_like_one_behind_a_network() {
    let depot = FakeDepot::new();
    depot.with(|w| (0..40).for_each(|_| drop(w.order(&["Tea", "Soap"]))));
    let fleet = Running::beside(&depot, config(ANY_PORT, 8));
    depot.until("all checked", |w| w.all("checked")).await;
    fleet.stop().await;
    depot.with(|w| each_stop_was_visited_once(w));
}

/// Nothing but the robots' own patience ends a call that stays in the process.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_never_answered_is_given_up() {
    let depot = FakeDepot::new();
    depot.with(|w| {
        w.mute = true;
        drop(w.order(&["Tea"]));
    });
    let fleet = Running::beside(&depot, config(ANY_PORT, 1));
    depot.until("all checked", |w| w.all("checked")).await;
    fleet.stop().await;
}
