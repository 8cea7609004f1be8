//! Carries questions to the payment provider and its answers back to the shell, outside any transaction.
//!
//! It remembers nothing: a question that gets lost with the process is put again by the payment's own timer, or by who waits
//! for its answer and repeats the command.

use crate::{
    Payments,
    acquirer::{Acquirer, Error, NewHold, OnHold},
    config::WorkerConfig,
    domain::{Ask, Heard, How, Operation, Settled, settle},
    handlers, metric_names as m,
    questions::{Question, Questions},
};
use message::TraceContext;
use std::{any::Any, future::Future, pin::pin, sync::Arc, time::Instant};
use tokio::{sync::mpsc, task::JoinSet};
use transport::{
    Call, Shell,
    failpoint::{self, Place},
    ports::Store,
    spans::{self, Ended, Kind},
};

/// How one step of the worker ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing was asked.
    Idle,
    /// The provider answered, and the payment took it in.
    Answered,
    /// The provider answered, but nobody waits for it: it was answered before.
    Stale,
    /// No answer that decides: the payment asks again.
    Unanswered,
}

/// See the module's documentation.
pub struct Worker<A: Acquirer, S: Store> {
    desk: Arc<Desk<A, S>>,
    requests: mpsc::Receiver<Box<dyn Any + Send>>,
    questions: Questions,
}

struct Desk<A: Acquirer, S: Store> {
    acquirer: A,
    shell: Shell<Payments, S>,
    config: WorkerConfig,
}

impl<A: Acquirer, S: Store> Worker<A, S> {
    /// The worker of this shell; `None` when it has one already.
    pub fn new(acquirer: A, shell: Shell<Payments, S>, config: WorkerConfig) -> Option<Self> {
        let requests = shell.outside()?;
        let desk = Arc::new(Desk { acquirer, shell, config });
        Some(Self { desk, requests, questions: Questions::default() })
    }

    /// Takes one question, if one waits, to the provider, and its answer back; the shell must be running.
    pub async fn run_once(&mut self) -> Outcome {
        while let Ok(request) = self.requests.try_recv() {
            self.questions.add(request);
        }
        match self.questions.next() {
            Some(question) => self.desk.serve(&question).await,
            None => Outcome::Idle,
        }
    }

    /// Serves up to `concurrency` questions at a time until `stop`; those under way then are dropped.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let mut under_way = JoinSet::new();
        loop {
            while under_way.len() < self.desk.config.concurrency {
                let Some(question) = self.questions.next() else { break };
                let desk = self.desk.clone();
                under_way.spawn(async move { desk.serve(&question).await });
            }
            tokio::select! {
                biased;
                () = &mut stop => return,
                Some(_) = under_way.join_next() => {}
                Some(request) = self.requests.recv(), if self.questions.has_room() => self.questions.add(request),
                else => return,
            }
        }
    }
}

impl<A: Acquirer, S: Store> Desk<A, S> {
    async fn serve(&self, question: &Question) -> Outcome {
        let mut ask = question.ask.clone();
        let mut pause = self.config.pause;
        for attempt in 1..=self.config.tries {
            match self.observed(&ask).await {
                (Ok(heard), trace) => return self.feed_back(ask, heard, trace).await,
                (Err(why), _) if attempt == self.config.tries => {
                    let (order, operation) = (ask.order_id, ask.operation.as_str());
                    tracing::warn!(order.id = %order, operation, why, "the provider gave no answer, it is asked again later");
                }
                (Err(_), _) => tokio::time::sleep(pause).await,
            }
            pause *= 2;
            if ask.how == How::Send {
                ask.how = How::QueryThenSend;
            }
        }
        Outcome::Unanswered
    }

    /// One attempt, with its span and metrics.
    async fn observed(&self, ask: &Ask) -> (Result<Heard, String>, Option<TraceContext>) {
        let operation = ask.operation.as_str();
        let (order, parent) = (ask.order_id.to_string(), ask.trace.as_ref().and_then(|t| t.parse().ok()));
        let name = format!("acquirer {operation}");
        let span = spans::start("payments", name, Kind::Client, parent, &[("order.id", &order)]);
        let trace = span.as_ref().map(|s| s.context()).or(parent);
        let began = Instant::now();
        failpoint::pass(Place::CallBefore);
        let heard = self.put(ask).await;
        failpoint::pass(Place::CallAfter);
        metrics::histogram!(m::ACQUIRER_SECONDS, "operation" => operation).record(began.elapsed());
        metrics::counter!(m::ACQUIRER_CALLS, "operation" => operation, "outcome" => outcome(&heard)).increment(1);
        if let Some(span) = span {
            span.end(ended(&heard));
        }
        (heard, trace)
    }

