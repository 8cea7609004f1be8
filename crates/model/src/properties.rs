//! What is asked of the states: the rules that must never be broken, and the ends that must be reached.

use crate::{Errands, Limits, State, rules::Rule};
use saga::{CauseKind, Course, DoState, Phase};
use stateright::Property;

pub(crate) fn properties(limits: &Limits) -> Vec<Property<Errands>> {
    let mut all = vec![
        always(Rule::AppliedOnce.sentence(), |_, s| s.broken != Some(Rule::AppliedOnce)),
        always(Rule::UndoBars.sentence(), |_, s| s.broken != Some(Rule::UndoBars)),
        always(Rule::OneAnswer.sentence(), |_, s| s.broken != Some(Rule::OneAnswer)),
        always(Rule::TerminalIsFinal.sentence(), |_, s| s.broken != Some(Rule::TerminalIsFinal)),
        always(Rule::NoTurningForward.sentence(), |_, s| s.broken != Some(Rule::NoTurningForward)),
        always(Rule::HasAWake.sentence(), |_, s| s.broken != Some(Rule::HasAWake)),
        always(Rule::TimersMatch.sentence(), |_, s| s.broken != Some(Rule::TimersMatch)),
        always(Rule::SentOnce.sentence(), |_, s| s.broken != Some(Rule::SentOnce)),
        always(Rule::HistoryReplays.sentence(), |_, s| s.broken != Some(Rule::HistoryReplays)),
        always(Rule::AttemptOnlyEchoes.sentence(), |_, s| s.broken != Some(Rule::AttemptOnlyEchoes)),
        always(Rule::Stored.sentence(), |_, s| s.broken != Some(Rule::Stored)),
        always(Rule::NoAlarm.sentence(), |_, s| s.broken != Some(Rule::NoAlarm)),
        always(Rule::NothingParked.sentence(), |_, s| s.broken != Some(Rule::NothingParked)),
        always(Rule::StuckIsAlarmed.sentence(), |_, s| s.broken != Some(Rule::StuckIsAlarmed)),
        always("I2: completed: each effect stands once", |_, s| {
            !s.is(Phase::Completed) || s.participants.iter().all(|p| p.standing() == 1)
        }),
        always("I2: compensated: nothing stands", |_, s| {
            !s.is(Phase::Compensated) || s.participants.iter().all(|p| p.standing() == 0)
        }),
        eventually("every saga ends or waits for a person", |_, s| {
            s.broken.is_some() || s.is(Phase::Completed) || s.is(Phase::Compensated) || s.is(Phase::Stuck)
        }),
        sometimes("completed", |_, s| s.is(Phase::Completed)),
        sometimes("compensated after hold was refused", |_, s| s.undone_by(CauseKind::Refused, Some("hold"))),
        sometimes("compensated after plan was refused", |_, s| s.undone_by(CauseKind::Refused, Some("plan"))),
        sometimes("compensated after capture was refused", |_, s| s.undone_by(CauseKind::Refused, Some("capture"))),
        sometimes("compensated after hold timed out", |_, s| s.undone_by(CauseKind::TimedOut, Some("hold"))),
        sometimes("compensated after plan timed out", |_, s| s.undone_by(CauseKind::TimedOut, Some("plan"))),
        sometimes("compensated after it was cancelled", |_, s| s.undone_by(CauseKind::Cancelled, None)),
        sometimes("stuck on its way forward", |_, s| s.is(Phase::Stuck) && s.course(Course::Forward)),
        sometimes("stuck on its way back", |_, s| s.is(Phase::Stuck) && s.course(Course::Back)),
        sometimes("a do was barred by its undo", |_, s| s.barred),
    ];
    if limits.retries > 0 {
        all.push(sometimes("completed after retries", |_, s| s.is(Phase::Completed) && s.was_refused()));
    }
    all
}

/// The end of a run in which no saga was started.
pub(crate) const NOT_STARTED: &str = "not started";

type Condition = fn(&Errands, &State) -> bool;

fn always(name: &'static str, condition: Condition) -> Property<Errands> {
    Property::always(name, condition)
}

fn sometimes(name: &'static str, condition: Condition) -> Property<Errands> {
    Property::sometimes(name, condition)
}

fn eventually(name: &'static str, condition: Condition) -> Property<Errands> {
    Property::eventually(name, condition)
}

impl State {
    fn is(&self, phase: Phase) -> bool {
        self.row.as_ref().is_some_and(|row| row.phase() == phase)
    }

    fn course(&self, course: Course) -> bool {
        self.row.as_ref().is_some_and(|row| row.course == course)
    }

    fn undone_by(&self, kind: CauseKind, step: Option<&str>) -> bool {
        let cause = self.row.as_ref().filter(|_| self.is(Phase::Compensated)).and_then(|row| row.cause.as_ref());
        cause.is_some_and(|cause| cause.kind == kind && cause.step.as_deref() == step)
    }

    fn was_refused(&self) -> bool {
        let rounds = self.row.iter().flat_map(|row| row.steps.values()).flat_map(|step| &step.rounds);
        rounds.into_iter().any(|round| round.forward.state == DoState::Refused)
    }
}

/// How the saga stands when nothing is left to happen.
pub(crate) fn end(state: &State) -> String {
    let Some(row) = &state.row else { return NOT_STARTED.into() };
    let why = row.cause.as_ref().map(|cause| match &cause.step {
        Some(step) => {
            format!(": {step} {}", if cause.kind == CauseKind::TimedOut { "timed out" } else { "was refused" })
        }
        None => ": cancelled".to_owned(),
    });
    let stuck: Vec<_> = row.stuck_steps().into_iter().map(|(step, d)| format!(" at {step} ({d})")).collect();
    format!("{}{}{}", row.phase().as_str(), stuck.concat(), why.unwrap_or_default())
}
