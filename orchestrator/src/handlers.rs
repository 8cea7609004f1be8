//! The orchestrator's table of contents: the events that start, move or cancel sagas, the replies, the timers, and what
//! becomes of the decisions.

use crate::{
    Orchestrator,
    instance::{Due, Instance, saga_id},
    notice::Notice,
};
use message::{Direction, EffectKey, Envelope, SagaRef};
use saga::{ChildEnd, Definition, Effect, Input, Lifecycle, Phase, Reply, Route, Timer, TimerKind};
use schemas::{depot, orchestrator as events, orders, payments, topics};
use serde_json::Value;
use std::sync::Arc;
use transport::{Fold, Router, Stop, Unit};
use uuid::Uuid;

pub fn routes() -> Router<Orchestrator> {
    Router::new()
        .event_json::<orders::OrderPlaced>(on_event)
        .event_json::<orders::CancelRequested>(on_event)
        .event_json::<orders::ReturnRequested>(on_event)
        .event_json::<depot::ShoppingChecked>(on_event)
        .event_json::<payments::PaymentTaken>(on_event)
        .replies(topics::ORCHESTRATOR_REPLIES, on_reply)
        .wake::<Instance>(on_wake)
}

/// An event may start a saga, move one or cancel one, of any type.
fn on_event(context: &Orchestrator, unit: &mut Unit, envelope: &Envelope, body: &Value) -> Fold<()> {
    for definition in context.newest_of_each() {
        let route = definition.route(&envelope.name, body).map_err(|e| Stop::Poison(e.to_string()))?;
        let saga_type = definition.saga_type();
        match route {
            None => {}
            Some(Route::Start { business_key }) => {
                begin(context, unit, definition, saga_id(saga_type, &business_key), body, None)?;
            }
            Some(Route::Event { business_key }) => {
                let input = Input::Event { name: envelope.name.clone(), body: body.clone() };
                feed(context, unit, saga_id(saga_type, &business_key), vec![input])?;
            }
            Some(Route::Cancel { business_key, reason, by }) => {
                let input = Input::Cancel { reason, by };
                feed(context, unit, saga_id(saga_type, &business_key), vec![input])?;
            }
        }
    }
    Ok(())
}

/// Replies are judged by their effect key; one that belongs to no saga is parked, with an alarm.
fn on_reply(context: &Orchestrator, unit: &mut Unit, envelope: &Envelope, body: &Value) -> Fold<()> {
    let (Some(saga), Some(outcome)) = (&envelope.saga, envelope.outcome) else {
        return Err(Stop::Poison("a reply without saga or outcome headers".into()));
    };
    let reply = Reply {
        effect: saga.effect.clone(),
        attempt: saga.attempt,
        outcome,
        name: envelope.name.clone(),
        body: body.clone(),
    };
    match feed(context, unit, saga.effect.saga_id, vec![Input::Reply(reply)])? {
        Fed::Known => Ok(()),
        Fed::Unknown => Err(Stop::Poison(format!("there is no saga {}", saga.effect.saga_id))),
    }
}

/// Timers that are due. One that was overtaken by trouble with the log, or whose command still waits in the outbox, starts again.
fn on_wake(context: &Orchestrator, unit: &mut Unit, id: Uuid) -> Fold<()> {
    let Some(mut instance) = unit.get::<Instance>(id)? else { return Ok(()) };
    let now = unit.now_ms();
    let (due, later): (Vec<Due>, Vec<Due>) = instance.timers.iter().cloned().partition(|d| d.due_ms <= now);
    if due.is_empty() {
        return Ok(());
    }
    unit.follow(instance.trace_context(), Some(instance.progress.key.clone()));
    instance.timers = later;
    let mut inputs = Vec::new();
    for timer in due {
        match context.health.postpone(id, &timer) {
            Some(by_ms) => instance.timers.push(Due { due_ms: now + by_ms, ..timer }),
            None => inputs.push(Input::Timer(timer.timer)),
        }
    }
    unit.put(id, instance);
    feed(context, unit, id, inputs).map(|_| ())
}

/// Whether the saga that an input was for exists.
#[derive(Debug, PartialEq)]
pub enum Fed {
    Known,
    Unknown,
}

