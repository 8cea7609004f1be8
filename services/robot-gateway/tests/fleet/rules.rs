//! The rules of a robot's line, kept by the gateway against robots that break them.

use crate::{ANY_PORT, Addresses, FakeDepot, Running, depot::product, free, mall};
use schemas::grpc::{
    depot::{BotReport, bot_report, bot_report::What},
    robots::{
        Answer, FromRobot, Hello, Reports, ToRobot, Welcome, from_robot, robot_gateway_client::RobotGatewayClient,
        to_robot,
    },
};
use service_kit::grpc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming, transport::Channel};
use uuid::Uuid;

/// One line, spoken by hand.
struct Robot {
    say: mpsc::Sender<FromRobot>,
    told: Streaming<ToRobot>,
}

impl Robot {
    async fn open(at: Addresses) -> Self {
        let channel = Channel::from_shared(format!("http://{}", at.gateway)).unwrap();
        // It may just have been started.
        let connected = async {
            loop {
                match channel.connect().await {
                    Ok(channel) => return channel,
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        };
        let channel = tokio::time::timeout(Duration::from_secs(30), connected).await.expect("there is no gateway");
        let (say, said) = mpsc::channel(256);
        let told = RobotGatewayClient::new(channel).work(ReceiverStream::new(said)).await.unwrap().into_inner();
        Self { say, told }
    }

    /// Says hello; answers how it is welcomed.
    async fn greeted(at: Addresses, robot: u128, epoch: i64) -> (Self, Welcome) {
        let mut line = Self::open(at).await;
        line.hello(&Uuid::from_u128(robot).to_string(), epoch).await;
        let welcome = line.welcome().await;
        (line, welcome)
    }

    async fn hello(&self, robot: &str, epoch: i64) {
        let hello = Hello { robot_id: robot.to_owned(), name: "R".to_owned(), location: None, epoch };
        self.say.send(FromRobot { message: Some(from_robot::Message::Hello(hello)) }).await.unwrap();
    }

    async fn report(&self, epoch: i64, whats: Vec<(i64, What)>) {
        let report = |(report_no, what)| BotReport { bot_id: String::new(), epoch, report_no, what: Some(what) };
        let reports = Reports { reports: whats.into_iter().map(report).collect() };
        let _ = self.say.send(FromRobot { message: Some(from_robot::Message::Reports(reports)) }).await;
    }

    async fn welcome(&mut self) -> Welcome {
        match self.next().await.unwrap().message {
            Some(to_robot::Message::Welcome(welcome)) => welcome,
            other => panic!("{other:?}"),
        }
    }

    async fn answer(&mut self) -> Answer {
        match self.next().await.unwrap().message {
            Some(to_robot::Message::Answer(answer)) => answer,
            other => panic!("{other:?}"),
        }
    }

    async fn next(&mut self) -> Result<ToRobot, Status> {
        let told =
            tokio::time::timeout(Duration::from_secs(30), self.told.message()).await.expect("the gateway is silent");
        told.map(|message| message.expect("the line ended without a reason"))
    }

    /// Reads until the line ends, and answers by which code.
    async fn ends_with(mut self) -> String {
        loop {
            if let Err(status) = self.next().await {
                return grpc::code(&status).unwrap_or("none").to_owned();
            }
        }
    }
}

fn beat(number: i64) -> (i64, What) {
    (number, What::Heartbeat(bot_report::Heartbeat {}))
}

fn visited(number: i64, order: &str, name: &str) -> (i64, What) {
    let stop = bot_report::StopVisited {
        order_id: order.to_owned(),
        store_id: product(name),
        picked: Vec::new(),
        missing: Vec::new(),
    };
    (number, What::StopVisited(stop))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_begins_with_hello_and_says_it_once() {
    let (_depot, at, _gateway) = mall().await;
    let silent = Robot::open(at).await;
    silent.report(1, vec![beat(1)]).await;
    assert_eq!(silent.ends_with().await, "robots.hello_expected");
    let (twice, _) = Robot::greeted(at, 1, 0).await;
    twice.hello(&Uuid::from_u128(1).to_string(), 0).await;
    assert_eq!(twice.ends_with().await, "robots.hello_expected");
    let nobody = Robot::open(at).await;
    nobody.hello("a robot", 0).await;
    assert_eq!(nobody.ends_with().await, "robots.invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_reports_are_kept_than_may_wait() {
    let (depot, at, _gateway) = mall().await;
    let (line, welcome) = Robot::greeted(at, 1, 0).await;
    let epoch = welcome.now.unwrap().epoch;
    depot.with(|w| w.deaf = true);
    line.report(epoch, (1..=64).map(beat).collect()).await;
    line.report(epoch, vec![beat(65)]).await;
    assert_eq!(line.ends_with().await, "robots.too_many_reports");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_much_at_once_or_nothing_at_all_is_refused() {
    let (_depot, at, _gateway) = mall().await;
    let long = visited(1, &"7".repeat(8_000), "Tea");
    for reports in [(1..=65).map(beat).collect(), Vec::new(), vec![long]] {
        let (line, _) = Robot::greeted(at, 1, 0).await;
        line.report(1, reports).await;
        assert_eq!(line.ends_with().await, "robots.invalid");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_robot_goes_on_where_its_line_was_cut_and_nothing_counts_twice() {
    let (depot, at, _gateway) = mall().await;
    let order = depot.with(|w| w.order(&["Tea", "Soap"]));
    let (mut line, welcome) = Robot::greeted(at, 1, 0).await;
    let now = welcome.now.unwrap();
    assert_eq!((welcome.acknowledged, now.assignment.unwrap().order_id), (0, order.clone()));
    line.report(now.epoch, vec![visited(1, &order, "Tea")]).await;
    assert_eq!(line.answer().await.acknowledged, 1);
    drop(line);
    let (mut line, welcome) = Robot::greeted(at, 1, now.epoch).await;
    assert_eq!((welcome.acknowledged, welcome.now.unwrap().epoch), (1, now.epoch), "it is known what was taken");
    line.report(now.epoch, vec![visited(1, &order, "Tea"), visited(2, &order, "Soap")]).await;
    let answer = line.answer().await;
    assert_eq!((answer.acknowledged, answer.refused), (2, Vec::new()));
    depot.with(|w| assert_eq!(w.lists[&order].visited.len(), 2));
    assert_eq!(depot.with(|w| w.registrations), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_robot_has_one_line_and_the_newest_is_it() {
    let (_depot, at, _gateway) = mall().await;
    let (old, welcome) = Robot::greeted(at, 1, 0).await;
    let (mut new, again) = Robot::greeted(at, 1, welcome.now.unwrap().epoch).await;
    assert_eq!(old.ends_with().await, "robots.replaced");
    new.report(again.now.unwrap().epoch, vec![beat(1)]).await;
    assert_eq!(new.answer().await.acknowledged, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_robot_that_was_given_up_is_welcomed_anew_and_what_it_says_of_before_changes_nothing() {
    let (depot, at, _gateway) = mall().await;
    let order = depot.with(|w| w.order(&["Tea"]));
    let (mut line, welcome) = Robot::greeted(at, 1, 0).await;
    let epoch = welcome.now.unwrap().epoch;
    // Its list goes to nobody: it is planned anew.
    depot.with(|w| w.forget(&order));
    line.report(epoch, vec![visited(1, &order, "Tea")]).await;
    let welcome = line.welcome().await;
    assert!(welcome.now.unwrap().epoch > 0);
    depot.with(|w| assert!(w.lists[&order].visited.is_empty()));
    line.report(epoch, vec![visited(2, &order, "Tea")]).await;
    let refused: Vec<_> = line.answer().await.refused.into_iter().map(|r| (r.report_no, r.code)).collect();
    assert_eq!(refused, [(2, "depot.stale_epoch".to_owned())]);
    depot.with(|w| assert!(w.lists[&order].visited.is_empty()));
    // And it is given work again, though its epochs begin anew.
    let next = depot.with(|w| w.order(&["Soap"]));
    match line.next().await.unwrap().message {
        Some(to_robot::Message::Instruction(now)) => assert_eq!(now.assignment.unwrap().order_id, next),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_it_says_of_itself_a_robot_reports_for_nobody_else() {
    let (depot, at, _gateway) = mall().await;
    let order = depot.with(|w| w.order(&["Tea"]));
    let (_owner, welcome) = Robot::greeted(at, 1, 0).await;
    let epoch = welcome.now.unwrap().epoch;
    let (mut thief, _) = Robot::greeted(at, 2, 0).await;
    let (report_no, what) = visited(1, &order, "Tea");
    let forged = BotReport { bot_id: Uuid::from_u128(1).to_string(), epoch, report_no, what: Some(what) };
    let reports = Reports { reports: vec![forged] };
    thief.say.send(FromRobot { message: Some(from_robot::Message::Reports(reports)) }).await.unwrap();
    assert_eq!(thief.answer().await.refused.len(), 1);
    depot.with(|w| assert!(w.lists[&order].visited.is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_robot_that_does_not_read_is_sent_away_and_nothing_is_kept_for_it_without_bound() {
    let (depot, at, _gateway) = mall().await;
    // What it is told each time is long: it does not fit between the two ends.
    let names: Vec<String> = (0..400).map(|n| format!("{n:0>200}")).collect();
    depot.with(|w| w.order(&names.iter().map(String::as_str).collect::<Vec<_>>()));
    let (line, welcome) = Robot::greeted(at, 1, 0).await;
    let epoch = welcome.now.unwrap().epoch;
    let flood = async {
        for number in 1.. {
            let report = BotReport { bot_id: String::new(), epoch, report_no: number, what: Some(beat(number).1) };
            let reports = Reports { reports: vec![report] };
            if line.say.send(FromRobot { message: Some(from_robot::Message::Reports(reports)) }).await.is_err() {
                return;
            }
            let judged = move |w: &crate::World| w.bots.values().next().is_some_and(|bot| bot.last_report >= number);
            // Once the line has ended nothing is judged any more.
            if tokio::time::timeout(Duration::from_secs(5), depot.until("judged", judged)).await.is_err() {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), flood).await.expect("it is kept for ever");
    assert_eq!(line.ends_with().await, "robots.too_slow");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_gateway_sends_robots_away_and_one_that_stops_says_so() {
    let depot = FakeDepot::new();
    let (address, _server) = depot.serve(ANY_PORT).await;
    let at = Addresses { depot: address, gateway: free().await };
    let gateway = Running::gateway(at, 1);
    let (_old, _) = Robot::greeted(at, 1, 0).await;
    let second = Robot::open(at).await;
    second.hello(&Uuid::from_u128(2).to_string(), 0).await;
    assert_eq!(second.ends_with().await, "robots.gateway_full");
    let (first, _) = Robot::greeted(at, 1, 1).await;
    let (told, stopped) = tokio::join!(first.ends_with(), gateway.stop());
    assert_eq!((told.as_str(), stopped), ("robots.gateway_stopping", ()));
}
