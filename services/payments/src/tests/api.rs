//! The gRPC methods: what they change, show and refuse.

use super::*;

#[tokio::test]
async fn the_customer_confirms_once_and_only_what_is_held() {
    let mut desk = Desk::new();
    let take = || Request::new(pb::TakePaymentRequest { order_id: order().to_string(), by: " customer ".into() });
    let early = desk.api().take_payment(take()).await.unwrap_err();
    assert_eq!(service_kit::grpc::code(&early), Some("payments.not_authorized"));
    desk.send("authorize", DO, 1, authorize("tok_ok")).await;
    let early = desk.api().take_payment(take()).await.unwrap_err();
    assert_eq!(service_kit::grpc::code(&early), Some("payments.not_authorized"));
    desk.work().await;
    desk.published().await;
    for _ in 0..2 {
        assert!(desk.api().take_payment(take()).await.unwrap().into_inner().taken);
    }
    assert_eq!(desk.published().await, ["PaymentTaken"]);
    let nobody = pb::TakePaymentRequest { order_id: order().to_string(), by: " ".into() };
    assert_eq!(desk.api().take_payment(Request::new(nobody)).await.unwrap_err().code(), tonic::Code::InvalidArgument);
}

#[tokio::test]
async fn payments_and_the_ledger_can_be_read() {
    let mut desk = held("tok_ok").await;
    desk.send("capture", DO, 1, capture(80)).await;
    desk.work().await;
    let api = desk.api();
    let request = pb::GetPaymentRequest { order_id: order().to_string() };
    let payment = api.get_payment(Request::new(request)).await.unwrap().into_inner();
    assert_eq!((payment.status.as_str(), payment.captured.unwrap().amount), ("captured", 80));
    let request = pb::ListPaymentsRequest { status: "captured".into(), page: None };
    assert_eq!(api.list_payments(Request::new(request)).await.unwrap().into_inner().payments.len(), 1);
    for order_id in [String::new(), order().to_string()] {
        let ledger = api.list_ledger(Request::new(pb::ListLedgerRequest { order_id })).await.unwrap().into_inner();
        let entries: Vec<_> = ledger.map(Result::unwrap).collect().await;
        let read: Vec<_> = entries.iter().map(|e| (e.operation.as_str(), e.amount.as_ref().unwrap().amount)).collect();
        assert_eq!(read, [("authorize", 100), ("capture", 80)]);
        assert!(entries[1].effect_key.ends_with("/capture/do/1"));
    }
}

#[tokio::test]
async fn a_hold_that_the_provider_gave_up_stands_in_the_ledger_without_an_effect_key() {
    let mut desk = held("tok_ok").await;
    desk.acquirer.expire(&order().to_string());
    desk.send("capture", DO, 1, capture(80)).await;
    desk.work().await;
    let request = Request::new(pb::ListLedgerRequest::default());
    let ledger = desk.api().list_ledger(request).await.unwrap().into_inner();
    let entries: Vec<_> = ledger.map(Result::unwrap).collect().await;
    let read: Vec<_> = entries.iter().map(|e| (e.operation.as_str(), e.effect_key.is_empty())).collect();
    assert_eq!(read, [("authorize", false), ("expire", true)]);
}

#[tokio::test]
async fn what_is_not_there_or_not_understood_is_said_so() {
    let desk = Desk::new();
    let api = desk.api();
    let code = |status: tonic::Status| (status.code(), service_kit::grpc::code(&status).map(str::to_owned));
    let stranger = pb::GetPaymentRequest { order_id: Uuid::from_u128(77).to_string() };
    let status = api.get_payment(Request::new(stranger)).await.unwrap_err();
    assert_eq!(code(status), (tonic::Code::NotFound, Some("payments.unknown_payment".into())));
    let stranger = pb::GetInvoiceRequest { order_id: Uuid::from_u128(77).to_string() };
    let status = api.get_invoice(Request::new(stranger)).await.unwrap_err();
    assert_eq!(code(status), (tonic::Code::NotFound, Some("payments.unknown_invoice".into())));
    let status = api.get_payment(Request::new(pb::GetPaymentRequest { order_id: "x".into() })).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    let request = pb::ListPaymentsRequest { status: "rich".into(), page: None };
    assert_eq!(api.list_payments(Request::new(request)).await.unwrap_err().code(), tonic::Code::InvalidArgument);
}