/// Gives inputs to a saga. The refusal is an operator's verb that does not apply.
pub fn feed(context: &Orchestrator, unit: &mut Unit, id: Uuid, inputs: Vec<Input>) -> Fold<Fed> {
    let Some(instance) = unit.read::<Instance>(id)? else { return Ok(Fed::Unknown) };
    let (saga_type, version) = (&instance.progress.saga_type, instance.progress.version);
    let definition = context.definition(saga_type, version).cloned();
    let definition = definition.ok_or_else(|| Stop::Poison(format!("no definition {saga_type} version {version}")))?;
    unit.follow(instance.trace_context(), Some(instance.progress.key.clone()));
    drop(instance);
    for input in inputs {
        // Read anew each time: what follows from an input may come back to this saga, as the end of a child does.
        let Some(instance) = unit.get::<Instance>(id)? else { return Ok(Fed::Unknown) };
        let was_terminal = instance.progress.phase().is_terminal();
        let Instance { progress, timers, started_ms, updated_ms, trace, child_of } = instance;
        let (progress, effects) = saga::decide(&definition, progress, input);
        let next = Instance { progress, timers, started_ms, updated_ms, trace, child_of };
        apply(context, unit, id, next, was_terminal, effects)?;
    }
    Ok(Fed::Known)
}

fn begin(
    context: &Orchestrator,
    unit: &mut Unit,
    definition: &Definition,
    id: Uuid,
    start: &Value,
    child_of: Option<EffectKey>,
) -> Fold<()> {
    if unit.read::<Instance>(id)?.is_some() {
        return Ok(());
    }
    let (progress, effects) = saga::start(definition, id, start).map_err(|e| Stop::Poison(e.to_string()))?;
    let now = unit.now_ms();
    let trace = unit.meta().trace.map(|t| t.to_string());
    let instance = Instance { progress, timers: Vec::new(), started_ms: now, updated_ms: now, trace, child_of };
    apply(context, unit, id, instance, false, effects)
}

/// Carries the decisions out: everything lands in the transaction that saves the progress.
fn apply(
    context: &Orchestrator,
    unit: &mut Unit,
    id: Uuid,
    mut instance: Instance,
    was_terminal: bool,
    effects: Vec<Effect>,
) -> Fold<()> {
    let now = unit.now_ms();
    instance.updated_ms = now;
    let mut noticed = Vec::new();
    // Timers first, for they change the saga; what is sent afterwards leaves the saga as it is saved.
    let mut rest = Vec::with_capacity(effects.len());
    for effect in effects {
        match effect {
            Effect::SetTimer { timer, after_ms } => instance.set_timer(timer, after_ms, now),
            Effect::CancelTimer(timer) => noticed.extend(answered(&mut instance, timer, now)),
            other => rest.push(other),
        }
    }
    let instance = Arc::new(instance);
    unit.put_shared(id, instance.clone());
    for effect in rest {
        match effect {
            Effect::SetTimer { .. } | Effect::CancelTimer(_) => {}
            Effect::Send { step, direction, round, attempt, command } => {
                let saga = saga_ref(&instance, step, direction, round, attempt);
                unit.send::<Instance>(id, instance.progress.key.clone(), command, Some(saga))?;
            }
            Effect::StartChild { step, round, saga_type, start, .. } => {
                let effect = instance.progress.effect_key(&step, Direction::Do, round);
                let child = saga_id(&saga_type, &effect.to_string());
                let definition = context.newest(&saga_type).cloned();
                let definition = definition.ok_or_else(|| Stop::Poison(format!("no saga type {saga_type}")))?;
                begin(context, unit, &definition, child, &start, Some(effect))?;
            }
            Effect::Emit(lifecycle) => {
                noticed.extend(turn(&instance, &lifecycle));
                emit(unit, id, &instance, lifecycle)?;
            }
            Effect::Record(entry) => unit.journal::<Instance>(id, &entry)?,
            Effect::Alarm { code, detail } => noticed.push(Notice::Alarm { id, code: code.as_str(), detail }),
            Effect::Count(what) => noticed.push(Notice::Ignored(what.as_str())),
            Effect::Park { reason } => return Err(Stop::Poison(reason)),
            Effect::Rejected { reason } => return Err(message::Refusal::new("orchestrator.wrong_state", reason).into()),
        }
    }
    let phase = instance.progress.phase();
    if phase.is_terminal() && !was_terminal {
        let (saga_type, took_ms) = (instance.progress.saga_type.clone(), now - instance.started_ms);
        noticed.push(Notice::Ended { saga_type, phase: phase.as_str(), took_ms });
        if let Some(effect) = instance.child_of.clone() {
            let parent = effect.saga_id;
            feed(context, unit, parent, vec![Input::ChildEnded { effect, end: child_end(&instance) }])?;
        }
    }
    if !noticed.is_empty() {
        unit.ask_outside(noticed);
    }
    Ok(())
}

