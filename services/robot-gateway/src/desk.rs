//! Speaks with the depot for all robots of this gateway: what becomes due at one moment goes out in one request, and a few
//! calls wait for the assignments of idle robots.
//!
//! It remembers nothing that the depot does not know: a robot whose gateway dies says hello to another one. While the depot
//! does not answer, what robots have said is kept, and said again ever more slowly; numbers make sure that it counts once.

use crate::{
    depot::{Depot, MAX_REPORTS, Told},
    line::{self, Line},
    metric_names as m,
    pause::Pause,
};
use anyhow::Context as _;
use schemas::{
    grpc::{
        Connection, common,
        depot::{BotReport, RegisterBotRequest, bot_report},
        robots::{Answer, Hello, Instruction, Refused, ToRobot, Welcome, to_robot},
    },
    ids::BotId,
};
use std::{
    collections::{BTreeMap, VecDeque},
    future::Future,
    pin::pin,
    time::Duration,
};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinError, JoinSet},
};
use tonic::Status;

/// Reports of one robot that are not acknowledged, by the gateway's contract.
pub const MAX_UNANSWERED: usize = 64;
/// Requests with reports under way. While they are, what becomes due gathers for the next: batches grow with the load.
const MAX_REQUESTS: usize = 2;
/// Registrations under way.
const MAX_REGISTRATIONS: usize = 32;
/// Robots that one call listens for. A robot's assignment ends the call of all its group, and the depot reads a group's rows
/// each time: so a busy few should not share a call with many that sleep.
const GROUP: usize = 32;
/// Calls that listen, above what full groups would need.
const SPARE_GROUPS: usize = 3;
/// Silence about a robot whose reports the depot could not judge.
const HESITATE: Duration = Duration::from_millis(500);

/// What the lines of the robots tell the desk.
#[derive(Debug)]
pub enum Word {
    /// A robot is there: its earlier line, if there is one, ends.
    Hello {
        robot: BotId,
        session: u64,
        hello: Hello,
        line: Line,
    },
    Reports {
        robot: BotId,
        session: u64,
        reports: Vec<BotReport>,
    },
    /// The line is cut, or is to end for this.
    Gone {
        robot: BotId,
        session: u64,
        why: Option<Status>,
    },
}

/// See the module's documentation.
pub struct Desk<T> {
    depot: Depot<T>,
    words: mpsc::Receiver<Word>,
    /// Robots that may be connected at once.
    most: usize,
    robots: BTreeMap<BotId, Robot>,
    /// Robots to come online, and robots with something else for the depot; each robot is in one of them at most once.
    to_register: VecDeque<BotId>,
    to_report: VecDeque<BotId>,
    calls: JoinSet<Done>,
    requests: usize,
    registrations: usize,
    groups: BTreeMap<u64, Group>,
    next_group: u64,
    /// A robot may wait for an assignment for which no call listens.
    unheard: bool,
    pause: Pause,
}

struct Robot {
    session: u64,
    line: Line,
    name: String,
    location: Option<common::Location>,
    step: Step,
    /// Said and not acknowledged; those of the call under way first.
    reports: Vec<BotReport>,
    /// What is done about it now; it is never in two places.
    place: Place,
    /// The highest epoch it was told.
    epoch: i64,
    /// It has nothing to do: an assignment may come to it unasked.
    idle: bool,
    /// The group whose call listens for it.
    group: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The depot has to hear that it is online.
    Register,
    /// It has not been told yet what it is to do.
    Look,
    Work,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Free,
    Queued,
    /// A call with this many of its reports is under way.
    Asked(usize),
    Hesitates,
}

struct Group {
    robots: Vec<BotId>,
    call: AbortHandle,
}

/// A robot as it was when a call was made for it: another line may have taken its place since.
type Who = (BotId, u64);

/// A call that ended.
enum Done {
    Registered(Who, Result<(), Status>),
    Reported(Vec<Who>, Result<Vec<Told>, Status>),
    Listened(u64, Result<Vec<(BotId, Instruction)>, Status>),
    Rested(Who),
}

impl<T: Connection> Desk<T> {
    pub fn new(depot: Depot<T>, words: mpsc::Receiver<Word>, most: usize) -> Self {
        Self {
            depot,
            words,
            most,
            robots: BTreeMap::new(),
            to_register: VecDeque::new(),
            to_report: VecDeque::new(),
            calls: JoinSet::new(),
            requests: 0,
            registrations: 0,
            groups: BTreeMap::new(),
            next_group: 0,
            unheard: false,
            pause: Pause::default(),
        }
    }

