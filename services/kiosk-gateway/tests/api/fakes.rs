//! The services behind the gateway, in this process on real sockets: they answer what a test scripts and remember what
//! they were asked.

use schemas::grpc::{
    common::{Money, OrderLine},
    orders::{
        Basket, CancelBasketRequest, CancelOrderRequest, CancelOrderResponse, CheckoutRequest, CreateBasketRequest,
        GetBasketRequest, GetOrderRequest, ListOrdersRequest, ListOrdersResponse, Order, PutItemRequest,
        RemoveItemRequest, RequestReturnRequest, RequestReturnResponse,
        orders_server::{Orders, OrdersServer},
    },
    payments::{
        GetInvoiceRequest, GetPaymentRequest, Invoice, LedgerEntry, ListLedgerRequest, ListPaymentsRequest,
        ListPaymentsResponse, Payment, TakePaymentRequest,
        payments_server::{Payments, PaymentsServer},
    },
    stores::{
        AddProductRequest, ChangePriceRequest, CreateStoreRequest, GetProductRequest, GetStoreRequest,
        ListProductsRequest, ListProductsResponse, ListStoresRequest, ListStoresResponse, Product, ProductRequest,
        Store, StoreReasonRequest, StoreRequest,
        stores_server::{Stores, StoresServer},
    },
};
use std::{
    fmt::Debug,
    future::pending,
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};

pub const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// How the services answer.
#[derive(Debug, Clone, Default)]
pub enum Answer {
    #[default]
    Well,
    Refuse(Status),
    Never,
}

/// A call as it arrived.
#[derive(Debug, Clone)]
pub struct Asked {
    pub request: String,
    pub traceparent: Option<String>,
}

/// What tests and services share.
#[derive(Debug, Clone, Default)]
pub struct Script(Arc<Mutex<(Answer, Vec<Asked>)>>);

impl Script {
    pub fn answer(&self, answer: Answer) {
        self.0.lock().unwrap().0 = answer;
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.0.lock().unwrap().1.clone()
    }

    async fn play<Q: Debug, A>(&self, request: Request<Q>, well: A) -> Result<Response<A>, Status> {
        let traceparent = request.metadata().get("traceparent").map(|v| v.to_str().unwrap().to_owned());
        let asked = Asked { request: format!("{:?}", request.into_inner()), traceparent };
        let answer = {
            let mut script = self.0.lock().unwrap();
            script.1.push(asked);
            script.0.clone()
        };
        match answer {
            Answer::Well => Ok(Response::new(well)),
            Answer::Refuse(status) => Err(status),
            Answer::Never => pending().await,
        }
    }
}

/// Starts all services on one port of this machine.
pub async fn start(script: Script) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<OrdersServer<Script>>().await;
    let server = Server::builder()
        .add_service(health_service)
        .add_service(OrdersServer::new(script.clone()))
        .add_service(PaymentsServer::new(script.clone()))
        .add_service(StoresServer::new(script));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    address
}

pub fn money() -> Money {
    Money { amount: 1299, currency: "EUR".into() }
}

pub fn line() -> OrderLine {
    OrderLine {
        product_id: ID.into(),
        store_id: ID.into(),
        name: "Tea".into(),
        quantity: 2,
        price: Some(money()),
        volume_ml: 500,
    }
}

fn basket() -> Basket {
    Basket { basket_id: ID.into(), status: "open".into(), lines: vec![line()], total: Some(money()), version: 1 }
}

fn order() -> Order {
    Order {
        order_id: ID.into(),
        status: "approved".into(),
        lines: vec![line()],
        total: Some(money()),
        placed_at_ms: 1,
        updated_at_ms: 2,
        version: 1,
        ..Order::default()
    }
}

fn payment() -> Payment {
    let (id, status) = (ID.to_owned(), "authorized".to_owned());
    Payment { payment_id: id.clone(), order_id: id, status, amount: Some(money()), taken: true, ..Payment::default() }
}

fn stores() -> ListStoresResponse {
    let store =
        Store { store_id: ID.into(), name: "Tea & Co".into(), status: "participating".into(), ..Store::default() };
    ListStoresResponse { stores: vec![store], next_page_token: "more".into() }
}

/// One product of each state.
fn products() -> ListProductsResponse {
    let product = |status: &str| Product {
        product_id: ID.into(),
        store_id: ID.into(),
        name: status.into(),
        price: Some(money()),
        volume_ml: 500,
        status: status.into(),
        version: 1,
    };
    ListProductsResponse {
        products: ["listed", "hidden", "removed"].map(product).into(),
        next_page_token: String::new(),
    }
}

/// A service whose methods all play the script; `method(Request) -> Answer = what it answers when all is well`.
macro_rules! played {
    (impl $service:ident { $($other:item)* } $($method:ident($request:ty) -> $answer:ty = $well:expr;)+) => {
        #[tonic::async_trait]
        impl $service for Script {
            $($other)*
            $(async fn $method(&self, request: Request<$request>) -> Result<Response<$answer>, Status> {
                self.play(request, $well).await
            })+
        }
    };
}

played! {
    impl Orders {}
    create_basket(CreateBasketRequest) -> Basket = basket();
    put_item(PutItemRequest) -> Basket = basket();
    remove_item(RemoveItemRequest) -> Basket = basket();
    cancel_basket(CancelBasketRequest) -> Basket = basket();
    get_basket(GetBasketRequest) -> Basket = basket();
    checkout(CheckoutRequest) -> Order = order();
    get_order(GetOrderRequest) -> Order = order();
    list_orders(ListOrdersRequest) -> ListOrdersResponse = ListOrdersResponse::default();
    cancel_order(CancelOrderRequest) -> CancelOrderResponse = CancelOrderResponse {};
    request_return(RequestReturnRequest) -> RequestReturnResponse = RequestReturnResponse::default();
}

played! {
    impl Payments {
        type ListLedgerStream = tokio_stream::Empty<Result<LedgerEntry, Status>>;
    }
    get_payment(GetPaymentRequest) -> Payment = payment();
    take_payment(TakePaymentRequest) -> Payment = payment();
    get_invoice(GetInvoiceRequest) -> Invoice = Invoice::default();
    list_payments(ListPaymentsRequest) -> ListPaymentsResponse = ListPaymentsResponse::default();
    list_ledger(ListLedgerRequest) -> Self::ListLedgerStream = tokio_stream::empty();
}

played! {
    impl Stores {}
    create_store(CreateStoreRequest) -> Store = Store::default();
    request_participation(StoreRequest) -> Store = Store::default();
    approve_participation(StoreRequest) -> Store = Store::default();
    deny_participation(StoreReasonRequest) -> Store = Store::default();
    suspend_store(StoreReasonRequest) -> Store = Store::default();
    resume_store(StoreRequest) -> Store = Store::default();
    close_store(StoreRequest) -> Store = Store::default();
    get_store(GetStoreRequest) -> Store = Store::default();
    list_stores(ListStoresRequest) -> ListStoresResponse = stores();
    add_product(AddProductRequest) -> Product = Product::default();
    change_price(ChangePriceRequest) -> Product = Product::default();
    list_product(ProductRequest) -> Product = Product::default();
    hide_product(ProductRequest) -> Product = Product::default();
    remove_product(ProductRequest) -> Product = Product::default();
    get_product(GetProductRequest) -> Product = Product::default();
    list_products(ListProductsRequest) -> ListProductsResponse = products();
}
