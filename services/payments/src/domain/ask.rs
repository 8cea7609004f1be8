//! Questions to the payment provider and its answers, in our own words.

use message::EffectKey;
use schemas::{ids::OrderId, money::Money};
use serde::{Deserialize, Serialize};

/// What a provider can be asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    Authorize,
    Capture,
    Void,
    Refund,
}

impl Operation {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Authorize => "authorize",
            Self::Capture => "capture",
            Self::Void => "void",
            Self::Refund => "refund",
        }
    }
}

/// How a question is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It has never been sent.
    Send,
    /// It may have been sent: ask what is known first, and send it again only if that says it was not carried out.
    QueryThenSend,
    /// It may have been sent so long ago that the provider may have forgotten its key: only ask what is known.
    QueryOnly,
}

/// One question, complete: whoever carries it out needs nothing else.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    pub order_id: OrderId,
    pub operation: Operation,
    pub amount: Money,
    /// For [`Operation::Authorize`].
    pub token: Option<String>,
    /// The provider's reference of the hold, once it is known.
    pub provider_ref: Option<String>,
    /// The command that waits for the answer; its text is the provider's idempotency key.
    pub effect: EffectKey,
    pub how: How,
    /// W3C traceparent of the command that caused it.
    pub trace: Option<String>,
}

/// What was learnt of an operation. That nothing could be learnt is not here: then we ask again later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    Done {
        provider_ref: String,
    },
    Refused {
        reason: String,
        /// The same may work later, under a new key.
        retryable: bool,
    },
    /// Nothing is held any more: the provider gave the hold up by itself.
    HoldExpired,
    /// Not carried out, and not to be sent again.
    NotCarriedOut,
}

/// What the provider says of a hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    pub provider_ref: String,
    pub status: KnownStatus,
}

/// Where the hold stands at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnownStatus {
    Held,
    Declined,
    Captured,
    Voided,
    Refunded,
    Expired,
}

/// What a query tells about an operation that may have been carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    Heard(Heard),
    /// The provider has not carried it out.
    NotDone,
}

/// Reads off what became of `operation`, from what the provider knows under our reference.
pub fn settle(operation: Operation, known: Option<&Known>) -> Settled {
    use {KnownStatus as K, Operation as O};
    let Some(Known { provider_ref, status }) = known else {
        // Nothing was ever held, so there is nothing to void either.
        return if operation == O::Void { Settled::Heard(Heard::HoldExpired) } else { Settled::NotDone };
    };
    match (operation, status) {
        (O::Authorize, K::Held | K::Captured | K::Refunded) => done(provider_ref.clone()),
        (O::Authorize, K::Declined) => refused("the card was declined"),
        (O::Authorize, K::Voided | K::Expired) => refused("the hold was given up by the provider"),
        (O::Capture, K::Captured | K::Refunded) => done(provider_ref.clone()),
        (O::Capture, K::Expired) | (O::Void, K::Declined | K::Expired) => Settled::Heard(Heard::HoldExpired),
        (O::Capture, K::Declined | K::Voided) => refused("nothing is held"),
        (O::Void, K::Voided) => done(provider_ref.clone()),
        (O::Void, K::Captured | K::Refunded) => refused("the money was taken"),
        (O::Refund, K::Refunded) => done(provider_ref.clone()),
        (O::Refund, K::Held | K::Declined | K::Voided | K::Expired) => refused("no money was taken"),
        (O::Capture | O::Void, K::Held) | (O::Refund, K::Captured) => Settled::NotDone,
    }
}

fn done(provider_ref: String) -> Settled {
    Settled::Heard(Heard::Done { provider_ref })
}

fn refused(reason: &str) -> Settled {
    Settled::Heard(Heard::Refused { reason: reason.to_owned(), retryable: false })
}
