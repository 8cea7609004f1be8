//! The storm: kills, stops and cuts off what the platform consists of, one thing after the other and many at once, and brings
//! everything back.

use super::{
    groups::forget_offsets,
    places::{most_passes, places},
    tally::{Fault, Tally},
};
use crate::{
    metrics::Metrics,
    plan::Draw,
    platform::{Platform, ROBOTS},
};
use anyhow::{Context as _, Result};
use servers::Control;
use std::{
    collections::BTreeMap,
    os::unix::process::ExitStatusExt as _,
    time::{Duration, Instant},
};
use tokio::{process::Command, task::JoinHandle};
use transport::failpoint::Death;

/// One thing that strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strike {
    Kill,
    KillTwo,
    KillAll,
    Pause,
    Broker,
    TwoBrokers,
    Postgres,
    Replay,
    Robots,
}

/// What strikes, in the shares in which it does: shuffled, and dealt until none is left.
const DECK: [(Strike, usize); 9] = [
    (Strike::Kill, 13),
    (Strike::KillTwo, 2),
    (Strike::KillAll, 1),
    (Strike::Pause, 5),
    (Strike::Broker, 2),
    (Strike::TwoBrokers, 1),
    (Strike::Postgres, 2),
    (Strike::Replay, 1),
    (Strike::Robots, 1),
];
const TICK: Duration = Duration::from_millis(50);
/// Of ten processes that start, so many are to die at a place of their code.
const TO_DIE_OF_TEN: u64 = 8;
/// A process stays away for so long, drawn.
const AWAY: [u64; 2] = [200, 1_500];
/// Longer than a lease (6 s) and than a consumer's session.
const PAUSED: [u64; 2] = [7_000, 15_000];
const PAUSED_LONGEST: Duration = Duration::from_millis(PAUSED[1] + 1_000);
const BROKER_AWAY: [u64; 2] = [500, 6_000];
const POSTGRES_AWAY: [u64; 2] = [200, 3_000];
/// Robots that will not come back work for so long.
const ROBOTS_LIVE: [u64; 2] = [4_000, 8_000];
/// After it goes on, a stopped process has tried what it was about to do.
const TRIED_WITHIN: Duration = Duration::from_secs(4);
/// For a process that is about to be stopped, or has just gone on, to say how often it was overtaken.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);
/// SIGABRT: what a fail-point ends by.
const ABORTED: i32 = 6;

/// The contexts whose consumer groups read from the start again.
const CONTEXTS: [&str; 6] = ["orders", "payments", "depot", "orchestrator", "notifications", "search"];

pub struct Storm<'a> {
    platform: &'a mut Platform,
    control: Control,
    draw: Draw,
    pub tally: Tally,
    deck: Vec<Strike>,
    /// Mean time between strikes.
    every: Duration,
    /// Customers in a second.
    rate: u32,
    next: Instant,
    calm: bool,
    /// Processes that are down, and when each comes back.
    down: BTreeMap<String, Instant>,
    /// Processes that are kept down by what is done to their group.
    held: Vec<String>,
    armed: BTreeMap<String, Death>,
    paused: BTreeMap<String, Instant>,
    /// Processes that went on a moment ago, when to ask them, and how often they had been overtaken before they were stopped.
    woken: BTreeMap<String, (Instant, [u64; 2])>,
    /// Robots that work for a while and then vanish.
    mortal: BTreeMap<String, Instant>,
    mortals: usize,
    outage: Option<JoinHandle<Result<()>>>,
    replay: Option<JoinHandle<Result<bool>>>,
    /// The last moment at which something was away.
    pub last_fault: Instant,
}

impl<'a> Storm<'a> {
    pub fn new(platform: &'a mut Platform, seed: u64, every: Duration, rate: u32) -> Result<Self> {
        let now = Instant::now();
        Ok(Self {
            platform,
            control: Control::from_env()?,
            draw: Draw(seed),
            tally: Tally::default(),
            deck: Vec::new(),
            every,
            rate,
            next: now,
            calm: false,
            down: BTreeMap::new(),
            held: Vec::new(),
            armed: BTreeMap::new(),
            paused: BTreeMap::new(),
            woken: BTreeMap::new(),
            mortal: BTreeMap::new(),
            mortals: 0,
            outage: None,
            replay: None,
            last_fault: now,
        })
    }

