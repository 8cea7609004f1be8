//! One robot at work: a line to the mall that is opened again whenever it is cut, and a [`Brain`] that remembers.

use crate::{
    Config, Shelves,
    brain::{Brain, Instruction},
    faults::Faults,
    wire,
};
use schemas::{
    grpc::{
        Connection,
        robots::{FromRobot, ToRobot, robot_gateway_client::RobotGatewayClient, to_robot},
    },
    ids::{BotId, OrderId},
};
use std::time::Duration;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use uuid::Uuid;

/// Silence after the line was cut; it doubles with each time that follows, until the robot is welcomed.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// How long the mall may take to open a line. The welcome may take longer: the gateway keeps robots waiting while the depot
/// is away, and a dead line is found by its signs of life.
const OPENED_WITHIN: Duration = Duration::from_secs(10);
/// How long a robot that leaves waits until what it has said is answered, and its last word heard.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);

/// The id of the robot with this number, from 0, of a fleet.
pub fn robot_id(base: Uuid, number: usize) -> BotId {
    Uuid::new_v5(&base, format!("robot {number}").as_bytes()).into()
}

pub struct Robot<T> {
    id: BotId,
    name: String,
    brain: Brain,
    mall: RobotGatewayClient<T>,
    shelves: Shelves,
    /// Where staff learn of deliveries.
    delivered: Option<mpsc::Sender<OrderId>>,
    faults: Faults,
    /// Lines that were cut since it was last welcomed.
    cut: u32,
    first: bool,
    started: Instant,
}

impl<T: Connection> Robot<T> {
    /// The robot with this number, from 0, of a fleet.
    pub fn new(config: &Config, number: usize, mall: T, delivered: Option<mpsc::Sender<OrderId>>) -> Self {
        let id = robot_id(config.base, number);
        Self {
            id,
            name: format!("Robot {}", number + 1),
            brain: Brain::new(config.pace.as_millis() as u64, config.beat.as_millis() as u64),
            mall: RobotGatewayClient::new(mall),
            shelves: Shelves { missing_rate: config.missing_rate, seed: config.seed },
            delivered,
            faults: config.faults.of(config.seed, id),
            cut: 0,
            first: number == 0,
            started: Instant::now(),
        }
    }

    /// Works until `stop` is true, then leaves service if it is idle and has a line; the depot gives others up by their silence.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let Err(why) = self.line(&mut stop).await else { return };
            self.brain.cut();
            self.tell_of(&why);
            // Not all of a fleet at one moment.
            let apart = Duration::from_millis(self.id.as_uuid().as_u128() as u64 % 100);
            let pause = FIRST_PAUSE.saturating_mul(1 << self.cut.min(10)).min(LONGEST_PAUSE) + apart;
            self.cut = self.cut.saturating_add(1);
            tokio::select! {
                biased;
                () = stopping(&mut stop) => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// One line, from hello until it is cut, or the robot has left.
    async fn line(&mut self, stop: &mut watch::Receiver<bool>) -> Result<(), Status> {
        let (say, said) = mpsc::channel(4);
        // There is room in a new channel.
        let _ = say.try_send(wire::hello(self.id, &self.name, self.brain.hello()));
        let opened = self.mall.work(ReceiverStream::new(said));
        let mut told = tokio::select! {
            biased;
            () = stopping(stop) => return Ok(()),
            opened = tokio::time::timeout(OPENED_WITHIN, opened) => opened.map_err(|_| silent())??.into_inner(),
        };
        loop {
            let due = self.brain.due_ms().map(|due| self.started + Duration::from_millis(due));
            tokio::select! {
                biased;
                () = stopping(stop) => {
                    self.leave(&say, &mut told).await;
                    return Ok(());
                }
                message = told.message() => {
                    let message = message?.ok_or_else(|| Status::unavailable("the mall has closed the line"))?;
                    self.hear(message)?;
                }
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    let reports = self.brain.speak(self.now_ms());
                    if !reports.is_empty() {
                        send(&say, wire::reports(reports)).await?;
                    }
                }
            }
        }
    }

    fn hear(&mut self, message: ToRobot) -> Result<(), Status> {
        let now_ms = self.now_ms();
        let Some(message) = message.message else { return Ok(()) };
        match message {
            to_robot::Message::Welcome(welcome) => {
                let now = wire::instruction(welcome.now, self.shelves)?;
                self.cut = 0;
                self.begins(now_ms, &now);
                self.brain.welcome(now_ms, now, welcome.acknowledged);
            }
            to_robot::Message::Answer(answer) => {
                let answer = wire::answer(answer, self.shelves)?;
                self.begins(now_ms, &answer.now);
                if let Some(order) = self.brain.heard(now_ms, answer) {
                    // With a full desk staff find it when they look around.
                    let _ = self.delivered.as_ref().map(|desk| desk.try_send(order));
                }
            }
            to_robot::Message::Instruction(now) => {
                let now = wire::instruction(Some(now), self.shelves)?;
                self.begins(now_ms, &now);
                self.brain.told(now_ms, now);
            }
        }
        if self.faults.drops_the_line() {
            return Err(Status::cancelled("the robot drops its line, as it was asked to"));
        }
        if let Some(late) = self.faults.is_late() {
            self.brain.hush(now_ms + late);
        }
        Ok(())
    }

    /// One robot of a fleet speaks for all: their lines are cut together.
    fn tell_of(&self, why: &Status) {
        let (robot, code, reason) = (self.id, why.code(), why.message());
        match (self.cut, self.first) {
            (0, true) => tracing::warn!(%robot, %code, reason, "the line to the mall is cut, robots try again"),
            _ => tracing::debug!(%robot, %code, reason, "the line is cut"),
        }
    }

    /// It may be given an assignment at which it falls silent.
    fn begins(&mut self, now_ms: u64, now: &Instruction) {
        if now.epoch > self.brain.epoch()
            && now.assignment.is_some()
            && let Some(silent) = self.faults.falls_silent()
        {
            tracing::info!(robot = %self.id, silent_ms = silent, "falls silent, as it was asked to");
            self.brain.hush(now_ms + silent);
        }
    }

    /// Hears out what it is being told, leaves service if it is idle then, and waits a little until that is known.
    async fn leave(&mut self, say: &mpsc::Sender<FromRobot>, told: &mut Streaming<ToRobot>) {
        let heard = async {
            while self.brain.is_talking() {
                let message =
                    told.message().await?.ok_or_else(|| Status::unavailable("the mall has closed the line"))?;
                self.hear(message)?;
            }
            let Some(last) = self.brain.leave() else { return Ok(()) };
            let number = last.number;
            send(say, wire::reports(vec![last])).await?;
            while let Some(message) = told.message().await? {
                if matches!(message.message, Some(to_robot::Message::Answer(answer)) if answer.acknowledged >= number) {
                    break;
                }
            }
            Ok::<_, Status>(())
        };
        if !matches!(tokio::time::timeout(LEAVE_WITHIN, heard).await, Ok(Ok(()))) {
            tracing::debug!(robot = %self.id, "the mall did not answer the robot's leave");
        }
    }
}

/// Resolves when robots are to stop.
async fn stopping(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn send(say: &mpsc::Sender<FromRobot>, message: FromRobot) -> Result<(), Status> {
    say.send(message).await.map_err(|_| Status::unavailable("the line is cut"))
}

fn silent() -> Status {
    Status::deadline_exceeded("the mall did not open a line in time")
}
