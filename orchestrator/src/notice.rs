//! What folds notice, told to logs and metrics once it is committed.

use crate::metric_names as m;
use metrics::{Counter, Histogram};
use std::{any::Any, collections::HashMap, future::Future};
use tokio::sync::mpsc;
use uuid::Uuid;

pub enum Notice {
    Started { saga_type: String },
    Stuck { saga_type: String },
    Step { saga_type: String, step: String, undo: bool, took_ms: i64 },
    Ended { saga_type: String, phase: &'static str, took_ms: i64 },
    Alarm { id: Uuid, code: &'static str, detail: String },
    Ignored(&'static str),
}

/// Counts and logs, after the commits, what folds noticed: a `Vec<Notice>` each.
pub async fn report(mut notices: mpsc::Receiver<Box<dyn Any + Send>>, stop: impl Future<Output = ()>) {
    let mut meters = Meters::default();
    tokio::pin!(stop);
    loop {
        let noticed = tokio::select! {
            biased;
            () = &mut stop => return,
            noticed = notices.recv() => noticed,
        };
        match noticed.map(|n| n.downcast::<Vec<Notice>>()) {
            Some(Ok(noticed)) => noticed.into_iter().for_each(|notice| meters.tell(notice)),
            Some(Err(_)) => {}
            None => return,
        }
    }
}

/// What is counted for every saga and step, looked up once and then held.
#[derive(Default)]
struct Meters {
    started: HashMap<String, Counter>,
    steps: HashMap<String, HashMap<(String, bool), Histogram>>,
}

impl Meters {
    fn tell(&mut self, notice: Notice) {
        match notice {
            Notice::Started { saga_type } => {
                let counter = self.started.entry(saga_type);
                counter.or_insert_with_key(|name| metrics::counter!(m::STARTED, "type" => name.clone())).increment(1);
            }
            Notice::Step { saga_type, step, undo, took_ms } => {
                let steps = self.steps.entry(saga_type.clone()).or_default();
                let histogram = steps.entry((step, undo)).or_insert_with_key(|(step, undo)| {
                    let direction = if *undo { "undo" } else { "do" };
                    metrics::histogram!(m::STEP_SECONDS, "type" => saga_type, "step" => step.clone(), "direction" => direction)
                });
                histogram.record(took_ms as f64 / 1000.0);
            }
            Notice::Stuck { saga_type } => metrics::counter!(m::STUCK, "type" => saga_type).increment(1),
            Notice::Ended { saga_type, phase, took_ms } => {
                metrics::counter!(m::ENDED, "type" => saga_type.clone(), "phase" => phase).increment(1);
                metrics::histogram!(m::SAGA_SECONDS, "type" => saga_type).record(took_ms as f64 / 1000.0);
            }
            Notice::Alarm { id, code, detail } => {
                metrics::counter!(m::ALARMS, "code" => code).increment(1);
                tracing::error!(saga_id = %id, code, detail, "saga alarm");
            }
            Notice::Ignored(what) => metrics::counter!(m::IGNORED, "what" => what).increment(1),
        }
    }
}

/// So that a scrape finds every counter of `saga_type` before anything was counted.
pub fn from_the_start(saga_type: &str) {
    for name in [m::STARTED, m::STUCK] {
        metrics::counter!(name, "type" => saga_type.to_owned()).absolute(0);
    }
    for phase in ["completed", "compensated"] {
        metrics::counter!(m::ENDED, "type" => saga_type.to_owned(), "phase" => phase).absolute(0);
    }
}