    /// Strikes until `calm` resolves; then brings everything back and keeps it so until `over` resolves.
    pub async fn run(
        &mut self,
        calm: impl Future<Output = ()>,
        over: impl Future<Output = ()>,
        seen: &impl Fn(String),
    ) -> Result<()> {
        let (mut calm, mut over) = (std::pin::pin!(calm), std::pin::pin!(over));
        loop {
            tokio::select! {
                biased;
                () = &mut over, if self.calm && self.is_whole() => return Ok(()),
                () = &mut calm, if !self.calm => self.be_calm().await?,
                () = tokio::time::sleep(TICK) => {}
            }
            self.look_after(Instant::now()).await?;
            if !self.calm && Instant::now() >= self.next {
                let mean = self.every.as_millis() as u64;
                self.next = Instant::now() + Duration::from_millis(mean / 2 + self.draw.below(mean.max(1)));
                let strike = self.deal();
                seen(format!("{strike:?}"));
                self.strike(strike).await.with_context(|| format!("{strike:?}"))?;
            }
        }
    }

    fn is_whole(&self) -> bool {
        let nobody_away = self.down.is_empty() && self.paused.is_empty() && self.mortal.is_empty();
        nobody_away && self.outage.is_none() && self.replay.is_none()
    }

    /// Waits for servers that are away; nothing else may be done for a storm that was broken off.
    pub async fn bring_servers_back(&mut self) -> Result<()> {
        if let Some(outage) = self.outage.take() {
            outage.await??;
        }
        if let Some(replay) = self.replay.take() {
            replay.await??;
        }
        Ok(())
    }

    /// What is still to die at a place of its code is killed and comes back without that fate.
    async fn be_calm(&mut self) -> Result<()> {
        self.calm = true;
        for name in self.armed.keys().cloned().collect::<Vec<_>>() {
            self.kill(&name).await?;
        }
        self.mortal.values_mut().for_each(|until| *until = Instant::now());
        Ok(())
    }

    fn deal(&mut self) -> Strike {
        if self.deck.is_empty() {
            self.deck = DECK.iter().flat_map(|(strike, times)| std::iter::repeat_n(*strike, *times)).collect();
            for at in (1..self.deck.len()).rev() {
                let other = self.draw.below(at as u64 + 1) as usize;
                self.deck.swap(at, other);
            }
        }
        self.deck.pop().unwrap_or(Strike::Kill)
    }

    /// Buries who died, brings back whose time has come.
    async fn look_after(&mut self, now: Instant) -> Result<()> {
        for name in self.platform.processes() {
            let elsewhere = self.held.contains(&name) || self.mortal.contains_key(&name);
            if !self.down.contains_key(&name) && !elsewhere {
                self.see(&name)?;
            }
        }
        for name in due(&self.down, now) {
            self.down.remove(&name);
            let death = self.fate(&name);
            self.platform.spawn_to_die(&name, death)?;
            self.armed.extend(death.map(|death| (name, death)));
            self.last_fault = now;
        }
        for name in due(&self.paused, now) {
            self.paused.remove(&name);
            signal(self.platform.pid(&name), "-CONT").await?;
            if let Some((ask_at, _)) = self.woken.get_mut(&name) {
                *ask_at = now + TRIED_WITHIN;
            }
            self.last_fault = now;
        }
        for name in
            self.woken.iter().filter(|(_, (at, _))| *at <= now).map(|(name, _)| name.clone()).collect::<Vec<_>>()
        {
            let Some((_, before)) = self.woken.remove(&name) else { continue };
            let after = overtaken(&self.platform.http(asked(&name))).await.unwrap_or_default();
            for (at, fault) in [Fault::Overtaken, Fault::ShardLost].into_iter().enumerate() {
                self.tally.add(fault, after[at].saturating_sub(before[at]));
            }
        }
        for name in due(&self.mortal, now) {
            self.mortal.remove(&name);
            self.platform.bury(&name).await?;
            self.last_fault = now;
        }
        if self.outage.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(outage) = self.outage.take()
        {
            outage.await??;
            self.last_fault = now;
        }
        if self.replay.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(replay) = self.replay.take()
        {
            if replay.await?? {
                self.tally.add(Fault::Replay, 1);
            }
            for name in std::mem::take(&mut self.held) {
                self.down.insert(name, now);
            }
        }
        Ok(())
    }

