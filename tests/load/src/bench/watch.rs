//! Follows the orders' events from the log, as any subscriber would, and notes when each order is approved and ends.

use anyhow::{Context as _, Result};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};
use tokio::{sync::watch, task::JoinHandle};
use transport::{
    kafka::{KafkaConfig, KafkaLog},
    ports::{LogConsumer, Polled, Record},
};

/// What is known of one order.
#[derive(Debug, Clone, Copy, Default)]
pub struct Course {
    pub placed: Option<Instant>,
    pub approved: Option<Instant>,
    pub ended: Option<Instant>,
    pub end: Option<End>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Completed,
    Rejected,
    Cancelled,
}

/// How many orders have come how far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    pub approved: usize,
    pub completed: usize,
    pub rejected: usize,
    pub cancelled: usize,
}

impl Count {
    pub fn ended(&self) -> usize {
        self.completed + self.rejected + self.cancelled
    }
}

/// A running observer. It ends when it is dropped.
pub struct Watcher {
    courses: Arc<Mutex<HashMap<String, Course>>>,
    count: watch::Receiver<Count>,
    task: JoinHandle<()>,
}

const EVENTS: &str = "mallbots.orders.events";

impl Watcher {
    /// Follows from now on.
    pub async fn start(kafka: &str, topic_prefix: &str) -> Result<Self> {
        let mut config = KafkaConfig::new(kafka);
        config.topic_prefix = topic_prefix.to_owned();
        config.client_id = "mallbots-bench".into();
        let consumer = KafkaLog::new(config)?.tail(&[EVENTS]).await.context("follow the orders' events")?;
        let courses: Arc<Mutex<HashMap<String, Course>>> = Arc::default();
        let (tell, count) = watch::channel(Count::default());
        let noted = courses.clone();
        let task = tokio::spawn(async move {
            loop {
                match consumer.poll().await {
                    Ok(Polled::Record(record)) => note(&noted, &tell, &record),
                    Ok(Polled::Passed(..) | Polled::Revoked(_) | Polled::Assigned(_)) => {}
                    Err(error) => eprintln!("bench: {error}"),
                }
            }
        });
        Ok(Self { courses, count, task })
    }

    pub fn placed(&self, order: &str, at: Instant) {
        lock(&self.courses).entry(order.to_owned()).or_default().placed = Some(at);
    }

    pub fn count(&self) -> watch::Receiver<Count> {
        self.count.clone()
    }

    pub fn course(&self, order: &str) -> Course {
        lock(&self.courses).get(order).copied().unwrap_or_default()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn note(courses: &Mutex<HashMap<String, Course>>, tell: &watch::Sender<Count>, record: &Record) {
    let now = Instant::now();
    let header = |name: &str| record.headers.get(name);
    let name = header(message::headers::CE_TYPE).and_then(|v| std::str::from_utf8(v).ok()).unwrap_or_default();
    let order = record.key.as_deref().and_then(|k| std::str::from_utf8(k).ok()).unwrap_or_default();
    let end = match message::short_name(name) {
        "orders.OrderApproved" => None,
        "orders.OrderCompleted" => Some(End::Completed),
        "orders.OrderRejected" => Some(End::Rejected),
        "orders.OrderCancelled" => Some(End::Cancelled),
        _ => return,
    };
    let first = {
        let mut courses = lock(courses);
        let course = courses.entry(order.to_owned()).or_default();
        match end {
            None => course.approved.replace(now).is_none(),
            Some(end) => {
                course.ended = Some(now);
                course.end.replace(end).is_none()
            }
        }
    };
    // A record may come twice; an order counts once.
    if first {
        tell.send_modify(|count| match end {
            None => count.approved += 1,
            Some(End::Completed) => count.completed += 1,
            Some(End::Rejected) => count.rejected += 1,
            Some(End::Cancelled) => count.cancelled += 1,
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
