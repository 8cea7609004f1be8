//! What the saga tests share: one order, and a world in which all goes well.
#![allow(dead_code)]

use saga::harness::Script;
use schemas::{
    depot::{
        CancelShopping, ItemsReleaseDone, ItemsReturnDone, PlanShopping, ReleaseItems, ReturnItems, ShoppingCancelDone,
        ShoppingChecked, ShoppingPlanReady, ShoppingStarted, StartShopping,
    },
    ids::{InvoiceId, OrderId, PaymentId, ProductId, ReturnId, StoreId},
    lines::{LineCount, OrderLine},
    money::{Currency, Money},
    orders::{
        AbortReturn, ApproveOrder, BeginCancel, BeginReturn, CancelBegun, CloseOrder, CompleteOrder, MarkReady,
        MarkRefunded, MarkShopping, MarkedReady, MarkedShopping, OrderApprovalDone, OrderClosed, OrderCompletionDone,
        OrderPlaced, RefundMarked, ReturnAborted, ReturnBegun, ReturnRequested,
    },
    payments::{
        AuthorizePayment, CapturePayment, InvoiceReady, IssueInvoice, PaymentCollected, PaymentHeld, PaymentReleased,
        PaymentTaken, RefundDone, RefundPayment, VoidPayment,
    },
    quantity::Quantity,
};
use uuid::Uuid;

pub const BAY: i32 = 4;

pub fn order_id() -> OrderId {
    Uuid::from_u128(0x51).into()
}

pub fn return_id() -> ReturnId {
    Uuid::from_u128(0x52).into()
}

pub fn invoice_id() -> InvoiceId {
    Uuid::from_u128(0x53).into()
}

pub fn eur(amount: i64) -> Money {
    Money::new(amount, Currency::EUR)
}

pub fn quantity(n: i32) -> Quantity {
    Quantity::try_from(i64::from(n)).unwrap()
}

fn product(n: u128) -> ProductId {
    Uuid::from_u128(n).into()
}

pub fn line(n: u128, pieces: i32) -> OrderLine {
    OrderLine {
        product_id: product(n),
        store_id: StoreId::from(Uuid::from_u128(0x99)),
        name: format!("product {n}"),
        quantity: quantity(pieces),
        price: eur(250),
        volume_ml: 500,
    }
}

pub fn count(n: u128, pieces: i32) -> LineCount {
    LineCount { product_id: product(n), quantity: quantity(pieces) }
}

/// Two of one product and one of another, 7.50 EUR, paid at checkout.
pub fn placed() -> OrderPlaced {
    OrderPlaced {
        order_id: order_id(),
        lines: vec![line(1, 2), line(2, 1)],
        total: eur(750),
        volume_ml: 1_500,
        payment_token: "tok-1".into(),
        pay_on_arrival: false,
        customer_ref: "kiosk-3".into(),
    }
}

pub fn placed_on_arrival() -> OrderPlaced {
    OrderPlaced { pay_on_arrival: true, ..placed() }
}

pub fn checked() -> ShoppingChecked {
    ShoppingChecked { order_id: order_id(), collected: vec![count(1, 2), count(2, 1)], missing: vec![], bay: BAY }
}

pub fn taken() -> PaymentTaken {
    PaymentTaken { payment_id: PaymentId::from(order_id()), order_id: order_id(), by: "customer".into() }
}

pub fn held() -> PaymentHeld {
    PaymentHeld { provider_ref: "hold-1".into(), amount: eur(750) }
}

pub fn returned() -> ReturnRequested {
    ReturnRequested { return_id: return_id(), order_id: order_id(), reason: "too small".into(), total: eur(750) }
}

/// Everybody answers yes and everything comes.
pub fn script() -> Script {
    Script::new()
        .answer::<AuthorizePayment>(held())
        .answer::<VoidPayment>(PaymentReleased::default())
        .answer::<PlanShopping>(ShoppingPlanReady { bay: BAY })
        .answer::<CancelShopping>(ShoppingCancelDone::default())
        .answer::<ApproveOrder>(OrderApprovalDone::default())
        .answer::<BeginCancel>(CancelBegun::default())
        .answer::<CloseOrder>(OrderClosed::default())
        .answer::<StartShopping>(ShoppingStarted::default())
        .answer::<MarkShopping>(MarkedShopping::default())
        .answer::<MarkReady>(MarkedReady { total: eur(750) })
        .answer::<CapturePayment>(PaymentCollected { amount: eur(750) })
        .answer::<IssueInvoice>(InvoiceReady { invoice_id: invoice_id() })
        .answer::<ReleaseItems>(ItemsReleaseDone { bay: BAY })
        .answer::<CompleteOrder>(OrderCompletionDone::default())
        .answer::<BeginReturn>(ReturnBegun { total: eur(750) })
        .answer::<AbortReturn>(ReturnAborted::default())
        .answer::<ReturnItems>(ItemsReturnDone::default())
        .answer::<RefundPayment>(RefundDone { amount: eur(750) })
        .answer::<MarkRefunded>(RefundMarked::default())
        .event(checked())
        .event(taken())
}