    /// Notes it where a process has died by itself.
    fn see(&mut self, name: &str) -> Result<()> {
        let Some(status) = self.platform.ended(name)? else { return Ok(()) };
        let log = crate::platform::tail(&self.platform.log(name));
        self.woken.remove(name);
        let told = |death: &Death| log.contains(&format!("fail-point {}:", death.place.name()));
        match self.armed.remove(name).filter(told) {
            Some(death) if status.signal() == Some(ABORTED) => self.tally.died_at(death.place),
            _ => self.tally.unexplained.push(format!("{name}: {status}\n{log}")),
        }
        self.bring_back_soon(name);
        Ok(())
    }

    fn bring_back_soon(&mut self, name: &str) {
        let away = self.between(AWAY);
        self.down.insert(name.to_owned(), Instant::now() + away);
    }

    fn between(&mut self, [least, most]: [u64; 2]) -> Duration {
        Duration::from_millis(least + self.draw.below(most - least))
    }

    /// Where a process that starts now is to die: of two places that its role passes, the one where fewer died so far.
    fn fate(&mut self, name: &str) -> Option<Death> {
        let places = places(name);
        if self.calm || places.is_empty() || self.draw.below(10) >= TO_DIE_OF_TEN {
            return None;
        }
        let mut one = || places[self.draw.below(places.len() as u64) as usize];
        let (one, other) = (one(), one());
        let place = if self.tally.at(one) <= self.tally.at(other) { one } else { other };
        Some(Death { place, nth: 1 + self.draw.below(most_passes(place, self.rate)) })
    }

    async fn strike(&mut self, strike: Strike) -> Result<()> {
        match strike {
            Strike::Kill => self.kill_any().await,
            Strike::KillTwo => {
                self.kill_any().await?;
                self.kill_any().await
            }
            Strike::KillAll => {
                for name in self.up().into_iter().filter(|name| name != ROBOTS) {
                    self.kill(&name).await?;
                }
                self.tally.add(Fault::KillAll, 1);
                Ok(())
            }
            Strike::Pause => self.pause().await,
            Strike::Robots => {
                self.mortals += 1;
                let (name, lives) = (format!("{ROBOTS}#{}", self.mortals), self.between(ROBOTS_LIVE));
                self.platform.spawn(&name)?;
                self.mortal.insert(name, Instant::now() + lives);
                Ok(())
            }
            Strike::Replay if self.replay.is_none() => self.replay().await,
            Strike::Broker | Strike::TwoBrokers | Strike::Postgres if self.outage.is_none() => self.take_away(strike),
            // One is away already.
            Strike::Replay | Strike::Broker | Strike::TwoBrokers | Strike::Postgres => self.kill_any().await,
        }
    }

    /// Who runs, and is not stopped.
    fn up(&self) -> Vec<String> {
        let away =
            |name: &String| self.down.contains_key(name) || self.held.contains(name) || self.mortal.contains_key(name);
        self.platform.processes().into_iter().filter(|n| !away(n) && !self.paused.contains_key(n)).collect()
    }

    async fn kill_any(&mut self) -> Result<()> {
        let up = self.up();
        match up.get(self.draw.below(up.len() as u64) as usize) {
            Some(name) => self.kill(name).await,
            None => Ok(()),
        }
    }

    async fn kill(&mut self, name: &str) -> Result<()> {
        // It may have died a moment ago.
        self.see(name)?;
        if self.down.contains_key(name) {
            return Ok(());
        }
        self.platform.kill(name).await?;
        self.armed.remove(name);
        self.paused.remove(name);
        self.woken.remove(name);
        self.tally.add(Fault::Kill, 1);
        self.tally.deaths += 1;
        self.bring_back_soon(name);
        Ok(())
    }

    async fn pause(&mut self) -> Result<()> {
        let up: Vec<_> = self.up().into_iter().filter(|name| !places(name).is_empty()).collect();
        let Some(name) = up.get(self.draw.below(up.len() as u64) as usize) else { return Ok(()) };
        let pid = self.platform.pid(name);
        if let Some(before) = overtaken(&self.platform.http(asked(name))).await {
            self.woken.insert(name.clone(), (Instant::now() + PAUSED_LONGEST, before));
        }
        signal(pid, "-STOP").await?;
        // The kernel stops one thread after the other.
        tokio::time::sleep(TICK).await;
        self.tally.add(Fault::Pause, u64::from(pid.is_some_and(is_stopped)));
        let until = Instant::now() + self.between(PAUSED);
        self.paused.insert(name.clone(), until);
        Ok(())
    }

