//! Every message with the production decoder of its type: the one list that names them all, proved whole by the test below.

use message::{Message, Outgoing, Refusal};
use schemas::{depot, orchestrator, orders, payments, stores};
use transport::{Error, codec::Codec};

/// Reads a value as one type of message.
pub type Read = fn(&Codec, &[u8]) -> Result<Outgoing, Error>;

fn read<M: Message>(codec: &Codec, value: &[u8]) -> Result<Outgoing, Error> {
    codec.decode::<M>(value).map(Outgoing::new)
}

macro_rules! messages {
    ($($message:ty,)+) => { &[$((<$message as Message>::NAME, read::<$message>),)+] };
}

pub const MESSAGES: &[(&str, Read)] = messages![
    Refusal,
    depot::BayFreed,
    depot::BayOccupied,
    depot::BayReserved,
    depot::BotBusy,
    depot::BotIdle,
    depot::BotLost,
    depot::BotOffline,
    depot::BotOnline,
    depot::CancelReturn,
    depot::CancelShopping,
    depot::ItemsReleaseDone,
    depot::ItemsReleased,
    depot::ItemsReturnDone,
    depot::PlanShopping,
    depot::ReleaseItems,
    depot::ReturnCancelDone,
    depot::ReturnItems,
    depot::ShoppingAssigned,
    depot::ShoppingCancelDone,
    depot::ShoppingCancelled,
    depot::ShoppingChecked,
    depot::ShoppingDelivered,
    depot::ShoppingPlanReady,
    depot::ShoppingPlanned,
    depot::ShoppingReturned,
    depot::ShoppingReturning,
    depot::ShoppingStarted,
    depot::StartShopping,
    depot::StopVisited,
    orchestrator::SagaCancelTooLate,
    orchestrator::SagaCompensated,
    orchestrator::SagaCompensating,
    orchestrator::SagaCompleted,
    orchestrator::SagaStarted,
    orchestrator::SagaStuck,
    orders::AbortReturn,
    orders::ApproveOrder,
    orders::BasketAbandoned,
    orders::BasketCancelled,
    orders::BasketCheckedOut,
    orders::BasketItemPut,
    orders::BasketItemRemoved,
    orders::BasketOpened,
    orders::BeginCancel,
    orders::BeginReturn,
    orders::CancelBegun,
    orders::CancelRequested,
    orders::CloseOrder,
    orders::CompleteOrder,
    orders::CustomerContactGiven,
    orders::MarkReady,
    orders::MarkRefunded,
    orders::MarkShopping,
    orders::MarkedReady,
    orders::MarkedShopping,
    orders::OrderApprovalDone,
    orders::OrderApproved,
    orders::OrderCancelled,
    orders::OrderCancelling,
    orders::OrderClosed,
    orders::OrderCompleted,
    orders::OrderCompletionDone,
    orders::OrderPlaced,
    orders::OrderReady,
    orders::OrderRefunded,
    orders::OrderRejected,
    orders::OrderReturnFailed,
    orders::OrderReturning,
    orders::OrderShopping,
    orders::RefundMarked,
    orders::ReturnAborted,
    orders::ReturnBegun,
    orders::ReturnRequested,
    payments::AuthorizePayment,
    payments::CapturePayment,
    payments::InvoiceCredited,
    payments::InvoiceIssued,
    payments::InvoiceReady,
    payments::IssueInvoice,
    payments::PaymentAuthorized,
    payments::PaymentCaptured,
    payments::PaymentCollected,
    payments::PaymentDeclined,
    payments::PaymentExpired,
    payments::PaymentHeld,
    payments::PaymentRefunded,
    payments::PaymentReleased,
    payments::PaymentTaken,
    payments::PaymentVoided,
    payments::RefundDone,
    payments::RefundPayment,
    payments::VoidPayment,
    stores::CatalogueProduct,
    stores::CatalogueStore,
    stores::ParticipationApproved,
    stores::ParticipationDenied,
    stores::ParticipationRequested,
    stores::ProductAdded,
    stores::ProductHidden,
    stores::ProductListed,
    stores::ProductPriceChanged,
    stores::ProductRemoved,
    stores::StoreClosed,
    stores::StoreCreated,
    stores::StoreResumed,
    stores::StoreSuspended,
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_message_of_the_platform_is_listed() {
        let listed: BTreeSet<_> = MESSAGES.iter().map(|(name, _)| *name).collect();
        assert_eq!(listed, schemas::all().iter().map(|schema| schema.name).collect());
    }
}
