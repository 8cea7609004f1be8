//! Questions to the provider that wait for their turn, each once. While it hangs, timers and impatient commands put the same
//! question again and again; copies would only keep others waiting.

use crate::domain::Ask;
use message::EffectKey;
use std::{
    any::Any,
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// More than so many are left where they came from.
const MOST_WAITING: usize = 4_096;
/// What has waited for longer is not carried out: its payment puts the question again, and may have come to ask only what
/// became of it.
const STALE: Duration = Duration::from_secs(60);

/// First come, first served.
#[derive(Default)]
pub(crate) struct Questions {
    waiting: VecDeque<Question>,
    known: Known,
}

/// A question, waiting or under way: while it lives, no other for the same effect is taken in.
pub(crate) struct Question {
    pub ask: Ask,
    since: Instant,
    known: Known,
}

#[derive(Clone, Default)]
struct Known(Arc<Mutex<HashSet<EffectKey>>>);

impl Known {
    fn keys(&self) -> MutexGuard<'_, HashSet<EffectKey>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Questions {
    /// Whether there is room for another.
    pub fn has_room(&self) -> bool {
        self.waiting.len() < MOST_WAITING
    }

    /// Takes in what the shell handed out, unless it is known.
    pub fn add(&mut self, request: Box<dyn Any + Send>) {
        let Ok(ask) = request.downcast::<Ask>() else { return };
        if self.known.keys().insert(ask.effect.clone()) {
            self.waiting.push_back(Question { ask: *ask, since: Instant::now(), known: self.known.clone() });
        }
    }

    pub fn next(&mut self) -> Option<Question> {
        while self.waiting.front().is_some_and(|question| question.since.elapsed() > STALE) {
            self.waiting.pop_front();
        }
        self.waiting.pop_front()
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.known.keys().remove(&self.ask.effect);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{How, Operation};
    use message::Direction;
    use schemas::money::{Currency, Money};
    use uuid::Uuid;

    fn ask(round: u32) -> Box<dyn Any + Send> {
        let (step, direction) = ("authorize".into(), Direction::Do);
        Box::new(Ask {
            order_id: Uuid::from_u128(1).into(),
            operation: Operation::Authorize,
            amount: Money::new(1, Currency::EUR),
            token: None,
            provider_ref: None,
            effect: EffectKey { saga_id: Uuid::from_u128(2), step, direction, round },
            how: How::Send,
            trace: None,
        })
    }

    #[test]
    fn a_question_that_waits_or_is_under_way_is_not_taken_in_again_and_one_that_is_over_is() {
        let mut questions = Questions::default();
        for round in [1, 2, 1] {
            questions.add(ask(round));
        }
        let rounds = |questions: &mut Questions| -> Vec<_> { std::iter::from_fn(|| questions.next()).collect() };
        let under_way = rounds(&mut questions);
        assert_eq!(under_way.iter().map(|q| q.ask.effect.round).collect::<Vec<_>>(), [1, 2]);
        questions.add(ask(2));
        assert!(questions.next().is_none());
        drop(under_way);
        questions.add(ask(2));
        assert_eq!(rounds(&mut questions).len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_that_has_waited_for_too_long_is_left_to_its_payment() {
        let mut questions = Questions::default();
        questions.add(ask(1));
        tokio::time::advance(STALE).await;
        questions.add(ask(2));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(questions.next().map(|q| q.ask.effect.round), Some(2));
        questions.add(ask(1));
        assert!(questions.next().is_some());
    }

    #[test]
    fn what_is_no_question_is_left_out() {
        let mut questions = Questions::default();
        questions.add(Box::new("?"));
        assert!(questions.next().is_none());
    }

    #[test]
    fn only_so_many_wait() {
        let mut questions = Questions::default();
        (0..MOST_WAITING as u32).for_each(|round| {
            assert!(questions.has_room());
            questions.add(ask(round));
        });
        assert!(!questions.has_room());
    }
}