    fn take_away(&mut self, strike: Strike) -> Result<()> {
        let control = self.control.clone();
        self.outage = Some(match strike {
            Strike::Postgres => {
                self.tally.add(Fault::Postgres, 1);
                let away = self.between(POSTGRES_AWAY);
                aside(move || async move {
                    control.stop_postgres_immediate().await?;
                    tokio::time::sleep(away).await;
                    Ok(control.start_postgres().await?)
                })
            }
            _ => {
                let (many, fault) = match strike {
                    Strike::TwoBrokers => (2, Fault::TwoBrokers),
                    _ => (1, Fault::Broker),
                };
                let mut brokers = control.brokers();
                while brokers.len() > many.min(brokers.len()) {
                    brokers.swap_remove(self.draw.below(brokers.len() as u64) as usize);
                }
                self.tally.add(if brokers.len() == many { fault } else { Fault::Broker }, 1);
                let away = self.between(BROKER_AWAY);
                aside(move || async move {
                    for broker in &brokers {
                        control.kill_broker(broker).await?;
                    }
                    tokio::time::sleep(away).await;
                    let starts = brokers.iter().map(|broker| control.start_broker(broker));
                    futures::future::try_join_all(starts).await?;
                    Ok(())
                })
            }
        });
        Ok(())
    }

    /// Takes a context's processes away, forgets how far its group has read, and brings them back.
    async fn replay(&mut self) -> Result<()> {
        let context = CONTEXTS[self.draw.below(CONTEXTS.len() as u64) as usize];
        let ours = |name: &String| name.split('#').next() == Some(context);
        for name in self.platform.processes().into_iter().filter(ours) {
            if !self.down.contains_key(&name) {
                self.kill(&name).await?;
            }
            self.down.remove(&name);
            self.held.push(name);
        }
        let kafka = crate::platform::address("MALLBOTS_KAFKA")?;
        let prefix = self.platform.env().get("MALLBOTS_TOPIC_PREFIX").cloned().unwrap_or_default();
        self.replay = Some(tokio::task::spawn_blocking(move || forget_offsets(&kafka, &prefix, context)));
        Ok(())
    }
}

/// Runs what may not move between threads.
fn aside<W: Future<Output = Result<()>>>(work: impl FnOnce() -> W + Send + 'static) -> JoinHandle<Result<()>> {
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || runtime.block_on(work()))
}

fn due(waiting: &BTreeMap<String, Instant>, now: Instant) -> Vec<String> {
    waiting.iter().filter(|(_, at)| **at <= now).map(|(name, _)| name.clone()).collect()
}

/// Whom to ask what came of the stop of a process: itself, or the one beside it that has an address. Who is overtaken may be
/// the one that took over, where the stopped one held the rows.
fn asked(name: &str) -> &str {
    match name.split_once('#') {
        Some(("relay", context)) => context,
        Some((role, _)) => role,
        None => name,
    }
}

/// How often a process says that a commit of its was refused because another was faster, and how many shards another had taken
/// over. `None`: it does not answer now.
async fn overtaken(http: &str) -> Option<[u64; 2]> {
    let metrics = tokio::time::timeout(ANSWERS_WITHIN, Metrics::read(http)).await.ok()?.ok()?;
    let sum = |name, label| metrics.values(name, label).sum::<f64>() as u64;
    let commits = sum("mallbots_batch_retries_total", "what=\"overtaken\"");
    Some([commits, sum("mallbots_relay_leases_lost_total", "")])
}

async fn signal(pid: Option<u32>, signal: &str) -> Result<()> {
    let Some(pid) = pid else { return Ok(()) };
    // It may have ended a moment ago.
    Command::new("kill").args([signal, &pid.to_string()]).stderr(std::process::Stdio::null()).status().await?;
    Ok(())
}

/// Whether the kernel says that the process is stopped.
fn is_stopped(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && line.contains('T'))
}
