//! How the acquirer can be made to misbehave, by the token of a hold or by order.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// What happens to the operations on a hold. A token provokes it by its prefix, so tests and demos need no control call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Behaviour {
    /// `tok_ok…` and every other token: does as asked.
    #[default]
    Ok,
    /// `tok_declined…`: the hold is refused.
    Declined,
    /// `tok_capture_refused…`: every capture is refused, for good.
    CaptureRefused,
    /// `tok_capture_flaky…`: the first capture is refused and may be tried again.
    CaptureFlaky,
    /// `tok_timeout…`: acts, then answers after a long delay; a repeat is answered at once.
    Timeout,
    /// `tok_500…`: acts, then answers 500; a repeat gets the true answer.
    #[serde(rename = "500")]
    Error500,
    /// `tok_unavailable…`: answers 503 and does not act; a repeat is carried out.
    Unavailable,
    /// `tok_void_unavailable…`: answers the first [`VOIDS_TURNED_AWAY`] voids with 503 and does not act.
    VoidUnavailable,
    /// `tok_slow…`: acts, then answers late, but before clients give up.
    Slow,
}

/// How often [`Behaviour::VoidUnavailable`] does not do as asked.
pub const VOIDS_TURNED_AWAY: u32 = 5;

const PREFIXES: &[(&str, Behaviour)] = &[
    ("tok_declined", Behaviour::Declined),
    ("tok_capture_refused", Behaviour::CaptureRefused),
    ("tok_capture_flaky", Behaviour::CaptureFlaky),
    ("tok_timeout", Behaviour::Timeout),
    ("tok_500", Behaviour::Error500),
    ("tok_unavailable", Behaviour::Unavailable),
    ("tok_void_unavailable", Behaviour::VoidUnavailable),
    ("tok_slow", Behaviour::Slow),
];

/// Most orders of one kind that stand at a time; older ones give way.
const MAX_ORDERS: usize = 256;

/// What the acquirer was told by `POST /v1/behaviour`.
#[derive(Debug, Default)]
pub struct Orders {
    by_prefix: VecDeque<(String, Behaviour)>,
    next: VecDeque<(Behaviour, u32)>,
}

impl Orders {
    /// From now on holds with such tokens behave so; the latest matching order counts.
    pub fn for_prefix(&mut self, prefix: String, behaviour: Behaviour) {
        self.by_prefix.push_front((prefix, behaviour));
        self.by_prefix.truncate(MAX_ORDERS);
    }

    /// The next `times` operations behave so, whatever their tokens say; earlier such orders come first.
    pub fn for_next(&mut self, times: u32, behaviour: Behaviour) {
        self.next.push_back((behaviour, times));
        self.next.truncate(MAX_ORDERS);
    }

    /// How a hold with this token behaves.
    pub fn of_token(&self, token: &str) -> Behaviour {
        let ordered = self.by_prefix.iter().find(|(prefix, _)| token.starts_with(prefix)).map(|(_, b)| *b);
        let built_in = || PREFIXES.iter().find(|(prefix, _)| token.starts_with(prefix)).map(|(_, b)| *b);
        ordered.or_else(built_in).unwrap_or_default()
    }

    /// Uses up one of the "next" orders.
    pub fn take_next(&mut self) -> Option<Behaviour> {
        while let Some((behaviour, times)) = self.next.front_mut() {
            if *times > 0 {
                *times -= 1;
                return Some(*behaviour);
            }
            self.next.pop_front();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_speak_for_themselves_and_orders_overrule_them() {
        let mut orders = Orders::default();
        assert_eq!(orders.of_token("tok_declined_7"), Behaviour::Declined);
        assert_eq!(orders.of_token("tok_ok_1"), Behaviour::Ok);
        assert_eq!(orders.of_token("anything"), Behaviour::Ok);
        orders.for_prefix("tok_ok".into(), Behaviour::Slow);
        orders.for_prefix("tok_ok_1".into(), Behaviour::Timeout);
        assert_eq!(orders.of_token("tok_ok_1"), Behaviour::Timeout);
        assert_eq!(orders.of_token("tok_ok_2"), Behaviour::Slow);
    }

    #[test]
    fn each_next_order_is_used_up_in_turn() {
        let mut orders = Orders::default();
        orders.for_next(2, Behaviour::Error500);
        orders.for_next(0, Behaviour::Slow);
        orders.for_next(1, Behaviour::Declined);
        let taken: Vec<_> = (0..4).map(|_| orders.take_next()).collect();
        let (e, d) = (Some(Behaviour::Error500), Some(Behaviour::Declined));
        assert_eq!(taken, [e, e, d, None]);
    }
}
