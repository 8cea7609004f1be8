//! Each command delivered twice to its participant: its fence knows the second, and answers as it did the first time. The
//! second comes at every later moment, after the end too.

use super::{
    Harness, Run,
    late::{at_every_moment, come_late, first, once},
    run::Reaction,
};
use crate::{
    Input, Phase, Reply,
    definition::{Nature, RawStep},
};
use message::Direction;

impl Harness<'_> {
    pub(super) fn each_command_delivered_twice(&mut self) {
        for step in self.acting() {
            for (answer, end) in answers_to_a_do(step) {
                at_every_moment(|late| delivered_twice(self.run(), step, Direction::Do, (answer, end), late));
            }
        }
        let undone = |answer| (answer, Phase::Compensated);
        for step in self.definition.steps().filter(|s| s.undo.is_some()) {
            for answer in [Reaction::Accept, Reaction::Refuse].map(undone) {
                at_every_moment(|late| delivered_twice(self.turned_back(), step, Direction::Undo, answer, late));
            }
            // Until its undo has come the do that comes again is accepted again; then its fence is closed.
            if step.acts() {
                let accepted = undone(Reaction::Accept);
                at_every_moment(|late| delivered_twice(self.turned_back(), step, Direction::Do, accepted, late));
            }
        }
    }
}

/// The first delivery gets `answer`, and so does the second, `late` steps later.
fn delivered_twice(
    mut run: Run<'_>,
    step: &RawStep,
    direction: Direction,
    (answer, end): (Reaction, Phase),
    late: usize,
) -> bool {
    let scenario = format!("the {direction} of {} ({answer:?}) delivered again {late} steps later", step.name);
    let mut react = once(step, direction, answer);
    while !is_answered(&run, step, direction) && run.step(&mut react) {}
    let went_on = come_late(&mut run, &mut react, first(step, direction), answer, late);
    run.check_end(end, &scenario);
    assert!(run.driver.alarms.is_empty(), "{scenario} raised {:?}", run.driver.alarms);
    went_on
}

fn is_answered(run: &Run<'_>, step: &RawStep, direction: Direction) -> bool {
    run.came.iter().any(|input| match input {
        Input::Reply(Reply { effect, .. }) | Input::ChildEnded { effect, .. } => {
            effect.step == step.name && effect.direction == direction
        }
        Input::Event { .. } | Input::Cancel { .. } | Input::Timer(_) | Input::Operator { .. } => false,
    })
}

/// How a participant may answer the do, and how the saga then ends by itself.
fn answers_to_a_do(step: &RawStep) -> Vec<(Reaction, Phase)> {
    let refused = (step.nature != Nature::Retriable).then_some((Reaction::Refuse, Phase::Compensated));
    let retried = (step.retry.budget() > 0).then_some((Reaction::RefuseRetryably, Phase::Completed));
    [(Reaction::Accept, Phase::Completed)].into_iter().chain(refused).chain(retried).collect()
}
