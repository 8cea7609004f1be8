//! The saga that is checked: the shape of order fulfilment, with nothing in it that adds states and no new interleaving.
//! What a participant sends is named here too, so that a wrong reply would be noticed by the engine.

use crate::Limits;
use message::{Command, Event, Message, Reply};
use saga::{RetryPolicy, Saga, call};
use serde::{Deserialize, Serialize};

macro_rules! messages {
    ($($name:ident as $kind:ident $(-> $reply:ident)?;)*) => {$(
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        pub struct $name {}
        impl Message for $name {
            const NAME: &'static str = concat!("mallbots.model.", stringify!($name));
            const TOPIC: &'static str = "model";
        }
        impl $kind for $name { $(type Reply = $reply;)? }
    )*};
}

messages! {
    Asked as Event;
    Hold as Command -> Held;
    Held as Reply;
    Free as Command -> Freed;
    Freed as Reply;
    Plan as Command -> Planned;
    Planned as Reply;
    Cancel as Command -> Cancelled;
    Cancelled as Reply;
    Capture as Command -> Captured;
    Captured as Reply;
    Deliver as Command -> Delivered;
    Delivered as Reply;
}

/// The steps in their order; each has a participant of its own.
pub const STEPS: [&str; 4] = ["hold", "plan", "capture", "deliver"];

/// Which of the steps were answered: what a saga keeps must survive every interleaving too.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Errand {
    held: bool,
    planned: bool,
    captured: bool,
}

/// hold ⟲ free, plan ⟲ cancel, capture, deliver.
pub fn errand(limits: &Limits) -> Saga<Errand> {
    let retry = RetryPolicy::Fixed { ms: 1, budget: limits.retries };
    let resend = RetryPolicy::Fixed { ms: 1, budget: limits.sends - 1 };
    Saga::named("errand", 1)
        .starts_on(|_: &Asked| Errand::default())
        .key(|_: &Errand| "errand".to_owned())
        .step(
            call(|_: &Errand| Hold {})
                .keep(|e, _| e.held = true)
                .retry(retry)
                .sends(limits.sends)
                .undo(|_: &Errand| Free {})
                .undo_retry(resend),
        )
        .step(
            call(|_: &Errand| Plan {})
                .keep(|e, _| e.planned = true)
                .retry(retry)
                .sends(limits.sends)
                .undo(|_: &Errand| Cancel {})
                .undo_retry(resend),
        )
        .pivot(call(|_: &Errand| Capture {}).keep(|e, _| e.captured = true).retry(retry).sends(limits.sends))
        .step(call(|_: &Errand| Deliver {}).retry(retry).sends(limits.sends))
        .build()
}

/// Full name of the reply to the step's do or, where there is one, its undo.
pub fn reply_name(step: &str, direction: message::Direction) -> &'static str {
    match (step, direction) {
        ("hold", message::Direction::Do) => Held::NAME,
        ("hold", message::Direction::Undo) => Freed::NAME,
        ("plan", message::Direction::Do) => Planned::NAME,
        ("plan", message::Direction::Undo) => Cancelled::NAME,
        ("capture", _) => Captured::NAME,
        _ => Delivered::NAME,
    }
}