    /// The error says why nothing was learnt.
    async fn put(&self, ask: &Ask) -> Result<Heard, String> {
        if ask.how == How::Send {
            return self.send(ask, ask.provider_ref.as_deref()).await;
        }
        let reference = ask.order_id.to_string();
        let known = self.acquirer.query_by_reference(&reference, ask.provider_ref.as_deref()).await;
        let known = known.map_err(|e| e.to_string())?;
        match settle(ask.operation, known.as_ref()) {
            Settled::Heard(heard) => Ok(heard),
            // Freeing a hold twice harms nobody, so that is always sent.
            Settled::NotDone if ask.how == How::QueryOnly && ask.operation != Operation::Void => {
                Ok(Heard::NotCarriedOut)
            }
            Settled::NotDone => self.send(ask, known.map(|k| k.provider_ref).as_deref()).await,
        }
    }

    async fn send(&self, ask: &Ask, provider_ref: Option<&str>) -> Result<Heard, String> {
        let (amount, idempotency_key) = (ask.amount, ask.effect.to_string());
        let answer = match (ask.operation, provider_ref) {
            (Operation::Authorize, _) => {
                let (reference, token) = (ask.order_id.to_string(), ask.token.clone().unwrap_or_default());
                self.acquirer.authorize(&NewHold { reference, amount, token, idempotency_key }).await
            }
            (operation, Some(provider_ref)) => {
                let change = OnHold { provider_ref: provider_ref.to_owned(), amount, idempotency_key };
                self.change(operation, &change).await.map(|()| change.provider_ref)
            }
            (_, None) => Err(Error::Unknown("the hold's reference is not known".into())),
        };
        match answer {
            Ok(provider_ref) => Ok(Heard::Done { provider_ref }),
            Err(Error::Refused { reason, retryable }) => Ok(Heard::Refused { reason, retryable }),
            Err(Error::HoldExpired) => Ok(Heard::HoldExpired),
            Err(Error::Unknown(why)) => Err(why),
        }
    }

    async fn change(&self, operation: Operation, change: &OnHold) -> Result<(), Error> {
        match operation {
            Operation::Capture => self.acquirer.capture(change).await,
            Operation::Void => self.acquirer.void(change).await,
            Operation::Refund => self.acquirer.refund(change).await,
            Operation::Authorize => Err(Error::Unknown("a hold is not a change of a hold".into())),
        }
    }

    async fn feed_back(&self, ask: Ask, heard: Heard, trace: Option<TraceContext>) -> Outcome {
        let order = ask.order_id;
        if let (Operation::Void, Heard::Refused { reason, .. }) = (ask.operation, &heard) {
            tracing::error!(order.id = %order, reason, "the provider does not give a hold free: a person must look at it");
        }
        let call = Call::new("acquirer-answer").trace(trace).order(order);
        let effect = ask.effect;
        let fold =
            move |_: &Payments, unit: &mut transport::Unit| handlers::acquirer_answer(unit, order, &effect, &heard);
        match self.shell.call(call, fold).await {
            Ok(true) => Outcome::Answered,
            Ok(false) => Outcome::Stale,
            Err(error) => {
                tracing::warn!(order.id = %order, %error, "the provider's answer was not taken in, it is asked again later");
                Outcome::Unanswered
            }
        }
    }
}

fn outcome(heard: &Result<Heard, String>) -> &'static str {
    match heard {
        Ok(Heard::Done { .. }) => "done",
        Ok(Heard::Refused { .. }) => "refused",
        Ok(Heard::HoldExpired) => "expired",
        Ok(Heard::NotCarriedOut) => "not_carried_out",
        Err(_) => "unknown",
    }
}

fn ended(heard: &Result<Heard, String>) -> Ended {
    match heard {
        Ok(Heard::Done { .. }) => Ended::Ok,
        Ok(Heard::Refused { reason, .. }) => Ended::Refused(reason.clone()),
        Ok(Heard::HoldExpired) => Ended::Refused("hold expired".into()),
        Ok(Heard::NotCarriedOut) => Ended::Note("not carried out"),
        Err(why) => Ended::Error(why.clone()),
    }
}