    /// Works until `shutdown`; then every line ends.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
        let mut shutdown = pin!(shutdown);
        let mut words = Vec::new();
        loop {
            self.ask();
            self.listen();
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(done) = self.calls.join_next() => {
                    self.done(done)?;
                    while let Some(done) = self.calls.try_join_next() {
                        self.done(done)?;
                    }
                }
                count = self.words.recv_many(&mut words, MAX_REPORTS) => {
                    if count == 0 {
                        break;
                    }
                    words.drain(..).for_each(|word| self.hear(word));
                }
                () = self.pause.over(), if self.pause.is_on() => {}
            }
        }
        for robot in std::mem::take(&mut self.robots).into_values() {
            robot.line.end(Some(line::stopping()));
        }
        metrics::gauge!(m::LINES).set(0);
        Ok(())
    }

    fn hear(&mut self, word: Word) {
        match word {
            Word::Hello { robot, session, hello, line } => self.hello(robot, session, hello, line),
            Word::Reports { robot, session, reports } => {
                let Some(known) = self.robots.get_mut(&robot).filter(|known| known.session == session) else { return };
                if known.reports.len() + reports.len() > MAX_UNANSWERED {
                    return self.end(robot, Some(line::too_many_reports()));
                }
                // What the depot has forgotten is void; the robot will be welcomed anew.
                if known.step == Step::Work {
                    known.reports.extend(reports);
                    self.queue(robot);
                }
            }
            Word::Gone { robot, session, why } => {
                if self.robots.get(&robot).is_some_and(|known| known.session == session) {
                    self.end(robot, why);
                }
            }
        }
    }

    fn hello(&mut self, robot: BotId, session: u64, hello: Hello, line: Line) {
        // A robot that has a place may come back to it.
        if self.robots.len() >= self.most && !self.robots.contains_key(&robot) {
            return line.end(Some(line::full()));
        }
        let Hello { name, location, epoch, .. } = hello;
        let step = if epoch > 0 { Step::Look } else { Step::Register };
        let new = Robot {
            session,
            line,
            name,
            location,
            step,
            reports: Vec::new(),
            place: Place::Free,
            epoch: 0,
            idle: false,
            group: None,
        };
        match self.robots.insert(robot, new) {
            Some(old) => {
                tracing::info!(%robot, "has a newer line");
                self.unqueue(robot, &old);
                old.line.end(Some(line::replaced()));
            }
            None => metrics::gauge!(m::LINES).increment(1),
        }
        self.queue(robot);
    }

    /// Ends a robot's line; its state is the depot's.
    fn end(&mut self, id: BotId, why: Option<Status>) {
        let Some(robot) = self.robots.remove(&id) else { return };
        metrics::gauge!(m::LINES).decrement(1);
        self.unqueue(id, &robot);
        robot.line.end(why);
    }

    fn unqueue(&mut self, id: BotId, robot: &Robot) {
        match robot.place {
            Place::Queued if robot.step == Step::Register => self.to_register.retain(|queued| *queued != id),
            Place::Queued => self.to_report.retain(|queued| *queued != id),
            Place::Free | Place::Asked(_) | Place::Hesitates => {}
        }
    }

    /// Has the depot asked about this robot, if there is something to ask.
    fn queue(&mut self, id: BotId) {
        let Some(robot) = self.robots.get_mut(&id).filter(|robot| robot.place == Place::Free) else { return };
        match robot.step {
            Step::Register => self.to_register.push_back(id),
            Step::Look => self.to_report.push_back(id),
            Step::Work if robot.reports.is_empty() => return,
            Step::Work => self.to_report.push_back(id),
        }
        robot.place = Place::Queued;
    }

    /// Starts as many calls as may be under way.
    fn ask(&mut self) {
        if self.pause.is_on() {
            return;
        }
        while self.registrations < MAX_REGISTRATIONS
            && let Some(id) = self.to_register.pop_front()
        {
            let Some(robot) = self.robots.get_mut(&id) else { continue };
            robot.place = Place::Asked(0);
            self.registrations += 1;
            let (depot, who) = (self.depot.clone(), (id, robot.session));
            let request =
                RegisterBotRequest { bot_id: id.to_string(), name: robot.name.clone(), location: robot.location };
            self.calls.spawn(async move { Done::Registered(who, depot.register(request).await) });
        }
        while self.requests < MAX_REQUESTS && !self.to_report.is_empty() {
            let (mut asked, mut reports, mut room) = (Vec::new(), Vec::new(), MAX_REPORTS);
            while room >= MAX_UNANSWERED
                && let Some(id) = self.to_report.pop_front()
            {
                let Some(robot) = self.robots.get_mut(&id) else { continue };
                let said = if robot.step == Step::Look { vec![look(id)] } else { robot.reports.clone() };
                room -= said.len();
                robot.place = Place::Asked(if robot.step == Step::Look { 0 } else { said.len() });
                asked.push((id, robot.session));
                reports.push((id, said));
            }
            self.requests += 1;
            metrics::histogram!(m::REPORTS_AT_ONCE).record((MAX_REPORTS - room) as f64);
            let depot = self.depot.clone();
            self.calls.spawn(async move { Done::Reported(asked, depot.report(reports).await) });
        }
    }

    /// Starts calls for idle robots that no call listens for.
    fn listen(&mut self) {
        if self.pause.is_on() || !std::mem::take(&mut self.unheard) {
            return;
        }
        let free = self.robots.iter().filter(|(_, robot)| robot.idle && robot.group.is_none());
        let mut robots: Vec<_> = free.map(|(id, _)| *id).collect();
        if robots.is_empty() {
            return;
        }
        let most = self.robots.len().div_ceil(GROUP) + SPARE_GROUPS;
        while self.groups.len() >= most {
            robots.extend(self.dissolve_smallest());
        }
        for group in robots.chunks(GROUP) {
            self.listen_for(group.to_vec());
        }
    }

    fn listen_for(&mut self, robots: Vec<BotId>) {
        let (id, depot, asked) = (self.next_group, self.depot.clone(), robots.clone());
        self.next_group += 1;
        for robot in &robots {
            if let Some(robot) = self.robots.get_mut(robot) {
                robot.group = Some(id);
            }
        }
        let call = self.calls.spawn(async move { Done::Listened(id, depot.listen(&asked).await) });
        self.groups.insert(id, Group { robots, call });
    }

    /// Ends the call of the smallest group; its robots are to be listened for by another.
    fn dissolve_smallest(&mut self) -> Vec<BotId> {
        let smallest = self.groups.iter().min_by_key(|(id, group)| (group.robots.len(), **id)).map(|(id, _)| *id);
        let Some((id, group)) = smallest.and_then(|id| Some((id, self.groups.remove(&id)?))) else { return Vec::new() };
        group.call.abort();
        group.robots.into_iter().filter(|robot| self.is_in(*robot, id)).collect()
    }

    /// Whether the robot is still one of that group: it may have gone, and have come back since.
    fn is_in(&self, robot: BotId, group: u64) -> bool {
        self.robots.get(&robot).is_some_and(|robot| robot.group == Some(group))
    }

    fn done(&mut self, done: Result<Done, JoinError>) -> anyhow::Result<()> {
        match done {
            Ok(Done::Registered(who, answer)) => self.registered(who, answer),
            Ok(Done::Reported(asked, answers)) => self.reported(asked, answers),
            Ok(Done::Listened(group, told)) => self.listened(group, told),
            Ok(Done::Rested(who)) => self.free(who),
            Err(dissolved) if dissolved.is_cancelled() => {}
            Err(bug) => return Err(bug).context("a call to the depot"),
        }
        Ok(())
    }

    /// The robot of that line, unless it has another one by now.
    fn same(&mut self, (id, session): Who) -> Option<&mut Robot> {
        self.robots.get_mut(&id).filter(|robot| robot.session == session)
    }

    /// Nothing is under way for the robot any more: what it has to say may be asked.
    fn free(&mut self, who: Who) {
        if let Some(robot) = self.same(who) {
            robot.place = Place::Free;
            self.queue(who.0);
        }
    }

    fn registered(&mut self, who: Who, answer: Result<(), Status>) {
        self.registrations -= 1;
        match answer {
            Ok(()) => {
                self.pause.end();
                if let Some(robot) = self.same(who) {
                    robot.step = Step::Look;
                }
            }
            // Its fault, not the depot's: another hello may be better.
            Err(status) if status.code() == tonic::Code::InvalidArgument => {
                if self.same(who).is_some() {
                    self.end(who.0, Some(line::invalid(status.message())));
                }
            }
            Err(status) => self.failed(&status),
        }
        self.free(who);
    }

    fn reported(&mut self, asked: Vec<Who>, answers: Result<Vec<Told>, Status>) {
        self.requests -= 1;
        let answers = match answers {
            Ok(answers) => answers,
            Err(status) => {
                self.failed(&status);
                return asked.into_iter().for_each(|who| self.free(who));
            }
        };
        let (mut judged, mut later) = (false, None);
        for (who, told) in asked.into_iter().zip(answers) {
            match told {
                Told::Judged { now, acknowledged, refused } => {
                    judged = true;
                    self.judged(who, now, acknowledged, refused);
                    self.free(who);
                }
                Told::Unknown => {
                    tracing::info!(robot = %who.0, "the depot does not know this robot, it comes online again");
                    if let Some(robot) = self.same(who) {
                        robot.reports.clear();
                        (robot.step, robot.idle, robot.epoch) = (Step::Register, false, 0);
                    }
                    self.free(who);
                }
                Told::Later(why) => {
                    later = Some(Status::unavailable(why));
                    self.hesitate(who);
                }
            }
        }
        // One robot in trouble hesitates by itself; the others go on.
        match later.filter(|_| !judged) {
            None => self.pause.end(),
            Some(status) => self.failed(&status),
        }
    }

    fn judged(&mut self, who: Who, now: Instruction, acknowledged: i64, refused: Vec<Refused>) {
        let Some(robot) = self.same(who) else { return };
        refused.iter().for_each(|refusal| log_refusal(who.0, refusal));
        if let Place::Asked(count) = robot.place {
            robot.reports.drain(..count.min(robot.reports.len()));
        }
        // Idle only by the newest word: an answer may have been overtaken by an assignment.
        if now.epoch >= robot.epoch {
            (robot.epoch, robot.idle) = (now.epoch, now.assignment.is_none());
            let unheard = robot.idle && robot.group.is_none();
            self.unheard |= unheard;
        }
        let Some(robot) = self.same(who) else { return };
        let message = if robot.step == Step::Look {
            robot.step = Step::Work;
            to_robot::Message::Welcome(Welcome { now: Some(now), acknowledged })
        } else {
            to_robot::Message::Answer(Answer { now: Some(now), acknowledged, refused })
        };
        self.tell(who.0, message);
    }

    fn hesitate(&mut self, who: Who) {
        if let Some(robot) = self.same(who) {
            robot.place = Place::Hesitates;
            self.calls.spawn(async move {
                tokio::time::sleep(HESITATE).await;
                Done::Rested(who)
            });
        }
    }

    fn listened(&mut self, id: u64, told: Result<Vec<(BotId, Instruction)>, Status>) {
        // Dissolved while its answer was on its way: the next call is told the same.
        let Some(group) = self.groups.remove(&id) else { return };
        for robot in group.robots {
            if let Some(robot) = self.robots.get_mut(&robot).filter(|robot| robot.group == Some(id)) {
                robot.group = None;
                self.unheard |= robot.idle;
            }
        }
        match told {
            Ok(told) => told.into_iter().for_each(|(id, instruction)| self.instructed(id, instruction)),
            Err(status) => self.failed(&status),
        }
    }

    /// Came unasked: nothing older than what the robot knows is news.
    fn instructed(&mut self, id: BotId, now: Instruction) {
        let Some(robot) = self.robots.get_mut(&id).filter(|robot| robot.step == Step::Work) else { return };
        if now.epoch > robot.epoch {
            (robot.epoch, robot.idle) = (now.epoch, now.assignment.is_none());
            self.tell(id, to_robot::Message::Instruction(now));
        }
    }

    fn tell(&mut self, id: BotId, message: to_robot::Message) {
        let Some(robot) = self.robots.get(&id) else { return };
        match robot.line.tell(ToRobot { message: Some(message) }) {
            Ok(()) => {}
            Err(line::Untold::Cut) => self.end(id, None),
            Err(line::Untold::Full) => {
                tracing::warn!(robot = %id, "does not read what it is told, its line ends");
                self.end(id, Some(line::too_slow()));
            }
        }
    }

    fn failed(&mut self, status: &Status) {
        if self.pause.begin() {
            tracing::warn!(code = %status.code(), reason = status.message(), "the depot does not answer, it is asked again");
        }
    }
}

/// A report that changes nothing and is answered by what the robot is to do: no number is lower.
fn look(id: BotId) -> BotReport {
    let what = Some(bot_report::What::Heartbeat(bot_report::Heartbeat {}));
    BotReport { bot_id: id.to_string(), epoch: 0, report_no: 0, what }
}

/// A stale epoch is how a robot learns that its order was cancelled; anything else should not happen.
fn log_refusal(robot: BotId, refusal: &Refused) {
    if refusal.code == "depot.stale_epoch" {
        tracing::debug!(%robot, reason = %refusal.message, "the robot has a newer instruction");
    } else {
        tracing::warn!(%robot, code = %refusal.code, reason = %refusal.message, "a report was refused");
    }
}