/// A timer that is no longer wanted: when it was a deadline, the answer came, and it is known how long that took.
fn answered(instance: &mut Instance, timer: Timer, now_ms: i64) -> Option<Notice> {
    let due = instance.cancel_timer(&timer).filter(is_deadline)?;
    Some(Notice::Step {
        saga_type: instance.progress.saga_type.clone(),
        undo: timer.direction == Direction::Undo,
        step: timer.step,
        took_ms: (now_ms - (due.due_ms - due.after_ms)).max(0),
    })
}

fn turn(instance: &Instance, lifecycle: &Lifecycle) -> Option<Notice> {
    let saga_type = || instance.progress.saga_type.clone();
    match lifecycle {
        Lifecycle::Started => Some(Notice::Started { saga_type: saga_type() }),
        Lifecycle::Stuck { .. } => Some(Notice::Stuck { saga_type: saga_type() }),
        Lifecycle::Compensating { .. }
        | Lifecycle::CancelTooLate { .. }
        | Lifecycle::Completed
        | Lifecycle::Compensated { .. } => None,
    }
}

fn child_end(instance: &Instance) -> ChildEnd {
    match (instance.progress.phase(), &instance.progress.cause) {
        (Phase::Compensated, Some(cause)) => {
            ChildEnd::Compensated { code: cause.code.clone(), reason: cause.reason.clone() }
        }
        _ => ChildEnd::Completed,
    }
}

fn saga_ref(instance: &Instance, step: String, direction: Direction, round: u32, attempt: u32) -> SagaRef {
    SagaRef {
        saga_type: instance.progress.saga_type.clone(),
        effect: instance.progress.effect_key(&step, direction, round),
        attempt,
        reply_to: topics::ORCHESTRATOR_REPLIES.to_owned(),
        key: instance.progress.key.clone(),
    }
}

/// Lifecycle events for other contexts: each names the saga, its type and its business key.
fn emit(unit: &mut Unit, id: Uuid, instance: &Instance, lifecycle: Lifecycle) -> Fold<()> {
    let saga_id = schemas::ids::SagaId::from(id);
    let saga_type = instance.progress.saga_type.clone();
    let business_key = instance.progress.business_key.clone();
    match lifecycle {
        Lifecycle::Started => unit.emit::<Instance, _>(id, events::SagaStarted { saga_id, saga_type, business_key }),
        Lifecycle::Compensating { cause } => {
            let (code, reason) = (cause.code, cause.reason);
            unit.emit::<Instance, _>(id, events::SagaCompensating { saga_id, saga_type, business_key, code, reason })
        }
        Lifecycle::CancelTooLate { reason } => {
            unit.emit::<Instance, _>(id, events::SagaCancelTooLate { saga_id, saga_type, business_key, reason })
        }
        Lifecycle::Completed => {
            unit.emit::<Instance, _>(id, events::SagaCompleted { saga_id, saga_type, business_key })
        }
        Lifecycle::Compensated { cause } => {
            let (code, reason) = (cause.code, cause.reason);
            unit.emit::<Instance, _>(id, events::SagaCompensated { saga_id, saga_type, business_key, code, reason })
        }
        Lifecycle::Stuck { step, reason } => {
            unit.emit::<Instance, _>(id, events::SagaStuck { saga_id, saga_type, business_key, step, reason })
        }
    }
}

/// Deadlines of commands are subject to the rules of [`crate::gate`]; delays before a retry are not.
pub(crate) fn is_deadline(due: &Due) -> bool {
    due.timer.kind == TimerKind::Deadline
}
