//! Calls that build on each other, as seeds of the gRPC target: from these the fuzzer finds its way past "there is no such
//! thing".

use crate::{grpc::Story, sample::ID};
use schemas::grpc::{
    common::{LineCount, Location, Money, Page},
    depot::{
        AddBayRequest, AwaitAssignmentsRequest, BotReport, CheckListRequest, GetListRequest, HandOverRequest,
        ListListsRequest, RegisterBotRequest, ReportRequest, bot_report::*,
    },
    notifications::ListNotificationsRequest,
    orchestrator::{GetSagaRequest, ListSagasRequest, OperatorRequest, OperatorStepRequest, OutlineSagaRequest},
    orders::{
        CancelOrderRequest, CheckoutRequest, CreateBasketRequest, GetBasketRequest, GetOrderRequest, ListOrdersRequest,
        PutItemRequest, RemoveItemRequest, RequestReturnRequest,
    },
    payments::{GetPaymentRequest, ListLedgerRequest, ListPaymentsRequest, TakePaymentRequest},
    search::SearchOrdersRequest,
    stores::{
        AddProductRequest, ChangePriceRequest, CreateStoreRequest, ListProductsRequest, ListStoresRequest,
        ProductRequest, StoreReasonRequest, StoreRequest,
    },
};

pub fn all() -> Vec<(String, Vec<u8>)> {
    let named = [
        ("stores", stores()),
        ("orders", orders()),
        ("depot", depot()),
        ("orchestrator", sagas()),
        ("reads", reads()),
        ("largest", ends(i64::MAX, i32::MAX, u32::MAX)),
        ("lowest", ends(i64::MIN, i32::MIN, 0)),
    ];
    named.map(|(name, story)| (name.to_owned(), story.end())).to_vec()
}

fn id() -> String {
    ID.to_owned()
}

fn page() -> Option<Page> {
    Some(Page { page_size: 10, page_token: id() })
}

fn money(amount: i64) -> Option<Money> {
    Some(Money { amount, currency: "EUR".into() })
}

fn at() -> Option<Location> {
    Some(Location { level: 1, x: 10, y: -5 })
}

fn stores() -> Story {
    let name = String::from("Tea");
    let made = CreateStoreRequest { name: name.clone(), location: at(), idempotency_key: "key".into() };
    let story = Story::default().call("/CreateStore", made.clone()).call("/CreateStore", made);
    let store_id = story.last("store");
    let store = || StoreRequest { store_id: store_id.clone(), idempotency_key: String::new() };
    let why =
        || StoreReasonRequest { store_id: store_id.clone(), reason: "why not".into(), idempotency_key: String::new() };
    let story = story.call("/RequestParticipation", store()).call("/ApproveParticipation", store()).call(
        "/AddProduct",
        AddProductRequest {
            store_id: store_id.clone(),
            name,
            price: money(250),
            volume_ml: 500,
            idempotency_key: String::new(),
        },
    );
    let product_id = story.last("product");
    let product = || ProductRequest { product_id: product_id.clone(), idempotency_key: String::new() };
    let dearer =
        ChangePriceRequest { product_id: product_id.clone(), price: money(i64::MAX), idempotency_key: "key".into() };
    story
        .call("/ListProduct", product())
        .call("/ChangePrice", dearer)
        .call("/HideProduct", product())
        .call("/SuspendStore", why())
        .call("/ResumeStore", store())
        .call("/ListProducts", ListProductsRequest { store_id: store_id.clone(), page: page() })
        .call("/CloseStore", store())
}

fn orders() -> Story {
    let story = Story::default().told("/CreateBasket", CreateBasketRequest { idempotency_key: "key".into() });
    let basket_id = story.last("basket");
    let put =
        PutItemRequest { basket_id: basket_id.clone(), product_id: id(), quantity: 999, idempotency_key: "key".into() };
    let checkout = CheckoutRequest {
        basket_id: basket_id.clone(),
        phone: "+491701234567".into(),
        payment_token: "tok_visa".into(),
        pay_on_arrival: true,
        customer_ref: "cus_42".into(),
        idempotency_key: "key".into(),
    };
    let order = || basket_id.clone();
    story
        .call("/PutItem", put.clone())
        .call("/RemoveItem", RemoveItemRequest { basket_id: order(), product_id: id() })
        .call("/PutItem", PutItemRequest { idempotency_key: String::new(), ..put })
        .call("/GetBasket", GetBasketRequest { basket_id: order() })
        .call("/Checkout", checkout.clone())
        .call("/Checkout", checkout)
        .call("/GetOrder", GetOrderRequest { order_id: order() })
        .call("/CancelOrder", CancelOrderRequest { order_id: order(), reason: "late".into(), by: "customer".into() })
        .wait(
            "/RequestReturn",
            RequestReturnRequest {
                order_id: order(),
                reason: "broken".into(),
                by: "staff".into(),
                idempotency_key: "key".into(),
            },
        )
}

