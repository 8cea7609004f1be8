//! The gRPC API: each stream is checked, and speaks with the desk.

use crate::{
    desk::{MAX_UNANSWERED, Word},
    line::{self, Cut, Line, Outbound},
};
use prost::Message as _;
use schemas::{
    grpc::{
        depot::BotReport,
        robots::{FromRobot, Hello, from_robot, robot_gateway_server::RobotGateway},
    },
    ids::BotId,
    text::Text,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tonic::{Code, Request, Response, Status, Streaming};

/// How long a new stream may stay silent.
const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// Streams that have not said hello yet; more are sent away.
const ARRIVALS: usize = 1_024;
/// Bytes of one report: the largest honest one, of a stop with all lines an order may have, is half of that. As many as one
/// request to the depot carries are less than it takes.
const MAX_REPORT: usize = 8_000;

/// Clones share the desk.
#[derive(Debug, Clone)]
pub struct Api {
    desk: mpsc::Sender<Word>,
    arrivals: Arc<Semaphore>,
    sessions: Arc<AtomicU64>,
}

impl Api {
    pub(crate) fn new(desk: mpsc::Sender<Word>) -> Self {
        Self { desk, arrivals: Arc::new(Semaphore::new(ARRIVALS)), sessions: Arc::default() }
    }
}

#[tonic::async_trait]
impl RobotGateway for Api {
    type WorkStream = Outbound;

    async fn work(&self, request: Request<Streaming<FromRobot>>) -> Result<Response<Outbound>, Status> {
        let arrival = self.arrivals.clone().try_acquire_owned().map_err(|_| line::full())?;
        let (line, outbound, cut) = line::open();
        let session = Session {
            from: request.into_inner(),
            number: self.sessions.fetch_add(1, Ordering::Relaxed),
            desk: self.desk.clone(),
        };
        tokio::spawn(session.run(line, cut, arrival));
        Ok(Response::new(outbound))
    }
}

/// The robot's end of one stream.
struct Session {
    from: Streaming<FromRobot>,
    number: u64,
    desk: mpsc::Sender<Word>,
}

impl Session {
    async fn run(mut self, line: Line, mut cut: Cut, arrival: OwnedSemaphorePermit) {
        let greeted = tokio::select! {
            biased;
            greeted = tokio::time::timeout(HELLO_WITHIN, self.hello()) => {
                greeted.unwrap_or_else(|_| Err(line::hello_expected()))
            }
            () = cut.wait() => return,
        };
        drop(arrival);
        let (robot, hello) = match greeted {
            Ok(greeted) => greeted,
            Err(why) => return line.end(Some(why)),
        };
        let session = self.number;
        // A desk that has ended drops the line, which tells the robot.
        if self.desk.send(Word::Hello { robot, session, hello, line }).await.is_err() {
            return;
        }
        let why = tokio::select! {
            biased;
            why = self.reports(robot) => why,
            () = cut.wait() => None,
        };
        let _ = self.desk.send(Word::Gone { robot, session, why }).await;
    }

    async fn hello(&mut self) -> Result<(BotId, Hello), Status> {
        let first = self.from.message().await?.and_then(|first| first.message);
        let Some(from_robot::Message::Hello(hello)) = first else { return Err(line::hello_expected()) };
        let robot = BotId::parse(&hello.robot_id).map_err(|e| line::invalid(&format!("robot_id: {e}")))?;
        let name = Text::parse(&hello.name).map_err(|e| line::invalid(&format!("name: {e}")))?.into();
        let hello = Hello { name, ..hello };
        Ok((robot, hello))
    }

    /// Hands on what the robot reports, until it goes or breaks the rules.
    async fn reports(&mut self, robot: BotId) -> Option<Status> {
        loop {
            let reports = match self.from.message().await {
                Ok(Some(FromRobot { message: Some(from_robot::Message::Reports(said)) })) => said.reports,
                Ok(Some(_)) => return Some(line::hello_expected()),
                // What was sent is no message of ours, or too long a one: the robot is told so.
                Err(status) if matches!(status.code(), Code::Internal | Code::OutOfRange) => {
                    return Some(line::invalid(status.message()));
                }
                Ok(None) | Err(_) => return None,
            };
            if !(1..=MAX_UNANSWERED).contains(&reports.len()) {
                return Some(line::invalid(&format!("reports: give 1 to {MAX_UNANSWERED} at once")));
            }
            if reports.iter().any(|report| report.encoded_len() > MAX_REPORT) {
                return Some(line::invalid(&format!("reports: one is longer than {MAX_REPORT} bytes")));
            }
            // Whatever it says of itself: a robot reports for nobody else.
            let reports = reports.into_iter().map(|report| BotReport { bot_id: robot.to_string(), ..report }).collect();
            let word = Word::Reports { robot, session: self.number, reports };
            if self.desk.send(word).await.is_err() {
                return Some(line::stopping());
            }
        }
    }
}