fn report(epoch: i64, report_no: i64, what: What) -> ReportRequest {
    ReportRequest { reports: vec![BotReport { bot_id: id(), epoch, report_no, what: Some(what) }] }
}

fn depot() -> Story {
    let picked = vec![LineCount { product_id: id(), quantity: 1 }];
    let visited = StopVisited { order_id: id(), store_id: id(), picked: picked.clone(), missing: vec![] };
    Story::default()
        .call("/AddBay", AddBayRequest { number: 1, volume_ml: 200_000 })
        .call("/RegisterBot", RegisterBotRequest { bot_id: id(), name: "Bot".into(), location: at() })
        .told("/Report", report(1, 1, What::Idle(Idle {})))
        .call("/AwaitAssignments", AwaitAssignmentsRequest { bot_ids: vec![id()], wait_ms: 2_000 })
        .call("/Report", report(2, 2, What::StopVisited(visited)))
        .call("/Report", report(2, 3, What::Delivered(Delivered { order_id: id() })))
        .call("/CheckList", CheckListRequest { order_id: id(), missing: picked, by: "staff".into() })
        .call("/HandOver", HandOverRequest { order_id: id(), by: "staff".into() })
        .wait("/Report", report(2, 4, What::GoOffline(GoOffline {})))
        .call("/GetList", GetListRequest { order_id: id() })
        .call("/ListLists", ListListsRequest { status: "planned".into(), page: page() })
}

fn sagas() -> Story {
    let saga_id = orchestrator::saga_id("order-fulfilment", ID).to_string();
    let (reason, by) = (String::from("asked to"), String::from("somebody"));
    let operator = OperatorRequest {
        saga_id: saga_id.clone(),
        reason: reason.clone(),
        by: by.clone(),
        idempotency_key: String::new(),
    };
    let step = OperatorStepRequest {
        saga_id: saga_id.clone(),
        step: "approve-order".into(),
        reason,
        by,
        idempotency_key: String::new(),
    };
    let list = ListSagasRequest {
        saga_type: "order-fulfilment".into(),
        state: "running".into(),
        older_than_ms: 1,
        order_id: id(),
        page: None,
    };
    Story::default()
        .told("/GetSaga", GetSagaRequest { saga_id })
        .call("/ListSagas", list)
        .call("/MarkDone", step.clone())
        .wait("/SkipStep", step)
        .call("/RetrySaga", operator.clone())
        .wait("/CancelSaga", operator)
        .call("/OutlineSaga", OutlineSagaRequest { saga_type: "order-fulfilment".into() })
}

/// The calls that only read, or do one thing, of the other contexts.
fn reads() -> Story {
    let search = SearchOrdersRequest {
        text: "some tea".into(),
        status: "pending".into(),
        store_id: id(),
        from_ms: 1,
        to_ms: i64::MAX,
        page: page(),
    };
    Story::default()
        .told("/SearchOrders", search)
        .told("/ListNotifications", ListNotificationsRequest { order_id: id(), page: page() })
        .told("/GetPayment", GetPaymentRequest { order_id: id() })
        .call("/TakePayment", TakePaymentRequest { order_id: id(), by: "staff".into() })
        .wait("/ListPayments", ListPaymentsRequest { status: "authorized".into(), page: page() })
        .call("/ListLedger", ListLedgerRequest { order_id: String::new() })
        .call("/ListStores", ListStoresRequest { status: "participating".into(), page: page() })
        .call("/ListOrders", ListOrdersRequest { status: "pending".into(), page: page() })
}

/// Numbers at their ends.
fn ends(long: i64, int: i32, natural: u32) -> Story {
    let (location, price) = (Some(Location { level: int, x: int, y: int }), money(long));
    let store = CreateStoreRequest { name: "Tea".into(), location, idempotency_key: String::new() };
    let story = Story::default().call("/CreateStore", store);
    let (store_id, name, idempotency_key) = (story.last("store"), String::from("Tea"), String::new());
    let product = AddProductRequest { store_id, name: name.clone(), price, volume_ml: int, idempotency_key };
    let page = Some(Page { page_size: natural, page_token: String::new() });
    let sagas = ListSagasRequest { older_than_ms: long, page: page.clone(), ..Default::default() };
    let search = SearchOrdersRequest { from_ms: long, to_ms: long, page: page.clone(), ..Default::default() };
    let wait = AwaitAssignmentsRequest { bot_ids: vec![id()], wait_ms: natural };
    story
        .call("/AddProduct", product)
        .told("/ListSagas", sagas)
        .told("/SearchOrders", search)
        .call("/AddBay", AddBayRequest { number: int, volume_ml: int })
        .call("/AddBay", AddBayRequest { number: int.saturating_sub(1), volume_ml: int })
        .call("/RegisterBot", RegisterBotRequest { bot_id: id(), name, location })
        .told("/Report", report(long, long, What::Heartbeat(Heartbeat {})))
        .wait("/AwaitAssignments", wait)
        .call("/ListLists", ListListsRequest { status: String::new(), page })
}
